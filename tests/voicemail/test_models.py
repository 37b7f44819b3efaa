"""The voicemail box: what the database refuses, and what the model says of it."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ValidationError

from accounts.models import Account, Organization
from tests.database import assert_refused, is_accepted, write
from tests.factories import arranging, make_organization, make_voicemailbox
from voicemail.models import Voicemailbox

TAKEN_ADDRESS = "This address is already in use, is reserved, or is otherwise unavailable for use."

REFUSED: dict[str, list[dict[str, Any]]] = {
    "unique_mailbox_per_organization": [{"mailbox": 7012}],
    "unique_address_per_organization": [{"username": "sue.vm"}, {"username": "SUE.vm"}],
    "mailbox_is_1_to_7_digits": [{"mailbox": 0}, {"mailbox": 10_000_000}],
    "pin_is_1_to_7_digits": [
        {"password": ""},
        {"password": "0"},
        {"password": "000000"},
        {"password": "-"},
        {"password": "42\n"},
        {"password": "٤٢"},
    ],
    "fullname_is_1_to_128_characters": [
        {"fullname": ""},
        {"fullname": "Joe\nSmith"},
        {"fullname": "Joe\x85Smith"},
        {"fullname": "Joe\uffff"},
    ],
    "address_username_form": [
        {"username": ""},
        {"username": "joe@acme"},
        {"username": "joe vm"},
        {"username": "joe..vm"},
        {"username": ".joe"},
        {"username": "joe.vm\n"},
        {"username": "josé"},
    ],
    "email_is_one_address": [
        {"email": "joe"},
        {"email": "joe|sue@example.com"},
        {"email": "-joe@example.com"},
        {"email": '"joe"@example.com'},
        {"email": "joe@localhost"},
        {"email": "joe@example.com\n"},
        {"email": "joe@example.com,sue@example.com"},
    ],
    "pager_is_one_address": [{"pager": "joe"}, {"pager": "joe@example.com|sue@example.com"}],
    "mwi_is_a_user_address": [
        {"mwi": "joe"},
        {"mwi": "sip:joe@acme.example.com"},
        {"mwi": f"joe@{'a' * 63}.{'b' * 16}"},
        {"mwi": f"{'j' * 65}@acme.example.com"},
    ],
    "email_is_given_when_notified": [
        {"notify_email": "yes", "email": ""},
        {"notify_email": "attach", "email": ""},
        {"notify_email": "delete", "email": ""},
    ],
    "pager_is_given_when_notified": [{"notify_pager": "yes", "pager": ""}],
    "voicemailbox_options_are_known": [
        {"status": "closed"},
        {"timezone": "Eastern"},
        {"timezone": "us_eastern "},
        {"notify_email": "false"},
        {"notify_pager": "attach"},
    ],
}

CASES = [
    pytest.param(name, columns, id=f"{name}-{number}")
    for name, cases in REFUSED.items()
    for number, columns in enumerate(cases)
]


@pytest.fixture
def box(organization: Organization) -> Voicemailbox:
    """Give Joe's box, which has an e-mail address and a pager; Sue has one beside it."""
    make_voicemailbox(organization, mailbox=7012, username="sue.vm")
    return make_voicemailbox(
        organization,
        mailbox=7011,
        username="joe.vm",
        email="joe@example.com",
        pager="pager@example.com",
    )


def test_every_constraint_has_a_case_here() -> None:
    assert {each.name for each in Voicemailbox._meta.constraints} == REFUSED.keys()


@pytest.mark.parametrize(("name", "columns"), CASES)
def test_the_database_refuses_what_breaks_a_constraint(
    box: Voicemailbox, name: str, columns: dict[str, Any]
) -> None:
    assert_refused(name, box, **columns)


@pytest.mark.parametrize(
    ("column", "longest", "longer"),
    [
        ("fullname", "é" * 128, "é" * 129),
        ("password", "1234567", "12345678"),
        ("username", "u" * 64, "u" * 65),
        ("email", f"{'e' * 242}@example.com", f"{'e' * 243}@example.com"),
        ("pager", f"{'p' * 67}@example.com", f"{'p' * 68}@example.com"),
        ("mwi", f"m@{'a' * 63}.{'b' * 15}", f"m@{'a' * 63}.{'b' * 16}"),
    ],
)
def test_the_database_refuses_what_is_too_long(
    box: Voicemailbox, column: str, longest: str, longer: str
) -> None:
    assert is_accepted(box, **{column: longest})
    assert not is_accepted(box, **{column: longer})


