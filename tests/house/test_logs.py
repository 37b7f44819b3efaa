"""Logs: what a line tells, and what it never tells."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import pytest
from django.http import HttpRequest
from django.test import Client

from voicemail_site.logs import JSONFormatter, PlainFormatter, logging_config, request_id

SECRET = "s3cr3t"  # The canary that no line may hold.

FORMATTERS = pytest.mark.parametrize("formatter", [JSONFormatter(), PlainFormatter()])

Write: TypeAlias = Callable[..., str]


def record(message: object, *args: object, **extra: object) -> logging.LogRecord:
    exc_info = sys.exc_info() if sys.exc_info()[0] else None
    made = logging.LogRecord("some.logger", logging.WARNING, "f.py", 1, message, args, exc_info)
    vars(made).update(extra)
    return made


def read(line: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(line)
    return loaded


@pytest.fixture
def number() -> Iterator[str]:
    token = request_id.set("abcdef0123456789")
    yield request_id.get()
    request_id.reset(token)


def test_a_line_is_one_object_with_its_facts_first(number: str) -> None:
    line = JSONFormatter().format(record("A box\nwas %s.", "added", user_id=7))

    assert "\n" not in line
    fields = read(line)
    assert list(fields) == ["time", "level", "logger", "message", "request_id", "user_id"]
    assert fields["message"] == "A box\nwas added."
    assert (fields["level"], fields["logger"], fields["user_id"]) == ("WARNING", "some.logger", 7)
    assert fields["request_id"] == number
    assert fields["time"].endswith("+00:00")


def test_a_plain_line_has_the_extras_behind_the_message() -> None:
    line = PlainFormatter().format(record("Answered.", status=200, codes=["Value.Required"]))

    assert line.endswith("WARNING some.logger: Answered. status=200 codes=['Value.Required']")


def test_a_plain_line_keeps_control_characters_off_the_terminal() -> None:
    line = PlainFormatter().format(record("one\n\x1b[2Jtwo", path="/\x9b\u2028x"))

    assert line.endswith(r"one\n\x1b[2Jtwo path=/\x9b\u2028x")


@FORMATTERS
@pytest.mark.parametrize(
    "message",
    [
        f'"GET /webapi?Password={SECRET} HTTP/1.1" 200 512',
        f"Error handling request /webapi?a=b&Password={SECRET}",
        f"Error handling request POST /webapi?Password=it's+\"{SECRET}",
        f"<WSGIRequest: GET '/webapi?Password={SECRET}'>",
        f"/webapi?Password=two words and {SECRET}",
        f"Not Found: /webapi%3fPassword={SECRET}",
        f"first line ?{SECRET}\nsecond line ?{SECRET}",
        f"Invalid request from ip=192.0.2.1: Invalid HTTP Version: '{SECRET} HTTP/1.1'",
        f'"GET /password/MQ/{SECRET}/ HTTP/1.1" 200 512',
        f"Not Found: /password/{SECRET}",
        f"Error handling request https://voicemail.example.com/password/MQ/{SECRET}/",
        f"Error handling request /Password%2fMQ%2F{SECRET}",
        f"code 400, message Bad request syntax ('GET /webapi Password={SECRET}')",
    ],
)
def test_a_query_never_reaches_a_line(formatter: logging.Formatter, message: str) -> None:
    line = formatter.format(record("%s", message, path=message, more=[{"uri": message}]))

    assert SECRET not in line


@pytest.mark.parametrize("message", ["Answered.", "Is it answered? 100 %"])
def test_what_json_has_no_form_for_is_told_as_a_list_or_by_its_class(message: str) -> None:
    line = JSONFormatter().format(record(message, several={7}, thing=object(), none=None))

    told = read(line)
    assert (told["several"], told["thing"], told["none"]) == ([7], "builtins.object", None)


def test_what_stands_around_a_query_is_kept() -> None:
    access = JSONFormatter().format(record('"GET /webapi?x=y HTTP/1.1" 200 512'))
    refusal = JSONFormatter().format(record("Invalid request from ip=192.0.2.1: garbage"))

    assert read(access)["message"] == '"GET /webapi?... HTTP/1.1" 200 512'
    assert read(refusal)["message"] == "Invalid request from ip=192.0.2.1."


def test_the_path_of_a_password_link_is_told_without_what_opens_it() -> None:
    fields = read(JSONFormatter().format(record("Answered.", path="/password/MQ/c9-1/")))
    other = read(JSONFormatter().format(record("Answered.", path="/admin/password_change/")))

    assert fields["path"] == "/password/***"
    assert other["path"] == "/admin/password_change/"


@FORMATTERS
def test_an_exception_is_told_by_class_and_frames_without_its_text(
    formatter: logging.Formatter,
) -> None:
    try:
        try:
            raise KeyError(SECRET)
        except KeyError as exc:
            raise ValueError(f"DETAIL: Key (password)=({SECRET})") from exc
    except ValueError:
        line = formatter.format(record("It failed."))

    assert SECRET not in line
    assert "builtins.ValueError" in line
    assert "builtins.KeyError" in line
    assert "test_logs.py" in line
    assert "in test_an_exception_is_told_by_class" in line


def test_an_exceptions_lines_are_a_list_in_json() -> None:
    try:
        raise ValueError(SECRET)
    except ValueError:
        fields = read(JSONFormatter().format(record("It failed.")))

    assert fields["exception"][0] == "builtins.ValueError"
    assert len(fields["exception"]) == 2


@FORMATTERS
def test_what_another_handler_wrote_of_an_exception_is_not_used(
    formatter: logging.Formatter,
) -> None:
    try:
        raise ValueError(SECRET)
    except ValueError:
        shared = record("It failed.")
    logging.Formatter().format(shared)

    assert SECRET not in formatter.format(shared)


@FORMATTERS
def test_an_exception_in_place_of_a_message_is_told_by_its_class(
    formatter: logging.Formatter,
) -> None:
    exception = ValueError(SECRET)

    for made in (record(exception), record("It failed: %s", exception, reason=exception)):
        line = formatter.format(made)
        assert SECRET not in line
        assert "builtins.ValueError" in line


@FORMATTERS
def test_the_request_that_django_adds_is_not_told(formatter: logging.Formatter) -> None:
    line = formatter.format(record("Not Found: %s", "/x", request=HttpRequest(), status_code=404))

    assert "HttpRequest" not in line
    assert "404" in line


def test_the_server_and_django_write_through_the_same_handler() -> None:
    config = logging_config(log_format="json", level="INFO")

    assert set(config["handlers"]) == {"stderr"}
    for name in ("gunicorn.error", "gunicorn.access"):
        assert config["loggers"][name]["handlers"] == ["stderr"]
        assert config["loggers"][name]["propagate"] is False
    for name in ("django", "django.server"):
        assert config["loggers"][name]["handlers"] == []
        assert config["loggers"][name]["propagate"] is True


@pytest.mark.parametrize(("is_terminal", "expected"), [(True, "plain"), (False, "json")])
def test_the_format_follows_the_terminal(
    monkeypatch: pytest.MonkeyPatch, is_terminal: bool, expected: str
) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: is_terminal)
    monkeypatch.setattr(sys, "stderr", terminal)

    config = logging_config(log_format="auto", level="INFO")

    assert config["handlers"]["stderr"]["formatter"] == expected


def answered(caplog: pytest.LogCaptureFixture) -> dict[str, Any]:
    (line,) = [each for each in caplog.records if each.name == "voicemail_site.request"]
    return read(JSONFormatter().format(line))


def test_each_request_leaves_one_line_without_its_query(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        client.get("/healthz", {"Password": SECRET})

    fields = answered(caplog)
    assert (fields["method"], fields["path"], fields["status"]) == ("GET", "/healthz", 200)
    assert fields["client"] == "127.0.0.1"
    assert fields["duration_ms"] >= 0
    assert SECRET not in caplog.text


@pytest.mark.django_db
def test_an_api_call_tells_its_action_outcome_and_codes(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        client.post("/webapi", {"Action": "OrganizationRead", "SessionId": SECRET})

    fields = answered(caplog)
    assert fields["action"] == "OrganizationRead"
    assert fields["outcome"] == "refused"
    assert fields["codes"] == ["Session.Authentication"]
    assert SECRET not in json.dumps(fields)
