"""What a PBX reads of a box is what was provisioned (docs/asterisk.md, The mapping)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import Organization
from accounts.services import edit_organization
from accounts.validators import validate_domain, validate_email
from tests.asterisk.pbx import Asterisk, Heard, make_pbx
from tests.factories import arranging, make_voicemailbox
from tests.texts import EMAILS, HOSTS, PINS, on_one_row
from voicemail.asterisk import mapping
from voicemail.models import NotifyEmail, NotifyPager, Timezone, Voicemailbox
from voicemail.services import edit_voicemailbox
from voicemail.validators import FULLNAME_MAX_LENGTH, validate_pin

EMAIL = "joe@example.com"
PAGER = "pager@example.com"

FLAGS = [False, True]
COMBINATIONS: list[Any] = list(
    product(NotifyEmail.values, NotifyPager.values, *[FLAGS] * 3, Timezone.values)
)


@pytest.fixture
def asterisk(db: None) -> Asterisk:
    pbx, credential = make_pbx()
    return Asterisk(pbx.name, credential)


@pytest.fixture
def box(organization: Organization) -> Voicemailbox:
    return make_voicemailbox(organization, mailbox=7011, password="0042", email=EMAIL, pager=PAGER)


def admitted_by(validate: Callable[[str], None]) -> Callable[[str], bool]:
    """Tell of a text whether a rule admits it."""

    def is_admitted(text: str) -> bool:
        try:
            validate(text)
        except ValidationError:
            return False
        return True

    return is_admitted


def read_back(asterisk: Asterisk, box: Voicemailbox, **values: Any) -> dict[str, str]:
    """Store values of a box as every surface does, and give what Asterisk reads then."""
    for name, value in values.items():
        setattr(box, name, value)
    box.full_clean()
    with arranging():
        edit_voicemailbox(box)
    found = asterisk.single(mailbox=str(box.mailbox), context=box.organization.domain)
    assert found is not None
    return found


def chosen(
    email: str, pager: str, caller: bool, duration: bool, time: bool, zone: str
) -> dict[str, Any]:
    """Give the columns of a combination of options."""
    return {
        "notify_email": email,
        "notify_pager": pager,
        "say_caller_id": caller,
        "say_duration": duration,
        "say_datetime": time,
        "timezone": zone,
    }


def meant(email: str, pager: str, caller: bool, duration: bool, time: bool, zone: str) -> Heard:
    """Give what a combination of options promises."""
    return Heard(
        mails_to="" if email == "no" else EMAIL,
        attaches=email in ("attach", "delete"),
        deletes=email == "delete",
        pages=PAGER if pager == "yes" else "",
        says_caller=caller,
        says_duration_of_a_short_message=duration,
        says_time=time,
        zone=zone,
    )


def test_every_combination_of_options_is_heard_as_it_was_chosen(
    asterisk: Asterisk, box: Voicemailbox
) -> None:
    assert len(COMBINATIONS) == 4 * 2 * 8 * 4
    for options in COMBINATIONS:
        heard = Heard.of(read_back(asterisk, box, **chosen(*options)))

        assert heard == meant(*options), options


def test_a_box_is_known_by_its_number_context_and_id(asterisk: Asterisk, box: Voicemailbox) -> None:
    found = read_back(asterisk, box)

    assert (found["mailbox"], found["context"], found["uniqueid"]) == (
        "7011",
        "acme.example.com",
        str(box.pk),
    )


def test_a_pin_keeps_its_leading_zeros(asterisk: Asterisk, box: Voicemailbox) -> None:
    assert read_back(asterisk, box)["password"] == "0042"


def test_a_message_is_not_deleted_where_no_mail_has_an_address() -> None:
    columns = mapping.record(row(notify_email="delete", email=""))
    heard = Heard.of({name: value for name, value in columns.items() if value})

    assert (heard.mails_to, heard.attaches, heard.deletes) == ("", False, False)


def row(**values: Any) -> dict[str, Any]:
    """Give the columns of a box; the database would refuse some of their values."""
    return dict.fromkeys(mapping.COLUMNS, "") | values


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
def test_a_full_name_is_cut_to_79_bytes_between_characters(
    asterisk: Asterisk, box: Voicemailbox, fullname: str, read: str
) -> None:
    assert read_back(asterisk, box, fullname=fullname)["fullname"] == read


FULLNAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]),
    min_size=1,
    max_size=FULLNAME_MAX_LENGTH,
).filter(admitted_by(Voicemailbox._meta.get_field("fullname").run_validators))


@settings(on_one_row, suppress_health_check=list(HealthCheck))
@given(
    fullname=FULLNAMES.map(str.strip).filter(bool),
    email=EMAILS.filter(admitted_by(validate_email)),
    pager=EMAILS.filter(admitted_by(Voicemailbox._meta.get_field("pager").run_validators)),
    pin=PINS.filter(admitted_by(validate_pin)),
    domain=HOSTS.filter(admitted_by(validate_domain)),
)
def test_whatever_the_rules_admit_is_read_back(
    asterisk: Asterisk,
    box: Voicemailbox,
    fullname: str,
    email: str,
    pager: str,
    pin: str,
    domain: str,
) -> None:
    box.organization.domain = domain
    with arranging():
        edit_organization(box.organization)
    written = {"fullname": fullname, "email": email, "pager": pager, "password": pin}
    found = read_back(asterisk, box, notify_email="yes", notify_pager="yes", **written)
    stored = Voicemailbox.unscoped.values("email", "pager", "password").get()

    assert {name: found[name] for name in stored} == stored
    assert (found["email"], found["pager"], found["password"]) == (email, pager, pin)
    assert found["context"] == Organization.unscoped.get().domain == domain.lower()
    assert fullname.startswith(found["fullname"])
    assert len(found["fullname"].encode()) > min(len(fullname.encode()), 79) - 4
