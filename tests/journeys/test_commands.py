"""The operators' commands as processes: their exit codes, and ends that nobody wished for."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.service import ROOT, Place, free_port

pytestmark = pytest.mark.journey


def start(place: Place, *words: str, **options: Any) -> subprocess.Popen[str]:
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen(
        [sys.executable, "manage.py", *words],
        cwd=ROOT,
        text=True,
        **{"env": place.environment()} | pipes | options,
    )


def ended(place: Place, *words: str, said: str = "", **options: Any) -> tuple[int, str, str]:
    """Run a command to its end, and give the exit code and what it wrote."""
    with start(place, *words, **options) as process:
        out, err = process.communicate(said, timeout=60)
    assert "Traceback" not in (err or "")
    return process.returncode, out, err


@pytest.fixture
def globex(place: Place) -> str:
    """Give the id of an account of the demonstration that is enabled."""
    ((pk,),) = place.database.rows(
        "id", "accounts_account", "contact_organization = 'Globex' AND status = 'enabled'"
    )
    return str(pk)


def status_of(place: Place, account: str) -> str:
    ((status,),) = place.database.rows("status", "accounts_account", f"id = {account}")
    return str(status)


def without_reader() -> int:
    """Give the end of a pipe that nobody reads any more."""
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def test_done_is_0_refused_is_1_and_not_understood_is_2(place: Place) -> None:
    assert ended(place, "accounts", "list", "--all-accounts")[0] == 0
    assert ended(place, "accounts", "show", "999")[::2] == (
        1,
        "CommandError: There is no account 999. Accepted: id, or a domain of the account.\n",
    )
    code, out, err = ended(place, "accounts", "list")
    assert (code, out) == (2, "")
    assert err.endswith("one of the arguments --account --all-accounts is required\n")


def test_a_list_whose_reader_left_ends_quietly_as_other_programs_do(place: Place) -> None:
    writer = without_reader()
    words = ("users", "list", "--all-accounts", "--format", "json")
    assert ended(place, *words, stdout=writer)[::2] == (141, "")
    os.close(writer)


def test_a_change_whose_reader_left_is_done_and_no_failure(place: Place, globex: str) -> None:
    writer = without_reader()
    try:
        assert ended(place, "accounts", "disable", globex, stdout=writer)[::2] == (0, "")
        assert status_of(place, globex) == "disabled"
    finally:
        place.manage("accounts", "enable", globex)
        os.close(writer)


def test_an_interruption_at_the_question_changes_nothing(place: Place, globex: str) -> None:
    terminal, keyboard = pty.openpty()
    with start(place, "sessions", "end", "--all-accounts", stdin=keyboard) as process:
        assert process.stderr is not None
        asked = ""
        while not asked.endswith("[y/N] "):
            asked += process.stderr.read(1)
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == "Interrupted; nothing was changed.\n"
        assert process.wait(timeout=60) == 130
    os.close(terminal)
    os.close(keyboard)


def test_a_password_comes_in_through_a_pipe(place: Place) -> None:
    words = ("users", "add", "joe", "--account", "1", "--password-stdin")
    code, out, err = ended(place, *words, said="a whole new secret\n")
    assert (code, err) == (0, "")
    assert out.endswith(" (joe) was added.\n")


def test_a_database_that_is_not_there_is_one_line(place: Place) -> None:
    url = f"postgres://nobody:hidden@127.0.0.1:{free_port()}/none"
    environment = place.environment(DATABASE_URL=url)
    code, out, err = ended(place, "accounts", "list", "--all-accounts", env=environment)
    assert (code, out, len(err.splitlines())) == (1, "", 1)
    assert err.startswith("CommandError: The database refused: ")
    assert "hidden" not in err


def test_a_database_that_was_not_migrated_is_one_line(place: Place, tmp_path: Path) -> None:
    environment = place.environment(DATABASE_URL=f"sqlite:///{tmp_path / 'empty.sqlite3'}")
    code, out, err = ended(place, "accounts", "list", "--all-accounts", env=environment)
    assert (code, out) == (1, "")
    assert err == (
        "CommandError: The database refused: no such table: accounts_account. Look whether it "
        "runs, and whether manage.py migrate has been run.\n"
    )
