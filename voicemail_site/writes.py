"""Rows that are written by statements whose SQL is made once, like those that read.

An INSERT of twenty columns takes Django longer to put into words than PostgreSQL to carry out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Any, TypeAlias

from django.db import connections, models, router
from django.db.models import Field
from django.db.models.signals import post_delete, pre_delete

from voicemail_site.statements import PreparedSQL

Fields: TypeAlias = "tuple[Field[Any, Any], ...]"


class CompiledModel(models.Model):
    """A model whose ``save`` runs compiled statements; all else of it is Django's."""

    class Meta:
        abstract = True

    def _do_insert(
        self, manager: Any, using: Any, fields: Any, returning_fields: Any, raw: bool
    ) -> Any:
        """Insert the row, as Django's method of this name does."""
        given = getattr if raw else _given
        row = [(field, given(self, field.attname if raw else field)) for field in fields]
        text = insertion(type(self), tuple(fields), tuple(returning_fields))
        found = run(using, text, prepared(using, row), is_answered=bool(returning_fields))
        return [found] if found else []

    def _do_update(self, *args: Any) -> Any:
        """Update the row, as Django's method of this name does."""
        _, using, pk_val, values, *_ = args
        fields = tuple(field for field, _, _ in values)
        if not fields:
            return super()._do_update(*args)
        row = [(field, value) for field, _, value in values]
        with connections[using].cursor() as cursor:
            _update(type(self), fields).run(cursor, [*prepared(using, row), pk_val])
            return bool(cursor.rowcount)

    def delete_simply(self) -> None:
        """Delete the row, and those of other tables that go with it.

        Django's ``delete`` would look for more that is tied to them; there must be nothing.
        """
        using = router.db_for_write(type(self), instance=self)
        about = {"sender": type(self), "instance": self, "using": using, "origin": self}
        pre_delete.send(**about)
        for text in _deletions(type(self)):
            run(using, text, [self.pk], is_answered=False)
        post_delete.send(**about)


def _given(instance: models.Model, field: Field[Any, Any]) -> Any:
    return field.pre_save(instance, True)


def prepared(using: str, row: Iterable[tuple[Field[Any, Any], Any]]) -> list[Any]:
    """Give the values of fields as the database takes them."""
    database = connections[using]
    return [field.get_db_prep_save(value, database) for field, value in row]


def run(using: str, text: PreparedSQL, arguments: Sequence[Any], *, is_answered: bool) -> Any:
    """Run a statement, and give the row that it answers."""
    with connections[using].cursor() as cursor:
        text.run(cursor, arguments)
        return cursor.fetchone() if is_answered else None


@cache
def insertion(model: type[models.Model], fields: Fields, returning: Fields = ()) -> PreparedSQL:
    """Give the statement that inserts a row."""
    return PreparedSQL(insert_sql(model, fields, returning), len(fields))


def insert_sql(
    model: type[models.Model],
    fields: Fields,
    returning: Fields = (),
    source: str = "",
    given: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Write an INSERT of one row, or of one for each row of a source.

    What is ``given`` for a column stands in the place of an argument.
    """
    slots = ", ".join(given.get(field.attname, "%s") for field in fields)
    values = f"SELECT {slots} FROM {source}" if source else f"VALUES ({slots})"  # noqa: S608  # Names of ours.
    sql = f"INSERT INTO {model._meta.db_table} ({columns(fields)}) {values}"
    return f"{sql} RETURNING {columns(returning)}" if returning else sql


@cache
def _update(model: type[models.Model], fields: Fields) -> PreparedSQL:
    return PreparedSQL(update_sql(model, fields), len(fields) + 1)


def update_sql(
    model: type[models.Model],
    fields: Fields,
    key: str = "%s",
    given: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Write the UPDATE of one row; its id is the last argument, unless another key is given.

    What is ``given`` for a column stands in the place of its argument.
    """
    changes = ", ".join(f'"{field.column}" = {given.get(field.attname, "%s")}' for field in fields)
    return f"UPDATE {model._meta.db_table} SET {changes} WHERE id = {key}"  # noqa: S608  # Names of ours.


@cache
def _deletions(model: type[models.Model]) -> list[PreparedSQL]:
    return [PreparedSQL(sql, 1) for sql in delete_parts(model)]


def delete_parts(model: type[models.Model], key: str = "%s") -> list[str]:
    """Write a DELETE for each table whose rows go with a row of this one, which is the last.

    Each takes the row's id, unless another key is given.
    """
    tied: list[Any] = [related.field for related in model._meta.related_objects]
    if any(_is_more_than_a_row(field) for field in tied):
        raise TypeError(f"{model.__name__} has more tied to it than rows that go with it.")
    others = [_delete_sql(field.model, field.column, key) for field in tied]
    return [*others, _delete_sql(model, "id", key)]


def _is_more_than_a_row(field: Any) -> bool:
    return field.remote_field.on_delete is not models.CASCADE or bool(
        field.model._meta.related_objects
    )


def _delete_sql(model: type[models.Model], column: str, key: str) -> str:
    return f'DELETE FROM {model._meta.db_table} WHERE "{column}" = {key}'  # noqa: S608  # Names of ours.


@cache
def own_fields(model: type[models.Model]) -> Fields:
    """Give the fields of a table but the id, which the database gives."""
    return tuple(field for field in model._meta.concrete_fields if not field.primary_key)


def columns(fields: Fields) -> str:
    """Write a list of columns."""
    return ", ".join(f'"{field.column}"' for field in fields)
