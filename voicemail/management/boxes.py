"""Mailboxes at the shell: one by its name, or all that a scope and filters leave."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser
from django.db.models import QuerySet

from accounts.history import record_change
from accounts.management.base import (
    ChangeVerb,
    Done,
    ListVerb,
    Need,
    Outcome,
    ShowVerb,
    Verb,
    add_operator,
    operator_of,
    reasons_of,
)
from accounts.management.many import ManyVerb, counted
from accounts.management.objects import Kind, ShowNamed, add_field_options
from accounts.management.output import Format, Record
from accounts.management.scope import (
    OPERATOR,
    ORGANIZATION_NAMES,
    Scope,
    find_organization,
    found_in,
    id_in,
)
from accounts.models import Channel, Organization, Status
from voicemail import services, spool
from voicemail.models import Voicemailbox
from voicemail.search import (
    MessageWaiting,
    Period,
    in_domain,
    modified_in,
    search,
    with_message_waiting,
)
from voicemail.validators import MAILBOX_PATTERN

PIN = "password"
FIELDS = (
    *("mailbox", "username", "fullname", "timezone"),
    *("say_caller_id", "say_duration", "say_datetime"),
    *("notify_email", "email", "notify_pager", "pager", "mwi"),
)
COLUMNS = ("id", "account_id", "organization_id", "domain", "status", *FIELDS)
BOX_NAMES = "id, or number and domain such as 1001@acme.example.com"

_NEW = re.compile(rf"(?P<mailbox>{MAILBOX_PATTERN})@(?P<domain>.+)")
_AT_ONCE = 1000
_IN_SCOPE = "a scope: --account, --organization or --all-accounts"

Filter = Callable[[QuerySet[Voicemailbox], str], QuerySet[Voicemailbox]]


def record(box: Voicemailbox, pin: str | None = None) -> Record:
    """Give what is told of a box; the PIN only where it is handed over."""
    told = {name: getattr(box, name) for name in COLUMNS if name != "domain"}
    pins = {} if pin is None else {PIN: pin}
    times = {"created": box.created, "modified": box.modified}
    return {name: told.get(name, box.organization.domain) for name in COLUMNS} | pins | times


def find_box(name: str, scope: Scope) -> Voicemailbox:
    """Find a box by its id, or by its number and domain. Raises CommandError."""
    pk, rows = id_in(name), scope.rows(Voicemailbox).select_related("organization")
    if pk is None:
        number, _, domain = name.partition("@")
        rows = rows.filter(mailbox=id_in(number) or 0, organization__domain=domain)
    else:
        rows = rows.filter(pk=pk)
    return found_in(rows, name, scope=scope, accepted=BOX_NAMES)


BOXES = Kind(
    model=Voicemailbox,
    columns=(*COLUMNS, "created", "modified"),
    accepted=BOX_NAMES,
    find=find_box,
    edit=services.edit_voicemailbox,
    delete=services.delete_voicemailbox,
)


def done_to(box: Voicemailbox, outcome: Outcome, pin: str | None = None) -> Done:
    """Tell what was done to a box, and its PIN where it is new."""
    detail = f"PIN: {pin}" if pin else ""
    return Done.to(box, outcome, record(box, pin), detail)


# What narrows a list

_COLUMNS_TO_FILTER: Mapping[str, str] = MappingProxyType(
    {
        "status": "status",
        "timezone": "time zone",
        "notify_email": "e-mail notification",
        "notify_pager": "pager notification",
    }
)
_FILTERS: Mapping[str, Filter] = MappingProxyType(
    {
        "domain": lambda boxes, text: in_domain(boxes, text, caller=OPERATOR),
        "mwi": lambda boxes, value: with_message_waiting(boxes, value, caller=OPERATOR),
        "modified": modified_in,
        "search": lambda boxes, text: search(boxes, text, caller=OPERATOR),
    }
)


class FilteringVerb(Verb):
    """A verb with the filters of the admin's list.

    ``prefix`` tells the filters from the options of the same names that set a value.
    """

    prefix: ClassVar[str] = ""

    @classmethod
    def add_filters(cls, parser: CommandParser) -> None:
        """Declare an option for each filter."""
        for name, noun in _COLUMNS_TO_FILTER.items():
            field: Any = Voicemailbox._meta.get_field(name)
            choices = [value for value, _ in field.choices]
            told = f"Only those with this {noun}."
            parser.add_argument(cls._option(name), choices=choices, help=told)
        parser.add_argument(
            cls._option("domain"),
            metavar="TEXT",
            help="Only those of the organizations with this text in their domain.",
        )
        parser.add_argument(
            cls._option("mwi"),
            choices=MessageWaiting.values,
            help="Only those whose waiting messages are indicated, are not, or can't be.",
        )
        parser.add_argument(
            cls._option("modified"),
            choices=Period.values,
            help="Only those that were changed since then.",
        )
        parser.add_argument(
            cls._option("search"),
            metavar="WORDS",
            help="Only those with each word in their number, name, e-mail, pager or address.",
        )

    @classmethod
    def _option(cls, name: str) -> str:
        return f"--{cls.prefix}{name}".replace("_", "-")

    @property
    def chosen(self) -> dict[str, str]:
        """Give the filters that were chosen."""
        prefix = self.prefix.replace("-", "_")
        values = {
            name: self.options[f"{prefix}{name}"] for name in (*_COLUMNS_TO_FILTER, *_FILTERS)
        }
        return {name: value for name, value in values.items() if value is not None}

    def filtered(self) -> QuerySet[Voicemailbox]:
        """Give the boxes that the scope and the filters leave."""
        boxes = self.scope.rows(Voicemailbox).select_related("organization")
        for name, value in self.chosen.items():
            narrow = _FILTERS.get(name)
            boxes = narrow(boxes, value) if narrow else boxes.filter(**{name: value})
        return boxes


class SelectingVerb(FilteringVerb, ManyVerb):
    """A verb about boxes that are named, or about all that a scope and filters leave."""

    @classmethod
    def add_arguments(cls, parser: CommandParser) -> None:
        parser.add_argument(
            "named",
            metavar="MAILBOX",
            nargs="*",
            help=f"By {BOX_NAMES}; without any, all that the scope and the filters leave.",
        )
        cls.add_filters(parser)

    @property
    def has_scope(self) -> bool:
        return any(self.options[name] for name in ("account", "organization", "all_accounts"))

    @cached_property
    def selected(self) -> QuerySet[Voicemailbox]:
        """Give the boxes that are meant. Raises CommandError."""
        named = self.options["named"]
        if not named and not self.has_scope:
            raise CommandError(f"Name mailboxes, by {BOX_NAMES}; or give {_IN_SCOPE}.")
        if not named:
            return self.filtered()
        if self.chosen:
            raise CommandError("Name mailboxes, or choose them by filters, but not both.")
        scope = self.scope
        ids = {find_box(name, scope).pk for name in named}
        return scope.rows(Voicemailbox).select_related("organization").filter(pk__in=ids)

    @property
    def is_each_told(self) -> bool:  # type: ignore[override]  # computed here
        return bool(self.options["named"])

    def run(self) -> None:
        if not self.options["named"]:
            self.note(f"{counted(self.selected.count(), 'mailbox')} found.")
        super().run()

    def change(self) -> Iterator[Done]:
        last = 0
        while batch := self._held_after(last):
            last = batch[-1].pk
            yield from self.act_on(batch)

    def _held_after(self, last: int) -> list[Voicemailbox]:
        """Hold the next boxes, so that each is changed as it is then."""
        following = self.selected.filter(pk__gt=last).order_by("pk")
        return list(following.select_for_update(of=("self",))[:_AT_ONCE])

    def act_on(self, boxes: Sequence[Voicemailbox]) -> Iterator[Done]:
        """Do to some boxes what the verb is for."""
        for box in boxes:
            with _naming(f"{box.pk} ({box.mailbox}@{box.organization})"):
                yield self.act(box)

    def act(self, box: Voicemailbox) -> Done:
        """Do to one box what the verb is for."""
        raise NotImplementedError


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Say which of several boxes stood in the way."""
    try:
        yield
    except ValidationError as exc:
        reasons = reasons_of(exc)
        raise CommandError(f"Nothing was changed, because of mailbox {name}:\n{reasons}") from exc


