"""What can be done to accounts, organizations and users, and by what rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, models
from django.utils import timezone

from accounts import services
from accounts.models import Account, Change, Organization, Role, Session, User
from accounts.services import (
    change_role,
    delete_account,
    delete_organization,
    delete_user,
    edit_account,
    edit_organization,
    edit_user,
    open_session,
    set_active,
    set_password,
)
from tests.factories import (
    PASSWORD,
    arranging,
    make_account,
    make_organization,
    make_user,
    make_voicemailbox,
)
from voicemail.models import Voicemailbox

LAST_ADMIN = "An account keeps its last admin."
NOT_YOURS = "You may not change this user's role."


@pytest.fixture
def dora(account: Account) -> User:
    """Give a second admin of alice's account."""
    return make_user("dora", Role.ACCOUNT_ADMIN, account)


def told(error: ValidationError) -> dict[str, list[tuple[Any, str]]]:
    """Give (code, message) of each error, by field."""
    return {
        field: [(each.code, " ".join(each.messages)) for each in errors]
        for field, errors in error.error_dict.items()
    }


def assert_refused(write: Callable[[], Any], **expected: tuple[str | None, str]) -> None:
    """Demand errors of fields, each with its code and message."""
    with pytest.raises(ValidationError) as caught, arranging():
        write()
    assert told(caught.value) == {field: [error] for field, error in expected.items()}


def assert_refused_as_a_whole(write: Callable[[], Any], code: str | None, message: str) -> None:
    """Demand one error that belongs to no field."""
    with pytest.raises(ValidationError) as caught, arranging():
        write()
    assert (caught.value.code, caught.value.messages) == (code, [message])


def log_in(user: User) -> Session:
    now = timezone.now()
    return open_session(user, now=now, client_address=None, user_agent="")[1]


# Roles.


def test_an_admin_raises_another_user_of_the_account(alice: User, bob: User) -> None:
    with arranging():
        change_role(bob, role=Role.ACCOUNT_ADMIN, actor=alice)
    assert User.unscoped.get(pk=bob.pk).role == Role.ACCOUNT_ADMIN


def test_an_admin_lowers_another_admin_of_the_account(alice: User, dora: User) -> None:
    with arranging():
        change_role(dora, role=Role.USER, actor=alice)
    assert User.unscoped.get(pk=dora.pk).role == Role.USER


def test_staff_change_the_role_of_any_users(staff: User, bob: User) -> None:
    with arranging():
        change_role(bob, role=Role.ACCOUNT_ADMIN, actor=staff)
    assert User.unscoped.get(pk=bob.pk).role == Role.ACCOUNT_ADMIN


@pytest.mark.parametrize(
    ("actor", "user", "role"),
    [
        ("bob", "bob", Role.ACCOUNT_ADMIN),
        ("alice", "alice", Role.USER),
        ("alice", "alice", Role.SYSTEM_ADMIN),
        ("bob", "alice", Role.USER),
        ("charlie", "bob", Role.ACCOUNT_ADMIN),
        ("alice", "staff", Role.USER),
    ],
)
def test_nobody_changes_their_own_role_or_that_of_somebody_they_do_not_administer(
    request: pytest.FixtureRequest, dora: User, actor: str, user: str, role: Role
) -> None:
    by, changed = request.getfixturevalue(actor), request.getfixturevalue(user)
    before = User.unscoped.values().get(pk=changed.pk)
    assert_refused(
        lambda: change_role(changed, role=role, actor=by),
        role=(None, NOT_YOURS),
    )
    assert User.unscoped.values().get(pk=changed.pk) == before


@pytest.mark.parametrize("actor", ["alice", "staff"])
def test_nobody_of_an_account_becomes_provider_staff(
    request: pytest.FixtureRequest, alice: User, bob: User, actor: str
) -> None:
    by = request.getfixturevalue(actor)
    with pytest.raises(ValidationError) as caught, arranging():
        change_role(bob, role=Role.SYSTEM_ADMIN, actor=by)
    assert caught.value.messages == ["Provider staff have no account; everybody else has one."]
    assert User.unscoped.get(pk=bob.pk).role == Role.USER


def test_an_unknown_role_is_refused(alice: User, bob: User) -> None:
    with pytest.raises(ValidationError) as caught, arranging():
        change_role(bob, role="root", actor=alice)
    assert "role" in caught.value.error_dict
    assert User.unscoped.get(pk=bob.pk).role == Role.USER


