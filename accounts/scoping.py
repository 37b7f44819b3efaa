"""The one way to another account's rows: there is none (docs/protocol.md, Roles).

``objects`` answers only through ``visible_to(caller)``. The unscoped manager is Django's
own; a test knows every use of it with its reason.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, TypeVar

from django.db import models

from voicemail_site.statements import Following, Param, Statement

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


@dataclass(frozen=True)
class _Kind:
    """What decides on the form of a scoped query; the account is given when it is run."""

    is_active: bool
    is_system_admin: bool
    is_account_admin: bool

    account_id: ClassVar = Param("account_of_caller", models.BigIntegerField())


_ADMIN = _Kind(is_active=True, is_system_admin=False, is_account_admin=True)
_STAFF = _Kind(is_active=True, is_system_admin=True, is_account_admin=False)

# The Param of an admin's account in a scoped statement.
ACCOUNT_OF_CALLER = _Kind.account_id.name

# The attribute of a caller with the rows that were fetched ahead.
_AHEAD = "_ahead"


class Ahead(NamedTuple):
    """What was fetched together with a caller, for the first who asks for it."""

    statement: Statement
    values: Mapping[str, Any]
    rows: Sequence[Any]


class LookUp(NamedTuple):
    """A scoped statement, and the values that it will be run with."""

    statement: ScopedStatement
    values: Mapping[str, Any]


class ScopedStatement:
    """A statement about rows of the caller's, compiled once for each kind of caller.

    ``rows`` takes a caller, for ``visible_to``, and gives the queryset.
    """

    def __init__(
        self,
        rows: Callable[[Any], models.QuerySet[Any, Any]],
        *,
        is_page: bool = False,
        is_planned_anew: bool = False,
    ) -> None:
        self._rows = rows
        self._options = {"is_page": is_page, "is_planned_anew": is_planned_anew}
        self._statements: dict[_Kind, Statement] = {}

    def first(self, caller: User, **values: Any) -> Any | None:
        """Give the first row, if there is one."""
        return next(iter(self.fetch(caller, **values)), None)

    def fetch(self, caller: User, **values: Any) -> Sequence[Any]:
        """Give the rows that this caller may see."""
        statement = self._for(caller)
        ahead: Ahead | None = vars(caller).pop(_AHEAD, None)
        if ahead is not None and ahead.statement is statement and ahead.values == values:
            return ahead.rows
        return statement.fetch(account_of_caller=caller.account_id, **values)

    def stream(
        self, caller: User, *, chunk: int, **values: Any
    ) -> Generator[Sequence[Any], None, None]:
        """Give the rows that this caller may see piece by piece."""
        return self._for(caller).stream(chunk=chunk, account_of_caller=caller.account_id, **values)

    def after(self, first: Statement, field: Any) -> Following:
        """Give this statement behind one that finds the caller, if that is an account's admin.

        ``field`` of the first one has the admin's account. ``keep`` takes what is found.
        """
        return Following(first, self.of_admins(), takes=(ACCOUNT_OF_CALLER, field))

    def of_admins(self) -> Statement:
        """Give what finds rows of an admin's, whose account it takes as ACCOUNT_OF_CALLER."""
        return self._of_kind(_ADMIN)

    def of_staff(self) -> Statement:
        """Give what finds rows for staff, who see all."""
        return self._of_kind(_STAFF)

    def keep(self, caller: User, rows: Sequence[Any], **values: Any) -> None:
        """Keep what was found behind a caller; if it was no account's admin, it is never used."""
        vars(caller)[_AHEAD] = Ahead(self.of_admins(), values, rows)

    def _for(self, caller: User) -> Statement:
        return self._of_kind(
            _Kind(caller.is_active, caller.is_system_admin, caller.is_account_admin)
        )

    def _of_kind(self, kind: _Kind) -> Statement:
        if kind not in self._statements:
            self._statements[kind] = Statement(lambda: self._rows(kind), **self._options)
        return self._statements[kind]
