"""Which features carry the errors: over all rows, and in the rows with the highest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector.alerts import Reason, reasons
from detector.model import Model
from detector.page.content import Picture, Table, number, percent
from detector.page.drawing import ALL, ANOMALOUS, NORMAL, axes, classes, legend, png, wrapped
from detector.page.reasons import reason_lines
from detector.schema import Schema

BLOCK = 1 << 16
"""Rows explained at once: the contributions of all might not fit into memory."""

BARS = 15
TOP = 20
"""Features and rows that are shown."""

REASONS = 3
"""Features named for a row."""


def carried(
    model: Model, rows: NDArray[np.float32], truth: NDArray[np.bool_] | None
) -> list[tuple[str, NDArray[np.float64]]]:
    """For each class its name and each feature's share (d,) of the class's summed error; they add up to 1."""
    groups = classes(truth, len(rows))
    sums = np.zeros((len(groups), rows.shape[1]))
    for start in range(0, len(rows), BLOCK):
        contributions = model.explain(rows[start : start + BLOCK])[0]
        for i, (*_, mask) in enumerate(groups):
            sums[i] += contributions[mask[start : start + BLOCK]].sum(axis=0, dtype=np.float64)
    totals = sums.sum(axis=1, keepdims=True)
    shares = np.divide(sums, totals, out=np.full_like(sums, 1 / rows.shape[1]), where=totals > 0)
    return [(name, share) for (name, *_), share in zip(groups, shares, strict=True)]


def heaviest(shares: Sequence[tuple[str, NDArray[np.float64]]], most: int) -> NDArray[np.intp]:
    """Places of at most so many features, those first that carry most of the last class's error (the anomalous one)."""
    return np.argsort(-shares[-1][1], kind="stable")[:most]


def bars(features: Sequence[str], shares: Sequence[tuple[str, NDArray[np.float64]]]) -> Picture:
    """The share of each class's error that the heaviest features carry."""
    kept = heaviest(shares, BARS)
    figure, drawn = axes("share of the error of the class (%)", "", (5.6, 1.2 + 0.36 * len(kept)))
    height = 0.8 / len(shares)
    for i, (name, colour, marker) in enumerate(_looks(shares)):
        drawn.barh(
            np.arange(len(kept)) + (i - (len(shares) - 1) / 2) * height,
            100 * shares[i][1][kept],
            height,
            color=colour,
            hatch="///" if marker == "^" else None,
            edgecolor="white",
            linewidth=0,
            label=f"{name} rows" if name != "all rows" else name,
        )
    drawn.set_yticks(range(len(kept)), [wrapped(features[i], 22, 2) for i in kept])
    drawn.set_ylim(len(kept) - 0.4, -0.6)
    drawn.grid(visible=False, axis="y")
    legend(drawn)
    first = ", ".join(
        f"{features[i]} ({'; '.join(f'{name} {percent(float(share[i]))}' for name, share in shares)})" for i in kept[:5]
    )
    note = f"The {len(kept)} heaviest of {len(features)} features." if len(kept) < len(features) else ""
    alt = f"Bars of the share of the error that each feature carries. Heaviest first: {first}."
    return Picture("features", "Which features carry the errors", png(figure), alt, note)


def _looks(shares: Sequence[tuple[str, NDArray[np.float64]]]) -> list[tuple[str, str, str]]:
    looks = {"normal": (NORMAL, "o"), "anomalous": (ANOMALOUS, "^")}
    return [(name, *looks.get(name, (ALL, "o"))) for name, _ in shares]


@dataclass(frozen=True, slots=True)
class Highest:
    """A row with one of the highest errors. row: its number in the data, from 0."""

    row: int
    score: float
    reasons: tuple[Reason, ...]


def highest(
    model: Model, schema: Schema, rows: NDArray[np.float32], scores: NDArray[np.float32], most: int = TOP
) -> list[Highest]:
    """The rows with the highest scores, each with the features that carry most of it; ties in the data's order."""
    places = np.argsort(-scores, kind="stable")[:most]
    contributions, expected = model.explain(rows[places])
    return [
        Highest(
            int(row), float(scores[row]), tuple(reasons(schema, rows[row], expected[i], contributions[i])[:REASONS])
        )
        for i, row in enumerate(places)
    ]


def table(found: Sequence[Highest], threshold: float, more: Mapping[str, Sequence[str]]) -> Table:
    """The rows with the highest errors for a person. more: further columns, a cell for each of the rows."""
    columns = ("row", *more, "error", "\N{MULTIPLICATION SIGN} threshold", "reasons")
    lines = [
        (
            f"{one.row:,}",
            *(cells[i] for cells in more.values()),
            number(one.score),
            number(one.score / threshold, 3) if threshold > 0 else "-",
            reason_lines(one.reasons),
        )
        for i, one in enumerate(found)
    ]
    right = frozenset({0, len(columns) - 3, len(columns) - 2})
    return Table(
        f"The {len(lines)} rows with the highest error", columns, tuple(lines), right, frozenset({len(columns) - 1})
    )
