"""Who learns from which rows and is judged on which: P1 to P4, so that figures compare.

Rows stand in the order of their protocol; of the normal training rows the last fifth is what a recipe holds out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from detector import table
from tests.benchmarks.detection.figures import (
    Floats,
    Truth,
    best_f1,
    card_precision,
    ranking,
    recall_at_precision,
    verdicts,
)

PRINCIPAL = tuple(f"V{i}" for i in range(1, 29))
CARDS_NORMAL = 284_315
"""Normal rows of the whole credit-card set, of which the file is a sample: 0.173 % of its rows are frauds."""

TEST_BOTS = 40

WINDOWS = tuple(
    f"{entity}_{what}_{days}DAY_WINDOW"
    for entity, whats in (("CUSTOMER_ID", ("NB_TX", "AVG_AMOUNT")), ("TERMINAL_ID", ("NB_TX", "RISK")))
    for days in (1, 7, 30)
    for what in whats
)
HANDBOOK_FEATURES = ("TX_AMOUNT", "TX_DURING_WEEKEND", "TX_DURING_NIGHT", *WINDOWS)
TRAINING_DAYS = (pd.Timestamp("2018-07-11"), pd.Timestamp("2018-07-17"))
TEST_DAYS = (pd.Timestamp("2018-07-25"), pd.Timestamp("2018-07-31"))
LABELS_LATE = pd.Timedelta(days=8)
"""The newest day whose frauds are known on a test day: the book's delay of seven full days between the two."""


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Rows to learn from and rows to be judged on, with the same columns.

    features: the columns that a method without features of its own takes. training, anomalous (n,): rows and which of
    them are labelled anomalous; only a supervised method learns from those, the others may choose a threshold by them.
    test, truth (m,), weights (m,): what is judged, and how often each row counts. days, cards (m,): its groups.
    spare: labelled anomalous rows that are in neither.
    """

    features: tuple[str, ...]
    training: pd.DataFrame
    anomalous: Truth
    test: pd.DataFrame
    truth: Truth
    weights: Floats
    days: NDArray[Any] | None = None
    cards: NDArray[Any] | None = None
    spare: pd.DataFrame = field(default_factory=pd.DataFrame)


Lines = Mapping[str, float]
"""Thresholds by the name of the rule that found them; "own" is the method's."""


@dataclass(frozen=True, slots=True)
class Protocol:
    """A way to compare. recipes: patterns of names. rules: of thresholds found in training rows kept out of the fit."""

    about: str
    split: Callable[[Path, int], Split]
    figures: Callable[[Split, Floats, Lines], dict[str, float]]
    seeds: tuple[int, ...]
    recipes: tuple[str, ...] = ("default",)
    rules: tuple[str, ...] = ()


def cards_split(frame: pd.DataFrame, seed: int) -> Split:
    """P1: half of the normal rows train; the other half and every fraud are judged, at the true prevalence."""
    fraud = frame["Class"].to_numpy() == 1
    first, second = halves(np.random.default_rng(seed).permutation(np.flatnonzero(~fraud)))
    test = np.concatenate((second, np.flatnonzero(fraud)))
    columns = frame[["Time", *PRINCIPAL, "Amount"]]
    return Split(
        features=(*PRINCIPAL, "Amount"),
        training=columns.iloc[first],
        anomalous=np.zeros(len(first), bool),
        test=columns.iloc[test],
        truth=fraud[test],
        weights=np.where(fraud[test], 1.0, CARDS_NORMAL / len(second)),
    )


def beats_split(frame: pd.DataFrame, seed: int) -> Split:
    """P2: a stratified fifth of the heartbeats is judged; frame's last column is 1 for a normal one."""
    *features, label = frame.columns
    normal = frame[label].to_numpy()
    training, test = train_test_split(np.arange(len(frame)), test_size=0.2, stratify=normal, random_state=seed)
    return Split(
        features=tuple(features),
        training=frame[features].iloc[training],
        anomalous=normal[training] != 1,
        test=frame[features].iloc[test],
        truth=normal[test] != 1,
        weights=np.ones(len(test)),
    )


def handbook_split(frame: pd.DataFrame) -> Split:
    """P3: a week trains, a week is judged, with a week between them for labels to arrive in.

    A customer's rows are judged until his fraud is known: one in the training week, or at least LABELS_LATE ago.
    """
    day = frame["TX_DATETIME"].dt.normalize()
    fraud = frame["TX_FRAUD"].to_numpy() == 1
    training = day.between(*TRAINING_DAYS).to_numpy()
    known_on = (day + LABELS_LATE).where(day > TRAINING_DAYS[1], TRAINING_DAYS[1])
    known = known_on[fraud & (day >= TRAINING_DAYS[0]).to_numpy()].groupby(frame["CUSTOMER_ID"]).min()
    unknown = ~(frame["CUSTOMER_ID"].map(known) <= day).to_numpy()
    test = day.between(*TEST_DAYS).to_numpy() & unknown
    features = list(HANDBOOK_FEATURES)
    return Split(
        features=HANDBOOK_FEATURES,
        training=frame.loc[training, features],
        anomalous=fraud[training],
        test=frame.loc[test, features],
        truth=fraud[test],
        weights=np.ones(int(test.sum())),
        days=day[test].to_numpy(),
        cards=frame.loc[test, "CUSTOMER_ID"].to_numpy(),
    )


