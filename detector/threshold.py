"""Where the line between normal and alert is, and where it came from."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector.calibration import Calibration, Cuts
from detector.statistics import Summary, summarize

METHODS: dict[str, str] = {
    "percentile:99.5": "the score that this share of held-out normal rows stays below",
    "mean+3sd": "mean + k standard deviations of their scores",
    "mad:3.5": "a modified z of k: 0.6745 (x - median) / MAD of their scores",
    "value:X": "a fixed score",
    "f1": "the best F1 that labelled history gives, on rows kept out of the fit",
    "recall@precision:0.9": "the highest recall there with at least this precision",
    "budget:100/day": "the lowest score with at most so many alerts (/hour, /day, /week) at history's own rate",
}
RUNNING = "running-mad"
_NUMBER = r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"
_PATTERNS = {
    "percentile": re.compile(rf"percentile:{_NUMBER}"),
    "mean+sd": re.compile(rf"mean\+{_NUMBER}?sd"),
    "mad": re.compile(rf"mad:{_NUMBER}"),
    "value": re.compile(rf"value:{_NUMBER}"),
    "f1": re.compile(r"f1"),
    "recall@precision": re.compile(rf"recall@precision:{_NUMBER}"),
    "budget": re.compile(rf"budget:{_NUMBER}/(hour|day|week)"),
    RUNNING: re.compile(rf"{RUNNING}:{_NUMBER}"),
}
_IN_A_DAY = {"hour": 24.0, "day": 1.0, "week": 1 / 7}
_SAME = 1e-12
"""Figures closer than this are taken for equal: which of them is larger is a matter of rounding."""


@dataclass(frozen=True, slots=True)
class Spec:
    """A parsed method: its kind and its number, a budget's being alerts a day."""

    kind: str
    number: float
    text: str


@dataclass(frozen=True, slots=True)
class Threshold:
    """An alert is a score strictly above `value`. `method` says how the value was found."""

    value: float
    method: str


@dataclass(frozen=True, slots=True)
class Line:
    """What decides for a partition: the calibrated threshold, or the running one where it is asked for and ready."""

    calibrated: Threshold
    running: Spec | None = None

    def at(self, summary: Summary | None) -> Threshold:
        """The threshold in force for rows that see this summary."""
        value = summary.line(self.running.number) if self.running and summary else None
        return self.calibrated if value is None or self.running is None else Threshold(value, self.running.text)


def parse(text: str) -> Spec:
    """Reads a method as a person writes it; ValueError names what was wanted."""
    for kind, pattern in _PATTERNS.items():
        if match := pattern.fullmatch(text.strip()):
            number, unit = (*match.groups(), None, None)[:2]
            return _checked(Spec(kind, float(number or 1) * _IN_A_DAY[unit or "day"], text.strip()))
    wanted = ", ".join([*METHODS, f"{RUNNING}:3.5"])
    raise ValueError(f"threshold {text!r} is none of {wanted}")


def _checked(spec: Spec) -> Spec:
    if not math.isfinite(spec.number):
        raise ValueError(f"threshold {spec.text!r}: a finite number is wanted")
    if spec.kind == "percentile" and not 0 < spec.number <= 100:
        raise ValueError(f"threshold {spec.text!r}: a percentile above 0 and up to 100 is wanted")
    if spec.kind in ("mad", "budget", RUNNING) and spec.number <= 0:
        raise ValueError(f"threshold {spec.text!r}: a number above 0 is wanted")
    if spec.kind == "recall@precision" and not 0 < spec.number <= 1:
        raise ValueError(f"threshold {spec.text!r}: a precision above 0 and up to 1 is wanted")
    return spec


def refuse_running(spec: Spec) -> None:
    """ValueError where a method cannot be found in history."""
    if spec.kind == RUNNING:
        raise ValueError(f"threshold {spec.text!r} needs a running detector; history takes {', '.join(METHODS)}")


