"""The list of mailboxes in the admin: its columns, search, filters, orders and actions."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Change, Organization, User
from tests.admin_pages import client_of, notes_of, rows_of, run_action
from tests.factories import make_organization, make_voicemailbox
from voicemail.models import Voicemailbox

LIST = "/admin/voicemail/voicemailbox/"
BOUND = 1000  # Up to so many mailboxes are counted.
COLUMNS = [
    *("Number", "Full name", "Organization", "Address"),
    *("Notification", "Time zone", "Status", "Modified"),
]


@pytest.fixture
def client(alice: User) -> Client:
    return client_of(alice)


def make_many(organization: Organization, number: int) -> None:
    """Make boxes without a history, numbered downwards from 9000000, so that ids run against."""
    now = timezone.now()
    Voicemailbox.unscoped.bulk_create(
        Voicemailbox(
            account_id=organization.account_id,
            organization=organization,
            mailbox=9_000_000 - each,
            username=f"many{each}",
            fullname=f"Many {each % 7}",
            password="8675309",
            created=now,
            modified=now - timedelta(minutes=each * 37 % number),
        )
        for each in range(number)
    )


def text_of(response: Any) -> str:
    """Give what a page says, without its tags."""
    text = re.sub(r"<[^>]*>", " ", response.content.decode())
    return re.sub(r"\s+", " ", unescape(text))


def cells_of(response: Any) -> list[str]:
    """Give the cells of the first row."""
    body = response.content.decode().split("<tbody>")[1].split("</tr>")[0]
    cells = re.findall(r'<t[dh] class="field[^>]*>(.*?)</t[dh]>', body, re.DOTALL)
    return [unescape(re.sub(r"<[^>]*>", "", cell)).strip() for cell in cells]


def sortable_columns(response: Any) -> set[str]:
    page = response.content.decode()
    return set(re.findall(r'class="sortable column-(\w+)', page))


def numbers_of(response: Any) -> list[int]:
    return [box.mailbox for box in rows_of(response)]


# Columns


def test_a_row_tells_what_a_mailbox_is(client: Client, organization: Organization) -> None:
    box = make_voicemailbox(
        organization,
        mailbox=7011,
        fullname="Zoë Müller",
        username="zoe",
        notify_email="attach",
        email="zoe@mail.example.com",
        timezone="us_pacific",
        status="disabled",
        password="8675309",
    )
    assert cells_of(client.get(LIST)) == [
        *("7011", "Zoë Müller", "acme.example.com", "zoe@acme.example.com"),
        *("E-mail + recording", "Pacific (Los Angeles)", "Disabled"),
        f"{box.modified:%Y-%m-%d %H:%M}",
    ]


def test_the_columns_have_names(client: Client, organization: Organization) -> None:
    make_voicemailbox(organization)
    head = client.get(LIST).content.decode().split("<thead>")[1].split("</thead>")[0]
    named = re.findall(r'class="text">(.*?)</div>', head, re.DOTALL)
    assert [re.sub(r"<[^>]*>", "", each).strip() for each in named if "<a" in each] == COLUMNS


@pytest.mark.parametrize(
    ("notify_email", "notify_pager", "badges"),
    [
        ("no", "no", ["Off"]),
        ("yes", "no", ["E-mail"]),
        ("attach", "no", ["E-mail + recording"]),
        ("delete", "no", ["E-mail, then deleted"]),
        ("no", "yes", ["Pager"]),
        ("yes", "yes", ["E-mail", "Pager"]),
    ],
)
def test_who_is_told_of_a_message_is_said_in_words(
    client: Client,
    organization: Organization,
    notify_email: str,
    notify_pager: str,
    badges: list[str],
) -> None:
    make_voicemailbox(
        organization,
        notify_email=notify_email,
        notify_pager=notify_pager,
        email="joe@example.com",
        pager="page@example.com",
    )
    page = client.get(LIST).content.decode()
    cell = page.split('class="field-notification"')[1].split("</td>")[0]
    assert re.findall(r'<span class="badge[ on]*">(.*?)</span>', cell) == badges


def test_a_name_is_never_markup(client: Client, organization: Organization) -> None:
    make_voicemailbox(organization, fullname="<b>Joe</b>")
    assert "<b>Joe" not in client.get(LIST, {"q": "<b>"}).content.decode()
    assert "<b>Bob" not in client.get(LIST, {"q": "<b>Bob"}).content.decode()


# Filters


@pytest.fixture
def boxes(organization: Organization) -> dict[str, Voicemailbox]:
    """Give mailboxes by what sets each apart."""
    west = make_organization(organization.account, domain="west.example.com")
    make = make_voicemailbox
    made = {
        "plain": make(organization),
        "disabled": make(organization, status="disabled"),
        "mailed": make(organization, notify_email="yes", email="joe@example.com"),
        "paged": make(organization, notify_pager="yes", pager="joe@example.com"),
        "pacific": make(organization, timezone="us_pacific"),
        "west": make(west),
        "served": make(organization, mwi="phone@WEST.example.com"),
        "unserved": make(organization, mwi="phone@globex.example.com"),
    }
    for name, days in (("mailed", 3), ("paged", 20), ("pacific", 400)):
        then = timezone.now() - timedelta(days=days)
        Voicemailbox.unscoped.filter(pk=made[name].pk).update(modified=then)
    return made


@pytest.mark.parametrize(
    ("lookup", "names"),
    [
        ({"status__exact": "disabled"}, {"disabled"}),
        ({"notify_email__exact": "yes"}, {"mailed"}),
        ({"notify_pager__exact": "yes"}, {"paged"}),
        ({"timezone__exact": "us_pacific"}, {"pacific"}),
        ({"organization": "west.example.com"}, {"west"}),
        ({"organization": "EST.exa"}, {"west"}),
        ({"mwi": "yes"}, {"served", "unserved"}),
        ({"mwi": "unserved"}, {"unserved"}),
        ({"modified": "week", "organization": "acme"},
         {"plain", "disabled", "mailed", "served", "unserved"}),
        ({"modified": "month", "timezone__exact": "us_eastern", "notify_pager__exact": "yes"},
         {"paged"}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("who", ["alice", "staff"])
def test_a_filter_leaves_what_it_says(
    alice: User,
    staff: User,
    boxes: dict[str, Voicemailbox],
    other_organization: Organization,
    who: str,
    lookup: dict[str, str],
    names: set[str],
) -> None:
    client = client_of({"alice": alice, "staff": staff}[who])
    assert set(rows_of(client.get(LIST, lookup))) == {boxes[name] for name in names}


def test_changed_today_is_since_midnight_in_utc(client: Client, organization: Organization) -> None:
    early, late = (make_voicemailbox(organization) for _ in range(2))
    midnight = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    boxes = Voicemailbox.unscoped
    boxes.filter(pk=early.pk).update(modified=midnight - timedelta(microseconds=1))
    boxes.filter(pk=late.pk).update(modified=midnight)
    assert rows_of(client.get(LIST, {"modified": "today"})) == [late]


def test_an_organization_is_chosen_by_its_whole_domain_before_any_part(
    client: Client, organization: Organization
) -> None:
    make_voicemailbox(make_organization(organization.account, domain="acme.example.com.de"))
    box = make_voicemailbox(organization)
    assert rows_of(client.get(LIST, {"organization": "acme.example.com"})) == [box]


def test_few_organizations_are_offered_and_none_of_another_account(
    client: Client, boxes: dict[str, Voicemailbox], other_organization: Organization
) -> None:
    page = client.get(LIST).content.decode()
    assert re.findall(r'href="\?organization=([^"&]*)"', page) == [
        "acme.example.com",
        "west.example.com",
    ]
    assert "globex" not in page


def test_many_organizations_are_searched_by_their_domain(
    client: Client, organization: Organization
) -> None:
    for number in range(20):
        make_organization(organization.account, domain=f"branch{number}.example.com")
    make_voicemailbox(organization)
    response = client.get(LIST, {"organization": "acme", "q": "joe", "status__exact": "enabled"})
    form = response.content.decode().split('class="domain-filter"')[1].split("</form>")[0]
    assert "branch1.example.com" not in form
    assert re.findall(r'name="(\w+)" value="(\w*)"', form) == [
        ("organization", "acme"),
        ("status__exact", "enabled"),
        ("q", "joe"),
    ]


@pytest.mark.parametrize("domain", ["globex.example.com", "globex", "nowhere.example.com"])
def test_a_foreign_organization_is_as_empty_as_a_missing_one(
    client: Client, organization: Organization, other_organization: Organization, domain: str
) -> None:
    make_voicemailbox(organization)
    make_voicemailbox(other_organization)
    assert rows_of(client.get(LIST, {"organization": domain})) == []


@pytest.mark.parametrize("query", [{"organization": "\0"}, {"mwi": "x"}, {"modified": "x"}])
def test_a_forged_filter_breaks_nothing(
    client: Client, organization: Organization, query: dict[str, str]
) -> None:
    make_voicemailbox(organization)
    assert client.get(LIST, query).status_code in (200, 400)


# Orders and pages


@pytest.mark.parametrize("who", ["alice", "staff"])
def test_a_short_list_is_sorted_by_every_column(
    alice: User, staff: User, organization: Organization, who: str
) -> None:
    east = make_organization(organization.account, domain="a.example.com")
    first = make_voicemailbox(
        east, mailbox=2, fullname="B", username="b", notify_email="yes", email="a@example.com",
        timezone="us_pacific", status="enabled",
    )  # fmt: skip
    second = make_voicemailbox(
        organization, mailbox=1, fullname="A", username="a", timezone="us_central",
        status="disabled",
    )  # fmt: skip
    client = client_of({"alice": alice, "staff": staff}[who])
    expected = {
        "1": [second, first], "2": [second, first], "3": [first, second], "4": [second, first],
        "5": [second, first], "6": [second, first], "7": [second, first], "8": [first, second],
    }  # fmt: skip
    for column, order in expected.items():
        assert rows_of(client.get(LIST, {"o": column})) == order, column
        assert rows_of(client.get(LIST, {"o": f"-{column}"})) == order[::-1], column


def test_a_long_list_is_sorted_along_an_index_or_as_usual(
    client: Client, organization: Organization
) -> None:
    make_many(organization, BOUND + 1)
    usual = numbers_of(client.get(LIST))
    assert usual == sorted(usual)
    assert numbers_of(client.get(LIST, {"o": "-1"}))[0] == 9_000_000
    assert numbers_of(client.get(LIST, {"o": "2"})) == usual
    latest = [box.modified for box in rows_of(client.get(LIST, {"o": "2.-8"}))]
    assert latest == sorted(latest, reverse=True)
    assert latest[0] == Voicemailbox.unscoped.latest("modified").modified


@pytest.mark.parametrize(
    ("who", "columns"),
    [("alice", {"number", "last_change"}), ("staff", {"domain", "last_change"})],
)
def test_a_long_list_offers_only_what_an_index_serves(
    alice: User, staff: User, organization: Organization, who: str, columns: set[str]
) -> None:
    make_many(organization, BOUND + 1)
    client = client_of({"alice": alice, "staff": staff}[who])
    assert sortable_columns(client.get(LIST)) == columns
    assert len(sortable_columns(client.get(LIST, {"q": "many 3"}))) == len(COLUMNS)


def test_up_to_the_bound_the_number_is_exact(client: Client, organization: Organization) -> None:
    make_many(organization, BOUND)
    assert "1000 mailboxes" in text_of(client.get(LIST))
    assert "More than" not in text_of(client.get(LIST))
    assert "1 mailbox " in text_of(client.get(LIST, {"q": "many500@"}))


def test_beyond_the_bound_there_are_more(client: Client, organization: Organization) -> None:
    make_many(organization, BOUND + 51)
    first = client.get(LIST)
    assert "More than 1000 mailboxes" in text_of(first)
    assert 'href="?p=20"' in first.content.decode()
    at_the_bound = client.get(LIST, {"p": "20"})
    assert 'href="?p=21"' in at_the_bound.content.decode()
    last = client.get(LIST, {"p": "22"})
    assert numbers_of(last) == [9_000_000]
    assert "1051 mailboxes" in text_of(last)


def test_pages_never_overlap(client: Client, organization: Organization) -> None:
    make_many(organization, BOUND + 51)
    seen = [number for page in range(1, 23) for number in numbers_of(client.get(LIST, {"p": page}))]
    assert len(seen) == len(set(seen)) == BOUND + 51


@pytest.mark.parametrize("page", ["23", "999999", "9" * 30, "0", "-1"])
def test_a_page_that_is_not_there_leads_back_to_the_list(
    client: Client, organization: Organization, page: str
) -> None:
    make_many(organization, BOUND + 51)
    assert client.get(LIST, {"p": page}).headers["Location"] == f"{LIST}?e=1"


# The login's session and user, the organizations to filter by, the count, the page and its
# organizations; a word that is searched is looked for among the domains as well.
@pytest.mark.parametrize(
    ("query", "number"), [({}, 6), ({"q": "many"}, 7), ({"status__exact": "enabled", "o": "-8"}, 6)]
)
@pytest.mark.parametrize("who", ["alice", "staff"])
def test_a_list_needs_as_many_queries_for_5000_boxes_as_for_50(
    alice: User,
    staff: User,
    organization: Organization,
    who: str,
    query: dict[str, str],
    number: int,
) -> None:
    client = client_of({"alice": alice, "staff": staff}[who])
    counts = []
    for more in (50, 4950):
        make_many(make_organization(organization.account), more)
        with CaptureQueriesContext(connection) as queries:
            client.get(LIST, query)
        counts.append(len(queries))
    assert counts == [number, number]


# Nothing to show


def test_an_account_without_a_mailbox_is_led_to_the_first(
    client: Client, organization: Organization
) -> None:
    page = client.get(LIST)
    assert "No mailboxes yet. Add the first mailbox" in text_of(page)
    assert f'href="{LIST}add/"' in page.content.decode()


def test_an_account_without_an_organization_is_told_whom_to_ask(client: Client) -> None:
    text = text_of(client.get(LIST))
    assert "your account has none. Ask your provider to add it." in text
    assert "Add the first mailbox" not in text


def test_staff_without_an_organization_are_led_to_add_one(staff: User) -> None:
    page = client_of(staff).get(LIST)
    assert "No mailboxes yet." in text_of(page)
    assert 'href="/admin/accounts/organization/add/"' in page.content.decode()


def test_a_search_in_vain_says_what_was_searched_and_how_to_clear_it(
    client: Client, organization: Organization
) -> None:
    make_voicemailbox(organization)
    query = {"q": "nobody", "status__exact": "disabled", "organization": "acme.example.com"}
    page = client.get(LIST, query)
    text = text_of(page)
    assert "No mailbox was found. You searched for “nobody”." in text
    assert "Filter: status: Disabled" in text
    assert 'href="?">Clear search and filters</a>' in page.content.decode()


# Actions


@pytest.mark.parametrize(
    ("action", "before", "after"),
    [("disable", "enabled", "disabled"), ("enable", "disabled", "enabled")],
)
def test_selected_mailboxes_are_enabled_and_disabled_as_one_change(
    client: Client, alice: User, organization: Organization, action: str, before: str, after: str
) -> None:
    first, second, third = (make_voicemailbox(organization, status=before) for _ in range(3))
    changes = Change.unscoped.count()
    response = run_action(client, Voicemailbox, action, first.pk, second.pk)
    assert notes_of(response) == [f"2 mailboxes were {after}."]
    stored = {box.pk: box.status for box in Voicemailbox.unscoped.all()}
    assert stored == {first.pk: after, second.pk: after, third.pk: before}
    change = Change.unscoped.latest("id")
    assert (Change.unscoped.count(), change.user) == (changes + 1, alice)
    assert {row.id for row in Voicemailbox.history.filter(change=change)} == {first.pk, second.pk}


def test_what_is_as_wanted_already_is_not_changed(
    client: Client, organization: Organization
) -> None:
    box, disabled = (
        make_voicemailbox(organization),
        make_voicemailbox(organization, status="disabled"),
    )
    response = run_action(client, Voicemailbox, "disable", box.pk, disabled.pk)
    assert notes_of(response) == ["1 mailbox was disabled."]
    assert LogEntry.objects.get().object_id == str(box.pk)
    again = run_action(client, Voicemailbox, "disable", box.pk)
    assert "The selected mailboxes were disabled already." in notes_of(again)
    assert Voicemailbox.history.filter(id=box.pk).count() == 2


def test_a_foreign_mailbox_among_the_selected_stays_as_it_is(
    client: Client, organization: Organization, other_organization: Organization
) -> None:
    foreign = make_voicemailbox(other_organization)
    box = make_voicemailbox(organization)
    run_action(client, Voicemailbox, "disable", foreign.pk, box.pk, select_across="1")
    assert Voicemailbox.unscoped.get(status="enabled") == foreign


def test_all_that_was_found_can_be_changed_up_to_the_bound(
    client: Client, organization: Organization
) -> None:
    make_many(organization, BOUND + 1)
    box = Voicemailbox.unscoped.first()
    assert box is not None
    refused = run_action(client, Voicemailbox, "disable", box.pk, select_across="1")
    assert notes_of(refused) == [
        "More than 1,000 mailboxes can't be changed at once. Search or filter first."
    ]
    assert not Voicemailbox.unscoped.filter(status="disabled").exists()
    assert "Select all" not in text_of(client.get(LIST))
    selected = {"action": "disable", "_selected_action": box.pk, "index": "0", "select_across": "1"}
    client.post(f"{LIST}?q=many9", selected)
    changed = Voicemailbox.unscoped.filter(status="disabled")
    assert {each.username[:5] for each in changed} == {"many9"}
    assert len(changed) == 111
