"""Pages of lists that belong to a caller, each way of asking for one compiled once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any, NamedTuple, TypeAlias

from django.db.models import QuerySet

from accounts.models import User
from accounts.scoping import LookUp, ScopedStatement
from voicemail_site.webapi.elements import Element
from voicemail_site.webapi.paging import PIECE, Page, count_of, page_of, read_page

RowsFor: TypeAlias = "Callable[[Any], QuerySet[Any, Any]]"

# From here on a page's ids are found first.
_DEEP = 1_000


class _Bound(NamedTuple):
    """A statement of one caller, with the values that are the same for each page."""

    statement: ScopedStatement
    caller: User
    values: dict[str, Any]

    def fetch(self, *, limit: int, offset: int) -> Sequence[Any]:
        return self.statement.fetch(self.caller, limit=limit, offset=offset, **self.values)

    def stream(self, *, chunk: int, limit: int, offset: int) -> Any:
        return self.statement.stream(
            self.caller, chunk=chunk, limit=limit, offset=offset, **self.values
        )


class ScopedPages:
    """The pages of one list: ``rows`` takes a caller, for ``visible_to``, and gives all of it.

    ``number`` gives, in one column, how many there are, where that is known without counting.
    """

    def __init__(self, element: Element, rows: RowsFor, number: RowsFor | None = None) -> None:
        self._element = element
        self._rows = rows
        self._number: RowsFor = number or (lambda caller: count_of(rows(caller)))
        self._statement = cache(self._make_statement)
        self._count = ScopedStatement(self._number)

    def read(
        self,
        caller: User,
        *,
        order_by: tuple[str, ...],
        limit: int,
        offset: int,
        calc_found: bool,
        **values: Any,
    ) -> Page:
        """Read a page; ``values`` are those of the Params in ``rows``."""
        statement = self._statement(order_by, calc_found, is_deep=offset >= _DEEP)
        count = partial(self._count_for, caller, values) if calc_found else None
        source = _Bound(statement, caller, values)
        return read_page(source, self._element, limit=limit, offset=offset, count=count)

    def as_look_up(
        self,
        *,
        order_by: tuple[str, ...],
        limit: int,
        offset: int,
        calc_found: bool,
        **values: Any,
    ) -> LookUp | None:
        """Give what ``read`` will look up first, if that is one short statement."""
        if not 0 < limit <= PIECE or offset >= _DEEP:
            return None
        statement = self._statement(order_by, calc_found, is_deep=False)
        return LookUp(statement, {"limit": limit, "offset": offset, **values})

    def _make_statement(
        self, order_by: tuple[str, ...], calc_found: bool, *, is_deep: bool
    ) -> ScopedStatement:
        return ScopedStatement(
            lambda caller: page_of(
                self._rows(caller).order_by(*order_by),
                self._element,
                number=self._number(caller) if calc_found else None,
                is_deep=is_deep,
            ),
            is_page=not is_deep,
            is_planned_anew=is_deep,
        )

    def _count_for(self, caller: User, values: dict[str, Any]) -> int:
        ((number,),) = self._count.fetch(caller, **values)
        return int(number)
