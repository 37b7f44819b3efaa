"""Rows that were judged, kept in a temporary table, and written from there all at once.

What is written is what the services and the history would write for one box after the other; a
test compares the two (docs/import.md, How it is written).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import groupby
from operator import attrgetter, itemgetter
from types import MappingProxyType
from typing import Any, Self

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import DatabaseError, IntegrityError, InterfaceError, connection, models, transaction

from accounts.history import current_change
from accounts.integrity import violated_constraint
from accounts.models import Change, Organization
from voicemail import spool
from voicemail.apps import SAME_ACCOUNT
from voicemail.batches import in_batches
from voicemail.bulk.checking import Draft, Kind
from voicemail.models import (
    ADDRESS_UNAVAILABLE,
    MAILBOX_UNAVAILABLE,
    RefusedPin,
    SpoolOrder,
    Voicemailbox,
)

MEANWHILE = (
    "Somebody changed some of these mailboxes, or took a number or an address, while the file was "
    "being read. Nothing was written; import it again."
)

_TAKEN_MEANWHILE = frozenset({*Voicemailbox.taken_fields, SAME_ACCOUNT.name})
_ORDERED_AT_ONCE = 5000
# What rows say of themselves comes before what they are together.
_TOGETHER = 1000

_FIELDS = [
    field
    for field in Voicemailbox._meta.concrete_fields
    if field.attname not in ("id", "created", "modified")
]
_COLUMNS = [field.attname for field in _FIELDS]
_STAGED = ["number", "kind", "id", "modified", *_COLUMNS]
# From so many rows on PostgreSQL is to learn of them at once.
_VERY_MANY = 5_000
_TEXTS = ["kind", *(each.attname for each in _FIELDS if isinstance(each, models.CharField))]
_NO_BOX = [None, None, *("" if isinstance(each, models.CharField) else None for each in _FIELDS)]
_values_of = attrgetter(*_COLUMNS)

# The words of the statements: tables, columns, and the kinds of rows.
_WORDS = MappingProxyType(
    {
        "boxes": Voicemailbox._meta.db_table,
        "history": Voicemailbox.history.model._meta.db_table,
        "organizations": Organization._meta.db_table,
        "refused_pins": RefusedPin._meta.db_table,
        "stage": "voicemailbox_import",
        "reasons": "voicemailbox_import_reason",
        "columns": ", ".join(_COLUMNS),
        "every_column": ", ".join(["id", "created", "modified", *_COLUMNS]),
        "every_value": ", ".join(f"b.{name}" for name in ["id", "created", "modified", *_COLUMNS]),
        "new_values": ", ".join(f"{name} = s.{name}" for name in _COLUMNS),
        "claiming": f"('{Kind.ADD}', '{Kind.CHANGE}', '{Kind.REFUSE}')",
        "held": f"('{Kind.CHANGE}', '{Kind.DELETE}')",
        "written": f"('{Kind.ADD}', '{Kind.CHANGE}', '{Kind.DELETE}')",
        "add": f"'{Kind.ADD}'",
        "change": f"'{Kind.CHANGE}'",
        "delete": f"'{Kind.DELETE}'",
        "together": _TOGETHER,
    }
)


# The boxes stand as b behind it.
_HISTORY = (
    "INSERT INTO {history} ({every_column}, history_date, history_type, history_user_id, "
    "change_id) SELECT {every_value}, %s, %s, %s, %s "
)


def _execute(statement: str, params: Sequence[Any] = (), **words: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement.format(**_WORDS, **words), params or None)


def _rows(statement: str, **words: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement.format(**_WORDS, **words))
        return list(cursor.fetchall())


class Stage:
    """The temporary tables of one import; they go when the block ends."""

    def __enter__(self) -> Self:
        self._drop()
        _execute(
            "CREATE TEMPORARY TABLE {stage} AS SELECT id AS number, status AS kind, id, modified, "
            "{columns} FROM {boxes} LIMIT 0"
        )
        _execute("CREATE TEMPORARY TABLE {reasons} (number bigint, place integer, told text)")
        return self

    def __exit__(self, *exc_info: Any) -> None:
        # A connection that has broken down takes them with it.
        with suppress(DatabaseError, InterfaceError):
            self._drop()

    def _drop(self) -> None:
        _execute("DROP TABLE IF EXISTS {stage}")
        _execute("DROP TABLE IF EXISTS {reasons}")

    def add(self, drafts: Sequence[Draft]) -> None:
        """Keep what was judged."""
        _fill("stage", _STAGED, map(_staged, drafts), texts=_TEXTS)
        reasons = [
            (draft.number, place, told)
            for draft in drafts
            for place, told in enumerate(draft.reasons)
        ]
        if reasons:
            _fill("reasons", ["number", "place", "told"], reasons, texts=["told"])

    def compare(self) -> None:
        """Refuse rows that want what another row wants, or what a box has that stays."""
        with transaction.atomic():
            _take_time()
            self._compare()

    def _compare(self) -> None:
        if connection.vendor == "postgresql":
            _execute("ANALYZE {stage}")
        _refuse_repeated("id", is_key="id IS NOT NULL", told="mailbox: Line %s means the same box.")
        _refuse_repeated(
            "organization_id, mailbox",
            is_key="kind IN {claiming} AND organization_id IS NOT NULL AND mailbox IS NOT NULL",
            told="mailbox: Line %s has the same number.",
        )
        _refuse_repeated(
            "organization_id, lower(username)",
            is_key="kind IN {claiming} AND organization_id IS NOT NULL AND username <> ''",
            told="username: Line %s has the same address.",
        )
        _refuse_taken("b.mailbox = s.mailbox", told=f"mailbox: {MAILBOX_UNAVAILABLE}")
        _refuse_taken(
            "lower(b.username) = lower(s.username)", told=f"username: {ADDRESS_UNAVAILABLE}"
        )

    def counts(self) -> dict[Kind, int]:
        """Count the rows by what is to be done for them."""
        ((refused,),) = _rows("SELECT count(DISTINCT number) FROM {reasons}")
        rows = _rows("SELECT kind, count(*) FROM {stage} GROUP BY kind")
        return {Kind(kind): count for kind, count in rows} | {Kind.REFUSE: refused}

    def reasons(self) -> Iterator[tuple[int, list[str]]]:
        """Give the refused rows by their lines, each with all its reasons."""
        statement = "SELECT number, told FROM {reasons} ORDER BY number, place, told"
        with connection.chunked_cursor() as cursor:
            cursor.execute(statement.format(**_WORDS))
            for number, rows in groupby(cursor, key=itemgetter(0)):
                yield number, [told for _, told in rows]

    def write(self, now: datetime) -> None:
        """Delete, change and add what the rows ask for, inside ``record_change``.

        Raises ValidationError where the boxes are no longer as they were judged.
        """
        accounts = _rows("SELECT DISTINCT account_id FROM {stage} WHERE kind IN {written} LIMIT 2")
        if not accounts:
            return
        _take_time()
        change = [current_change(account) for (account,) in accounts][-1]
        try:
            _hold()
            _delete(change, now)
            _change(change, now)
            _add(change, now)
            _learn()
        except IntegrityError as exc:
            if violated_constraint(exc, Voicemailbox) in _TAKEN_MEANWHILE:
                raise ValidationError(MEANWHILE, code="meanwhile") from exc
            raise


def _learn() -> None:
    """Let PostgreSQL know of very many new rows at once; it would plan for the table as it was."""
    if connection.vendor != "postgresql":
        return
    ((number,),) = _rows("SELECT COUNT(*) FROM {stage} WHERE kind IN {written}")
    if number >= _VERY_MANY:
        _execute("ANALYZE {boxes}")
        _execute("ANALYZE {history}")


def _staged(draft: Draft) -> Sequence[Any]:
    box = draft.box
    if box is None:
        return (draft.number, draft.kind.value, *_NO_BOX)
    modified = _stored(box.modified) if box.pk else None
    return (draft.number, draft.kind.value, box.pk, modified, *_values_of(box))


def _stored(moment: datetime) -> Any:
    """Give a time in the form that the database keeps."""
    return connection.ops.adapt_datetimefield_value(moment)


def _fill(
    table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, texts: Sequence[str]
) -> None:
    """Put rows into a temporary table; an empty text stays a text."""
    words = {"columns": ", ".join(columns), "texts": ", ".join(texts)}
    places = ", ".join(["%s"] * len(columns))
    with connection.cursor() as cursor:
        if connection.vendor != "postgresql":
            statement = f"INSERT INTO {_WORDS[table]} VALUES ({places})"  # noqa: S608  # Ours.
            cursor.executemany(statement, list(rows))
            return
        buffer = io.StringIO()
        csv.writer(buffer).writerows(rows)
        buffer.seek(0)
        statement = "COPY {table} ({columns}) FROM STDIN (FORMAT csv, FORCE_NOT_NULL ({texts}))"
        cursor.copy_expert(statement.format(table=_WORDS[table], **words), buffer)


# Judging the rows together


def _refuse_repeated(key: str, *, is_key: str, told: str) -> None:
    """Refuse each row but the first with the same key; of the same box it was said before."""
    is_other = "" if key == "id" else "AND (id IS NULL OR box IS NULL OR id <> box)"
    _execute(
        "INSERT INTO {reasons} SELECT number, {together}, replace(%s, '%%s', CAST(first AS text)) "
        "FROM (SELECT number, id, first_value(number) OVER same AS first, "
        "first_value(id) OVER same AS box FROM {stage} WHERE {is_key} "
        "WINDOW same AS (PARTITION BY {key} ORDER BY number)) claims "
        "WHERE number <> first {is_other}",
        [told],
        key=key,
        is_key=is_key.format(**_WORDS),
        is_other=is_other,
    )


def _refuse_taken(matches: str, *, told: str) -> None:
    """Refuse rows that want what a box has which the file does not delete."""
    _execute(
        "INSERT INTO {reasons} SELECT s.number, {together}, %s FROM {stage} s "
        "JOIN {boxes} b ON b.organization_id = s.organization_id AND {matches} "
        "WHERE s.kind IN {claiming} AND (s.id IS NULL OR b.id <> s.id) AND b.id NOT IN "
        "(SELECT id FROM {stage} WHERE kind = {delete})",
        [told],
        matches=matches,
    )


# Writing


def _take_time() -> None:
    """Let a transaction's statements take as long as they need, and sort in memory."""
    if connection.vendor == "postgresql":
        _execute("SET LOCAL statement_timeout = 0")
        _execute("SET LOCAL work_mem = '64MB'")


