"""How far a sample has moved from a reference: PSI and Kolmogorov-Smirnov over shared bins."""

from __future__ import annotations

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
