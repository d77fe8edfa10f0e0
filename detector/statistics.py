"""Median, MAD and modified z: of a sample, and running over a partition's log."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

MAD_TO_SD = 0.6745
"""The third quartile of the standard normal: MAD / .6745 estimates its sd (Iglewicz and Hoaglin 1993)."""

MEAN_AD_TO_SD = 1.253314
"""sqrt(pi / 2): the mean absolute deviation times this estimates it too (ibid., for a MAD of zero)."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The centre and spread of scores. `mad` is the median, `mean_ad` the mean absolute deviation from the median."""

    rows: int
    median: float
    mad: float
    mean_ad: float

    @property
    def sigma(self) -> float:
        """A robust standard deviation: from the MAD, from the mean deviation where it is 0, 0 where both are."""
        return self.mad / MAD_TO_SD if self.mad > 0 else self.mean_ad * MEAN_AD_TO_SD

    def modified_z(self, score: float) -> float | None:
        """(score - median) / sigma, that is .6745 (x - median) / MAD; None where the scores have no spread."""
        return (score - self.median) / self.sigma if self.sigma > 0 else None

    def line(self, z: float) -> float | None:
        """The score whose modified z is `z`; None where the scores have no spread."""
        return self.median + z * self.sigma if self.sigma > 0 else None


def summarize(scores: ArrayLike) -> Summary:
    """The summary of scores (n,), n >= 1, none NaN; computed in float64."""
    values = np.asarray(scores)
    median = _median(values)
    deviations = np.abs(values.astype(np.float64) - median)
    return Summary(len(values), median, _median(deviations), float(deviations.mean()))


def _median(values: NDArray[Any]) -> float:
    """numpy's median, many times faster: it asks for two places at once, for which there is no vectorised partition."""
    half = len(values) // 2
    parted = np.partition(values, half)
    if len(values) % 2:
        return float(parted[half])
    return (float(parted[:half].max()) + float(parted[half])) / 2


class RunningMedianMad:
    """The summary of the last `window` scores of one partition, exact, and a function of the log alone.

    A row at offset o sees the scores of the last `window` rows below the greatest multiple of `stride` not above o.
    So what a row sees does not depend on how rows were batched, and a reader who starts anywhere can rebuild it by
    reading back. Offsets may have gaps. Below `min_rows` scores there is no summary.
    """

    def __init__(self, window: int = 4096, stride: int = 1024, min_rows: int = 256) -> None:
        if not (window >= min_rows >= 1 and stride >= 1):
            raise ValueError(f"window {window} >= min_rows {min_rows} >= 1 and stride {stride} >= 1 wanted")
        self.window, self.stride, self.min_rows = window, stride, min_rows
        self.summary: Summary | None = None
        self._scores: NDArray[np.float32] = np.empty(0, np.float32)
        self._block = -1

    def update(self, offsets: NDArray[np.int64], scores: NDArray[np.float32]) -> Iterator[tuple[slice, Summary | None]]:
        """Takes rows in the log's order; yields slices of them, each with the summary that its rows see."""
        blocks = offsets // self.stride
        edges = np.flatnonzero(np.diff(blocks)) + 1
        for start, end in zip([0, *edges], [*edges, len(offsets)], strict=True):
            if start < end:
                yield slice(int(start), int(end)), self._enter(int(blocks[start]))
                self._scores = np.concatenate((self._scores, scores[start:end]))[-self.window :]

    def _enter(self, block: int) -> Summary | None:
        if block < self._block:
            raise ValueError(f"offsets went back from block {self._block} to {block}")
        if block > self._block:
            self._block = block
            self.summary = summarize(self._scores) if len(self._scores) >= self.min_rows else None
        return self.summary
