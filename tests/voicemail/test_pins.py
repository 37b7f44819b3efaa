"""The pages on which a PIN appears, and the trace that each leaves."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import Change, Channel, Organization, User
from tests.admin_pages import client_of, fill_in, notes_of, url_of
from tests.factories import arranging, make_voicemailbox
from voicemail.models import Voicemailbox
from voicemail.services import edit_voicemailbox, reset_pin

PIN = "8675309"
ADD = "/admin/voicemail/voicemailbox/add/"


@pytest.fixture
def client(alice: User) -> Client:
    return client_of(alice)


@pytest.fixture
def box(organization: Organization) -> Voicemailbox:
    return make_voicemailbox(organization, mailbox=7011, fullname="Zoë Müller", password=PIN)


def stored(box: Voicemailbox) -> dict[str, Any]:
    return dict(Voicemailbox.unscoped.values().get(pk=box.pk))


def show(client: Client, box: Voicemailbox) -> Any:
    return client.post(url_of(box, "show_pin"))


def reset(client: Client, box: Voicemailbox) -> Any:
    return client.post(url_of(box, "reset_pin"))


def text_of(response: Any) -> str:
    return str(response.content.decode())


# Showing


def test_a_pin_is_shown_to_whoever_confirms(client: Client, box: Voicemailbox) -> None:
    assert f'<strong class="pin">{PIN}</strong>' in text_of(show(client, box))


def test_asking_to_see_a_pin_shows_and_records_nothing(client: Client, box: Voicemailbox) -> None:
    changes = Change.unscoped.count()
    page = text_of(client.get(url_of(box, "show_pin")))
    assert "The history will say that you looked at it" in page
    assert PIN not in page
    assert Change.unscoped.count() == changes


def test_showing_a_pin_is_recorded_and_changes_nothing(
    client: Client, alice: User, box: Voicemailbox
) -> None:
    before = stored(box)
    show(client, box)
    first, second = Voicemailbox.history.order_by("history_id")
    assert (second.history_type, second.history_change_reason) == ("~", "PIN shown")
    assert (second.change.user, second.change.channel) == (alice, Channel.WEB)
    assert second.account_id == alice.account_id
    assert [getattr(second, name) for name in before] == [getattr(first, name) for name in before]
    assert stored(box) == before


# Resetting


def test_a_reset_makes_another_pin_and_shows_it(client: Client, box: Voicemailbox) -> None:
    response = reset(client, box)
    pin = stored(box)["password"]
    assert pin != PIN
    assert len(pin) == 6
    assert f'<strong class="pin">{pin}</strong>' in text_of(response)


def test_a_reset_changes_the_pin_alone_and_is_recorded(client: Client, box: Voicemailbox) -> None:
    before = stored(box)
    reset(client, box)
    after = stored(box)
    assert after["modified"] > before["modified"]
    assert after == before | {"password": after["password"], "modified": after["modified"]}
    row = Voicemailbox.history.latest("history_id")
    assert (row.history_change_reason, row.password) == ("PIN reset", after["password"])
    assert row.change.actor == "alice"


def test_asking_to_reset_a_pin_resets_and_shows_nothing(client: Client, box: Voicemailbox) -> None:
    before = stored(box)
    page = text_of(client.get(url_of(box, "reset_pin")))
    assert "can then no longer log in with the present PIN" in page
    assert PIN not in page
    assert stored(box) == before


def test_an_edit_after_a_reset_does_not_repeat_its_reason(box: Voicemailbox) -> None:
    with arranging():
        reset_pin(box)
        box.fullname = "Zoë"
        edit_voicemailbox(box)
    assert Voicemailbox.history.latest("history_id").history_change_reason is None


# Adding


def test_a_pin_that_was_made_up_is_shown_after_adding(
    client: Client, organization: Organization
) -> None:
    response = fill_in(client, ADD, mailbox="7012", username="jim.vm", fullname="Jim Smith")
    pin = Voicemailbox.unscoped.get().password
    assert f'<strong class="pin">{pin}</strong>' in text_of(response)
    assert "Mailbox 7012 of Jim Smith was added." in text_of(response)


def test_a_pin_that_was_entered_is_not_shown_after_adding(
    client: Client, organization: Organization
) -> None:
    response = fill_in(client, ADD, fullname="Jim Smith", password=PIN)
    assert response.headers["Location"] == url_of(Voicemailbox)
    assert PIN not in text_of(client.get(response.headers["Location"]))


# What stays of a PIN


@pytest.fixture(params=["shown", "reset", "added"])
def pin_page(request: pytest.FixtureRequest, client: Client, box: Voicemailbox) -> Any:
    """Give each answer that has a PIN."""
    if request.param == "added":
        return fill_in(client, ADD, mailbox="7012", username="jim.vm", fullname="Jim Smith")
    return {"shown": show, "reset": reset}[request.param](client, box)


@pytest.fixture
def all_pins(pin_page: Any) -> set[str]:
    pins = {PIN, *Voicemailbox.unscoped.values_list("password", flat=True)}
    assert any(pin in text_of(pin_page) for pin in pins)
    return pins


def test_no_cache_keeps_a_page_with_a_pin(pin_page: Any) -> None:
    assert "no-store" in pin_page.headers["Cache-Control"]


def test_no_cookie_session_message_or_log_holds_a_pin(
    client: Client, pin_page: Any, all_pins: set[str], caplog: pytest.LogCaptureFixture
) -> None:
    kept = [
        *(morsel.OutputString() for morsel in pin_page.cookies.values()),
        *map(str, client.session.items()),
        *notes_of(pin_page),
        *(f"{entry} {entry.change_message}" for entry in LogEntry.objects.all()),
        *(f"{each.getMessage()} {vars(each).get('path')}" for each in caplog.get_records("setup")),
    ]
    assert len(caplog.get_records("setup")) >= 1
    assert [text for text in kept for pin in all_pins if pin in text] == []


def test_the_next_page_holds_no_pin(client: Client, all_pins: set[str]) -> None:
    page = text_of(client.get(url_of(Voicemailbox)))
    assert [pin for pin in all_pins if pin in page] == []


@pytest.mark.parametrize(
    ("ask", "message"), [(show, "PIN shown."), (reset, "PIN reset.")], ids=["show", "reset"]
)
def test_the_recent_actions_name_what_was_done(
    client: Client, box: Voicemailbox, ask: Any, message: str
) -> None:
    ask(client, box)
    entry = LogEntry.objects.get()
    assert (entry.object_repr, entry.get_change_message()) == ("7011 Zoë Müller", message)


# Who may


@pytest.mark.parametrize("view", ["show_pin", "reset_pin"])
@pytest.mark.parametrize("method", ["get", "post"])
def test_a_foreign_boxs_pin_is_as_if_there_was_no_such_box(
    charlie: User, box: Voicemailbox, view: str, method: str
) -> None:
    before, changes = stored(box), Change.unscoped.count()
    answers = []
    for pk in (box.pk, box.pk + 1):
        box.pk = pk
        client = client_of(charlie)
        response = getattr(client, method)(url_of(box, view))
        answers.append((response.status_code, [n.replace(str(pk), "") for n in notes_of(response)]))
    assert answers[0] == answers[1]
    assert answers[0][0] == 302
    box.pk -= 1
    assert stored(box) == before
    assert Change.unscoped.count() == changes


@pytest.mark.parametrize("view", ["show_pin", "reset_pin"])
def test_a_plain_user_gets_the_login_instead_of_a_pin(
    bob: User, box: Voicemailbox, view: str
) -> None:
    response = client_of(bob).post(url_of(box, view))
    assert response.headers["Location"].startswith("/admin/login/")
    assert stored(box)["password"] == PIN
    assert not LogEntry.objects.exists()


def test_a_forged_post_from_elsewhere_resets_nothing(alice: User, box: Voicemailbox) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice, backend="accounts.authentication.UserBackend")
    assert reset(client, box).status_code == 403
    assert stored(box)["password"] == PIN


def test_staff_see_any_accounts_pin_under_their_own_name(staff: User, box: Voicemailbox) -> None:
    assert PIN in text_of(show(client_of(staff), box))
    assert Voicemailbox.history.latest("history_id").change.user == staff


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite lets one write at a time.")
@pytest.mark.parametrize("view", ["show_pin", "reset_pin", "change", "delete"])
def test_a_box_is_held_while_its_history_is_written(
    client: Client, box: Voicemailbox, view: str
) -> None:
    with CaptureQueriesContext(connection) as queries:
        client.post(url_of(box, view))
    assert any("FOR UPDATE" in query["sql"] for query in queries)
