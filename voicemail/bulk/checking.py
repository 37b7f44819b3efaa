"""What a row of a file asks for, judged by the model's own rules and by the box as it is now.

Rows are judged many at a time, so that there are few questions to the database.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import ValidationError
from django.db import connection, models
from django.db.models import QuerySet
from django.db.models.base import ModelState

from accounts.models import Organization
from voicemail.bulk.columns import (
    FIELDS,
    ORGANIZATION_MISSING,
    PIN,
    REQUIRED,
    TIMES,
    Action,
    says_nothing,
    value_of,
)
from voicemail.bulk.files import Row
from voicemail.models import MAILBOX_UNAVAILABLE, REQUIRED_VALUE, Voicemailbox, errors_of_their_own
from voicemail.services import generate_pin

_PASSED_OVER = frozenset({*TIMES, "reasons"})
_SETTABLE = frozenset(FIELDS)
_KEPT_ORGANIZATIONS = 20_000

MISSING = "There is no such mailbox."
OTHER_ORGANIZATION = "A mailbox stays in its organization."


class Kind(models.TextChoices):
    """What is to be done for a row; the first three are the history's own letters."""

    ADD = "+"
    CHANGE = "~"
    DELETE = "-"
    NOTHING = "="
    REFUSE = "!"


@dataclass(slots=True)
class Draft:
    """A row on its way: its values, the organization and the box that it means, and its reasons."""

    number: int
    values: dict[str, Any] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)
    failed: set[str] = field(default_factory=set)
    organization: Organization | None = None
    present: Voicemailbox | None = None
    box: Voicemailbox | None = None
    kind: Kind = Kind.REFUSE

    def refuse(self, name: str, message: str) -> None:
        """Note why the row can't be taken."""
        self.failed.add(name)
        self.reasons.append(f"{name}: {message}")

    def refuse_for(self, errors: Mapping[str, ValidationError]) -> None:
        """Note errors of the box, but none that follows from a value that is wrong by itself."""
        for name, error in errors_of_their_own(errors, self.failed).items():
            self.refuse(name, " ".join(error.messages))


class Checker:
    """Judges rows within some organizations; one in hand is meant by rows that name none."""

    def __init__(
        self, organizations: QuerySet[Organization], default: Organization | None = None
    ) -> None:
        self.organizations = organizations
        self.default = default
        self.found: dict[tuple[str, Any], Organization | None] = {}

    def judge(self, rows: Iterable[Row]) -> list[Draft]:
        """Say what is to be done for each row, or why nothing can be."""
        drafts = [_draft(row) for row in rows]
        self._find_organizations(drafts)
        self._find_boxes(drafts)
        for draft in drafts:
            _decide(draft)
        return drafts

    def _find_organizations(self, drafts: Sequence[Draft]) -> None:
        if len(self.found) > _KEPT_ORGANIZATIONS:
            self.found.clear()
        for name, lookup in (("organization_id", "pk"), ("domain", "domain")):
            wanted = {draft.values[name] for draft in drafts if name in draft.values}
            self._look_up(name, lookup, {each for each in wanted if (name, each) not in self.found})
        for draft in drafts:
            draft.organization = self._organization_of(draft)

    def _look_up(self, name: str, lookup: str, wanted: set[Any]) -> None:
        self.found |= dict.fromkeys([(name, each) for each in wanted])
        columns = self.organizations.only("id", "account_id", "domain")
        for each in columns.filter(**{f"{lookup}__in": wanted}) if wanted else ():
            self.found[name, getattr(each, lookup)] = each

    def _organization_of(self, draft: Draft) -> Organization | None:
        """Give the organization that the row names; a foreign one is as good as none."""
        named = [
            (name, self.found[name, draft.values[name]])
            for name in ("organization_id", "domain")
            if name in draft.values
        ]
        for name, each in named:
            if each is None or each.pk != getattr(named[0][1], "pk", None):
                draft.refuse(name, ORGANIZATION_MISSING)
                return None
        return named[0][1] if named else self.default

    def _find_boxes(self, drafts: Sequence[Draft]) -> None:
        by_id = [draft for draft in drafts if "voicemailbox_id" in draft.values]
        by_number = [draft for draft in drafts if "voicemailbox_id" not in draft.values]
        ids = [draft.values["voicemailbox_id"] for draft in by_id]
        boxes = {box.pk: box for box in self._boxes(ids)}
        for draft in by_id:
            draft.present = boxes.get(draft.values["voicemailbox_id"])
        keys = {key for draft in by_number if (key := _key(draft)) is not None}
        called = {(box.organization_id, box.mailbox): box for box in self._boxes(_ids_of(keys))}
        for draft in by_number:
            draft.present = called.get(_key(draft) or (0, 0))

    def _boxes(self, ids: Sequence[int]) -> Iterable[Voicemailbox]:
        if not ids:
            return ()
        return Voicemailbox.unscoped.filter(pk__in=ids, organization__in=self.organizations)


