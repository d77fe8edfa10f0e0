"""Rows of any number of files and runs come in one order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from replay.order import Block, Run, block_of, in_memory, joined, merged, spilled
from tests.detector.tables import frames

TIMES = st.lists(st.lists(st.integers(0, 6), min_size=1, max_size=25), min_size=1, max_size=5)


def file_of(times: list[int], number: int) -> Block:
    """Rows of a file; `x` tells file and place."""
    frame = pd.DataFrame({"x": [f"{number}:{place}" for place in range(len(times))]})
    return block_of(frame, np.array(times, np.int64), number)


def pieces(block: Block, rows: int) -> Iterator[Block]:
    for start in range(0, len(block), rows):
        yield block.take(slice(start, start + rows))


def streamed(times: list[int], number: int, rows: int) -> Run:
    return Run(times[0], number, 1, lambda _: pieces(file_of(times, number), rows))


def wanted(files: list[list[int]]) -> list[str]:
    keys = [(time, number, place) for number, times in enumerate(files) for place, time in enumerate(times)]
    return [f"{number}:{place}" for _, number, place in sorted(keys)]


def found(blocks: Iterator[Block]) -> list[str]:
    parts = list(blocks)
    assert all(len(part) for part in parts)
    whole = joined(parts)
    assert whole.event is not None
    names = zip(whole.file.tolist(), whole.place.tolist(), strict=True)
    assert whole.frame["x"].tolist() == [f"{file}:{place}" for file, place in names]
    assert (np.diff(whole.event) >= 0).all()
    return [str(one) for one in whole.frame["x"]]


@given(TIMES)
def test_tables_in_memory(files: list[list[int]]) -> None:
    """Event time comes first, then the file's number, then the place in it."""
    assert found(merged([in_memory(file_of(times, number)) for number, times in enumerate(files)])) == wanted(files)


@given(TIMES, st.integers(1, 4))
def test_sorted_files_are_streamed(files: list[list[int]], rows: int) -> None:
    """Files that are in order are merged block by block, ties over the ends of blocks among them."""
    ordered = [sorted(times) for times in files]
    runs = [streamed(times, number, rows) for number, times in enumerate(ordered)]
    assert found(merged(runs)) == wanted(ordered)


@given(TIMES, st.integers(1, 4), st.integers(1, 2_000), st.integers(2, 9))
def test_spilled_runs(files: list[list[int]], rows: int, size: int, most: int) -> None:
    """Whatever the size of the runs on disk, and how many there may be, the order is that of sorting all at once."""
    with TemporaryDirectory() as folder:
        told: list[int] = []
        runs: list[Run] = []
        for number, times in enumerate(files):
            runs += spilled(pieces(file_of(times, number), rows), Path(folder), told.append, size, most)
        assert len(list(Path(folder).iterdir())) == len(runs) <= most * len(files)
        assert found(merged(runs, size)) == wanted(files)
        assert found(merged(runs)) == wanted(files)
        assert told[-1] == len(files[-1])


@given(frames())
def test_runs_on_disk_keep_every_value(frame: pd.DataFrame) -> None:
    """What comes back from disk has the dtypes and values that went there."""
    with TemporaryDirectory() as folder:
        block = block_of(frame, np.arange(len(frame))[::-1], 0)
        back = joined(list(merged(spilled([block], Path(folder), lambda rows: None))))
        pd.testing.assert_frame_equal(back.frame.reset_index(drop=True), frame.iloc[::-1].reset_index(drop=True))


def test_files_are_opened_when_their_time_comes() -> None:
    """Of files of a day each one is open at a time: the next is opened when the last row of the one before is due."""
    open_: set[int] = set()
    most = []

    def day(number: int) -> Run:
        block = file_of([number * 10 + hour for hour in range(5)], number)

        def blocks(rows: int) -> Iterator[Block]:
            open_.add(number)
            most.append(len(open_))
            yield from pieces(block, 2)
            open_.discard(number)

        return Run(number * 10, number, 1, blocks)

    assert len(found(merged([day(number) for number in (2, 0, 1, 3)]))) == 20
    assert max(most) <= 2
