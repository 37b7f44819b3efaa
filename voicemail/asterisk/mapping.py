"""What Asterisk's app_voicemail reads of a box: every way of serving a PBX goes through here.

The columns are those of docs/asterisk.md, The mapping.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voicemail.models import NotifyEmail, NotifyPager

# The look-ups that a row for ``record`` needs.
COLUMNS = (
    *("id", "mailbox", "password", "fullname", "timezone", "organization__domain"),
    *("say_caller_id", "say_duration", "say_datetime"),
    *("notify_email", "email", "notify_pager", "pager"),
)

FULLNAME_BYTES = 79


def record(row: Mapping[str, Any]) -> dict[str, str]:
    """Give app_voicemail's columns of a box; an empty value counts as absent there."""
    return {
        "context": row["organization__domain"],
        "mailbox": str(row["mailbox"]),
        "uniqueid": str(row["id"]),
        "password": row["password"],
        "fullname": _cut(row["fullname"]),
        **_email(row["notify_email"], row["email"]),
        "pager": row["pager"] if row["notify_pager"] == NotifyPager.YES else "",
        "saycid": _flag(row["say_caller_id"]),
        "sayduration": _flag(row["say_duration"]),
        # By default messages under two minutes are not announced.
        "saydurationm": "0",
        "envelope": _flag(row["say_datetime"]),
        "tz": row["timezone"],
    }


def _email(notify: str, address: str) -> dict[str, str]:
    """Say where a mail goes; a message is never deleted unless its mail has somewhere to go."""
    is_notified = notify != NotifyEmail.NO and bool(address)
    return {
        "email": address if is_notified else "",
        "attach": _flag(is_notified and notify in (NotifyEmail.ATTACH, NotifyEmail.DELETE)),
        "delete": _flag(is_notified and notify == NotifyEmail.DELETE),
    }


def _flag(is_on: bool) -> str:
    return "yes" if is_on else "no"


def _cut(fullname: str) -> str:
    """Cut a name to what app_voicemail holds, between two characters."""
    return fullname.encode()[:FULLNAME_BYTES].decode(errors="ignore")
