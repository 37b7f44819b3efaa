"""The history at the shell: who changed what, and the way back."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import cached_property
from itertools import islice
from typing import Any, ClassVar

from django.core.management.base import CommandError, CommandParser
from django.db.models import Count, Exists, Min, OuterRef, Q, QuerySet

from accounts.management.base import Done, ListVerb, Need, NounCommand, Outcome, Verb
from accounts.management.many import ManyVerb, counted
from accounts.management.output import Format, Record
from accounts.management.purging import PurgeByAgeVerb
from accounts.management.scope import EVERYTHING, OPERATOR, Scope
from accounts.models import Change, Channel, TimestampedModel
from accounts.services import purge_changes
from accounts.undo import Effect, Undone, UndoRefusedError, historic_models, undo_change
from accounts.versions import Version, versions_of

_AT_ONCE = 200

OF_CHANGE = ("change", "created", "actor", "channel", "account_id")
OF_OBJECT = ("kind", "object_id", "name", "what", "differences")

OUTCOMES: Mapping[Effect, Outcome] = {
    Effect.DELETED: Outcome.DELETED,
    Effect.BROUGHT_BACK: Outcome.RESTORED,
    Effect.CHANGED: Outcome.CHANGED,
}

Model = type[TimestampedModel]


def _models() -> dict[str, Model]:
    return {str(model._meta.model_name): model for model in historic_models()}


class _TellingVerb(Verb):
    """A verb that tells of changes."""

    def told(self, version: Version) -> Record:
        """Tell of one object what was done to it; secrets are never told."""
        row = version.row
        differences = [(each.label, each.old, each.new) for each in version.differences]
        return {
            "kind": row.instance_type._meta.model_name,
            "object_id": row.id,
            "name": version.name,
            "what": version.what,
            "differences": self._differences(differences),
        }

    def _differences(self, differences: list[tuple[str, str, str]]) -> Any:
        if self.options["format"] == Format.JSON:
            return [dict(zip(("field", "old", "new"), each, strict=True)) for each in differences]
        return "; ".join(
            f"{field}: {old} → {new}" if old else f"{field}: {new}"
            for field, old, new in differences
        )


def _instant(text: str) -> datetime:
    """Read a day or a time of ISO 8601; without a zone it is in UTC."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as exc:
        raise ArgumentTypeError(
            "Use a day or a time such as 2026-11-25 or 2026-11-25T08:30."
        ) from exc
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


class List(_TellingVerb, ListVerb):
    """List changes, the last one first, each with the first object that it touched."""

    example = "history list --account 3 --by joe --since 2026-11-01"
    columns = (*OF_CHANGE, *OF_OBJECT, "others")
    table_columns = ("change", "created", "actor", "channel", "kind", "name", *columns[-3:])

    @classmethod
    def add_arguments(cls, parser: CommandParser) -> None:
        parser.add_argument("--kind", choices=list(_models()), help="Only of this kind of object.")
        parser.add_argument("--id", type=int, help="Only of the object with this id; needs --kind.")
        parser.add_argument("--by", metavar="NAME", help="Only by this user or operator.")
        parser.add_argument("--channel", choices=Channel.values, help="Only by this way.")
        for option, told in (("--since", "Only from then on."), ("--until", "Only before then.")):
            parser.add_argument(option, metavar="TIME", type=_instant, help=told)

    def records(self) -> Iterator[Record]:
        if self.options["id"] is not None and not self.options["kind"]:
            raise CommandError("--id needs --kind: ids of different kinds of objects may be alike.")
        changes = iter(self._changes().order_by("-pk").iterator())
        while some := list(islice(changes, _AT_ONCE)):
            yield from self._told_of(some)

    @cached_property
    def _rows(self) -> list[QuerySet[Any]]:
        """Give the history rows that the options leave, by model."""
        scope, kind, pk = self.scope, self.options["kind"], self.options["id"]
        models = _models() if kind is None else {kind: _models()[kind]}
        rows = [scope.history_rows(model).order_by() for model in models.values()]
        return rows if pk is None else [each.filter(id=pk) for each in rows]

    def _changes(self) -> QuerySet[Change]:
        scope, changes = self.scope, EVERYTHING.rows(Change)
        given = {
            "channel": self.options["channel"],
            "actor__iexact": self.options["by"],
            "created__gte": self.options["since"],
            "created__lt": self.options["until"],
        }
        changes = changes.filter(**{name: value for name, value in given.items() if value})
        account = scope.organization.account if scope.organization else scope.account
        if account is not None:
            # A change without an account may have touched several.
            changes = changes.filter(Q(account=account) | Q(account=None))
        touched = Q()
        for rows in self._rows:
            touched |= Q(Exists(rows.filter(change=OuterRef("pk"))))
        return changes.filter(touched)

    def _told_of(self, changes: list[Change]) -> Iterator[Record]:
        firsts: dict[int, Version] = {}
        numbers: dict[int, int] = {}
        for rows in self._rows:
            self._look_up(rows.filter(change__in=changes), firsts, numbers)
        for change in changes:
            first = self.told(firsts[change.pk])
            yield {**_facts(change), **first, "others": numbers[change.pk] - 1}

    def _look_up(
        self, rows: QuerySet[Any], firsts: dict[int, Version], numbers: dict[int, int]
    ) -> None:
        """Note the first row of each change, and how many there are."""
        grouped = rows.values("change").annotate(first=Min("history_id"), number=Count("pk"))
        found = {each["first"]: each for each in grouped}
        for version in versions_of(rows.filter(history_id__in=found), OPERATOR):
            each = found[version.row.history_id]
            firsts.setdefault(each["change"], version)
            numbers[each["change"]] = numbers.get(each["change"], 0) + each["number"]


