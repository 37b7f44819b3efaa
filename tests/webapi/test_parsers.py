"""Bytes in: what they become, which of them are refused, and that nothing else happens."""

import json
import time
from collections.abc import Iterator
from encodings.aliases import aliases
from io import BytesIO
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from voicemail_site.webapi.names import is_xml_text
from voicemail_site.webapi.parsers import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_PARAMETERS,
    AnyParser,
    FormParser,
    JSONParser,
    Malformed,
    MultiPartParser,
    Pair,
    TooLarge,
    Value,
    collect,
    parse_query,
)

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
MULTIPART = "multipart/form-data; boundary=limit"

PARSERS = [FormParser, MultiPartParser, JSONParser, AnyParser]


def form(body: bytes, media_type: str = FORM) -> dict[str, Value]:
    """Read a urlencoded body."""
    return collect(FormParser().parse(BytesIO(body), media_type))


def json_body(body: bytes | str, media_type: str = JSON) -> dict[str, Value]:
    """Read a JSON body."""
    data = body.encode() if isinstance(body, str) else body
    return collect(JSONParser().parse(BytesIO(data), media_type))


def multipart(body: bytes, media_type: str = MULTIPART) -> dict[str, Value]:
    """Read a multipart body."""
    return collect(MultiPartParser().parse(BytesIO(body), media_type))


def part(name: bytes, value: bytes, *headers: bytes, options: bytes = b"") -> bytes:
    """Write one part of a multipart body."""
    disposition = b'Content-Disposition: form-data; name="%s"%s' % (name, options)
    return b"\r\n".join([b"--limit", disposition, *headers, b"", value, b""])


CLOSE = b"--limit--\r\n"


def query(text: bytes) -> dict[str, Value]:
    """Read a query string."""
    return collect(parse_query(text))


# The syntax that a query and a form share.


def test_names_and_values_keep_the_order_in_which_they_were_sent() -> None:
    assert parse_query(b"b=1&a=2&c=3") == [("b", "1"), ("a", "2"), ("c", "3")]


def test_percents_and_plus_signs_are_decoded_in_names_and_values() -> None:
    assert form(b"a%20b=c+d%2Be%3D") == {"a b": "c d+e="}


def test_only_the_first_equals_sign_separates() -> None:
    assert form(b"a=b=c") == {"a": "b=c"}


def test_a_semicolon_separates_nothing() -> None:
    assert form(b"a=1;b=2") == {"a": "1;b=2"}


def test_an_incomplete_escape_stands_for_itself() -> None:
    assert form(b"a=100%&b=%zz&c=%4") == {"a": "100%", "b": "%zz", "c": "%4"}


@pytest.mark.parametrize("read", [form, query])
def test_words_without_an_equals_sign_are_ignored(read: Any) -> None:
    assert read(b"lonely&a=1&&words") == {"a": "1"}


@pytest.mark.parametrize("read", [form, query])
def test_a_pair_without_a_name_is_dropped(read: Any) -> None:
    assert read(b"=1&a=2") == {"a": "2"}


def test_values_are_not_trimmed() -> None:
    assert form(b"a=+1%0A") == {"a": " 1\n"}


def test_names_are_case_sensitive() -> None:
    assert form(b"Password=1&password=2") == {"Password": "1", "password": "2"}


def test_an_empty_query_has_no_parameters() -> None:
    assert parse_query(b"") == []


@pytest.mark.parametrize("parser", PARSERS)
def test_an_empty_body_has_no_parameters(parser: Any) -> None:
    assert parser().parse(BytesIO(b""), "text/x; charset=nonsense") == []


def test_a_body_of_any_other_type_is_read_as_a_form() -> None:
    assert AnyParser().parse(BytesIO(b"a=1"), "text/plain") == [("a", "1")]
    assert AnyParser.media_type == "*/*"


# Encodings.


def test_a_query_is_utf_8() -> None:
    assert query(b"Fullname=Jos%C3%A9+\xe2\x82\xac") == {"Fullname": "José €"}


