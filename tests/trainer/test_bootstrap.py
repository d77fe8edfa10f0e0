"""Fast resamples are distributed as plain ones are: rows drawn with replacement, each kind apart."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import ks_2samp
from sklearn import metrics

from tests.arrays import f32
from trainer.bootstrap import RESAMPLES, Estimate, draw_areas, draw_counts, draw_sums, estimate

PLAIN = 300


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def same_distribution(fast: NDArray[np.float64], plain: list[float]) -> bool:
    """Whether Kolmogorov-Smirnov sees no difference: seeded, so it is no matter of luck."""
    return bool(ks_2samp(fast, plain).pvalue > 0.01)


def drawn_plainly(values: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    other = np.random.default_rng(1)
    return [values[other.integers(len(values), size=len(values))] for _ in range(PLAIN)]


def test_counts() -> None:
    """Counts above a line are those of rows drawn anew, the observed one first."""
    found = draw_counts(rng(), 200, 30)
    assert (len(found), found[0]) == (1 + RESAMPLES, 30)
    plain = [float(rows.sum()) for rows in drawn_plainly((np.arange(200) < 30).astype(float))]
    assert same_distribution(found[1:].astype(np.float64), plain)
    assert draw_counts(rng(), 0, 0).tolist() == [0] * (1 + RESAMPLES)


@pytest.mark.parametrize("block", [1, 700, 1 << 21])
def test_sums(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums of what lies above and below a line are those of rows drawn anew, in whatever blocks they are drawn."""
    monkeypatch.setattr("trainer.bootstrap._BLOCK", block)
    amounts, above = rng().lognormal(size=80), np.arange(80) < 25
    counts = draw_counts(rng(), 80, 25)
    generator = rng()
    caught = draw_sums(generator, amounts[above], counts)
    missed = draw_sums(generator, amounts[~above], 80 - counts)
    assert (caught[0], missed[0]) == (amounts[above].sum(), amounts[~above].sum())
    plain = [
        (rows[rows < 100].sum(), rows[rows >= 100].sum() - 100 * (rows >= 100).sum())
        for rows in drawn_plainly(np.where(above, amounts, amounts + 100))
    ]
    assert same_distribution(caught[1:], [one for one, _ in plain])
    assert same_distribution(missed[1:], [other for _, other in plain])


def test_sums_of_nothing() -> None:
    """Where no row lies above the line every sum is 0."""
    assert draw_sums(rng(), np.empty(0), np.zeros(1 + RESAMPLES, np.int64)).tolist() == [0] * (1 + RESAMPLES)


scored = st.lists(
    st.tuples(st.floats(0, 9, width=32) | st.sampled_from([1.0, 2.0, 3.0]), st.booleans()), min_size=2, max_size=60
).filter(lambda rows: len({bad for _, bad in rows}) == 2)


@given(scored)
def test_areas_are_scikit_learn_s(rows: list[tuple[float, bool]]) -> None:
    """The areas of the rows themselves come first: scikit-learn's, ties and all."""
    scores, truth = f32([score for score, _ in rows]), np.array([bad for _, bad in rows])
    auroc, average_precision = draw_areas(rng(), scores, truth)
    assert len(auroc) == len(average_precision) == 1 + RESAMPLES
    assert auroc[0] == pytest.approx(metrics.roc_auc_score(truth, scores))
    assert average_precision[0] == pytest.approx(metrics.average_precision_score(truth, scores))
    for drawn in (auroc, average_precision):
        assert ((drawn >= 0) & (drawn <= 1 + 1e-12)).all()


@given(scored, st.floats(0.1, 9), st.floats(0.1, 9))
def test_weighed_areas_are_scikit_learn_s(rows: list[tuple[float, bool]], normal: float, anomalous: float) -> None:
    """Where a row stands for several of its kind the average precision is that of all of them."""
    scores, truth = f32([score for score, _ in rows]), np.array([bad for _, bad in rows])
    auroc, average_precision = draw_areas(rng(), scores, truth, (normal, anomalous))
    weights = np.where(truth, anomalous, normal)
    assert average_precision[0] == pytest.approx(metrics.average_precision_score(truth, scores, sample_weight=weights))
    assert auroc[0] == pytest.approx(metrics.roc_auc_score(truth, scores))


def test_resampled_areas(monkeypatch: pytest.MonkeyPatch) -> None:
    """The areas of resamples are scikit-learn's of rows drawn anew, normal and anomalous ones apart."""
    normal, anomalous = rng().normal(size=90).round(1), rng().normal(1, size=15).round(1)
    truth = np.arange(105) >= 90
    scores = f32(np.concatenate((normal, anomalous)))
    auroc, average_precision = draw_areas(rng(), scores, truth)
    plain = [np.concatenate(pair) for pair in zip(drawn_plainly(normal), drawn_plainly(anomalous), strict=True)]
    assert same_distribution(auroc[1:], [metrics.roc_auc_score(truth, rows) for rows in plain])
    assert same_distribution(average_precision[1:], [metrics.average_precision_score(truth, rows) for rows in plain])
    monkeypatch.setattr("trainer.bootstrap._BLOCK", 100)
    in_blocks = draw_areas(rng(), scores, truth)
    assert same_distribution(auroc[1:], in_blocks[0][1:].tolist())
    assert (len(in_blocks[0]), in_blocks[0][0]) == (1 + RESAMPLES, auroc[0])


def test_estimate() -> None:
    """The interval is from the 2.5th to the 97.5th percentile; what is undefined in a resample is left out of it."""
    drawn = np.array([7.0, *range(1001), math.nan])
    assert estimate(drawn) == Estimate(7.0, 25.0, 975.0)
    assert estimate(np.array([math.nan, 1.0])) is None


def test_same_chance() -> None:
    """The same seed gives the same interval, another one another."""
    one, same, other = (draw_counts(np.random.default_rng(seed), 100, 9).tolist() for seed in (1, 1, 2))
    assert one == same != other
