"""The data sets in motion: the order, times, keys and labels in which their rows are sent."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from detector import table
from detector.errors import DataRefused, UsageError
from detector.kafka import Record
from detector.schema import Schema
from detector.table.accounts import ACCOUNT_FEATURES, account_rows
from replay.__main__ import main
from replay.encoding import encoded, encoder
from replay.pipeline import played
from replay.source import Files
from tests.accounts import accounts
from tests.conftest import real
from tests.replay.made import World, asked, files, replay, row_id, whole
from trainer.simulate import simulated_cards, simulated_ecg

ROWS = 2_000
START = pd.Timestamp("2018-04-01")


def head(name: str, rows: int = ROWS) -> pd.DataFrame:
    """The first rows of a file of real ones."""
    return next(table.chunks(real(name), None, rows))


def handbook_rows() -> pd.DataFrame:
    """Transactions in the shape of the Handbook's, some at the same second."""
    rng = np.random.default_rng(0)
    seconds = np.sort(rng.integers(0, ROWS * 2, ROWS))
    return pd.DataFrame(
        {
            "TRANSACTION_ID": np.arange(ROWS),
            "TX_DATETIME": START + pd.to_timedelta(seconds, unit="s"),
            "CUSTOMER_ID": rng.integers(0, 300, ROWS),
            "TERMINAL_ID": rng.integers(0, 500, ROWS),
            "TX_AMOUNT": rng.exponential(50, ROWS).round(2),
            "TX_FRAUD": (rng.random(ROWS) < 0.02).astype(int),
        }
    )


def account_table() -> pd.DataFrame:
    """Made-up accounts, the oldest last."""
    created = ["2020-01-21 12:00:00", "2020-01-11 06:00:00", "2020-01-01 00:00:00"]
    return accounts(created_at=created)


def written(frame: pd.DataFrame, path: Path) -> Path:
    """The rows in another order than that of their times."""
    frame.sample(frac=1, random_state=0).reset_index(drop=True).to_parquet(path, index=False)
    return path


def sent(history: Files, **given: Any) -> World:
    """What is sent of it with its own times, and the labels beside."""
    assert history.columns is not None
    chosen = asked(**given)
    rows = whole(encoded(encoder(chosen.format, history.columns))(played(history, chosen)))
    world = World()
    summary = replay(world, rows, labels="truth", original=rows.event is not None, format=chosen.format).run()
    assert summary.failed == 0
    return world


def truths(world: World) -> list[tuple[str, int, int]]:
    """The labels in their order: row, truth, timestamp."""
    found = [(json.loads(record.value or b""), stamp) for _, record, stamp in world.labels()]
    return [(label["row_id"], label["label"], stamp) for label, stamp in found]


def in_order(world: World, frame: pd.DataFrame, milliseconds: Sequence[int], truth: Sequence[int]) -> None:
    """Asserts that rows and labels come by time, ties as in the file, with their own times."""
    order = np.argsort(np.asarray(milliseconds), kind="stable").tolist()
    assert world.order() == [str(row) for row in order]
    assert [stamp for _, _, stamp in world.rows()] == [max(milliseconds[row], 1) for row in order]
    assert truths(world) == [(str(row), truth[row], max(milliseconds[row], 1)) for row in order]
    assert len(order) == len(frame)


def records(world: World) -> list[Record]:
    return [record for _, record, _ in world.rows()]


@pytest.mark.parametrize("transactions", [handbook_rows, lambda: head("handbook_transactions.parquet")])
def test_handbook_transactions(tmp_path: Path, transactions: Any) -> None:
    """The Handbook's transactions go by their date and time under their customer, TX_FRAUD beside them."""
    history = files(path := written(transactions(), tmp_path / "transactions.parquet"))
    columns, frame = history.columns, pd.read_parquet(path)
    assert (columns.key, columns.time, columns.label, columns.normal) == ("CUSTOMER_ID", "TX_DATETIME", "TX_FRAUD", "0")
    world = sent(history)
    moments = frame["TX_DATETIME"].astype("datetime64[ms]").astype("int64").tolist()
    in_order(world, frame, moments, frame["TX_FRAUD"].tolist())
    keys = [str(frame["CUSTOMER_ID"][int(row)]).encode() for row in world.order()]
    assert [record.key for record in records(world)] == keys
    first = json.loads(records(world)[0].value or b"")
    assert first["TX_AMOUNT"] == frame["TX_AMOUNT"][int(world.order()[0])]
    assert "TX_FRAUD" not in first


def test_a_column_of_dates(tmp_path: Path) -> None:
    """Transactions of which only the day is known go by it, those of a day in the file's order."""
    frame = handbook_rows().assign(DATE=lambda rows: rows["TX_DATETIME"].dt.strftime("%Y-%m-%d"))
    frame = frame.drop(columns="TX_DATETIME").sample(frac=1, random_state=1)
    frame["DATE"] = np.where(np.arange(len(frame)) % 3, frame["DATE"], "2018-03-30")
    frame.to_csv(tmp_path / "days.csv", index=False)
    history = files(tmp_path / "days.csv")
    assert history.columns.time == "DATE"
    days = pd.to_datetime(frame["DATE"]).astype("datetime64[ms]").astype("int64").tolist()
    in_order(sent(history), frame, days, frame["TX_FRAUD"].tolist())