def _hold() -> None:
    """Keep the boxes that are to be changed as they were judged, until the end."""
    ((held,),) = _rows(
        "SELECT count(*) FROM (SELECT b.id FROM {boxes} b JOIN {stage} s ON s.id = b.id "
        "WHERE s.kind IN {held} AND b.modified = s.modified ORDER BY b.id {lock}) held",
        lock="FOR UPDATE OF b" if connection.features.has_select_for_update else "",
    )
    ((wanted,),) = _rows("SELECT count(*) FROM {stage} WHERE kind IN {held}")
    if held != wanted:
        raise ValidationError(MEANWHILE, code="meanwhile")


def _delete(change: Change, now: datetime) -> None:
    _give_orders(SpoolOrder.Kind.REMOVE, Kind.DELETE)
    _record(Kind.DELETE, change, now)
    for table, column in (("{refused_pins}", "voicemailbox_id"), ("{boxes}", "id")):
        _execute(
            "DELETE FROM {table} WHERE {column} IN (SELECT id FROM {stage} WHERE kind = {delete})",
            table=table.format(**_WORDS),
            column=column,
        )


def _change(change: Change, now: datetime) -> None:
    _give_orders(SpoolOrder.Kind.MOVE, Kind.CHANGE)
    _execute(
        "UPDATE {boxes} SET {new_values}, modified = %s FROM {stage} s "
        "WHERE s.id = {boxes}.id AND s.kind = {change}",
        [_stored(now)],
    )
    _record(Kind.CHANGE, change, now)


