"""A page is one snapshot, and reading waits for no writer (docs/voicemail.md, Browse)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.test.utils import CaptureQueriesContext

from accounts.models import Organization
from accounts.pages import ScopedPages
from tests.api import ApiClient, Reply, children
from tests.factories import make_voicemailbox
from voicemail.models import MailboxTally, Voicemailbox

TABLES = ('FROM "voicemail_voicemailbox"', 'FROM "voicemail_mailboxtally"')
LAST_OFFSET = 2**63 - 1


def browse(client: ApiClient, organization: Organization, **options: Any) -> Reply:
    return client.call("VoicemailboxBrowse", OrganizationId=organization.pk, **options)


def ids(reply: Reply) -> list[int]:
    found = children(reply.result["Voicemailboxes"], "Voicemailbox")
    return [int(box["VoicemailboxId"]) for box in found]


def found(reply: Reply) -> str | None:
    number: str | None = reply.result["Voicemailboxes"]["@attributes"].get("Found")
    return number


def statements_on_boxes(client: ApiClient, organization: Organization, **options: Any) -> int:
    """Count the statements of a browse that read boxes, or the number of them."""
    with CaptureQueriesContext(connection) as captured:
        reply = browse(client, organization, **options)
    assert reply.is_completed
    return sum(
        any(table in query["sql"] for table in TABLES) for query in captured.captured_queries
    )


@pytest.fixture
def boxes(organization: Organization) -> list[Voicemailbox]:
    return [make_voicemailbox(organization) for _ in range(3)]


@pytest.mark.usefixtures("boxes")
@pytest.mark.parametrize("calc_found", ["true", "false"])
def test_the_records_and_their_number_come_from_one_statement(
    as_alice: ApiClient, organization: Organization, calc_found: str
) -> None:
    options = {"Limit": 2, "Offset": 1, "CalcFound": calc_found}
    assert statements_on_boxes(as_alice, organization, **options) == 1


def test_a_page_without_records_needs_one_statement_more_for_their_number(
    as_alice: ApiClient, organization: Organization, boxes: list[Voicemailbox]
) -> None:
    assert statements_on_boxes(as_alice, organization, Offset=3) == 2
    assert statements_on_boxes(as_alice, organization, Offset=3, CalcFound="false") == 1


@pytest.mark.usefixtures("boxes")
@pytest.mark.parametrize("offset", [3, 4, LAST_OFFSET])
def test_a_page_past_the_end_is_empty_and_tells_how_many_there_are(
    as_alice: ApiClient, organization: Organization, offset: int
) -> None:
    reply = browse(as_alice, organization, Offset=offset, Limit=25_000)
    assert (ids(reply), found(reply)) == ([], "3")


@pytest.mark.usefixtures("boxes")
@pytest.mark.parametrize("offset", [0, 2, 3, LAST_OFFSET])
def test_a_limit_of_zero_only_counts(
    as_alice: ApiClient, organization: Organization, offset: int
) -> None:
    assert statements_on_boxes(as_alice, organization, Limit=0, Offset=offset) == 1
    reply = browse(as_alice, organization, Limit=0, Offset=offset)
    assert (ids(reply), found(reply)) == ([], "3")


@pytest.mark.usefixtures("boxes")
def test_a_limit_of_zero_without_a_count_reads_no_box(
    as_alice: ApiClient, organization: Organization
) -> None:
    assert statements_on_boxes(as_alice, organization, Limit=0, CalcFound="false") == 0


def test_a_box_that_comes_in_before_the_count_is_on_the_page_too(
    as_alice: ApiClient, organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = ScopedPages._count_for
    late: list[Voicemailbox] = []

    def count_after_another_add(*args: Any) -> int:
        late.append(make_voicemailbox(organization))
        return count(*args)

    monkeypatch.setattr(ScopedPages, "_count_for", count_after_another_add)
    reply = browse(as_alice, organization)
    assert len(late) == 1
    assert (ids(reply), found(reply)) == ([late[0].pk], "1")


def test_a_page_stays_empty_where_too_few_boxes_come_in_before_the_count(
    as_alice: ApiClient, organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = ScopedPages._count_for

    def count_after_another_add(*args: Any) -> int:
        make_voicemailbox(organization)
        return count(*args)

    monkeypatch.setattr(ScopedPages, "_count_for", count_after_another_add)
    reply = browse(as_alice, organization, Offset=1)
    assert (ids(reply), found(reply)) == ([], "1")


# SQLite has one write lock for the whole file.

ON_SQLITE = pytest.mark.skipif(
    connection.vendor != "sqlite", reason="PostgreSQL has no lock that all writers share."
)


@pytest.fixture
def file_database(tmp_path: Path, as_alice: ApiClient, boxes: list[Voicemailbox]) -> Iterator[Path]:
    """Move the default connection to a file: that of the tests may be a database in memory.

    Whoever waits for the lock gives up soon.
    """
    path = tmp_path / "db.sqlite3"
    in_memory = connections[DEFAULT_DB_ALIAS]
    with closing(sqlite3.connect(path)) as copy:
        in_memory.connection.backup(copy)
    in_file = connections.create_connection(DEFAULT_DB_ALIAS)
    settings = in_file.settings_dict
    options = settings["OPTIONS"] | {"timeout": 0.1}
    in_file.settings_dict = settings | {"NAME": str(path), "OPTIONS": options}
    connections[DEFAULT_DB_ALIAS] = in_file
    try:
        yield path
    finally:
        in_file.close()
        connections[DEFAULT_DB_ALIAS] = in_memory


@pytest.fixture
def write_lock(file_database: Path) -> Iterator[None]:
    """Hold the lock as somebody does who imports a long list."""
    connection.ensure_connection()
    with closing(sqlite3.connect(file_database, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        yield
        writer.execute("ROLLBACK")


@ON_SQLITE
@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("write_lock")
@pytest.mark.parametrize(
    ("action", "parameter"),
    [
        ("VoicemailboxRead", "VoicemailboxId"),
        ("VoicemailboxBrowse", "AccountId"),
        ("VoicemailboxBrowse", "OrganizationId"),
        ("OrganizationRead", "OrganizationId"),
        ("OrganizationBrowse", "AccountId"),
        ("AccountRead", "AccountId"),
    ],
)
def test_reading_does_not_wait_for_a_writer(
    as_alice: ApiClient, boxes: list[Voicemailbox], action: str, parameter: str
) -> None:
    box = boxes[0]
    values = {
        "VoicemailboxId": box.pk,
        "OrganizationId": box.organization_id,
        "AccountId": box.account_id,
    }
    sent: dict[str, Any] = {parameter: values[parameter]}
    assert as_alice.call(action, **sent).is_completed


@ON_SQLITE
@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("write_lock")
def test_a_second_writer_is_told_to_try_again(
    as_alice: ApiClient, boxes: list[Voicemailbox]
) -> None:
    sent = {"Action": "VoicemailboxDelete", "SessionId": as_alice.session_id}
    response = as_alice.http.post("/webapi", sent | {"VoicemailboxId": boxes[0].pk})
    assert response.status_code == 503
    assert Voicemailbox.unscoped.filter(pk=boxes[0].pk).exists()


def test_a_wrong_number_of_boxes_does_not_let_a_page_be_read_for_ever(
    as_alice: ApiClient, organization: Organization, boxes: list[Voicemailbox]
) -> None:
    MailboxTally.unscoped.update(number=10)
    assert statements_on_boxes(as_alice, organization, Offset=5) <= 6
