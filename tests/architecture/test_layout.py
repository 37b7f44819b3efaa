"""Where things live: the top level, the apps, and what no file holds."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings

ROOT = Path(settings.BASE_DIR)

TOP_LEVEL = frozenset(
    {"voicemail_site", "voicemail", "accounts", "templates", "tests", "benchmarks", "docs"}
    | {"manage.py", "requirements.txt", "requirements-dev.txt", "pyproject.toml", "Makefile"}
    | {"README.md", "CHANGELOG.md", ".ci", ".gitignore"}
)

# Spelled in pieces where the pattern would find itself: this file is searched as well.
FORBIDDEN = {
    "a machine's path": re.compile(r"(?<![\w.~-])/(?:work|root|home|Users)/"),
    "a note of something undone": re.compile(r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X)\b"),
}


def listed_by_git() -> list[Path] | None:
    """List what a clone holds, and what is new and not ignored; None where there is no clone."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        return None
    command = [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        return None
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()]


def listed_by_directory() -> Iterator[Path]:
    """List the files that .gitignore does not name; it has plain names only."""
    lines = (ROOT / ".gitignore").read_text().splitlines()
    ignored = [line.strip("/") for line in lines if line and not line.startswith("#")] + [".git"]
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        if path.is_file() and not any(fnmatch(part, name) for part in parts for name in ignored):
            yield path


@pytest.fixture(scope="module")
def files() -> list[Path]:
    listed = listed_by_git()
    return list(listed_by_directory()) if listed is None else listed


def test_the_top_level_holds_the_known_names_only(files: list[Path]) -> None:
    assert {path.relative_to(ROOT).parts[0] for path in files} - TOP_LEVEL == set()


def test_the_apps_of_this_repository_are_four() -> None:
    ours = [
        config.name
        for config in apps.get_app_configs()
        if Path(config.path).is_relative_to(ROOT) and "site-packages" not in config.path
    ]
    assert ours == ["voicemail_site", "voicemail_site.webapi", "accounts", "voicemail"]


def named_packages(source: str) -> set[str]:
    """Name the top-level packages that a module imports, or names in a text to import later."""
    packages = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.alias(name=name):
                packages.add(name)
            case ast.ImportFrom(module=str(name)):
                packages.add(name)
            case ast.Constant(value=str(name)) if re.fullmatch(r"\w+(\.\w+)+", name):
                packages.add(name)
    return {name.partition(".")[0] for name in packages}


def test_the_protocol_knows_no_app() -> None:
    modules = (ROOT / "voicemail_site" / "webapi").rglob("*.py")
    knowing = [
        path.name
        for path in modules
        if named_packages(path.read_text()) & {"accounts", "voicemail"}
    ]
    assert knowing == []


@pytest.mark.parametrize(
    "source",
    [
        "import accounts.models",
        "from accounts import models",
        "import_module('accounts.models')",
        "def f():\n    from accounts.models import User",
    ],
)
def test_an_import_is_noticed_in_any_form(source: str) -> None:
    assert "accounts" in named_packages(source)


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_holds(files: list[Path], what: str) -> None:
    pattern = FORBIDDEN[what]
    contents = {path: path.read_bytes() for path in files}
    texts = {
        path: content.decode("utf-8", "replace")
        for path, content in contents.items()
        if b"\0" not in content  # An image may hold any letters by chance.
    }
    holding = [
        f"{path.relative_to(ROOT)}: {found[0]}"
        for path, text in texts.items()
        if (found := pattern.search(text))
    ]
    assert holding == []


def test_a_plain_copy_is_searched_like_a_clone() -> None:
    listed = listed_by_git()
    if listed is None:
        pytest.skip("There is no clone to compare with.")
    assert set(listed) <= set(listed_by_directory())
