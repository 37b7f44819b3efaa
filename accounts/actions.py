"""Sessions, accounts and organizations on the Web API (docs/protocol.md, Actions)."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, ClassVar

from django.utils import timezone

from accounts.at_once import Attempt
from accounts.authentication import LoginRefusedError, log_in, roles_of
from accounts.history import record_change
from accounts.lockout import locked_message
from accounts.models import Account, Channel, Organization, Role, User
from accounts.pages import ScopedPages
from accounts.references import ListedReference, ScopedReference
from accounts.scoping import LookUp, ScopedStatement
from accounts.services import end_session, open_session
from accounts.validators import (
    DOMAIN_MAX_LENGTH,
    PASSWORD_MAX_LENGTH,
    USER_ADDRESS_MAX_LENGTH,
)
from voicemail_site.logs import request_id
from voicemail_site.statements import Param
from voicemail_site.webapi.action import Action, EstablishedSession
from voicemail_site.webapi.elements import Element, Fixed, Group, Member, Tree
from voicemail_site.webapi.errors import ActionError, Code, RefusedRequest, RequestError
from voicemail_site.webapi.paging import Collection
from voicemail_site.webapi.parameters import (
    ActionParameters,
    Checked,
    Identifier,
    OrderBy,
    PageParameters,
    Text,
)
from voicemail_site.webapi.records import Records
from voicemail_site.webapi.registry import register

_ACCOUNT = ScopedStatement(
    lambda caller: Account.objects.visible_to(caller).filter(pk=Param.of(Account, "id"))
)
_ORGANIZATION = ScopedStatement(
    lambda caller: Organization.objects.visible_to(caller).filter(pk=Param.of(Organization, "id"))
)
_ORGANIZATION_OF_DOMAIN = ScopedStatement(
    lambda caller: Organization.objects.visible_to(caller).filter(
        domain=Param.of(Organization, "domain")
    )
)


class AccountIdentifier(ScopedReference, Identifier):
    """An account that the caller administers."""

    statement = _ACCOUNT
    target = "account"
    missing = Code.ACCOUNT_AUTHORIZATION
    is_action_error = True


class OrganizationIdentifier(ScopedReference, Identifier):
    """An organization of an account that the caller administers."""

    statement = _ORGANIZATION
    target = "organization"
    missing = Code.ORGANIZATION_AUTHORIZATION
    is_action_error = True


class ListedAccount(ListedReference, AccountIdentifier):
    """An account whose records are listed."""


class ListedOrganization(ListedReference, OrganizationIdentifier):
    """An organization whose records are listed."""


class OrganizationDomain(ScopedReference, Text):
    """An organization that the caller administers, named by its domain."""

    statement = _ORGANIZATION_OF_DOMAIN
    argument = "domain"
    target = "organization"
    missing = Code.DOMAIN_UNRECOGNIZED


_PAGE = ("order_by", "limit", "offset", "calc_found")


class ListingAction(Action):
    """An action that lists what an account or an organization has.

    ``lists`` has the pages for each parameter that may tell whose list it is; their statement takes
    its value by the same name.
    """

    collection: ClassVar[Collection]
    lists: ClassVar[Mapping[str, ScopedPages]]

    @classmethod
    def first_look_up(cls, checked: Checked) -> LookUp | None:
        if checked.errors:
            return None
        owner, asked = cls._asked(checked.values)
        return cls.lists[owner].as_look_up(**asked)

    def run(self, caller: User, values: Mapping[str, Any]) -> Tree:
        owner, asked = self._asked(values)
        page = self.lists[owner].read(caller, **asked)
        if not page.records:
            self._require(caller, owner, values[owner])
        return {self.collection.name: self.collection.tree(page)}

    @classmethod
    def _asked(cls, values: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Give whose list it is, and what is asked for."""
        owner = next(name for name in cls.lists if name in values)
        return owner, {name: values[name] for name in (*_PAGE, owner)}

    def _require(self, caller: User, owner: str, value: Any) -> None:
        reference: Any = self.Parameters.declared()[owner]
        if reference.find(caller, value) is None:
            raise ActionError(reference.missing)


class WritingAction(Action):
    """An action whose look-ups, checks and work are one Change, in one transaction.

    It may be able to do all of that ``at_once``, if no parameter has an error.
    """

    @classmethod
    def attempt(cls, checked: Checked) -> Attempt | None:
        return None if checked.errors else cls.at_once(checked.values)

    @classmethod
    def at_once(cls, values: Mapping[str, Any]) -> Attempt | None:  # noqa: ARG003  # for those that can
        """Give what one statement can write, if there is such a one and no rule can be broken."""
        return None

    def transaction(self, caller: User) -> AbstractContextManager[None]:
        return record_change(by=caller, channel=Channel.API, request_id=request_id.get())


