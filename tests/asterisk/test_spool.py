"""Spool orders: when they are made, who gets them, and whom they keep out (docs/asterisk.md)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from accounts.models import Account, Organization
from accounts.services import delete_account, edit_organization
from tests.asterisk.pbx import Asterisk, make_pbx
from tests.factories import arranging, make_organization, make_voicemailbox
from voicemail import spool
from voicemail.models import Pbx, SpoolOrder, SpoolTask, Voicemailbox
from voicemail.services import delete_voicemailbox, edit_voicemailbox
from voicemail.spool import confirm, give_missed, purge_orders, withdraw_removal

ACME = "acme.example.com"


@pytest.fixture(autouse=True)
def _spool_orders(settings: Any) -> None:
    settings.SPOOL_ORDERS = True


@pytest.fixture
def asterisk(db: None) -> Asterisk:
    pbx, credential = make_pbx()
    return Asterisk(pbx.name, credential)


@pytest.fixture
def box(organization: Organization) -> Voicemailbox:
    return make_voicemailbox(organization, mailbox=1001)


def delete(box: Voicemailbox) -> None:
    with arranging():
        delete_voicemailbox(Voicemailbox.unscoped.get(pk=box.pk))


def renumber(box: Voicemailbox, mailbox: int) -> None:
    with arranging():
        changed = Voicemailbox.unscoped.get(pk=box.pk)
        changed.mailbox = mailbox
        edit_voicemailbox(changed)


def orders() -> list[tuple[Any, ...]]:
    columns = ("kind", "voicemailbox_id", "context", "mailbox", "to_context", "to_mailbox")
    return list(SpoolOrder.unscoped.values_list(*columns))


def is_served(asterisk: Asterisk, mailbox: int) -> bool:
    return asterisk.single(mailbox=str(mailbox), context=ACME) is not None


def test_a_deleted_box_leaves_an_order_to_remove(box: Voicemailbox) -> None:
    delete(box)

    assert orders() == [("remove", box.pk, ACME, 1001, "", None)]


def test_another_number_leaves_an_order_to_move(box: Voicemailbox) -> None:
    renumber(box, 1002)

    assert orders() == [("move", box.pk, ACME, 1001, ACME, 1002)]


def test_any_other_edit_leaves_no_order(box: Voicemailbox) -> None:
    with arranging():
        box.fullname = "Sue Smith"
        edit_voicemailbox(box)

    assert orders() == []


def test_another_domain_leaves_an_order_for_each_box(
    box: Voicemailbox, organization: Organization
) -> None:
    second = make_voicemailbox(organization, mailbox=1002)
    make_voicemailbox(make_organization(organization.account), mailbox=1001)
    with arranging():
        organization.domain = "Acme.example.org"
        edit_organization(organization)

    assert orders() == [
        ("move", box.pk, ACME, 1001, "acme.example.org", 1001),
        ("move", second.pk, ACME, 1002, "acme.example.org", 1002),
    ]


def test_without_the_setting_there_are_no_orders(box: Voicemailbox, settings: Any) -> None:
    settings.SPOOL_ORDERS = False
    delete(box)

    assert orders() == []


def test_a_new_box_of_an_old_name_is_served_once_the_removal_is_confirmed(
    asterisk: Asterisk, box: Voicemailbox, organization: Organization
) -> None:
    delete(box)
    make_voicemailbox(organization, mailbox=1001)
    assert not is_served(asterisk, 1001)

    assert confirm(Pbx.unscoped.get(), [SpoolOrder.unscoped.get().pk]) == 1
    assert is_served(asterisk, 1001)


def test_each_pbx_serves_it_once_it_has_confirmed_itself(
    asterisk: Asterisk, box: Voicemailbox, organization: Organization
) -> None:
    second, credential = make_pbx("pbx2")
    delete(box)
    make_voicemailbox(organization, mailbox=1001)
    confirm(second, [SpoolOrder.unscoped.get().pk])

    assert is_served(Asterisk("pbx2", credential), 1001)
    assert not is_served(asterisk, 1001)


def test_a_moved_box_is_served_under_its_new_name_at_once(
    asterisk: Asterisk, box: Voicemailbox
) -> None:
    renumber(box, 1002)

    assert is_served(asterisk, 1002)


def test_a_new_box_is_not_served_where_a_moved_one_left_its_recordings(
    asterisk: Asterisk, box: Voicemailbox, organization: Organization
) -> None:
    renumber(box, 1002)
    make_voicemailbox(organization, mailbox=1001)

    assert not is_served(asterisk, 1001)


def test_a_box_that_comes_back_to_its_own_number_is_served(
    asterisk: Asterisk, box: Voicemailbox
) -> None:
    renumber(box, 1002)
    renumber(box, 1001)

    assert is_served(asterisk, 1001)


def test_a_box_of_another_organization_is_not_kept_out(
    asterisk: Asterisk, box: Voicemailbox, other_organization: Organization
) -> None:
    delete(box)
    make_voicemailbox(other_organization, mailbox=1001)

    assert asterisk.single(mailbox="1001", context="globex.example.com") is not None


def test_restoring_withdraws_the_removal(asterisk: Asterisk, box: Voicemailbox) -> None:
    delete(box)
    withdraw_removal(box)

    assert SpoolOrder.unscoped.get().withdrawn is not None
    assert list_orders(asterisk) == []


def test_a_box_is_not_restored_while_others_recordings_lie_about(
    asterisk: Asterisk, box: Voicemailbox, organization: Organization
) -> None:
    delete(box)
    delete(make_voicemailbox(organization, mailbox=1001))

    with pytest.raises(ValidationError, match="Try again in a minute"):
        withdraw_removal(box)

    assert len(list_orders(asterisk)) == 2
    confirm(Pbx.unscoped.get(), SpoolOrder.unscoped.values_list("pk", flat=True))
    withdraw_removal(box)


def test_the_recordings_of_a_restored_box_follow_its_domain(
    asterisk: Asterisk, box: Voicemailbox, organization: Organization
) -> None:
    delete(box)
    with arranging():
        organization.domain = "acme.example.org"
        edit_organization(organization)
    box.organization.refresh_from_db()
    withdraw_removal(box)

    assert SpoolOrder.unscoped.filter(withdrawn=None).count() == 1
    assert orders()[-1] == ("move", box.pk, ACME, 1001, "acme.example.org", 1001)


def list_orders(asterisk: Asterisk) -> list[str]:
    return asterisk.ask_as_script("spool-orders").splitlines()


def test_a_pbx_lists_its_open_orders_in_their_order(asterisk: Asterisk, box: Voicemailbox) -> None:
    renumber(box, 1002)
    delete(box)
    move, remove = SpoolOrder.unscoped.order_by("id")

    first, second = (line.split(" ") for line in list_orders(asterisk))
    assert first[:4] == [str(move.pk), "move", ACME, "1001"]
    assert first[5:] == [ACME, "1002"]
    assert second[:4] == [str(remove.pk), "remove", ACME, "1002"]
    assert second[5:] == ["-", "-"]
    assert move.created.timestamp() <= int(first[4]) < move.created.timestamp() + 1


def test_a_confirmed_order_is_listed_no_more(asterisk: Asterisk, box: Voicemailbox) -> None:
    delete(box)
    number = SpoolOrder.unscoped.get().pk

    assert asterisk.ask_as_script("spool-orders/confirm", f"number={number}") == "1"
    assert list_orders(asterisk) == []
    assert asterisk.ask_as_script("spool-orders/confirm", f"number={number}") == "0"


@pytest.mark.parametrize("number", ["", "0", "x", "-1", "9" * 30])
def test_what_is_no_number_confirms_nothing(
    asterisk: Asterisk, box: Voicemailbox, number: str
) -> None:
    delete(box)

    assert asterisk.ask_as_script("spool-orders/confirm", f"number={number}") == ""
    assert len(list_orders(asterisk)) == 1


def test_a_limited_pbx_neither_sees_nor_confirms_the_orders_of_others(
    box: Voicemailbox, other_organization: Organization
) -> None:
    pbx, credential = make_pbx("limited", organizations=[other_organization])
    limited = Asterisk(pbx.name, credential)
    delete(box)

    assert list_orders(limited) == []
    assert (
        limited.ask_as_script("spool-orders/confirm", f"number={SpoolOrder.unscoped.get().pk}")
        == "0"
    )


def test_without_credentials_nothing_is_listed(account: Account, box: Voicemailbox) -> None:
    delete(box)

    assert Asterisk("nobody", "wrong").ask_as_script("spool-orders") == ""


def test_single_stays_one_query(
    asterisk: Asterisk, box: Voicemailbox, django_assert_num_queries: Any
) -> None:
    is_served(asterisk, 1001)
    with django_assert_num_queries(1):
        assert is_served(asterisk, 1001)


# Whose an order is, and how long


def make_limited(*organizations: Organization) -> Asterisk:
    pbx, credential = make_pbx("limited", organizations=organizations)
    return Asterisk(pbx.name, credential)


def test_an_order_outlives_its_organization_and_account(
    box: Voicemailbox, organization: Organization, other_organization: Organization
) -> None:
    limited = make_limited(organization, other_organization)
    delete(box)
    with arranging():
        delete_account(organization.account)

    assert len(list_orders(limited)) == 1
    assert confirm(Pbx.unscoped.get(), [SpoolOrder.unscoped.get().pk]) == 1


def test_the_recordings_of_a_deleted_organization_keep_out_the_next_of_its_domain(
    box: Voicemailbox, organization: Organization, other_account: Account
) -> None:
    limited = make_limited(organization)
    delete(box)
    with arranging():
        delete_account(organization.account)
    successor = make_organization(other_account, domain=ACME)
    Pbx.unscoped.get().organizations.add(successor)
    make_voicemailbox(successor, mailbox=1001)
    assert not is_served(limited, 1001)

    confirm(Pbx.unscoped.get(), [SpoolOrder.unscoped.get().pk])
    assert is_served(limited, 1001)


def test_a_pbx_that_is_disabled_meanwhile_finds_its_orders_afterwards(
    asterisk: Asterisk, box: Voicemailbox
) -> None:
    Pbx.unscoped.update(is_active=False)
    delete(box)
    assert list_orders(asterisk) == []

    Pbx.unscoped.update(is_active=True)
    assert len(list_orders(asterisk)) == 1


def test_a_pbx_has_no_orders_from_before_it_was_added(box: Voicemailbox) -> None:
    delete(box)
    pbx, credential = make_pbx("later")
    give_missed(pbx)

    assert list_orders(Asterisk("later", credential)) == []


def test_a_pbx_that_gets_an_organization_back_gets_the_orders_that_it_missed(
    box: Voicemailbox, organization: Organization, other_organization: Organization
) -> None:
    limited = make_limited(other_organization)
    delete(box)
    delete(make_voicemailbox(organization, mailbox=1002))
    restored, missed = SpoolOrder.unscoped.order_by("id")
    withdraw_removal(box)
    pbx = Pbx.unscoped.get()
    pbx.organizations.add(organization)
    for _ in range(2):
        give_missed(pbx)

    assert [line.split(" ")[0] for line in list_orders(limited)] == [str(missed.pk)]
    assert not restored.tasks.exists()


def test_a_limited_pbx_misses_no_order_about_others(
    box: Voicemailbox, other_organization: Organization
) -> None:
    limited = make_limited(other_organization)
    delete(box)
    give_missed(Pbx.unscoped.get())

    assert list_orders(limited) == []


def test_an_order_is_told_once_to_a_pbx_with_several_organizations(
    asterisk: Asterisk, box: Voicemailbox, organization: Organization
) -> None:
    others = [make_organization(organization.account) for _ in range(3)]
    Pbx.unscoped.get().organizations.set([organization, *others])
    delete(box)

    assert len(list_orders(asterisk)) == 1


def test_the_orders_of_a_domain_are_given_in_batches(
    asterisk: Asterisk, organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "_AT_ONCE", 2)
    boxes = [make_voicemailbox(organization, mailbox=2001 + number) for number in range(5)]
    with arranging():
        organization.domain = "acme.example.org"
        edit_organization(organization)

    assert [line.split(" ")[3] for line in list_orders(asterisk)] == [
        str(box.mailbox) for box in boxes
    ]


# Purging


NOW = timezone.now()


def purge(*, days: int = 30, batch: int = 100, dry_run: bool = False) -> int:
    return purge_orders(before=NOW - timedelta(days=days), batch=batch, dry_run=dry_run)


def make_old(days: int = 31) -> list[int]:
    """Make every order as it were that many days old, and give their numbers."""
    SpoolOrder.unscoped.update(created=NOW - timedelta(days=days))
    return list(SpoolOrder.unscoped.order_by("id").values_list("pk", flat=True))


def test_an_old_order_that_every_pbx_has_carried_out_is_purged_with_its_tasks(
    asterisk: Asterisk, box: Voicemailbox
) -> None:
    delete(box)
    confirm(Pbx.unscoped.get(), make_old())

    assert purge() == 1
    assert not SpoolOrder.unscoped.exists()
    assert not SpoolTask.unscoped.exists()


@pytest.mark.parametrize("is_active", [True, False])
def test_an_order_that_one_pbx_has_still_to_carry_out_stays(
    asterisk: Asterisk, box: Voicemailbox, is_active: bool
) -> None:
    make_pbx("second", is_active=is_active)
    delete(box)
    confirm(Pbx.unscoped.get(name="pbx1"), make_old(days=4000))

    assert purge() == 0
    assert SpoolOrder.unscoped.count() == 1


def test_a_young_order_stays(asterisk: Asterisk, box: Voicemailbox) -> None:
    delete(box)
    confirm(Pbx.unscoped.get(), make_old(days=30))

    assert purge() == 0
    assert SpoolOrder.unscoped.count() == 1


def test_a_withdrawn_order_is_purged(asterisk: Asterisk, box: Voicemailbox) -> None:
    delete(box)
    withdraw_removal(box)
    make_old()

    assert purge() == 1


def test_an_order_of_a_pbx_that_is_gone_is_purged(asterisk: Asterisk, box: Voicemailbox) -> None:
    delete(box)
    make_old()
    Pbx.unscoped.get().delete()

    assert purge() == 1


def test_a_dry_run_of_a_purge_counts_and_deletes_nothing(
    asterisk: Asterisk, box: Voicemailbox
) -> None:
    delete(box)
    confirm(Pbx.unscoped.get(), make_old())

    assert purge(dry_run=True) == 1
    assert SpoolOrder.unscoped.count() == 1


def test_a_purge_works_through_every_batch_past_what_is_open(
    asterisk: Asterisk, organization: Organization
) -> None:
    for mailbox in range(2001, 2008):
        delete(make_voicemailbox(organization, mailbox=mailbox))
    first, second, *done = make_old()
    confirm(Pbx.unscoped.get(), done)

    assert purge(batch=2) == 5
    assert set(SpoolOrder.unscoped.values_list("pk", flat=True)) == {first, second}
