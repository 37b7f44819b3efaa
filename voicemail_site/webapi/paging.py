"""One page of a list, and the number of all its records."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from django.db.models import BigIntegerField, Func, QuerySet, Subquery

from voicemail_site.statements import LIMIT, OFFSET
from voicemail_site.webapi.elements import Element, Tree
from voicemail_site.webapi.records import Records, Rest, Row, WireRecord

Rows: TypeAlias = "QuerySet[Any, Any]"

# Rows are read, and a long list is sent, in pieces of this size.
PIECE = 1_000

# A number that is wrong (verify finds it) must not let a page be read for ever.
_READINGS = 3


class Source(Protocol):
    """A statement about a page: its rows are an element's, and have Found last if it is asked."""

    def fetch(self, *, limit: int, offset: int) -> Sequence[Row]:
        """Give all rows of the page."""

    def stream(
        self, *, chunk: int, limit: int, offset: int
    ) -> Generator[Sequence[Row], None, None]:
        """Give them piece by piece."""


@dataclass(frozen=True)
class Page:
    """A part of a list: its records, and how many there would be without a limit."""

    limit: int
    offset: int
    records: Records
    found: int | None


@dataclass(frozen=True)
class Collection:
    """A list of elements, with Limit, Offset and, where asked for and not zero, Found."""

    name: str
    element: Element

    def tree(self, page: Page) -> Tree:
        """Build the list element from a page."""
        attributes = {"Limit": str(page.limit), "Offset": str(page.offset)}
        if page.found:
            attributes["Found"] = str(page.found)
        return {"@attributes": attributes, self.element.name: page.records}


class _Count(Func):
    """The number of rows, of a query that has no other column."""

    template = "COUNT(*)"
    output_field = BigIntegerField()


class _Number(Subquery):
    """How many there are, beside each row."""

    @property
    def convert_value(self) -> Any:
        return Subquery._convert_value_noop  # type: ignore[attr-defined]  # not in the stubs


class _PageOf(Subquery):
    """The ids of a page."""

    def as_sql(self, *args: Any, **kwargs: Any) -> tuple[str, tuple[Any, ...]]:
        sql, params = super().as_sql(*args, **kwargs)
        return f"{sql.removesuffix(')')} LIMIT %s OFFSET %s)", (*params, LIMIT, OFFSET)


def count_of(rows: Rows) -> Rows:
    """Count a list's rows."""
    return rows.order_by().values_list(_Count())


def page_of(rows: Rows, element: Element, *, number: Rows | None, is_deep: bool) -> Rows:
    """Have a list's rows give an element's texts, and their number in the same breath.

    The number stands in the statement that reads the rows, so both see one snapshot. Deep in a
    list the ids are found first, in an index: what lies before the page is never looked up.
    """
    columns: list[Any] = [WireRecord(element)]
    if number is not None:
        columns.append(_Number(number))
    if is_deep:
        rows = rows.filter(pk__in=_PageOf(rows.values("pk")))
    return rows.values_list(*columns)


def read_page(
    source: Source, element: Element, *, limit: int, offset: int, count: Callable[[], int] | None
) -> Page:
    """Read the rows from ``offset`` on, at most ``limit``.

    With ``count`` Found is asked for. Only a page without rows needs it: where it finds rows that
    the page should have had, they came in between, and the page is read again.
    """
    found = None
    for _ in range(_READINGS):
        rows, rest = _read(source, limit, offset)
        if rows or count is None:
            found = rows[0][-1] if count else None
            return Page(limit, offset, Records(element, rows, rest), found)
        found = count()
        if found <= offset or limit == 0:
            break
    return Page(limit, offset, Records(element, ()), found)


def _read(source: Source, limit: int, offset: int) -> tuple[Sequence[Row], Rest | None]:
    """Read a short page whole, and of a long one the first piece."""
    if limit == 0:
        return (), None
    if limit <= PIECE:
        return source.fetch(limit=limit, offset=offset), None
    pieces = source.stream(chunk=PIECE, limit=limit, offset=offset)
    first = next(pieces, ())
    if len(first) == PIECE:
        return first, pieces
    next(pieces, None)  # It ends by that, and its cursor with it.
    return first, None
