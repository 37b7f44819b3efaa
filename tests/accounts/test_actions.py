"""AccountRead, OrganizationRead, OrganizationBrowse, Echo and NoOp (docs/protocol.md, Actions)."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import Account, Organization
from tests.api import ApiClient, Reply, children
from tests.factories import make_account, make_organization

REQUIRED = "This value is required."

CREATED = datetime(2026, 11, 22, 7, 42, 11, 999_999, tzinfo=UTC)
MODIFIED = datetime(2026, 11, 24, 7, 42, 11, tzinfo=UTC)
CONTACT_MODIFIED = datetime(2026, 11, 23, 7, 42, 11, tzinfo=UTC)

CONTACT = {
    "contact_name": "Joe Smith",
    "contact_organization": "Acme <Voice> & Co.",
    "contact_address": "1 Main Street",
    "contact_city": "Zürich",
    "contact_state": "ZH",
    "contact_zipcode": "8000",
    "contact_country": "Switzerland",
    "contact_country_id": 188,
    "contact_phone": "+41 44 123 45 67",
    "contact_email": "joe@example.com",
}

CONTACT_ELEMENT = {
    "Name": "Joe Smith",
    "Organization": "Acme <Voice> & Co.",
    "Address": "1 Main Street",
    "City": "Zürich",
    "State": "ZH",
    "Zipcode": "8000",
    "Country": "Switzerland",
    "CountryId": "188",
    "Phone": "+41 44 123 45 67",
    "Email": "joe@example.com",
    "Modified": "2026-11-23T07:42:11+00:00",
}

EMPTY_CONTACT = [
    ("Name", {}),
    ("Organization", {}),
    ("Address", {}),
    ("City", {}),
    ("State", {}),
    ("Zipcode", {}),
    ("Country", "United States of America"),
    ("CountryId", "207"),
    ("Phone", {}),
    ("Email", {}),
]


def in_order(element: Any) -> list[tuple[str, Any]]:
    """List an element's members, because dicts are equal in any order."""
    return [(name, in_order(v) if isinstance(v, dict) and v else v) for name, v in element.items()]


def dated(rows: type[Account | Organization], pk: int) -> None:
    """Give a row times that a test can know."""
    times = {"created": CREATED, "modified": MODIFIED, "contact_modified": CONTACT_MODIFIED}
    rows.unscoped.filter(pk=pk).update(**times)


# AccountRead.


def test_an_account_is_read_with_every_member_in_its_order(as_staff: ApiClient) -> None:
    account = make_account(
        balance=Decimal("-1234.5"),
        credit_limit=Decimal("1000"),
        recharge=True,
        recharge_level=Decimal("0.05"),
        recharge_threshold=Decimal("9999999999.99"),
        **CONTACT,
    )
    dated(Account, account.pk)
    reply = as_staff.call("AccountRead", AccountId=account.pk)
    assert list(reply.result) == ["Account"]
    assert in_order(reply.result["Account"]) == in_order(
        {
            "AccountId": str(account.pk),
            "Balance": "-1234.50",
            "CreditLimit": "1000.00",
            "Recharge": "true",
            "RechargeLevel": "0.05",
            "RechargeThreshold": "9999999999.99",
            "Modified": "2026-11-24T07:42:11+00:00",
            "Created": "2026-11-22T07:42:11+00:00",
            "Contact": CONTACT_ELEMENT,
        }
    )


def test_the_typed_members_of_a_new_account_are_never_empty(as_staff: ApiClient) -> None:
    account = make_account(contact_organization="")
    element = as_staff.call("AccountRead", AccountId=account.pk).result["Account"]
    figures = ["Balance", "CreditLimit", "RechargeLevel", "RechargeThreshold"]
    assert {name: element[name] for name in figures} == dict.fromkeys(figures, "0.00")
    assert element["Recharge"] == "false"
    assert element["Created"] == element["Modified"] == element["Contact"].pop("Modified")
    assert list(element["Contact"].items()) == EMPTY_CONTACT


