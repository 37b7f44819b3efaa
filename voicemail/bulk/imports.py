"""The import of many mailboxes at once: all rows are judged first, then all are written, or none.

docs/import.md tells it to those who write such files.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

from django.db.models import QuerySet
from django.utils import timezone

from accounts.models import Organization
from voicemail.batches import in_batches
from voicemail.bulk.checking import Checker, Kind
from voicemail.bulk.files import Reader
from voicemail.bulk.staging import Stage

_AT_ONCE = 4000


@dataclass(frozen=True)
class Counts:
    """How many rows ask for what, and how many can't be taken."""

    added: int
    changed: int
    deleted: int
    unchanged: int
    refused: int

    @classmethod
    def of(cls, counts: dict[Kind, int]) -> Self:
        kinds = (Kind.ADD, Kind.CHANGE, Kind.DELETE, Kind.NOTHING, Kind.REFUSE)
        return cls(*(counts.get(kind, 0) for kind in kinds))


@contextmanager
def _little_garbage() -> Iterator[None]:
    """Look rarely for objects that hold each other: looking took a fourth of the time.

    It is for a whole process, such as a command.
    """
    usual, *others = gc.get_threshold()
    gc.set_threshold(100 * usual, *others)
    try:
        yield
    finally:
        gc.set_threshold(usual, *others)


class Import:
    """One file on its way into the database, within some organizations.

    ``organization`` is meant by rows that name none. Use it as a context manager: what it keeps
    goes at the end.
    """

    def __init__(
        self,
        reader: Reader,
        *,
        organizations: QuerySet[Organization],
        organization: Organization | None = None,
    ) -> None:
        self.reader = reader
        self.checker = Checker(organizations, organization)
        self.stage = Stage()

    def __enter__(self) -> Self:
        self.stage.__enter__()
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self.stage.__exit__(*exc_info)

    def judge(self, advance: Callable[[int], object]) -> Counts:
        """Judge every row, and count them; ``advance`` hears how many bytes more were read.

        Raises UnreadableFileError.
        """
        position = 0
        with _little_garbage():
            for rows in in_batches(self.reader.rows(), _AT_ONCE):
                self.stage.add(self.checker.judge(rows))
                advance(self.reader.file.tell() - position)
                position = self.reader.file.tell()
        self.stage.compare()
        return Counts.of(self.stage.counts())

    def reasons(self) -> Iterator[tuple[int, list[str]]]:
        """Give each refused row's line and its reasons."""
        return self.stage.reasons()

    def write(self) -> None:
        """Write what the rows ask for, inside ``record_change``; none may be refused.

        Raises ValidationError where the boxes changed since they were judged.
        """
        self.stage.write(timezone.now())