def test_a_query_that_is_not_utf_8_gives_text_that_xml_cannot_carry() -> None:
    (value,) = query(b"a=%E9").values()

    assert isinstance(value, str)
    assert not is_xml_text(value)


def test_a_query_that_is_not_utf_8_leaves_its_other_parameters_readable() -> None:
    assert query(b"a=%E9&b=%C3%A9")["b"] == "é"


def test_a_body_in_utf_8_needs_no_charset() -> None:
    assert form(b"a=%C3%A9") == multipart(part(b"a", "é".encode()) + CLOSE) == {"a": "é"}


def test_a_form_that_is_not_utf_8_is_read_wholly_as_iso_8859_1() -> None:
    assert form(b"a=%E9&b=%C3%A9") == {"a": "é", "b": "Ã©"}


def test_raw_bytes_that_are_not_utf_8_are_read_as_iso_8859_1() -> None:
    assert form(b"a=\xe9") == {"a": "é"}


def test_a_multipart_body_that_is_not_utf_8_is_read_wholly_as_iso_8859_1() -> None:
    body = part(b"a", b"\xe9") + part(b"b", b"\xc3\xa9") + part(b"\xe9", b"c") + CLOSE

    assert multipart(body) == {"a": "é", "b": "Ã©", "é": "c"}


def test_an_uploaded_file_does_not_decide_the_encoding() -> None:
    upload = part(b"x", b"\xff\xfe", options=b'; filename="x"')

    assert multipart(upload + part(b"a", b"\xc3\xa9") + CLOSE) == {"a": "é"}


@pytest.mark.parametrize("charset", ["windows-1252", "CP1252", '"windows-1252"'])
def test_a_declared_charset_is_honoured(charset: str) -> None:
    option = f"; charset={charset}"

    assert form(b"a=%80", FORM + option) == {"a": "€"}
    assert multipart(part(b"a", b"\x80") + CLOSE, MULTIPART + option) == {"a": "€"}
    assert json_body(b'{"a": "\x80"}', JSON + option) == {"a": "€"}


def test_a_charset_with_ascii_in_its_second_bytes_is_decoded_after_the_escapes() -> None:
    assert form(b"a=%83A%95%5C", FORM + "; charset=shift_jis") == {"a": "ア表"}


@pytest.mark.parametrize("charset", ["utf-16", "utf-16-be", "utf-32", "cp037"])
def test_a_charset_without_ascii_bytes_holds_for_the_syntax_too(charset: str) -> None:
    option = f"; charset={charset}"
    parts = (part(b"a", "é".encode()) + CLOSE).decode()

    assert form("a=é&b=%C3%A9".encode(charset), FORM + option) == {"a": "é", "b": "é"}
    assert multipart(parts.encode(charset), MULTIPART + option) == {"a": "é"}
    assert json_body('{"a": "é"}'.encode(charset), JSON + option) == {"a": "é"}


def test_a_part_may_declare_its_own_charset() -> None:
    typed = part(b"a", b"\x80", b"Content-Type: text/plain; charset=windows-1252")

    assert multipart(typed + part(b"b", "€".encode()) + CLOSE) == {"a": "€", "b": "€"}


@pytest.mark.parametrize(
    "charset",
    [
        *("nonsense", "hex", "rot13", "idna", "punycode", "utf-7", "unicode_escape"),
        *("raw_unicode_escape", "undefined", "charmap", "é", "a\0b", "x" * 5000),
    ],
)
def test_a_charset_that_is_none_is_refused(charset: str) -> None:
    for read, body, media_type in (
        (form, b"a=1", FORM),
        (multipart, part(b"a", b"1") + CLOSE, MULTIPART),
        (json_body, b'{"a": 1}', JSON),
    ):
        with pytest.raises(Malformed, match="such as UTF-8 or ISO-8859-1"):
            read(body, f"{media_type}; charset={charset}")


