"""A PBX in tests: it asks as res_config_curl does, and reads the answer as app_voicemail does."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote

from django.test import Client

from voicemail.models import Pbx
from voicemail.services import give_credential


def make_pbx(name: str = "pbx1", **values: Any) -> tuple[Pbx, str]:
    """Store a PBX, and give it with its credential."""
    organizations = values.pop("organizations", ())
    pbx = Pbx(name=name, is_limited=bool(organizations), **values)
    credential = give_credential(pbx)
    pbx.save()
    pbx.organizations.set(organizations)
    return pbx, credential


@dataclass
class Asterisk:
    """One PBX with its credentials; ``calls`` keeps the raw answers."""

    name: str
    credential: str
    http: Client = field(default_factory=lambda: Client(raise_request_exception=False))

    def ask(self, operation: str, body: str, query: str = "") -> Any:
        """POST as libcurl does, in a request of its own."""
        basic = base64.b64encode(f"{self.name}:{self.credential}".encode()).decode()
        return self.http.generic(
            "POST",
            f"/asterisk/voicemail/{operation}",
            body,
            "application/x-www-form-urlencoded",
            QUERY_STRING=query,
            HTTP_AUTHORIZATION=f"Basic {basic}",
            HTTP_ACCEPT="*/*",
            HTTP_USER_AGENT="asterisk-libcurl-agent/1.0",
        )

    def single(self, **keys: str) -> dict[str, str] | None:
        """Look a box up; None where Asterisk sees no such box."""
        body = "&".join(f"{_escaped(name)}={_escaped(value)}" for name, value in keys.items())
        return read_record(self.ask("single", body).content)

    def multi(self, **keys: str) -> list[dict[str, str]]:
        body = "&".join(
            f"{_escaped(name.replace('_', ' '))}={_escaped(value)}" for name, value in keys.items()
        )
        lines = self.ask("multi", body).content.splitlines()
        return [record for line in lines if (record := read_record(line)) is not None]

    def change_pin(self, context: str, mailbox: str, pin: str) -> str:
        """Tell of a PIN that was changed by phone, with the ``&`` that is missing."""
        query = f"&context={_escaped(context)}mailbox={_escaped(mailbox)}"
        return str(self.ask("update", f"&password={_escaped(pin)}", query).content, "ascii")


def _escaped(text: str) -> str:
    return quote(text, safe="-._~")


def read_record(body: bytes) -> dict[str, str] | None:
    """Read the first line of a body; an empty value is absent, and a ``+`` is a plus sign."""
    first = body.split(b"\n", 1)[0].split(b"\r", 1)[0].decode()
    if "=" not in first:
        return None
    record: dict[str, str] = {}
    for word in first.split("&"):
        name, _, value = word.partition("=")
        if value:
            record.setdefault(unquote(name), unquote(value))
    return record


@dataclass(frozen=True)
class Heard:
    """What app_voicemail makes of a record: who is told of a message, and what a caller hears."""

    mails_to: str
    attaches: bool
    deletes: bool
    pages: str
    says_caller: bool
    says_duration_of_a_short_message: bool
    says_time: bool
    zone: str

    @classmethod
    def of(cls, record: Mapping[str, str]) -> Heard:
        """Apply app_voicemail's own defaults to what is missing."""

        def is_on(name: str, default: str) -> bool:
            return record.get(name, default) == "yes"

        minutes = int(record.get("saydurationm", "2"))
        return cls(
            mails_to=record.get("email", ""),
            attaches=is_on("attach", "yes"),
            deletes=is_on("delete", "no"),
            pages=record.get("pager", ""),
            says_caller=is_on("saycid", "no"),
            says_duration_of_a_short_message=is_on("sayduration", "yes") and minutes == 0,
            says_time=is_on("envelope", "yes"),
            zone=record.get("tz", ""),
        )
