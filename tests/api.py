"""A partner's client in tests: it sends parameters, and validates every answer it gets."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from django.test import Client
from lxml import etree

from tests.webapi.rng import assert_valid

NAMESPACE = "{http://www.jnctn.net/ns/rest/2006-01}"


@dataclass
class Reply:
    """One validated answer: its HTTP side, and its document as nested plain data."""

    http: Any
    tree: Any

    @property
    def content(self) -> bytes:
        return bytes(self.http.content)

    @property
    def context(self) -> Any:
        return self.tree["Response"]["Context"]

    @property
    def result(self) -> Any:
        (content,) = self.tree["Response"]["Result"].values()
        return content

    @property
    def is_completed(self) -> bool:
        return bool(self.context["Action"]["IsCompleted"] == "true")

    @property
    def is_valid(self) -> bool:
        return bool(self.context["Request"]["IsValid"] == "true")

    @property
    def errors(self) -> list[tuple[str, ...]]:
        """Give (Parameter, Code) of each request error, and (Code,) of each action error."""
        request = children(self.context["Request"].get("Errors", {}), "Error")
        action = children(self.context["Action"].get("Errors", {}), "Error")
        return [(e["Parameter"], e["Code"]) for e in request] + [(e["Code"],) for e in action]

    @property
    def messages(self) -> list[str]:
        request = children(self.context["Request"].get("Errors", {}), "Error")
        action = children(self.context["Action"].get("Errors", {}), "Error")
        return [error["Message"] for error in (*request, *action)]

    @property
    def echo(self) -> list[tuple[str, Any]]:
        """Give (Name, Value) of every echoed parameter; an empty value is {}."""
        parameters = children(self.context["Request"].get("Parameters", {}), "Parameter")
        return [(each["Name"], each.get("Value", each.get("Array"))) for each in parameters]


def children(tree: Any, name: str) -> list[Any]:
    """Give the children of a name as a list, whether there are none, one or several."""
    found = tree.get(name, []) if isinstance(tree, dict) else []
    return found if isinstance(found, list) else [found]


class ApiClient:
    """Send actions as partners' software does, and validate every answer."""

    def __init__(self, session_id: str | None = None) -> None:
        self.http = Client(raise_request_exception=False)
        self.session_id = session_id

    def call(self, action: str, /, method: str = "post", **parameters: Any) -> Reply:
        """Carry out an action with parameters as keywords."""
        sent = {"Action": action}
        if self.session_id is not None:
            sent["SessionId"] = self.session_id
        return self.send(sent | parameters, method=method)

    def send(self, parameters: Any, method: str = "post") -> Reply:
        return read_reply(getattr(self.http, method)("/webapi", parameters))


def read_reply(response: Any) -> Reply:
    """Read and validate an answer, XML or JSON."""
    body = bytes(response.content)
    if response.headers["Content-Type"].startswith("text/xml"):
        assert_valid(body)
        return Reply(response, tree_of_xml(body))
    text = body.decode()
    tree = json.loads(text[text.index("{") : text.rindex("}") + 1])
    assert_valid(xml_of_tree(tree))
    return Reply(response, tree)


def tree_of_xml(body: bytes) -> Any:
    """Read an XML answer into the tree that its JSON twin has."""
    root = etree.fromstring(body)
    return {_name(root): _tree(root)}


def _name(element: Any) -> str:
    return str(etree.QName(element).localname)


def _tree(element: Any) -> Any:
    tree: dict[str, Any] = {}
    if element.attrib:
        tree["@attributes"] = dict(element.attrib)
    for child in element:
        name, value = _name(child), _tree(child)
        if name in tree:
            tree[name] = [*(tree[name] if isinstance(tree[name], list) else [tree[name]]), value]
        else:
            tree[name] = value
    return tree or element.text or {}


def xml_of_tree(tree: Any) -> bytes:
    """Write a JSON answer as the XML that it stands for, so that it can be validated."""
    ((name, content),) = tree.items()
    xml = _xml(name, content).replace(
        f"<{name}", f'<{name} xmlns="http://www.jnctn.net/ns/rest/2006-01"', 1
    )
    return xml.encode()


def _xml(name: str, content: Any) -> str:
    if isinstance(content, list):
        return "".join(_xml(name, each) for each in content)
    if isinstance(content, str):
        return f"<{name}>{escape(content)}</{name}>"
    attributes = "".join(
        f" {key}={quoteattr(value)}" for key, value in content.get("@attributes", {}).items()
    )
    inner = "".join(_xml(key, value) for key, value in content.items() if key != "@attributes")
    return f"<{name}{attributes}>{inner}</{name}>"
