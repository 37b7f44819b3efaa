"""Who reaches what: every action, by every role, for own, foreign and missing objects.

The matrix is generated from the registry. An action that is new, or refers to a new kind of
object, fails until CASES or KINDS tells what is expected of it (docs/protocol.md, Order of checks).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import Organization, User
from tests.api import ApiClient, Reply
from tests.factories import PASSWORD, make_voicemailbox
from voicemail_site.webapi.parameters import Boolean, Choice, Identifier, Integer, Reference
from voicemail_site.webapi.registry import actions

OWN, FOREIGN, MISSING = "own", "foreign", "missing"
NOBODY, BOB, ALICE, CHARLIE, STAFF = CALLERS = ("nobody", "bob", "alice", "charlie", "staff")

ANYBODY = frozenset(CALLERS)
LOGGED_IN = ANYBODY - {NOBODY}
ADMINS = frozenset({ALICE, CHARLIE, STAFF})

NOT_GRANTED = "Permission to perform the requested action has not been granted."


@dataclass(frozen=True)
class Tenant:
    """The objects of one account, as a client names them."""

    account_id: str
    organization_id: str
    domain: str
    voicemailbox_id: str
    mailbox: str
    username: str


@dataclass(frozen=True)
class Outcome:
    """What a request is answered by; no errors: it is completed."""

    errors: tuple[tuple[str, ...], ...] = ()
    messages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Kind:
    """A kind of reference: what to send, and the error of what is not the caller's."""

    value: Callable[[Tenant], str]
    code: str
    message: str
    is_action_error: bool = False
    missing: str = "999999999"

    def refused(self, parameter: str) -> Outcome:
        error = (self.code,) if self.is_action_error else (parameter, self.code)
        return Outcome((error,), (self.message,))


def _nothing(tenant: Tenant) -> dict[str, str]:
    return {}


@dataclass(frozen=True)
class Case:
    """An action: who may use it, and what else it needs to be completed for a tenant's object.

    ``probing`` is what somebody would send along who wants to learn of a foreign object.
    """

    admitted: frozenset[str]
    others: Callable[[Tenant], dict[str, str]] = _nothing
    probing: Callable[[Tenant], dict[str, str]] = _nothing


COMPLETED = Outcome()
NO_SESSION = Outcome(
    (("SessionId", "Session.Authentication"),),
    ("An authenticated session is required for this request.",),
)
ROLE_MAY_NOT = Outcome((("AccountAuthorization.Required",),), (NOT_GRANTED,))

BOX = Kind(
    lambda tenant: tenant.voicemailbox_id,
    "Voicemailbox.Unrecognized",
    "This voicemailbox is not recognized by the system.",
)
DOMAIN = Kind(
    lambda tenant: tenant.domain,
    "Domain.Unrecognized",
    "This domain is not recognized by the system.",
    missing="nowhere.example.com",
)
ACCOUNT = Kind(
    lambda tenant: tenant.account_id,
    "AccountAuthorization.Required",
    NOT_GRANTED,
    is_action_error=True,
)
ORGANIZATION = Kind(
    lambda tenant: tenant.organization_id,
    "OrganizationAuthorization.Required",
    NOT_GRANTED,
    is_action_error=True,
)
KINDS = {
    "AccountIdentifier": ACCOUNT,
    "ListedAccount": ACCOUNT,
    "OrganizationIdentifier": ORGANIZATION,
    "FilledOrganization": ORGANIZATION,
    "ListedOrganization": ORGANIZATION,
    "OrganizationDomain": DOMAIN,
    "VoicemailboxIdentifier": BOX,
    "ChangedVoicemailboxIdentifier": BOX,
}


def _login(tenant: Tenant) -> dict[str, str]:
    return {"Username": "alice", "Password": PASSWORD}


def _another_name(tenant: Tenant) -> dict[str, str]:
    return {"Fullname": "Another Name"}


