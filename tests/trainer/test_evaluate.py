"""Figures of scores against labels are scikit-learn's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from detector.calibration import Calibration
from tests.arrays import f32
from trainer.__main__ import main
from trainer.evaluate import as_text, evaluate
from trainer.tradeoff import figures

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


def test_intervals() -> None:
    """Each figure that is defined has an interval, those of a threshold being the ones of `trainer.tradeoff`."""
    rng = np.random.default_rng(0)
    truth = np.arange(1000) >= 900
    scores = f32(rng.normal(size=1000) + 2 * truth)
    found = evaluate(scores, truth, 1.5, days=2.0, amount="eur", amounts=np.arange(1000.0))
    wanted = figures(
        Calibration.of(
            scores[~truth],
            scores[truth],
            days=2.0,
            amount="eur",
            held_out_amounts=np.arange(900.0),
            anomalous_amounts=np.arange(900.0, 1000.0),
        ),
        1.5,
    ).known()
    assert set(found.intervals) == {"auroc", "average_precision", *wanted}
    for name, one in wanted.items():
        assert getattr(found, name) == one.value
        assert found.intervals[name] == [one.low, one.high]
    for name in found.intervals:
        low, high = found.intervals[name]
        assert low < getattr(found, name) < high


def test_rates_and_money() -> None:
    """Alerts and amounts are told by day where there is a time, and as a share where there is none."""
    scores, truth = f32([1, 2, 3, 4]), np.array([False, False, True, True])
    found = evaluate(scores, truth, 3.5, days=2.0, amount="eur", amounts=np.array([1.0, 2, 30, 10]))
    assert (found.alerts_per_day, found.false_alerts_per_day, found.alert_share) == (0.5, 0, 0.25)
    assert (found.caught_per_day, found.missed_per_day, found.caught_share) == (5, 15, 0.25)
    text = as_text(found)
    assert "  alerts a day                0.500 [0, 1.00]\n" in text
    assert "  eur caught a day            5.00 [" in text
    timeless = evaluate(scores, truth, 3.5, amount="eur", amounts=np.array([1.0, 2, 30, 10]))
    assert (timeless.alerts_per_day, timeless.caught_per_day, timeless.caught_share) == (None, None, 0.25)
    assert "a day" not in as_text(timeless)
    assert "share of eur caught   0.2500 [" in as_text(timeless)
    plain = evaluate(scores, truth, 3.5)
    assert (plain.amount, plain.caught_share) == (None, None)


def test_as_plain_values() -> None:
    """As JSON the figures come back as they were, intervals under their names."""
    found = evaluate(f32([1, 2, 3, 4]), np.array([False, True, False, True]), 2.5, days=1.0)
    plain = json.loads(json.dumps(found.to_dict()))
    assert plain == found.to_dict()
    assert plain["intervals"]["auroc"] == found.intervals["auroc"]
    assert plain["caught_per_day"] is None


def test_text() -> None:
    """The text for a person has every figure, and says which is undefined."""
    text = as_text(evaluate(f32([1, 2, 3]), np.array([False, False, False]), 2.0))
    assert "3 rows, 0 anomalous, threshold 2" in text
    assert text.count("undefined") == 3
    assert "\n  precision           0.0000 [0.0000, 0.0000]\n" in text
    assert text.splitlines()[-2:] == [
        "  anomalous             0             0",
        "  normal                1             2",
    ]


def told(capture: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    """What `evaluate --json` prints."""
    assert main(["evaluate", *map(str, arguments), "--json"]) == 0
    found: dict[str, Any] = json.loads(capture.readouterr().out)
    return found


@pytest.fixture
def file(unseen_cards: pd.DataFrame, tmp_path: Path) -> Path:
    """400 labelled rows as Parquet."""
    unseen_cards.head(400).assign(euro=2.0).to_parquet(tmp_path / "rows.parquet")
    return tmp_path / "rows.parquet"


def test_time_and_amount_of_the_command(file: Path, artifact_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`evaluate` takes the artifact's time and amount column where the data have them, those that are said, or none."""
    rows = pd.read_parquet(file)
    seconds = np.unique(rows["Time"])
    span = (seconds[-1] - seconds[0] + np.diff(seconds).min()) / 86_400
    found = told(capsys, artifact_dir, file)
    alerts = found["true_positives"] + found["false_positives"]
    assert found["amount"] == "Amount"
    assert found["alerts_per_day"] == pytest.approx(alerts / span)
    assert found["caught_per_day"] + found["missed_per_day"] == pytest.approx(
        rows["Amount"][rows["Class"] == 1].sum() / span
    )
    euro = told(capsys, artifact_dir, file, "--amount", "euro")
    assert euro["caught_per_day"] == pytest.approx(2 * euro["true_positives"] / span)
    none = told(capsys, artifact_dir, file, "--amount", "none", "--time", "none")
    assert (none["amount"], none["alerts_per_day"], none["caught_share"]) == (None, None, None)
    assert none["precision"] == found["precision"]
    rows.drop(columns="Time").to_parquet(file)
    timeless = told(capsys, artifact_dir, file)
    assert (timeless["alerts_per_day"], timeless["caught_share"]) == (None, found["caught_share"])


@pytest.mark.parametrize(
    ("order", "wanted"),
    [
        (["--amount", "price"], "amount column 'price' is not in the data"),
        (["--time", "when"], "time column 'when' is not in the data"),
    ],
)
def test_columns_that_are_absent(
    order: list[str], wanted: str, file: Path, artifact_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A time or amount column that was asked for and is absent is refused by name."""
    assert main(["evaluate", str(artifact_dir), str(file), *order]) == 8
    assert wanted in capsys.readouterr().err
