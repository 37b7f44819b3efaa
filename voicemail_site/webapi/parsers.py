"""Bytes in: a request's query and body as pairs of a name and a value.

Encodings and limits are our own view of the raw bytes, because Django answers what it can't read
by HTML pages (docs/protocol.md, Endpoint and Parameters).
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from io import BytesIO
from typing import IO, Any, NamedTuple, Never, TypeAlias
from urllib.parse import unquote_to_bytes

from django.core.exceptions import SuspiciousMultipartForm
from django.http import multipartparser
from django.utils.http import parse_header_parameters
from rest_framework.parsers import BaseParser

Value: TypeAlias = "str | dict[str, Value]"
Pair: TypeAlias = tuple[str, Value]

MAX_BYTES = 1024 * 1024
MAX_PARAMETERS = 1000
MAX_DEPTH = 5

# They are no charsets of a document; some take quadratic time, some make surrogates.
_REFUSED_CODECS = frozenset(
    {"charmap", "idna", "punycode", "raw-unicode-escape", "unicode-escape", "utf-7"}
)

# What the syntax of a form and the headers of a part are written in.
_SYNTAX = b"%&+-=:;[]\r\nAZaz09"

# A longer key is a key like any other, and is never converted.
_INDEX = re.compile("0|[1-9][0-9]{0,17}")

# What broken parts come to in Django, and broken options of a header in the email package.
_NOT_PARTS = (
    multipartparser.MultiPartParserError,
    SuspiciousMultipartForm,
    TypeError,
    UnicodeError,
)

NOT_A_TYPE = "The Content-Type of a body must be well formed, with each option once."
NOT_A_CHARSET = "The charset of a body must be a text encoding, such as UTF-8 or ISO-8859-1."
NOT_IN_CHARSET = "A body must be valid in the charset that it declares."
NOT_JSON = 'A JSON body must be one object in UTF-8, such as {"Action": "NoOp"}.'
NOT_MULTIPART = (
    "A multipart body must consist of parts between the declared boundaries, each with the name "
    "of its parameter, and end with the closing boundary."
)
NOT_PLAIN = "A part of a multipart body must not be in a transfer encoding, such as base64."


class TooLarge(Exception):  # It is no error of the program.
    """A request past one of the limits."""


class Malformed(Exception):  # It is no error of the program.
    """A body that can't be read; the message says what would be accepted."""


class LiteralName(str):
    """A name whose brackets mean nothing, as in JSON, which has arrays of its own."""

    __slots__ = ()


def parse_query(query: bytes) -> list[Pair]:
    """Read a query string.

    Bytes that are not UTF-8 become lone surrogates, so that ``names.is_xml_text`` refuses the
    text they stand in. Raises TooLarge.
    """
    _check_size(query)
    return _texts(list(_form_words(query)), "utf-8")


