"""manage.py history: who changed what, and the way back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.utils import timezone

from accounts import services
from accounts.history import record_change
from accounts.management.commands import history
from accounts.models import Account, Change, Channel, Organization, Role, User
from tests.asterisk.pbx import make_pbx
from tests.commands import records, refused, run
from tests.factories import arranging, make_account, make_organization, make_voicemailbox
from voicemail.models import RefusedPin, SpoolOrder, Voicemailbox
from voicemail.services import (
    add_voicemailbox,
    delete_voicemailbox,
    edit_voicemailbox,
    show_pin,
)

NOT_ASKED = "Add --yes: there is no terminal to ask on."


@pytest.fixture
def box(organization: Organization) -> Voicemailbox:
    return make_voicemailbox(
        organization, mailbox=7011, username="joe.vm", fullname="Joe Smith", password="8675309"
    )


@contextmanager
def changing(user: User | None = None, channel: str = Channel.WEB) -> Iterator[None]:
    with record_change(by=user, channel=channel, actor="" if user else "test"):
        yield


def last() -> int:
    """Give the number of the newest change."""
    return Change.unscoped.latest("id").pk


def edit(box: Voicemailbox, **values: Any) -> int:
    """Edit a box, and give the number of the change."""
    for name, value in values.items():
        setattr(box, name, value)
    with arranging():
        edit_voicemailbox(box)
    return last()


def listed(*words: Any) -> list[int]:
    return [each["change"] for each in records("history", "list", *words)]


def state() -> list[list[dict[str, Any]]]:
    """Give all objects that have a history, but for the times of their last change."""
    return [
        [
            {name: value for name, value in row.items() if not name.endswith("modified")}
            for row in model.unscoped.order_by("pk").values()
        ]
        for model in (Account, Organization, User, Voicemailbox)
    ]


# List


def test_a_change_is_told_with_its_author_and_the_values(box: Voicemailbox, alice: User) -> None:
    box.fullname, box.password = "Jim Smith", "1234567"
    with changing(alice):
        edit_voicemailbox(box)
    first, *_ = records("history", "list", "--all-accounts")
    assert {name: first[name] for name in first if name != "created"} == {
        "change": last(),
        "actor": "alice",
        "channel": "web",
        "account_id": box.account_id,
        "kind": "voicemailbox",
        "object_id": box.pk,
        "name": "7011 Jim Smith",
        "what": "Changed",
        "differences": [
            {"field": "PIN", "old": "", "new": "changed"},
            {"field": "Full name", "old": "Joe Smith", "new": "Jim Smith"},
        ],
        "others": 0,
    }


def test_a_person_reads_the_values_in_a_line_and_no_pin(box: Voicemailbox) -> None:
    edit(box, fullname="Jim Smith", password="1234567")
    out = run("history", "list", "--all-accounts").out
    assert "PIN: changed; Full name: Joe Smith → Jim Smith" in out
    assert "1234567" not in out
    assert "8675309" not in out


def test_of_a_change_of_many_the_first_is_told_and_the_others_are_counted(
    organization: Organization,
) -> None:
    with arranging():
        for number in range(3):
            add_voicemailbox(
                Voicemailbox(
                    organization=organization,
                    mailbox=7011 + number,
                    username=f"vm{number}",
                    fullname="Joe",
                )
            )
    first, *_ = records("history", "list", "--all-accounts")
    assert (first["name"], first["what"], first["others"]) == ("7011 Joe", "Added", 2)


def test_the_list_has_the_changes_of_its_scope(
    box: Voicemailbox, other_organization: Organization
) -> None:
    other = make_voicemailbox(other_organization)
    newest = last()
    assert newest in listed("--account", other.account_id)
    assert newest in listed("--organization", "globex.example.com")
    assert newest not in listed("--account", box.account_id)
    assert newest not in listed("--organization", "acme.example.com")


def test_an_organization_of_the_same_account_is_outside_the_scope(
    organization: Organization, account: Account
) -> None:
    west = make_organization(account, domain="west.example.com")
    assert last() in listed("--organization", west.pk)
    assert last() not in listed("--organization", organization.pk)
    assert listed("--organization", organization.pk, "--kind", "account") == []


def test_of_a_change_in_two_accounts_each_sees_its_own_part(
    box: Voicemailbox, other_organization: Organization
) -> None:
    other = make_voicemailbox(other_organization, fullname="Hank")
    run("voicemailboxes", "disable", "--all-accounts")
    (mine, *_), (theirs, *_) = (
        records("history", "list", "--account", each.account_id) for each in (box, other)
    )
    assert mine["change"] == theirs["change"]
    assert (mine["object_id"], theirs["object_id"]) == (box.pk, other.pk)
    assert mine["others"] == theirs["others"] == 0


def test_the_list_is_narrowed_by_object_author_channel_and_time(
    box: Voicemailbox, alice: User
) -> None:
    with changing(alice, Channel.API):
        show_pin(box)
    newest = last()
    Change.unscoped.filter(pk=newest).update(created="2030-01-01T12:00Z")
    of_box = ("--all-accounts", "--kind", "voicemailbox", "--id", box.pk)
    assert newest in listed(*of_box)
    assert listed("--all-accounts", "--kind", "user", "--id", alice.pk) == [newest - 1]
    assert listed("--all-accounts", "--by", "Alice") == [newest]
    assert listed("--all-accounts", "--channel", "api") == [newest]
    assert listed("--all-accounts", "--since", "2030-01-01") == [newest]
    assert newest not in listed("--all-accounts", "--until", "2030-01-01T12:00")
    assert listed("--all-accounts", "--since", "2030-01-01T12:00:01") == []


def test_an_id_alone_is_refused(box: Voicemailbox) -> None:
    assert refused("history", "list", "--all-accounts", "--id", box.pk, "--format", "json") == (
        "--id needs --kind: ids of different kinds of objects may be alike."
    )


def test_a_time_that_is_none_is_refused(db: None) -> None:
    assert "Use a day or a time such as 2026-11-25" in refused(
        "history", "list", "--all-accounts", "--since", "yesterday"
    )


def test_every_page_is_worked_through(box: Voicemailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "_AT_ONCE", 2)
    for number in range(5):
        edit(box, fullname=f"Joe {number}")
    numbers = listed("--all-accounts")
    assert numbers == sorted(Change.unscoped.values_list("pk", flat=True), reverse=True)
    shown = records("history", "show", last())
    assert [each["name"] for each in shown] == ["7011 Joe 4"]


def test_the_number_of_statements_does_not_grow_with_the_list(
    box: Voicemailbox, django_assert_max_num_queries: Any
) -> None:
    for number in range(12):
        edit(box, fullname=f"Joe {number}")
    with django_assert_max_num_queries(16):
        run("history", "list", "--all-accounts")


# Show


def test_a_change_is_shown_object_by_object(organization: Organization) -> None:
    boxes = [make_voicemailbox(organization) for _ in range(5)]
    run("voicemailboxes", "disable", "--all-accounts")
    shown = records("history", "show", last())
    assert [each["object_id"] for each in shown] == [each.pk for each in boxes]
    assert shown[0]["differences"] == [{"field": "Status", "old": "Enabled", "new": "Disabled"}]
    printed = run("history", "show", last())
    assert printed.err.startswith(f"Change {last()}: ")
    assert printed.out.count("Status: Enabled → Disabled") == 5


def test_a_change_outside_the_scope_is_missing(box: Voicemailbox, other_account: Account) -> None:
    number = edit(box, fullname="Jim")
    words = ("history", "show", number, "--account", other_account.pk)
    assert refused(*words) == (
        f"There is no change {number} in account {other_account.pk} (Globex). "
        "Accepted: a number that history list tells."
    )


# Undo


def test_an_edit_is_undone_with_its_reason(box: Voicemailbox) -> None:
    before = state()
    number = edit(box, fullname="Jim", mailbox=7012, password="1234567", status="disabled")
    printed = run("history", "undo", number, "--yes", "--operator", "anna")
    assert printed.out == f"Mailbox {box.pk} (7011 Joe Smith) was changed.\n"
    assert state() == before
    row = Voicemailbox.history.latest("history_id")
    assert row.history_change_reason == f"Undone: change {number}"
    assert (row.change.actor, row.change.channel) == ("anna", "command")


def test_an_addition_is_undone_by_deleting(organization: Organization) -> None:
    box = make_voicemailbox(organization, mailbox=7011, fullname="Joe Smith")
    number = last()
    (undone,) = records("history", "undo", number, "--yes")
    assert undone == {
        "outcome": "deleted",
        "kind": "voicemailbox",
        "id": box.pk,
        "name": "7011 Joe Smith",
    }
    assert not Voicemailbox.unscoped.exists()
    row = Voicemailbox.history.latest("history_id")
    assert row.history_change_reason == f"Undone: change {number}"


def test_a_deletion_is_undone_by_restoring(box: Voicemailbox) -> None:
    before = state()
    run("voicemailboxes", "delete", box.pk, "--yes")
    printed = run("history", "undo", last(), "--yes")
    assert printed.out == f"Mailbox {box.pk} (7011 Joe Smith) was restored.\n"
    assert state() == before


def test_undoing_can_be_undone(box: Voicemailbox) -> None:
    number = edit(box, fullname="Jim")
    after = state()
    run("history", "undo", number, "--yes")
    run("history", "undo", last(), "--yes")
    assert state() == after


def test_a_restoration_is_undone_by_deleting_again(box: Voicemailbox) -> None:
    run("voicemailboxes", "delete", box.pk, "--yes")
    run("voicemailboxes", "restore", box.pk)
    printed = run("history", "undo", last(), "--yes")
    assert printed.out == f"Mailbox {box.pk} (7011 Joe Smith) was deleted.\n"
    assert not Voicemailbox.unscoped.exists()


def test_additions_edits_and_deletions_of_one_change_go_back_together(
    organization: Organization,
) -> None:
    moved = make_voicemailbox(organization, mailbox=1, fullname="Moved")
    gone = make_voicemailbox(organization, mailbox=2, fullname="Gone")
    before = state()
    with arranging():
        delete_voicemailbox(gone)
        moved.mailbox = 2
        edit_voicemailbox(moved)
        added = add_voicemailbox(
            Voicemailbox(organization=organization, mailbox=1, username="new", fullname="New")
        )
        added.fullname = "Newer"
        edit_voicemailbox(added)
        passing = add_voicemailbox(
            Voicemailbox(organization=organization, mailbox=3, username="x", fullname="Passing")
        )
        delete_voicemailbox(passing)
    printed = run("history", "undo", last(), "--yes")
    assert [line.split(" (")[1] for line in printed.out.splitlines()] == [
        "1 Newer) was deleted.",
        "1 Moved) was changed.",
        "2 Gone) was restored.",
    ]
    assert state() == before


def test_what_was_added_at_one_time_goes_back_from_the_boxes_up(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, now = state(), timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)
    with arranging():
        organization = services.add_organization(
            Organization(account=account, domain="acme.example.com")
        )
        add_voicemailbox(
            Voicemailbox(organization=organization, mailbox=1, username="vm1", fullname="Joe")
        )
    run("history", "undo", last(), "--yes")
    assert state() == before


def test_a_whole_account_goes_back_with_its_last_admin(db: None) -> None:
    with arranging():
        account = services.add_account(Account(contact_organization="Acme"))
        organization = services.add_organization(
            Organization(account=account, domain="acme.example.com")
        )
        services.add_user(
            auth_username="alice",
            role=Role.ACCOUNT_ADMIN,
            password=None,
            account=account,
            organization=organization,
            username="alice",
        )
        add_voicemailbox(
            Voicemailbox(organization=organization, mailbox=1, username="vm1", fullname="Joe")
        )
    run("history", "undo", last(), "--yes")
    assert state() == [[], [], [], []]


def test_a_deleted_account_returns_with_its_organizations_and_users_without_a_password(
    account: Account, organization: Organization, alice: User
) -> None:
    before = state()
    with arranging():
        services.delete_account(account)
    run("history", "undo", last(), "--yes")
    after = state()
    (user,) = after[2]
    assert not User.unscoped.get().has_usable_password()
    assert after[:2] == before[:2]
    assert user | {"password": "", "last_login": None} == before[2][0] | {
        "password": "",
        "last_login": None,
    }


def test_an_edit_of_a_user_is_undone_with_role_and_state(alice: User, bob: User) -> None:
    before = state()
    with arranging():
        services.change_role(bob, role=Role.ACCOUNT_ADMIN, actor=alice)
        bob.email = "bob@example.com"
        services.edit_user(bob)
        services.set_active(bob, is_active=False)
    run("history", "undo", last(), "--yes")
    assert state() == before


def test_an_edit_of_an_account_and_an_organization_is_undone(
    account: Account, organization: Organization, settings: Any
) -> None:
    settings.SPOOL_ORDERS = True
    make_voicemailbox(organization, mailbox=7011)
    before = state()
    with arranging():
        account.contact_city, organization.domain = "Springfield", "acme.example.net"
        services.edit_account(account)
        services.edit_organization(organization)
    run("history", "undo", last(), "--yes")
    assert state() == before
    assert [(each.context, each.to_context) for each in SpoolOrder.unscoped.all()] == [
        ("acme.example.com", "acme.example.net"),
        ("acme.example.net", "acme.example.com"),
    ]


def test_what_was_changed_since_stands_in_the_way_and_the_later_change_is_named(
    box: Voicemailbox,
) -> None:
    other = make_voicemailbox(box.organization, mailbox=7012, fullname="Jane")
    run("voicemailboxes", "disable", "--all-accounts")
    number = last()
    later = edit(Voicemailbox.unscoped.get(pk=other.pk), fullname="Jill")
    before, rows = state(), Voicemailbox.history.count()
    assert refused("history", "undo", number, "--yes") == (
        "Nothing was undone. In the way of it:\n"
        f"mailbox {other.pk} (7012 Jane): It was changed again since, last by change {later}."
    )
    assert state() == before
    assert Voicemailbox.history.count() == rows


def test_what_was_deleted_since_stands_in_the_way(box: Voicemailbox) -> None:
    number = edit(box, fullname="Jim")
    run("voicemailboxes", "delete", box.pk, "--yes")
    assert f"It was changed again since, last by change {last()}." in refused(
        "history", "undo", number, "--yes"
    )


def test_a_pin_that_was_shown_since_does_not_stand_in_the_way(box: Voicemailbox) -> None:
    before = state()
    number = edit(box, fullname="Jim")
    with arranging():
        show_pin(Voicemailbox.unscoped.get())
    run("history", "undo", number, "--yes")
    assert state() == before


def test_a_number_that_is_taken_meanwhile_stands_in_the_way(box: Voicemailbox) -> None:
    number = edit(box, mailbox=7012)
    make_voicemailbox(box.organization, mailbox=7011)
    assert refused("history", "undo", number, "--yes").endswith(
        f"mailbox {box.pk} (7012 Joe Smith): This mailbox is already in use in this organization."
    )


def test_former_values_that_were_purged_stand_in_the_way(box: Voicemailbox) -> None:
    first = last()
    number = edit(box, fullname="Jim")
    Change.unscoped.filter(pk=first).delete()
    assert refused("history", "undo", number, "--yes").endswith(
        "Its former values are no longer kept."
    )


def test_an_account_to_which_something_was_added_since_stays(db: None) -> None:
    account = make_account()
    number = last()
    organization = make_organization(account)
    assert refused("history", "undo", number, "--yes").endswith(
        "This account has organizations or users that were added since."
    )
    assert Organization.unscoped.get() == organization


def test_a_change_that_changed_no_value_leaves_nothing_to_undo(box: Voicemailbox) -> None:
    with arranging():
        show_pin(box)
    assert refused("history", "undo", last(), "--yes") == (
        f"Change {last()} left nothing to undo: the values are what they were before."
    )


def test_undoing_wants_a_yes_and_says_what_it_is_about(box: Voicemailbox) -> None:
    number = edit(box, fullname="Jim")
    change = Change.unscoped.get(pk=number)
    assert refused("history", "undo", number) == (
        f"Undo change {number} ({change}), which touched 1 mailbox? {NOT_ASKED}"
    )
    assert Voicemailbox.unscoped.get().fullname == "Jim"


def test_a_dry_run_tells_what_would_go_back_and_changes_nothing(box: Voicemailbox) -> None:
    number = edit(box, fullname="Jim")
    before = state()
    printed = run("history", "undo", number, "--dry-run")
    assert printed.out == f"Mailbox {box.pk} (7011 Joe Smith) would be changed.\n"
    assert state() == before
    assert last() == number


def test_a_change_that_reaches_beyond_the_scope_is_not_undone_in_part(
    box: Voicemailbox, other_organization: Organization
) -> None:
    make_voicemailbox(other_organization)
    run("voicemailboxes", "disable", "--all-accounts")
    words = ("history", "undo", last(), "--account", box.account_id, "--yes")
    assert refused(*words) == f"Change {last()} touched objects outside the scope as well."
    assert set(Voicemailbox.unscoped.values_list("status", flat=True)) == {"disabled"}


def test_a_missing_change_is_refused(db: None) -> None:
    assert refused("history", "undo", 99, "--yes") == (
        "There is no change 99. Accepted: a number that history list tells."
    )


def add_boxes(organizations: list[Organization], number: int) -> int:
    """Add boxes in turn to organizations by one change, and give its number."""
    with arranging():
        for mailbox in range(1, number + 1):
            add_voicemailbox(
                Voicemailbox(
                    organization=organizations[mailbox % len(organizations)],
                    mailbox=mailbox,
                    username=f"vm{mailbox}",
                    fullname="Joe",
                )
            )
    return last()


def test_boxes_that_go_together_leave_what_each_would_have_left(
    organization: Organization, other_organization: Organization, settings: Any
) -> None:
    settings.SPOOL_ORDERS = True
    make_pbx("edge1", organizations=[organization])
    before = state()
    number = add_boxes([organization, other_organization], 4)
    boxes = {box.pk: box for box in Voicemailbox.unscoped.select_related("organization")}
    RefusedPin.unscoped.create(
        account_id=organization.account_id, voicemailbox=next(iter(boxes.values())), pbx="edge1"
    )
    with arranging():
        show_pin(next(iter(boxes.values())))
    assert run("history", "undo", number, "--yes").out.count("was deleted.") == 4
    assert state() == before
    rows = Voicemailbox.history.filter(change=last(), history_type="-").select_related("change")
    assert {row.id: row.instance for row in rows} == boxes
    for row in rows:
        box = boxes[row.id]
        assert (row.password, row.fullname, row.modified) == (
            *(box.password, box.fullname, box.modified),
        )
        assert row.history_change_reason == f"Undone: change {number}"
        assert (row.change.account_id, row.history_user_id) == (None, None)
    orders = {each.voicemailbox_id: each for each in SpoolOrder.unscoped.all()}
    assert {pk: str(order) for pk, order in orders.items()} == {
        pk: f"remove {box.mailbox}@{box.organization}" for pk, box in boxes.items()
    }
    served = {pk for pk, order in orders.items() if order.tasks.exists()}
    assert served == {pk for pk, box in boxes.items() if box.organization == organization}


def test_what_is_in_the_way_of_one_is_in_the_way_of_all_that_go_together(
    organization: Organization,
) -> None:
    number = add_boxes([organization], 4)
    edit(Voicemailbox.unscoped.latest("id"), fullname="Jim")
    before = state()
    assert refused("history", "undo", number, "--yes").count("changed again since") == 1
    assert state() == before


def test_boxes_that_were_added_go_in_a_few_statements(
    organization: Organization, django_assert_max_num_queries: Any
) -> None:
    number = add_boxes([organization], 30)
    with django_assert_max_num_queries(35):
        run("history", "undo", number, "--yes")
    assert not Voicemailbox.unscoped.exists()


def test_a_change_of_very_many_is_worked_through_in_batches(
    organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("accounts.undo._AT_ONCE", 2)
    for _ in range(5):
        make_voicemailbox(organization)
    before = state()
    run("voicemailboxes", "disable", "--all-accounts")
    assert run("history", "undo", last(), "--yes").out.count("was changed.") == 5
    assert state() == before