def _facts(change: Change) -> Record:
    return {"change": change.pk} | {name: getattr(change, name) for name in OF_CHANGE[1:]}


class _OfChange(Verb):
    """A verb about one change."""

    @classmethod
    def add_arguments(cls, parser: CommandParser) -> None:
        parser.add_argument("change", type=int, metavar="CHANGE", help="Its number, of the list.")

    @cached_property
    def found(self) -> Change:
        """Find the change. Raises CommandError."""
        change = EVERYTHING.rows(Change).filter(pk=self.options["change"]).first()
        if change is None or not any(rows.exists() for rows in self.rows_of(change)):
            raise CommandError(
                f"There is no change {self.options['change']}{self.scope}. "
                "Accepted: a number that history list tells."
            )
        return change

    def rows_of(self, change: Change) -> list[QuerySet[Any]]:
        """Give the rows of a change that lie in the scope, by model."""
        return _rows_of(change, self.scope)


def _rows_of(change: Change, scope: Scope) -> list[QuerySet[Any]]:
    return [scope.history_rows(model).filter(change=change) for model in historic_models()]


class Show(_OfChange, _TellingVerb, ListVerb):
    """Show all that a change did, object by object."""

    example = "history show 4711"
    scope_need = Need.OPTIONAL
    columns = (*OF_CHANGE, "version", *OF_OBJECT)
    table_columns = OF_OBJECT

    def run(self) -> None:
        self.note(f"Change {self.found.pk}: {self.found} UTC")
        super().run()

    def records(self) -> Iterator[Record]:
        facts = _facts(self.found)
        for rows in self.rows_of(self.found):
            for version in _versions(rows.order_by("history_id")):
                yield {**facts, "version": version.row.history_id, **self.told(version)}


def _versions(rows: QuerySet[Any]) -> Iterator[Version]:
    batch = versions_of(rows[:_AT_ONCE], OPERATOR)
    while batch:
        yield from batch
        last = batch[-1].row.history_id
        batch = versions_of(rows.filter(history_id__gt=last)[:_AT_ONCE], OPERATOR)


class Undo(_OfChange, ManyVerb):
    """Undo a change, be it one edit or a whole import: all of it, or nothing.

    What it added is deleted, what it deleted is restored, and what it edited gets its former
    values. If an object was changed again since, nothing is done, and the later change is named.
    Passwords stay as they are; a user who is restored has none.
    """

    example = "history undo 4711 --dry-run"
    is_destructive: ClassVar[bool] = True

    def question(self) -> str:
        return f"Undo change {self.found.pk} ({self.found}), which touched {self._touched()}?"

    def _touched(self) -> str:
        counts = (
            (rows.values("id").distinct().order_by().count(), str(model._meta.verbose_name))
            for model, rows in zip(historic_models(), self.rows_of(self.found), strict=True)
        )
        return ", ".join(counted(number, kind) for number, kind in counts if number)

    def change(self) -> Iterator[Done]:
        change = self.found
        if _number_of(self.rows_of(change)) != _number_of(_rows_of(change, EVERYTHING)):
            raise CommandError(f"Change {change.pk} touched objects outside the scope as well.")
        is_anything = False
        try:
            for undone in undo_change(change, actor=OPERATOR):
                is_anything = True
                yield _done(undone)
        except UndoRefusedError as exc:
            reasons = "\n".join(exc.messages)
            raise CommandError(f"Nothing was undone. In the way of it:\n{reasons}") from exc
        if not is_anything:
            raise CommandError(
                f"Change {change.pk} left nothing to undo: the values are what they were before."
            )


def _number_of(rows: Iterable[QuerySet[Any]]) -> int:
    return sum(each.count() for each in rows)


def _done(undone: Undone) -> Done:
    kind = str(undone.model._meta.verbose_name)
    record = {"kind": undone.model._meta.model_name, "id": undone.pk, "name": undone.name}
    return Done(OUTCOMES[undone.effect], kind, undone.pk, undone.name, record)


class Purge(PurgeByAgeVerb):
    """Delete the changes that are older than a given age, with their history rows."""

    example = "history purge --older-than 400"
    model = Change

    def purge(self, time: datetime, *, batch: int, dry_run: bool) -> int:
        return purge_changes(before=time, batch=batch, dry_run=dry_run)


class Command(NounCommand):
    """Tell who changed what, undo changes, and purge old ones."""

    verbs = (List, Show, Undo, Purge)
