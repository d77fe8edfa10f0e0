"""What is kept of history's scores counts as all of it would, and comes back from the artifact as it went in."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from detector.artifact import pack_arrays
from detector.calibration import MOST_SCORES, Calibration, count_above, f1, precision, recall, spaced
from detector.threshold import above
from tests.arrays import f32

score = st.sampled_from([0.0, 1.0, 1.5, 2.0]) | st.floats(0, 2.0**100, width=32)
scores = st.lists(score, max_size=30)


@given(scores, st.lists(st.floats(-1, 2.0**100) | score, min_size=1, max_size=9))
def test_count_above(values: list[float], thresholds: list[float]) -> None:
    """Rows above are those that alert: strictly above, in float64, at each threshold."""
    kept = np.sort(f32(values))
    found = count_above(kept, np.array(thresholds))
    assert found.tolist() == [above(kept, threshold).sum() for threshold in thresholds]


def test_count_above_does_not_round_the_threshold() -> None:
    """A threshold between two float32 parts them, though as a float32 it would be one of them."""
    one = np.float32(0.1)
    kept = np.array([one, np.nextafter(one, np.float32(1))])
    between = (float(kept[0]) + float(kept[1])) / 2
    assert count_above(kept, np.array([between, float(kept[0]), np.nextafter(float(kept[0]), 0)])).tolist() == [1, 1, 2]


@given(st.lists(st.tuples(score, st.booleans()), min_size=1, max_size=30), score)
def test_ratios_are_scikit_learn_s(rows: list[tuple[float, bool]], threshold: float) -> None:
    """Precision, recall and F1 of counts are scikit-learn's; NaN where they are undefined."""
    alerting, truth = np.array([one > threshold for one, _ in rows]), np.array([bad for _, bad in rows])
    normal, anomalous = int((alerting & ~truth).sum()), int((alerting & truth).sum())
    for found, function, defined in (
        (precision(normal, anomalous), metrics.precision_score, alerting.any()),
        (recall(anomalous, truth.sum()), metrics.recall_score, truth.any()),
        (f1(normal, anomalous, truth.sum()), metrics.f1_score, alerting.any() or truth.any()),
    ):
        wanted = function(truth, alerting, zero_division=0) if defined else math.nan
        assert float(found) == pytest.approx(wanted, nan_ok=True)


@given(scores, scores)
def test_cuts(held_out: list[float], anomalous: list[float]) -> None:
    """The cuts part each two neighbouring scores that differ, and no others: every partition once, with its counts."""
    known = Calibration.of(held_out, anomalous)
    distinct = sorted({float(np.float32(one)) for one in held_out + anomalous})
    cuts = known.cuts()
    assert len(cuts.thresholds) == max(len(distinct) - 1, 0)
    for low, cut, high in zip(distinct, cuts.thresholds, distinct[1:], strict=False):
        assert low < cut < high
    wanted = [(above(f32(held_out), cut).sum(), above(f32(anomalous), cut).sum()) for cut in cuts.thresholds]
    assert list(zip(cuts.normal, cuts.anomalous, strict=True)) == wanted
    assert cuts.alerts.tolist() == [normal + bad for normal, bad in wanted]


def test_prevalence_is_that_of_the_history() -> None:
    """A held-out row stands for several normal rows: half precision on the kept rows is a sixth in the history."""
    known = Calibration.of([1, 2], [2, 3], normal_rows=10, anomalous_rows=2)
    found = known.at([1.5])
    assert (found.normal.tolist(), found.anomalous.tolist(), found.all_anomalous) == ([5], [2], 2)
    assert found.precision.tolist() == [2 / 7]
    assert found.recall.tolist() == [1]
    assert found.f1.tolist() == [pytest.approx(4 / 9)]


def test_without_labels() -> None:
    """Without anomalous rows nothing is expected of them, and recall is undefined."""
    found = Calibration.of([1, 2, 3], normal_rows=30).at([1.5, 2.5])
    assert found.alerts.tolist() == [20, 10]
    assert np.isnan(found.recall).all()


