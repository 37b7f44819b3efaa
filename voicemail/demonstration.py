"""A small set of data to try the service with: two accounts, three organizations, sixty boxes."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from accounts.history import record_change
from accounts.models import Account, Channel, Organization, Role, Status, User
from accounts.services import add_account, add_organization, add_user, set_password
from voicemail.models import NotifyEmail, NotifyPager, Timezone, Voicemailbox
from voicemail.services import add_voicemailbox

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


@dataclass(frozen=True)
class Login:
    """A user of the demonstration, with the password that the reader needs."""

    user: User
    password: str


def is_in_use() -> bool:
    """Tell whether the database holds accounts that are not the demonstration's."""
    domains = [domain for pair in ACCOUNTS.values() for domain in pair]
    ours = Organization.unscoped.filter(domain__in=domains).values("account")
    return Account.unscoped.exclude(pk__in=ours).exists()


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
    mailbox = 1001 + number
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
