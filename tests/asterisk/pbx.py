"""A PBX in tests: it asks as res_config_curl does, and reads the answer as app_voicemail does.

Every byte of a request was seen from an Asterisk 22.10 with libcurl 8, and so was its reading of
odd answers.
"""

from __future__ import annotations

import base64
import os
import select
import socket
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import cache
from http.client import HTTPResponse
from typing import Any
from unittest.mock import patch
from urllib.parse import quote, unquote
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from django.core.signals import request_finished, request_started
from django.db import close_old_connections

from voicemail.models import Pbx
from voicemail.services import give_credential

# libcurl asks before it sends more than that.
ASKS_ABOVE = 1024 * 1024
ASKS_FOR_SECONDS = 1.0


def make_pbx(name: str = "pbx1", **values: Any) -> tuple[Pbx, str]:
    """Store a PBX, and give it with its credential."""
    organizations = values.pop("organizations", ())
    pbx = Pbx(name=name, is_limited=bool(organizations), **values)
    credential = give_credential(pbx)
    pbx.save()
    pbx.organizations.set(organizations)
    return pbx, credential


class _SilentHandler(WSGIRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


@cache
def server(of: str) -> WSGIServer:
    """Give the service on a port of this machine, another one for each purpose."""
    # The module is made for a process of its own: it sets a variable, and sets Django up.
    with patch.dict(os.environ), patch("django.setup"):
        from voicemail_site.wsgi import application
    return make_server("127.0.0.1", 0, application, handler_class=_SilentHandler)


def answer_next(of: str = "realtime") -> None:
    """Have the service answer a connection, in the test's thread and transaction."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    try:
        server(of).handle_request()
    finally:
        for signal in (request_started, request_finished):
            signal.connect(close_old_connections)


@dataclass(frozen=True)
class Endpoint:
    """Where the service listens, and what makes it answer, if it does not by itself."""

    port: int
    host: str = "127.0.0.1"
    answer: Callable[[], None] = lambda: None

    @classmethod
    def in_this_thread(cls) -> Endpoint:
        return cls(server("realtime").server_port, answer=answer_next)


@dataclass(frozen=True)
class Answer:
    """What came back; Asterisk looks at the body alone."""

    status: int
    body: bytes


def basic(name: str, credential: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{credential}".encode()).decode()


def head(endpoint: Endpoint, target: str, authorization: str | None, length: int) -> bytes:
    """Write what libcurl sends before the body."""
    lines = [
        f"POST {target} HTTP/1.1",
        f"Host: {endpoint.host}:{endpoint.port}",
        *([] if authorization is None else [f"Authorization: {authorization}"]),
        "User-Agent: asterisk-libcurl-agent/1.0",
        "Accept: */*",
        f"Content-Length: {length}",
        "Content-Type: application/x-www-form-urlencoded",
        *(["Expect: 100-continue"] if length > ASKS_ABOVE else []),
    ]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode()


def post(
    endpoint: Endpoint, target: str, body: str | bytes = "", authorization: str | None = None
) -> Answer:
    """Send a request over a connection of its own, and read the answer."""
    content = body.encode() if isinstance(body, str) else body
    with closing(
        socket.create_connection((endpoint.host, endpoint.port), timeout=30)
    ) as connection:
        start = head(endpoint, target, authorization, len(content))
        if len(content) > ASKS_ABOVE:
            connection.sendall(start)
            select.select([connection], [], [], ASKS_FOR_SECONDS)
            connection.sendall(content)
        else:
            connection.sendall(start + content)
        endpoint.answer()
        with closing(HTTPResponse(connection, method="POST")) as response:
            response.begin()
            return Answer(response.status, response.read())


@dataclass(frozen=True)
class Asterisk:
    """One PBX with its credential."""

    name: str
    credential: str
    endpoint: Endpoint = field(default_factory=Endpoint.in_this_thread)

    def ask(self, operation: str, body: str | bytes, query: str = "") -> Answer:
        """Send an operation of realtime as it is."""
        target = f"/asterisk/voicemail/{operation}" + (f"?{query}" if query else "")
        return post(self.endpoint, target, body, basic(self.name, self.credential))

    def ask_as_script(self, path: str, body: str = "") -> str:
        """Ask what the scripts ask, by a bearer token."""
        answer = post(self.endpoint, f"/asterisk/{path}", body, f"Bearer {self.credential}")
        return answer.body.decode()

    def single(self, **keys: str) -> dict[str, str] | None:
        """Look a box up; None where Asterisk sees no such box."""
        return read_record(self.ask("single", pairs(keys)).body)

    def multi(self, **keys: str) -> list[dict[str, str]]:
        named = {name.replace("_", " "): value for name, value in keys.items()}
        lines = self.ask("multi", pairs(named)).body.splitlines()
        return [record for line in lines if (record := read_record(line)) is not None]

    def change_pin(self, context: str, mailbox: str, pin: str) -> str:
        """Tell of a PIN that was changed by phone, with the ``&`` that is missing."""
        query = f"&context={_escaped(context)}mailbox={_escaped(mailbox)}"
        return self.ask("update", f"&password={_escaped(pin)}", query).body.decode()

    def require(self) -> str:
        """Tell, as at the start, which columns are needed."""
        columns = {"uniqueid": "uinteger3:11", "password": "char:10"}
        return self.ask("require", pairs(columns)).body.decode()


def pairs(keys: Mapping[str, str]) -> str:
    """Write keys in the order in which they are given."""
    return "&".join(f"{_escaped(name)}={_escaped(value)}" for name, value in keys.items())


def _escaped(text: str) -> str:
    return quote(text, safe="-_.!~*'()")


def read_record(body: bytes) -> dict[str, str] | None:
    """Read a body up to its line end; an empty value is absent, and a ``+`` is a plus sign.

    Of several PINs the first one counts, of any other column the last.
    """
    line = body.split(b"\r" if b"\r" in body else b"\n", 1)[0].decode()
    record: dict[str, str] = {}
    for word in line.split("&"):
        name, _, value = (unquote(part) for part in word.partition("="))
        if name and value and not (name == "password" and name in record):
            record[name] = value
    return record or None


@dataclass(frozen=True)
class Heard:
    """What app_voicemail makes of a record: who is told of a message, and what a caller hears."""

    mails_to: str
    attaches: bool
    deletes: bool
    pages: str
    says_caller: bool
    says_duration_of_a_short_message: bool
    says_time: bool
    zone: str

    @classmethod
    def of(cls, record: Mapping[str, str]) -> Heard:
        """Apply app_voicemail's own defaults to what is missing."""

        def is_on(name: str, default: str) -> bool:
            return record.get(name, default) == "yes"

        minutes = int(record.get("saydurationm", "2"))
        return cls(
            mails_to=record.get("email", ""),
            attaches=is_on("attach", "yes"),
            deletes=is_on("delete", "no"),
            pages=record.get("pager", ""),
            says_caller=is_on("saycid", "no"),
            says_duration_of_a_short_message=is_on("sayduration", "yes") and minutes == 0,
            says_time=is_on("envelope", "yes"),
            zone=record.get("tz", ""),
        )
