"""Which rows a picture shows where it cannot show all; the same ones each time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SCATTERED = 20_000
"""Rows of a class in a scatter plot, at most."""

EMBEDDED, EMBEDDED_ANOMALOUS = 2_000, 500
"""Rows of a t-SNE, and how many of them are anomalous, at most: it takes time by n log n."""

PAIRED, PAIRED_ANOMALOUS = 1_000, 250
"""Rows of a pair plot."""


def sample(truth: NDArray[np.bool_], most: int, anomalous: int) -> NDArray[np.intp]:
    """Places, ascending, of at most `most` rows: at most so many anomalous ones, filled up with normal ones."""
    bad = chosen(np.flatnonzero(truth), anomalous)
    return np.sort(np.concatenate((bad, chosen(np.flatnonzero(~truth), most - len(bad)))))


def thinned(truth: NDArray[np.bool_], most: int = SCATTERED) -> NDArray[np.intp]:
    """Places, ascending, of at most so many rows of either class."""
    return sample(truth, most + min(most, int(truth.sum())), most)


def chosen(places: NDArray[np.intp], most: int) -> NDArray[np.intp]:
    """At most so many of the places, drawn at random by a fixed seed."""
    if len(places) <= most:
        return places
    return np.sort(np.random.default_rng(0).choice(places, most, replace=False))
