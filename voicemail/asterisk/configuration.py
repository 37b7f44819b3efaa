"""The files of an Asterisk that takes its boxes from here, filled in for one PBX.

docs/asterisk.md, From a fresh Asterisk to the first message, says where each belongs.
"""

from __future__ import annotations

from collections.abc import Mapping
from zoneinfo import ZoneInfo

from voicemail.models import Timezone

ZONES: Mapping[str, ZoneInfo] = {
    Timezone.EASTERN: ZoneInfo("America/New_York"),
    Timezone.CENTRAL: ZoneInfo("America/Chicago"),
    Timezone.MOUNTAIN: ZoneInfo("America/Denver"),
    Timezone.PACIFIC: ZoneInfo("America/Los_Angeles"),
}

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
; Leave a message for the mailbox of a number: Goto(leave-message,7011,1) with DOMAIN set.
[leave-message]
exten => _X.,1,VoiceMail(${{EXTEN}}@${{DOMAIN}},u)
 same => n,Hangup()

; Retrieve messages: the caller gives mailbox and PIN.
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


def files(*, url: str, name: str, credential: str) -> dict[str, str]:
    """Give each file by its path on the PBX."""
    zones = "\n".join(
        f"{name:<11} = {zone.key}|'vm-received' Q 'digits/at' IMp" for name, zone in ZONES.items()
    )
    facts = {"url": url.rstrip("/"), "name": name, "credential": credential, "zones": zones}
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
