"""How right verdicts were, by the definitions of `trainer evaluate`."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from detector.areas import areas
from detector.calibration import f1, precision, recall

LABELLED = np.dtype([("score", "<f4"), ("amount", "<f8"), ("alert", "?"), ("anomalous", "?")])
"""A row whose truth is known. alert: the detector's verdict. amount: 0 where none is known."""


@dataclass(frozen=True, slots=True)
class Measures:
    """Figures of labelled rows, anomalous being positive; None for one that the rows do not define.

    auroc, average_precision: over all thresholds. The rest: at the verdicts. caught, missed: the summed amounts of
    anomalous rows that alerted and that did not, caught_share: the share of the first; false_amount: of normal ones
    that alerted.
    """

    rows: int
    anomalous: int
    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int
    auroc: float | None
    average_precision: float | None
    precision: float | None
    recall: float | None
    f1: float | None
    caught: float
    missed: float
    caught_share: float | None
    false_amount: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def measured(rows: NDArray[Any]) -> Measures:
    """The figures of rows (n,) of LABELLED."""
    alert, anomalous = rows["alert"], rows["anomalous"]
    right, wrong = alert & anomalous, alert & ~anomalous
    lost = ~alert & anomalous
    caught, false, missed = (math.fsum(rows["amount"][part].tolist()) for part in (right, wrong, lost))
    auroc, average_precision = areas(rows["score"], anomalous)
    true_positives, false_positives, bad = int(right.sum()), int(wrong.sum()), int(anomalous.sum())
    return Measures(
        rows=len(rows),
        anomalous=bad,
        true_positives=true_positives,
        false_positives=false_positives,
        false_negatives=int(lost.sum()),
        true_negatives=int((~alert & ~anomalous).sum()),
        auroc=_known(auroc),
        average_precision=_known(average_precision),
        precision=_known(precision(false_positives, true_positives)),
        recall=_known(recall(true_positives, bad)),
        f1=_known(f1(false_positives, true_positives, bad)),
        caught=caught,
        missed=missed,
        caught_share=_known(recall(caught, caught + missed)),
        false_amount=false,
    )


def shortest(amounts: NDArray[np.float32]) -> NDArray[np.float64]:
    """float32 amounts (n,) as the shortest decimals that they stand for: 149.62, and not 149.61999512."""
    return np.array([float(str(amount)) for amount in amounts], np.float64)


def _known(figure: ArrayLike) -> float | None:
    value = float(np.asarray(figure))
    return None if math.isnan(value) else value