def _edited(box: Voicemailbox) -> Outcome:
    """Store what was changed of a box, checked as a whole, and tell whether anything was."""
    box.full_clean(exclude={"account", "organization"})
    return Outcome.CHANGED if services.edit_voicemailbox(box) else Outcome.UNCHANGED


def _add_pin_option(parser: CommandParser) -> None:
    parser.add_argument(
        "--pin-stdin",
        action="store_true",
        help="Read the PIN from the first line of standard input.",
    )


def _read_pin(options: Mapping[str, Any]) -> str:
    """Read a PIN where one was announced; an empty text is none."""
    if not options["pin_stdin"]:
        return ""
    if pin := sys.stdin.readline().rstrip("\r\n"):
        return pin
    raise CommandError("Standard input has no PIN: its first line must be 1 to 7 digits.")


class Add(ChangeVerb):
    """Add a mailbox.

    Without --pin-stdin a PIN is made up and told; without --username the address is made from the
    name or the number.
    """

    example = 'voicemailboxes add 1001@acme.example.com --fullname "Joe Smith"'
    scope_need = Need.NONE
    fields = tuple(name for name in ("status", *FIELDS) if name != "mailbox")

    @classmethod
    def add_arguments(cls, parser: CommandParser) -> None:
        parser.add_argument(
            "named", metavar="NUMBER@DOMAIN", help="The number in its organization."
        )
        add_field_options(parser, Voicemailbox, cls.fields)
        _add_pin_option(parser)

    def run(self) -> None:
        # Nobody waits for a pipe with a transaction open.
        self.pin = _read_pin(self.options)
        super().run()

    def change(self) -> list[Done]:
        box = self._new()
        box.full_clean(exclude={"account", "organization", *(() if self.pin else (PIN,))})
        services.add_voicemailbox(box)
        if spool.may_play_others(box):
            self.note(spool.FORMER_RECORDINGS.format(mailbox=box.mailbox))
        if self.pin:
            return [done_to(box, Outcome.ADDED)]
        # Nobody will ever have the PIN of a dry run.
        return [done_to(box, Outcome.ADDED, "" if self.is_dry_run else box.password)]

    def _new(self) -> Voicemailbox:
        named = _NEW.fullmatch(self.options["named"])
        if named is None:
            raise CommandError("A new mailbox is named like 1001@acme.example.com.")
        values = {name: self.options[name] for name in self.fields}
        organization = find_organization(named["domain"])
        box = Voicemailbox(
            organization=organization,
            mailbox=int(named["mailbox"]),
            password=self.pin,
            **{name: value for name, value in values.items() if value is not None},
        )
        if not box.username:
            box.username = services.suggested_username(
                organization, mailbox=box.mailbox, fullname=box.fullname
            )
        return box


