"""The documents byte for byte, and that XML and JSON carry the same."""

import json
from typing import Any

import pytest
from django.utils.xmlutils import UnserializableContentError
from hypothesis import example, given
from hypothesis import strategies as st

from tests.webapi.plain import PlainRenderer, plain_json
from tests.webapi.trees import ATTRIBUTES, tree_of_xml
from voicemail_site.webapi.names import is_xml_text
from voicemail_site.webapi.renderers import (
    JSONPRenderer,
    JSONRenderer,
    XMLRenderer,
    is_legal_callback,
)

DECLARATION = b'<?xml version="1.0" encoding="utf-8"?>\n'
ROOT = b'<Response xmlns="http://www.jnctn.net/ns/rest/2006-01">'

# Characters that one of the formats, or a reader of it, treats in a way of its own.
AWKWARD = "\t\n\r \u0085\u00a0\u2028\u2029\ufeff\ufffd&<>\"'\\]/é\U0001f4de"

CARRIED = st.text(
    st.one_of(st.sampled_from(AWKWARD), st.characters(exclude_categories=["Cs"])), max_size=20
).filter(is_xml_text)
NAMES = st.from_regex(r"[A-Z][A-Za-z]{0,7}", fullmatch=True)
ATTRIBUTE_SETS = st.dictionaries(NAMES, CARRIED, max_size=3)


