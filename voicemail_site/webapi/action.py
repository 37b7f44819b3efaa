"""What an action is: one declaration, from which everything else about it follows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from django.core.exceptions import ValidationError
from rest_framework.request import Request

from voicemail_site.webapi.elements import Tree
from voicemail_site.webapi.errors import ActionError, RefusedRequest, RequestError
from voicemail_site.webapi.parameters import ActionParameters, Checked


class Caller(Protocol):
    """Whoever a session belongs to."""

    def has_role(self, role: str) -> bool:
        """Tell whether the caller may do what this role may do."""


@dataclass(frozen=True)
class EstablishedSession:
    """What an answer tells of a live session."""

    session_id: str
    user_id: int
    roles: tuple[str, ...]


class Attempt(Protocol):
    """A write that is tried together with the look-up of the session."""

    def carry_out(self, **session: Any) -> tuple[Any, Sequence[Any]] | None:
        """Give the session's row, and rows of what was written."""

    @property
    def tell(self) -> Callable[[Sequence[Any]], Tree]:
        """Give what makes of these rows what stands in the Result."""


class Action:
    """One action of the Web API, named by its class, described by its docstring.

    ``requires`` is the role that may use it, None where no session is needed; ``Parameters``
    declares what it takes, ``run`` does the work and gives what stands in the Result.
    """

    requires: ClassVar[str | None] = None
    Parameters: ClassVar[type[ActionParameters]] = ActionParameters

    def __init__(self, request: Request, session: EstablishedSession | None) -> None:
        self.request = request
        self.session = session

    @classmethod
    def name(cls) -> str:
        """Give the action's name on the wire."""
        return cls.__name__

    @classmethod
    def attempt(cls, checked: Checked) -> Attempt | None:  # noqa: ARG003  # for those that write
        """Give what can be tried before the caller is known, if the parameters allow it.

        Where it is carried out, nothing else of the action is run.
        """
        return None

    @classmethod
    def first_look_up(cls, checked: Checked) -> Any | None:
        """Give what the action will look up first, if that may be found with the caller."""
        return checked.first_look_up()

    def transaction(self, caller: Any) -> AbstractContextManager[None]:
        """Enclose the look-ups, their checks and the work; an action that writes opens one."""
        return nullcontext()

    def check(
        self, caller: Any, values: Mapping[str, Any], failed: frozenset[str]
    ) -> Iterable[RequestError]:
        """Give the errors that only stored data can tell.

        ``values`` are the well-formed parameters and the objects that they refer to, by Python
        names; ``failed`` names the parameters that have an error already.
        """
        return ()

    def run(self, caller: Any, values: Mapping[str, Any]) -> Tree:
        """Do the work of a valid request and give the content of the action's element.

        Raises ActionError, or Django's ValidationError where a race was lost after ``check``.
        """
        return ""

    def perform(self, caller: Any, checked: Checked) -> Tree:
        """Check what stored data can tell of the parameters, report all errors at once, and run.

        Raises RefusedRequest for errors of parameters, ActionError for the action's own. Steps 4
        to 6 of docs/protocol.md, Order of checks.
        """
        with self.transaction(caller):
            foreign = checked.look_up(caller)
            checked.errors += self.check(caller, checked.values, checked.failed)
            if checked.errors:
                raise RefusedRequest(checked.errors)
            if foreign:
                raise ActionError(foreign)
            try:
                return self.run(caller, checked.values)
            except ValidationError as exc:
                raise RefusedRequest(self.Parameters.request_errors(exc)) from exc
