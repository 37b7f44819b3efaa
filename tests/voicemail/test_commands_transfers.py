"""Import, export and migration at the shell."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
from django.core.management.base import CommandError

from accounts.models import Change, Organization
from tests.commands import Terminal
from tests.factories import make_voicemailbox
from tests.voicemail.bulk import csv_of, exported, run
from voicemail.models import Voicemailbox

DOMAIN = "acme.example.com"
JOE = (DOMAIN, 1001, "joe", "Joe Smith")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "boxes.csv"


class Standard:
    """Standard input that is no terminal."""

    def __init__(self, text: str) -> None:
        self.buffer = io.BytesIO(text.encode())

    def isatty(self) -> bool:
        return False


class Piped(Standard):
    """Standard input that can't be read twice."""

    def __init__(self, text: str) -> None:
        reading, writing = os.pipe()
        os.write(writing, text.encode())
        os.close(writing)
        self.buffer = os.fdopen(reading, "rb")  # type: ignore[assignment]  # as of a pipe


def numbers() -> list[int]:
    return list(Voicemailbox.unscoped.order_by("mailbox").values_list("mailbox", flat=True))


def test_import_tells_what_it_did(organization: Organization, file: Path) -> None:
    file.write_text(csv_of(JOE))

    out, noted = run("import", file, "--all-accounts", "--operator", "olga")

    assert out == "1 added, 0 changed, 0 deleted, 0 left unchanged.\n"
    assert noted == ""
    change = Change.unscoped.latest("pk")
    assert (change.actor, change.channel, change.account_id) == (
        "olga",
        "command",
        organization.account_id,
    )


@pytest.mark.parametrize(
    ("result", "told"),
    [
        ("json", {"added": 1, "changed": 0, "deleted": 0, "unchanged": 0}),
        ("csv", "outcome,count\nadded,1\nchanged,0\ndeleted,0\nunchanged,0\n"),
    ],
)
def test_a_program_reads_the_numbers(
    organization: Organization, file: Path, result: str, told: Any
) -> None:
    file.write_text(csv_of(JOE))
    out, _ = run("import", file, "--all-accounts", "--result", result)

    if result == "json":
        assert {each["outcome"]: each["count"] for each in json.loads(out)} == told
    else:
        assert out.replace("\r\n", "\n") == told


def test_the_refused_rows_never_take_the_place_of_the_file(
    organization: Organization, file: Path
) -> None:
    text = csv_of((DOMAIN, 0, "joe", "Joe Smith"))
    file.write_text(text)
    with pytest.raises(CommandError, match="another file"):
        run("import", file, "--all-accounts", "--refused", file)

    assert file.read_text() == text


@pytest.mark.parametrize("origin", ["asterisk", "fusionpbx"])
def test_migrate_reads_a_pipe(
    organization: Organization, monkeypatch: pytest.MonkeyPatch, origin: str
) -> None:
    text = {
        "asterisk": "[default]\n1001 => 4829,Joe Smith\n",
        "fusionpbx": "voicemail_id,voicemail_password\n1001,4829\n",
    }[origin]
    piped = Piped(text)
    monkeypatch.setattr("sys.stdin", piped)
    with piped.buffer:
        run("migrate", "--from", origin, "-", "--organization", DOMAIN)

    assert numbers() == [1001]


def test_a_dry_run_tells_what_it_would_do(organization: Organization, file: Path) -> None:
    file.write_text(csv_of(JOE))

    out, _ = run("import", file, "--all-accounts", "--dry-run")

    assert out == (
        "1 would be added, 0 would be changed, 0 would be deleted, 0 would be left unchanged.\n"
    )
    assert numbers() == []


def test_one_wrong_row_stops_the_import_and_is_written_to_a_file(
    organization: Organization, file: Path
) -> None:
    file.write_text(csv_of(JOE, (DOMAIN, "x", ".", "")))

    with pytest.raises(CommandError) as caught:
        run("import", file, "--all-accounts")

    refused = file.with_name("boxes.refused.csv")
    assert str(caught.value) == (
        f"1 rows can't be taken, so nothing was changed. They are in {refused}, with the reasons."
    )
    assert numbers() == []
    (row,) = csv.DictReader(io.StringIO(refused.read_text()))
    assert row["mailbox"] == "x"
    assert row["reasons"].startswith("mailbox: Value must be 1 to 7 digits")
    assert "fullname: This value is required." in row["reasons"]
    assert refused.stat().st_mode & 0o777 == 0o600


def test_a_mended_file_of_refused_rows_is_imported(organization: Organization, file: Path) -> None:
    file.write_text(csv_of((DOMAIN, 1001, "joe", "")))
    refused = file.with_name("mended.csv")
    with pytest.raises(CommandError):
        run("import", file, "--all-accounts", "--refused", refused)

    refused.write_text(refused.read_text().replace("joe,", "joe,Joe Smith"))
    run("import", refused, "--all-accounts")

    assert numbers() == [1001]


