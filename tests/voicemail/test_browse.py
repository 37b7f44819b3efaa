"""VoicemailboxBrowse and VoicemailboxRead (docs/voicemail.md, Browse)."""

from __future__ import annotations

from typing import Any

import pytest

from accounts.models import Account, Organization
from tests.api import ApiClient, Reply, children
from tests.factories import make_organization, make_voicemailbox
from voicemail.models import Voicemailbox


@pytest.fixture
def boxes(account: Account, organization: Organization) -> list[Voicemailbox]:
    """Five boxes of two organizations; two of them have the same number."""
    second = make_organization(account)
    return [
        make_voicemailbox(organization, mailbox=300),
        make_voicemailbox(second, mailbox=100),
        make_voicemailbox(organization, mailbox=200),
        make_voicemailbox(second, mailbox=300),
        make_voicemailbox(organization, mailbox=9),
    ]


def ids(reply: Reply) -> list[int]:
    found = children(reply.result["Voicemailboxes"], "Voicemailbox")
    return [int(box["VoicemailboxId"]) for box in found]


def attributes(reply: Reply) -> Any:
    return reply.result["Voicemailboxes"]["@attributes"]


def in_order(boxes: list[Voicemailbox], *numbers: int) -> list[int]:
    return [boxes[number].pk for number in numbers]


def test_a_browse_without_options_has_twenty_boxes_by_id_and_their_number(
    as_alice: ApiClient, organization: Organization
) -> None:
    made = [make_voicemailbox(organization).pk for _ in range(21)]
    reply = as_alice.call("VoicemailboxBrowse", OrganizationId=organization.pk)
    assert ids(reply) == made[:20]
    assert attributes(reply) == {"Limit": "20", "Offset": "0", "Found": "21"}
    assert list(attributes(reply)) == ["Limit", "Offset", "Found"]


def test_a_browse_echoes_limit_offset_and_calcfound(
    as_alice: ApiClient, organization: Organization
) -> None:
    reply = as_alice.call("VoicemailboxBrowse", OrganizationId=organization.pk)
    assert reply.echo[3:] == [("Limit", "20"), ("Offset", "0"), ("CalcFound", "true")]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("VoicemailboxId", (0, 1, 2, 3, 4)),
        ("voicemailboxid desc", (4, 3, 2, 1, 0)),
        ("OrganizationId", (0, 2, 4, 1, 3)),
        ("OrganizationId Desc", (3, 1, 4, 2, 0)),
        ("Mailbox", (4, 1, 2, 0, 3)),
        ("MAILBOX DESC", (3, 0, 2, 1, 4)),
    ],
)
def test_an_account_is_listed_in_the_order_asked_for(
    as_alice: ApiClient, boxes: list[Voicemailbox], order: str, expected: tuple[int, ...]
) -> None:
    reply = as_alice.call("VoicemailboxBrowse", AccountId=boxes[0].account_id, OrderBy=order)
    assert ids(reply) == in_order(boxes, *expected)


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("Mailbox", (4, 2, 0)),
        ("Mailbox Desc", (0, 2, 4)),
        ("OrganizationId", (0, 2, 4)),
        ("VoicemailboxId Desc", (4, 2, 0)),
    ],
)
def test_an_organization_is_listed_in_the_order_asked_for(
    as_alice: ApiClient, boxes: list[Voicemailbox], order: str, expected: tuple[int, ...]
) -> None:
    reply = as_alice.call(
        "VoicemailboxBrowse", OrganizationId=boxes[0].organization_id, OrderBy=order
    )
    assert ids(reply) == in_order(boxes, *expected)


def test_pages_never_overlap_where_numbers_are_equal(
    as_alice: ApiClient, boxes: list[Voicemailbox]
) -> None:
    pages = [
        ids(
            as_alice.call(
                "VoicemailboxBrowse",
                AccountId=boxes[0].account_id,
                OrderBy="Mailbox",
                Limit=1,
                Offset=offset,
            )
        )
        for offset in range(5)
    ]
    assert sorted(box for page in pages for box in page) == [box.pk for box in boxes]