def test_a_part_in_a_charset_that_is_none_is_refused() -> None:
    with pytest.raises(Malformed, match="such as UTF-8 or ISO-8859-1"):
        multipart(part(b"a", b"1", b"Content-Type: text/plain; charset=utf-7") + CLOSE)


def test_a_form_that_declares_utf_8_falsely_gives_text_that_xml_cannot_carry() -> None:
    read = form(b"a=%E9&b=1", FORM + "; charset=utf-8")

    assert read == {"a": "\udce9", "b": "1"}


@pytest.mark.parametrize("charset", ["ascii", "shift_jis", "utf-16"])
def test_a_body_that_is_not_in_its_declared_charset_is_refused(charset: str) -> None:
    with pytest.raises(Malformed, match="charset that it declares"):
        form(b"a=%FF\xff\xff", f"{FORM}; charset={charset}")


@pytest.mark.parametrize(
    "options",
    [
        "; charset*=nonsense''x",
        "; charset*=a; charset*0=b",
        "; charset*0*=%ff'''",
        "; charset=\ud800",
    ],
)
def test_a_content_type_with_broken_options_is_refused(options: str) -> None:
    with pytest.raises(Malformed):
        form(b"a=1", FORM + options)


# Multipart.


def test_parts_become_pairs_in_their_order() -> None:
    body = part(b"b", b"1") + part(b"a", b" 2 ") + part(b"b", b"3") + CLOSE
    pairs = MultiPartParser().parse(BytesIO(body), MULTIPART)

    assert pairs == [("b", "1"), ("a", " 2 "), ("b", "3")]


def test_a_parts_value_may_have_line_ends() -> None:
    assert multipart(part(b"a", b"1\r\n\r\n2\r\n") + CLOSE) == {"a": "1\r\n\r\n2\r\n"}


def test_a_part_larger_than_a_chunk_is_read_whole() -> None:
    value = b"\xc3\xa9" * 200_000

    assert multipart(part(b"a", value) + CLOSE) == {"a": value.decode()}


@pytest.mark.parametrize(
    "options", [b'; filename="x.wav"', b'; filename=""', b"; filename*=utf-8''x"]
)
def test_an_uploaded_file_is_passed_over(options: bytes) -> None:
    assert multipart(part(b"x", b"RIFF", options=options) + part(b"a", b"1") + CLOSE) == {"a": "1"}


def test_text_around_the_parts_is_ignored() -> None:
    body = b"Preamble\r\n" + part(b"a", b"1") + CLOSE + part(b"b", b"2") + CLOSE

    assert multipart(body) == {"a": "1"}


def test_a_part_without_a_name_is_dropped() -> None:
    assert multipart(part(b"", b"1") + part(b"a", b"2") + CLOSE) == {"a": "2"}


@pytest.mark.parametrize(
    "body",
    [
        b"a=1",
        b"--other--\r\n",
        part(b"a", b"1"),
        part(b"a", b"1")[:-10],
        b"--limit\r\n\r\nno header\r\n" + CLOSE,
        b"--limit\r\nContent-Type: text/plain\r\n\r\nno name\r\n" + CLOSE,
        part(b"a" * 2000, b"1") + CLOSE,
        part(b"a", b"1", options=b"; name*=a; name*0=b") + CLOSE,
        part(b"a", b"1", options=b"; name*=nonsense''b") + CLOSE,
        b"--limit\r\nContent-Disposition: form-data; name*=utf-8''%E2%82%AC\r\n\r\n1\r\n" + CLOSE,
    ],
)
def test_a_broken_multipart_body_is_refused(body: bytes) -> None:
    with pytest.raises(Malformed, match="between the declared boundaries"):
        multipart(body)


@pytest.mark.parametrize("option", ["", "; boundary=", '; boundary="é"', "; boundary=" + "x" * 300])
def test_a_multipart_body_needs_a_boundary(option: str) -> None:
    with pytest.raises(Malformed, match="between the declared boundaries"):
        multipart(part(b"a", b"1") + CLOSE, "multipart/form-data" + option)


