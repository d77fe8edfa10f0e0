"""Rows to tf.train.Example records and back: a feature per column, absent where a value is missing.

float_list holds floats, each rounded to float32; int64_list whole numbers and booleans; bytes_list text as UTF-8 and
times as ISO 8601 (those with a zone in UTC, with a Z).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from detector.errors import DataRefused
from detector.quiet import held_back
from detector.table.refusal import first_line
from detector.table.sidecar import BYTES, FLOATS, INTS, feature_kind


def tensorflow() -> Any:
    """TensorFlow, without its greeting; DataRefused where it is not installed."""
    try:
        with held_back():
            import tensorflow
    except ImportError as error:
        raise DataRefused("TFRecord needs TensorFlow: pip install '.[train]'") from error
    return tensorflow


def iso(times: pd.Series[Any]) -> NDArray[np.object_]:
    """Times (n,) as ISO 8601 text to the dtype's last digit, None where missing; with a zone in UTC, and a Z."""
    zoned = isinstance(times.dtype, pd.DatetimeTZDtype)
    plain = times.dt.tz_convert("UTC").dt.tz_localize(None) if zoned else times
    text: NDArray[Any] = np.datetime_as_string(plain.to_numpy()).astype(object) + ("Z" if zoned else "")
    text[times.isna().to_numpy()] = None
    return text


def encoded(frame: pd.DataFrame, example: Any) -> Iterator[bytes]:
    """Each row as a serialized Example; `example` is tf.train.Example.

    Raises DataRefused for a column that no feature holds, and for a number that its list cannot.
    """
    cells = [_cells(values) for _, values in frame.items()]  # which refuses what has no kind
    names = [(str(name), str(feature_kind(values.dtype))) for name, values in frame.items()]
    for row in zip(*cells, strict=True):
        one = example()
        features = one.features.feature
        for (name, kind), value in zip(names, row, strict=True):
            if value is not None:
                getattr(features[name], kind).value.append(value)
        yield one.SerializeToString(deterministic=True)


def _cells(values: pd.Series[Any]) -> list[Any]:
    """A column's values as its list takes them, None where missing."""
    kind = feature_kind(values.dtype)
    if kind == FLOATS:
        return _or_none(to_float32(values), values.isna())
    if kind == INTS:
        _refuse_beyond_int64(values)
        return _or_none(values.to_numpy(np.int64, na_value=0), values.isna())
    if isinstance(values.dtype, pd.StringDtype):
        return [None if gone else text.encode() for text, gone in zip(values, values.isna(), strict=True)]
    if kind == BYTES:
        return [None if text is None else text.encode() for text in iso(values)]
    raise DataRefused(f"column {values.name!r} holds {values.dtype}; TFRecord has numbers, booleans, text and times")


def _or_none(numbers: NDArray[Any], missing: pd.Series[bool]) -> list[Any]:
    cells: list[Any] = numbers.tolist()
    for place in np.flatnonzero(missing.to_numpy()):
        cells[place] = None
    return cells


def to_float32(values: pd.Series[Any]) -> NDArray[np.float32]:
    """Floats (n,) rounded to float32, NaN where missing; DataRefused names a finite one that would become infinite."""
    numbers = values.to_numpy(np.float64, na_value=np.nan)
    with np.errstate(over="ignore"):
        rounded = numbers.astype(np.float32)
    lost = np.isinf(rounded) & np.isfinite(numbers)
    if lost.any():
        row = int(lost.argmax())
        raise DataRefused(
            f"row {values.index[row]}: column {values.name!r} holds {float(numbers[row])!r}, beyond float32"
        )
    return rounded


def rounded(frame: pd.DataFrame) -> list[str]:
    """The columns of which some value is no float32."""
    floats = [name for name in frame if feature_kind(frame[name].dtype) == FLOATS]
    return [str(name) for name in floats if _is_rounded(frame[name])]


def _is_rounded(values: pd.Series[Any]) -> bool:
    numbers = values.to_numpy(np.float64, na_value=np.nan)
    return not np.array_equal(to_float32(values), numbers, equal_nan=True)


def _refuse_beyond_int64(values: pd.Series[Any]) -> None:
    if pd.api.types.is_unsigned_integer_dtype(values.dtype):
        beyond = (values > np.iinfo(np.int64).max).fillna(False).to_numpy(bool)
        if beyond.any():
            row = int(beyond.argmax())
            raise DataRefused(
                f"row {values.index[row]}: column {values.name!r} holds {values.iloc[row]}, beyond int64_list"
            )


def decoded(batch: Any, dtypes: Mapping[str, str]) -> pd.DataFrame:
    """Serialized Examples, a string tensor (n,), as columns of these dtypes.

    Raises BadExample with the row of the batch and what is wrong there.
    """
    tf = tensorflow()
    count = int(tf.shape(batch)[0])
    features = parsed(batch, dtypes)
    columns = {name: _column(name, dtype, features[name], count) for name, dtype in dtypes.items()}
    return pd.DataFrame(columns, index=pd.RangeIndex(count))


