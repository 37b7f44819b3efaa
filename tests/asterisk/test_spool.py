"""Spool orders: when they are made, who gets them, and whom they keep out (docs/asterisk.md)."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ValidationError

from accounts.models import Account, Organization
from accounts.services import edit_organization
from tests.asterisk.pbx import Asterisk, make_pbx
from tests.factories import arranging, make_organization, make_voicemailbox
from voicemail.models import Pbx, SpoolOrder, Voicemailbox
from voicemail.services import delete_voicemailbox, edit_voicemailbox
from voicemail.spool import confirm, withdraw_removal

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
    return post(asterisk, "spool-orders").splitlines()


def post(asterisk: Asterisk, path: str, body: str = "") -> str:
    answer = asterisk.http.generic(
        "POST",
        f"/asterisk/{path}",
        body,
        "application/x-www-form-urlencoded",
        HTTP_AUTHORIZATION=f"Bearer {asterisk.credential}",
    )
    return str(answer.content, "ascii")


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

    assert post(asterisk, "spool-orders/confirm", f"number={number}") == "1"
    assert list_orders(asterisk) == []
    assert post(asterisk, "spool-orders/confirm", f"number={number}") == "0"


@pytest.mark.parametrize("number", ["", "0", "x", "-1", "9" * 30])
def test_what_is_no_number_confirms_nothing(
    asterisk: Asterisk, box: Voicemailbox, number: str
) -> None:
    delete(box)

    assert post(asterisk, "spool-orders/confirm", f"number={number}") == ""
    assert len(list_orders(asterisk)) == 1


def test_a_limited_pbx_neither_sees_nor_confirms_the_orders_of_others(
    box: Voicemailbox, other_organization: Organization
) -> None:
    pbx, credential = make_pbx("limited", organizations=[other_organization])
    limited = Asterisk(pbx.name, credential)
    delete(box)

    assert list_orders(limited) == []
    assert post(limited, "spool-orders/confirm", f"number={SpoolOrder.unscoped.get().pk}") == "0"


def test_without_credentials_nothing_is_listed(account: Account, box: Voicemailbox) -> None:
    delete(box)

    assert post(Asterisk("nobody", "wrong"), "spool-orders") == ""


def test_single_stays_one_query(
    asterisk: Asterisk, box: Voicemailbox, django_assert_num_queries: Any
) -> None:
    is_served(asterisk, 1001)
    with django_assert_num_queries(1):
        assert is_served(asterisk, 1001)
