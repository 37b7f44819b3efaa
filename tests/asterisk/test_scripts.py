"""The scripts that run on the PBX, against a running service and a spool directory of files."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as project
from django.core.exceptions import ValidationError
from django.utils import timezone

from accounts.models import Organization
from accounts.services import edit_organization
from tests.asterisk.pbx import Asterisk, make_pbx
from tests.factories import arranging, make_account, make_organization, make_voicemailbox
from voicemail.models import SpoolOrder, Voicemailbox
from voicemail.services import delete_voicemailbox, edit_voicemailbox
from voicemail.spool import withdraw_removal

SCRIPTS = Path(project.BASE_DIR) / "voicemail" / "asterisk" / "scripts"

pytestmark = [
    pytest.mark.journey,
    pytest.mark.skipif(
        shutil.which("curl") is None and not os.environ.get("CI"), reason="The scripts need curl."
    ),
]


class Spool:
    """A spool directory, and the script that carries out the orders about it."""

    def __init__(self, directory: Path, url: str, credential: str) -> None:
        self.directory = directory
        self.credential_file = directory.parent / "credential"
        self.credential_file.write_text(f"{credential}\n")
        self.url = url

    def leave_message(self, context: str, mailbox: int, text: str, *, at: float = 0) -> Path:
        """Record a message as app_voicemail does: with the next free number of the inbox."""
        folder = self.directory / context / str(mailbox) / "INBOX"
        folder.mkdir(parents=True, exist_ok=True)
        number = len(list(folder.glob("msg*.txt")))
        message = folder / f"msg{number:04}.txt"
        message.write_text(f"[message]\norigtime={int(at or time.time())}\nsays={text}\n")
        message.with_suffix(".wav").write_text(text)
        return message

    def record_greeting(self, context: str, mailbox: int, text: str, *, at: float = 0) -> Path:
        greeting = self.directory / context / str(mailbox) / "unavail.wav"
        greeting.parent.mkdir(parents=True, exist_ok=True)
        greeting.write_text(text)
        if at:
            os.utime(greeting, (at, at))
        return greeting

    def messages(self, context: str, mailbox: int) -> set[str]:
        """Give what a caller of this mailbox would hear, in any folder."""
        place = self.directory / context / str(mailbox)
        return {each.read_text() for each in place.glob("*/msg*.wav")}

    def carry_out(self) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": os.environ["PATH"],
            "SPOOL_URL": f"{self.url}/asterisk",
            "SPOOL_CREDENTIAL_FILE": str(self.credential_file),
            "SPOOL_DIRECTORY": str(self.directory),
        }
        return subprocess.run(
            [SCRIPTS / "spool-orders.sh"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(autouse=True)
def _spool_orders(settings: Any) -> None:
    settings.SPOOL_ORDERS = True
    settings.ALLOWED_HOSTS = ["*"]


@pytest.fixture
def asterisk(transactional_db: None) -> Asterisk:
    pbx, credential = make_pbx()
    return Asterisk(pbx.name, credential)


@pytest.fixture
def spool(asterisk: Asterisk, live_server: Any, tmp_path: Path) -> Spool:
    (tmp_path / "voicemail").mkdir()
    return Spool(tmp_path / "voicemail", live_server.url, asterisk.credential)


@pytest.fixture
def organization(transactional_db: None) -> Organization:
    return make_organization(make_account(), domain=ACME)


ACME = "acme.example.com"
PAST = 1_700_000_000


def delete(box: Voicemailbox) -> None:
    with arranging():
        delete_voicemailbox(Voicemailbox.unscoped.get(pk=box.pk))


def renumber(box: Voicemailbox, mailbox: int) -> None:
    with arranging():
        box.mailbox = mailbox
        edit_voicemailbox(box)


def open_orders() -> int:
    return SpoolOrder.unscoped.filter(confirmations=None, withdrawn=None).count()


def done(spool: Spool) -> None:
    """Carry the orders out; the script succeeds, and confirms them all."""
    run = spool.carry_out()
    assert (run.returncode, run.stderr) == (0, "")
    assert open_orders() == 0


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
    assert open_orders() == 1


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
        "PIN_CHECK_URL": f"{spool.url}/asterisk",
        "PIN_CHECK_CREDENTIAL_FILE": str(spool.credential_file),
    }
    run = subprocess.run(
        [SCRIPTS / "pin-check.sh", *words],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
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


class World:
    """What should be true of every message: whose it is, and that nobody else can hear it."""

    NUMBERS = range(1001, 1006)

    def __init__(self, spool: Spool, asterisk: Asterisk, seed: int) -> None:
        self.spool, self.asterisk = spool, asterisk
        self.chance = random.Random(seed)  # noqa: S311  # A test's own dice.
        account = make_account()
        self.organizations = [
            make_organization(account, domain=f"d{number}.example.com") for number in range(2)
        ]
        self.kept: dict[int, set[str]] = {}
        self.deleted: list[Voicemailbox] = []
        self.count = 0

    def boxes(self) -> list[Voicemailbox]:
        return list(Voicemailbox.unscoped.select_related("organization").order_by("id"))

    def step(self) -> None:
        steps = {
            self.leave: 8,
            self.add: 4,
            self.delete: 2,
            self.renumber: 2,
            self.restore: 1,
            self.rename: 1,
            self.carry_out: 2,
        }
        (step,) = self.chance.choices(list(steps), list(steps.values()))
        with suppress(ValidationError):
            step()

    def add(self) -> None:
        box = make_voicemailbox(
            self.chance.choice(self.organizations), mailbox=self.chance.choice(self.NUMBERS)
        )
        self.kept[box.pk] = set()

    def leave(self) -> None:
        """A caller leaves a message, where Asterisk finds a box."""
        boxes = self.boxes()
        if not boxes:
            return
        box = self.chance.choice(boxes)
        context, mailbox = box.organization.domain, box.mailbox
        if self.asterisk.single(mailbox=str(mailbox), context=context):
            self.count += 1
            text = f"{self.count} for box {box.pk}"
            self.spool.leave_message(context, mailbox, text)
            self.kept[box.pk].add(text)

    def delete(self) -> None:
        if boxes := self.boxes():
            box = self.chance.choice(boxes)
            stored = Voicemailbox.unscoped.select_related("organization").get(pk=box.pk)
            delete(box)
            self.deleted.append(stored)

    def restore(self) -> None:
        """Bring a deleted box back, as the service does: with its id, and its order withdrawn."""
        if not self.deleted:
            return
        box = self.deleted[self.chance.randrange(len(self.deleted))]
        box._state.adding = True
        box.organization.refresh_from_db()
        box.full_clean()
        with arranging():
            box.modified = timezone.now()
            box.save(force_insert=True)
            withdraw_removal(box)
        self.deleted.remove(box)
        # What was carried out between is gone: the removal had been ordered.
        self.kept[box.pk] &= self.on_disk()

    def renumber(self) -> None:
        if boxes := self.boxes():
            box = self.chance.choice(boxes)
            box.mailbox = self.chance.choice(self.NUMBERS)
            box.full_clean()
            with arranging():
                edit_voicemailbox(box)

    def rename(self) -> None:
        organization = self.chance.choice(self.organizations)
        organization.domain = f"d{self.chance.randrange(4)}.example.com"
        try:
            with arranging():
                edit_organization(organization)
        except ValidationError:
            organization.refresh_from_db()

    def carry_out(self) -> None:
        done(self.spool)

    def on_disk(self) -> set[str]:
        return {each.read_text() for each in self.spool.directory.rglob("msg*.wav")}

    def check(self) -> None:
        """Whoever Asterisk lets in hears no stranger, and no message of a living box is lost."""
        disk = self.on_disk()
        for box in self.boxes():
            context, mailbox = box.organization.domain, box.mailbox
            if self.asterisk.single(mailbox=str(mailbox), context=context):
                assert self.spool.messages(context, mailbox) <= self.kept[box.pk]
            assert self.kept[box.pk] <= disk

    def settle(self) -> None:
        """Once every order is carried out, each box has exactly its own."""
        self.carry_out()
        for box in self.boxes():
            heard = self.spool.messages(box.organization.domain, box.mailbox)
            assert heard == self.kept[box.pk]


@pytest.mark.parametrize("seed", range(2))
def test_no_message_is_lost_or_heard_by_a_stranger(
    spool: Spool, asterisk: Asterisk, seed: int
) -> None:
    world = World(spool, asterisk, seed)
    for _ in range(250):
        world.step()
        world.check()
    world.settle()
