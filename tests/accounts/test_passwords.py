"""Passwords: the link that sets one, and the page on which people change their own."""

from __future__ import annotations

import json
import re
import smtplib
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
from axes.models import AccessAttempt
from django.contrib.admin.models import LogEntry
from django.contrib.auth.hashers import get_hasher
from django.contrib.sessions.models import Session as Cookie
from django.core import mail
from django.db import connection
from django.test import Client, override_settings
from django.utils import timezone

from accounts.authentication import UserBackend
from accounts.history import record_change
from accounts.models import Account, Change, Channel, Role, User
from accounts.passwords import make_link
from accounts.services import edit_user, set_active, set_password
from tests.admin_pages import client_of, notes_of, url_of
from tests.api import ApiClient
from tests.factories import PASSWORD, arranging, make_account, make_user
from voicemail_site.logs import JSONFormatter

OWN = "/password/"
CHANGED = "/password/changed/"
NEW = "staple battery horse"
WRONG = "The username or password is incorrect."
LOCKED = "You have failed to log in too many times. Please wait 10 minutes then try again."
MAIL = {"EMAIL_HOST": "mail.example.com", "DEFAULT_FROM_EMAIL": "voicemail@example.com"}


def link_for(user: User) -> str:
    """Make a link, and give its path."""
    with arranging():
        return make_link(user).removeprefix("http://127.0.0.1:8000")


def choose(client: Client, path: str, password: str = NEW, again: str = "") -> Any:
    """Open a link, and send the form that it leads to."""
    form = client.get(path).headers.get("Location", path)
    return client.post(form, {"new_password1": password, "new_password2": again or password})


def opens(path: str) -> bool:
    response = Client().get(path)
    return response.status_code == 302


def has_password(user: User, password: str) -> bool:
    return User.unscoped.get(pk=user.pk).check_password(password)


def log_in(username: str, password: str) -> Any:
    return Client().post(
        "/admin/login/", {"username": username, "password": password, "next": "/admin/"}
    )


def text_of(response: Any) -> str:
    return str(response.content.decode())


def last_event(user: User) -> tuple[str | None, Any, str]:
    row = User.history.filter(id=user.pk).order_by("history_id").last()
    return row.history_change_reason, row.change.user, row.change.channel


# The link


def test_a_link_sets_the_password_and_ends_the_sessions(
    client: Client, bob: User, as_bob: ApiClient
) -> None:
    response = choose(client, link_for(bob))
    assert response.headers["Location"] == CHANGED
    assert "Your password was changed" in text_of(client.get(CHANGED))
    assert has_password(bob, NEW)
    assert as_bob.call("NoOp").context["Session"]["IsEstablished"] == "false"
    assert last_event(bob) == ("Password changed", bob, Channel.WEB)


def test_a_link_ends_the_admin_logins(alice: User) -> None:
    before = client_of(alice)
    choose(Client(), link_for(alice))
    assert before.get("/admin/").status_code == 302
    assert log_in("alice", NEW).headers["Location"] == "/admin/"


def test_a_link_lets_a_locked_user_in_again(client: Client, alice: User) -> None:
    for _ in range(5):
        log_in("alice", "wrong")
    choose(client, link_for(alice))
    assert log_in("alice", NEW).headers["Location"] == "/admin/"


def test_a_link_opens_once(client: Client, bob: User) -> None:
    path = link_for(bob)
    choose(client, path)
    response = choose(Client(), path, "another battery horse")
    assert "This link does not open any more" in text_of(response)
    assert has_password(bob, NEW)


def test_a_form_that_was_open_when_the_link_was_used_sets_nothing(bob: User) -> None:
    path = link_for(bob)
    slow = Client()
    form = slow.get(path).headers["Location"]
    choose(Client(), path)
    response = slow.post(form, {"new_password1": PASSWORD, "new_password2": PASSWORD})
    assert "This link does not open any more" in text_of(response)
    assert has_password(bob, NEW)


