"""Verbs that delete what is old, for cron: in batches, each a transaction of its own."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import ClassVar

from django.core.management.base import CommandError, CommandParser
from django.db import models
from django.utils import timezone

from accounts.management.base import Outcome, Verb
from accounts.management.output import Format

_MAX_DAYS = 36_500
_MAX_BATCH = 10_000  # SQLite takes some 32,000 values in a statement.


class PurgeVerb(Verb):
    """A verb that deletes what is over, as it is at a given time."""

    formats = Format.values
    model: ClassVar[type[models.Model]]

    @classmethod
    def add_arguments(cls, parser: CommandParser) -> None:
        parser.add_argument(
            "--batch", type=int, default=1000, help="How many a transaction takes (1000)."
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="Count them, and delete nothing."
        )

    def time(self) -> datetime:
        """Give the time that ``purge`` goes by."""
        return timezone.now()

    def purge(self, time: datetime, *, batch: int, dry_run: bool) -> int:
        """Delete what is over at a time, and count it."""
        raise NotImplementedError

    def run(self) -> None:
        time, batch = self.time(), self.options["batch"]
        _check("--batch", batch, _MAX_BATCH)
        count = self.purge(time, batch=batch, dry_run=self.options["dry_run"])
        self.print_count(Outcome.DELETED, count, self.model)


class PurgeByAgeVerb(PurgeVerb):
    """A verb that deletes what is from before a time, which an age in days tells."""

    @classmethod
    def add_arguments(cls, parser: CommandParser) -> None:
        parser.add_argument(
            "--older-than", type=int, default=400, metavar="DAYS", help="The age in days (400)."
        )
        super().add_arguments(parser)

    def time(self) -> datetime:
        days = self.options["older_than"]
        _check("--older-than", days, _MAX_DAYS)
        return super().time() - timedelta(days=days)


def _check(option: str, value: int, high: int) -> None:
    """Refuse a value that would delete what nobody meant, or nothing at all."""
    if not 1 <= value <= high:
        raise CommandError(f"{option} must be 1 to {high}.")