def test_another_organization_may_have_the_same_number_and_user_name(box: Voicemailbox) -> None:
    second = make_organization(box.account)
    assert make_voicemailbox(second, mailbox=7011, username="joe.vm").pk


def errors_of(box: Voicemailbox) -> dict[str, list[tuple[Any, str]]]:
    """Give (code, message) of what ``full_clean`` refuses, by field."""
    with pytest.raises(ValidationError) as caught:
        box.full_clean()
    return {
        field: [(each.code, " ".join(each.messages)) for each in errors]
        for field, errors in caught.value.error_dict.items()
    }


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (
            {"mailbox": 7012},
            {"mailbox": ("unavailable", "This mailbox is already in use in this organization.")},
        ),
        (
            {"username": "Sue.VM"},
            {"username": ("unavailable", TAKEN_ADDRESS)},
        ),
        (
            {"email": "", "notify_email": "yes", "pager": "", "notify_pager": "yes"},
            {
                "email": ("required", "This value is required."),
                "pager": ("required", "This value is required."),
            },
        ),
        (
            {"password": "000"},
            {"password": ("invalid", "Value must be 1 to 7 digits, not all of them zero.")},
        ),
        (
            {"fullname": "   "},
            {"fullname": ("blank", "This field cannot be blank.")},
        ),
        (
            {"fullname": "Joe\tSmith"},
            {"fullname": ("invalid", "Value must not contain control characters.")},
        ),
    ],
)
def test_a_wrong_value_is_reported_beside_its_field(
    box: Voicemailbox, values: dict[str, Any], expected: dict[str, tuple[str, str]]
) -> None:
    for name, value in values.items():
        setattr(box, name, value)
    assert errors_of(box) == {field: [error] for field, error in expected.items()}


def test_a_check_trims_the_full_name(box: Voicemailbox) -> None:
    box.fullname = "  Joe Smith\u3000"
    box.full_clean()
    assert box.fullname == "Joe Smith"


def test_a_box_does_not_collide_with_itself(box: Voicemailbox) -> None:
    box.username = "JOE.vm"
    box.full_clean()
    assert box.taken_errors() == {}


def test_what_is_excluded_is_not_looked_up(box: Voicemailbox) -> None:
    box.mailbox, box.username = 7012, "sue.vm"
    assert box.taken_errors(exclude={"mailbox"}).keys() == {"username"}
    assert box.taken_errors(exclude={"username"}).keys() == {"mailbox"}


def test_the_number_and_the_address_are_not_looked_up_in_other_organizations(
    box: Voicemailbox, other_organization: Organization
) -> None:
    make_voicemailbox(other_organization, mailbox=7013, username="ann.vm")
    box.mailbox, box.username = 7013, "ann.vm"
    assert box.taken_errors() == {}


def test_an_id_is_never_used_again(box: Voicemailbox) -> None:
    pk, organization = box.pk, box.organization
    with arranging():
        box.delete()
    assert make_voicemailbox(organization).pk > pk


def test_a_pin_keeps_its_leading_zeros(box: Voicemailbox) -> None:
    write(box, password="0042")
    assert Voicemailbox.unscoped.get(pk=box.pk).password == "0042"


TOO_SIMPLE = (
    "Value must be 6 or 7 digits, and neither the mailbox's own number nor one digit repeated "
    "nor a run of digits up or down."
)


@pytest.mark.parametrize("pin", ["4829", "123456", "555555"])
def test_the_strict_policy_refuses_a_new_pin(box: Voicemailbox, settings: Any, pin: str) -> None:
    settings.PIN_STRICT = True
    box.password = pin
    assert errors_of(box) == {"password": [("invalid", TOO_SIMPLE)]}


def test_the_strict_policy_knows_the_number_that_the_box_would_have(
    box: Voicemailbox, settings: Any
) -> None:
    settings.PIN_STRICT = True
    box.mailbox, box.password = 482915, "482915"
    assert errors_of(box) == {"password": [("invalid", TOO_SIMPLE)]}


def test_the_strict_policy_leaves_an_old_pin_alone(box: Voicemailbox, settings: Any) -> None:
    write(box, password="42")
    settings.PIN_STRICT = True
    Voicemailbox.unscoped.get(pk=box.pk).full_clean()


def test_without_the_policy_a_trivial_pin_is_accepted(box: Voicemailbox) -> None:
    box.password = "1234"
    box.full_clean()


def test_the_account_of_a_new_box_is_that_of_its_organization(
    organization: Organization, other_account: Account
) -> None:
    box = make_voicemailbox(organization, account=other_account)
    assert Voicemailbox.unscoped.get().account == organization.account == box.account
