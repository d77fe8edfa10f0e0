"""Rules of the simulated cards and heartbeats."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from trainer import simulate

REAL_DATA = Path(__file__).parents[2].parent / "shared" / "data"
FEATURES = list(simulate.CARD_FEATURES)
SAMPLES = [f"c{number}" for number in range(140)]
Floats = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def cards() -> pd.DataFrame:
    return simulate.simulated_cards(20_000, seed=3)


@pytest.fixture(scope="module")
def many_frauds() -> pd.DataFrame:
    """So many frauds that chance hardly moves their figures."""
    return simulate.simulated_cards(20_000, seed=4, fraud_share=0.25)


@pytest.fixture(scope="module")
def ecg() -> pd.DataFrame:
    return simulate.simulated_ecg(4_000, seed=5)


def area_under_roc(scores: Floats, positive: npt.NDArray[np.bool_]) -> float:
    """The chance that a positive row scores above a negative one."""
    ranks = pd.Series(scores).rank().to_numpy()
    count = int(positive.sum())
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * (len(scores) - count)))


def mahalanobis(values: Floats, reference: Floats) -> Floats:
    away = values - reference.mean(axis=0)
    return np.asarray((away * np.linalg.solve(np.cov(reference, rowvar=False), away.T).T).sum(axis=1))


def table_share_below(label: int, feature: str, points: Floats) -> Floats:
    """The share of a class's rows under each point, after the quantiles of all its strata in the fitted table."""
    strata: list[dict[str, Any]] = [one for one in simulate.cards_table()["strata"] if one["class"] == label]
    shares = [
        one["share"] * np.interp(points, one["quantiles"][feature], one["probabilities"], left=0, right=1)
        for one in strata
    ]
    return np.asarray(np.sum(shares, axis=0))


def test_cards_have_the_columns_of_the_original(cards: pd.DataFrame) -> None:
    """Columns are Time, V1..V28, Amount, Class; all floats but Class, which is 0 or 1; nothing is missing."""
    assert list(cards.columns) == ["Time", *FEATURES, "Class"]
    assert len(cards) == 20_000
    assert all(cards[name].dtype == np.float64 for name in ["Time", *FEATURES])
    assert cards["Class"].dtype == np.int64
    assert set(cards["Class"]) == {0, 1}
    assert np.isfinite(cards.to_numpy()).all()


def test_cards_amounts_are_money(cards: pd.DataFrame) -> None:
    """No Amount is negative and none has more than two decimals."""
    assert (cards["Amount"] >= 0).all()
    assert np.array_equal(cards["Amount"], cards["Amount"].round(2))


def test_cards_times_ascend_from_zero(cards: pd.DataFrame) -> None:
    """Time counts whole seconds from the first row, never falls, and fills about one day in a small frame."""
    assert cards["Time"].iloc[0] == 0
    assert cards["Time"].is_monotonic_increasing
    assert np.array_equal(cards["Time"], np.floor(cards["Time"]))
    assert 0.95 * simulate.DAY_SECONDS < cards["Time"].iloc[-1] < simulate.DAY_SECONDS


def test_cards_span_grows_with_rows() -> None:
    """From half of the original's rows on, time runs at the original's rate: 284,807 rows in two days."""
    frame = simulate.simulated_cards(simulate.ORIGINAL_ROWS)
    assert frame["Time"].iloc[-1] == pytest.approx(simulate.ORIGINAL_SECONDS, rel=0.01)
    assert frame["Class"].sum() == 493


def test_cards_are_the_same_for_the_same_seed() -> None:
    """The same rows and seed give exactly the same frame; another seed gives another."""
    first = simulate.simulated_cards(3_000, seed=7)
    pd.testing.assert_frame_equal(first, simulate.simulated_cards(3_000, seed=7), check_exact=True)
    assert not np.array_equal(first["V1"], simulate.simulated_cards(3_000, seed=8)["V1"])


@pytest.mark.parametrize(
    ("rows", "share", "frauds"),
    [(60_000, 0.00173, 104), (1_000, 0.0001, 1), (999, 0.0001, 0), (2_000, 0.0, 0), (50, 1.0, 50), (1, 0.00173, 0)],
)
def test_cards_fraud_count(rows: int, share: float, frauds: int) -> None:
    """Frauds are the rounded share, at least one from 1,000 rows on, and none if none is asked for."""
    frame = simulate.simulated_cards(rows, fraud_share=share)
    assert len(frame) == rows
    assert frame["Class"].sum() == frauds


@pytest.mark.parametrize(("label", "tolerance"), [(0, 0.02), (1, 0.03)])
def test_cards_quantiles_follow_the_table(many_frauds: pd.DataFrame, label: int, tolerance: float) -> None:
    """Each V feature's distribution is within a small Kolmogorov distance of the table's, in each class."""
    rows = many_frauds[many_frauds["Class"] == label]
    for feature in FEATURES[:-1]:
        ordered = np.sort(rows[feature].to_numpy())
        share = (np.arange(len(ordered)) + 0.5) / len(ordered)
        assert np.abs(table_share_below(label, feature, ordered) - share).max() < tolerance, feature