@pytest.mark.parametrize("made", [account_table, lambda: head("twitter_accounts.parquet")])
def test_twitter_accounts(tmp_path: Path, made: Any) -> None:
    """Raw accounts go in the order in which they were opened, as the sixteen numbers of the English ones; bots beside.

    A model of these numbers has them made, and so has --accounts; row ids count the accounts that are played.
    """
    path = written(made(), tmp_path / "accounts.parquet")
    frame = account_rows(pd.read_parquet(path)).reset_index(drop=True)
    moments = pd.to_datetime(frame["created_at"], format="ISO8601").astype("datetime64[ms]").astype("int64").tolist()
    bots = (frame["account_type"] != "human").astype(int).tolist()
    asked_for = sent(files(path, accounts=True), accounts=True)
    by_model = sent(files(path, schema=Schema(ACCOUNT_FEATURES, label="account_type", normal="human")))
    for world in (asked_for, by_model):
        in_order(world, frame, moments, bots)
        for record in records(world):
            wanted = frame.iloc[int(row_id(record))][list(ACCOUNT_FEATURES)].to_dict()
            assert json.loads(record.value or b"") == wanted
    assert sum(bots) in range(1, len(bots))


def test_accounts_that_are_left_out_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """How many accounts are not English is said; a table that is none of accounts names what is not there."""
    path = written(account_table(), tmp_path / "accounts.parquet")
    assert main([str(path), "--accounts", "--dry-run"]) == 0
    shown = capsys.readouterr()
    assert shown.err == f"replay: 1 accounts of {path} are not English and left out\n"
    assert f"{path}: 2 rows, 2020-01-01T00:00:00.000Z to 2020-01-21T12:00:00.000Z, " in shown.out
    pd.DataFrame({"x": [1.0]}).to_parquet(path)
    with pytest.raises(DataRefused, match=r"feature column 'default_profile', .* is not in the data, which has x"):
        files(path, accounts=True)


def test_accounts_want_files(capsys: pytest.CaptureFixture[str]) -> None:
    """Ages are counted to the newest account: what comes through a pipe is refused, and so are other features."""
    assert main(["-", "--accounts", "--dry-run"]) == 2
    told = "error: setting accounts wants files, not '-': ages are counted to the newest account\n"
    assert capsys.readouterr().err == told
    with pytest.raises(UsageError, match="accounts and features do not go together"):
        asked(accounts=True, features="x")


@pytest.mark.parametrize(
    "cards", [lambda: simulated_cards(ROWS, seed=1, fraud_share=0.02), lambda: head("creditcard_sample.parquet")]
)
def test_credit_cards(tmp_path: Path, cards: Any) -> None:
    """Card transactions go by the seconds of their column Time, without a key, Class beside them."""
    history = files(path := written(cards(), tmp_path / "cards.parquet"), format="packed")
    columns, frame = history.columns, pd.read_parquet(path)
    assert (columns.key, columns.time, columns.label) == (None, "Time", "Class")
    assert columns.features == (*(f"V{number}" for number in range(1, 29)), "Amount")
    world = sent(history, format="packed")
    moments = (frame["Time"] * 1000).round().astype(int).tolist()
    in_order(world, frame, moments, frame["Class"].tolist())
    matrix = frame[list(columns.features)].to_numpy("<f4")
    assert [record.value for record in records(world)] == [matrix[int(row)].tobytes() for row in world.order()]
    assert {record.key for record in records(world)} == {None}


def recorded_beats(path: Path) -> pd.DataFrame:
    """Heartbeats as their publisher has them, without a header."""
    frame = pd.read_csv(real("ecg.csv.xz"), header=None, nrows=300)
    frame.to_csv(path, header=False, index=False)
    return frame


def simulated_beats(path: Path) -> pd.DataFrame:
    """The same by a formula."""
    frame = simulated_ecg(300, seed=2)
    frame.columns = pd.RangeIndex(frame.shape[1])
    frame.to_csv(path, header=False, index=False)
    return frame


@pytest.mark.parametrize("beats", [simulated_beats, recorded_beats])
def test_heartbeats(tmp_path: Path, beats: Any) -> None:
    """Heartbeats, which have no time, go as they stand in the file; the label's 1 is a normal one."""
    frame = beats(path := tmp_path / "beats.csv")
    given: dict[str, Any] = {"label": "c140", "normal": "1"}
    world = sent(files(path, **given), **given)
    assert world.order() == [str(row) for row in range(len(frame))]
    anomalous = (frame.iloc[:, 140] != 1).astype(int).tolist()
    assert [(row, truth) for row, truth, _ in truths(world)] == [(str(row), anomalous[row]) for row in range(300)]
    first = json.loads(records(world)[0].value or b"")
    assert list(first) == [f"c{place}" for place in range(140)]
    assert list(first.values()) == pytest.approx(frame.iloc[0, :140].tolist(), rel=1e-12)