def _taken_number(tenant: Tenant) -> dict[str, str]:
    return {"Mailbox": tenant.mailbox, "NotifyEmail": "yes", "Password": "4711"}


def _new_box(tenant: Tenant) -> dict[str, str]:
    return {
        "Domain": tenant.domain,
        "Username": "new.box",
        "Mailbox": "8000",
        "Fullname": "New Box",
    }


def _taken_box(tenant: Tenant) -> dict[str, str]:
    return _new_box(tenant) | {"Mailbox": tenant.mailbox, "Username": tenant.username}


CASES = {
    "Echo": Case(ANYBODY),
    "NoOp": Case(ANYBODY),
    "SessionCreate": Case(ANYBODY, _login),
    "SessionDestroy": Case(LOGGED_IN),
    "AccountRead": Case(ADMINS),
    "OrganizationRead": Case(ADMINS),
    "OrganizationBrowse": Case(ADMINS),
    "VoicemailboxAdd": Case(ADMINS, _new_box, _taken_box),
    "VoicemailboxRead": Case(ADMINS),
    "VoicemailboxBrowse": Case(ADMINS),
    "VoicemailboxEdit": Case(ADMINS, _another_name, _taken_number),
    "VoicemailboxDelete": Case(ADMINS),
}


def references(action: str) -> dict[str, str]:
    """Give the parameters of an action that refer to objects, with their kinds."""
    declared = actions()[action].Parameters.declared().values()
    return {
        field.wire_name: type(field).__name__ for field in declared if isinstance(field, Reference)
    }


def every_case() -> Iterator[tuple[str, str, str, str]]:
    """Give (action, parameter, caller, relation); without a reference there is one relation."""
    for action in sorted(CASES.keys() & actions().keys()):
        named = [name for name, kind in references(action).items() if kind in KINDS]
        relations = (OWN, FOREIGN, MISSING) if named else (OWN,)
        for parameter in named or [""]:
            for caller in CALLERS:
                for relation in relations:
                    yield action, parameter, caller, relation


def every_reference() -> list[tuple[str, str, Kind]]:
    """List each action's references, and the Domain of an Add, which refers to one in effect."""
    found = [
        (action, parameter, KINDS[kind])
        for action in sorted(CASES.keys() & actions().keys())
        for parameter, kind in references(action).items()
        if kind in KINDS
    ]
    return [*found, ("VoicemailboxAdd", "Domain", DOMAIN)]


EACH_REFERENCE = pytest.mark.parametrize(
    ("action", "parameter", "kind"),
    every_reference(),
    ids=[f"{action}-{parameter}" for action, parameter, _ in every_reference()],
)


def make_tenant(organization: Organization, number: int, username: str) -> Tenant:
    """Describe a tenant with two boxes: one to refer to, one whose number and address are taken."""
    box = make_voicemailbox(organization)
    make_voicemailbox(organization, mailbox=number, username=username)
    return Tenant(
        account_id=str(organization.account_id),
        organization_id=str(organization.pk),
        domain=organization.domain,
        voicemailbox_id=str(box.pk),
        mailbox=str(number),
        username=username,
    )


@pytest.fixture
def acme(organization: Organization, alice: User) -> Tenant:
    return make_tenant(organization, 7011, "joe.vm")


@pytest.fixture
def globex(other_organization: Organization, charlie: User) -> Tenant:
    return make_tenant(other_organization, 7022, "jane.vm")


def client_of(caller: str, request: pytest.FixtureRequest) -> ApiClient:
    client: ApiClient = request.getfixturevalue("api" if caller == NOBODY else f"as_{caller}")
    return client


def stored() -> dict[str, list[dict[str, Any]]]:
    """Give every row of every table of ours, history included."""
    models = (
        model
        for label in ("accounts", "voicemail")
        for model in apps.get_app_config(label).get_models()
    )
    return {
        model._meta.label: list(model._base_manager.order_by("pk").values()) for model in models
    }


def outcome_of(reply: Reply) -> Outcome:
    assert reply.is_completed == (not reply.errors)
    return Outcome(tuple(reply.errors), tuple(reply.messages))


