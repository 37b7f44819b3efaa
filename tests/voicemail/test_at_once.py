"""What is written by the statement that finds the session, and how it gives way to others.

Where others write at the same time, they have a transaction open, which the request waits for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
from django.db import OperationalError, connection, connections, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.actions import WritingAction
from accounts.models import Change, Organization, Session, User
from tests.api import ApiClient, Reply
from tests.factories import make_voicemailbox
from voicemail import services
from voicemail.models import RefusedPin, Voicemailbox, fits_any_box
from voicemail_site import statements

pytestmark = pytest.mark.django_db

on_postgresql = pytest.mark.skipif(
    connection.vendor != "postgresql", reason="SQLite has one writer at a time."
)


@pytest.fixture
def box(organization: Organization) -> Voicemailbox:
    return make_voicemailbox(
        organization, mailbox=7011, username="joe", fullname="Joe Smith", email="joe@example.com"
    )


def new_box(organization: Organization, **changes: str) -> dict[str, Any]:
    """Give what an Add sends."""
    sent = {"OrganizationId": organization.pk, "Domain": organization.domain}
    return sent | {"Mailbox": "7011", "Username": "joe", "Fullname": "Joe Smith"} | changes


def history_of(pk: int) -> list[tuple[str, str, str]]:
    rows = Voicemailbox.history.filter(id=pk).order_by("history_id")
    return list(rows.values_list("history_type", "fullname", "timezone"))


@contextmanager
def without_attempts() -> Iterator[None]:
    """Let all writes be carried out in a transaction."""
    with patch.object(WritingAction, "attempt", lambda _: None):
        yield


# What is written is the same in both ways.

EDITS = [
    {"Fullname": " Jane Roe "},
    {"Fullname": "Jane Roe", "Timezone": "us_pacific", "SayCallerId": "TRUE"},
    {"Fullname": "Joe Smith"},
    {"Fullname": "Joe Smith", "Timezone": "us_pacific"},
    {"Password": "0042"},
    {"NotifyEmail": "attach", "Email": "jane@example.com"},
    {"NotifyEmail": "yes"},
    {"NotifyPager": "yes"},
    {"Email": "", "Mwi": "joe@example.com"},
    {"NotifyEmail": "yes", "Email": ""},
    {"Mailbox": "7012", "Fullname": "Jane Roe"},
    {"Mailbox": "1001"},
    {"Fullname": ""},
    {},
]


@pytest.mark.parametrize("is_prepared", [True, False])
@pytest.mark.parametrize("sent", EDITS, ids=str)
def test_an_edit_at_once_does_what_one_in_a_transaction_does(
    as_alice: ApiClient,
    organization: Organization,
    sent: dict[str, str],
    is_prepared: bool,
    settings: Any,
) -> None:
    settings.DATABASE_PREPARE = is_prepared
    make_voicemailbox(organization, mailbox=1001)
    kept = {
        "username": "joe",
        "password": "4711",
        "fullname": "Joe Smith",
        "email": "joe@example.com",
    }
    told = []
    for way in (nullcontext, without_attempts):
        box = make_voicemailbox(organization, mailbox=7011, **kept)
        with way():
            reply = as_alice.call("VoicemailboxEdit", VoicemailboxId=box.pk, **sent)
        stored = Voicemailbox.unscoped.get(pk=box.pk)
        told.append((what_is_told(reply), columns_of(stored), history_of(box.pk)))
        Voicemailbox.unscoped.filter(pk=box.pk)._raw_delete("default")
    assert told[0] == told[1]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"Fullname": " Jane Roe ", "Timezone": "us_pacific", "NotifyEmail": "false"},
        {"NotifyEmail": "delete", "Email": "joe@example.com", "Mwi": "joe@example.com"},
        {"NotifyEmail": "yes"},
        {"Domain": "ACME.example.com"},
        {"Domain": "other.example.com"},
        {"Mailbox": "1001"},
        {"Username": "TAKEN"},
        {"Mailbox": "1001", "Username": "taken", "Domain": "other.example.com"},
        {"OrganizationId": "999999"},
    ],
    ids=str,
)
@pytest.mark.parametrize("is_prepared", [True, False])
def test_an_add_at_once_does_what_one_in_a_transaction_does(
    as_alice: ApiClient,
    organization: Organization,
    changes: dict[str, str],
    is_prepared: bool,
    settings: Any,
) -> None:
    settings.DATABASE_PREPARE = is_prepared
    make_voicemailbox(organization, mailbox=1001, username="taken")
    told = []
    for way in (nullcontext, without_attempts):
        with way(), patch("voicemail.services.generate_pin", return_value="4711"):
            reply = as_alice.call("VoicemailboxAdd", **new_box(organization) | changes)
        added = Voicemailbox.unscoped.filter(mailbox=7011).first()
        stored = columns_of(added) if added else None
        told.append((what_is_told(reply), stored, history_of(added.pk) if added else []))
        Voicemailbox.unscoped.filter(mailbox=7011)._raw_delete("default")
    assert told[0] == told[1]


def what_is_told(reply: Reply) -> Any:
    """Give what an answer tells, without what is another's in each one."""
    told = dict(reply.result["Voicemailbox"]) if reply.is_completed else {}
    for name in ("VoicemailboxId", "Created", "Modified"):
        told.pop(name, None)
    return reply.errors, reply.messages, told


