"""Whatever a PBX is made to ask, it gets the boxes that it may have, or an empty body."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from accounts.models import Organization
from tests.asterisk.pbx import Answer, Asterisk, basic, make_pbx, pairs, post, read_record
from tests.factories import make_voicemailbox
from tests.texts import nearly, on_one_row
from voicemail.models import Voicemailbox

ACME = "acme.example.com"
GLOBEX = "globex.example.com"

OPERATIONS = ["single", "multi", "update", "require", "store", "destroy", "static", "nowhere"]

# Overlong UTF-8 of a dot, a slash and an "a".
OVERLONG = {".": "%c0%ae", "/": "%c0%af", "a": "%c1%a1"}
LOOK_ALIKE = {"a": "\uff41", "c": "\u0441", "e": "\u0435", ".": "\u3002", "m": "\uff4d"}


@pytest.fixture
def limited(organization: Organization, other_organization: Organization) -> Asterisk:
    """Give a PBX that may ask for globex's boxes, and not for those of acme."""
    make_voicemailbox(organization, mailbox=1001, password="1111")
    make_voicemailbox(other_organization, mailbox=1001, password="2222")
    pbx, credential = make_pbx("limited", organizations=[other_organization])
    return Asterisk(pbx.name, credential)


@st.composite
def spelled(draw: Any, text: str) -> str:
    """Write a text in some other way, as it goes into a body."""
    letters = []
    for letter in text:
        code = f"%{ord(letter):02x}"
        ways = [letter, letter.upper(), code, code.upper(), code.replace("%", "%25")]
        odd = [OVERLONG.get(letter, letter), LOOK_ALIKE.get(letter, letter)]
        letters.append(draw(st.sampled_from([letter] * 6 + ways + odd)))
    return "".join(letters)


AROUND = ["", ".", "..", "%00", "%20", " ", "%0a", "%0d%0a", "/", "/../", "%2f%2e%2e%2f", "%2500"]
BESIDE = [
    "",
    GLOBEX,
    f"{GLOBEX}%00",
    f"{GLOBEX}/../",
    f"{GLOBEX},",
    f"{GLOBEX}%26context%3D",
    "%25",
]


@st.composite
def contexts(draw: Any) -> str:
    """Give acme's context in a spelling that might get past somebody, mostly between odd signs."""
    before, around = draw(st.sampled_from(BESIDE)), st.sampled_from(AROUND)
    return f"{before}{draw(around)}{draw(spelled(ACME))}{draw(around)}"


KEYS = st.sampled_from(
    [
        "context",
        "Context",
        "%63ontext",
        "context%20LIKE",
        "context%20!%3D",
        "context%00",
        "uniqueid",
    ]
)


@st.composite
def bodies(draw: Any) -> str:
    """Give the pairs of a look-up, with keys that come twice or have an operator."""
    words = [f"{draw(KEYS)}={draw(contexts())}" for _ in range(draw(st.integers(1, 2)))]
    number = draw(st.sampled_from(["1001", "%31001", "01001", "%25", "1001%00", "1001%20or%201"]))
    words.append(f"{draw(st.sampled_from(['mailbox', 'mailbox%20LIKE']))}={number}")
    if draw(st.booleans()):
        words.append(f"context={GLOBEX}")
    return "&".join(draw(st.permutations(words)))


def records(answer: Answer) -> list[dict[str, str]]:
    """Give each record that Asterisk would read of an answer, as of one or of several boxes."""
    lines = [answer.body, *answer.body.splitlines()]
    return [record for line in lines if b"=" in line and (record := read_record(line))]


@on_one_row
@given(body=bodies(), operation=st.sampled_from(["single", "multi"]))
@example(body=f"mailbox=1001&context={ACME}", operation="single")
@example(body=f"context={ACME}", operation="multi")
@example(body=f"mailbox=1001&context={GLOBEX}&context={ACME}", operation="single")
@example(body=f"mailbox=1001&context={ACME}&context={GLOBEX}", operation="single")
def test_no_spelling_of_a_context_reaches_a_box_of_others(
    limited: Asterisk, body: str, operation: str
) -> None:
    contexts = {record["context"] for record in records(limited.ask(operation, body))}

    assert contexts <= {GLOBEX}


@on_one_row
@given(context=contexts(), turned=st.booleans())
@example(context=ACME, turned=False)
@example(context=f"{GLOBEX}mailbox=1001&context={ACME}", turned=False)
def test_no_spelling_of_a_context_changes_a_pin_of_others(
    limited: Asterisk, context: str, turned: bool
) -> None:
    query = f"mailbox=1001&context={context}" if turned else f"&context={context}mailbox=1001"
    # A space would end the target of the request.
    limited.ask("update", "&password=4711", query.replace(" ", "%20"))

    assert Voicemailbox.unscoped.get(organization__domain=ACME).password == "1111"


def test_a_spelling_in_another_case_reaches_ones_own(limited: Asterisk) -> None:
    found = limited.single(mailbox="1001", context=GLOBEX.upper())

    assert found is not None
    assert found["password"] == "2222"


ALMOST = nearly(
    st.builds(
        "{}={}&{}={}".format,
        st.sampled_from(["mailbox", "context", "password", "mailbox%20LIKE"]),
        st.sampled_from(["1001", "%25", ACME, GLOBEX]),
        st.sampled_from(["mailbox", "context", "uniqueid", "context%20LIKE"]),
        st.sampled_from(["1001", "_", ACME, GLOBEX]),
    )
)


@on_one_row
@given(
    operation=st.sampled_from(OPERATIONS),
    body=ALMOST.map(str.encode) | st.binary(max_size=200),
)
def test_no_body_gives_a_record_that_is_no_box(
    limited: Asterisk, operation: str, body: bytes
) -> None:
    answer = limited.ask(operation, body)
    found = [(each["mailbox"], each["context"], each["password"]) for each in records(answer)]

    assert set(found) <= {("1001", GLOBEX, "2222")}
    assert answer.body in (b"", b"0") or found


@on_one_row
@given(
    authorization=nearly(st.just(basic("limited", "wrong")) | st.just("Bearer wrong"))
    .map(lambda text: "".join(letter for letter in text if letter.isprintable()))
    .filter(str.isascii)
    | st.binary(max_size=60).map(lambda secret: basic(secret.decode("latin-1"), "")),
)
def test_no_credentials_but_its_own_let_anybody_in(limited: Asterisk, authorization: str) -> None:
    body = pairs({"mailbox": "1001", "context": GLOBEX})
    target = "/asterisk/voicemail/single"

    assert post(limited.endpoint, target, body, authorization).body == b""
