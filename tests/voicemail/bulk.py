"""Files of mailboxes for the tests, brought in by the engine or by the services one by one."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from django.core.management import call_command

from accounts.history import record_change
from accounts.models import Channel, Organization
from voicemail.bulk import exports
from voicemail.bulk.files import Format, reader_of, writer_of
from voicemail.bulk.imports import Counts, Import
from voicemail.models import Voicemailbox

COLUMNS = ("domain", "mailbox", "username", "fullname")


def csv_of(*rows: Sequence[Any], columns: Sequence[str] = COLUMNS) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerows([columns, *rows])
    return out.getvalue()


def csv_of_dicts(*rows: Mapping[str, Any]) -> str:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return csv_of(*([row.get(name, "") for name in columns] for row in rows), columns=columns)


def judged(
    text: str | bytes, form: Format = Format.CSV, **kwargs: Any
) -> tuple[Counts, dict[int, list[str]]]:
    """Judge a file, and give the counts and the reasons by line; nothing is written."""
    with importing(text, form, **kwargs) as job:
        return job.judge(lambda _: None), dict(job.reasons())


def brought_in(text: str | bytes, form: Format = Format.CSV, **kwargs: Any) -> Counts:
    """Import a file that has no row to refuse."""
    with importing(text, form, **kwargs) as job:
        counts = job.judge(lambda _: None)
        assert dict(job.reasons()) == {}
        with record_change(by=None, channel=Channel.COMMAND, actor="test"):
            job.write()
    return counts


def importing(text: str | bytes, form: Format = Format.CSV, **kwargs: Any) -> Import:
    data = text.encode() if isinstance(text, str) else text
    organizations = kwargs.pop("organizations", Organization.unscoped.all())
    return Import(reader_of(io.BytesIO(data), form), organizations=organizations, **kwargs)


def exported(form: Format = Format.CSV, **options: bool) -> str:
    """Export every mailbox."""
    wanted = {"with_ids": False, "with_pins": True, "with_times": False} | options
    columns = exports.columns(**wanted)
    out = io.StringIO()
    writer_of(out, form, columns).write(exports.rows(Voicemailbox.unscoped.all(), columns))
    return out.getvalue()


def run(verb: str, *arguments: str | Path) -> tuple[str, str]:
    """Run a verb of the command, and give what it printed and what it noted."""
    out, noted = io.StringIO(), io.StringIO()
    call_command("voicemailboxes", verb, *map(str, arguments), stdout=out, stderr=noted)
    return out.getvalue(), noted.getvalue()