def accounts_split(frame: pd.DataFrame, seed: int) -> Split:
    """P4: of the English accounts 64 % of the humans train, 16 % are held out, 20 % are judged with 40 bots."""
    from detector.table.accounts import ACCOUNT_FEATURES, account_rows

    rows = account_rows(frame)
    bot = (rows["account_type"] == "bot").to_numpy()
    rng = np.random.default_rng(seed)
    humans, bots = rng.permutation(np.flatnonzero(~bot)), rng.permutation(np.flatnonzero(bot))
    cut = round(0.8 * len(humans))
    test = np.concatenate((humans[cut:], bots[:TEST_BOTS]))
    columns = rows[list(ACCOUNT_FEATURES)]
    return Split(
        features=tuple(ACCOUNT_FEATURES),
        training=columns.iloc[humans[:cut]],
        anomalous=np.zeros(cut, bool),
        test=columns.iloc[test],
        truth=bot[test],
        weights=np.ones(len(test)),
        spare=columns.iloc[bots[TEST_BOTS:]],
    )


def halves(rows: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The first and the second half; the second is the longer one."""
    return rows[: len(rows) // 2], rows[len(rows) // 2 :]


def with_labels(split: Split, seed: int) -> Split:
    """The split for a method that learns from labels, which needs anomalous rows to learn from.

    Where the training has none it gets the spare ones, or else a seeded half of the judged ones; those that are left
    then count twice, so that the prevalence stays.
    """
    if split.anomalous.any():
        return split
    if len(split.spare):
        return _with_more(split, split.spare)
    learned, judged = halves(np.random.default_rng(seed).permutation(np.flatnonzero(split.truth)))
    left = np.sort(np.concatenate((np.flatnonzero(~split.truth), judged)))
    truth = split.truth[left]
    rest = replace(
        split,
        test=split.test.iloc[left],
        truth=truth,
        weights=split.weights[left] * np.where(truth, split.truth.sum() / len(judged), 1.0),
    )
    return _with_more(rest, split.test.iloc[learned])


def _with_more(split: Split, rows: pd.DataFrame) -> Split:
    anomalous = np.concatenate((split.anomalous, np.ones(len(rows), bool)))
    return replace(split, training=pd.concat((split.training, rows)), anomalous=anomalous)


def ranked(split: Split, scores: Floats, lines: Lines) -> dict[str, float]:
    """What needs no threshold."""
    return ranking(scores, split.truth, split.weights)


def _cards_figures(split: Split, scores: Floats, lines: Lines) -> dict[str, float]:
    judged = (scores, split.truth)
    return {
        **ranking(*judged, split.weights),
        "best_f1": best_f1(*judged, split.weights),
        "recall_at_precision_90": recall_at_precision(*judged, 0.9, split.weights),
    }


def _beats_figures(split: Split, scores: Floats, lines: Lines) -> dict[str, float]:
    own, chosen = (verdicts(scores, split.truth, lines[rule]) for rule in ("own", "f1"))
    return {
        "accuracy_own": own["accuracy"],
        "f1_own": own["f1"],
        "accuracy_chosen": chosen["accuracy"],
        "f1_chosen": chosen["f1"],
        **ranking(scores, split.truth),
    }


def _handbook_figures(split: Split, scores: Floats, lines: Lines) -> dict[str, float]:
    assert split.days is not None
    assert split.cards is not None
    groups = (split.days, split.cards)
    return {**ranking(scores, split.truth), "card_precision_100": card_precision(scores, split.truth, *groups)}


def _accounts_figures(split: Split, scores: Floats, lines: Lines) -> dict[str, float]:
    at = verdicts(scores, split.truth, lines["mad:3"])
    return {**ranking(scores, split.truth), **{name: at[name] for name in ("precision", "recall", "accuracy")}}


def _with_log_amount(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(Amount=np.log1p(frame["Amount"]))


def _credit_card(data: Path) -> pd.DataFrame:
    return table.read(data / "creditcard_sample.parquet")


PROTOCOLS: dict[str, Protocol] = {
    "P1": Protocol(
        about="credit cards: half of the normal rows train; at the true prevalence of 0.173 %",
        split=lambda data, seed: cards_split(_credit_card(data), seed),
        figures=_cards_figures,
        seeds=(0, 1, 2, 3, 4),
        recipes=("default", "cards-*"),
    ),
    "P1-log": Protocol(
        about="P1 with log(1 + Amount) for Amount",
        split=lambda data, seed: cards_split(_with_log_amount(_credit_card(data)), seed),
        figures=_cards_figures,
        seeds=(0, 1, 2, 3, 4),
    ),
    "P2": Protocol(
        about="heartbeats (ECG5000): a stratified fifth is judged",
        split=lambda data, seed: beats_split(table.read(data / "ecg.csv.xz"), seed),
        figures=_beats_figures,
        seeds=(0, 1, 2, 3, 4),
        recipes=("default", "ecg-*"),
        rules=("f1",),
    ),
    "P3": Protocol(
        about="Fraud Detection Handbook, chapter 7: a week trains, the week after next is judged; seeds are the fit's",
        split=lambda data, seed: handbook_split(table.read(data / "handbook_features.parquet")),
        figures=_handbook_figures,
        seeds=(0, 1, 2),
    ),
    "P4": Protocol(
        about="Twitter accounts: humans train, humans and 40 bots are judged",
        split=lambda data, seed: accounts_split(table.read(data / "twitter_accounts.parquet"), seed),
        figures=_accounts_figures,
        seeds=(0, 1, 2),
        recipes=("default", "twitter-*"),
        rules=("mad:3",),
    ),
}
