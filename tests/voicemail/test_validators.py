"""The forms of PINs, names and addresses: one meaning in Python and in either database."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.core.exceptions import ValidationError
from hypothesis import example, given
from hypothesis import strategies as st

from accounts.models import Organization
from accounts.validators import (
    validate_email,
    validate_one_line,
    validate_user_address,
    validate_username,
)
from tests.database import verdicts
from tests.factories import make_voicemailbox
from tests.texts import (
    EMAILS,
    LONG_EMAILS,
    PINS,
    USER_ADDRESSES,
    USERNAMES,
    nearly,
    on_one_row,
)
from voicemail.models import Voicemailbox
from voicemail.validators import is_trivial_pin, validate_pin, validate_strict_pin

MAIL = "Value must be one e-mail address such as joe@example.com."
ADDRESS = "Value must be a SIP user address such as joe@example.com, without sip:."
USERNAME = (
    "Value must be 1 to 64 letters, digits, dots, underscores or hyphens, "
    "with no dot at either end and no two dots in a row."
)
PIN = "Value must be 1 to 7 digits, not all of them zero."
STRICT = (
    "Value must be 6 or 7 digits, and neither the mailbox's own number nor one digit repeated "
    "nor a run of digits up or down."
)


@pytest.fixture
def box(organization: Organization) -> Voicemailbox:
    return make_voicemailbox(organization)


@on_one_row
@given(pin=nearly(PINS))
@example(pin="0000001")
@example(pin="0000000")
@example(pin="00000001")
@example(pin="42\n")
@example(pin="\n42")
@example(pin="٤٢")
@example(pin="４２")
@example(pin="4²")
@example(pin="+42")
@example(pin=" 42")
@example(pin="4_2")
def test_python_and_the_database_agree_on_pins(box: Voicemailbox, pin: str) -> None:
    by_python, by_database = verdicts(box, "password", pin)
    assert by_python is by_database


@on_one_row
@given(name=nearly(USERNAMES))
@example(name="u" * 64)
@example(name="u" * 65)
@example(name="joe.vm\n")
@example(name="joe..vm")
@example(name="\u212aay")
@example(name="-joe-")
def test_python_and_the_database_agree_on_user_names(box: Voicemailbox, name: str) -> None:
    by_python, by_database = verdicts(box, "username", name)
    assert by_python is by_database


@on_one_row
@given(email=nearly(EMAILS) | nearly(LONG_EMAILS))
@example(email=f"{'e' * 242}@example.com")
@example(email=f"{'e' * 243}@example.com")
@example(email=f"joe@{'a' * 63}.com")
@example(email=f"joe@{'a' * 64}.com")
@example(email="joe@example.com\n")
@example(email="joe\n@example.com")
@example(email="joe|sue@example.com")
@example(email="-joe@example.com")
@example(email="jo-e@example.com")
@example(email="josé@example.com")
@example(email="joe@exämple.com")
@example(email="joe@sue@example.com")
def test_python_and_the_database_agree_on_emails(box: Voicemailbox, email: str) -> None:
    by_python, by_database = verdicts(box, "email", email)
    assert by_python is by_database


@on_one_row
@given(pager=nearly(EMAILS) | nearly(LONG_EMAILS))
@example(pager=f"{'p' * 67}@example.com")
@example(pager=f"{'p' * 68}@example.com")
@example(pager=f"{'p' * 78}\n@example.com")
def test_python_and_the_database_agree_on_pagers(box: Voicemailbox, pager: str) -> None:
    by_python, by_database = verdicts(box, "pager", pager)
    assert by_python is by_database


@on_one_row
@given(mwi=nearly(USER_ADDRESSES))
@example(mwi=f"{'m' * 64}@example.com")
@example(mwi=f"{'m' * 65}@example.com")
@example(mwi=f"m@{'a' * 63}.{'b' * 15}")
@example(mwi=f"m@{'a' * 63}.{'b' * 16}")
@example(mwi="m@example.com\n")
@example(mwi="sip:m@example.com")
@example(mwi="m@@example.com")
def test_python_and_the_database_agree_on_user_addresses(box: Voicemailbox, mwi: str) -> None:
    by_python, by_database = verdicts(box, "mwi", mwi)
    assert by_python is by_database


@on_one_row
@given(fullname=nearly(st.text(st.characters(exclude_categories=["Cs"]), max_size=9)))
@example(fullname="é" * 128)
@example(fullname="é" * 129)
@example(fullname="😀" * 128)
@example(fullname="Joe\x00Smith")
@example(fullname="Joe\x1fSmith")
@example(fullname="Joe\x7fSmith")
@example(fullname="Joe\x9fSmith")
@example(fullname="Joe\xa0Smith")
@example(fullname="Joe\u2028Smith")
@example(fullname="Joe\ufffeSmith")
@example(fullname="Joe]Smith")
def test_python_and_the_database_agree_on_full_names(box: Voicemailbox, fullname: str) -> None:
    by_python, by_database = verdicts(box, "fullname", fullname)
    assert by_python is by_database


@pytest.mark.parametrize(
    ("validate", "value"),
    [
        (validate_pin, "1"),
        (validate_pin, "0042"),
        (validate_pin, "9999999"),
        (validate_username, "u" * 64),
        (validate_username, "-a_b.C-9_"),
        (validate_email, "o'brien+tag!#$%&*/=?^_`{}~@mail.example.com"),
        (validate_email, f"joe@{'a' * 63}.{'b' * 63}.{'c' * 63}.com"),
        (validate_user_address, "joe_vm@acme-west.example.com"),
        (validate_one_line, "王小明 O'Brien 😀"),
    ],
)
def test_a_value_of_the_form_is_accepted(validate: Callable[[str], None], value: str) -> None:
    validate(value)


@pytest.mark.parametrize(
    ("validate", "message", "values"),
    [
        (validate_pin, PIN, ("", "0", "0000000", "12345678", "42\n", "٤٢", "-1", "4 2", "1.0")),
        (validate_username, USERNAME, ("", "u" * 65, ".a", "a.", "a..b", "a@b", "a b", "é", "a\n")),
        (
            validate_email,
            MAIL,
            (
                "",
                "joe",
                "@example.com",
                "joe@",
                "joe@localhost",
                "-joe@example.com",
                "joe|sue@example.com",
                "joe@example.com|sue@example.com",
                '"joe"@example.com',
                "joe@[192.0.2.1]",
                "Joe <joe@example.com>",
                "joe@example.com ",
                "joe@example.com\n",
                "josé@example.com",
                "joe@exämple.com",
                "joe..smith@example.com",
                f"{'e' * 243}@example.com",
            ),
        ),
        (
            validate_user_address,
            ADDRESS,
            (
                "",
                "joe",
                "joe@localhost",
                "sip:joe@example.com",
                "joe@example.com:5060",
                "o'brien@example.com",
                "joe@example.com\n",
                f"{'m' * 65}@example.com",
                f"m@{'a' * 63}.{'b' * 16}",
            ),
        ),
    ],
)
def test_a_value_of_another_form_is_refused(
    validate: Callable[[str], None], message: str, values: tuple[str, ...]
) -> None:
    for value in values:
        with pytest.raises(ValidationError) as caught:
            validate(value)
        assert (caught.value.code, caught.value.messages) == ("invalid", [message]), value


@pytest.mark.parametrize(
    ("pin", "mailbox"),
    [
        ("7011", 7011),
        ("1", 42),
        ("77777", 42),
        ("0000", 42),
        ("1234", 42),
        ("0123", 42),
        ("7890", 42),
        ("4321", 42),
        ("0987", 42),
        ("3210", 42),
        ("12", 42),
    ],
)
def test_what_anybody_would_try_first_is_trivial(pin: str, mailbox: int) -> None:
    assert is_trivial_pin(pin, mailbox)


@pytest.mark.parametrize(
    ("pin", "mailbox"),
    [("07011", 7011), ("7110", 7011), ("1235", 42), ("1357", 42), ("1212", 42), ("9012", 42)],
)
def test_other_pins_are_not_trivial(pin: str, mailbox: int) -> None:
    assert not is_trivial_pin(pin, mailbox)


@pytest.mark.parametrize("pin", ["482915", "0482915", "101010"])
def test_the_strict_policy_accepts_six_or_seven_digits_that_are_not_trivial(pin: str) -> None:
    validate_strict_pin(pin, 7011)


@pytest.mark.parametrize("pin", ["48291", "555555", "234567", "7654321", "7011234"])
def test_the_strict_policy_says_what_it_wants(pin: str) -> None:
    with pytest.raises(ValidationError) as caught:
        validate_strict_pin(pin, 7011234)
    assert (caught.value.code, caught.value.messages) == ("invalid", [STRICT])