class List(FilteringVerb, ListVerb):
    """List mailboxes, with the filters and the search of the admin."""

    example = "voicemailboxes list --organization acme.example.com --status disabled"
    columns = BOXES.columns
    table_columns = ("id", "mailbox", "domain", "fullname", "status", "notify_email", "email")

    @classmethod
    def add_arguments(cls, parser: CommandParser) -> None:
        cls.add_filters(parser)

    def records(self) -> Iterator[Record]:
        return map(record, self.filtered().order_by("pk").iterator())


class Show(ShowNamed):
    """Show a mailbox; its PIN only if asked to, and the asking is recorded."""

    kind = BOXES
    example = "voicemailboxes show 1001@acme.example.com"

    @classmethod
    def add_arguments(cls, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--with-pin", action="store_true", help="Tell the PIN, and record that it was told."
        )
        add_operator(parser)

    def record(self) -> Record:
        box = self.found
        if not self.options["with_pin"]:
            return record(box)
        with record_change(by=None, channel=Channel.COMMAND, actor=operator_of(self.options)):
            return record(box, services.show_pin(box))


class Edit(SelectingVerb):
    """Change mailboxes; what no option names stays as it is.

    The filters have the prefix --where-, as the plain names are those of the values to set.
    """

    example = "voicemailboxes edit 1001@acme.example.com --notify-email yes --email joe@example.com"
    prefix = "where-"

    @classmethod
    def add_arguments(cls, parser: CommandParser) -> None:
        super().add_arguments(parser)
        add_field_options(parser, Voicemailbox, FIELDS)
        _add_pin_option(parser)

    def run(self) -> None:
        values = {name: self.options[name] for name in FIELDS}
        self.values = {name: value for name, value in values.items() if value is not None}
        if self.options["pin_stdin"]:
            self._take_pin()
        if not self.values:
            raise CommandError("Name at least one option with what is to change; --help has them.")
        super().run()

    def _take_pin(self) -> None:
        if len(self.options["named"]) != 1:
            raise CommandError("--pin-stdin takes exactly one mailbox, which is named.")
        self.values[PIN] = _read_pin(self.options)

    def act(self, box: Voicemailbox) -> Done:
        for name, value in self.values.items():
            setattr(box, name, value)
        return done_to(box, _edited(box))


class _SetStatus(SelectingVerb):
    status: ClassVar[Status]

    def act(self, box: Voicemailbox) -> Done:
        is_changed = services.set_status(box, self.status)
        return done_to(box, Outcome.CHANGED if is_changed else Outcome.UNCHANGED)


class Enable(_SetStatus):
    """Enable mailboxes: the PBX serves them again."""

    example = "voicemailboxes enable 1001@acme.example.com 17"
    status = Status.ENABLED


class Disable(_SetStatus):
    """Disable mailboxes: the PBX serves them no more."""

    example = "voicemailboxes disable --organization acme.example.com"
    status = Status.DISABLED


