"""The scripts that run on the PBX, against a running service and a spool directory of files."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import Any

import pytest

from accounts.models import Organization
from accounts.services import edit_organization
from tests.asterisk.pbx import Asterisk, make_pbx
from tests.asterisk.spool import SCRIPTS, Spool, run_script
from tests.factories import arranging, make_voicemailbox
from voicemail.models import SpoolOrder, Voicemailbox
from voicemail.services import delete_voicemailbox, edit_voicemailbox

pytestmark = [
    pytest.mark.journey,
    pytest.mark.skipif(
        shutil.which("curl") is None and not os.environ.get("CI"), reason="The scripts need curl."
    ),
]


@pytest.fixture(autouse=True)
def _spool_orders(settings: Any) -> None:
    settings.SPOOL_ORDERS = True


@pytest.fixture
def asterisk(db: None) -> Asterisk:
    pbx, credential = make_pbx()
    return Asterisk(pbx.name, credential)


@pytest.fixture(params=["sh", "busybox"])
def spool(asterisk: Asterisk, tmp_path: Path, request: pytest.FixtureRequest) -> Spool:
    """Give a spool directory of a machine with the shell and tools of Debian, and of Alpine."""
    if request.param == "sh":
        return Spool(tmp_path, asterisk)
    if shutil.which("busybox") is None and not os.environ.get("CI"):
        pytest.skip("busybox is not installed.")
    return Spool(tmp_path, asterisk, run_by=("busybox", "sh"))


ACME = "acme.example.com"
PAST = 1_700_000_000


def delete(box: Voicemailbox) -> None:
    with arranging():
        delete_voicemailbox(Voicemailbox.unscoped.get(pk=box.pk))


def renumber(box: Voicemailbox, mailbox: int) -> None:
    with arranging():
        box.mailbox = mailbox
        edit_voicemailbox(box)


def done(spool: Spool) -> None:
    """Carry the orders out; the script succeeds, and confirms them all."""
    run = spool.carry_out()
    assert (run.returncode, run.stderr) == (0, "")
    assert not SpoolOrder.unscoped.unfinished().exists()


def test_the_recordings_of_a_deleted_box_are_removed(
    spool: Spool, organization: Organization
) -> None:
    box = make_voicemailbox(organization, mailbox=1001)
    spool.leave_message(ACME, 1001, "secret")
    spool.record_greeting(ACME, 1001, "hello")
    spool.leave_message(ACME, 1002, "another's")
    delete(box)
    done(spool)

    assert not (spool.directory / ACME / "1001").exists()
    assert spool.messages(ACME, 1002) == {"another's"}


def test_what_came_after_the_deletion_stays(spool: Spool, organization: Organization) -> None:
    box = make_voicemailbox(organization, mailbox=1001)
    spool.leave_message(ACME, 1001, "old", at=PAST)
    spool.leave_message(ACME, 1001, "new", at=time.time() + 60)
    greeting = spool.record_greeting(ACME, 1001, "new", at=time.time() + 60)
    delete(box)
    done(spool)

    assert spool.messages(ACME, 1001) == {"new"}
    assert greeting.exists()


def test_the_recordings_of_a_renumbered_box_go_with_it(
    spool: Spool, organization: Organization
) -> None:
    box = make_voicemailbox(organization, mailbox=1001)
    spool.leave_message(ACME, 1001, "first")
    spool.leave_message(ACME, 1001, "second")
    spool.record_greeting(ACME, 1001, "hello")
    renumber(box, 1002)
    spool.leave_message(ACME, 1002, "under the new number")
    done(spool)

    assert spool.messages(ACME, 1002) == {"first", "second", "under the new number"}
    assert (spool.directory / ACME / "1002" / "unavail.wav").read_text() == "hello"
    assert not (spool.directory / ACME / "1001").exists()


def test_a_greeting_of_the_new_place_is_kept(spool: Spool, organization: Organization) -> None:
    box = make_voicemailbox(organization, mailbox=1001)
    spool.record_greeting(ACME, 1001, "old")
    renumber(box, 1002)
    spool.record_greeting(ACME, 1002, "new")
    done(spool)

    assert (spool.directory / ACME / "1002" / "unavail.wav").read_text() == "new"


def test_recordings_follow_a_domain(spool: Spool, organization: Organization) -> None:
    make_voicemailbox(organization, mailbox=1001)
    spool.leave_message(ACME, 1001, "secret")
    with arranging():
        organization.domain = "acme.example.org"
        edit_organization(organization)
    done(spool)

    assert spool.messages("acme.example.org", 1001) == {"secret"}
    assert spool.messages(ACME, 1001) == set()


def test_a_second_run_changes_nothing(spool: Spool, organization: Organization) -> None:
    delete(make_voicemailbox(organization, mailbox=1001))
    done(spool)
    spool.leave_message(ACME, 1001, "new")
    done(spool)

    assert spool.messages(ACME, 1001) == {"new"}


def test_no_lock_stays(spool: Spool, organization: Organization) -> None:
    box = make_voicemailbox(organization, mailbox=1001)
    spool.leave_message(ACME, 1001, "secret", at=time.time() + 60)
    delete(box)
    done(spool)

    assert [each.name for each in spool.directory.rglob(".lock*")] == []


@pytest.mark.parametrize("depth", [0, 1])
def test_a_symbolic_link_in_the_way_stops_the_order(
    spool: Spool, organization: Organization, tmp_path: Path, depth: int
) -> None:
    elsewhere = tmp_path / "elsewhere"
    precious = elsewhere / "1001" / "INBOX" / "msg0000.txt"
    precious.parent.mkdir(parents=True)
    precious.write_text(f"origtime={PAST}\n")
    place = spool.directory / ACME
    if depth:
        place.mkdir()
        (place / "1001").symlink_to(elsewhere / "1001")
    else:
        place.symlink_to(elsewhere)
    delete(make_voicemailbox(organization, mailbox=1001))
    run = spool.carry_out()

    assert run.returncode == 1
    assert "a symbolic link" in run.stderr
    assert precious.exists()
    assert SpoolOrder.unscoped.unfinished().count() == 1


def test_links_and_odd_names_within_a_mailbox_are_let_be(
    spool: Spool, organization: Organization, tmp_path: Path
) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "msg0000.txt").write_text(f"origtime={PAST}\n")
    box = make_voicemailbox(organization, mailbox=1001)
    spool.leave_message(ACME, 1001, "secret", at=PAST)
    place = spool.directory / ACME / "1001"
    (place / "Old").symlink_to(precious)
    (place / "INBOX" / "msg0007.txt").symlink_to(precious / "msg0000.txt")
    odd = place / "odd\nname"
    odd.mkdir()
    (odd / "msg0000.txt").write_text(f"origtime={PAST}\n")
    delete(box)
    done(spool)

    assert (precious / "msg0000.txt").exists()
    assert spool.messages(ACME, 1001) == set()
    assert (odd / "msg0000.txt").exists()


def test_a_mailbox_that_asterisk_holds_is_tried_again_later(
    spool: Spool, organization: Organization
) -> None:
    box = make_voicemailbox(organization, mailbox=1001)
    message = spool.leave_message(ACME, 1001, "secret", at=PAST)
    (message.parent / ".lock").touch()
    delete(box)
    run = spool.carry_out()

    assert run.returncode == 1
    assert "stays locked" in run.stderr
    assert message.exists()
    assert [each.name for each in message.parent.glob(".lock*")] == [".lock"]


def test_a_mailbox_that_a_caller_speaks_to_is_tried_again_later(
    spool: Spool, organization: Organization
) -> None:
    box = make_voicemailbox(organization, mailbox=1001)
    message = spool.leave_message(ACME, 1001, "earlier")
    recording = spool.directory / ACME / "1001" / "tmp" / "Xb3f2a.wav"
    recording.parent.mkdir()
    recording.write_text("unfinished")
    renumber(box, 1002)
    run = spool.carry_out()

    assert run.returncode == 1
    assert "a message is being recorded" in run.stderr
    assert message.exists()

    os.utime(recording, (PAST, PAST))
    done(spool)
    assert spool.messages(ACME, 1002) == {"earlier"}


def test_a_second_run_at_the_same_time_does_nothing(
    spool: Spool, organization: Organization
) -> None:
    box = make_voicemailbox(organization, mailbox=1001)
    message = spool.leave_message(ACME, 1001, "secret", at=PAST)
    delete(box)
    with spool.credential_file.open() as held_by_the_other:
        flock(held_by_the_other, LOCK_EX)
        run = spool.carry_out()

        assert (run.returncode, run.stderr) == (0, "")
        assert message.exists()

    done(spool)
    assert not message.exists()


def test_without_the_service_nothing_is_touched(spool: Spool, organization: Organization) -> None:
    box = make_voicemailbox(organization, mailbox=1001)
    message = spool.leave_message(ACME, 1001, "secret", at=PAST)
    delete(box)
    spool.url = "http://127.0.0.1:9"

    assert spool.carry_out().returncode != 0
    assert message.exists()


def test_the_scripts_are_clean_shell() -> None:
    shellcheck = shutil.which("shellcheck")
    if shellcheck is None and not os.environ.get("CI"):
        pytest.skip("shellcheck is not installed.")
    run = subprocess.run(
        [shellcheck or "shellcheck", *SCRIPTS.glob("*.sh")],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (run.returncode, run.stdout) == (0, "")


def check_pin(spool: Spool, *words: str) -> str:
    environment = {
        "PATH": os.environ["PATH"],
        "PIN_CHECK_URL": spool.url,
        "PIN_CHECK_CREDENTIAL_FILE": str(spool.credential_file),
    }
    run = run_script([*spool.run_by, SCRIPTS / "pin-check.sh", *words], environment)
    assert run.returncode == 0
    return run.stdout.strip()


def test_the_pin_script_says_valid_or_why_not(spool: Spool, organization: Organization) -> None:
    make_voicemailbox(organization, mailbox=1001)

    assert check_pin(spool, "1001", ACME, "1111", "4711") == "VALID"
    refused = check_pin(spool, "1001", ACME, "1111", "000")
    assert refused == "Value must be 1 to 7 digits, not all of them zero."


@pytest.mark.parametrize(
    "words", [("1002", ACME, "1", "4711"), ("1001", ACME, "1"), ('10"01', ACME, "1", "4711")]
)
def test_the_pin_script_accepts_nothing_else(
    spool: Spool, organization: Organization, words: tuple[str, ...]
) -> None:
    make_voicemailbox(organization, mailbox=1001)

    assert "VALID" not in check_pin(spool, *words)


def test_the_pin_script_refuses_where_the_service_is_down(spool: Spool) -> None:
    spool.url = "http://127.0.0.1:9"

    assert check_pin(spool, "1001", ACME, "1", "4711").startswith("The PIN could not be checked.")
