"""Mailboxes of other systems as rows of an import (docs/import.md, From other systems).

What has no counterpart here is told in notes, a sentence each, and left out of the row.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models

from voicemail.bulk.columns import PIN, value_of
from voicemail.bulk.files import UnreadableFileError
from voicemail.models import NotifyEmail, NotifyPager, Timezone, Voicemailbox

ZONES = MappingProxyType(
    {
        "America/New_York": Timezone.EASTERN,
        "America/Chicago": Timezone.CENTRAL,
        "America/Denver": Timezone.MOUNTAIN,
        "America/Los_Angeles": Timezone.PACIFIC,
        "US/Eastern": Timezone.EASTERN,
        "US/Central": Timezone.CENTRAL,
        "US/Mountain": Timezone.MOUNTAIN,
        "US/Pacific": Timezone.PACIFIC,
    }
)
# Names that the samples of Asterisk and FreePBX use without declaring them everywhere.
_ZONE_NAMES = MappingProxyType(
    {
        name: zone
        for zone in Timezone
        for name in (zone.value, zone.value.removeprefix("us_"), f"{zone.value[3:]}24")
    }
)

_YES = frozenset({"yes", "true", "y", "t", "1", "on"})


class Origin(models.TextChoices):
    """The systems whose mailboxes can be taken over."""

    ASTERISK = "asterisk", "a voicemail.conf of Asterisk or FreePBX"
    FUSIONPBX = "fusionpbx", "a CSV of FusionPBX's voicemails"


@dataclass
class Taken:
    """One mailbox as a row, and what of it was left out."""

    row: dict[str, Any]
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Tell what has no counterpart."""
        self.notes.append(f"{self.row['mailbox']}: {text}")


def taken_from(origin: Origin, lines: Iterable[str], *, context: str = "") -> Iterator[Taken]:
    """Give the mailboxes of a file. Raises UnreadableFileError."""
    return {Origin.ASTERISK: _asterisk, Origin.FUSIONPBX: _fusionpbx}[origin](lines, context)


# What both have in common


def _row(mailbox: str, pin: str, fullname: str) -> Taken:
    """Make a row whose address is called after its number, as neither system has one."""
    number = mailbox.strip()
    taken = Taken({"mailbox": number, "username": f"vm{number}"})
    taken.row[PIN] = _pin(taken, pin.strip())
    taken.row["fullname"] = fullname.strip() or f"Mailbox {number}"
    return taken


def _notify(taken: Taken, *, email: str, pager: str, has_recording: bool) -> None:
    """Take over the addresses; each that is there is told of messages."""
    email, pager = _address(taken, "email", email), _address(taken, "pager", pager)
    with_mail = NotifyEmail.ATTACH if has_recording else NotifyEmail.YES
    taken.row |= {"email": email, "notify_email": with_mail if email else NotifyEmail.NO}
    taken.row |= {"pager": pager, "notify_pager": NotifyPager.YES if pager else NotifyPager.NO}


def _pin(taken: Taken, pin: str) -> str:
    """Keep a PIN that the rules allow; the import makes up another one for the rest."""
    if pin.startswith("-"):
        taken.note("that the PIN can't be changed by phone has no counterpart.")
        pin = pin[1:]
    try:
        box = Voicemailbox(password=value_of(PIN, pin))
        box.mailbox = value_of("mailbox", taken.row["mailbox"])
        box.clean()
    except ValidationError:
        taken.note("its PIN is not allowed here; it gets a new one.")
        return ""
    return pin


def _address(taken: Taken, name: str, text: str) -> str:
    """Keep an address that the rules allow."""
    first, *others = re.split(r"[|,;]", text.strip())
    if others:
        taken.note(f"{name} can be one address only; the first is kept.")
    try:
        value_of(name, first.strip())
    except ValidationError:
        taken.note(f"{name} is no address that is allowed here; it is left out.")
        return ""
    return first.strip()


def _delete_after_mail(taken: Taken) -> None:
    """Delete what was mailed, where there is a mail."""
    if taken.row["email"]:
        taken.row["notify_email"] = NotifyEmail.DELETE
    else:
        taken.note("messages are not deleted after a mail, as there is no address.")


def _is_yes(text: str) -> bool:
    return text.strip().lower() in _YES


# Asterisk and FreePBX

_GENERAL, _ZONES = "general", "zonemessages"
_SECTION = re.compile(r"\[([^\]]+)\]")
_SETTING = re.compile(r"([^=]+?)\s*=>?\s*(.*)")
# As app_voicemail has it where the section [general] says nothing.
_DEFAULTS = MappingProxyType(
    {"attach": "no", "saycid": "no", "sayduration": "yes", "envelope": "yes", "delete": "no"}
)
_OPTIONS = MappingProxyType(
    {"saycid": "say_caller_id", "sayduration": "say_duration", "envelope": "say_datetime"}
)
_TAKEN_OPTIONS = frozenset({*_DEFAULTS, "tz"})


