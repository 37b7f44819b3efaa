"""Records: elements that are written many at a time, from rows of the wire's texts.

The database makes the texts (``WireText``) and joins those of a record (``WireRecord``), since to
fetch one column takes a fifth of what twenty take. They are put between what stands around them by
their element's declaration: 25,000 records take a fraction of the time that a tree of each of them
would (docs/performance.md). Written as trees they give the same bytes, by a test.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import chain
from typing import Any, NamedTuple, TypeAlias
from xml.sax.saxutils import escape

from django.db import models
from django.db.models import F, Func, TextField
from django.utils.xmlutils import UnserializableContentError

from voicemail_site.webapi.elements import Element, Fixed, Group, Member
from voicemail_site.webapi.names import is_xml_text

# Its first column is a record's texts, joined; others are passed over.
Row: TypeAlias = "Sequence[Any]"
Rest: TypeAlias = "Generator[Sequence[Row], None, None]"

# Of more rows than that each takes half as long again: their text leaves the processor's cache.
_WRITTEN_AT_ONCE = 250

_XML_SPECIAL = re.compile("[^\t\n !-%'-;=?-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_JSON_SPECIAL = re.compile('[\x00-\x1f"\\\\<>&\u2028\u2029]')
# A document that is pasted or loaded into a page must not end its script, nor begin a tag.
_JSON_ESCAPES = str.maketrans(
    {character: f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}
)


# Keeps the texts of a record apart. No rule allows it in a text, and XML could not carry it.
_SEPARATOR = "\x1f"


class WireText(Func):
    """A column as the wire has it; the same as ``as_text`` gives of its value, by a test."""

    output_field = TextField()

    _FORMS = {  # noqa: RUF012  # As Django's own expressions have theirs.
        "postgresql": {
            models.BooleanField: "CASE WHEN %s THEN 'true' ELSE 'false' END",
            models.DateTimeField: (
                """to_char(%s AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"+00:00"')"""
            ),
            models.DecimalField: "(%s)::numeric(20, 2)::text",
        },
        "sqlite": {
            models.BooleanField: "CASE WHEN %s THEN 'true' ELSE 'false' END",
            models.DateTimeField: "replace(substr(%s, 1, 19), ' ', 'T') || '+00:00'",
            models.DecimalField: "printf('%%.2f', %s)",
        },
    }

    def as_sql(self, compiler: Any, connection: Any, **extra: Any) -> Any:  # type: ignore[override]  # fewer options
        (column,) = self.get_source_expressions()
        sql, params = compiler.compile(column)
        form = self._FORMS[connection.vendor].get(type(column.output_field))
        return (sql, params) if form is None else (form.replace("%s", sql), params)


class WireRecord(Func):
    """The columns of an element as one text."""

    output_field = TextField()

    def __init__(self, element: Element) -> None:
        super().__init__(*(WireText(F(column)) for column in element.columns))

    def as_sql(self, compiler: Any, connection: Any, **extra: Any) -> Any:  # type: ignore[override]  # as above
        columns, params = zip(*map(compiler.compile, self.get_source_expressions()), strict=True)
        if connection.vendor == "postgresql":
            sql = f"concat_ws('{_SEPARATOR}', {', '.join(columns)})"
        else:
            sql = f" || '{_SEPARATOR}' || ".join(columns)
        return sql, tuple(chain.from_iterable(params))


def as_row(texts: Sequence[str]) -> Row:
    """Make a row of the texts of a record."""
    return (_SEPARATOR.join(texts),)


def _texts_of(rows: Sequence[Row], number: int) -> list[str]:
    """Take rows of so many texts apart."""
    texts = _SEPARATOR.join([row[0] for row in rows]).split(_SEPARATOR)
    if len(texts) != number * len(rows):
        raise UnserializableContentError("A text has the character that keeps texts apart.")
    return texts


class _Around(NamedTuple):
    """What stands before the first text of all, before each one of a record, and after the last."""

    before_first: str
    before_texts: list[str]
    after_last: str


# Where a text belongs in what stands around it.
_SLOT = "\0"


