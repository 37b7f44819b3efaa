"""Bringing mailboxes back: a former version, or a box that was deleted."""

from __future__ import annotations

from threading import Barrier, Thread
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.test import override_settings

from accounts.models import Organization
from accounts.services import delete_organization
from tests.factories import arranging, make_organization, make_voicemailbox
from voicemail.models import ADDRESS_UNAVAILABLE, Voicemailbox
from voicemail.services import delete_voicemailbox, edit_voicemailbox, restore_voicemailbox


@pytest.fixture
def box(organization: Organization) -> Voicemailbox:
    return make_voicemailbox(
        organization, mailbox=7011, username="joe.vm", fullname="Joe Smith", password="8675309"
    )


def stored(box: Voicemailbox) -> dict[str, Any]:
    return dict(Voicemailbox.unscoped.values().get(pk=box.pk))


def versions(box: Voicemailbox) -> list[Any]:
    """Give the rows of a box's history, the first one first."""
    return list(Voicemailbox.history.filter(id=box.pk).order_by("history_id"))


def edit(box: Voicemailbox, **values: Any) -> None:
    for name, value in values.items():
        setattr(box, name, value)
    with arranging():
        edit_voicemailbox(box)


def delete(box: Voicemailbox) -> Any:
    """Delete a box, and give the row of its history that tells so."""
    pk = box.pk
    with arranging():
        delete_voicemailbox(box)
    box.pk = pk
    return versions(box)[-1]


def restore(row: Any) -> Voicemailbox:
    with arranging():
        return restore_voicemailbox(row)


def refusal_of(row: Any) -> dict[str, list[str]]:
    """Try to restore a version in vain, and give what stands in the way, by field."""
    boxes, rows = list(Voicemailbox.unscoped.values()), Voicemailbox.history.count()
    with pytest.raises(ValidationError) as caught:
        restore(row)
    assert list(Voicemailbox.unscoped.values()) == boxes
    assert Voicemailbox.history.count() == rows
    error = caught.value
    return error.message_dict if hasattr(error, "error_dict") else {"": error.messages}


# A former version


def test_a_former_version_gives_back_every_value(box: Voicemailbox) -> None:
    before = stored(box)
    edit(
        box,
        mailbox=7012,
        username="jim.vm",
        fullname="Jim",
        password="1234567",
        timezone="us_pacific",
        status="disabled",
        say_caller_id=True,
        say_duration=True,
        say_datetime=True,
        mwi="jim@example.com",
        notify_email="yes",
        email="j@example.com",
        notify_pager="yes",
        pager="p@example.com",
    )
    edited = stored(box)
    assert {name for name in before if edited[name] == before[name]} == {
        *("id", "account_id", "organization_id", "created")
    }
    restore(versions(box)[0])
    assert stored(box) == before | {"modified": stored(box)["modified"]}
    assert stored(box)["modified"] > edited["modified"]


def test_the_history_says_that_a_version_was_restored(box: Voicemailbox) -> None:
    edit(box, fullname="Jim")
    restore(versions(box)[0])
    newest = versions(box)[-1]
    assert (newest.history_type, newest.history_change_reason) == ("~", "Restored")
    assert newest.fullname == "Joe Smith"


def test_a_number_that_is_taken_meanwhile_stands_in_the_way(
    box: Voicemailbox, organization: Organization
) -> None:
    edit(box, mailbox=7012)
    make_voicemailbox(organization, mailbox=7011)
    assert refusal_of(versions(box)[0]) == {
        "mailbox": ["This mailbox is already in use in this organization."]
    }


@override_settings(PIN_STRICT=True)
def test_a_former_pin_that_the_strict_policy_forbids_stands_in_the_way(
    organization: Organization,
) -> None:
    box = make_voicemailbox(organization, mailbox=7011, password="482915")
    Voicemailbox.history.filter(id=box.pk).update(password="11")
    edit(box, password="918273")
    refused = refusal_of(versions(box)[0])
    assert list(refused) == ["password"]
    assert refused["password"][0].startswith("Value must be 6 or 7 digits")


# A deleted box


def test_a_deleted_box_returns_as_it_was(box: Voicemailbox) -> None:
    before = stored(box)
    row = delete(box)
    restore(row)
    assert stored(box) == before | {"modified": stored(box)["modified"]}
    assert stored(box)["modified"] >= row.history_date


