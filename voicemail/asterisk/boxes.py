"""Which boxes a PBX gets; each look-up, its right to ask included, is one statement."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from django.conf import settings
from django.db.models import Exists, OuterRef, QuerySet

from accounts.models import Organization
from accounts.validators import DOMAIN_PATTERN
from voicemail.asterisk.credentials import Credentials
from voicemail.asterisk.mapping import COLUMNS
from voicemail.models import Pbx, SpoolOrder, Voicemailbox
from voicemail.validators import MAILBOX_PATTERN
from voicemail_site.statements import Param, Statement

_MAILBOX = re.compile(MAILBOX_PATTERN)


def boxes_for(credentials: Credentials) -> QuerySet[Voicemailbox]:
    """Give the enabled boxes that the PBX with these credentials may ask for."""
    boxes = Voicemailbox.unscoped.served().filter(
        Exists(credentials.pbxs_of(OuterRef("organization")))
    )
    if not settings.SPOOL_ORDERS:
        return boxes
    # Until a stranger's recordings are out of the way, nobody is let in under their name.
    open_orders = SpoolOrder.unscoped.open_for(credentials.pbxs)
    name = (OuterRef("organization__domain"), OuterRef("mailbox"))
    return boxes.exclude(Exists(open_orders.in_the_way_of(OuterRef("pk"), *name)))


def in_context(boxes: QuerySet[Voicemailbox], context: str) -> QuerySet[Voicemailbox]:
    """Keep the boxes of a context, which is a domain in any case and in no other spelling."""
    if not re.match(DOMAIN_PATTERN, context):
        return boxes.none()
    return boxes.filter(organization__domain=context)


def at_number(boxes: QuerySet[Voicemailbox], mailbox: str) -> QuerySet[Voicemailbox]:
    """Keep the boxes with a number, which app_voicemail compares as a text."""
    return boxes.filter(mailbox=int(mailbox)) if _MAILBOX.fullmatch(mailbox) else boxes.none()


def find_row(credentials: Credentials, keys: dict[str, str]) -> dict[str, Any] | None:
    """Find the row of the one box that the keys mean.

    A number alone that several organizations have means none: the caller must not land in a
    stranger's box.
    """
    if not keys.keys() <= {"mailbox", "context"} or not _MAILBOX.fullmatch(keys.get("mailbox", "")):
        return None
    context = keys.get("context")
    if context is not None and not re.match(DOMAIN_PATTERN, context):
        return None
    rows = _single(
        is_named=credentials.name is not None,
        has_context=context is not None,
        has_spool_orders=settings.SPOOL_ORDERS,
    ).fetch(
        name=credentials.name,
        digest=credentials.digest,
        mailbox=int(keys["mailbox"]),
        domain=context,
    )
    return dict(zip(COLUMNS, rows[0], strict=True)) if len(rows) == 1 else None


@cache
def _single(*, is_named: bool, has_context: bool, has_spool_orders: bool) -> Statement:
    """Give the statement of a look-up; whether there are spool orders is in ``boxes_for``."""
    name = Param.of(Pbx, "name") if is_named else None
    credentials = Credentials(name, Param.of(Pbx, "credential_digest", "digest"))
    where = {"mailbox": Param.of(Voicemailbox, "mailbox")}
    if has_context:
        where["organization__domain"] = Param.of(Organization, "domain")
    return Statement(
        lambda: boxes_for(credentials).filter(**where).order_by().values_list(*COLUMNS)[:2]
    )
