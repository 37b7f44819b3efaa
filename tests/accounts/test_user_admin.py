"""Users in the admin: what staff and an account's admin do there, and what nobody may."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.contrib.admin.models import LogEntry
from django.db import connection, models
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Account, Change, Channel, Organization, Role, Session, User
from accounts.services import open_password_link, open_session, set_active
from tests.admin_pages import (
    client_of,
    errors_of,
    fill_in,
    form_of,
    notes_of,
    rows_of,
    run_action,
    url_of,
    values_of,
)
from tests.api import ApiClient
from tests.factories import PASSWORD, arranging, make_organization, make_user

INDEX = "/admin/"
LOGIN = "/admin/login/"
LAST_ADMIN = "An account keeps its last admin."
NOT_ONESELF = "You can't delete or disable yourself. Another admin can."
SIMILAR = "The password is too similar to the authentication name."


@pytest.fixture
def as_the_staff(staff: User) -> Client:
    return client_of(staff)


@pytest.fixture
def as_an_admin(alice: User) -> Client:
    return client_of(alice)


@pytest.fixture
def dora(account: Account) -> User:
    """Give a second admin of alice's account."""
    return make_user("dora", Role.ACCOUNT_ADMIN, account)


def stored(row: models.Model) -> dict[str, Any]:
    return dict(type(row)._base_manager.values().get(pk=row.pk))


def log_in(client: Client, username: str, password: str = PASSWORD) -> Any:
    return client.post(LOGIN, {"username": username, "password": password, "next": INDEX})


def lock(username: str) -> None:
    for _ in range(5):
        log_in(Client(), username, "wrong")


def text_of(response: Any) -> str:
    return str(response.content.decode())


def state_shown(client: Client, user: User) -> str:
    """Give the words of a user's badge in the list."""
    page = text_of(client.get(url_of(User), {"q": user.auth_username}))
    return page.split('field-state">')[1].split(">")[1].split("<")[0]


# What the staff do


def add_user(client: Client, account: Account, **values: str) -> Any:
    new = {"auth_username": "dora", "account": str(account.pk), "role": "user"}
    return fill_in(client, url_of(User, "add"), **new | values)


def test_staff_add_a_user_who_can_log_in(as_the_staff: Client, account: Account) -> None:
    response = add_user(
        as_the_staff, account, role="account_admin", new_password="staple battery horse"
    )
    dora = User.unscoped.get(auth_username="dora")
    assert response.headers["Location"] == url_of(User)
    assert LogEntry.objects.get().object_id == str(dora.pk)
    assert (dora.account, dora.role, dora.is_active) == (account, Role.ACCOUNT_ADMIN, True)
    assert log_in(Client(), "dora", "staple battery horse").headers["Location"] == INDEX


def test_a_user_without_a_password_can_not_log_in(as_the_staff: Client, account: Account) -> None:
    add_user(as_the_staff, account)
    assert not User.unscoped.get(auth_username="dora").has_usable_password()


def test_a_new_user_is_enabled(as_the_staff: Client, account: Account) -> None:
    assert "is_active" not in form_of(as_the_staff.get(url_of(User, "add"))).fields
    add_user(as_the_staff, account)
    assert User.unscoped.get(auth_username="dora").is_active


@pytest.mark.parametrize(
    ("values", "field", "message"),
    [
        ({"new_password": "12345678"}, "new_password", "This password is too common."),
        (
            {"auth_username": "ALICE"},
            "auth_username",
            "This authentication name is already in use.",
        ),
        (
            {"username": "dora"},
            "organization",
            "An organization and a user name go together.",
        ),
        (
            {"role": "system_admin"},
            "__all__",
            "Provider staff have no account; everybody else has one.",
        ),
        ({"email": "dora"}, "email", "Value must be one e-mail address such as joe@example.com."),
        ({"auth_username": "dorothea", "new_password": "dorothea1"}, "new_password", SIMILAR),
    ],
)
def test_a_users_broken_rule_is_told_and_nobody_is_stored(
    as_the_staff: Client,
    account: Account,
    alice: User,
    values: dict[str, str],
    field: str,
    message: str,
) -> None:
    response = add_user(as_the_staff, account, **values)
    assert message in errors_of(response)[field]
    assert User.unscoped.count() == 2