def _contact() -> Group:
    return Group(
        "Contact",
        Member("Name", "contact_name"),
        Member("Organization", "contact_organization"),
        Member("Address", "contact_address"),
        Member("City", "contact_city"),
        Member("State", "contact_state"),
        Member("Zipcode", "contact_zipcode"),
        Member("Country", "contact_country"),
        Member("CountryId", "contact_country_id"),
        Member("Phone", "contact_phone"),
        Member("Email", "contact_email"),
        Member("Modified", "contact_modified"),
    )


AccountElement = Element(
    "Account",
    Member("AccountId", "id"),
    Member("Balance", "balance"),
    Member("CreditLimit", "credit_limit"),
    Member("Recharge", "recharge"),
    Member("RechargeLevel", "recharge_level"),
    Member("RechargeThreshold", "recharge_threshold"),
    Member("Modified", "modified"),
    Member("Created", "created"),
    _contact(),
)

OrganizationElement = Element(
    "Organization",
    Member("OrganizationId", "id"),
    Member("AccountId", "account_id"),
    Fixed("Service", "hosted"),
    Member("Domain", "domain"),
    Member("CallerId", "caller_id"),
    Member("CallerIdName", "caller_id_name"),
    Member("CallerIdNumber", "caller_id_number"),
    Member("Status", "status"),
    Member("ExtendedDialing", "extended_dialing"),
    Member("E911Provisioning", "e911_provisioning"),
    Member("Modified", "modified"),
    Member("Created", "created"),
    _contact(),
)

Organizations = Collection("Organizations", OrganizationElement)
_ORGANIZATIONS = ScopedPages(
    OrganizationElement,
    lambda caller: Organization.objects.visible_to(caller).filter(
        account=Param.of(Organization, "account", "account_id")
    ),
)


@register
class SessionCreate(Action):
    """Log in and open a session; its SessionId stands in the Context's Session."""

    class Parameters(ActionParameters):
        username = Text(
            max_length=USER_ADDRESS_MAX_LENGTH,
            help_text="The user's authentication name, or user@domain; in any case.",
        )
        password = Text(max_length=PASSWORD_MAX_LENGTH, help_text="The user's password.")

    def run(self, caller: None, values: Mapping[str, Any]) -> Tree:
        request = self.request._request
        try:
            user = log_in(request, username=values["username"], password=values["password"])
        except LoginRefusedError as exc:
            raise RefusedRequest([_login_error(exc)], is_valid=True) from exc
        session_id, _ = open_session(
            user,
            now=timezone.now(),
            client_address=request.META.get("REMOTE_ADDR"),
            user_agent=request.META.get("HTTP_USER_AGENT", ""),
        )
        self.session = EstablishedSession(session_id, user.pk, roles_of(user))
        return ""


def _login_error(refused: LoginRefusedError) -> RequestError:
    if not refused.is_locked:
        return RequestError("Action", Code.LOGIN_FAILED)
    return RequestError("Action", Code.LOGIN_LOCKED, locked_message())


@register
class SessionDestroy(Action):
    """End the session that is sent, and no other one."""

    requires: ClassVar[str] = Role.USER

    def run(self, caller: User, values: Mapping[str, Any]) -> Tree:
        if self.session is not None:
            end_session(self.session.session_id)
        self.session = None
        return ""


@register
class AccountRead(Action):
    """Return an Account with its Contact and its stored figures."""

    requires: ClassVar[str] = Role.ACCOUNT_ADMIN

    class Parameters(ActionParameters):
        account_id = AccountIdentifier(help_text="A unique Account.")

    def run(self, caller: User, values: Mapping[str, Any]) -> Tree:
        return {"Account": Records.of(AccountElement, values["account"])}


@register
class OrganizationRead(Action):
    """Return an Organization, found by its id or by its domain."""

    requires: ClassVar[str] = Role.ACCOUNT_ADMIN

    class Parameters(ActionParameters):
        organization_id = OrganizationIdentifier(required=False, help_text="A unique Organization.")
        domain = OrganizationDomain(
            required=False,
            max_length=DOMAIN_MAX_LENGTH,
            help_text="The Organization's domain, in any case.",
        )

        one_and_only_one_of = ("organization_id", "domain")

    def run(self, caller: User, values: Mapping[str, Any]) -> Tree:
        return {"Organization": Records.of(OrganizationElement, values["organization"])}


@register
class OrganizationBrowse(ListingAction):
    """List the Organizations of an Account."""

    requires: ClassVar[str] = Role.ACCOUNT_ADMIN
    collection = Organizations
    lists: ClassVar = {"account_id": _ORGANIZATIONS}

    class Parameters(PageParameters):
        account_id = ListedAccount(help_text="A unique Account.")
        order_by = OrderBy(
            {"OrganizationId": ("id",), "Domain": ("domain",)},
            help_text="The order of the list; OrganizationId unless it is sent.",
        )
