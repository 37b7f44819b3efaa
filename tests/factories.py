"""The objects that tests arrange; each function says only what the test leaves open."""

from __future__ import annotations

from contextlib import AbstractContextManager
from itertools import count
from typing import Any

from accounts.history import record_change
from accounts.models import Account, Channel, Organization, Role, User
from accounts.services import add_account, add_organization, add_user
from voicemail.models import Voicemailbox
from voicemail.services import add_voicemailbox

PASSWORD = "correct horse battery"  # The cast's password, in tests only.

_numbers = count(1)


def arranging() -> AbstractContextManager[None]:
    """Give the Change under which a test's own objects are made."""
    return record_change(by=None, channel=Channel.COMMAND, actor="test")


def make_account(**values: Any) -> Account:
    with arranging():
        return add_account(Account(**{"contact_organization": "Acme"} | values))


def make_organization(account: Account, **values: Any) -> Organization:
    domain = f"org{next(_numbers)}.example.com"
    with arranging():
        return add_organization(Organization(account=account, **{"domain": domain} | values))


def make_user(
    auth_username: str, role: Role, account: Account | None = None, **values: Any
) -> User:
    with arranging():
        return add_user(
            auth_username=auth_username,
            role=role,
            account=account,
            **{"password": PASSWORD} | values,
        )


def make_voicemailbox(organization: Organization, **values: Any) -> Voicemailbox:
    number = next(_numbers)
    defaults = {"mailbox": 1000 + number, "username": f"vm{number}", "fullname": "Joe Smith"}
    with arranging():
        return add_voicemailbox(Voicemailbox(organization=organization, **defaults | values))
