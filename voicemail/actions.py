"""The voicemail section of the Web API (docs/voicemail.md)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, ClassVar

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError
from django.db.models import QuerySet, Subquery

from accounts.actions import (
    ListedAccount,
    ListedOrganization,
    ListingAction,
    OrganizationIdentifier,
    WritingAction,
)
from accounts.at_once import Attempt, Deletion, Insertion, Update
from accounts.integrity import violated_constraint
from accounts.models import Organization, Role, User
from accounts.pages import ScopedPages
from accounts.references import ScopedReference
from accounts.scoping import ScopedStatement
from accounts.validators import DOMAIN_MAX_LENGTH
from voicemail.apps import SAME_ACCOUNT
from voicemail.models import (
    MailboxTally,
    NotifyEmail,
    NotifyPager,
    Timezone,
    Voicemailbox,
    errors_of_their_own,
    fits_any_box,
)
from voicemail.services import (
    add_voicemailbox,
    complete_voicemailbox,
    delete_voicemailbox,
    edit_voicemailbox,
)
from voicemail.tally import total_of
from voicemail.validators import MAILBOX_MAX
from voicemail_site.statements import Param
from voicemail_site.webapi.action import Action
from voicemail_site.webapi.elements import Element, Fixed, Group, Member, Tree
from voicemail_site.webapi.errors import ActionError, Code, RequestError
from voicemail_site.webapi.paging import Collection
from voicemail_site.webapi.parameters import (
    ActionParameters,
    Boolean,
    Choice,
    CopyOf,
    Identifier,
    Integer,
    OrderBy,
    PageParameters,
    Text,
)
from voicemail_site.webapi.records import Records, WireRecord
from voicemail_site.webapi.registry import register

VoicemailboxElement = Element(
    "Voicemailbox",
    Member("VoicemailboxId", "id"),
    Member("OrganizationId", "organization_id"),
    Member("AccountId", "account_id"),
    Member("Status", "status"),
    Member("Mailbox", "mailbox"),
    Member("Password", "password"),
    Member("Fullname", "fullname"),
    Member("Timezone", "timezone"),
    Member("SayCallerId", "say_caller_id"),
    Member("SayDuration", "say_duration"),
    Member("SayDatetime", "say_datetime"),
    Member("NotifyEmail", "notify_email"),
    Member("NotifyPager", "notify_pager"),
    Member("Email", "email"),
    Member("Pager", "pager"),
    Member("Mwi", "mwi"),
    Group(
        "TransferAddress",
        Fixed("Address"),
        Fixed("Username"),
        Fixed("Domain"),
        Fixed("Type"),
        Fixed("Name"),
    ),
    Member("Created", "created"),
    Member("Modified", "modified"),
    Group("Address", Member("Username", "username"), Member("Domain", "organization__domain")),
)

Voicemailboxes = Collection("Voicemailboxes", VoicemailboxElement)


_ACCOUNT_ID = Param.of(Voicemailbox, "account", "account_id")
_ORGANIZATION_ID = Param.of(Voicemailbox, "organization", "organization_id")


def _of_account(model: type[Voicemailbox | MailboxTally], caller: User) -> QuerySet[Any]:
    return model.objects.visible_to(caller).filter(account=_ACCOUNT_ID)


def _of_organization(model: type[Voicemailbox | MailboxTally], caller: User) -> QuerySet[Any]:
    """Give the caller's rows of an organization; every index of them begins with their account."""
    rows = model.objects.visible_to(caller).filter(organization=_ORGANIZATION_ID)
    if not caller.is_system_admin:  # The account is the caller's.
        return rows
    organizations = Organization.objects.visible_to(caller).filter(pk=_ORGANIZATION_ID)
    return rows.filter(account=Subquery(organizations.values("account")))


_OF_ACCOUNT = ScopedPages(
    VoicemailboxElement,
    lambda caller: _of_account(Voicemailbox, caller),
    number=lambda caller: total_of(_of_account(MailboxTally, caller)),
)
_OF_ORGANIZATION = ScopedPages(
    VoicemailboxElement,
    lambda caller: _of_organization(Voicemailbox, caller),
    number=lambda caller: total_of(_of_organization(MailboxTally, caller)),
)


