"""What it costs that features are cut to whole numbers: what they no longer tell, and what is no longer found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.calibration import Calibration
from detector.model import Model
from trainer.bootstrap import Estimate, draw_areas, estimate
from trainer.comparison import percent, ratio, with_interval
from trainer.preprocessing import cut
from trainer.tradeoff import SEED

BLOCK = 1 << 16
"""Rows rebuilt at once."""

NO_LABELS = "What that costs in detection only rows labelled anomalous can tell, and the history has none"
FAILED = "Without it the same recipe could not be trained, so that there is nothing to compare with"


@dataclass(frozen=True, slots=True)
class Lost:
    """What the whole numbers of features no longer tell.

    cells: the share of all values that became 0 and were not. zeroed: the same by feature, (d,). kept: by feature the
    share of its variance that is a linear function of the whole numbers, r squared; None where nothing varies.
    """

    cells: float
    zeroed: tuple[float, ...]
    kept: tuple[float | None, ...]

    @classmethod
    def of(cls, rows: NDArray[np.float32]) -> Lost:
        """Of rows (n, d) before they are truncated; NaN is a value that is missing."""
        columns = [column[~np.isnan(column)].astype(np.float64) for column in rows.T]
        counts = [int(((column != 0) & (np.abs(column) < 1)).sum()) for column in columns]
        return cls(
            sum(counts) / max(sum(map(len, columns)), 1),
            tuple(count / max(len(column), 1) for count, column in zip(counts, columns, strict=True)),
            tuple(map(_kept, columns)),
        )

    @property
    def mean_kept(self) -> float | None:
        """Over the features that vary."""
        known = [share for share in self.kept if share is not None]
        return float(np.mean(known)) if known else None


def _kept(values: NDArray[np.float64]) -> float | None:
    whole = cut(values, True, np)
    if len(values) == 0 or values.min() == values.max():
        return None
    if whole.min() == whole.max():
        return 0.0
    return float(np.corrcoef(values, whole)[0, 1] ** 2)


@dataclass(frozen=True, slots=True)
class Found:
    """How well one of the two models does on rows that were kept out of the fit.

    average_precision, auroc: over all thresholds, at the history's prevalence. unexplained: the share of the variance
    of held-out normal rows, as they came, that their reconstruction misses, the mean over the numbers that vary; None
    where none does. It is in the rows' own units, which the two models' errors are not: each measures its own input.
    """

    average_precision: Estimate
    auroc: Estimate
    unexplained: float | None

    @classmethod
    def of(cls, model: Model, known: Calibration, held_out: NDArray[np.float32], numbers: Sequence[int]) -> Found:
        """known: the model's scores, some of anomalous rows. held_out: normal rows (n, d). numbers: places of features
        that are no text."""
        anomalous = np.repeat([False, True], (len(known.held_out), len(known.anomalous)))
        scores = np.concatenate((known.held_out, known.anomalous))
        weights = known.held_out_weight, known.anomalous_weight
        auroc, average_precision = map(estimate, draw_areas(np.random.default_rng(SEED), scores, anomalous, weights))
        assert auroc
        assert average_precision
        return cls(average_precision, auroc, unexplained(model, held_out, numbers))


def unexplained(model: Model, rows: NDArray[np.float32], numbers: Sequence[int]) -> float | None:
    """What `Found` says of it, for rows (n, d)."""
    chosen = list(numbers)
    missed = np.zeros(len(chosen))
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        apart = (block - model.explain(block)[1].astype(np.float64))[:, chosen]
        missed += np.nansum(apart**2, axis=0)
    wide = rows[:, chosen].astype(np.float64)
    there = ~np.isnan(wide)
    mean = np.where(there, wide, 0.0).sum(axis=0) / np.maximum(there.sum(axis=0), 1)
    varies = np.where(there, (wide - mean) ** 2, 0.0).sum(axis=0)
    return float(np.mean(missed[varies > 0] / varies[varies > 0])) if (varies > 0).any() else None


def to_dict(lost: Lost, truncated: Found | None, whole: Found | None) -> dict[str, Any]:
    """For a manifest. truncated: None without labels. whole: of the model that does not truncate, if it came about."""
    return {
        "cells_zeroed": lost.cells,
        "variance_kept": lost.mean_kept,
        "zeroed_by_feature": list(lost.zeroed),
        "variance_kept_by_feature": list(lost.kept),
        "with": asdict(truncated) if truncated else None,
        "without": asdict(whole) if whole else None,
    }


def losses(cost: Mapping[str, Any]) -> str:
    """What the whole numbers no longer tell, as a manifest has it."""
    kept = cost["variance_kept"]
    told = f"{percent(cost['cells_zeroed'])} of the cells became 0"
    return told if kept is None else f"{told}, {percent(kept)} of the features' variance is left on average"


def figures(cost: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Name, value with truncation and value without of each figure of detection; none where they were not compared."""
    truncated, whole = cost["with"], cost["without"]
    if not (truncated and whole):
        return []
    names = {"average_precision": "average precision", "auroc": "AUROC"}
    rows = [
        (name, with_interval(Estimate(**truncated[key]), ratio), with_interval(Estimate(**whole[key]), ratio))
        for key, name in names.items()
    ]
    missed = [one["unexplained"] for one in (truncated, whole)]
    if None not in missed:
        rows.append(("variance of held-out rows not explained", percent(missed[0]), percent(missed[1])))
    return rows


def comparison(cost: Mapping[str, Any]) -> str:
    """What it costs in detection, in a line; or why nobody can say."""
    compared = figures(cost)[:2]
    if not compared:
        return FAILED if cost["with"] else NO_LABELS
    told = "; ".join(f"{name} {truncated} with, {whole} without" for name, truncated, whole in compared)
    return f"{told} (held-out and anomalous rows)"
