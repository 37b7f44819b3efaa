"""Delete old history."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from accounts.services import purge_changes

_MAX_DAYS = 36_500
_MAX_BATCH = 10_000  # SQLite takes some 32,000 values in a statement.


def _check(option: str, value: int, high: int) -> None:
    """Refuse a value that would delete what nobody meant, or nothing at all."""
    if not 1 <= value <= high:
        raise CommandError(f"{option} must be 1 to {high}.")


class Command(BaseCommand):
    """Delete the changes that are older than a given age, with their history rows."""

    help = (
        "Delete the changes that are older than a given age, with their history rows. "
        "Example: manage.py purge_history --older-than 400"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--older-than", type=int, default=400, metavar="DAYS", help="The age in days (400)."
        )
        parser.add_argument(
            "--batch", type=int, default=1000, help="How many changes a transaction takes (1000)."
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="Count them, and delete nothing."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        _check("--older-than", options["older_than"], _MAX_DAYS)
        _check("--batch", options["batch"], _MAX_BATCH)
        before = timezone.now() - timedelta(days=options["older_than"])
        count = purge_changes(before=before, batch=options["batch"], dry_run=options["dry_run"])
        verb = "Would delete" if options["dry_run"] else "Deleted"
        self.stdout.write(f"{verb} {count} changes older than {options['older_than']} days.")