class _BodyParser(BaseParser):
    """What the parsers share: the limit of the size, and the options of the Content-Type."""

    def parse(  # type: ignore[override]  # A mapping would lose the order.
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> list[Pair]:
        """Read a body into pairs, in their order; raises Malformed and TooLarge."""
        # A Content-Length may lie, so what was read is measured.
        body = stream.read(MAX_BYTES + 1)
        _check_size(body)
        return self._read(body, _options(media_type)) if body else []

    def _read(self, body: bytes, options: Mapping[str, str]) -> list[Pair]:
        """Read a body that is not empty; ``options`` are those of its Content-Type."""
        raise NotImplementedError


class FormParser(_BodyParser):
    """A urlencoded form."""

    media_type = "application/x-www-form-urlencoded"

    def _read(self, body: bytes, options: Mapping[str, str]) -> list[Pair]:
        body, charset = _with_readable_syntax(body, _charset(options.get("charset")))
        return _texts(list(_form_words(body)), charset)


class AnyParser(FormParser):
    """A body of whatever other type; it is read as a form."""

    media_type = "*/*"


class MultiPartParser(_BodyParser):
    """A multipart form; uploaded files are passed over."""

    media_type = "multipart/form-data"

    def _read(self, body: bytes, options: Mapping[str, str]) -> list[Pair]:
        boundary = options.get("boundary", "")
        if not multipartparser.MultiPartParser.boundary_re.fullmatch(boundary):
            raise Malformed(NOT_MULTIPART)
        body, charset = _with_readable_syntax(body, _charset(options.get("charset")))
        try:
            words = list(_parts(body, boundary.encode("ascii")))
        except _NOT_PARTS as exc:
            raise Malformed(NOT_MULTIPART) from exc
        return _texts(words, charset)


class JSONParser(_BodyParser):
    """One JSON object; numbers keep the text in which they were written."""

    media_type = "application/json"

    def _read(self, body: bytes, options: Mapping[str, str]) -> list[Pair]:
        charset = _charset(options.get("charset"))
        try:
            text = body.decode(charset or "utf-8").removeprefix("\ufeff")
            members = json.loads(text, parse_int=str, parse_float=str, parse_constant=_refuse)
        except ValueError as exc:
            raise Malformed(NOT_JSON) from exc
        except RecursionError as exc:
            raise TooLarge(f"Arrays may nest {MAX_DEPTH} deep.") from exc
        if not isinstance(members, dict):
            raise Malformed(NOT_JSON)
        return [(LiteralName(name), _json_value(item)) for name, item in members.items() if name]


def collect(pairs: Iterable[Pair]) -> dict[str, Value]:
    """Put each parameter at its first place with its last value, brackets unfolded.

    The pairs of a query and a body are given together, since their number is limited together.
    Raises TooLarge.
    """
    collected = _Array()
    count = 0
    for name, value in pairs:
        count += _count(value)
        _check_number(count)
        base, keys = (str(name), []) if isinstance(name, LiteralName) else _path(name)
        collected.put(base, keys, value)
    return collected


class _Array(dict[str, Value]):
    """A list or map while it grows, which PHP doesn't tell apart."""

    next_index = 0

    def put(self, key: str, keys: Iterable[str], value: Value) -> None:
        """Set the value at a path; an empty key stands for the next index."""
        array = self
        for following in keys:
            array = array._descend(key)
            key = following or array._append()
        array._set(key, value)

    def _descend(self, key: str) -> _Array:
        child = self.get(key)
        if not isinstance(child, _Array):
            child = _Array()
            self._set(key, child)
        return child

    def _append(self) -> str:
        self.next_index += 1
        return str(self.next_index - 1)

    def _set(self, key: str, value: Value) -> None:
        self[key] = value
        if key.isdecimal() and _INDEX.fullmatch(key):
            self.next_index = max(self.next_index, int(key) + 1)


def _path(name: str) -> tuple[str, list[str]]:
    """Split ``a[b][]`` into ``a`` and its keys; a name with an unclosed bracket is literal."""
    if "[" not in name:
        return name, []
    base, bracket, rest = name.partition("[")
    keys: list[str] = []
    is_open = bool(base and bracket)
    while is_open:
        if len(keys) == MAX_DEPTH:
            raise TooLarge(f"Brackets may nest {MAX_DEPTH} deep.")
        key, closing, rest = rest.partition("]")
        if not closing:
            return name, []
        keys.append(key)
        is_open, rest = rest.startswith("["), rest[1:]
    return (base, keys) if keys else (name, [])


def _count(value: Value) -> int:
    """Count what a value adds to the parameters; an empty array counts as a text does."""
    if isinstance(value, str):
        return 1
    return max(1, sum(_count(item) for item in value.values()))


class _Word(NamedTuple):
    """A pair that is not decoded yet; a part of a multipart body may declare its own charset."""

    name: bytes
    value: bytes
    charset: str | None = None


def _check_size(data: bytes) -> None:
    if len(data) > MAX_BYTES:
        raise TooLarge(f"A query and a body may have {MAX_BYTES} bytes each.")


def _check_number(number: int) -> None:
    if number > MAX_PARAMETERS:
        raise TooLarge(f"A request may have {MAX_PARAMETERS} parameters.")


def _form_words(data: bytes) -> Iterator[_Word]:
    is_quoted = b"%" in data or b"+" in data
    number = 0  # Counted already here, so that hostile bytes are not all taken apart.
    for word in data.split(b"&"):
        name, equals, value = word.partition(b"=")
        if name and equals:
            number += 1
            _check_number(number)
            yield _Word(_unquoted(name), _unquoted(value)) if is_quoted else _Word(name, value)


def _unquoted(data: bytes) -> bytes:
    return unquote_to_bytes(data.replace(b"+", b" "))


def _parts(body: bytes, boundary: bytes) -> Iterator[_Word]:
    """Find the fields of a multipart body.

    Django's own MultiPartParser groups the values by name, which loses their order, and forgets
    the charsets of the parts; the Parser under it does neither, but drops a header that is not
    UTF-8. So each byte goes through it as a character.
    """
    wide = BytesIO(body.decode("latin-1").encode())
    stream = multipartparser.LazyStream(multipartparser.ChunkIter(wide))
    for number, (kind, headers, part) in enumerate(multipartparser.Parser(stream, boundary)):
        content = part.read()
        if number == 0:
            continue  # What stands before the first boundary is no part.
        if kind == multipartparser.RAW and content.startswith(b"--"):
            return
        if kind == multipartparser.RAW:
            break
        _check_number(number)
        yield from _field(headers, _narrow(content))
    raise Malformed(NOT_MULTIPART)


def _field(
    headers: Mapping[str, tuple[str, Mapping[str, bytes | str]]], content: bytes
) -> Iterator[_Word]:
    _, disposition = headers["content-disposition"]
    name = _narrow(disposition.get("name", b""))
    if "filename" in disposition or not name:
        return
    encoding, _ = headers.get("content-transfer-encoding", ("", {}))
    if encoding.strip().lower() not in ("", "7bit", "8bit", "binary"):
        raise Malformed(NOT_PLAIN)
    _, options = headers.get("content-type", ("", {}))
    charset = _narrow(options.get("charset", b"")).decode("latin-1")
    yield _Word(name, content, _charset(charset))


def _narrow(wide: bytes | str) -> bytes:
    """Undo what ``_parts`` did to the bytes."""
    text = wide if isinstance(wide, str) else wide.decode()
    return text.encode("latin-1")


def _options(media_type: str | None) -> dict[str, str]:
    """Read the options of a Content-Type."""
    try:
        _, options = parse_header_parameters(media_type or "")
    # The email package below sorts what it can't compare, when an option comes in two forms.
    except (TypeError, ValueError) as exc:
        raise Malformed(NOT_A_TYPE) from exc
    return options


def _charset(declared: str | None) -> str | None:
    """Give Python's name of a declared charset, None where none is declared."""
    if not declared:
        return None
    try:
        name = codecs.lookup(declared).name
        if name in _REFUSED_CODECS:
            raise LookupError(name)
        bytes(4).decode(name)  # A codec that makes no text shows it only here.
    except (LookupError, ValueError) as exc:
        raise Malformed(NOT_A_CHARSET) from exc
    return name


def _with_readable_syntax(body: bytes, charset: str | None) -> tuple[bytes, str | None]:
    """Recode a body whose charset, like UTF-16, has other bytes for the ASCII of the syntax."""
    if charset is None or _SYNTAX.decode(charset, "replace") == _SYNTAX.decode("ascii"):
        return body, charset
    return _decoded(body, charset).encode(), "utf-8"


def _texts(words: list[_Word], charset: str | None) -> list[Pair]:
    """Decode the words of a request in one charset, except where a word declares its own."""
    if charset is None:
        # An existing client sends names in ISO-8859-1 and doesn't say so.
        with suppress(UnicodeDecodeError):
            return [
                (
                    word.name.decode(),
                    _decoded(word.value, word.charset) if word.charset else word.value.decode(),
                )
                for word in words
            ]
        charset = "iso-8859-1"
    return [
        (_decoded(word.name, charset), _decoded(word.value, word.charset or charset))
        for word in words
    ]


def _decoded(data: bytes, charset: str) -> str:
    try:
        return data.decode(charset, "surrogateescape" if charset == "utf-8" else "strict")
    except UnicodeError as exc:
        raise Malformed(NOT_IN_CHARSET) from exc


def _json_value(value: Any, depth: int = 0) -> Value:
    if isinstance(value, str):
        return value
    if not isinstance(value, dict | list):
        return {None: "", True: "true", False: "false"}[value]
    if depth == MAX_DEPTH:
        raise TooLarge(f"Arrays may nest {MAX_DEPTH} deep.")
    _check_number(len(value))
    items = value.items() if isinstance(value, dict) else enumerate(value)
    return {str(key): _json_value(item, depth + 1) for key, item in items}


def _refuse(constant: str) -> Never:
    raise Malformed(NOT_JSON)