@dataclass(frozen=True, eq=False)
class Syntax:
    """How records are written in one of the forms of the document.

    ``leaf``, ``group`` and ``empty`` are patterns for an element with a text, with others in it,
    and with nothing; a text in which ``special`` finds something goes through ``escape``. Of what
    is special only ``marks`` are printable.
    """

    leaf: str
    group: str
    empty: str
    record: str
    separator: str
    special: re.Pattern[str]
    marks: str
    escape: Callable[[str], str]

    def write(self, element: Element, rows: Sequence[Row]) -> str:
        """Write rows of an element."""
        number = len(element.leaves)
        texts = _texts_of(rows, number)
        # Few rows have anything special in them, and one look at all of them tells so.
        if not self._is_plain("".join(texts)):
            for n in range(number):
                if not self._is_plain("".join(texts[n::number])):
                    texts[n::number] = map(self.escaped, texts[n::number])
        bare = self._make_bare(element, texts)
        around = self._around(element, bare)
        parts = [""] * (2 * len(texts))
        parts[::2] = around.before_texts * len(rows)
        parts[1::2] = texts
        parts[0] = around.before_first
        return "".join(parts) + around.after_last

    def _make_bare(self, element: Element, texts: list[str]) -> tuple[int, ...]:
        """Have the leaves that are empty in a row write their tags themselves, and tell which."""
        number = len(element.leaves)
        bare = [n for n in range(number) if not texts[n]]
        if texts.count("") > sum(texts[n::number].count("") for n in bare):
            bare = [n for n in range(number) if "" in texts[n::number]]
        for n in bare:
            before, after, closed = self._tags(element)[n]
            texts[n::number] = [
                f"{before}{text}{after}" if text else closed for text in texts[n::number]
            ]
        return tuple(bare)

    def escaped(self, text: str) -> str:
        """Give a text as it is written; that it has letters and digits alone is seen sooner."""
        if text.isalnum() or not self.special.search(text):
            return text
        return self.escape(text)

    def _is_plain(self, text: str) -> bool:
        """Tell at a glance that a text has nothing special in it."""
        return text.isprintable() and not any(mark in text for mark in self.marks)

    @lru_cache(maxsize=256)  # noqa: B019  # There are two syntaxes, and they live as long.
    def _around(self, element: Element, bare: tuple[int, ...]) -> _Around:
        """Give what stands around the texts of records, some of which have their own tags."""
        record = self.record.format(name=element.name, content=self._members(element))
        parts = record.split(_SLOT)
        for n in bare:
            before, after, _ = self._tags(element)[n]
            parts[n] = parts[n].removesuffix(before)
            parts[n + 1] = parts[n + 1].removeprefix(after)
        first, *others, last = parts
        return _Around(first, [f"{last}{self.separator}{first}", *others], last)

    @cache  # noqa: B019  # As above.
    def _tags(self, element: Element) -> Sequence[tuple[str, str, str]]:
        """Give what stands before and after each leaf's text, and what stands for an empty one."""
        tags = []
        for leaf in element.leaves:
            before, after = self.leaf.format(name=leaf.name, content=_SLOT).split(_SLOT)
            tags.append((before, after, self.empty.format(name=leaf.name)))
        return tags

    def _members(self, group: Group) -> str:
        return self.separator.join(map(self._member, group.members))

    def _member(self, member: Member | Fixed | Group) -> str:
        if isinstance(member, Group):
            return self.group.format(name=member.name, content=self._members(member))
        text = self.escape(member.text) if isinstance(member, Fixed) else _SLOT
        return (self.leaf if text else self.empty).format(name=member.name, content=text)


def carried_by_xml(text: str) -> str:
    """Give a text that XML can carry; raises UnserializableContentError for any other."""
    if not is_xml_text(text):
        raise UnserializableContentError("XML 1.0 can't carry a character of this document.")
    return text


def _xml_escaped(text: str) -> str:
    # A raw carriage return would be read back as a line feed.
    return escape(carried_by_xml(text), {"\r": "&#13;"})


def _json_escaped(text: str) -> str:
    """Escape a text, also what could end a script in a page."""
    return json.dumps(text, ensure_ascii=False)[1:-1].translate(_JSON_ESCAPES)


XML = Syntax(
    leaf="<{name}>{content}</{name}>",
    group="<{name}>{content}</{name}>",
    empty="<{name}/>",
    record="<{name}>{content}</{name}>",
    separator="",
    special=_XML_SPECIAL,
    marks="<>&",
    escape=_xml_escaped,
)

JSON = Syntax(
    leaf='"{name}":"{content}"',
    group='"{name}":{{{content}}}',
    empty='"{name}":{{}}',
    record="{{{content}}}",
    separator=",",
    special=_JSON_SPECIAL,
    marks='<>&"\\',
    escape=_json_escaped,
)


class Records:
    """The records under one name of a tree: the first rows, and pieces of what follows."""

    def __init__(
        self,
        element: Element,
        rows: Sequence[Row],
        rest: Rest | None = None,
    ) -> None:
        self.element = element
        self.rows = rows
        self.rest = rest

    @classmethod
    def of(cls, element: Element, instance: object) -> Records:
        """Make the one record of an object."""
        return cls(element, [as_row(element.texts_of(instance))])

    def __bool__(self) -> bool:
        """Tell whether there are any."""
        return bool(self.rows)

    @property
    def are_several(self) -> bool:
        """Tell whether there is more than one record."""
        return len(self.rows) > 1 or self.rest is not None

    def pieces(self, syntax: Syntax) -> Iterator[str]:
        """Write all records, piece by piece."""
        separator = ""
        for rows in chain([self.rows], self.rest or ()):
            for first in range(0, len(rows), _WRITTEN_AT_ONCE):
                part = rows[first : first + _WRITTEN_AT_ONCE]
                yield separator + syntax.write(self.element, part)
                separator = syntax.separator


def source_of(tree: Any) -> Rest | None:
    """Give where records of a tree are still read from, None where all are there."""
    if isinstance(tree, Records):
        return tree.rest
    children = tree.values() if isinstance(tree, Mapping) else ()
    return next(filter(None, map(source_of, children)), None)
