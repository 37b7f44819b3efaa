"""Sessions of the Web API (docs/protocol.md, Sessions)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import Account, Organization, Role, Session, User
from accounts.services import change_role, digest_of, set_active, set_password
from tests.api import ApiClient, Reply
from tests.factories import PASSWORD, arranging, make_user


def log_in(api: ApiClient, username: str, password: str = PASSWORD) -> Reply:
    return api.call("SessionCreate", Username=username, Password=password)


def is_refused(reply: Reply) -> bool:
    return reply.errors == [("SessionId", "Session.Authentication")]


def age(session: Session, **columns: timedelta) -> None:
    now = timezone.now()
    Session.unscoped.filter(pk=session.pk).update(
        **{column: now + delta for column, delta in columns.items()}
    )


@pytest.fixture
def session(as_alice: ApiClient) -> Session:
    return Session.unscoped.get(digest=digest_of(as_alice.session_id or ""))


def test_a_login_is_answered_with_the_session_in_the_context(api: ApiClient, alice: User) -> None:
    reply = log_in(api, "alice")
    assert reply.result == {}
    assert list(reply.context["Session"]) == ["IsEstablished", "SessionId", "UserId", "Roles"]
    assert reply.context["Session"]["IsEstablished"] == "true"
    assert reply.context["Session"]["UserId"] == str(alice.pk)
    assert reply.context["Session"]["Roles"] == {"Role": {"Name": "Account Admin"}}


@pytest.mark.parametrize(
    ("role", "name"), [(Role.SYSTEM_ADMIN, "System Admin"), (Role.USER, "User")]
)
def test_a_session_tells_its_role(api: ApiClient, account: Account, role: Role, name: str) -> None:
    make_user("dora", role, None if role == Role.SYSTEM_ADMIN else account)
    assert log_in(api, "dora").context["Session"]["Roles"] == {"Role": {"Name": name}}


def test_a_session_id_is_32_letters_and_digits_and_new_each_time(
    api: ApiClient, alice: User
) -> None:
    ids = {log_in(api, "alice").context["Session"]["SessionId"] for _ in range(3)}
    assert len(ids) == 3
    assert all(len(each) == 32 and each.isalnum() and each.isascii() for each in ids)


def test_a_session_id_that_a_client_proposes_is_never_used(api: ApiClient, alice: User) -> None:
    proposed = "a" * 32
    reply = api.call("SessionCreate", Username="alice", Password=PASSWORD, SessionId=proposed)
    assert reply.context["Session"]["SessionId"] != proposed


def test_only_a_digest_of_the_session_id_is_stored(api: ApiClient, alice: User) -> None:
    session_id = log_in(api, "alice").context["Session"]["SessionId"]
    stored = Session.unscoped.values().get()
    assert stored["digest"] == digest_of(session_id)
    assert session_id not in str(stored)


@pytest.mark.parametrize(
    "name", ["alice", "ALICE", "Al.Smith@acme.example.com", "al.smith@ACME.example.com"]
)
def test_a_user_logs_in_by_either_name_in_any_case(
    api: ApiClient, account: Account, organization: Organization, name: str
) -> None:
    make_user("alice", Role.ACCOUNT_ADMIN, account, organization=organization, username="al.smith")
    assert log_in(api, name).is_completed


def test_a_session_notes_the_client(api: ApiClient, alice: User) -> None:
    api.http.post(
        "/webapi",
        {"Action": "SessionCreate", "Username": "alice", "Password": PASSWORD},
        REMOTE_ADDR="192.0.2.7",
        HTTP_USER_AGENT="partner/1.0",
    )
    session = Session.unscoped.get()
    assert (session.client_address, session.user_agent) == ("192.0.2.7", "partner/1.0")


@pytest.mark.parametrize("sent", [None, "", "x", "a" * 32, "ü" * 30])
def test_without_a_live_session_an_action_is_refused(
    api: ApiClient, db: None, sent: str | None
) -> None:
    parameters = {} if sent is None else {"SessionId": sent}
    reply = api.call("VoicemailboxRead", VoicemailboxId="x", **parameters)
    assert is_refused(reply)
    assert reply.messages == ["An authenticated session is required for this request."]
    assert reply.context["Session"] == {"IsEstablished": "false"}


def test_a_refused_session_is_the_only_error_and_echoes_no_defaults(
    api: ApiClient, db: None
) -> None:
    reply = api.call("VoicemailboxBrowse", Limit="x")
    assert is_refused(reply)
    assert [name for name, _ in reply.echo] == ["Action", "Limit"]


def test_destroying_ends_that_session_alone(as_alice: ApiClient, api: ApiClient) -> None:
    other = ApiClient(log_in(api, "alice").context["Session"]["SessionId"])
    reply = as_alice.call("SessionDestroy")
    assert reply.is_completed
    assert reply.context["Session"] == {"IsEstablished": "false"}
    assert is_refused(as_alice.call("SessionDestroy"))
    assert other.call("SessionDestroy").is_completed


def test_a_plain_user_may_destroy_the_session(as_bob: ApiClient) -> None:
    assert as_bob.call("SessionDestroy").is_completed


def test_destroying_without_a_session_is_refused(api: ApiClient, db: None) -> None:
    assert is_refused(api.call("SessionDestroy"))


@pytest.mark.parametrize("action", ["Echo", "NoOp"])
def test_a_live_session_is_reported_where_none_is_needed(
    as_alice: ApiClient, api: ApiClient, action: str
) -> None:
    assert as_alice.call(action).context["Session"]["SessionId"] == as_alice.session_id
    assert api.call(action).context["Session"] == {"IsEstablished": "false"}


def test_a_session_ends_after_an_hour_of_idleness(as_alice: ApiClient, session: Session) -> None:
    age(session, last_used=-timedelta(minutes=59))
    assert as_alice.call("NoOp").context["Session"]["IsEstablished"] == "true"
    age(session, last_used=-timedelta(minutes=60))
    assert as_alice.call("NoOp").context["Session"]["IsEstablished"] == "false"


def test_a_session_ends_at_its_absolute_age(as_alice: ApiClient, session: Session) -> None:
    age(session, expires=timedelta(seconds=-1), created=-timedelta(hours=24))
    assert as_alice.call("NoOp").context["Session"]["IsEstablished"] == "false"


def test_a_new_session_lives_for_a_day(session: Session) -> None:
    assert session.expires - session.created == timedelta(hours=24)


def test_last_used_is_written_at_most_once_a_minute(as_alice: ApiClient, session: Session) -> None:
    age(session, last_used=-timedelta(seconds=59))
    before = Session.unscoped.get().last_used
    as_alice.call("NoOp")
    assert Session.unscoped.get().last_used == before
    age(session, last_used=-timedelta(seconds=61))
    as_alice.call("NoOp")
    assert timezone.now() - Session.unscoped.get().last_used < timedelta(seconds=10)


def test_disabling_a_user_ends_the_sessions(as_bob: ApiClient, bob: User) -> None:
    with arranging():
        set_active(bob, is_active=False)
    assert as_bob.call("NoOp").context["Session"]["IsEstablished"] == "false"
    assert not Session.unscoped.exists()


def test_changing_the_password_ends_the_sessions(as_alice: ApiClient, alice: User) -> None:
    with arranging():
        set_password(alice, "another password")
    assert is_refused(as_alice.call("SessionDestroy"))


def test_changing_the_role_ends_the_sessions(as_bob: ApiClient, bob: User, staff: User) -> None:
    with arranging():
        change_role(User.unscoped.get(pk=bob.pk), role=Role.ACCOUNT_ADMIN, actor=staff)
    assert is_refused(as_bob.call("SessionDestroy"))


def test_a_session_of_a_disabled_account_is_refused(as_alice: ApiClient, account: Account) -> None:
    Account.unscoped.filter(pk=account.pk).update(status="disabled")
    assert is_refused(as_alice.call("SessionDestroy"))


def test_http_basic_is_no_session(api: ApiClient, alice: User) -> None:
    basic = "Basic YWxpY2U6Y29ycmVjdCBob3JzZSBiYXR0ZXJ5"
    response = api.http.post("/webapi", {"Action": "SessionDestroy"}, HTTP_AUTHORIZATION=basic)
    assert b"Session.Authentication" in response.content


def test_a_login_to_the_admin_is_no_session_of_the_api(api: ApiClient, alice: User) -> None:
    api.http.force_login(alice, backend="accounts.authentication.UserBackend")
    assert is_refused(api.call("SessionDestroy"))


@pytest.mark.parametrize("missing", ["Username", "Password"])
def test_name_and_password_are_required(api: ApiClient, alice: User, missing: str) -> None:
    parameters: dict[str, Any] = {"Username": "alice", "Password": PASSWORD} | {missing: ""}
    reply = api.call("SessionCreate", **parameters)
    assert reply.errors == [(missing, "Value.Required")]