def _add(change: Change, now: datetime) -> None:
    add = (
        "INSERT INTO {boxes} (created, modified, {columns}) SELECT %s, %s, {columns} "
        "FROM {stage} WHERE kind = {add} ORDER BY number"
    )
    times = [_stored(now)] * 2
    if connection.vendor == "postgresql":
        # As they are added; to find them again would take as long as to write their history.
        _execute(
            "WITH b AS (" + add + " RETURNING {every_column}) " + _HISTORY + "FROM b",
            [*times, *_facts(Kind.ADD, change, now)],
        )
        return
    _execute(add, times)
    _record(Kind.ADD, change, now)


def _record(kind: Kind, change: Change, now: datetime) -> None:
    """Write the history of the boxes as they are in the table."""
    by_id, by_number = (
        "b.id = s.id",
        "b.organization_id = s.organization_id AND b.mailbox = s.mailbox",
    )
    _execute(
        _HISTORY + "FROM {stage} s JOIN {boxes} b ON {is_same} WHERE s.kind = %s ORDER BY b.id",
        [*_facts(kind, change, now), kind.value],
        is_same=by_number if kind == Kind.ADD else by_id,
    )


def _facts(kind: Kind, change: Change, now: datetime) -> list[Any]:
    return [_stored(now), kind.value, change.user_id, change.pk]


def _give_orders(order: SpoolOrder.Kind, kind: Kind) -> None:
    """Have recordings moved or removed that lie under the numbers which boxes give up."""
    if not settings.SPOOL_ORDERS:
        return
    statement = (
        "SELECT b.account_id, b.organization_id, b.id, o.domain, b.mailbox, s.mailbox "
        "FROM {stage} s JOIN {boxes} b ON b.id = s.id "
        "JOIN {organizations} o ON o.id = b.organization_id "
        "WHERE s.kind = %s AND (s.kind = {delete} OR b.mailbox <> s.mailbox) "
        "ORDER BY b.organization_id, b.id"
    )
    with connection.chunked_cursor() as cursor:
        cursor.execute(statement.format(**_WORDS), [kind.value])
        for _, rows in groupby(cursor, key=itemgetter(1)):
            for some in in_batches(rows, _ORDERED_AT_ONCE):
                spool.give([_order(order, row) for row in some])


def _order(kind: SpoolOrder.Kind, row: Sequence[Any]) -> SpoolOrder:
    account_id, organization_id, voicemailbox_id, domain, mailbox, new_mailbox = row
    is_move = kind == SpoolOrder.Kind.MOVE
    return SpoolOrder(
        kind=kind,
        account_id=account_id,
        organization_id=organization_id,
        voicemailbox_id=voicemailbox_id,
        context=domain,
        mailbox=mailbox,
        to_context=domain if is_move else "",
        to_mailbox=new_mailbox if is_move else None,
    )
