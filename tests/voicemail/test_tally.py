"""The tally says how many boxes there are, whoever writes and whatever fails."""

from __future__ import annotations

import random
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import DEFAULT_DB_ALIAS, connection, transaction
from django.db.models import Count, Sum

from accounts.models import Account, Organization
from accounts.services import delete_organization
from tests.factories import arranging, make_account, make_organization, make_voicemailbox
from voicemail.models import MailboxTally, Voicemailbox

ON_POSTGRESQL = pytest.mark.skipif(
    connection.vendor != "postgresql", reason="SQLite has no such statement."
)


def tallied() -> dict[int, int]:
    rows = MailboxTally.unscoped.order_by().values("organization").annotate(total=Sum("number"))
    return {row["organization"]: row["total"] for row in rows if row["total"]}


def counted() -> dict[int, int]:
    rows = Voicemailbox.unscoped.order_by().values("organization").annotate(total=Count("pk"))
    return {row["organization"]: row["total"] for row in rows}


def test_each_box_that_comes_or_goes_is_noted(organization: Organization) -> None:
    boxes = [make_voicemailbox(organization) for _ in range(3)]
    assert tallied() == {organization.pk: 3}
    boxes[0].refresh_from_db()
    with arranging():
        boxes[0].delete()

    assert tallied() == {organization.pk: 2}


def test_many_boxes_in_one_statement_are_noted(
    organization: Organization, other_organization: Organization
) -> None:
    models = [make_voicemailbox(each) for each in (organization, other_organization)]
    copies = [
        Voicemailbox(**{**_values(model), "id": None, "mailbox": number, "username": f"v{number}"})
        for model in models
        for number in range(5000, 5007 + 10 * models.index(model))
    ]
    Voicemailbox.unscoped.bulk_create(copies)
    assert tallied() == counted() == {organization.pk: 8, other_organization.pk: 18}
    delete(mailbox__gte=5005)

    assert tallied() == counted()


def delete(**which: Any) -> None:
    """Delete boxes by one statement of SQL."""
    Voicemailbox.unscoped.filter(**which)._raw_delete(DEFAULT_DB_ALIAS)


def _values(box: Voicemailbox) -> dict[str, Any]:
    return {field.attname: getattr(box, field.attname) for field in box._meta.concrete_fields}


def test_what_is_rolled_back_was_never_noted(organization: Organization) -> None:
    make_voicemailbox(organization, mailbox=1001)

    def fail_at_the_second() -> None:
        with transaction.atomic():
            make_voicemailbox(organization)
            make_voicemailbox(organization, mailbox=1001)

    with pytest.raises(ValidationError):
        fail_at_the_second()

    assert tallied() == {organization.pk: 1}


def test_any_number_of_changes_leaves_few_rows(organization: Organization) -> None:
    generator = random.Random(1)  # noqa: S311  # It must be the same each time.
    boxes: list[Voicemailbox] = []
    for _ in range(400):
        if boxes and generator.random() < 0.4:
            delete(pk=boxes.pop().pk)
        else:
            boxes.append(make_voicemailbox(organization))

    assert tallied() == {organization.pk: len(boxes)}
    # On the average one in 64 makes a single row of them.
    assert MailboxTally.unscoped.count() < 400


def test_the_tally_goes_with_its_organization(organization: Organization) -> None:
    box = make_voicemailbox(organization)
    delete(pk=box.pk)
    with arranging():
        delete_organization(organization)

    assert not MailboxTally.unscoped.exists()


@pytest.mark.django_db(transaction=True)
def test_a_migration_leaves_the_tally_right() -> None:
    make_voicemailbox(make_organization(make_account()))
    call_command("migrate", verbosity=0)

    assert tallied() == counted() != {}


@ON_POSTGRESQL
@pytest.mark.django_db(transaction=True)
def test_an_emptied_table_has_no_tally() -> None:
    make_voicemailbox(make_organization(make_account()))
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE voicemail_voicemailbox CASCADE")

    assert tallied() == {}


def test_the_tally_is_of_the_accounts_that_a_caller_sees(
    alice: Any,
    charlie: Any,
    staff: Any,
    organization: Organization,
    other_organization: Organization,
) -> None:
    make_voicemailbox(organization)
    make_voicemailbox(other_organization)

    seen = [MailboxTally.objects.visible_to(caller).count() for caller in (alice, charlie, staff)]
    assert seen == [1, 1, 2]


def test_a_box_that_is_moved_by_hand_is_noted(organization: Organization, account: Account) -> None:
    box = make_voicemailbox(organization)
    make_voicemailbox(organization)
    other = make_organization(account)
    Voicemailbox.unscoped.filter(pk=box.pk).update(organization=other)

    assert tallied() == counted() == {organization.pk: 1, other.pk: 1}