def columns_of(box: Voicemailbox) -> dict[str, Any]:
    """Give what is stored of a box, and whether it was changed."""
    stored = {field.attname: getattr(box, field.attname) for field in box._meta.concrete_fields}
    del stored["id"]
    return stored | {"modified": stored["modified"] != stored.pop("created")}


@pytest.mark.parametrize("action", ["VoicemailboxAdd", "VoicemailboxEdit", "VoicemailboxDelete"])
@pytest.mark.parametrize("who", ["alice", "staff"])
def test_a_change_at_once_tells_its_author(
    request: pytest.FixtureRequest,
    organization: Organization,
    box: Voicemailbox,
    action: str,
    who: str,
) -> None:
    client: ApiClient = request.getfixturevalue(f"as_{who}")
    user: User = request.getfixturevalue(who)
    sent: dict[str, Any] = {"VoicemailboxId": box.pk, "Fullname": "Jane Roe"}
    if action == "VoicemailboxAdd":
        sent = new_box(organization, Mailbox="1", Username="jane")
    reply = client.call(action, **sent)

    assert reply.is_completed
    change = Change.unscoped.latest("id")
    assert (change.user_id, change.actor, change.channel) == (user.pk, who, "api")
    assert change.account_id == organization.account_id
    assert change.request_id == reply.http.headers["X-Request-ID"]
    row = Voicemailbox.history.latest("history_id")
    assert (row.change_id, row.history_user_id, row.history_change_reason) == (
        change.pk,
        user.pk,
        None,
    )


@pytest.mark.parametrize("action", ["VoicemailboxEdit", "VoicemailboxDelete"])
@pytest.mark.parametrize("who", ["bob", "charlie"])
def test_nobody_else_writes_at_once(
    request: pytest.FixtureRequest, box: Voicemailbox, action: str, who: str
) -> None:
    client: ApiClient = request.getfixturevalue(f"as_{who}")
    changes = Change.unscoped.count()
    assert not client.call(action, VoicemailboxId=box.pk, Fullname="Jane Roe").is_completed
    box.refresh_from_db()
    assert box.fullname == "Joe Smith"
    assert Change.unscoped.count() == changes


def test_without_a_live_session_nothing_is_written_at_once(
    as_alice: ApiClient, box: Voicemailbox
) -> None:
    client = ApiClient("A" * 32)
    reply = client.call("VoicemailboxDelete", VoicemailboxId=box.pk)
    assert reply.errors == [("SessionId", "Session.Authentication")]
    assert Voicemailbox.unscoped.filter(pk=box.pk).exists()


@on_postgresql
def test_what_is_written_is_answered_even_if_the_use_of_the_session_can_not_be_noted(
    as_alice: ApiClient, box: Voicemailbox
) -> None:
    with patch("accounts.authentication.touch_session", side_effect=OperationalError):
        reply = as_alice.call("VoicemailboxEdit", VoicemailboxId=box.pk, Fullname="Jane Roe")
    assert reply.is_completed
    box.refresh_from_db()
    assert box.fullname == "Jane Roe"


def test_an_edit_at_once_notes_the_use_of_the_session(
    as_alice: ApiClient, box: Voicemailbox
) -> None:
    before = timezone.now() - timedelta(minutes=2)
    Session.unscoped.update(last_used=before)
    as_alice.call("VoicemailboxEdit", VoicemailboxId=box.pk, Fullname="Jane Roe")
    assert Session.unscoped.get().last_used > before


