"""Who changed what: one Change for each record_change, and a history row for each object."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import update_last_login
from django.db import models, transaction
from django.utils import timezone

from accounts.history import ChangeRequiredError, record_change
from accounts.models import Account, Change, Channel, Organization, Role, Session, User
from accounts.services import (
    add_organization,
    edit_account,
    edit_organization,
    open_password_link,
    open_session,
    set_active,
    set_password,
)
from tests.factories import arranging, make_user, make_voicemailbox
from voicemail.models import Voicemailbox
from voicemail.services import delete_voicemailbox, edit_voicemailbox


def rename(organization: Organization, name: str = "Springfield") -> bool:
    organization.contact_city = name
    return edit_organization(organization)


def recorded() -> dict[str, int]:
    """Count what the history holds."""
    histories: list[Any] = [each for each in apps.get_models() if hasattr(each, "history_type")]
    assert len(histories) == 4
    return {model.__name__: model._base_manager.count() for model in [Change, *histories]}


def last_row(model: Any) -> Any:
    return model.history.order_by("history_id").last()


def test_a_change_tells_who_by_which_way_and_when(organization: Organization, alice: User) -> None:
    before = timezone.now()
    with record_change(by=alice, channel=Channel.API, request_id="r-1"):
        rename(organization)
    change = Change.unscoped.latest("id")
    assert (change.user, change.actor, change.channel) == (alice, "alice", "api")
    assert (change.account, change.request_id) == (organization.account, "r-1")
    assert before <= change.created <= timezone.now()


def test_a_change_names_an_operator_who_is_no_user(organization: Organization) -> None:
    with record_change(by=None, channel=Channel.COMMAND, actor="root at a shell"):
        rename(organization)
    change = Change.unscoped.latest("id")
    assert (change.user, change.actor) == (None, "root at a shell")


def make_box(organization: Organization) -> models.Model:
    return make_voicemailbox(organization)


def make_dora(organization: Organization) -> models.Model:
    return make_user("dora", Role.USER, organization.account)


@pytest.mark.parametrize("make", [make_box, make_dora])
def test_a_history_row_refers_to_its_change_and_carries_the_account(
    organization: Organization, make: Callable[[Organization], models.Model]
) -> None:
    made = make(organization)
    row = last_row(type(made))
    assert row.change == Change.unscoped.latest("id")
    assert row.account_id == organization.account_id


def test_a_history_row_names_the_user_of_its_change(
    organization: Organization, alice: User
) -> None:
    with record_change(by=alice, channel=Channel.WEB):
        rename(organization)
    assert last_row(Organization).history_user_id == alice.pk


def test_the_history_of_an_account_has_itself_as_the_account(account: Account) -> None:
    account.contact_city = "Springfield"
    with arranging():
        edit_account(account)
    assert [row.account_id for row in Account.history.all()] == [account.pk, account.pk]


def test_the_history_of_staff_has_no_account(staff: User) -> None:
    row = last_row(User)
    assert (row.account_id, row.change.account_id) == (None, None)


def test_the_history_has_each_state_with_what_was_done(organization: Organization) -> None:
    box = make_voicemailbox(organization, fullname="Joe Smith", password="0042")
    with arranging():
        box.fullname = "Sue Smith"
        edit_voicemailbox(box)
        delete_voicemailbox(box)
    rows = Voicemailbox.history.order_by("history_id")
    told = [(row.history_type, row.fullname, row.password) for row in rows]
    assert told == [
        ("+", "Joe Smith", "0042"),
        ("~", "Sue Smith", "0042"),
        ("-", "Sue Smith", "0042"),
    ]


def test_several_rows_of_one_record_change_share_one_change(organization: Organization) -> None:
    boxes = [make_voicemailbox(organization) for _ in range(2)]
    before = recorded()
    with arranging():
        for box in boxes:
            box.say_duration = True
            edit_voicemailbox(box)
        rename(organization)
    after = recorded()
    assert after["Change"] == before["Change"] + 1
    assert after["HistoricalVoicemailbox"] == before["HistoricalVoicemailbox"] + 2
    assert last_row(Organization).change == last_row(Voicemailbox).change


def test_an_edit_that_changes_nothing_leaves_no_row_and_no_change(
    organization: Organization,
) -> None:
    before = recorded()
    with arranging():
        assert not rename(organization, organization.contact_city)
    assert recorded() == before


def test_a_change_that_touches_several_accounts_names_none(
    organization: Organization, other_organization: Organization
) -> None:
    with arranging():
        rename(organization)
        rename(other_organization)
    change = Change.unscoped.latest("id")
    assert change.account is None
    assert last_row(Organization).change == change
    assert last_row(Organization).account_id == other_organization.account_id


def test_a_change_that_was_given_another_account_than_it_touches_names_none(
    organization: Organization, other_account: Account
) -> None:
    with record_change(by=None, channel=Channel.COMMAND, actor="test", account=other_account):
        rename(organization)
    assert Change.unscoped.latest("id").account is None


def test_a_change_that_fails_leaves_nothing(organization: Organization) -> None:
    before = recorded()
    with suppress(RuntimeError), arranging():
        rename(organization)
        raise RuntimeError
    assert recorded() == before
    assert Organization.unscoped.get().contact_city == ""


def test_after_a_change_that_failed_nothing_can_be_written(organization: Organization) -> None:
    with suppress(RuntimeError), arranging():
        raise RuntimeError
    with pytest.raises(ChangeRequiredError):
        rename(organization)


def test_a_change_within_a_change_has_its_own_author(
    organization: Organization, alice: User, staff: User
) -> None:
    with record_change(by=staff, channel=Channel.WEB):
        rename(organization, "Springfield")
        with record_change(by=alice, channel=Channel.API):
            rename(organization, "Shelbyville")
        rename(organization, "Ogdenville")
    rows = organization.history.order_by("history_id")[1:]
    assert [(row.contact_city, row.change.actor) for row in rows] == [
        ("Springfield", "staff"),
        ("Shelbyville", "alice"),
        ("Ogdenville", "staff"),
    ]
    assert rows[0].change == rows[2].change


def test_a_change_goes_on_after_its_first_step_was_rolled_back(
    organization: Organization, other_organization: Organization
) -> None:
    before = recorded()
    with arranging():
        with suppress(RuntimeError), transaction.atomic():
            rename(other_organization)
            raise RuntimeError
        rename(organization)
    after = recorded()
    assert after["Change"] == before["Change"] + 1
    assert after["HistoricalOrganization"] == before["HistoricalOrganization"] + 1
    assert last_row(Organization).change == Change.unscoped.latest("id")
    assert Change.unscoped.latest("id").account == organization.account


def write_alone(refused: list[bool]) -> None:
    """Try to store a row; it is refused before the database is asked."""
    try:
        Account().save()
    except ChangeRequiredError:
        refused.append(True)


def test_a_change_is_its_threads_own(db: None) -> None:
    refused: list[bool] = []
    thread = Thread(target=write_alone, args=[refused])
    with arranging():
        thread.start()
        thread.join()
    assert refused == [True]


def test_a_change_outlives_its_author_and_its_account(account: Account, bob: User) -> None:
    with record_change(by=bob, channel=Channel.API):
        account.contact_city = "Springfield"
        edit_account(account)
    change = Change.unscoped.latest("id")
    bob_id, account_id = bob.pk, account.pk
    with arranging():
        account.delete()
    kept = Change.unscoped.get(pk=change.pk)
    assert (kept.user_id, kept.account_id, kept.actor) == (bob_id, account_id, "bob")


def add_something(organization: Organization) -> None:
    add_organization(Organization(account=organization.account, domain="new.example.com"))


def delete_something(organization: Organization) -> None:
    organization.delete()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("write", [add_something, rename, delete_something])
def test_what_is_written_without_an_author_is_refused_and_not_stored(
    organization: Organization, write: Callable[[Organization], Any]
) -> None:
    stored = list(Organization.unscoped.values())
    before = recorded()
    with pytest.raises(ChangeRequiredError) as caught:
        write(organization)
    assert str(caught.value) == "Every write belongs into a record_change block."
    assert list(Organization.unscoped.values()) == stored
    assert recorded() == before


def test_the_history_of_a_user_knows_neither_password_nor_last_login() -> None:
    columns = {field.attname for field in User.history.model._meta.concrete_fields}
    assert {"auth_username", "role", "is_active"} <= columns
    assert not {"password", "last_login", "password_link_made"} & columns


@pytest.mark.parametrize(
    ("write", "told"),
    [
        (lambda user: set_password(user, "another battery"), "Password changed"),
        (open_password_link, "Password link made"),
    ],
)
def test_a_password_and_a_link_to_set_it_are_noted_without_being_told(
    alice: User, write: Callable[[User], None], told: str
) -> None:
    before = last_row(User)
    with record_change(by=alice, channel=Channel.WEB):
        write(alice)
    row = last_row(User)
    change = Change.unscoped.latest("id")
    assert (row.history_type, row.history_change_reason) == ("~", told)
    assert (row.change, change.user, row.history_user_id) == (change, alice, alice.pk)
    assert (row.account_id, row.modified) == (before.account_id, before.modified)
    assert User.history.count() == 2


def test_a_new_password_needs_an_author(alice: User) -> None:
    with pytest.raises(ChangeRequiredError), transaction.atomic():
        set_password(alice, "another battery")
    assert not User.unscoped.get().check_password("another battery")


def test_a_user_can_be_disabled_after_the_password_was_set(alice: User, bob: User) -> None:
    with arranging():
        set_password(bob, "another battery")
        before = recorded()
        set_active(bob, is_active=True)
    assert recorded() == before


def test_a_login_leaves_no_row_and_needs_no_author(alice: User) -> None:
    before = recorded()
    update_last_login(type(alice), alice)
    assert User.unscoped.get().last_login is not None
    assert recorded() == before


def test_sessions_have_no_history(alice: User) -> None:
    before = recorded()
    open_session(alice, now=timezone.now(), client_address=None, user_agent="")
    Session.unscoped.get().delete()
    assert not hasattr(Session, "history")
    assert recorded() == before


def test_every_model_with_a_history_ties_its_rows_to_a_change() -> None:
    kept = [model for model in apps.get_models() if hasattr(model, "history")]
    assert {model.__name__ for model in kept} == {"Account", "Organization", "User", "Voicemailbox"}
    for model in kept:
        change = model.history.model._meta.get_field("change")
        assert not change.null
        assert change.db_constraint
