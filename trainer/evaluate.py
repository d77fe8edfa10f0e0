"""How well scores tell anomalous rows from normal ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.calibration import Calibration
from detector.threshold import above
from trainer.bootstrap import Estimate, draw_areas, estimate
from trainer.comparison import BRACKETS, aligned, quantity, with_interval
from trainer.tradeoff import SEED, figures


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Figures of one threshold on labelled rows. A figure that the rows do not define is None.

    auroc, average_precision: over all thresholds. The rest: at `threshold`, anomalous being positive; what they mean
    stands in `trainer.tradeoff.Figures`. intervals: of each figure by its name, the ends of 95 %.
    """

    rows: int
    anomalous: int
    threshold: float
    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int
    amount: str | None = None
    auroc: float | None = None
    average_precision: float | None = None
    precision: float | None = None
    recall: float | None = None
    f1: float | None = None
    alert_share: float | None = None
    alerts_per_day: float | None = None
    false_alerts_per_day: float | None = None
    caught_per_day: float | None = None
    missed_per_day: float | None = None
    caught_share: float | None = None
    false_amount_per_day: float | None = None
    intervals: dict[str, list[float]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def evaluate(
    scores: NDArray[np.float32],
    anomalous: NDArray[np.bool_],
    threshold: float,
    days: float | None = None,
    amount: str | None = None,
    amounts: NDArray[np.float64] | None = None,
) -> Evaluation:
    """Compares scores (n,) with the truth (n,). days: what the rows span. amounts (n,): of the column `amount`."""
    alerting = above(scores, threshold)
    known = Calibration.of(
        scores[~anomalous],
        scores[anomalous],
        days=days,
        amount=amount,
        held_out_amounts=() if amounts is None else amounts[~anomalous],
        anomalous_amounts=() if amounts is None else amounts[anomalous],
    )
    found = _areas(scores, anomalous) | figures(known, threshold, labelled=True).known()
    return Evaluation(
        rows=len(scores),
        anomalous=int(anomalous.sum()),
        threshold=threshold,
        true_positives=int((alerting & anomalous).sum()),
        false_positives=int((alerting & ~anomalous).sum()),
        false_negatives=int((~alerting & anomalous).sum()),
        true_negatives=int((~alerting & ~anomalous).sum()),
        amount=amount,
        intervals={name: [one.low, one.high] for name, one in found.items()},
        **_values(found),
    )


def _areas(scores: NDArray[np.float32], anomalous: NDArray[np.bool_]) -> dict[str, Estimate]:
    if not anomalous.any() or anomalous.all():
        return {}
    areas = map(estimate, draw_areas(np.random.default_rng(SEED), scores, anomalous))
    return {name: one for name, one in zip(("auroc", "average_precision"), areas, strict=True) if one}


def _values(found: dict[str, Estimate]) -> dict[str, Any]:
    return {name: one.value for name, one in found.items()}


def as_text(evaluation: Evaluation) -> str:
    """For a person."""
    e = evaluation
    lines = [
        ["  AUROC", _text(e, "auroc", _four)],
        ["  average precision", _text(e, "average_precision", _four)],
        ["  precision", _text(e, "precision", _four)],
        ["  recall", _text(e, "recall", _four)],
        ["  F1", _text(e, "f1", _four)],
    ]
    if e.alerts_per_day is not None:
        lines.append(["  alerts a day", _text(e, "alerts_per_day", quantity)])
        lines.append(["  false alerts a day", _text(e, "false_alerts_per_day", quantity)])
    if e.caught_per_day is not None:
        lines.append([f"  {e.amount} caught a day", _text(e, "caught_per_day", quantity)])
        lines.append([f"  {e.amount} missed a day", _text(e, "missed_per_day", quantity)])
        lines.append([f"  {e.amount} in false alerts a day", _text(e, "false_amount_per_day", quantity)])
    if e.caught_share is not None:
        lines.append([f"  share of {e.amount} caught", _text(e, "caught_share", _four)])
    return "\n".join(
        [
            f"{e.rows} rows, {e.anomalous} anomalous, threshold {e.threshold:.6g}",
            *aligned(lines),
            f"  {BRACKETS}",
            "                    alert      no alert",
            f"  anomalous  {e.true_positives:>12}  {e.false_negatives:>12}",
            f"  normal     {e.false_positives:>12}  {e.true_negatives:>12}",
        ]
    )


def _text(e: Evaluation, name: str, text: Callable[[float], str]) -> str:
    value = getattr(e, name)
    return "undefined" if value is None else with_interval(Estimate(value, *e.intervals[name]), text)


def _four(share: float) -> str:
    return f"{share:.4f}"
