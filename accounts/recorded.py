"""Writes of an object together with its history row and its Change.

On PostgreSQL that is one statement, where Django and the library would take three, and as many
signals and objects; the history row is made of what the database returns of the object's own. It
is for the first write of a Change, which most have alone; any other goes the library's way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Any

from django.db import DatabaseError, connection, models
from django.utils import timezone

from accounts.history import OpenChange, open_change
from voicemail_site.statements import PreparedSQL
from voicemail_site.writes import (
    CompiledModel,
    Fields,
    columns,
    delete_parts,
    insert_sql,
    own_fields,
    prepared,
    run,
    update_sql,
)

_FACTS = ("history_date", "history_type", "history_change_reason", "history_user_id")


def insert_recorded(instance: CompiledModel) -> None:
    """Store a new object; ``save`` has given it what it gives to every new one."""
    change = _unstored_change()
    if change is None or not hasattr(instance, "account_id"):
        instance.save(force_insert=True)
        return
    fields = own_fields(type(instance))
    row = [(field, field.pre_save(instance, True)) for field in fields]
    instance.pk = _write(_insertion(type(instance)), instance, row, change, "+")
    instance._state.adding, instance._state.db = False, connection.alias


def update_recorded(instance: CompiledModel, names: Sequence[str]) -> None:
    """Store these columns of an object. Raises DatabaseError where it is gone."""
    change = _unstored_change()
    fields, is_recorded = _named(type(instance), tuple(names))
    if change is None or not is_recorded:
        instance.save(update_fields=names)
        return
    row = [(field, field.pre_save(instance, False)) for field in fields]
    row.append((instance._meta.pk, instance.pk))
    if not _write(_update(type(instance), fields), instance, row, change, "~"):
        raise DatabaseError(f"{type(instance).__name__} {instance.pk} is gone.")


def delete_recorded(instance: CompiledModel) -> None:
    """Delete an object with the rows that go with it; it is no error if it is gone."""
    change = _unstored_change()
    if change is None:
        instance.delete_simply()
        return
    text, number = _deletion(type(instance))
    _write(text, instance, [(instance._meta.pk, instance.pk)] * number, change, "-")


def _unstored_change() -> OpenChange | None:
    change = open_change()
    return change if change.pk is None and connection.vendor == "postgresql" else None


@cache
def _rows(model: type[models.Model]) -> Any:
    """Give the model of the history; the library would make a manager each time."""
    return model.history.model  # type: ignore[attr-defined]  # simple-history's


@cache
def _named(model: type[CompiledModel], names: tuple[str, ...]) -> tuple[Fields, bool]:
    """Give the fields of these names, and whether the history has one of them."""
    fields = tuple(
        field for field in own_fields(model) if field.name in names or field.attname in names
    )
    tracked = {field.name for field in _rows(model).tracked_fields}
    return fields, any(field.name in tracked for field in fields)


def _write(
    text: PreparedSQL, instance: CompiledModel, row: list[Any], change: OpenChange, kind: str
) -> int | None:
    """Run a statement, and give the object's id, None where there was no such object."""
    rows = _rows(type(instance))
    account_id = getattr(instance, "account_id", instance.pk)
    stored = change.values(account_id)
    of_change = [(field, stored[field.attname]) for field in own_fields(_change(rows))]
    reason = getattr(instance, "_change_reason", None)
    facts = dict(zip(_FACTS, (timezone.now(), kind, reason, change.user_id), strict=True))
    of_history = [(field, facts[field.attname]) for field in _fact_fields(rows)]
    arguments = prepared(connection.alias, [*row, *of_change, *of_history])
    found = run(connection.alias, text, arguments, is_answered=True)
    if found is None:
        return None
    change.pk, pk = found
    return int(pk)


def _change(rows: Any) -> type[models.Model]:
    model: type[models.Model] = rows.change.field.related_model
    return model


@cache
def _fact_fields(rows: Any) -> Fields:
    return tuple(rows._meta.get_field(name) for name in _FACTS)


@cache
def _insertion(model: type[CompiledModel]) -> PreparedSQL:
    fields = own_fields(model)
    return _recorded(model, insert_sql(model, fields), len(fields))


@cache
def _update(model: type[CompiledModel], fields: Fields) -> PreparedSQL:
    return _recorded(model, update_sql(model, fields), len(fields) + 1)


@cache
def _deletion(model: type[CompiledModel]) -> tuple[PreparedSQL, int]:
    *others, own = delete_parts(model)
    return _recorded(model, own, len(others) + 1, gone(others)), len(others) + 1


def _recorded(
    model: type[models.Model], write: str, arguments: int, before: Sequence[str] = ()
) -> PreparedSQL:
    """Put a write, its Change and its history row into one statement."""
    parts = ", ".join([*before, *recording(model, write)])
    text = f"WITH {parts} SELECT change_id, id FROM recorded"  # noqa: S608  # Names of ours.
    return PreparedSQL(text, arguments + len(recorded_fields(model)))


def gone(others: Sequence[str]) -> list[str]:
    """Give the parts of a WITH that delete what goes with an object."""
    return [f"gone_{number} AS ({sql})" for number, sql in enumerate(others)]


@cache
def recorded_fields(model: type[models.Model]) -> Fields:
    """Give what a Change and a history row tell beside the object; arguments come in this order."""
    rows = _rows(model)
    return (*own_fields(_change(rows)), *_fact_fields(rows))


def recording(
    model: type[models.Model],
    write: str,
    *,
    name: str = "written",
    source: str = "written",
    given: Mapping[str, str] = MappingProxyType({}),
) -> list[str]:
    """Give the parts of a WITH: the write by its name, then ``stored`` and ``recorded``.

    What is ``given`` for a column of the Change, or of the history, is found in the source.
    """
    rows = _rows(model)
    tracked = tuple(rows.tracked_fields)
    facts = _fact_fields(rows)
    has_account = any(field.name == "account" for field in tracked)
    account = () if has_account else (rows._meta.get_field("account"),)
    into = columns((*tracked, *account, rows.change.field, *facts))
    values = [f'{name}."{field.column}"' for field in tracked]
    values += [f"{name}.id"] if account else []
    values += ["stored.id", *(given.get(field.attname, "%s") for field in facts)]
    change = _change(rows)
    # Without a row that was written there is no Change.
    store = insert_sql(change, own_fields(change), source=source, given=given)
    chosen = f"SELECT {', '.join(values)} FROM {source}, stored"  # noqa: S608  # Names of ours.
    record = f"INSERT INTO {rows._meta.db_table} ({into}) {chosen} RETURNING change_id, id"
    return [
        f"{name} AS ({write} RETURNING {columns(tracked)})",
        f"stored AS ({store} RETURNING id, created)",
        f"recorded AS ({record})",
    ]
