"""docs/operations.md and its example files agree with what there is."""

from __future__ import annotations

import re
import runpy
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand

from voicemail_site import metrics

ROOT = Path(settings.BASE_DIR)
PAGE = ROOT / "docs" / "operations.md"
FILES = ROOT / "docs" / "operations"
VOICEMAIL_COMMAND = re.compile(r"(?:^|`)(?:DATABASE_URL=\S+ )?voicemail ([a-z][^`\n]*)", re.M)


def commands_of_the_page() -> Iterator[str]:
    for found in VOICEMAIL_COMMAND.findall(PAGE.read_text()):
        if not found.startswith("migrate APP"):  # It stands for any.
            yield found


def commands_of_the_units() -> list[str]:
    units = "".join(path.read_text() for path in sorted(FILES.glob("*.service")))
    return re.findall(r"^ExecStart=.* manage\.py (.*)$", units, re.M)


@pytest.mark.parametrize("line", [*commands_of_the_page(), *commands_of_the_units()])
def test_every_command_is_understood(line: str) -> None:
    name, *words = shlex.split(line)
    app = get_commands()[name]
    command = app if isinstance(app, BaseCommand) else load_command_class(app, name)

    assert command.create_parser("manage.py", name).parse_args(words)


def test_the_units_and_the_page_have_commands() -> None:
    assert len(commands_of_the_units()) == 5
    assert len(list(commands_of_the_page())) > 8


def test_the_example_environment_starts_the_service(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lines = (FILES / "environment").read_text().splitlines()
    variables = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    key = "kX9wq-Zr3T_vB7mLpD2sYhJ6uGfN8cQeA1oKi4Wx5RtE0zVbMnS"
    for name, value in (variables | {"SECRET_KEY": key, "VAR_DIR": str(tmp_path)}).items():
        monkeypatch.setenv(name, value)

    loaded = runpy.run_path(str(ROOT / "voicemail_site" / "settings.py"))

    assert loaded["HAS_METRICS"]
    assert loaded["PIN_STRICT"]


def test_every_file_is_told_of_on_the_page() -> None:
    page = PAGE.read_text()

    assert [
        path.name for path in FILES.iterdir() if path.name not in page and path.stem not in page
    ] == []


@pytest.mark.django_db
def test_every_metric_is_told_of_on_the_page_and_no_other() -> None:
    section = PAGE.read_text().split("## Metrics")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    told = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    kinds = re.findall(r"^# TYPE (\w+) \w+$", metrics.written().decode(), re.M)
    there = {name for name in kinds if not name.endswith("_created")}
    of_postgresql = {"voicemail_database_connections", "voicemail_database_max_connections"}

    assert told == there | {"voicemail_build_info"} | of_postgresql
