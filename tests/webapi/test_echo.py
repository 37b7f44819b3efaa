"""Request/Parameters: what was sent, as it is shown again (docs/protocol.md, Echo)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from accounts.models import Organization
from tests.api import ApiClient, Reply

JSON = "application/json"
NOT_CARRIED = "Value must not contain control characters, and must be valid UTF-8."
MASK = "******"


def send_json(api: ApiClient, members: dict[str, Any]) -> Reply:
    return api.send_bytes(json.dumps(members).encode(), content_type=JSON)


def elements(*pairs: tuple[str, Any]) -> dict[str, Any]:
    """Give the Array of these keys and values, as a tree."""
    found = [
        {"Key": key} | (value if "Elements" in value else {"Value": value}) for key, value in pairs
    ]
    return {"Elements": {"Element": found[0] if len(found) == 1 else found}}


def test_unknown_parameters_are_echoed_in_the_order_in_which_they_were_sent(
    api: ApiClient,
) -> None:
    reply = api.send_bytes(b"zeta=1&Action=Echo&alpha=2", query=b"omega=3&beta=4")
    assert [name for name, _ in reply.echo] == ["omega", "beta", "zeta", "Action", "alpha"]
    assert reply.is_completed


def test_an_unknown_action_echoes_too(api: ApiClient) -> None:
    reply = api.send_bytes(b"Action=Unknown&a=1")
    assert reply.echo == [("Action", "Unknown"), ("a", "1")]


@pytest.mark.parametrize(
    "value",
    ["<b>&amp;</b>", "]]>", "\"'", " a ", "\r\n\t", "\u2028\u2029\u0085", "\U0001f4de", "\ufffd"],
)
@pytest.mark.parametrize("output", ["xml", "json"])
def test_a_value_comes_back_as_it_was_sent(api: ApiClient, value: str, output: str) -> None:
    reply = api.call("Echo", a=value, Output=output)
    assert reply.echo[1] == ("a", value)
    assert reply.is_completed


def test_an_empty_value_is_an_empty_element(api: ApiClient) -> None:
    assert b"<Name>a</Name><Value/></Parameter>" in api.send_bytes(b"Action=Echo&a=").content


def test_an_empty_value_is_an_empty_object_in_json(api: ApiClient) -> None:
    reply = api.send_bytes(b"Action=Echo&a=&Output=json")
    assert b'{"Name":"a","Value":{}}' in reply.content


def test_lists_and_maps_are_echoed_as_arrays_of_keys_and_values(api: ApiClient) -> None:
    reply = api.send_bytes(b"Action=Echo&Color[]=red&Color[]=&Size[w]=4")
    assert (
        b"<Parameter><Name>Color</Name><Array><Elements>"
        b"<Element><Key>0</Key><Value>red</Value></Element>"
        b"<Element><Key>1</Key><Value/></Element></Elements></Array></Parameter>"
        b"<Parameter><Name>Size</Name><Array><Elements>"
        b"<Element><Key>w</Key><Value>4</Value></Element></Elements></Array></Parameter>"
    ) in reply.content


def test_arrays_nest(api: ApiClient) -> None:
    reply = api.send_bytes(b"Action=Echo&a[x][]=1&a[x][]=2&a[y]=3")
    assert (
        b"<Name>a</Name><Array><Elements><Element><Key>x</Key><Array><Elements>"
        b"<Element><Key>0</Key><Value>1</Value></Element>"
        b"<Element><Key>1</Key><Value>2</Value></Element></Elements></Array></Element>"
        b"<Element><Key>y</Key><Value>3</Value></Element></Elements></Array></Parameter>"
    ) in reply.content


def test_one_element_of_an_array_is_an_object_in_json(api: ApiClient) -> None:
    reply = api.send_bytes(b"Action=Echo&Output=json&a[]=1")
    assert (
        b'{"Name":"a","Array":{"Elements":{"Element":{"Key":"0","Value":"1"}}}}'
    ) in reply.content


def test_json_arrays_and_objects_are_echoed_like_lists_and_maps(api: ApiClient) -> None:
    members = {"Action": "Echo", "a": ["x", True, None, 1.50], "b": {"k": {"l": 2}}}
    reply = send_json(api, members)
    assert reply.echo[1:] == [
        ("a", elements(("0", "x"), ("1", "true"), ("2", {}), ("3", "1.5"))),
        ("b", {"Elements": {"Element": {"Key": "k", "Array": elements(("l", "2"))}}}),
    ]


@pytest.mark.parametrize("empty", [[], {}])
def test_an_array_without_elements_is_echoed_as_one(api: ApiClient, empty: Any) -> None:
    reply = send_json(api, {"Action": "Echo", "a": empty})
    assert reply.echo[1] == ("a", {"Elements": {}})


# Passwords and SessionIds.


@pytest.mark.parametrize("name", ["Password", "PasswordConfirm"])
@pytest.mark.parametrize("value", ["s3cret", "0042", "", " ", "\x00s3cret", "*******"])
def test_a_password_is_masked_whatever_was_sent(api: ApiClient, name: str, value: str) -> None:
    reply = api.call("Echo", **{name: value})
    assert reply.echo == [("Action", "Echo"), (name, MASK)]
    assert b"s3cret" not in reply.content


@pytest.mark.parametrize("action", ["", "Unknown", "VoicemailboxEdit", "SessionCreate"])
def test_a_password_is_masked_whatever_became_of_the_request(api: ApiClient, action: str) -> None:
    reply = api.call(action, Password="s3cret", PasswordConfirm="s3cret")
    assert reply.echo[1:] == [("Password", MASK), ("PasswordConfirm", MASK)]
    assert not reply.is_completed


@pytest.mark.parametrize("name", ["Password", "PasswordConfirm"])
@pytest.mark.parametrize(
    "body", [b"%s[]=s3cret&%s[]=b", b"%s[s3cret]=s3cret&%s[b]=", b"%s[a][b][s3cret]=1&%s[a][c]=2"]
)
def test_a_password_that_is_a_list_or_a_map_is_masked_as_one_value(
    api: ApiClient, name: str, body: bytes
) -> None:
    reply = api.send_bytes(b"Action=Echo&" + body % (name.encode(), name.encode()))
    assert reply.echo[1:] == [(name, MASK)]
    assert b"s3cret" not in reply.content


@pytest.mark.parametrize("value", ["s3cret", 42, ["s3cret"], {"s3cret": None}, [], None])
def test_a_password_in_json_is_masked(api: ApiClient, value: Any) -> None:
    assert send_json(api, {"Action": "Echo", "Password": value}).echo[1:] == [("Password", MASK)]


def test_a_password_in_a_query_beside_a_broken_body_is_masked(api: ApiClient) -> None:
    reply = api.send_bytes(b"{", query=b"Password=s3cret", content_type=JSON)
    assert reply.echo == [("Password", MASK)]


def test_only_the_exact_names_are_masked(api: ApiClient) -> None:
    assert api.call("Echo", password="a", Passwords="b").echo[1:] == [
        ("password", "a"),
        ("Passwords", "b"),
    ]


@pytest.mark.parametrize("value", ["x", "a" * 32, "<&>", ""])
def test_a_session_id_is_echoed_as_it_was_sent(api: ApiClient, db: None, value: str) -> None:
    assert api.call("Echo", SessionId=value).echo[1] == ("SessionId", value or {})


def test_a_live_session_id_is_echoed_as_it_was_sent(as_alice: ApiClient) -> None:
    assert as_alice.call("Echo").echo[1] == ("SessionId", as_alice.session_id)


# Names.


@pytest.mark.parametrize("name", ["a", "_a", "a-b.c1", "é", "名前", "A·"])
def test_a_name_that_xml_knows_as_one_is_echoed(api: ApiClient, name: str) -> None:
    assert api.call("Echo", **{name: "1"}).echo[1:] == [(name, "1")]


@pytest.mark.parametrize(
    "name", ["1a", "-a", ".a", "a b", "a:b", "a<b", "a[b", "a&b", "a\x00b", "×", "\u0301a", "a\n"]
)
def test_any_other_name_is_left_out_and_tolerated(api: ApiClient, name: str) -> None:
    reply = api.call("Echo", **{name: "1"})
    assert reply.echo == [("Action", "Echo")]
    assert reply.is_completed


def test_a_name_that_is_left_out_does_not_make_its_value_an_error(api: ApiClient) -> None:
    reply = api.send_bytes(b"Action=Echo&1a=%00&%E9=1", query=b"%E9=%00")
    assert reply.is_completed


# Characters that XML can't carry.


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("%00", "\ufffd"),
        ("%08", "\ufffd"),
        ("%1F", "\ufffd"),
        ("%EF%BF%BE", "\ufffd"),
        ("%EF%BF%BF", "\ufffd"),
        ("%ED%A0%80", "\ufffd\ufffd\ufffd"),
    ],
)
@pytest.mark.parametrize("output", ["xml", "json"])
def test_what_xml_can_not_carry_is_refused_and_replaced(
    api: ApiClient, sent: str, shown: str, output: str
) -> None:
    reply = api.send_bytes(query=f"Action=Echo&a=x{sent}y&Output={output}".encode())
    assert reply.errors == [("a", "Value.Invalid")]
    assert reply.messages == [NOT_CARRIED]
    assert reply.echo[1] == ("a", f"x{shown}y")


def test_a_lone_surrogate_in_json_is_refused_and_replaced(api: ApiClient) -> None:
    reply = api.send_bytes(b'{"Action": "Echo", "a": "\\ud800"}', content_type=JSON)
    assert reply.errors == [("a", "Value.Invalid")]
    assert reply.echo[1] == ("a", "\ufffd")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"a[]=%00", elements(("0", "\ufffd"))),
        (b"a[%00]=1", elements(("\ufffd", "1"))),
        (
            b"a[b][%00]=1",
            {"Elements": {"Element": {"Key": "b", "Array": elements(("\ufffd", "1"))}}},
        ),
    ],
)
def test_what_xml_can_not_carry_is_refused_within_an_array(
    api: ApiClient, body: bytes, expected: Any
) -> None:
    reply = api.send_bytes(b"Action=Echo&" + body)
    assert reply.errors == [("a", "Value.Invalid")]
    assert reply.echo[1] == ("a", expected)


@pytest.mark.parametrize("name", ["Fullname", "Mailbox", "Email", "Timezone", "Name", "Remark"])
def test_what_xml_can_not_carry_is_refused_in_known_and_unknown_parameters(
    as_alice: ApiClient, organization: Organization, name: str
) -> None:
    sent = {"OrganizationId": str(organization.pk), "Domain": organization.domain}
    sent |= {"Username": "joe", "Fullname": "Joe", "Mailbox": "7011"} | {name: "a\x00"}
    reply = as_alice.call("VoicemailboxAdd", **sent)
    assert reply.errors == [(name, "Value.Invalid")]
    assert reply.messages == [NOT_CARRIED]
    assert dict(reply.echo)[name] == "a\ufffd"


def test_a_default_that_copies_a_refused_value_is_no_second_error(
    as_alice: ApiClient, organization: Organization
) -> None:
    reply = as_alice.call(
        "VoicemailboxAdd",
        OrganizationId=organization.pk,
        Domain=organization.domain,
        Username="joe\x00",
        Mailbox="7011",
        Fullname="Joe",
    )
    assert reply.errors == [("Username", "Value.Invalid")]
    assert dict(reply.echo)["Name"] == "joe\ufffd"


def test_an_action_that_xml_can_not_carry_is_unrecognized(api: ApiClient) -> None:
    reply = api.send({"Action": "NoOp\x00"})
    assert reply.errors == [("Action", "Action.Unrecognized")]
    assert reply.echo == [("Action", "NoOp\ufffd")]


def test_a_session_id_that_xml_can_not_carry_is_no_session(api: ApiClient) -> None:
    reply = api.call("SessionDestroy", SessionId="a\x00")
    assert reply.errors == [("SessionId", "Session.Authentication")]
    assert reply.echo[1] == ("SessionId", "a\ufffd")