def test_a_page_past_the_end_is_empty_and_knows_the_number(
    as_alice: ApiClient, boxes: list[Voicemailbox]
) -> None:
    reply = as_alice.call("VoicemailboxBrowse", AccountId=boxes[0].account_id, Offset=2**63 - 1)
    assert ids(reply) == []
    assert attributes(reply)["Found"] == "5"


def test_a_limit_of_zero_gives_only_the_number(
    as_alice: ApiClient, boxes: list[Voicemailbox]
) -> None:
    reply = as_alice.call("VoicemailboxBrowse", AccountId=boxes[0].account_id, Limit=0)
    assert attributes(reply) == {"Limit": "0", "Offset": "0", "Found": "5"}


def test_found_is_left_out_when_it_is_not_asked_for(
    as_alice: ApiClient, boxes: list[Voicemailbox]
) -> None:
    reply = as_alice.call("VoicemailboxBrowse", AccountId=boxes[0].account_id, CalcFound="FALSE")
    assert attributes(reply) == {"Limit": "20", "Offset": "0"}


def test_found_is_left_out_when_nothing_matches(
    as_alice: ApiClient, organization: Organization
) -> None:
    reply = as_alice.call("VoicemailboxBrowse", OrganizationId=organization.pk)
    assert attributes(reply) == {"Limit": "20", "Offset": "0"}


def test_one_box_is_an_object_in_json_and_several_are_an_array(
    as_alice: ApiClient, organization: Organization
) -> None:
    make_voicemailbox(organization)
    one = as_alice.call("VoicemailboxBrowse", OrganizationId=organization.pk, Output="json")
    make_voicemailbox(organization)
    two = as_alice.call("VoicemailboxBrowse", OrganizationId=organization.pk, Output="json")
    assert isinstance(one.result["Voicemailboxes"]["Voicemailbox"], dict)
    assert isinstance(two.result["Voicemailboxes"]["Voicemailbox"], list)


@pytest.mark.parametrize(
    ("parameter", "value", "code", "message"),
    [
        ("Limit", "25001", "Integer.TooBig", "Value may be no more than 25000"),
        ("Limit", "-1", "Integer.TooSmall", "Value may be no less than 0"),
        ("Limit", "1e3", "Integer.Invalid", "Value must be an integer from 0 to 25000."),
        (
            "Offset",
            "9223372036854775808",
            "Integer.TooBig",
            "Value may be no more than 9223372036854775807",
        ),
        ("Offset", "-0", "Integer.TooSmall", "Value may be no less than 0"),
        ("CalcFound", "yes", "Boolean.Invalid", "Value must be true or false."),
        ("OrderBy", "Fullname", "Value.Unrecognized", "Value must be one of VoicemailboxId, "),
        ("OrderBy", "Mailbox  Desc", "Value.Unrecognized", "Value must be one of VoicemailboxId, "),
        ("OrderBy", "Mailbox ", "Value.Unrecognized", "Value must be one of VoicemailboxId, "),
        ("OrderBy", "Mailbox Asc", "Value.Unrecognized", "Value must be one of VoicemailboxId, "),
    ],
)
def test_a_wrong_option_is_reported(  # One row a case.
    as_alice: ApiClient, account: Account, parameter: str, value: str, code: str, message: str
) -> None:
    reply = as_alice.call("VoicemailboxBrowse", AccountId=account.pk, **{parameter: value})
    assert reply.errors == [(parameter, code)]
    assert reply.messages[0].startswith(message)


def test_account_and_organization_exclude_each_other(
    as_alice: ApiClient, organization: Organization
) -> None:
    reply = as_alice.call(
        "VoicemailboxBrowse", AccountId=organization.account_id, OrganizationId=organization.pk
    )
    assert reply.errors == [("OrganizationId", "Value.Exclusive")]
    assert reply.messages == ["One and only one of AccountId and OrganizationId may be supplied."]


def test_account_or_organization_is_required(as_alice: ApiClient) -> None:
    assert as_alice.call("VoicemailboxBrowse").errors == [("AccountId", "Value.Required")]


