"""What a bad message costs: topics of nothing but bad ones against as many good JSON rows, by turns on one broker.

`python -m tests.benchmarks.flood [--rows 100000] [--repeats 3] [--kinds truncated,text,...] [--out FILE]` prints, for
each kind, messages a second and how much of a good row's time one takes: the median of the repeats, each measured
right after good rows. A bad message becomes a record of the dead-letter topic, as long as itself; a good row none.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.cards import broker_and_folder, filled, keep, material
from tests.benchmarks.line import machine
from tests.benchmarks.line.models import Models
from tests.benchmarks.line.programs import logged_at
from tests.broker import delete_topic
from tests.integration.line import Topics, running
from tests.spoiling import KINDS

THRESHOLD = "percentile:99.8"
"""Of good rows, so many alert as in other benchmarks: a row of 500."""


@dataclass(frozen=True)
class Cost:
    """One kind. ratio: the time of a bad message by that of a good row."""

    kind: str
    reason: str
    bad_per_second: float
    good_per_second: float
    ratio: float


def main() -> None:
    """Measures, prints a table, keeps JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--kinds", type=lambda text: text.split(","), default=list(KINDS))
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    with broker_and_folder() as (bootstrap, folder):
        found = measure(bootstrap, folder, chosen.kinds, chosen.rows, chosen.repeats)
    print(as_text(found))
    keep(found, chosen.out)


def measure(bootstrap: str, folder: Path, kinds: Sequence[str], rows: int, repeats: int) -> list[Cost]:
    """The cost of each kind."""
    model = Models(folder).cards()
    source = material(model).json
    with filled(bootstrap, [(row, []) for row in source], rows) as good:
        return [cost(good, model, kind, source, rows, repeats) for kind in kinds]


def cost(good: Topics, model: Path, kind: str, source: list[bytes], rows: int, repeats: int) -> Cost:
    """Good rows and bad ones by turns."""
    reason, spoil = KINDS[kind]
    with filled(good.bootstrap, [spoil(row) for row in source], rows) as bad:
        seconds = [
            (
                run(good.with_outputs(f"{bad.name}-{turn}-good"), model, f"rows={rows} "),
                run(bad.with_outputs(f"{bad.name}-{turn}"), model, f"dead_letters={rows} "),
            )
            for turn in range(repeats)
        ]
    ratio = statistics.median(worse / better for better, worse in seconds)
    better, worse = (statistics.median(column) for column in zip(*seconds, strict=True))
    return Cost(kind, reason, rows / worse, rows / better, ratio)


def run(topics: Topics, model: Path, told: str) -> float:
    """Seconds from a detector's assignment to its loop's end, at which its totals must say what is `told`."""
    try:
        with running(topics, model, "--until-end", "--threshold", THRESHOLD) as detector:
            begun = logged_at(detector.await_line("partitions_assigned"))
            assert detector.wait() == 0, detector.log()
            line = detector.await_line("loop_ended")
            assert told in line, line
            print(line.partition("loop_ended ")[2].strip(), file=sys.stderr, flush=True)
            return logged_at(line) - begun
    finally:
        for topic in (topics.alerts, topics.dead):
            delete_topic(topics.bootstrap, topic)


def as_text(found: Sequence[Cost]) -> str:
    """For a person."""
    rows = [f"{'kind':18}{'reason':18}{'bad/s':>12}{'good/s':>12}{'a bad one costs':>18}"]
    rows += [
        f"{one.kind:18}{one.reason:18}{one.bad_per_second:>12,.0f}{one.good_per_second:>12,.0f}{one.ratio:>16.2f} x"
        for one in found
    ]
    return "\n".join([machine(), *rows])


if __name__ == "__main__":
    main()
