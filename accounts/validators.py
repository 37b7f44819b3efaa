r"""The forms of names, hosts and addresses, once for every surface and for the database.

The patterns are written for Python and PostgreSQL alike: ``\Z`` ends them, because ``$``
lets a newline pass in Python.
"""

import re
from functools import cache

from django.core.exceptions import ValidationError

USERNAME_MAX_LENGTH = 64
DOMAIN_MAX_LENGTH = 79  # Asterisk cuts a longer voicemail context.
EMAIL_MAX_LENGTH = 254
PASSWORD_MAX_LENGTH = 1024
USER_ADDRESS_MAX_LENGTH = USERNAME_MAX_LENGTH + 1 + DOMAIN_MAX_LENGTH

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = rf"{_LABEL}(?:\.{_LABEL})+"
_DOT_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{}~-]+)*"
_USERNAME = r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*"

USERNAME_PATTERN = rf"\A(?=.{{1,{USERNAME_MAX_LENGTH}}}\Z){_USERNAME}\Z"
DOMAIN_PATTERN = rf"\A(?=.{{1,{DOMAIN_MAX_LENGTH}}}\Z){_HOST}\Z"
EMAIL_PATTERN = rf"\A(?=.{{1,{EMAIL_MAX_LENGTH}}}\Z)(?!-){_DOT_ATOM}@{_HOST}\Z"
USER_ADDRESS_PATTERN = (
    rf"\A(?=[^@]{{1,{USERNAME_MAX_LENGTH}}}@)(?=[^@]+@.{{1,{DOMAIN_MAX_LENGTH}}}\Z)"
    rf"{_USERNAME}@{_HOST}\Z"
)
# The same without look-ahead and without counting, for which PostgreSQL takes ten times as long; a
# constraint has the rest, the lengths and the hyphen, in words of its own.
_LONG_LABELS = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_LONG_HOST = rf"{_LONG_LABELS}(?:\.{_LONG_LABELS})+"
USERNAME_SHAPE = rf"\A{_USERNAME}\Z"
EMAIL_SHAPE = rf"\A{_DOT_ATOM}@{_LONG_HOST}\Z"
USER_ADDRESS_SHAPE = rf"\A{_USERNAME}@{_LONG_HOST}\Z"
LABEL_MAX_LENGTH = 63
TOO_LONG_LABEL = rf"@.*[A-Za-z0-9-]{{{LABEL_MAX_LENGTH + 1}}}"
# U+FFFE and U+FFFF are no control characters, but XML can't carry them either.
ONE_LINE_PATTERN = r"\A[^\u0000-\u001f\u007f-\u009f\ufffe\uffff]*\Z"


# Found in a fifth of the time that re takes to look it up.
_compiled = cache(re.compile)


def _refuse_unless(pattern: str, value: str, message: str) -> None:
    if not _compiled(pattern).match(value):
        raise ValidationError(message, code="invalid")


def validate_username(value: str) -> None:
    """Refuse what can't be the part of a SIP address before the ``@`` (docs/voicemail.md, Address).

    1 to 64 letters, digits, ``.``, ``_``, ``-``; no dot at an end, no two in a row.
    """
    _refuse_unless(
        USERNAME_PATTERN,
        value,
        "Value must be 1 to 64 letters, digits, dots, underscores or hyphens, "
        "with no dot at either end and no two dots in a row.",
    )


def validate_domain(value: str) -> None:
    """Refuse what is no host name of two labels or more (docs/protocol.md, Elements)."""
    _refuse_unless(
        DOMAIN_PATTERN,
        value,
        "Value must be a host name of at least two labels of letters, digits and inner hyphens, "
        "at most 79 characters long.",
    )


def validate_email(value: str) -> None:
    """Refuse what is not exactly one plain e-mail address (docs/voicemail.md, Notifications).

    A ``|`` would be read by app_voicemail as the start of a second address.
    """
    _refuse_unless(
        EMAIL_PATTERN,
        value,
        "Value must be one e-mail address such as joe@example.com.",
    )


def validate_user_address(value: str) -> None:
    """Refuse what is no SIP user address ``user@domain`` (docs/voicemail.md, MWI)."""
    _refuse_unless(
        USER_ADDRESS_PATTERN,
        value,
        "Value must be a SIP user address such as joe@example.com, without sip:.",
    )


def validate_one_line(value: str) -> None:
    """Refuse control characters, line ends among them."""
    _refuse_unless(ONE_LINE_PATTERN, value, "Value must not contain control characters.")