def refuse_without(spec: Spec, anomalous: int, days: float | None) -> None:
    """ValueError where a method needs labelled anomalous rows or a span of time, and the history has none."""
    if spec.kind in ("f1", "recall@precision") and not anomalous:
        raise ValueError(f"threshold {spec.text!r} needs rows labelled anomalous, the history has none")
    if spec.kind == "budget" and not days:
        raise ValueError(f"threshold {spec.text!r} needs a time column that spans some time, the history has none")


def calibrate(spec: Spec, calibration: Calibration) -> Threshold:
    """The threshold that a method finds in history; ValueError where it finds none.

    f1, recall@precision and budget take the best of `calibration.cuts()`, of equally good ones the highest (the fewest
    alerts); the others look at `calibration.scores` alone.
    """
    refuse_running(spec)
    refuse_without(spec, len(calibration.anomalous), calibration.days)
    rows = calibration.held_out if spec.kind in _CHOICES else calibration.scores
    if len(rows) == 0 and spec.kind != "value":
        raise ValueError(f"threshold {spec.text!r} needs scores of normal rows, there are none")
    if spec.kind in _CHOICES:
        return Threshold(_chosen(spec, calibration), spec.text)
    return Threshold(_FINDERS[spec.kind](spec.number, rows.astype(np.float64)), spec.text)


def _mad(z: float, scores: NDArray[np.float64]) -> float:
    line = summarize(scores).line(z)
    if line is None:
        raise ValueError("all scores of normal rows are equal: they have no MAD; take value:X")
    return line


_FINDERS: dict[str, Callable[[float, NDArray[np.float64]], float]] = {
    "percentile": lambda percent, scores: float(np.percentile(scores, percent)),
    "mean+sd": lambda times, scores: float(scores.mean() + times * scores.std()),
    "mad": _mad,
    "value": lambda value, scores: value,
}


def _chosen(spec: Spec, calibration: Calibration) -> float:
    cuts = calibration.cuts()
    if len(cuts.thresholds) == 0:
        raise ValueError(f"threshold {spec.text!r}: all scores are equal, none lies above the others; take value:X")
    return float(cuts.thresholds[_CHOICES[spec.kind](spec, cuts, calibration)])


def _best_f1(spec: Spec, cuts: Cuts, calibration: Calibration) -> int:
    return int(np.flatnonzero(cuts.f1 >= cuts.f1.max() - _SAME)[-1])


def _best_recall(spec: Spec, cuts: Cuts, calibration: Calibration) -> int:
    precise = np.flatnonzero(cuts.precision >= spec.number - _SAME)
    if len(precise) == 0:
        raise ValueError(f"threshold {spec.text!r} is never reached: the best precision is {cuts.precision.max():.4g}")
    return int(precise[cuts.anomalous[precise] >= cuts.anomalous[precise[0]]][-1])


def _within_budget(spec: Spec, cuts: Cuts, calibration: Calibration) -> int:
    days = calibration.days or math.nan
    rate, rows = cuts.alerts / days, (calibration.normal_rows + calibration.anomalous_rows) / days
    if spec.number >= rows:
        raise ValueError(f"threshold {spec.text!r}: the history has {rows:,.6g} rows a day, all of them would alert")
    within = np.flatnonzero(rate <= spec.number * (1 + _SAME))
    if len(within) == 0:
        raise ValueError(f"threshold {spec.text!r}: its rows can tell no fewer alerts a day than {rate[-1]:,.4g}")
    return int(within[0])


_CHOICES: dict[str, Callable[[Spec, Cuts, Calibration], int]] = {
    "f1": _best_f1,
    "recall@precision": _best_recall,
    "budget": _within_budget,
}


def above(scores: NDArray[np.float32], value: float | NDArray[np.float64]) -> NDArray[np.bool_]:
    """The one comparison that history and stream share: strictly above, in float64."""
    return scores.astype(np.float64) > value