def test_a_part_in_a_transfer_encoding_is_refused() -> None:
    with pytest.raises(Malformed, match="transfer encoding"):
        multipart(part(b"a", b"MQ==", b"Content-Transfer-Encoding: base64") + CLOSE)


def test_a_part_may_say_that_it_has_no_transfer_encoding() -> None:
    assert multipart(part(b"a", b"1", b"Content-Transfer-Encoding: 8bit") + CLOSE) == {"a": "1"}


# JSON.


def test_a_json_text_is_taken_as_it_is() -> None:
    assert json_body('{"Fullname": " José \\u20ac "}') == {"Fullname": " José € "}


@pytest.mark.parametrize(
    "number", ["0", "-1", "7011", "1.50", "1e5", "-0.0", "123456789012345678901234567890", "1E400"]
)
def test_a_number_keeps_the_text_in_which_it_was_written(number: str) -> None:
    assert json_body(f'{{"a": {number}}}') == {"a": number}


def test_a_number_of_any_length_is_never_converted() -> None:
    assert json_body('{"a":' + "9" * 100_000 + "}") == {"a": "9" * 100_000}


def test_true_false_and_null_are_the_wires_words() -> None:
    assert json_body('{"a": true, "b": false, "c": null}') == {"a": "true", "b": "false", "c": ""}


def test_arrays_and_objects_become_lists_and_maps() -> None:
    read = json_body('{"a": ["x", {"y": [1, null]}], "b": {}}')

    assert read == {"a": {"0": "x", "1": {"y": {"0": "1", "1": ""}}}, "b": {}}


def test_brackets_in_a_json_name_mean_nothing() -> None:
    assert json_body('{"a[]": 1, "a[b]": 2}') == {"a[]": "1", "a[b]": "2"}


def test_a_repeated_json_name_counts_with_its_last_value_at_its_first_place() -> None:
    assert list(json_body('{"a": 1, "b": 2, "a": 3}').items()) == [("a", "3"), ("b", "2")]


def test_an_empty_json_name_is_dropped() -> None:
    assert json_body('{"": 1, "a": 2}') == {"a": "2"}


def test_a_byte_order_mark_before_json_is_tolerated() -> None:
    assert json_body(b'\xef\xbb\xbf{"a": 1}') == {"a": "1"}


def test_a_surrogate_in_json_gives_text_that_xml_cannot_carry() -> None:
    (value,) = json_body('{"a": "\\ud800"}').values()

    assert isinstance(value, str)
    assert not is_xml_text(value)


@pytest.mark.parametrize(
    "body",
    ["[]", "1", '"a"', "null", "{", '{"a": 1}x', "{'a': 1}", '{"a": 01}', " ", "a=1"]
    + [f'{{"a": {word}}}' for word in ("NaN", "Infinity", "-Infinity", "[NaN]", "undefined")],
)
def test_what_is_no_json_object_is_refused(body: str) -> None:
    with pytest.raises(Malformed, match="must be one object in UTF-8"):
        json_body(body)


@pytest.mark.parametrize("media_type", [JSON, JSON + "; charset=utf-8"])
def test_json_that_is_not_utf_8_is_refused(media_type: str) -> None:
    with pytest.raises(Malformed, match="must be one object in UTF-8"):
        json_body(b'{"a": "\xe9"}', media_type)


# PHP's brackets, and what counts of several values.


def test_empty_brackets_make_a_list() -> None:
    assert query(b"a[]=x&a%5B%5D=y") == {"a": {"0": "x", "1": "y"}}


def test_brackets_with_a_key_make_a_map() -> None:
    assert query(b"a[k]=x&a[l m]=y") == {"a": {"k": "x", "l m": "y"}}


def test_lists_and_maps_nest() -> None:
    assert query(b"a[b][]=1&a[b][]=2&a[][c]=3") == {
        "a": {"b": {"0": "1", "1": "2"}, "0": {"c": "3"}}
    }


def test_the_next_index_follows_the_highest_one() -> None:
    assert query(b"a[5]=x&a[]=y&a[2]=z&a[]=w") == {"a": {"5": "x", "6": "y", "2": "z", "7": "w"}}


