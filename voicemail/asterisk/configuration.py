"""The files of an Asterisk that takes its boxes from here, filled in for one PBX.

docs/asterisk.md, From a fresh Asterisk to the first message, says where each belongs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import QuerySet
from django.db.models.functions import Lower

from voicemail.asterisk.boxes import boxes_for
from voicemail.asterisk.credentials import Credentials
from voicemail.models import Pbx, Timezone, Voicemailbox

ZONES: Mapping[str, ZoneInfo] = {
    Timezone.EASTERN: ZoneInfo("America/New_York"),
    Timezone.CENTRAL: ZoneInfo("America/Chicago"),
    Timezone.MOUNTAIN: ZoneInfo("America/Denver"),
    Timezone.PACIFIC: ZoneInfo("America/Los_Angeles"),
}

# No part of a variable's name, so that it can be replaced by one sweep through the files.
PLACEHOLDER = "YOUR-CREDENTIAL"

_EXTCONFIG = """\
[settings]
voicemail => curl,{url}/asterisk/voicemail
"""

_RES_CURL = """\
[globals]
; Seconds: a call must not hang while the service is down.
conntimeout=2
httptimeout=5
userpwd={name}:{credential}
"""

_MODULES = """\
[modules]
autoload = yes
; What realtime needs, before app_voicemail.so is loaded.
preload => res_curl.so
preload => func_curl.so
preload => res_config_curl.so
; The other builds of app_voicemail: one that loads beside it takes VoiceMail away as it fails.
noload => app_voicemail_imap.so
noload => app_voicemail_odbc.so
"""

_VOICEMAIL = """\
[general]
format = wav49|wav
charset = UTF-8
; Asks before a PIN is changed by phone; without it a refused PIN can't be told to the caller.
externpasscheck = /usr/local/bin/pin-check.sh

[zonemessages]
{zones}
"""

_EXTENSIONS = """\
[globals]
; Whose mailboxes are meant. Where there are several organizations, a call sets its own DOMAIN.
DOMAIN = {domain}

; Leave a message for the mailbox of a number: Goto(leave-message,7011,1).
[leave-message]
exten => _X!,1,VoiceMail(${{EXTEN}}@${{DOMAIN}},u)
 same => n,Hangup()

; Retrieve messages: Goto(retrieve-messages,s,1). The caller gives mailbox and PIN.
[retrieve-messages]
exten => s,1,VoiceMailMain(@${{DOMAIN}})
 same => n,Hangup()
"""

_PIN_CHECK = """\
PIN_CHECK_URL={url}/asterisk
PIN_CHECK_CREDENTIAL_FILE=/etc/asterisk/provisioning-credential
"""

_CRON = """\
SPOOL_URL={url}/asterisk
SPOOL_CREDENTIAL_FILE=/etc/asterisk/provisioning-credential
* * * * * asterisk /usr/local/bin/spool-orders.sh
"""


_MWI = """\
[mwi-{address}]
type = endpoint
; It only tells of messages: no call is taken for its.
identify_by = ip
aors = mwi-{address}
{mailboxes}

[mwi-{address}]
type = aor
contact = sip:{contact}

"""

# Asterisk reads lines of at most 8 KB.
MAILBOXES_A_LINE = 50
_AT_ONCE = 5000


def files(pbx: Pbx, *, url: str, credential: str = PLACEHOLDER) -> dict[str, str]:
    """Give each file by its path on the PBX."""
    zones = "\n".join(
        f"{name:<11} = {zone.key}|'vm-received' Q 'digits/at' IMp" for name, zone in ZONES.items()
    )
    facts = {
        "url": url.rstrip("/"),
        "name": pbx.name,
        "credential": credential,
        "domain": _first_domain(pbx) or "example.com",
        "zones": zones,
    }
    templates = {
        "/etc/asterisk/extconfig.conf": _EXTCONFIG,
        "/etc/asterisk/res_curl.conf": _RES_CURL,
        "/etc/asterisk/modules.conf": _MODULES,
        "/etc/asterisk/voicemail.conf": _VOICEMAIL,
        "/etc/asterisk/extensions.conf": _EXTENSIONS,
        "/etc/asterisk/pin-check.conf": _PIN_CHECK,
        "/etc/asterisk/provisioning-credential": "{credential}\n",
        "/etc/cron.d/spool-orders": _CRON,
    }
    return {path: text.format(**facts) for path, text in templates.items()}


def message_waiting(pbx: Pbx) -> Iterator[str]:
    """Give a file to include in pjsip.conf, part by part: who is told of waiting messages.

    Each address of a box that the PBX may ask for is an endpoint with all of its boxes
    (docs/asterisk.md, Message waiting).
    """
    # Addresses that differ in case alone are one phone's, as they are in a box's own address.
    boxes = _boxes_of(pbx).exclude(mwi="").annotate(address=Lower("mwi"))
    rows: Any = boxes.order_by("address", "organization_id", "mailbox").values_list(
        "address", "mwi", "mailbox", "organization__domain"
    )
    for address, group in groupby(rows.iterator(chunk_size=_AT_ONCE), key=lambda row: row[0]):
        yield _endpoint(address, list(group))


def _endpoint(address: str, rows: list[tuple[str, str, int, str]]) -> str:
    mailboxes = [f"{mailbox}@{domain}" for _, _, mailbox, domain in rows]
    lines = "\n".join(_mailbox_lines(mailboxes))
    return _MWI.format(address=address, mailboxes=lines, contact=rows[0][1])


def _mailbox_lines(mailboxes: list[str]) -> Iterator[str]:
    """Set the mailboxes of an endpoint, and add those that the line has no room for."""
    yield f"mailboxes = {','.join(mailboxes[:MAILBOXES_A_LINE])}"
    for start in range(MAILBOXES_A_LINE, len(mailboxes), MAILBOXES_A_LINE):
        yield f"mailboxes += ,{','.join(mailboxes[start : start + MAILBOXES_A_LINE])}"


def _boxes_of(pbx: Pbx) -> QuerySet[Voicemailbox]:
    return boxes_for(Credentials(pbx.name, pbx.credential_digest))


def _first_domain(pbx: Pbx) -> str | None:
    domains = _boxes_of(pbx).values_list("organization__domain", flat=True)
    return domains.order_by("organization_id", "id").first()
