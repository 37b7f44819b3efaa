"""What can be done to a voicemail box, and the PINs that are made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st

from accounts.history import ChangeRequiredError
from accounts.models import Change, Organization
from tests.factories import arranging, make_organization, make_voicemailbox
from voicemail.models import Voicemailbox
from voicemail.services import (
    add_voicemailbox,
    delete_voicemailbox,
    edit_voicemailbox,
    generate_pin,
)
from voicemail.validators import is_trivial_pin

TAKEN_NUMBER = ("unavailable", "This mailbox is already in use in this organization.")
TAKEN_ADDRESS = (
    "unavailable",
    "This address is already in use, is reserved, or is otherwise unavailable for use.",
)


@pytest.fixture
def box(organization: Organization) -> Voicemailbox:
    return make_voicemailbox(organization, mailbox=7011, username="joe.vm", password="0042")


def new_box(organization: Organization, **values: Any) -> Voicemailbox:
    defaults = {"mailbox": 7012, "username": "sue.vm", "fullname": "Sue Smith"}
    return Voicemailbox(organization=organization, **defaults | values)


@given(length=st.integers(4, 7), mailbox=st.integers(1, 9_999_999))
def test_a_generated_pin_has_its_length_and_no_leading_zero_and_is_not_trivial(
    length: int, mailbox: int
) -> None:
    with override_settings(PIN_LENGTH=length):
        pin = generate_pin(mailbox)
    assert len(pin) == length
    assert pin.isascii()
    assert pin.isdecimal()
    assert pin[0] != "0"
    assert not is_trivial_pin(pin, mailbox)


@pytest.fixture
def drawn() -> Iterator[list[int]]:
    """Let the cryptographic source give what a test lists, counted from the smallest PIN."""
    numbers: list[int] = []
    with patch("secrets.randbelow", side_effect=lambda _: numbers.pop(0)):
        yield numbers


@pytest.mark.parametrize("trivial", [111111, 123456, 456789, 987654, 543210, 701100], ids=str)
def test_a_trivial_pin_is_drawn_again(drawn: list[int], trivial: int) -> None:
    drawn += [trivial - 100000, 482915 - 100000]
    assert generate_pin(701100) == "482915"


@pytest.mark.parametrize(("number", "pin"), [(1, "100001"), (899_998, "999998")])
def test_the_smallest_and_the_largest_pin_can_be_drawn(
    drawn: list[int], number: int, pin: str
) -> None:
    drawn.append(number)
    assert generate_pin(7011) == pin


def test_every_pin_of_the_length_can_be_drawn() -> None:
    with patch("secrets.randbelow", return_value=0) as source:
        assert generate_pin(7011) == "100000"
    source.assert_called_once_with(900_000)


def test_a_new_box_gets_a_pin(organization: Organization, drawn: list[int]) -> None:
    drawn.append(382915)
    with arranging():
        add_voicemailbox(new_box(organization))
    assert Voicemailbox.unscoped.get().password == "482915"


def test_a_new_box_keeps_the_pin_that_it_was_given(organization: Organization) -> None:
    with arranging():
        add_voicemailbox(new_box(organization, password="0042"))
    assert Voicemailbox.unscoped.get().password == "0042"


def test_a_new_box_has_the_account_of_its_organization(organization: Organization) -> None:
    with arranging():
        added = add_voicemailbox(new_box(organization))
    assert Voicemailbox.unscoped.get().account_id == added.account_id == organization.account_id


def test_a_new_box_was_modified_when_it_was_created(box: Voicemailbox) -> None:
    stored = Voicemailbox.unscoped.get()
    assert stored.created == stored.modified


def assert_taken(write: Callable[[], Any], field: str, error: tuple[str, str]) -> None:
    with pytest.raises(ValidationError) as caught, arranging():
        write()
    (told,) = caught.value.error_dict[field]
    assert caught.value.error_dict.keys() == {field}
    assert (told.code, " ".join(told.messages)) == error


@pytest.mark.parametrize(
    ("values", "field", "error"),
    [
        ({"mailbox": 7011}, "mailbox", TAKEN_NUMBER),
        ({"username": "JOE.vm"}, "username", TAKEN_ADDRESS),
    ],
)
def test_a_new_box_that_lost_a_race_is_refused_on_the_field_that_is_taken(
    box: Voicemailbox, values: dict[str, Any], field: str, error: tuple[str, str]
) -> None:
    late = new_box(box.organization, **values)
    assert_taken(lambda: add_voicemailbox(late), field, error)
    assert Voicemailbox.unscoped.get() == box
    assert not Voicemailbox.history.filter(fullname="Sue Smith").exists()


@pytest.mark.parametrize(
    ("values", "field", "error"),
    [
        ({"mailbox": 7011}, "mailbox", TAKEN_NUMBER),
        ({"username": "JOE.vm"}, "username", TAKEN_ADDRESS),
    ],
)
def test_an_edit_that_lost_a_race_is_refused_on_the_field_that_is_taken(
    box: Voicemailbox, values: dict[str, Any], field: str, error: tuple[str, str]
) -> None:
    other = make_voicemailbox(box.organization, mailbox=7012, username="sue.vm")
    before = Voicemailbox.unscoped.values().get(pk=other.pk)
    for name, value in values.items():
        setattr(other, name, value)
    assert_taken(lambda: edit_voicemailbox(other), field, error)
    assert Voicemailbox.unscoped.values().get(pk=other.pk) == before


def test_another_violation_than_a_taken_value_is_no_error_of_a_field(
    organization: Organization,
) -> None:
    with pytest.raises(IntegrityError), arranging():
        add_voicemailbox(new_box(organization, fullname=""))
    assert not Voicemailbox.unscoped.exists()


def test_what_was_just_added_can_be_edited(organization: Organization) -> None:
    box = new_box(organization, mailbox="7012")
    with arranging():
        add_voicemailbox(box)
        assert not edit_voicemailbox(box)
        box.fullname = "Sue Jones"
        assert edit_voicemailbox(box)
        assert not edit_voicemailbox(box)
    assert Voicemailbox.unscoped.get().fullname == "Sue Jones"
    assert Voicemailbox.history.count() == 2


def test_an_edit_moves_modified_and_what_it_changes_and_nothing_else(box: Voicemailbox) -> None:
    before: dict[str, Any] = {**Voicemailbox.unscoped.values().get()}
    box.say_datetime = True
    with arranging():
        assert edit_voicemailbox(box)
    after = Voicemailbox.unscoped.values().get()
    changed = {name for name, value in after.items() if value != before[name]}
    assert changed == {"say_datetime", "modified"}


def test_an_edit_that_changes_nothing_needs_no_author(box: Voicemailbox) -> None:
    changes = Change.unscoped.count()
    box.mailbox = "7011"
    assert not edit_voicemailbox(box)
    assert Change.unscoped.count() == changes


def test_deleting_frees_the_number_and_the_address(box: Voicemailbox) -> None:
    with arranging():
        delete_voicemailbox(box)
        add_voicemailbox(new_box(box.organization, mailbox=7011, username="JOE.vm"))
    assert Voicemailbox.unscoped.get().fullname == "Sue Smith"


def test_the_same_number_and_user_name_may_be_added_to_another_organization(
    box: Voicemailbox,
) -> None:
    second = make_organization(box.account)
    with arranging():
        add_voicemailbox(new_box(second, mailbox=7011, username="joe.vm"))
    assert Voicemailbox.unscoped.count() == 2


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("verb", ["add", "edit", "delete"])
def test_a_box_that_is_written_without_an_author_stays_as_it_was(
    box: Voicemailbox, verb: str
) -> None:
    before = Voicemailbox.unscoped.values().get()
    box.fullname = "Sue Smith"
    writes: dict[str, Callable[[], Any]] = {
        "add": lambda: add_voicemailbox(new_box(box.organization)),
        "edit": lambda: edit_voicemailbox(box),
        "delete": lambda: delete_voicemailbox(box),
    }
    with pytest.raises(ChangeRequiredError):
        writes[verb]()
    assert Voicemailbox.unscoped.values().get() == before
