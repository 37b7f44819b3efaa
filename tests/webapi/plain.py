"""The plain ways to write a document.

For XML that is djangorestframework-xml's writer over its tree, for JSON ``json``'s.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from io import StringIO
from typing import Any

from django.utils.xmlutils import SimplerXMLGenerator
from rest_framework_xml.renderers import XMLRenderer

from voicemail_site.webapi.renderers import ATTRIBUTES, NAMESPACE


class Generator(SimplerXMLGenerator):
    """Django's generator, made to lose no carriage return and to keep the attributes' order."""

    def __init__(self, out: StringIO, encoding: str) -> None:
        super().__init__(out, encoding, short_empty_elements=True)

    def startElement(self, name: str, attrs: Any) -> None:  # noqa: N802  # SAX names it.
        # Django's own sorts the attributes.
        super(SimplerXMLGenerator, self).startElement(name, attrs)

    def characters(self, content: str) -> None:
        """Write a text; a raw carriage return would be read back as a line feed."""
        first, *others = content.split("\r")
        super().characters(first)
        for piece in others:
            self.ignorableWhitespace("&#13;")
            super().characters(piece)

    def section(self, text: str) -> None:
        """Write a text as CDATA, interrupted where CDATA can't carry it."""
        safe = text.replace("]]>", "]]]]><![CDATA[>").replace("\r", "]]>&#13;<![CDATA[")
        # What SAX calls ignorable is written as it stands.
        self.ignorableWhitespace(f"<![CDATA[{safe}]]>")


class PlainRenderer(XMLRenderer):  # type: ignore[misc]  # The base has no types.
    """Write each element by SAX."""

    def render(self, data: Any, *args: Any, **kwargs: Any) -> bytes:
        stream = StringIO()
        generator = Generator(stream, self.charset)
        generator.startDocument()
        for name, tree in data.items():
            generator.startElement(name, {"xmlns": NAMESPACE} | _attributes(tree))
            if name == "Exception":
                generator.section(str(tree))
            else:
                self._to_xml(generator, tree)
            generator.endElement(name)
        return stream.getvalue().encode()

    def _to_xml(self, xml: Generator, data: Any) -> None:
        if isinstance(data, str):
            xml.characters(data)
            return
        for name, tree in _elements(data):
            xml.startElement(name, _attributes(tree))
            self._to_xml(xml, tree)
            xml.endElement(name)


def _attributes(tree: Any) -> dict[str, str]:
    return {} if isinstance(tree, str) else tree.get(ATTRIBUTES, {})


def _elements(tree: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Give each child element with its name, those of a list one by one."""
    for name, child in tree.items():
        if isinstance(child, str | Mapping):
            if name != ATTRIBUTES:
                yield name, child
        else:
            yield from ((name, each) for each in child or ())


def plain_json(tree: Any) -> bytes:
    """Write a document by ``json``, what is unsafe in a page escaped afterwards."""
    text = json.dumps(_json_value(tree), ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode()


def _json_value(tree: Any) -> Any:
    if isinstance(tree, str):
        return tree or {}
    members = {name: _json_member(name, child) for name, child in tree.items()}
    return {name: member for name, member in members.items() if member is not None}


def _json_member(name: str, child: Any) -> Any:
    """Give what stands under a name: None for nothing, a list only for several."""
    if child is None or name == ATTRIBUTES:
        return child or None
    if isinstance(child, str | Mapping):
        return _json_value(child)
    several = [_json_value(each) for each in child]
    return several if len(several) > 1 else next(iter(several), None)
