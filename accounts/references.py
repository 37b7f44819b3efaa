"""Parameters that refer to objects which belong to accounts."""

from __future__ import annotations

from typing import Any, ClassVar

from accounts.models import User
from accounts.scoping import LookUp, ScopedStatement
from voicemail_site.webapi.parameters import Reference


class ScopedReference(Reference):
    """A reference that one statement looks up, among what the caller administers.

    ``argument`` names the Param of the statement that takes the parameter's value. What ``is_held``
    until the end of a transaction can't be found before.
    """

    statement: ClassVar[ScopedStatement]
    argument: ClassVar[str] = "id"
    is_held: ClassVar[bool] = False

    def find(self, caller: User, value: Any) -> Any | None:
        return self.statement.first(caller, **{self.argument: value})

    def as_look_up(self, value: Any) -> LookUp | None:
        return None if self.is_held else LookUp(self.statement, {self.argument: value})


class ListedReference(ScopedReference):
    """A reference to what has the list that is asked for.

    Records prove that the caller administers it. Where there are none, ``ListingAction``
    looks it up.
    """

    is_found_later = True
