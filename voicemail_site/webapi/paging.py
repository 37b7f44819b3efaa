"""One page of a list, read in one statement."""

from __future__ import annotations

from typing import Any

from django.db.models import BigIntegerField, QuerySet, Subquery

from voicemail_site.webapi.elements import Element, Page


class _CountOf(Subquery):
    """The number of rows of a query, as a column of another one."""

    template = "(SELECT COUNT(*) FROM (%(subquery)s) counted)"
    output_field = BigIntegerField()


def read_page(
    rows: QuerySet[Any], element: Element, *, limit: int, offset: int, calc_found: bool
) -> Page:
    """Read the rows from ``offset`` on, at most ``limit``, and count them all in the same breath.

    The count stands in the statement that reads the rows, so both see one snapshot. Only a page
    without rows needs a second statement; where that one finds rows that the page should have
    had, they came in between, and the page is read again. No model object is made of a row.
    """
    counted = rows
    if calc_found:
        counted = rows.annotate(found=_CountOf(rows.order_by().values("pk")))
    columns = (*element.columns, "found") if calc_found else element.columns
    while True:
        page = list(counted.values_list(*columns)[offset : offset + limit])
        if page or not calc_found:
            return Page(limit, offset, page, found=page[0][-1] if calc_found else None)
        found = rows.count()
        if found <= offset or limit == 0:
            return Page(limit, offset, [], found)
