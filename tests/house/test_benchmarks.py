"""The client of the benchmarks reads every answer to its end, and takes no wrong one for right."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice, repeat
from threading import Thread

import pytest

from benchmarks import load
from benchmarks.load import BadAnswerError, Calls, send

REQUEST = b"GET / HTTP/1.1\r\n\r\n"
PLAIN = [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nright"]
IN_CHUNKS = [
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"5\r\nright\r\n",
    b"0\r\n\r\n",
]
WITHOUT_A_BODY = [b"HTTP/1.1 204 right\r\n\r\n"]


@contextmanager
def answering(parts: list[bytes]) -> Iterator[int]:
    """Answer whatever comes with these parts, one after the other, and give the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        Thread(target=_serve, args=(listener, parts), daemon=True).start()
        yield listener.getsockname()[1]


def _serve(listener: socket.socket, parts: list[bytes]) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while connection.recv(1024):
                for part in parts:
                    connection.sendall(part)


def calls(number: int, *, is_kept: bool = True) -> Calls:
    requests = islice(repeat(REQUEST), number)
    return Calls(requests, b"right", clients=1, is_kept=is_kept)


@pytest.mark.parametrize("parts", [PLAIN, IN_CHUNKS, WITHOUT_A_BODY])
@pytest.mark.parametrize("is_kept", [True, False])
@pytest.mark.parametrize("received", [3, 4096])
def test_every_request_is_answered_once(
    parts: list[bytes], is_kept: bool, received: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "RECEIVED", received)

    with answering(parts) as port:
        outcome = send(port, calls(3, is_kept=is_kept), seconds=60)["calls"]

    assert len(outcome.durations) == len(outcome.first_bytes) == 3


def test_no_request_begins_after_the_time_is_over() -> None:
    with answering(PLAIN) as port:
        outcome = send(port, calls(3), seconds=0)["calls"]

    assert len(outcome.durations) == 1


def test_another_answer_than_the_expected_one_stops_the_run() -> None:
    with (
        answering([b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong"]) as port,
        pytest.raises(BadAnswerError, match="wrong"),
    ):
        send(port, calls(1), seconds=60)


def test_an_answer_that_is_cut_off_stops_the_run() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def cut_off() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1024)
                connection.sendall(PLAIN[0][:-1])

        Thread(target=cut_off, daemon=True).start()
        with pytest.raises(BadAnswerError, match="Cut off"):
            send(port, calls(1), seconds=60)
