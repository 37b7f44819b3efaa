"""Spool orders in the admin, and what people are told of recordings that others left behind."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import Organization, User
from accounts.services import delete_organization
from tests.admin_pages import client_of, fill_in, notes_of, rows_of, url_of
from tests.asterisk.pbx import make_pbx
from tests.factories import arranging, make_organization, make_voicemailbox
from voicemail.models import Pbx, SpoolOrder, SpoolTask, Voicemailbox
from voicemail.services import delete_voicemailbox, edit_voicemailbox
from voicemail.spool import confirm, withdraw_removal

LIST = "/admin/voicemail/spoolorder/"
BOXES = "/admin/voicemail/voicemailbox/"
WAITING = (
    "The mailbox is waiting for the PBX, which still has recordings that others left under this "
    "number. Callers reach it as soon as they are put away, usually within minutes."
)
FORMER_RECORDINGS = (
    "Number 1001 belonged to another mailbox before. Recordings of that one may still be on the "
    "PBX, and this mailbox would play them."
)


@pytest.fixture(autouse=True)
def _spool_orders(settings: Any) -> None:
    settings.SPOOL_ORDERS = True


@pytest.fixture
def pbx(db: None) -> Pbx:
    return make_pbx("edge1")[0]


@pytest.fixture
def client(alice: User) -> Client:
    return client_of(alice)


def delete(box: Voicemailbox) -> None:
    with arranging():
        delete_voicemailbox(Voicemailbox.unscoped.get(pk=box.pk))


def renumber(box: Voicemailbox, mailbox: int) -> None:
    with arranging():
        changed = Voicemailbox.unscoped.get(pk=box.pk)
        changed.mailbox = mailbox
        edit_voicemailbox(changed)


def make_waiting(organization: Organization, mailbox: int = 1001) -> Voicemailbox:
    """Make a box whose number another one has just given up."""
    delete(make_voicemailbox(organization, mailbox=mailbox))
    return make_voicemailbox(organization, mailbox=mailbox, password="482915")


def confirm_all(pbx: Pbx) -> None:
    confirm(pbx, SpoolOrder.unscoped.values_list("pk", flat=True))


def text_of(response: Any) -> str:
    text = re.sub(r"<[^>]*>", " ", response.content.decode())
    return re.sub(r"\s+", " ", unescape(text))


def cells_of(response: Any) -> list[list[str]]:
    """Give the cells of each row of a list."""
    rows = response.content.decode().split("<tbody>")[1].split("</tr>")[:-1]
    cells = (re.findall(r'<t[dh] class="field[^>]*>(.*?)</t[dh]>', row, re.DOTALL) for row in rows)
    return [[unescape(re.sub(r"<[^>]*>", "", cell)).strip() for cell in row] for row in cells]


# The list of orders


def test_an_order_is_told_with_its_names_and_who_has_carried_it_out(
    staff: User, pbx: Pbx, organization: Organization
) -> None:
    make_pbx("edge2")
    box = make_voicemailbox(organization, mailbox=1001)
    renumber(box, 1002)
    delete(box)
    move, removal = SpoolOrder.unscoped.order_by("id")
    confirm(pbx, [move.pk])
    rows = cells_of(client_of(staff).get(LIST))

    assert [row[:4] for row in rows] == [
        [str(removal.pk), "Remove", "1002@acme.example.com", "-"],
        [
            str(move.pk),
            "Move",
            "1001@acme.example.com",
            "1002@acme.example.com",
        ],
    ]
    assert [row[5:] for row in rows] == [
        ["Open", "edge1, edge2", "-"],
        ["Open", "edge2", "edge1"],
    ]


def test_the_page_of_an_order_tells_when_each_pbx_carried_it_out(
    staff: User, pbx: Pbx, organization: Organization
) -> None:
    make_pbx("edge2")
    delete(make_voicemailbox(organization, mailbox=1001))
    confirm_all(pbx)
    at = SpoolTask.unscoped.get(pbx=pbx).confirmed
    page = text_of(client_of(staff).get(url_of(SpoolOrder.unscoped.get(), "change")))

    assert "From: 1001@acme.example.com" in page
    assert "Waiting for: edge2 " in page
    assert f"Confirmed by: edge1 at {at:%Y-%m-%d %H:%M} " in page


def test_an_order_of_an_organization_that_is_gone_says_so(
    staff: User, pbx: Pbx, organization: Organization
) -> None:
    delete(make_voicemailbox(organization, mailbox=1001))
    url = url_of(SpoolOrder.unscoped.get(), "change")
    assert "Organization: acme.example.com" in text_of(client_of(staff).get(url))
    with arranging():
        delete_organization(organization)

    assert "Organization: Deleted" in text_of(client_of(staff).get(url))


@pytest.mark.parametrize("page", ["add", "delete", "change"])
def test_nobody_makes_changes_or_deletes_an_order_here(
    staff: User, pbx: Pbx, organization: Organization, page: str
) -> None:
    delete(make_voicemailbox(organization))
    order = SpoolOrder.unscoped.get()
    url = url_of(SpoolOrder, page) if page == "add" else url_of(order, page)

    assert client_of(staff).post(url, {"post": "yes", "kind": "move"}).status_code == 403
    assert (
        SpoolOrder.unscoped.values().get() == SpoolOrder.unscoped.filter(kind="remove").values()[0]
    )


def test_an_accounts_admin_sees_no_orders(
    client: Client, pbx: Pbx, organization: Organization
) -> None:
    delete(make_voicemailbox(organization))

    assert client.get(LIST).status_code == 403
    assert "Spool orders" not in text_of(client.get("/admin/"))


@pytest.fixture
def orders(pbx: Pbx, organization: Organization) -> dict[str, SpoolOrder]:
    """Give an order in each state; the one that is done is a move."""
    second, _ = make_pbx("edge2")
    west = make_organization(organization.account, domain="west.example.com")
    renumber(make_voicemailbox(west, mailbox=2001), 2002)
    withdrawn = make_voicemailbox(organization, mailbox=1001)
    delete(withdrawn)
    done, removal = SpoolOrder.unscoped.order_by("id")
    for each in (pbx, second):
        confirm(each, [done.pk])
    withdraw_removal(withdrawn)
    delete(make_voicemailbox(organization, mailbox=1003))
    confirm(second, [SpoolOrder.unscoped.latest("id").pk])
    return {"done": done, "withdrawn": removal, "open": SpoolOrder.unscoped.latest("id")}


@pytest.mark.parametrize(
    ("lookup", "names"),
    [
        ({"state": "open"}, ["open"]),
        ({"state": "done"}, ["done"]),
        ({"state": "withdrawn"}, ["withdrawn"]),
        ({"state": "forged"}, []),
        ({"kind__exact": "move"}, ["done"]),
        ({"q": "1003"}, ["open"]),
        ({"q": "2001"}, ["done"]),
        ({"q": "2002"}, ["done"]),
        ({"q": "ACME.example.com "}, ["open", "withdrawn"]),
        ({"q": "1001@acme.example.com"}, ["withdrawn"]),
        ({"q": "2002@west.example.com"}, ["done"]),
        ({"q": "1001@west.example.com"}, []),
        ({"q": "x@acme.example.com"}, []),
        ({"q": "99999999999"}, []),
        ({"q": "\0"}, ["open", "withdrawn", "done"]),
    ],
)
def test_orders_are_found_by_state_kind_number_and_domain(
    staff: User, orders: dict[str, SpoolOrder], lookup: dict[str, str], names: list[str]
) -> None:
    found = rows_of(client_of(staff).get(LIST, lookup))

    assert found == [orders[name] for name in names]


def test_a_state_is_named(staff: User, orders: dict[str, SpoolOrder]) -> None:
    rows = cells_of(client_of(staff).get(LIST))

    assert [row[5] for row in rows] == ["Open", "Withdrawn", "Done"]


def test_the_list_of_orders_needs_as_many_queries_for_many(
    staff: User, pbx: Pbx, organization: Organization
) -> None:
    make_pbx("edge2")
    client = client_of(staff)
    counts = []
    for numbers in (range(1001, 1003), range(1003, 1040)):
        for mailbox in numbers:
            delete(make_voicemailbox(organization, mailbox=mailbox))
        with CaptureQueriesContext(connection) as queries:
            client.get(LIST)
        counts.append(len(queries))

    # The login's session and user, the count, the page, and its tasks with their PBXs.
    assert counts == [5, 5]


# A mailbox that waits


def test_the_list_of_mailboxes_marks_who_waits(
    client: Client, pbx: Pbx, organization: Organization
) -> None:
    make_voicemailbox(organization, mailbox=1000)
    make_waiting(organization)

    def states() -> list[str]:
        return [row[6] for row in cells_of(client.get(BOXES))]

    assert states() == ["Enabled", "Enabled Waiting for the PBX"]
    confirm_all(pbx)
    assert states() == ["Enabled", "Enabled"]


def test_who_is_disabled_does_not_wait(
    client: Client, pbx: Pbx, organization: Organization
) -> None:
    delete(make_voicemailbox(organization, mailbox=1001))
    make_voicemailbox(organization, mailbox=1001, status="disabled")

    assert cells_of(client.get(BOXES))[0][6] == "Disabled"


@pytest.mark.parametrize("change", [{"is_active": False}, {"is_limited": True}])
def test_a_pbx_that_does_not_serve_the_mailbox_is_not_waited_for(
    client: Client, pbx: Pbx, organization: Organization, change: dict[str, bool]
) -> None:
    make_waiting(organization)
    Pbx.unscoped.update(**change)

    assert "Waiting for the PBX" not in text_of(client.get(BOXES))


def test_a_mailbox_that_came_back_to_its_own_number_does_not_wait(
    client: Client, pbx: Pbx, organization: Organization
) -> None:
    box = make_voicemailbox(organization, mailbox=1001)
    renumber(box, 1002)
    renumber(box, 1001)

    assert "Waiting for the PBX" not in text_of(client.get(BOXES))


@pytest.mark.parametrize(("is_on", "number"), [(True, 7), (False, 6)])
def test_the_list_of_mailboxes_asks_once_for_all_who_wait(
    client: Client, pbx: Pbx, organization: Organization, settings: Any, is_on: bool, number: int
) -> None:
    for mailbox in range(1001, 1011):
        make_waiting(organization, mailbox)
    settings.SPOOL_ORDERS = is_on
    with CaptureQueriesContext(connection) as queries:
        response = client.get(BOXES)

    assert len(queries) == number
    assert text_of(response).count("Waiting for the PBX") == (10 if is_on else 0)


def test_the_form_says_why_a_mailbox_waits_and_what_comes_next(
    client: Client, pbx: Pbx, organization: Organization
) -> None:
    page = text_of(client.get(url_of(make_waiting(organization), "change")))

    assert (
        "Waiting for the PBX. It still has recordings that others left under number 1001." in page
    )
    assert "usually within minutes" in page
    assert "edge1" not in page


def test_staff_are_told_which_pbxs_are_waited_for(
    staff: User, pbx: Pbx, organization: Organization
) -> None:
    second, _ = make_pbx("edge2")
    make_pbx("edge3")
    limited, _ = make_pbx("edge4", organizations=[organization])
    box = make_waiting(organization)
    confirm_all(second)
    limited.organizations.clear()
    response = client_of(staff).get(url_of(box, "change"))

    assert "Waiting for edge1, edge3:" in text_of(response)
    query = "?q=1001@acme.example.com"
    assert f'href="{LIST}{query}"' in response.content.decode()
    assert [str(order) for order in rows_of(client_of(staff).get(LIST + query))] == [
        "remove 1001@acme.example.com"
    ]


def test_the_form_of_a_mailbox_in_service_says_nothing_of_waiting(
    client: Client, pbx: Pbx, organization: Organization
) -> None:
    box = make_waiting(organization)
    confirm_all(pbx)

    assert "Waiting" not in text_of(client.get(url_of(box, "change")))


# What is said when a number is used again


def add_1001(client: Client) -> list[str]:
    """Add a mailbox with number 1001, and give what is said afterwards."""
    values = {"mailbox": "1001", "fullname": "Jim Smith", "password": "482915"}
    return notes_of(fill_in(client, url_of(Voicemailbox, "add"), **values))


ADDED = "Mailbox 1001 of Jim Smith was added."


def test_after_adding_a_mailbox_it_is_said_that_it_waits(
    client: Client, pbx: Pbx, organization: Organization
) -> None:
    delete(make_voicemailbox(organization, mailbox=1001))

    assert add_1001(client) == [WAITING, ADDED]


def test_after_another_number_it_is_said_that_the_mailbox_waits(
    client: Client, pbx: Pbx, organization: Organization
) -> None:
    box = make_voicemailbox(organization, mailbox=1002)
    delete(make_voicemailbox(organization, mailbox=1001))
    notes = notes_of(fill_in(client, url_of(box, "change"), mailbox="1001"))

    assert notes == [WAITING, "Mailbox 1001 of Joe Smith was changed: Mailbox."]


def test_any_other_change_says_nothing_of_recordings(
    client: Client, pbx: Pbx, organization: Organization
) -> None:
    box = make_waiting(organization)
    notes = notes_of(fill_in(client, url_of(box, "change"), fullname="Jim Smith"))

    assert notes == ["Mailbox 1001 of Jim Smith was changed: Full name."]


@pytest.fixture
def _without_orders(settings: Any) -> None:
    settings.SPOOL_ORDERS = False


@pytest.mark.usefixtures("_without_orders")
@pytest.mark.parametrize("give_up", [delete, lambda box: renumber(box, 1002)])
def test_without_orders_a_number_that_was_used_before_is_warned_of(
    client: Client, pbx: Pbx, organization: Organization, give_up: Any
) -> None:
    give_up(make_voicemailbox(organization, mailbox=1001))

    assert add_1001(client) == [FORMER_RECORDINGS, ADDED]


@pytest.mark.usefixtures("_without_orders")
def test_without_orders_a_change_to_a_number_that_was_used_before_is_warned_of(
    client: Client, pbx: Pbx, organization: Organization
) -> None:
    delete(make_voicemailbox(organization, mailbox=1001))
    box = make_voicemailbox(organization, mailbox=1002)
    notes = notes_of(fill_in(client, url_of(box, "change"), mailbox="1001"))

    assert notes[0] == FORMER_RECORDINGS


@pytest.mark.usefixtures("_without_orders")
def test_without_orders_a_domain_that_another_organization_had_is_warned_of(
    client: Client, pbx: Pbx, organization: Organization, other_account: Any
) -> None:
    former = make_organization(other_account, domain="former.example.com")
    delete(make_voicemailbox(former, mailbox=1001))
    with arranging():
        delete_organization(former)
        delete_organization(organization)
    make_organization(organization.account, domain="former.example.com")

    assert add_1001(client) == [FORMER_RECORDINGS, ADDED]


@pytest.mark.usefixtures("_without_orders")
def test_without_orders_a_new_number_is_not_warned_of(
    client: Client, pbx: Pbx, organization: Organization, other_organization: Organization
) -> None:
    delete(make_voicemailbox(organization, mailbox=1002))
    delete(make_voicemailbox(other_organization, mailbox=1001))

    assert add_1001(client) == [ADDED]


@pytest.mark.usefixtures("_without_orders")
def test_a_mailbox_that_takes_its_own_number_again_is_not_warned_of(
    client: Client, pbx: Pbx, organization: Organization
) -> None:
    box = make_voicemailbox(organization, mailbox=1001)
    renumber(box, 1002)
    notes = notes_of(fill_in(client, url_of(box, "change"), mailbox="1001"))

    assert notes == ["Mailbox 1001 of Joe Smith was changed: Mailbox."]


@pytest.mark.usefixtures("_without_orders")
def test_without_a_pbx_nothing_is_warned_of(client: Client, organization: Organization) -> None:
    delete(make_voicemailbox(organization, mailbox=1001))

    assert add_1001(client) == [ADDED]


@pytest.mark.parametrize(
    ("is_on", "words"),
    [
        (True, "The PBX removes its recordings, usually within minutes."),
        (False, "Recordings that are on the PBX stay there: the next mailbox with this number"),
    ],
)
def test_before_deleting_it_is_said_what_becomes_of_the_recordings(
    client: Client, organization: Organization, settings: Any, is_on: bool, words: str
) -> None:
    settings.SPOOL_ORDERS = is_on
    box = make_voicemailbox(organization)

    assert words in text_of(client.get(url_of(box, "delete")))


@pytest.mark.parametrize(
    ("is_on", "words"),
    [
        (True, "The PBX removes the recordings of these mailboxes, usually within minutes."),
        (False, "Recordings that are on the PBX stay there: the next mailboxes with these numbers"),
    ],
)
def test_before_deleting_many_it_is_said_what_becomes_of_their_recordings(
    client: Client, organization: Organization, settings: Any, is_on: bool, words: str
) -> None:
    settings.SPOOL_ORDERS = is_on
    box = make_voicemailbox(organization)
    selected = {"action": "delete_selected", "_selected_action": [str(box.pk)], "index": "0"}

    assert words in text_of(client.post(BOXES, selected))
