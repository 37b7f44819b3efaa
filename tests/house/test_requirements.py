"""Requirements: exact, hashed, in their order, and each with its reason."""

from __future__ import annotations

import re
from importlib.metadata import requires
from pathlib import Path

import pytest
from django.conf import settings
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

FILES = ("requirements.txt", "requirements-dev.txt")
FIRST = (
    "Django",
    "djangorestframework",
    "djangorestframework-xml",
    "psycopg2-binary",
    "pytest-django",
)
PIN = re.compile(r"^([A-Za-z0-9._-]+)==[A-Za-z0-9.]+ \\$")
HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}( \\)?$")

EACH_FILE = pytest.mark.parametrize("name", FILES)


def lines_of(name: str) -> list[str]:
    return (Path(settings.BASE_DIR) / name).read_text().splitlines()


def pinned(name: str) -> list[str]:
    return [match[1] for match in map(PIN.match, lines_of(name)) if match]


def test_the_five_named_packages_come_first() -> None:
    assert tuple(pinned("requirements.txt")[:5]) == FIRST


@EACH_FILE
def test_every_line_is_a_pin_a_hash_a_comment_or_the_other_file(name: str) -> None:
    for line in lines_of(name):
        known = line == "" or line == "-r requirements.txt" or line.startswith("# ")
        assert known or PIN.match(line) or HASH.match(line), line


@EACH_FILE
def test_every_pin_has_hashes_below_and_a_reason_above(name: str) -> None:
    lines = lines_of(name)
    for number, line in enumerate(lines):
        if PIN.match(line):
            assert HASH.match(lines[number + 1]), line
            assert lines[number - 1].startswith("# "), line


@EACH_FILE
def test_no_index_or_machine_is_named(name: str) -> None:
    text = "\n".join(lines_of(name))

    assert "://" not in text
    assert "--index-url" not in text
    assert "--find-links" not in text


@EACH_FILE
def test_whatever_a_pinned_package_needs_is_pinned(name: str) -> None:
    known = {
        canonicalize_name(each) for file in FILES[: FILES.index(name) + 1] for each in pinned(file)
    }
    for each in pinned(name):
        for text in requires(each) or ():
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                assert canonicalize_name(needed.name) in known, f"{each} needs {needed.name}"
