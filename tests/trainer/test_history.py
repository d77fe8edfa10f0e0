"""From a table to what is learned from: columns, normal rows, split, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from detector.errors import DataRefused
from detector.schema import Schema
from trainer.datasets import Data
from trainer.history import Columns, History, find_schema, prepare

ROWS = 100


def table_of(**more: Any) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": np.arange(ROWS, dtype=float), "b": rng.normal(size=ROWS)})
    return frame.assign(**more)


def data(frame: pd.DataFrame, **known: Any) -> Data:
    return Data("cards", frame, **known)


def prepared(frame: pd.DataFrame, said: Columns | None = None, seed: int = 0, **known: Any) -> History:
    given = data(frame, **known)
    return prepare(given, find_schema(given, said or Columns()), seed)


def rows_of(history: History) -> list[float]:
    """Feature a, which numbers the rows, of training and then held-out rows."""
    return [float(row) for row in np.concatenate((history.training, history.held_out))[:, 0]]


def test_split_by_time() -> None:
    """With a time the latest fifth of the normal rows is held out, whatever the file's order; ties keep it."""
    time = np.arange(ROWS)[::-1] // 2
    found = prepared(table_of(Time=time))
    assert (len(found.training), len(found.held_out)) == (80, 20)
    assert rows_of(found) == np.argsort(time, kind="stable").tolist()


def test_split_by_dates() -> None:
    """A time may be a date in text."""
    dates = pd.date_range("2018-04-01", periods=ROWS, freq="h")[::-1].astype(str)
    assert rows_of(prepared(table_of(date=dates))) == list(range(ROWS))[::-1]


def test_split_by_seed() -> None:
    """Without a time the rows are shuffled: the same seed, the same split; each row is in one part."""
    one, same, other = (prepared(table_of(), seed=seed) for seed in (1, 1, 2))
    assert rows_of(one) == rows_of(same) != rows_of(other)
    assert sorted(rows_of(one)) == list(range(ROWS))
    assert len(one.held_out) == 20


def test_time_may_be_refused() -> None:
    """ "none" asks for no time though there is a column of that name, which is then a feature."""
    found = prepared(table_of(Time=np.arange(ROWS)), Columns(time="none"))
    assert found.schema.time is None
    assert "Time" in found.schema.features
    assert rows_of(found) != list(range(ROWS))


@pytest.mark.parametrize(
    ("labels", "said", "known"),
    [
        ([0] * 90 + [1] * 10, {}, {}),
        ([1] * 90 + [0] * 10, {"normal": "1"}, {}),
        ([1] * 90 + [0] * 10, {}, {"normal": "1"}),
        (["human"] * 90 + ["bot"] * 10, {"normal": "human"}, {"normal": "other"}),
    ],
)
def test_anomalous_rows_are_left_out(labels: list[Any], said: dict[str, Any], known: dict[str, Any]) -> None:
    """Rows whose label is not the normal value are never learned from, and are counted; the person's word wins."""
    found = prepared(table_of(Class=labels), Columns(**said), **known)
    assert sorted(rows_of(found)) == list(range(90))
    assert (found.rows, found.anomalous) == (100, 10)


def test_no_label() -> None:
    """Without a label every row is taken for normal."""
    found = prepared(table_of())
    assert found.schema.label is None
    assert (found.anomalous, len(rows_of(found))) == (0, ROWS)


def test_columns() -> None:
    """All numeric columns but label, time and key are features in the file's order; the rest is named as dropped."""
    frame = table_of(Time=0.0, card=7, shop="x", online=True, Class=0)
    found = prepared(frame, Columns(key="card"))
    assert found.schema == Schema(("a", "b", "online"), (), "card", "Time", "Class", "0")
    assert found.dropped == ("shop",)
    chosen = prepared(frame, Columns(features=("b", "Time", "a")))
    assert chosen.schema.features == ("b", "Time", "a")
    assert chosen.dropped == ("card", "shop", "online")


def test_what_is_known_of_a_set() -> None:
    """A known set's label and time need not be said; what a person says wins."""
    frame = table_of(truth=0, truth2=0, moment=0.0)
    found = find_schema(data(frame, label="truth", time="moment"), Columns(label="truth2"))
    assert (found.label, found.time) == ("truth2", "moment")


def test_recipe_s_features() -> None:
    """A recipe's features are taken where the person names none."""
    frame = table_of(c=1.0)
    assert find_schema(data(frame), Columns(), ("b", "c")).features == ("b", "c")
    assert find_schema(data(frame), Columns(features=("a", "c")), ("b", "c")).features == ("a", "c")


def test_optional_features() -> None:
    """A feature whose history has gaps is optional, and its gaps stay in the rows."""
    gaps = np.where(np.arange(ROWS) % 3 == 0, np.nan, 1.5)
    found = prepared(table_of(c=gaps, d=pd.array([None, *range(1, ROWS)], dtype="Int64")))
    assert found.schema.optional == ("c", "d")
    assert np.isnan(np.concatenate((found.training, found.held_out))).sum() == np.isnan(gaps).sum() + 1


@pytest.mark.parametrize(
    ("more", "said", "wanted"),
    [
        ({"Class": [0] * 49 + [1] * 51}, {}, r"49 normal rows \(label 'Class' = '0'\), at least 50 wanted"),
        ({"a": 1.0, "b": 2.0}, {}, "every feature is constant"),
        ({}, {"label": "fraud"}, "label column 'fraud' is not in the data, which has a, b"),
        ({}, {"time": "when"}, "time column 'when' is not in the data"),
        ({}, {"key": "card"}, "key column 'card' is not in the data"),
        ({}, {"features": ("a", "z")}, "feature column 'z' is not in the data"),
        ({"Class": 0}, {"features": ("a", "Class")}, "label column 'Class' cannot be a feature"),
        ({}, {"features": ("a", "a")}, "features name a column twice: a, a"),
        ({}, {"features": ("a",)}, "1 numeric feature columns, at least 2 wanted"),
        ({"c": "x"}, {"features": ("a", "c")}, "feature column 'c' holds str, numbers wanted"),
        ({"c": np.inf}, {}, "a feature is infinite or beyond the range of float32"),
        ({"c": 1e39}, {}, "a feature is infinite or beyond the range of float32"),
        ({"Class": [None, *[0] * 99]}, {}, "label column 'Class' has 1 missing values"),
        ({"Time": [None, *range(99)]}, {}, "time column 'Time' has missing values"),
    ],
)
def test_refusals(more: dict[str, Any], said: dict[str, Any], wanted: str) -> None:
    """Data that cannot be learned from are refused with what is wrong with them."""
    with pytest.raises(DataRefused, match=wanted):
        prepared(table_of(**more), Columns(**said))


def test_one_constant_column_is_no_hindrance() -> None:
    """A constant feature among others is learned from like them, one that is always missing too."""
    found = prepared(table_of(c=7.0, d=np.nan))
    assert found.schema.features == ("a", "b", "c", "d")
    assert found.schema.optional == ("d",)


def test_fingerprint() -> None:
    """The fingerprint tells the data apart by features and labels, not by columns that are left out."""
    base = prepared(table_of(Class=0, note="x")).fingerprint
    assert prepared(table_of(Class=0, note="y"), seed=5).fingerprint == base
    assert prepared(table_of(Class=[0] * 99 + [1])).fingerprint != base
    assert prepared(table_of(Class=0, b=0.0)).fingerprint != base
