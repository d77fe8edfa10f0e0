"""The detection benchmark judges as its protocols say: who trains, who is judged, what the figures mean."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from detector import table
from detector.errors import DataRefused, Failure
from tests.benchmarks.detection.__main__ import chosen_methods, chosen_protocols, main, parser
from tests.benchmarks.detection.figures import best_f1, card_precision, ranking, recall_at_precision, verdicts
from tests.benchmarks.detection.methods import Outcome, Run, fit_rows, found_lines, methods_of, run
from tests.benchmarks.detection.peer import PEERS, Mahalanobis
from tests.benchmarks.detection.protocols import (
    CARDS_NORMAL,
    HANDBOOK_FEATURES,
    PROTOCOLS,
    TEST_BOTS,
    Split,
    accounts_split,
    beats_split,
    cards_split,
    handbook_split,
    with_labels,
)
from tests.benchmarks.detection.report import as_dict, as_markdown, ranks, spread
from tests.benchmarks.detection.tables import class_as_anomaly, from_file, table_protocols, table_split
from tests.conftest import real
from trainer.simulate import simulated_cards, simulated_ecg

Capture = pytest.CaptureFixture[str]
Column = NDArray[Any]
SCORES, TRUTH = np.array([4.0, 3.0, 2.0, 1.0]), np.array([True, False, True, False])
WEIGHTS = np.where(TRUTH, 1.0, 3.0)


# Figures


def test_ranking_by_hand() -> None:
    """Three of four pairs are in order; precision is 1 at half of the recall, then 2 of 3, or 2 of 2 + 3 weighted."""
    assert ranking(SCORES, TRUTH) == pytest.approx({"auroc": 0.75, "average_precision": 0.5 + 0.5 * 2 / 3})
    assert ranking(SCORES, TRUTH, WEIGHTS) == pytest.approx({"auroc": 0.75, "average_precision": 0.5 + 0.5 * 0.4})


def test_best_f1_by_hand() -> None:
    """Unweighted the third row is worth reaching (precision 2/3, recall 1); with heavy normal rows it is not."""
    assert best_f1(SCORES, TRUTH) == pytest.approx(0.8)
    assert best_f1(SCORES, TRUTH, WEIGHTS) == pytest.approx(2 / 3)


def test_recall_at_precision_by_hand() -> None:
    """The highest recall among thresholds that are precise enough; nothing where none is."""
    assert recall_at_precision(SCORES, TRUTH, 0.9) == 0.5
    assert recall_at_precision(SCORES, TRUTH, 2 / 3) == 1
    assert recall_at_precision(SCORES, TRUTH, 0.6, WEIGHTS) == 0.5
    assert recall_at_precision(np.array([2.0, 1.0]), np.array([False, True]), 0.9) == 0


def test_verdicts_by_hand() -> None:
    """An alert is strictly above; without alerts precision and F1 are 0 and not undefined."""
    assert verdicts(SCORES, TRUTH, 2.0) == {"accuracy": 0.5, "precision": 0.5, "recall": 0.5, "f1": 0.5}
    assert verdicts(SCORES, TRUTH, 9.0) == {"accuracy": 0.5, "precision": 0, "recall": 0, "f1": 0}


def test_card_precision_by_hand() -> None:
    """Card 7 is caught on the first day by its highest score and is not looked at again, so that card 9 comes up."""
    days, cards = np.array([1, 1, 1, 1, 2, 2, 2]), np.array([7, 7, 8, 9, 7, 9, 8])
    scores = np.array([1.0, 9.0, 8.0, 2.0, 9.0, 3.0, 1.0])
    truth = np.array([True, False, False, True, True, True, False])
    assert card_precision(scores, truth, days, cards, top=1) == 1.0
    assert card_precision(scores, truth, days, cards, top=2) == (1 / 2 + 1 / 2) / 2
    assert card_precision(-scores, truth, days, cards, top=1) == (1 + 0) / 2


def book_s(scores: Column, truth: Column, days: Column, cards: Column, top: int) -> float:
    """The book's way, with pandas: group by customer, take the maxima, sort, take the head, leave out the caught."""
    frame = pd.DataFrame({"score": scores, "fraud": truth, "day": days, "card": cards})
    caught: list[int] = []
    shares = []
    for day in sorted(frame["day"].unique()):
        today = frame[(frame["day"] == day) & ~frame["card"].isin(caught)]
        head = today.groupby("card")[["score", "fraud"]].max().sort_values("score", ascending=False).head(top)
        caught += head.index[head["fraud"]].tolist()
        shares.append(head["fraud"].sum() / top)
    return float(np.mean(shares))