def test_a_link_that_is_used_while_the_form_is_checked_sets_nothing(
    client: Client, bob: User
) -> None:
    def use_meanwhile(*args: Any, **kwargs: Any) -> None:
        with arranging():
            set_password(User.unscoped.get(pk=bob.pk), NEW)

    form = client.get(link_for(bob)).headers["Location"]
    with patch("accounts.passwords.PasswordByLinkForm.validate_password_for_user", use_meanwhile):
        response = client.post(form, {"new_password1": PASSWORD, "new_password2": PASSWORD})
    assert "This link does not open any more" in text_of(response)
    assert has_password(bob, NEW)


def test_a_link_opens_for_a_day(bob: User) -> None:
    path = link_for(bob)
    day = "accounts.passwords._Links._now"
    made = timezone.now().replace(tzinfo=None)
    with patch(day, return_value=made + timedelta(hours=23, minutes=59)):
        assert opens(path)
    with patch(day, return_value=made + timedelta(hours=24, minutes=1)):
        assert not opens(path)


def make_another(user: User) -> None:
    link_for(user)


def change_password(user: User) -> None:
    set_password(user, PASSWORD)


def change_email(user: User) -> None:
    user.email = "bob@example.com"
    edit_user(user)


def disable(user: User) -> None:
    set_active(user, is_active=False)


def disable_and_enable(user: User) -> None:
    set_active(user, is_active=False)
    set_active(user, is_active=True)


def disable_account(user: User) -> None:
    Account.unscoped.update(status="disabled")


@pytest.mark.parametrize(
    "void",
    [make_another, change_password, change_email, disable, disable_and_enable, disable_account],
)
def test_a_link_is_void_after(bob: User, void: Any) -> None:
    path = link_for(bob)
    assert opens(path)
    with arranging():
        void(User.unscoped.get(pk=bob.pk))
    assert not opens(path)


def test_of_several_links_the_last_one_opens(bob: User) -> None:
    paths = [link_for(bob) for _ in range(3)]
    assert [opens(path) for path in paths] == [False, False, True]


def test_a_users_link_opens_for_nobody_else(bob: User, alice: User) -> None:
    token = link_for(bob).split("/")[3]
    uid = link_for(alice).split("/")[2]
    assert not opens(f"/password/{uid}/{token}/")


