"""Measure the Web API beside two references: ``python -m benchmarks.webapi``.

README.md beside this file tells what is measured, and how.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.dataset import MIDDLE_BOXES, SERVER, Server, say
from benchmarks.facts import Facts, Filling, prepare
from benchmarks.load import send
from benchmarks.measuring import Runner, Sample, Verdicts, header, number, row
from benchmarks.operations import (
    LONG_ONES,
    OPERATIONS,
    ORDERS,
    READ,
    TRIAL,
    Make,
    Operation,
    Target,
    clean,
    constant,
    logins,
)
from benchmarks.servers import FLOOR, SITE, STOCK, serving

SIZES = (1_000, 100_000, 1_000_000)
FLAT = 1.3
LOGIN_SLOWDOWN = 3.0
ACCOUNT_SLOWDOWN = 2.0
MEMORY_MB = 15
FIRST_BYTE_MS = 100


def prepared(url: str, filling: Filling | None) -> Facts:
    """Prepare a database in a process of its own, in which Django knows no other one yet."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(prepare, url, filling).result()


@dataclass
class Workshop:
    """Where databases and servers are made, and how things are measured."""

    server: Server
    prefix: str
    is_kept: bool
    directory: Path
    runner: Runner
    verdicts: Verdicts
    stack: ExitStack
    places: dict[Filling, tuple[str, Facts]] = field(default_factory=dict)

    def data_set(self, filling: Filling) -> tuple[str, Facts]:
        """Give the URL of a database that is filled so, the same one each time."""
        if filling not in self.places:
            name = self._name(filling)
            if not self.is_kept:
                self.stack.callback(self.server.drop, name)
            url = self.server.database(name)
            if self.server.has(name):
                # A run that was stopped leaves what it has added.
                clean(url)
                self.places[filling] = url, prepared(url, None)
            else:
                self.places[filling] = url, self._fill(name, filling)
        return self.places[filling]

    def _name(self, filling: Filling) -> str:
        return f"{self.prefix}_{filling.name}"

    def _fill(self, name: str, filling: Filling) -> Facts:
        """Make a database, which is whole as soon as it has its name."""
        template = "template1"
        if filling.has_past:
            self.data_set(filling.without_past)
            template = self._name(filling.without_past)
        say(f"Loading {filling.name} ...")
        draft = f"{name}_draft"
        self.server.drop(draft)
        try:
            facts = prepared(self.server.create(draft, template), filling)
            self.server.execute(f"ALTER DATABASE {draft} RENAME TO {name}")
        finally:
            self.server.drop(draft)
        return facts

    @contextmanager
    def target(
        self, kind: tuple[str, str], name: str, url: str, facts: Facts, workers: int = 2
    ) -> Iterator[Target]:
        """Start a server on a database."""
        with serving(kind, url, self.directory, workers) as server:
            yield Target(name, server, facts)


# The operations, with each number of boxes.


@dataclass(frozen=True)
class Contest:
    """Ours with several numbers of boxes, and the two references with the most."""

    ours: Sequence[Target]
    most: Target
    stock: Target
    floor: Target
    workshop: Workshop

    def measure(self, operations: Sequence[Operation]) -> None:
        """Print a row for each operation."""
        ours = [f"ours, {target.name}" for target in self.ours]
        cpu = [f"CPU ms of {who}" for who in ("ours", "stock", "floor")]
        print(
            header(
                *("Requests a second", *ours, "stock", "floor"),
                *("of stock (least, aim)", "of floor (least)", "ms, last to first"),
                *(*cpu, "CPU of stock to ours"),
            )
        )
        for operation in operations:
            say(operation.name)
            print(row(operation.name, *self._cells(operation)), flush=True)

    def _cells(self, operation: Operation) -> list[str]:
        found = self._samples(operation)
        most = found[self.most.name]
        ours = [found.get(target.name) for target in self.ours]
        stock, floor = found.get(self.stock.name), found.get(self.floor.name)
        return [
            *map(_rate, (*ours, stock, floor)),
            self._ratio(f"{operation.name}, of stock", most, stock, operation.least, operation.aim),
            self._ratio(f"{operation.name}, of floor", most, floor, operation.of_floor),
            self._flatness(operation.name, [sample for sample in ours if sample]),
            *map(_cpu, (most, stock, floor)),
            f"{stock.cpu_ms.total / most.cpu_ms.total:.2f}" if stock else "-",
        ]

    def _samples(self, operation: Operation) -> dict[str, Sample]:
        measured = self.ours if operation.is_flat else [self.most]
        several: list[tuple[Target, Make]] = [(target, operation.ours) for target in measured]
        if operation.stock:
            several.append((self.stock, operation.stock))
        if operation.of_floor:
            several.append((self.floor, operation.floor or constant))
        samples = self.workshop.runner.samples(several)
        if operation.is_write:
            for target in self.ours:
                clean(target.server.database_url)
        return {target.name: sample for (target, _), sample in zip(several, samples, strict=True)}

    def _ratio(
        self,
        what: str,
        ours: Sample,
        other: Sample | None,
        least: float | None,
        aim: float | None = None,
    ) -> str:
        if other is None or least is None:
            return "-"
        ratio = ours.rate / other.rate
        goals = ", ".join(str(goal) for goal in (least, aim) if goal)
        mark = self.workshop.verdicts.at_least(least, ratio, what)
        return f"{ratio:.2f} ({goals}){mark}"

    def _flatness(self, name: str, ours: Sequence[Sample]) -> str:
        """Compare the times of answers that have the same size with any number of boxes."""
        first, last = ours[0], ours[-1]
        if first is last:
            return number(last.ms)
        ratio = last.ms / first.ms
        mark = self.workshop.verdicts.at_most(FLAT, ratio, f"{name}, last to first")
        return f"{number(last.ms)} / {number(first.ms)} = {ratio:.2f}{mark}"