def _asterisk(lines: Iterable[str], context: str) -> Iterator[Taken]:
    sections = _sections(lines)
    general, zones = (dict(sections.pop(name, [])) for name in (_GENERAL, _ZONES))
    contexts = {name: boxes for name, boxes in sections.items() if boxes}
    if not context and len(contexts) == 1:
        (context,) = contexts
    if context not in contexts:
        names = ", ".join(contexts) or "none"
        raise UnreadableFileError(f"Name one context by --context. The file has: {names}.")
    for mailbox, text in contexts[context]:
        yield _asterisk_box(mailbox, text, general, zones)


def _sections(lines: Iterable[str]) -> dict[str, list[tuple[str, str]]]:
    """Give the settings of each section in their order."""
    sections: dict[str, list[tuple[str, str]]] = {}
    section: list[tuple[str, str]] = []
    for number, line in enumerate(lines, 1):
        text = _without_comment(line)
        if text.startswith("#"):
            raise UnreadableFileError(
                f"Line {number}: other files are not read; put their lines here: {text}"
            )
        if opened := _SECTION.match(text):
            section = sections.setdefault(opened[1].strip(), [])
        elif setting := _SETTING.fullmatch(text):
            section.append((setting[1].strip(), setting[2].strip()))
        elif text:
            raise UnreadableFileError(f"Line {number} is no setting of a voicemail.conf.")
    return sections


def _without_comment(line: str) -> str:
    return re.sub(r"(?<!\\);.*", "", line.rstrip("\r\n")).replace("\\;", ";").strip()


def _asterisk_box(
    mailbox: str, text: str, general: Mapping[str, str], zones: Mapping[str, str]
) -> Taken:
    pin, fullname, email, pager, given = [*text.split(",", 4), *[""] * 4][:5]
    own = dict(_option(part) for part in re.split(r"[|,]", given) if part.strip())
    options = {**_DEFAULTS, **{n: v for n, v in general.items() if n in _TAKEN_OPTIONS}, **own}
    taken = _row(mailbox, pin, fullname)
    _notify(taken, email=email, pager=pager, has_recording=_is_yes(options["attach"]))
    taken.row |= {name: _is_yes(options[option]) for option, name in _OPTIONS.items()}
    if _is_yes(options["delete"]):
        _delete_after_mail(taken)
    if zone := options.get("tz", ""):
        taken.row["timezone"] = _zone(taken, zone, zones)
    for name in sorted(own.keys() - _TAKEN_OPTIONS):
        taken.note(f"the option {name}={own[name]} has no counterpart.")
    return taken


def _option(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name.strip().lower(), value.strip()


def _zone(taken: Taken, name: str, zones: Mapping[str, str]) -> str:
    """Find the zone by its place in the world, or else by its name."""
    place = zones.get(name, "").partition("|")[0]
    zone = ZONES.get(place) if place else _ZONE_NAMES.get(name)
    if zone is None:
        taken.note(f"the zone {name} has no counterpart; it gets {Timezone.EASTERN.value}.")
    return (zone or Timezone.EASTERN).value


# FusionPBX

_ID, _PASSWORD = "voicemail_id", "voicemail_password"
_FUSION_TAKEN = frozenset(
    {_ID, _PASSWORD, "voicemail_description", "voicemail_mail_to", "voicemail_file"}
    | {"voicemail_attach_file", "voicemail_local_after_email", "voicemail_enabled"}
)
# They name the row, or say what is so everywhere here.
_FUSION_PASSED_OVER = re.compile(r".*_uuid|insert_.*|update_.*|greeting_id")


def _fusionpbx(lines: Iterable[str], context: str) -> Iterator[Taken]:
    if context:
        raise UnreadableFileError("A CSV of FusionPBX has no contexts; leave --context out.")
    rows = csv.DictReader(lines, strict=True)
    try:
        if not {_ID, _PASSWORD} <= set(rows.fieldnames or ()):
            raise UnreadableFileError(f"There must be columns {_ID} and {_PASSWORD}.")
        for row in rows:
            yield _fusionpbx_box({name: text or "" for name, text in row.items() if name})
    except csv.Error as exc:
        raise UnreadableFileError(f"Line {rows.reader.line_num} is no CSV: {exc}.") from exc


def _fusionpbx_box(row: Mapping[str, str]) -> Taken:
    attach = row.get("voicemail_attach_file", "") or row.get("voicemail_file", "")
    taken = _row(row[_ID], row[_PASSWORD], row.get("voicemail_description", ""))
    has_recording = _is_yes(attach) or attach == "attach"
    email = row.get("voicemail_mail_to", "")
    _notify(taken, email=email, pager="", has_recording=has_recording)
    if row.get("voicemail_local_after_email", "").lower() == "false":
        _delete_after_mail(taken)
    if row.get("voicemail_enabled", "").lower() == "false":
        taken.row["status"] = "disabled"
    for name in sorted(row.keys() - _FUSION_TAKEN):
        if row[name].lower() not in ("", "false") and not _FUSION_PASSED_OVER.fullmatch(name):
            taken.note(f"{name}={row[name]} has no counterpart.")
    if (greeting := row.get("greeting_id", "")) not in ("", "0", "-1"):
        taken.note(f"greeting {greeting} is a recording; copy it to the PBX by hand.")
    return taken