def _field(name: str) -> Any:
    return Voicemailbox._meta.get_field(name)


def _help(name: str) -> str:
    return str(_field(name).help_text)


def _text(name: str, **kwargs: Any) -> Text:
    return Text.of(_field(name), **kwargs)


def _mailbox(**kwargs: Any) -> Integer:
    return Integer(
        minimum=1,
        maximum=MAILBOX_MAX,
        taken=Code.MAILBOX_UNAVAILABLE,
        help_text=_help("mailbox"),
        **kwargs,
    )


def _flag(name: str, **kwargs: Any) -> Boolean:
    return Boolean(help_text=_help(name), **kwargs)


def _notify(name: str, choices: Iterable[str], **kwargs: Any) -> Choice:
    """Declare a kind of notification; the provider's documents print ``false`` for ``no``."""
    return Choice(choices, aliases={"false": "no"}, help_text=_help(name), **kwargs)


def _timezone(**kwargs: Any) -> Choice:
    return Choice(Timezone.values, help_text=_help("timezone"), **kwargs)


_ID = Param.of(Voicemailbox, "id")


def _records(caller: User) -> QuerySet[Any, Any]:
    boxes = Voicemailbox.objects.visible_to(caller).order_by()
    return boxes.values_list(WireRecord(VoicemailboxElement))


_RECORD = ScopedStatement(lambda caller: _records(caller).filter(pk=_ID))
_RECORDS = ScopedStatement(_records)


def _locked(caller: User) -> QuerySet[Any]:
    """Give a box, held until the end, with what its record tells of its organization."""
    own = [field.name for field in Voicemailbox._meta.concrete_fields]
    boxes = Voicemailbox.objects.visible_to(caller).filter(pk=_ID)
    whole = boxes.select_related("organization").only(*own, "organization__domain")
    return whole.select_for_update(of=("self",))


class VoicemailboxIdentifier(ScopedReference, Identifier):
    """A voicemail box of an account that the caller administers, as a row of its element."""

    statement = _RECORD
    target = "record"
    missing = Code.VOICEMAILBOX_UNRECOGNIZED


class ChangedVoicemailboxIdentifier(ScopedReference, Identifier):
    """A voicemail box that will be changed."""

    statement = ScopedStatement(_locked)
    is_held = True
    target = "voicemailbox"
    missing = Code.VOICEMAILBOX_UNRECOGNIZED


class FilledOrganization(OrganizationIdentifier):
    """An organization that gets a box, with what a box and its record tell of it."""

    statement = ScopedStatement(
        lambda caller: (
            Organization.objects.visible_to(caller)
            .filter(pk=Param.of(Organization, "id"))
            .only("account", "domain")
        )
    )


# What a client may set; account, organization, status and times are not a client's to give.
SETTABLE = frozenset(
    {"username", "mailbox", "password", "fullname", "timezone"}
    | {"say_caller_id", "say_duration", "say_datetime"}
    | {"notify_email", "email", "notify_pager", "pager", "mwi"}
)


def _settable(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name in SETTABLE}


def _told(rows: Sequence[Any]) -> Tree:
    return {"Voicemailbox": Records(VoicemailboxElement, rows)}


# What is written at once (accounts.at_once).


def _keys(caller: User) -> QuerySet[Any, Any]:
    return Voicemailbox.objects.visible_to(caller).order_by().values_list("id")


_KEY = ScopedStatement(lambda caller: _keys(caller).filter(pk=_ID))
_ADDITION = Insertion(
    Voicemailbox,
    found=ScopedStatement(
        lambda caller: (
            Organization.objects.visible_to(caller)
            .filter(pk=Param.of(Organization, "id"), domain=Param.of(Organization, "domain"))
            .order_by()
            .values_list("account_id", "id")
        )
    ),
    copied={"account_id": "account_id", "organization_id": "id"},
    told=_RECORDS,
)
_DELETION = Deletion(Voicemailbox, found=_KEY, told=ScopedStatement(_keys))


