"""10,000 random steps: no message is lost, and none is heard by another box's owner."""

from __future__ import annotations

import os
import random
import shutil
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from accounts.services import edit_organization
from tests.asterisk.pbx import Asterisk, make_pbx
from tests.asterisk.spool import Spool
from tests.factories import arranging, make_account, make_organization, make_voicemailbox
from voicemail.asterisk.boxes import boxes_for
from voicemail.asterisk.credentials import Credentials
from voicemail.models import SpoolOrder, Voicemailbox
from voicemail.services import (
    delete_voicemailbox,
    digest_of_credential,
    edit_voicemailbox,
    restore_voicemailbox,
)

SEEDS = 10
STEPS = 1000

pytestmark = [
    pytest.mark.journey,
    pytest.mark.skipif(
        shutil.which("curl") is None and not os.environ.get("CI"), reason="The scripts need curl."
    ),
]

# The context and the mailbox that recordings lie under.
Name = tuple[str, int]


@pytest.fixture(autouse=True)
def _spool_orders(settings: Any) -> None:
    settings.SPOOL_ORDERS = True


class Site:
    """A PBX with its spool, at times out of order."""

    def __init__(self, name: str, parent: Path, **values: Any) -> None:
        pbx, credential = make_pbx(name, **values)
        self.asterisk = Asterisk(name, credential)
        self.credentials = Credentials(pbx.name, digest_of_credential(credential))
        self.spool = Spool(parent / name, self.asterisk)
        self.is_up = True
        # What each box has here, by the box's id.
        self.kept: defaultdict[int, set[str]] = defaultdict(set)

    def served(self) -> dict[int, Name]:
        """Give the names under which Asterisk finds a box at this moment, by the box's id."""
        rows = boxes_for(self.credentials).values_list("id", "organization__domain", "mailbox")
        return {number: (context, mailbox) for number, context, mailbox in rows}

    def names_left(self) -> defaultdict[int, set[Name]]:
        """Give the names from which recordings of a box have still to be moved."""
        orders = SpoolOrder.unscoped.open_for(self.credentials.pbxs).filter(kind="move")
        left: defaultdict[int, set[Name]] = defaultdict(set)
        for number, context, mailbox in orders.values_list("voicemailbox_id", "context", "mailbox"):
            left[number].add((context, mailbox))
        return left

    def forget_what_is_gone(self, box: int) -> None:
        """Let go of what was removed of a box before it came back."""
        self.kept[box] &= {text for _, text in self.spool.recordings()}