def _draft(row: Row) -> Draft:
    """Clean each cell by itself."""
    draft = Draft(row.number)
    if row.fault:
        draft.failed.add("")
        draft.reasons.append(row.fault)
    for name, cell in row.cells.items():
        if name in _PASSED_OVER or says_nothing(name, cell):
            continue
        try:
            draft.values[name] = value_of(name, cell)
        except ValidationError as exc:
            draft.refuse(name, " ".join(exc.messages))
    return draft


def _key(draft: Draft) -> tuple[int, int] | None:
    """Give the organization's id and the number, which name a box where its id does not."""
    if draft.organization is None or "mailbox" not in draft.values:
        return None
    return draft.organization.pk, draft.values["mailbox"]


def _ids_of(keys: Collection[tuple[int, int]]) -> list[int]:
    """Give the ids of the boxes with these numbers in these organizations."""
    if not keys:
        return []
    # As a join PostgreSQL would read the whole table each time.
    statement = (
        "SELECT (SELECT id FROM {boxes} WHERE organization_id = column1 AND mailbox = column2) "
        "FROM {keys}"
    )
    if connection.vendor == "postgresql":
        source = "unnest(%s::bigint[], %s::integer[]) AS keys (column1, column2)"
        params: list[Any] = [list(part) for part in zip(*keys, strict=True)]
    else:
        source = f"(VALUES {', '.join(['(%s, %s)'] * len(keys))}) AS keys"
        params = [part for key in keys for part in key]
    with connection.cursor() as cursor:
        cursor.execute(statement.format(boxes=Voicemailbox._meta.db_table, keys=source), params)
        return [found for (found,) in cursor.fetchall() if found is not None]


def _decide(draft: Draft) -> None:
    """Choose what is to be done for a draft whose organization and box were looked up."""
    if draft.failed & {"", "action"} or _is_lost(draft):
        return
    action = draft.values.get("action")
    if action == Action.DELETE:
        _delete(draft)
    elif draft.present is not None:
        _change(draft, draft.present)
        if action == Action.ADD and draft.kind != Kind.NOTHING and not draft.reasons:
            draft.refuse("mailbox", MAILBOX_UNAVAILABLE)
    elif action == Action.CHANGE or "voicemailbox_id" in draft.values:
        draft.refuse(_named_by(draft), MISSING)
    else:
        _add(draft)
    if draft.reasons:
        draft.kind = Kind.REFUSE


def _named_by(draft: Draft) -> str:
    return "voicemailbox_id" if "voicemailbox_id" in draft.values else "mailbox"


def _is_lost(draft: Draft) -> bool:
    """Refuse a row that does not say which box it means, or means one elsewhere."""
    if "voicemailbox_id" in draft.values:
        named = draft.organization if {"domain", "organization_id"} & draft.values.keys() else None
        if draft.present and named and named.pk != draft.present.organization_id:
            draft.refuse("domain", OTHER_ORGANIZATION)
        return False
    if draft.organization is None and not draft.failed & {"domain", "organization_id"}:
        draft.refuse("domain", REQUIRED_VALUE)
    return "voicemailbox_id" in draft.failed


def _delete(draft: Draft) -> None:
    if not {"voicemailbox_id", "mailbox"} & (draft.values.keys() | draft.failed):
        draft.refuse("mailbox", REQUIRED_VALUE)
    draft.box = draft.present
    # A box that is gone is what the row asks for: the same file again changes nothing.
    draft.kind = Kind.NOTHING if draft.present is None else Kind.DELETE


def _change(draft: Draft, box: Voicemailbox) -> None:
    draft.box = box
    changed = [
        name for name in _SETTABLE & draft.values.keys() if draft.values[name] != getattr(box, name)
    ]
    if not changed:
        draft.kind = Kind.NOTHING
        return
    for name in changed:
        setattr(box, name, draft.values[name])
    draft.refuse_for(box.notification_errors() | box.pin_errors())
    draft.kind = Kind.CHANGE


def _add(draft: Draft) -> None:
    for name in REQUIRED:
        if name not in draft.values and name not in draft.failed:
            draft.refuse(name, REQUIRED_VALUE)
    box = _new_box(draft)
    draft.refuse_for(box.notification_errors() | box.pin_errors())
    if PIN not in draft.values and not draft.reasons:
        box.password = generate_pin(box.mailbox)
    draft.box = box
    draft.kind = Kind.ADD


_DEFAULTS = {each.attname: each.get_default() for each in Voicemailbox._meta.concrete_fields}


def _new_box(draft: Draft) -> Voicemailbox:
    # Made as unpickling makes one: Django's own way takes seven times as long.
    box = Voicemailbox.__new__(Voicemailbox)
    values = vars(box)
    values["_state"] = ModelState()
    values |= _DEFAULTS
    for name in _SETTABLE & draft.values.keys():
        values[name] = draft.values[name]
    if draft.organization is not None:
        values["organization_id"] = draft.organization.pk
        values["account_id"] = draft.organization.account_id
    return box
