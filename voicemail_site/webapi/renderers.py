"""Bytes out: a document's tree as XML, JSON or JSONP.

The forms are those of docs/protocol.md, XML document and JSON document. The tree is plain data,
as ``elements`` describes it; a list may also be empty, and a child None: the element is absent
then.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from io import StringIO
from typing import Any

from django.utils.xmlutils import SimplerXMLGenerator, UnserializableContentError
from rest_framework.renderers import BaseRenderer
from rest_framework_xml import renderers as xml

from voicemail_site.webapi.elements import Tree
from voicemail_site.webapi.names import is_xml_text

NAMESPACE = "http://www.jnctn.net/ns/rest/2006-01"
ATTRIBUTES = "@attributes"

_CALLBACK = re.compile(r"[A-Za-z0-9._\[\]]{1,128}")

# A document that is pasted or loaded into a page must not end its script, nor begin a tag.
_JSON_ESCAPES = {character: f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


def is_legal_callback(text: str) -> bool:
    """Tell whether JSONP may call this (docs/protocol.md, JSON document)."""
    return _CALLBACK.fullmatch(text) is not None


class _Generator(SimplerXMLGenerator):
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


class XMLRenderer(xml.XMLRenderer):  # type: ignore[misc]  # The base has no types.
    """The document as XML, in the default namespace."""

    media_type = "text/xml"

    def render(
        self,
        data: Mapping[str, Tree],
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        """Write a document; raises UnserializableContentError for text that XML can't carry."""
        stream = StringIO()
        generator = _Generator(stream, self.charset)
        generator.startDocument()
        for name, tree in data.items():
            generator.startElement(name, {"xmlns": NAMESPACE} | _attributes(tree))
            if name == "Exception":
                generator.section(str(tree))
            else:
                self._to_xml(generator, tree)
            generator.endElement(name)
        return _checked(stream.getvalue()).encode()

    def _to_xml(self, xml: _Generator, data: Tree) -> None:
        if isinstance(data, str):
            xml.characters(data)
            return
        for name, tree in _elements(data):
            xml.startElement(name, _attributes(tree))
            self._to_xml(xml, tree)
            xml.endElement(name)


class JSONRenderer(BaseRenderer):
    """The same document as JSON, in which every leaf is a string."""

    media_type = "application/json"
    format = "json"

    def render(
        self,
        data: Mapping[str, Tree],
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        """Write a document."""
        text = json.dumps(_json_value(data), ensure_ascii=False, separators=(",", ":"))
        for character, escape in _JSON_ESCAPES.items():
            text = text.replace(character, escape)
        return text.encode()


class JSONPRenderer(JSONRenderer):
    """The JSON document as a call of the function that the client names."""

    media_type = "application/javascript"
    format = "jsonp"

    def render(
        self,
        data: Mapping[str, Tree],
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        """Write a document; ``renderer_context`` has a legal callback."""
        callback = str((renderer_context or {})["callback"])
        return b"%s( %s );" % (callback.encode("ascii"), super().render(data))


def _attributes(tree: Any) -> dict[str, str]:
    return {} if isinstance(tree, str) else tree.get(ATTRIBUTES, {})


def _elements(tree: Mapping[str, Any]) -> Iterator[tuple[str, Tree]]:
    """Give each child element with its name, those of a list one by one."""
    for name, child in tree.items():
        if isinstance(child, str | Mapping):
            if name != ATTRIBUTES:
                yield name, child
        else:
            yield from ((name, each) for each in child or ())


def _checked(document: str) -> str:
    # Django's own check knows no surrogates and looks at no attributes.
    if not is_xml_text(document):
        raise UnserializableContentError("XML 1.0 can't carry a character of this document.")
    return document


def _json_value(tree: Tree) -> Any:
    if isinstance(tree, str):
        return tree or {}
    members = {name: _json_member(name, child) for name, child in tree.items()}
    return {name: member for name, member in members.items() if member is not None}


def _json_member(name: str, child: Any) -> Any:
    if name == ATTRIBUTES or child is None:
        return child or None
    if isinstance(child, str | Mapping):
        return _json_value(child)
    several = [_json_value(each) for each in child]
    return several if len(several) > 1 else next(iter(several), None)
