"""Pages of a long list, without a count of all its rows."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.utils.functional import cached_property

BOUND = 1_000

# Whoever pages through this many rows wants a search instead; each page reads all before it.
LAST_ROW = 50_000


class BoundedPaginator(Paginator[Any]):
    """Count rows up to a bound: the exact number of very many is not worth reading them all.

    The bound grows with the page that is asked for, so that a next page is known to be there.
    Ids are fetched instead of a number: with those of a short list its page needs no second look
    for what matches.
    """

    object_list: QuerySet[Any]

    def __init__(self, rows: QuerySet[Any], per_page: int, *, page: int = 1) -> None:
        super().__init__(rows, per_page)
        self.bound = min(max(BOUND, (page + 1) * per_page), LAST_ROW)

    @cached_property
    def ids(self) -> list[int]:
        """Give the ids of all rows, in no order, or of one more than the bound."""
        unordered = self.object_list.order_by().values_list("pk", flat=True)
        return list(unordered[: self.bound + 1])

    @property
    def has_more(self) -> bool:
        """Tell whether there are more rows than ``count`` says."""
        return len(self.ids) > self.bound

    @cached_property
    def count(self) -> int:
        return min(len(self.ids), self.bound)
