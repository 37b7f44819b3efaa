"""What is looked at before what (docs/protocol.md, Order of checks).

Each request here is wrong in more than one way; the answer tells which check came first. Who may
reach what is the matter of tests/architecture.
"""

from __future__ import annotations

from unittest.mock import patch

import pytest

from accounts.models import Account, Organization, Role
from tests.api import ApiClient
from tests.factories import make_voicemailbox
from voicemail.models import Voicemailbox
from voicemail_site.webapi.registry import actions

NOT_GRANTED = "Permission to perform the requested action has not been granted."

NEEDING_A_SESSION = sorted(name for name, action in actions().items() if action.requires)
FOR_ADMINS = sorted(
    name for name, action in actions().items() if action.requires == Role.ACCOUNT_ADMIN
)

# Each is wrong for some action, and the last one for every action.
JUNK = {"AccountId": "x", "OrganizationId": "0", "VoicemailboxId": "-1", "Mailbox": "x"}
JUNK |= {"Limit": "1e3", "Offset": "-1", "OrderBy": "x", "CalcFound": "x", "Timezone": "x"}
JUNK |= {"Username": ".", "Domain": "d" * 80, "Fullname": "", "Email": "x", "Password": "x"}
JUNK |= {"Remark": "\x01"}


# Step 0: the body.


@pytest.mark.parametrize("action", ["Unknown", "SessionDestroy", "Echo", ""])
def test_a_body_that_can_not_be_read_comes_before_the_action_and_the_session(
    api: ApiClient, action: str
) -> None:
    query = f"Action={action}&Output=json&Callback=a+b&a=%01".encode()
    reply = api.send_bytes(b"{", query=query, content_type="application/json")
    assert reply.errors == [("Body", "Value.Invalid")]


def test_beside_a_body_that_can_not_be_read_a_live_session_is_reported(
    as_alice: ApiClient,
) -> None:
    query = f"SessionId={as_alice.session_id}".encode()
    reply = as_alice.send_bytes(b"{", query=query, content_type="application/json")
    assert reply.errors == [("Body", "Value.Invalid")]
    assert reply.context["Session"]["SessionId"] == as_alice.session_id


# Step 1: the action.


@pytest.mark.parametrize(
    ("action", "code", "message"),
    [
        (None, "Value.Required", "This value is required."),
        ("", "Value.Required", "This value is required."),
        ("Unknown", "Action.Unrecognized", "This action is not recognized by the system."),
        ("noop", "Action.Unrecognized", "This action is not recognized by the system."),
        ("Action", "Action.Unrecognized", "This action is not recognized by the system."),
        ("__class__", "Action.Unrecognized", "This action is not recognized by the system."),
        ("A" * 1000, "Action.Unrecognized", "This action is not recognized by the system."),
    ],
)
def test_an_action_that_is_none_is_the_only_error(
    api: ApiClient, action: str | None, code: str, message: str
) -> None:
    sent = JUNK | {"SessionId": "x", "Output": "json", "Callback": "a b"}
    reply = api.send(sent if action is None else sent | {"Action": action})
    assert reply.errors == [("Action", code)]
    assert reply.messages == [message]


@pytest.mark.parametrize("body", [b"Action[]=NoOp", b"Action[NoOp]=NoOp"])
def test_an_action_that_is_a_list_or_a_map_is_none(api: ApiClient, body: bytes) -> None:
    assert api.send_bytes(body).errors == [("Action", "Action.Unrecognized")]


def test_beside_an_unknown_action_a_live_session_is_reported(as_alice: ApiClient) -> None:
    reply = as_alice.call("Unknown")
    assert reply.context["Session"]["SessionId"] == as_alice.session_id


def test_an_unknown_action_echoes_no_defaults(as_alice: ApiClient) -> None:
    assert [name for name, _ in as_alice.call("VoicemailboxBrowse2").echo] == [
        "Action",
        "SessionId",
    ]


# Step 2: the session.


@pytest.mark.parametrize("action", NEEDING_A_SESSION)
@pytest.mark.parametrize("session", [None, "", "x" * 32])
def test_a_refused_session_is_the_only_error(
    api: ApiClient, db: None, action: str, session: str | None
) -> None:
    sent = JUNK | ({} if session is None else {"SessionId": session})
    reply = api.call(action, **sent)
    assert reply.errors == [("SessionId", "Session.Authentication")]
    assert reply.messages == ["An authenticated session is required for this request."]
    assert not reply.is_valid


@pytest.mark.parametrize("action", NEEDING_A_SESSION)
def test_a_refused_session_echoes_no_defaults(api: ApiClient, action: str) -> None:
    assert api.call(action).echo == [("Action", action)]


def test_a_session_id_that_is_a_list_is_no_session(as_alice: ApiClient) -> None:
    reply = as_alice.send({"Action": "SessionDestroy", "SessionId[]": as_alice.session_id})
    assert reply.errors == [("SessionId", "Session.Authentication")]


# Step 3: the role.


@pytest.mark.parametrize("action", FOR_ADMINS)
def test_a_role_that_may_not_is_refused_before_any_parameter_is_looked_at(
    as_bob: ApiClient, action: str
) -> None:
    reply = as_bob.call(action, **JUNK)
    assert reply.errors == [("AccountAuthorization.Required",)]
    assert reply.messages == [NOT_GRANTED]
    assert reply.is_valid
    assert not reply.is_completed


def test_a_role_that_may_not_is_told_nothing_of_its_own_account(
    as_bob: ApiClient, organization: Organization
) -> None:
    box = make_voicemailbox(organization)
    reply = as_bob.call("VoicemailboxDelete", VoicemailboxId=box.pk)
    assert reply.errors == [("AccountAuthorization.Required",)]
    assert Voicemailbox.unscoped.filter(pk=box.pk).exists()