def elements(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Make elements with these children, some with attributes, which stand first."""
    several = st.one_of(st.none(), children, st.lists(children, max_size=3))
    members = st.dictionaries(NAMES, several, max_size=4)
    with_attributes = st.builds(
        lambda attributes, rest: {ATTRIBUTES: attributes, **rest}, ATTRIBUTE_SETS, members
    )
    return st.one_of(members, with_attributes)


TREES = st.recursive(CARRIED, elements, max_leaves=20)


def xml_of(tree: Any) -> bytes:
    """Render a Response and take away what all of them begin and end with."""
    document = XMLRenderer().render({"Response": tree})
    assert document.startswith(DECLARATION + ROOT)
    return document.removeprefix(DECLARATION + ROOT).removesuffix(b"</Response>")


def json_of(tree: Any) -> str:
    """Render a Response and take away its root."""
    document = JSONRenderer().render({"Response": tree}).decode()
    return document.removeprefix('{"Response":').removesuffix("}")


def test_the_namespace_is_unprefixed_and_declared_once_on_the_root() -> None:
    document = XMLRenderer().render({"Response": {"Context": {"Session": "x"}}})

    assert document == (DECLARATION + ROOT + b"<Context><Session>x</Session></Context></Response>")


def test_an_empty_text_is_a_self_closing_element() -> None:
    assert xml_of({"Value": ""}) == b"<Value/>"


def test_an_element_without_children_is_a_self_closing_element() -> None:
    assert xml_of({"Echo": {}}) == b"<Echo/>"


def test_a_list_repeats_the_element() -> None:
    tree = {"Role": [{"Name": "a"}, {"Name": "b"}]}

    assert xml_of(tree) == b"<Role><Name>a</Name></Role><Role><Name>b</Name></Role>"


@pytest.mark.parametrize("absent", [[], None])
def test_an_empty_list_and_none_are_absent_in_xml(absent: object) -> None:
    assert xml_of({"A": absent, "B": "b"}) == b"<B>b</B>"


def test_attributes_keep_their_order() -> None:
    tree = {"Page": {ATTRIBUTES: {"Limit": "20", "Offset": "0", "Found": "3"}}}

    assert xml_of(tree) == b'<Page Limit="20" Offset="0" Found="3"/>'


def test_markup_in_text_is_escaped() -> None:
    assert xml_of({"Value": "<a> & ]]>"}) == b"<Value>&lt;a&gt; &amp; ]]&gt;</Value>"


def test_a_carriage_return_in_text_is_written_as_a_reference() -> None:
    assert xml_of({"Value": "a\r\nb\r"}) == b"<Value>a&#13;\nb&#13;</Value>"


def test_a_text_of_nothing_but_a_carriage_return_is_written() -> None:
    assert xml_of({"Value": "\r"}) == b"<Value>&#13;</Value>"


def test_white_space_in_an_attribute_is_written_as_references() -> None:
    tree = {"Page": {ATTRIBUTES: {"Limit": "\t\n\r"}}}

    assert xml_of(tree) == b'<Page Limit="&#9;&#10;&#13;"/>'


def test_an_exceptions_text_is_a_cdata_section() -> None:
    document = XMLRenderer().render({"Exception": "a < b"})

    assert document == (
        DECLARATION
        + b'<Exception xmlns="http://www.jnctn.net/ns/rest/2006-01"><![CDATA[a < b]]></Exception>'
    )


@given(CARRIED)
@example("a]]>b")
@example("]]]]>>")
@example("a\r]]>\r\n")
def test_an_exceptions_text_comes_back_whatever_it_is(text: str) -> None:
    document = {"Exception": text}

    assert tree_of_xml(XMLRenderer().render(document)) == {"Exception": text or {}}


@pytest.mark.parametrize("character", ["\0", "\x1f", "\ufffe", "\uffff", "\ud800"])
@pytest.mark.parametrize("place", ["text", "attribute", "exception"])
def test_a_text_that_xml_cannot_carry_is_never_written(place: str, character: str) -> None:
    documents: dict[str, Any] = {
        "text": {"Response": {"Value": character}},
        "attribute": {"Response": {"Page": {ATTRIBUTES: {"Limit": character}}}},
        "exception": {"Exception": character},
    }

    with pytest.raises(UnserializableContentError):
        XMLRenderer().render(documents[place])


def test_xml_declares_its_type_and_charset() -> None:
    assert (XMLRenderer.media_type, XMLRenderer.charset) == ("text/xml", "utf-8")


def test_an_empty_element_is_an_empty_object() -> None:
    assert json_of({"Value": "", "Echo": {}}) == '{"Value":{},"Echo":{}}'


def test_one_child_of_a_kind_is_an_object() -> None:
    assert json_of({"Role": [{"Name": "a"}]}) == '{"Role":{"Name":"a"}}'


def test_several_children_of_a_kind_are_an_array() -> None:
    assert json_of({"Name": ["a", "", "b"]}) == '{"Name":["a",{},"b"]}'


@pytest.mark.parametrize("absent", [[], None])
def test_an_empty_list_and_none_are_absent_in_json(absent: object) -> None:
    assert json_of({"A": absent, "B": "b"}) == '{"B":"b"}'


def test_attributes_stand_in_an_object_of_their_own() -> None:
    tree = {"Page": {ATTRIBUTES: {"Limit": "20", "Offset": "0"}, "Box": [{"Id": "1"}]}}

    assert json_of(tree) == (
        '{"Page":{"@attributes":{"Limit":"20","Offset":"0"},"Box":{"Id":"1"}}}'
    )


def test_an_attribute_is_a_string_even_when_it_is_empty() -> None:
    assert json_of({ATTRIBUTES: {"A": ""}}) == '{"@attributes":{"A":""}}'


def test_attributes_that_are_none_are_absent_in_json() -> None:
    assert json_of({ATTRIBUTES: {}, "A": "a"}) == '{"A":"a"}'


def test_what_would_end_a_script_is_escaped_in_json() -> None:
    assert json_of({"Value": "</b>&\u2028\u2029é"}) == (
        '{"Value":"\\u003c/b\\u003e\\u0026\\u2028\\u2029é"}'
    )


def test_an_exception_in_json_is_one_string() -> None:
    assert JSONRenderer().render({"Exception": "text"}) == b'{"Exception":"text"}'


def test_json_declares_its_type_and_charset() -> None:
    assert (JSONRenderer.media_type, JSONRenderer.charset) == ("application/json", "utf-8")


def test_jsonp_calls_the_clients_function() -> None:
    context = {"callback": "app.on[0]"}

    assert JSONPRenderer().render({"Response": {"A": "1"}}, None, context) == (
        b'app.on[0]( {"Response":{"A":"1"}} );'
    )


def test_jsonp_declares_its_type_and_charset() -> None:
    assert (JSONPRenderer.media_type, JSONPRenderer.charset) == (
        "application/javascript",
        "utf-8",
    )


@pytest.mark.parametrize("text", ["a", "_", "App.on_1[0]", "9", "a" * 128])
def test_a_callback_of_legal_characters_is_legal(text: str) -> None:
    assert is_legal_callback(text)


@pytest.mark.parametrize("text", ["", "a" * 129, "a b", "a\n", "a(", "a-b", "é", "٣", "a;"])
def test_any_other_callback_is_illegal(text: str) -> None:
    assert not is_legal_callback(text)


@given(TREES)
def test_xml_and_json_carry_the_same_tree_in_the_same_order(tree: Any) -> None:
    document = {"Response": tree}

    from_xml = tree_of_xml(XMLRenderer().render(document))
    from_json = json.loads(JSONRenderer().render(document))
    assert json.dumps(from_xml) == json.dumps(from_json)  # As texts, because their order counts.


@given(TREES)
def test_json_is_safe_inside_a_page(tree: Any) -> None:
    document = JSONRenderer().render({"Response": tree}).decode()

    assert not set(document) & set("<>&\u2028\u2029")


@given(TREES)
def test_a_document_is_what_the_plain_way_writes(tree: Any) -> None:
    document = {"Response": tree}

    assert XMLRenderer().render(document) == PlainRenderer().render(document)


@given(TREES)
def test_a_json_document_is_what_the_plain_way_writes(tree: Any) -> None:
    document = {"Response": tree}

    assert JSONRenderer().render(document) == plain_json(document)


@given(CARRIED)
def test_an_exception_is_what_the_plain_way_writes(text: str) -> None:
    document = {"Exception": text}

    assert XMLRenderer().render(document) == PlainRenderer().render(document)
