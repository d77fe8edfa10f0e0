"""What history's scores say of a threshold: kept in the artifact, so that the line can be moved without the history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

MOST_SCORES = 200_000
"""Scores of each kind that an artifact keeps; of more, evenly spaced order statistics."""

_ARRAYS = ("scores", "held_out", "anomalous", "held_out_amounts", "anomalous_amounts")
_SCALARS = ("normal_rows", "anomalous_rows", "days", "amount")


def precision(normal: ArrayLike, anomalous: ArrayLike) -> NDArray[np.float64]:
    """The share of alerts that are right, of so many alerts on normal and on anomalous rows; NaN where none alerts."""
    return _ratio(anomalous, np.add(normal, anomalous))


def recall(anomalous: ArrayLike, all_anomalous: ArrayLike) -> NDArray[np.float64]:
    """The share of anomalous rows that alert; NaN where there are none."""
    return _ratio(anomalous, all_anomalous)


def f1(normal: ArrayLike, anomalous: ArrayLike, all_anomalous: ArrayLike) -> NDArray[np.float64]:
    """The harmonic mean of precision and recall: 2 TP / (2 TP + FP + FN)."""
    return _ratio(np.multiply(2, anomalous), np.add(normal, anomalous) + all_anomalous)


def _ratio(part: ArrayLike, whole: ArrayLike) -> NDArray[np.float64]:
    parts, wholes = np.broadcast_arrays(np.asarray(part, np.float64), np.asarray(whole, np.float64))
    return np.asarray(np.divide(parts, wholes, out=np.full(parts.shape, np.nan), where=wholes > 0))


@dataclass(frozen=True, slots=True, eq=False)
class Cuts:
    """Thresholds (k,), ascending, and how many rows of the whole history lie above each, as far as can be expected.

    normal, anomalous: float64 (k,). all_anomalous: of the history.
    """

    thresholds: NDArray[np.float64]
    normal: NDArray[np.float64]
    anomalous: NDArray[np.float64]
    all_anomalous: float

    @property
    def alerts(self) -> NDArray[np.float64]:
        """Rows above each threshold (k,)."""
        return self.normal + self.anomalous

    @property
    def precision(self) -> NDArray[np.float64]:
        """At each threshold (k,)."""
        return precision(self.normal, self.anomalous)

    @property
    def recall(self) -> NDArray[np.float64]:
        """At each threshold (k,)."""
        return recall(self.anomalous, self.all_anomalous)

    @property
    def f1(self) -> NDArray[np.float64]:
        """At each threshold (k,)."""
        return f1(self.normal, self.anomalous, self.all_anomalous)


def _none() -> NDArray[np.float64]:
    return np.empty(0)


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """Scores of history's rows, float32, each kind ascending.

    scores: in which methods without labels find their line. held_out, anomalous: of the normal and of the labelled
    anomalous rows that were kept out of the fit. normal_rows, anomalous_rows: how many the whole history had, so that
    a held-out row stands for normal_rows / len(held_out) of them, and all figures are at the history's prevalence.
    days: what its event times span. amount: the column of held_out_amounts and anomalous_amounts, float64, which stand
    beside the scores. None and empty where the history had none.
    """

    scores: NDArray[np.float32]
    held_out: NDArray[np.float32]
    anomalous: NDArray[np.float32]
    normal_rows: int
    anomalous_rows: int
    days: float | None = None
    amount: str | None = None
    held_out_amounts: NDArray[np.float64] = field(default_factory=_none)
    anomalous_amounts: NDArray[np.float64] = field(default_factory=_none)

    def __post_init__(self) -> None:
        for name in ("scores", "held_out", "anomalous"):
            if not (np.diff(getattr(self, name)) >= 0).all():
                raise ValueError(f"{name}: ascending numbers are wanted")
        for name in ("held_out", "anomalous"):
            rows = len(getattr(self, name)) if self.amount else 0
            if len(getattr(self, f"{name}_amounts")) != rows:
                raise ValueError(f"{name}_amounts: {rows} amounts are wanted")

    @classmethod
    def of(
        cls,
        held_out: ArrayLike,
        anomalous: ArrayLike = (),
        *,
        scores: ArrayLike | None = None,
        normal_rows: int | None = None,
        anomalous_rows: int | None = None,
        days: float | None = None,
        amount: str | None = None,
        held_out_amounts: ArrayLike = (),
        anomalous_amounts: ArrayLike = (),
    ) -> Calibration:
        """From scores in any order, amounts beside them. Each row stands for itself where no number of rows is said.

        scores: those of the held-out rows where none are given.
        """
        normals, normal_amounts = _sorted(held_out, held_out_amounts)
        anomalies, anomaly_amounts = _sorted(anomalous, anomalous_amounts)
        return cls(
            scores=normals if scores is None else np.sort(np.asarray(scores, np.float32)),
            held_out=normals,
            anomalous=anomalies,
            normal_rows=len(normals) if normal_rows is None else normal_rows,
            anomalous_rows=len(anomalies) if anomalous_rows is None else anomalous_rows,
            days=days,
            amount=amount,
            held_out_amounts=normal_amounts,
            anomalous_amounts=anomaly_amounts,
        )

    def thinned(self, most: int = MOST_SCORES) -> Calibration:
        """At most so many scores of each kind, evenly spaced in their order, both ends kept, amounts beside them."""
        held_out, anomalous = spaced(len(self.held_out), most), spaced(len(self.anomalous), most)
        return replace(
            self,
            scores=self.scores[spaced(len(self.scores), most)],
            held_out=self.held_out[held_out],
            anomalous=self.anomalous[anomalous],
            held_out_amounts=self.held_out_amounts[held_out] if self.amount else self.held_out_amounts,
            anomalous_amounts=self.anomalous_amounts[anomalous] if self.amount else self.anomalous_amounts,
        )

    @property
    def held_out_weight(self) -> float:
        """Normal rows of the history that a held-out one stands for."""
        return self.normal_rows / len(self.held_out) if len(self.held_out) else 0.0

    @property
    def anomalous_weight(self) -> float:
        """Anomalous rows of the history that a kept one stands for."""
        return self.anomalous_rows / len(self.anomalous) if len(self.anomalous) else 0.0

    def at(self, thresholds: ArrayLike) -> Cuts:
        """The rows expected strictly above thresholds (k,), which come in ascending order."""
        values = np.asarray(thresholds, np.float64)
        return Cuts(
            thresholds=values,
            normal=count_above(self.held_out, values) * self.held_out_weight,
            anomalous=count_above(self.anomalous, values) * self.anomalous_weight,
            all_anomalous=float(self.anomalous_rows if len(self.anomalous) else 0),
        )

    def cuts(self) -> Cuts:
        """All that can be cut: halfway between each two scores that differ, of rows kept out of the fit.

        Equal scores are never parted, some row lies on either side, and no float's last bit decides on which.
        """
        scores = np.unique(np.concatenate((self.held_out, self.anomalous))).astype(np.float64)
        return self.at((scores[:-1] + scores[1:]) / 2)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """For an artifact's reference.npz."""
        return {f"calibration/{name}": getattr(self, name) for name in _ARRAYS}

    def to_dict(self) -> dict[str, Any]:
        """The rest, for its manifest."""
        return {name: getattr(self, name) for name in _SCALARS}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], scalars: Mapping[str, Any]) -> Calibration:
        """The inverse of `to_arrays` and `to_dict`; KeyError or TypeError where one is absent or unknown."""
        fields: dict[str, Any] = {name: arrays[f"calibration/{name}"] for name in _ARRAYS}
        return cls(**fields, **scalars)


def count_above(scores: NDArray[np.float32], thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    """How many of ascending scores (n,) lie strictly above thresholds (k,), compared in float64."""
    below = np.searchsorted(scores.astype(np.float64), thresholds, side="right")
    return (len(scores) - below).astype(np.float64)


def _sorted(scores: ArrayLike, amounts: ArrayLike) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    values, beside = np.asarray(scores, np.float32), np.asarray(amounts, np.float64)
    order = np.argsort(values, kind="stable")
    return values[order], beside[order] if len(beside) else beside


def spaced(count: int, most: int) -> NDArray[np.intp]:
    """Places 0 .. count - 1, at most so many of them, evenly spaced with both ends."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(np.intp)
