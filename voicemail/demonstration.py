"""Data to try the service with: two accounts, three organizations and sixty boxes; or very many.

The many are written by one statement for each table, a million of them in about a minute.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.db import connection
from django.db.models import Q
from django.utils import timezone

from accounts.history import current_change, record_change
from accounts.models import Account, Channel, Organization, Role, Status, User
from accounts.services import add_account, add_organization, add_user, set_password
from voicemail.models import NotifyEmail, NotifyPager, Timezone, Voicemailbox
from voicemail.services import FIRST_MAILBOX, add_voicemailbox, generate_pin
from voicemail.validators import MAILBOX_MAX

ACCOUNTS = {
    "Acme Corporation": ("acme.example.com", "acme-west.example.com"),
    "Globex": ("globex.example.com",),
}
USERS = {
    "staff": (Role.SYSTEM_ADMIN, None),
    "alice": (Role.ACCOUNT_ADMIN, "acme.example.com"),
    "bob": (Role.USER, "acme.example.com"),
    "charlie": (Role.ACCOUNT_ADMIN, "globex.example.com"),
}
FULLNAMES = (
    *("Joe Smith", "Zoë Müller", "Siobhán O'Brien", "王小明", "Ana María Núñez"),
    *("Front Desk", "Sales & Support", "Łukasz Wójcik", "Jean-Luc Dupont", "Дарья Иванова"),
)
BOXES_PER_ORGANIZATION = 20

_MANY_DOMAINS = r"^company[0-9]+\.example\.net$"


@dataclass(frozen=True)
class Login:
    """A user of the demonstration, with the password that the reader needs."""

    user: User
    password: str


def is_in_use() -> bool:
    """Tell whether the database holds accounts that are not the demonstration's."""
    domains = [domain for pair in ACCOUNTS.values() for domain in pair]
    ours = Organization.unscoped.filter(Q(domain__in=domains) | Q(domain__regex=_MANY_DOMAINS))
    return Account.unscoped.exclude(pk__in=ours.values("account")).exists()


def load(known_passwords: Mapping[str, str]) -> list[Login]:
    """Make what is missing of the data, and give the logins.

    A user keeps the password that ``known_passwords`` has if it is right, and gets a new one else.
    """
    with record_change(by=None, channel=Channel.COMMAND, actor="demonstration"):
        organizations = dict(_organizations())
        for organization in organizations.values():
            _fill(organization)
        return [
            _login(name, role, organizations.get(domain or ""), known_passwords.get(name, ""))
            for name, (role, domain) in USERS.items()
        ]


def _organizations() -> Iterator[tuple[str, Organization]]:
    for company, domains in ACCOUNTS.items():
        found = {each.domain: each for each in Organization.unscoped.filter(domain__in=domains)}
        account = next((each.account for each in found.values()), None) or add_account(
            Account(contact_organization=company, contact_city="Springfield")
        )
        for domain in domains:
            yield (
                domain,
                found.get(domain)
                or add_organization(
                    Organization(account=account, domain=domain, contact_organization=company)
                ),
            )


def _fill(organization: Organization) -> None:
    if Voicemailbox.unscoped.filter(organization=organization).exists():
        return
    kinds = list(product(NotifyEmail.values, NotifyPager.values, Timezone.values))
    for number in range(BOXES_PER_ORGANIZATION):
        email, pager, timezone = kinds[number * 7 % len(kinds)]
        add_voicemailbox(_box(organization, number, email, pager, timezone))


def _box(
    organization: Organization, number: int, email: str, pager: str, timezone: str
) -> Voicemailbox:
    mailbox = FIRST_MAILBOX + number
    return Voicemailbox(
        organization=organization,
        mailbox=mailbox,
        username=f"vm{mailbox}",
        fullname=FULLNAMES[number % len(FULLNAMES)],
        status=Status.DISABLED if number % 10 == 9 else Status.ENABLED,
        timezone=timezone,
        say_caller_id=bool(number & 1),
        say_duration=bool(number & 2),
        say_datetime=bool(number & 4),
        notify_email=email,
        email="" if email == NotifyEmail.NO else f"user{mailbox}@{organization.domain}",
        notify_pager=pager,
        pager="" if pager == NotifyPager.NO else f"pager{mailbox}@{organization.domain}",
        mwi=f"phone{mailbox}@{organization.domain}" if number % 3 == 0 else "",
    )


def _login(name: str, role: Role, organization: Organization | None, known: str) -> Login:
    user = User.unscoped.filter(auth_username=name).first()
    if user is not None and known and user.check_password(known):
        return Login(user, known)
    password = secrets.token_urlsafe(12)
    if user is not None:
        set_password(user, password)
        return Login(user, password)
    return Login(
        add_user(
            auth_username=name,
            role=role,
            password=password,
            account=organization.account if organization else None,
            organization=organization,
            username=name if organization else "",
        ),
        password,
    )


# Very many


