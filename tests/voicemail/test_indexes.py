"""How PostgreSQL finds rows, asked for the service's own queries with 100,000 boxes in place."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection, models, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django.plugin import DjangoDbBlocker

from accounts.authentication import find_user
from accounts.models import Account, Change, Organization, Role, Session, User
from accounts.services import (
    delete_organization,
    end_session,
    end_sessions_of,
    open_session,
)
from tests.admin_pages import client_of, rows_of
from tests.api import ApiClient
from tests.factories import arranging, make_account, make_organization, make_user, make_voicemailbox
from voicemail.models import Voicemailbox
from voicemail.search import search
from voicemail.services import next_free_mailbox, suggested_username

pytestmark = [
    pytest.mark.skipif(
        connection.vendor != "postgresql", reason="SQLite's plans tell no costs to rely on."
    ),
    pytest.mark.django_db,
]

ACCOUNTS, ORGANIZATIONS, USERS, CHANGES, BOXES = 10, 2_000, 5_000, 20_000, 100_000
BIG = 10_000  # The boxes of one organization; each other one has some 45.


@dataclass(frozen=True)
class Crowd:
    """Ids of what was loaded: an account, and its organization with very many boxes."""

    account_id: int
    organization_id: int


def multiply(row: models.Model, number: int, **columns: str) -> None:
    """Insert copies of a row, with some columns from SQL in which ``n`` counts from 1."""
    model = type(row)
    names = [str(each.column) for each in model._meta.concrete_fields if not each.primary_key]
    values = [columns.get(name, f"made.{name}") for name in names]
    table, pk = model._meta.db_table, model._meta.pk.column
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({', '.join(names)}) SELECT {', '.join(values)} "  # noqa: S608  # Ours.
            f"FROM {table} made, generate_series(1, {number}) n WHERE made.{pk} = {row.pk}"
        )


NEXT_NUMBERS = {"mailbox": "made.mailbox + n", "username": "made.username || n"}


def _belonging(first: Organization, turn: str) -> dict[str, str]:
    """Give the columns by which a row belongs to an organization, counted from the first."""
    return {
        "organization_id": f"{first.pk} + {turn}",
        "account_id": f"{first.account_id} + ({turn}) % {ACCOUNTS}",
    }


def load() -> Crowd:
    """Fill the tables; the organizations take turns, but for the big one."""
    account = make_account()
    multiply(account, ACCOUNTS - 1)
    organization = make_organization(account)
    multiply(
        organization,
        ORGANIZATIONS - 1,
        account_id=f"{account.pk} + n % {ACCOUNTS}",
        domain="'org' || n || '.example.net'",
    )
    user = make_user("dora", Role.USER, account, organization=organization, username="dora")
    names = {"auth_username": "'user' || n", "username": "'user' || n"}
    multiply(user, USERS - 1, **_belonging(organization, f"n % {ORGANIZATIONS}"), **names)
    _, session = open_session(user, now=timezone.now(), client_address=None, user_agent="")
    digest = "encode(sha256(n::text::bytea), 'hex')"
    multiply(session, USERS - 1, user_id=f"{user.pk} + n", digest=digest)
    box = make_voicemailbox(organization, mailbox=9_999_999)
    numbers = {"mailbox": f"7919 * n % {BOXES} + 1", "username": "'box' || n"}
    turn = f"CASE WHEN n < {BIG} THEN 0 ELSE n % {ORGANIZATIONS} END"
    multiply(box, BOXES - 1, **_belonging(organization, turn), **numbers)
    turns = {"account_id": f"{account.pk} + n % {ACCOUNTS}"}
    multiply(Change.unscoped.latest("id"), CHANGES - 1, **turns)
    multiply(Voicemailbox.history.get(), CHANGES - 1, id=f"{box.pk} + n", **turns)
    return Crowd(account.pk, organization.pk)


def tables() -> list[str]:
    rows = (Account, Organization, User, Session, Change, Voicemailbox, Voicemailbox.history.model)
    return [model._meta.db_table for model in rows]


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
def alice(crowd: Crowd) -> User:
    """Give an admin of the account with the big organization."""
    return make_user("alice", Role.ACCOUNT_ADMIN, Account.unscoped.get(pk=crowd.account_id))


def nodes_of(plan: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Give each node of a plan as its type and its table, or its index where that is all."""
    yield plan["Node Type"], plan.get("Relation Name") or plan.get("Index Name", "")
    for part in plan.get("Plans", ()):
        yield from nodes_of(part)


def trees_of(action: Callable[[], Any]) -> Iterator[dict[str, Any]]:
    """Carry something out, and give the plan of each statement that reads or changes rows."""
    with CaptureQueriesContext(
        connection,
    ) as captured:
        action()
    with connection.cursor() as cursor:
        for query in captured.captured_queries:
            if query["sql"].startswith(("SELECT", "UPDATE", "DELETE", "WITH", "EXECUTE")):
                cursor.execute(f"EXPLAIN (FORMAT JSON) {query['sql']}")
                (told,) = cursor.fetchone()
                tree = told if isinstance(told, list) else json.loads(told)
                yield tree[0]["Plan"]


