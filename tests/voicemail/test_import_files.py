"""What can be read as a file of mailboxes, and how refused rows come back."""

from __future__ import annotations

import io
import json
import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.spreadsheets import guarded, unguarded
from voicemail.bulk.columns import KNOWN
from voicemail.bulk.files import Format, UnreadableFileError, reader_of, rewindable

NO_UTF_8 = "Line 3 is not UTF-8. Save the file as UTF-8, in Excel as “CSV UTF-8 (Comma delimited)”."
NUL = "Line 2 holds a NUL character. The file may be UTF-16; save it as UTF-8."
KNOWN_COLUMNS = f"Known: {', '.join(KNOWN)}."


def rows(data: bytes, form: Format = Format.CSV) -> list[tuple[int, Any, str]]:
    return [(r.number, r.cells, r.fault) for r in reader_of(io.BytesIO(data), form).rows()]


def refused(data: bytes, reasons: dict[int, list[str]], form: Format = Format.CSV) -> str:
    out = io.StringIO()
    reader_of(io.BytesIO(data), form).refuse(out, reasons.items())
    return out.getvalue()


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_csv_is_read_with_any_line_ends_and_with_a_byte_order_mark(mark: bytes, end: bytes) -> None:
    data = mark + end.join([b"Mailbox, fullname", b'1001,"Zo\xc3\xab, ""Z"""', b",,", b""])

    with pytest.raises(UnreadableFileError):
        rows(data.replace(b",,", b'"a"b,'))
    assert rows(data.replace(b",,", b",")) == [(2, {"mailbox": "1001", "fullname": 'Zoë, "Z"'}, "")]


def test_a_row_with_a_cell_too_many_or_too_few_is_a_row_to_be_refused() -> None:
    (_, cells, fault), (_, _, other) = rows(b"mailbox,fullname\n1,2,3\n1\n")

    assert cells == {}
    assert fault == "The row has 3 cells, but there are 2 columns."
    assert other == "The row has 1 cells, but there are 2 columns."


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "The first line must name the columns, separated by commas. Unknown: the line is "
              "empty. " + KNOWN_COLUMNS),
        (b"mailbox;fullname\n", "The first line must name the columns, separated by commas. "
                                "Unknown: 'mailbox;fullname'. " + KNOWN_COLUMNS),
        (b"mailbox,email,MAILBOX\n", "The first line names a column twice: mailbox."),
        (b"domain,fullname\n", "There must be a column mailbox, or voicemailbox_id."),
        (b"mailbox\n1\n\xe4\n", NO_UTF_8),
        (b"mailbox\n1\0\n", NUL),
        (b'mailbox\n"1\n', "Line 2 is no CSV: unexpected end of data."),
        (b"mailbox\n" + b"1" * 2**20, "Line 2 is longer than a million characters."),
    ],
    ids=lambda value: value[:12] if isinstance(value, bytes) else "",
)  # fmt: skip
def test_a_csv_that_can_not_be_read_is_refused_with(data: bytes, message: str) -> None:
    with pytest.raises(UnreadableFileError) as caught:
        rows(data)

    assert caught.value.messages == [message]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "Line 2 is no JSON."),
        ("[]", "Line 2 is no JSON object."),
        ("[" * 100_000, "Line 2 is no JSON."),
    ],
    ids=["cut", "array", "deep"],
)
def test_json_lines_that_can_not_be_read_are_refused_with(line: str, message: str) -> None:
    with pytest.raises(UnreadableFileError) as caught:
        rows(f'{{"mailbox": 1}}\n{line}\n'.encode(), Format.JSONL)

    assert caught.value.messages == [message]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ('{"name": 1}', f"Unknown columns: 'name'. {KNOWN_COLUMNS}"),
        ('{"mailbox": 1, "mailbox": 2}', "A column is there twice."),
        (r'{"fullname": "\ud800"}', "Value must be Unicode text."),
    ],
)
def test_a_json_row_is_refused_alone_for(line: str, fault: str) -> None:
    assert rows(f'{line}\n\n{{"mailbox": 1}}'.encode(), Format.JSONL) == [
        (1, {}, fault),
        (3, {"mailbox": 1}, ""),
    ]


def test_refused_csv_rows_come_back_as_they_were_behind_their_reasons() -> None:
    data = b"mailbox,reasons,fullname\n1,old,'=A\n2,old,B\n3,old\n"

    assert refused(data, {2: ["a", "b"], 4: ["c"]}) == (
        "reasons,mailbox,fullname\na b,1,'=A\nc,3\n"
    )


def test_refused_json_rows_come_back_with_their_reasons() -> None:
    data = b'{"mailbox": "x", "reasons": ["old"]}\n{"mailbox": 2}\n'

    back = refused(data, {1: ["a", "b"]}, Format.JSONL)

    assert json.loads(back) == {"reasons": ["a", "b"], "mailbox": "x"}


def test_a_pipe_is_read_twice() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"mailbox\n1\n")
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe, rewindable(pipe) as file:
        reader = reader_of(file, Format.CSV)
        assert [*reader.rows()] == [*reader.rows()] != []


@given(st.text(st.sampled_from("=+-@'\t\ra")))
def test_a_guard_is_taken_off_again(text: str) -> None:
    assert unguarded(guarded(text)) == text
    assert not guarded(text).startswith(("=", "+", "-", "@", "\t", "\r"))


def test_an_apostrophe_that_guards_nothing_stays() -> None:
    assert unguarded("'t Hooft") == "'t Hooft"
