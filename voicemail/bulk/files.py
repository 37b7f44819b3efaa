"""Files of mailboxes: CSV with a line of names, and JSON Lines (docs/import.md, Files)."""

from __future__ import annotations

import csv
import io
import json
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO, ClassVar, TextIO, cast

from django.core.exceptions import ValidationError
from django.db import models

from accounts.spreadsheets import guarded, unguarded
from voicemail.bulk.columns import KNOWN, REASONS

_LINE_MAX = 2**20
_BOM = b"\xef\xbb\xbf"
_FLAGS = {True: "true", False: "false"}


class Format(models.TextChoices):
    """The forms of a file of mailboxes."""

    CSV = "csv", "CSV"
    JSONL = "jsonl", "JSON Lines"


class UnreadableFileError(ValidationError):
    """Raised for a file that can't be read as rows at all; the message says in which line."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="unreadable")


@dataclass(frozen=True, slots=True)
class Row:
    """One row: the line where it ends, its cells by column, and what it was read from.

    ``fault`` says why the cells can't be told apart; there are none then.
    """

    number: int
    cells: Mapping[str, Any]
    source: Any
    fault: str = ""


class Reader(ABC):
    """A file of mailboxes, which is read more than once (see ``rewindable``)."""

    format: ClassVar[Format]

    def __init__(self, file: BinaryIO) -> None:
        self.file = file

    @property
    def size(self) -> int:
        """Give how many bytes there are to read."""
        return self.file.seek(0, io.SEEK_END)

    def lines(self) -> Iterator[str]:
        """Give the lines from the first one on. Raises UnreadableFileError."""
        self.file.seek(0)
        return lines_of(self.file)

    @abstractmethod
    def rows(self) -> Iterator[Row]:
        """Give each row. Raises UnreadableFileError."""

    @abstractmethod
    def refuse(self, out: TextIO, reasons: Iterable[tuple[int, Sequence[str]]]) -> None:
        """Write the rows of these lines, in their order, with their reasons, to mend them there."""

    def _refused(
        self, reasons: Iterable[tuple[int, Sequence[str]]]
    ) -> Iterator[tuple[Row, Sequence[str]]]:
        rows = self.rows()
        for number, told in reasons:
            yield next(row for row in rows if row.number == number), told


@contextmanager
def rewindable(file: BinaryIO) -> Iterator[BinaryIO]:
    """Give a file itself, or what came through a pipe, kept on the disk."""
    if file.seekable():
        yield file
        return
    with tempfile.TemporaryFile() as kept:
        shutil.copyfileobj(file, kept)
        kept.seek(0)
        yield cast("BinaryIO", kept)


def reader_of(file: BinaryIO, form: Format) -> Reader:
    """Give the reader of a format."""
    return {each.format: each for each in (CsvReader, JsonLinesReader)}[form](file)


def lines_of(file: BinaryIO) -> Iterator[str]:
    """Decode a file line by line. Raises UnreadableFileError."""
    for number, line in enumerate(iter(partial(file.readline, _LINE_MAX), b""), 1):
        if number == 1:
            line = line.removeprefix(_BOM)
        if len(line) == _LINE_MAX:
            raise UnreadableFileError(f"Line {number} is longer than a million characters.")
        try:
            text = line.decode()
        except UnicodeDecodeError as exc:
            raise UnreadableFileError(
                f"Line {number} is not UTF-8. Save the file as UTF-8, in Excel as "
                "“CSV UTF-8 (Comma delimited)”."
            ) from exc
        if "\0" in text:
            raise UnreadableFileError(
                f"Line {number} holds a NUL character. The file may be UTF-16; save it as UTF-8."
            )
        yield text


class CsvReader(Reader):
    """CSV as RFC 4180 has it: commas, double quotes, and a first line that names the columns."""

    format = Format.CSV

    def rows(self) -> Iterator[Row]:
        cells = csv.reader(self.lines(), strict=True)
        try:
            names = _names(next(cells, []))
            for each in cells:
                # A spreadsheet leaves lines of commas behind its last row.
                if any(each):
                    yield _csv_row(cells.line_num, names, each)
        except csv.Error as exc:
            raise UnreadableFileError(f"Line {cells.line_num} is no CSV: {exc}.") from exc

    def refuse(self, out: TextIO, reasons: Iterable[tuple[int, Sequence[str]]]) -> None:
        writer = csv.writer(out, lineterminator="\n")
        names = _names(next(csv.reader(self.lines())))
        # The reasons go first: where a row has a cell too many, no name is over it.
        at = names.index(REASONS) if REASONS in names else len(names)
        writer.writerow([REASONS, *names[:at], *names[at + 1 :]])
        for row, told in self._refused(reasons):
            writer.writerow([" ".join(told), *row.source[:at], *row.source[at + 1 :]])


def _csv_row(number: int, names: Sequence[str], cells: list[str]) -> Row:
    if len(cells) != len(names):
        fault = f"The row has {len(cells)} cells, but there are {len(names)} columns."
        return Row(number, {}, cells, fault)
    values = [unguarded(cell) if cell[:1] == "'" else cell for cell in cells]
    return Row(number, dict(zip(names, values, strict=True)), cells)


def _names(cells: Sequence[str]) -> list[str]:
    """Give the columns of a first line. Raises UnreadableFileError."""
    names = [cell.strip().lower() for cell in cells]
    unknown = sorted({name for name in names if name not in KNOWN})
    if unknown or not names:
        raise UnreadableFileError(
            f"The first line must name the columns, separated by commas. Unknown: "
            f"{', '.join(map(repr, unknown)) or 'the line is empty'}. Known: {', '.join(KNOWN)}."
        )
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UnreadableFileError(f"The first line names a column twice: {', '.join(twice)}.")
    if not {"mailbox", "voicemailbox_id"} & set(names):
        raise UnreadableFileError("There must be a column mailbox, or voicemailbox_id.")
    return names


class JsonLinesReader(Reader):
    """JSON Lines: an object for each row, its keys the columns."""

    format = Format.JSONL

    def rows(self) -> Iterator[Row]:
        for number, line in enumerate(self.lines(), 1):
            if not line.isspace():
                yield _json_row(number, line)

    def refuse(self, out: TextIO, reasons: Iterable[tuple[int, Sequence[str]]]) -> None:
        for row, told in self._refused(reasons):
            cells = {name: cell for name, cell in row.source.items() if name != REASONS}
            # What is no Unicode stays escaped, as it came.
            out.write(f"{json.dumps({REASONS: list(told)} | cells)}\n")


def _json_row(number: int, line: str) -> Row:
    pairs: list[tuple[str, Any]] = []

    def note(members: list[tuple[str, Any]]) -> dict[str, Any]:
        pairs[:] = members  # The outermost object comes last.
        return dict(members)

    try:
        cells = json.loads(line, object_pairs_hook=note)
    except (ValueError, RecursionError) as exc:
        raise UnreadableFileError(f"Line {number} is no JSON.") from exc
    if not isinstance(cells, dict):
        raise UnreadableFileError(f"Line {number} is no JSON object.")
    fault = _json_fault(cells, pairs, line)
    return Row(number, {} if fault else cells, cells, fault)


def _json_fault(cells: Mapping[str, Any], pairs: Sequence[Any], line: str) -> str:
    if unknown := sorted(set(cells) - set(KNOWN)):
        return f"Unknown columns: {', '.join(map(repr, unknown))}. Known: {', '.join(KNOWN)}."
    if len(cells) != len(pairs):
        return "A column is there twice."
    # Half a surrogate pair can be escaped, but not stored.
    if "\\u" in line and any(
        "\ud800" <= c <= "\udfff" for c in json.dumps(cells, ensure_ascii=False)
    ):
        return "Value must be Unicode text."
    return ""


class Writer(ABC):
    """Writes rows of mailboxes, each a sequence of values in the order of the columns."""

    @abstractmethod
    def write(self, rows: Iterable[Sequence[Any]]) -> None:
        """Write rows as they come."""


class CsvWriter(Writer):
    """CSV that a spreadsheet opens safely, and that comes back as it was."""

    def __init__(self, out: Any, columns: Sequence[str]) -> None:
        self.writer = csv.writer(out, lineterminator="\n")
        self.writer.writerow(columns)

    def write(self, rows: Iterable[Sequence[Any]]) -> None:
        self.writer.writerows(map(_csv_cells, rows))


def _csv_cells(values: Sequence[Any]) -> list[Any]:
    return [
        guarded(value)
        if isinstance(value, str)
        else _FLAGS[value]
        if isinstance(value, bool)
        else value
        for value in values
    ]


class JsonLinesWriter(Writer):
    """JSON Lines, in UTF-8."""

    def __init__(self, out: Any, columns: Sequence[str]) -> None:
        self.out, self.columns = out, columns

    def write(self, rows: Iterable[Sequence[Any]]) -> None:
        for values in rows:
            self.out.write(json_line(dict(zip(self.columns, values, strict=True))))


_encode = json.JSONEncoder(ensure_ascii=False).encode


def json_line(cells: Mapping[str, Any]) -> str:
    """Write one row as JSON Lines."""
    return f"{_encode(cells)}\n"


def writer_of(out: Any, form: Format, columns: Sequence[str]) -> Writer:
    """Give the writer of a format to a text stream."""
    return {Format.CSV: CsvWriter, Format.JSONL: JsonLinesWriter}[form](out, columns)
