"""Files of history as tables of columns. For trainer and replay: the detector itself never reads a file of rows.

Needs pandas, which the bare install does not have.
"""

from detector.table.accounts import ACCOUNT_FEATURES, DROPPED, with_features
from detector.table.columns import kind, numeric_columns, require
from detector.table.files import CHUNK_ROWS, CSV, PARQUET, TFRECORD, Shape, chunks, describe, paths, read, tables
from detector.table.piped import PipedCsv
from detector.table.roles import KEYS, LABELS, TIMES, key_column, label_column, normal_value, time_column
from detector.table.values import anomalous, encoded, event_milliseconds, matrix, wide
from detector.table.write import ROWS_PER_FILE, Written, is_folder, refuse_place, write

__all__ = [
    "ACCOUNT_FEATURES",
    "CHUNK_ROWS",
    "CSV",
    "DROPPED",
    "KEYS",
    "LABELS",
    "PARQUET",
    "ROWS_PER_FILE",
    "TFRECORD",
    "TIMES",
    "PipedCsv",
    "Shape",
    "Written",
    "anomalous",
    "chunks",
    "describe",
    "encoded",
    "event_milliseconds",
    "is_folder",
    "key_column",
    "kind",
    "label_column",
    "matrix",
    "normal_value",
    "numeric_columns",
    "paths",
    "read",
    "refuse_place",
    "require",
    "tables",
    "time_column",
    "wide",
    "with_features",
    "write",
]
