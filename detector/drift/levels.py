"""How far is too far: a move must be large enough to matter, and larger than chance makes it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector.drift.columns import Columns, Counts, Moved, Shares, bins, distribution

CHANCE = 1e-9
"""Of the moves that chance makes, the share that may pass for drift at one look at one column: 500 features and the
score over 10 million rows are 2.4 million looks."""

STILL_SHARE = 0.5
"""A column that drifts does so until its moves are below this share of the levels, or ..."""

STILL_CHANCE = 1e-3
"""... no larger than chance makes them at this share of looks ..."""

CALM = 16
"""... at so many looks in a row: four windows."""

FIGURES = ("ks", "missing", "psi")
"""What is tested, the cheapest test first."""

Verdicts = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Levels:
    """The least moves that matter: of PSI, of the KS distance, and of the share of missing values (either way)."""

    psi: float = 0.1
    ks: float = 0.1
    missing: float = 0.05


def too_far(columns: Columns, counts: Counts, moved: Moved, levels: Levels, drifting: Verdicts) -> Verdicts:
    """Which of FIGURES (3, c) are both above their levels and beyond chance.

    drifting (c,): columns of which less is enough, and one figure: the others are then not looked at.
    """
    moves = np.array((moved.ks, np.abs(moved.missing - columns.missing), moved.psi))
    least = np.array(((levels.ks,), (levels.missing,), (levels.psi,))) * np.where(drifting, STILL_SHARE, 1)
    found = moves > least
    if found.any():
        odds, settled = np.log(np.where(drifting, STILL_CHANCE, CHANCE)), np.zeros_like(drifting)
        for row, log_chance in zip(found, (_of_distribution, _of_missing, _of_bins), strict=True):
            row &= ~settled
            if len(at := np.flatnonzero(row)):
                row[at] = log_chance(columns.reference[at], counts[at]) < odds[at]
                settled |= row & drifting
    return found


def _of_distribution(reference: Counts, counts: Counts) -> Shares:
    distances = np.abs(distribution(reference) - distribution(counts)).max(axis=1)
    return log_chance_of_ks(distances, reference[:, -2], counts[:, -2])


def _of_missing(reference: Counts, counts: Counts) -> Shares:
    return log_chance_of_counts(_missing_or_not(reference), _missing_or_not(counts))


def _of_bins(reference: Counts, counts: Counts) -> Shares:
    return log_chance_of_counts(bins(reference), bins(counts))


def _missing_or_not(counts: Counts) -> Counts:
    return np.stack((counts[:, -2], counts[:, -1] - counts[:, -2]), axis=1)


def log_chance_of_counts(reference: Counts, sample: Counts) -> Shares:
    """Logarithm of how often two samples of one distribution, counted in bins (c, k), differ by as much; (c,).

    The likelihood ratio G = 2 sum O ln(O / E) of the two rows of counts is chi-squared with one degree of freedom less
    than there are bins in use (Wilks 1938); Chernoff bounds the tail by exp(df / 2 (1 - y + ln y)), y = G / df.
    It is not the PSI that is tested: in it a bin that chance leaves empty weighs far more than it should.
    """
    counts = np.stack((reference, sample, reference + sample))
    gains = _times_log(counts).sum(axis=2) - _times_log(counts.sum(axis=2))
    degrees = np.maximum((counts[2] > 0).sum(axis=1) - 1, 1)
    ratios = np.maximum(2 * (gains[0] + gains[1] - gains[2]) / degrees, 1)
    return np.asarray(degrees / 2 * (1 - ratios + np.log(ratios)))


def _times_log(counts: Counts) -> Shares:
    """x ln x, 0 where x is."""
    return np.asarray(counts * np.log(np.maximum(counts, 1)))


def log_chance_of_ks(distances: Shares, reference: Counts, sample: Counts) -> Shares:
    """Logarithm of how often two samples of one distribution lie a KS distance (c,) apart: 2 exp(-2 D^2 nm / (n + m)).

    reference, sample: their rows m and n (c,). Ties and bins only make such distances rarer. Source: Smirnov (1939).
    """
    return np.asarray(np.log(2) - 2 * distances**2 * (reference * sample / np.maximum(reference + sample, 1)))


class States:
    """Whether each of c columns drifts: at once where it moved too far, no longer after CALM looks where it did not."""

    def __init__(self, columns: int) -> None:
        self.drifting = np.zeros(columns, np.bool_)
        """(c,); replaced, never altered."""
        self._calm = np.zeros(columns, np.int64)

    def update(self, above: Verdicts) -> list[int]:
        """Moves the states along by one look, at which columns (c,) were too far; those whose state changed."""
        before = self.drifting
        if not (above.any() or before.any()):
            return []
        self._calm = np.where(above, 0, self._calm + 1)
        self.drifting = above | (before & (self._calm < CALM))
        return [int(column) for column in np.flatnonzero(before != self.drifting)]