@on_postgresql
def test_the_time_of_a_change_never_goes_back(as_alice: ApiClient, box: Voicemailbox) -> None:
    later = timezone.now() + timedelta(minutes=1)
    Voicemailbox.unscoped.filter(pk=box.pk).update(modified=later)
    as_alice.call("VoicemailboxEdit", VoicemailboxId=box.pk, Fullname="Jane Roe")
    box.refresh_from_db()
    assert box.modified == later
    assert Voicemailbox.history.filter(id=box.pk).latest("history_id").history_date == later


@on_postgresql
def test_edits_leave_room_for_the_plans_of_others(
    as_alice: ApiClient, box: Voicemailbox, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.DATABASE_PREPARE = True
    monkeypatch.setattr(statements, "_MOST_OF_MANY", 0)
    # Columns that no other test has had a plan for.
    sent = {"Fullname": "Jane Roe", "SayDatetime": "true", "Mwi": "", "Pager": "joe@example.com"}
    with CaptureQueriesContext(connection) as captured:
        as_alice.call("VoicemailboxEdit", VoicemailboxId=box.pk, **sent)
        as_alice.call("VoicemailboxDelete", VoicemailboxId=box.pk)
    kinds = [query["sql"].split()[0] for query in captured.captured_queries]
    assert kinds[0] == "WITH"
    assert kinds[-1] == "EXECUTE"


@pytest.mark.parametrize(
    ("values", "fits"),
    [
        ({"fullname": "Jane Roe", "timezone": "us_pacific", "mwi": ""}, True),
        ({"password": "0042"}, True),
        ({"mailbox": 7011}, False),
        ({"notify_email": "no"}, True),
        ({"notify_email": "yes"}, False),
        ({"notify_email": "yes", "email": "joe@example.com"}, True),
        ({"notify_email": "yes", "email": ""}, False),
        ({"email": "joe@example.com"}, True),
        ({"email": ""}, False),
        ({"notify_email": "no", "email": ""}, True),
        ({"notify_pager": "yes", "email": "joe@example.com"}, False),
        ({"notify_pager": "yes", "pager": "joe@example.com"}, True),
        ({"pager": ""}, False),
    ],
)
def test_values_fit_any_box_if_nothing_else_of_it_matters(
    values: dict[str, Any], fits: bool
) -> None:
    assert fits_any_box(values) == fits


def test_with_strict_pins_a_pin_fits_not_any_box(settings: Any) -> None:
    settings.PIN_STRICT = True
    assert not fits_any_box({"password": "7011"})


# Others write at the same time.

EDIT_ZONE = "UPDATE voicemail_voicemailbox SET timezone = 'us_pacific' WHERE id = %s"
CLEAR_EMAIL = "UPDATE voicemail_voicemailbox SET email = '' WHERE id = %s"
DELETE = "DELETE FROM voicemail_voicemailbox WHERE id = %s"
DELETE_ORGANIZATION = "DELETE FROM accounts_organization WHERE id = %s"


def call_while(others_write: Callable[[], Any], call: Callable[[], Reply]) -> Reply:
    """Let a request wait for what others have not yet committed."""

    def answer() -> Reply:
        try:
            return call()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            others_write()
            reply = pool.submit(answer)
            _wait_for_a_lock()
        return reply.result()


def sql(statement: str, *arguments: Any) -> Callable[[], None]:
    """Give what carries out a statement."""

    def write() -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement, arguments)

    return write


def _wait_for_a_lock() -> None:
    """Wait until another connection waits for what this one holds."""
    waiting = (
        "SELECT count(*) FROM pg_locks "
        "WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"
    )
    with connection.cursor() as cursor:
        for _ in range(500):
            cursor.execute(waiting)
            if cursor.fetchone()[0]:
                return
            time.sleep(0.01)
    raise AssertionError("Nobody waits.")


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_an_edit_keeps_what_others_changed_meanwhile(
    as_alice: ApiClient, box: Voicemailbox
) -> None:
    reply = call_while(
        sql(EDIT_ZONE, box.pk),
        lambda: as_alice.call("VoicemailboxEdit", VoicemailboxId=box.pk, Fullname="Jane Roe"),
    )
    told = reply.result["Voicemailbox"]
    assert (told["Fullname"], told["Timezone"]) == ("Jane Roe", "us_pacific")
    box.refresh_from_db()
    assert (box.fullname, box.timezone) == ("Jane Roe", "us_pacific")
    assert history_of(box.pk)[1:] == [("~", "Jane Roe", "us_pacific")]


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_an_edit_is_checked_against_what_others_changed_meanwhile(
    as_alice: ApiClient, box: Voicemailbox
) -> None:
    reply = call_while(
        sql(CLEAR_EMAIL, box.pk),
        lambda: as_alice.call("VoicemailboxEdit", VoicemailboxId=box.pk, NotifyEmail="yes"),
    )
    assert reply.errors == [("Email", "Value.Required")]
    box.refresh_from_db()
    assert (box.email, box.notify_email) == ("", "no")
    assert len(history_of(box.pk)) == 1


