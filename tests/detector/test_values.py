"""Tables become the matrix that the stream of the same rows becomes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector import table
from detector.errors import DataRefused
from detector.rows import Decoder, encode_packed
from detector.schema import Schema
from tests.arrays import f32
from tests.messages import FakeMessage, json_message

SCHEMA = Schema(
    ("colour", "amount", "online"),
    ("colour", "amount", "online"),
    categories={"colour": ("red", "green", "")},
    booleans=("online",),
)


def frame(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame(columns)


def encoded(colour: Any, amount: Any, online: Any) -> list[list[float]]:
    found = table.encoded(frame(online=online, colour=colour, more=1, amount=amount), SCHEMA)
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    rows: list[list[float]] = found.tolist()
    return rows


def test_encoded() -> None:
    """Texts are positions, those never seen their count; true is 1; the order is the schema's, gaps are NaN."""
    found = encoded(["green", "red", "blue", "", None], [1.5, 2, 3, 4, None], [True, False, True, False, None])
    wanted: list[list[float]] = [[1, 1.5, 1], [0, 2, 0], [3, 3, 1], [2, 4, 0], [math.nan] * 3]
    assert np.array_equal(f32(found), f32(wanted), equal_nan=True)


@pytest.mark.parametrize("dtype", ["str", "object", "category", "string[pyarrow]"])
def test_texts_in_whatever_pandas_keeps_them(dtype: str) -> None:
    """A text is the same position in every dtype that holds text."""
    assert [row[0] for row in encoded(pd.Series(["red", "x", "green"], dtype=dtype), 1, True)] == [0, 3, 1]


@pytest.mark.parametrize(
    "truths", [[True, False], [1, 0], [1.0, 0.0], pd.array([True, False], "boolean"), pd.array([1, 0], "Int64")]
)
def test_booleans_in_whatever_pandas_keeps_them(truths: Any) -> None:
    """A boolean may be kept as 1 and 0."""
    assert [row[2] for row in encoded("red", 1, truths)] == [1, 0]


@pytest.mark.parametrize("dtype", ["float", "object", "str", "Int64", "boolean", "datetime64[ns]"])
def test_all_missing(dtype: str) -> None:
    """A column without a value is missing in every row, whatever pandas takes it for."""
    nothing = pd.Series([None, None], dtype=dtype)
    assert np.isnan(encoded(nothing, nothing, nothing)).all()


@pytest.mark.parametrize(
    ("columns", "wanted"),
    [
        ({"amount": ["1", "2"]}, "feature column 'amount' holds '1' in row 0, a number wanted"),
        ({"amount": [None, "1,234"]}, "feature column 'amount' holds '1,234' in row 1, a number wanted"),
        ({"amount": pd.to_datetime(["2024-01-02"] * 2)}, "feature column 'amount' holds Timestamp"),
        ({"amount": [1j, 2j]}, r"feature column 'amount' holds 1j in row 0, a number wanted"),
        ({"colour": [3, 4]}, "feature column 'colour' holds 3 in row 0, text wanted"),
        ({"colour": ["red", 4]}, "feature column 'colour' holds 4 in row 1, text wanted"),
        ({"colour": [None, True]}, "feature column 'colour' holds True in row 1, text wanted"),
        ({"colour": [["red\n"] * 50, None]}, "feature column 'colour' holds "),
        ({"online": [1, 2]}, "feature column 'online' holds 2 in row 1, true or false wanted"),
        ({"online": [0.5, None]}, "feature column 'online' holds 0.5 in row 0, true or false wanted"),
        ({"online": ["true", "false"]}, "feature column 'online' holds 'true' in row 0, true or false wanted"),
    ],
)
def test_refusals(columns: dict[str, Any], wanted: str) -> None:
    """What is of another kind than the schema's is refused in a line with its column, its row and its value."""
    given_: dict[str, Any] = {"colour": "red", "amount": [1, 2], "online": True}
    with pytest.raises(DataRefused, match=wanted) as refused:
        encoded(**(given_ | columns))
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 160


def test_absent() -> None:
    """A feature that is no column is named."""
    with pytest.raises(DataRefused, match="feature column 'amount', 'online' is not in the data, which has colour"):
        table.encoded(frame(colour=["red"]), SCHEMA)


@given(st.lists(st.tuples(st.floats(), st.integers(-(2**63), 2**63 - 1), st.booleans()), min_size=1, max_size=20))
def test_numbers_are_the_plain_matrix(rows: list[tuple[float, int, bool]]) -> None:
    """For a schema of numbers the matrix is, bit for bit, that of the features alone, booleans among them."""
    given_ = pd.DataFrame(rows, columns=["a", "b", "c"])
    assert table.encoded(given_, Schema(("c", "a", "b"))).tobytes() == table.matrix(given_, ["c", "a", "b"]).tobytes()


texts = st.none() | st.sampled_from(["red", "green", "", "blue", "r" * 300]) | st.text(max_size=3)
amounts = st.none() | st.floats(width=32, allow_nan=False, allow_infinity=False)
truths = st.none() | st.booleans()


@given(st.lists(st.tuples(texts, amounts, truths), min_size=1, max_size=20))
def test_the_stream_sees_the_same(rows: list[tuple[str | None, float | None, bool | None]]) -> None:
    """Rows sent as JSON, or packed, are decoded to the very bits that their table is encoded to."""
    clean = [tuple(None if one is None or not valid(one) else one for one in row) for row in rows]
    found = table.encoded(pd.DataFrame(clean, columns=list(SCHEMA.features), dtype=object).infer_objects(), SCHEMA)
    sent = [dict(zip(SCHEMA.features, row, strict=True)) for row in clean]
    packed = [FakeMessage(one, marks=[("format", b"packed")]) for one in encode_packed(found)]
    for batch in ([json_message(row) for row in sent], packed):
        decoded, rejects = Decoder(SCHEMA).decode(batch)
        assert rejects == []
        assert np.array_equal(decoded.matrix, found, equal_nan=True)


def valid(value: object) -> bool:
    return not isinstance(value, str) or not any("\ud800" <= one <= "\udfff" for one in value)


def test_numbers_that_are_no_time() -> None:
    """Numbers that no calendar has seconds for are refused, not wrapped around."""
    with pytest.raises(DataRefused, match="time column 't' holds 1e\\+300, seconds wanted"):
        table.event_milliseconds(frame(t=[0.0, 1e300]), "t")
    assert table.event_milliseconds(frame(t=[-9e15, 9e15]), "t").tolist() == [-9 * 10**18, 9 * 10**18]


def test_complex_numbers_are_no_numbers() -> None:
    """Complex numbers are refused by name: half of each would be lost."""
    with pytest.raises(DataRefused, match="feature column 'a' holds complex128, numbers wanted"):
        table.matrix(frame(a=[1j]), ["a"])


def test_infinite_numbers_stay() -> None:
    """What is infinite, or beyond float32, is infinite in the matrix: whoever uses it refuses it."""
    assert np.array_equal(encoded("red", [1e39, -np.inf], True), f32([[0, np.inf, 1], [0, -np.inf, 1]]))