def expected(case: Case, parameter: str, kind: Kind | None, caller: str, relation: str) -> Outcome:
    if caller not in case.admitted:
        return NO_SESSION if caller == NOBODY else ROLE_MAY_NOT
    if kind is None or relation == OWN or (relation == FOREIGN and caller == STAFF):
        return COMPLETED
    return kind.refused(parameter)


def test_every_action_has_a_case() -> None:
    assert actions().keys() == CASES.keys(), "Tell in CASES who may use the action, and how."


def test_every_kind_of_reference_has_a_case() -> None:
    kinds = {kind for action in actions() for kind in references(action).values()}
    assert kinds == KINDS.keys(), "Tell in KINDS what a foreign object of this kind is answered by."


@pytest.mark.parametrize("action", sorted(actions()))
def test_an_id_is_always_looked_up_among_what_the_caller_may_see(action: str) -> None:
    declared = actions()[action].Parameters.declared().values()
    loose = [field.wire_name for field in declared if isinstance(field, Identifier)]
    assert [name for name in loose if name not in references(action)] == []


@pytest.mark.parametrize(("action", "parameter", "caller", "relation"), list(every_case()))
def test_a_role_reaches_its_own_objects_and_no_others(
    request: pytest.FixtureRequest,
    acme: Tenant,
    globex: Tenant,
    action: str,
    parameter: str,
    caller: str,
    relation: str,
) -> None:
    case, kind = CASES[action], KINDS.get(references(action).get(parameter, ""))
    client = client_of(caller, request)
    own, foreign = (globex, acme) if caller == CHARLIE else (acme, globex)
    tenant = foreign if relation == FOREIGN else own
    sent = case.others(tenant)
    if kind is not None:
        sent |= {parameter: kind.missing if relation == MISSING else kind.value(tenant)}
    before = stored()

    outcome = outcome_of(client.call(action, **sent))

    assert outcome == expected(case, parameter, kind, caller, relation)
    if outcome != COMPLETED:
        assert stored() == before


@pytest.mark.parametrize("action", ["VoicemailboxEdit", "VoicemailboxDelete"])
@pytest.mark.parametrize("value", [FOREIGN, MISSING])
def test_a_foreign_or_missing_box_is_the_only_error_whatever_is_sent_with_it(
    as_alice: ApiClient, acme: Tenant, globex: Tenant, action: str, value: str
) -> None:
    sent = {"Mailbox": globex.mailbox, "NotifyEmail": "yes", "NotifyPager": "yes"}
    sent["VoicemailboxId"] = globex.voicemailbox_id if value == FOREIGN else BOX.missing
    assert outcome_of(as_alice.call(action, **sent)) == BOX.refused("VoicemailboxId")


def test_a_mailbox_and_an_address_that_another_tenant_has_are_free(
    as_alice: ApiClient, acme: Tenant, globex: Tenant
) -> None:
    sent = {"Mailbox": globex.mailbox, "Username": globex.username}
    reply = as_alice.call(
        "VoicemailboxAdd", OrganizationId=acme.organization_id, **_new_box(acme) | sent
    )
    assert outcome_of(reply) == COMPLETED


def test_a_foreign_organization_is_judged_by_nothing_that_it_holds(
    as_alice: ApiClient, acme: Tenant, globex: Tenant
) -> None:
    reply = as_alice.call(
        "VoicemailboxAdd", OrganizationId=globex.organization_id, **_taken_box(globex)
    )
    assert outcome_of(reply) == ORGANIZATION.refused("OrganizationId")


def test_staff_add_no_box_with_the_domain_of_another_organization(
    as_staff: ApiClient, acme: Tenant, globex: Tenant
) -> None:
    before = stored()
    sent = _new_box(acme) | {"Domain": globex.domain}
    reply = as_staff.call("VoicemailboxAdd", OrganizationId=acme.organization_id, **sent)
    assert outcome_of(reply) == DOMAIN.refused("Domain")
    assert stored() == before


