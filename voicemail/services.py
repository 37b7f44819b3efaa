"""What can be done to a voicemail box; every write runs inside ``record_change``."""

from __future__ import annotations

import secrets

from django.conf import settings

from accounts.integrity import reporting_taken
from voicemail.models import Voicemailbox
from voicemail.validators import is_trivial_pin


def generate_pin(mailbox: int) -> str:
    """Make a PIN from a cryptographic source: never trivial, never with a leading zero.

    Its length is a setting, 4 to 7 digits (docs/voicemail.md, PIN).
    """
    smallest = 10 ** (settings.PIN_LENGTH - 1)
    while True:
        pin = str(smallest + secrets.randbelow(9 * smallest))
        if not is_trivial_pin(pin, mailbox):
            return pin


def add_voicemailbox(voicemailbox: Voicemailbox) -> Voicemailbox:
    """Store a new box, checked before by ``full_clean`` or its parts.

    A box without a PIN gets a generated one; its account is its organization's. Raises
    ValidationError where the number or the address was taken meanwhile.
    """
    voicemailbox.account_id = voicemailbox.organization.account_id
    if not voicemailbox.password:
        voicemailbox.password = generate_pin(voicemailbox.mailbox)
    with reporting_taken(Voicemailbox):
        voicemailbox.save(force_insert=True)
    return voicemailbox


def edit_voicemailbox(voicemailbox: Voicemailbox) -> bool:
    """Store what was changed of a box, checked before, and tell whether anything was.

    Raises ValidationError where the number or the address was taken meanwhile.
    """
    with reporting_taken(Voicemailbox):
        return voicemailbox.save_changed()


def delete_voicemailbox(voicemailbox: Voicemailbox) -> None:
    """Delete a box; its last state stays in the history, from where it can be restored."""
    voicemailbox.delete()
