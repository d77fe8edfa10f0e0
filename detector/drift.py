"""How far a sample has moved from a reference: PSI and Kolmogorov-Smirnov over shared bins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

BINS = 20
FLOOR = 1e-4
"""A bin's least share in the PSI, which is infinite for an empty one."""


def bin_edges(values: NDArray[np.float32], bins: int = BINS) -> NDArray[np.float32]:
    """Inner edges (at most bins - 1, ascending, distinct) that cut values (n,) into shares as equal as ties allow."""
    kept = values[~np.isnan(values)]
    if len(kept) == 0:
        return np.empty(0, np.float32)
    return np.unique(np.quantile(kept, np.linspace(0, 1, bins + 1)[1:-1]).astype(np.float32))


def bin_counts(values: NDArray[np.float32], edges: NDArray[np.float32]) -> NDArray[np.int64]:
    """Counts (len(edges) + 2,) of values (n,): bin i holds edges[i-1] < x <= edges[i], the last one NaN."""
    missing = np.isnan(values)
    counts = np.bincount(np.searchsorted(edges, values[~missing]), minlength=len(edges) + 1)
    return np.append(counts, missing.sum()).astype(np.int64)


def psi(reference: ArrayLike, sample: ArrayLike) -> float:
    """Population stability index of two rows of counts: sum (p - q) ln(p / q); above .25 is called a major shift.

    Source: Siddiqi, Credit Risk Scorecards (2006).
    """
    p, q = (np.maximum(_shares(counts), FLOOR) for counts in (reference, sample))
    return float(((q - p) * np.log(q / p)).sum())


def ks(reference: ArrayLike, sample: ArrayLike) -> float:
    """Kolmogorov-Smirnov distance of two rows of counts: the largest difference of their distributions at an edge.

    The last count, of missing values, is left out.
    """
    p, q = (np.cumsum(_shares(np.asarray(counts)[:-1])) for counts in (reference, sample))
    return float(np.abs(p - q).max())


def _shares(counts: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(counts, np.float64)
    total = values.sum()
    return values / total if total > 0 else values


@dataclass(frozen=True, slots=True)
class Reference:
    """Binned columns of held-out normal rows: those of the features, in order, and last the scores."""

    edges: list[NDArray[np.float32]]
    counts: list[NDArray[np.int64]]

    @classmethod
    def of(cls, columns: list[NDArray[np.float32]]) -> Reference:
        """Bins columns, each (n,)."""
        edges = [bin_edges(column) for column in columns]
        return cls(edges, [bin_counts(column, edge) for column, edge in zip(columns, edges, strict=True)])

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """For an artifact's reference.npz: edges/I and counts/I of column I."""
        arrays: dict[str, NDArray[Any]] = {f"edges/{i}": edges for i, edges in enumerate(self.edges)}
        return arrays | {f"counts/{i}": counts for i, counts in enumerate(self.counts)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], columns: int) -> Reference:
        """The inverse of `to_arrays`; KeyError where one is absent."""
        return cls([arrays[f"edges/{i}"] for i in range(columns)], [arrays[f"counts/{i}"] for i in range(columns)])


class Drift:
    """PSI and KS of the last `rows` sampled rows against a reference: of each feature, and last of the score.

    Rows are sampled by their offset, one in `every`, so that no clock and no chance decides.
    """

    def __init__(self, reference: Reference, rows: int = 2048, every: int = 8) -> None:
        self._reference, self._every = reference, every
        self._bins = np.zeros((rows, len(reference.edges)), np.uint8)
        self._seen = 0

    def update(self, offsets: NDArray[np.int64], matrix: NDArray[np.float32], scores: NDArray[np.float32]) -> None:
        """Takes offsets (n,), rows (n, d) and scores (n,)."""
        sampled = np.flatnonzero(offsets % self._every == 0)[-len(self._bins) :]
        if len(sampled) == 0:
            return
        places = np.arange(self._seen, self._seen + len(sampled)) % len(self._bins)
        columns = np.column_stack((matrix[sampled], scores[sampled]))
        for index, edges in enumerate(self._reference.edges):
            column = columns[:, index]
            bins = np.searchsorted(edges, column)
            self._bins[places, index] = np.where(np.isnan(column), len(edges) + 1, bins)
        self._seen += len(sampled)

    def measure(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """PSI and KS, each (d + 1,); NaN before the first row."""
        bins = self._bins[: self._seen].copy()
        if len(bins) == 0:
            nothing = np.full(len(self._reference.edges), np.nan)
            return nothing, nothing
        counts = [np.bincount(bins[:, i], minlength=len(counts)) for i, counts in enumerate(self._reference.counts)]
        pairs = list(zip(self._reference.counts, counts, strict=True))
        return np.array([psi(p, q) for p, q in pairs]), np.array([ks(p, q) for p, q in pairs])
