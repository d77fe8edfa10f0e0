"""CSV through a pipe is read as a file is, once."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector import table
from detector.errors import DataRefused
from detector.table.piped import BLOCK_ROWS, PipedCsv


def piped(content: bytes) -> PipedCsv:
    return PipedCsv(io.BytesIO(content), "-")


@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=30))
def test_numbers_are_exact(numbers: list[float]) -> None:
    """A float64 that was printed in full comes back as the same bits."""
    content = "x\n" + "\n".join(map(repr, numbers)) + "\n"
    found = pd.concat(list(piped(content.encode()).frames()))["x"].to_numpy(float)
    assert found.tobytes() == pd.Series(numbers).to_numpy(float).tobytes()


def test_as_a_file() -> None:
    """The frames together are the table of the same bytes in a file, its text as it stands in every block."""
    lines = [f"{row},{row / 7},{'a' if row < 500 else f'{row:06}'},{row % 2 == 0}" for row in range(3 * BLOCK_ROWS + 5)]
    content = "n,x,t,b\n" + "\n".join(lines)
    frames = list(piped(content.encode()).frames())
    assert [len(frame) for frame in frames] == [BLOCK_ROWS] * 3 + [5]
    assert frames[-1].index[-1] == 3 * BLOCK_ROWS + 4
    whole = pd.concat(frames)
    assert whole["t"].iloc[-1] == "003004"
    assert whole["x"].tolist() == [row / 7 for row in range(3 * BLOCK_ROWS + 5)]


def test_without_a_header() -> None:
    """A first line of numbers alone is a row, and columns are numbered; a quote may hold a line's end."""
    assert list(piped(b"1,2\n3,4\n").head.columns) == ["c0", "c1"]
    found = piped(b'"a\nb",c\n"x\ny",1\n').head
    assert found.to_dict("list") == {"a\nb": ["x\ny"], "c": [1]}


def test_read_once() -> None:
    """A second reading is an error of the program."""
    one = piped(b"a\n1\n")
    assert len(list(one.frames())) == 1
    with pytest.raises(ValueError, match="once"):
        next(one.frames())


@pytest.mark.parametrize("content", [b"", b"a,b\n"])
def test_no_rows(content: bytes) -> None:
    """Nothing, or a header alone, is refused."""
    with pytest.raises(DataRefused, match="data -: no rows"):
        _ = piped(content).head


def test_known_dtypes_save_a_reading(tmp_path: Path) -> None:
    """Chunks of a CSV whose dtypes are known are those that a reading of all would give."""
    path = tmp_path / "rows.csv"
    pd.DataFrame({"n": range(100), "t": ["1"] * 50 + ["x"] * 50}).to_csv(path, index=False)
    first = next(table.chunks(path, rows=10))
    dtypes = {str(name): str(dtype) for name, dtype in first.dtypes.items()}
    wanted = list(table.chunks(path, rows=10))
    for found, one in zip(table.chunks(path, rows=10, dtypes=dtypes), wanted, strict=True):
        pd.testing.assert_frame_equal(found, one)
