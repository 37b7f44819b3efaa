"""PBXs at the shell: who may ask for boxes, their files, and what they have to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, ClassVar

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.db import models
from django.db.models import Prefetch, QuerySet

from accounts.management.base import (
    ChangeVerb,
    Done,
    ListVerb,
    Need,
    NounCommand,
    Outcome,
)
from accounts.management.objects import DeleteNamed, Kind, NamedVerb, ShowNamed
from accounts.management.output import Record
from accounts.management.purging import PurgeByAgeVerb
from accounts.management.scope import EVERYTHING, Scope, find_organization, id_in
from accounts.models import Organization
from voicemail import services, spool
from voicemail.asterisk.configuration import PLACEHOLDER, files, message_waiting
from voicemail.models import Pbx, SpoolOrder, SpoolTask

PBX_NAMES = "id or name"
COLUMNS = ("id", "name", "enabled", "limited", "organizations", "created", "last_seen")

_AT_ONCE = 1000


class _Pbxs(Kind):
    """PBXs, of whose credential nobody is told once it was made."""

    def record(self, obj: Any) -> Record:
        domains = sorted(each.domain for each in obj.organizations.all())
        told = {
            "enabled": obj.is_active,
            "limited": obj.is_limited,
            "organizations": " ".join(domains) if obj.is_limited else "",
        }
        return {name: told[name] if name in told else getattr(obj, name) for name in COLUMNS}


def _rows() -> QuerySet[Pbx]:
    return EVERYTHING.rows(Pbx).prefetch_related("organizations")


def find_pbx(name: str, scope: Scope = EVERYTHING) -> Pbx:
    """Find a PBX by its id or name; it lies in no account. Raises CommandError."""
    pk = id_in(name)
    pbx = _rows().filter(**({"name": name} if pk is None else {"pk": pk})).first()
    if pbx is None:
        known = ", ".join(EVERYTHING.rows(Pbx).values_list("name", flat=True)) or "none yet"
        raise CommandError(f"There is no PBX {name}. Accepted: {PBX_NAMES}; known: {known}.")
    return pbx


def _store(pbx: Any) -> bool:
    services.edit_pbx(pbx)
    return True


def _delete(pbx: Any) -> None:
    pbx.delete()


PBXS = _Pbxs(
    model=Pbx, columns=COLUMNS, accepted=PBX_NAMES, find=find_pbx, edit=_store, delete=_delete
)


class _OfPbxs:
    is_recorded = False
    kind: ClassVar[Kind] = PBXS
    # A PBX is the provider's.
    scope_need: ClassVar[Need] = Need.NONE


def _organizations(names: Iterable[str]) -> list[Organization]:
    return [find_organization(name) for name in names]


class Add(_OfPbxs, ChangeVerb):
    """Add a PBX, and tell its credential, which is shown only now."""

    example = "pbxs add edge1 --limit-to acme.example.com globex.example.com"

    @classmethod
    def add_arguments(cls, parser: CommandParser) -> None:
        parser.add_argument(
            "name", metavar="NAME", help="Its user name for HTTP Basic, such as edge1."
        )
        parser.add_argument(
            "--limit-to",
            nargs="+",
            metavar="ID|DOMAIN",
            help="Let it ask for these organizations alone; without it, for all.",
        )

    def change(self) -> list[Done]:
        limits = self.options["limit_to"]
        pbx = Pbx(name=self.options["name"], is_limited=limits is not None)
        credential = services.add_pbx(pbx, organizations=_organizations(limits or ()))
        return [_with_credential(pbx, Outcome.ADDED, credential, is_dry_run=self.is_dry_run)]


def _with_credential(pbx: Pbx, outcome: Outcome, credential: str, *, is_dry_run: bool) -> Done:
    """Tell of a PBX and its new credential; that of a dry run would not be taken."""
    told = "" if is_dry_run else credential
    record = {**PBXS.record(pbx), "credential": told}
    return Done.to(pbx, outcome, record, f"Credential: {told}" if told else "")


class List(_OfPbxs, ListVerb):
    """List the PBXs."""

    example = "pbxs list"
    columns = COLUMNS
    table_columns = ("id", "name", "enabled", "limited", "organizations", "last_seen")

    def records(self) -> Iterator[Record]:
        return map(PBXS.record, _rows().order_by("pk"))


class Show(_OfPbxs, ShowNamed):
    """Show a PBX."""

    example = "pbxs show edge1"


class Edit(_OfPbxs, NamedVerb, ChangeVerb):
    """Change a PBX's name, or the organizations that it may ask for."""

    example = "pbxs edit edge1 --limit-to acme.example.com"
    takes_several = False

    @classmethod
    def add_arguments(cls, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--name", metavar="NAME", help="Another name.")
        limits = parser.add_mutually_exclusive_group()
        limits.add_argument(
            "--limit-to",
            nargs="+",
            metavar="ID|DOMAIN",
            help="Let it ask for these organizations alone, and no others from now on.",
        )
        limits.add_argument(
            "--unlimited", action="store_true", help="Let it ask for all organizations."
        )

    def change(self) -> list[Done]:
        name, limits = self.options["name"], self.options["limit_to"]
        if name is None and limits is None and not self.options["unlimited"]:
            raise CommandError("Name at least one option with what is to change; --help has them.")
        pbx = self.found
        before = PBXS.record(pbx)
        pbx.name = pbx.name if name is None else name
        pbx.is_limited = limits is not None or (pbx.is_limited and not self.options["unlimited"])
        services.edit_pbx(pbx, organizations=None if limits is None else _organizations(limits))
        pbx = find_pbx(str(pbx.pk))
        is_changed = PBXS.record(pbx) != before
        return [PBXS.done(pbx, Outcome.CHANGED if is_changed else Outcome.UNCHANGED)]


class _SetActive(_OfPbxs, NamedVerb, ChangeVerb):
    is_active: ClassVar[bool]

    def change(self) -> Iterator[Done]:
        for pbx in self.all_found:
            outcome = Outcome.UNCHANGED if pbx.is_active == self.is_active else Outcome.CHANGED
            pbx.is_active = self.is_active
            services.edit_pbx(pbx)
            yield PBXS.done(pbx, outcome)


class Enable(_SetActive):
    """Enable PBXs: they are answered again."""

    example = "pbxs enable edge1"
    is_active = True


class Disable(_SetActive):
    """Disable PBXs: their credentials open nothing, and no box waits for them."""

    example = "pbxs disable edge1"
    is_active = False


class Credential(_OfPbxs, NamedVerb, ChangeVerb):
    """Make a new credential for a PBX, and tell it; the old one ends at once."""

    example = "pbxs credential edge1 --yes"
    takes_several = False
    is_destructive = True

    def question(self) -> str:
        return f"End the present credential of PBX {self.found}?"

    def change(self) -> list[Done]:
        pbx = self.found
        credential = services.give_credential(pbx)
        services.edit_pbx(pbx)
        return [_with_credential(pbx, Outcome.CHANGED, credential, is_dry_run=self.is_dry_run)]


class Delete(_OfPbxs, DeleteNamed):
    """Delete PBXs, and what they had still to do."""

    example = "pbxs delete edge1 --yes"

    def consequence(self, found: list[Any]) -> str:
        tasks = EVERYTHING.rows(SpoolTask).filter(pbx__in=found, confirmed=None)
        return f" with {tasks.count()} spool orders that are still open"


class Files(_OfPbxs, NamedVerb):
    """Print each file of an Asterisk that takes its boxes from here, filled in for one PBX."""

    __doc__ += (
        f"\n\n    Where the credential belongs stands {PLACEHOLDER}: it is shown when it is made.\n"
    )
    example = "pbxs files edge1 --url https://voicemail.example.com"
    takes_several = False

    @classmethod
    def add_arguments(cls, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--url",
            default=settings.PUBLIC_URL,
            help="Where the PBX reaches this service; by default its public address.",
        )
        parser.add_argument(
            "--mwi",
            action="store_true",
            help="Print instead the file about message waiting that pjsip.conf includes.",
        )

    def run(self) -> None:
        pbx = self.found
        if self.options["mwi"]:
            parts: Iterable[str] = message_waiting(pbx)
        else:
            named = files(pbx, url=self.options["url"]).items()
            parts = (f"==> {path} <==\n{text}" for path, text in named)
        for part in parts:
            self.command.stdout.write(part)


class Orders(ListVerb):
    """List spool orders, what PBXs have to do with recordings: the open ones, or all."""

    example = "pbxs orders --all-accounts"
    columns = (
        *("number", "kind", "from", "to", "account_id", "organization_id"),
        *("created", "state", "waiting_for"),
    )
    table_columns = ("number", "kind", "from", "to", "created", "state", "waiting_for")

    @classmethod
    def add_arguments(cls, parser: CommandParser) -> None:
        parser.add_argument(
            "--all", action="store_true", help="Those that are done or withdrawn as well."
        )

    def records(self) -> Iterator[Record]:
        tasks = EVERYTHING.rows(SpoolTask).filter(confirmed=None).select_related("pbx")
        orders = self.scope.rows(SpoolOrder).order_by("pk")
        if not self.options["all"]:
            orders = orders.filter(pk__in=tasks.values("order"))
        waiting = Prefetch("tasks", tasks.order_by("pbx__name"), to_attr="open_tasks")
        return map(_order_record, orders.prefetch_related(waiting).iterator(chunk_size=_AT_ONCE))


def _order_record(order: Any) -> Record:
    done = "withdrawn" if order.withdrawn else "done"
    return {
        "number": order.pk,
        "kind": order.kind,
        "from": f"{order.mailbox}@{order.context}",
        "to": f"{order.to_mailbox}@{order.to_context}" if order.to_context else "",
        "account_id": order.account_id,
        "organization_id": order.organization_id,
        "created": order.created,
        "state": "open" if order.open_tasks else done,
        "waiting_for": " ".join(task.pbx.name for task in order.open_tasks),
    }


class PurgeOrders(PurgeByAgeVerb):
    """Delete the spool orders that no PBX has still to carry out and that are old; for cron."""

    example = "pbxs purge-orders --older-than 90"
    model: ClassVar[type[models.Model]] = SpoolOrder

    def purge(self, time: datetime, *, batch: int, dry_run: bool) -> int:
        return spool.purge_orders(before=time, batch=batch, dry_run=dry_run)


class Command(NounCommand):
    """Add, list, show, change and delete PBXs, print their files, and list their spool orders."""

    verbs = (
        *(Add, List, Show, Edit, Enable, Disable, Credential, Delete),
        *(Files, Orders, PurgeOrders),
    )
