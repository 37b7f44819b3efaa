"""How things are measured in turns, judged, and written down."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.load import Calls, Outcome, send
from benchmarks.operations import Make, Target
from benchmarks.servers import Cpu

WARM_UP = 0.3


@dataclass
class Sample:
    """The rounds of one operation on one target."""

    rates: list[float] = field(default_factory=list)
    medians: list[float] = field(default_factory=list)
    first_bytes: list[float] = field(default_factory=list)
    cpu: list[Cpu] = field(default_factory=list)

    def note(self, outcome: Outcome, cpu: Cpu) -> None:
        """Add a round."""
        number = len(outcome.durations)
        self.rates.append(number / outcome.elapsed)
        self.medians.append(statistics.median(outcome.durations))
        self.first_bytes.append(statistics.median(outcome.first_bytes))
        self.cpu.append(Cpu(cpu.server / number, cpu.database / number))

    @property
    def rate(self) -> float:
        return statistics.median(self.rates)

    @property
    def ms(self) -> float:
        return statistics.median(self.medians) * 1000

    @property
    def first_byte_ms(self) -> float:
        return statistics.median(self.first_bytes) * 1000

    @property
    def cpu_ms(self) -> Cpu:
        """Milliseconds of the server and of the database a request."""
        return Cpu(
            statistics.median(each.server for each in self.cpu) * 1000,
            statistics.median(each.database for each in self.cpu) * 1000,
        )


@dataclass(frozen=True)
class Runner:
    """How long things are measured."""

    rounds: int
    seconds: float

    def samples(self, several: Sequence[tuple[Target, Make]]) -> list[Sample]:
        """Measure the targets in turn, again and again, after a round that does not count."""
        for target, make in several:
            send(target.server.port, make(target), seconds=min(WARM_UP, self.seconds))
        samples = [Sample() for _ in several]
        for _ in range(self.rounds):
            for sample, (target, make) in zip(samples, several, strict=True):
                sample.note(*self._round(target, make(target)))
        return samples

    def _round(self, target: Target, calls: Calls) -> tuple[Outcome, Cpu]:
        before = target.server.cpu()
        server = target.server
        outcomes = send(server.port, calls, seconds=self.seconds, connect=server.connect)
        outcome = outcomes[calls.of]
        return outcome, target.server.cpu() - before

    def p95s(self, target: Target, make: Make, others: Make) -> tuple[float, float]:
        """Give the p95 in milliseconds, alone and beside other calls, measured in turns."""
        alone, beside = [], []
        for _ in range(self.rounds):
            alone.append(self._p95(target, make(target)))
            beside.append(self._p95(target, make(target), others(target)))
        return statistics.median(alone), statistics.median(beside)

    def _p95(self, target: Target, calls: Calls, *others: Calls) -> float:
        server = target.server
        outcomes = send(server.port, calls, *others, seconds=self.seconds, connect=server.connect)
        times = outcomes[calls.of].durations
        return statistics.quantiles(times, n=20, method="inclusive")[-1] * 1000


class Verdicts:
    """What was not good enough."""

    def __init__(self) -> None:
        self.missed: list[str] = []
        self.began, self.cpu = time.monotonic(), time.process_time()

    def at_least(self, least: float, value: float, what: str) -> str:
        """Give a mark, and note it, where a value is too small."""
        return self._mark(value >= least, f"{what}: {value:.2f}, at least {least}")

    def at_most(self, most: float, value: float, what: str) -> str:
        """Give a mark, and note it, where a value is too big."""
        return self._mark(value <= most, f"{what}: {value:.2f}, at most {most}")

    def _mark(self, is_good: bool, text: str) -> str:
        if not is_good:
            self.missed.append(text)
        return "" if is_good else " (!)"

    def share_of_client(self) -> float:
        """Tell what part of one core this process took."""
        return (time.process_time() - self.cpu) / (time.monotonic() - self.began)


def number(value: float) -> str:
    """Write a figure with three digits that count."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def row(*cells: str) -> str:
    """Write a row of a table."""
    return f"| {' | '.join(cells)} |"


def header(*cells: str) -> str:
    """Write the first two lines of a table."""
    return f"\n{row(*cells)}\n|---|{'---:|' * (len(cells) - 1)}"
