"""Files to tables: CSV (also compressed) and Parquet."""

from __future__ import annotations

import io
import lzma
import zlib
from pathlib import Path

import pandas as pd
import zstandard

from detector.errors import DataRefused

CSV = (".csv", ".csv.gz", ".csv.xz", ".csv.zst")
PARQUET = (".parquet",)


def read(path: Path) -> pd.DataFrame:
    """All of a CSV (also .gz .xz .zst) or Parquet file. A CSV without a header gets the columns c0, c1, ...

    Numbers are read exactly: a float64 printed in full comes back as the same bits.
    """
    name = path.name.lower()
    if not path.is_file():
        raise DataRefused(f"data {path}: no such file")
    try:
        if name.endswith(PARQUET):
            frame = pd.read_parquet(path)
        elif name.endswith(CSV):
            header = _has_header(path)
            frame = pd.read_csv(_source(path), header="infer" if header else None)
            if not header:
                frame.columns = pd.Index([f"c{i}" for i in range(frame.shape[1])])
        else:
            raise DataRefused(f"data {path}: {', '.join(CSV + PARQUET)} wanted")
    except (OSError, EOFError, ValueError, lzma.LZMAError, zlib.error, zstandard.ZstdError) as error:
        raise DataRefused(f"data {path}: cannot be read: {first_line(error)}") from error
    if frame.empty:
        raise DataRefused(f"data {path}: no rows")
    frame.columns = frame.columns.astype(str)
    return frame


def _source(path: Path) -> Path | io.BytesIO:
    """What pandas is to read. It would take a .zst that was cut short, or its first frame alone, for the whole."""
    if not path.name.lower().endswith(".zst"):
        return path
    parts, rest = [], path.read_bytes()
    while rest:
        frame = zstandard.ZstdDecompressor().decompressobj()
        parts.append(frame.decompress(rest))
        if not frame.eof:
            raise EOFError("compressed file ended before the end of its last frame")
        rest = frame.unused_data
    return io.BytesIO(b"".join(parts))


def first_line(error: Exception) -> str:
    """What an error says first."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def _has_header(path: Path) -> bool:
    """A first line that is all numbers is a row."""
    first = pd.read_csv(_source(path), header=None, nrows=1, dtype=str, keep_default_na=False)
    cells = [cell for cell in first.iloc[0] if cell]  # a value may be missing in the first row as in any other
    return not cells or not all(map(is_number, cells))


def is_number(cell: str) -> bool:
    """Whether a cell of text is a number."""
    try:
        float(cell)
    except ValueError:
        return False
    return True
