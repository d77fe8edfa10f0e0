"""Columns become rows: which of them, under which roles, in which form."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from detector import table
from detector.errors import DataRefused, UsageError
from detector.rows import Decoder
from detector.schema import Schema
from replay.batch import Batch
from replay.encoding import JsonValues, encoded, json_column, keys
from tests.messages import FakeMessage
from tests.replay.made import batch_of, ids, numbers, rows


def keys_of(batch: Batch) -> list[bytes | None]:
    assert batch.keys is not None
    found: list[bytes | None] = batch.keys.tolist()
    return found


FRAME = pd.DataFrame(
    {
        "Time": [30.0, 10.0, 20.0, 10.0],
        "card": [7, 8, 7, 9],
        "amount": [0.1, 1e-300, 2.5, 3.0],
        "shop": ["a", "b", None, "d"],
        "online": [True, False, True, True],
        "Class": [0, 1, 0, 0],
    }
)


def test_order() -> None:
    """Rows come in the order of event time, ties in the file's, each with its place in the file."""
    found = batch_of(FRAME)
    assert ids(found) == ["1", "3", "2", "0"]
    assert found.event is not None
    assert found.event.tolist() == [10_000, 10_000, 20_000, 30_000]
    assert found.anomalous is not None
    assert found.anomalous.tolist() == [True, False, False, False]


def test_json_rows() -> None:
    """A JSON row holds every column but the label: numbers, booleans as 0 and 1, text; what is missing is left out."""
    assert rows(batch_of(FRAME)) == [
        {"Time": 10.0, "card": 8, "amount": 1e-300, "shop": "b", "online": 0},
        {"Time": 10.0, "card": 9, "amount": 3.0, "shop": "d", "online": 1},
        {"Time": 20.0, "card": 7, "amount": 2.5, "online": 1},
        {"Time": 30.0, "card": 7, "amount": 0.1, "shop": "a", "online": 1},
    ]


def test_json_numbers_keep_every_bit() -> None:
    """A float64 comes back from the row as the same bits, an int64 as the same number."""
    random = np.random.default_rng(1).integers(0, 2**64, 3000, dtype=np.uint64).view(np.float64)
    wide = random[np.isfinite(random)]
    frame = pd.DataFrame({"x": wide, "n": np.arange(len(wide)) + 2**62})
    found = rows(batch_of(frame))
    assert np.array([row["x"] for row in found]).tobytes() == wide.tobytes()
    assert [row["n"] for row in found] == frame["n"].tolist()


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (pd.Series([True, None, False]), [1, "left out", 0]),
        (pd.Series([True, None], dtype="boolean"), [1, "left out"]),
        (pd.Series([1, None], dtype="Int64"), [1, "left out"]),
        (pd.Series([1, 2], dtype="Int64"), [1, 2]),
        (pd.Series([0.5, None]), [0.5, "left out"]),
        (pd.Series([0.5, float("inf")]), [0.5, None]),
        (pd.Series(["1", "x"]), ["1", "x"]),
        (pd.Series(["x", 2, None], dtype=object), ["x", "2", "left out"]),
        (pd.Series(["x", None], dtype="category"), ["x", "left out"]),
        (pd.Series([pd.Timestamp("2024-01-02 03:04:05"), pd.NaT]), ["2024-01-02 03:04:05", "left out"]),
    ],
)
def test_json_values(values: Any, wanted: list[object]) -> None:
    """Each kind of column has one form in JSON, with gaps or without; an infinite number is null."""
    found = rows(batch_of(pd.DataFrame({"always": 1, "column": values})))
    assert [row.get("column", "left out") for row in found] == wanted
    assert len(json_column(values)) == len(values)


def test_packed_rows() -> None:
    """A packed row holds the columns of numbers but label, time and key, in the file's order, as float32."""
    found = batch_of(FRAME, format="packed", key="card")
    assert numbers(found) == [(np.float32(1e-300), 0), (3, 1), (2.5, 1), (np.float32(0.1), 1)]


