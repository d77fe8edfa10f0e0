"""What a threshold costs and what it catches, at the prevalence and the rate of the history."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.calibration import Calibration, f1, precision, recall
from detector.threshold import above
from trainer.bootstrap import Drawn, Estimate, draw_counts, draw_sums, estimate

SEED = 0
"""Of the resamples: thresholds are compared under the same chance."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What a threshold does, each figure with its interval; None where the history does not define it.

    alert_share: of all rows. false_alerts_per_day: on normal rows. caught_per_day, missed_per_day: the summed amounts
    of anomalous rows that alert and that do not, caught_share: the share of the first; false_amount_per_day: those of
    normal rows that alert. A day needs a time, right and wrong need labels, and amounts need an amount column.
    """

    threshold: float
    alert_share: Estimate | None = None
    alerts_per_day: Estimate | None = None
    false_alerts_per_day: Estimate | None = None
    precision: Estimate | None = None
    recall: Estimate | None = None
    f1: Estimate | None = None
    caught_per_day: Estimate | None = None
    missed_per_day: Estimate | None = None
    caught_share: Estimate | None = None
    false_amount_per_day: Estimate | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    def known(self) -> dict[str, Estimate]:
        """The figures that are defined, by name."""
        values = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "threshold"}
        return {name: value for name, value in values.items() if value is not None}


def figures(calibration: Calibration, threshold: float, labelled: bool | None = None) -> Figures:
    """Of a threshold on the rows kept out of the fit, each weighing as many of the history's as it stands for.

    labelled: whether the rows' truth is known; by default where there are anomalous ones.
    """
    known = len(calibration.anomalous) > 0 if labelled is None else labelled
    drawn = _drawn(calibration, threshold, known)
    return Figures(threshold, **{name: estimate(one) for name, one in drawn.items()})


def _drawn(c: Calibration, threshold: float, labelled: bool) -> dict[str, Drawn]:
    rng, days = np.random.default_rng(SEED), c.days or math.nan
    false, caught = above(c.held_out, threshold), above(c.anomalous, threshold)
    false_counts = draw_counts(rng, len(false), int(false.sum()))
    caught_counts = draw_counts(rng, len(caught), int(caught.sum()))
    normal = false_counts.astype(np.float64) * c.held_out_weight
    anomalous = caught_counts.astype(np.float64) * c.anomalous_weight
    drawn = {
        "alert_share": (normal + anomalous) / ((c.normal_rows + c.anomalous_rows) or math.nan),
        "alerts_per_day": (normal + anomalous) / days,
    }
    if not labelled:
        return drawn
    drawn |= {
        "false_alerts_per_day": normal / days,
        "precision": precision(normal, anomalous),
        "recall": recall(anomalous, c.anomalous_rows),
        "f1": f1(normal, anomalous, c.anomalous_rows),
    }
    if c.amount is None:
        return drawn
    got = draw_sums(rng, c.anomalous_amounts[caught], caught_counts) * c.anomalous_weight
    lost = draw_sums(rng, c.anomalous_amounts[~caught], len(caught) - caught_counts) * c.anomalous_weight
    return drawn | {
        "caught_per_day": got / days,
        "missed_per_day": lost / days,
        "caught_share": recall(got, got + lost),
        "false_amount_per_day": draw_sums(rng, c.held_out_amounts[false], false_counts) * c.held_out_weight / days,
    }


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Figures at thresholds (k,), ascending; None where the history does not define them."""

    thresholds: NDArray[np.float64]
    alert_share: NDArray[np.float64]
    alerts_per_day: NDArray[np.float64] | None
    precision: NDArray[np.float64] | None
    recall: NDArray[np.float64] | None
    f1: NDArray[np.float64] | None


def curve(calibration: Calibration, points: int = 512) -> Curve:
    """The figures at up to so many of the calibration's cuts, evenly spaced in the logarithm of the alerts.

    Thresholds that matter let few rows through: evenly spaced in the alerts themselves, most points would lie below.
    """
    cuts = calibration.cuts()
    kept = calibration.at(cuts.thresholds[_log_spaced(cuts.alerts, points)])
    rows, labelled = calibration.normal_rows + calibration.anomalous_rows, len(calibration.anomalous) > 0
    return Curve(
        thresholds=kept.thresholds,
        alert_share=kept.alerts / (rows or math.nan),
        alerts_per_day=kept.alerts / calibration.days if calibration.days else None,
        precision=kept.precision if labelled else None,
        recall=kept.recall if labelled else None,
        f1=kept.f1 if labelled else None,
    )


def _log_spaced(alerts: NDArray[np.float64], points: int) -> NDArray[np.intp]:
    """Places of at most so many of the descending numbers (n,) above 0, both ends among them."""
    if len(alerts) <= points:
        return np.arange(len(alerts))
    return np.unique(np.searchsorted(-alerts, -np.geomspace(alerts[0], alerts[-1], points)).clip(max=len(alerts) - 1))
