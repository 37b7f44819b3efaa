"""What can be done to a voicemail box; every write runs inside ``record_change``."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Sequence
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db.models import Exists, F, OuterRef
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.text import slugify

from accounts.history import because, record_change, record_deletions, record_event
from accounts.integrity import reporting_taken
from accounts.models import Channel, Organization, Status
from accounts.recorded import delete_recorded
from accounts.services import RESTORED, as_in, editable_fields
from accounts.validators import USERNAME_MAX_LENGTH
from voicemail import spool
from voicemail.models import Pbx, RefusedPin, Voicemailbox
from voicemail.validators import MAILBOX_MAX, is_trivial_pin, validate_pin

# The fields that a former version gives back.
FORMER_FIELDS = editable_fields(Voicemailbox, "account", "organization")

FIRST_MAILBOX = 1001

PIN_SHOWN = "PIN shown"
PIN_RESET = "PIN reset"

_SUGGESTIONS = 99
# Letters that Unicode does not take apart into a plain one and an accent.
_PLAIN_LETTERS = str.maketrans(
    {"ł": "l", "ø": "o", "æ": "ae", "œ": "oe", "đ": "d", "ð": "d", "þ": "th", "\u0131": "i"}
)


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
    complete_voicemailbox(voicemailbox)
    with reporting_taken(Voicemailbox):
        voicemailbox.save_new()
    return voicemailbox


def complete_voicemailbox(voicemailbox: Voicemailbox) -> None:
    """Give a new box what is made for it: its PIN, unless it has one, and its times."""
    if not voicemailbox.password:
        voicemailbox.password = generate_pin(voicemailbox.mailbox)
    voicemailbox.complete()


def edit_voicemailbox(voicemailbox: Voicemailbox) -> bool:
    """Store what was changed of a box, checked before, and tell whether anything was.

    Raises ValidationError where the number or the address was taken meanwhile.
    """
    former = voicemailbox.loaded("mailbox")
    with reporting_taken(Voicemailbox):
        is_changed = voicemailbox.save_changed()
    if former != voicemailbox.mailbox:
        spool.order_move(voicemailbox, mailbox=former)
    return is_changed


def set_status(voicemailbox: Voicemailbox, status: Status) -> bool:
    """Enable or disable a box, and tell whether it was the other before."""
    voicemailbox.status = status
    return edit_voicemailbox(voicemailbox)


def delete_voicemailbox(voicemailbox: Voicemailbox) -> None:
    """Delete a box; its last state stays in the history, from where it can be restored."""
    spool.order_removal(voicemailbox)
    delete_recorded(voicemailbox)


def delete_voicemailboxes(boxes: Sequence[Voicemailbox], *, reason: str | None = None) -> None:
    """Delete boxes like ``delete_voicemailbox``, at once; the history tells the reason."""
    spool.order_removals(boxes)
    record_deletions(boxes, reason=reason)
    ids = [box.pk for box in boxes]
    RefusedPin.unscoped.filter(voicemailbox__in=ids).delete()
    rows = Voicemailbox.unscoped.filter(pk__in=ids)
    # Otherwise each would be recorded again, by a statement of its own.
    rows._raw_delete(rows.db)


def restore_voicemailbox(row: Any, *, reason: str = RESTORED) -> Voicemailbox:
    """Bring a box back to the version in a row of its history, or back at all if it was deleted.

    The history tells the reason. A deleted one returns with its id, number, address, PIN and
    Created. Raises ValidationError where something stands in the way: a number or an address that
    is taken, an organization that is gone, or recordings that a PBX has still to put away.
    """
    # Whoever restores the same box at the same time waits here.
    Organization.unscoped.select_for_update(no_key=True).filter(pk=row.organization_id).first()
    present = Voicemailbox.unscoped.select_for_update().filter(pk=row.id).first()
    box = former_voicemailbox(row, present)
    box._change_reason = reason  # type: ignore[attr-defined]  # simple-history's
    if present is not None:
        edit_voicemailbox(box)
        return box
    box.modified = timezone.now()
    with reporting_taken(Voicemailbox):
        box.save(force_insert=True)
    spool.withdraw_removal(box)
    return box


def former_voicemailbox(row: Any, present: Voicemailbox | None) -> Voicemailbox:
    """Give a box as it was in a row of its history, unsaved; ``present`` is the box, if it exists.

    Raises ValidationError as ``restore_voicemailbox`` does.
    """
    if present is not None and row.history_type == "-":
        raise ValidationError("This mailbox exists: it has been restored already.", code="restored")
    if present is not None:
        return as_in(row, present, FORMER_FIELDS)
    organization = Organization.unscoped.filter(
        pk=row.organization_id, account_id=row.account_id
    ).first()
    if organization is None:
        raise ValidationError("The mailbox's organization no longer exists.", code="deleted")
    columns = [field.attname for field in Voicemailbox._meta.concrete_fields]
    box = Voicemailbox(**{name: getattr(row, name) for name in columns})
    box.clean_fields(exclude={"account", "organization"})
    errors = box.notification_errors() | box.taken_errors()
    if not _is_last_pin(row):
        errors |= box.pin_errors()
    if errors:
        raise ValidationError(errors)
    return box


def _is_last_pin(row: Any) -> bool:
    """Tell whether a box had this PIN to the end: then undoing its deletion sets no new one."""
    rows = Voicemailbox.history.filter(id=row.id).order_by("-history_id")
    return bool(rows.values_list("password", flat=True).first() == row.password)


def reset_pin(voicemailbox: Voicemailbox) -> str:
    """Give a box another PIN, made up like its first one, and tell it."""
    former = voicemailbox.password
    while voicemailbox.password == former:
        voicemailbox.password = generate_pin(voicemailbox.mailbox)
    with because(voicemailbox, PIN_RESET):
        voicemailbox.save_changed()
    return voicemailbox.password


def show_pin(voicemailbox: Voicemailbox) -> str:
    """Tell the PIN to somebody who asked for it, and record the asking; nothing else changes."""
    record_event(voicemailbox, PIN_SHOWN)
    return voicemailbox.password


def next_free_mailbox(organization: Organization) -> int | None:
    """Give the first free number after the lowest one that an organization uses.

    None if every number up to the highest possible one is taken.
    """
    boxes = organization.voicemailboxes
    next_one = boxes.filter(mailbox=OuterRef("mailbox") + 1)
    last_of_run = boxes.filter(~Exists(next_one), mailbox__lt=MAILBOX_MAX).order_by("mailbox")
    free = last_of_run.values_list(F("mailbox") + 1, flat=True).first()
    return FIRST_MAILBOX if free is None and not boxes.exists() else free


def suggested_username(organization: Organization, *, mailbox: int | None, fullname: str) -> str:
    """Make a free address from a name, such as ``joe.smith``, or else from the number.

    Empty if there is nothing to make one from, or everything near it is taken.
    """
    words = fullname.casefold().translate(_PLAIN_LETTERS).split()
    base = ".".join(filter(None, map(slugify, words))) or (f"vm{mailbox}" if mailbox else "")
    base = base[: USERNAME_MAX_LENGTH - len(f"-{_SUGGESTIONS}")].rstrip(".-_")
    choices = [base, *(f"{base}-{number}" for number in range(2, _SUGGESTIONS + 1))]
    folded = organization.voicemailboxes.annotate(folded=Lower("username"))
    taken = set(folded.filter(folded__in=choices).values_list("folded", flat=True))
    return next(choice for choice in [*choices, ""] if choice not in taken) if base else ""


def digest_of_credential(credential: str) -> str:
    """Give the digest under which a PBX's credential is stored; it has 190 bits, as a SessionId."""
    return hashlib.sha256(credential.encode()).hexdigest()


