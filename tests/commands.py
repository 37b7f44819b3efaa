"""Running the operators' commands in tests, and reading what they print."""

from __future__ import annotations

import json
from dataclasses import dataclass
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from accounts.models import Change


@dataclass(frozen=True)
class Printed:
    """What a command wrote to its standard output and error."""

    out: str
    err: str


class Terminal(StringIO):
    """A screen, or a keyboard, that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def run(*words: Any, on_terminal: bool = False) -> Printed:
    """Run a command that succeeds."""
    out, err = Terminal() if on_terminal else StringIO(), StringIO()
    call_command(*map(str, words), stdout=out, stderr=err)
    return Printed(out.getvalue(), err.getvalue())


def records(*words: Any) -> list[dict[str, Any]]:
    """Run a command, and read its result as a program does."""
    found: list[dict[str, Any]] = json.loads(run(*words, "--format", "json").out)
    return found


def refused(*words: Any) -> str:
    """Run a command that is refused, and give the message; nothing was printed as a result."""
    out = StringIO()
    with pytest.raises(CommandError) as caught:
        call_command(*map(str, words), stdout=out, stderr=StringIO())
    assert out.getvalue() == ""
    return str(caught.value)


def last_change() -> tuple[str, str]:
    """Tell the channel and the author of the newest Change."""
    change = Change.unscoped.latest("id")
    return change.channel, change.actor