def test_the_same_role_again_leaves_the_sessions_and_no_change(alice: User, dora: User) -> None:
    log_in(dora)
    before = Change.unscoped.count()
    with arranging():
        change_role(dora, role=Role.ACCOUNT_ADMIN, actor=alice)
    assert Session.unscoped.exists()
    assert Change.unscoped.count() == before


# The last admin.


def lower_the_role(user: User) -> None:
    change_role(user, role=Role.USER, actor=User(role=Role.SYSTEM_ADMIN))


def disable(user: User) -> None:
    set_active(user, is_active=False)


WAYS_OUT = pytest.mark.parametrize("take_away", [lower_the_role, disable, delete_user])


@WAYS_OUT
def test_an_account_keeps_its_last_admin(
    alice: User, bob: User, charlie: User, take_away: Callable[[User], None]
) -> None:
    before = User.unscoped.values().get(pk=alice.pk)
    assert_refused_as_a_whole(lambda: take_away(alice), "last_admin", LAST_ADMIN)
    assert User.unscoped.values().get(pk=alice.pk) == before


@WAYS_OUT
def test_a_disabled_admin_does_not_count(
    alice: User, dora: User, take_away: Callable[[User], None]
) -> None:
    with arranging():
        disable(dora)
    assert_refused_as_a_whole(lambda: take_away(alice), "last_admin", LAST_ADMIN)


@WAYS_OUT
def test_one_of_two_admins_may_go(
    alice: User, dora: User, take_away: Callable[[User], None]
) -> None:
    with arranging():
        take_away(alice)
    admins = User.unscoped.filter(role=Role.ACCOUNT_ADMIN, is_active=True)
    assert list(admins) == [dora]


@pytest.mark.skipif(
    connection.vendor == "sqlite", reason="SQLite has one writing transaction at a time."
)
@pytest.mark.django_db(transaction=True)
@WAYS_OUT
def test_two_admins_can_not_take_away_each_other_at_once(
    take_away: Callable[[User], None],
) -> None:
    account = make_account()
    alice, dora = (make_user(name, Role.ACCOUNT_ADMIN, account) for name in ("alice", "dora"))

    def take_dora_away() -> None:
        try:
            with arranging():
                take_away(dora)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with arranging():
            take_away(alice)
            other = pool.submit(take_dora_away)
            wait([other], timeout=0.3)
            assert not other.done()
        with pytest.raises(ValidationError) as caught:
            other.result(timeout=10)
    assert caught.value.code == "last_admin"
    assert list(User.unscoped.filter(role=Role.ACCOUNT_ADMIN, is_active=True)) == [dora]


# Other changes of a user.


def test_disabling_ends_the_users_sessions_alone(alice: User, bob: User) -> None:
    log_in(bob)
    kept = log_in(alice)
    with arranging():
        set_active(bob, is_active=False)
    assert not User.unscoped.get(pk=bob.pk).is_active
    assert list(Session.unscoped.all()) == [kept]


def test_a_user_can_be_enabled_again(bob: User) -> None:
    with arranging():
        set_active(bob, is_active=False)
        set_active(bob, is_active=True)
    assert User.unscoped.get(pk=bob.pk).is_active


def test_a_new_password_replaces_the_old_one(bob: User) -> None:
    with arranging():
        set_password(bob, "another battery")
    stored = User.unscoped.get(pk=bob.pk)
    assert stored.check_password("another battery")
    assert not stored.check_password(PASSWORD)


def test_a_user_without_a_password_can_not_be_logged_in_by_an_empty_one(account: Account) -> None:
    user = make_user("dora", Role.USER, account, password=None)
    assert not user.has_usable_password()
    assert not user.check_password("")


def test_deleting_a_user_ends_the_sessions(alice: User, bob: User) -> None:
    log_in(bob)
    with arranging():
        delete_user(bob)
    assert list(User.unscoped.all()) == [alice]
    assert not Session.unscoped.exists()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("role", Role.ACCOUNT_ADMIN),
        ("account_id", None),
        ("is_active", False),
        ("password", "plain"),
    ],
)
def test_editing_a_user_leaves_the_columns_alone_that_have_services_of_their_own(
    bob: User, column: str, value: Any
) -> None:
    before = User.unscoped.values().get()
    setattr(bob, column, value)
    bob.auth_username = "robert"
    assert_refused_as_a_whole(lambda: edit_user(bob), None, f"Not to be edited here: {column}.")
    assert User.unscoped.values().get() == before