def test_an_accounts_admin_reads_the_own_account(as_alice: ApiClient, account: Account) -> None:
    reply = as_alice.call("AccountRead", AccountId=account.pk)
    assert reply.result["Account"]["AccountId"] == str(account.pk)


@pytest.mark.parametrize("sent", [{}, {"AccountId": ""}])
def test_the_account_is_required(as_alice: ApiClient, sent: dict[str, str]) -> None:
    reply = as_alice.call("AccountRead", **sent)
    assert reply.errors == [("AccountId", "Value.Required")]
    assert reply.messages == [REQUIRED]


def test_reading_an_account_echoes_no_defaults(as_alice: ApiClient, account: Account) -> None:
    reply = as_alice.call("AccountRead", AccountId=account.pk)
    assert [name for name, _ in reply.echo] == ["Action", "SessionId", "AccountId"]


# OrganizationRead.


def test_an_organization_is_read_with_every_member_in_its_order(
    as_alice: ApiClient, account: Account
) -> None:
    organization = make_organization(
        account,
        domain="Voice.Example.COM",
        caller_id='"Acme" <2125550100>',
        caller_id_name="Acme",
        caller_id_number="2125550100",
        status="disabled",
        extended_dialing=True,
        e911_provisioning=True,
        **CONTACT,
    )
    dated(Organization, organization.pk)
    reply = as_alice.call("OrganizationRead", OrganizationId=organization.pk)
    assert list(reply.result) == ["Organization"]
    assert in_order(reply.result["Organization"]) == in_order(
        {
            "OrganizationId": str(organization.pk),
            "AccountId": str(account.pk),
            "Service": "hosted",
            "Domain": "voice.example.com",
            "CallerId": '"Acme" <2125550100>',
            "CallerIdName": "Acme",
            "CallerIdNumber": "2125550100",
            "Status": "disabled",
            "ExtendedDialing": "true",
            "E911Provisioning": "true",
            "Modified": "2026-11-24T07:42:11+00:00",
            "Created": "2026-11-22T07:42:11+00:00",
            "Contact": CONTACT_ELEMENT,
        }
    )


def test_the_typed_members_of_a_new_organization_are_never_empty(
    as_alice: ApiClient, organization: Organization
) -> None:
    reply = as_alice.call("OrganizationRead", OrganizationId=organization.pk)
    element = reply.result["Organization"]
    texts = ["CallerId", "CallerIdName", "CallerIdNumber"]
    assert {name: element[name] for name in texts} == {name: {} for name in texts}
    assert element["Status"] == "enabled"
    assert element["ExtendedDialing"] == element["E911Provisioning"] == "false"
    assert element["Created"] == element["Modified"] == element["Contact"].pop("Modified")
    assert list(element["Contact"].items()) == EMPTY_CONTACT


@pytest.mark.parametrize("domain", ["acme.example.com", "ACME.Example.COM"])
def test_an_organization_is_read_by_its_domain_in_any_case(
    as_alice: ApiClient, organization: Organization, domain: str
) -> None:
    by_domain = as_alice.call("OrganizationRead", Domain=domain)
    by_id = as_alice.call("OrganizationRead", OrganizationId=organization.pk)
    assert by_domain.result == by_id.result


def test_the_domain_is_echoed_as_it_was_sent(
    as_alice: ApiClient, organization: Organization
) -> None:
    reply = as_alice.call("OrganizationRead", Domain="ACME.Example.COM")
    assert reply.echo[2:] == [("Domain", "ACME.Example.COM")]


@pytest.mark.parametrize(
    "domain",
    [
        *("nowhere.example.com", "globex.example.com", "example.com", "acme", "acme.example.com."),
        *(" acme.example.com", "acme.example.com ", "%", "a_me.example.com", "*", "\u0131"),
    ],
)
def test_any_other_domain_is_unrecognized(
    as_alice: ApiClient,
    organization: Organization,
    other_organization: Organization,
    domain: str,
) -> None:
    reply = as_alice.call("OrganizationRead", Domain=domain)
    assert reply.errors == [("Domain", "Domain.Unrecognized")]
    assert reply.messages == ["This domain is not recognized by the system."]


