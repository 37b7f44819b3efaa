"""What the database itself refuses, beyond what Django can declare.

A row's account always equals its organization's, and an organization's account never changes:
on PostgreSQL by a composite foreign key and a trigger, on SQLite by triggers. Django rebuilds a
table of SQLite to alter it and drops its triggers silently, so the guards are taken away before
every migrate and made again after it, and /readyz looks for them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from django.apps import AppConfig, apps
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.signals import post_migrate, pre_migrate

_ORGANIZATIONS = "accounts_organization"


class Guard(Protocol):
    """One promise of the database: its table, and its statements for each engine."""

    table: str
    name: str

    def sqlite(self) -> dict[str, str]:
        """Give the triggers by name."""

    def sqlite_start(self) -> list[str]:
        """Give what is to be done before the triggers are made again."""

    def postgresql(self) -> str:
        """Give the statements that make the guard where it is missing."""


class _Stateless:
    """A guard that looks at the rows in hand alone."""

    def sqlite_start(self) -> list[str]:
        return []


@dataclass(frozen=True)
class SameAccount(_Stateless):
    """The rows of a table belong to the account of their organization."""

    table: str
    name: str

    def sqlite(self) -> dict[str, str]:
        body = f"""ON {self.table} WHEN NEW.organization_id IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM {_ORGANIZATIONS}
            WHERE id = NEW.organization_id AND account_id = NEW.account_id)
            BEGIN SELECT RAISE(ABORT, '{self.name}'); END"""  # noqa: S608  # Names of ours.
        return {
            f"{self.name}_insert": f"BEFORE INSERT {body}",
            f"{self.name}_update": f"BEFORE UPDATE OF account_id, organization_id {body}",
        }

    def postgresql(self) -> str:
        return f"""ALTER TABLE {self.table} ADD CONSTRAINT {self.name}
            FOREIGN KEY (account_id, organization_id)
            REFERENCES {_ORGANIZATIONS} (account_id, id)"""


@dataclass(frozen=True)
class FixedAccount(_Stateless):
    """An organization stays with its account."""

    table: str = _ORGANIZATIONS
    name: str = "organization_keeps_its_account"

    def sqlite(self) -> dict[str, str]:
        return {
            self.name: f"""BEFORE UPDATE OF account_id ON {self.table}
            WHEN NEW.account_id <> OLD.account_id
            BEGIN SELECT RAISE(ABORT, '{self.name}'); END"""
        }

    def postgresql(self) -> str:
        return f"""
            CREATE OR REPLACE FUNCTION {self.name}() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                RAISE EXCEPTION '{self.name}' USING ERRCODE = 'integrity_constraint_violation';
            END $$;
            CREATE TRIGGER {self.name} BEFORE UPDATE OF account_id ON {self.table}
            FOR EACH ROW WHEN (NEW.account_id IS DISTINCT FROM OLD.account_id)
            EXECUTE FUNCTION {self.name}()"""


def guards() -> Iterator[Guard]:
    """Give the guards that the installed apps declare in their ``guards`` attribute."""
    for app in apps.get_app_configs():
        yield from getattr(app, "guards", ())


def _names(guard: Guard, connection: BaseDatabaseWrapper) -> set[str]:
    if connection.vendor == "sqlite":
        return set(guard.sqlite())
    return {guard.name, *getattr(guard, "also", ())}


def _names_in_place(connection: BaseDatabaseWrapper) -> set[str]:
    query = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    if connection.vendor == "postgresql":
        query = """SELECT conname FROM pg_constraint WHERE convalidated
            UNION SELECT tgname FROM pg_trigger WHERE tgenabled <> 'D'"""
    with connection.cursor() as cursor:
        cursor.execute(query)
        return {name for (name,) in cursor.fetchall()}


def missing_guards(connection: BaseDatabaseWrapper) -> list[str]:
    """Name the guards that the database lacks; an empty list is what it should be."""
    in_place = _names_in_place(connection)
    return sorted(name for guard in guards() for name in _names(guard, connection) - in_place)


def install_guards(connection: BaseDatabaseWrapper) -> None:
    """Make every guard whose table exists and which is not in place."""
    in_place = _names_in_place(connection)
    tables = set(connection.introspection.table_names())
    with connection.cursor() as cursor:
        for guard in guards():
            if not {guard.table, _ORGANIZATIONS} <= tables:
                continue
            if connection.vendor == "sqlite":
                for statement in guard.sqlite_start():
                    cursor.execute(statement)
                for name, body in guard.sqlite().items():
                    cursor.execute(f"CREATE TRIGGER IF NOT EXISTS {name} {body}")
            elif not _names(guard, connection) <= in_place:
                cursor.execute(guard.postgresql())


def remove_triggers(connection: BaseDatabaseWrapper) -> None:
    """Take SQLite's triggers away: one that names a table being rebuilt stops the rebuilding."""
    with connection.cursor() as cursor:
        for guard in guards():
            for name in guard.sqlite():
                cursor.execute(f"DROP TRIGGER IF EXISTS {name}")


def keep_ids_unused(connection: BaseDatabaseWrapper) -> None:
    """Never give a deleted row's id again, although SQLite forgets it when a table is rebuilt."""
    tables = set(connection.introspection.table_names())
    with connection.cursor() as cursor:
        for model in apps.get_models():
            history = getattr(model, "history", None)
            if (
                history is None
                or not {model._meta.db_table, history.model._meta.db_table} <= tables
            ):
                continue
            _raise_sequence(cursor, model._meta.db_table, history.model._meta.db_table)


def _raise_sequence(cursor: Any, table: str, history_table: str) -> None:
    cursor.execute(f"SELECT COALESCE(MAX(id), 0) FROM {history_table}")  # noqa: S608  # Ours.
    (highest,) = cursor.fetchone()
    cursor.execute(
        "INSERT INTO sqlite_sequence (name, seq) SELECT %s, 0 "
        "WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = %s)",
        [table, table],
    )
    cursor.execute(
        "UPDATE sqlite_sequence SET seq = MAX(seq, %s) WHERE name = %s", [highest, table]
    )


def before_migrate(sender: AppConfig, using: str, **kwargs: Any) -> None:
    """Clear the way for the rebuilding of tables."""
    if connections[using].vendor == "sqlite":
        remove_triggers(connections[using])


def after_migrate(sender: AppConfig, using: str, **kwargs: Any) -> None:
    """Make the guards again."""
    install_guards(connections[using])
    if connections[using].vendor == "sqlite":
        keep_ids_unused(connections[using])


def watch_migrations(app: AppConfig) -> None:
    """Run around every migrate, once: ``app`` is the one whose signal is taken."""
    pre_migrate.connect(before_migrate, sender=app, dispatch_uid="guards")
    post_migrate.connect(after_migrate, sender=app, dispatch_uid="guards")
