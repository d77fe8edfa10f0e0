"""What a threshold costs, counted plainly at the history's prevalence and rate."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binom

from detector.calibration import Calibration
from trainer.tradeoff import Curve, Figures, curve, figures

score = st.sampled_from([0.0, 1.0, 1.5, 2.0]) | st.floats(0, 8, width=32)


@st.composite
def histories(draw: st.DrawFn) -> Calibration:
    """Few rows with ties, each standing for several, with amounts."""
    held_out, anomalous = draw(st.lists(score, min_size=1, max_size=12)), draw(st.lists(score, min_size=1, max_size=8))
    money = st.floats(0, 1000)
    return Calibration.of(
        held_out,
        anomalous,
        normal_rows=len(held_out) + draw(st.integers(0, 900)),
        anomalous_rows=len(anomalous) + draw(st.integers(0, 90)),
        days=draw(st.sampled_from([0.5, 7.0])),
        amount="eur",
        held_out_amounts=draw(st.lists(money, min_size=len(held_out), max_size=len(held_out))),
        anomalous_amounts=draw(st.lists(money, min_size=len(anomalous), max_size=len(anomalous))),
    )


def counted(known: Calibration, threshold: float) -> dict[str, float]:
    """Each figure, row by row; NaN where undefined."""
    rows = list(zip(known.held_out, known.held_out_amounts, strict=True))
    bad = list(zip(known.anomalous, known.anomalous_amounts, strict=True))
    weight, bad_weight = known.normal_rows / len(rows), known.anomalous_rows / len(bad)
    days = known.days or math.nan
    false = [amount for one, amount in rows if one > threshold]
    true = [amount for one, amount in bad if one > threshold]
    missed = [amount for one, amount in bad if not one > threshold]
    fp, tp, fn = weight * len(false), bad_weight * len(true), bad_weight * len(missed)
    stake = math.fsum(true) + math.fsum(missed)
    return {
        "alert_share": (fp + tp) / (known.normal_rows + known.anomalous_rows),
        "alerts_per_day": (fp + tp) / days,
        "false_alerts_per_day": fp / days,
        "precision": tp / (tp + fp) if tp + fp else math.nan,
        "recall": tp / (tp + fn),
        "f1": 2 * tp / (2 * tp + fp + fn),
        "caught_per_day": bad_weight * math.fsum(true) / days,
        "missed_per_day": bad_weight * math.fsum(missed) / days,
        "caught_share": math.fsum(true) / stake if stake else math.nan,
        "false_amount_per_day": weight * math.fsum(false) / days,
    }


@given(histories(), score)
def test_figures(known: Calibration, threshold: float) -> None:
    """Every figure is what plain counting gives, each kept row weighing as many rows as it stands for."""
    found = figures(known, threshold)
    assert found.threshold == threshold
    wanted = {name: value for name, value in counted(known, threshold).items() if not math.isnan(value)}
    assert {name: one.value for name, one in found.known().items()} == pytest.approx(wanted, rel=1e-9, abs=1e-12)
    for one in found.known().values():
        assert one.low <= one.high


def test_intervals_are_binomial() -> None:
    """At a fixed line the counts of resamples are binomial: intervals of counts and of recall are its quantiles."""
    known = Calibration.of(np.arange(1000), np.arange(900, 1100), normal_rows=5000, days=10.0)
    found = figures(known, 949.5)
    assert found.false_alerts_per_day
    assert found.recall
    low, high = binom.ppf([0.025, 0.975], 1000, 0.05)
    assert found.false_alerts_per_day.low / 5 * 10 == pytest.approx(low, abs=2)
    assert found.false_alerts_per_day.high / 5 * 10 == pytest.approx(high, abs=2)
    low, high = binom.ppf([0.025, 0.975], 200, 0.75) / 200
    assert found.recall.low == pytest.approx(low, abs=0.011)
    assert found.recall.high == pytest.approx(high, abs=0.011)


def test_every_figure_has_its_place() -> None:
    """Figures of a history that has all are all defined, and as plain values they keep their intervals."""
    known = Calibration.of(
        range(40), range(30, 50), days=1.0, amount="eur", held_out_amounts=range(40), anomalous_amounts=range(20)
    )
    found = figures(known, 35.5)
    assert set(found.known()) == set(counted(known, 35.5))
    plain = found.to_dict()
    assert set(plain) == {"threshold", *found.known()}
    assert found.recall
    assert plain["recall"] == {"value": 0.7, "low": found.recall.low, "high": found.recall.high}


def undefined(found: Figures) -> set[str]:
    return set(found.to_dict()) - set(found.known()) - {"threshold"}


def test_what_a_history_does_not_define() -> None:
    """Without a time nothing is told by day; without labels nothing of right and wrong; without amounts no money."""
    full = Calibration.of(
        range(40), range(30, 50), days=1.0, amount="eur", held_out_amounts=range(40), anomalous_amounts=range(20)
    )
    by_day = {name for name in full_names(full) if name.endswith("_per_day")}
    money = {"caught_per_day", "missed_per_day", "caught_share", "false_amount_per_day"}
    assert undefined(figures(replace(full, days=None), 35.5)) == by_day
    plain = Calibration.of(range(40), range(30, 50), days=1.0)
    assert undefined(figures(plain, 35.5)) == money
    assert set(figures(Calibration.of(range(40), days=1.0), 35.5).known()) == {"alert_share", "alerts_per_day"}
    assert "precision" in undefined(figures(plain, 99))


def full_names(known: Calibration) -> set[str]:
    return set(figures(known, 35.5).known())


def test_labels_without_anomalous_rows() -> None:
    """Where the truth is known and no row is anomalous, alerts are all wrong: precision 0, recall undefined."""
    found = figures(Calibration.of(range(10)), 4.5, labelled=True)
    assert found.precision
    assert found.precision.value == 0
    assert found.recall is None


def test_nothing_at_all() -> None:
    """Without a row no figure is defined, and none fails."""
    assert figures(Calibration.of([]), 1.0).known() == {}
    assert len(curve(Calibration.of([])).thresholds) == 0


def at(drawn: Curve, place: int) -> dict[str, float]:
    names = ("alert_share", "alerts_per_day", "precision", "recall", "f1")
    return {name: float(getattr(drawn, name)[place]) for name in names}


@given(histories(), st.integers(2, 9))
def test_curve(known: Calibration, points: int) -> None:
    """At each threshold the curve has the figures of that threshold; ascending, at most so many, both ends there."""
    drawn = curve(known, points)
    cuts = known.cuts().thresholds
    assert len(drawn.thresholds) <= points
    assert (np.diff(drawn.thresholds) > 0).all()
    assert set(drawn.thresholds) <= set(cuts)
    if len(cuts):
        assert (drawn.thresholds[0], drawn.thresholds[-1]) == (cuts[0], cuts[-1])
    for place, threshold in enumerate(drawn.thresholds):
        wanted = counted(known, threshold)
        assert at(drawn, place) == pytest.approx({name: wanted[name] for name in at(drawn, place)})


def test_curve_of_many_rows() -> None:
    """The points are dense where few rows alert: nearly half of them lie above the 99th percentile."""
    known = Calibration.of(np.random.default_rng(0).lognormal(size=100_000), days=1.0)
    drawn = curve(known)
    assert drawn.alerts_per_day is not None
    assert 350 < len(drawn.thresholds) <= 512
    assert steps(drawn.alerts_per_day).max() < 1.5
    assert (drawn.alerts_per_day < 1000).sum() > 0.45 * len(drawn.thresholds)
    assert (drawn.precision, drawn.recall, drawn.f1) == (None, None, None)


def steps(alerts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ratios of neighbouring counts above a few."""
    some = alerts[alerts > 5]
    return np.asarray(some[:-1] / some[1:])


def test_curve_without_a_time() -> None:
    """Without a time there are no alerts by day."""
    assert curve(Calibration.of([1, 2], [3])).alerts_per_day is None
