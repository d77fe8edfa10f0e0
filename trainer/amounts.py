"""The column of the value at stake: what an anomalous row costs that is missed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from detector import table
from detector.errors import DataRefused
from detector.table.roles import named

AMOUNTS = ("amount", "tx_amount", "amt", "transaction_amount", "transaction_amt", "trans_amount", "purchase_value")
"""Names of it, the likelier first; compared by their letters and digits alone, in any case."""


def amount_column(frame: pd.DataFrame, asked: str | None) -> str | None:
    """The column that was asked for, else one of numbers with a known name, else none ("none" asks for none)."""
    if asked == "none":
        return None
    if asked:
        table.require(frame, [asked], "amount")
        if not _is_number(frame[asked]):
            raise DataRefused(f"amount column {asked!r} holds {frame[asked].dtype}, numbers wanted")
        return asked
    return named(frame, AMOUNTS, _is_number)


def amounts(frame: pd.DataFrame, column: str) -> NDArray[np.float64]:
    """Values (n,) of the column; one that is missing or infinite counts for nothing."""
    values = frame[column].to_numpy(np.float64, na_value=np.nan)
    return np.where(np.isfinite(values), values, 0.0)


def _is_number(column: pd.Series[Any]) -> bool:
    return table.kind(column) == "number"
