"""The promises that the database keeps by itself, on either engine."""

from __future__ import annotations

from typing import Any

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import IntegrityError, connection, models, transaction
from django.utils import timezone

from accounts.guards import (
    after_migrate,
    before_migrate,
    install_guards,
    keep_ids_unused,
    missing_guards,
)
from accounts.models import Account, Organization, Role, User
from tests.database import assert_refused, write
from tests.factories import (
    arranging,
    make_account,
    make_organization,
    make_user,
    make_voicemailbox,
)
from voicemail.models import Voicemailbox

BOX = "voicemailbox_is_of_its_organizations_account"
USER = "user_is_of_its_organizations_account"
FIXED = "organization_keeps_its_account"
TALLY = "mailboxes_are_tallied"
TALLYING = [TALLY, *(f"{TALLY}_{event}" for event in ("delete", "move", "truncate"))]

on_sqlite = pytest.mark.skipif(
    connection.vendor != "sqlite", reason="Only SQLite rebuilds a table to alter it."
)


@pytest.fixture
def box(organization: Organization) -> Voicemailbox:
    return make_voicemailbox(organization)


@pytest.fixture
def addressed(organization: Organization) -> User:
    """Give a user with an address in an organization."""
    return make_user(
        "alice", Role.USER, organization.account, organization=organization, username="al"
    )


def insert(row: models.Model) -> None:
    """Insert a row as it is, without a signal."""
    with transaction.atomic():
        type(row)._base_manager.bulk_create([row])


def drop_guards() -> None:
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            gone = (f"{BOX}_insert", f"{BOX}_update", f"{USER}_insert", f"{TALLY}_delete", FIXED)
            for name in gone:
                cursor.execute(f"DROP TRIGGER {name}")
            return
        cursor.execute(f"ALTER TABLE voicemail_voicemailbox DROP CONSTRAINT {BOX}")
        cursor.execute(f"ALTER TABLE accounts_user DROP CONSTRAINT {USER}")
        cursor.execute(f"DROP TRIGGER {FIXED} ON accounts_organization")
        for name in TALLYING:
            cursor.execute(f"DROP TRIGGER {name} ON voicemail_voicemailbox")


def expected_names() -> list[str]:
    if connection.vendor == "sqlite":
        tied = [f"{name}_{verb}" for name in (BOX, USER) for verb in ("insert", "update")]
        tallying = [f"{TALLY}_{verb}" for verb in ("insert", "delete", "leave", "join")]
        return sorted([*tied, *tallying, FIXED])
    return sorted([BOX, USER, FIXED, *TALLYING])


def stored_guards() -> list[str]:
    """Ask the database for the guards that it has; one that it has twice is there twice."""
    query = "SELECT name FROM sqlite_master WHERE type = 'trigger' ORDER BY name"
    if connection.vendor == "postgresql":
        query = f"""SELECT name FROM (
            SELECT conname AS name FROM pg_constraint UNION ALL SELECT tgname FROM pg_trigger
            ) AS named WHERE name IN ('{BOX}', '{USER}', '{FIXED}') OR name LIKE '{TALLY}%'
            ORDER BY name"""  # noqa: S608  # Ours.
    with connection.cursor() as cursor:
        cursor.execute(query)
        return [name for (name,) in cursor.fetchall()]


def test_the_final_schema_has_every_guard_once(db: None) -> None:
    assert stored_guards() == expected_names()
    assert missing_guards(connection) == []


def test_a_box_of_another_account_than_its_organizations_can_not_be_inserted(
    organization: Organization, other_account: Account
) -> None:
    now = timezone.now()
    foreign = Voicemailbox(
        account=other_account,
        organization=organization,
        mailbox=7011,
        password="482915",
        fullname="Joe Smith",
        username="joe.vm",
        created=now,
        modified=now,
    )
    with pytest.raises(IntegrityError, match=BOX):
        insert(foreign)
    assert not Voicemailbox.unscoped.exists()


def test_a_box_can_not_be_given_another_account(box: Voicemailbox, other_account: Account) -> None:
    assert_refused(BOX, box, account=other_account)


def test_a_box_can_not_be_given_an_organization_of_another_account(
    box: Voicemailbox, other_organization: Organization
) -> None:
    assert_refused(BOX, box, organization=other_organization)


def test_a_box_may_be_given_another_organization_of_its_account(box: Voicemailbox) -> None:
    second = make_organization(box.account)
    write(box, organization=second)
    assert Voicemailbox.unscoped.get().organization == second


def test_a_user_of_another_account_than_the_organizations_can_not_be_inserted(
    organization: Organization, other_account: Account
) -> None:
    now = timezone.now()
    foreign = User(
        auth_username="dora",
        account=other_account,
        organization=organization,
        username="do",
        created=now,
        modified=now,
    )
    with pytest.raises(IntegrityError, match=USER):
        insert(foreign)
    assert not User.unscoped.exists()


