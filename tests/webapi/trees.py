"""One shape for a document in XML and in JSON, so that the two can be compared.

A leaf is its text, an empty element ""; every other element has, for each name, the list of its
children of that name.
"""

from __future__ import annotations

import json
from typing import Any

from lxml import etree

NAMESPACE = "{http://www.jnctn.net/ns/rest/2006-01}"
ATTRIBUTES = "@attributes"


def tree_of_xml(document: bytes) -> dict[str, Any]:
    """Read an XML document; every element must be in the protocol's namespace."""
    root = etree.fromstring(document)
    return {_name(root): [_xml_element(root)]}


def tree_of_json(document: bytes) -> dict[str, Any]:
    """Read a JSON document; every leaf must be a string that is not empty."""
    members = _json_element(json.loads(document))
    assert isinstance(members, dict)
    return members


def _name(element: Any) -> str:
    assert element.tag.startswith(NAMESPACE)
    return str(element.tag.removeprefix(NAMESPACE))


def _xml_element(element: Any) -> Any:
    tree: dict[str, Any] = {ATTRIBUTES: dict(element.attrib)} if element.attrib else {}
    for child in element:
        tree.setdefault(_name(child), []).append(_xml_element(child))
    return tree or element.text or ""


def _json_element(element: Any) -> Any:
    if isinstance(element, str):
        assert element
        return element
    assert isinstance(element, dict)
    return {name: _json_children(name, child) for name, child in element.items()} or ""


def _json_children(name: str, child: Any) -> Any:
    if name == ATTRIBUTES:
        return child
    if not isinstance(child, list):
        return [_json_element(child)]
    assert len(child) > 1
    return [_json_element(each) for each in child]
