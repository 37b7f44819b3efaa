"""Bytes out: a document's tree as XML, JSON or JSONP.

The forms are those of docs/protocol.md, XML document and JSON document. The tree is plain data,
as ``elements`` describes it; a list may also be empty, and a child None: the element is absent
then.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from xml.sax.saxutils import quoteattr

from rest_framework.renderers import BaseRenderer
from rest_framework_xml import renderers as xml

from voicemail_site.webapi.elements import Tree
from voicemail_site.webapi.records import JSON, JSON_ESCAPES, XML, Records, carried_by_xml

NAMESPACE = "http://www.jnctn.net/ns/rest/2006-01"
_XMLNS = f' xmlns="{NAMESPACE}"'
_DECLARATION = '<?xml version="1.0" encoding="utf-8"?>\n'
ATTRIBUTES = "@attributes"

_CALLBACK = re.compile(r"[A-Za-z0-9._\[\]]{1,128}")

# Where records belong: no text of a document can have this, and so none looks like it in JSON.
_PLACE = "\0"
_JSON_PLACE = r'"\u0000"'


def is_legal_callback(text: str) -> bool:
    """Tell whether JSONP may call this (docs/protocol.md, JSON document)."""
    return _CALLBACK.fullmatch(text) is not None


class _Writer:
    """Write a tree as XML, in one pass; where records belong, their place is kept."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.records: Records | None = None

    def write(self, name: str, tree: Tree | Records, attributes: str = "") -> None:
        """Write an element; one without content is closed at once."""
        if isinstance(tree, str):
            text = f">{_escaped(tree)}</{name}>" if tree else "/>"
            self.parts.append(f"<{name}{attributes}{text}")
        elif isinstance(tree, Records):
            self._keep_place(tree)
        else:
            if ATTRIBUTES in tree:
                attributes += _attributes(tree)
            self._write_members(name, tree, attributes)

    def _write_members(self, name: str, tree: Mapping[str, Any], attributes: str) -> None:
        parts, before = self.parts, len(self.parts)
        parts.append(f"<{name}{attributes}>")
        for member, child in tree.items():
            if member == ATTRIBUTES:
                continue
            if isinstance(child, list | tuple):
                for each in child:
                    self.write(member, each)
            elif child is not None:
                self.write(member, child)
        if len(parts) == before + 1:
            parts[before] = f"<{name}{attributes}/>"
        else:
            parts.append(f"</{name}>")

    def _keep_place(self, records: Records) -> None:
        if records.rows:
            self.records = records
            self.parts.append(_PLACE)


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
        before, records, after = self._parts(data)
        yield before.encode()
        if records is not None:
            yield from (piece.encode() for piece in records.pieces(XML))
            yield after.encode()

    def _parts(self, data: Mapping[str, Tree]) -> tuple[str, Records | None, str]:
        """Write what stands before and after the records, if there are any."""
        writer = _Writer()
        for name, tree in data.items():
            if name == "Exception":
                writer.parts.append(f"<{name}{_XMLNS}>{_section(str(tree))}</{name}>")
            else:
                writer.write(name, tree, _XMLNS)
        before, _, after = "".join([_DECLARATION, *writer.parts]).partition(_PLACE)
        return before, writer.records, after


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
        held: list[Records] = []
        tree = _json_value(data, held)
        text = json.dumps(tree, ensure_ascii=False, separators=(",", ":")).translate(JSON_ESCAPES)
        before, _, after = text.partition(_JSON_PLACE)
        yield before.encode()
        for records in held:
            yield b"[" if records.are_several else b""
            yield from (piece.encode() for piece in records.pieces(JSON))
            yield b"]" if records.are_several else b""
            yield after.encode()


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


def _attributes(tree: Mapping[str, Any]) -> str:
    attributes = tree[ATTRIBUTES].items()
    return "".join(f" {name}={quoteattr(carried_by_xml(text))}" for name, text in attributes)


def _escaped(text: str) -> str:
    return XML.escape(text) if XML.special.search(text) else text


def _section(text: str) -> str:
    """Write a text as CDATA, interrupted where CDATA can't carry it."""
    safe = carried_by_xml(text).replace("]]>", "]]]]><![CDATA[>").replace("\r", "]]>&#13;<![CDATA[")
    return f"<![CDATA[{safe}]]>"


def _json_value(tree: Tree, held: list[Records]) -> Any:
    """Give what ``json`` writes; records are held back, and their place is kept."""
    if isinstance(tree, str):
        return tree or {}
    members = {name: _json_member(name, child, held) for name, child in tree.items()}
    return {name: member for name, member in members.items() if member is not None}


def _json_member(name: str, child: Any, held: list[Records]) -> Any:
    if name == ATTRIBUTES or child is None:
        return child or None
    if isinstance(child, Records):
        return _held(child, held) if child.rows else None
    if isinstance(child, str | Mapping):
        return _json_value(child, held)
    several = [_json_value(each, held) for each in child]
    return several if len(several) > 1 else next(iter(several), None)


def _held(records: Records, held: list[Records]) -> str:
    held.append(records)
    return _PLACE