def test_the_history_says_that_a_deleted_box_was_restored(box: Voicemailbox) -> None:
    restore(delete(box))
    newest = versions(box)[-1]
    assert (newest.history_type, newest.history_change_reason) == ("+", "Restored")


def test_a_deleted_box_can_return_as_an_earlier_version(box: Voicemailbox) -> None:
    edit(box, fullname="Jim")
    delete(box)
    restore(versions(box)[0])
    assert stored(box)["fullname"] == "Joe Smith"


def test_a_box_can_be_deleted_and_restored_again(box: Voicemailbox) -> None:
    restore(delete(box))
    restore(delete(Voicemailbox.unscoped.get(pk=box.pk)))
    assert Voicemailbox.unscoped.get().pk == box.pk


def test_a_box_that_was_restored_already_is_not_restored_twice(box: Voicemailbox) -> None:
    row = delete(box)
    restore(row)
    assert refusal_of(row) == {"": ["This mailbox exists: it has been restored already."]}


@pytest.mark.parametrize(
    ("taken", "field", "message"),
    [
        (
            {"mailbox": 7011},
            "mailbox",
            "This mailbox is already in use in this organization.",
        ),
        ({"username": "JOE.VM"}, "username", ADDRESS_UNAVAILABLE),
    ],
)
def test_what_another_box_took_stands_in_the_way(
    box: Voicemailbox,
    organization: Organization,
    taken: dict[str, Any],
    field: str,
    message: str,
) -> None:
    row = delete(box)
    make_voicemailbox(organization, **taken)
    assert refusal_of(row) == {field: [message]}


def test_the_same_number_elsewhere_does_not_stand_in_the_way(
    box: Voicemailbox, organization: Organization
) -> None:
    row = delete(box)
    make_voicemailbox(make_organization(organization.account), mailbox=7011, username="joe.vm")
    assert restore(row).pk == box.pk


def test_an_organization_that_is_gone_stands_in_the_way(
    box: Voicemailbox, organization: Organization
) -> None:
    row = delete(box)
    with arranging():
        delete_organization(organization)
    assert refusal_of(row) == {"": ["The mailbox's organization no longer exists."]}


def test_an_organization_of_another_account_stands_in_the_way(
    box: Voicemailbox, other_organization: Organization
) -> None:
    row = delete(box)
    row.organization_id = other_organization.pk
    assert refusal_of(row) == {"": ["The mailbox's organization no longer exists."]}


@override_settings(PIN_STRICT=True)
def test_a_deleted_box_keeps_a_pin_from_before_the_strict_policy(
    organization: Organization,
) -> None:
    box = make_voicemailbox(organization, password="11")
    restore(delete(box))
    assert stored(box)["password"] == "11"


@override_settings(PIN_STRICT=True)
def test_an_earlier_version_of_a_deleted_box_brings_no_pin_that_the_policy_forbids(
    organization: Organization,
) -> None:
    box = make_voicemailbox(organization, password="11")
    edit(box, password="482915")
    delete(box)
    assert list(refusal_of(versions(box)[0])) == ["password"]


def test_a_new_box_gets_an_id_of_its_own_after_one_was_restored(
    box: Voicemailbox, organization: Organization
) -> None:
    second = make_voicemailbox(organization)
    row = delete(second)
    restore(delete(box))
    third = make_voicemailbox(organization)
    assert third.pk > second.pk
    restore(row)
    assert {box.pk, second.pk, third.pk} == set(Voicemailbox.unscoped.values_list("pk", flat=True))
    assert make_voicemailbox(organization).pk > third.pk


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite lets one write at a time.")
@pytest.mark.django_db(transaction=True)
def test_of_two_who_restore_a_box_at_once_one_is_refused(box: Voicemailbox) -> None:
    row = delete(box)
    start = Barrier(2)
    told: list[Any] = []

    def attempt() -> None:
        start.wait()
        try:
            told.append(restore(row).mailbox)
        except ValidationError as exc:
            told.append(exc.messages)
        finally:
            connection.close()

    threads = [Thread(target=attempt) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(told, key=str) == [7011, ["This mailbox exists: it has been restored already."]]
    assert Voicemailbox.unscoped.get().pk == box.pk
