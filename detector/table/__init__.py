"""Files of history as tables of columns. For trainer and replay: the detector itself never reads a file of rows.

Needs pandas, which the bare install does not have.
"""

from detector.table.columns import LABELS, TIMES, key_column, label_column, numeric_columns, require, time_column
from detector.table.files import CSV, PARQUET, read
from detector.table.values import anomalous, event_milliseconds, matrix, wide

__all__ = [
    "CSV",
    "LABELS",
    "PARQUET",
    "TIMES",
    "anomalous",
    "event_milliseconds",
    "key_column",
    "label_column",
    "matrix",
    "numeric_columns",
    "read",
    "require",
    "time_column",
    "wide",
]
