"""The number and the address that are suggested for a new box."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import Organization
from accounts.validators import validate_username
from tests.factories import arranging, make_voicemailbox
from tests.texts import on_one_row
from voicemail.models import Voicemailbox
from voicemail.services import next_free_mailbox, suggested_username


def test_an_empty_organization_begins_with_1001(organization: Organization) -> None:
    assert next_free_mailbox(organization) == 1001


@pytest.mark.parametrize(
    ("used", "free"),
    [
        ([7011], 7012),
        ([7011, 7012, 7013], 7014),
        ([7013, 7011], 7012),
        ([5, 7011, 7012], 6),
        ([9_999_998], 9_999_999),
        ([42, 9_999_999], 43),
    ],
)
def test_a_number_is_the_first_free_one_after_the_lowest(
    organization: Organization, used: list[int], free: int
) -> None:
    for number in used:
        make_voicemailbox(organization, mailbox=number)
    assert next_free_mailbox(organization) == free


@pytest.mark.parametrize("used", [[9_999_999], [9_999_999, 9_999_998]])
def test_there_is_no_number_above_the_highest(organization: Organization, used: list[int]) -> None:
    for number in used:
        make_voicemailbox(organization, mailbox=number)
    assert next_free_mailbox(organization) is None


def test_other_organizations_numbers_do_not_count(
    organization: Organization, other_organization: Organization
) -> None:
    make_voicemailbox(organization, mailbox=7011)
    for number in (7010, 7012):
        make_voicemailbox(other_organization, mailbox=number)
    assert next_free_mailbox(organization) == 7012


@on_one_row
@given(used=st.sets(st.integers(1, 12) | st.integers(9_999_990, 9_999_999), min_size=1))
def test_a_number_is_what_counting_up_finds(organization: Organization, used: set[int]) -> None:
    with arranging():
        organization.voicemailboxes.all().delete()  # The last example's.
    for number in used:
        make_voicemailbox(organization, mailbox=number)
    expected = next(number for number in count(min(used)) if number not in used)
    assert next_free_mailbox(organization) == (expected if expected < 10**7 else None)


@pytest.mark.parametrize(
    ("fullname", "username"),
    [
        ("Joe Smith", "joe.smith"),
        ("  JOE   smith ", "joe.smith"),
        ("Zoë Müller", "zoe.muller"),
        ("Łukasz Wójcik", "lukasz.wojcik"),
        ("Siobhán O'Brien", "siobhan.obrien"),
        ("Jean-Luc Dupont", "jean-luc.dupont"),
        ("Sales & Support", "sales.support"),
        ("Weiß", "weiss"),
        ("Jørgen Ærø", "jorgen.aero"),
        ("王小明", "vm7011"),
        ("Дарья", "vm7011"),
        ("...", "vm7011"),
        ("", "vm7011"),
    ],
)
def test_an_address_is_made_from_the_name_and_else_from_the_number(
    organization: Organization, fullname: str, username: str
) -> None:
    assert suggested_username(organization, mailbox=7011, fullname=fullname) == username


def test_an_address_needs_a_name_or_a_number(organization: Organization) -> None:
    assert suggested_username(organization, mailbox=None, fullname="") == ""


def test_a_taken_address_gets_the_first_free_number_in_any_case(
    organization: Organization, other_organization: Organization
) -> None:
    for taken in ("Joe.Smith", "joe.smith-2", "joe.smith-4"):
        make_voicemailbox(organization, username=taken)
    make_voicemailbox(other_organization, username="joe.smith-3")
    suggested = suggested_username(organization, mailbox=7011, fullname="Joe Smith")
    assert suggested == "joe.smith-3"


def test_an_address_is_left_to_the_person_when_all_near_it_are_taken(
    organization: Organization,
) -> None:
    for number in range(1, 100):
        make_voicemailbox(organization, username=f"joe-{number}" if number > 1 else "joe")
    assert suggested_username(organization, mailbox=7011, fullname="Joe") == ""


@on_one_row
@given(fullname=st.text(max_size=200), is_taken=st.booleans())
def test_whatever_the_name_the_address_can_be_used(
    organization: Organization, fullname: str, is_taken: bool
) -> None:
    suggested = suggested_username(organization, mailbox=7011, fullname=fullname)
    validate_username(suggested)
    assert suggested.isascii()
    if is_taken:
        make_voicemailbox(organization, username=suggested)
        other = suggested_username(organization, mailbox=7011, fullname=fullname)
        validate_username(other)
        assert not Voicemailbox.unscoped.filter(username=other).exists()
