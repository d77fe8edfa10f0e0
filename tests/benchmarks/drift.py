"""What watching for drift costs a row, how soon it says so, and how often it does so for nothing.

`python -m tests.benchmarks.drift [--repeats 24] [--rows 10000000] [--features 500]`
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Iterator

import numpy as np

from detector.drift import Reference
from detector.drift.window import Drift
from tests.drifts import DRIFTS, columns, delay, names, quiet

EVERY = 8
TIMED_ROWS = 2_000_000
REFERENCE_ROWS = (600, 2_000, 12_000, 57_000)
"""A fifth of 3,000, 10,000, 60,000 and 285,000 rows of history."""


def main() -> None:
    """Measures and prints three tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=24, help="runs of each simulated drift")
    parser.add_argument("--rows", type=int, default=10_000_000, help="rows without drift")
    parser.add_argument("--features", type=int, default=500, help="their features")
    chosen = parser.parse_args()
    print(*costs(), "", *delays(chosen.repeats), "", *alarms(chosen.rows, chosen.features), sep="\n")


def costs() -> Iterator[str]:
    """Processor time by features and rows of a batch, the best of three runs: nothing drifts, or all columns do."""
    yield f"{'features':>10}{'batch':>8}{'us a row: stable':>18}{'drifting':>10}   one row in {EVERY} is sampled"
    for features, batch in ((30, 16_384), (30, 4_096), (30, 256), (500, 4_096)):
        rows = TIMED_ROWS * 30 // features
        stable, drifting = (min(cost(features, batch, rows, by) for _ in range(3)) for by in (0, 1))
        yield f"{features:>10}{batch:>8,}{stable:>18.4f}{drifting:>10.4f}"


def cost(features: int, batch: int, rows: int, moved: float) -> float:
    """Microseconds a row, of rows that lie `moved` above those of the reference."""
    rng = np.random.default_rng(0)
    drift = Drift(Reference.of(list(columns(57_000, features, rng).T)), names(features))
    matrices = [columns(batch, features, rng) + np.float32(moved) for _ in range(max(65_536 // batch, 2))]
    partition, place = np.arange(batch, dtype=np.int32) % 4, np.arange(batch) // 4
    spent = 0.0
    for turn in range(rows // batch):
        matrix = matrices[turn % len(matrices)]
        offset, rows_, scores = place + turn * batch // 4, np.ascontiguousarray(matrix[:, :-1]), matrix[:, -1].copy()
        begun = time.process_time()
        drift.update(partition, offset, rows_, scores)
        spent += time.process_time() - begun
    return spent / (rows // batch * batch) * 1e6


def delays(repeats: int) -> Iterator[str]:
    """Rows until each simulated drift is told, by rows of the reference."""
    yield f"{'rows until it is told':48}{'reference':>10}{'median':>9}{'longest':>9}{'in 10,000':>11}"
    for drift in DRIFTS:
        for reference in REFERENCE_ROWS:
            found = [delay(drift, reference, run * 8_192 // repeats, run) or math.inf for run in range(repeats)]
            soon = sum(rows <= 10_000 for rows in found) / repeats
            middle, longest = statistics.median(found), max(found)
            yield f"{drift:48}{reference:>10,}{middle:>9,.0f}{longest:>9,.0f}{soon:>11.0%}"


def alarms(rows: int, features: int) -> Iterator[str]:
    """Changes of state in rows without drift."""
    yield f"{'reference':>10}{'columns':>9}{'rows':>13}{'looks':>8}{'changes':>9}{'largest PSI':>13}{'KS':>7}"
    for reference in REFERENCE_ROWS:
        found = quiet(reference, rows // EVERY, features)
        counts = f"{reference:>10,}{features + 1:>9,}{rows:>13,}{found.looks:>8,}{found.changes:>9}"
        yield f"{counts}{found.psi:>13.3f}{found.ks:>7.3f}"


if __name__ == "__main__":
    main()
