"""Verbs that may change very many objects: what was done waits on the disk for the commit."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from tempfile import TemporaryFile
from typing import Any

from accounts.management.base import ChangeVerb, Done


class ManyVerb(ChangeVerb):
    """A change of any number of objects, in constant memory."""

    # Whether a person reads of each object, or only how many there were.
    is_each_told = True

    def run(self) -> None:
        self.confirm()
        with TemporaryFile() as kept:
            with self.recording():
                for done in self.change():
                    pickle.dump(done, kept)
            kept.seek(0)
            self.print_done(_read(kept))

    def tell(self, done: Iterable[Done]) -> None:
        if self.is_each_told:
            super().tell(done)
            return
        counts = Counter((each.kind, each.outcome) for each in done)
        would = "would be" if self.is_dry_run else ""
        for (kind, outcome), number in sorted(counts.items()):
            auxiliary = would or ("was" if number == 1 else "were")
            told = f"{counted(number, kind)} {auxiliary} {outcome.label.lower()}."
            self.command.stdout.write(told)
        if not counts:
            self.note("Nothing was found.")


def counted(number: int, kind: str) -> str:
    """Give a number of objects in words, such as ``2 mailboxes``."""
    if number == 1:
        return f"1 {kind}"
    return f"{number:,} {kind}{'es' if kind.endswith('x') else 's'}"


def _read(kept: Any) -> Iterator[Done]:
    with suppress(EOFError):
        while True:
            yield pickle.load(kept)  # noqa: S301  # This process wrote it a moment ago.