def test_a_user_with_an_address_can_not_be_given_another_account(
    addressed: User, other_account: Account
) -> None:
    assert_refused(USER, addressed, account=other_account)


def test_a_user_can_not_be_given_an_organization_of_another_account(
    addressed: User, other_organization: Organization
) -> None:
    assert_refused(USER, addressed, organization=other_organization)


def test_a_user_without_an_address_needs_no_organization(alice: User) -> None:
    assert User.unscoped.get(organization=None) == alice


def test_an_organization_can_not_be_given_another_account(
    organization: Organization, other_account: Account
) -> None:
    assert_refused(FIXED, organization, account=other_account)


def test_an_organization_may_be_written_with_the_account_that_it_has(
    organization: Organization,
) -> None:
    write(organization, account=organization.account, status="disabled")
    assert Organization.unscoped.get().status == "disabled"


def delete_raw(row: models.Model) -> None:
    """Delete a row as a statement at the database's prompt would."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {row._meta.db_table} WHERE id = {row.pk}")  # noqa: S608  # Ours.
        connection.check_constraints()


@pytest.mark.parametrize("parent", ["account", "organization"])
def test_the_database_keeps_what_a_box_belongs_to(box: Voicemailbox, parent: str) -> None:
    row: models.Model = getattr(box, parent)
    with pytest.raises(IntegrityError):
        delete_raw(row)
    assert type(row)._base_manager.filter(pk=row.pk).exists()


def test_the_database_keeps_an_organization_that_an_address_refers_to(
    addressed: User, organization: Organization
) -> None:
    with pytest.raises(IntegrityError):
        delete_raw(organization)
    assert Organization.unscoped.exists()


def test_missing_guards_are_named(db: None) -> None:
    drop_guards()
    gone = set(expected_names()) - set(stored_guards())
    assert len(gone) >= 3
    assert missing_guards(connection) == sorted(gone)


def test_a_migrate_makes_missing_guards_again(db: None) -> None:
    drop_guards()
    call_command("migrate", verbosity=0)
    assert stored_guards() == expected_names()


def test_guards_are_made_again_without_harm(db: None) -> None:
    install_guards(connection)
    install_guards(connection)
    assert stored_guards() == expected_names()


def rebuild(model: type[models.Model], name: str) -> None:
    """Alter a column, and alter it back: SQLite makes the whole table anew, twice."""
    column: Any = model._meta.get_field(name)
    _, _, args, kwargs = column.deconstruct()
    altered = type(column)(*args, **kwargs | {"max_length": column.max_length + 1})
    altered.set_attributes_from_name(name)
    altered.model = model
    with connection.schema_editor() as editor:
        editor.alter_field(model, column, altered)
        editor.alter_field(model, altered, column)


@on_sqlite
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("model", "column"), [(Organization, "caller_id"), (User, "username"), (Voicemailbox, "pager")]
)
def test_guards_outlive_the_rebuilding_of_a_table(model: type[models.Model], column: str) -> None:
    app = apps.get_app_config("accounts")
    before_migrate(sender=app, using="default")
    rebuild(model, column)
    assert missing_guards(connection) != []
    after_migrate(sender=app, using="default")
    assert stored_guards() == expected_names()


@on_sqlite
@pytest.mark.django_db(transaction=True)
def test_an_id_stays_used_although_its_table_was_rebuilt() -> None:
    organization = make_organization(make_account())
    make_voicemailbox(organization)
    newest = make_voicemailbox(organization)
    pk = newest.pk
    with arranging():
        newest.delete()
    app = apps.get_app_config("accounts")
    before_migrate(sender=app, using="default")
    rebuild(Voicemailbox, "pager")
    after_migrate(sender=app, using="default")
    assert make_voicemailbox(organization).pk > pk


@on_sqlite
def test_an_id_stays_used_although_sqlite_forgot_the_last_one(box: Voicemailbox) -> None:
    pk, organization = box.pk, box.organization
    with arranging():
        box.delete()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM sqlite_sequence WHERE name = 'voicemail_voicemailbox'")
    keep_ids_unused(connection)
    assert make_voicemailbox(organization).pk > pk


@on_sqlite
def test_keeping_ids_unused_never_lowers_the_last_one(box: Voicemailbox) -> None:
    pk, organization = box.pk, box.organization
    Voicemailbox.history.all().delete()
    with arranging():
        box.delete()
    Voicemailbox.history.all().delete()
    keep_ids_unused(connection)
    assert make_voicemailbox(organization).pk > pk
