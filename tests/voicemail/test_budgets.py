"""What an action costs: its statements, whatever the number of boxes, and no needless objects.

A request is counted from its start to its answer. Its session was used within the last minute, so
that no time of use is written. A test runs in a transaction, where one of the action's own shows
as a savepoint.

PostgreSQL finds what a request refers to, or lists, together with its session. Where nothing else
of the box matters, the statement that does so also writes a box, its history and its Change.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import connection
from django.db.models.signals import post_init
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Organization, User
from tests.api import ApiClient, children
from tests.factories import PASSWORD, make_organization, make_voicemailbox
from voicemail.models import Voicemailbox
from voicemail_site.webapi.registry import actions

TRANSACTION = ["SAVEPOINT", "RELEASE"]

ON_POSTGRESQL = connection.vendor == "postgresql"


@dataclass(frozen=True)
class Budget:
    """What one request may take: its reads, the session's included, and its writes in order.

    The writes include the Change and the history. ``{box}`` and the like in a parameter stand for
    what the test has made.
    """

    action: str
    parameters: dict[str, str]
    reads: int
    writes: str = ""
    is_transaction: bool = False
    # On PostgreSQL, where it differs.
    reads_there: int | None = None
    is_transaction_there: bool | None = None
    # What is tried with the look-up of the session, and writes nothing.
    attempts_there: str = ""

    @property
    def reads_here(self) -> int:
        return self.reads if self.reads_there is None or not ON_POSTGRESQL else self.reads_there

    @property
    def is_transaction_here(self) -> bool:
        if self.is_transaction_there is None or not ON_POSTGRESQL:
            return self.is_transaction
        return self.is_transaction_there

    def __str__(self) -> str:
        return "-".join((self.action, *self.parameters))


ACCOUNT = {"AccountId": "{account}"}
ORGANIZATION = {"OrganizationId": "{organization}"}
BOX = {"VoicemailboxId": "{box}"}
UNCOUNTED = {"CalcFound": "false"}
NEW = {"Domain": "{domain}", "Username": "new", "Mailbox": "5", "Fullname": "New"}
LOGIN = {"Username": "alice", "Password": PASSWORD}

AT_ONCE: dict[str, Any] = {"is_transaction": True, "is_transaction_there": False, "reads_there": 0}

BUDGETS = (
    Budget("Echo", {}, 1),
    Budget("NoOp", {}, 1),
    Budget("SessionCreate", LOGIN, 6, "INSERT", is_transaction=True),
    Budget("SessionDestroy", {}, 1, "DELETE"),
    Budget("AccountRead", ACCOUNT, 2, reads_there=1),
    Budget("OrganizationRead", ORGANIZATION, 2, reads_there=1),
    Budget("OrganizationRead", {"Domain": "{domain}"}, 2, reads_there=1),
    Budget("OrganizationBrowse", ACCOUNT, 2, reads_there=1),
    Budget("OrganizationBrowse", ACCOUNT | UNCOUNTED, 2, reads_there=1),
    Budget("VoicemailboxAdd", ORGANIZATION | NEW, 3, "INSERT INSERT INSERT", **AT_ONCE),
    Budget("VoicemailboxRead", BOX, 2, reads_there=1),
    Budget("VoicemailboxBrowse", ACCOUNT, 2, reads_there=1),
    Budget("VoicemailboxBrowse", ACCOUNT | UNCOUNTED, 2, reads_there=1),
    Budget("VoicemailboxBrowse", ORGANIZATION, 2, reads_there=1),
    Budget("VoicemailboxBrowse", ORGANIZATION | UNCOUNTED, 2, reads_there=1),
    # A cursor of PostgreSQL lives in a transaction.
    Budget("VoicemailboxBrowse", ACCOUNT | {"Limit": "25000"}, 2, is_transaction_there=True),
    Budget(
        "VoicemailboxBrowse", ACCOUNT | {"Limit": "1", "OrderBy": "Mailbox Desc"}, 2, reads_there=1
    ),
    # Without records it is looked up whose list it is, and how many there are.
    Budget("VoicemailboxBrowse", ACCOUNT | {"Offset": "999"}, 4, reads_there=3),
    Budget("VoicemailboxBrowse", ACCOUNT | {"Limit": "0"} | UNCOUNTED, 2),
    Budget("VoicemailboxEdit", BOX | {"Fullname": "New"}, 2, "UPDATE INSERT INSERT", **AT_ONCE),
    # Whether the number is free is asked before.
    Budget(
        "VoicemailboxEdit", BOX | {"Mailbox": "5"}, 3, "UPDATE INSERT INSERT", is_transaction=True
    ),
    # Whether there is an address must be seen before.
    Budget("VoicemailboxEdit", BOX | {"Email": ""}, 2, is_transaction=True),
    # An edit that changes nothing.
    Budget(
        "VoicemailboxEdit",
        BOX | {"Timezone": "us_eastern"},
        2,
        is_transaction=True,
        reads_there=1,
        attempts_there="UPDATE INSERT INSERT",
    ),
    # Refused PINs go with their box.
    Budget("VoicemailboxDelete", BOX, 2, "DELETE DELETE INSERT INSERT", **AT_ONCE),
)


def fill(organization: Organization, count: int) -> None:
    """Make boxes quickly, without their history."""
    now = timezone.now()
    Voicemailbox.unscoped.bulk_create(
        Voicemailbox(
            account_id=organization.account_id,
            organization=organization,
            mailbox=1001 + number,
            username=f"bulk{number}",
            password="4711",
            fullname="Joe Smith",
            created=now,
            modified=now,
        )
        for number in range(count)
    )


@contextmanager
def counting_statements() -> Iterator[list[str]]:
    """Give a list that has the kinds of the statements, in their order, at the end."""
    kinds: list[str] = []
    with CaptureQueriesContext(connection) as captured:
        yield kinds
    for query in captured.captured_queries:
        first = query["sql"].split()[0]
        if first == "DECLARE":
            first = "SELECT"  # By a cursor.
        # Several writes may be one statement.
        kinds += _kinds_within(query["sql"]) if first == "WITH" else [first]


def _kinds_within(sql: str) -> list[str]:
    """Give the writes that are one statement, or its kind if it only reads."""
    return re.findall(r"\b(INSERT|UPDATE|DELETE)\b", sql) or ["SELECT"]


@contextmanager
def counting_objects() -> Iterator[Counter[str]]:
    """Give a count of the model objects that are made meanwhile."""
    made: Counter[str] = Counter()

    def count(sender: Any, **kwargs: Any) -> None:
        made[sender.__name__] += 1

    post_init.connect(count)
    try:
        yield made
    finally:
        post_init.disconnect(count)


@pytest.mark.parametrize("budget", BUDGETS, ids=str)
@pytest.mark.parametrize("count", [3, 300])
def test_an_action_takes_the_same_statements_however_many_boxes_there_are(
    as_alice: ApiClient, organization: Organization, budget: Budget, count: int
) -> None:
    box = make_voicemailbox(organization, mailbox=7011)
    fill(organization, count - 1)
    names = {
        "account": organization.account_id,
        "organization": organization.pk,
        "domain": organization.domain,
        "box": box.pk,
    }
    sent = {name: value.format(**names) for name, value in budget.parameters.items()}

    with counting_statements() as statements:
        reply = as_alice.call(budget.action, **sent)

    assert reply.is_completed
    own = [kind for kind in statements if kind in TRANSACTION]
    writes = [kind for kind in statements if kind not in ("SELECT", *TRANSACTION)]
    assert statements.count("SELECT") == budget.reads_here
    attempts = budget.attempts_there.split() if ON_POSTGRESQL else []
    assert writes == [*attempts, *budget.writes.split()]
    assert own == (TRANSACTION if budget.is_transaction_here else [])


def test_every_action_has_a_budget() -> None:
    assert {budget.action for budget in BUDGETS} == set(actions())


def test_a_login_that_says_nothing_of_a_session_takes_one_read_less(
    api: ApiClient, alice: User
) -> None:
    with counting_statements() as statements:
        api.call("SessionCreate", Username="alice", Password=PASSWORD)
    assert statements.count("SELECT") == 5


def test_without_a_session_nothing_is_asked(api: ApiClient, organization: Organization) -> None:
    with counting_statements() as statements:
        api.call("VoicemailboxBrowse", AccountId=organization.account_id)
        api.call("Echo")
    assert statements == []


def test_a_page_is_made_of_no_model_objects(
    as_alice: ApiClient, organization: Organization
) -> None:
    fill(organization, 300)
    with counting_objects() as made:
        reply = as_alice.call("VoicemailboxBrowse", AccountId=organization.account_id, Limit=300)
    assert len(children(reply.result["Voicemailboxes"], "Voicemailbox")) == 300
    assert made.keys() & {"Voicemailbox", "Organization"} == set()


def test_no_object_is_made_to_list_the_boxes_of_an_organization(
    as_alice: ApiClient, organization: Organization
) -> None:
    fill(organization, 300)
    with counting_objects() as made:
        as_alice.call("VoicemailboxBrowse", OrganizationId=organization.pk, Limit=300)
    assert (made["Organization"], made["Voicemailbox"]) == (0, 0)


def test_a_list_of_organizations_is_made_of_no_model_objects(
    as_alice: ApiClient, organization: Organization
) -> None:
    for _ in range(5):
        make_organization(organization.account)
    with counting_objects() as made:
        reply = as_alice.call("OrganizationBrowse", AccountId=organization.account_id)
    assert len(children(reply.result["Organizations"], "Organization")) == 6
    assert made["Organization"] == 0


def test_the_longest_page_takes_no_more_statements_and_no_objects(
    as_alice: ApiClient, organization: Organization
) -> None:
    fill(organization, 25_000)
    sent: dict[str, Any] = {
        "Action": "VoicemailboxBrowse",
        "SessionId": as_alice.session_id,
        "OrganizationId": organization.pk,
        "Limit": "25000",
        "Output": "json",
    }
    with counting_statements() as statements, counting_objects() as made:
        response = as_alice.http.get("/webapi", sent)
        body = response.getvalue()
    assert body.count(b'"VoicemailboxId":') == 25_000
    assert [kind for kind in statements if kind not in TRANSACTION] == ["SELECT"] * 2
    assert made["Voicemailbox"] == 0
