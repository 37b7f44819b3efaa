"""The README and the Makefile know every variable of the environment, and no others."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

ROOT = Path(settings.BASE_DIR)

_VARIABLE = r"(?!ENGINE|OPTIONS)[A-Z][A-Z_]+"  # Those two are parts of Django's DATABASES.


def read_by(name: str) -> set[str]:
    """Find the variables that a module reads: the upper-case first arguments of its calls."""
    return set(_variables(ast.parse((ROOT / "voicemail_site" / name).read_text())))


def _variables(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args:
            match node.args[0]:
                case ast.Constant(value=str(name)) if re.fullmatch(_VARIABLE, name):
                    yield name


def test_the_readme_tells_of_every_variable_and_of_no_other() -> None:
    section = (ROOT / "README.md").read_text().split("## Configuration")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    told = {name for row in rows for name in re.findall(r"`([A-Z_]+)`", row)}

    assert told == read_by("settings.py") | read_by("gunicorn_conf.py")


def test_the_tests_are_run_without_the_services_own_variables() -> None:
    makefile = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    (listed,) = re.findall(r"^SETTINGS := (.*)$", makefile, re.MULTILINE)

    assert set(listed.split()) == read_by("settings.py")


@pytest.mark.parametrize(
    "page", ["README.md", *(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))]
)
def test_every_linked_page_exists(page: str) -> None:
    path = ROOT / page
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text())

    assert [link for link in links if not (path.parent / link).exists()] == []


def test_every_section_that_the_code_cites_exists() -> None:
    headings = {
        page.name: set(re.findall(r"^## (.+)$", page.read_text(), re.MULTILINE))
        for page in (ROOT / "docs").glob("*.md")
    }
    cited = [
        (source.name, page, section)
        for app in ("accounts", "voicemail", "voicemail_site")
        for source in (ROOT / app).rglob("*.py")
        for page, sections in re.findall(r"docs/(\w+\.md), ([\w -]+)[).]", source.read_text())
        for section in sections.split(" and ")
    ]

    assert len(cited) > 20
    assert [each for each in cited if each[2] not in headings[each[1]]] == []