def plans_of(action: Callable[[], Any]) -> list[list[tuple[str, str]]]:
    """Carry something out, and give the nodes of each of its plans."""
    return [list(nodes_of(tree)) for tree in trees_of(action)]


def indexes_of(action: Callable[[], Any]) -> set[str]:
    """Carry something out, and give the indexes of all its plans."""
    plans = list(trees_of(action))
    found = set()
    while plans:
        plan = plans.pop()
        found.add(plan.get("Index Name", ""))
        plans += plan.get("Plans", ())
    return found


def nodes_beside(action: Callable[[], Any], model: type[models.Model]) -> list[tuple[str, str]]:
    """Give the nodes of every plan that reads the model's table; there is at least one."""
    table = model._meta.db_table
    plans = [plan for plan in plans_of(action) if table in {name for _, name in plan}]
    assert plans
    return [node for plan in plans for node in plan]


def assert_indexed(action: Callable[[], Any], model: type[models.Model]) -> None:
    """Demand that nothing goes through the whole table."""
    assert ("Seq Scan", model._meta.db_table) not in nodes_beside(action, model)


def assert_unsorted(action: Callable[[], Any], model: type[models.Model]) -> None:
    """Demand that nothing goes through the whole table, and that no row is sorted."""
    nodes = nodes_beside(action, model)
    assert ("Seq Scan", model._meta.db_table) not in nodes
    assert [kind for kind, _ in nodes if kind.endswith("Sort")] == []


ORDERS = ("VoicemailboxId", "OrganizationId", "Mailbox")


@pytest.mark.parametrize("order", [*ORDERS, *(f"{order} Desc" for order in ORDERS)])
@pytest.mark.parametrize("role", ["alice", "staff"])
@pytest.mark.parametrize("parent", ["AccountId", "OrganizationId"])
def test_the_first_page_of_every_list_is_read_along_an_index(
    request: pytest.FixtureRequest, crowd: Crowd, parent: str, role: str, order: str
) -> None:
    api = request.getfixturevalue(f"as_{role}")
    ids = {"AccountId": crowd.account_id, "OrganizationId": crowd.organization_id}
    found: list[Any] = []

    def browse() -> None:
        found.append(api.call("VoicemailboxBrowse", **{parent: ids[parent]}, OrderBy=order))

    assert_unsorted(browse, Voicemailbox)
    attributes = found[0].result["Voicemailboxes"]["@attributes"]
    assert attributes["Limit"] == "20"
    assert int(attributes["Found"]) >= BIG


def as_admin_of(account: Account) -> ApiClient:
    """Log in as a new admin of an account."""
    carol = make_user("carol", Role.ACCOUNT_ADMIN, account)
    session_id, _ = open_session(carol, now=timezone.now(), client_address=None, user_agent="")
    return ApiClient(session_id)


@pytest.mark.usefixtures("crowd")
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("parent", ["AccountId", "OrganizationId"])
def test_a_small_accounts_list_is_not_looked_for_among_all_boxes(
    settings: Any, parent: str, order: str
) -> None:
    """A plan that is kept for all accounts would do so; PostgreSQL decides at the sixth time."""
    settings.DATABASE_PREPARE = True
    account = make_account()
    organization = make_organization(account)
    multiply(make_voicemailbox(organization, mailbox=7_000_000), 30, **NEXT_NUMBERS)
    api = as_admin_of(account)
    ids = {"AccountId": account.pk, "OrganizationId": organization.pk}

    def browse() -> None:
        options: dict[str, Any] = {parent: ids[parent], "OrderBy": order, "CalcFound": "false"}
        assert api.call("VoicemailboxBrowse", **options).is_completed

    for _ in range(6):
        browse()
    indexes = indexes_of(browse)
    assert {index for index in indexes if index.startswith("voicemailbox_")}
    assert "voicemail_voicemailbox_pkey" not in indexes


@pytest.mark.parametrize("order", ORDERS)
def test_a_foreign_organizations_boxes_are_not_looked_for_among_all(
    crowd: Crowd, order: str
) -> None:
    api = as_admin_of(make_account())

    def browse() -> None:
        reply = api.call("VoicemailboxBrowse", OrganizationId=crowd.organization_id, OrderBy=order)
        assert reply.errors == [("OrganizationAuthorization.Required",)]

    indexes = indexes_of(browse)
    assert {index for index in indexes if index.startswith("voicemailbox_")}
    assert "voicemail_voicemailbox_pkey" not in indexes


@pytest.fixture
def box(crowd: Crowd) -> Voicemailbox:
    """Give the box of a stranger in the crowd."""
    return Voicemailbox.unscoped.filter(organization_id=crowd.organization_id)[1000]