@lru_cache(maxsize=128)
def _edit(names: tuple[str, ...]) -> Update:
    return Update(Voicemailbox, names, found=_KEY, told=_RECORDS)


def _report(
    parameters: type[ActionParameters], errors: dict[str, ValidationError], failed: frozenset[str]
) -> list[RequestError]:
    """Report a box's errors, but none that follows from a parameter that is wrong by itself."""
    told = errors_of_their_own(errors, failed)
    return parameters.request_errors(ValidationError(told)) if told else []


@register
class VoicemailboxAdd(WritingAction):
    """Add a voicemail box to an Organization; its PIN is generated and returned."""

    requires: ClassVar[str] = Role.ACCOUNT_ADMIN

    class Parameters(ActionParameters):
        organization_id = FilledOrganization(help_text="A unique Organization.")
        username = _text("username", invalid=Code.ADDRESS_INVALID, taken=Code.ADDRESS_UNAVAILABLE)
        domain = Text(
            max_length=DOMAIN_MAX_LENGTH, help_text="The Organization's own domain, in any case."
        )
        mailbox = _mailbox()
        fullname = _text("fullname", trim=True)
        name = CopyOf("username", help_text="Ignored; equal to Username.")
        timezone = _timezone(default=Timezone.EASTERN)
        say_caller_id = _flag("say_caller_id", default="false")
        say_duration = _flag("say_duration", default="false")
        say_datetime = _flag("say_datetime", default="false")
        notify_email = _notify("notify_email", NotifyEmail.values, default=NotifyEmail.NO)
        email = _text("email", invalid=Code.EMAIL_INVALID, required=False)
        notify_pager = _notify("notify_pager", NotifyPager.values, default=NotifyPager.NO)
        pager = _text("pager", invalid=Code.EMAIL_INVALID, required=False)
        mwi = _text("mwi", invalid=Code.ADDRESS_INVALID, required=False)

    @classmethod
    def at_once(cls, values: Mapping[str, Any]) -> Attempt | None:
        box = Voicemailbox(**_settable(values))
        if box.notification_errors():
            return None
        complete_voicemailbox(box)
        place = {"id": values["organization_id"], "domain": values["domain"]}
        return Attempt(_ADDITION, _ADDITION.values_of(box) | place, _told)

    def check(
        self, caller: User, values: Mapping[str, Any], failed: frozenset[str]
    ) -> Iterable[RequestError]:
        organization = values.get("organization")
        self.voicemailbox = Voicemailbox(organization=organization, **_settable(values))
        errors = self.voicemailbox.notification_errors()
        if organization is not None:
            errors |= self.voicemailbox.taken_errors(exclude=failed)
            if "domain" in values and values["domain"].lower() != organization.domain:
                yield RequestError("Domain", Code.DOMAIN_UNRECOGNIZED)
        yield from _report(self.Parameters, errors, failed)

    def run(self, caller: User, values: Mapping[str, Any]) -> Tree:
        try:
            voicemailbox = add_voicemailbox(self.voicemailbox)
        except IntegrityError as exc:
            if violated_constraint(exc, Voicemailbox) != SAME_ACCOUNT.name:
                raise
            # The organization was deleted after it had been looked up.
            raise ActionError(Code.ORGANIZATION_AUTHORIZATION) from exc
        return {"Voicemailbox": Records.of(VoicemailboxElement, voicemailbox)}


@register
class VoicemailboxRead(Action):
    """Return a voicemail box, its PIN included."""

    requires: ClassVar[str] = Role.ACCOUNT_ADMIN

    class Parameters(ActionParameters):
        voicemailbox_id = VoicemailboxIdentifier(help_text="A unique Voicemailbox.")

    def run(self, caller: User, values: Mapping[str, Any]) -> Tree:
        return {"Voicemailbox": Records(VoicemailboxElement, [values["record"]])}


