"""Declarations of the Result's elements: from rows and columns to the document's tree.

A Tree is plain data: a text, or a dict of children in their order. A list under a name repeats
the element, Records under it are written as such a list would be, and the key ``@attributes``
holds the attributes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from operator import attrgetter
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from voicemail_site.webapi.records import Records

Tree: TypeAlias = "str | Mapping[str, Tree | Sequence[Tree] | Records]"


def as_text(value: object) -> str:
    """Write a value as the wire has it (docs/protocol.md, XML document)."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="seconds")
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

    @cached_property
    def leaves(self) -> tuple[Member, ...]:
        """Give all members that are filled, nested ones included, in their order."""
        leaves: list[Member] = []
        for member in self.members:
            if isinstance(member, Group):
                leaves.extend(member.leaves)
            elif isinstance(member, Member):
                leaves.append(member)
        return tuple(leaves)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Give the columns of the leaves."""
        return tuple(leaf.column for leaf in self.leaves)

    def texts_of(self, instance: object) -> tuple[str, ...]:
        """Give the leaves' texts of an object whose attributes are the columns."""
        return tuple([as_text(get(instance)) for get in self._getters])

    @cached_property
    def _getters(self) -> tuple[Callable[[object], object], ...]:
        return tuple(attrgetter(column.replace("__", ".")) for column in self.columns)


class Element(Group):
    """An element of a Result."""
