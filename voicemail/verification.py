"""What should not be in the database, and is: the findings of ``manage.py verify``.

Most of it can't come about through the services. It can by a restored dump, by statements written
by hand, and where a promise of the database got lost.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, models, transaction
from django.db.models import Count, Exists, F, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce, Lower

from accounts.guards import install_guards, missing_guards
from accounts.models import Account, Organization, User
from voicemail.models import MailboxTally, SpoolOrder, SpoolTask, Voicemailbox
from voicemail.tally import recount
from voicemail.validators import is_trivial_pin, validate_strict_pin

# A PBX carries out its orders within minutes.
PATIENCE = timedelta(days=1)

_OURS = ("accounts", "voicemail")
_AT_ONCE = 2000
_SEARCH = "voicemailbox_search"
_NAMED = re.compile(r'(?:CONSTRAINT|INDEX) "?(\w+)')
_COMMANDS: Mapping[type[models.Model], str] = MappingProxyType(
    {
        Account: "accounts",
        Organization: "organizations",
        User: "users",
        Voicemailbox: "voicemailboxes",
    }
)


class Kind(models.TextChoices):
    """What can be wrong."""

    GUARD = "missing_guard"
    INDEX = "missing_index"
    CONSTRAINT = "missing_constraint"
    INVALID_INDEX = "invalid_index"
    ACCOUNT = "account_disagrees"
    ORPHAN = "orphan"
    DUPLICATE = "duplicate"
    INVALID = "invalid_value"
    PIN = "trivial_pin"
    TALLY = "wrong_tally"
    ORDER = "stale_order"


@dataclass(frozen=True)
class Finding:
    """Something that should not be: what it is about, what is wrong, and what mends it."""

    kind: Kind
    about: str
    problem: str
    remedy: str


Rows = Callable[[type[models.Model]], QuerySet[Any]]


def findings(rows: Rows, *, now: datetime) -> Iterator[Finding]:
    """Look through the schema, and through the rows that ``rows`` gives of each model."""
    yield from schema_findings()
    yield from _orphans(rows)
    yield from _disagreeing(rows)
    yield from _duplicates(rows(Voicemailbox))
    yield from _wrong_tallies(rows(Organization))
    for model in _COMMANDS:
        yield from _invalid(rows(model))
    yield from _stale_orders(rows(SpoolOrder), now)


# The schema


def schema_findings() -> Iterator[Finding]:
    """Compare the tables with what the models declare."""
    for name in missing_guards(connection):
        yield Finding(Kind.GUARD, name, "The database lacks this guard.", "verify --fix")
    found = _names_in_place()
    for model in _models():
        for index in model._meta.indexes:
            if index.name not in found:
                told = "The database lacks this index."
                yield Finding(Kind.INDEX, index.name, told, "verify --fix")
        for constraint in model._meta.constraints:
            if constraint.name not in found:
                told = f"Table {model._meta.db_table} lacks this constraint."
                yield Finding(Kind.CONSTRAINT, constraint.name, told, _BY_HAND)
    if connection.vendor == "postgresql":
        yield from _postgresql_findings(found)


_BY_HAND = "Restore the table from a migration: sqlmigrate tells its statement."


def _models() -> Iterator[Any]:
    for label in _OURS:
        yield from apps.get_app_config(label).get_models()


def _names_in_place() -> set[str]:
    """Name the constraints and indexes of the database."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT conname FROM pg_constraint "
                "UNION SELECT relname FROM pg_class WHERE relkind = 'i'"
            )
            return {name for (name,) in cursor.fetchall()}
        cursor.execute("SELECT sql FROM sqlite_master WHERE type IN ('table', 'index')")
        return {name for (sql,) in cursor.fetchall() for name in _NAMED.findall(sql or "")}


def _postgresql_findings(found: set[str]) -> Iterator[Finding]:
    """Look for the index that a migration makes by hand, and for any whose making failed."""
    if _SEARCH not in found:
        told = "The database lacks the index of the search over mailboxes."
        remedy = "Make it as migration voicemail 0002 does: sqlmigrate voicemail 0002."
        yield Finding(Kind.INDEX, _SEARCH, told, remedy)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid "
            "WHERE NOT indisvalid AND pg_table_is_visible(indexrelid) ORDER BY relname"
        )
        names = [name for (name,) in cursor.fetchall()]
    for name in names:
        told = "The index is there, but its making failed, and nothing uses it."
        yield Finding(Kind.INVALID_INDEX, name, told, f"REINDEX INDEX {name}")


def fix() -> int:
    """Make what the database lacks of guards and indexes, and a right tally; count what was."""
    is_miscounted = any(_wrong_tallies(Organization.unscoped.all()))
    if is_miscounted:
        recount()
    missing = len(missing_guards(connection))
    # PostgreSQL makes no guard over rows that break it: they are findings of their own.
    with suppress(IntegrityError), transaction.atomic():
        install_guards(connection)
    count = is_miscounted + missing - len(missing_guards(connection))
    found = _names_in_place()
    for model in _models():
        for index in model._meta.indexes:
            if index.name not in found:
                with connection.schema_editor() as editor:
                    editor.add_index(model, index)
                count += 1
    return count


