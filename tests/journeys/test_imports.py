"""Imports in processes of their own: killed in the middle, in a pipe, and with exit codes."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.service import IS_POSTGRESQL, ROOT, Place, fresh_database, wait_until
from tests.voicemail.bulk import csv_of

pytestmark = pytest.mark.journey

BOXES, HISTORY = "voicemail_voicemailbox", "voicemail_historicalvoicemailbox"
COLUMNS = ("action", "domain", "mailbox", "username", "fullname")
ROWS = 30_000
# The demonstration has 1001 to 1020 there: one is changed, one deleted, the rest is new.
FILE = csv_of(
    ("", "acme.example.com", 1001, "", "Somebody Else"),
    ("delete", "acme.example.com", 1002, "", ""),
    *(("", "acme.example.com", n, f"new{n}", "Joe Smith") for n in range(2000, 2000 + ROWS)),
    columns=COLUMNS,
)


@pytest.fixture
def own_place(tmp_path: Path) -> Iterator[Place]:
    """Give a database of this test's own, with the demonstration."""
    with fresh_database(tmp_path) as database:
        place = Place(tmp_path, database)
        place.manage("migrate", "--verbosity", "0")
        place.manage("demo")
        yield place


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "boxes.csv"
    path.write_text(FILE)
    return path


def started(place: Place, *arguments: str, **kwargs: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "manage.py", "voicemailboxes", *arguments],
        cwd=ROOT,
        env=place.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **kwargs,
    )


def state(place: Place) -> tuple[Any, ...]:
    """Count what an import writes."""
    tables = (BOXES, HISTORY, "accounts_change")
    counts = [place.database.rows("count(*)", table)[0][0] for table in tables]
    changed = place.database.rows("count(*)", BOXES, "fullname = 'Somebody Else'")
    return (*counts, changed[0][0])


def is_writing(place: Place) -> bool:
    """Tell whether the import has begun to write, by the lock or by the log that it then holds."""
    if IS_POSTGRESQL:
        writing = "query LIKE 'INSERT INTO voicemail_%' AND datname = current_database()"
        mine = "pid <> pg_backend_pid()"
        return bool(place.database.rows("pid", "pg_stat_activity", f"{writing} AND {mine}"))
    log = place.directory / "db.sqlite3-wal"
    return log.exists() and log.stat().st_size > 2**20


def test_a_killed_import_leaves_nothing_and_a_second_one_everything(
    own_place: Place, file: Path
) -> None:
    before = state(own_place)
    arguments = ("import", str(file), "--all-accounts", "--yes")
    process = started(own_place, *arguments)
    wait_until(lambda: is_writing(own_place) or process.poll() is not None)
    process.send_signal(signal.SIGKILL)
    process.communicate()

    assert process.returncode == -signal.SIGKILL
    wait_until(lambda: state(own_place) == before)

    out, noted = started(own_place, *arguments).communicate()

    assert (out, noted) == (f"{ROWS} added, 1 changed, 1 deleted, 0 left unchanged.\n", "")
    boxes, history, changes, changed = before
    assert state(own_place) == (boxes + ROWS - 1, history + ROWS + 2, changes + 1, changed + 1)


def test_an_export_through_a_pipe_is_imported(own_place: Place) -> None:
    before = state(own_place)
    exporting = started(own_place, "export", "--all-accounts", "--format", "jsonl")
    importing = started(
        own_place, "import", "-", "--format", "jsonl", "--all-accounts", stdin=exporting.stdout
    )
    out, noted = importing.communicate()
    exporting.communicate()

    assert (importing.returncode, noted) == (0, "")
    assert out == "0 added, 0 changed, 0 deleted, 60 left unchanged.\n"
    assert state(own_place) == before


def test_a_refused_import_exits_with_1(own_place: Place) -> None:
    process = started(own_place, "import", "-", "--all-accounts", stdin=subprocess.PIPE)

    out, noted = process.communicate("domain,mailbox\nacme.example.com,0\n")

    assert (process.returncode, out) == (1, "")
    assert "Line 2: mailbox: Value must be 1 to 7 digits" in noted
    assert "Traceback" not in noted