# A foreign object and one that does not exist are answered alike, byte for byte.


def masked(reply: Reply, parameter: str, value: str) -> str:
    """Give an answer without what may differ: its times, and the echo of one parameter."""
    text = reply.content.decode()
    echoes = (
        f"<Name>{parameter}</Name><Value>{value}</Value>",
        f'{{"Name":"{parameter}","Value":"{value}"}}',
    )
    assert sum(text.count(echo) for echo in echoes) == 1
    for echo in echoes:
        text = text.replace(echo, "the echo")
    for name in ("DateTime", "Duration"):
        text, count = re.subn(rf'<{name}>[^<]*</{name}>|"{name}":"[^"]*"', name, text)
        assert count == 1
    return text


def headers(reply: Reply) -> dict[str, str]:
    """Give the headers without the request's own number, and the length, which the echo decides."""
    varying = {"X-Request-ID", "Content-Length"}
    return {name: value for name, value in reply.http.headers.items() if name not in varying}


def malformed(action: str) -> dict[str, str]:
    """Give a wrong value to every parameter that has a closed form, and to one that has none."""
    declared = actions()[action].Parameters.declared().values()
    closed = [each for each in declared if isinstance(each, Integer | Boolean | Choice)]
    return {"Remark": "\x01"} | {each.wire_name: "?" for each in closed}


def sent_beside(
    how: str, action: str, parameter: str, own: Tenant, foreign: Tenant
) -> dict[str, str]:
    """Give what is sent beside a reference.

    ``fitting`` fits the caller's own objects, ``probing`` would tell of the foreign ones, and
    ``malformed`` is wrong by itself.
    """
    case = CASES[action]
    if (action, parameter) == ("VoicemailboxAdd", "Domain"):
        sent = case.others(own) | {"OrganizationId": own.organization_id}
    elif how == "fitting":
        sent = case.others(own)
    else:
        sent = case.others(foreign) | case.probing(foreign)
    return sent | malformed(action) if how == "malformed" else sent


EACH_KIND_BESIDE = pytest.mark.parametrize("beside", ["fitting", "probing", "malformed"])


@EACH_REFERENCE
@EACH_KIND_BESIDE
@pytest.mark.parametrize("caller", [ALICE, BOB])
def test_foreign_and_missing_are_answered_by_the_same_bytes(
    request: pytest.FixtureRequest,
    acme: Tenant,
    globex: Tenant,
    action: str,
    parameter: str,
    kind: Kind,
    beside: str,
    caller: str,
) -> None:
    client = client_of(caller, request)
    sent = sent_beside(beside, action, parameter, acme, globex)
    for output in ("xml", "json"):
        foreign = client.call(action, Output=output, **sent | {parameter: kind.value(globex)})
        missing = client.call(action, Output=output, **sent | {parameter: kind.missing})
        assert not foreign.is_completed
        assert headers(foreign) == headers(missing)
        assert masked(foreign, parameter, kind.value(globex)) == masked(
            missing, parameter, kind.missing
        )


def statements(client: ApiClient, action: str, parameters: Mapping[str, str]) -> list[str]:
    """Name the statements that a request takes: SELECT, SAVEPOINT and so on."""
    with CaptureQueriesContext(connection) as captured:
        client.call(action, **parameters)
    return [query["sql"].split()[0] for query in captured.captured_queries]


@EACH_REFERENCE
@EACH_KIND_BESIDE
def test_foreign_and_missing_take_the_same_statements(
    as_alice: ApiClient,
    acme: Tenant,
    globex: Tenant,
    action: str,
    parameter: str,
    kind: Kind,
    beside: str,
) -> None:
    sent = sent_beside(beside, action, parameter, acme, globex)
    foreign = statements(as_alice, action, sent | {parameter: kind.value(globex)})
    missing = statements(as_alice, action, sent | {parameter: kind.missing})
    assert foreign == missing
