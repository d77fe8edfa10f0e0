"""When rows were sent, told without a time for each: a named replay is as many legs as it had processes."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

Longs = NDArray[np.int64]


class Leg(msgspec.Struct, frozen=True):
    """What one process sent. rows: the number of its first row. start, until: when that was sent, and when the last one
    was committed, ms since 1970 UTC. moment: the first row's in the data's time, ms. factor: how many times as fast as
    the clock that time passed; 0 where it set no pace."""

    rows: int
    start: int
    until: int
    moment: int = 0
    factor: float = 0.0


def stamps(legs: Sequence[Leg], end: int, first: int, moments: Longs) -> Longs:
    """The timestamps (n,), ms, that rows from number `first` on had. end: rows of all legs. moments: theirs, ms.

    Those of a pace by the data's time are exact. Others were taken when a row was sent: they are taken to lie evenly
    between a leg's first and last.
    """
    number = np.arange(first, first + len(moments))
    begins = np.array([leg.rows for leg in legs])
    which = np.maximum(np.searchsorted(begins, number, side="right") - 1, 0)
    found = np.zeros(len(moments), np.int64)
    for place, (leg, last) in enumerate(zip(legs, [*begins[1:].tolist(), end], strict=True)):
        mine = which == place
        if leg.factor:
            since = (moments[mine] - leg.moment) / leg.factor
        else:
            since = (number[mine] - leg.rows) * ((leg.until - leg.start) / max(last - leg.rows, 1))
        found[mine] = leg.start + np.round(since).astype(np.int64)
    return found
