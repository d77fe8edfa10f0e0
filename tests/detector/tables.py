"""Tables of every kind of column, for tests of what is written and read back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
"""Any but surrogates, which are no text, and NUL, which ends a text in many a program."""

DAYS = st.datetimes().map(np.datetime64)
WHOLE = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(width=64)
NARROW = st.floats(width=32)


def gapped(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """The same, now and then missing."""
    return st.one_of(st.none(), values)


KINDS: dict[str, tuple[st.SearchStrategy[Any], str]] = {
    "float": (FLOATS, "float64"),
    "narrow": (NARROW, "float32"),
    "whole": (WHOLE, "int64"),
    "small": (st.integers(0, 255), "uint8"),
    "gapped": (gapped(WHOLE), "Int64"),
    "truth": (st.booleans(), "bool"),
    "doubt": (gapped(st.booleans()), "boolean"),
    "text": (gapped(TEXT), "str"),
    "day": (gapped(DAYS), "datetime64[us]"),
    "zoned": (gapped(DAYS), "datetime64[us, UTC]"),
}
"""By name: values and the dtype that holds them."""


def column(values: list[Any], dtype: str) -> pd.Series[Any]:
    """Values as a column."""
    if dtype.startswith("datetime64"):
        times = pd.Series(np.array(["NaT" if one is None else one for one in values], "datetime64[us]"))
        return times.dt.tz_localize("UTC") if dtype.endswith("UTC]") else times
    return pd.Series(values, dtype=dtype)


@st.composite
def frames(draw: st.DrawFn, kinds: tuple[str, ...] = tuple(KINDS)) -> pd.DataFrame:
    """Tables of 1 to 20 rows with some columns of these kinds, called by their kinds."""
    rows = draw(st.integers(1, 20))
    names = draw(st.lists(st.sampled_from(kinds), min_size=1, unique=True))
    columns = {}
    for name in names:
        values, dtype = KINDS[name]
        columns[name] = column(draw(st.lists(values, min_size=rows, max_size=rows)), dtype)
    return pd.DataFrame(columns)


def same(found: pd.DataFrame, wanted: pd.DataFrame) -> None:
    """Asserts that two tables have the same names, dtypes, index and values, to the last bit."""
    pd.testing.assert_frame_equal(found, wanted, check_exact=True, check_column_type=False)
