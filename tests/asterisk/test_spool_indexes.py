"""How PostgreSQL finds spool orders, with 100,000 done and 20,000 open ones in place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import override_settings
from pytest_django.plugin import DjangoDbBlocker

from accounts.models import Account, Organization, User
from tests.admin_pages import client_of, rows_of
from tests.asterisk.pbx import make_pbx
from tests.factories import arranging, make_account, make_organization, make_voicemailbox
from tests.voicemail.test_indexes import multiply, nodes_beside
from voicemail.asterisk.boxes import find_row
from voicemail.asterisk.credentials import Credentials
from voicemail.asterisk.views import SpoolOrdersView
from voicemail.models import Pbx, SpoolOrder, SpoolTask, Voicemailbox
from voicemail.services import delete_voicemailbox
from voicemail.spool import confirm, delayed_among, may_play_others, pbxs_to_wait_for

pytestmark = [
    pytest.mark.skipif(
        connection.vendor != "postgresql", reason="SQLite's plans tell no costs to rely on."
    ),
    pytest.mark.django_db,
]

ORGANIZATIONS, BOXES, DONE, OPEN = 100, 50_000, 100_000, 20_000


@pytest.fixture(autouse=True)
def _spool_orders(settings: Any) -> None:
    settings.SPOOL_ORDERS = True


@dataclass(frozen=True)
class Crowd:
    """What was loaded: one PBX of two, and the organization of a box that waits for both."""

    credentials: Credentials
    organization_id: int


def load() -> Crowd:
    """Fill the tables; every hundredth order is about the same organization."""
    organization = make_organization(make_account(), domain="org0.example.net")
    multiply(organization, ORGANIZATIONS - 1, domain="'org' || n || '.example.net'")
    pbx, _ = make_pbx()
    make_pbx("pbx2")
    former = make_voicemailbox(organization, mailbox=1001)
    with arranging(), override_settings(SPOOL_ORDERS=True):
        delete_voicemailbox(former)
    order = SpoolOrder.unscoped.get()
    turn = f"n % {ORGANIZATIONS}"
    names = {
        "organization_id": f"{organization.pk} + {turn}",
        "context": f"'org' || {turn} || '.example.net'",
        "mailbox": f"1001 + n / {ORGANIZATIONS}",
        "voicemailbox_id": "1000000 + n",
    }
    multiply(order, DONE, **names)
    SpoolOrder.unscoped.filter(pk=order.pk).delete()
    last_done = SpoolOrder.unscoped.latest("id")
    multiply(last_done, OPEN, **names)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO voicemail_spooltask (order_id, pbx_id, confirmed) "
            "SELECT o.id, p.id, CASE WHEN o.id <= %s THEN now() END "
            "FROM voicemail_spoolorder o, voicemail_pbx p",
            [last_done.pk],
        )
    box = make_voicemailbox(organization, mailbox=1000)
    columns = {name: names[name] for name in ("organization_id", "mailbox")}
    multiply(box, BOXES - 1, username="'box' || n", **columns)
    multiply(Voicemailbox.history.latest("history_id"), BOXES - 1, id="n", **columns)
    return Crowd(Credentials(pbx.name, pbx.credential_digest), organization.pk)


def tables() -> list[str]:
    models: tuple[Any, ...] = (
        *(Account, Organization, Voicemailbox, Voicemailbox.history.model),
        *(Pbx, SpoolOrder, SpoolTask),
    )
    return [model._meta.db_table for model in models]


@pytest.fixture(scope="module")
def crowd(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Crowd]:
    """Load the crowd once, outside every test's transaction: VACUUM runs in none."""
    with django_db_blocker.unblock():
        with transaction.atomic():
            loaded = load()
        with connection.cursor() as cursor:
            cursor.execute(f"VACUUM ANALYZE {', '.join(tables())}")
    yield loaded
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {', '.join(tables())} CASCADE")


@pytest.fixture
def box(crowd: Crowd) -> Voicemailbox:
    """Give a box that waits for both PBXs."""
    return Voicemailbox.unscoped.get(organization_id=crowd.organization_id, mailbox=1050)


def assert_indexed(action: Callable[[], Any], *models: Any) -> None:
    """Demand that nothing goes through the whole table of any of these."""
    for model in models:
        assert ("Seq Scan", model._meta.db_table) not in nodes_beside(action, model)


@pytest.mark.parametrize(("mailbox", "is_served"), [("1050", False), ("1400", True)])
def test_a_call_looks_its_box_and_the_orders_in_its_way_up_in_indexes(
    crowd: Crowd, mailbox: str, is_served: bool
) -> None:
    def look_up() -> None:
        row = find_row(crowd.credentials, {"mailbox": mailbox, "context": "org0.example.net"})
        assert (row is not None) is is_served

    assert_indexed(look_up, Voicemailbox, SpoolOrder, SpoolTask)


def test_the_open_orders_of_a_pbx_are_read_along_an_index_past_all_that_are_done(
    crowd: Crowd,
) -> None:
    found: list[str] = []

    def look_up() -> None:
        found[:] = SpoolOrdersView().answer(crowd.credentials, {}).splitlines()

    assert_indexed(look_up, SpoolOrder, SpoolTask)
    nodes = nodes_beside(look_up, SpoolTask)
    assert ("Index Only Scan", "voicemail_spooltask") in nodes
    assert [kind for kind, _ in nodes if kind in ("Merge Join", "Hash Join")] == []
    assert len(found) == 1000
    assert found[0].split(" ")[0] == str(
        SpoolTask.unscoped.filter(confirmed=None).earliest("order_id").order_id
    )


def test_a_confirmation_finds_its_task(crowd: Crowd) -> None:
    pbx = crowd.credentials.pbxs.get()
    number = SpoolOrder.unscoped.latest("id").pk
    assert_indexed(lambda: confirm(pbx, [number]), SpoolTask)


def test_a_page_of_mailboxes_looks_up_which_of_them_wait(box: Voicemailbox) -> None:
    page = list(Voicemailbox.unscoped.filter(organization_id=box.organization_id)[:50])
    assert_indexed(lambda: delayed_among(page), SpoolOrder, SpoolTask)


def test_the_pbxs_that_a_mailbox_waits_for_are_looked_up(box: Voicemailbox) -> None:
    def look_up() -> None:
        assert pbxs_to_wait_for(box) == ["pbx1", "pbx2"]

    assert_indexed(look_up, SpoolOrder, SpoolTask)


def test_who_had_a_number_before_is_looked_up_in_the_history(
    box: Voicemailbox, settings: Any
) -> None:
    settings.SPOOL_ORDERS = False

    def look_up() -> None:
        assert may_play_others(box)

    assert_indexed(look_up, Voicemailbox.history.model)


@pytest.mark.parametrize("term", ["1050", "org7.example.net", "1050@org7.example.net"])
def test_staff_find_orders_by_an_index(staff: User, crowd: Crowd, term: str) -> None:
    client = client_of(staff)

    def search() -> None:
        assert rows_of(client.get("/admin/voicemail/spoolorder/", {"q": term}))

    assert_indexed(search, SpoolOrder)


def test_a_page_of_orders_is_never_sorted(staff: User, crowd: Crowd) -> None:
    client = client_of(staff)

    def browse() -> None:
        assert len(rows_of(client.get("/admin/voicemail/spoolorder/"))) == 50

    nodes = nodes_beside(browse, SpoolOrder)
    assert [kind for kind, _ in nodes if kind.endswith("Sort")] == []
