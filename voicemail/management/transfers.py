"""Many mailboxes at the shell: into a file, from a file, and from other systems."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, TextIO, cast

from django.core.management.base import CommandError, CommandParser
from tqdm import tqdm  # type: ignore[import-untyped]  # It has no types.

from accounts.history import record_change
from accounts.management import output
from accounts.management.base import ChangeVerb, Need, Verb, add_operator, operator_of
from accounts.models import Channel, Organization
from voicemail.bulk import elsewhere, exports, imports
from voicemail.bulk.elsewhere import Origin
from voicemail.bulk.files import (
    Format,
    Reader,
    json_line,
    lines_of,
    reader_of,
    rewindable,
    writer_of,
)
from voicemail.bulk.imports import Counts
from voicemail.models import Voicemailbox

_STANDARD_INPUT = "-"
_SHOWN = 10


@contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    """Open a file to be read, or standard input. Raises CommandError."""
    if name == _STANDARD_INPUT:
        with rewindable(sys.stdin.buffer) as kept:
            yield kept
        return
    try:
        file = Path(name).open("rb")  # noqa: SIM115  # What goes wrong later is no matter of opening.
    except OSError as exc:
        raise CommandError(f"{name} can't be read: {exc.strerror}.") from exc
    with file, rewindable(file) as kept:
        yield kept


def _another(path: Path, file: str) -> Path:
    """Give a path that is not the file's own. Raises CommandError."""
    if file != _STANDARD_INPUT and path.resolve() == Path(file).resolve():
        raise CommandError("--refused must name another file than the one that is read.")
    return path


def _bar(doing: str, **looks: Any) -> Any:
    """Show on a terminal what is being done; elsewhere nothing."""
    return tqdm(desc=doing, disable=None, leave=False, **looks)