# Step 4: every parameter at once.


@pytest.mark.parametrize("action", FOR_ADMINS)
def test_every_wrong_parameter_of_an_action_is_reported_and_no_error_of_the_action(
    as_alice: ApiClient, action: str
) -> None:
    declared = {field.wire_name for field in actions()[action].Parameters.declared().values()}
    reply = as_alice.call(action, **JUNK)
    assert {error[0] for error in reply.errors} == declared & JUNK.keys() | {"Remark"}
    assert not reply.is_valid


@pytest.mark.parametrize("action", ["Echo", "NoOp"])
def test_an_action_without_parameters_refuses_what_xml_can_not_carry(
    api: ApiClient, action: str
) -> None:
    assert api.call(action, **JUNK).errors == [("Remark", "Value.Invalid")]


def test_a_wrong_parameter_keeps_a_session_from_being_destroyed(as_alice: ApiClient) -> None:
    assert as_alice.call("SessionDestroy", **JUNK).errors == [("Remark", "Value.Invalid")]
    assert as_alice.call("NoOp").context["Session"]["IsEstablished"] == "true"


def test_a_foreign_box_is_reported_beside_the_other_errors(
    as_alice: ApiClient, other_organization: Organization
) -> None:
    box = make_voicemailbox(other_organization)
    reply = as_alice.call(
        "VoicemailboxEdit", VoicemailboxId=box.pk, SayDuration="x", Timezone="x", Remark="\x01"
    )
    assert sorted(reply.errors) == [
        ("Remark", "Value.Invalid"),
        ("SayDuration", "Boolean.Invalid"),
        ("Timezone", "Value.Unrecognized"),
        ("VoicemailboxId", "Voicemailbox.Unrecognized"),
    ]


@pytest.mark.parametrize("organization_id", ["foreign", "999999999", "x", ""])
def test_domain_mailbox_and_address_are_judged_only_in_a_visible_organization(
    as_alice: ApiClient, other_organization: Organization, organization_id: str
) -> None:
    taken = make_voicemailbox(other_organization)
    if organization_id == "foreign":
        organization_id = str(other_organization.pk)
    reply = as_alice.call(
        "VoicemailboxAdd",
        OrganizationId=organization_id,
        Domain="nowhere.example.com",
        Username=taken.username,
        Mailbox=taken.mailbox,
        Fullname="Joe",
        SayDuration="x",
    )
    beside = [error for error in reply.errors if error[0] != "OrganizationId"]
    assert beside == [("SayDuration", "Boolean.Invalid")]


def test_what_follows_from_a_wrong_parameter_is_not_reported(
    as_alice: ApiClient, organization: Organization
) -> None:
    box = make_voicemailbox(organization)
    reply = as_alice.call(
        "VoicemailboxEdit", VoicemailboxId=box.pk, NotifyEmail="x", NotifyPager="x"
    )
    assert sorted(reply.errors) == [
        ("NotifyEmail", "Value.Unrecognized"),
        ("NotifyPager", "Value.Unrecognized"),
    ]


# Step 5: accounts and organizations.


def test_a_foreign_account_is_reported_once_the_parameters_are_right(
    as_alice: ApiClient, other_account: Account
) -> None:
    wrong = as_alice.call("VoicemailboxBrowse", AccountId=other_account.pk, Limit="x")
    assert wrong.errors == [("Limit", "Integer.Invalid")]
    right = as_alice.call("VoicemailboxBrowse", AccountId=other_account.pk, Limit="1")
    assert right.errors == [("AccountAuthorization.Required",)]
    assert right.is_valid


def test_two_foreign_objects_that_exclude_each_other_are_an_error_of_the_request(
    as_alice: ApiClient, other_organization: Organization
) -> None:
    reply = as_alice.call(
        "VoicemailboxBrowse",
        AccountId=other_organization.account_id,
        OrganizationId=other_organization.pk,
    )
    assert reply.errors == [("OrganizationId", "Value.Exclusive")]


def test_beside_an_error_of_the_action_the_defaults_are_echoed(
    as_alice: ApiClient, other_account: Account
) -> None:
    reply = as_alice.call("VoicemailboxBrowse", AccountId=other_account.pk)
    assert reply.echo[3:] == [("Limit", "20"), ("Offset", "0"), ("CalcFound", "true")]


# Step 6: the work.


@pytest.mark.parametrize(
    ("taken", "error", "message"),
    [
        (
            {"mailbox": 7011},
            ("Mailbox", "Mailbox.Unavailable"),
            "This mailbox is already in use in this organization.",
        ),
        (
            {"username": "joe.vm"},
            ("Username", "Address.Unavailable"),
            "This address is already in use, is reserved, or is otherwise unavailable for use.",
        ),
    ],
)
def test_what_a_race_took_is_reported_as_what_was_taken_before(
    as_alice: ApiClient,
    organization: Organization,
    taken: dict[str, object],
    error: tuple[str, str],
    message: str,
) -> None:
    make_voicemailbox(organization, **taken)
    with patch("voicemail.models.Voicemailbox.taken_errors", return_value={}):
        reply = as_alice.call(
            "VoicemailboxAdd",
            OrganizationId=organization.pk,
            Domain=organization.domain,
            Username="joe.vm",
            Mailbox="7011",
            Fullname="Joe",
        )
    assert reply.errors == [error]
    assert reply.messages == [message]
    assert not reply.is_valid
    assert Voicemailbox.unscoped.count() == 1
