"""State from the log: what a partition's new owner does instead of asking a state store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from detector.errors import UsageError
from detector.log import logger
from detector.model import Model
from detector.rows import Batch, Decoder, Message
from detector.statistics import RunningMedianMad

Ranges = Mapping[int, tuple[int, int]]
Read = Callable[[Ranges], Iterator[Sequence[Message] | Batch]]
"""Reads start <= offset < end of each partition, in batches, each partition in order."""

log = logger("detector")

Scored = list[tuple[NDArray[np.int64], NDArray[np.float32]]]
"""Pieces of offsets and scores in the log's order."""


def reopen(
    positions: Mapping[int, int], note: Callable[[int], str], low: Callable[[int], int], read: Read, decoder: Decoder
) -> None:
    """Partitions come to a decoder: what waited for its row at `positions` waits again, and nothing else does.

    note: what was committed with a partition's position. UsageError where their messages were read as something else.
    """
    try:
        starts = decoder.begin(positions, {partition: note(partition) for partition in positions})
    except ValueError as error:
        raise UsageError(f"{error}: a new group, or the settings that the group had, wanted") from error
    for partition, start in starts.items():
        if note(partition) and start < low(partition):  # else the log's beginning is as good as any
            log.error("samples_expired", partition=partition, start=start, end=low(partition))
    ranges = {partition: (max(start, low(partition)), positions[partition]) for partition, start in starts.items()}
    for batch in read(ranges) if ranges else ():
        decoder.decode(batch)
    decoder.resume(positions)


def rebuild(
    positions: Mapping[int, int],
    low: Callable[[int], int],
    read: Read,
    decoder: Decoder,
    model: Model,
    empty: Callable[[], RunningMedianMad],
) -> dict[int, RunningMedianMad]:
    """The statistics that partitions have at `positions`, as if they had been read from the log's beginning.

    Reads back far enough that `window` rows lie below the stride's last multiple; farther where messages were no rows
    or offsets have gaps; to `low`, the log's first offset, where there are not so many.

    A window holds the rows that are there. What expired or was compacted away before a partition came is in none, so
    rows are judged without it that the owner before would have judged with it, until `window` rows have come since.
    """
    windows = {partition: empty() for partition in positions}
    scored: dict[int, Scored] = {partition: [] for partition in positions}
    begun = dict(positions)
    short = {p: _span(windows[p], position) * decoder.samples for p, position in positions.items()}
    while short:
        ranges = {p: (max(begun[p] - span, low(p)), begun[p]) for p, span in short.items()}
        for partition, pieces in _score(ranges, low, read, decoder.fresh(), model).items():
            scored[partition] = pieces + scored[partition]
        begun |= {p: start for p, (start, _) in ranges.items()}
        short = {
            p: 2 * short[p]
            for p, (start, end) in ranges.items()
            if start < end and start > low(p) and _below(scored[p], windows[p], positions[p]) < windows[p].window
        }
    for partition, window in windows.items():
        for offsets, scores in scored[partition]:
            for _ in window.update(offsets, scores):
                pass
    return windows


def _span(window: RunningMedianMad, position: int) -> int:
    """Offsets to read back at first: the window, and what lies above the stride's last multiple."""
    return window.window + position % window.stride


def _below(pieces: Scored, window: RunningMedianMad, position: int) -> int:
    """How many of the rows read lie below the stride's last multiple."""
    edge = position // window.stride * window.stride
    return sum(int((offsets < edge).sum()) for offsets, _ in pieces)


def _score(ranges: Ranges, low: Callable[[int], int], read: Read, decoder: Decoder, model: Model) -> dict[int, Scored]:
    """The rows whose messages are in the ranges; where a row is of several messages, its last one."""
    pieces: dict[int, Scored] = {}
    for batch in read({p: (max(start - decoder.reach, low(p)), end) for p, (start, end) in ranges.items()}):
        rows, _ = decoder.decode(batch)
        if len(rows) == 0:
            continue
        scores = model.score(rows.matrix)
        for partition, here in rows.parts:
            here = here[rows.offset[here] >= ranges[partition][0]]
            pieces.setdefault(partition, []).append((rows.offset[here], scores[here]))
    return pieces