@pytest.mark.parametrize(
    "path", ["MQ/x", "MQ/x-y", "!/x-y", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5/c-d", "%00/%00", "MQ/set"]
)
@pytest.mark.parametrize("method", ["get", "post"])
def test_a_made_up_link_does_not_open(client: Client, db: None, path: str, method: str) -> None:
    response = getattr(client, method)(f"/password/{path}/")
    assert response.status_code == 200
    assert "This link does not open any more" in text_of(response)


@pytest.mark.parametrize(
    ("password", "again", "field", "message"),
    [
        ("password", "", "new_password2", "This password is too common."),
        (NEW, "other", "new_password2", "The two password fields didn’t match."),
        ("x" * 1025, "", "new_password1", "Use at most 1024 characters."),
    ],
)
def test_a_password_that_is_refused_can_be_mended_with_the_same_link(
    client: Client, bob: User, password: str, again: str, field: str, message: str
) -> None:
    path = link_for(bob)
    refused = choose(client, path, password, again)
    assert message in refused.context["form"].errors[field]
    assert has_password(bob, PASSWORD)
    assert choose(client, path).headers["Location"] == CHANGED


def test_a_link_begins_with_the_setting_whatever_the_host_header(
    alice: User, bob: User, settings: Any
) -> None:
    settings.PUBLIC_URL = "https://voicemail.example.com"
    settings.ALLOWED_HOSTS = ["*"]
    page = client_of(alice).post(url_of(bob, "password_link"), HTTP_HOST="evil.example.net")
    (link,) = re.findall(r'value="(http[^"]*/password/[^"]*)"', text_of(page))
    assert link.startswith("https://voicemail.example.com/password/")
    assert "evil" not in text_of(page)


def test_no_page_with_a_link_in_its_address_is_kept_or_told_to_others(
    client: Client, bob: User
) -> None:
    path = link_for(bob)
    for address in (path, "/password/MQ/x-y/"):
        response = client.get(address)
        assert response.headers["Referrer-Policy"] == "no-referrer"
        assert "no-store" in response.headers["Cache-Control"]


def test_the_forms_address_opens_nothing_and_its_page_is_not_kept(
    client: Client, bob: User
) -> None:
    form = client.get(link_for(bob)).headers["Location"]
    page = client.get(form)
    assert "no-store" in page.headers["Cache-Control"]
    # With no-referrer browsers would send the form with no Origin, and it would be refused.
    assert page.headers["Referrer-Policy"] == "same-origin"
    assert "This link does not open any more" in text_of(Client().get(form))


def test_a_link_is_in_no_log(client: Client, bob: User, caplog: pytest.LogCaptureFixture) -> None:
    path = link_for(bob)
    token = path.split("/")[3]
    with caplog.at_level("DEBUG"):
        choose(client, path)
        client.get(f"{path}missing")
    lines = [json.loads(JSONFormatter().format(record)) for record in caplog.records]
    assert "/password/***" in [line.get("path") for line in lines]
    assert token not in json.dumps(lines)


@pytest.mark.skipif(
    connection.vendor == "sqlite", reason="SQLite has one writing transaction at a time."
)
@pytest.mark.django_db(transaction=True)
def test_of_two_who_use_a_link_at_once_one_succeeds() -> None:
    bob = make_user("bob", Role.USER, make_account())
    path = link_for(bob)
    clients = [Client() for _ in range(4)]
    forms = [client.get(path).headers["Location"] for client in clients]

    def send(number: int) -> bool:
        password = f"staple battery {number}"
        try:
            response = clients[number].post(
                forms[number], {"new_password1": password, "new_password2": password}
            )
        finally:
            connection.close()
        return response.status_code == 302

    with ThreadPoolExecutor(4) as pool:
        succeeded = list(pool.map(send, range(4)))
    assert succeeded.count(True) == 1
    assert has_password(bob, f"staple battery {succeeded.index(True)}")


# Making a link in the admin


def test_an_admin_is_shown_a_link_once(alice: User, bob: User, client: Client) -> None:
    admin = client_of(alice)
    page = admin.post(url_of(bob, "password_link"))
    assert "no-store" in page.headers["Cache-Control"]
    (path,) = re.findall(r'value="http://127.0.0.1:8000(/password/[^"]*)"', text_of(page))
    assert choose(client, path).headers["Location"] == CHANGED
    assert has_password(bob, NEW)
    assert path not in text_of(admin.get(url_of(bob, "password_link")))


def test_a_link_is_kept_in_no_message_session_or_entry(alice: User, bob: User) -> None:
    admin = client_of(alice)
    page = admin.post(url_of(bob, "password_link"))
    (token,) = re.findall(r"/password/[^/]+/([^/]+)/", text_of(page))
    stored = [
        *notes_of(page),
        *(cookie.value for cookie in admin.cookies.values()),
        *(str(cookie.get_decoded()) for cookie in Cookie.objects.all()),
        *(entry.change_message for entry in LogEntry.objects.all()),
        *map(str, User.unscoped.values()),
        *map(str, User.history.values()),
    ]
    assert not any(token in each for each in stored)


def test_making_a_link_is_recorded_and_leaves_the_present_password(
    alice: User, bob: User, as_bob: ApiClient
) -> None:
    client_of(alice).post(url_of(bob, "password_link"))
    assert last_event(bob) == ("Password link made", alice, Channel.WEB)
    assert LogEntry.objects.get().get_change_message() == "Password link made."
    assert has_password(bob, PASSWORD)
    assert as_bob.call("NoOp").context["Session"]["IsEstablished"] == "true"


def test_looking_at_the_page_makes_no_link(alice: User, bob: User) -> None:
    before = Change.unscoped.count()
    page = client_of(alice).get(url_of(bob, "password_link"))
    assert "Show the link" in text_of(page)
    assert "/password/" not in text_of(page)
    assert Change.unscoped.count() == before


def with_email(user: User) -> User:
    User.unscoped.filter(pk=user.pk).update(email=f"{user.auth_username}@example.com")
    return user


@override_settings(**MAIL)
def test_a_link_is_mailed_where_mail_is_set_up(alice: User, bob: User, client: Client) -> None:
    admin = client_of(alice)
    response = admin.post(url_of(with_email(bob), "password_link"))
    (sent,) = mail.outbox
    (path,) = re.findall(r"^http://127.0.0.1:8000(/password/\S+)$", str(sent.body), re.MULTILINE)
    assert (sent.to, sent.from_email) == (["bob@example.com"], "voicemail@example.com")
    assert "name to log in with is bob" in sent.body
    assert notes_of(response) == ["A password link for bob was mailed to bob@example.com."]
    assert response.headers["Location"] == url_of(bob, "change")
    assert choose(client, path).headers["Location"] == CHANGED


@pytest.mark.parametrize("mail_settings", [{}, MAIL])
def test_a_link_is_shown_where_it_can_not_be_mailed(
    alice: User, bob: User, mail_settings: dict[str, str]
) -> None:
    if not mail_settings:
        with_email(bob)
    with override_settings(**mail_settings):
        page = client_of(alice).post(url_of(bob, "password_link"))
    assert "/password/" in text_of(page)
    assert mail.outbox == []


@override_settings(**MAIL)
@pytest.mark.parametrize("failure", [smtplib.SMTPException("550"), TimeoutError("late")])
def test_a_link_is_shown_where_the_mail_server_fails(
    alice: User, bob: User, failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    with patch("django.core.mail.EmailMessage.send", side_effect=failure):
        page = client_of(alice).post(url_of(with_email(bob), "password_link"))
    assert "The mail to bob@example.com could not be sent." in text_of(page)
    (path,) = re.findall(r'value="http://127.0.0.1:8000(/password/[^"]*)"', text_of(page))
    assert opens(path)
    assert "A password link could not be mailed." in caplog.text


def test_a_disabled_user_gets_no_link(alice: User, bob: User) -> None:
    with arranging():
        set_active(bob, is_active=False)
    response = client_of(alice).post(url_of(bob, "password_link"))
    assert notes_of(response) == ["This user is disabled. Enable the user first."]
    assert User.unscoped.get(pk=bob.pk).password_link_made is None


def test_nobody_makes_a_link_for_themselves(alice: User) -> None:
    response = client_of(alice).post(url_of(alice, "password_link"))
    assert response.headers["Location"] == "/admin/password_change/"
    assert User.unscoped.get(pk=alice.pk).password_link_made is None


def test_a_plain_user_makes_no_link(bob: User, alice: User) -> None:
    response = client_of(bob).post(url_of(alice, "password_link"))
    assert response.headers["Location"].startswith("/admin/login/?next=")
    assert User.unscoped.get(pk=alice.pk).password_link_made is None


# One's own password


def change_own(client: Client, username: str = "bob", old: str = PASSWORD, new: str = NEW) -> Any:
    form = {"username": username, "old_password": old, "new_password1": new, "new_password2": new}
    return client.post(OWN, form)


def test_a_plain_user_changes_the_own_password(
    client: Client, bob: User, as_bob: ApiClient
) -> None:
    assert change_own(client).headers["Location"] == CHANGED
    assert has_password(bob, NEW)
    assert as_bob.call("NoOp").context["Session"]["IsEstablished"] == "false"
    assert last_event(bob) == ("Password changed", bob, Channel.WEB)


def test_the_form_takes_an_address_in_any_case(client: Client, organization: Any) -> None:
    erin = make_user(
        "erin", Role.USER, organization.account, organization=organization, username="desk"
    )
    change_own(client, "DESK@Acme.example.com")
    assert has_password(erin, NEW)


@pytest.mark.parametrize("name", ["bob", "nobody", "disabled"])
def test_every_refusal_reads_alike_and_costs_one_hash(
    client: Client, account: Account, bob: User, name: str
) -> None:
    disabled = make_user("disabled", Role.USER, account)
    User.unscoped.filter(pk=disabled.pk).update(is_active=False)
    hasher = type(get_hasher())
    with patch.object(hasher, "encode", autospec=True, side_effect=hasher.encode) as encode:
        response = change_own(client, name, PASSWORD if name == "disabled" else "wrong")
    assert response.status_code == 200
    assert response.context["form"].errors == {"__all__": [WRONG]}
    assert encode.call_count == 1
    assert AccessAttempt.objects.get().username == name


def test_wrong_passwords_lock_the_user_here_and_everywhere(
    client: Client, api: ApiClient, bob: User
) -> None:
    for _ in range(5):
        assert change_own(client, old="wrong").status_code == 200
    locked = change_own(client)
    assert locked.status_code == 429
    assert locked.context["form"].errors == {"__all__": [LOCKED]}
    assert has_password(bob, PASSWORD)
    refused = api.call("SessionCreate", Username="bob", Password=PASSWORD)
    assert refused.errors == [("Action", "Accessor.LoginLocked")]


def test_a_right_password_after_the_lock_was_set_changes_nothing(client: Client, bob: User) -> None:
    def check(*args: Any, **kwargs: Any) -> User:
        with patch.object(UserBackend, "authenticate", return_value=None):
            for _ in range(5):
                log_in("bob", "wrong")
        return bob

    with patch.object(UserBackend, "authenticate", side_effect=check):
        response = change_own(client)
    assert response.status_code == 429
    assert LOCKED in text_of(response)
    assert has_password(bob, PASSWORD)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"new_password2": "other"}, "new_password2"),
        ({"new_password1": "x" * 1025, "new_password2": "x" * 1025}, "new_password1"),
        ({"username": "b\0b"}, "username"),
        ({"old_password": ""}, "old_password"),
    ],
)
def test_what_can_not_succeed_checks_no_password_and_counts_for_nothing(
    client: Client, bob: User, values: dict[str, str], field: str
) -> None:
    form = {
        "username": "bob",
        "old_password": "wrong",
        "new_password1": NEW,
        "new_password2": NEW,
    }
    response = client.post(OWN, form | values)
    assert list(response.context["form"].errors) == [field]
    assert not AccessAttempt.objects.exists()


def test_a_weak_password_is_refused_beside_it(client: Client, bob: User) -> None:
    response = change_own(client, new="password")
    assert response.context["form"].errors == {"new_password1": ["This password is too common."]}
    assert has_password(bob, PASSWORD)


def test_the_page_is_not_kept_and_shows_no_password_again(client: Client, bob: User) -> None:
    response = change_own(client, old="canary-password")
    assert "no-store" in response.headers["Cache-Control"]
    assert "canary" not in text_of(response)
    assert NEW not in text_of(response)


def test_an_admin_who_changes_the_own_password_is_its_author(alice: User) -> None:
    form = {"old_password": PASSWORD, "new_password1": NEW, "new_password2": NEW}
    client_of(alice).post("/admin/password_change/", form)
    assert last_event(alice) == ("Password changed", alice, Channel.WEB)


def test_a_password_that_the_staff_set_has_them_as_its_author(staff: User, bob: User) -> None:
    with record_change(by=staff, channel=Channel.WEB):
        set_password(bob, NEW)
    assert last_event(bob) == ("Password changed", staff, Channel.WEB)
