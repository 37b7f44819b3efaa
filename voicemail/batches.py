"""Many rows, some at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

Row = TypeVar("Row")


def in_batches(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    """Give rows in lists of so many, the last one shorter."""
    following = iter(rows)
    while some := list(islice(following, size)):
        yield some
