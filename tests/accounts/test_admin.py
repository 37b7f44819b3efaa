"""The login to the admin, and accounts, organizations, users, sessions and changes in it."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection, models
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.authentication import UserBackend
from accounts.history import record_change
from accounts.models import Account, Change, Channel, Organization, Role, Session, User
from accounts.services import delete_user, open_session, set_active
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
from tests.factories import (
    PASSWORD,
    arranging,
    make_account,
    make_organization,
    make_user,
    make_voicemailbox,
)
from voicemail.models import Voicemailbox

INDEX = "/admin/"
LOGIN = "/admin/login/"
REFUSED = "The username or password is incorrect, or this user is no administrator."
LOCKED = "You have failed to log in too many times. Please wait 10 minutes then try again."
LAST_ADMIN = "An account keeps its last admin."


@pytest.fixture
def as_the_staff(staff: User) -> Client:
    return client_of(staff)


def stored(row: models.Model) -> dict[str, Any]:
    return dict(type(row)._base_manager.values().get(pk=row.pk))


def log_in(client: Client, username: str, password: str = PASSWORD) -> Any:
    return client.post(LOGIN, {"username": username, "password": password, "next": INDEX})


def lock(username: str) -> None:
    for _ in range(5):
        log_in(Client(), username, "wrong")


def text_of(response: Any) -> str:
    return str(response.content.decode())


# The login


def test_an_admin_logs_in_with_the_address_of_any_length(client: Client, account: Account) -> None:
    label = "a" * 63
    organization = make_organization(account, domain=f"{label}.example.com")
    address = f"{'b' * 64}@{organization.domain}"
    make_user("alice", Role.ACCOUNT_ADMIN, account, organization=organization, username="b" * 64)
    field = client.get(LOGIN).context["form"]["username"]
    assert int(field.subwidgets[0].data["attrs"]["maxlength"]) >= len(address)
    assert log_in(client, address).headers["Location"] == INDEX
    assert client.get(INDEX).status_code == 200


def test_a_wrong_password_and_a_plain_user_get_the_same_answer(
    client: Client, alice: User, bob: User
) -> None:
    answers = [log_in(client, "alice", "wrong"), log_in(client, "bob"), log_in(client, "nobody")]
    assert [each.context["form"].non_field_errors() for each in answers] == [[REFUSED]] * 3
    assert client.get(INDEX).headers["Location"] == f"{LOGIN}?next={INDEX}"


def test_somebody_who_is_locked_reads_how_long_to_wait(client: Client, alice: User) -> None:
    failures = [log_in(client, "alice", "wrong") for _ in range(5)]
    assert {each.status_code for each in failures} == {200}
    locked = log_in(client, "alice")
    assert locked.status_code == 429
    assert LOCKED in text_of(locked)
    assert "Voicemail provisioning" in text_of(locked)
    assert client.get(INDEX).status_code == 302


def test_a_right_password_after_the_lock_was_set_is_refused(client: Client, alice: User) -> None:
    def check(*args: Any, **kwargs: Any) -> User:
        with patch.object(UserBackend, "authenticate", return_value=None):
            lock("alice")
        return alice

    with patch.object(UserBackend, "authenticate", side_effect=check):
        response = log_in(client, "alice")
    assert LOCKED in text_of(response)
    assert client.get(INDEX).status_code == 302


def test_an_admin_of_a_disabled_account_is_logged_out(alice: User, account: Account) -> None:
    client = client_of(alice)
    Account.unscoped.filter(pk=account.pk).update(status="disabled")
    assert client.get(INDEX).headers["Location"] == f"{LOGIN}?next={INDEX}"


# One's own password


def change_password(client: Client, old: str, new: str) -> Any:
    form = {"old_password": old, "new_password1": new, "new_password2": new}
    return client.post("/admin/password_change/", form)


def test_changing_ones_own_password_ends_the_api_sessions(alice: User, as_alice: ApiClient) -> None:
    client = client_of(alice)
    response = change_password(client, PASSWORD, "staple battery horse")
    assert response.headers["Location"] == "/admin/password_change/done/"
    assert client.get(response.headers["Location"]).status_code == 200
    assert log_in(Client(), "alice", "staple battery horse").status_code == 302
    assert as_alice.call("NoOp").context["Session"]["IsEstablished"] == "false"


def test_changing_ones_own_password_needs_the_old_one(alice: User, as_alice: ApiClient) -> None:
    response = change_password(client_of(alice), "wrong", "staple battery horse")
    assert list(response.context["form"].errors) == ["old_password"]
    assert as_alice.call("NoOp").context["Session"]["IsEstablished"] == "true"


# Accounts and organizations


def test_staff_add_an_account(as_the_staff: Client, staff: User) -> None:
    fill_in(as_the_staff, url_of(Account, "add"), contact_organization="Initech")
    account = Account.unscoped.get()
    change = Change.unscoped.latest("id")
    assert account.contact_organization == "Initech"
    assert (change.user, change.channel, change.account_id) == (staff, Channel.WEB, account.pk)


def test_staff_edit_an_account(as_the_staff: Client, account: Account) -> None:
    fill_in(as_the_staff, url_of(account, "change"), balance="12.50", status="disabled")
    account.refresh_from_db()
    assert (str(account.balance), account.status) == ("12.50", "disabled")


def test_staff_add_an_organization(as_the_staff: Client, account: Account) -> None:
    url = url_of(Organization, "add")
    fill_in(as_the_staff, url, account=str(account.pk), domain="New.Example.COM")
    organization = Organization.unscoped.get()
    assert (organization.account, organization.domain) == (account, "new.example.com")


def test_a_taken_domain_is_told_and_nothing_is_stored(
    as_the_staff: Client, account: Account, other_organization: Organization
) -> None:
    url = url_of(Organization, "add")
    response = fill_in(
        as_the_staff, url, account=str(account.pk), domain="GLOBEX.example.com", caller_id="kept"
    )
    assert errors_of(response) == {"domain": ["This domain is already in use."]}
    assert values_of(response)["caller_id"] == "kept"
    assert Organization.unscoped.get() == other_organization


def test_a_lost_race_for_a_domain_is_told_beside_it_and_keeps_what_was_entered(
    as_the_staff: Client, organization: Organization, other_organization: Organization
) -> None:
    before = stored(organization)
    with patch.object(Organization, "validate_constraints"):
        response = fill_in(
            as_the_staff,
            url_of(organization, "change"),
            domain=other_organization.domain,
            caller_id="kept",
        )
    assert errors_of(response) == {"domain": ["This domain is already in use."]}
    assert values_of(response)["caller_id"] == "kept"
    assert stored(organization) == before
    assert not LogEntry.objects.exists()


def test_a_malformed_domain_is_told_beside_it(
    as_the_staff: Client, organization: Organization
) -> None:
    response = fill_in(as_the_staff, url_of(organization, "change"), domain="localhost")
    (message,) = errors_of(response).pop("domain")
    assert message.startswith("Value must be a host name")
    organization.refresh_from_db()
    assert organization.domain == "acme.example.com"


def test_an_organization_keeps_its_account(
    as_the_staff: Client, organization: Organization, other_account: Account
) -> None:
    before, url = stored(organization), url_of(organization, "change")
    assert "account" not in form_of(as_the_staff.get(url)).fields
    fill_in(as_the_staff, url, account=str(other_account.pk))
    assert stored(organization) == before


@pytest.mark.parametrize("kind", ["account", "organization"])
def test_what_has_boxes_is_not_deleted(
    as_the_staff: Client, organization: Organization, kind: str
) -> None:
    box = make_voicemailbox(organization, fullname="Zoë Müller")
    row = {"account": organization.account, "organization": organization}[kind]
    page = as_the_staff.post(url_of(row, "delete"), {"post": "yes"})
    assert "Cannot delete" in text_of(page)
    assert "Zoë Müller" in text_of(page)
    run_action(as_the_staff, type(row), "delete_selected", row.pk)
    assert Voicemailbox.unscoped.get() == box
    assert Organization.unscoped.get() == organization


def test_an_organization_with_a_users_address_is_not_deleted(
    as_the_staff: Client, organization: Organization
) -> None:
    make_user("dora", Role.USER, organization.account, organization=organization, username="dora")
    page = as_the_staff.post(url_of(organization, "delete"), {"post": "yes"})
    assert "Cannot delete" in text_of(page)
    assert Organization.unscoped.get() == organization


def test_a_box_added_while_its_organization_is_deleted_keeps_it(
    as_the_staff: Client, organization: Organization
) -> None:
    make_voicemailbox(organization)
    with patch(
        "accounts.scoped_admin.ScopedAdmin.get_deleted_objects", return_value=([], {}, set(), [])
    ):
        response = as_the_staff.post(url_of(organization, "delete"), {"post": "yes"})
    assert notes_of(response) == [
        "This organization still has voicemailboxes or users' addresses. Delete them first."
    ]
    assert Organization.unscoped.get() == organization
    assert not LogEntry.objects.exists()


def test_an_account_without_boxes_is_deleted_with_what_hangs_on_it(
    as_the_staff: Client, organization: Organization, as_alice: ApiClient
) -> None:
    as_the_staff.post(url_of(organization.account, "delete"), {"post": "yes"})
    assert not Account.unscoped.exists()
    assert [user.auth_username for user in User.unscoped.all()] == ["staff"]


# What an account's admin may


@pytest.mark.parametrize("model", [Account, Organization, Session, Change])
def test_an_accounts_admin_adds_nothing_but_boxes_and_users(
    alice: User, model: type[models.Model]
) -> None:
    client = client_of(alice)
    assert client.get(url_of(model, "add")).status_code == 403
    assert client.post(url_of(model, "add"), {"domain": "x.example.com"}).status_code == 403


# Who did it


def test_the_providers_staff_have_no_names_in_an_accounts_changes(
    alice: User, staff: User, organization: Organization
) -> None:
    fill_in(client_of(staff), url_of(organization, "change"), caller_id="Acme")
    newest, *_ = rows_of(client_of(alice).get(url_of(Change)))
    assert newest.author == "Provider staff"
    history = text_of(client_of(alice).get(url_of(organization, "history")))
    assert "Provider staff" in history
    assert "<td>staff" not in history


def test_staff_read_the_names_of_all(staff: User, organization: Organization) -> None:
    client = client_of(staff)
    fill_in(client, url_of(organization, "change"), caller_id="Acme")
    assert rows_of(client.get(url_of(Change)))[0].author == "staff"
    assert "<td>staff" in text_of(client.get(url_of(organization, "history")))


def test_somebody_who_was_deleted_is_still_named(alice: User, bob: User, account: Account) -> None:
    deputy = make_user("deputy", Role.ACCOUNT_ADMIN, account)
    with record_change(by=deputy, channel=Channel.WEB):
        set_active(bob, is_active=False)
    with arranging():
        delete_user(deputy)
    authors = [row.author for row in rows_of(client_of(alice).get(url_of(Change)))]
    assert authors[:2] == ["test", "deputy"]


def test_staff_who_were_deleted_still_have_no_names(
    alice: User, staff: User, account: Account, organization: Organization
) -> None:
    fill_in(client_of(staff), url_of(organization, "change"), caller_id="Acme")
    with arranging():
        delete_user(staff)
    newest, *_ = rows_of(client_of(alice).get(url_of(Change)))
    assert newest.author == "Provider staff"


# Lists


@pytest.mark.parametrize(
    ("model", "term", "found"),
    [
        (Account, "Initech", True),
        (Account, "Bill", True),
        (Account, "bill@initech.example.com", True),
        (Account, "phones.initech", True),
        (Account, "globex", False),
        (Organization, "phones.initech", True),
        (Organization, "Milton", True),
        (Organization, "globex", False),
        (User, "dora", True),
        (User, "front-desk", True),
        (User, "phones.initech", True),
        (User, "globex", False),
        (Session, "dora", True),
        (Session, "charlie", False),
    ],
)
def test_a_search_finds_by_name_email_and_domain(
    as_the_staff: Client,
    other_organization: Organization,
    charlie: User,
    model: Any,
    term: str,
    found: bool,
) -> None:
    account = make_account(
        contact_organization="Initech",
        contact_name="Bill",
        contact_email="bill@initech.example.com",
    )
    organization = make_organization(
        account, domain="phones.initech.example.com", contact_name="Milton"
    )
    dora = make_user("dora", Role.USER, account, organization=organization, username="front-desk")
    open_session(dora, now=timezone.now(), client_address=None, user_agent="")
    ours = {Account: account, Organization: organization, User: dora, Session: dora.sessions.get()}
    rows = rows_of(as_the_staff.get(url_of(model), {"q": term}))
    assert (ours[model] in rows) is found
    assert len(rows) == found or not found


# A list's queries, whatever the number of its rows.
QUERIES = {Account: 5, Organization: 5, User: 5, Session: 5, Change: 12}


def fill_database(times: int) -> None:
    """Make accounts with a row of every other model each."""
    for _ in range(times):
        organization = make_organization(make_account())
        name = f"user{organization.pk}"
        user = make_user(
            name,
            Role.USER,
            organization.account,
            organization=organization,
            username=name,
        )
        open_session(user, now=timezone.now(), client_address=None, user_agent="")


def queries_of(client: Client, model: Any) -> int:
    with CaptureQueriesContext(connection) as queries:
        client.get(url_of(model))
    return len(queries)


def test_a_list_needs_as_many_queries_for_5_rows_as_for_50(as_the_staff: Client) -> None:
    fill_database(5)
    for_five = {model: queries_of(as_the_staff, model) for model in QUERIES}
    fill_database(45)
    assert {model: queries_of(as_the_staff, model) for model in QUERIES} == for_five == QUERIES
