"""The server's process: how it stops, what it serves beside the API, and its database."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.api import read_reply
from tests.journeys.service import (
    IS_POSTGRESQL,
    Place,
    Service,
    at_once,
    fresh_database,
    serving,
    wait_until,
)

pytestmark = pytest.mark.journey

on_postgresql = pytest.mark.skipif(not IS_POSTGRESQL, reason="SQLite has no server.")


@pytest.fixture
def added(alice: Any) -> dict[str, Any]:
    """Give the parameters of an Add but for the SessionId."""
    organization = alice["organizations"][0]
    return {
        "OrganizationId": organization["id"],
        "Username": "stopped",
        "Domain": organization["domain"],
        "Mailbox": "9000002",
        "Fullname": "Joe Smith",
    }


def is_stored(place: Place, mailbox: str) -> bool:
    box = f"mailbox = {int(mailbox)}"
    return bool(place.database.rows("id", "voicemail_voicemailbox", box))


def test_a_running_answer_is_finished_when_the_service_is_stopped(
    place: Place, alice: Any, added: dict[str, Any]
) -> None:
    with serving(place, LOG_LEVEL="DEBUG") as service, ThreadPoolExecutor(1) as pool:
        session_id = service.log_in(alice)
        with place.database.held("voicemail_voicemailbox"):
            running = pool.submit(service.call, "VoicemailboxAdd", SessionId=session_id, **added)
            wait_until(lambda: service.written().count("POST /webapi") == 2)
            service.process.terminate()
            wait_until(lambda: "Handling signal: term" in service.written())
        reply = running.result()
        exit_code = service.process.wait(timeout=40)

    assert reply.is_completed
    assert is_stored(place, added["Mailbox"])
    assert exit_code == 0


def test_boxes_are_read_while_somebody_else_writes(
    place: Place, service: Service, alice: Any, session_id: str
) -> None:
    browse = partial(service.call, "VoicemailboxBrowse", SessionId=session_id)

    with place.database.held("voicemail_voicemailbox"):
        reply = browse(AccountId=alice["account_id"])

    assert reply.is_completed


def test_the_running_service_is_alive_and_ready(service: Service) -> None:
    alive, ready = service.request("GET", "/healthz"), service.request("GET", "/readyz")

    assert (alive.status_code, alive.content) == (200, b"ok\n")
    assert (ready.status_code, ready.content) == (200, b'{"ready": true, "problems": []}')


def test_a_service_without_its_tables_lives_but_is_not_ready(place: Place, tmp_path: Path) -> None:
    with (
        fresh_database(tmp_path) as empty,
        serving(place, "/healthz", DATABASE_URL=empty.url) as service,
    ):
        ready = service.request("GET", "/readyz")
        called = service.post("OrganizationRead", SessionId="x" * 32, Domain="acme.example.com")

    assert ready.status_code == 503
    assert b"Run manage.py migrate." in ready.content
    assert called.status_code in (500, 503)
    assert "accounts_session" not in read_reply(called).tree["Exception"]


def test_the_admins_static_files_are_served_under_names_that_change_with_them(
    service: Service,
) -> None:
    page = service.request("GET", "/admin/login/").content.decode()
    (path,) = re.findall(r'href="(/static/admin/css/base\.[0-9a-f]{12}\.css)"', page)

    answer = service.request("GET", path)

    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/css")
    assert "immutable" in answer.headers["Cache-Control"]


@on_postgresql
def test_a_statement_ends_after_five_seconds_with_a_plain_sentence(
    place: Place, service: Service, session_id: str, added: dict[str, Any]
) -> None:
    box = {"Mailbox": "9", "Username": "waiting"}
    started = time.monotonic()

    with place.database.held("voicemail_voicemailbox"):
        answer = service.post("VoicemailboxAdd", SessionId=session_id, **added | box)

    assert 4 < time.monotonic() - started < 15
    assert answer.status_code == 503
    assert (
        read_reply(answer)
        .tree["Exception"]
        .startswith(
            "The service can't reach its database at the moment. Please try again. Reference: "
        )
    )
    assert not is_stored(place, "9")


@on_postgresql
def test_the_servers_threads_keep_their_connections(place: Place, alice: Any) -> None:
    backends = ("pid", "pg_stat_activity", "application_name = 'persistent'")
    with serving(place, PGAPPNAME="persistent") as service:
        session_id = service.log_in(alice)
        read = partial(
            service.call, "AccountRead", SessionId=session_id, AccountId=alice["account_id"]
        )
        at_once([read] * 50)
        before = set(place.database.rows(*backends))
        at_once([read] * 50)
        after = set(place.database.rows(*backends))

    assert before
    assert before <= after
    assert len(after) <= 2 * 4
