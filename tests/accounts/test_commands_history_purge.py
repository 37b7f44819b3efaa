"""manage.py history purge."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import Change, Organization
from accounts.services import edit_organization
from tests.commands import records, refused, run
from tests.factories import arranging, make_account, make_organization


def purge(*arguments: str) -> str:
    return run("history", "purge", *arguments).out


def change_made(days_ago: float, organization: Organization) -> Change:
    """Edit the organization, as it were that many days ago."""
    organization.contact_city = f"{organization.contact_city}."
    with arranging():
        edit_organization(organization)
    change = Change.unscoped.latest("id")
    change.created = timezone.now() - timedelta(days=days_ago)
    change.save()
    return change


def purged(*changes: Change) -> list[bool]:
    kept = set(Change.unscoped.values_list("pk", flat=True))
    rows = set(Organization.history.values_list("change", flat=True))
    assert rows <= kept
    return [change.pk not in kept for change in changes]


def test_changes_older_than_400_days_are_deleted_with_their_rows(
    organization: Organization,
) -> None:
    old, young = change_made(400.1, organization), change_made(399.9, organization)
    assert purge() == "1 change was deleted.\n"
    assert purged(old, young) == [True, False]
    assert not Organization.history.filter(change_id=old.pk).exists()


def test_what_is_younger_stays_with_its_rows(organization: Organization) -> None:
    young = change_made(399.9, organization)
    purge()
    assert Organization.history.filter(change=young).count() == 1


def test_the_objects_themselves_stay(organization: Organization) -> None:
    Change.unscoped.update(created=timezone.now() - timedelta(days=500))
    purge()
    assert not Change.unscoped.exists()
    assert not Organization.history.exists()
    assert Organization.unscoped.get() == organization


def test_the_age_can_be_chosen(organization: Organization) -> None:
    old, young = change_made(8, organization), change_made(6, organization)
    assert purge("--older-than", "7") == "1 change was deleted.\n"
    assert purged(old, young) == [True, False]


def test_a_dry_run_counts_and_deletes_nothing(organization: Organization) -> None:
    changes = [change_made(500, organization) for _ in range(3)]
    assert purge("--dry-run", "--batch", "2") == "3 changes would be deleted.\n"
    assert purged(*changes) == [False] * 3


def test_a_program_gets_the_number(organization: Organization) -> None:
    change_made(500, organization)
    assert records("history", "purge") == [{"outcome": "deleted", "count": 1}]


def test_every_batch_is_worked_through(organization: Organization) -> None:
    changes = [change_made(500, organization) for _ in range(5)]
    assert purge("--batch", "2") == "5 changes were deleted.\n"
    assert purged(*changes) == [True] * 5


class DeletionError(RuntimeError):
    """What goes wrong in the middle of a purge."""


def failing_at_the_second_batch() -> Callable[..., Any]:
    seen: list[str] = []

    def execute(run: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith('DELETE FROM "accounts_change"'):
            seen.append(sql)
            if len(seen) == 2:
                raise DeletionError
        return run(sql, params, many, context)

    return execute


@pytest.mark.django_db(transaction=True)
def test_each_batch_is_a_transaction_of_its_own() -> None:
    organization = make_organization(make_account())
    changes = [change_made(500, organization) for _ in range(3)]
    with connection.execute_wrapper(failing_at_the_second_batch()), pytest.raises(DeletionError):
        purge("--batch", "2")
    assert purged(*changes) == [True, True, False]
    assert Organization.history.filter(change=changes[2]).count() == 1


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--older-than", "0", "--older-than must be 1 to 36500."),
        ("--older-than", "-1", "--older-than must be 1 to 36500."),
        ("--older-than", "36501", "--older-than must be 1 to 36500."),
        ("--batch", "0", "--batch must be 1 to 10000."),
        ("--batch", "-1", "--batch must be 1 to 10000."),
        ("--batch", "10001", "--batch must be 1 to 10000."),
    ],
)
def test_a_senseless_number_is_refused_and_nothing_is_deleted(
    organization: Organization, option: str, value: str, message: str
) -> None:
    change = change_made(500, organization)
    assert refused("history", "purge", option, value) == message
    assert purged(change) == [False]


def test_the_largest_batch_is_one_statement_for_the_database(organization: Organization) -> None:
    change = change_made(500, organization)
    Change.unscoped.bulk_create(
        Change(actor="test", channel="command", created=change.created) for _ in range(9_999)
    )
    assert purge("--batch", "10000") == "10000 changes were deleted.\n"
    assert purged(change) == [True]
