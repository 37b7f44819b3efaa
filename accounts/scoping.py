"""The one way to another account's rows: there is none (docs/protocol.md, Roles).

``objects`` answers only through ``visible_to(caller)``. The unscoped manager is Django's
own; a test knows every use of it with its reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from django.db import models

if TYPE_CHECKING:
    from accounts.models import User

Row = TypeVar("Row", bound=models.Model)


class UnscopedQueryError(RuntimeError):
    """Raised when ``objects`` is asked for rows without naming the caller."""


class ScopedManager(models.Manager[Row], Generic[Row]):
    """Reach the rows of a model through ``visible_to`` alone.

    ``account_path`` is the look-up from the model to its account's id.
    """

    def __init__(self, account_path: str = "account_id") -> None:
        super().__init__()
        self.account_path = account_path

    def get_queryset(self) -> models.QuerySet[Row]:
        raise UnscopedQueryError(
            f"{self.model.__name__}.objects answers only through visible_to(caller)."
        )

    def visible_to(self, caller: User | Any) -> models.QuerySet[Row]:
        """Give the rows that this caller may see and administer.

        Provider staff see every row, an account's admin those of the account, anybody else none.
        """
        rows = super().get_queryset()
        if not getattr(caller, "is_active", False):
            return rows.none()
        if caller.is_system_admin:
            return rows
        if not caller.is_account_admin:
            return rows.none()
        return rows.filter(**{self.account_path: caller.account_id})


class StaffManager(ScopedManager[Row]):
    """Reach rows that are the provider's own: staff see every one, anybody else none."""

    def visible_to(self, caller: User | Any) -> models.QuerySet[Row]:
        rows = models.Manager.get_queryset(self)
        is_staff = getattr(caller, "is_active", False) and caller.is_system_admin
        return rows if is_staff else rows.none()