def test_cards_amounts_follow_the_table(many_frauds: pd.DataFrame) -> None:
    """Between its round prices, the Amount of a normal row lies below a value as often as the table says."""
    points = np.array([4.5, 22.22, 71.7, 210.3, 1111.1])
    amounts = np.sort(many_frauds.loc[many_frauds["Class"] == 0, "Amount"].to_numpy())
    share = np.searchsorted(amounts, points) / len(amounts)
    assert share == pytest.approx(table_share_below(0, "Amount", points), abs=0.015)


def test_cards_show_the_rhythm_of_the_day(cards: pd.DataFrame) -> None:
    """The busy hours, 9 to 21, hold several times as many rows an hour as the quiet ones, 2 to 6."""
    hour = (cards["Time"] % simulate.DAY_SECONDS // simulate.HOUR_SECONDS).to_numpy()
    busy = ((hour >= 9) & (hour < 21)).sum() / 12
    quiet = ((hour >= 2) & (hour < 6)).sum() / 4
    assert 3 < busy / quiet < 10


def test_cards_extremes_come_together(cards: pd.DataFrame) -> None:
    """A normal row extreme in one feature is extreme in others: mixing each column among rows thins the far tail."""
    values = cards.loc[cards["Class"] == 0, FEATURES].to_numpy()
    squares = ((values - values.mean(axis=0)) / values.std(axis=0)) ** 2
    mixed = np.random.default_rng(0).permuted(squares, axis=0)
    assert np.quantile(squares.sum(axis=1), 0.999) > 1.5 * np.quantile(mixed.sum(axis=1), 0.999)


def test_cards_frauds_keep_their_correlations(many_frauds: pd.DataFrame) -> None:
    """V16, V17 and V18 of the frauds rise and fall together, as they do in the original."""
    frauds = many_frauds.loc[many_frauds["Class"] == 1, ["V16", "V17", "V18"]]
    assert frauds.rank().corr().to_numpy().min() > 0.7


def test_cards_frauds_are_separable_but_not_trivially(many_frauds: pd.DataFrame) -> None:
    """Distance from the normal rows ranks most frauds above them, and leaves some among them (real sample: .96)."""
    values, fraud = many_frauds[FEATURES].to_numpy(), (many_frauds["Class"] == 1).to_numpy()
    normal_places = np.flatnonzero(~fraud)
    train = np.isin(np.arange(len(values)), normal_places[::2])
    scores = mahalanobis(values, values[train])
    assert 0.85 < area_under_roc(scores[~train], fraud[~train]) < 0.99


def test_cards_are_made_quickly() -> None:
    """60,000 rows take well under two seconds."""
    start = time.perf_counter()
    simulate.simulated_cards(60_000)
    assert time.perf_counter() - start < 2


def test_table_names_its_source_and_keeps_no_rows() -> None:
    """The table says where it is from and under what licence, and holds but few values for each feature."""
    table = simulate.cards_table()
    assert "Kaggle mlg-ulb/creditcardfraud, OpenML 1597" in table["source"]
    assert table["licence"] == "DbCL/ODbL as its publishers state"
    assert "no rows" in table["kept"]
    for stratum in table["strata"]:
        assert len(stratum["quantiles"]["V1"]) == len(stratum["probabilities"]) < stratum["rows"] / 2


def test_table_text_is_the_table() -> None:
    """Setting each list on one line changes the looks of the JSON and nothing else."""
    table = simulate.cards_table()
    assert json.loads(simulate.text_of_table(table)) == table


def test_table_can_be_remade_from_the_real_sample() -> None:
    """Fitting the published sample gives the kept file, to the letter."""
    path = REAL_DATA / "creditcard_sample.parquet"
    if not path.exists():
        pytest.skip("the real sample ../shared/data/creditcard_sample.parquet is absent, so the table is not remade")
    remade = simulate.text_of_table(simulate.fit_cards_table(pd.read_parquet(path)))
    kept = Path(simulate.__file__).with_name("simulated_cards.json").read_text(encoding="utf-8")
    assert remade == kept


def test_table_fitted_on_simulated_cards_comes_close() -> None:
    """Fitting what was simulated gives nearly the table that it was simulated from: its hours and medians."""
    table: dict[str, Any] = simulate.fit_cards_table(simulate.simulated_cards(simulate.ORIGINAL_ROWS, seed=1))
    kept = simulate.cards_table()
    hourly = np.array(table["hourly_share"]["normal"])
    assert hourly == pytest.approx(np.array(kept["hourly_share"]["normal"]), abs=0.003)
    for made, known in zip(table["strata"][:2], kept["strata"][:2], strict=True):
        middle, expected = (
            [np.interp(0.5, one["probabilities"], one["quantiles"][name]) for name in FEATURES[:-1]]
            for one in (made, known)
        )
        assert np.abs(np.subtract(middle, expected)).mean() < 0.05


def test_ecg_has_the_columns_of_the_original(ecg: pd.DataFrame) -> None:
    """Columns are c0..c139 as floats and label as 0 or 1; each beat has mean 0 and variance 1."""
    assert list(ecg.columns) == [*SAMPLES, "label"]
    assert len(ecg) == 4_000
    assert ecg["label"].dtype == np.int64
    values = ecg[SAMPLES].to_numpy()
    assert values.dtype == np.float64
    assert values.mean(axis=1) == pytest.approx(0, abs=1e-9)
    assert values.std(axis=1, ddof=1) == pytest.approx(1)


def test_ecg_labels_have_the_share_asked_for_and_are_shuffled(ecg: pd.DataFrame) -> None:
    """The share of normal rows is as asked for, and each quarter of the rows has about that share."""
    assert ecg["label"].mean() == pytest.approx(0.584)
    quarters = ecg["label"].to_numpy().reshape(4, -1).mean(axis=1)
    assert quarters == pytest.approx(0.584, abs=0.06)
    assert simulate.simulated_ecg(10, normal_share=1.0)["label"].sum() == 10


def test_ecg_is_the_same_for_the_same_seed() -> None:
    """The same rows and seed give exactly the same frame; another seed gives another."""
    first = simulate.simulated_ecg(200, seed=7)
    pd.testing.assert_frame_equal(first, simulate.simulated_ecg(200, seed=7), check_exact=True)
    assert not np.array_equal(first["c0"], simulate.simulated_ecg(200, seed=8)["c0"])


def test_ecg_normal_beat_shows_its_waves(ecg: pd.DataFrame) -> None:
    """The mean normal beat peaks at R near the middle, with a P before it, an S dip and a T after it."""
    mean = ecg.loc[ecg["label"] == 1, SAMPLES].mean().to_numpy()
    peak = int(mean.argmax())
    assert 65 < peak < 75
    assert mean[40:55].max() > mean[10] + 0.5
    assert mean[peak : peak + 12].min() < mean[10]
    assert mean[95:115].max() > mean[130] + 1


def test_ecg_makes_every_kind_evenly(ecg: pd.DataFrame) -> None:
    """Every kind of anomaly is made, as often as any other, and the label is 1 for normal beats alone."""
    kinds = simulate.ecg_kinds(4_000, seed=5)
    assert set(kinds) == set(simulate.ECG_KINDS)
    assert np.array_equal(kinds == "normal", ecg["label"] == 1)
    counts = pd.Series(kinds[kinds != "normal"]).value_counts()
    assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize("kind", simulate.ECG_KINDS[1:])
def test_ecg_each_kind_differs_from_normal(ecg: pd.DataFrame, kind: str) -> None:
    """What eight components of normal beats leave unexplained ranks most beats of each kind above normal ones."""
    kinds, left = simulate.ecg_kinds(4_000, seed=5), unexplained(ecg)
    chosen = np.isin(kinds, ["normal", kind])
    assert area_under_roc(left[chosen], kinds[chosen] == kind) > 0.8


def test_ecg_anomalies_are_separable_to_a_degree(ecg: pd.DataFrame) -> None:
    """Taken together, anomalies stand out from normal beats without every one of them doing so (real set: .986)."""
    area = area_under_roc(unexplained(ecg), (ecg["label"] == 0).to_numpy())
    assert 0.9 < area < 0.998


def unexplained(ecg: pd.DataFrame) -> Floats:
    """Each beat's squared distance from the plane of the first eight components of half of the normal beats."""
    reference = ecg.loc[ecg["label"] == 1, SAMPLES].to_numpy()[::2]
    components = np.linalg.svd(reference - reference.mean(axis=0), full_matrices=False)[2][:8]
    away = ecg[SAMPLES].to_numpy() - reference.mean(axis=0)
    return np.asarray(((away - away @ components.T @ components) ** 2).sum(axis=1))


@pytest.mark.parametrize("rows", [0, -5])
@pytest.mark.parametrize("make", [simulate.simulated_cards, simulate.simulated_ecg, simulate.ecg_kinds])
def test_refuses_no_rows(make: Any, rows: int) -> None:
    """Fewer than one row is refused, and the message says what was asked for."""
    with pytest.raises(ValueError, match=f"rows must be 1 or more, not {rows}"):
        make(rows)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_refuses_shares_outside_zero_to_one(share: float) -> None:
    """A share that is no share is refused by its name."""
    with pytest.raises(ValueError, match="fraud_share must be between 0 and 1"):
        simulate.simulated_cards(100, fraud_share=share)
    with pytest.raises(ValueError, match="normal_share must be between 0 and 1"):
        simulate.simulated_ecg(100, normal_share=share)
