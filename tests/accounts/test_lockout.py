"""Wrong passwords (docs/protocol.md, Lock-out)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
from axes.models import AccessAttempt, AccessFailureLog
from django.contrib.auth.hashers import get_hasher
from django.utils import timezone

from accounts.lockout import unlock
from accounts.models import Account, Organization, Role, User
from tests.api import ApiClient, Reply
from tests.factories import PASSWORD, arranging, make_user

FAILED = [("Action", "Accessor.LoginFailed")]
LOCKED = [("Action", "Accessor.LoginLocked")]


def log_in(api: ApiClient, username: str = "alice", password: str = PASSWORD) -> Reply:
    return api.call("SessionCreate", Username=username, Password=password)


def fail(api: ApiClient, times: int, username: str = "alice") -> list[Any]:
    return [log_in(api, username, "wrong").errors for _ in range(times)]


def wait(minutes: float) -> None:
    """Let time pass for every count."""
    for model in (AccessAttempt, AccessFailureLog):
        for row in model.objects.all():
            moved = row.attempt_time - timedelta(minutes=minutes)
            model.objects.filter(pk=row.pk).update(attempt_time=moved)


def test_a_wrong_password_fails_in_a_valid_request(api: ApiClient, alice: User) -> None:
    reply = log_in(api, password="wrong")
    assert reply.errors == FAILED
    assert reply.messages == ["The username or password is incorrect."]
    assert reply.is_valid
    assert not reply.is_completed


def test_an_unknown_and_a_disabled_user_get_the_answer_to_a_wrong_password(
    api: ApiClient, alice: User, bob: User
) -> None:
    User.unscoped.filter(pk=bob.pk).update(is_active=False)
    answers = [log_in(api, "alice", "wrong"), log_in(api, "nobody"), log_in(api, "bob")]
    assert [(reply.errors, reply.messages) for reply in answers] == [
        (FAILED, ["The username or password is incorrect."])
    ] * 3


def test_a_user_of_a_disabled_account_can_not_log_in(
    api: ApiClient, alice: User, account: Account
) -> None:
    Account.unscoped.filter(pk=account.pk).update(status="disabled")
    assert log_in(api).errors == FAILED


@pytest.mark.parametrize("name", ["alice", "nobody"])
def test_every_refused_login_costs_one_password_hash(
    api: ApiClient, alice: User, name: str
) -> None:
    hasher = type(get_hasher())
    with patch.object(hasher, "encode", autospec=True, side_effect=hasher.encode) as encode:
        log_in(api, name, "wrong")
    assert encode.call_count == 1


def test_after_five_failures_even_the_right_password_is_refused(
    api: ApiClient, alice: User
) -> None:
    assert fail(api, 5) == [FAILED] * 5
    reply = log_in(api)
    assert reply.errors == LOCKED
    assert reply.messages == [
        "You have failed to log in too many times. Please wait 10 minutes then try again."
    ]
    assert reply.is_valid


def test_an_unknown_name_counts_and_locks_alike(api: ApiClient, db: None) -> None:
    assert fail(api, 6, "nobody") == [FAILED] * 5 + [LOCKED]
    assert fail(api, 1, "NOBODY") == [LOCKED]


def test_every_spelling_of_a_user_counts_together(
    api: ApiClient, account: Account, organization: Organization
) -> None:
    make_user("alice", Role.ACCOUNT_ADMIN, account, organization=organization, username="al")
    for name in ("alice", "ALICE", "al@acme.example.com", "AL@ACME.EXAMPLE.COM", "Alice"):
        assert fail(api, 1, name) == [FAILED]
    assert fail(api, 1, "al@acme.example.com") == [LOCKED]


def test_the_count_belongs_to_the_user_whatever_the_address_or_the_client(
    api: ApiClient, alice: User
) -> None:
    for number in range(5):
        api.http.post(
            "/webapi",
            {"Action": "SessionCreate", "Username": "alice", "Password": "wrong"},
            REMOTE_ADDR=f"192.0.2.{number}",
            HTTP_USER_AGENT=f"client {number}",
        )
    assert log_in(api).errors == LOCKED


def test_a_lock_ends_after_ten_minutes(api: ApiClient, alice: User) -> None:
    fail(api, 5)
    wait(9.9)
    assert log_in(api).errors == LOCKED
    wait(0.2)
    assert log_in(api).is_completed


def test_attempts_during_the_lock_do_not_prolong_it(api: ApiClient, alice: User) -> None:
    fail(api, 5)
    wait(9)
    fail(api, 3)
    wait(1.1)
    assert log_in(api).is_completed


def test_a_count_is_forgotten_ten_minutes_after_its_last_failure(
    api: ApiClient, alice: User
) -> None:
    fail(api, 4)
    wait(10.1)
    assert fail(api, 5) == [FAILED] * 5


def test_a_success_clears_the_count(api: ApiClient, alice: User) -> None:
    fail(api, 4)
    assert log_in(api).is_completed
    assert fail(api, 5) == [FAILED] * 5


def test_sessions_that_live_go_on_during_the_lock(as_alice: ApiClient, api: ApiClient) -> None:
    fail(api, 6)
    assert as_alice.call("NoOp").context["Session"]["IsEstablished"] == "true"


def test_unlocking_lets_a_user_in_at_once(api: ApiClient, alice: User) -> None:
    fail(api, 5)
    unlock(alice)
    assert log_in(api).is_completed


def test_the_admin_login_counts_in_the_same_place(api: ApiClient, alice: User) -> None:
    form = {"username": "alice", "password": "wrong"}
    for _ in range(5):
        api.http.post("/admin/login/", form)
    assert log_in(api).errors == LOCKED


def test_a_lock_by_the_api_holds_for_the_admin_login(api: ApiClient, alice: User) -> None:
    fail(api, 5)
    api.http.post("/admin/login/", {"username": "alice", "password": PASSWORD})
    assert "_auth_user_id" not in api.http.session


def test_thirty_failures_in_a_minute_lock_the_address_out(api: ApiClient, alice: User) -> None:
    for number in range(30):
        assert fail(api, 1, f"guess{number}") == [FAILED]
    assert log_in(api).errors == LOCKED
    elsewhere = api.http.post(
        "/webapi",
        {"Action": "SessionCreate", "Username": "alice", "Password": PASSWORD},
        REMOTE_ADDR="192.0.2.9",
    )
    assert b"<IsCompleted>true</IsCompleted>" in elsewhere.content


def test_an_address_is_let_in_again_after_a_minute(api: ApiClient, alice: User) -> None:
    for number in range(30):
        fail(api, 1, f"guess{number}")
    wait(1.1)
    assert log_in(api).is_completed


def test_successes_never_count_against_an_address(api: ApiClient, alice: User) -> None:
    assert all(log_in(api).is_completed for _ in range(35))


def test_what_is_stored_of_a_failure_holds_no_secret(api: ApiClient, alice: User) -> None:
    api.call(
        "SessionCreate",
        method="get",
        Username="alice",
        Password="canary-password",
        PasswordConfirm="canary-confirm",
        SessionId="canarysession00000000000000000000",
    )
    rows = [*AccessAttempt.objects.values(), *AccessFailureLog.objects.values()]
    assert len(rows) == 2
    assert "canary" not in str(rows)


def test_counts_that_are_over_are_deleted_at_the_next_failure(api: ApiClient, alice: User) -> None:
    fail(api, 3, "nobody")
    wait(10.1)
    fail(api, 1, "alice")
    assert [row.username for row in AccessAttempt.objects.all()] == ["alice"]
    assert [row.username for row in AccessFailureLog.objects.all()] == ["alice"]


def test_a_disabled_user_keeps_out_after_unlocking(api: ApiClient, alice: User) -> None:
    with arranging():
        User.unscoped.filter(pk=alice.pk).update(is_active=False)
    assert log_in(api).errors == FAILED
    assert AccessAttempt.objects.get().attempt_time <= timezone.now()
