"""Logs without secrets: one JSON object a line, or a plain line on a terminal.

Query strings carry passwords and SessionIds, the path of a link opens it, and a database's error
quotes the row with its PIN. So every message loses what follows a question mark, or ``/password/``,
and an exception is told by its class and its frames alone, never by its text.
"""

from __future__ import annotations

import copy
import json
import logging
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final

request_id: Final[ContextVar[str]] = ContextVar("request_id", default="")

# Nothing of this is told, and looking it up would take a tenth of the time of a line.
logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
logging._srcfile = None  # The documented way to leave out the place of the call.

LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

# Up to the protocol of a request line, or the end: a query may hold spaces and quotes.
_QUERY = re.compile(r"(?:\?|%3F).*?(?=\sHTTP/\d|$)", re.IGNORECASE | re.MULTILINE)

# What stands in the path of a link that sets a password opens it.
_LINK = re.compile(r"((?:/|%2F)password(?:/|%2F))[^\s?'\"<>]+", re.IGNORECASE)

# The web server quotes a request that it can't read, with its query and headers.
_UNREADABLE = re.compile(r"(Invalid request from ip=\S+?|Bad request \w+):?\s.*", re.DOTALL)

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")

# What every record has, or gets when it is written, and Django's own: the request, whose text holds
# its query, or the socket.
_NO_EXTRAS = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "request",
    "server_time",
}


def _is_doubtful(text: str) -> bool:
    """Tell whether a text has what each of these needs; few lines have any of it."""
    return "?" in text or "%" in text or "d request" in text or "password" in text.lower()


def masked(text: str) -> str:
    """Take query strings, password links and the quotes of unreadable requests out of a text."""
    if not _is_doubtful(text):
        return text
    return _LINK.sub(r"\1***", _QUERY.sub("?...", _UNREADABLE.sub(r"\1.", text)))


def _clean(value: object) -> Any:
    """Give plain data without secrets; of any other object only its class is told."""
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            return masked(value)
        case Mapping():
            return {str(key): _clean(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_clean(item) for item in value]
        case _:
            return _class_name(type(value))


_ENCODER = json.JSONEncoder(default=_clean)


def _encoded(told: Mapping[str, Any]) -> str:
    """Write an object, cleaned if there is any doubt: to look once takes the least time."""
    try:
        line = _ENCODER.encode(told)
    except TypeError:  # For keys that are no texts.
        line = "?"
    return _ENCODER.encode(_clean(told)) if _is_doubtful(line) else line


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    """Give what was told of a record beside its message."""
    return {key: value for key, value in vars(record).items() if key not in _NO_EXTRAS}


def _class_name(cls: type[object]) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _without_exceptions(record: logging.LogRecord) -> logging.LogRecord:
    """Give a record in whose message exceptions are told by their class."""
    parts = (record.msg, *record.args) if isinstance(record.args, tuple) else (record.msg,)
    if not record.exc_text and not any(isinstance(part, BaseException) for part in parts):
        return record
    record = copy.copy(record)
    # Another handler may have left the exception's text here.
    record.exc_text = None
    if isinstance(record.msg, BaseException):
        record.msg = _class_name(type(record.msg))
    if isinstance(record.args, tuple):
        record.args = tuple(
            _class_name(type(arg)) if isinstance(arg, BaseException) else arg for arg in record.args
        )
    return record


def _told(exception: BaseException) -> Iterator[str]:
    """Tell an exception, and then what it was raised from, without their texts."""
    seen: set[int] = set()
    following: BaseException | None = exception
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield _class_name(type(following))
        for frame in traceback.extract_tb(following.__traceback__):
            yield f"  {frame.filename}:{frame.lineno} in {frame.name}"
        following = following.__cause__ or following.__context__


def _lines(exc_info: Any) -> list[str]:
    exception = exc_info[1]
    return list(_told(exception)) if exception is not None else []


class JSONFormatter(logging.Formatter):
    """One object a line: time, level, logger, message, request_id, and what else was given."""

    def format(self, record: logging.LogRecord) -> str:
        record = _without_exceptions(record)
        told: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": request_id.get(),
        }
        told |= _extras(record)
        if record.exc_info:
            told["exception"] = _lines(record.exc_info)
        if record.stack_info:
            told["stack"] = record.stack_info
        return _encoded(told)


class PlainFormatter(logging.Formatter):
    """A line for a reader at a terminal, in local time."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        return super().format(_without_exceptions(record))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # The library's name.
        """Add the extras, and keep control characters off the terminal."""
        told = [f"{key}={_clean(item)}" for key, item in _extras(record).items()]
        line = " ".join([masked(super().formatMessage(record)), *told])
        return _CONTROL.sub(lambda match: ascii(match[0])[1:-1], line)

    def formatException(self, ei: Any) -> str:  # noqa: N802  # The library's name.
        return "\n".join(_lines(ei))


def logging_config(*, log_format: str, level: str) -> dict[str, Any]:
    """Give the configuration of logging, the same for Django and for the web server.

    ``log_format`` is ``json``, ``plain`` or ``auto``: plain where stderr is a terminal.
    """
    if log_format == "auto":
        log_format = "plain" if sys.stderr.isatty() else "json"
    own = {"level": level, "handlers": ["stderr"], "propagate": False}
    passed_on: dict[str, Any] = {"level": "NOTSET", "handlers": [], "propagate": True}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {"()": f"{__name__}.JSONFormatter"},
            "plain": {"()": f"{__name__}.PlainFormatter"},
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": log_format}},
        "root": {"level": level, "handlers": ["stderr"]},
        "loggers": {
            # Both have handlers of Django's own, one of which writes mails with settings.
            "django": passed_on,
            "django.server": passed_on,
            "gunicorn.error": own,
            # The middleware's line tells more, and has no query.
            "gunicorn.access": own | {"level": "WARNING"},
            # It tells of each failed login by name and address, which the request's line has.
            "axes": passed_on | {"level": "ERROR"},
        },
    }