class World:
    """Whose each message is, while boxes come, go and change names on PBXs that lag behind."""

    NUMBERS = range(1001, 1005)
    DOMAINS = tuple(f"d{number}.example.com" for number in range(4))

    def __init__(self, parent: Path, seed: int) -> None:
        self.chance = random.Random(seed)  # noqa: S311  # A test's own dice.
        self.organizations = [
            make_organization(make_account(), domain=domain) for domain in self.DOMAINS[:3]
        ]
        self.sites = [
            Site("pbx1", parent),
            Site("pbx2", parent, organizations=self.organizations[1:]),
        ]
        self.deleted: list[int] = []
        self.count = 0
        # The PBX that carries orders out just now, and what came back after it asked for them.
        self.at_work: Site | None = None
        self.came_back: set[int] = set()

    def boxes(self) -> dict[int, Voicemailbox]:
        return Voicemailbox.unscoped.select_related("organization").in_bulk()

    def any_box(self) -> Voicemailbox:
        boxes = self.boxes()
        return boxes[self.chance.choice(sorted(boxes))] if boxes else self.add()

    def any_site(self) -> Site:
        return self.chance.choice(self.sites)

    def step(self) -> None:
        """Do something, and see that nothing is wrong then; what is refused changes nothing."""
        steps = {
            self.leave: 50,
            self.add: 14,
            self.delete: 8,
            self.renumber: 10,
            self.restore: 8,
            self.rename: 3,
            self.fail_or_recover: 2,
            self.carry_out: 5,
        }
        (step,) = self.chance.choices(list(steps), list(steps.values()))
        with suppress(ValidationError):
            step()
            if step != self.leave:  # It sees to itself.
                self.check()

    def leave(self) -> None:
        """A caller leaves a message, where Asterisk finds a box."""
        box, site = self.any_box(), self.any_site()
        context, mailbox = box.organization.domain, box.mailbox
        found = site.asterisk.single(mailbox=str(mailbox), context=context) if site.is_up else None
        if found is not None:
            assert found["uniqueid"] == str(box.pk)
            self.count += 1
            text = f"{self.count} for box {box.pk}"
            folder = self.chance.choice(["INBOX", "INBOX", "Old"])
            site.spool.leave_message(context, mailbox, text, folder=folder)
            site.kept[box.pk].add(text)

    def add(self) -> Voicemailbox:
        organization = self.chance.choice(self.organizations)
        return make_voicemailbox(organization, mailbox=self.chance.choice(self.NUMBERS))

    def delete(self) -> None:
        box = self.any_box()
        self.deleted.append(box.pk)
        with arranging():
            delete_voicemailbox(box)

    def renumber(self) -> None:
        box = self.any_box()
        box.mailbox = self.chance.choice(self.NUMBERS)
        box.full_clean()
        with arranging():
            edit_voicemailbox(box)

    def restore(self) -> None:
        if not self.deleted:
            return
        number = self.chance.choice(self.deleted)
        row = Voicemailbox.history.filter(id=number, history_type="-").latest("history_id")
        with arranging():
            restore_voicemailbox(row)
        self.deleted.remove(number)
        self.came_back.add(number)
        for site in self.sites:
            site.forget_what_is_gone(number)

    def rename(self) -> None:
        organization = self.chance.choice(self.organizations)
        organization.domain = self.chance.choice(self.DOMAINS)
        try:
            organization.full_clean()
            with arranging():
                edit_organization(organization)
        finally:
            organization.refresh_from_db()

    def fail_or_recover(self) -> None:
        site = self.any_site()
        site.is_up = site is self.at_work or not site.is_up

    def carry_out(self) -> None:
        """Run the script, while others go on between any two of its requests."""
        site = self.any_site()
        if self.at_work is None and site.is_up:
            self.run_script(site)

    def run_script(self, site: Site) -> None:
        self.at_work = site
        self.came_back.clear()
        run = site.spool.carry_out(self.go_on)
        self.at_work = None
        assert (run.returncode, run.stderr) == (0, "")
        # Of a removal that had been asked for by then, the restoring came too late.
        for box in self.came_back:
            site.forget_what_is_gone(box)

    def go_on(self) -> None:
        if self.chance.random() < 0.3:
            self.step()

    def check(self) -> None:
        boxes = self.boxes()
        for site in self.sites:
            found = list(site.spool.recordings())
            self.check_privacy(site, found)
            self.check_loss(site, found, boxes)

    def check_privacy(self, site: Site, found: list[tuple[Name, str]]) -> None:
        """Whoever Asterisk lets in hears no stranger."""
        owners = {name: box for box, name in site.served().items()}
        strange = [
            (name, text)
            for name, text in found
            if name in owners and not text.endswith(f" for box {owners[name]}")
        ]
        assert strange == []

    def check_loss(
        self, site: Site, found: list[tuple[Name, str]], boxes: dict[int, Voicemailbox]
    ) -> None:
        """Each message of a living box is there once, under its name or on its way there."""
        names: defaultdict[str, list[Name]] = defaultdict(list)
        for name, text in found:
            names[text].append(name)
        left = site.names_left()
        for number, box in boxes.items():
            if site is self.at_work and number in self.came_back:
                continue
            allowed = left[number] | {(box.organization.domain, box.mailbox)}
            for text in site.kept[number]:
                assert len(names[text]) == 1, text
                assert set(names[text]) <= allowed, text

    def settle(self) -> None:
        """Once every order is carried out, each box has exactly its own."""
        for site in self.sites:
            site.spool.carry_out()
            found = list(site.spool.recordings())
            theirs = {
                text: (box.organization.domain, box.mailbox)
                for number, box in self.boxes().items()
                for text in site.kept[number]
            }
            assert sorted((name, text) for text, name in theirs.items()) == sorted(found)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_message_is_lost_or_heard_by_a_stranger(tmp_path: Path, db: None, seed: int) -> None:
    world = World(tmp_path, seed)
    for _ in range(STEPS):
        world.step()
    world.settle()
