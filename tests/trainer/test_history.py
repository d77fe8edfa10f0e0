"""From a table to what is learned from: columns, normal rows, split, refusals."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from detector.errors import DataRefused
from detector.schema import Schema
from trainer.amounts import AMOUNTS
from trainer.datasets import Data
from trainer.history import Columns, History, find_schema, prepare

ROWS = 100
AB = Columns(features=("a", "b"))


def table_of(**more: Any) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": np.arange(ROWS, dtype=float), "b": rng.normal(size=ROWS)})
    return frame.assign(**more)


def data(frame: pd.DataFrame, **known: Any) -> Data:
    return Data("cards", frame, **known)


def prepared(frame: pd.DataFrame, said: Columns | None = None, seed: int = 0, **known: Any) -> History:
    given = data(frame, **known)
    said = said or Columns()
    return prepare(given, find_schema(given, said), seed, said.amount)


def rows_of(history: History) -> list[float]:
    """Feature a, which numbers the rows, of training and then held-out rows."""
    return [float(row) for row in np.concatenate((history.training.sample, history.held_out))[:, 0]]


def test_split_by_time() -> None:
    """With a time the latest fifth of the normal rows is held out, whatever the file's order; ties keep it."""
    time = np.arange(ROWS)[::-1] // 2
    found = prepared(table_of(Time=time))
    assert (found.training.count, len(found.held_out)) == (80, 20)
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
    found = prepared(table_of(Time=np.arange(ROWS) // 2), Columns(time="none"))
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
    assert (found.rows, found.normal_rows, found.anomalous_rows) == (100, 90, 10)


def test_no_label() -> None:
    """Without a label every row is taken for normal."""
    found = prepared(table_of())
    assert found.schema.label is None
    assert (found.anomalous_rows, len(found.anomalous), len(rows_of(found))) == (0, 0, ROWS)


def test_columns() -> None:
    """Numbers, booleans and texts but label, time and key are features in the file's order; the rest is dropped."""
    online, shop = np.arange(ROWS) % 2 == 0, np.resize(["x", "y", "z", "x"], ROWS)
    frame = table_of(Time=0.0, card=7, shop=shop, online=online, Class=0, flat=1)
    found = prepared(frame, Columns(key="card"))
    features, categories = ("a", "b", "shop", "online"), {"shop": ("x", "y", "z")}
    assert found.schema == Schema(features, (), "card", "Time", "Class", "0", categories, ("online",))
    assert found.dropped == ("flat",)
    assert set(found.held_out[:, 2]) == {0, 1, 2}
    assert set(found.held_out[:, 3]) == {0, 1}
    chosen = prepared(frame, Columns(features=("b", "Time", "a")))
    assert chosen.schema.features == ("b", "Time", "a")
    assert chosen.dropped == ("card", "shop", "online", "flat")


def test_what_is_known_of_a_set() -> None:
    """A known set's label and time need not be said; what a person says wins."""
    frame = table_of(truth=0, truth2=0, moment=0.0)
    known = data(frame, label="truth", normal="7", time="moment")
    found = find_schema(known, Columns(label="truth2"))
    assert (found.label, found.normal, found.time) == ("truth2", "0", "moment")
    assert find_schema(known, Columns()).normal == "7"


def test_recipe_s_features() -> None:
    """A recipe's features are taken where the person names none."""
    frame = table_of(c=1.0)
    assert find_schema(data(frame), Columns(), ("b", "c")).features == ("b", "c")
    assert find_schema(data(frame), Columns(features=("a", "c")), ("b", "c")).features == ("a", "c")


def test_optional_features() -> None:
    """A feature whose history has gaps is optional, and its gaps stay in the rows."""
    gaps = np.where(np.arange(ROWS) % 3 == 0, np.nan, np.arange(ROWS) % 7)
    found = prepared(table_of(c=gaps, d=pd.array([None, *range(1, ROWS)], dtype="Int64")))
    assert found.schema.optional == ("c", "d")
    assert np.isnan(np.concatenate((found.training.sample, found.held_out))).sum() == np.isnan(gaps).sum() + 1


@pytest.mark.parametrize(
    ("more", "said", "wanted"),
    [
        ({"Class": [0] * 49 + [1] * 51}, {}, r"49 normal rows \(label 'Class' = '0'\), at least 50 wanted"),
        ({"a": 1.0, "b": 2.0}, {"features": ("a", "b")}, "every feature is constant"),
        ({"a": 1.0, "b": 2.0}, {}, r"0 feature columns, at least 2 wanted \(left out: a: constant; b: constant\)"),
        ({"c": 1, "d": 1, "e": 1, "f": 1, "g": 1, "b": 1}, {}, r"d: constant; e: constant; \.\.\.\)"),
        ({}, {"label": "fraud"}, "label column 'fraud' is not in the data, which has a, b"),
        ({}, {"time": "when"}, "time column 'when' is not in the data"),
        ({}, {"key": "card"}, "key column 'card' is not in the data"),
        ({}, {"features": ("a", "z")}, "feature column 'z' is not in the data"),
        ({"Class": 0}, {"features": ("a", "Class")}, "label column 'Class' cannot be a feature"),
        ({}, {"features": ("a", "a")}, "features name a column twice: a, a"),
        ({}, {"features": ("a",)}, "1 feature column, at least 2 wanted$"),
        ({"c": pd.Timestamp(0)}, {"features": ("a", "c")}, "feature column 'c' holds datetime64.*, numbers, text or"),
        (
            {"c": [*range(98), -np.inf, np.inf]},
            {"features": ("a", "c")},
            "data cards: a feature is infinite or beyond the range of float32: 'c' in row 98",
        ),
        ({"c": 1e39}, {"features": ("a", "c")}, "infinite or beyond the range of float32: 'c' in row 0"),
        ({'say "c"': 1}, {"features": ("a", 'say "c"')}, "a name without quotes, backslashes and control characters"),
        ({"Class": [None, *[0] * 99]}, {}, "label column 'Class' has 1 missing values"),
        ({"Time": [None, *range(99)]}, {}, "time column 'Time' has missing values"),
    ],
)
def test_refusals(more: dict[str, Any], said: dict[str, Any], wanted: str) -> None:
    """Data that cannot be learned from are refused with what is wrong with them."""
    with pytest.raises(DataRefused, match=wanted):
        prepared(table_of(**more), Columns(**said))


def test_one_constant_column_is_no_hindrance() -> None:
    """A constant feature that was asked for is learned from like others, one that is always missing too."""
    found = prepared(table_of(c=7.0, d=np.nan), Columns(features=("a", "b", "c", "d")))
    assert found.schema.features == ("a", "b", "c", "d")
    assert found.schema.optional == ("d",)


def test_anomalous_rows_are_kept_in_the_order_of_time() -> None:
    """All rows labelled anomalous are kept out of the fit, for the threshold's sake; the earliest come first."""
    found = prepared(table_of(Class=[0] * 90 + [1] * 10, Time=np.arange(ROWS)[::-1]), AB)
    assert found.anomalous[:, 0].tolist() == list(range(90, 100))[::-1]
    assert found.anomalous.dtype == np.float32
    assert prepared(table_of(Class=[1] * 10 + [0] * 90), AB).anomalous[:, 0].tolist() == list(range(10))


def test_too_many_anomalous_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of too many anomalous rows evenly spaced ones are kept, first and last among them; all are counted."""
    monkeypatch.setattr("trainer.history.MOST_SCORES", 4)
    frame = table_of(Class=[0] * 90 + [1] * 10, Time=np.arange(ROWS), Amount=np.arange(ROWS) / 2)
    found = prepared(frame, AB)
    assert found.anomalous[:, 0].tolist() == [90, 93, 96, 99]
    assert found.anomalous_amounts.tolist() == [45, 46.5, 48, 49.5]
    assert found.anomalous_rows == 10


def test_all_rows_may_be_learned_from() -> None:
    """Asked to learn from all, the earliest four fifths of the anomalous rows are learned from too, and counted."""
    frame = table_of(Class=[0] * 90 + [1] * 10, Time=np.arange(ROWS)[::-1])
    given = data(frame)
    found = prepare(given, find_schema(given, AB), 0, None, "all")
    assert found.training.sample[:, 0].tolist() == [*range(18, 90), *range(92, 100)]
    assert (found.training.count, found.anomalous_learned, found.anomalous_rows) == (80, 8, 10)
    assert found.anomalous[:, 0].tolist() == [91, 90]


@pytest.mark.parametrize(
    ("time", "wanted"),
    [
        (np.arange(ROWS) * 864.0, 1.0),
        (np.arange(ROWS)[::-1] * 1728.0, 2.0),
        ([0.0] * 50 + [60.0] * 50, 120 / 86_400),
        (pd.date_range("2018-04-01", periods=7, freq="D").repeat(15)[:ROWS], 7.0),
        (pd.date_range("2018-04-01", periods=ROWS, freq="s").astype(str), ROWS / 86_400),
        ([5.0] * ROWS, None),
    ],
)
def test_days(time: Any, wanted: float | None) -> None:
    """The span of the event times counts the last step too: seven dates are seven days; one moment alone is none."""
    assert prepared(table_of(Time=time), AB).days == pytest.approx(wanted)


def test_no_days_without_a_time() -> None:
    """Without a time there is no span, so no rate."""
    assert prepared(table_of()).days is None


@pytest.mark.parametrize("name", AMOUNTS)
def test_amounts_are_found_by_name(name: str) -> None:
    """A column of numbers with a known name gives the amounts, beside their rows; "none" asks for none."""
    frame = table_of(Class=[0] * 90 + [1] * 10, Time=np.arange(ROWS), **{name: np.arange(ROWS) / 4})
    found = prepared(frame, AB)
    assert found.amount == name
    assert (4 * found.held_out_amounts).tolist() == found.held_out[:, 0].tolist()
    assert (4 * found.anomalous_amounts).tolist() == found.anomalous[:, 0].tolist()
    assert name not in found.dropped
    none = prepared(frame, replace(AB, amount="none"))
    assert (none.amount, len(none.held_out_amounts), len(none.anomalous_amounts)) == (None, 0, 0)


def test_amounts_as_they_are_said() -> None:
    """A column that is named wins; a missing or infinite value counts for nothing; text is passed by."""
    frame = table_of(Time=np.arange(ROWS), worth=[*range(95), np.nan, np.inf, -np.inf, 3, 4], Amount="12 EUR")
    found = prepared(frame, replace(AB, amount="worth"))
    assert found.held_out_amounts[-5:].tolist() == [0, 0, 0, 3, 4]
    assert prepared(frame, AB).amount is None
    whole = table_of(amt=pd.array([None, *range(1, ROWS)], dtype="Int64"))
    assert prepared(whole, AB).held_out_amounts.sum() > 0


@pytest.mark.parametrize(
    ("amount", "wanted"),
    [
        ("price", "amount column 'price' is not in the data, which has a, b"),
        ("shop", "amount column 'shop' holds str, numbers wanted"),
        ("online", "amount column 'online' holds bool, numbers wanted"),
    ],
)
def test_amounts_that_are_none(amount: str, wanted: str) -> None:
    """A column that was asked for and is absent or holds no numbers is refused by name."""
    with pytest.raises(DataRefused, match=wanted):
        prepared(table_of(shop="x", online=True), replace(AB, amount=amount))


def test_fingerprint() -> None:
    """The fingerprint tells the data apart by features and labels, not by columns that are left out."""
    base = prepared(table_of(Class=0, note="x")).fingerprint
    assert prepared(table_of(Class=0, note="y"), seed=5).fingerprint == base
    assert prepared(table_of(Class=[0] * 99 + [1])).fingerprint != base
    assert prepared(table_of(Class=0, b=1 / (1 + np.arange(ROWS)))).fingerprint != base