def test_a_domain_may_have_79_characters(as_alice: ApiClient, account: Account) -> None:
    domain = "a" * 63 + "." + "b" * 15
    make_organization(account, domain=domain)
    assert as_alice.call("OrganizationRead", Domain=domain).is_completed
    reply = as_alice.call("OrganizationRead", Domain=domain + "b")
    assert reply.errors == [("Domain", "Value.TooLong")]
    assert reply.messages == ["Value may be no more than 79 characters."]


def test_the_id_and_the_domain_exclude_each_other(
    as_alice: ApiClient, organization: Organization
) -> None:
    reply = as_alice.call(
        "OrganizationRead", Domain=organization.domain, OrganizationId=organization.pk
    )
    assert reply.errors == [("Domain", "Value.Exclusive")]
    assert reply.messages == ["One and only one of OrganizationId and Domain may be supplied."]


@pytest.mark.parametrize("sent", [{}, {"OrganizationId": "", "Domain": ""}])
def test_the_id_or_the_domain_is_required(as_alice: ApiClient, sent: dict[str, str]) -> None:
    reply = as_alice.call("OrganizationRead", **sent)
    assert reply.errors == [("OrganizationId", "Value.Required")]
    assert reply.messages == [REQUIRED]


def test_an_empty_id_beside_a_domain_counts_as_not_sent(
    as_alice: ApiClient, organization: Organization
) -> None:
    reply = as_alice.call("OrganizationRead", OrganizationId="", Domain=organization.domain)
    assert reply.is_completed
    assert reply.echo[2] == ("OrganizationId", {})


# OrganizationBrowse.


@pytest.fixture
def organizations(account: Account) -> list[Organization]:
    """Make three organizations whose domains are in another order than their ids."""
    return [make_organization(account, domain=f"{name}.example.com") for name in ("m", "z", "a")]


def browse(client: ApiClient, account: Account, **options: Any) -> Reply:
    return client.call("OrganizationBrowse", AccountId=account.pk, **options)


def domains(reply: Reply) -> str:
    """Give the first letters of the listed domains."""
    found = children(reply.result["Organizations"], "Organization")
    return "".join(each["Domain"][0] for each in found)


def attributes(reply: Reply) -> list[tuple[str, str]]:
    return list(reply.result["Organizations"]["@attributes"].items())


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("", "mza"),
        ("OrganizationId", "mza"),
        ("organizationid DESC", "azm"),
        ("Domain", "amz"),
        ("DOMAIN desc", "zma"),
    ],
)
def test_organizations_are_listed_in_the_order_asked_for(
    as_alice: ApiClient,
    account: Account,
    organizations: list[Organization],
    order: str,
    expected: str,
) -> None:
    assert domains(browse(as_alice, account, OrderBy=order)) == expected


def test_without_an_order_organizations_are_listed_by_id_with_their_number(
    as_alice: ApiClient, account: Account, organizations: list[Organization]
) -> None:
    reply = browse(as_alice, account)
    assert list(reply.result) == ["Organizations"]
    assert domains(reply) == "mza"
    assert attributes(reply) == [("Limit", "20"), ("Offset", "0"), ("Found", "3")]


def test_a_browse_echoes_limit_offset_and_calcfound_but_no_order(
    as_alice: ApiClient, account: Account
) -> None:
    assert browse(as_alice, account).echo[3:] == [
        ("Limit", "20"),
        ("Offset", "0"),
        ("CalcFound", "true"),
    ]


def test_a_listed_organization_is_as_it_is_read(
    as_alice: ApiClient, account: Account, organization: Organization
) -> None:
    listed = browse(as_alice, account).result["Organizations"]["Organization"]
    read = as_alice.call("OrganizationRead", OrganizationId=organization.pk).result["Organization"]
    assert in_order(listed) == in_order(read)


