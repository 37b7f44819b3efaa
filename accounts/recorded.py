"""Writes of an object together with its history row and its Change.

On PostgreSQL that is one statement, where Django and the library would take three, and as many
signals and objects; the history row is made of what the database returns of the object's own. It
is for the first write of a Change, which most have alone; any other goes the library's way.

Where the Change is a single one, the statement is its transaction. Nothing was locked for it, so
it writes only what is still as it was read. Each function raises NotWrittenError where somebody
else was there in between; nothing has been written then.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from django.db import DatabaseError, IntegrityError, connection, models
from django.db.models import Func
from django.utils import timezone

from accounts.history import NotWrittenError, OpenChange, open_change
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

# PostgreSQL's own number of a row's version.
_VERSION = models.CharField()
_FACTS = ("history_date", "history_type", "history_change_reason", "history_user_id")


def insert_recorded(instance: CompiledModel) -> None:
    """Store a new object; ``save`` has given it what it gives to every new one."""
    change = _unstored_change()
    if change is None or not hasattr(instance, "account_id"):
        instance.save(force_insert=True)
        return
    fields = own_fields(type(instance))
    row = [(field, field.pre_save(instance, True)) for field in fields]
    text = _insertion(type(instance), is_single=change.is_single)
    instance.pk = _write(text, instance, row, change, "+")
    instance._state.adding, instance._state.db = False, connection.alias


def update_recorded(instance: CompiledModel, names: Sequence[str]) -> None:
    """Store these columns of an object. Raises DatabaseError where it is gone."""
    change = _unstored_change()
    fields, is_recorded = _named(type(instance), tuple(names))
    if change is None or not (is_recorded or change.is_single):
        instance.save(update_fields=names)
        return
    row = [(field, field.pre_save(instance, False)) for field in fields]
    row.append((instance._meta.pk, instance.pk))
    if change.is_single:
        row.append((_VERSION, instance.version))  # type: ignore[attr-defined]  # from with_version
    text = _update(type(instance), fields, is_single=change.is_single)
    if not _write(text, instance, row, change, "~"):
        raise DatabaseError(f"{type(instance).__name__} {instance.pk} is gone.")


def delete_recorded(instance: CompiledModel) -> None:
    """Delete an object with the rows that go with it.

    It is no error if it is gone, except in a single Change.
    """
    change = _unstored_change()
    if change is None:
        instance.delete_simply()
        return
    text, number = _deletion(type(instance))
    _write(text, instance, [(instance._meta.pk, instance.pk)] * number, change, "-")


def with_version(rows: models.QuerySet[Any, Any]) -> models.QuerySet[Any, Any]:
    """Have objects tell which version of their row they are, for an update in a single Change."""
    table = rows.model._meta.db_table
    versions: models.QuerySet[Any, Any] = rows.annotate(
        version=Func(template=f"{table}.xmin", output_field=_VERSION)
    )
    return versions


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
    try:
        found = run(connection.alias, text, arguments, is_answered=True)
    except IntegrityError as exc:
        # What the statement could not see yet when it began: a row that was added meanwhile.
        if change.is_single:
            raise NotWrittenError from exc
        raise
    if found is None:
        if change.is_single:
            raise NotWrittenError
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
def _insertion(model: type[CompiledModel], *, is_single: bool) -> PreparedSQL:
    fields = own_fields(model)
    unless_taken = " ON CONFLICT DO NOTHING" if is_single else ""
    return _recorded(model, f"{insert_sql(model, fields)}{unless_taken}", len(fields))


@cache
def _update(model: type[CompiledModel], fields: Fields, *, is_single: bool) -> PreparedSQL:
    if not is_single:
        return _recorded(model, update_sql(model, fields), len(fields) + 1)
    return _recorded(model, f"{update_sql(model, fields)} AND xmin = %s", len(fields) + 2)


@cache
def _deletion(model: type[CompiledModel]) -> tuple[PreparedSQL, int]:
    *others, own = delete_parts(model)
    parts = "".join(f"gone_{number} AS ({sql}), " for number, sql in enumerate(others))
    return _recorded(model, own, len(others) + 1, parts), len(others) + 1


def _recorded(
    model: type[models.Model], write: str, arguments: int, before: str = ""
) -> PreparedSQL:
    """Put a write, its Change and its history row into one statement."""
    rows = _rows(model)
    tracked = tuple(rows.tracked_fields)
    of_change = own_fields(_change(rows))
    facts = _fact_fields(rows)
    has_account = any(field.name == "account" for field in tracked)
    account = () if has_account else (rows._meta.get_field("account"),)
    copied = ", ".join(f'written."{field.column}"' for field in tracked)
    into = columns((*tracked, *account, rows.change.field, *facts))
    values = f"{copied}{', written.id' if account else ''}, stored.id{', %s' * len(facts)}"
    parts = [
        f"WITH {before}written AS ({write} RETURNING {columns(tracked)}),",
        # Without a row that was written there is no Change.
        f"stored AS ({insert_sql(_change(rows), of_change, source='written')} RETURNING id)",
        f"INSERT INTO {rows._meta.db_table} ({into})",
        f"SELECT {values} FROM written, stored RETURNING change_id, id",  # noqa: S608  # Names of ours.
    ]
    return PreparedSQL(" ".join(parts), arguments + len(of_change) + len(facts))