def test_a_taken_address_is_told_beside_its_user_name(
    as_the_staff: Client, organization: Organization
) -> None:
    account = organization.account
    make_user("carol", Role.USER, account, organization=organization, username="desk")
    response = add_user(as_the_staff, account, organization=str(organization.pk), username="DESK")
    assert errors_of(response) == {"username": ["This address is already in use."]}
    assert not User.unscoped.filter(auth_username="dora").exists()


def test_a_user_has_no_address_in_another_account(
    as_the_staff: Client, account: Account, other_organization: Organization
) -> None:
    response = add_user(
        as_the_staff, account, organization=str(other_organization.pk), username="dora"
    )
    assert errors_of(response) == {"organization": ["This organization is not recognized."]}
    assert not User.unscoped.filter(auth_username="dora").exists()


def test_a_user_keeps_the_account(as_the_staff: Client, bob: User, other_account: Account) -> None:
    before, url = stored(bob), url_of(bob, "change")
    assert "account" not in form_of(as_the_staff.get(url)).fields
    fill_in(as_the_staff, url, account=str(other_account.pk))
    assert stored(bob) == before


def test_an_empty_password_keeps_the_present_one(as_the_staff: Client, bob: User) -> None:
    before = stored(bob)
    fill_in(as_the_staff, url_of(bob, "change"), auth_username="bobby")
    assert stored(bob)["auth_username"] == "bobby"
    assert stored(bob)["password"] == before["password"]


def test_a_new_password_ends_the_users_sessions(
    as_the_staff: Client, bob: User, as_bob: ApiClient
) -> None:
    fill_in(as_the_staff, url_of(bob, "change"), new_password="staple battery horse")
    bob.refresh_from_db()
    assert bob.check_password("staple battery horse")
    assert as_bob.call("NoOp").context["Session"]["IsEstablished"] == "false"


def test_staff_change_a_role_and_end_the_users_sessions(
    as_the_staff: Client, alice: User, bob: User, as_bob: ApiClient
) -> None:
    fill_in(as_the_staff, url_of(bob, "change"), role="account_admin")
    assert stored(bob)["role"] == Role.ACCOUNT_ADMIN
    assert as_bob.call("NoOp").context["Session"]["IsEstablished"] == "false"


@pytest.mark.parametrize("name", ["staff", "alice"])
def test_nobody_of_an_account_becomes_provider_staff(
    staff: User, alice: User, bob: User, name: str
) -> None:
    before = stored(bob)
    client = client_of({"staff": staff, "alice": alice}[name])
    response = fill_in(client, url_of(bob, "change"), role="system_admin", auth_username="bobby")
    assert errors_of(response) == {"role": ["This role is not to be had here."]}
    assert values_of(response)["auth_username"] == "bobby"
    assert stored(bob) == before


@pytest.mark.parametrize(
    "change", [{"role": "user"}, {"is_active": ""}], ids=["change the role", "disable"]
)
def test_an_account_keeps_its_last_admin_in_the_form(
    as_the_staff: Client, alice: User, bob: User, change: dict[str, str]
) -> None:
    before = stored(alice)
    response = fill_in(as_the_staff, url_of(alice, "change"), auth_username="alicia", **change)
    assert errors_of(response) == {"__all__": [LAST_ADMIN]}
    assert LAST_ADMIN in text_of(response)
    assert values_of(response)["auth_username"] == "alicia"
    assert stored(alice) == before
    assert not LogEntry.objects.exists()


def test_an_account_keeps_its_last_admin_from_deletion(
    as_the_staff: Client, alice: User, bob: User
) -> None:
    answers = [
        as_the_staff.post(url_of(alice, "delete"), {"post": "yes"}),
        run_action(as_the_staff, User, "delete_selected", bob.pk, alice.pk),
    ]
    assert [notes_of(each)[-1] for each in answers] == [LAST_ADMIN] * 2
    assert User.unscoped.filter(pk__in=[alice.pk, bob.pk]).count() == 2
    assert not LogEntry.objects.exists()


# Unlocking


