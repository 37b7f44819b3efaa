"""Which objects a command is about: those of one account, of one organization, or all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

from django.core.management.base import CommandError
from django.db import models

from accounts.authentication import find_user
from accounts.models import Account, Organization, Role, User
from accounts.versions import rows_visible_to

# Whoever has a shell here may do what the provider's staff may; no row stands for them.
OPERATOR = User(auth_username="operator", role=Role.SYSTEM_ADMIN)

# How each is named.
ACCOUNT_NAMES = "id, or a domain of the account"
ORGANIZATION_NAMES = "id or domain"
USER_NAMES = "id, authentication name, or address such as joe@example.com"

Row = TypeVar("Row", bound=models.Model)

_ID_DIGITS = len(str(2**63 - 1))


@dataclass(frozen=True)
class Scope:
    """The objects of one account or one organization, or of every account."""

    account: Account | None = None
    organization: Organization | None = None

    def rows(self, model: type[Row]) -> models.QuerySet[Row]:
        """Give the rows of a model that lie in the scope."""
        objects: Any = model.objects  # type: ignore[attr-defined]  # Each has the manager.
        rows: models.QuerySet[Row] = objects.visible_to(OPERATOR)
        if self.organization is not None:
            return rows.filter(**{_organization_path(model): self.organization.pk})
        if self.account is not None:
            return rows.filter(**{objects.account_path: self.account.pk})
        return rows

    def history_rows(self, model: type[models.Model]) -> models.QuerySet[Any]:
        """Give the history rows of a model that lie in the scope, the newest first."""
        rows = rows_visible_to(model, OPERATOR)
        if self.account is not None:
            return rows.filter(account=self.account)
        if self.organization is None:
            return rows
        if model is Organization:
            return rows.filter(id=self.organization.pk)
        # An account, for one, lies in no organization.
        names = {field.name for field in model._meta.concrete_fields}
        return (
            rows.filter(organization=self.organization) if "organization" in names else rows.none()
        )

    def __str__(self) -> str:
        if self.organization is not None:
            return f" in organization {self.organization.pk} ({self.organization})"
        return f" in account {self.account.pk} ({self.account})" if self.account else ""


EVERYTHING = Scope()


def _organization_path(model: Any) -> str:
    if model is Organization:
        return "pk"
    return str(model.objects.account_path).replace("account_id", "organization_id")


def id_in(name: str) -> int | None:
    """Give the id that a name is: it is one if it has digits alone."""
    is_id = name.isascii() and name.isdigit() and len(name) <= _ID_DIGITS
    return int(name) if is_id else None


def found_in(rows: models.QuerySet[Row], name: str, *, scope: Scope, accepted: str) -> Row:
    """Give the one row that a name led to. Raises CommandError that says what is accepted."""
    row = rows.first()
    if row is None:
        noun = rows.model._meta.verbose_name
        raise CommandError(f"There is no {noun} {name}{scope}. Accepted: {accepted}.")
    return row


def find_account(name: str, scope: Scope = EVERYTHING) -> Account:
    """Find an account by its id or the domain of one of its organizations."""
    pk, rows = id_in(name), scope.rows(Account)
    rows = rows.filter(pk=pk) if pk else rows.filter(organizations__domain=name)
    return found_in(rows, name, scope=scope, accepted=ACCOUNT_NAMES)


def find_organization(name: str, scope: Scope = EVERYTHING) -> Organization:
    """Find an organization by its id or domain."""
    pk, rows = id_in(name), scope.rows(Organization).select_related("account")
    rows = rows.filter(pk=pk) if pk else rows.filter(domain=name)
    return found_in(rows, name, scope=scope, accepted=ORGANIZATION_NAMES)


def find_named_user(name: str, scope: Scope = EVERYTHING) -> User:
    """Find a user by id, authentication name or address ``user@domain``."""
    pk, rows = id_in(name), scope.rows(User).select_related("account", "organization")
    if pk is None:
        user = find_user(name)
        pk = user.pk if user else 0
    return found_in(rows.filter(pk=pk), name, scope=scope, accepted=USER_NAMES)
