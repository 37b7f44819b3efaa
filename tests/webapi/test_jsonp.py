"""Answers as a call of the client's function (docs/protocol.md, JSON document)."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import pytest

from accounts.models import Session
from tests.api import ApiClient

JAVASCRIPT = "application/javascript; charset=utf-8"
PLAIN_JSON = "application/json; charset=utf-8"

NOT_A_CALLBACK = "Value must be 1 to 128 letters, digits, dots, underscores or square brackets."


def test_the_document_becomes_the_functions_argument(api: ApiClient) -> None:
    reply = api.call("NoOp", Output="json", Callback="show")
    assert reply.http.headers["Content-Type"] == JAVASCRIPT
    assert reply.content.startswith(b'show( {"Response":{"Context":{')
    assert reply.content.endswith(b'"Result":{"NoOp":{}}}} );')
    assert reply.echo[2] == ("Callback", "show")


@pytest.mark.parametrize("name", ["a", "_", "app.on[0].done", "7", "[]", "Zz9", "a" * 128])
def test_letters_digits_dots_underscores_and_brackets_are_legal(api: ApiClient, name: str) -> None:
    reply = api.call("NoOp", Output="json", Callback=name)
    assert reply.is_completed
    assert reply.content.startswith(f"{name}( {{".encode())


@pytest.mark.parametrize(
    "name",
    ["a" * 129, "a b", "a(", "alert(1);x", "a-b", "$", "é", "٣", "a\n", " a", "a;", "<", "a\x00"],
)
def test_any_other_callback_is_an_error_and_is_not_called(api: ApiClient, name: str) -> None:
    reply = api.call("NoOp", Output="json", Callback=name)
    assert reply.errors == [("Callback", "Value.Invalid")]
    assert reply.messages == [NOT_A_CALLBACK]
    assert reply.http.headers["Content-Type"] == PLAIN_JSON
    assert not reply.is_valid


def test_a_callback_that_is_a_list_is_an_error(api: ApiClient) -> None:
    reply = api.send({"Action": "NoOp", "Output": "json", "Callback[]": "show"})
    assert reply.errors == [("Callback", "Value.Invalid")]
    assert reply.messages == [NOT_A_CALLBACK]
    assert reply.http.headers["Content-Type"] == PLAIN_JSON


def test_nothing_is_done_where_the_callback_is_refused(as_alice: ApiClient) -> None:
    reply = as_alice.call("SessionDestroy", Output="json", Callback="a b")
    assert reply.errors == [("Callback", "Value.Invalid")]
    assert Session.unscoped.exists()


def test_an_illegal_callback_is_reported_beside_the_other_errors(as_alice: ApiClient) -> None:
    reply = as_alice.call("AccountRead", AccountId="x", Output="json", Callback="a b")
    assert sorted(reply.errors) == [("AccountId", "Integer.Invalid"), ("Callback", "Value.Invalid")]


@pytest.mark.parametrize("action", ["", "Unknown", "SessionDestroy"])
def test_what_is_refused_before_the_parameters_says_nothing_of_an_illegal_callback(
    api: ApiClient, action: str
) -> None:
    reply = api.call(action, Output="json", Callback="a b")
    assert [error[0] for error in reply.errors] in (["Action"], ["SessionId"])
    assert reply.http.headers["Content-Type"] == PLAIN_JSON


@pytest.mark.parametrize("action", ["", "Unknown", "SessionDestroy"])
def test_errors_are_wrapped_too(api: ApiClient, action: str) -> None:
    reply = api.call(action, Output="json", Callback="show")
    assert reply.errors
    assert reply.content.startswith(b'show( {"Response":')


def test_a_body_that_can_not_be_read_is_wrapped_as_its_query_asks(api: ApiClient) -> None:
    reply = api.send_bytes(
        b"{", query=b"Output=json&Callback=show", content_type="application/json"
    )
    assert reply.errors == [("Body", "Value.Invalid")]
    assert reply.http.headers["Content-Type"] == JAVASCRIPT


def test_an_exception_is_wrapped_too(api: ApiClient) -> None:
    with patch("voicemail_site.webapi.actions.NoOp.run", side_effect=RuntimeError):
        reply = api.call("NoOp", Output="json", Callback="show")
    assert reply.http.status_code == 500
    assert reply.content.startswith(b'show( {"Exception":"')
    assert reply.content.endswith(b'"} );')


def test_an_empty_callback_counts_as_not_sent(api: ApiClient) -> None:
    reply = api.call("NoOp", Output="json", Callback="")
    assert reply.is_completed
    assert reply.http.headers["Content-Type"] == PLAIN_JSON


@pytest.mark.parametrize("output", [None, "xml", "JSON", "jsonp"])
@pytest.mark.parametrize("name", ["show", "a b"])
def test_xml_ignores_the_callback_and_echoes_it(
    api: ApiClient, output: str | None, name: str
) -> None:
    parameters = {"Callback": name} | ({} if output is None else {"Output": output})
    reply = api.call("NoOp", **parameters)
    assert reply.is_completed
    assert reply.http.headers["Content-Type"] == "text/xml; charset=utf-8"
    assert ("Callback", name) in reply.echo


def test_the_last_callback_counts(api: ApiClient) -> None:
    reply = api.send_bytes(b"Callback=second", query=b"Action=NoOp&Output=json&Callback=first")
    assert reply.content.startswith(b"second( ")


@pytest.mark.parametrize("name", ["show", "a b"])
def test_switched_off_every_callback_is_an_error(api: ApiClient, settings: Any, name: str) -> None:
    settings.JSONP_ENABLED = False
    reply = api.call("NoOp", Output="json", Callback=name)
    assert reply.errors == [("Callback", "Value.Invalid")]
    assert reply.messages == ["JSONP is switched off."]
    assert reply.http.headers["Content-Type"] == PLAIN_JSON


def test_switched_off_json_and_xml_go_on(api: ApiClient, settings: Any) -> None:
    settings.JSONP_ENABLED = False
    assert api.call("NoOp", Output="json", Callback="").is_completed
    assert api.call("NoOp", Callback="show").is_completed


@pytest.mark.parametrize("parameters", [{}, {"Callback": "show"}])
def test_a_value_can_not_end_a_pages_script(api: ApiClient, parameters: dict[str, str]) -> None:
    hostile = "</script><!--&\u2028\u2029"
    reply = api.call("Echo", Output="json", a=hostile, **parameters)
    assert ("a", hostile) in reply.echo
    assert not set(reply.content.decode()) & set("<>&\u2028\u2029")