def test_an_empty_account_counts_as_not_sent(
    as_alice: ApiClient, organization: Organization
) -> None:
    reply = as_alice.call("VoicemailboxBrowse", AccountId="", OrganizationId=organization.pk)
    assert reply.is_completed


# A short page is found with the session; each of the others takes a way of its own.
WAYS: tuple[dict[str, Any], ...] = (
    {},
    {"CalcFound": "false"},
    {"Limit": 0},
    {"Limit": 0, "CalcFound": "false"},
    {"Limit": 25_000},
    {"Offset": 1_000},
    {"Offset": 1_000, "CalcFound": "false"},
)
OWNERS = pytest.mark.parametrize("parameter", ["AccountId", "OrganizationId"])


def owner(organization: Organization, parameter: str) -> int:
    """Give whose list is asked for by a parameter."""
    return organization.account_id if parameter == "AccountId" else organization.pk


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("is_missing", [False, True], ids=["foreign", "missing"])
@pytest.mark.parametrize(
    ("parameter", "code"),
    [
        ("AccountId", "AccountAuthorization.Required"),
        ("OrganizationId", "OrganizationAuthorization.Required"),
    ],
)
def test_a_foreign_account_or_organization_is_an_error_of_the_action(
    as_alice: ApiClient,
    other_organization: Organization,
    parameter: str,
    code: str,
    is_missing: bool,
    way: dict[str, Any],
) -> None:
    make_voicemailbox(other_organization)
    sent = way | {parameter: 2**40 if is_missing else owner(other_organization, parameter)}
    reply = as_alice.call("VoicemailboxBrowse", **sent)
    assert reply.errors == [(code,)]
    assert reply.messages == ["Permission to perform the requested action has not been granted."]


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("name", ["as_alice", "as_staff"])
@OWNERS
def test_a_list_without_records_is_no_error(
    request: pytest.FixtureRequest,
    organization: Organization,
    parameter: str,
    name: str,
    way: dict[str, Any],
) -> None:
    api = request.getfixturevalue(name)
    sent = way | {parameter: owner(organization, parameter)}
    assert ids(api.call("VoicemailboxBrowse", **sent)) == []


@pytest.mark.parametrize("way", WAYS, ids=str)
@OWNERS
def test_a_user_without_a_role_browses_nothing(
    as_bob: ApiClient, boxes: list[Voicemailbox], parameter: str, way: dict[str, Any]
) -> None:
    sent = way | {parameter: owner(boxes[0].organization, parameter)}
    reply = as_bob.call("VoicemailboxBrowse", **sent)
    assert reply.errors == [("AccountAuthorization.Required",)]


def test_staff_browse_every_account(as_staff: ApiClient, boxes: list[Voicemailbox]) -> None:
    reply = as_staff.call("VoicemailboxBrowse", AccountId=boxes[0].account_id)
    assert len(ids(reply)) == 5


def test_a_box_reads_as_it_is_browsed(as_alice: ApiClient, boxes: list[Voicemailbox]) -> None:
    read = as_alice.call("VoicemailboxRead", VoicemailboxId=boxes[0].pk).result["Voicemailbox"]
    page = as_alice.call("VoicemailboxBrowse", AccountId=boxes[0].account_id, Limit=1)
    assert page.result["Voicemailboxes"]["Voicemailbox"] == read


@pytest.mark.parametrize("value", ["0", "x", "1.0", "99999999999999999999"])
def test_a_malformed_id_is_an_invalid_integer(as_alice: ApiClient, value: str) -> None:
    reply = as_alice.call("VoicemailboxRead", VoicemailboxId=value)
    assert reply.errors == [("VoicemailboxId", "Integer.Invalid")]
    assert reply.messages == ["Value must be a positive integer."]


def test_a_foreign_box_is_unrecognized(
    as_alice: ApiClient, other_organization: Organization
) -> None:
    box = make_voicemailbox(other_organization)
    reply = as_alice.call("VoicemailboxRead", VoicemailboxId=box.pk)
    assert reply.errors == [("VoicemailboxId", "Voicemailbox.Unrecognized")]
