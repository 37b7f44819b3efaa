"""What the benchmark of the Web API must know of a database: who may ask, and for what.

``prepare`` runs in a process of its own for each database, since Django has one for good.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from tempfile import TemporaryDirectory

from benchmarks.dataset import (
    MIDDLE_BOXES,
    MIDDLE_DOMAIN,
    PASSWORD,
    execute,
    load,
    load_past,
    start,
)

PBX = "pbx"
SAMPLE = 5_000
BOX_FACTS = (
    "status, mailbox, password, fullname, timezone, say_caller_id, say_duration, say_datetime, "
    "notify_email, notify_pager, email, pager, mwi, username, created, modified"
)


@dataclass(frozen=True)
class Filling:
    """What a new database is filled with."""

    boxes: int
    is_one_account: bool = False
    has_past: bool = False

    @property
    def name(self) -> str:
        """Name it in the name of its database."""
        kind = "_account" if self.is_one_account else "_past" if self.has_past else ""
        return f"{self.boxes}{kind}"

    @property
    def without_past(self) -> Filling:
        """Give what a past is added to."""
        return replace(self, has_past=False)


@dataclass(frozen=True)
class Facts:
    """Ids and credentials of one database."""

    session_id: str
    staff_session_id: str
    token: str
    credential: str
    account: int
    middle_account: int
    big: int
    middle: int
    # Of the first account, with the same ids in stock's table, in a random order.
    boxes: list[int]
    # What a PBX asks for: number and domain.
    names: list[tuple[int, str]]


def prepare(url: str, filling: Filling | None) -> Facts:
    """Bring a database up to date, put into it what it lacks, and log in."""
    with TemporaryDirectory() as var_dir:
        start(url, var_dir, "benchmarks.stock.settings")
        if filling and filling.has_past:
            load_past(filling.boxes)
        elif filling:
            _fill(filling)
        return _facts()


def _fill(filling: Filling) -> None:
    from django.db import connection

    from benchmarks.stock.models import Box

    is_postgresql = connection.vendor == "postgresql"
    if is_postgresql:
        load(filling.boxes, is_one_account=filling.is_one_account)
    else:
        _load_trial()
    with connection.schema_editor() as editor:
        editor.create_model(Box)
    # The ids are the same, so that both are asked for the same boxes.
    execute(
        f"INSERT INTO stock_box (id, account_id, organization_id, domain, {BOX_FACTS}) "
        f"SELECT box.id, box.account_id, organization_id, domain, {_qualified(BOX_FACTS)} "
        "FROM voicemail_voicemailbox box JOIN accounts_organization owner "
        "ON owner.id = organization_id ORDER BY box.id"
    )
    if is_postgresql:
        execute("SELECT setval(pg_get_serial_sequence('stock_box', 'id'), max(id)) FROM stock_box")
        execute("VACUUM ANALYZE stock_box")


def _qualified(names: str) -> str:
    return ", ".join(f"box.{name}" for name in names.split(", "))


def _load_trial() -> None:
    """Fill one organization by the service, which takes seconds for what a trial has."""
    from accounts.history import record_change
    from accounts.models import Account, Channel, Organization, Role
    from accounts.services import add_account, add_organization, add_user
    from voicemail.models import Voicemailbox
    from voicemail.services import add_voicemailbox

    with record_change(by=None, channel=Channel.COMMAND, actor="benchmark"):
        account = add_account(Account(contact_organization="Acme"))
        add_organization(Organization(account=account, domain="acme.example.com"))
        organization = add_organization(Organization(account=account, domain=MIDDLE_DOMAIN))
        add_user(auth_username="staff", role=Role.SYSTEM_ADMIN, password=PASSWORD)
        add_user(auth_username="alice", role=Role.ACCOUNT_ADMIN, account=account, password=PASSWORD)
        for number in range(1001, 1001 + MIDDLE_BOXES):
            add_voicemailbox(
                Voicemailbox(
                    organization=organization,
                    mailbox=number,
                    username=f"vm{number}",
                    fullname=f"Joe Smith {number}",
                    email=f"user{number}@mail.example.org",
                )
            )


def _facts() -> Facts:
    from rest_framework.authtoken.models import Token

    from accounts.models import Organization, User
    from voicemail.models import Voicemailbox

    alice = User.unscoped.get(auth_username="alice")
    middle = Organization.unscoped.get(domain=MIDDLE_DOMAIN)
    big = Organization.unscoped.get(domain="acme.example.com")
    boxes = Voicemailbox.unscoped.order_by("?")
    served = boxes.filter(status="enabled").values_list("mailbox", "organization__domain")
    return Facts(
        session_id=_log_in("alice"),
        staff_session_id=_log_in("staff"),
        token=Token.objects.get_or_create(user=alice)[0].key,
        credential=_credential(),
        account=big.account_id,
        middle_account=middle.account_id,
        big=big.pk,
        middle=middle.pk,
        boxes=list(boxes.filter(account=big.account_id).values_list("pk", flat=True)[:SAMPLE]),
        names=list(served[:SAMPLE]),
    )


def _log_in(name: str) -> str:
    from django.utils import timezone

    from accounts.models import User
    from accounts.services import open_session

    user = User.unscoped.get(auth_username=name)
    session_id, _ = open_session(
        user, now=timezone.now(), client_address=None, user_agent="benchmark"
    )
    return session_id


def _credential() -> str:
    """Make the PBX anew; what it presents is stored nowhere."""
    from voicemail.models import Pbx
    from voicemail.services import give_credential

    Pbx.unscoped.filter(name=PBX).delete()
    pbx = Pbx(name=PBX)
    credential = give_credential(pbx)
    pbx.save()
    return credential
