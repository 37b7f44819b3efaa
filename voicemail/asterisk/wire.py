"""The form of res_config_curl: what Asterisk sends, and what it can read.

It takes a ``+`` for a plus sign, so a space is ``%20``; keys may carry an operator
(docs/asterisk.md, Realtime over HTTP).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote, unquote

_MALFORMED_UPDATE = re.compile(r"&?context=(.*)mailbox=([^&]*)", re.DOTALL)
_PLAIN = re.compile(r"[A-Za-z0-9._~-]*")
_TURNED_UPDATE = re.compile(r"&?mailbox=([^&]*)&context=([^&]*)")


def parse(text: str) -> dict[str, str]:
    """Read pairs; of a key that comes twice the last value counts."""
    pairs = (word.partition("=") for word in text.split("&"))
    return {unquote(name): unquote(value) for name, equals, value in pairs if equals}


def parse_update(query: str) -> tuple[str, str] | None:
    """Read the context and mailbox of an update, whose ``&`` between the two is missing."""
    if turned := _TURNED_UPDATE.fullmatch(query):
        mailbox, context = turned.groups()
    elif match := _MALFORMED_UPDATE.fullmatch(query):
        context, mailbox = match.groups()
    else:
        return None
    return unquote(context.removesuffix("&")), unquote(mailbox)


def line(values: Mapping[str, str]) -> str:
    """Write one record; what is empty is left out, as Asterisk would take it for absent."""
    # The names are columns, which need no escaping.
    return "&".join([f"{name}={_escaped(each)}" for name, each in values.items() if each])


def _escaped(text: str) -> str:
    # Most need no escaping, and seeing that is five times as fast as to let ``quote`` see it.
    return text if _PLAIN.fullmatch(text) else quote(text, safe="")


def lines(records: Iterable[Mapping[str, str]]) -> str:
    """Write several records, one a line."""
    return "".join(f"{line(values)}\n" for values in records)


def matches(pattern: str, text: str) -> bool:
    """Tell whether SQL's LIKE, of which Asterisk makes use, would match."""
    parts = (
        ".*" if character == "%" else "." if character == "_" else re.escape(character)
        for character in pattern
    )
    return re.fullmatch("".join(parts), text, re.DOTALL) is not None
