"""The columns of a file of mailboxes, and what a cell means (docs/import.md, Columns)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxLengthValidator
from django.db import models

from voicemail.models import Voicemailbox
from voicemail.validators import MAILBOX_PATTERN

IDS = ("voicemailbox_id", "organization_id")
PIN = "password"
FIELDS = (
    *("mailbox", PIN, "username", "fullname", "status", "timezone"),
    *("say_caller_id", "say_duration", "say_datetime"),
    *("notify_email", "email", "notify_pager", "pager", "mwi"),
)
TIMES = ("created", "modified")
REASONS = "reasons"

# What a file may hold; the times and the reasons of a former refusal are passed over.
KNOWN = ("action", *IDS, "domain", *FIELDS, *TIMES, REASONS)
# An empty cell empties these, and leaves any other as it is.
CLEARABLE = frozenset({"email", "pager", "mwi"})
REQUIRED = ("mailbox", "username", "fullname")

ORGANIZATION_MISSING = "This organization is not recognized."

_ID = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)
_FLAGS = MappingProxyType({"true": True, "false": False})
_BIGGEST_ID = 2**63 - 1


class Action(models.TextChoices):
    """What a row asks for; without an action it adds the box, or changes it if it is there."""

    ADD = "add"
    CHANGE = "change"
    DELETE = "delete"


def says_nothing(name: str, cell: Any) -> bool:
    """Tell whether a cell leaves its field alone."""
    return cell is None or (cell == "" and name not in CLEARABLE)


def value_of(name: str, cell: Any) -> Any:
    """Give the value of a cell that says something. Raises ValidationError."""
    return _CLEANERS[name](cell)


def _text(cell: Any) -> str:
    if not isinstance(cell, str):
        raise ValidationError("Value must be text.", code="invalid")
    return cell


def _field(name: str) -> Callable[[Any], str]:
    """Clean a plain text as its field does, which takes twice as long and tells what is wrong."""
    field: Any = Voicemailbox._meta.get_field(name)
    validators = [each for each in field.validators if not isinstance(each, MaxLengthValidator)]

    def clean(cell: Any) -> str:
        text = _text(cell)
        if 0 < len(text) <= field.max_length:
            try:
                for validate in validators:
                    validate(text)
            except ValidationError:
                return str(field.clean(text, None))
            return text
        return str(field.clean(text, None))

    return clean


_clean_fullname = _field("fullname")


def _fullname(cell: Any) -> str:
    # The white space goes, as in the model's own clean_fields.
    return _clean_fullname(_text(cell).strip())


def _choice(name: str, aliases: Mapping[str, str] = MappingProxyType({})) -> Callable[[Any], str]:
    field: Any = Voicemailbox._meta.get_field(name)
    choices = frozenset(value for value, _ in field.choices)
    accepted = ", ".join(value for value, _ in field.choices)

    def clean(cell: Any) -> str:
        value = aliases.get(_text(cell), cell)
        if value not in choices:
            raise ValidationError(f"Value must be one of {accepted}.", code="invalid_choice")
        return str(value)

    return clean


def _notify(name: str) -> Callable[[Any], str]:
    """Clean a kind of notification; the provider's documents write ``false`` for ``no``."""
    choice = _choice(name, {"false": "no"})
    return lambda cell: choice("no" if cell is False else cell)


def _flag(cell: Any) -> bool:
    if isinstance(cell, bool):
        return cell
    flag = _FLAGS.get(cell.lower()) if isinstance(cell, str) else None
    if flag is None:
        raise ValidationError("Value must be true or false.", code="invalid")
    return flag


def _digits(cell: Any) -> str:
    is_number = isinstance(cell, int) and not isinstance(cell, bool)
    return str(cell) if is_number else _text(cell)


def _mailbox(cell: Any) -> int:
    if not re.fullmatch(MAILBOX_PATTERN, digits := _digits(cell)):
        raise ValidationError(
            "Value must be 1 to 7 digits and must not start with 0.", code="invalid"
        )
    return int(digits)


def _id(cell: Any) -> int:
    if not _ID.fullmatch(digits := _digits(cell)) or int(digits) > _BIGGEST_ID:
        raise ValidationError("Value must be an id, a positive integer.", code="invalid")
    return int(digits)


def _action(cell: Any) -> Action:
    if _text(cell) not in Action.values:
        accepted = ", ".join(Action.values)
        raise ValidationError(f"Value must be {accepted}, or empty.", code="invalid")
    return Action(cell)


_CLEANERS: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    dict.fromkeys(IDS, _id)
    | {name: _field(name) for name in (PIN, "username", "email", "pager", "mwi")}
    | {name: _choice(name) for name in ("status", "timezone")}
    | {name: _notify(name) for name in ("notify_email", "notify_pager")}
    | dict.fromkeys(("say_caller_id", "say_duration", "say_datetime"), _flag)
    | {
        "action": _action,
        "domain": lambda cell: _text(cell).lower(),
        "fullname": _fullname,
        "mailbox": _mailbox,
    }
)
