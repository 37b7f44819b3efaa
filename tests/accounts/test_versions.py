"""The history read back, in the words of the forms and as far as the viewer may see it."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.history import record_change
from accounts.models import Account, Channel, Organization, Role, User
from accounts.services import delete_account, edit_account, edit_organization, edit_user
from accounts.versions import Difference, Version, rows_visible_to, versions_of
from tests.factories import arranging, make_account, make_organization, make_user, make_voicemailbox
from voicemail.models import Voicemailbox
from voicemail.services import delete_voicemailbox, edit_voicemailbox


def versions(row: Any, viewer: User) -> list[Version]:
    """Give the versions of an object, the newest first."""
    return versions_of(rows_visible_to(type(row), viewer).filter(id=row.pk), viewer)


def told(version: Version) -> list[tuple[str, str, str]]:
    return [(each.label, each.old, each.new) for each in version.differences]


@pytest.fixture
def box(organization: Organization) -> Voicemailbox:
    return make_voicemailbox(organization, mailbox=7011, username="joe.vm", password="8675309")


def test_a_change_is_told_in_the_words_of_the_form(box: Voicemailbox, alice: User) -> None:
    box.fullname, box.notify_email, box.email = "Jim", "attach", "jim@example.com"
    box.say_caller_id, box.mwi = True, "jim@example.com"
    with arranging():
        edit_voicemailbox(box)
    newest, _ = versions(box, alice)
    assert newest.what == "Changed"
    assert told(newest) == [
        ("Full name", "Joe Smith", "Jim"),
        ("Say caller id", "no", "yes"),
        ("Notify by e-mail", "No e-mail", "E-mail with the recording"),
        ("E-mail", "", "jim@example.com"),
        ("Message waiting (MWI)", "", "jim@example.com"),
    ]


def test_a_pin_is_told_only_as_changed(box: Voicemailbox, alice: User) -> None:
    box.password = "482915"
    with arranging():
        edit_voicemailbox(box)
    newest, first = versions(box, alice)
    assert newest.differences == [Difference("PIN", "", "changed", is_secret=True)]
    assert "PIN" not in {each.label for each in first.differences}


def test_a_new_object_is_told_by_what_it_began_with(box: Voicemailbox, alice: User) -> None:
    (first,) = versions(box, alice)
    assert first.what == "Added"
    assert told(first) == [
        ("Organization", "", "acme.example.com"),
        ("Status", "", "Enabled"),
        ("Mailbox", "", "7011"),
        ("Full name", "", "Joe Smith"),
        ("Time zone", "", "Eastern (New York)"),
        ("Notify by e-mail", "", "No e-mail"),
        ("Notify by pager", "", "No pager"),
        ("User name of the address", "", "joe.vm"),
    ]


def test_a_deletion_has_no_differences(box: Voicemailbox, alice: User) -> None:
    pk = box.pk
    with arranging():
        delete_voicemailbox(box)
    box.pk = pk
    newest, _ = versions(box, alice)
    assert (newest.what, newest.differences) == ("Deleted", [])


def test_what_came_before_the_kept_history_is_not_made_up(box: Voicemailbox, alice: User) -> None:
    box.fullname = "Jim"
    with arranging():
        edit_voicemailbox(box)
    Voicemailbox.history.filter(history_type="+").delete()
    (only,) = versions(box, alice)
    assert only.is_first_kept
    assert only.differences == []


def test_a_users_new_organization_is_told_by_its_domain(
    account: Account, alice: User, bob: User
) -> None:
    bob.organization, bob.username = make_organization(account, domain="west.example.com"), "bob"
    with arranging():
        edit_user(bob)
    assert told(versions(bob, alice)[0]) == [
        ("Organization", "", "west.example.com"),
        ("User name of the address", "", "bob"),
    ]


def test_an_organization_that_is_gone_is_told_by_its_id(account: Account, alice: User) -> None:
    gone = make_organization(account)
    dora = make_user("dora", Role.USER, account, organization=gone, username="dora")
    pk = gone.pk
    dora.organization, dora.username = None, ""
    with arranging():
        edit_user(dora)
        gone.delete()
    assert told(versions(dora, alice)[0])[0] == (
        *("Organization", f"organization {pk}, since deleted", ""),
    )


def test_the_author_and_the_channel_are_told(
    box: Voicemailbox, alice: User, organization: Organization
) -> None:
    with record_change(by=alice, channel=Channel.API):
        organization.caller_id = "Acme"
        edit_organization(organization)
    newest, _ = versions(organization, alice)
    assert newest.row.author == "alice"
    assert newest.row.change.get_channel_display() == "API"


def test_the_providers_staff_have_names_for_staff_alone(
    alice: User, staff: User, organization: Organization
) -> None:
    with record_change(by=staff, channel=Channel.WEB):
        organization.caller_id = "Acme"
        edit_organization(organization)
    assert versions(organization, alice)[0].row.author == "Provider staff"
    assert versions(organization, staff)[0].row.author == "staff"


def test_a_foreign_history_is_visible_to_nobody_of_another_account(
    box: Voicemailbox, bob: User, charlie: User, staff: User
) -> None:
    rows = {user: rows_visible_to(Voicemailbox, user).count() for user in (bob, charlie, staff)}
    assert rows == {bob: 0, charlie: 0, staff: 1}


def test_a_disabled_admin_sees_no_history(box: Voicemailbox, alice: User) -> None:
    alice.is_active = False
    assert not rows_visible_to(Voicemailbox, alice).exists()


def test_the_history_of_an_account_that_is_gone_stays_with_staff(
    charlie: User, staff: User
) -> None:
    account = make_account()
    pk = account.pk
    with arranging():
        delete_account(account)
    account.pk = pk
    assert versions(account, staff)[0].what == "Deleted"
    assert versions(account, charlie) == []


@pytest.mark.parametrize("number", [3, 30])
def test_versions_need_three_statements_however_many_there_are(
    account: Account, alice: User, organization: Organization, number: int
) -> None:
    bob = make_user("bob", Role.USER, account, organization=organization, username="bob")
    for turn in range(number):
        bob.username = f"bob{turn}"
        with arranging():
            edit_user(bob)
    with CaptureQueriesContext(connection) as queries:
        found = [told(version) for version in versions(bob, alice)]
    assert len(found) == number + 1
    assert len(queries) == 3


def test_an_edit_of_an_account_is_told(account: Account, staff: User) -> None:
    account.balance += 5
    with arranging():
        edit_account(account)
    assert told(versions(account, staff)[0]) == [("Balance", "0.00", "5.00")]
