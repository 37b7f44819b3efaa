"""Whatever is sent is answered by a valid document, and XML and JSON tell the same.

Each answer is validated where it is read (tests/api.py): by the grammar, in its headers, and in
that only a Response has status 200.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias
from urllib.parse import quote_from_bytes

import pytest
from django.db import transaction
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from accounts.actions import WritingAction
from accounts.models import Organization, User
from tests.api import FORM, ApiClient, Reply, children
from tests.factories import PASSWORD, make_voicemailbox
from voicemail_site.webapi.registry import actions

Pairs: TypeAlias = Sequence[tuple[bytes, bytes]]

QUERY, BODY, MULTIPART, JSON = WAYS = ("query", "body", "multipart", "json")

# Fixtures stay as they are between examples: each of them is undone.
quickly = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

DECLARED = sorted(
    {
        field.wire_name
        for action in actions().values()
        for field in action.Parameters.declared().values()
    }
)

# A right value for each parameter that some action requires, and for some others; those in braces
# are filled in by the test.
RIGHT = {
    "AccountId": "{account}",
    "OrganizationId": "{organization}",
    "Mailbox": "7012",
    "VoicemailboxId": "{voicemailbox}",
    "Username": "alice",
    "Domain": "acme.example.com",
    "Fullname": "Joe Smith",
    "Password": PASSWORD,
    "Limit": "0",
    "CalcFound": "FALSE",
    "Timezone": "us_pacific",
    "NotifyEmail": "yes",
    "Email": "joe@example.com",
    "Mwi": "",
}
OTHERS = [
    *("", " ", "0", "-1", "25001", "9" * 24, "7011", "{other_organization}", "{session}", "false"),
    *("٣", "1_000", "\0", "\r\n", "]]>", "</Value>", "é" * 200, "json", "OrganizationId Desc"),
]


def as_bytes(*values: str) -> st.SearchStrategy[bytes]:
    return st.sampled_from([value.encode() for value in values])


ANY_BYTES = st.binary(max_size=12)
ANY_TEXT = st.text(max_size=12).map(str.encode)
VALUES = st.one_of(as_bytes(*RIGHT.values(), *OTHERS), ANY_TEXT, ANY_BYTES)
PLAIN_NAMES = as_bytes(*DECLARED, "PasswordConfirm", "Remark")
ARRAY_NAMES = st.tuples(PLAIN_NAMES, as_bytes("[]", "[k]", "[k][]", "[", "]", "[\0]")).map(b"".join)
NAMES = st.one_of(PLAIN_NAMES, ARRAY_NAMES, ANY_TEXT, ANY_BYTES)
RIGHT_PAIRS = st.sampled_from([(name.encode(), RIGHT[name].encode()) for name in RIGHT])
PAIRS = st.lists(st.one_of(RIGHT_PAIRS, st.tuples(NAMES, VALUES)), max_size=6)

ACTIONS = st.one_of(
    st.sampled_from(sorted(actions())), st.sampled_from(["", "noop", "Unknown", "é"])
)
OUTPUTS: list[Pairs] = [
    [],
    [(b"Output", b"json")],
    [(b"Output", b"json"), (b"Callback", b"app.show[0]")],
    [(b"Output", b"json"), (b"Callback", b"1;\0")],
    [(b"Callback", b"show"), (b"Output[]", b"json")],
]

FRAGMENTS = [
    *(b"Action=NoOp", b"Output=json", b"Callback=show", b"SessionId=", b"a=1", b"&", b"=", b"%"),
    *(b"[", b"]", b"[]", b"%00", b"%E9", b"{", b"}", b'"Action": "Echo"', b",", b"null", b"1e9"),
    *(b"--b\r\n", b"--b--", b'Content-Disposition: form-data; name="Action"\r\n\r\nNoOp\r\n'),
]
PIECES = st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.binary(max_size=3)), max_size=8)
CONTENT_TYPES = st.builds(
    "{}{}".format,
    st.sampled_from(
        [FORM, "application/json", "multipart/form-data; boundary=b", "text/plain", ""]
    ),
    st.one_of(
        st.sampled_from(["", "; charset=utf-16", "; charset=hex", "; charset*=x; charset*0=y"]),
        st.text(st.characters(max_codepoint=255, exclude_categories=["Cc"]), max_size=12),
    ),
)


def encoded(pairs: Pairs, way: str) -> dict[str, Any]:
    """Write parameters in one of the ways in which a client sends them."""
    if way == JSON:
        # Bytes that are not UTF-8 become surrogates, which JSON writes as escapes.
        members = {_text(name): _text(value) for name, value in pairs}
        return {"body": json.dumps(members).encode(), "content_type": "application/json"}
    if way == MULTIPART:
        parts = b"".join(
            b'--limit\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % pair
            for pair in pairs
        )
        content_type = "multipart/form-data; boundary=limit"
        return {"body": parts + b"--limit--\r\n", "content_type": content_type}
    quoted = "&".join(
        f"{quote_from_bytes(name)}={quote_from_bytes(value)}" for name, value in pairs
    )
    return {way: quoted.encode()}


def _text(data: bytes) -> str:
    return data.decode(errors="surrogateescape")


@contextmanager
def undone() -> Iterator[None]:
    """Take back what a request has written, so that every example starts alike."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


