"""The forms of what a caller hears and types, once for every surface and for the database."""

import re

from django.core.exceptions import ValidationError

MAILBOX_MAX = 9_999_999
MAILBOX_PATTERN = "[1-9][0-9]{0,6}"  # Its one spelling, from 1 to MAILBOX_MAX.
PIN_MAX_LENGTH = 7
STRICT_PIN_MIN_LENGTH = 6
FULLNAME_MAX_LENGTH = 128
PAGER_MAX_LENGTH = 79  # app_voicemail cuts a longer one to somebody else's address.

PIN_PATTERN = rf"\A(?=.*[1-9])[0-9]{{1,{PIN_MAX_LENGTH}}}\Z"
# The same without look-ahead, for a constraint, which has the length in words of its own.
PIN_SHAPE = r"\A0*[1-9][0-9]*\Z"

_RUN_UP = "01234567890"
_RUN_DOWN = _RUN_UP[::-1]


def validate_pin(value: str) -> None:
    """Refuse what is no PIN: 1 to 7 ASCII digits, not all zero (docs/voicemail.md, PIN)."""
    if not re.match(PIN_PATTERN, value):
        raise ValidationError("Value must be 1 to 7 digits, not all of them zero.", code="invalid")


def is_trivial_pin(pin: str, mailbox: int | None) -> bool:
    """Tell whether anybody would try this PIN first.

    That is the mailbox's own number, one digit repeated, or a run of digits up or down.
    """
    return pin == str(mailbox) or len(set(pin)) == 1 or pin in _RUN_UP or pin in _RUN_DOWN


def validate_strict_pin(pin: str, mailbox: int | None) -> None:
    """Refuse what the strict policy forbids (docs/voicemail.md, PIN)."""
    if len(pin) < STRICT_PIN_MIN_LENGTH or is_trivial_pin(pin, mailbox):
        raise ValidationError(
            f"Value must be {STRICT_PIN_MIN_LENGTH} or {PIN_MAX_LENGTH} digits, and neither the "
            "mailbox's own number nor one digit repeated nor a run of digits up or down.",
            code="invalid",
        )
