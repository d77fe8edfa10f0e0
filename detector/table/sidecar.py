"""What TFRecord cannot say of a table, in a file beside it: the columns' order and dtypes, and how many rows there are.

`rows.tfrecord` has `rows.tfrecord.columns.json`. The file may be lost: then the order is the natural one of the names,
and the dtypes are those that the Examples tell.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from detector.errors import DataRefused

FORMAT = 1
FLOATS, INTS, BYTES = "float_list", "int64_list", "bytes_list"


@dataclass(frozen=True, slots=True)
class Sidecar:
    """dtypes: pandas' name of each column's dtype, in order. rows: how many records the file has."""

    dtypes: dict[str, str]
    rows: int

    def dump(self) -> str:
        """As JSON."""
        columns = [{"name": name, "dtype": dtype} for name, dtype in self.dtypes.items()]
        return json.dumps({"format": FORMAT, "rows": self.rows, "columns": columns}, indent=1) + "\n"


def beside(path: Path) -> Path:
    """Where the sidecar of a TFRecord file is."""
    return path.with_name(f"{path.name}.columns.json")


def load(path: Path) -> Sidecar | None:
    """The sidecar of a TFRecord file, None where there is none; DataRefused where it is not as `dump` makes it."""
    place = beside(path)
    try:
        told = json.loads(place.read_text("utf-8"))
        if told["format"] != FORMAT:
            raise ValueError(f"format {told['format']!r}, this version reads {FORMAT}")
        dtypes = {str(one["name"]): _known(one["dtype"]) for one in told["columns"]}
        return Sidecar(dtypes, int(told["rows"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataRefused(f"data {place}: not as this version writes it ({error})") from error


def _known(dtype: Any) -> str:
    if feature_kind(pd.api.types.pandas_dtype(str(dtype))) is None:
        raise ValueError(f"dtype {dtype!r}")
    return str(dtype)


def feature_kind(dtype: Any) -> str | None:
    """Which list of a feature holds a column of this dtype; None for what no list holds."""
    if pd.api.types.is_bool_dtype(dtype) or pd.api.types.is_integer_dtype(dtype):
        return INTS
    if pd.api.types.is_float_dtype(dtype):
        return FLOATS
    if isinstance(dtype, pd.StringDtype) or pd.api.types.is_datetime64_any_dtype(dtype):
        return BYTES
    return None
