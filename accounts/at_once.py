"""Writes that are carried out by the statement that finds the session.

On PostgreSQL one statement finds who calls and what the request refers to among what the caller
administers, writes that with its Change and its history row, and gives what the answer tells. It
is its own transaction, and takes one round to the database instead of six.

It is an attempt, for a request whose parameters alone tell that it can break no rule. Where it
writes nothing, because of the caller or of what is stored, nothing is told of that: the request is
carried out like any other then, in a transaction with locks, which tells what is wrong.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from django.db import models

from accounts.authentication import LIVE_SESSION
from accounts.models import Channel, Role, Session, User
from accounts.recorded import gone, recorded_fields, recording
from accounts.scoping import ACCOUNT_OF_CALLER, ScopedStatement
from voicemail_site.logs import request_id
from voicemail_site.statements import Following, Param, Query, Row, with_constants
from voicemail_site.webapi.elements import Tree
from voicemail_site.writes import delete_parts, insert_sql, own_fields, update_sql

_ACCOUNT: Final = User._meta.get_field("account")
# The time at which the session must be live is that of the write as well.
_NOW: Final = Param.of(Session, "expires", "now")
_TIMES: Final = frozenset({"created", "modified"})
_TARGET = "(SELECT id FROM target)"


class AtOnce(Following, ABC):
    """A write of one object of a model.

    ``found`` finds the one row that it begins with, of which the caller must be an administrator;
    ``told`` gives the answer's rows. It reads what was written instead of the model's table, and
    is not scoped again.
    """

    is_repeatable = False
    kind: ClassVar[str]
    # Of the history row, as a column behind the write.
    date: ClassVar[str] = "stored.created"

    def __init__(
        self, model: type[models.Model], *, found: ScopedStatement, told: ScopedStatement
    ) -> None:
        super().__init__(LIVE_SESSION, told.of_staff(), takes=(ACCOUNT_OF_CALLER, _ACCOUNT))
        self.model = model
        self._found = found

    @abstractmethod
    def write(self) -> tuple[list[str], str, Sequence[Param]]:
        """Give parts of a WITH that go before the write, the write, and its arguments."""

    def between(self, first: Query) -> tuple[str, Sequence[Param]]:
        target, params = self._target(first)
        # Whoever reads the table behind it reads what was written.
        name = self.model._meta.db_table
        caller = first.column_of(Session._meta.get_field("user"))
        given = {
            "user_id": caller,
            "actor": first.column_of(User._meta.get_field(User.USERNAME_FIELD)),
            "channel": f"'{Channel.API}'",
            "account_id": f"{name}.account_id",
            "history_user_id": caller,
            "history_type": f"'{self.kind}'",
            "history_change_reason": "NULL",
            "history_date": self.date.format(name=name),
        }
        before, write, arguments = self.write()
        recorded = recording(self.model, write, name=name, source=f"{name}, first", given=given)
        facts = _params(
            [field for field in recorded_fields(self.model) if field.attname not in given]
        )
        parts = (target, *before, *recorded)
        return "".join(f", {part}" for part in parts), [*params, *arguments, *facts]

    def _target(self, first: Query) -> tuple[str, list[Param]]:
        """Find what the request refers to, as the caller's role may see it."""
        role = first.column_of(User._meta.get_field("role"))
        takes = {ACCOUNT_OF_CALLER: first.column_of(_ACCOUNT)}
        texts: list[str] = []
        params: list[Param] = []
        for of, statement in (
            (Role.ACCOUNT_ADMIN, self._found.of_admins()),
            (Role.SYSTEM_ADMIN, self._found.of_staff()),
        ):
            query = statement.query()
            if query is None:
                raise TypeError("What can never be found can't be written.")
            sql, more = with_constants(query.sql, query.params, takes)
            params += more
            texts.append(
                f"SELECT found.* FROM first CROSS JOIN LATERAL ({sql}) AS found "  # noqa: S608  # Names of ours.
                f"WHERE {role} = '{of}'"
            )
        return f"target AS ({' UNION ALL '.join(texts)})", params


class Insertion(AtOnce):
    """A new row, some columns of which are ``copied`` from the row that was found."""

    kind = "+"

    def __init__(
        self, model: type[models.Model], *, copied: Mapping[str, str], **statements: ScopedStatement
    ) -> None:
        super().__init__(model, **statements)
        self._copied = {column: f"target.{name}" for column, name in copied.items()}
        self._fields = tuple(
            field for field in own_fields(model) if field.attname not in self._copied
        )

    def values_of(self, instance: models.Model) -> dict[str, Any]:
        """Give the values of a new object's row but its times."""
        return {
            _named(field.name): field.pre_save(instance, True)
            for field in self._fields
            if field.name not in _TIMES
        }

    def write(self) -> tuple[list[str], str, Sequence[Param]]:
        fields = own_fields(self.model)
        sql = insert_sql(self.model, fields, source="target", given=self._copied)
        return [], f"{sql} ON CONFLICT DO NOTHING", _params(self._fields)


class Update(AtOnce):
    """Some columns of a row, if one of them is changed, and then its Modified as well."""

    kind = "~"
    date = "{name}.modified"
    is_one_of_many = True

    def __init__(
        self, model: type[models.Model], names: Sequence[str], **statements: ScopedStatement
    ) -> None:
        super().__init__(model, **statements)
        self._changed = tuple(field for field in own_fields(model) if field.name in names)

    @staticmethod
    def values_of(sent: Mapping[str, Any]) -> dict[str, Any]:
        """Give the values of the columns but Modified."""
        return {_named(name): value for name, value in sent.items()}

    def write(self) -> tuple[list[str], str, Sequence[Param]]:
        changed = self._changed
        fields = (*changed, self.model._meta.get_field("modified"))
        present = ", ".join(f'"{field.column}"' for field in changed)
        slots = ", ".join(["%s"] * len(changed))
        # Others may have written while this statement waited; the time never goes back.
        given = {"modified": 'GREATEST("modified", %s)'}
        sql = update_sql(self.model, fields, _TARGET, given)  # type: ignore[arg-type]  # no relation back
        is_changed = f"({present}) IS DISTINCT FROM ({slots})"
        return [], f"{sql} AND {is_changed}", [*_params(fields), *_params(changed)]


class Deletion(AtOnce):
    """A row, and those that go with it."""

    kind = "-"

    def write(self) -> tuple[list[str], str, Sequence[Param]]:
        *others, own = delete_parts(self.model, _TARGET)
        return gone(others), own, ()


def _named(name: str) -> str:
    return f"new_{name}"


def _params(fields: Iterable[Any]) -> list[Param]:
    return [_NOW if field.name in _TIMES else Param(_named(field.name), field) for field in fields]


@dataclass(frozen=True)
class Attempt:
    """What a request wants to write at once, and how its answer tells of the rows."""

    statement: AtOnce
    values: Mapping[str, Any]
    tell: Callable[[Sequence[Row]], Tree]

    def carry_out(self, **session: Any) -> tuple[Row, Sequence[Row]] | None:
        """Give the session's row, and rows of what was written, none where nothing was.

        None if there is no such session. Raises IntegrityError where others wrote meanwhile.
        """
        found = self.statement.fetch(**session, **self.values, new_request_id=request_id.get())
        return next(iter(found), None)