@on_postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("action", ["VoicemailboxEdit", "VoicemailboxDelete"])
def test_a_box_that_others_deleted_meanwhile_is_not_recognized(
    as_alice: ApiClient, box: Voicemailbox, action: str
) -> None:
    changes = Change.unscoped.count()
    reply = call_while(
        sql(DELETE, box.pk),
        lambda: as_alice.call(action, VoicemailboxId=box.pk, Fullname="Jane Roe"),
    )
    assert reply.errors == [("VoicemailboxId", "Voicemailbox.Unrecognized")]
    assert Change.unscoped.count() == changes


@on_postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("taken", "errors"),
    [
        ({"mailbox": 7011}, [("Mailbox", "Mailbox.Unavailable")]),
        ({"username": "JOE"}, [("Username", "Address.Unavailable")]),
        (
            {"mailbox": 7011, "username": "joe"},
            [("Mailbox", "Mailbox.Unavailable"), ("Username", "Address.Unavailable")],
        ),
    ],
)
def test_all_that_others_took_meanwhile_is_told(
    as_alice: ApiClient,
    organization: Organization,
    taken: dict[str, Any],
    errors: list[tuple[str, str]],
) -> None:
    changes = Change.unscoped.count()
    reply = call_while(
        lambda: make_voicemailbox(organization, **{"mailbox": 1, "username": "other"} | taken),
        lambda: as_alice.call("VoicemailboxAdd", **new_box(organization)),
    )
    assert sorted(reply.errors) == errors
    assert (Voicemailbox.unscoped.count(), Change.unscoped.count()) == (1, changes + 1)


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_an_organization_that_others_deleted_meanwhile_gets_no_box(
    as_alice: ApiClient, organization: Organization
) -> None:
    reply = call_while(
        sql(DELETE_ORGANIZATION, organization.pk),
        lambda: as_alice.call("VoicemailboxAdd", **new_box(organization)),
    )
    assert reply.errors == [("OrganizationAuthorization.Required",)]
    assert not Voicemailbox.unscoped.exists()


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_a_pin_that_is_refused_meanwhile_does_not_keep_a_box(
    as_alice: ApiClient, box: Voicemailbox
) -> None:
    def refuse() -> None:
        held = Voicemailbox.unscoped.select_for_update().get(pk=box.pk)
        assert not services.change_pin_by_phone(held, "no PIN", pbx="edge1")

    reply = call_while(refuse, lambda: as_alice.call("VoicemailboxDelete", VoicemailboxId=box.pk))
    assert reply.is_completed
    assert not Voicemailbox.unscoped.exists()
    assert not RefusedPin.unscoped.exists()


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_of_edits_at_the_same_time_none_is_lost(as_alice: ApiClient, box: Voicemailbox) -> None:
    values = [
        {"Fullname": "Jane Roe"},
        {"Timezone": "us_pacific"},
        {"SayCallerId": "true"},
        {"SayDuration": "true"},
        {"SayDatetime": "true"},
        {"Pager": "pager@example.com"},
        {"Mwi": "joe@example.com"},
        {"Mailbox": "7012"},
    ]

    def edit(sent: dict[str, str]) -> bool:
        try:
            client = ApiClient(as_alice.session_id)
            return client.call("VoicemailboxEdit", VoicemailboxId=box.pk, **sent).is_completed
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(values)) as pool:
        assert list(pool.map(edit, values)) == [True] * len(values)

    told = as_alice.call("VoicemailboxRead", VoicemailboxId=box.pk).result["Voicemailbox"]
    for sent in values:
        assert told | sent == told
    assert len(history_of(box.pk)) == 1 + len(values)
    last = Voicemailbox.history.filter(id=box.pk).latest("history_id")
    assert all(getattr(last, name) for name in ("say_caller_id", "say_duration", "say_datetime"))


def test_the_answer_of_an_add_is_what_was_stored(
    as_alice: ApiClient, organization: Organization
) -> None:
    added = as_alice.call("VoicemailboxAdd", **new_box(organization)).result["Voicemailbox"]
    read = as_alice.call("VoicemailboxRead", VoicemailboxId=added["VoicemailboxId"])
    assert read.result["Voicemailbox"] == added