class BadExample(Exception):
    """A record that is not as the others. row: its place in the batch."""

    def __init__(self, row: int, why: str) -> None:
        super().__init__(why)
        self.row = row


def parsed(batch: Any, dtypes: Mapping[str, str]) -> dict[str, Any]:
    """Each column's feature in all Examples of a batch, as a sparse tensor (n, values); BadExample names a row."""
    tf = tensorflow()
    lists = {FLOATS: tf.float32, INTS: tf.int64, BYTES: tf.string}
    spec = {name: tf.io.VarLenFeature(lists[_kind(dtype)]) for name, dtype in dtypes.items()}
    found, error = _attempt(tf, batch, spec)
    if error is not None:
        raise _first_bad(tf, batch, spec)
    return found


def _kind(dtype: str) -> str:
    kind = feature_kind(pd.api.types.pandas_dtype(dtype))
    assert kind is not None, dtype
    return kind


def _attempt(tf: Any, batch: Any, spec: Any) -> tuple[dict[str, Any], Any]:
    with held_back():  # TensorFlow logs what it raises
        try:
            return tf.io.parse_example(batch, spec), None
        except tf.errors.InvalidArgumentError as error:
            return {}, error


def _first_bad(tf: Any, batch: Any, spec: Any) -> BadExample:
    """By halving: the error itself names a row for some faults alone."""
    good, bad = 0, int(tf.shape(batch)[0])
    while bad - good > 1:
        middle = (good + bad) // 2
        if _attempt(tf, batch[good:middle], spec)[1] is None:
            good = middle
        else:
            bad = middle
    error = _attempt(tf, batch[good:bad], spec)[1]
    return BadExample(good, said(error))


def said(error: Any) -> str:
    """What TensorFlow says of an error, without the names of its kernels."""
    text = first_line(Exception(error.message))
    return text.partition("}} ")[2].partition(" [Op:")[0] or text


def _column(name: str, dtype: str, feature: Any, count: int) -> Any:
    """A column (n,) of a sparse tensor."""
    rows = feature.indices.numpy()[:, 0]
    if int(feature.dense_shape[1]) > 1:
        row = int(rows[np.flatnonzero(np.diff(rows, prepend=-1) == 0)[0]])
        raise BadExample(row, f"feature {name!r} holds {int((rows == row).sum())} values, one wanted")
    values = feature.values.numpy()
    kind = _kind(dtype)
    if kind == FLOATS:
        return _floats(values, rows, count, dtype)
    if kind == INTS:
        return _integers(name, values, rows, count, dtype)
    texts = _texts(name, values, rows, count)
    return texts if dtype == "str" else _times(name, texts, dtype)


def _floats(values: NDArray[np.float32], rows: NDArray[np.int64], count: int, dtype: str) -> NDArray[Any]:
    found = np.full(count, np.nan, np.float32)
    found[rows] = values
    return found.astype(dtype)


def _integers(name: str, values: NDArray[np.int64], rows: NDArray[np.int64], count: int, dtype: str) -> Any:
    """Whole numbers and booleans; `dtype` is a nullable one where some are missing."""
    wanted: Any = pd.api.types.pandas_dtype(dtype)
    extension = isinstance(wanted, pd.api.extensions.ExtensionDtype)
    plain = wanted.numpy_dtype if extension else wanted
    found, missing = np.zeros(count, plain), np.ones(count, bool)
    found[rows], missing[rows] = values.astype(plain), False
    if (wrong := found[rows].astype(np.int64) != values).any():
        place = int(wrong.argmax())
        raise BadExample(int(rows[place]), f"feature {name!r} holds {values[place]}, {dtype} wanted")
    if not extension:
        if missing.any():
            raise BadExample(int(missing.argmax()), f"feature {name!r} is absent, {dtype} wanted")
        return found
    make = pd.arrays.BooleanArray if plain.kind == "b" else pd.arrays.IntegerArray
    return make(found, missing)


def _texts(name: str, values: NDArray[np.object_], rows: NDArray[np.int64], count: int) -> pd.Series[Any]:
    found = np.full(count, None, object)
    for row, value in zip(rows.tolist(), values.tolist(), strict=True):
        try:
            found[row] = value.decode()
        except UnicodeDecodeError as error:
            raise BadExample(row, f"feature {name!r} holds {value[:20]!r}, UTF-8 text wanted") from error
    return pd.Series(found, dtype="str")


def _times(name: str, texts: pd.Series[Any], dtype: str) -> pd.Series[Any]:
    zoned = isinstance(pd.api.types.pandas_dtype(dtype), pd.DatetimeTZDtype)
    try:
        times: pd.Series[Any] = pd.to_datetime(texts, format="ISO8601", utc=zoned).astype(dtype)  # type: ignore[call-overload]
    except (ValueError, TypeError) as error:
        good = pd.to_datetime(texts, format="ISO8601", utc=zoned, errors="coerce").notna() | texts.isna()
        row = int((~good).to_numpy().argmax())
        raise BadExample(row, f"feature {name!r} holds {texts[row]!r}, a time in ISO 8601 wanted") from error
    return times
