"""VoicemailboxEdit (docs/voicemail.md, Edit)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import Change, Organization
from tests.api import ApiClient
from tests.factories import make_voicemailbox
from voicemail.models import Voicemailbox


@pytest.fixture
def box(organization: Organization) -> Voicemailbox:
    box = make_voicemailbox(
        organization,
        mailbox=7011,
        username="joe",
        password="2468",
        timezone="us_pacific",
        say_caller_id=True,
        say_duration=True,
        say_datetime=True,
        notify_email="attach",
        email="joe@example.com",
        notify_pager="yes",
        pager="pager@example.com",
        mwi="joe@acme.example.com",
    )
    earlier = timezone.now() - timedelta(days=1)
    Voicemailbox.unscoped.filter(pk=box.pk).update(created=earlier, modified=earlier)
    return Voicemailbox.unscoped.get(pk=box.pk)


def values_of(box: Voicemailbox) -> dict[str, Any]:
    return dict(Voicemailbox.unscoped.values().get(pk=box.pk))


@pytest.mark.parametrize(
    ("parameter", "value", "column", "stored"),
    [
        ("Mailbox", "7012", "mailbox", 7012),
        ("Password", "0042", "password", "0042"),
        ("Fullname", " Jane Doe ", "fullname", "Jane Doe"),
        ("Timezone", "us_central", "timezone", "us_central"),
        ("SayCallerId", "False", "say_caller_id", False),
        ("SayDuration", "false", "say_duration", False),
        ("SayDatetime", "false", "say_datetime", False),
        ("NotifyEmail", "no", "notify_email", "no"),
        ("NotifyEmail", "false", "notify_email", "no"),
        ("Email", "jane@example.com", "email", "jane@example.com"),
        ("NotifyPager", "no", "notify_pager", "no"),
        ("Pager", "p2@example.com", "pager", "p2@example.com"),
        ("Mwi", "", "mwi", ""),
    ],
)
def test_an_edit_changes_what_is_sent_and_modified_and_nothing_else(  # A case.
    as_alice: ApiClient, box: Voicemailbox, parameter: str, value: str, column: str, stored: Any
) -> None:
    before = values_of(box)
    reply = as_alice.call("VoicemailboxEdit", VoicemailboxId=box.pk, **{parameter: value})
    after = values_of(box)
    assert reply.is_completed
    assert {name for name in after if after[name] != before[name]} == {column, "modified"}
    assert after[column] == stored


def test_an_edit_without_values_changes_nothing_and_leaves_no_history(
    as_alice: ApiClient, box: Voicemailbox
) -> None:
    before, changes = values_of(box), Change.unscoped.count()
    assert as_alice.call("VoicemailboxEdit", VoicemailboxId=box.pk).is_completed
    assert values_of(box) == before
    assert Change.unscoped.count() == changes


def test_an_edit_to_the_same_values_leaves_no_history(
    as_alice: ApiClient, box: Voicemailbox
) -> None:
    changes = Change.unscoped.count()
    as_alice.call("VoicemailboxEdit", VoicemailboxId=box.pk, Mailbox="7011", SayDuration="TRUE")
    assert Change.unscoped.count() == changes


def test_an_edit_is_recorded_with_the_former_and_the_new_state(
    as_alice: ApiClient, box: Voicemailbox
) -> None:
    as_alice.call("VoicemailboxEdit", VoicemailboxId=box.pk, Fullname="Jane Doe")
    rows = Voicemailbox.history.filter(id=box.pk).order_by("history_id")
    assert [(row.history_type, row.fullname) for row in rows] == [
        ("+", "Joe Smith"),
        ("~", "Jane Doe"),
    ]
    assert rows[1].change.actor == "alice"


def test_an_edit_echoes_no_defaults(as_alice: ApiClient, box: Voicemailbox) -> None:
    reply = as_alice.call("VoicemailboxEdit", VoicemailboxId=box.pk)
    assert [name for name, _ in reply.echo] == ["Action", "SessionId", "VoicemailboxId"]


def test_the_edited_box_is_returned_as_it_is_read(as_alice: ApiClient, box: Voicemailbox) -> None:
    edited = as_alice.call("VoicemailboxEdit", VoicemailboxId=box.pk, Mailbox="7012").result
    assert edited == as_alice.call("VoicemailboxRead", VoicemailboxId=box.pk).result


@pytest.mark.parametrize(
    ("address", "option"), [("Email", "NotifyEmail"), ("Pager", "NotifyPager")]
)
def test_an_address_can_be_cleared_once_its_notification_is_off(
    as_alice: ApiClient, box: Voicemailbox, address: str, option: str
) -> None:
    reply = as_alice.call("VoicemailboxEdit", VoicemailboxId=box.pk, **{address: "", option: "no"})
    assert reply.result["Voicemailbox"][address] == {}


@pytest.mark.parametrize("address", ["Email", "Pager"])
def test_an_address_in_use_by_its_notification_can_not_be_cleared(
    as_alice: ApiClient, box: Voicemailbox, address: str
) -> None:
    before = values_of(box)
    reply = as_alice.call("VoicemailboxEdit", VoicemailboxId=box.pk, **{address: ""})
    assert reply.errors == [(address, "Value.Required")]
    assert reply.messages == ["This value is required."]
    assert values_of(box) == before


@pytest.mark.parametrize(
    "parameter",
    [
        *("Mailbox", "Password", "Fullname", "Timezone", "SayCallerId", "SayDuration"),
        *("SayDatetime", "NotifyEmail", "NotifyPager"),
    ],
)
def test_any_other_parameter_may_not_be_empty(
    as_alice: ApiClient, box: Voicemailbox, parameter: str
) -> None:
    reply = as_alice.call("VoicemailboxEdit", VoicemailboxId=box.pk, **{parameter: ""})
    assert reply.errors == [(parameter, "Value.Required")]


@pytest.mark.parametrize(
    ("pin", "code"),
    [
        ("0", "Value.Invalid"),
        ("0000000", "Value.Invalid"),
        ("12a4", "Value.Invalid"),
        ("١٢٣", "Value.Invalid"),
        ("-123", "Value.Invalid"),
        ("123 ", "Value.Invalid"),
        ("12345678", "Value.TooLong"),
    ],
)
def test_a_pin_is_1_to_7_digits_and_not_all_zero(
    as_alice: ApiClient, box: Voicemailbox, pin: str, code: str
) -> None:
    reply = as_alice.call("VoicemailboxEdit", VoicemailboxId=box.pk, Password=pin)
    assert reply.errors == [("Password", code)]
    assert ("Password", "******") in reply.echo
    assert pin not in reply.messages[0]
    assert values_of(box)["password"] == "2468"


def test_one_bad_parameter_and_nothing_is_changed(as_alice: ApiClient, box: Voicemailbox) -> None:
    before = values_of(box)
    reply = as_alice.call(
        "VoicemailboxEdit", VoicemailboxId=box.pk, Fullname="Jane", SayDuration="perhaps"
    )
    assert reply.errors == [("SayDuration", "Boolean.Invalid")]
    assert values_of(box) == before


def test_what_is_not_a_parameter_of_an_edit_is_ignored(
    as_alice: ApiClient, box: Voicemailbox, other_organization: Organization
) -> None:
    before = values_of(box)
    reply = as_alice.call(
        "VoicemailboxEdit",
        VoicemailboxId=box.pk,
        OrganizationId=other_organization.pk,
        AccountId=other_organization.account_id,
        Status="disabled",
        Username="other",
        Domain="globex.example.com",
        Created="2001-01-01T00:00:00+00:00",
    )
    assert reply.is_completed
    assert values_of(box) == before


def test_a_taken_number_is_unavailable(as_alice: ApiClient, box: Voicemailbox) -> None:
    make_voicemailbox(box.organization, mailbox=7012)
    reply = as_alice.call("VoicemailboxEdit", VoicemailboxId=box.pk, Mailbox="7012")
    assert reply.errors == [("Mailbox", "Mailbox.Unavailable")]
    assert reply.messages == ["This mailbox is already in use in this organization."]
    assert values_of(box)["mailbox"] == 7011


def test_choosing_a_notification_requires_its_address(
    as_alice: ApiClient, organization: Organization
) -> None:
    box = make_voicemailbox(organization)
    reply = as_alice.call("VoicemailboxEdit", VoicemailboxId=box.pk, NotifyEmail="yes")
    assert reply.errors == [("Email", "Value.Required")]


@pytest.mark.parametrize("missing", ["999999", "9223372036854775807"])
def test_an_unknown_box_is_unrecognized(
    as_alice: ApiClient, box: Voicemailbox, missing: str
) -> None:
    reply = as_alice.call("VoicemailboxEdit", VoicemailboxId=missing, Mailbox="x")
    assert reply.errors == [
        ("Mailbox", "Integer.Invalid"),
        ("VoicemailboxId", "Voicemailbox.Unrecognized"),
    ]
    assert reply.messages[1] == "This voicemailbox is not recognized by the system."


def test_a_foreign_box_is_unrecognized_and_stays_as_it_is(
    as_charlie: ApiClient, box: Voicemailbox
) -> None:
    before = values_of(box)
    reply = as_charlie.call("VoicemailboxEdit", VoicemailboxId=box.pk, Fullname="Mine")
    assert reply.errors == [("VoicemailboxId", "Voicemailbox.Unrecognized")]
    assert values_of(box) == before


def test_the_strict_policy_refuses_a_trivial_pin(
    as_alice: ApiClient, box: Voicemailbox, settings: Any
) -> None:
    settings.PIN_STRICT = True
    for pin in ("1357", "111111", "123456", "654321"):
        reply = as_alice.call("VoicemailboxEdit", VoicemailboxId=box.pk, Password=pin)
        assert reply.errors == [("Password", "Value.Invalid")], pin
    assert reply.messages[0].startswith("Value must be 6 or 7 digits")


def test_the_strict_policy_leaves_an_old_pin_alone(
    as_alice: ApiClient, box: Voicemailbox, settings: Any
) -> None:
    settings.PIN_STRICT = True
    reply = as_alice.call("VoicemailboxEdit", VoicemailboxId=box.pk, Fullname="Jane Doe")
    assert reply.is_completed


def test_the_strict_policy_accepts_a_pin_that_nobody_guesses(
    as_alice: ApiClient, box: Voicemailbox, settings: Any
) -> None:
    settings.PIN_STRICT = True
    assert as_alice.call("VoicemailboxEdit", VoicemailboxId=box.pk, Password="271828").is_completed
