"""How well scores tell anomalous rows from normal ones."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from detector.threshold import above


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Figures of one threshold on labelled rows. A figure that the rows do not define is None.

    auroc, average_precision: over all thresholds. The rest: at `threshold`, anomalous being positive.
    """

    rows: int
    anomalous: int
    threshold: float
    auroc: float | None
    average_precision: float | None
    precision: float | None
    recall: float | None
    f1: float | None
    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def evaluate(scores: NDArray[np.float32], anomalous: NDArray[np.bool_], threshold: float) -> Evaluation:
    """Compares scores (n,) with the truth (n,)."""
    alerting = above(scores, threshold)
    tp, fp = int((alerting & anomalous).sum()), int((alerting & ~anomalous).sum())
    fn, tn = int((~alerting & anomalous).sum()), int((~alerting & ~anomalous).sum())
    both = anomalous.any() and not anomalous.all()
    return Evaluation(
        rows=len(scores),
        anomalous=tp + fn,
        threshold=threshold,
        auroc=float(roc_auc_score(anomalous, scores)) if both else None,
        average_precision=float(average_precision_score(anomalous, scores)) if both else None,
        precision=_ratio(tp, tp + fp),
        recall=_ratio(tp, tp + fn),
        f1=_ratio(2 * tp, 2 * tp + fp + fn),
        true_positives=tp,
        false_positives=fp,
        false_negatives=fn,
        true_negatives=tn,
    )


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def as_text(evaluation: Evaluation) -> str:
    """For a person."""
    e = evaluation
    figures = {
        "AUROC": e.auroc,
        "average precision": e.average_precision,
        "precision": e.precision,
        "recall": e.recall,
        "F1": e.f1,
    }
    lines = [f"{e.rows} rows, {e.anomalous} anomalous, threshold {e.threshold:.6g}"]
    lines += [f"  {name:<18}{'undefined' if figure is None else f'{figure:.4f}'}" for name, figure in figures.items()]
    lines += [
        "                    alert      no alert",
        f"  anomalous  {e.true_positives:>12}  {e.false_negatives:>12}",
        f"  normal     {e.false_positives:>12}  {e.true_negatives:>12}",
    ]
    return "\n".join(lines)
