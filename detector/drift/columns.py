"""All columns of a window against the reference at once: what `psi` and `ks` say of each, in one look."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector.drift.reference import FLOOR, Reference

Counts = NDArray[np.int64]
Shares = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Moved:
    """How far each column (c,) has moved: PSI, Kolmogorov-Smirnov distance, and its share of missing values now."""

    psi: Shares
    ks: Shares
    missing: Shares


class Columns:
    """The reference's c columns as arrays of one width k.

    Counts of a sample are kept as (c, k + 1): rows at or below each edge, ascending, the first 0, the last all rows.
    Columns of fewer edges are filled up with infinite ones, so the last count but one is of the values not missing.
    Such counts of several samples add up to those of the samples together.
    """

    def __init__(self, reference: Reference) -> None:
        most = max(len(edges) for edges in reference.edges)
        fill = np.append(np.full(most + 1, np.inf, np.float32), np.float32(np.nan))  # all lies at or below NaN
        self._edges = [np.concatenate((edges, fill[len(edges) :])) for edges in reference.edges]
        self.reference = np.zeros((len(reference.edges), most + 3), np.int64)
        for row, counts in zip(self.reference, reference.counts, strict=True):
            row[1 : len(counts)] = np.cumsum(counts[:-1])
            row[len(counts) : -1] = row[len(counts) - 1]
            row[-1] = counts.sum()
        self._floored = np.maximum(shares(self.reference), FLOOR)
        self._logs = np.log(self._floored)
        self._distribution = distribution(self.reference)
        self.missing = missing(self.reference)
        """The reference's share of missing values (c,)."""

    def count(self, values: NDArray[np.float32]) -> Counts:
        """The counts (c, k + 1) of values (n, c), which may be NaN."""
        counts = np.zeros_like(self.reference)
        ascending = np.sort(values.T, axis=1)  # once sorted, NaN last, a column is counted by halving
        counts[:, 1:] = [column.searchsorted(e, "right") for column, e in zip(ascending, self._edges, strict=True)]
        return counts

    def moved(self, counts: Counts) -> Moved:
        """How far a sample of these counts lies from the reference."""
        floored = np.maximum(shares(counts), FLOOR)
        terms = (floored - self._floored) * (np.log(floored) - self._logs)
        distances = np.abs(distribution(counts) - self._distribution)
        return Moved(terms.sum(axis=1), distances.max(axis=1), missing(counts))


def bins(counts: Counts) -> Counts:
    """Rows in each bin (c, k), the last of missing values."""
    return counts[:, 1:] - counts[:, :-1]


def shares(counts: Counts) -> Shares:
    """The share of rows in each bin (c, k)."""
    return bins(counts) / np.maximum(counts[:, -1:], 1)


def distribution(counts: Counts) -> Shares:
    """The share of values, missing ones left out, at or below each edge (c, k - 1)."""
    return counts[:, 1:-1] / np.maximum(counts[:, -2:-1], 1)


def missing(counts: Counts) -> Shares:
    """The share of missing values (c,)."""
    return 1 - counts[:, -2] / np.maximum(counts[:, -1], 1)