rows_of_cards = st.lists(
    st.tuples(st.booleans(), st.integers(0, 3), st.integers(0, 5), st.integers()),
    min_size=1,
    max_size=40,
    unique_by=lambda row: row[3],
)


@given(rows_of_cards)
def test_card_precision_is_the_book_s(rows: list[tuple[bool, int, int, int]]) -> None:
    """Whatever cards, days and frauds: the same as a plain re-telling of the book (scores without ties)."""
    truth, days, cards, order = (np.array(column) for column in zip(*rows, strict=True))
    scores = np.argsort(np.argsort(order)).astype(float)
    assert card_precision(scores, truth, days, cards, top=3) == pytest.approx(book_s(scores, truth, days, cards, top=3))


# Protocols


@pytest.fixture(scope="module")
def cards() -> pd.DataFrame:
    return simulated_cards(2_001, seed=3, fraud_share=0.05)


def check_cards(frame: pd.DataFrame, training: int, judged: int) -> None:
    normal = frame[frame["Class"] == 0]
    order = np.random.default_rng(1).permutation(len(normal))
    split = cards_split(frame, 1)
    pd.testing.assert_frame_equal(split.training, normal.iloc[order[:training]][split.training.columns])
    assert (len(split.training), len(split.test)) == (training, judged)
    assert split.truth.sum() == (frame["Class"] == 1).sum() == split.weights[split.truth].sum()
    assert split.weights[~split.truth].sum() == pytest.approx(CARDS_NORMAL)
    assert not set(split.training.index) & set(split.test.index)
    assert len(split.features) == 29
    assert "Time" not in split.features


def test_cards_real() -> None:
    """P1 on the real rows: 9,285 train; 9,285 and 414 frauds are judged, as if there were 284,315 normal ones."""
    check_cards(table.read(real("creditcard_sample.parquet")), 9_285, 9_285 + 414)


