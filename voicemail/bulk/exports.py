"""The export of mailboxes, in the form that an import reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.db import connection
from django.db.models import BigIntegerField, CharField, DateTimeField, QuerySet, Value
from django.db.models.functions import Collate
from django.utils import timezone

from accounts.history import current_change
from voicemail.bulk.columns import FIELDS, IDS, PIN, TIMES
from voicemail.models import Voicemailbox
from voicemail.services import PIN_SHOWN

_AT_ONCE = 5000
_PATHS = {"voicemailbox_id": "pk", "domain": "organization__domain"}
_BYTES = {"postgresql": "C", "sqlite": "BINARY"}


def columns(*, with_ids: bool, with_pins: bool, with_times: bool) -> list[str]:
    """Name the columns of an export in their order."""
    fields = [name for name in FIELDS if with_pins or name != PIN]
    return [*(IDS if with_ids else ()), "domain", *fields, *(TIMES if with_times else ())]


def rows(boxes: QuerySet[Voicemailbox], names: Sequence[str]) -> Iterator[Sequence[Any]]:
    """Give the values of boxes, ordered by domain and number, whatever the database's language."""
    domain = Collate("organization__domain", _BYTES[connection.vendor])
    ordered = boxes.order_by(domain, "mailbox")
    paths = [_PATHS.get(name, name) for name in names]
    found = ordered.values_list(*paths).iterator(chunk_size=_AT_ONCE)
    if not set(names) & set(TIMES):
        return found
    return (_with_texts(row) for row in found)


def _with_texts(row: Sequence[Any]) -> list[Any]:
    return [value.isoformat() if hasattr(value, "isoformat") else value for value in row]


def record_pins_shown(boxes: QuerySet[Voicemailbox]) -> None:
    """Note for each box that its PIN was shown, inside ``record_change``."""
    accounts = boxes.order_by().values_list("account_id", flat=True).distinct()[:2]
    changes = [current_change(account) for account in accounts]
    if not changes:
        return
    names = [field.attname for field in Voicemailbox._meta.concrete_fields]
    facts = {
        "shown_date": Value(timezone.now(), output_field=DateTimeField()),
        "shown_type": Value("~", output_field=CharField()),
        "shown_reason": Value(PIN_SHOWN, output_field=CharField()),
        "shown_user": Value(changes[-1].user_id, output_field=BigIntegerField(null=True)),
        "shown_change": Value(changes[-1].pk),
    }
    query = boxes.order_by("pk").annotate(**facts).values_list(*names, *facts)
    statement, params = query.query.sql_with_params()
    table = Voicemailbox.history.model._meta.db_table
    kept = ["history_date", "history_type", "history_change_reason", "history_user_id", "change_id"]
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({', '.join([*names, *kept])}) {statement}",
            params,
        )
