"""Accounts at the shell."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import Q

from accounts import services
from accounts.management.base import ChangeVerb, Done, Need, NounCommand
from accounts.management.objects import (
    CONTACT_FIELDS,
    DeleteNamed,
    EditNamed,
    FieldsVerb,
    FilteredList,
    Kind,
    SetStatus,
    ShowNamed,
)
from accounts.management.scope import ACCOUNT_NAMES, EVERYTHING, find_account
from accounts.models import Account, Organization, Status, User

FIELDS = (
    *("status", "balance", "credit_limit"),
    *("recharge", "recharge_level", "recharge_threshold"),
    *CONTACT_FIELDS,
)

ACCOUNTS = Kind(
    model=Account,
    columns=("id", *FIELDS, "created", "modified"),
    accepted=ACCOUNT_NAMES,
    find=find_account,
    edit=services.edit_account,
    delete=services.delete_account,
)


class _OfAccounts:
    kind: ClassVar[Kind] = ACCOUNTS
    by_organization: ClassVar[bool] = False


class Add(_OfAccounts, FieldsVerb, ChangeVerb):
    """Add an account."""

    example = 'accounts add --contact-organization "Acme Corporation"'
    scope_need = Need.NONE
    fields = FIELDS

    def change(self) -> list[Done]:
        account = services.add_account(Account(**self.given))
        return [ACCOUNTS.added(account)]


class List(_OfAccounts, FilteredList):
    """List accounts."""

    example = "accounts list --all-accounts --status enabled --format csv"
    columns = ACCOUNTS.columns
    table_columns = ("id", "status", "contact_organization", "contact_name", "contact_email")
    searched = "their names, e-mail or domains"

    def containing(self, text: str) -> Q:
        domains = EVERYTHING.rows(Organization).filter(domain__icontains=text)
        return (
            Q(contact_organization__icontains=text)
            | Q(contact_name__icontains=text)
            | Q(contact_email__icontains=text)
            | Q(pk__in=domains.values("account"))
        )


class Show(_OfAccounts, ShowNamed):
    """Show an account."""

    example = "accounts show acme.example.com"


class Edit(_OfAccounts, EditNamed):
    """Change an account; what no option names stays as it is."""

    example = "accounts edit 3 --contact-phone 555-0100"
    fields = FIELDS


class Enable(_OfAccounts, SetStatus):
    """Enable accounts: their users log in again, and PBXs serve their boxes."""

    example = "accounts enable 3"
    status = Status.ENABLED


class Disable(_OfAccounts, SetStatus):
    """Disable accounts: nobody logs in, no API session is accepted, and PBXs serve no box."""

    example = "accounts disable 3 acme.example.com"
    status = Status.DISABLED


class Delete(_OfAccounts, DeleteNamed):
    """Delete accounts with their users and organizations; refused while they have boxes."""

    example = "accounts delete 3 --yes"

    def consequence(self, found: list[Any]) -> str:
        organizations = EVERYTHING.rows(Organization).filter(account__in=found).count()
        users = EVERYTHING.rows(User).filter(account__in=found).count()
        return f" with {organizations} organizations and {users} users"


class Command(NounCommand):
    """Add, list, show, change and delete accounts, the provider's customers."""

    verbs = (Add, List, Show, Edit, Enable, Disable, Delete)
