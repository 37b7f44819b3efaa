"""manage.py sessions."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import Session, User
from accounts.services import open_session
from tests.api import ApiClient
from tests.commands import records, refused, run
from tests.factories import arranging


def open_for(user: User, *, minutes_ago: float = 0) -> tuple[str, Session]:
    """Open a session that was used last so many minutes ago."""
    moment = timezone.now() - timedelta(minutes=minutes_ago)
    return open_session(user, now=moment, client_address="192.0.2.7", user_agent="curl/8")


def listed(*words: Any) -> list[int]:
    return [each["id"] for each in records("sessions", "list", *words)]


def left() -> list[int]:
    return list(Session.unscoped.order_by("pk").values_list("pk", flat=True))


def test_live_sessions_are_listed_and_others_when_asked_for(bob: User) -> None:
    _, live = open_for(bob)
    _, ended = open_for(bob, minutes_ago=61)
    assert listed("--all-accounts") == [live.pk]
    assert listed("--all-accounts", "--state", "ended") == [ended.pk]
    assert listed("--all-accounts", "--state", "all") == [live.pk, ended.pk]


def test_sessions_are_listed_within_the_scope(bob: User, charlie: User) -> None:
    _, of_bob = open_for(bob)
    _, of_charlie = open_for(charlie)
    assert listed("--all-accounts") == [of_bob.pk, of_charlie.pk]
    assert listed("--account", bob.account_id) == [of_bob.pk]
    assert listed("--all-accounts", "--user", "charlie") == [of_charlie.pk]


def test_a_users_sessions_are_listed_within_the_scope_of_the_organization(
    bob: User, alice: User, organization: Any
) -> None:
    with arranging():
        bob.organization, bob.username = organization, "bob"
        bob.save()
    open_for(alice)
    _, of_bob = open_for(bob)
    assert listed("--organization", organization.domain) == [of_bob.pk]


def test_neither_a_session_id_nor_its_digest_is_listed(bob: User) -> None:
    session_id, session = open_for(bob)
    for form in ("table", "json", "csv"):
        text = run("sessions", "list", "--all-accounts", "--format", form).out
        assert "192.0.2.7" in text
        assert session_id not in text
        assert session.digest not in text


def test_a_list_takes_one_statement_however_long_it_is(
    bob: User, django_assert_num_queries: Any
) -> None:
    for _ in range(12):
        open_for(bob)
    with django_assert_num_queries(1):
        run("sessions", "list", "--all-accounts")


def test_named_sessions_are_ended(as_bob: ApiClient, bob: User) -> None:
    (first,) = left()
    _, second = open_for(bob)
    assert run("sessions", "end", first, "--yes").out == "1 API session was ended.\n"
    assert left() == [second.pk]
    assert not as_bob.call("VoicemailboxRead", VoicemailboxId="1").is_completed


@pytest.mark.parametrize(
    ("words", "expected"),
    [(["--user", "bob"], 2), (["--account", "bob"], 3), (["--all-accounts"], 4)],
)
def test_the_live_sessions_of_a_user_or_a_scope_are_ended(
    bob: User, alice: User, charlie: User, words: list[str], expected: int
) -> None:
    for user in (bob, bob, alice, charlie):
        open_for(user)
    _, ended = open_for(bob, minutes_ago=61)
    words = [
        str(bob.account_id) if word == "bob" and "--account" in words else word for word in words
    ]
    assert records("sessions", "end", *words, "--yes") == [{"outcome": "ended", "count": expected}]
    assert len(left()) == 5 - expected
    assert ended.pk in left()


def test_a_dry_run_counts_and_ends_nothing(bob: User) -> None:
    open_for(bob)
    open_for(bob)
    assert run("sessions", "end", "--user", "bob", "--dry-run").out == (
        "2 API sessions would be ended.\n"
    )
    assert len(left()) == 2


def test_how_many_end_is_asked_first(bob: User) -> None:
    open_for(bob)
    assert refused("sessions", "end", "--all-accounts") == (
        "End 1 API session? Add --yes: there is no terminal to ask on."
    )
    assert len(left()) == 1


def test_ending_nothing_in_particular_is_refused(bob: User) -> None:
    open_for(bob)
    assert refused("sessions", "end", "--yes") == (
        "Name sessions by their ids, or give one of --user, --account, --organization and "
        "--all-accounts."
    )
    assert len(left()) == 1


def test_of_named_sessions_all_are_ended_or_none(bob: User, charlie: User) -> None:
    _, of_bob = open_for(bob)
    _, of_charlie = open_for(charlie)
    words = ("sessions", "end", of_bob.pk, of_charlie.pk, "--account", bob.account_id, "--yes")
    assert refused(*words) == (
        f"There is no API session {of_charlie.pk} in account {bob.account_id} (Acme). "
        "Accepted: ids from manage.py sessions list --state all."
    )
    assert left() == [of_bob.pk, of_charlie.pk]


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL just has no such session")
def test_an_id_beyond_every_id_is_refused(bob: User) -> None:
    _, session = open_for(bob)
    words = ("sessions", "end", 2**64, "--yes")
    assert refused(*words) == "A number or a time among the arguments is out of range."
    assert left() == [session.pk]


def test_what_has_ended_is_purged_in_batches(bob: User, charlie: User) -> None:
    _, live = open_for(bob)
    for user in (bob, charlie, bob):
        open_for(user, minutes_ago=61)
    _, newest = open_for(charlie)
    assert run("sessions", "purge", "--dry-run").out == "3 API sessions would be deleted.\n"
    assert len(left()) == 5
    assert run("sessions", "purge", "--batch", 2).out == "3 API sessions were deleted.\n"
    assert left() == [live.pk, newest.pk]
    assert records("sessions", "purge") == [{"outcome": "deleted", "count": 0}]


@pytest.mark.parametrize("batch", [0, -1, 10_001])
def test_a_senseless_batch_is_refused(bob: User, batch: int) -> None:
    open_for(bob, minutes_ago=61)
    assert refused("sessions", "purge", "--batch", batch) == "--batch must be 1 to 10000."
    assert len(left()) == 1
