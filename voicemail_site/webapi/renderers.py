"""Bytes out: a document's tree as XML, JSON or JSONP.

The forms are those of docs/protocol.md, XML document and JSON document. The tree is plain data,
as ``elements`` describes it; a list may also be empty, and a child None: the element is absent
then.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from xml.sax.saxutils import quoteattr

from rest_framework.renderers import BaseRenderer
from rest_framework_xml import renderers as xml

from voicemail_site.webapi.elements import Tree
from voicemail_site.webapi.records import JSON, XML, Records, Syntax, carried_by_xml

NAMESPACE = "http://www.jnctn.net/ns/rest/2006-01"
_XMLNS = f' xmlns="{NAMESPACE}"'
_DECLARATION = '<?xml version="1.0" encoding="utf-8"?>\n'
ATTRIBUTES = "@attributes"

_CALLBACK = re.compile(r"[A-Za-z0-9._\[\]]{1,128}")

# Where records belong: XML can't carry it in a text, and JSON only escaped.
_PLACE = "\0"

# A tuple: to join types by ``|`` takes longer than to look at one.
_LISTS = (list, tuple)


def is_legal_callback(text: str) -> bool:
    """Tell whether JSONP may call this (docs/protocol.md, JSON document)."""
    return _CALLBACK.fullmatch(text) is not None


class _Writer:
    """Write a tree in one pass; where records belong, their place is kept.

    Names are those of the protocol's elements and attributes, and need no escaping.
    """

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.records: Records | None = None

    def around_records(self) -> tuple[str, str]:
        """Give what stands before and after the records; without any, all is before them."""
        before, _, after = "".join(self.parts).partition(_PLACE)
        return before, after

    def _keep_place(self, records: Records) -> None:
        self.records = records
        self.parts.append(_PLACE)


class _XMLWriter(_Writer):
    def write(self, name: str, tree: Tree | Records, attributes: str = "") -> None:
        """Write an element; one without content is closed at once."""
        if isinstance(tree, str):
            self.parts.append(_xml_leaf(name, tree, attributes))
        elif isinstance(tree, Records):
            if tree:
                self._keep_place(tree)
        else:
            if ATTRIBUTES in tree:
                attributes += _attributes(tree)
            self._write_members(name, tree, attributes)

    def _write_members(self, name: str, tree: Mapping[str, Any], attributes: str) -> None:
        parts, before = self.parts, len(self.parts)
        parts.append(f"<{name}{attributes}>")
        for member, child in tree.items():
            if isinstance(child, str):
                parts.append(_xml_leaf(member, child))
            elif member == ATTRIBUTES:
                continue
            elif isinstance(child, _LISTS):
                for each in child:
                    self.write(member, each)
            elif child is not None:
                self.write(member, child)
        if len(parts) == before + 1:
            parts[before] = f"<{name}{attributes}/>"
        else:
            parts.append(f"</{name}>")


class _JSONWriter(_Writer):
    def write(self, tree: Mapping[str, Any]) -> None:
        """Write an object; an element without content is an empty one."""
        parts, before = self.parts, "{"
        for name, child in tree.items():
            if isinstance(child, str):
                parts.append(f'{before}"{name}":{_json_leaf(child)}')
            # Only an element may be empty: no list, no records and no attributes are absent.
            elif child or (isinstance(child, Mapping) and name != ATTRIBUTES):
                parts.append(f'{before}"{name}":')
                self._write_child(name, child)
            else:
                continue
            before = ","
        parts.append("{}" if before == "{" else "}")

    def _write_child(self, name: str, child: Any) -> None:
        if name == ATTRIBUTES:
            self.parts.append(_json_attributes(child))
        elif isinstance(child, Mapping):
            self.write(child)
        else:
            self._write_elements(child)

    def _write_elements(self, elements: Sequence[Tree] | Records) -> None:
        """Write what repeats an element; a single one is no list."""
        several = elements.are_several if isinstance(elements, Records) else len(elements) > 1
        self.parts.append("[" if several else "")
        if isinstance(elements, Records):
            self._keep_place(elements)
        else:
            for number, each in enumerate(elements):
                self.parts.append("," if number else "")
                self._write_element(each)
        self.parts.append("]" if several else "")

    def _write_element(self, element: Tree) -> None:
        if isinstance(element, str):
            self.parts.append(_json_leaf(element))
        else:
            self.write(element)


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
        return b"".join(self.pieces(data))

    def pieces(
        self, data: Mapping[str, Tree], renderer_context: Mapping[str, Any] | None = None
    ) -> Iterator[bytes]:
        """Write a document piece by piece; it raises no later than with the first one."""
        writer = _XMLWriter()
        writer.parts.append(_DECLARATION)
        for name, tree in data.items():
            if name == "Exception":
                writer.parts.append(f"<{name}{_XMLNS}>{_section(str(tree))}</{name}>")
            else:
                writer.write(name, tree, _XMLNS)
        yield from _pieces(writer, XML)


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
        return b"".join(self.pieces(data, renderer_context))

    def pieces(
        self, data: Mapping[str, Tree], renderer_context: Mapping[str, Any] | None = None
    ) -> Iterator[bytes]:
        """Write a document piece by piece."""
        writer = _JSONWriter()
        writer.write(data)
        yield from _pieces(writer, JSON)


class JSONPRenderer(JSONRenderer):
    """The JSON document as a call of the function that the client names."""

    media_type = "application/javascript"
    format = "jsonp"

    def pieces(
        self, data: Mapping[str, Tree], renderer_context: Mapping[str, Any] | None = None
    ) -> Iterator[bytes]:
        """Write a document piece by piece; ``renderer_context`` has a legal callback."""
        callback = str((renderer_context or {})["callback"])
        yield f"{callback}( ".encode("ascii")
        yield from super().pieces(data)
        yield b" );"


def _pieces(writer: _Writer, syntax: Syntax) -> Iterator[bytes]:
    """Give what was written, with the records in their place."""
    before, after = writer.around_records()
    yield before.encode()
    if writer.records is not None:
        yield from (piece.encode() for piece in writer.records.pieces(syntax))
        yield after.encode()


def _attributes(tree: Mapping[str, Any]) -> str:
    attributes = tree[ATTRIBUTES].items()
    return "".join(f" {name}={quoteattr(carried_by_xml(text))}" for name, text in attributes)


def _xml_leaf(name: str, text: str, attributes: str = "") -> str:
    if not text:
        return f"<{name}{attributes}/>"
    return f"<{name}{attributes}>{XML.escaped(text)}</{name}>"


def _json_leaf(text: str) -> str:
    return f'"{JSON.escaped(text)}"' if text else "{}"


def _json_attributes(attributes: Mapping[str, str]) -> str:
    """Write attributes, of which an empty one is an empty text."""
    members = (f'"{name}":"{JSON.escaped(text)}"' for name, text in attributes.items())
    return f"{{{','.join(members)}}}"


def _section(text: str) -> str:
    """Write a text as CDATA, interrupted where CDATA can't carry it."""
    safe = carried_by_xml(text).replace("]]>", "]]]]><![CDATA[>").replace("\r", "]]>&#13;<![CDATA[")
    return f"<![CDATA[{safe}]]>"