def test_staff_unlock_a_user(as_the_staff: Client, alice: User, bob: User) -> None:
    lock("alice")
    response = run_action(as_the_staff, User, "unlock", alice.pk, bob.pk)
    assert notes_of(response) == ["Unlocked: alice."]
    assert log_in(Client(), "alice").headers["Location"] == INDEX
    assert LogEntry.objects.get().get_change_message() == "Unlocked."


def test_unlocking_says_when_nobody_was_locked(as_the_staff: Client, alice: User) -> None:
    response = run_action(as_the_staff, User, "unlock", alice.pk)
    assert notes_of(response) == ["None of the selected users was locked."]
    assert not LogEntry.objects.exists()


# What an account's admin does


def add_as_admin(client: Client, **values: str) -> Any:
    return fill_in(client, url_of(User, "add"), **{"auth_username": "dora"} | values)


def test_an_accounts_admin_adds_a_user_of_the_account(
    as_an_admin: Client, alice: User, organization: Organization
) -> None:
    response = add_as_admin(
        as_an_admin,
        role="account_admin",
        email="dora@example.com",
        organization=str(organization.pk),
        username="desk",
    )
    dora = User.unscoped.get(auth_username="dora")
    change = Change.unscoped.latest("id")
    assert (dora.account, dora.role, dora.is_active) == (alice.account, Role.ACCOUNT_ADMIN, True)
    assert (dora.email, dora.organization, dora.username) == (
        "dora@example.com",
        organization,
        "desk",
    )
    assert not dora.has_usable_password()
    assert (change.user, change.channel, change.account) == (alice, Channel.WEB, alice.account)
    assert notes_of(response) == ["User dora was added."]


def test_a_new_user_without_a_password_is_sent_a_link_next(as_an_admin: Client) -> None:
    response = add_as_admin(as_an_admin)
    dora = User.unscoped.get(auth_username="dora")
    assert response.headers["Location"] == url_of(dora, "password_link")


def test_a_forged_account_role_or_password_of_a_new_user_counts_for_nothing(
    as_an_admin: Client, alice: User, other_account: Account
) -> None:
    refused = add_as_admin(as_an_admin, role="system_admin")
    assert errors_of(refused) == {"role": ["This role is not to be had here."]}
    add_as_admin(as_an_admin, account=str(other_account.pk), new_password="staple battery horse")
    dora = User.unscoped.get(auth_username="dora")
    assert dora.account == alice.account
    assert not dora.has_usable_password()


def test_an_accounts_admin_is_shown_no_account_and_no_password(
    as_an_admin: Client, bob: User
) -> None:
    for page in (url_of(User, "add"), url_of(bob, "change")):
        fields = form_of(as_an_admin.get(page)).fields
        assert not {"account", "new_password"} & set(fields)
        assert [value for value, _ in fields["role"].choices] == ["user", "account_admin"]


def test_a_user_has_no_address_in_a_foreign_organization(
    as_an_admin: Client, bob: User, other_organization: Organization
) -> None:
    before = stored(bob)
    forged = {"organization": str(other_organization.pk), "username": "bob"}
    response = fill_in(as_an_admin, url_of(bob, "change"), **forged)
    assert list(errors_of(response)) == ["organization"]
    assert stored(bob) == before


def test_an_accounts_admin_edits_a_user(as_an_admin: Client, bob: User, as_bob: ApiClient) -> None:
    response = fill_in(
        as_an_admin, url_of(bob, "change"), email="bob@example.com", role="account_admin"
    )
    bob.refresh_from_db()
    assert (bob.email, bob.role) == ("bob@example.com", Role.ACCOUNT_ADMIN)
    assert notes_of(response) == ["User bob was changed: E-mail, Role."]
    assert LogEntry.objects.get().get_change_message() == "Changed E-mail and Role."
    assert as_bob.call("NoOp").context["Session"]["IsEstablished"] == "false"