@pytest.mark.parametrize("key", [b"-5", b"05", b"+5", b"1.0", "٣".encode()])
def test_a_key_that_is_no_index_does_not_move_the_next_one(key: bytes) -> None:
    assert query(b"a[%s]=x&a[]=y" % key) == {"a": {key.decode().replace("+", " "): "x", "0": "y"}}


def test_a_key_of_very_many_digits_is_a_key_like_any_other() -> None:
    key = "9" * 10_000

    assert query(f"a[{key}]=x&a[]=y".encode()) == {"a": {key: "x", "0": "y"}}


def test_the_index_after_the_longest_one_is_used_once() -> None:
    values = query(b"a[999999999999999999]=x&a[]=y&a[]=z")["a"]

    assert isinstance(values, dict)
    assert list(values.values()) == ["x", "y", "z"]


def test_a_list_after_a_text_takes_its_place() -> None:
    assert query(b"a=1&a[]=2") == {"a": {"0": "2"}}


def test_a_text_after_a_list_takes_its_place() -> None:
    assert query(b"a[]=2&a=1") == {"a": "1"}


def test_a_key_that_turns_into_a_map_starts_anew() -> None:
    assert query(b"a[b]=1&a[b][c]=2") == {"a": {"b": {"c": "2"}}}


@pytest.mark.parametrize("name", ["a[", "a[b", "a[b][", "a[b][c", "[a]", "[]", "]", "a]"])
def test_brackets_that_are_not_a_names_are_literal(name: str) -> None:
    assert query(name.encode() + b"=1") == {name: "1"}


def test_what_follows_the_brackets_is_dropped() -> None:
    assert query(b"a[b]c=1") == {"a": {"b": "1"}}


def test_a_parameter_sent_twice_keeps_its_place_and_takes_its_last_value() -> None:
    assert list(query(b"a=1&b=2&a=3").items()) == [("a", "3"), ("b", "2")]


def test_a_parameter_of_the_body_counts_before_the_querys() -> None:
    pairs = [*parse_query(b"a=1&b=2"), *JSONParser().parse(BytesIO(b'{"a": 3}'), JSON)]

    assert list(collect(pairs).items()) == [("a", "3"), ("b", "2")]


def test_collecting_twice_changes_nothing() -> None:
    pairs = [*JSONParser().parse(BytesIO(b'{"a": [1]}'), JSON), *parse_query(b"a[]=2&b[]=3&b[]=4")]

    assert collect(pairs) == collect(pairs) == {"a": {"0": "2"}, "b": {"0": "3", "1": "4"}}


# Limits.


class Counted(BytesIO):
    """A stream that remembers how much was read of it."""

    asked = 0

    def read(self, size: int | None = -1, /) -> bytes:
        assert size is not None
        assert size >= 0
        self.asked += size
        return super().read(size)


@pytest.mark.parametrize("parser", PARSERS)
def test_a_body_past_the_limit_is_too_large_and_not_read_to_its_end(parser: Any) -> None:
    stream = Counted(b"a" * (2 * MAX_BYTES))

    with pytest.raises(TooLarge):
        parser().parse(stream, MULTIPART)

    assert stream.asked == MAX_BYTES + 1


def test_a_body_of_exactly_the_limit_is_read() -> None:
    assert form(b"a=" + b"x" * (MAX_BYTES - 2)) == {"a": "x" * (MAX_BYTES - 2)}


def test_a_query_past_the_limit_is_too_large() -> None:
    with pytest.raises(TooLarge):
        parse_query(b"a" * (MAX_BYTES + 1))