def test_standard_input_is_read_and_its_first_refused_rows_are_shown(
    organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = csv_of(*((DOMAIN, n, f"vm{n}", "") for n in range(1, 13)))
    monkeypatch.setattr("sys.stdin", Standard(wrong))
    noted = io.StringIO()

    with pytest.raises(CommandError) as caught:
        run_noting(noted, "import", "-", "--all-accounts")

    assert str(caught.value) == (
        "12 rows can't be taken, so nothing was changed. Name a file for all of them by --refused."
    )
    lines = noted.getvalue().splitlines()
    assert lines[0] == "Line 2: fullname: This value is required."
    assert lines[-1] == "And 2 more."
    assert len(lines) == 11


def run_noting(noted: io.StringIO, *arguments: str) -> None:
    from django.core.management import call_command

    call_command("voicemailboxes", *arguments, stdout=io.StringIO(), stderr=noted)


def test_on_a_terminal_a_bar_shows_how_far_it_is(
    organization: Organization, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text(csv_of(JOE))
    shown = Terminal()
    monkeypatch.setattr("sys.stderr", shown)

    run("import", file, "--all-accounts")

    assert "Checking:" in shown.getvalue()
    assert "Writing ..." in shown.getvalue()


def test_json_lines_are_known_by_their_name(organization: Organization, file: Path) -> None:
    file = file.with_suffix(".jsonl")
    row = dict(zip(("domain", "mailbox", "username", "fullname"), JOE, strict=True))
    file.write_text(json.dumps(row))

    run("import", file, "--all-accounts")

    assert numbers() == [1001]


def test_an_import_stays_within_its_scope(
    organization: Organization, other_organization: Organization, file: Path
) -> None:
    file.write_text(csv_of(JOE))

    with pytest.raises(CommandError, match="1 rows can't be taken"):
        run("import", file, "--account", other_organization.domain)

    assert numbers() == []


def test_an_organization_in_the_scope_needs_no_domain(
    organization: Organization, file: Path
) -> None:
    file.write_text("mailbox,username,fullname\n1001,joe,Joe\n")

    run("import", file, "--organization", DOMAIN)

    assert numbers() == [1001]


def test_deletions_want_a_yes(
    organization: Organization, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_voicemailbox(organization, mailbox=1001)
    file.write_text(csv_of(("delete", DOMAIN, 1001), columns=("action", "domain", "mailbox")))
    monkeypatch.setattr("sys.stdin", Standard(""))

    with pytest.raises(CommandError) as caught:
        run("import", file, "--all-accounts")
    assert str(caught.value) == (
        "Delete 1 mailboxes, as the file asks? Add --yes: there is no terminal to ask on."
    )
    assert numbers() == [1001]

    run("import", file, "--all-accounts", "--yes")
    assert numbers() == []


@pytest.mark.parametrize(
    ("name", "message"),
    [("missing.csv", "missing.csv can't be read: No such file or directory."), (".", "Is a dir")],
)
def test_a_file_that_can_not_be_opened_is_named(
    organization: Organization, tmp_path: Path, name: str, message: str
) -> None:
    with pytest.raises(CommandError, match=message):
        run("import", tmp_path / name, "--all-accounts")


def test_a_place_that_can_not_be_written_is_named(organization: Organization, file: Path) -> None:
    file.write_text(csv_of((DOMAIN, "x", "joe", "Joe")))

    with pytest.raises(CommandError, match=r"no/where\.csv can't be written: No such file"):
        run("import", file, "--all-accounts", "--refused", file.parent / "no" / "where.csv")


def test_an_export_prints_the_boxes_of_its_scope(
    organization: Organization, other_organization: Organization
) -> None:
    make_voicemailbox(organization, mailbox=1001)
    make_voicemailbox(other_organization, mailbox=2001)

    out, noted = run("export", "--organization", DOMAIN)

    assert [row["mailbox"] for row in csv.DictReader(io.StringIO(out))] == ["1001"]
    assert noted == ""


def test_an_export_without_pins_shows_and_records_none(organization: Organization) -> None:
    box = make_voicemailbox(organization, password="918273")

    out, _ = run("export", "--all-accounts", "--format", "jsonl")

    assert "918273" not in out
    assert "password" not in json.loads(out)
    assert Voicemailbox.history.filter(id=box.pk).count() == 1


def test_an_export_with_pins_is_recorded_for_each_box(
    organization: Organization, other_organization: Organization
) -> None:
    box = make_voicemailbox(organization, password="918273")
    make_voicemailbox(other_organization)

    out, _ = run("export", "--account", DOMAIN, "--with-pins", "--operator", "olga")

    assert "918273" in out
    (row,) = Voicemailbox.history.filter(history_change_reason="PIN shown")
    assert (row.id, row.history_type, row.change.actor) == (box.pk, "~", "olga")
    assert row.change.account_id == organization.account_id
    assert row.password == box.password


def test_what_is_exported_is_imported(organization: Organization, file: Path) -> None:
    make_voicemailbox(organization, fullname="'=Joe")
    out, _ = run("export", "--all-accounts", "--with-pins")
    file.write_text(out)

    told, _ = run("import", file, "--all-accounts")

    assert told == "0 added, 0 changed, 0 deleted, 1 left unchanged.\n"
    assert exported() == out


@pytest.mark.parametrize("verb", ["import", "export", "migrate"])
def test_a_scope_is_required(verb: str) -> None:
    arguments: dict[str, list[Any]] = {
        "import": ["x"],
        "export": [],
        "migrate": ["x", "--from", "asterisk"],
    }

    with pytest.raises(CommandError, match="--account --organization --all-accounts"):
        run(verb, *arguments[verb])
