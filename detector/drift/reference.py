"""Binned samples: a reference of held-out rows, and how far a sample has moved from one (PSI, Kolmogorov-Smirnov)."""

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