def give_credential(pbx: Pbx) -> str:
    """Make a new credential for a PBX, which ends the old one; it is stored nowhere."""
    credential = secrets.token_urlsafe(24)
    pbx.credential_digest = digest_of_credential(credential)
    return credential


def add_pbx(pbx: Pbx, *, organizations: Iterable[Organization] = ()) -> str:
    """Store a new PBX, limited to some organizations if it is so, and tell its credential.

    Raises ValidationError.
    """
    credential = give_credential(pbx)
    edit_pbx(pbx, organizations=organizations)
    return credential


def edit_pbx(pbx: Pbx, *, organizations: Iterable[Organization] | None = None) -> None:
    """Store a PBX, and to which organizations it is limited, if they are given.

    It gets the spool orders that it missed about those. Raises ValidationError.
    """
    pbx.full_clean()
    pbx.save()
    if organizations is not None:
        pbx.organizations.set(organizations)
    spool.give_missed(pbx)


def pin_error(voicemailbox: Voicemailbox, pin: str) -> str:
    """Say why this PIN can't be the box's, or give an empty text."""
    voicemailbox.password = pin
    try:
        validate_pin(pin)
        if errors := voicemailbox.pin_errors():
            raise ValidationError(errors)
    except ValidationError as exc:
        return " ".join(exc.messages)
    return ""


def change_pin_by_phone(voicemailbox: Voicemailbox, pin: str, *, pbx: str) -> bool:
    """Store a PIN that a caller set by phone; tell whether it is the box's now.

    One that the rules forbid is noted for the account's admins, because the caller is told
    nothing of the refusal.
    """
    reason = pin_error(voicemailbox, pin)
    if reason:
        RefusedPin.unscoped.create(
            account_id=voicemailbox.account_id, voicemailbox=voicemailbox, pbx=pbx, reason=reason
        )
        return False
    with record_change(by=None, channel=Channel.PHONE, actor=f"phone, by {pbx}"):
        voicemailbox.save_changed()
    return True
