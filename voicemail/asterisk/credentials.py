"""Which PBX asks: HTTP Basic with its name and credential, or the credential as a bearer token."""

from __future__ import annotations

import base64
import binascii
import time
from dataclasses import dataclass
from typing import Any

from django.db.models import OuterRef
from django.http import HttpRequest
from django.utils import timezone

from voicemail.models import Pbx, PbxQuerySet
from voicemail.services import digest_of_credential

SEEN_INTERVAL = 60.0

# When this process last noted a PBX as seen; a write for each call would double its cost.
_noted: dict[tuple[str | None, str], float] = {}


@dataclass(frozen=True)
class Credentials:
    """What a request presents; in a statement, Params stand for it."""

    name: Any
    digest: Any

    @property
    def pbxs(self) -> PbxQuerySet:
        """Give the PBX that these belong to, if there is one."""
        return Pbx.unscoped.presenting(self.name, self.digest)

    def pbxs_of(self, organization: OuterRef) -> PbxQuerySet:
        """Give the same, if it may ask for an organization."""
        return self.pbxs.serving(organization)

    def note_seen(self) -> None:
        """Note, at most once a minute in each process, that the PBX asked."""
        key, now = (self.name, self.digest), time.monotonic()
        if now - _noted.get(key, -SEEN_INTERVAL) >= SEEN_INTERVAL:
            _noted[key] = now
            self.pbxs.update(last_seen=timezone.now())


def read(request: HttpRequest) -> Credentials | None:
    """Read the credentials of a request, None where it presents none."""
    scheme, _, value = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    match scheme.lower():
        case "bearer":
            return Credentials(None, digest_of_credential(value.strip()))
        case "basic":
            return _read_basic(value.strip())
        case _:
            return None


def _read_basic(value: str) -> Credentials | None:
    try:
        name, colon, credential = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return Credentials(name, digest_of_credential(credential)) if colon else None
