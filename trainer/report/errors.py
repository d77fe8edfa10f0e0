"""The reconstruction errors themselves: their distribution by class, and row by row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from detector.page.content import Picture, counted, number, percent
from detector.page.drawing import (
    SCORE,
    axes,
    classes,
    legend,
    logarithmic,
    mark_threshold,
    png,
    positive,
    scatter,
    tick,
)
from trainer.report.sampling import SCATTERED, thinned

BINS = 80
Truth = NDArray[np.bool_] | None
Scores = NDArray[np.float32]


def linear(scores: Scores, truth: Truth, threshold: float) -> Picture:
    """The distribution on linear axes, around the threshold: the share of each class in each bin."""
    right = right_edge(scores, truth, threshold)
    edges = np.linspace(0, right, BINS + 1)
    figure, drawn = axes(SCORE, "rows of the class in the bin (%)")
    beyond = []
    for name, counts, rows in _bars(drawn, scores, truth, edges, shares=True):
        drawn.patches[-1].set_label(f"{name} ({rows:,})")
        beyond.append(f"{percent(1 - counts.sum() / rows)} of {name if truth is None else f'the {name} rows'}")
    mark_threshold(drawn, threshold)
    drawn.set_xlim(0, right)
    legend(drawn)
    alt = f"Histogram of the error from 0 to {number(right)}, as shares of each class. {summary(scores, truth)}"
    note = f"Beyond the right edge: {', '.join(beyond)}."
    return Picture("errors-linear", "Errors, linear", png(figure), alt, note)


def log(scores: Scores, truth: Truth, threshold: float) -> Picture:
    """The distribution on logarithmic axes, from the least to the largest score: rows in each bin."""
    values = positive(scores)
    low, high = float(values.min()), float(values.max())
    edges = np.geomspace(low, high, BINS + 1) if high > low else np.array([low * 0.9, low * 1.1])
    edges[0], edges[-1] = min(edges[0], low), max(edges[-1], high)
    figure, drawn = axes(SCORE, "rows in the bin")
    for name, _, rows in _bars(drawn, values, truth, edges, shares=False):
        drawn.patches[-1].set_label(f"{name} ({rows:,})")
    drawn.set_yscale("log")
    drawn.set_ylim(bottom=0.7)
    drawn.yaxis.set_major_formatter(FuncFormatter(lambda value, _: tick(value)))
    logarithmic(drawn, "x", edges)
    mark_threshold(drawn, threshold)
    legend(drawn)
    alt = (
        f"Histogram of the error from {number(low)} to {number(high)}, both axes logarithmic. {summary(scores, truth)}"
    )
    return Picture("errors-log", "Errors, logarithmic", png(figure), alt, zeros(scores))


def by_row(scores: Scores, truth: Truth, threshold: float) -> Picture:
    """The error of each row in the order of the data, coloured by class."""
    places = thinned(truth if truth is not None else np.zeros(len(scores), bool))
    said = [int(mask.sum()) for *_, mask in classes(truth, len(scores))]
    values = positive(scores)
    figure, drawn = axes("row (number in the data)", SCORE)
    scatter(drawn, (places, values[places]), None if truth is None else truth[places], said=said)
    logarithmic(drawn, "y", values)
    mark_threshold(drawn, threshold, vertical=False)
    drawn.xaxis.set_major_formatter(FuncFormatter(lambda value, _: tick(value)))
    legend(drawn, enlarged=2)
    above = int((scores.astype(np.float64) > threshold).sum())
    alt = (
        f"Error of {counted(len(places), 'row')} in the order of the data; {above:,} of all {len(scores):,} rows lie "
        f"above the threshold {number(threshold)}. {summary(scores, truth)}"
    )
    note = f"Of {len(scores):,} rows {len(places):,} are drawn: at most {SCATTERED:,} of a class, chosen at random. "
    note = (note if len(places) < len(scores) else "") + zeros(scores)
    return Picture("errors-by-row", "Error by row", png(figure), alt, note.strip())


def zeros(scores: Scores) -> str:
    """Says where a logarithmic axis shows errors of 0; nothing if there are none."""
    count = int((scores <= 0).sum())
    return f"An error of 0, which {counted(count, 'row')} have, stands at the least one above." if count else ""


def right_edge(scores: Scores, truth: Truth, threshold: float) -> float:
    """Where a linear axis may end so that the threshold stands in its middle part and most rows are still seen."""
    tails = [float(np.percentile(scores[mask], 95)) for *_, mask in classes(truth, len(scores))]
    edge = max(1.5 * threshold, min(max(tails), 6 * threshold))
    return edge if edge > 0 else float(scores.max()) or 1.0


def summary(scores: Scores, truth: Truth) -> str:
    """A sentence for each class: its rows, its median error and the range that holds 90 % of them."""
    told = []
    for name, _, _, mask in classes(truth, len(scores)):
        low, middle, high = np.percentile(scores[mask], (5, 50, 95))
        told.append(
            f"{name[0].upper()}{name[1:]}: {counted(int(mask.sum()), 'row')}, median {number(middle)}, "
            f"5 to 95 % from {number(low)} to {number(high)}."
        )
    return " ".join(told)


def _bars(
    drawn: Axes, scores: NDArray[Any], truth: Truth, edges: NDArray[np.float64], shares: bool
) -> Iterator[tuple[str, NDArray[np.int64], int]]:
    """Draws a stepped histogram for each class; yields its name, its counts and its rows as each is drawn."""
    for name, colour, marker, mask in classes(truth, len(scores)):
        counts = np.histogram(scores[mask], edges)[0]
        rows = int(mask.sum())
        drawn.stairs(
            100 * counts / rows if shares else counts,
            edges,
            fill=True,
            facecolor=(colour, 0.4),
            edgecolor=colour,
            linewidth=1.2,
            hatch="///" if marker == "^" else None,
        )
        yield name, counts, rows