def test_a_user_can_be_edited_after_the_password_was_set(bob: User) -> None:
    bob.auth_username = "robert"
    with arranging():
        set_password(bob, "another battery")
        assert edit_user(bob)
    assert User.unscoped.get().auth_username == "robert"


def test_an_address_needs_its_organization(bob: User) -> None:
    bob.username = "bo"
    assert_refused(
        lambda: edit_user(bob),
        organization=(None, "An organization and a user name go together."),
    )
    assert User.unscoped.get().username == ""


def test_an_address_is_in_an_organization_of_the_users_account(
    bob: User, other_organization: Organization
) -> None:
    bob.username, bob.organization = "bo", other_organization
    assert_refused(
        lambda: edit_user(bob),
        organization=(None, "This organization is not recognized."),
    )
    assert User.unscoped.get().organization is None


# What is taken.

TAKEN_DOMAIN = ("unavailable", "This domain is already in use.")
TAKEN_NAME = ("unavailable", "This authentication name is already in use.")
TAKEN_ADDRESS = ("unavailable", "This address is already in use.")


@pytest.fixture(params=["seen by the check", "taken after the check"])
def whenever(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let the check see what is taken, or let only the database find out."""
    if request.param == "seen by the check":
        yield
        return
    with (
        patch.object(User, "validate_constraints"),
        patch.object(Organization, "validate_constraints"),
    ):
        yield


def test_a_taken_domain_is_reported_on_a_new_organization(
    organization: Organization, other_account: Account, whenever: None
) -> None:
    def add() -> None:
        services.add_organization(Organization(account=other_account, domain="ACME.example.com"))

    assert_refused(add, domain=TAKEN_DOMAIN)
    assert Organization.unscoped.get() == organization


def test_a_taken_domain_is_reported_on_an_edited_organization(
    organization: Organization, other_organization: Organization, whenever: None
) -> None:
    organization.domain = "Globex.example.com"
    assert_refused(lambda: edit_organization(organization), domain=TAKEN_DOMAIN)
    assert Organization.unscoped.get(pk=organization.pk).domain == "acme.example.com"


def test_a_taken_authentication_name_is_reported_on_a_new_user(
    alice: User, other_account: Account, whenever: None
) -> None:
    def add() -> None:
        services.add_user(
            auth_username="Alice", role=Role.USER, account=other_account, password=None
        )

    assert_refused(add, auth_username=TAKEN_NAME)
    assert User.unscoped.get() == alice


def test_a_taken_authentication_name_is_reported_on_an_edited_user(
    alice: User, bob: User, whenever: None
) -> None:
    bob.auth_username = "ALICE"
    assert_refused(lambda: edit_user(bob), auth_username=TAKEN_NAME)
    assert User.unscoped.get(pk=bob.pk).auth_username == "bob"


@pytest.fixture
def al(organization: Organization) -> User:
    """Give a user with the address al@acme.example.com."""
    return make_user(
        "al", Role.USER, organization.account, organization=organization, username="al"
    )


def test_a_taken_address_is_reported_on_a_new_user(
    al: User, organization: Organization, whenever: None
) -> None:
    def add() -> None:
        services.add_user(
            auth_username="dora",
            role=Role.USER,
            account=organization.account,
            password=None,
            organization=organization,
            username="AL",
        )

    assert_refused(add, username=TAKEN_ADDRESS)
    assert User.unscoped.get() == al


def test_a_taken_address_is_reported_on_an_edited_user(
    al: User, bob: User, organization: Organization, whenever: None
) -> None:
    bob.organization, bob.username = organization, "Al"
    assert_refused(lambda: edit_user(bob), username=TAKEN_ADDRESS)
    assert User.unscoped.get(pk=bob.pk).organization is None


def test_a_user_keeps_its_own_names_in_another_case(al: User) -> None:
    al.username = "AL"
    with arranging():
        assert edit_user(al)
    assert User.unscoped.get().username == "AL"


def test_another_violation_than_a_taken_value_is_no_error_of_a_field(
    organization: Organization,
) -> None:
    organization.status = "closed"
    with patch.object(Organization, "full_clean"), pytest.raises(IntegrityError), arranging():
        edit_organization(organization)


# Accounts and organizations.


def test_what_was_just_added_can_be_edited(account: Account) -> None:
    organization = make_organization(account, domain="New.example.com")
    with arranging():
        assert not edit_organization(organization)
        organization.caller_id = "4711"
        assert edit_organization(organization)
        assert not edit_organization(organization)
    assert Organization.unscoped.get().caller_id == "4711"
    assert Organization.history.count() == 2


def test_an_account_with_a_wrong_value_is_not_stored(db: None) -> None:
    assert_refused(
        lambda: services.add_account(Account(contact_email="joe")),
        contact_email=("invalid", "Value must be one e-mail address such as joe@example.com."),
    )
    assert not Account.unscoped.exists()


def test_an_account_with_a_wrong_value_stays_as_it_was(account: Account) -> None:
    account.contact_email = "joe@localhost"
    assert_refused(
        lambda: edit_account(account),
        contact_email=("invalid", "Value must be one e-mail address such as joe@example.com."),
    )
    assert Account.unscoped.get().contact_email == ""


def test_an_organizations_account_never_changes(
    organization: Organization, other_account: Account
) -> None:
    organization.account = other_account
    assert_refused(
        lambda: edit_organization(organization),
        account=(None, "An organization's account never changes."),
    )
    assert Organization.unscoped.get().account != other_account


def counts() -> list[int]:
    models_: list[type[models.Model]] = [Account, Organization, User, Session, Voicemailbox]
    return [model._base_manager.count() for model in models_]


BOXES_LEFT = "This account still has voicemailboxes. Delete them first."
REFERRED_TO = "This organization still has voicemailboxes or users' addresses. Delete them first."


def test_an_account_with_a_box_can_not_be_deleted(alice: User, organization: Organization) -> None:
    make_voicemailbox(organization)
    before = counts()
    assert_refused_as_a_whole(lambda: delete_account(organization.account), "in_use", BOXES_LEFT)
    assert counts() == before


def test_an_organization_with_a_box_can_not_be_deleted(organization: Organization) -> None:
    make_voicemailbox(organization)
    assert_refused_as_a_whole(lambda: delete_organization(organization), "in_use", REFERRED_TO)
    assert Organization.unscoped.exists()


def test_an_organization_of_a_users_address_can_not_be_deleted(
    al: User, organization: Organization
) -> None:
    assert_refused_as_a_whole(lambda: delete_organization(organization), "in_use", REFERRED_TO)
    assert User.unscoped.get().organization == organization


@pytest.fixture
def blind_check() -> Iterator[None]:
    """Let Django overlook the boxes, as if they came between its check and the deletion."""
    with ExitStack() as stack:
        for name in ("account", "organization"):
            key: Any = Voicemailbox._meta.get_field(name)
            stack.enter_context(patch.object(key.remote_field, "on_delete", models.DO_NOTHING))
        yield


@pytest.mark.skipif(connection.vendor == "sqlite", reason="No other transaction comes between.")
@pytest.mark.parametrize(
    ("delete", "message"), [(delete_account, BOXES_LEFT), (delete_organization, REFERRED_TO)]
)
def test_a_box_that_came_after_the_check_is_told_alike(
    organization: Organization, blind_check: None, delete: Callable[[Any], None], message: str
) -> None:
    make_voicemailbox(organization)
    row: models.Model = organization.account if delete is delete_account else organization
    assert_refused_as_a_whole(lambda: delete(row), "in_use", message)
    assert Organization.unscoped.exists()


def test_an_empty_organization_can_be_deleted(organization: Organization, bob: User) -> None:
    with arranging():
        delete_organization(organization)
    assert not Organization.unscoped.exists()


def test_deleting_an_account_deletes_all_that_is_its_own(
    alice: User, al: User, charlie: User, organization: Organization
) -> None:
    log_in(alice)
    kept = log_in(charlie)
    with arranging():
        delete_account(organization.account)
    assert list(Account.unscoped.all()) == [charlie.account]
    assert list(User.unscoped.all()) == [charlie]
    assert list(Session.unscoped.all()) == [kept]
    assert not Organization.unscoped.exists()


def test_deleting_an_account_is_one_change_of_that_account(
    al: User, organization: Organization
) -> None:
    account_id = organization.account_id
    with arranging():
        delete_account(organization.account)
    change = Change.unscoped.latest("id")
    assert change.account_id == account_id
    for model in (Account, Organization, User):
        row = model.history.get(history_type="-")
        assert (row.change, row.account_id) == (change, account_id)
