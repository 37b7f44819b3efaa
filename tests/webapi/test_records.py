"""Records are written from rows as they would be from trees, byte for byte."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import chain
from typing import Any

import pytest
from django.db.models import BooleanField, DateTimeField, DecimalField, IntegerField, Value
from django.utils.xmlutils import UnserializableContentError
from hypothesis import example, given
from hypothesis import strategies as st

from accounts.actions import AccountElement, OrganizationElement
from accounts.models import Account, Organization
from tests.factories import make_account, make_organization, make_voicemailbox
from tests.webapi.plain import PlainRenderer, plain_json
from tests.webapi.test_renderers import CARRIED
from voicemail.actions import VoicemailboxElement
from voicemail.models import Voicemailbox
from voicemail_site.webapi.elements import Element, Fixed, Group, Member, as_text
from voicemail_site.webapi.records import JSON, XML, Records, Syntax, WireRecord, as_row
from voicemail_site.webapi.renderers import JSONPRenderer, JSONRenderer, XMLRenderer

ELEMENT = Element(
    "Box",
    Member("Id", "id"),
    Fixed("Service", "100% <hosted>"),
    Fixed("Reserved"),
    Group("Address", Member("Name", "name"), Fixed("Type"), Group("In", Member("Id", "other"))),
    Member("Text", "text"),
)
ROWS = st.lists(st.tuples(st.integers(), CARRIED, CARRIED, CARRIED), max_size=5)
RENDERERS = (XMLRenderer(), JSONRenderer(), JSONPRenderer())


def plain(group: Group, row: Iterator[Any]) -> dict[str, Any]:
    """Build the tree that a row stands for."""
    return {member.name: _plain(member, row) for member in group.members}


def _plain(member: Member | Fixed | Group, row: Iterator[Any]) -> Any:
    if isinstance(member, Group):
        return plain(member, row)
    return member.text if isinstance(member, Fixed) else str(next(row))


def written(renderer: Any, child: Any) -> bytes:
    """Write a document with these records, or the trees of them."""
    written: bytes = renderer.render(document_of(child), renderer_context={"callback": "call"})
    return written


def rows_of(texts: Sequence[Sequence[Any]]) -> list[Any]:
    """Make the rows that the database would give."""
    return [as_row([str(text) for text in each]) for each in texts]


def document_of(child: Any) -> dict[str, Any]:
    """Build a document around them."""
    return {"Response": {"Context": "c", "Result": {"Boxes": {"Box": child}}, "End": "e"}}


@pytest.mark.parametrize("renderer", RENDERERS, ids=lambda each: type(each).__name__)
@given(rows=ROWS)
@example(rows=[(1, "", "", "")])
@example(rows=[(1, "%s", "<Text></Text>", '"Text":""'), (2, "", "\r\n", "]]>")])
def test_rows_are_written_as_their_trees_are(renderer: Any, rows: list[Any]) -> None:
    trees = [plain(ELEMENT, iter(row)) for row in rows]

    assert written(renderer, Records(ELEMENT, rows_of(rows))) == written(renderer, trees)


@given(rows=ROWS)
@example(rows=[(1, "", "<Text></Text>", "\r\n")])
def test_rows_are_written_as_the_plain_way_writes_their_trees(rows: list[Any]) -> None:
    trees = [plain(ELEMENT, iter(row)) for row in rows]

    records = Records(ELEMENT, rows_of(rows))
    assert written(XMLRenderer(), records) == written(PlainRenderer(), trees)
    assert written(JSONRenderer(), records) == plain_json(document_of(trees))


@pytest.mark.parametrize("renderer", RENDERERS, ids=lambda each: type(each).__name__)
@given(pieces=st.lists(ROWS.filter(bool), min_size=1, max_size=3))
def test_pieces_are_written_as_one_list_is(renderer: Any, pieces: list[Any]) -> None:
    first, *others = map(rows_of, pieces)
    rest = (piece for piece in others) if others else None

    assert written(renderer, Records(ELEMENT, first, rest)) == written(
        renderer, Records(ELEMENT, [*first, *chain.from_iterable(others)])
    )


@pytest.mark.parametrize("renderer", RENDERERS, ids=lambda each: type(each).__name__)
def test_many_rows_are_written_as_their_trees_are(renderer: Any) -> None:
    rows = [(number, "<" * (number % 3), "name", "") for number in range(1_001)]
    trees = [plain(ELEMENT, iter(row)) for row in rows]

    assert written(renderer, Records(ELEMENT, rows_of(rows))) == written(renderer, trees)


def test_what_a_row_has_beyond_its_texts_is_left_out() -> None:
    row = as_row(["1", "a", "b", "c"])

    assert written(XMLRenderer(), Records(ELEMENT, [(*row, 99)])) == written(
        XMLRenderer(), Records(ELEMENT, [row])
    )


@pytest.mark.parametrize("renderer", RENDERERS, ids=lambda each: type(each).__name__)
def test_a_text_never_moves_into_another_element(renderer: Any) -> None:
    with pytest.raises(UnserializableContentError):
        written(renderer, Records(ELEMENT, rows_of([(1, "a\x1fb", "", "")])))


@pytest.mark.parametrize("syntax", [XML, JSON])
def test_what_is_special_and_printable_is_marked(syntax: Syntax) -> None:
    characters = map(chr, range(sys.maxunicode + 1))
    special = {each for each in characters if each.isprintable() and syntax.special.match(each)}

    assert special == set(syntax.marks)


@pytest.mark.parametrize("text", ["\0", "\x1f", "\ufffe", "\ud800"])
def test_a_record_that_xml_cannot_carry_is_never_written(text: str) -> None:
    with pytest.raises(UnserializableContentError):
        written(XMLRenderer(), Records(ELEMENT, rows_of([(1, text, "", "")])))


@pytest.mark.parametrize("renderer", [XMLRenderer(), JSONRenderer()])
def test_a_text_before_the_records_cannot_take_their_place(renderer: Any) -> None:
    document = {"Response": {"Value": 'a "\\u0000" b', "Boxes": {"Box": Records(ELEMENT, ())}}}
    tree = {"Response": {"Value": 'a "\\u0000" b', "Boxes": {}}}

    assert renderer.render(document) == renderer.render(tree)


TIMES = st.datetimes(datetime(1970, 1, 1), datetime(2500, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # Hypothesis wants them naive.
AMOUNTS = st.decimals(min_value=-(10**9), max_value=10**9, places=2)


@pytest.mark.django_db
@given(is_on=st.booleans(), time=TIMES, amount=AMOUNTS, number=st.integers(0, 2**31 - 1))
@example(is_on=True, time=datetime(2026, 1, 2, 3, 4, 5, 999_999, UTC), amount=Decimal(0), number=0)
def test_the_database_makes_the_texts_of_the_wire(
    is_on: bool, time: datetime, amount: Decimal, number: int
) -> None:
    values: dict[str, tuple[Any, Any]] = {
        "is_on": (is_on, BooleanField()),
        "time": (time, DateTimeField()),
        "amount": (amount, DecimalField(max_digits=12, decimal_places=2)),
        "number": (number, IntegerField()),
    }
    account = Account.unscoped.order_by().annotate(
        **{name: Value(value, field) for name, (value, field) in values.items()}
    )
    make_account() if not Account.unscoped.exists() else None
    element = Element("Values", *(Member(name.title(), name) for name in values))
    (row,) = account.values_list(WireRecord(element))[:1]

    assert row == as_row([as_text(value) for value, _ in values.values()])


@pytest.mark.django_db
def test_a_row_has_the_texts_of_its_object() -> None:
    box = make_voicemailbox(make_organization(make_account()), mailbox=1001)
    (row,) = Voicemailbox.unscoped.values_list(WireRecord(VoicemailboxElement))

    box.refresh_from_db()
    assert row == as_row(VoicemailboxElement.texts_of(box))


@pytest.mark.parametrize(
    ("model", "element"),
    [
        (Voicemailbox, VoicemailboxElement),
        (Organization, OrganizationElement),
        (Account, AccountElement),
    ],
)
def test_no_column_of_an_element_can_be_null(model: Any, element: Element) -> None:
    fields = {field.attname: field for field in model._meta.concrete_fields}

    assert not any(
        fields[column].null for column in element.columns if column != "organization__domain"
    )
