"""Tables in pieces of another length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pandas as pd


def regrouped(frames: Iterable[pd.DataFrame], rows: int) -> Iterator[pd.DataFrame]:
    """The same rows in frames of exactly `rows`, but for the last, whose index is the row's place in the whole.

    Holds less than `rows` rows besides the frame at hand. All frames have the same columns and dtypes.
    """
    waiting: list[pd.DataFrame] = []
    held = start = 0
    for frame in frames:
        waiting.append(frame)
        held += len(frame)
        while held >= rows:
            whole = joined(waiting)
            yield _numbered(whole.iloc[:rows], start)
            waiting, held, start = [whole.iloc[rows:]], held - rows, start + rows
    if held:
        yield _numbered(joined(waiting), start)


def joined(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """One frame of several, numbered anew; none is copied where there is but one."""
    filled = [frame for frame in frames if len(frame)] or frames[:1]
    return filled[0] if len(filled) == 1 else pd.concat(filled, ignore_index=True)


def _numbered(frame: pd.DataFrame, start: int) -> pd.DataFrame:
    return frame.set_axis(pd.RangeIndex(start, start + len(frame)), axis=0)
