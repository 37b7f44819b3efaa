"""A backup is restored, as docs/operations.md says, and what it revives is ended."""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.service import (
    IS_POSTGRESQL,
    ROOT,
    Database,
    Place,
    Service,
    fresh_database,
    serving,
)

pytestmark = [
    pytest.mark.journey,
    pytest.mark.skipif(
        IS_POSTGRESQL and not (shutil.which("pg_dump") and shutil.which("pg_restore")),
        reason="The programs of PostgreSQL's client are not installed.",
    ),
]


@pytest.fixture
def old(tmp_path: Path) -> Iterator[Place]:
    """Give a database with the demonstration that is lost later."""
    (tmp_path / "old").mkdir()
    with fresh_database(tmp_path / "old") as database:
        place = Place(tmp_path / "old", database)
        place.manage("migrate", "--verbosity", "0")
        place.manage("demo")
        yield place


@pytest.fixture
def new(tmp_path: Path) -> Iterator[Place]:
    """Give the empty database for the restored data, and a directory with another secret key."""
    (tmp_path / "new").mkdir()
    with fresh_database(tmp_path / "new") as database:
        yield Place(tmp_path / "new", database)


def printed(place: Place, *command: str) -> str:
    """Run a command that succeeds, and give what it prints."""
    run = subprocess.run(
        [sys.executable, "manage.py", *command],
        cwd=ROOT,
        env=place.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def back_up(database: Database, file: Path) -> None:
    if IS_POSTGRESQL:
        run("pg_dump", "--format=custom", f"--file={file}", database.url)
        return
    source, target = (sqlite3.connect(name) for name in (_file_of(database), file))
    with closing(source), closing(target):
        source.backup(target)


def restore(file: Path, database: Database) -> None:
    if IS_POSTGRESQL:
        run("pg_restore", "--exit-on-error", "--no-owner", f"--dbname={database.url}", str(file))
    else:
        shutil.copy(file, _file_of(database))


def run(*command: str) -> None:
    subprocess.run(command, check=True)


def _file_of(database: Database) -> str:
    return database.url.removeprefix("sqlite:///")


def raise_sequences(database: Database) -> None:
    """Run the statement of docs/operations.md for the engine."""
    statements = re.findall(r"```sql\n(.*?)```", (ROOT / "docs/operations.md").read_text(), re.S)
    table = "pg_sequences" if IS_POSTGRESQL else "sqlite_sequence"
    (statement,) = [each for each in statements if table in each]
    database.execute(statement)


def add(service: Service, session_id: str, organization: Any, mailbox: str) -> int:
    reply = service.call(
        "VoicemailboxAdd",
        SessionId=session_id,
        OrganizationId=organization["id"],
        Domain=organization["domain"],
        Username=f"u{mailbox}",
        Mailbox=mailbox,
        Fullname="Joe Smith",
    )
    return int(reply.result["Voicemailbox"]["VoicemailboxId"])


def test_a_backup_is_restored_and_what_it_revives_is_ended_or_told(
    old: Place, new: Place, tmp_path: Path
) -> None:
    alice = next(user for user in old.facts["users"] if user["username"] == "alice")
    organization = alice["organizations"][0]
    dump = tmp_path / "voicemail.dump"
    with serving(old) as service:
        session_id = service.log_in(alice)
        deleted = add(service, session_id, organization, "9000061")
        back_up(old.database, dump)
        service.call("VoicemailboxDelete", SessionId=session_id, VoicemailboxId=deleted)
        lost = add(service, session_id, organization, "9000062")

    restore(dump, new.database)
    printed(new, "migrate", "--no-input")
    findings = printed(new, "verify", "--all-accounts")
    ended = printed(new, "sessions", "end", "--all-accounts", "--yes")
    raise_sequences(new.database)
    told = printed(old, "history", "list", "--all-accounts", "--format", "json")

    assert findings == ""
    assert ended == "1 API session was ended.\n"
    with serving(new) as service:
        refused = service.call("VoicemailboxRead", SessionId=session_id, VoicemailboxId=deleted)
        assert refused.errors == [("SessionId", "Session.Authentication")]
        session_id = service.log_in(alice)
        back = service.call("VoicemailboxRead", SessionId=session_id, VoicemailboxId=deleted)
        assert back.is_completed
        assert add(service, session_id, organization, "9000063") > lost
    assert f'"object_id": {deleted}, "name": "9000061 Joe Smith", "what": "Deleted"' in told
    assert f'"object_id": {lost}, "name": "9000062 Joe Smith", "what": "Added"' in told