def test_pages_follow_each_other(
    as_alice: ApiClient, account: Account, organizations: list[Organization]
) -> None:
    pages = [
        browse(as_alice, account, OrderBy="Domain", Limit=2, Offset=offset) for offset in (0, 2, 4)
    ]
    assert [domains(page) for page in pages] == ["am", "z", ""]
    assert attributes(pages[1]) == [("Limit", "2"), ("Offset", "2"), ("Found", "3")]
    assert attributes(pages[2]) == [("Limit", "2"), ("Offset", "4"), ("Found", "3")]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"Limit": "0"}, [("Limit", "0"), ("Offset", "0"), ("Found", "3")]),
        ({"Limit": "0", "CalcFound": "false"}, [("Limit", "0"), ("Offset", "0")]),
        ({"CalcFound": "FALSE"}, [("Limit", "20"), ("Offset", "0")]),
        (
            {"Limit": "", "Offset": "", "CalcFound": ""},
            [("Limit", "20"), ("Offset", "0"), ("Found", "3")],
        ),
        (
            {"Limit": "25000", "Offset": "9223372036854775807"},
            [("Limit", "25000"), ("Offset", "9223372036854775807"), ("Found", "3")],
        ),
    ],
)
def test_limit_offset_and_found_are_attributes(
    as_alice: ApiClient,
    account: Account,
    organizations: list[Organization],
    options: dict[str, str],
    expected: list[tuple[str, str]],
) -> None:
    assert attributes(browse(as_alice, account, **options)) == expected


def test_an_account_without_organizations_has_an_empty_list(
    as_alice: ApiClient, account: Account
) -> None:
    assert browse(as_alice, account).result["Organizations"] == {
        "@attributes": {"Limit": "20", "Offset": "0"}
    }


def test_only_the_accounts_own_organizations_are_listed_and_counted(
    as_staff: ApiClient, account: Account, organization: Organization, other_organization: Any
) -> None:
    reply = browse(as_staff, account)
    assert domains(reply) == "a"
    assert ("Found", "1") in attributes(reply)


def test_a_disabled_organization_is_listed(as_alice: ApiClient, account: Account) -> None:
    make_organization(account, status="disabled")
    listed = browse(as_alice, account).result["Organizations"]["Organization"]
    assert listed["Status"] == "disabled"


def test_the_account_of_a_list_is_required(as_alice: ApiClient) -> None:
    reply = as_alice.call("OrganizationBrowse")
    assert reply.errors == [("AccountId", "Value.Required")]
    assert reply.messages == [REQUIRED]


def test_a_longer_list_takes_no_more_queries(as_alice: ApiClient, account: Account) -> None:
    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            browse(as_alice, account)
        return len(queries)

    make_organization(account)
    one = count()
    for _ in range(4):
        make_organization(account)
    assert count() == one


# Echo and NoOp.


@pytest.mark.parametrize("action", ["Echo", "NoOp"])
@pytest.mark.parametrize("output", ["xml", "json"])
def test_echo_and_noop_have_an_empty_result(api: ApiClient, action: str, output: str) -> None:
    reply = api.call(action, Output=output, a="1")
    assert reply.tree["Response"]["Result"] == {action: {}}
    assert reply.echo == [("Action", action), ("Output", output), ("a", "1")]


@pytest.mark.parametrize("action", ["Echo", "NoOp"])
def test_echo_and_noop_take_a_session_that_has_ended_for_none(
    as_alice: ApiClient, action: str
) -> None:
    as_alice.call("SessionDestroy")
    reply = as_alice.call(action)
    assert reply.is_completed
    assert reply.context["Session"] == {"IsEstablished": "false"}


@pytest.mark.parametrize("action", ["Echo", "NoOp"])
def test_a_plain_user_may_echo_and_do_nothing(as_bob: ApiClient, action: str) -> None:
    reply = as_bob.call(action)
    assert reply.is_completed
    assert reply.context["Session"]["Roles"] == {"Role": {"Name": "User"}}
