"""The way back for mailboxes, with the spool orders that follow from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from accounts.models import Change, User
from accounts.undo import Reversal, register
from voicemail import services
from voicemail.models import Voicemailbox


def _put_back(row: Any, present: Any | None, *, reason: str, actor: User) -> Voicemailbox:
    return services.restore_voicemailbox(row, reason=reason)


def _delete(box: Voicemailbox, change: Change) -> None:
    services.delete_voicemailbox(box)


def _delete_many(boxes: Sequence[Voicemailbox], reason: str) -> None:
    services.delete_voicemailboxes(boxes, reason=reason)


register(Reversal(Voicemailbox, _put_back, _delete, _delete_many))