@pytest.mark.parametrize("format_", ["json", "packed"])
def test_features_asked_for(format_: str) -> None:
    """The features asked for are the row, in that order, and nothing else."""
    found = batch_of(FRAME, features="amount, card", format=format_, key="card")
    if format_ == "json":
        assert [list(row.items()) for row in rows(found)][1] == [("amount", 3.0), ("card", 9)]
    else:
        assert numbers(found)[1] == (3.0, 9.0)


def test_missing_numbers_packed() -> None:
    """A missing number is NaN in a packed row."""
    assert np.isnan(numbers(batch_of(pd.DataFrame({"x": [None, 1.5]}), format="packed"))[0][0])


def test_key_is_found() -> None:
    """Without a word the key is a column of an entity's name whose values come again; "none" is no key."""
    assert keys_of(batch_of(FRAME)) == [b"8", b"9", b"7", b"7"]
    assert batch_of(FRAME, key="none").keys is None
    assert batch_of(FRAME.head(2)).keys is None


def test_normal_value_is_found() -> None:
    """Without a word the normal value of a label is the one whose word says so, or 0."""
    frame = FRAME.assign(Class=["human", "bot", "human", "human"])
    found = batch_of(frame).anomalous
    assert found is not None
    assert found.tolist() == [True, False, False, False]
    turned = batch_of(frame, normal="bot").anomalous
    assert turned is not None
    assert turned.tolist() == [False, True, True, True]


MIXED = Schema(
    ("shop", "amount", "online"),
    ("shop",),
    None,
    "Time",
    "Class",
    categories={"shop": ("d", "a")},
    booleans=("online",),
)


def test_packed_texts_and_booleans() -> None:
    """Packed rows hold a text as its position in the model's values, one never seen as their count, true as 1."""
    found = numbers(batch_of(FRAME, MIXED, format="packed"))
    assert found[1:] == [(0.0, 3.0, 1.0), (pytest.approx(np.nan, nan_ok=True), 2.5, 1.0), (1.0, np.float32(0.1), 1.0)]
    assert found[0][0] == 2.0
    assert numbers(batch_of(FRAME, MIXED, format="packed", features="online,shop"))[3] == (1.0, 1.0)
    with pytest.raises(DataRefused, match="feature column 'shop' holds 7 in row 1, text wanted"):
        batch_of(FRAME.assign(shop=7), MIXED, format="packed")


@pytest.mark.parametrize("format_", ["json", "packed"])
def test_what_is_sent_is_what_the_model_takes(format_: str) -> None:
    """Rows of numbers, text and booleans, with gaps, are decoded to the bits that the model's own table has."""
    found = batch_of(FRAME, MIXED, format=format_)
    marks = [("format", format_.encode())]
    assert found.values is not None
    rows_, rejects = Decoder(MIXED).decode([FakeMessage(one, marks=marks) for one in found.values])
    assert rejects == []
    assert np.array_equal(
        rows_.matrix, table.encoded(FRAME.iloc[[int(row) for row in ids(found)]], MIXED), equal_nan=True
    )


SCHEMA = Schema(("online", "amount"), key="card", time="Time", label="shop", normal="b")


def test_model_has_the_columns() -> None:
    """A model's schema says features and their order, key, time, label and the normal value."""
    found = batch_of(FRAME.dropna(), SCHEMA, format="packed")
    assert numbers(found)[1] == (1.0, 3.0)
    assert keys_of(found) == [b"8", b"9", b"7"]
    assert found.anomalous is not None
    assert found.anomalous.tolist() == [False, True, True]


def test_flags_win_over_the_model() -> None:
    """What a flag says holds, whatever the model's schema says."""
    chosen = {"features": "amount", "key": "none", "time": "none", "label": "Class", "normal": "1"}
    found = batch_of(FRAME, SCHEMA, **chosen)
    assert rows(found)[0] == {"amount": 0.1}
    assert (found.keys, found.event) == (None, None)
    assert found.anomalous is not None
    assert found.anomalous.tolist() == [True, False, True, True]


