"""Declarations of the Result's elements: from rows and columns to the document's tree.

A Tree is plain data: a text, or a dict of children in their order. A list under a name repeats
the element, and the key ``@attributes`` holds the attributes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import reduce
from typing import Any, TypeAlias

Tree: TypeAlias = "str | Mapping[str, Tree | Sequence[Tree]]"


def as_text(value: object) -> str:
    """Write a value as the wire has it (docs/protocol.md, XML document)."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case datetime():
            return value.astimezone(UTC).replace(microsecond=0).isoformat()
        case Decimal():
            return f"{value:.2f}"
        case _:
            return str(value)


@dataclass(frozen=True)
class Member:
    """A leaf of an element, filled from one column, named as Django's look-ups name it."""

    name: str
    column: str


@dataclass(frozen=True)
class Fixed:
    """A leaf that is the same in every element; the original reserved some that stay empty."""

    name: str
    text: str = ""


class Group:
    """An element within an element: members in their order."""

    def __init__(self, name: str, *members: Member | Fixed | Group) -> None:
        self.name = name
        self.members = members

    @property
    def columns(self) -> tuple[str, ...]:
        """Give the columns of all members, nested ones included, in their order."""
        columns: list[str] = []
        for member in self.members:
            if isinstance(member, Group):
                columns.extend(member.columns)
            elif isinstance(member, Member):
                columns.append(member.column)
        return tuple(columns)

    def tree(self, row: Iterable[object]) -> dict[str, Tree]:
        """Build the element from a row of ``columns``."""
        return self._tree(iter(row))

    def _tree(self, values: Any) -> dict[str, Tree]:
        return {member.name: self._child(member, values) for member in self.members}

    def _child(self, member: Member | Fixed | Group, values: Any) -> Tree:
        if isinstance(member, Group):
            return member._tree(values)
        return member.text if isinstance(member, Fixed) else as_text(next(values))

    def tree_of(self, instance: object) -> dict[str, Tree]:
        """Build the element from an object whose attributes are the columns."""
        return self.tree(reduce(getattr, column.split("__"), instance) for column in self.columns)


class Element(Group):
    """An element of a Result."""


@dataclass(frozen=True)
class Page:
    """A part of a list: its records as rows, and how many there would be without a limit."""

    limit: int
    offset: int
    rows: Sequence[Sequence[object]]
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
        rows: list[Tree] = [self.element.tree(row) for row in page.rows]
        return {"@attributes": attributes, self.element.name: rows}
