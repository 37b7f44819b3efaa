"""A real Asterisk, with the files that the admin shows, plays what was provisioned.

``make asterisk`` runs these. A call presses its keys at fixed moments, as a hurried caller does.
"""

from __future__ import annotations

import html
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest

from tests.api import children
from tests.asterisk.installed import (
    CALLS,
    InstalledAsterisk,
    fail_without_asterisk,
    skip_prompts,
)
from tests.journeys.service import ROOT, Place, Service, fresh_database, serving, wait_until
from voicemail.asterisk.configuration import ZONES

pytestmark = pytest.mark.asterisk

ACME = "acme.example.com"
GLOBEX = "globex.example.com"
NAME = 'Zoë "Jo" O\'Brien; 100% & more = a+b 王'
WRONG_PIN = "99887"
NEW_PIN = "wwww0www5www{0}#www{0}#wwww"


@dataclass
class Provider:
    """The service with its demonstration, an Asterisk that it serves, and alice, who adds boxes."""

    place: Place
    service: Service
    pbx_name: str = "real"
    asterisk: InstalledAsterisk = field(init=False)
    session_id: str = ""

    def user(self, name: str) -> Any:
        return next(each for each in self.place.facts["users"] if each["username"] == name)

    def call(self, action: str, **parameters: Any) -> Any:
        self.session_id = self.session_id or self.service.log_in(self.user("alice"))
        reply = self.service.call(action, SessionId=self.session_id, **parameters)
        assert reply.is_completed, reply.messages
        return reply.result

    @property
    def organization_id(self) -> str:
        (acme,) = (
            each["id"] for each in self.user("alice")["organizations"] if each["domain"] == ACME
        )
        return str(acme)

    def add(self, mailbox: int, **options: str) -> Any:
        """Add a box of acme.example.com."""
        given = {"Username": f"real{mailbox}", "Domain": ACME, "Fullname": NAME} | options
        identity = {"OrganizationId": self.organization_id, "Mailbox": mailbox}
        return self.call("VoicemailboxAdd", **identity, **given)["Voicemailbox"]

    def read(self, box: Any) -> Any:
        number = box["VoicemailboxId"]
        return self.call("VoicemailboxRead", VoicemailboxId=number)["Voicemailbox"]

    def boxes(self) -> list[Any]:
        """Give the boxes of acme.example.com, disabled ones included."""
        page = self.call("VoicemailboxBrowse", OrganizationId=self.organization_id, Limit=1000)
        return children(page["Voicemailboxes"], "Voicemailbox")

    def add_pbx(self) -> dict[str, str]:
        """Add a PBX that may ask for acme.example.com alone, and read its files off the page."""
        cookies = self.service.log_in_to_the_admin(self.user("staff")).cookies
        path = "/admin/voicemail/pbx/add/"
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}
        form = {
            "name": self.pbx_name,
            "is_active": "on",
            "is_limited": "on",
            "organizations": self.organization_id,
        }
        page = self.service.request("GET", path, headers=headers)
        shown = self.service.submit(path, form, page, cookies | page.cookies).content.decode()
        files = re.findall(r"<h3><code>([^<]+)</code></h3>\s*<pre[^>]*>(.*?)</pre>", shown, re.S)
        return {path: html.unescape(text) for path, text in files}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    fail_without_asterisk()
    directory = tmp_path_factory.mktemp("provider")
    with fresh_database(directory) as database:
        place = Place(directory, database)
        place.manage("migrate", "--verbosity", "0")
        place.manage("collectstatic", "--no-input", "--verbosity", "0")
        place.manage("demo")
        yield place