def test_cards(cards: pd.DataFrame) -> None:
    """P1 on simulated rows: the shorter half of the permuted normal rows trains, all others are judged."""
    normal = int((cards["Class"] == 0).sum())
    check_cards(cards, normal // 2, len(cards) - normal // 2)


def check_beats(frame: pd.DataFrame, training: int, judged: int) -> None:
    split, other = beats_split(frame, 0), beats_split(frame, 1)
    assert (len(split.training), len(split.test)) == (training, judged)
    label = frame.columns[-1]
    assert label not in split.features
    assert split.truth.mean() == pytest.approx((frame[label] != 1).mean(), abs=1 / judged)
    assert (split.truth == (frame.loc[split.test.index, label] != 1)).all()
    assert (split.anomalous == (frame.loc[split.training.index, label] != 1)).all()
    assert set(split.training.index) | set(split.test.index) == set(frame.index)
    assert set(split.test.index) != set(other.test.index)


def test_beats_real() -> None:
    """P2 on the real heartbeats: 3,998 train, 1,000 are judged."""
    check_beats(table.read(real("ecg.csv.xz")), 3_998, 1_000)


def test_beats() -> None:
    """P2 on simulated heartbeats: a fifth is judged, with the whole's share of anomalies."""
    check_beats(simulated_ecg(500, 0), 400, 100)


def handbook(customers: int = 40, a_day: int = 60) -> pd.DataFrame:
    """Random transactions from 1 July to 5 August, a twentieth of them frauds."""
    rng = np.random.default_rng(0)
    days = pd.date_range("2018-07-01", "2018-08-05").repeat(a_day)
    frame = pd.DataFrame(rng.normal(size=(len(days), 15)), columns=pd.Index(HANDBOOK_FEATURES))
    seconds = pd.to_timedelta(rng.integers(0, 86_400, len(days)), unit="s")
    who, fraud = rng.integers(0, customers, len(days)), rng.random(len(days)) < 0.05
    return frame.assign(TX_DATETIME=days + seconds, CUSTOMER_ID=who, TX_FRAUD=fraud.astype(int))


def judged_by_the_book(frame: pd.DataFrame) -> list[int]:
    """Rows judged, as the book's loop takes them: each test day it adds the frauds of the day that became known."""
    day = frame["TX_DATETIME"].dt.normalize()
    fraud = frame["TX_FRAUD"] == 1
    known = set(frame.loc[fraud & (day >= "2018-07-11") & (day <= "2018-07-17"), "CUSTOMER_ID"])
    rows: list[int] = []
    for i in range(7):
        newly = pd.Timestamp("2018-07-17") + pd.Timedelta(days=i)
        known |= set(frame.loc[fraud & (day == newly), "CUSTOMER_ID"])
        today = frame[day == pd.Timestamp("2018-07-25") + pd.Timedelta(days=i)]
        rows += today.index[~today["CUSTOMER_ID"].isin(known)].tolist()
    return rows


def test_handbook_real() -> None:
    """P3 on the book's rows: 66,928 train and 58,505 are judged, on seven days."""
    split = handbook_split(table.read(real("handbook_features.parquet")))
    assert (len(split.training), len(split.test)) == (66_928, 58_505)
    assert split.days is not None
    assert len(np.unique(split.days)) == 7
    assert set(HANDBOOK_FEATURES) == set(split.training.columns)


def test_handbook() -> None:
    """P3 on random rows: those of the training week train; judged are those that the book's own loop takes."""
    frame = handbook()
    split = handbook_split(frame)
    assert len(split.training) == 7 * 60
    assert split.test.index.tolist() == judged_by_the_book(frame) != []
    assert split.truth.tolist() == (frame.loc[split.test.index, "TX_FRAUD"] == 1).tolist()
    assert split.cards is not None
    assert split.cards.tolist() == frame.loc[split.test.index, "CUSTOMER_ID"].tolist()


def accounts(humans: int = 300, bots: int = 90, foreign: int = 10) -> pd.DataFrame:
    """Random accounts in the raw file's columns, some of them not in English."""
    rng = np.random.default_rng(0)
    rows = humans + bots + foreign
    flags = ("default_profile", "default_profile_image", "geo_enabled", "verified", "location_known")
    counts = ("favourites_count", "followers_count", "friends_count", "statuses_count", "account_age_days")
    frame = pd.DataFrame(
        {name: rng.random(rows) < 0.5 for name in flags} | {name: rng.integers(1, 5_000, rows) for name in counts}
    )
    kinds = np.repeat(["human", "bot", "human"], [humans, bots, foreign])
    frame = frame.assign(
        created_at="2016-10-15 21:32:11",
        description="Hello #world",
        lang=np.repeat(["en", "fr"], [humans + bots, foreign]),
        average_tweets_per_day=rng.random(rows),
        account_type=kinds,
    )
    return frame.iloc[rng.permutation(rows)].reset_index(drop=True)


def check_accounts(frame: pd.DataFrame, humans: int, bots: int) -> None:
    split = accounts_split(frame, 2)
    training = round(0.8 * humans)
    assert (len(split.training), len(split.test)) == (training, humans - training + TEST_BOTS)
    assert fit_rows(split, "default", PROTOCOLS["P4"]).sum() == round(0.8 * training)
    assert split.truth.sum() == TEST_BOTS
    assert len(split.spare) == bots - TEST_BOTS
    assert len(split.features) == 16
    parts = [set(part.index) for part in (split.training, split.test, split.spare)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == humans + bots


def test_accounts_real() -> None:
    """P4 on the real accounts: of 3,279 humans four fifths train, a fifth of those held out; 40 bots are judged."""
    check_accounts(table.read(real("twitter_accounts.parquet")), 3_279, 1_061)


def test_accounts() -> None:
    """P4 on random accounts: those that are not English are nowhere."""
    check_accounts(accounts(), 300, 90)


def test_labels_for_the_supervised(cards: pd.DataFrame) -> None:
    """Where there is nothing to learn from, half of the judged frauds move over and the rest counts twice."""
    split = cards_split(cards, 0)
    found = with_labels(split, 0)
    moved = int(found.anomalous.sum())
    assert moved == split.truth.sum() // 2
    assert found.truth.sum() == split.truth.sum() - moved
    assert found.weights.sum() == pytest.approx(split.weights.sum())
    assert (~found.truth).sum() == (~split.truth).sum()
    assert not set(found.training.index) & set(found.test.index)
    assert len(found.training) == len(found.anomalous) == len(split.training) + moved
    labelled = beats_split(simulated_ecg(500, 0), 0)
    assert with_labels(labelled, 0) is labelled


def test_spare_rows_are_learned_from_first(cards: pd.DataFrame) -> None:
    """Where anomalous rows are left over, the supervised method gets those and the judged rows stay."""
    split = cards_split(cards, 0)
    spare = split.training.iloc[:3]
    with_spare = Split(**{name: getattr(split, name) for name in Split.__slots__} | {"spare": spare})
    found = with_labels(with_spare, 0)
    assert found.anomalous.sum() == 3
    assert found.test is split.test


# Baselines found again


def mahalanobis_figures(frame: pd.DataFrame, seed: int) -> dict[str, float]:
    split = cards_split(frame.assign(Amount=np.log1p(frame["Amount"])), seed)
    training, test = (part[list(split.features)].to_numpy() for part in (split.training, split.test))
    model = Mahalanobis()
    model.fit((training - training.mean(0)) / training.std(0))
    return PROTOCOLS["P1"].figures(split, model.decision_function((test - training.mean(0)) / training.std(0)), {})


def test_a_baseline_is_found_again_real() -> None:
    """P1 with log(1 + Amount): the Mahalanobis distance has the figures that were measured before."""
    frame = table.read(real("creditcard_sample.parquet"))
    found = pd.DataFrame([mahalanobis_figures(frame, seed) for seed in range(5)]).mean()
    wanted = {"auroc": 0.962, "average_precision": 0.746, "best_f1": 0.783, "recall_at_precision_90": 0.60}
    assert found.to_dict() == pytest.approx(wanted, abs=0.005)
    assert found["auroc"] == pytest.approx(0.962, abs=0.0005)
    assert found["average_precision"] == pytest.approx(0.746, abs=0.0005)


def test_a_baseline(cards: pd.DataFrame) -> None:
    """On simulated rows the same distance tells frauds well, and by what the protocol reports."""
    found = mahalanobis_figures(cards, 0)
    assert set(found) == {"auroc", "average_precision", "best_f1", "recall_at_precision_90"}
    assert found["auroc"] > 0.8


# Small tables


def test_small_tables_of_scikit_learn() -> None:
    """Each has one thinned class of anomalies, and the same ones every time."""
    from sklearn.datasets import load_iris

    rows, truth = class_as_anomaly(load_iris, 1)
    assert rows.shape == (105, 4)
    assert truth.sum() == 5
    assert (rows == class_as_anomaly(load_iris, 1)[0]).all()
    split = table_split((rows, truth), 0)
    assert (len(split.training), len(split.test)) == (50, 55)
    names = [name for name in table_protocols(None) if name.startswith("small/digits-")]
    assert len(names) == 10


def test_constant_columns_are_left_out() -> None:
    """A column that does not vary in the training rows is no feature."""
    rows = np.column_stack([np.arange(10.0), np.ones(10)])
    assert table_split((rows, np.arange(10) > 7), 0).features == ("x0",)


def test_tables_of_a_folder(tmp_path: Path) -> None:
    """Every .npz of a folder is a table, judged as its labels say."""
    np.savez(tmp_path / "mine.npz", X=np.arange(40.0).reshape(20, 2), y=np.arange(20) > 16)
    found = table_protocols(tmp_path)["small/mine"].split(Path(), 0)
    assert (len(found.training), int(found.truth.sum())) == (8, 3)


@pytest.mark.parametrize(
    ("arrays", "wanted"),
    [
        ({"X": np.ones((3, 2))}, "y is not a file"),
        ({"X": np.ones(3), "y": np.ones(3)}, r"X \(3,\) and y \(3,\)"),
        ({"X": np.ones((3, 2)), "y": np.ones(4)}, r"X \(3, 2\) and y \(4,\)"),
        ({"X": np.full((1, 2), np.nan), "y": np.ones(1)}, "finite"),
    ],
)
def test_a_table_that_is_none(arrays: dict[str, np.ndarray], wanted: str, tmp_path: Path) -> None:
    """A file without rows and their truth is refused with its name."""
    np.savez(tmp_path / "odd.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(DataRefused, match=rf"odd\.npz: .*{wanted}"):
        from_file(tmp_path / "odd.npz")


# Methods


def test_methods_of_a_protocol() -> None:
    """A recipe is tried where it is meant for, a peer everywhere; the supervised one on no small table."""
    assert {"default", "cards-30-14-7-4"} <= set(methods_of("P1", PROTOCOLS["P1"]))
    assert "ecg-msle" not in methods_of("P1", PROTOCOLS["P1"])
    assert {"default", "ecg-msle"} <= set(methods_of("P2", PROTOCOLS["P2"]))
    assert set(methods_of("P3", PROTOCOLS["P3"])) == {"default", *PEERS}
    small = table_protocols(None)["small/wdbc"]
    assert set(methods_of("small/wdbc", small)) == {"default", *PEERS} - {"hist-gradient-boosting"}


@pytest.mark.parametrize(
    ("method", "rules", "wanted"),
    [
        ("default", "P1", [1, 1, 0, 1, 1, 0, 0]),
        ("knn", "P1", [1, 1, 0, 1, 1, 0, 1]),
        ("knn", "P2", [1, 1, 0, 1, 1, 0, 0]),
        ("hist-gradient-boosting", "P1", [1, 1, 1, 1, 1, 1, 1]),
        ("hist-gradient-boosting", "P2", [1, 1, 1, 1, 1, 1, 0]),
    ],
)
def test_rows_of_the_fit(method: str, rules: str, wanted: list[int]) -> None:
    """Recipes hold out the last fifth of the normal rows, peers where a threshold is wanted; only one learns frauds."""
    anomalous = np.array([False, False, True, False, False, True, False])
    split = Split(("a",), pd.DataFrame(), anomalous, pd.DataFrame(), anomalous, anomalous.astype(float))
    assert fit_rows(split, method, PROTOCOLS[rules]).tolist() == wanted


def test_the_chosen_threshold_has_the_best_f1() -> None:
    """Rule f1: no cut between kept rows has a higher F1 at the training rows' prevalence."""
    rng = np.random.default_rng(0)
    anomalous = rng.random(400) < 0.3
    fit = ~anomalous & (rng.random(400) < 0.8)
    kept = (rng.normal(size=400) + anomalous)[~fit].astype(np.float32)
    kind = anomalous[~fit]
    weights = np.where(kind, 1.0, (~anomalous).sum() / (~kind).sum())
    line = found_lines(("f1",), kept, anomalous, fit)["f1"]

    def f1_at(cut: float) -> float:
        right, alerts = weights[(kept > cut) & kind].sum(), weights[kept > cut].sum()
        return float(2 * right / (alerts + kind.sum()))

    assert f1_at(line) == pytest.approx(max(f1_at(float(score)) for score in np.sort(kept)[:-1]))
    assert found_lines((), kept, anomalous, fit) == {}


def test_a_peer_in_its_own_process() -> None:
    """A peer's scores come back from its process and are judged, with seconds and memory; not the parent's memory."""
    protocol = table_protocols(None)["small/wine-1"]
    found = run(Run("small/wine-1", "mahalanobis", 0), protocol, protocol.split(Path(), 0))
    assert found.figures["auroc"] > 0.9
    assert found.seconds >= 0
    assert found.megabytes is None or 5 < found.megabytes < 150


@pytest.mark.long
def test_a_recipe_in_its_own_process(cards: pd.DataFrame) -> None:
    """A recipe is built by the trainer on the protocol's rows, holds out the last of them, and is scored as served."""
    protocol = PROTOCOLS["P1"]
    found = run(Run("P1", "cards-30-14-7-4", 0, epochs=1), protocol, cards_split(cards, 0))
    assert set(found.figures) == {"auroc", "average_precision", "best_f1", "recall_at_precision_90"}
    assert (found.rule, found.epochs) == ("percentile:99.5", 1)


def test_a_process_that_fails() -> None:
    """Its last line is told with protocol, method and seed."""
    protocol = table_protocols(None)["small/iris-0"]
    with pytest.raises(Failure, match=r"^small/iris-0 knn seed 3: exit code 1$"):
        run(Run("small/iris-0", "knn", 3, peers_python="false"), protocol, protocol.split(Path(), 3))


# Report and command line


def outcome(protocol: str, method: str, seed: int, auroc: float, epochs: int | None = None) -> Outcome:
    return Outcome(protocol, method, seed, {"auroc": auroc, "average_precision": 0.5}, 2.0, 100.4, "f1", epochs)


ABOUT = {"machine": "2 x abacus", "begun_at": "now"}


def test_markdown_of_a_protocol() -> None:
    """A row for each method: mean and spread, seconds, highest peak; short fits stand apart; failures come last."""
    outcomes = [outcome("P3", "default", 0, 0.8), outcome("P3", "default", 1, 0.9), outcome("P3", "default", 0, 0.7, 2)]
    text = as_markdown(outcomes, ["P3 knn seed 0: no"], PROTOCOLS, ABOUT)
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    assert ["default", "0.850 ± 0.071", "0.500 ± 0.000", "0, 1", "2.0", "100"] in lines
    assert ["default (epochs ≤ 2)", "0.700", "0.500", "0", "2.0", "100"] in lines
    assert ["before: the book's autoencoder", ".836", ".180", "", "", ""] in lines
    assert text.startswith("Measured on 2 x abacus.")
    assert text.endswith("## Failed\n\n- P3 knn seed 0: no\n")
    assert len({len(line) for line in text.splitlines() if line.startswith("|")}) == 1


def test_markdown_of_small_tables() -> None:
    """One table for all, with mean and mean rank over the tables that every method was tried on."""
    outcomes = [
        outcome(f"small/{name}", method, 0, auroc)
        for name, method, auroc in [
            ("a", "knn", 0.9),
            ("a", "ecod", 0.7),
            ("b", "knn", 0.6),
            ("b", "ecod", 0.8),
            ("c", "knn", 0.1),
        ]
    ]
    text = as_markdown(outcomes, [], {}, ABOUT)
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    assert ["c", "0.100", ""] in lines
    assert ["mean of 2", "0.750", "0.750"] in lines
    assert lines.count(["mean rank", "1.50", "1.50"]) == 2


def test_ranks_and_spread() -> None:
    """The highest is first and equals share a rank; one figure has no spread."""
    assert ranks(np.array([[0.1, 0.9, 0.9, 0.5]])).tolist() == [[4, 1.5, 1.5, 3]]
    assert (spread([0.5]), spread([0.4, 0.6])) == ("0.500", "0.500 ± 0.141")


def test_json_keeps_every_run() -> None:
    """JSON has each run with all digits, what failed, and the machine."""
    found = json.loads(json.dumps(as_dict([outcome("P1", "knn", 4, 1 / 3)], ["x"], ABOUT)))
    assert found["runs"][0]["figures"]["auroc"] == 1 / 3
    assert (found["machine"], found["failures"]) == ("2 x abacus", ["x"])


def test_command(tmp_path: Path, capsys: Capture) -> None:
    """The command prints what it also writes; a method that fails is told, the others go on, and the exit code is 1."""
    order = ["--protocols", "small/iris-0,small/wine-0", "--methods", "mahalanobis,knn", "--seeds", "0"]
    assert main([*order, "--peers-python", "false", "--out", str(tmp_path / "found.json")]) == 1
    out, err = capsys.readouterr()
    assert out == (tmp_path / "found.md").read_text()
    found = json.loads((tmp_path / "found.json").read_text())
    assert [one["method"] for one in found["runs"]] == ["mahalanobis"] * 2
    assert len(found["failures"]) == err.count("failed: ") == 2


def test_peers_are_left_out_aloud(capsys: Capture) -> None:
    """Where their interpreter is not given PyOD's peers are left out, and stderr says which."""
    found = chosen_methods("P3", PROTOCOLS["P3"], parser().parse_args([]))
    assert found == ["default", "mahalanobis", "hist-gradient-boosting"]
    assert capsys.readouterr().err == "P3: without iforest, ecod, knn, autoencoder, which need --peers-python\n"
    assert "knn" in chosen_methods("P3", PROTOCOLS["P3"], parser().parse_args(["--peers-python", "false"]))


def refusals(tmp_path: Path) -> dict[str, tuple[list[str], int]]:
    return {
        "protocol 'P9' is none of P1": (["--protocols", "P9"], 2),
        "method 'magic' is none of default": (["--methods", "magic"], 2),
        "method 'knn' needs --peers-python": (["--methods", "knn"], 2),
        "peers-python 'no-such-python' is no program": (["--peers-python", "no-such-python"], 2),
        "none suits protocols P3": (["--protocols", "P3", "--methods", "ecg-msle"], 2),
        "a .json file in a folder": (["--out", str(tmp_path / "found.txt")], 2),
        "no such folder": (["--tables", str(tmp_path / "none")], 8),
        "no such file": (["--protocols", "P1", "--methods", "mahalanobis", "--data", str(tmp_path)], 8),
    }


@pytest.mark.parametrize("wanted", refusals(Path()))
def test_refusals(wanted: str, tmp_path: Path, capsys: Capture) -> None:
    """What cannot be run is refused before the first fit, in one line."""
    arguments, code = refusals(tmp_path)[wanted]
    assert main(arguments) == code
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert wanted in err


def test_small_stands_for_all_small_tables() -> None:
    """`small` is every small table, and one can be named alone."""
    assert set(chosen_protocols(["small"], None)) == set(table_protocols(None))
    assert set(chosen_protocols(["P1", "small/wdbc"], None)) == {"P1", "small/wdbc"}
