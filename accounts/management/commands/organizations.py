"""Organizations at the shell."""

from __future__ import annotations

from typing import ClassVar

from django.core.management.base import CommandParser
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
from accounts.management.scope import ORGANIZATION_NAMES, find_account, find_organization
from accounts.models import Organization, Status

FIELDS = (
    *("status", "caller_id", "caller_id_name", "caller_id_number"),
    *("extended_dialing", "e911_provisioning"),
    *CONTACT_FIELDS,
)

ORGANIZATIONS = Kind(
    model=Organization,
    columns=("id", "account_id", "domain", *FIELDS, "created", "modified"),
    accepted=ORGANIZATION_NAMES,
    find=find_organization,
    edit=services.edit_organization,
    delete=services.delete_organization,
)


class _OfOrganizations:
    kind: ClassVar[Kind] = ORGANIZATIONS


class Add(_OfOrganizations, FieldsVerb, ChangeVerb):
    """Add an organization to an account."""

    example = "organizations add acme.example.com --account 3"
    scope_need = Need.NONE
    fields = FIELDS

    @classmethod
    def add_arguments(cls, parser: CommandParser) -> None:
        parser.add_argument("domain", metavar="DOMAIN", help="Its SIP domain.")
        parser.add_argument(
            "--account", metavar="ID|DOMAIN", required=True, help="The account that gets it."
        )
        super().add_arguments(parser)

    def change(self) -> list[Done]:
        account = find_account(self.options["account"])
        organization = Organization(account=account, domain=self.options["domain"], **self.given)
        services.add_organization(organization)
        return [ORGANIZATIONS.added(organization)]


class List(_OfOrganizations, FilteredList):
    """List organizations."""

    example = "organizations list --account 3"
    columns = ORGANIZATIONS.columns
    table_columns = ("id", "account_id", "domain", "status", "contact_organization")
    searched = "their domain or name"

    def containing(self, text: str) -> Q:
        return Q(domain__icontains=text) | Q(contact_organization__icontains=text)


class Show(_OfOrganizations, ShowNamed):
    """Show an organization."""

    example = "organizations show acme.example.com"


class Edit(_OfOrganizations, EditNamed):
    """Change an organization; what no option names stays as it is.

    A new domain moves its boxes and its users' addresses to it; the account never changes.
    """

    example = "organizations edit acme.example.com --domain acme.example.net"
    fields = ("domain", *FIELDS)


class Enable(_OfOrganizations, SetStatus):
    """Enable organizations: PBXs serve their boxes again."""

    example = "organizations enable acme.example.com"
    status = Status.ENABLED


class Disable(_OfOrganizations, SetStatus):
    """Disable organizations: PBXs serve their boxes no more."""

    example = "organizations disable acme.example.com"
    status = Status.DISABLED


class Delete(_OfOrganizations, DeleteNamed):
    """Delete organizations; refused while they have boxes or users' addresses."""

    example = "organizations delete acme.example.com --yes"


class Command(NounCommand):
    """Add, list, show, change and delete organizations, each one SIP domain of an account."""

    verbs = (Add, List, Show, Edit, Enable, Disable, Delete)
