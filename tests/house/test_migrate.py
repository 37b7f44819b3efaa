"""Migrating a database that several nodes use (docs/operations.md, Migrations)."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from typing import Any
from unittest.mock import patch

import pytest
from django.core.management import CommandError, call_command
from django.core.management.commands import migrate
from django.db import OperationalError, connection
from django.db.backends.base.base import BaseDatabaseWrapper

from voicemail_site.management.commands.migrate import _LOCK

on_postgresql = pytest.mark.skipif(
    connection.vendor != "postgresql", reason="SQLite has one writer at a time anyway."
)
PAUSE = "voicemail_site.management.commands.migrate.time.sleep"


@pytest.fixture
def other(db: None) -> Iterator[BaseDatabaseWrapper]:
    """Give another connection to the same database."""
    another = connection.copy()
    yield another
    another.close()


def execute(where: Any, statement: str) -> Any:
    with where.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone()[0] if cursor.description else None


def run(*words: str) -> str:
    """Run migrate, and give what it wrote to standard error."""
    err = StringIO()
    call_command("migrate", *words, stdout=StringIO(), stderr=err)
    return err.getvalue()


@pytest.mark.django_db
def test_a_database_is_migrated_as_by_django() -> None:
    out = StringIO()

    call_command("migrate", stdout=out)

    assert "No migrations to apply." in out.getvalue()


@on_postgresql
def test_a_second_migrate_waits_for_the_first(other: BaseDatabaseWrapper) -> None:
    execute(other, f"SELECT pg_advisory_lock({_LOCK})")
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            execute(other, f"SELECT pg_advisory_unlock({_LOCK})")

    with patch(PAUSE, pause):
        err = run()

    assert len(pauses) == 2
    assert err == "Waiting for another migrate to end.\n"


@on_postgresql
@pytest.mark.django_db
def test_the_lock_is_held_while_migrating_and_freed_after_it(other: BaseDatabaseWrapper) -> None:
    def is_free() -> bool:
        is_taken = execute(other, f"SELECT pg_try_advisory_lock({_LOCK})")
        return bool(is_taken and execute(other, f"SELECT pg_advisory_unlock({_LOCK})"))

    seen: list[bool] = []
    with patch.object(migrate.Command, "handle", lambda *_, **__: seen.append(is_free())):
        run()

    assert seen == [False]
    assert is_free()


@on_postgresql
@pytest.mark.django_db
@pytest.mark.parametrize("option", ["--plan", "--check"])
def test_looking_waits_for_nobody(other: BaseDatabaseWrapper, option: str) -> None:
    execute(other, f"SELECT pg_advisory_lock({_LOCK})")

    with patch(PAUSE, side_effect=AssertionError):
        run(option)


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_a_table_that_is_in_use_ends_migrate_soon_and_with_advice(
    other: BaseDatabaseWrapper,
) -> None:
    other.set_autocommit(False)
    execute(other, "LOCK TABLE accounts_account IN ACCESS SHARE MODE")
    alter = "ALTER TABLE accounts_account ADD COLUMN late int"

    with (
        patch.object(migrate.Command, "handle", lambda *_, **__: execute(connection, alter)),
        pytest.raises(CommandError) as caught,
    ):
        run("--lock-timeout", "0.1")

    assert str(caught.value) == (
        "A table was in use for more than 0.1 s. The migrations before this one are done; run "
        "migrate again, at a quieter time or with a longer --lock-timeout."
    )
    assert execute(connection, "SHOW lock_timeout") == "0"


@on_postgresql
@pytest.mark.django_db
def test_another_failure_is_not_taken_for_a_lock() -> None:
    with (
        patch.object(migrate.Command, "handle", side_effect=OperationalError("disk full")),
        pytest.raises(OperationalError, match="disk full"),
    ):
        run()


@pytest.mark.parametrize("seconds", ["-1", "3601", "soon", "nan"])
def test_a_lock_timeout_is_a_number_of_seconds(seconds: str) -> None:
    with pytest.raises(CommandError, match="Use seconds, 0 to 3600"):
        run(f"--lock-timeout={seconds}")
