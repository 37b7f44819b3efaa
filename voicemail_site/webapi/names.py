"""Names and text as the wire has them: CamelCase, NCName, XML's characters."""

import re
from functools import cache

# XML 1.0, production Char: everything else can't be written, not even escaped.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_NAME_START = (
    "A-Z_a-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02ff\u0370-\u037d\u037f-\u1fff\u200c-\u200d"
    "\u2070-\u218f\u2c00-\u2fef\u3001-\ud7ff\uf900-\ufdcf\ufdf0-\ufffd\U00010000-\U000effff"
)
_NCNAME = re.compile(f"[{_NAME_START}][{_NAME_START}\\-.0-9\u00b7\u0300-\u036f\u203f-\u2040]*")


@cache
def wire_name(name: str) -> str:
    """Give the wire's name of a Python name: ``say_caller_id`` is ``SayCallerId``."""
    return "".join(word.capitalize() for word in name.split("_"))


def is_ncname(name: str) -> bool:
    """Tell whether an echoed parameter may carry this name (docs/protocol.md, Echo)."""
    return _NCNAME.fullmatch(name) is not None


def is_xml_text(text: str) -> bool:
    """Tell whether XML 1.0 can carry every character of this text."""
    # Whatever is printable can be carried, and is seen sooner.
    return text.isprintable() or _NOT_XML.search(text) is None


def xml_text(text: str) -> str:
    """Replace each character that XML 1.0 can't carry by U+FFFD."""
    return text if text.isprintable() else _NOT_XML.sub("\ufffd", text)
