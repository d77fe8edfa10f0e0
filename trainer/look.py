"""A close look at a table and at one of its columns, without a judgement."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from detector import table
from detector.schema import LONGEST_CATEGORY, categorical
from detector.table.columns import Kind
from detector.table.roles import as_text

SHOWN = 5
"""Values of a column that are kept as examples."""

FEW = 100
"""Distinct values up to which the most frequent are worth counting."""


@dataclass(frozen=True, slots=True)
class Look:
    """A column. missing: rows without a value. distinct: different values, None where they cannot be compared."""

    name: str
    values: pd.Series[Any]
    kind: Kind
    missing: int
    distinct: int | None

    @classmethod
    def at(cls, name: str, values: pd.Series[Any]) -> Look:
        """The look at a column."""
        return cls(name, values, table.kind(values), int(values.isna().sum()), _distinct(values))

    @property
    def there(self) -> int:
        """Rows with a value."""
        return len(self.values) - self.missing

    def numbers(self) -> NDArray[np.float64]:
        """Numbers and booleans (n,), NaN where one is missing."""
        values = self.values.astype("boolean") if self.kind == "boolean" else self.values
        return np.asarray(values.to_numpy(np.float64, na_value=np.nan), np.float64)

    def bounds(self) -> tuple[float, float] | None:
        """The least and the largest number, if there is one that is finite."""
        if self.kind != "number":
            return None
        finite = self.numbers()
        finite = finite[np.isfinite(finite)]
        return (float(finite.min()), float(finite.max())) if len(finite) else None

    def counts(self) -> list[tuple[str, int]]:
        """Texts with the rows that have them, the most frequent first, ties by text."""
        counted = self.values.astype(object).value_counts()
        found = ((as_text(value), int(count)) for value, count in counted.items())
        return sorted(found, key=lambda one: (-one[1], one[0]))

    def categories(self) -> tuple[str, ...]:
        """The values of a text feature, the most frequent first."""
        return tuple(text for text, _ in self.counts() if categorical(text))

    def examples(self) -> tuple[tuple[str, int], ...]:
        """The most frequent values, where there are few of them; else the first that is there, with 0 rows."""
        if self.distinct is not None and self.distinct <= FEW:
            found = self.counts()[:SHOWN]
        else:
            found = [(as_text(value), 0) for value in islice(self.texts(), 1)]
        return tuple((text[:LONGEST_CATEGORY], rows) for text, rows in found)

    def texts(self) -> Iterator[Any]:
        """Values that are there, as they stand."""
        return iter(self.values[self.values.notna()])


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is known of a table as a whole; None where there is nothing.

    normal: the label's value for a normal row; guessed: nobody said it. truth: which rows (n,) have another; None also
    where the label has gaps.
    moments: event times (n,), ms since 1970 UTC; None also where they cannot be read, and `refused` then says why.
    """

    label: str | None = None
    normal: str | None = None
    guessed: bool = False
    truth: NDArray[np.bool_] | None = None
    time: str | None = None
    moments: NDArray[np.int64] | None = None
    refused: str = ""


def _distinct(values: pd.Series[Any]) -> int | None:
    try:
        return int(values.nunique())
    except (TypeError, ValueError):  # lists and arrays cannot be compared
        return None