class Incoming(ChangeVerb):
    """A verb that brings in the rows of a file: all of them, or none."""

    scope_need = Need.REQUIRED
    formats: ClassVar[list[str]] = []
    is_destructive = True
    row_name = "Line"

    deleted = 0

    @classmethod
    def add_arguments(cls, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE", help="The file, or - for standard input.")
        parser.add_argument(
            "--refused",
            metavar="FILE",
            help="Where to write the rows that can't be taken, with the reasons; by default "
            "beside the file, as NAME.refused.csv or .jsonl.",
        )
        parser.add_argument(
            "--result",
            choices=output.Format.values,
            default=output.Format.TABLE.value,
            help="How the numbers of mailboxes are printed; as a table it is a sentence.",
        )

    def question(self) -> str:
        return f"Delete {self.deleted} mailboxes, as the file asks?"

    def bring_in(self, reader: Reader) -> None:
        """Judge the rows, and write what they ask for. Raises CommandError for refused ones."""
        scope = self.scope
        with imports.Import(
            reader,
            organizations=scope.rows(Organization),
            organization=scope.organization,
        ) as job:
            counts = self._judge(job, reader)
            if counts.refused:
                raise CommandError(self._refuse(job, counts))
            self.deleted = counts.deleted
            if counts.deleted:
                self.confirm()
            if not self.is_dry_run:
                with _bar("Writing", bar_format="{desc} ..."), self.recording():
                    job.write()
        self._print(counts)

    def _judge(self, job: imports.Import, reader: Reader) -> Counts:
        with _bar("Checking", total=reader.size, unit="B", unit_scale=True) as bar:
            return job.judge(bar.update)

    def _refuse(self, job: imports.Import, counts: Counts) -> str:
        """Write the refused rows, show the first of them, and say so."""
        for number, reasons in islice(job.reasons(), _SHOWN):
            self.note(f"{self.row_name} {number}: {' '.join(reasons)}")
        if counts.refused > _SHOWN:
            self.note(f"And {counts.refused - _SHOWN} more.")
        told = f"{counts.refused} rows can't be taken, so nothing was changed."
        path = self._refused_path(job.reader)
        if path is None:
            return f"{told} Name a file for all of them by --refused."
        with _replacing(path) as file:
            job.reader.refuse(file, job.reasons())
        return f"{told} They are in {path}, with the reasons."

    def _refused_path(self, reader: Reader) -> Path | None:
        if self.options["refused"]:
            return _another(Path(self.options["refused"]), self.options["file"])
        if self.options["file"] == _STANDARD_INPUT:
            return None
        return Path(self.options["file"]).with_suffix(f".refused.{reader.format}")

    def _print(self, counts: Counts) -> None:
        if self.options["result"] == output.Format.TABLE:
            self.command.stdout.write(self._told(counts))
            return
        told: list[output.Record] = [
            {"outcome": name, "count": count}
            for name, count in asdict(counts).items()
            if name != "refused"
        ]
        if self.options["result"] == output.Format.JSON:
            output.write_json(self.command.stdout, told)
        else:
            output.write_csv(self.command.stdout, ["outcome", "count"], told)

    def _told(self, counts: Counts) -> str:
        would = "would be " if self.is_dry_run else ""
        return (
            f"{counts.added} {would}added, {counts.changed} {would}changed, "
            f"{counts.deleted} {would}deleted, {counts.unchanged} {would}left unchanged."
        )


@contextmanager
def _replacing(path: Path) -> Iterator[TextIO]:
    """Write a file that only its owner reads, and put it into place when it is whole.

    Raises CommandError.
    """
    try:
        file = tempfile.NamedTemporaryFile(  # noqa: SIM115  # It stays, under another name.
            "w",
            dir=path.parent,
            prefix=f".{path.name}.",
            encoding="utf-8",
            newline="",
            delete=False,
        )
    except OSError as exc:
        raise CommandError(f"{path} can't be written: {exc.strerror}.") from exc
    try:
        with file:
            yield cast("TextIO", file)
        Path(file.name).replace(path)
    finally:
        Path(file.name).unlink(missing_ok=True)


def _add_format(parser: CommandParser, **kwargs: Any) -> None:
    parser.add_argument("--format", choices=Format.values, **kwargs)


class Import(Incoming):
    """Add, change and delete mailboxes as the rows of a CSV or JSON Lines file say.

    The whole file is checked first. With one row that can't be taken nothing is changed, and all
    such rows are written to a file with all their reasons. The same file a second time changes
    nothing. docs/import.md tells of the columns.
    """

    example = "voicemailboxes import boxes.csv --all-accounts --dry-run"

    @classmethod
    def add_arguments(cls, parser: CommandParser) -> None:
        super().add_arguments(parser)
        _add_format(parser, help="What the file is; by default its name tells, else CSV.")

    def run(self) -> None:
        with _opened(self.options["file"]) as file:
            self.bring_in(reader_of(file, self._format()))

    def _format(self) -> Format:
        is_jsonl = Path(self.options["file"]).suffix.lower() in (".jsonl", ".ndjson")
        return Format(self.options["format"] or (Format.JSONL if is_jsonl else Format.CSV))


class Export(Verb):
    """Print mailboxes as an import reads them, in the order of their domains and numbers.

    PINs are left out unless asked for, and then each box's history records that its PIN was shown.
    """

    example = "voicemailboxes export --organization acme.example.com > boxes.csv"
    scope_need = Need.REQUIRED
    formats = Format.values

    @classmethod
    def add_arguments(cls, parser: CommandParser) -> None:
        parser.add_argument("--with-pins", action="store_true", help="Print the PINs, too.")
        parser.add_argument("--with-ids", action="store_true", help="Print the ids, too.")
        parser.add_argument(
            "--with-times", action="store_true", help="Print Created and Modified, too."
        )
        add_operator(parser)

    def run(self) -> None:
        boxes = self.scope.rows(Voicemailbox)
        wanted = {name: self.options[name] for name in ("with_ids", "with_pins", "with_times")}
        columns = exports.columns(**wanted)
        if self.options["with_pins"]:
            author = operator_of(self.options)
            with record_change(by=None, channel=Channel.COMMAND, actor=author):
                exports.record_pins_shown(boxes)
        writer = writer_of(self.command.stdout, Format(self.options["format"]), columns)
        writer.write(exports.rows(boxes, columns))


class Migrate(Incoming):
    """Take over the mailboxes of another system into one organization.

    What has no counterpart here is told line by line. A PIN that is not allowed here is replaced
    by a new one. Then everything is as with import. docs/import.md tells what becomes of what.
    """

    example = (
        "voicemailboxes migrate --from asterisk voicemail.conf --organization acme.example.com"
    )

    # The file itself has lines of another kind.
    row_name = "Mailbox no."

    @classmethod
    def add_arguments(cls, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--from",
            dest="origin",
            required=True,
            choices=Origin.values,
            help="What the file is: "
            + "; ".join(f"{each.value}: {each.label}" for each in Origin)
            + ".",
        )
        parser.add_argument(
            "--context",
            default="",
            help="The context of a voicemail.conf, where it has more than one.",
        )

    def run(self) -> None:
        if self.scope.organization is None:
            raise CommandError("Name the organization that gets the mailboxes by --organization.")
        with ExitStack() as stack:
            file = stack.enter_context(_opened(self.options["file"]))
            rows: Any = stack.enter_context(tempfile.TemporaryFile())
            self._convert(file, rows)
            self.bring_in(reader_of(rows, Format.JSONL))

    def _convert(self, file: BinaryIO, rows: BinaryIO) -> None:
        origin = Origin(self.options["origin"])
        context: str = self.options["context"]
        for taken in elsewhere.taken_from(origin, lines_of(file), context=context):
            rows.write(json_line(taken.row).encode())
            for note in taken.notes:
                self.note(note)


VERBS = (Import, Export, Migrate)
