"""Long answers: sent piece by piece, few at a time, and not for ever.

A thread is busy until its client has read the answer. So that slow readers can't take them all,
a process sends few long answers at once and one more waits; the others are told to come back.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from threading import BoundedSemaphore
from typing import Any, Protocol

AT_ONCE = 2
LONGEST_SECONDS = 60.0
WAIT_SECONDS = 5.0

_seats = BoundedSemaphore(AT_ONCE)
_waiting_room = BoundedSemaphore(1)


class Source(Protocol):
    """Where the pieces come from; it holds a cursor."""

    def close(self) -> None:
        """Let it go."""


class BusyError(Exception):
    """Raised for a long answer beyond those that a process sends at once."""


class Stream:
    """The pieces of one long answer, read from a source.

    ``close`` must be called, whether or not they were read, in the thread that reads them.

    Raises BusyError. A client that takes longer than the time there is loses its connection in
    the midst of the answer, as it does where the rest can't be read or written.
    """

    def __init__(
        self, pieces: Iterator[bytes], source: Source, client: socket.socket | None
    ) -> None:
        self._pieces = pieces
        self._source = source
        self._client = client
        try:
            _take_seat()
        except BusyError:
            source.close()
            raise
        self._has_seat = True

    def __iter__(self) -> Iterator[bytes]:
        end = time.monotonic() + LONGEST_SECONDS
        for piece in self._pieces:
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError("The client reads too slowly.")
            self._allow(left)
            yield piece

    def _allow(self, seconds: float | None) -> None:
        """Let the client's connection take no longer than this for what is sent to it."""
        if self._client is not None:
            self._client.settimeout(seconds)

    def close(self) -> None:
        """Give the seat back, and end the source's cursor and transaction.

        Otherwise they would end when Python collects the answer: in any thread, at any time.
        """
        if self._has_seat:
            self._has_seat = False
            try:
                self._source.close()
            finally:
                _seats.release()
                self._allow(None)


def client_of(environ: dict[str, Any]) -> socket.socket | None:
    """Give the connection to the client, where the web server tells it."""
    client = environ.get("gunicorn.socket")
    return client if isinstance(client, socket.socket) else None


def _take_seat() -> None:
    if _seats.acquire(blocking=False):
        return
    if not _waiting_room.acquire(blocking=False):
        raise BusyError
    try:
        if not _seats.acquire(timeout=WAIT_SECONDS):
            raise BusyError
    finally:
        _waiting_room.release()
