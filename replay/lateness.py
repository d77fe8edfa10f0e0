"""How late rows are handed over, in bounded memory: how many, the median, the latest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LATE_SECONDS = 0.002
"""More than this is late: the client counts in milliseconds."""

ROUND = np.array([digit * 10.0**power for power in range(-5, 4) for digit in (1, 2, 3, 5)])
EDGES = np.unique(np.concatenate([[0.0], np.geomspace(1e-5, 1e4, 1801), ROUND]))
"""Upper edges of the counts, s: 200 to a factor of ten, so that a median is right to about one in a hundred."""


class Lateness:
    """Of all rows of a replay. rows: how many were measured. late: those later than LATE_SECONDS. most: s."""

    def __init__(self) -> None:
        self.rows = self.late = 0
        self.most = 0.0
        self.total = 0.0
        self._counts = np.zeros(len(EDGES) + 1, np.int64)

    def observe(self, seconds: NDArray[np.float64]) -> None:
        """Adds rows (n,): s from the moment each was due to that at which it was handed over."""
        found = np.maximum(seconds, 0.0)
        self.rows += len(found)
        self.late += int((found > LATE_SECONDS).sum())
        self.most = max(self.most, float(found.max(initial=0.0)))
        self.total += float(found.sum())
        self._counts += np.bincount(np.searchsorted(EDGES, found), minlength=len(self._counts))

    def median(self) -> float:
        """Of all rows, s, to about one in a hundred."""
        place = int(np.searchsorted(np.cumsum(self._counts), (self.rows + 1) // 2))
        return min(float(EDGES[min(place, len(EDGES) - 1)]), self.most)

    def below(self, edges: NDArray[np.float64]) -> NDArray[np.int64]:
        """How many rows were at most so late, by edge (m,), cumulative; those of ROUND are exact."""
        cumulative = np.concatenate([[0], np.cumsum(self._counts)])
        found: NDArray[np.int64] = cumulative[np.searchsorted(EDGES, edges * (1 + 1e-9), side="right")]
        return found

    def text(self) -> str:
        """For the end of a line."""
        return (
            f"{self.late} more than {LATE_SECONDS * 1000:g} ms late, median {self.median() * 1000:.1f} ms, "
            f"at most {self.most:.3f} s late"
        )
