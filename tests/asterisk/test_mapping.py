"""What a PBX reads of a box is what was provisioned (docs/asterisk.md, The mapping)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.validators import validate_domain, validate_email
from tests.asterisk.pbx import Heard, read_record
from tests.texts import EMAILS, HOSTS, PINS
from voicemail.asterisk import wire
from voicemail.asterisk.mapping import record
from voicemail.validators import validate_pin

ROW: dict[str, Any] = {
    "id": 61,
    "mailbox": 7011,
    "password": "0042",
    "fullname": "Joe Smith",
    "timezone": "us_eastern",
    "organization__domain": "acme.example.com",
    "say_caller_id": False,
    "say_duration": False,
    "say_datetime": False,
    "notify_email": "no",
    "email": "joe@example.com",
    "notify_pager": "no",
    "pager": "pager@example.com",
}

FLAGS = [False, True]
COMBINATIONS = list(
    product(
        ["no", "yes", "attach", "delete"],
        ["no", "yes"],
        *[FLAGS] * 3,
        ["us_eastern", "us_central", "us_mountain", "us_pacific"],
    )
)


def admitted_by(validate: Callable[[str], None]) -> Callable[[str], bool]:
    """Tell of a text whether a rule admits it."""

    def is_admitted(text: str) -> bool:
        try:
            validate(text)
        except ValidationError:
            return False
        return True

    return is_admitted


def read_back(**values: Any) -> dict[str, str]:
    """Give what Asterisk reads of a row."""
    found = read_record(wire.line(record(ROW | values)).encode())
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("email", "pager", "caller", "duration", "time", "zone"), COMBINATIONS, ids=str
)
def test_every_combination_of_options_is_heard_as_it_was_chosen(
    email: str, pager: str, caller: bool, duration: bool, time: bool, zone: str
) -> None:
    heard = Heard.of(
        read_back(
            notify_email=email,
            notify_pager=pager,
            say_caller_id=caller,
            say_duration=duration,
            say_datetime=time,
            timezone=zone,
        )
    )

    assert heard == Heard(
        mails_to="" if email == "no" else "joe@example.com",
        attaches=email in ("attach", "delete"),
        deletes=email == "delete",
        pages="pager@example.com" if pager == "yes" else "",
        says_caller=caller,
        says_duration_of_a_short_message=duration,
        says_time=time,
        zone=zone,
    )


def test_a_box_is_known_by_its_number_context_and_id() -> None:
    found = read_back()

    assert (found["mailbox"], found["context"], found["uniqueid"]) == (
        "7011",
        "acme.example.com",
        "61",
    )


def test_a_pin_keeps_its_leading_zeros() -> None:
    assert read_back()["password"] == "0042"


def test_a_message_is_not_deleted_where_no_mail_has_an_address() -> None:
    heard = Heard.of(read_back(notify_email="delete", email=""))

    assert (heard.mails_to, heard.attaches, heard.deletes) == ("", False, False)


@pytest.mark.parametrize(
    ("fullname", "read"),
    [
        ("x" * 79, "x" * 79),
        ("x" * 80, "x" * 79),
        ("x" * 78 + "é", "x" * 78),
        ("王" * 30, "王" * 26),
        ("Sales & Support + 50% = x; y", "Sales & Support + 50% = x; y"),
    ],
)
def test_a_full_name_is_cut_to_79_bytes_between_characters(fullname: str, read: str) -> None:
    assert read_back(fullname=fullname)["fullname"] == read


@settings(suppress_health_check=[HealthCheck.filter_too_much])
@given(
    fullname=st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1)
    .map(str.strip)
    .filter(bool),
    email=EMAILS.filter(admitted_by(validate_email)),
    pager=EMAILS.filter(admitted_by(validate_email)),
    pin=PINS.filter(admitted_by(validate_pin)),
    domain=HOSTS.filter(admitted_by(validate_domain)),
)
def test_whatever_the_rules_admit_is_read_back(
    fullname: str, email: str, pager: str, pin: str, domain: str
) -> None:
    found = read_back(
        fullname=fullname,
        email=email,
        notify_email="yes",
        pager=pager,
        notify_pager="yes",
        password=pin,
        organization__domain=domain,
    )

    assert found["email"] == email
    assert found["pager"] == pager
    assert found["password"] == pin
    assert found["context"] == domain
    assert fullname.startswith(found["fullname"])
    assert len(found["fullname"].encode()) > min(len(fullname.encode()), 79) - 4
