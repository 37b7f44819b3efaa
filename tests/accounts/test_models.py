"""Accounts, organizations, users, sessions and changes: what is stored, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F
from django.utils import timezone
from hypothesis import example, given

from accounts.models import Account, Change, Channel, Organization, Role, Session, User
from accounts.services import edit_account
from tests.database import assert_refused, verdicts, write
from tests.factories import arranging, make_account, make_organization, make_user
from tests.texts import HOSTS, USERNAMES, nearly, on_one_row

# The primary key implies it; it is there as the target of the keys in guards.py.
IMPLIED = {"unique_organization_of_account"}

REFUSED: dict[str, tuple[type[models.Model], list[dict[str, Any]]]] = {
    "account_status_is_known": (Account, [{"status": ""}, {"status": "Enabled"}]),
    "unique_organization_domain": (Organization, [{"domain": "globex.example.com"}]),
    "organization_domain_is_a_host_name": (
        Organization,
        [
            {"domain": ""},
            {"domain": "localhost"},
            {"domain": "Acme.example.com"},
            {"domain": "acme.example.com\n"},
            {"domain": "exämple.com"},
            {"domain": "-acme.example.com"},
        ],
    ),
    "organization_status_is_known": (Organization, [{"status": "closed"}]),
    "unique_user_auth_username": (User, [{"auth_username": "bob"}]),
    "unique_user_address": (User, [{"username": "bo"}, {"username": "BO"}]),
    "user_auth_username_form": (
        User,
        [
            {"auth_username": ""},
            {"auth_username": "Alice"},
            {"auth_username": "alice@acme"},
            {"auth_username": "alice\n"},
        ],
    ),
    "user_address_is_whole": (
        User,
        [{"username": ""}, {"organization": None}, {"username": "al@acme"}, {"username": ".al"}],
    ),
    "user_account_follows_role": (
        User,
        [
            {"role": "system_admin"},
            {"role": "root"},
            {"account": None, "organization": None, "username": ""},
        ],
    ),
    "unique_session_digest": (Session, [{"digest": "b" * 64}]),
    "user_email_is_an_address": (
        User,
        [{"email": "joe"}, {"email": "joe@localhost"}, {"email": "a@b.example|c@d.example"}],
    ),
    "session_digest_is_sha256": (
        Session,
        [{"digest": "a" * 63}, {"digest": "A" * 64}, {"digest": "g" * 64}, {"digest": ""}],
    ),
    "session_expires_after_creation": (Session, [{"expires": F("created")}]),
    "change_channel_is_known": (Change, [{"channel": ""}, {"channel": "fax"}]),
}  # fmt: skip

CASES = [
    pytest.param(name, model, columns, id=f"{name}-{number}")
    for name, (model, cases) in REFUSED.items()
    for number, columns in enumerate(cases)
]


def our_models() -> list[type[models.Model]]:
    return list(apps.get_app_config("accounts").get_models())


def make_session(user: User, digit: str) -> Session:
    now = timezone.now()
    expires = now + timedelta(hours=1)
    return Session.unscoped.create(
        digest=digit * 64, user=user, created=now, last_used=now, expires=expires
    )


@pytest.fixture
def rows(
    account: Account, organization: Organization, other_organization: Organization
) -> dict[type[models.Model], models.Model]:
    """Give a row of each model, and have another one that it could collide with."""
    alice = make_user("alice", Role.USER, account, organization=organization, username="al")
    bob = make_user("bob", Role.USER, account, organization=organization, username="bo")
    make_session(bob, "b")
    change = Change.unscoped.create(actor="test", channel=Channel.COMMAND)
    found = (account, organization, alice, make_session(alice, "a"), change)
    return {type(row): row for row in found}


def test_every_constraint_has_a_case_here() -> None:
    declared = {each.name for model in our_models() for each in model._meta.constraints}
    assert declared == REFUSED.keys() | IMPLIED


@pytest.mark.parametrize(("name", "model", "columns"), CASES)
def test_the_database_refuses_what_breaks_a_constraint(
    rows: dict[type[models.Model], models.Model],
    name: str,
    model: type[models.Model],
    columns: dict[str, Any],
) -> None:
    assert_refused(name, rows[model], **columns)


def test_staff_with_an_account_are_refused(staff: User, account: Account) -> None:
    assert_refused("user_account_follows_role", staff, account=account)


def test_staff_with_an_address_are_refused(staff: User) -> None:
    assert_refused("user_address_is_whole", staff, username="st")


def test_two_organizations_may_have_a_user_of_the_same_name(
    account: Account, organization: Organization
) -> None:
    make_user("alice", Role.USER, account, organization=organization, username="al")
    second = make_organization(account)
    assert make_user("bob", Role.USER, account, organization=second, username="AL").pk


@on_one_row
@given(domain=nearly(HOSTS))
@example(domain="a." * 38 + "abc")
@example(domain="a." * 38 + "abcd")
@example(domain=f"{'a' * 63}.example")
@example(domain=f"{'a' * 64}.example")
@example(domain="acme.example.com\n")
@example(domain="a\u212a.example.com")
@example(domain="acme.example.com.")
@example(domain="acme.example.c\u00f6m")
@example(domain="acme.example.\u0663")
def test_python_and_the_database_agree_on_domains(organization: Organization, domain: str) -> None:
    by_python, by_database = verdicts(organization, "domain", domain)
    assert by_python is by_database


@on_one_row
@given(name=nearly(USERNAMES))
@example(name="a" * 64)
@example(name="a" * 65)
@example(name="alice\n")
@example(name="\u212aelvin")
@example(name="a@b")
@example(name="a..b")
def test_python_and_the_database_agree_on_authentication_names(alice: User, name: str) -> None:
    by_python, by_database = verdicts(alice, "auth_username", name)
    assert by_python is by_database


@pytest.mark.parametrize(
    "domain", ["a." * 38 + "abc", f"{'a' * 63}.example", "a-b.1", "xn--exmple-cua.com"]
)
def test_a_host_name_of_two_labels_or_more_is_a_domain(account: Account, domain: str) -> None:
    assert make_organization(account, domain=domain).domain == domain


@pytest.mark.parametrize(
    "domain", ["a." * 38 + "abcd", f"{'a' * 64}.example", "localhost", "a-.com", "\u212a.example"]
)
def test_anything_else_is_no_domain(account: Account, domain: str) -> None:
    with pytest.raises(ValidationError) as caught:
        make_organization(account, domain=domain)
    assert caught.value.message_dict["domain"][0] == (
        "Value must be a host name of at least two labels of letters, digits and inner hyphens, "
        "at most 79 characters long."
    )
    assert not Organization.unscoped.exists()


def test_a_domain_is_stored_and_found_in_lower_case(account: Account) -> None:
    made = make_organization(account, domain="Acme.EXAMPLE.com")
    assert made.domain == "acme.example.com"
    assert Organization.unscoped.get(domain="ACME.example.com") == made


def test_an_authentication_name_is_stored_and_found_in_lower_case(account: Account) -> None:
    made = make_user("Alice", Role.USER, account)
    assert made.auth_username == "alice"
    assert User.unscoped.get(auth_username="ALICE") == made


def test_only_ascii_is_compared_without_case(alice: User) -> None:
    write(alice, auth_username="kay")
    assert not User.unscoped.filter(auth_username="\u212aay").exists()


@pytest.mark.parametrize("name", ["contact_name", "caller_id_name"])
@pytest.mark.parametrize("value", ["a\nb", "a\x00", "a\x7f", "a\x85", "a\uffff"])
def test_a_text_that_xml_could_not_carry_is_refused(
    organization: Organization, name: str, value: str
) -> None:
    setattr(organization, name, value)
    with pytest.raises(ValidationError) as caught:
        organization.full_clean()
    assert caught.value.message_dict == {name: ["Value must not contain control characters."]}


def test_a_new_row_was_modified_when_it_was_created(account: Account) -> None:
    assert account.created == account.modified
    stored = Account.unscoped.get(pk=account.pk)
    assert (stored.created, stored.modified) == (account.created, account.created)


def test_a_change_moves_modified_and_nothing_else(account: Account) -> None:
    before = Account.unscoped.values().get(pk=account.pk)
    account.credit_limit = account.credit_limit + 1
    with arranging():
        assert account.save_changed()
    after = Account.unscoped.values().get(pk=account.pk)
    changed = {name for name, value in after.items() if value != before.get(name)}
    assert changed == {"credit_limit", "modified"}
    assert after["modified"] > before["modified"]


def test_a_change_of_the_contact_moves_the_contacts_modified_too(account: Account) -> None:
    created = account.contact_modified
    account.contact_city = "Springfield"
    with arranging():
        edit_account(account)
    stored = Account.unscoped.get(pk=account.pk)
    assert stored.contact_modified > created
    assert stored.modified > stored.created


def test_the_second_of_two_equal_edits_writes_nothing(account: Account) -> None:
    account.contact_city = "Springfield"
    with arranging():
        assert account.save_changed()
    modified = account.modified
    assert not account.save_changed()
    assert Account.unscoped.get(pk=account.pk).modified == modified


def test_another_spelling_of_the_same_value_is_no_change(account: Account) -> None:
    account.balance = "0.00"
    assert account.changed_fields() == []


def test_a_row_that_was_read_again_has_not_changed(account: Account) -> None:
    write(account, contact_city="Springfield")
    account.refresh_from_db()
    assert account.changed_fields() == []


def test_a_column_that_was_read_later_has_not_changed(account: Account) -> None:
    partly = Account.unscoped.only("id", "contact_name").get(pk=account.pk)
    assert partly.contact_organization == "Acme"
    partly.contact_organization = "Globex"
    assert partly.changed_fields() == ["contact_organization"]


def test_a_column_that_was_saved_alone_has_not_changed(alice: User) -> None:
    alice.set_password("another battery")
    alice.save(update_fields=["password"])
    assert alice.changed_fields() == []


def test_every_id_has_64_bits() -> None:
    ours = [*our_models(), *apps.get_app_config("voicemail").get_models()]
    assert len(ours) > 8
    for model in ours:
        assert isinstance(model._meta.pk, models.BigAutoField), model
        for name in ("id", "history_user_id"):
            if hasattr(model, "history_type"):
                assert isinstance(model._meta.get_field(name), models.BigIntegerField), model


def make_history_row(account: Account) -> models.Model:
    make_organization(account)
    row: models.Model = Organization.history.latest()
    return row


MAKERS: dict[str, Callable[[Account], models.Model]] = {
    "account": lambda _: make_account(),
    "organization": make_organization,
    "user": lambda account: make_user("dora", Role.USER, account),
    "session": lambda _: make_session(User.unscoped.get(auth_username="alice"), "a"),
    "change": lambda _: Change.unscoped.create(actor="test", channel=Channel.COMMAND),
    "history": make_history_row,
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())
def test_an_id_is_never_used_again(
    account: Account, alice: User, make: Callable[[Account], models.Model]
) -> None:
    former = make(account)
    pk = former.pk
    with arranging():
        former.delete()
    assert make(account).pk > pk


@pytest.mark.parametrize(
    ("has", "may"),
    [
        (Role.USER, {Role.USER}),
        (Role.ACCOUNT_ADMIN, {Role.USER, Role.ACCOUNT_ADMIN}),
        (Role.SYSTEM_ADMIN, {Role.USER, Role.ACCOUNT_ADMIN, Role.SYSTEM_ADMIN}),
    ],
)
def test_a_role_includes_the_lesser_ones(has: Role, may: set[Role]) -> None:
    assert {role for role in Role if User(role=has).has_role(role)} == may


@pytest.mark.parametrize(
    "columns", [{"password": "x"}, {"role": Role.USER}, {"account_id": 7}], ids=str
)
def test_another_right_ends_the_logins_to_the_admin(columns: dict[str, Any]) -> None:
    user = User(pk=1, role=Role.ACCOUNT_ADMIN, account_id=1)
    before = user.get_session_auth_hash()
    assert user.get_session_auth_hash() == before
    for name, value in columns.items():
        setattr(user, name, value)
    assert user.get_session_auth_hash() != before
