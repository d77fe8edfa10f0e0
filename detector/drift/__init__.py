"""Drift: has what arrives moved away from what the model was trained on, in each feature and in the score?

Rows are sampled by their offset. Each quarter of a window, the window's columns are compared with the artifact's
reference: PSI, Kolmogorov-Smirnov distance, share of missing values. A column is `drifting` once one of them is large
enough to matter (`Levels`) and larger than chance alone makes it once in 10^9 looks. It is `stable` again after four
windows in which none was even half as large, or none larger than chance makes it once in 1000 looks.

By default (1,024 rows, one in 8) that tells a shift by one standard deviation, a doubled variance, a feature gone and
scores creeping up by half within 10,000 rows of the stream, where the reference has some 5,000 rows. Of fewer, more
may be chance: slighter moves are then not told. `python -m tests.benchmarks.drift` measures both, and false alarms.

What else moves a column: a window shorter than a rhythm (of the day, of the week) sees the rhythm, a time that only
grows always drifts, and rows that hang together in long runs differ by more than chance alone would have it.
"""

from __future__ import annotations

from detector.drift.changes import EVENT_TYPE, SCORE, STATES, Change, Event, decode, encode
from detector.drift.levels import CALM, CHANCE, STILL_CHANCE, STILL_SHARE, Levels
from detector.drift.reference import BINS, FLOOR, Reference, bin_counts, bin_edges, ks, psi
from detector.drift.window import LOOKS, Drift, Figures, sampled

__all__ = [
    "BINS",
    "CALM",
    "CHANCE",
    "EVENT_TYPE",
    "FLOOR",
    "LOOKS",
    "SCORE",
    "STATES",
    "STILL_CHANCE",
    "STILL_SHARE",
    "Change",
    "Drift",
    "Event",
    "Figures",
    "Levels",
    "Reference",
    "bin_counts",
    "bin_edges",
    "decode",
    "encode",
    "ks",
    "psi",
    "sampled",
]
