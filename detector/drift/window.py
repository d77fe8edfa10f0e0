"""The sliding window over sampled rows, and each column's state."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector.drift.changes import SCORE, STATES, Change
from detector.drift.columns import Columns, Shares
from detector.drift.levels import FIGURES, Levels, States, Verdicts, too_far
from detector.drift.reference import Reference

LOOKS = 4
"""Looks while a window passes: one at each quarter."""

GOLDEN = np.uint64(0x9E37_79B9_7F4A_7C15)
"""2^64 over the golden ratio, odd (Knuth, The Art of Computer Programming 3, section 6.4)."""


def sampled(offset: NDArray[np.int64], every: int) -> NDArray[np.bool_]:
    """Which rows at offsets (n,) are looked at: one in `every`, evenly spread but at no fixed step.

    Offsets have rhythms: after a transaction of one row comes its marker, two senders take turns. Each multiple of
    `every` would then be a marker, or of one sender. Multiples of the golden ratio fall in step with no short rhythm.
    """
    return np.asarray(offset.astype(np.uint64) * GOLDEN <= np.uint64(2**64 // every - 1))


@dataclass(frozen=True, slots=True, eq=False)
class Figures:
    """What the last look found in each column (c,): those of the features, in order, and last the score.

    rows: that the window held, 0 before the first look, when psi, ks and missing are NaN.
    """

    rows: int
    psi: Shares
    ks: Shares
    missing: Shares
    drifting: Verdicts


class Drift:
    """Compares what one process reads with the reference, and keeps a state for each feature and for the score.

    One row in `every` is sampled, by its offset: no clock and no chance decides. The window holds the last `rows` of
    them (rounded down to a multiple of four) in the order in which they were read, whichever partitions they are of.
    Looks are taken each time a quarter of a window has been sampled, so that neither batches nor scrapes decide when;
    states change from the first full window on. In memory alone: a process begins with an empty window, all stable.
    """

    def __init__(
        self,
        reference: Reference,
        features: Sequence[str],
        rows: int = 1024,
        every: int = 8,
        levels: Levels = Levels(),  # noqa: B008 frozen
    ) -> None:
        if len(reference.edges) != len(features) + 1:
            raise ValueError(f"a reference of {len(reference.edges)} columns, {len(features)} features + 1 wanted")
        if rows < LOOKS or every < 1:
            raise ValueError(f"rows {rows} >= {LOOKS} and every {every} >= 1 wanted")
        self.features, self._every, self._levels = tuple(features), every, levels
        self._columns = Columns(reference)
        self._states = States(len(reference.edges))
        self._next = np.zeros(0, np.int64)
        self._quarter = np.empty((rows // LOOKS, len(reference.edges)), np.float32)
        self._held = 0
        self._window = np.zeros((LOOKS, *self._columns.reference.shape), np.int64)
        self._looks = 0
        nothing = np.full(len(reference.edges), np.nan)
        self.figures = Figures(0, nothing, nothing, nothing, self._states.drifting)
        """What the last look found. It is replaced, never altered: any thread may read it."""

    def update(
        self,
        partition: NDArray[np.int32],
        offset: NDArray[np.int64],
        matrix: NDArray[np.float32],
        scores: NDArray[np.float32],
    ) -> list[Change]:
        """Takes the places (n,), rows (n, d) and scores (n,) of a batch; the changes of state that it brings.

        Offsets of a partition ascend. Rows that were counted before are left out, for after an abort they are read
        again: what they changed was told then, and the caller keeps it until a transaction has carried it.
        """
        changes: list[Change] = []
        at = self._unread(partition, offset)
        while len(at):
            room = len(self._quarter) - self._held
            part, at = at[:room], at[room:]
            self._hold(matrix.take(part, axis=0), scores[part])
            if self._held == len(self._quarter):
                changes += self._look(int(partition[part[-1]]), int(offset[part[-1]]))
        return changes

    def forget(self, partitions: Iterable[int]) -> None:
        """Partitions went to another member; should they come back, their rows count from wherever they begin.

        What was sampled of them stays in the window.
        """
        for partition in partitions:
            if partition < len(self._next):
                self._next[partition] = 0

    def _unread(self, partition: NDArray[np.int32], offset: NDArray[np.int64]) -> NDArray[np.intp]:
        """Places in the batch of the rows that are sampled and were not counted before; they now are."""
        at = np.flatnonzero(sampled(offset, self._every))
        if len(at) == 0:
            return at
        most = int(partition[at].max())
        if most >= len(self._next):
            self._next = np.pad(self._next, (0, most + 1 - len(self._next)))
        at = at[offset[at] >= self._next[partition[at]]]
        self._next[partition[at]] = offset[at] + 1  # of several rows of one partition, the last one's stays
        return at

    def _hold(self, rows: NDArray[np.float32], scores: NDArray[np.float32]) -> None:
        end = self._held + len(rows)
        self._quarter[self._held : end, :-1] = rows
        self._quarter[self._held : end, -1] = scores
        self._held = end

    def _look(self, partition: int, offset: int) -> list[Change]:
        """Compares the window, which now ends with the row at this place, with the reference."""
        self._window[self._looks % LOOKS] = self._columns.count(self._quarter)
        self._held, self._looks = 0, self._looks + 1
        counts = self._window.sum(axis=0)
        moved = self._columns.moved(counts)
        changed: list[int] = []
        above = too_far(self._columns, counts, moved, self._levels, self._states.drifting)
        if self._looks >= LOOKS:
            changed = self._states.update(np.logical_or.reduce(above))
        self.figures = Figures(int(counts[0, -1]), moved.psi, moved.ks, moved.missing, self._states.drifting)
        return [self._change(i, above[:, i], partition, offset) for i in changed]

    def _change(self, column: int, above: Verdicts, partition: int, offset: int) -> Change:
        found = self.figures
        score = column == len(self.features)
        was, state = STATES if found.drifting[column] else STATES[::-1]
        return Change(
            kind="score" if score else "feature",
            name=SCORE if score else self.features[column],
            was=was,
            state=state,
            above=[figure for figure, yes in zip(FIGURES, above.tolist(), strict=True) if yes],
            levels=self._levels,
            psi=float(found.psi[column]),
            ks=float(found.ks[column]),
            missing=float(found.missing[column]),
            reference_missing=float(self._columns.missing[column]),
            rows=found.rows,
            partition=partition,
            offset=offset,
        )