# The rows


def _name(row: Any) -> str:
    return f"{row._meta.verbose_name} {row.pk} ({row})"


def _orphans(rows: Rows) -> Iterator[Finding]:
    """Look for rows whose foreign keys lead nowhere."""
    for model in _models():
        for field in model._meta.concrete_fields:
            if field.remote_field and field.db_constraint:
                yield from _orphans_by(rows(model), field)


def _orphans_by(rows: QuerySet[Any], field: Any) -> Iterator[Finding]:
    target = field.remote_field.model
    there = target._base_manager.filter(pk=OuterRef(field.attname))
    lost = rows.filter(**{f"{field.attname}__isnull": False}).filter(~Exists(there))
    label = rows.model._meta.verbose_name
    for pk, key in lost.order_by("pk").values_list("pk", field.attname).iterator():
        told = f"Its {field.verbose_name} {key} does not exist."
        remedy = f"Restore the {field.verbose_name} from a backup, or delete the row."
        yield Finding(Kind.ORPHAN, f"{label} {pk}", told, remedy)


def _disagreeing(rows: Rows) -> Iterator[Finding]:
    for model in (Voicemailbox, User):
        wrong = rows(model).exclude(organization=None)
        wrong = wrong.exclude(account_id=F("organization__account_id"))
        for row in wrong.select_related("organization").order_by("pk").iterator():
            yield Finding(
                Kind.ACCOUNT,
                _name(row),
                f"It is of account {row.account_id}, but its organization {row.organization} is "
                f"of account {row.organization.account_id}.",
                "Find out whose it is, and delete it or set its account by hand.",
            )


def _duplicates(boxes: QuerySet[Any]) -> Iterator[Finding]:
    """Look for numbers and addresses that several boxes of an organization have."""
    boxes = boxes.order_by().annotate(folded=Lower("username"))
    for column, noun in (("mailbox", "number"), ("folded", "address")):
        twice = boxes.values("organization__domain", column).annotate(count=Count("pk"))
        for row in twice.filter(count__gt=1).iterator():
            yield Finding(
                Kind.DUPLICATE,
                f"{row[column]}@{row['organization__domain']}",
                f"{row['count']} mailboxes have this {noun}.",
                "Give all but one of them another with voicemailboxes edit.",
            )


def _invalid(rows: QuerySet[Any]) -> Iterator[Finding]:
    """Hold every row to its model's rules; XML and the PBX carry whatever passes them."""
    relations = {each.name for each in rows.model._meta.concrete_fields if each.remote_field}
    for row in rows.order_by("pk").iterator(chunk_size=_AT_ONCE):
        for field, messages in _errors_of(row, relations).items():
            remedy = f"Correct it with {_COMMANDS[rows.model]} edit."
            yield Finding(Kind.INVALID, _name(row), f"{field}: {' '.join(messages)}", remedy)
        if isinstance(row, Voicemailbox) and _is_guessed(row):
            told = "Its PIN is easily guessed."
            yield Finding(Kind.PIN, _name(row), told, "voicemailboxes reset-pin")


def _errors_of(row: Any, exclude: set[str]) -> dict[str, list[str]]:
    try:
        row.clean_fields(exclude=exclude)
        if isinstance(row, Voicemailbox) and (errors := row.notification_errors()):
            raise ValidationError(errors)
    except ValidationError as exc:
        return exc.message_dict
    return {}


def _is_guessed(box: Voicemailbox) -> bool:
    if not settings.PIN_STRICT:
        return is_trivial_pin(box.password, box.mailbox)
    try:
        validate_strict_pin(box.password, box.mailbox)
    except ValidationError:
        return True
    return False


def _wrong_tallies(organizations: QuerySet[Organization]) -> Iterator[Finding]:
    """Count the boxes of each organization, and compare."""
    tallies = MailboxTally.unscoped.filter(organization=OuterRef("pk")).order_by()
    total = Subquery(tallies.values("organization").annotate(sum=Sum("number")).values("sum"))
    rows = organizations.order_by("pk").annotate(
        counted=Count("voicemailboxes"), tallied=Coalesce(total, 0)
    )
    for one in rows.exclude(counted=F("tallied")).iterator(chunk_size=_AT_ONCE):
        told = f"It has {one.counted:,} mailboxes, and Found says {one.tallied:,}."
        yield Finding(Kind.TALLY, f"organization {one.pk} {one.domain}", told, "verify --fix")


def _stale_orders(orders: Any, now: datetime) -> Iterator[Finding]:
    """Look for what enabled PBXs should have done long ago."""
    tasks = SpoolTask.unscoped.filter(
        confirmed=None, pbx__is_active=True, order__in=orders.filter(created__lt=now - PATIENCE)
    )
    for task in tasks.select_related("order", "pbx").order_by("pk").iterator():
        yield Finding(
            Kind.ORDER,
            f"spool order {task.order_id} ({task.order})",
            f"PBX {task.pbx} has not carried it out since {task.order.created:%Y-%m-%d %H:%M}.",
            "See why spool-orders.sh does not run there.",
        )