@pytest.mark.parametrize("action", ["VoicemailboxRead", "VoicemailboxEdit", "VoicemailboxDelete"])
def test_a_box_is_found_by_its_id(as_alice: ApiClient, box: Voicemailbox, action: str) -> None:
    def carry_out() -> None:
        assert as_alice.call(action, VoicemailboxId=box.pk, Mailbox=9_999_998).is_completed

    assert_indexed(carry_out, Voicemailbox)


@pytest.mark.parametrize("taken", ["mailbox", "username"])
@pytest.mark.parametrize("is_new", [True, False], ids=["new", "edited"])
def test_what_another_box_holds_is_looked_up_in_an_index(
    box: Voicemailbox, taken: str, is_new: bool
) -> None:
    if is_new:
        box.pk = None
    exclude = {"mailbox", "username"} - {taken}
    assert_indexed(lambda: box.taken_errors(exclude), Voicemailbox)


def test_a_free_number_is_looked_up_in_an_index(crowd: Crowd) -> None:
    organization = Organization.unscoped.get(pk=crowd.organization_id)
    assert_indexed(lambda: next_free_mailbox(organization), Voicemailbox)


def test_a_free_address_is_looked_up_in_an_index(crowd: Crowd) -> None:
    organization = Organization.unscoped.get(pk=crowd.organization_id)
    assert_indexed(
        lambda: suggested_username(organization, mailbox=None, fullname="Box77"), Voicemailbox
    )


def test_a_session_is_found_by_its_digest(as_alice: ApiClient) -> None:
    assert_indexed(lambda: as_alice.call("NoOp"), Session)


def test_a_session_is_ended_by_its_digest(crowd: Crowd) -> None:
    assert_indexed(lambda: end_session("a" * 32), Session)


def test_an_organization_is_found_by_its_domain(as_staff: ApiClient, crowd: Crowd) -> None:
    def read() -> None:
        assert as_staff.call("OrganizationRead", Domain="ORG77.example.net").is_completed

    assert_indexed(read, Organization)


@pytest.mark.parametrize("name", ["user77", "USER77@org77.example.net"])
def test_a_user_is_found_by_either_name(crowd: Crowd, name: str) -> None:
    found: list[User | None] = []
    assert_indexed(lambda: found.append(find_user(name)), User)
    assert str(found[0]) == "user77"


def test_a_users_sessions_are_found(crowd: Crowd) -> None:
    user = User.unscoped.get(auth_username="user77")
    assert_indexed(lambda: end_sessions_of(user), Session)


def test_the_boxes_of_an_organization_that_is_deleted_are_found(crowd: Crowd) -> None:
    organization = Organization.unscoped.get(pk=crowd.organization_id)

    def delete() -> None:
        with pytest.raises(ValidationError), arranging():
            delete_organization(organization)

    assert_indexed(delete, Voicemailbox)


def test_an_accounts_changes_are_read_newest_first_along_an_index(alice: User) -> None:
    assert_unsorted(lambda: list(Change.objects.visible_to(alice)[:20]), Change)


@pytest.mark.parametrize("column", ["account_id", "id"])
def test_the_history_is_read_newest_first_along_an_index(box: Voicemailbox, column: str) -> None:
    value = box.account_id if column == "account_id" else box.pk
    rows = Voicemailbox.history.filter(**{column: value}).order_by("-history_id")
    assert_unsorted(lambda: list(rows[:20]), Voicemailbox.history.model)


# The admin's list of mailboxes


@pytest.mark.parametrize("order", ["", "1", "-1", "3", "-3", "8", "-8"])
@pytest.mark.parametrize("name", ["alice", "staff"])
def test_a_page_of_the_admins_list_is_never_sorted(
    alice: User, staff: User, name: str, order: str
) -> None:
    client = client_of({"alice": alice, "staff": staff}[name])

    def browse() -> None:
        page = client.get("/admin/voicemail/voicemailbox/", {"o": order} if order else {})
        assert len(rows_of(page)) == 50

    nodes = nodes_beside(browse, Voicemailbox)
    assert [kind for kind, _ in nodes if kind.endswith("Sort")] == []


@pytest.mark.parametrize(
    "term", ["box77123", "X7712", "77123@", "box99999@org1999", "oe 77123", "77123 smi"]
)
@pytest.mark.parametrize("name", ["alice", "staff"])
def test_a_search_looks_up_the_trigrams(alice: User, staff: User, name: str, term: str) -> None:
    caller = {"alice": alice, "staff": staff}[name]
    boxes = Voicemailbox.objects.visible_to(caller)

    def look_up() -> None:
        list(search(boxes, term, caller=caller)[:1001])

    nodes = nodes_beside(look_up, Voicemailbox)
    assert ("Bitmap Index Scan", "voicemailbox_search") in nodes


def test_what_was_changed_lately_is_found_along_an_index(staff: User) -> None:
    recent = Voicemailbox.objects.visible_to(staff).filter(modified__gt=timezone.now())
    assert_indexed(lambda: list(recent), Voicemailbox)
