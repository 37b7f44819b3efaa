"""Django's migrate, for a database that several nodes use meanwhile.

On PostgreSQL one migrate runs at a time, and a statement that waits for a table gives up soon:
everybody else who wants the table waits behind it (docs/operations.md, Migrations).
"""

from __future__ import annotations

import time
from argparse import ArgumentTypeError
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.core.management.commands import migrate
from django.db import OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg2.errors import LockNotAvailable  # type: ignore[import-untyped]  # It has no types.

_LOCK = int.from_bytes(b"migrate")
_INTERVAL = 0.5
_LONGEST = 3600.0


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds <= _LONGEST:
        raise ArgumentTypeError(f"Use seconds, 0 to {_LONGEST:.0f}.")
    return seconds


class Command(migrate.Command):
    """Migrate the database; on PostgreSQL after any other migrate, and without blocking it."""

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--lock-timeout",
            type=_seconds,
            default=5.0,
            metavar="SECONDS",
            help="How long a statement waits for a table on PostgreSQL; 0 is for ever (5).",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        connection = connections[options["database"]]
        is_looking = options["check_unapplied"] or options["plan"]
        if connection.vendor != "postgresql" or is_looking:
            super().handle(*args, **options)
            return
        with self._alone(connection), _impatient(connection, options["lock_timeout"]):
            self._migrate(*args, **options)

    def _migrate(self, *args: Any, **options: Any) -> None:
        try:
            super().handle(*args, **options)
        except OperationalError as exc:
            if not isinstance(exc.__cause__, LockNotAvailable):
                raise
            raise CommandError(
                f"A table was in use for more than {options['lock_timeout']:g} s. The migrations "
                "before this one are done; run migrate again, at a quieter time or with a longer "
                "--lock-timeout."
            ) from exc

    @contextmanager
    def _alone(self, connection: BaseDatabaseWrapper) -> Iterator[None]:
        """Wait for other nodes' migrate, and keep them waiting."""
        is_told = False
        while not _ask(connection, "SELECT pg_try_advisory_lock(%s)", _LOCK):
            if not is_told:
                self.stderr.write("Waiting for another migrate to end.")
            is_told = True
            # To wait within a statement would be a snapshot that the other's indexes wait for.
            time.sleep(_INTERVAL)
        try:
            yield
        finally:
            _ask(connection, "SELECT pg_advisory_unlock(%s)", _LOCK)


@contextmanager
def _impatient(connection: BaseDatabaseWrapper, seconds: float) -> Iterator[None]:
    """Let no statement wait longer than this for a table."""
    before = _ask(connection, "SELECT current_setting(%s)", "lock_timeout")
    set_timeout = "SELECT set_config('lock_timeout', %s, false)"
    _ask(connection, set_timeout, f"{seconds * 1000:.0f}ms")
    try:
        yield
    finally:
        _ask(connection, set_timeout, before)


def _ask(connection: BaseDatabaseWrapper, statement: str, value: Any) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(statement, [value])
        return cursor.fetchone()[0]