def test_saving_what_is_there_already_says_so_and_leaves_no_trace(
    as_an_admin: Client, bob: User
) -> None:
    before = Change.unscoped.count()
    response = fill_in(as_an_admin, url_of(bob, "change"))
    assert notes_of(response) == ["Nothing was changed."]
    assert Change.unscoped.count() == before
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize("forged", [{"role": "user"}, {"role": "system_admin"}, {"is_active": ""}])
def test_nobody_changes_their_own_role_or_state(
    as_an_admin: Client, alice: User, dora: User, forged: dict[str, str]
) -> None:
    before = stored(alice)
    fill_in(as_an_admin, url_of(alice, "change"), **forged)
    assert stored(alice) == before


def test_an_admin_disables_and_enables_users(
    as_an_admin: Client, bob: User, dora: User, as_bob: ApiClient
) -> None:
    disabled = run_action(as_an_admin, User, "disable", bob.pk, dora.pk)
    assert notes_of(disabled) == ["Disabled: bob, dora."]
    assert not User.unscoped.filter(pk__in=[bob.pk, dora.pk], is_active=True).exists()
    assert as_bob.call("NoOp").context["Session"]["IsEstablished"] == "false"
    enabled = run_action(as_an_admin, User, "enable", bob.pk)
    assert notes_of(enabled)[-1] == "Enabled: bob."
    assert User.unscoped.get(pk=bob.pk).is_active


@pytest.mark.parametrize(
    ("action", "told"),
    [
        ("enable", "None of the selected users was disabled."),
        ("unlock", "None of the selected users was locked."),
    ],
)
def test_an_action_that_changes_nobody_says_so(
    as_an_admin: Client, bob: User, action: str, told: str
) -> None:
    assert notes_of(run_action(as_an_admin, User, action, bob.pk)) == [told]
    assert not LogEntry.objects.exists()


def test_nobody_deletes_or_disables_themselves(
    as_an_admin: Client, alice: User, bob: User, dora: User
) -> None:
    answers = [
        as_an_admin.post(url_of(alice, "delete"), {"post": "yes"}),
        run_action(as_an_admin, User, "delete_selected", bob.pk, alice.pk),
        run_action(as_an_admin, User, "disable", bob.pk, alice.pk),
    ]
    assert [notes_of(each)[-1] for each in answers] == [NOT_ONESELF] * 3
    assert User.unscoped.filter(pk__in=[alice.pk, bob.pk], is_active=True).count() == 2
    assert not LogEntry.objects.exists()


def test_an_admin_deletes_a_user_with_the_sessions(
    as_an_admin: Client, alice: User, bob: User, as_bob: ApiClient
) -> None:
    page = as_an_admin.get(url_of(bob, "delete"))
    assert dict(page.context["model_count"]) == {"users": 1, "API sessions": 1}
    response = as_an_admin.post(url_of(bob, "delete"), {"post": "yes"})
    assert notes_of(response) == ["User bob was deleted."]
    assert list(User.unscoped.all()) == [alice]
    assert not Session.unscoped.exists()


def test_an_admin_unlocks_a_user_on_the_users_page(as_an_admin: Client, bob: User) -> None:
    lock("bob")
    assert "Unlock now" in text_of(as_an_admin.get(url_of(bob, "change")))
    response = as_an_admin.post(url_of(bob, "unlock"))
    assert notes_of(response) == ["Unlocked: bob."]
    assert not AccessAttempt.objects.filter(username="bob").exists()
    assert "Unlock now" not in text_of(as_an_admin.get(url_of(bob, "change")))


def test_looking_at_the_address_that_unlocks_changes_nothing(
    as_an_admin: Client, bob: User
) -> None:
    lock("bob")
    assert as_an_admin.get(url_of(bob, "unlock")).headers["Location"] == url_of(bob, "change")
    assert AccessAttempt.objects.filter(username="bob").exists()


@pytest.mark.parametrize("page", ["unlock", "password_link"])
def test_an_admin_does_nothing_to_foreign_users_and_staff(
    as_an_admin: Client, charlie: User, staff: User, page: str
) -> None:
    lock("charlie")
    before = stored(charlie), stored(staff), Change.unscoped.count()
    for user in (charlie, staff):
        response = as_an_admin.post(url_of(user, page))
        assert response.headers["Location"] == INDEX
    assert (stored(charlie), stored(staff), Change.unscoped.count()) == before
    assert AccessAttempt.objects.filter(username="charlie").exists()


