"""Figures of scores against the truth. Higher scores are more anomalous; pure."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

Floats = NDArray[np.floating[Any]]
Truth = NDArray[np.bool_]


def ranking(scores: Floats, truth: Truth, weights: Floats | None = None) -> dict[str, float]:
    """Area under the ROC curve and average precision of scores (n,), rows counting by their weights (n,)."""
    return {
        "auroc": float(roc_auc_score(truth, scores, sample_weight=weights)),
        "average_precision": float(average_precision_score(truth, scores, sample_weight=weights)),
    }


def best_f1(scores: Floats, truth: Truth, weights: Floats | None = None) -> float:
    """The highest F1 that any threshold gives: a bound, since it is found in the judged rows themselves."""
    precision, recall, _ = precision_recall_curve(truth, scores, sample_weight=weights)
    both = precision + recall
    return float(np.divide(2 * precision * recall, both, out=np.zeros_like(both), where=both > 0).max())


def recall_at_precision(scores: Floats, truth: Truth, least: float, weights: Floats | None = None) -> float:
    """The highest recall of the thresholds whose precision is at least `least`; 0 where none has it."""
    precision, recall, _ = precision_recall_curve(truth, scores, sample_weight=weights)
    return float(recall[precision >= least].max())


def verdicts(scores: Floats, truth: Truth, threshold: float) -> dict[str, float]:
    """Accuracy, precision, recall and F1 of alerting strictly above a threshold; a figure without rows is 0."""
    alerting = scores > threshold
    right, wrong, missed = (alerting & truth).sum(), (alerting & ~truth).sum(), (~alerting & truth).sum()
    return {
        "accuracy": float((alerting == truth).mean()),
        "precision": float(right / max(right + wrong, 1)),
        "recall": float(right / max(right + missed, 1)),
        "f1": float(2 * right / max(2 * right + wrong + missed, 1)),
    }


def card_precision(scores: Floats, truth: Truth, days: NDArray[Any], cards: NDArray[Any], top: int = 100) -> float:
    """Card precision@top as the Fraud Detection Handbook defines it (chapter 4, precision top-k metrics).

    Each day the cards not yet caught are ranked by their highest score that day, and `top` of them are looked at; those
    with a fraud that day are caught. The share caught of `top` is averaged over the days.
    """
    caught: set[Any] = set()
    shares = []
    for day in np.unique(days):
        today = np.flatnonzero((days == day) & ~np.isin(cards, list(caught)))
        names, card = np.unique(cards[today], return_inverse=True)
        highest = np.full(len(names), -np.inf)
        np.maximum.at(highest, card, scores[today])
        fraudulent = np.zeros(len(names), bool)
        np.logical_or.at(fraudulent, card, truth[today])
        looked_at = np.argsort(-highest, kind="stable")[:top]
        found = looked_at[fraudulent[looked_at]]
        caught.update(names[found].tolist())
        shares.append(len(found) / top)
    return float(np.mean(shares))
