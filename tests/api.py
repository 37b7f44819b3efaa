"""A partner's client in tests: it sends parameters, and validates every answer it gets."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from django.test import Client

from tests.webapi.rng import assert_valid
from tests.webapi.trees import tree_of_xml, xml_of_tree

FORM = "application/x-www-form-urlencoded"

# What every answer has, whatever became of the request.
HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


@dataclass
class Reply:
    """One validated answer: its HTTP side, and its document as nested plain data."""

    http: Any
    tree: Any
    content: bytes

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

    def send_bytes(
        self,
        body: bytes = b"",
        *,
        query: bytes = b"",
        content_type: str = FORM,
        method: str = "POST",
        path: str = "/webapi",
        **environ: Any,
    ) -> Reply:
        """Send a query and a body byte for byte."""
        environ |= {"CONTENT_TYPE": content_type, "QUERY_STRING": query.decode("latin-1")}
        return read_reply(self.http.generic(method, path, body, **environ))


def read_reply(response: Any) -> Reply:
    """Read and validate an answer: its headers, its document, and its status."""
    assert {name: response.headers.get(name) for name in HEADERS} == HEADERS
    # What is sent by pieces is read once.
    is_streaming = getattr(response, "streaming", False)
    content = b"".join(response) if is_streaming else bytes(response.content)
    tree = _read_document(response.headers["Content-Type"], content)
    assert (response.status_code == 200) == ("Response" in tree)
    return Reply(response, tree, content)


def _read_document(content_type: str, body: bytes) -> Any:
    if content_type == "text/xml; charset=utf-8":
        assert_valid(body)
        return tree_of_xml(body)
    if content_type == "application/javascript; charset=utf-8":
        call = re.fullmatch(rb"[A-Za-z0-9._\[\]]{1,128}\( (.*) \);", body, re.DOTALL)
        assert call is not None
        body = call[1]
    else:
        assert content_type == "application/json; charset=utf-8"
    tree = json.loads(body)
    assert_valid(xml_of_tree(tree))
    # Every leaf is a string, no string is empty, and no array has fewer than two items.
    assert tree_of_xml(xml_of_tree(tree)) == tree
    return tree
