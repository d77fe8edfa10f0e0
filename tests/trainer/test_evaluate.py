"""Figures of scores against labels are scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from tests.arrays import f32
from trainer.evaluate import as_text, evaluate

scored = st.lists(
    st.tuples(st.floats(0, 9, width=32) | st.sampled_from([1.0, 2.0]), st.booleans()), min_size=1, max_size=60
)


@given(scored, st.sampled_from([0.0, 1.0, 2.0, 4.5, 99.0]))
def test_figures_are_scikit_learn_s(pairs: list[tuple[float, bool]], threshold: float) -> None:
    """Counts, precision, recall and F1 at the threshold, and areas over all, are scikit-learn's; else None."""
    scores, truth = f32([score for score, _ in pairs]), np.array([bad for _, bad in pairs])
    found = evaluate(scores, truth, threshold)
    alerting = scores > threshold
    ((tn, fp), (fn, tp)) = metrics.confusion_matrix(truth, alerting, labels=[False, True])
    assert (found.true_positives, found.false_positives) == (tp, fp)
    assert (found.false_negatives, found.true_negatives) == (fn, tn)
    assert (found.rows, found.anomalous) == (len(pairs), truth.sum())
    for figure, function, defined in (
        (found.precision, metrics.precision_score, alerting.any()),
        (found.recall, metrics.recall_score, truth.any()),
        (found.f1, metrics.f1_score, alerting.any() or truth.any()),
    ):
        wanted = function(truth, alerting, zero_division=0) if defined else None
        assert figure == (pytest.approx(wanted) if defined else None)
    both = truth.any() and not truth.all()
    assert found.auroc == (pytest.approx(metrics.roc_auc_score(truth, scores)) if both else None)
    assert found.average_precision == (pytest.approx(metrics.average_precision_score(truth, scores)) if both else None)


def test_a_perfect_score() -> None:
    """Scores that part the classes at the threshold have every figure 1."""
    found = evaluate(f32([1, 2, 3, 4]), np.array([False, False, True, True]), 2.0)
    assert (found.auroc, found.average_precision, found.precision, found.recall, found.f1) == (1, 1, 1, 1, 1)


def test_text() -> None:
    """The text for a person has every figure, and says which is undefined."""
    text = as_text(evaluate(f32([1, 2, 3]), np.array([False, False, False]), 2.0))
    assert "3 rows, 0 anomalous, threshold 2" in text
    assert text.count("undefined") == 3
    assert "precision         0.0000" in text
    assert text.splitlines()[-2:] == [
        "  anomalous             0             0",
        "  normal                1             2",
    ]
