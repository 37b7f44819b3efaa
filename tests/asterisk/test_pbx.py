"""The PBX of the tests sends what a real one sends, and reads as a real one reads."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any

import pytest

from tests.asterisk.pbx import ASKS_ABOVE, Asterisk, Endpoint, basic, head, read_record

TARGET = "/asterisk/voicemail/single"


class Listener:
    """A port that keeps the bytes of the next request, and answers it with an empty body."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.socket.settimeout(30)
        self.endpoint = Endpoint(self.socket.getsockname()[1], answer=self.answer)
        self.heard = b""

    def answer(self) -> None:
        connection, _ = self.socket.accept()
        connection.settimeout(30)
        with closing(connection):
            self.heard = b""
            while not self.is_complete():
                self.heard += connection.recv(65536)
                if b"Expect: 100-continue" in self.heard:
                    break
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    def is_complete(self) -> bool:
        start, end, body = self.heard.partition(b"\r\n\r\n")
        lengths = [
            line[16:] for line in start.split(b"\r\n") if line.startswith(b"Content-Length: ")
        ]
        return bool(end) and len(body) == int(lengths[0])


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    with closing(listener.socket):
        yield listener


def seen(port: int, operation: str, length: int, body: str) -> bytes:
    """Give the bytes of an Asterisk 22.10; it has ``userpwd=pbx1:secret-1``."""
    return (
        f"POST /asterisk/voicemail/{operation} HTTP/1.1\r\n"
        f"Host: 127.0.0.1:{port}\r\n"
        "Authorization: Basic cGJ4MTpzZWNyZXQtMQ==\r\n"
        "User-Agent: asterisk-libcurl-agent/1.0\r\n"
        "Accept: */*\r\n"
        f"Content-Length: {length}\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n"
        f"\r\n{body}"
    ).encode()


@pytest.mark.parametrize(
    ("call", "operation", "length", "body"),
    [
        (
            lambda pbx: pbx.single(mailbox="1001", context="acme.example.com"),
            *("single", 37, "mailbox=1001&context=acme.example.com"),
        ),
        (
            lambda pbx: pbx.single(mailbox="a!~*'()-_.b+ é&=%/;,"),
            *("single", 49, "mailbox=a!~*'()-_.b%2B%20%C3%A9%26%3D%25%2F%3B%2C"),
        ),
        (
            lambda pbx: pbx.multi(context="acme.example.com"),
            *("multi", 24, "context=acme.example.com"),
        ),
        (
            lambda pbx: pbx.change_pin("acme.example.com", "1002", "7654321"),
            *("update?&context=acme.example.commailbox=1002", 17, "&password=7654321"),
        ),
        (
            lambda pbx: pbx.require(),
            *("require", 42, "uniqueid=uinteger3%3A11&password=char%3A10"),
        ),
    ],
    ids=["single", "single of odd signs", "multi", "update", "require"],
)
def test_each_operation_is_sent_as_it_was_seen(
    listener: Listener, call: Callable[[Asterisk], Any], operation: str, length: int, body: str
) -> None:
    call(Asterisk("pbx1", "secret-1", listener.endpoint))

    assert listener.heard == seen(listener.endpoint.port, operation, length, body)


def heard_of_curl(listener: Listener, body: bytes) -> bytes:
    """Give what libcurl sends when it is told what Asterisk tells it."""
    curl = shutil.which("curl")
    if curl is None and not os.environ.get("CI"):
        pytest.skip("curl is not installed.")
    with subprocess.Popen(
        [
            *(curl or "curl", "--silent", "--user", "pbx1:secret-1", "--data-binary", "@-"),
            *("--user-agent", "asterisk-libcurl-agent/1.0"),
            f"http://127.0.0.1:{listener.endpoint.port}{TARGET}",
        ],
        stdin=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        with suppress(BrokenPipeError):
            process.stdin.write(body)
            process.stdin.close()
        listener.answer()
    return listener.heard


def test_a_request_is_what_libcurl_makes_of_it(listener: Listener) -> None:
    body = "mailbox=1001&context=acme.example.com"
    theirs = heard_of_curl(listener, body.encode())
    Asterisk("pbx1", "secret-1", listener.endpoint).ask("single", body)

    assert listener.heard == theirs


@pytest.mark.parametrize("length", [ASKS_ABOVE, ASKS_ABOVE + 1])
def test_a_long_request_begins_as_libcurls_does(listener: Listener, length: int) -> None:
    theirs = heard_of_curl(listener, b"x" * length)
    ours = head(listener.endpoint, TARGET, basic("pbx1", "secret-1"), length)

    assert theirs.startswith(ours)


@pytest.mark.parametrize(
    ("body", "record"),
    [
        (b"", None),
        (b"0", None),
        (b"a=&b=", None),
        (b"\nmailbox=1", None),
        (b"mailbox=1\npassword=2", {"mailbox": "1"}),
        (b"mailbox=1\npassword=2\r\nz=3", {"mailbox": "1\npassword=2"}),
        (
            b"password=1+2%20&fullname=A%26B%3d%zz%4&y",
            {"password": "1+2 ", "fullname": "A&B=%zz%4"},
        ),
        (b"password=&password=7&password=8&%6eame=q=r", {"password": "7", "name": "q=r"}),
        (b'<html lang="en">', {"<html lang": '"en">'}),
    ],
)
def test_an_odd_answer_is_read_as_asterisk_was_seen_to_read_it(
    body: bytes, record: dict[str, str] | None
) -> None:
    assert read_record(body) == record
