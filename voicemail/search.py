"""The search over mailboxes: by a part of the number, name, e-mail, pager or address.

Every word must occur, in any case, and a part of a word is enough. On PostgreSQL one trigram
index over the text of a box serves it (migration 0002_search); it was made for this very
expression. A word of one or two characters has no trigrams: beside a longer one it costs nothing,
alone it is looked for in box after box.
"""

from __future__ import annotations

import re

from django.contrib.auth.models import AnonymousUser
from django.db import connection
from django.db.models import F, Func, Q, QuerySet, TextField
from django.db.models.functions import Cast

from accounts.models import Organization, User
from voicemail.models import Voicemailbox

# A longer search has no mailbox that it could mean, and SQLite refuses very large conditions.
MAX_WORDS = 32
MAX_WORD_LENGTH = 254

# A word that more domains have is looked for in the domain of each box: a list would be too long.
MAX_ORGANIZATIONS = 1000

_DOMAIN = re.compile(r"[a-z0-9.-]+", re.IGNORECASE | re.ASCII)


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