@register
class VoicemailboxBrowse(ListingAction):
    """List the voicemail boxes of one Account or of one Organization."""

    requires: ClassVar[str] = Role.ACCOUNT_ADMIN
    collection = Voicemailboxes
    lists: ClassVar = {"account_id": _OF_ACCOUNT, "organization_id": _OF_ORGANIZATION}

    class Parameters(PageParameters):
        account_id = ListedAccount(required=False, help_text="A unique Account.")
        organization_id = ListedOrganization(required=False, help_text="A unique Organization.")
        order_by = OrderBy(
            {
                "VoicemailboxId": ("id",),
                "OrganizationId": ("organization_id", "id"),
                "Mailbox": ("mailbox", "id"),
            },
            help_text="The order of the list; VoicemailboxId unless it is sent.",
        )

        one_and_only_one_of = ("account_id", "organization_id")


@register
class VoicemailboxEdit(WritingAction):
    """Change what is sent of a voicemail box; all of it, or nothing where one value is wrong."""

    requires: ClassVar[str] = Role.ACCOUNT_ADMIN

    class Parameters(ActionParameters):
        voicemailbox_id = ChangedVoicemailboxIdentifier(help_text="A unique Voicemailbox.")
        mailbox = _mailbox(required=False)
        password = _text("password", required=False)
        fullname = _text("fullname", trim=True, required=False)
        timezone = _timezone(required=False)
        say_caller_id = _flag("say_caller_id", required=False)
        say_duration = _flag("say_duration", required=False)
        say_datetime = _flag("say_datetime", required=False)
        notify_email = _notify("notify_email", NotifyEmail.values, required=False)
        email = _text("email", invalid=Code.EMAIL_INVALID, clearable=True, required=False)
        notify_pager = _notify("notify_pager", NotifyPager.values, required=False)
        pager = _text("pager", invalid=Code.EMAIL_INVALID, clearable=True, required=False)
        mwi = _text("mwi", invalid=Code.ADDRESS_INVALID, clearable=True, required=False)

        empty_is_absent = False

    @classmethod
    def at_once(cls, values: Mapping[str, Any]) -> Attempt | None:
        sent = _settable(values)
        if not sent or not fits_any_box(sent):
            return None
        key = {"id": values["voicemailbox_id"]}
        return Attempt(_edit(tuple(sent)), Update.values_of(sent) | key, _told)

    def check(
        self, caller: User, values: Mapping[str, Any], failed: frozenset[str]
    ) -> Iterable[RequestError]:
        voicemailbox: Voicemailbox | None = values.get("voicemailbox")
        if voicemailbox is None:
            return ()
        for name, value in _settable(values).items():
            setattr(voicemailbox, name, value)
        exclude = failed | {"username"}
        if voicemailbox.mailbox == voicemailbox.loaded("mailbox"):
            exclude |= {"mailbox"}
        errors = (
            voicemailbox.notification_errors()
            | voicemailbox.pin_errors()
            | voicemailbox.taken_errors(exclude)
        )
        return _report(self.Parameters, errors, failed)

    def run(self, caller: User, values: Mapping[str, Any]) -> Tree:
        edit_voicemailbox(values["voicemailbox"])
        return {"Voicemailbox": Records.of(VoicemailboxElement, values["voicemailbox"])}


@register
class VoicemailboxDelete(WritingAction):
    """Delete a voicemail box; its number and its address are free at once."""

    requires: ClassVar[str] = Role.ACCOUNT_ADMIN

    class Parameters(ActionParameters):
        voicemailbox_id = ChangedVoicemailboxIdentifier(help_text="A unique Voicemailbox.")

    @classmethod
    def at_once(cls, values: Mapping[str, Any]) -> Attempt | None:
        if settings.SPOOL_ORDERS:
            return None
        return Attempt(_DELETION, {"id": values["voicemailbox_id"]}, lambda _: "")

    def run(self, caller: User, values: Mapping[str, Any]) -> Tree:
        delete_voicemailbox(values["voicemailbox"])
        return ""