def bodies_of(number: int) -> Iterator[tuple[Any, bytes]]:
    """Give bodies that have this many parameters, each in another way."""
    yield query, b"a=1&" * number
    yield form, b"a[]=1&" * number
    yield multipart, part(b"a", b"1") * number + CLOSE
    yield json_body, json.dumps({str(index): index for index in range(number)}).encode()
    yield json_body, json.dumps({"a": [[1, 2]] * (number // 2)}).encode()
    yield json_body, json.dumps({"a": [{}] * number}).encode()


@pytest.mark.parametrize(("read", "body"), list(bodies_of(MAX_PARAMETERS)))
def test_the_greatest_number_of_parameters_is_read(read: Any, body: bytes) -> None:
    assert read(body)


@pytest.mark.parametrize(("read", "body"), list(bodies_of(MAX_PARAMETERS + 2)))
def test_more_parameters_are_too_large(read: Any, body: bytes) -> None:
    with pytest.raises(TooLarge):
        read(body)


def test_the_parameters_of_query_and_body_are_limited_together() -> None:
    pairs: list[Pair] = parse_query(b"a=1&" * MAX_PARAMETERS)

    with pytest.raises(TooLarge):
        collect([*pairs, ("b", "2")])


def test_the_deepest_nesting_is_read() -> None:
    nested = "x"
    for _ in range(MAX_DEPTH):
        nested = {"0": nested}  # type: ignore[assignment]  # A type can't count.

    assert query(b"a" + b"[]" * MAX_DEPTH + b"=x") == {"a": nested}
    assert json_body('{"a":' + "[" * MAX_DEPTH + '"x"' + "]" * MAX_DEPTH + "}") == {"a": nested}


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 500, 100_000])
def test_deeper_nesting_is_too_large(depth: int) -> None:
    with pytest.raises(TooLarge):
        query(b"a" + b"[]" * depth + b"=x")
    with pytest.raises(TooLarge):
        json_body('{"a":' + "[" * depth + "]" * depth + "}")


def hostile_bodies() -> Iterator[tuple[Any, str, bytes]]:
    """Give bodies of about the greatest size that a careless parser takes long for."""
    header = b'\r\nContent-Disposition: form-data; name="a"'
    yield FormParser, FORM, b"a=" + b"%" * (MAX_BYTES - 2)
    yield FormParser, FORM, b"&" * MAX_BYTES
    yield FormParser, FORM, b"a" + b"[" * (MAX_BYTES - 3) + b"=1"
    yield FormParser, FORM, b"a[" + b"9" * (MAX_BYTES - 5) + b"]=1"
    yield FormParser, FORM, b"a[]=1&" * MAX_PARAMETERS
    yield FormParser, FORM + "; charset=idna", b"a=" + b"%80" * (MAX_BYTES // 3 - 1)
    yield JSONParser, JSON, b"[" * MAX_BYTES
    yield JSONParser, JSON, b'{"a":[' + b"[]," * (MAX_BYTES // 3 - 10) + b"0]}"
    yield JSONParser, JSON, b'{"a":' + b"9" * (MAX_BYTES - 10) + b"}"
    yield MultiPartParser, MULTIPART, b"--limit\r\n" * (MAX_BYTES // 9)
    yield MultiPartParser, MULTIPART, part(b"a", b"", options=b"; filename=x") * 15_000
    yield MultiPartParser, MULTIPART, (b"--limit" + header + b';"' * 400 + b"\r\n\r\n") * 1000
    yield MultiPartParser, MULTIPART, b"-" * MAX_BYTES


@pytest.mark.parametrize(("parser", "media_type", "body"), list(hostile_bodies()))
def test_a_hostile_body_takes_no_time(parser: Any, media_type: str, body: bytes) -> None:
    """A careless parser takes minutes; the bound is far from both, for machines are noisy."""
    assert len(body) <= MAX_BYTES
    before = time.process_time()

    read_or_refuse(parser, body, media_type)

    assert time.process_time() - before < 20


# Any bytes.


def read_or_refuse(parser: Any, body: bytes, media_type: str) -> dict[str, Value]:
    """Read a body; the two refusals are answers as well, any other exception is not."""
    try:
        return collect(parser().parse(BytesIO(body), media_type))
    except (Malformed, TooLarge):
        return {}


def assert_well_formed(value: Value, depth: int = 0) -> None:
    """Fail unless a value is texts in maps within the limit of nesting."""
    if type(value) is str:
        return
    assert isinstance(value, dict)
    assert depth <= MAX_DEPTH
    for key, item in value.items():
        assert type(key) is str
        assert_well_formed(item, depth + 1)


def fragments(*pieces: bytes) -> st.SearchStrategy[bytes]:
    """Make bytes of the pieces that mean something, and of others between them."""
    either = st.one_of(st.sampled_from(pieces), st.binary(max_size=4))
    return st.lists(either, max_size=40).map(b"".join)


CHARSETS = st.one_of(st.sampled_from(sorted({*aliases, *aliases.values()})), st.text(max_size=8))
OPTION = st.one_of(
    st.just(""),
    CHARSETS.map("; charset={}".format),
    CHARSETS.map("; charset*={}''%e9".format),
    st.lists(
        st.sampled_from([";", "charset", "*", "0", "1", "=", "utf-8", "'", '"', "%ff", " "])
    ).map("".join),
)
FORMS = fragments(b"a", b"=", b"&", b"[", b"]", b"[]", b"%", b"%5B", b"+", b"0", b"a[]=1&")
JSONS = fragments(b"{", b"}", b"[", b"]", b'"a"', b":", b",", b"1", b"NaN", b'{"a":', b"\\ud800")
PARTS = fragments(
    b"--limit", b"--limit--", b"\r\n", b"\r\n\r\n", part(b"a", b"1"), CLOSE, b'; name="b"',
    b"Content-Disposition: form-data", b"; name", b"*", b"0", b"=", b"utf-8''", b"; filename=x",
    b"Content-Type: text/plain; charset=", b"utf-16", b"idna", b"Content-Transfer-Encoding: ",
)  # fmt: skip


@given(st.binary())
@example(b"\xff=\xff")
def test_any_bytes_are_a_query(data: bytes) -> None:
    assert_well_formed(collect(parse_query(data)))


@given(FORMS)
def test_any_brackets_are_read(data: bytes) -> None:
    try:
        assert_well_formed(collect(parse_query(data)))
    except TooLarge:
        assert data.count(b"]") + data.upper().count(b"%5D") > MAX_DEPTH


@given(st.sampled_from(PARSERS), st.binary(), OPTION)
def test_any_bytes_are_read_or_refused(parser: Any, data: bytes, option: str) -> None:
    assert_well_formed(read_or_refuse(parser, data, MULTIPART + option))


@given(FORMS, OPTION)
def test_anything_like_a_form_is_read_or_refused(data: bytes, option: str) -> None:
    assert_well_formed(read_or_refuse(FormParser, data, FORM + option))


@given(JSONS, OPTION)
def test_anything_like_json_is_read_or_refused(data: bytes, option: str) -> None:
    assert_well_formed(read_or_refuse(JSONParser, data, JSON + option))


@given(PARTS, OPTION)
def test_anything_like_multipart_is_read_or_refused(data: bytes, option: str) -> None:
    assert_well_formed(read_or_refuse(MultiPartParser, data, MULTIPART + option))


@given(st.sampled_from(PARSERS), st.text())
def test_any_content_type_is_read_or_refused(parser: Any, media_type: str) -> None:
    assert_well_formed(read_or_refuse(parser, b"a=1", media_type))


JSON_VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(),
    ),
    lambda items: st.one_of(st.lists(items), st.dictionaries(st.text(), items)),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), JSON_VALUES))
def test_any_json_object_is_read_or_too_deep(members: dict[str, Any]) -> None:
    assert_well_formed(read_or_refuse(JSONParser, json.dumps(members).encode(), JSON))


@given(st.lists(st.tuples(st.text(min_size=1), st.text())))
def test_what_a_client_encodes_comes_back(pairs: list[tuple[str, str]]) -> None:
    body = "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in pairs)

    assert parse_query(body.encode()) == pairs
    assert FormParser().parse(BytesIO(body.encode()), FORM) == pairs
