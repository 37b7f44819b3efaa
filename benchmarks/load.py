"""A light client: some connections in one thread, each of which has one request under way.

It spends some 30 us of CPU a request, so that the server is what is measured.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

RECEIVED = 262_144
BEGINNING = 65_536
TIMEOUT = 60.0


@dataclass(frozen=True)
class Calls:
    """What some clients send, and what a good answer to it contains.

    ``is_kept`` keeps their connections; else each call has its own. ``of`` names the kind in the
    outcome.
    """

    requests: Iterator[bytes]
    expected: bytes
    clients: int = 8
    is_kept: bool = True
    of: str = "calls"


@dataclass
class Outcome:
    """Seconds of each answer, in all and to its first byte, and how long all of them took."""

    durations: list[float] = field(default_factory=list)
    first_bytes: list[float] = field(default_factory=list)
    elapsed: float = 0.0


class BadAnswerError(Exception):
    """An answer that is not what was asked for."""


class _Connection:
    """One client."""

    def __init__(
        self, port: int, calls: Calls, outcome: Outcome, opened: socket.socket | None
    ) -> None:
        self.address = ("127.0.0.1", port)
        self.calls = calls
        self.outcome = outcome
        self.opened = opened
        self.socket: socket.socket | None = None

    def begin(self, selector: selectors.BaseSelector) -> bool:
        """Send the next request; tell whether there was one."""
        request = next(self.calls.requests, None)
        if request is None:
            return False
        self.head = b""
        self.missing: int | None = None
        self.began = time.perf_counter()
        if self.socket is None:
            self.socket = self.opened or socket.create_connection(self.address, timeout=TIMEOUT)
            self.opened = None
            self.socket.settimeout(TIMEOUT)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(self.socket, selectors.EVENT_READ, self)
        self.socket.sendall(request)
        return True

    def receive(self, selector: selectors.BaseSelector) -> bool:
        """Take what has come; tell whether the answer is whole."""
        assert self.socket is not None
        data = self.socket.recv(RECEIVED)
        if not data:
            raise BadAnswerError(f"Cut off after: {self.head[:500]!r}")
        if self.missing is None:
            self._read_head(data)
        else:
            self._read_on(data)
        if not self._is_whole():
            return False
        self.outcome.durations.append(time.perf_counter() - self.began)
        if self.calls.expected not in self.head:
            raise BadAnswerError(f"{self.head[:2000]!r}")
        if not self.calls.is_kept:
            self.close(selector)
        return True

    def _read_head(self, data: bytes) -> None:
        """Read how long the answer is; -1 stands for chunks."""
        if not self.head:
            self.outcome.first_bytes.append(time.perf_counter() - self.began)
        self.head += data
        head, separator, body = self.head.partition(b"\r\n\r\n")
        if not separator:
            return
        _, _, length = head.lower().partition(b"\r\ncontent-length:")
        self.missing = int(length.split(b"\r\n", 1)[0]) - len(body) if length else -1
        self.tail = body[-5:]
        if head[9:12] == b"204":
            self.missing = 0

    def _read_on(self, data: bytes) -> None:
        # What is expected stands near the beginning.
        if len(self.head) < BEGINNING:
            self.head += data
        if self.missing == -1:
            self.tail = (self.tail + data)[-5:]
        else:
            self.missing = (self.missing or 0) - len(data)

    def _is_whole(self) -> bool:
        # The content of our answers holds no zero chunk of its own.
        return self.missing == 0 or (self.missing == -1 and self.tail == b"0\r\n\r\n")

    def close(self, selector: selectors.BaseSelector) -> None:
        if self.socket is not None:
            selector.unregister(self.socket)
            self.socket.close()
            self.socket = None


Connect = Callable[[int], list[socket.socket]]


def send(
    port: int, *several: Calls, seconds: float, connect: Connect | None = None
) -> dict[str, Outcome]:
    """Let all clients send for some seconds, and wait for the last answers.

    Connections that stay open are opened by ``connect``, if it is given.
    """
    kept = sum(calls.clients for calls in several if calls.is_kept)
    opened = iter(connect(kept) if connect is not None else ())
    outcomes = {calls.of: Outcome() for calls in several}
    with selectors.DefaultSelector() as selector:
        connections = [
            _Connection(
                port, calls, outcomes[calls.of], next(opened, None) if calls.is_kept else None
            )
            for calls in several
            for _ in range(calls.clients)
        ]
        began = time.perf_counter()
        try:
            _serve(selector, connections, until=began + seconds)
        finally:
            for each in connections:
                each.close(selector)
    elapsed = time.perf_counter() - began
    for outcome in outcomes.values():
        outcome.elapsed = elapsed
    return outcomes


def _serve(
    selector: selectors.BaseSelector, connections: list[_Connection], *, until: float
) -> None:
    open_ones = sum(each.begin(selector) for each in connections)
    while open_ones:
        ready = selector.select(TIMEOUT)
        if not ready:
            raise BadAnswerError(f"No answer within {TIMEOUT} s.")
        for key, _ in ready:
            if key.data.receive(selector) and not (
                time.perf_counter() < until and key.data.begin(selector)
            ):
                open_ones -= 1
