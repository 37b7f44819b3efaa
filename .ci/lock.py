"""Write the hashes of the pinned requirements anew; order, pins and comments stay.

Change a pin by hand, then run ``python .ci/lock.py``. It needs uv on the PATH, and names what is
pinned nowhere although something needs it.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST_PYTHON = "3.11"

_PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<rest>[^\\]*?)\s*\\?$")
_HASH = re.compile(r"^\s+(--hash=\S+)")


def pins_and_comments(text: str) -> list[str]:
    """Give the lines of a requirements file without its hashes."""
    lines = [line.rstrip("\\").rstrip() for line in text.splitlines()]
    return [line for line in lines if not _HASH.match(line)]


def canonical(name: str) -> str:
    """Give the one spelling under which the index knows a name."""
    return re.sub(r"[-_.]+", "-", name).lower()


def resolve(lines: Iterable[str]) -> dict[str, list[str]]:
    """Ask the index for all hashes of the pins, and of what they need outside Windows."""
    command = ["uv", "pip", "compile", "--universal", "--python-version", OLDEST_PYTHON]
    options = ["--generate-hashes", "--no-header", "--no-annotate", "--quiet", "-"]
    pins = "\n".join(line for line in lines if _PIN.match(line))
    compiled = subprocess.run(
        [*command, *options], input=pins, stdout=subprocess.PIPE, text=True, check=True
    )
    hashes: dict[str, list[str]] = {}
    name = ""
    for line in compiled.stdout.splitlines():
        if pin := _PIN.match(line):
            name = canonical(pin["name"])
            if "sys_platform == 'win32'" not in pin["rest"]:
                hashes[name] = []
        elif (found := _HASH.match(line)) and name in hashes:
            hashes[name].append(found[1])
    return hashes


def with_hashes(lines: Iterable[str], hashes: dict[str, list[str]]) -> str:
    """Write each pin with its hashes below it."""
    written: list[str] = []
    for line in lines:
        pin = _PIN.match(line)
        below = [f"    {each}" for each in hashes[canonical(pin["name"])]] if pin else []
        written.append(" \\\n".join([line, *below]))
    return "\n".join(written) + "\n"


def main() -> None:
    """Lock both files together, so that a package has one version in them."""
    files = [ROOT / "requirements.txt", ROOT / "requirements-dev.txt"]
    lines = {file: pins_and_comments(file.read_text()) for file in files}
    hashes = resolve(line for each in lines.values() for line in each)
    pinned = {canonical(m["name"]) for each in lines.values() for m in map(_PIN.match, each) if m}
    if missing := sorted(hashes.keys() - pinned):
        sys.exit(f"Needed, and pinned nowhere: {', '.join(missing)}.")
    for file in files:
        file.write_text(with_hashes(lines[file], hashes))


if __name__ == "__main__":
    main()
