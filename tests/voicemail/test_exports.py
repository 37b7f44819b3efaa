"""What an export prints, and that it comes back the same."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from accounts.models import Organization
from tests.factories import arranging, make_account, make_organization, make_voicemailbox
from tests.voicemail.bulk import brought_in, exported
from voicemail.bulk.files import Format
from voicemail.models import NotifyEmail, NotifyPager, Timezone, Voicemailbox
from voicemail.services import delete_voicemailbox

HEADER = (
    "domain,mailbox,username,fullname,status,timezone,say_caller_id,say_duration,say_datetime,"
    "notify_email,email,notify_pager,pager,mwi"
)


def test_csv_has_every_column_but_pins_ids_and_times(organization: Organization) -> None:
    make_voicemailbox(organization, mailbox=1001, username="joe", fullname="=Joe, '")

    assert exported(with_pins=False) == (
        f"{HEADER}\nacme.example.com,1001,joe,\"'=Joe, '\",enabled,us_eastern,false,false,false,"
        "no,,no,,\n"
    )


def test_pins_ids_and_times_come_on_request(organization: Organization) -> None:
    box = make_voicemailbox(organization, password="0042")

    (line,) = exported(Format.JSONL, with_ids=True, with_times=True).splitlines()

    told = json.loads(line)
    assert told["voicemailbox_id"] == box.pk
    assert told["organization_id"] == organization.pk
    assert told["password"] == "0042"
    assert told["created"] == told["modified"] == box.created.isoformat()
    assert told["say_datetime"] is False


def test_boxes_are_ordered_by_domain_and_number(organization: Organization) -> None:
    other = make_organization(organization.account, domain="a-b.example.com")
    for where, mailbox in ((organization, 20), (organization, 3), (other, 100)):
        make_voicemailbox(where, mailbox=mailbox)

    lines = exported(with_pins=False).splitlines()[1:]

    assert [line.split(",")[:2] for line in lines] == [
        ["a-b.example.com", "100"],
        ["acme.example.com", "3"],
        ["acme.example.com", "20"],
    ]


def test_an_export_with_ids_and_times_changes_nothing_when_it_comes_back(
    organization: Organization,
) -> None:
    make_voicemailbox(organization)

    counts = brought_in(exported(with_ids=True, with_times=True))

    assert (counts.unchanged, counts.changed, counts.added) == (1, 0, 0)


_letters = st.characters(blacklist_categories=("Cc", "Cs"), blacklist_characters="\ufffe\uffff")
_first = st.sampled_from(["", "=", "+", "-", "@", "'", "'=", "''"])
_fullnames = (
    st.builds(str.__add__, _first, st.text(_letters, max_size=20))
    .map(str.strip)
    .filter(lambda name: 0 < len(name) <= 128)
)
_local = st.text("abz09+='-_", min_size=1, max_size=8).filter(lambda text: text[0] != "-")
_addresses = st.builds("{}@example.com".format, _local)


@st.composite
def boxes(draw: st.DrawFn) -> dict[str, Any]:
    email, pager = draw(st.just("") | _addresses), draw(st.just("") | _addresses)
    return {
        "fullname": draw(_fullnames),
        "username": draw(st.from_regex(r"\A[a-z_-][a-z0-9_-]{0,5}\Z")),
        "mailbox": draw(st.integers(1, 9_999_999)),
        "password": draw(st.from_regex(r"\A0{0,3}[1-9]{1,4}\Z")),
        "status": draw(st.sampled_from(["enabled", "disabled"])),
        "timezone": draw(st.sampled_from(Timezone.values)),
        "say_caller_id": draw(st.booleans()),
        "email": email,
        "notify_email": draw(st.sampled_from(NotifyEmail.values if email else ["no"])),
        "pager": pager,
        "notify_pager": draw(st.sampled_from(NotifyPager.values if pager else ["no"])),
        "mwi": draw(st.sampled_from(["", "-joe@example.com"])),
    }


_sets = st.lists(boxes(), max_size=6, unique_by=(lambda b: b["mailbox"], lambda b: b["username"]))


class RoundTrip(TestCase):
    """Any data that is exported, and imported where nothing is."""

    @given(data=_sets, form=st.sampled_from(Format))
    @settings(max_examples=60, deadline=None)
    def test_an_export_imported_elsewhere_exports_the_same(
        self, data: list[dict[str, Any]], form: Format
    ) -> None:
        account = make_account()
        organizations = [
            make_organization(account, domain=domain)
            for domain in ("b.example.com", "a.example.com")
        ]
        for number, values in enumerate(data):
            make_voicemailbox(organizations[number % 2], **values)
        before = exported(form)
        with arranging():
            for box in Voicemailbox.unscoped.select_related("organization"):
                delete_voicemailbox(box)

        counts = brought_in(before, form)

        assert counts.added == len(data)
        assert exported(form) == before
