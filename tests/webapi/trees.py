"""One shape for a document in XML and in JSON, so that the two can be compared.

It is the shape of the JSON document: a leaf is its text, an element without content is {}, and
only several children of a name make a list.
"""

from __future__ import annotations

from typing import Any
from xml.sax.saxutils import escape, quoteattr

from lxml import etree

NAMESPACE = "http://www.jnctn.net/ns/rest/2006-01"
ATTRIBUTES = "@attributes"


def tree_of_xml(document: bytes) -> Any:
    """Read an XML document; every element must be in the protocol's namespace, unprefixed."""
    root = etree.fromstring(document)
    return {_name(root): _tree(root)}


def _name(element: Any) -> str:
    assert element.prefix is None
    name = etree.QName(element)
    assert name.namespace == NAMESPACE
    return str(name.localname)


def _tree(element: Any) -> Any:
    tree: dict[str, Any] = {ATTRIBUTES: dict(element.attrib)} if element.attrib else {}
    for child in element:
        name, value = _name(child), _tree(child)
        if name in tree:
            former = tree[name]
            tree[name] = [*(former if isinstance(former, list) else [former]), value]
        else:
            tree[name] = value
    return tree or element.text or {}


def xml_of_tree(tree: Any) -> bytes:
    """Write a JSON document as the XML that it stands for, so that it can be validated."""
    ((name, content),) = tree.items()
    return _xml(name, content).replace(f"<{name}", f'<{name} xmlns="{NAMESPACE}"', 1).encode()


def _xml(name: str, content: Any) -> str:
    if isinstance(content, list):
        return "".join(_xml(name, each) for each in content)
    if isinstance(content, str):
        return f"<{name}>{escape(content, {chr(13): '&#13;'})}</{name}>"
    attributes = "".join(
        f" {key}={quoteattr(value)}" for key, value in content.get(ATTRIBUTES, {}).items()
    )
    inner = "".join(_xml(key, value) for key, value in content.items() if key != ATTRIBUTES)
    return f"<{name}{attributes}>{inner}</{name}>"
