"""The published grammar as a partner's validator sees it: every answer of a test goes through it.

On failure libxml2 names hardly more than the outermost element, so the innermost element that
does not match its own pattern is looked for.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from shutil import copy
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from lxml import etree

from voicemail_site.webapi.grammar import module_files

RELAX_NG = "{http://relaxng.org/ns/structure/1.0}"

_PART = """\
<grammar xmlns="http://relaxng.org/ns/structure/1.0">
  <include href="jnctn.rng">
    <start><ref name="{pattern}"/></start>
  </include>
</grammar>
"""


@cache
def grammar() -> etree.RelaxNG:
    """Compile the published grammar."""
    return _compiled("jnctn.rng")


def assert_valid(xml: bytes) -> None:
    """Fail, and say what is wrong, unless the grammar accepts the document."""
    document = etree.fromstring(xml)
    if grammar().validate(document):
        return
    element, reasons = next(_faults(document), (document, grammar().error_log))
    pytest.fail(
        f"{etree.QName(element).localname}: {reasons}\n\n"
        f"{etree.tostring(element, pretty_print=True, encoding='unicode')}\n{xml[:10_000]!r}"
    )


def _faults(document: Any) -> Iterator[tuple[Any, object]]:
    """Find each element that does not match the pattern of its name, the innermost first."""
    for element in reversed(list(document.iter(etree.Element))):
        name = etree.QName(element).localname
        # A leaf may share its name with an element: Contact has an Organization.
        if len(element) and name in _patterns():
            part = _part(name)
            if not part.validate(element):
                yield element, part.error_log


@cache
def _patterns() -> frozenset[str]:
    trees = [etree.parse(path) for path in module_files().values()]
    return frozenset(
        define.get("name") for tree in trees for define in tree.iter(f"{RELAX_NG}define")
    )


@cache
def _part(pattern: str) -> etree.RelaxNG:
    return _compiled("part.rng", _PART.format(pattern=pattern))


def _compiled(entry: str, text: str = "") -> etree.RelaxNG:
    """Compile the modules from one directory, flat as under /rng/."""
    with TemporaryDirectory() as directory:
        for path in module_files().values():
            copy(path, directory)
        if text:
            Path(directory, entry).write_text(text, encoding="utf-8")
        return etree.RelaxNG(file=str(Path(directory, entry)))
