"""Where the line between normal and alert is, and where it came from."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector.statistics import Summary, summarize

METHODS: dict[str, str] = {
    "percentile:99.5": "the score that this share of held-out normal rows stays below",
    "mean+3sd": "mean + k standard deviations of their scores",
    "mad:3.5": "a modified z of k: 0.6745 (x - median) / MAD of their scores",
    "value:X": "a fixed score",
}
RUNNING = "running-mad"
_NUMBER = r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"
_PATTERNS = {
    "percentile": re.compile(rf"percentile:{_NUMBER}"),
    "mean+sd": re.compile(rf"mean\+{_NUMBER}?sd"),
    "mad": re.compile(rf"mad:{_NUMBER}"),
    "value": re.compile(rf"value:{_NUMBER}"),
    RUNNING: re.compile(rf"{RUNNING}:{_NUMBER}"),
}


@dataclass(frozen=True, slots=True)
class Spec:
    """A parsed method: its kind and its number."""

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
            return _checked(Spec(kind, float(match[1] or 1), text.strip()))
    wanted = ", ".join([*METHODS, f"{RUNNING}:3.5"])
    raise ValueError(f"threshold {text!r} is none of {wanted}")


def _checked(spec: Spec) -> Spec:
    if not math.isfinite(spec.number):
        raise ValueError(f"threshold {spec.text!r}: a finite number is wanted")
    if spec.kind == "percentile" and not 0 < spec.number <= 100:
        raise ValueError(f"threshold {spec.text!r}: a percentile above 0 and up to 100 is wanted")
    if spec.kind in ("mad", RUNNING) and spec.number <= 0:
        raise ValueError(f"threshold {spec.text!r}: a number above 0 is wanted")
    return spec


def refuse_running(spec: Spec) -> None:
    """ValueError where a method cannot be found in history."""
    if spec.kind == RUNNING:
        raise ValueError(f"threshold {spec.text!r} needs a running detector; history takes {', '.join(METHODS)}")


def calibrate(spec: Spec, scores: NDArray[np.float32]) -> Threshold:
    """The threshold that a method finds in the scores (n,) of held-out normal rows."""
    refuse_running(spec)
    if len(scores) == 0 and spec.kind != "value":
        raise ValueError(f"threshold {spec.text!r} needs scores of normal rows, there are none")
    return Threshold(_FINDERS[spec.kind](spec.number, scores.astype(np.float64)), spec.text)


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


def above(scores: NDArray[np.float32], value: float | NDArray[np.float64]) -> NDArray[np.bool_]:
    """The one comparison that history and stream share: strictly above, in float64."""
    return scores.astype(np.float64) > value
