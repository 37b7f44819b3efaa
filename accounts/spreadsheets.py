"""Texts that a spreadsheet would run as a formula, once for every CSV that is written or read."""

# The last one is the guard itself: without another before it, reading would take it away.
_GUARDED = ("=", "+", "-", "@", "\t", "\r", "'")


def guarded(text: str) -> str:
    """Keep a spreadsheet from running a text as a formula, by an apostrophe before it."""
    return f"'{text}" if text.startswith(_GUARDED) else text


def unguarded(text: str) -> str:
    """Take the guard off; an apostrophe that guards nothing belongs to the text."""
    return text[1:] if text[:1] == "'" and text[1:].startswith(_GUARDED) else text