def _rate(sample: Sample | None) -> str:
    return number(sample.rate) if sample else "-"


def _cpu(sample: Sample | None) -> str:
    """Write the server's part and the database's."""
    return f"{sample.cpu_ms.server:.2f} + {sample.cpu_ms.database:.2f}" if sample else "-"


def measure_operations(
    workshop: Workshop, sizes: Sequence[int], operations: Sequence[Operation], *, has_past: bool
) -> None:
    """Measure with each number of boxes, and with a past as well where that is wanted."""
    fillings = {f"{boxes:,}": Filling(boxes) for boxes in sizes}
    if has_past:
        fillings["with a past"] = Filling(sizes[-1], has_past=True)
    with ExitStack() as stack:
        enter = stack.enter_context
        places = {name: workshop.data_set(each) for name, each in fillings.items()}
        ours = [enter(workshop.target(SITE, name, *place)) for name, place in places.items()]
        name = f"{sizes[-1]:,}"
        most = next(target for target in ours if target.name == name)
        stock = enter(workshop.target(STOCK, "stock", *places[name]))
        floor = enter(workshop.target(FLOOR, "floor", *places[name]))
        Contest(ours, most, stock, floor, workshop).measure(operations)


# What is not a row of that table.


def measure_long_ones(workshop: Workshop, boxes: int) -> None:
    """Print when long answers begin, and what one adds to a worker that answered short ones."""
    print(header("Long answers", "first byte, ms", "memory that a request adds, MB"))
    verdicts = workshop.verdicts
    place = workshop.data_set(Filling(boxes))
    for operation in LONG_ONES:
        name = operation.name
        with workshop.target(SITE, "ours", *place, workers=1) as target:
            first, added = _long_one(workshop.runner, target, operation.ours, READ.ours)
        marks = (
            verdicts.at_most(FIRST_BYTE_MS, first, f"{name}, first byte in ms"),
            verdicts.at_most(MEMORY_MB, added, f"{name}, MB added"),
        )
        print(row(f"{name}, ours", f"{first:.0f}{marks[0]}", f"{added:.1f}{marks[1]}"))
        if operation.stock is None or READ.stock is None:
            continue
        with workshop.target(STOCK, "stock", *place, workers=1) as target:
            first, added = _long_one(workshop.runner, target, operation.stock, READ.stock)
        print(row(f"{name}, stock", f"{first:.0f}", f"{added:.1f}"), flush=True)


def _long_one(runner: Runner, target: Target, make: Make, read: Make) -> tuple[float, float]:
    """Give the milliseconds to the first byte, and the MB that the first one of them adds."""
    send(target.server.port, read(target), seconds=runner.seconds)
    before = target.server.forget_peak()
    send(target.server.port, make(target), seconds=0)
    added = (target.server.peak() - before) / 1024 / 1024
    (sample,) = runner.samples([(target, make)])
    return sample.first_byte_ms, added


def measure_logins(workshop: Workshop, boxes: int) -> None:
    """Print what logins do to those who read."""
    print(header("Read, p95 in ms", "alone", "beside 4 logins at a time", "ratio"))
    place = workshop.data_set(Filling(boxes))
    with workshop.target(SITE, "ours", *place) as target:
        alone, beside = workshop.runner.p95s(target, READ.ours, logins)
    ratio = beside / alone
    mark = workshop.verdicts.at_most(LOGIN_SLOWDOWN, ratio, "Read's p95 beside logins")
    print(row("Read", number(alone), number(beside), f"{ratio:.1f}{mark}"), flush=True)