@dataclass(frozen=True)
class Size:
    """How many boxes, in how many organizations of how many accounts."""

    mailboxes: int
    organizations: int
    accounts: int

    def clean(self) -> None:
        """Refuse what can't be spread out. Raises ValidationError."""
        if not 1 <= self.accounts <= self.organizations <= self.mailboxes:
            raise ValidationError(
                "There must be at least 1 account, an organization for each account, and a "
                "mailbox for each organization."
            )
        if -(-self.mailboxes // self.organizations) > MAILBOX_MAX - FIRST_MAILBOX + 1:
            raise ValidationError("So few organizations have not so many numbers.")


def are_there_many() -> bool:
    """Tell whether ``load_many`` has filled the database already."""
    return Organization.unscoped.filter(domain=_domain(0)).exists()


def load_many(size: Size) -> None:
    """Make accounts, organizations and boxes, with their history, inside ``record_change``.

    Raises ValidationError.
    """
    size.clean()
    accounts = [
        add_account(Account(contact_organization=f"Example Company {number + 1}"))
        for number in range(size.accounts)
    ]
    for number in range(size.organizations):
        account = accounts[number % size.accounts]
        add_organization(Organization(account=account, domain=_domain(number)))
    _write_boxes(size)


def _domain(number: int) -> str:
    return f"company{number}.example.net"


# Facts follow from a box's number n, counted from 0; all but the PINs, which come in turn from
# some that were made as for any other box.
_BOXES = """
    WITH RECURSIVE
        numbers (n) AS ({numbers}),
        pins (i, pin) AS (VALUES {pins}),
        names (i, fullname) AS (VALUES {names}),
        zones (i, zone) AS (VALUES {zones})
    INSERT INTO {table} (
        account_id, organization_id, status, mailbox, password, fullname, timezone,
        say_caller_id, say_duration, say_datetime, notify_email, notify_pager, email, pager, mwi,
        username, created, modified)
    SELECT
        account_id, organizations.id, CASE WHEN n %% 50 = 49 THEN 'disabled' ELSE 'enabled' END,
        {first} + n / {organizations},
        CASE WHEN pin = CAST({first} + n / {organizations} AS TEXT) THEN {spare} ELSE pin END,
        fullname, zone, n %% 2 = 1, n %% 4 > 1, n %% 8 > 3,
        CASE n %% 10 WHEN 0 THEN 'delete' WHEN 1 THEN 'attach' WHEN 2 THEN 'yes' ELSE 'no' END,
        CASE n %% 20 WHEN 3 THEN 'yes' ELSE 'no' END,
        CASE WHEN n %% 10 < 3 THEN 'user' || n || '@' || domain ELSE '' END,
        CASE WHEN n %% 20 = 3 THEN 'pager' || n || '@' || domain ELSE '' END,
        CASE WHEN n %% 3 = 0 THEN 'phone' || n || '@' || domain ELSE '' END,
        'vm' || ({first} + n / {organizations}), %s, %s
    FROM numbers
    JOIN {organization_table} organizations
        ON domain = 'company' || (n %% {organizations}) || '.example.net'
    JOIN pins ON pins.i = n %% {pin_count}
    JOIN names ON names.i = n / 7 %% {name_count}
    JOIN zones ON zones.i = n / 3 %% {zone_count}
    ORDER BY n
"""
_HISTORY = """
    INSERT INTO {history_table} ({columns}, history_date, history_type, change_id)
    SELECT {columns}, created, '+', %s FROM {table} WHERE created = %s ORDER BY id
"""
# PostgreSQL foresees how many rows a series has, and joins them accordingly.
_NUMBERS = {
    "postgresql": "SELECT n FROM generate_series(0, {mailboxes} - 1) n",
    "sqlite": "SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < {mailboxes}",
}
_PINS = 5000


def _write_boxes(size: Size) -> None:
    now, boxes = timezone.now(), Voicemailbox._meta
    pins = list(dict.fromkeys(generate_pin(0) for _ in range(_PINS)))
    facts = {
        "table": boxes.db_table,
        "history_table": Voicemailbox.history.model._meta.db_table,
        "organization_table": Organization._meta.db_table,
        "columns": ", ".join(str(field.column) for field in boxes.concrete_fields),
        "numbers": _NUMBERS[connection.vendor].format(mailboxes=size.mailboxes),
        "organizations": size.organizations,
        "first": FIRST_MAILBOX,
        "spare": f"'{pins.pop()}'",
        "pins": _values(pins),
        "pin_count": len(pins),
        "names": _values(FULLNAMES),
        "name_count": len(FULLNAMES),
        "zones": _values(map(str, Timezone.values)),
        "zone_count": len(Timezone.values),
    }
    with connection.cursor() as cursor:
        cursor.execute(_BOXES.format(**facts), [now, now])
        change = current_change(None)
        cursor.execute(_HISTORY.format(**facts), [change.pk, now])
        for table in (facts["table"], facts["history_table"]):
            cursor.execute(f"ANALYZE {table}")


def _values(texts: Iterable[str]) -> str:
    """Spell a numbered list in SQL; the texts are of this module's own making."""
    quoted = (text.replace("'", "''") for text in texts)
    return ", ".join(f"({number}, '{text}')" for number, text in enumerate(quoted))


def read_passwords(path: Path) -> dict[str, str]:
    """Read the passwords that an earlier run wrote down."""
    try:
        facts = json.loads(path.read_text())
        return {each["username"]: each["password"] for each in facts["users"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def write_facts(path: Path, url: str, logins: list[Login]) -> None:
    """Write down the address and the logins, readable by the owner alone."""
    facts = {"url": url, "users": [_facts(login) for login in logins]}
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(facts, file, indent=2)
        file.write("\n")


def _facts(login: Login) -> dict[str, Any]:
    user = login.user
    organizations = Organization.unscoped.order_by("id")
    if user.account_id is not None:
        organizations = organizations.filter(account_id=user.account_id)
    return {
        "username": user.auth_username,
        "password": login.password,
        "role": Role(user.role).label,
        "account_id": user.account_id,
        "organizations": [{"id": each.pk, "domain": each.domain} for each in organizations],
    }
