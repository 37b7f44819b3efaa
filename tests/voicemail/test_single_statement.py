"""What one statement writes, and how it gives way to others that write at the same time.

Each test lets somebody else write after the box has been read and before it is written, and looks
for what would be there if one had come after the other.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest.mock import patch

import pytest
from django.db import connection, connections, transaction

from accounts.history import NotWrittenError, record_change
from accounts.models import Change, Channel, Organization, User
from tests.api import ApiClient
from tests.factories import make_voicemailbox
from voicemail import services
from voicemail.models import RefusedPin, Voicemailbox

pytestmark = [
    pytest.mark.skipif(
        connection.vendor != "postgresql", reason="SQLite has one writer at a time."
    ),
    pytest.mark.django_db,
]


@pytest.fixture
def box(organization: Organization) -> Voicemailbox:
    return make_voicemailbox(
        organization, mailbox=7011, username="joe", fullname="Joe Smith", email="joe@example.com"
    )


def others_write(sql: str, *arguments: Any) -> Callable[[], None]:
    """Give what writes as another connection would, the first time that it is called."""
    left = [(sql, arguments)]

    def write() -> None:
        if left:
            with connection.cursor() as cursor:
                cursor.execute(*left.pop())

    return write


def meanwhile(service: str, others: Callable[[], None]) -> Any:
    """Let others write just before a service does."""
    own = getattr(services, service)

    def late(box: Voicemailbox) -> Any:
        others()
        return own(box)

    return patch(f"voicemail.actions.{service}", late)


def history_of(box: Voicemailbox) -> list[tuple[str, str, str]]:
    rows = Voicemailbox.history.filter(id=box.pk).order_by("history_id")
    return list(rows.values_list("history_type", "fullname", "timezone"))


SET_ZONE = "UPDATE voicemail_voicemailbox SET timezone = 'us_pacific' WHERE id = %s"
CLEAR_EMAIL = "UPDATE voicemail_voicemailbox SET email = '' WHERE id = %s"
DELETE = "DELETE FROM voicemail_voicemailbox WHERE id = %s"


@pytest.mark.parametrize("is_prepared", [True, False])
def test_an_edit_keeps_what_others_changed_meanwhile(
    as_alice: ApiClient, box: Voicemailbox, settings: Any, is_prepared: bool
) -> None:
    settings.DATABASE_PREPARE = is_prepared
    with meanwhile("edit_voicemailbox", others_write(SET_ZONE, box.pk)):
        reply = as_alice.call("VoicemailboxEdit", VoicemailboxId=box.pk, Fullname="Jane Roe")

    told = reply.result["Voicemailbox"]
    assert (told["Fullname"], told["Timezone"]) == ("Jane Roe", "us_pacific")
    box.refresh_from_db()
    assert (box.fullname, box.timezone) == ("Jane Roe", "us_pacific")
    assert history_of(box)[1:] == [("~", "Jane Roe", "us_pacific")]


def test_an_edit_is_checked_against_what_others_changed_meanwhile(
    as_alice: ApiClient, box: Voicemailbox
) -> None:
    with meanwhile("edit_voicemailbox", others_write(CLEAR_EMAIL, box.pk)):
        reply = as_alice.call("VoicemailboxEdit", VoicemailboxId=box.pk, NotifyEmail="yes")

    assert reply.errors == [("Email", "Value.Required")]
    box.refresh_from_db()
    assert (box.email, box.notify_email) == ("", "no")
    assert len(history_of(box)) == 1


@pytest.mark.parametrize(
    ("action", "service"),
    [("VoicemailboxEdit", "edit_voicemailbox"), ("VoicemailboxDelete", "delete_voicemailbox")],
)
def test_a_box_that_others_deleted_meanwhile_is_not_recognized(
    as_alice: ApiClient, box: Voicemailbox, action: str, service: str
) -> None:
    changes = Change.unscoped.count()
    with meanwhile(service, others_write(DELETE, box.pk)):
        reply = as_alice.call(action, VoicemailboxId=box.pk, Fullname="Jane Roe")

    assert reply.errors == [("VoicemailboxId", "Voicemailbox.Unrecognized")]
    assert Change.unscoped.count() == changes


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
    make_voicemailbox(organization, **{"mailbox": 1, "username": "other"} | taken)
    changes = Change.unscoped.count()
    sent = {"Mailbox": "7011", "Username": "joe", "Fullname": "Joe Smith"}
    reply = as_alice.call(
        "VoicemailboxAdd", OrganizationId=organization.pk, Domain=organization.domain, **sent
    )

    assert sorted(reply.errors) == errors
    assert (Voicemailbox.unscoped.count(), Change.unscoped.count()) == (1, changes)


@pytest.mark.django_db(transaction=True)
def test_a_pin_that_is_refused_meanwhile_does_not_keep_a_box(
    as_alice: ApiClient, box: Voicemailbox
) -> None:
    def delete() -> bool:
        try:
            client = ApiClient(as_alice.session_id)
            return client.call("VoicemailboxDelete", VoicemailboxId=box.pk).is_completed
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            held = Voicemailbox.unscoped.select_for_update().get(pk=box.pk)
            deleted = pool.submit(delete)
            wait_for_a_lock()
            assert not services.change_pin_by_phone(held, "no PIN", pbx="edge1")
        assert deleted.result()

    assert not Voicemailbox.unscoped.exists()
    assert not RefusedPin.unscoped.exists()


def wait_for_a_lock() -> None:
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
        {"Email": "jane@example.com"},
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
    assert len(history_of(box)) == 1 + len(values)
    last = Voicemailbox.history.filter(id=box.pk).latest("history_id")
    assert all(getattr(last, name) for name in ("say_caller_id", "say_duration", "say_datetime"))


def test_the_answer_of_an_add_is_what_was_stored(
    as_alice: ApiClient, organization: Organization
) -> None:
    sent = {"Mailbox": "7011", "Username": "joe", "Fullname": "Joe Smith"}
    added = as_alice.call(
        "VoicemailboxAdd", OrganizationId=organization.pk, Domain=organization.domain, **sent
    ).result["Voicemailbox"]
    read = as_alice.call("VoicemailboxRead", VoicemailboxId=added["VoicemailboxId"])

    assert read.result["Voicemailbox"] == added


def test_a_single_change_has_no_second_write(alice: User, box: Voicemailbox) -> None:
    found = Voicemailbox.unscoped.get()
    found.fullname = "Jane Roe"
    with (
        pytest.raises(RuntimeError),
        record_change(by=alice, channel=Channel.API, is_single=True),
    ):
        found.save()
    box.refresh_from_db()
    assert box.fullname == "Joe Smith"


def test_a_single_change_that_finds_nothing_to_delete_says_so(
    alice: User, box: Voicemailbox
) -> None:
    Voicemailbox.unscoped.all()._raw_delete("default")
    with (
        pytest.raises(NotWrittenError),
        record_change(by=alice, channel=Channel.API, is_single=True),
    ):
        services.delete_voicemailbox(box)