# The list


def test_an_admin_sees_the_accounts_users_alone(
    as_an_admin: Client, alice: User, bob: User, charlie: User, staff: User
) -> None:
    response = as_an_admin.get(url_of(User))
    assert set(rows_of(response)) == {alice, bob}
    assert "column-account" not in text_of(response)


def test_the_list_tells_each_users_state(
    as_the_staff: Client, account: Account, alice: User, bob: User
) -> None:
    assert state_shown(as_the_staff, bob) == "Enabled"
    lock("bob")
    until = AccessAttempt.objects.get().attempt_time + timedelta(minutes=10)
    assert state_shown(as_the_staff, bob) == f"Locked until {until:%H:%M} UTC"
    with arranging():
        set_active(bob, is_active=False)
    assert state_shown(as_the_staff, bob) == "Disabled"
    Account.unscoped.filter(pk=account.pk).update(status="disabled")
    assert state_shown(as_the_staff, alice) == "Account disabled"


def test_a_user_without_a_password_is_invited_as_long_as_the_link_opens(
    as_the_staff: Client, account: Account
) -> None:
    erin = make_user("erin", Role.USER, account, password=None)
    assert state_shown(as_the_staff, erin) == "No password"
    with arranging():
        open_password_link(erin)
    assert state_shown(as_the_staff, erin) == "Invited"
    User.unscoped.update(password_link_made=timezone.now() - timedelta(hours=25))
    assert state_shown(as_the_staff, erin) == "No password"


def test_the_list_tells_when_the_api_was_used_last(as_an_admin: Client, bob: User) -> None:
    now = timezone.now()
    for ago in (timedelta(hours=1), timedelta(minutes=5)):
        open_session(bob, now=now - ago, client_address=None, user_agent="")
    (row,) = rows_of(as_an_admin.get(url_of(User), {"q": "bob"}))
    assert row.last_session == now - timedelta(minutes=5)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"state": "enabled"}, {"alice", "bob", "erin"}),
        ({"state": "disabled"}, {"dora"}),
        ({"state": "locked"}, {"bob"}),
        ({"state": "invited"}, {"erin"}),
        ({"state": "unheard"}, set()),
        ({"role__exact": "account_admin"}, {"alice", "dora"}),
        ({"q": "bob@home"}, {"bob"}),
    ],
)
def test_filters_and_search_keep_whom_they_name(
    as_an_admin: Client,
    account: Account,
    bob: User,
    dora: User,
    charlie: User,
    query: dict[str, str],
    names: set[str],
) -> None:
    make_user("erin", Role.USER, account, password=None)
    User.unscoped.filter(pk=bob.pk).update(email="bob@home.example.com")
    with arranging():
        set_active(dora, is_active=False)
    lock("bob")
    found = rows_of(as_an_admin.get(url_of(User), query))
    assert {user.auth_username for user in found} == names


@pytest.mark.parametrize(("number", "is_searched"), [(20, False), (21, True)])
def test_many_organizations_are_searched_instead_of_listed(
    as_an_admin: Client, account: Account, number: int, is_searched: bool
) -> None:
    for _ in range(number):
        make_organization(account)
    page = text_of(as_an_admin.get(url_of(User, "add")))
    assert ("admin-autocomplete" in page) is is_searched


# The queries of a page, whatever is there.
QUERIES = {"add": 5, "change": 16, "delete": 6, "password_link": 4}


def queries_of(client: Client, url: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        assert client.get(url).status_code == 200
    return len(queries)


def test_a_page_needs_as_many_queries_with_many_users_as_with_few(
    as_an_admin: Client, account: Account, organization: Organization, bob: User
) -> None:
    pages = {name: url_of(bob if name != "add" else User, name) for name in QUERIES}
    for_few = {name: queries_of(as_an_admin, url) for name, url in pages.items()}
    for number in range(30):
        user = make_user(f"user{number}", Role.USER, account)
        open_session(user, now=timezone.now(), client_address=None, user_agent="")
    for_many = {name: queries_of(as_an_admin, url) for name, url in pages.items()}
    assert for_many == for_few == QUERIES
