"""How far features have moved from the model's reference, by period of history: counted as rows are played."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from detector import table
from detector.artifact import Artifact
from detector.drift import Reference, bin_counts, psi
from detector.drift.columns import Columns
from replay.backtest.windows import LENGTHS, Windows

SAMPLED = 32_768
"""Rows that are looked at of those that come at a time: features are counted on the way, and must not hold it up."""

MOST_PERIODS = 400
LEAST_ROWS = 500
"""Rows below which a period's PSI says more of chance than of drift: 20 bins of 500 rows have one of .04 by chance."""

ROWS = 1_000
"""Rows of a period, to begin with, where there are no times."""

Floats = NDArray[np.float64]


class Sampled:
    """Counts of a sample of rows by period, in a bounded number of periods: where there are more, they get longer."""

    def __init__(self, artifact: Artifact, timed: bool) -> None:
        self._schema, self._columns = artifact.schema, Columns(artifact.reference)
        self._timed, self._length = timed, min(LENGTHS) if timed else ROWS
        self._counts: dict[int, NDArray[np.int64]] = {}

    def take(self, frame: pd.DataFrame, at: NDArray[np.int64]) -> None:
        """Counts of some rows at these places (n,), ms since 1970 or the number of each."""
        step = max(-(-len(frame) // SAMPLED), 1)
        matrix, places = table.encoded(frame.iloc[::step], self._schema), at[::step] // self._length
        whole = np.column_stack((matrix, np.full(len(matrix), np.nan, np.float32)))  # the score is not known yet
        for place in np.unique(places).tolist():
            counted = self._columns.count(whole[places == place])
            self._counts[place] = self._counts[place] + counted if place in self._counts else counted
        while len(self._counts) > MOST_PERIODS and self._longer():
            pass

    def _longer(self) -> bool:
        """Makes periods longer; False where they are as long as can be."""
        lengths = [length for length in LENGTHS if length > self._length] if self._timed else [2 * self._length]
        if not lengths:
            return False
        merged: dict[int, NDArray[np.int64]] = {}
        for place, counts in self._counts.items():
            new = place * self._length // lengths[0]
            merged[new] = merged[new] + counts if new in merged else counts
        self._counts, self._length = merged, lengths[0]
        return True

    def psi(self, windows: Windows) -> Floats | None:
        """The PSI of each window's features (k, d), NaN where too few rows were looked at; None where none was."""
        if not self._counts:
            return None
        found = np.full((windows.count, len(self._schema.features)), np.nan)
        sums: dict[int, NDArray[np.int64]] = {}
        for place, counts in self._counts.items():
            window = int(windows.places(np.array([place * self._length]))[0])
            sums[window] = sums[window] + counts if window in sums else counts
        for window, counts in sums.items():
            if 0 <= window < windows.count and counts[0, -1] >= LEAST_ROWS:
                found[window] = self._columns.moved(counts).psi[:-1]
        return found


def score_psi(reference: Reference, windows: Windows, at: NDArray[np.int64], scores: NDArray[np.float32]) -> Floats:
    """The PSI of each window's scores (k,), NaN where it has too few rows."""
    edges, counts = reference.edges[-1], reference.counts[-1]
    parts = [scores[part] for part in windows.parts(at)]
    return np.array(
        [psi(counts, bin_counts(part, edges)) if len(part) >= LEAST_ROWS else np.nan for part in parts], np.float64
    )


@dataclass(frozen=True, slots=True)
class Mover:
    """A feature that moved. most: its largest PSI of any window, which is that number `window`."""

    feature: str
    most: float
    window: int


def movers(features: tuple[str, ...], found: Floats, most: int) -> list[Mover]:
    """The features of which some window moved most, that first. found: (k, d), NaN where it is not known."""
    known = np.where(np.isnan(found), -1.0, found)
    peaks = known.max(axis=0)
    order = [int(place) for place in np.argsort(-peaks, kind="stable")[:most] if peaks[place] >= 0]
    return [Mover(features[i], float(peaks[i]), int(known[:, i].argmax())) for i in order]