class Delete(SelectingVerb):
    """Delete mailboxes; restore brings them back, with their numbers and PINs."""

    example = "voicemailboxes delete --organization acme.example.com --search fax --yes"
    is_destructive = True

    def question(self) -> str:
        if not self.options["named"]:
            return f"Delete {counted(self.selected.count(), 'mailbox')}?"
        names = ", ".join(
            f"{box.mailbox}@{box.organization} ({box.fullname})" for box in self.selected
        )
        return f"Delete {names}?"

    def act_on(self, boxes: Sequence[Voicemailbox]) -> Iterator[Done]:
        done = [done_to(box, Outcome.DELETED) for box in boxes]
        services.delete_voicemailboxes(boxes)
        yield from done


class Restore(ManyVerb):
    """Bring deleted mailboxes back, with their ids, numbers and PINs.

    Under a number that several deleted ones had, the last of them is meant. With --to-version a
    mailbox, deleted or not, gets the values that it had then.
    """

    example = "voicemailboxes restore 1001@acme.example.com"

    @classmethod
    def add_arguments(cls, parser: CommandParser) -> None:
        parser.add_argument("named", metavar="MAILBOX", nargs="+", help=f"By {BOX_NAMES}.")
        parser.add_argument(
            "--to-version", type=int, metavar="VERSION", help="A version that history show tells."
        )

    def change(self) -> Iterator[Done]:
        scope, version, names = self.scope, self.options["to_version"], self.options["named"]
        if version is not None and len(names) != 1:
            raise CommandError("--to-version takes exactly one mailbox.")
        for name in names:
            row = _deleted(name, scope) if version is None else _version(name, version, scope)
            former = scope.rows(Voicemailbox).filter(pk=row.id).first()
            with _naming(name):
                box = services.restore_voicemailbox(row)
            is_same = former is not None and former.modified == box.modified
            yield done_to(box, Outcome.UNCHANGED if is_same else Outcome.RESTORED)


def _version(name: str, version: int, scope: Scope) -> Any:
    """Find a version of a box, be it deleted or not."""
    pk = id_in(name) or find_box(name, scope).pk
    row = scope.history_rows(Voicemailbox).filter(id=pk, history_id=version).first()
    if row is None:
        accepted = "Accepted: one that history show tells."
        raise CommandError(f"Mailbox {name} has no version {version}{scope}. {accepted}")
    return row


def _deleted(name: str, scope: Scope) -> Any:
    """Find the history row that tells of a deletion, which is still in force."""
    pk, rows = id_in(name), scope.history_rows(Voicemailbox).filter(history_type="-")
    if pk is None:
        number, _, domain = name.partition("@")
        organization = find_organization(domain, scope)
        rows = rows.filter(organization=organization, mailbox=id_in(number) or 0)
    else:
        rows = rows.filter(id=pk)
    row = rows.exclude(id__in=scope.rows(Voicemailbox).values("pk")).first()
    if row is None:
        raise CommandError(f"There is no deleted mailbox {name}{scope}. Accepted: {BOX_NAMES}.")
    return row


class ResetPin(SelectingVerb):
    """Give mailboxes new PINs, and tell them."""

    example = "voicemailboxes reset-pin 1001@acme.example.com"
    is_destructive = True
    is_each_told = True

    def confirm(self) -> None:
        """Ask only before the PINs of many go."""
        if not self.options["named"]:
            super().confirm()

    def question(self) -> str:
        return f"Give {counted(self.selected.count(), 'mailbox')} new PINs?"

    def act(self, box: Voicemailbox) -> Done:
        pin = services.reset_pin(box)
        return done_to(box, Outcome.CHANGED, "" if self.is_dry_run else pin)


class NextFree(ShowVerb):
    """Tell the first free number after the lowest one that an organization uses."""

    example = "voicemailboxes next-free acme.example.com"

    @classmethod
    def add_arguments(cls, parser: CommandParser) -> None:
        parser.add_argument("named", metavar="ORGANIZATION", help=f"By {ORGANIZATION_NAMES}.")

    def run(self) -> None:
        if self.options["format"] != Format.TABLE:
            super().run()
            return
        self.command.stdout.write(str(self.record()["mailbox"]))

    def record(self) -> Record:
        organization: Organization = find_organization(self.options["named"], self.scope)
        number = services.next_free_mailbox(organization)
        if number is None:
            raise CommandError(f"Every number of {organization} above its lowest one is taken.")
        return {
            "organization_id": organization.pk,
            "domain": organization.domain,
            "mailbox": number,
        }


VERBS = (Add, Show, List, Edit, Enable, Disable, Delete, Restore, ResetPin, NextFree)