def test_amounts_stay_beside_their_scores() -> None:
    """Scores come in any order, and amounts follow them; equal scores keep the order in which they came."""
    known = Calibration.of(
        [3, 1, 2, 1], [9, 8], amount="eur", held_out_amounts=[30, 10, 20, 11], anomalous_amounts=[90, 80]
    )
    assert known.held_out.tolist() == [1, 1, 2, 3]
    assert known.held_out_amounts.tolist() == [10, 11, 20, 30]
    assert (known.anomalous.tolist(), known.anomalous_amounts.tolist()) == ([8, 9], [80, 90])


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ({"scores": f32([2, 1])}, "scores: ascending"),
        ({"held_out": f32([math.nan, 1])}, "held_out: ascending"),
        ({"anomalous": f32([2, 1])}, "anomalous: ascending"),
        ({"amount": "eur"}, "held_out_amounts: 2 amounts"),
        ({"held_out_amounts": np.ones(2)}, "held_out_amounts: 0 amounts"),
        ({"amount": "eur", "held_out_amounts": np.ones(2)}, "anomalous_amounts: 1 amounts"),
    ],
)
def test_refusals(more: dict[str, Any], wanted: str) -> None:
    """Scores that do not ascend, and amounts that do not stand beside them, are refused."""
    plain: dict[str, Any] = {"scores": f32([1, 2]), "held_out": f32([1, 2]), "anomalous": f32([3])}
    with pytest.raises(ValueError, match=wanted):
        Calibration(**(plain | more), normal_rows=2, anomalous_rows=1)


@pytest.mark.parametrize("count", [0, 1, 10, MOST_SCORES, MOST_SCORES + 1, 3 * MOST_SCORES])
def test_thinned(count: int) -> None:
    """All scores of a kind are kept, or so many: sorted, both ends and every percentile nearly the same."""
    values = np.random.default_rng(0).lognormal(size=count).astype(np.float32)
    kept = Calibration.of(values).thinned()
    for one in (kept.scores, kept.held_out):
        assert len(one) == min(count, MOST_SCORES)
        assert (np.diff(one) >= 0).all()
        if count:
            assert (one[0], one[-1]) == (values.min(), values.max())
            assert np.percentile(one, 99.5) == pytest.approx(np.percentile(values, 99.5), rel=1e-3)
    assert kept.normal_rows == count


def test_thinned_amounts() -> None:
    """Amounts are thinned with their scores, and what is left stands for as many rows as before."""
    values = np.arange(1000)
    known = Calibration.of(
        values, values[:300], amount="eur", held_out_amounts=2 * values, anomalous_amounts=3 * values[:300], days=2.0
    ).thinned(100)
    assert known.held_out_amounts.tolist() == (2 * known.held_out).tolist()
    assert known.anomalous_amounts.tolist() == (3 * known.anomalous).tolist()
    assert (known.held_out_weight, known.anomalous_weight) == (10, 3)
    assert (known.normal_rows, known.anomalous_rows, known.days, known.amount) == (1000, 300, 2.0, "eur")


@given(st.integers(0, 500), st.integers(2, 500))
def test_spaced(count: int, most: int) -> None:
    """Evenly spaced places are all of them or so many, different, with both ends."""
    places = spaced(count, most).tolist()
    assert len(set(places)) == len(places) == min(count, most)
    assert places == sorted(places)
    assert not places or (places[0], places[-1]) == (0, count - 1)


@pytest.mark.parametrize(
    "known",
    [
        Calibration.of([3, 1], [5], days=1.5, amount="a", held_out_amounts=[1, 2], anomalous_amounts=[7]),
        Calibration.of([3, 1], scores=[1, 2, 9], normal_rows=40),
        Calibration.of([]),
    ],
)
def test_round_trip(known: Calibration) -> None:
    """Arrays and scalars give the same calibration back, with or without labels, time and amounts."""
    again = Calibration.from_arrays(known.to_arrays(), known.to_dict())
    assert again.to_dict() == known.to_dict()
    assert pack_arrays(again.to_arrays()) == pack_arrays(known.to_arrays())
    assert {name: array.dtype for name, array in again.to_arrays().items()} == {
        "calibration/scores": np.float32,
        "calibration/held_out": np.float32,
        "calibration/anomalous": np.float32,
        "calibration/held_out_amounts": np.float64,
        "calibration/anomalous_amounts": np.float64,
    }


def test_what_is_absent_is_refused() -> None:
    """An array that is absent, and a scalar that is absent or unknown, are refused."""
    known = Calibration.of([1, 2])
    arrays, scalars = known.to_arrays(), known.to_dict()
    with pytest.raises(KeyError, match="calibration/anomalous"):
        Calibration.from_arrays({k: v for k, v in arrays.items() if k != "calibration/anomalous"}, scalars)
    with pytest.raises(TypeError, match="normal_rows"):
        Calibration.from_arrays(arrays, {k: v for k, v in scalars.items() if k != "normal_rows"})
    with pytest.raises(TypeError, match="hours"):
        Calibration.from_arrays(arrays, scalars | {"hours": 1})
