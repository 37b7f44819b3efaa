"""The search over mailboxes, and what narrows a list of them beside the plain columns.

The search is by a part of the number, name, e-mail, pager or address. Every word must occur, in
any case, and a part of a word is enough. On PostgreSQL one trigram index over the text of a box
serves it (migration 0002_search); it was made for this very expression. A word of one or two
characters has no trigrams: beside a longer one it costs nothing, alone it is looked for in box
after box.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db import connection
from django.db.models import F, Func, Q, QuerySet, TextChoices, TextField, Value
from django.db.models.functions import Cast, Lower, StrIndex, Substr
from django.db.models.lookups import In
from django.utils import timezone

from accounts.models import Organization, User
from voicemail.models import Voicemailbox

# A longer search has no mailbox that it could mean, and SQLite refuses very large conditions.
MAX_WORDS = 32
MAX_WORD_LENGTH = 254

# A word that more domains have is looked for in the domain of each box: a list would be too long.
MAX_ORGANIZATIONS = 1000

_DOMAIN = re.compile(r"[a-z0-9.-]+", re.IGNORECASE | re.ASCII)


class MessageWaiting(TextChoices):
    """What happens to the message waiting indications of a box."""

    YES = "yes", "Indicated"
    NO = "no", "Not indicated"
    UNSERVED = "unserved", "Not served"


class Period(TextChoices):
    """How long ago a box was changed at most; days begin at midnight in UTC."""

    TODAY = "today", "Today"
    WEEK = "week", "Past 7 days"
    MONTH = "month", "Past 30 days"


_DAYS: Mapping[str, int] = MappingProxyType({Period.TODAY: 0, Period.WEEK: 6, Period.MONTH: 29})


class SearchText(Func):
    """Give what is known of a box itself as one text; the domain is its organization's.

    The @ ends the user name, so that ``joe@`` is a part of it like any other. No word has a
    space, so that none is found across two columns.
    """

    template = "(%(expressions)s || '@')"
    arg_joiner = " || ' ' || "
    output_field = TextField()

    def __init__(self) -> None:
        number = Cast("mailbox", TextField())
        super().__init__(number, F("fullname"), F("email"), F("pager"), F("username"))


def search(
    boxes: QuerySet[Voicemailbox], term: str, *, caller: User | AnonymousUser
) -> QuerySet[Voicemailbox]:
    """Narrow boxes to those in which every word of the term occurs.

    Domains are looked up among the organizations that the caller may see.
    """
    words = sorted(set(term.split()))
    if len(words) > MAX_WORDS or any(len(word) > MAX_WORD_LENGTH for word in words):
        return boxes.none()
    if not words:
        return boxes
    boxes = boxes.alias(search_text=SearchText())
    for word in words:
        boxes = boxes.filter(_contains(word) | _in_address(word, caller))
    return boxes


def _contains(word: str) -> Q:
    """Find a part of the box's own text; SQLite's LIKE tells upper from lower case past ASCII."""
    if word.isascii() or connection.vendor != "sqlite":
        return Q(search_text__icontains=word)
    return Q(search_text__iregex=re.escape(word))


def _in_address(word: str, caller: User | AnonymousUser) -> Q:
    """Find a part of the address that reaches into the domain."""
    username, at, domain = word.rpartition("@")
    if not _DOMAIN.fullmatch(domain):
        return Q()
    lookup = "istartswith" if at else "icontains"
    found = _organizations(lookup, domain, caller)
    return found & Q(search_text__iendswith=f"{username}@") if username else found


def _organizations(lookup: str, domain: str, caller: User | AnonymousUser) -> Q:
    """Find the boxes of the organizations that have such a domain.

    Their ids, where they are few, can be looked up in an index together with the text.
    """
    having = Organization.objects.visible_to(caller).filter(**{f"domain__{lookup}": domain})
    ids = list(having.order_by().values_list("pk", flat=True)[: MAX_ORGANIZATIONS + 1])
    if len(ids) > MAX_ORGANIZATIONS:
        return Q(**{f"organization__domain__{lookup}": domain})
    return Q(organization_id__in=ids)


def in_domain(
    boxes: QuerySet[Voicemailbox], domain: str, *, caller: User | AnonymousUser
) -> QuerySet[Voicemailbox]:
    """Narrow boxes to the organization of a domain, or else to those in which the text occurs."""
    organizations = Organization.objects.visible_to(caller)
    exactly = organizations.filter(domain=domain).first()
    if exactly is not None:
        return boxes.filter(organization=exactly)
    partly = organizations.filter(domain__icontains=domain).order_by()
    return boxes.filter(organization__in=partly.values("pk"))


def with_message_waiting(
    boxes: QuerySet[Voicemailbox], value: str, *, caller: User | AnonymousUser
) -> QuerySet[Voicemailbox]:
    """Narrow boxes by ``MessageWaiting``; of a domain outside the account the PBX is never told."""
    if value == MessageWaiting.NO:
        return boxes.filter(mwi="")
    indicated = boxes.exclude(mwi="")
    if value == MessageWaiting.YES:
        return indicated
    domain = Substr("mwi", StrIndex("mwi", Value("@")) + 1)
    organizations = Organization.objects.visible_to(caller).order_by()
    served = organizations.values_list(OfAccount(F("domain")))
    # Most are written in lower case, and to fold one takes longer than to find it.
    foreign = indicated.exclude(In(OfAccount(domain), served))
    return foreign.exclude(In(OfAccount(Lower(domain)), served))


def modified_in(boxes: QuerySet[Voicemailbox], period: str) -> QuerySet[Voicemailbox]:
    """Narrow boxes to those that were changed in a ``Period``."""
    midnight = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    return boxes.filter(modified__gte=midnight - timedelta(days=_DAYS[period]))


class OfAccount(Func):
    """Give a domain and its account as one text: PostgreSQL looks that up in a hash of all."""

    template = "(%(expressions)s)"
    arg_joiner = " || ':' || "
    output_field = TextField()

    def __init__(self, domain: Any) -> None:
        super().__init__(Cast("account_id", TextField()), domain)