@pytest.fixture
def known(
    as_alice: ApiClient, alice: User, organization: Organization, other_organization: Organization
) -> dict[bytes, bytes]:
    """Give what is to be filled in for each value in braces."""
    found = {
        "account": organization.account_id,
        "organization": organization.pk,
        "voicemailbox": make_voicemailbox(organization, mailbox=7011).pk,
        "other_organization": other_organization.pk,
        "session": as_alice.session_id,
    }
    return {f"{{{name}}}".encode(): str(value).encode() for name, value in found.items()}


def required_by(action: str) -> list[tuple[bytes, bytes]]:
    """Give a right value for everything that an action requires."""
    if action not in actions():
        return []
    parameters = actions()[action].Parameters
    either = parameters.one_and_only_one_of or ()
    needed = [
        field.wire_name
        for name, field in parameters.declared().items()
        if field.required or name in either[:1]
    ]
    return [(name.encode(), RIGHT[name].encode()) for name in needed]


def request_of(
    action: str, is_whole: bool, pairs: Pairs, known: Mapping[bytes, bytes]
) -> list[tuple[bytes, bytes]]:
    """Put the parameters of a request together; a whole one has what the action requires."""
    whole = [(b"SessionId", b"{session}"), *required_by(action)] if is_whole else []
    everything = [(b"Action", action.encode()), *whole, *pairs]
    return [(name, known.get(value, value)) for name, value in everything]


def send(client: ApiClient, **request: Any) -> Reply:
    with undone():
        return client.send_bytes(**request)


@quickly
@given(
    query=PIECES.map(b"".join),
    body=PIECES.map(b"".join),
    content_type=CONTENT_TYPES,
    method=st.sampled_from(["GET", "POST"]),
)
@example(b"Action=NoOp", b"Action=NoOp", "multipart/form-data; charset*=x; charset*0=y", "POST")
@example(b"", b"a" + b"[a]" * 6 + b"=1", FORM, "POST")
@example(b"a=1&" * 1001, b"", f"{FORM}; charset=utf-8", "GET")
@example(b"a=1", b"", f"{FORM}; charset=hex", "GET")
def test_any_bytes_are_answered(
    api: ApiClient, db: None, query: bytes, body: bytes, content_type: str, method: str
) -> None:
    reply = send(api, query=query, body=body, content_type=content_type, method=method)
    assert reply.http.status_code in (200, 413)


@quickly
@given(ACTIONS, st.booleans(), PAIRS, st.sampled_from(OUTPUTS), st.sampled_from(WAYS))
def test_any_parameters_of_any_action_are_answered(
    api: ApiClient,
    known: Mapping[bytes, bytes],
    action: str,
    is_whole: bool,
    pairs: Pairs,
    output: Pairs,
    way: str,
) -> None:
    sent = request_of(action, is_whole, [*pairs, *output], known)
    reply = send(api, **encoded(sent, way))
    assert reply.http.status_code in (200, 413)


@quickly
@given(st.sampled_from(sorted(actions())), PAIRS, CONTENT_TYPES)
def test_any_content_type_of_a_form_is_answered(
    api: ApiClient, known: Mapping[bytes, bytes], action: str, pairs: Pairs, content_type: str
) -> None:
    sent = encoded(request_of(action, True, pairs, known), BODY)
    reply = send(api, **sent, content_type=content_type)
    assert reply.http.status_code in (200, 413)


# XML and JSON.

# What they write has a time, an id or a secret of its own each time.
WRITING = {name for name, action in actions().items() if issubclass(action, WritingAction)}
REFUSED = (b"Refused", b"\x01")


def comparable(reply: Reply) -> str:
    """Give a document as one text, its order included, without what must differ."""
    request = reply.context["Request"]
    del request["DateTime"], request["Duration"]
    request["Parameters"] = [
        each
        for each in children(request["Parameters"], "Parameter")
        if each != {"Name": "Output", "Value": "json"}
    ]
    return json.dumps(reply.tree)


def is_free_of_output(pair: tuple[bytes, bytes]) -> bool:
    return pair[0].partition(b"[")[0] not in (b"Output", b"Callback", b"Action")


@quickly
@given(
    ACTIONS,
    st.booleans(),
    PAIRS.map(lambda pairs: list(filter(is_free_of_output, pairs))),
    st.sampled_from(WAYS),
)
@example("VoicemailboxBrowse", True, [(b"AccountId", b"{account}")], BODY)
@example("AccountRead", True, [(b"AccountId", b"{account}"), (b"a[]", b"\xe9\r\n")], MULTIPART)
@example("OrganizationBrowse", True, [(b"AccountId", b"{account}"), (b"Limit", b"0")], JSON)
def test_xml_and_json_tell_the_same_in_the_same_order(
    api: ApiClient,
    known: Mapping[bytes, bytes],
    action: str,
    is_whole: bool,
    pairs: Pairs,
    way: str,
) -> None:
    if action in WRITING | {"SessionCreate"}:
        pairs = [*pairs, REFUSED]
    sent = request_of(action, is_whole, pairs, known)
    in_xml = send(api, **encoded(sent, way))
    in_json = send(api, **encoded([*sent, (b"Output", b"json")], way))
    assert in_xml.http.headers["Content-Type"].startswith("text/xml")
    assert in_json.http.headers["Content-Type"].startswith("application/json")
    assert comparable(in_xml) == comparable(in_json)
