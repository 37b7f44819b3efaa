"""API sessions in the admin: who is logged in, and the ways to end that."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.models import Account, Role, Session, User
from accounts.services import open_session
from tests.admin_pages import client_of, notes_of, rows_of, run_action, url_of
from tests.api import ApiClient
from tests.factories import make_user

END_ALL = "/admin/accounts/session/end/"
LIST = "/admin/accounts/session/"


@pytest.fixture
def as_an_admin(alice: User) -> Client:
    return client_of(alice)


def log_in(user: User, ago: timedelta = timedelta(0)) -> Session:
    """Open a session that was used last so long ago."""
    now = timezone.now() - ago
    return open_session(user, now=now, client_address="192.0.2.7", user_agent="curl/8")[1]


def is_established(api: ApiClient) -> bool:
    return bool(api.call("NoOp").context["Session"]["IsEstablished"] == "true")


def users_with_sessions() -> set[str]:
    return {session.user.auth_username for session in Session.unscoped.select_related("user")}


def text_of(response: Any) -> str:
    return str(response.content.decode())


# The list


def test_an_admin_sees_who_is_logged_in_and_from_where(as_an_admin: Client, bob: User) -> None:
    session = log_in(bob)
    response = as_an_admin.get(LIST)
    assert rows_of(response) == [session]
    page = text_of(response)
    assert all(each in page for each in ("bob", "192.0.2.7", "curl/8", "Live"))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, {"live"}),
        ({"state": "ended"}, {"idle", "too old"}),
        ({"state": "all"}, {"live", "idle", "too old"}),
        ({"state": "unheard"}, set()),
    ],
)
def test_only_live_sessions_are_listed_unless_others_are_asked_for(
    as_an_admin: Client, bob: User, query: dict[str, str], expected: set[str]
) -> None:
    sessions = {
        "live": log_in(bob, timedelta(minutes=59)),
        "idle": log_in(bob, timedelta(minutes=61)),
        "too old": log_in(bob, timedelta(hours=25)),
    }
    Session.unscoped.filter(pk=sessions["too old"].pk).update(last_used=timezone.now())
    found = set(rows_of(as_an_admin.get(LIST, query)))
    assert found == {sessions[name] for name in expected}


def test_sessions_of_who_is_disabled_are_marked_as_ended(as_an_admin: Client, bob: User) -> None:
    session = log_in(bob)
    User.unscoped.filter(pk=bob.pk).update(is_active=False)
    response = as_an_admin.get(LIST, {"state": "all"})
    assert rows_of(response) == [session]
    assert ">Ended</span>" in text_of(response)


def test_the_sessions_of_one_user_are_listed(
    as_an_admin: Client, alice: User, bob: User, charlie: User
) -> None:
    log_in(alice)
    session = log_in(bob)
    log_in(charlie)
    assert rows_of(as_an_admin.get(LIST, {"user": bob.pk})) == [session]
    for nobody in (charlie.pk, 10**12, "x"):
        assert rows_of(as_an_admin.get(LIST, {"user": nobody})) == []


def test_the_list_needs_as_many_queries_for_many_sessions_as_for_few(
    as_an_admin: Client, bob: User
) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            as_an_admin.get(LIST)
        return len(captured)

    log_in(bob)
    for_one = queries()
    for number in range(40):
        log_in(make_user(f"user{number}", Role.USER, bob.account))
    assert queries() == for_one == 5


# Ending


def test_a_session_that_is_ended_is_refused_at_once(as_an_admin: Client, as_bob: ApiClient) -> None:
    assert is_established(as_bob)
    session = Session.unscoped.get()
    response = as_an_admin.post(url_of(session, "delete"), {"post": "yes"})
    assert not is_established(as_bob)
    assert notes_of(response) == [f"Ended: {session}."]
    assert response.headers["Location"] == LIST


def test_looking_at_the_page_that_ends_a_session_ends_nothing(
    as_an_admin: Client, as_bob: ApiClient
) -> None:
    page = text_of(as_an_admin.get(url_of(Session.unscoped.get(), "delete")))
    assert "End this session of bob?" in page
    assert is_established(as_bob)


def test_selected_sessions_end_without_the_others(
    as_an_admin: Client, alice: User, bob: User
) -> None:
    kept = log_in(alice)
    ended = [log_in(bob).pk for _ in range(2)]
    response = run_action(as_an_admin, Session, "end_selected", *ended)
    assert notes_of(response) == ["Ended 2 sessions of bob."]
    assert list(Session.unscoped.all()) == [kept]


def test_foreign_sessions_do_not_end(
    as_an_admin: Client, as_bob: ApiClient, as_charlie: ApiClient, as_staff: ApiClient
) -> None:
    ids = Session.unscoped.values_list("pk", flat=True)
    run_action(as_an_admin, Session, "end_selected", *ids)
    assert users_with_sessions() == {"charlie", "staff"}
    as_an_admin.post(END_ALL)
    assert users_with_sessions() == {"charlie", "staff"}


def test_every_session_of_a_user_ends(as_an_admin: Client, alice: User, bob: User) -> None:
    kept = log_in(alice)
    log_in(bob)
    log_in(bob, timedelta(hours=2))
    url = f"{END_ALL}?user={bob.pk}"
    assert "This ends 1 session of bob." in text_of(as_an_admin.get(url))
    assert Session.unscoped.count() == 3
    response = as_an_admin.post(url)
    assert notes_of(response) == ["Ended 1 session of bob."]
    assert list(Session.unscoped.all()) == [kept]


def test_every_session_of_an_account_ends(
    as_an_admin: Client, alice: User, bob: User, as_charlie: ApiClient
) -> None:
    log_in(alice)
    log_in(bob)
    assert "This ends 2 sessions of your account." in text_of(as_an_admin.get(END_ALL))
    response = as_an_admin.post(END_ALL)
    assert notes_of(response) == ["Ended 2 sessions of your account."]
    assert users_with_sessions() == {"charlie"}


def test_staff_end_every_session_of_all(staff: User, bob: User, charlie: User) -> None:
    log_in(bob)
    log_in(charlie)
    response = client_of(staff).post(END_ALL)
    assert notes_of(response) == ["Ended 2 sessions of every account."]
    assert not Session.unscoped.exists()


def test_a_foreign_user_is_as_unknown_as_a_missing_one(
    as_an_admin: Client, bob: User, as_charlie: ApiClient, charlie: User
) -> None:
    log_in(bob)
    for nobody in (charlie.pk, 10**12, "x", ""):
        for send in (as_an_admin.get, as_an_admin.post):
            response = send(f"{END_ALL}?user={nobody}")
            assert response.headers["Location"] == LIST
            assert notes_of(response)[-1] == "This user doesn't exist."
    assert users_with_sessions() == {"bob", "charlie"}


def test_a_plain_user_ends_nothing(bob: User, account: Account) -> None:
    log_in(bob)
    response = client_of(bob).post(END_ALL)
    assert response.headers["Location"].startswith(f"{reverse('admin:login')}?next=")
    assert users_with_sessions() == {"bob"}