def test_nothing_found_by_name() -> None:
    """Without a column of a known name there is no label, no event time and no key; the file's order holds."""
    found = batch_of(pd.DataFrame({"a": [3, 1, 2]}))
    assert (found.anomalous, found.event, found.keys) == (None, None, None)
    assert ids(found) == ["0", "1", "2"]


def test_label_none_is_no_label() -> None:
    """--label none says that no column is the label: the column found by name is a column like others."""
    found = batch_of(FRAME, label="none")
    assert found.anomalous is None
    assert "Class" in rows(found)[0]


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([7, 17], [b"7", b"17"]),
        ([7, None], [b"7", None]),
        ([7.5, None], [b"7.5", None]),
        ([1e300, 7.0, 7.5], [b"1e+300", b"7", b"7.5"]),
        (["é", None], ["é".encode(), None]),
    ],
)
def test_keys(values: list[object], wanted: list[bytes | None]) -> None:
    """A key is the text of its value, whatever stands beside it; a whole one has no point, and no value is no key."""
    assert keys(pd.Series(values)).tolist() == wanted


def test_chunks_are_the_whole() -> None:
    """Encoded in chunks of any length, the rows are the same."""
    whole = batch_of(FRAME, key="card")
    plain = replace(whole, values=None, frame=FRAME.iloc[[1, 3, 2, 0]][["amount", "shop"]])
    made = encoded(lambda frame: JsonValues({str(name): json_column(frame[name]) for name in frame}), 3)
    parts = list(made(iter([plain, plain])))
    assert [len(part) for part in parts] == [3, 1, 3, 1]
    assert [row for part in parts for row in ids(part)] == 2 * ids(whole)
    assert [row["amount"] for part in parts for row in rows(part)] == 2 * [1e-300, 3.0, 2.5, 0.1]
    assert all(part.frame is None for part in parts)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"label": "Klass"}, "label column 'Klass' is not in the data, which has Time, card, amount"),
        ({"time": "When"}, "time column 'When' is not in the data"),
        ({"key": "patient"}, "key column 'patient' is not in the data"),
        ({"features": "amount,nope"}, "feature column 'nope' is not in the data"),
        ({"features": "shop", "format": "packed"}, "feature column 'shop' holds"),
        ({"time": "shop"}, "time column 'shop'"),
        ({"label": "shop"}, "label column 'shop' has 1 missing values"),
    ],
)
def test_columns_refused(given: dict[str, Any], sentence: str) -> None:
    """A column that is not there, or cannot be what it is asked to be, is refused by its name."""
    with pytest.raises(DataRefused, match=sentence):
        batch_of(FRAME, **given)


@pytest.mark.parametrize("given", [{"features": "amount,Class"}, {"key": "Class"}])
def test_label_never_travels(given: dict[str, Any]) -> None:
    """A label that would be part of the row, or its key, is refused."""
    with pytest.raises(UsageError, match="label column 'Class' would travel in the row"):
        batch_of(FRAME, **given)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"speed": "60x"}, "speed '60x' needs event times, and the data has no time column: name it by --time"),
        ({"speed": "real"}, "speed 'real' needs event times"),
        ({"timestamps": "original"}, "timestamps 'original' needs event times"),
    ],
)
def test_event_times_wanted(given: dict[str, Any], sentence: str) -> None:
    """What follows event times is refused where there are none."""
    with pytest.raises(UsageError, match=sentence):
        batch_of(FRAME, time="none", **given)


def test_times_before_1970() -> None:
    """Original timestamps before 1970 are refused: Kafka has none. As a pace they will do."""
    frame = pd.DataFrame({"Time": [1.0, -0.001], "x": [1, 2]})
    with pytest.raises(DataRefused, match="begins before 1970"):
        batch_of(frame, timestamps="original")
    assert ids(batch_of(frame, speed="60x")) == ["1", "0"]


def test_nothing_but_a_label() -> None:
    """A file without a column for rows is refused."""
    with pytest.raises(DataRefused, match="no column is left to make a packed row of"):
        batch_of(FRAME[["Class", "shop"]], format="packed")
