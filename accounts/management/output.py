"""How commands print: tables for people, JSON and CSV for programs (docs/commands.md)."""

from __future__ import annotations

import csv
import json
import shutil
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import chain, islice
from typing import Any

from django.core.management.base import OutputWrapper
from django.db import models

from accounts.spreadsheets import guarded

Record = Mapping[str, Any]

_MEASURED_ROWS = 200
_GAP = "  "
_ELLIPSIS = "…"
_NARROWEST = 6


class Format(models.TextChoices):
    """The forms of a command's result."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def write_json(out: OutputWrapper, records: Iterable[Record]) -> None:
    """Write one array of objects, one a line, while the records come in."""
    start = "[\n"
    for record in records:
        line = json.dumps(record, default=_for_json, ensure_ascii=False)
        out.write(f"{start}{line}", ending="")
        start = ",\n"
    out.write("[]" if start == "[\n" else "\n]")


def write_csv(out: OutputWrapper, columns: Sequence[str], records: Iterable[Record]) -> None:
    """Write a line of names, then a line for each record; texts are guarded."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_for_csv(record[name]) for name in columns] for record in records)


def write_table(out: OutputWrapper, columns: Sequence[str], records: Iterable[Record]) -> bool:
    """Write columns under their names, and tell whether there was any record.

    The first records decide how wide the columns are. On a terminal longer values are cut, so
    that each record is one line; in a pipe every value is whole.
    """
    rows = ([_for_people(record[name]) for name in columns] for record in records)
    first = list(islice(rows, _MEASURED_ROWS))
    if not first:
        return False
    heading = [name.replace("_", " ").upper() for name in columns]
    widths = [max(map(_width, column)) for column in zip(heading, *first, strict=True)]
    if out.isatty():
        widths = _fitting(widths, shutil.get_terminal_size().columns)
    for row in chain([heading], first, rows):
        cells = [
            _cut(text, width) if out.isatty() else text
            for text, width in zip(row, widths, strict=True)
        ]
        out.write(_GAP.join(map(_padded, cells, widths)).rstrip())
    return True


def write_sheet(out: OutputWrapper, record: Record) -> None:
    """Write one record, each field on a line of its own."""
    widest = max(map(len, record))
    for name, value in record.items():
        label = f"{name.replace('_', ' ')}:".ljust(widest + 1)
        out.write(f"{label} {_for_people(value)}".rstrip())


def plain(text: str) -> str:
    """Take out of a text what would steer a terminal."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)


def _instant(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="seconds")


def _for_json(value: Any) -> str:
    match value:
        case datetime():
            return _instant(value)
        case Decimal():
            return str(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON.")


def _for_csv(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case datetime():
            return _instant(value)
        case str():
            return guarded(value)
    return str(value)


def _for_people(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case datetime():
            return f"{value.astimezone(UTC):%Y-%m-%d %H:%M}"
    return plain(str(value))


def _width(text: str) -> int:
    """Count the cells of a terminal that a text takes."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def _cells(letter: str) -> int:
    if unicodedata.combining(letter):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _width(text))


def _cut(text: str, width: int) -> str:
    """Shorten a text to so many cells, the last of them an ellipsis."""
    if _width(text) <= width:
        return text
    return "".join(_first_cells(text, width - 1)) + _ELLIPSIS


def _first_cells(text: str, room: int) -> Iterator[str]:
    for letter in text:
        room -= _cells(letter)
        if room < 0:
            return
        yield letter


def _fitting(widths: Sequence[int], room: int) -> list[int]:
    """Take from the widest column until the line fits, or no column can be narrower."""
    fitting = list(widths)
    spare = room - len(_GAP) * (len(fitting) - 1)
    while sum(fitting) > spare and max(fitting) > _NARROWEST:
        fitting[fitting.index(max(fitting))] -= 1
    return fitting
