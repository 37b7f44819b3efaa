"""VoicemailboxAdd (docs/voicemail.md, Add)."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import pytest
from django.db import connection

from accounts.actions import WritingAction
from accounts.models import Change, Organization
from tests.api import ApiClient
from tests.factories import make_organization, make_voicemailbox
from voicemail.models import Voicemailbox
from voicemail.services import add_voicemailbox


def request_for(organization: Organization, **changed: Any) -> dict[str, Any]:
    parameters = {
        "OrganizationId": organization.pk,
        "Username": "joe.vm",
        "Domain": organization.domain,
        "Mailbox": "7011",
        "Fullname": "Joe Smith",
    }
    return {name: value for name, value in (parameters | changed).items() if value is not None}


def test_a_new_box_is_answered_with_every_member_in_order(
    as_alice: ApiClient, organization: Organization
) -> None:
    reply = as_alice.call("VoicemailboxAdd", **request_for(organization))
    box = reply.result["Voicemailbox"]
    assert list(box) == [
        *("VoicemailboxId", "OrganizationId", "AccountId", "Status", "Mailbox", "Password"),
        *("Fullname", "Timezone", "SayCallerId", "SayDuration", "SayDatetime", "NotifyEmail"),
        *("NotifyPager", "Email", "Pager", "Mwi", "TransferAddress", "Created", "Modified"),
        "Address",
    ]
    assert box["Created"] == box["Modified"]
    assert box["Address"] == {"Username": "joe.vm", "Domain": "acme.example.com"}
    assert list(box["TransferAddress"]) == ["Address", "Username", "Domain", "Type", "Name"]


def test_the_defaults_of_a_new_box(as_alice: ApiClient, organization: Organization) -> None:
    box = as_alice.call("VoicemailboxAdd", **request_for(organization)).result["Voicemailbox"]
    expected: dict[str, Any] = {"Status": "enabled", "Timezone": "us_eastern"}
    expected |= {"SayCallerId": "false", "SayDuration": "false", "SayDatetime": "false"}
    expected |= {"NotifyEmail": "no", "NotifyPager": "no", "Email": {}, "Pager": {}, "Mwi": {}}
    assert {name: box[name] for name in expected} == expected


def test_the_defaults_are_echoed_after_what_was_sent(
    as_alice: ApiClient, organization: Organization
) -> None:
    reply = as_alice.call("VoicemailboxAdd", **request_for(organization))
    assert reply.echo[7:] == [
        ("Name", "joe.vm"),
        ("Timezone", "us_eastern"),
        ("SayCallerId", "false"),
        ("SayDuration", "false"),
        ("SayDatetime", "false"),
        ("NotifyEmail", "no"),
        ("NotifyPager", "no"),
    ]


def test_defaults_are_echoed_even_when_another_parameter_is_invalid(
    as_alice: ApiClient, organization: Organization
) -> None:
    reply = as_alice.call("VoicemailboxAdd", **request_for(organization, Mailbox="x"))
    assert ("Timezone", "us_eastern") in reply.echo


def test_a_name_that_is_sent_is_echoed_in_its_place_and_ignored(
    as_alice: ApiClient, organization: Organization
) -> None:
    reply = as_alice.call("VoicemailboxAdd", **request_for(organization, Name="other"))
    assert [value for name, value in reply.echo if name == "Name"] == ["other"]
    assert reply.result["Voicemailbox"]["Address"]["Username"] == "joe.vm"


def test_an_empty_optional_parameter_counts_as_not_sent_and_is_echoed_once(
    as_alice: ApiClient, organization: Organization
) -> None:
    reply = as_alice.call("VoicemailboxAdd", **request_for(organization, Timezone=""))
    assert [value for name, value in reply.echo if name == "Timezone"] == [{}]
    assert reply.result["Voicemailbox"]["Timezone"] == "us_eastern"


def test_a_voicemailbox_id_is_ignored_and_echoed(
    as_alice: ApiClient, organization: Organization
) -> None:
    reply = as_alice.call("VoicemailboxAdd", **request_for(organization, VoicemailboxId="77"))
    assert reply.is_completed
    assert ("VoicemailboxId", "77") in reply.echo


def test_the_pin_has_six_digits_and_no_leading_zero(
    as_alice: ApiClient, organization: Organization
) -> None:
    pin = as_alice.call("VoicemailboxAdd", **request_for(organization)).result["Voicemailbox"][
        "Password"
    ]
    assert len(pin) == 6
    assert pin.isdigit()
    assert not pin.startswith("0")


def test_a_password_that_is_sent_is_masked_and_ignored(
    as_alice: ApiClient, organization: Organization
) -> None:
    reply = as_alice.call("VoicemailboxAdd", **request_for(organization, Password="4711"))
    assert ("Password", "******") in reply.echo
    assert reply.result["Voicemailbox"]["Password"] != "4711"


def test_every_option_is_stored_and_read_back(
    as_alice: ApiClient, organization: Organization
) -> None:
    options = {
        "Timezone": "us_pacific",
        "SayCallerId": "true",
        "SayDuration": "true",
        "SayDatetime": "true",
        "NotifyEmail": "attach",
        "Email": "joe@example.com",
        "NotifyPager": "yes",
        "Pager": "pager@example.com",
        "Mwi": "joe@acme.example.com",
    }
    added = as_alice.call("VoicemailboxAdd", **request_for(organization, **options))
    box_id = added.result["Voicemailbox"]["VoicemailboxId"]
    read = as_alice.call("VoicemailboxRead", VoicemailboxId=box_id).result["Voicemailbox"]
    assert {name: read[name] for name in options} == options
    assert read == added.result["Voicemailbox"]


def test_false_is_accepted_as_no_and_shown_as_no(
    as_alice: ApiClient, organization: Organization
) -> None:
    reply = as_alice.call(
        "VoicemailboxAdd", **request_for(organization, NotifyEmail="false", NotifyPager="false")
    )
    assert reply.result["Voicemailbox"]["NotifyEmail"] == "no"
    assert ("NotifyEmail", "no") in reply.echo
    assert ("NotifyPager", "no") in reply.echo


@pytest.mark.parametrize("value", ["TRUE", "True", "true"])
def test_a_boolean_is_read_in_any_case(
    as_alice: ApiClient, organization: Organization, value: str
) -> None:
    reply = as_alice.call("VoicemailboxAdd", **request_for(organization, SayDuration=value))
    assert reply.result["Voicemailbox"]["SayDuration"] == "true"


def test_the_domain_is_compared_without_case(
    as_alice: ApiClient, organization: Organization
) -> None:
    reply = as_alice.call("VoicemailboxAdd", **request_for(organization, Domain="ACME.Example.COM"))
    assert reply.is_completed


def test_surrounding_white_space_of_a_fullname_is_trimmed(
    as_alice: ApiClient, organization: Organization
) -> None:
    reply = as_alice.call("VoicemailboxAdd", **request_for(organization, Fullname="  Zoë Müller "))
    assert reply.result["Voicemailbox"]["Fullname"] == "Zoë Müller"


def test_adding_is_recorded_with_its_author_and_channel(
    as_alice: ApiClient, organization: Organization
) -> None:
    reply = as_alice.call("VoicemailboxAdd", **request_for(organization))
    change = Change.unscoped.latest("id")
    row = Voicemailbox.history.get(change=change)
    assert (change.actor, change.channel, change.account_id) == (
        "alice",
        "api",
        organization.account_id,
    )
    assert (row.history_type, str(row.id)) == ("+", reply.result["Voicemailbox"]["VoicemailboxId"])


@pytest.mark.parametrize(
    ("parameter", "value", "code", "message"),
    [
        ("OrganizationId", None, "Value.Required", "This value is required."),
        ("OrganizationId", "", "Value.Required", "This value is required."),
        ("OrganizationId", "0", "Integer.Invalid", "Value must be a positive integer."),
        ("OrganizationId", "07", "Integer.Invalid", "Value must be a positive integer."),
        ("OrganizationId", "5.0", "Integer.Invalid", "Value must be a positive integer."),
        ("OrganizationId", "1_000", "Integer.Invalid", "Value must be a positive integer."),
        ("OrganizationId", "١", "Integer.Invalid", "Value must be a positive integer."),
        (
            "OrganizationId",
            "9223372036854775808",
            "Integer.Invalid",
            "Value must be a positive integer.",
        ),
        ("Mailbox", None, "Value.Required", "This value is required."),
        ("Mailbox", "0", "Integer.TooSmall", "Value may be no less than 1"),
        ("Mailbox", "-1", "Integer.TooSmall", "Value may be no less than 1"),
        ("Mailbox", "07011", "Integer.Invalid", "Value must be an integer from 1 to 9999999."),
        ("Mailbox", "7011 ", "Integer.Invalid", "Value must be an integer from 1 to 9999999."),
        ("Mailbox", "10000000", "Integer.TooBig", "Value may be no more than 9999999"),
        ("Mailbox", "9" * 5000, "Integer.TooBig", "Value may be no more than 9999999"),
        ("Username", None, "Value.Required", "This value is required."),
        ("Username", "a" * 65, "Value.TooLong", "Value may be no more than 64 characters."),
        ("Username", ".joe", "Address.Invalid", "Value must be 1 to 64 letters, digits, dots"),
        ("Username", "joe..vm", "Address.Invalid", "Value must be 1 to 64 letters, digits, dots"),
        ("Username", "joe\n", "Address.Invalid", "Value must be 1 to 64 letters, digits, dots"),
        ("Username", "jœ", "Address.Invalid", "Value must be 1 to 64 letters, digits, dots"),
        ("Domain", None, "Value.Required", "This value is required."),
        (
            "Domain",
            "other.example.com",
            "Domain.Unrecognized",
            "This domain is not recognized by the system.",
        ),
        (
            "Domain",
            "globex.example.com",
            "Domain.Unrecognized",
            "This domain is not recognized by the system.",
        ),
        ("Domain", "d" * 80, "Value.TooLong", "Value may be no more than 79 characters."),
        ("Fullname", None, "Value.Required", "This value is required."),
        ("Fullname", "   ", "Value.Required", "This value is required."),
        ("Fullname", "x" * 129, "Value.TooLong", "Value may be no more than 128 characters."),
        ("Fullname", "Joe\nSmith", "Value.Invalid", "Value must not contain control characters."),
        (
            "Timezone",
            "us_eastern ",
            "Value.Unrecognized",
            "Value must be one of us_eastern, us_central, us_mountain, us_pacific.",
        ),
        ("SayCallerId", "1", "Boolean.Invalid", "Value must be true or false."),
        (
            "NotifyEmail",
            "maybe",
            "Value.Unrecognized",
            "Value must be one of no, yes, attach, delete.",
        ),
        ("NotifyPager", "attach", "Value.Unrecognized", "Value must be one of no, yes."),
        (
            "Email",
            "joe",
            "Email.Invalid",
            "Value must be one e-mail address such as joe@example.com.",
        ),
        (
            "Email",
            "a@b.com|c@d.com",
            "Email.Invalid",
            "Value must be one e-mail address such as joe@example.com.",
        ),
        (
            "Email",
            '"joe"@example.com',
            "Email.Invalid",
            "Value must be one e-mail address such as joe@example.com.",
        ),
        (
            "Email",
            "-joe@example.com",
            "Email.Invalid",
            "Value must be one e-mail address such as joe@example.com.",
        ),
        (
            "Email",
            "joe@localhost",
            "Email.Invalid",
            "Value must be one e-mail address such as joe@example.com.",
        ),
        (
            "Email",
            "joe@example.com\n",
            "Email.Invalid",
            "Value must be one e-mail address such as joe@example.com.",
        ),
        (
            "Email",
            "a" * 250 + "@b.de",
            "Value.TooLong",
            "Value may be no more than 254 characters.",
        ),
        ("Pager", "a" * 75 + "@b.de", "Value.TooLong", "Value may be no more than 79 characters."),
        ("Mwi", "sip:joe@example.com", "Address.Invalid", "Value must be a SIP user address"),
        ("Mwi", "joe", "Address.Invalid", "Value must be a SIP user address"),
    ],
)
def test_a_wrong_value_is_reported_and_nothing_is_added(  # One row a case.
    as_alice: ApiClient,
    organization: Organization,
    other_organization: Organization,
    parameter: str,
    value: str | None,
    code: str,
    message: str,
) -> None:
    reply = as_alice.call("VoicemailboxAdd", **request_for(organization, **{parameter: value}))
    assert reply.errors == [(parameter, code)]
    assert reply.messages[0].startswith(message)
    assert not reply.is_valid
    assert not Voicemailbox.unscoped.exists()


@pytest.mark.parametrize(
    ("option", "value", "address"),
    [
        ("NotifyEmail", "yes", "Email"),
        ("NotifyEmail", "attach", "Email"),
        ("NotifyEmail", "delete", "Email"),
        ("NotifyPager", "yes", "Pager"),
    ],
)
def test_a_notification_requires_its_address(
    as_alice: ApiClient, organization: Organization, option: str, value: str, address: str
) -> None:
    reply = as_alice.call("VoicemailboxAdd", **request_for(organization, **{option: value}))
    assert reply.errors == [(address, "Value.Required")]
    assert reply.messages == ["This value is required."]


def test_an_address_may_be_stored_with_notification_off(
    as_alice: ApiClient, organization: Organization
) -> None:
    reply = as_alice.call("VoicemailboxAdd", **request_for(organization, Email="joe@example.com"))
    assert reply.result["Voicemailbox"]["Email"] == "joe@example.com"


def test_a_taken_number_is_unavailable(as_alice: ApiClient, organization: Organization) -> None:
    make_voicemailbox(organization, mailbox=7011)
    reply = as_alice.call("VoicemailboxAdd", **request_for(organization))
    assert reply.errors == [("Mailbox", "Mailbox.Unavailable")]
    assert reply.messages == ["This mailbox is already in use in this organization."]
    assert Voicemailbox.unscoped.count() == 1


def test_the_same_number_may_exist_in_another_organization(
    as_alice: ApiClient, organization: Organization
) -> None:
    make_voicemailbox(make_organization(organization.account), mailbox=7011)
    assert as_alice.call("VoicemailboxAdd", **request_for(organization)).is_completed


def test_a_taken_address_is_unavailable_in_any_case(
    as_alice: ApiClient, organization: Organization
) -> None:
    make_voicemailbox(organization, username="Joe.VM")
    reply = as_alice.call("VoicemailboxAdd", **request_for(organization))
    assert reply.errors == [("Username", "Address.Unavailable")]
    assert reply.messages == [
        "This address is already in use, is reserved, or is otherwise unavailable for use."
    ]


def test_all_errors_are_reported_at_once(as_alice: ApiClient, organization: Organization) -> None:
    make_voicemailbox(organization, mailbox=7011)
    wrong = {"Username": None, "Fullname": "", "SayDuration": "x", "Domain": "nowhere.example.com"}
    reply = as_alice.call(
        "VoicemailboxAdd", **request_for(organization, NotifyEmail="yes", Extra="a\0b", **wrong)
    )
    assert sorted(reply.errors) == [
        ("Domain", "Domain.Unrecognized"),
        ("Email", "Value.Required"),
        ("Extra", "Value.Invalid"),
        ("Fullname", "Value.Required"),
        ("Mailbox", "Mailbox.Unavailable"),
        ("SayDuration", "Boolean.Invalid"),
        ("Username", "Value.Required"),
    ]


def test_a_foreign_organization_is_an_error_of_the_action(
    as_alice: ApiClient, other_organization: Organization
) -> None:
    reply = as_alice.call("VoicemailboxAdd", **request_for(other_organization))
    assert reply.errors == [("OrganizationAuthorization.Required",)]
    assert reply.messages == ["Permission to perform the requested action has not been granted."]
    assert reply.is_valid


@pytest.mark.django_db(transaction=True)
def test_an_organization_that_was_deleted_meanwhile_is_an_error_of_the_action(
    as_alice: ApiClient, organization: Organization
) -> None:
    def delete_first(voicemailbox: Voicemailbox) -> Voicemailbox:
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM accounts_organization WHERE id = %s", [organization.pk])
        return add_voicemailbox(voicemailbox)

    with (
        patch.object(WritingAction, "attempt", lambda _: None),
        patch("voicemail.actions.add_voicemailbox", delete_first),
    ):
        reply = as_alice.call("VoicemailboxAdd", **request_for(organization))
    assert reply.errors == [("OrganizationAuthorization.Required",)]
    assert reply.messages == ["Permission to perform the requested action has not been granted."]
    assert not Voicemailbox.unscoped.exists()


def test_nothing_about_a_foreign_organization_is_checked(
    as_alice: ApiClient, other_organization: Organization
) -> None:
    make_voicemailbox(other_organization, mailbox=7011, username="joe.vm")
    reply = as_alice.call("VoicemailboxAdd", **request_for(other_organization, SayDuration="x"))
    assert reply.errors == [("SayDuration", "Boolean.Invalid")]


def test_staff_may_add_to_any_organization(as_staff: ApiClient, organization: Organization) -> None:
    assert as_staff.call("VoicemailboxAdd", **request_for(organization)).is_completed


def test_a_box_may_be_added_to_a_disabled_organization(as_alice: ApiClient, alice: Any) -> None:
    disabled = make_organization(alice.account, status="disabled")
    assert as_alice.call("VoicemailboxAdd", **request_for(disabled)).is_completed
