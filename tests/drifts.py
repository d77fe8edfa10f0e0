"""Made-up rows whose features, or whose scores, move away from the reference at some row, or never do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector.drift import LOOKS, Reference
from detector.drift.window import Drift

Matrix = NDArray[np.float32]
Scores = NDArray[np.float32]

FEATURES = ("steady", "moving", "gappy", "counted")
MOVING = 1
SCORE_LOG_SD = 0.35
"""Of the scores of recipe default on simulated cards."""

BEFORE = 20_000
"""Rows without drift, more than a window, before it begins."""

AFTER = 40_000


def rows(count: int, rng: np.random.Generator) -> tuple[Matrix, Scores]:
    """Rows (count, 4) and scores (count,): three normal features, one of them with gaps, and one of few values."""
    matrix = rng.normal(size=(count, len(FEATURES))).astype(np.float32)
    matrix[rng.random(count) < 0.05, 2] = np.nan
    matrix[:, 3] = rng.poisson(2, count)
    return matrix, np.exp(SCORE_LOG_SD * rng.normal(size=count)).astype(np.float32)


def reference(count: int, rng: np.random.Generator) -> Reference:
    """Of so many rows."""
    matrix, scores = rows(count, rng)
    return Reference.of([*matrix.T, scores])


def _shifted(matrix: Matrix, scores: Scores) -> None:
    matrix[:, MOVING] += 1


def _doubled(matrix: Matrix, scores: Scores) -> None:
    matrix[:, MOVING] *= np.sqrt(2)


def _gone(matrix: Matrix, scores: Scores) -> None:
    matrix[:, MOVING] = np.nan


def _every_other_gone(matrix: Matrix, scores: Scores) -> None:
    matrix[::2, MOVING] = np.nan


def _creeping(matrix: Matrix, scores: Scores) -> None:
    scores *= 1 + 0.5 * np.minimum(np.arange(len(scores), dtype=np.float32) / 10_000, 1)


DRIFTS: dict[str, Callable[[Matrix, Scores], None]] = {
    "a feature shifted by one standard deviation": _shifted,
    "its variance doubled": _doubled,
    "a feature gone missing": _gone,
    "missing from every other row": _every_other_gone,
    "scores creeping to 1.5 times over 10,000 rows": _creeping,
}
"""What happens to rows (n, 4) and scores (n,) from the first of them on."""


def delay(drift: str, reference_rows: int, start: int, seed: int) -> int | None:
    """Rows between the first that drifts and the change of state; None where there is none.

    start: rows, below a window's, by which the drift begins later: where between two looks it falls.
    """
    rng = np.random.default_rng(seed)
    before = BEFORE + start
    watched = Drift(reference(reference_rows, rng), FEATURES)
    matrix, scores = rows(before + AFTER, rng)
    DRIFTS[drift](matrix[before:], scores[before:])
    partition = np.zeros(len(scores), np.int32)
    changes = watched.update(partition, np.arange(len(scores)), matrix, scores)
    wanted = "score" if "scores" in drift else FEATURES[MOVING]
    assert [change.name for change in changes] in ([], [wanted]), changes
    return changes[0].offset - before + 1 if changes else None


@dataclass(frozen=True)
class Quiet:
    """What was found where nothing drifts: looks, changes of state, the largest PSI and KS of a full window."""

    looks: int
    changes: int
    psi: float
    ks: float


def quiet(reference_rows: int, sampled_rows: int, features: int) -> Quiet:
    """Of so many rows without drift; those that are not sampled are never made."""
    rng = np.random.default_rng(1)
    drift = Drift(Reference.of(list(columns(reference_rows, features, rng).T)), names(features), every=1)
    changes, looks, largest = 0, 0, (0.0, 0.0)
    for first in range(0, sampled_rows, 256):
        matrix = columns(256, features, rng)
        place = np.zeros(256, np.int32), np.arange(first, first + 256)
        changes += len(drift.update(*place, matrix[:, :-1], matrix[:, -1]))
        looks += 1
        if looks >= LOOKS:
            largest = max(largest[0], float(drift.figures.psi.max())), max(largest[1], float(drift.figures.ks.max()))
    return Quiet(looks, changes, *largest)


def names(features: int) -> list[str]:
    """Of so many features."""
    return [f"f{number}" for number in range(features)]


def columns(count: int, features: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Rows (count, features + 1): normal, lognormal, counted, rare and gappy features in turn, and a score last."""
    found = rng.normal(size=(count, features + 1)).astype(np.float32)
    skewed, counted, rare, gappy = (found[:, kind:-1:5] for kind in range(1, 5))
    skewed[:] = np.exp(skewed)
    counted[:] = np.round(np.exp(counted + 1))
    rare[:] = rare > 2.3
    gappy[gappy > 2] = np.nan
    return found