@pytest.fixture(scope="module")
def phone() -> Iterator[socket.socket]:
    """Give the socket of a phone that is told of waiting messages."""
    with socket.socket(type=socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(20)
        yield listener


@pytest.fixture(scope="module")
def provider(place: Place, phone: socket.socket) -> Iterator[Provider]:
    with serving(place, SPOOL_ORDERS="true") as service:
        provider = Provider(place, service)
        files = provider.add_pbx()
        add_mwi(provider, files, phone.getsockname()[1])
        files["/etc/asterisk/extensions.conf"] += CALLS
        files["/etc/asterisk/voicemail.conf"] = files["/etc/asterisk/voicemail.conf"].replace(
            "[general]\n", "[general]\nmailcmd = /usr/sbin/keep-mail.sh\n"
        )
        provider.asterisk = InstalledAsterisk(files)
        try:
            provider.asterisk.wait_for()
            yield provider
        finally:
            provider.asterisk.stop()


def add_mwi(provider: Provider, files: dict[str, str], port: int) -> None:
    """Add the include file of pjsip.conf, with the phone of this test behind an address."""
    provider.add(7900, Mwi="joe@phone.example.com")
    provider.add(7901, Mwi="joe@phone.example.com")
    text = subprocess.run(
        [sys.executable, "manage.py", "pbxs", "files", provider.pbx_name, "--mwi"],
        cwd=ROOT,
        env=provider.place.environment(),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    contact = "sip:joe@phone.example.com\n"
    assert contact in text
    files["/etc/asterisk/pjsip-mwi.conf"] = text.replace(contact, f"sip:joe@127.0.0.1:{port}\n")


@pytest.fixture(scope="module")
def asterisk(provider: Provider) -> InstalledAsterisk:
    return provider.asterisk


def at_acme(box: Any) -> str:
    return f"{box['Mailbox']}*{ACME}"


def heard_by_owners(asterisk: InstalledAsterisk, *boxes: Any) -> list[list[str]]:
    """Log in to boxes, listen to the first message, and give what each owner heard."""
    pins = {at_acme(box): box["Password"] for box in boxes}
    return list(asterisk.retrieve(pins, "1" + "w" * 18).values())


def listed(asterisk: InstalledAsterisk, context: str) -> dict[str, dict[str, str]]:
    """Give the columns of each box of a context, by its mailbox, as Asterisk tells them."""
    told = asterisk.command(f"voicemail show users for {context}")
    boxes = [
        dict(re.findall(r"^=== ==> (\w+): (.*)$", part, re.M))
        for part in told.split("=== Mailbox ...")[1:]
    ]
    return {box["mailbox"]: box for box in boxes}


def test_asterisk_asks_the_service(asterisk: InstalledAsterisk) -> None:
    told = asterisk.command("core show config mappings")

    assert re.search(
        r"Config Engine: curl\n===> voicemail \(db=http://\S+/asterisk/voicemail", told
    )


def test_it_lists_the_enabled_boxes(provider: Provider, asterisk: InstalledAsterisk) -> None:
    enabled = {box["Mailbox"] for box in provider.boxes() if box["Status"] == "enabled"}

    assert len(enabled) >= 18
    assert set(listed(asterisk, ACME)) == enabled


def test_every_option_arrives_as_it_was_stored(
    provider: Provider, asterisk: InstalledAsterisk
) -> None:
    box = provider.add(
        7100,
        Timezone="us_mountain",
        SayCallerId="true",
        SayDuration="true",
        NotifyEmail="attach",
        Email="o'neil+vm=100%&co@example.com",
        NotifyPager="yes",
        Pager="pager{7}@example.com",
    )

    assert listed(asterisk, ACME)["7100"] == {
        "context": ACME,
        "mailbox": "7100",
        "uniqueid": box["VoicemailboxId"],
        "password": box["Password"],
        "fullname": NAME,
        "email": "o'neil+vm=100%&co@example.com",
        "attach": "yes",
        "delete": "no",
        "pager": "pager{7}@example.com",
        "saycid": "yes",
        "sayduration": "yes",
        "saydurationm": "0",
        "envelope": "no",
        "tz": "us_mountain",
    }


def test_a_caller_leaves_a_message_and_its_owner_hears_it(
    provider: Provider, asterisk: InstalledAsterisk
) -> None:
    box = provider.add(7101)
    asterisk.leave(at_acme(box))

    assert asterisk.messages(at_acme(box)) == ["msg0000"]
    text = (asterisk.folder(at_acme(box)) / "msg0000.txt").read_text()
    assert "origmailbox=7101\n" in text
    assert f"{ACME}/7101/INBOX/msg0000" in heard_by_owners(asterisk, box)[0]


def test_a_domain_in_capitals_means_the_same_recordings(
    provider: Provider, asterisk: InstalledAsterisk
) -> None:
    box = provider.add(7104)
    asterisk.leave(f"7104*{ACME.upper()}")

    assert asterisk.messages(at_acme(box)) == ["msg0000"]


def test_nobody_gets_into_a_box_that_is_not_theirs_to_reach(
    provider: Provider, asterisk: InstalledAsterisk
) -> None:
    disabled = next(box for box in provider.boxes() if box["Status"] == "disabled")
    unknown, anothers = f"7999*{ACME}", f"1001*{GLOBEX}"
    dialled = [at_acme(disabled), unknown, anothers, f"1001*{ACME}.", "1001*"]

    assert asterisk.leave(*dialled) == {number: [] for number in dialled}
    assert [asterisk.messages(number) for number in dialled] == [[]] * len(dialled)
    (heard,) = heard_by_owners(asterisk, disabled)
    assert "vm-youhave" not in heard
    assert "vm-incorrect-mailbox" in heard


def test_a_wrong_pin_opens_nothing(provider: Provider, asterisk: InstalledAsterisk) -> None:
    box = provider.add(7103)

    heard = asterisk.retrieve({at_acme(box): WRONG_PIN}, "#ww")[at_acme(box)]

    assert "vm-incorrect-mailbox" in heard
    assert "vm-youhave" not in heard


def time_of_message(asterisk: InstalledAsterisk, box: Any) -> int:
    text = (asterisk.folder(at_acme(box)) / "msg0000.txt").read_text()
    (moment,) = re.findall(r"^origtime=(\d+)$", text, re.M)
    return int(moment)


def hour_in(zone: str, moment: int) -> str:
    """Give the prompt of the hour, of twelve, that a time has in one of the four zones."""
    hour = datetime.fromtimestamp(moment, ZONES[zone]).hour
    return f"digits/{(hour - 1) % 12 + 1}"


def test_a_message_is_announced_as_the_box_says_and_in_its_zone(
    provider: Provider, asterisk: InstalledAsterisk
) -> None:
    zones = ["us_eastern", "us_central", "us_mountain", "us_pacific"]
    boxes = [
        provider.add(7110 + number, Timezone=zone, SayDatetime="true", SayDuration="true")
        for number, zone in enumerate(zones)
    ]
    silent = provider.add(7114)
    asterisk.leave(*map(at_acme, [*boxes, silent]))
    moment = time_of_message(asterisk, boxes[0])

    *announced, plain = heard_by_owners(asterisk, *boxes, silent)
    for box, heard in zip(boxes, announced, strict=True):
        assert skip_prompts(heard, "digits/at")[0] == hour_in(box["Timezone"], moment)
        assert "vm-duration" in heard
    assert not {"vm-received", "digits/at", "vm-duration"} & set(plain)


def test_a_new_message_is_mailed_as_the_box_says(
    provider: Provider, asterisk: InstalledAsterisk
) -> None:
    options = {"no": "7120", "yes": "7121", "attach": "7122", "delete": "7123"}
    boxes = [
        provider.add(int(mailbox), NotifyEmail=notify, Email=f"{notify}@example.com")
        for notify, mailbox in options.items()
    ]
    paged = provider.add(7124, NotifyPager="yes", Pager="pager@example.com")
    asterisk.leave(*map(at_acme, [*boxes, paged]))
    wait_until(lambda: len(asterisk.mails()) >= 4)

    mails = {mail["To"].addresses[0].addr_spec: mail for mail in asterisk.mails()}
    assert set(mails) == {f"{each}@example.com" for each in ("yes", "attach", "delete", "pager")}
    assert mails["yes@example.com"]["To"].addresses[0].display_name == NAME
    attached = {
        address.partition("@")[0]: [part.get_filename() for part in mail.iter_attachments()]
        for address, mail in mails.items()
    }
    assert attached["yes"] == attached["pager"] == []
    assert attached["attach"] == attached["delete"] == ["msg0000.WAV"]
    kept = [asterisk.messages(at_acme(box)) for box in [*boxes, paged]]
    assert kept == [["msg0000"], ["msg0000"], ["msg0000"], [], ["msg0000"]]


def test_a_pin_is_changed_by_phone(provider: Provider, asterisk: InstalledAsterisk) -> None:
    box = provider.add(7130)
    asterisk.retrieve({at_acme(box): box["Password"]}, NEW_PIN.format("0471"))

    assert provider.read(box)["Password"] == "0471"
    assert "vm-youhave" in asterisk.retrieve({at_acme(box): "0471"})[at_acme(box)]


def test_a_pin_that_the_rules_forbid_is_refused_to_the_caller(
    provider: Provider, asterisk: InstalledAsterisk
) -> None:
    box = provider.add(7131)
    pins = {at_acme(box): box["Password"]}
    heard = asterisk.retrieve(pins, NEW_PIN.format("12345678"))[at_acme(box)]

    assert "vm-invalid-password" in heard
    assert "vm-passchanged" not in heard
    assert provider.read(box) == box


def test_nobody_gets_into_a_box_while_the_service_fails(
    provider: Provider, asterisk: InstalledAsterisk
) -> None:
    box = provider.add(7140)
    with failing_database(provider):
        (heard,) = heard_by_owners(asterisk, box)
        assert "vm-incorrect-mailbox" in heard
        assert "vm-youhave" not in heard
        assert asterisk.leave(at_acme(box)) == {at_acme(box): []}
    with stopped(provider.service):
        assert asterisk.leave(at_acme(box)) == {at_acme(box): []}

    assert asterisk.messages(at_acme(box)) == []
    asterisk.leave(at_acme(box))
    assert asterisk.messages(at_acme(box)) == ["msg0000"]


@contextmanager
def failing_database(provider: Provider) -> Iterator[None]:
    """Let each statement about boxes fail."""
    database = provider.place.database
    database.execute("ALTER TABLE voicemail_voicemailbox RENAME TO gone")
    try:
        yield
    finally:
        database.execute("ALTER TABLE gone RENAME TO voicemail_voicemailbox")


@contextmanager
def stopped(service: Service) -> Iterator[None]:
    """Let the service take connections and answer none."""
    os.killpg(service.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(service.process.pid, signal.SIGCONT)


def test_recordings_follow_a_renumbered_box_and_go_with_a_deleted_one(
    provider: Provider, asterisk: InstalledAsterisk
) -> None:
    moved, deleted = provider.add(7150), provider.add(7151)
    asterisk.leave(at_acme(moved), at_acme(deleted))
    keep_and_greet(asterisk, at_acme(moved))
    keep_and_greet(asterisk, at_acme(deleted))
    number = moved["VoicemailboxId"]
    edited = provider.call("VoicemailboxEdit", VoicemailboxId=number, Mailbox=7152)["Voicemailbox"]
    provider.call("VoicemailboxDelete", VoicemailboxId=deleted["VoicemailboxId"])
    stranger = provider.add(7151)
    assert asterisk.leave(at_acme(stranger)) == {at_acme(stranger): []}

    asterisk.carry_out_spool_orders()

    heard, of_stranger = heard_by_owners(asterisk, edited, stranger)
    assert f"{ACME}/7152/INBOX/msg0000" in heard
    assert "vm-no" in of_stranger
    assert asterisk.messages(at_acme(edited), "Work") == ["msg0000"]
    greeted = asterisk.leave(at_acme(edited), at_acme(stranger))
    assert greeted[at_acme(edited)][0] == f"{ACME}/7152/unavail"
    assert greeted[at_acme(stranger)][0] == "vm-theperson"
    assert not asterisk.folder(at_acme(moved), "").exists()
    assert asterisk.messages(at_acme(stranger), "Work") == []


def keep_and_greet(asterisk: InstalledAsterisk, number: str) -> None:
    """Keep the message in another folder as well, and make its sound the greeting."""
    shutil.copytree(asterisk.folder(number), asterisk.folder(number, "Work"))
    sound = asterisk.folder(number) / "msg0000.wav"
    shutil.copy2(sound, asterisk.folder(number, "unavail.wav"))


def test_a_phone_is_told_of_waiting_messages(
    provider: Provider, asterisk: InstalledAsterisk, phone: socket.socket
) -> None:
    asterisk.leave(f"7901*{ACME}")

    while "Voice-Message: 1/0" not in (notified := phone.recv(65536).decode()):
        assert notified.startswith("NOTIFY ")
    assert "Messages-Waiting: yes" in notified