def measure_accounts(workshop: Workshop, boxes: int) -> None:
    """Print what the first page takes in a big account, and in one of 1,000 boxes."""
    print(header("Without Found, ms", f"account of {boxes - MIDDLE_BOXES:,}", "of 1,000", "ratio"))
    place = workshop.data_set(Filling(boxes, is_one_account=True))
    with workshop.target(SITE, "ours", *place) as target:
        small = replace(target, facts=replace(target.facts, account=target.facts.middle_account))
        for operation in ORDERS:
            both = [(target, operation.ours), (small, operation.ours)]
            big, little = workshop.runner.samples(both)
            ratio = big.ms / little.ms
            mark = workshop.verdicts.at_most(ACCOUNT_SLOWDOWN, ratio, operation.name)
            print(row(operation.name, number(big.ms), number(little.ms), f"{ratio:.2f}{mark}"))


def measure_trial(workshop: Workshop) -> None:
    """Print how ours and stock do on SQLite; a lock error would be a bad answer."""
    print(header("Requests a second on SQLite", "ours", "stock", "ratio (least)"))
    url = f"sqlite:///{workshop.directory / 'trial.sqlite3'}"
    facts = prepared(url, Filling(MIDDLE_BOXES))
    with (
        workshop.target(SITE, "ours", url, facts) as ours,
        workshop.target(STOCK, "stock", url, facts) as stock,
    ):
        for operation in TRIAL:
            if operation.stock is None:
                continue
            both = [(ours, operation.ours), (stock, operation.stock)]
            first, second = workshop.runner.samples(both)
            ratio = first.rate / second.rate
            mark = workshop.verdicts.at_least(1, ratio, f"{operation.name}, of stock on SQLite")
            cells = (number(first.rate), number(second.rate), f"{ratio:.2f} (1){mark}")
            print(row(operation.name, *cells), flush=True)


PARTS = {
    "long": measure_long_ones,
    "logins": measure_logins,
    "accounts": measure_accounts,
}


def measure(workshop: Workshop, arguments: argparse.Namespace) -> None:
    """Measure all of it, or only what is asked for."""
    only = arguments.only
    operations = [
        each for each in OPERATIONS if not only or any(word in each.name for word in only)
    ]
    if operations:
        sizes = arguments.boxes
        measure_operations(workshop, sizes, operations, has_past=arguments.past)
    for name, part in PARTS.items():
        if not only or name in only:
            part(workshop, arguments.boxes[-1])
    if not only or "sqlite" in only:
        measure_trial(workshop)


def main() -> None:
    """Load, measure and judge."""
    arguments = read_arguments()
    server = Server(os.environ.get("TEST_DATABASE_URL", SERVER))
    verdicts = Verdicts()
    with TemporaryDirectory() as directory, ExitStack() as stack:
        workshop = Workshop(
            server=server,
            prefix=arguments.reuse or f"benchmark_{os.getpid()}",
            is_kept=bool(arguments.reuse),
            directory=Path(directory),
            runner=Runner(arguments.rounds, arguments.seconds),
            verdicts=verdicts,
            stack=stack,
        )
        measure(workshop, arguments)
    say(f"Done; the client took {verdicts.share_of_client():.0%} of a core.")
    if arguments.no_verdict:
        return
    for each in verdicts.missed:
        print(f"Missed: {each}.", file=sys.stderr)
    sys.exit(bool(verdicts.missed))


def read_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Measure the Web API beside two references.")
    parser.add_argument("boxes", nargs="*", type=int, default=SIZES)
    names = ", ".join([*PARTS, "sqlite"])
    parser.add_argument("--only", nargs="+", help=f"words of operations' names, or {names}")
    parser.add_argument("--past", action="store_true", help="also with 10 rows of history a box")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.5, help="of one round")
    parser.add_argument("--reuse", help="keep the databases, whose names begin so")
    parser.add_argument("--no-verdict", action="store_true", help="judge nothing")
    parser.add_argument("--short", action="store_true", help="see only that all of it works")
    arguments = parser.parse_args()
    if arguments.short:
        vars(arguments).update(
            boxes=[MIDDLE_BOXES], past=True, rounds=1, seconds=0.1, no_verdict=True
        )
    return arguments


if __name__ == "__main__":
    main()
