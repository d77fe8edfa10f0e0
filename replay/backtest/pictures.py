"""The pictures of a backtest: what came over time, a line for each model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import date2num
from matplotlib.figure import Figure
from numpy.typing import NDArray

from detector.page.content import Picture, counted, number
from detector.page.drawing import BLUE, GREEN, GREY, VERMILLION, axes, legend, logarithmic, png, shown
from detector.page.timeline import clock, dated, timeline
from replay.backtest.windows import Windows

Values = NDArray[np.float64]

LOOKS = ((BLUE, "-", "o"), (VERMILLION, "--", "^"))
"""Colour, line and marker of each model."""

MARKED = 60
"""Windows up to which each is a point of its own."""

LEVELS = {0.1: "some", 0.25: "major"}
"""PSI from which a shift is called so. Source: Siddiqi, Credit Risk Scorecards (2006)."""

TITLE = 32
"""Characters of a model's title in a legend."""


Series = Sequence[tuple[str, Values]]
"""Of each model its title and a value (k,) for each window, NaN where there is none."""


def lines(name: str, title: str, y: str, windows: Windows, series: Series, note: str = "") -> Picture:
    """Values over time, from 0 on."""
    figure, drawn = _drawn(windows, y, series)
    drawn.set_ylim(bottom=0)
    legend(drawn, 2)
    return Picture(name, title, png(figure), _alt(title, windows, series), note)


def shares(name: str, title: str, windows: Windows, series: Series, note: str = "") -> Picture:
    """Shares over time, 0 to 1."""
    figure, drawn = _drawn(windows, title.lower(), series)
    drawn.set_ylim(-0.02, 1.02)
    legend(drawn, 2)
    return Picture(name, title, png(figure), _alt(title, windows, series), note)


def money(name: str, model: str, amount: str, windows: Windows, caught: Values, missed: Values) -> Picture:
    """Money caught and missed in each window (k,), one above the other."""
    figure, drawn = _axes(windows, f"{shown(amount, TITLE)} of anomalous rows")
    at, ends = _places(windows, windows.start), _places(windows, windows.start + windows.length)
    width = 0.85 * (ends - at)
    drawn.bar(at, caught, width, align="edge", color=GREEN, label="caught")
    drawn.bar(at, missed, width, caught, align="edge", color=VERMILLION, hatch="///", edgecolor="white", linewidth=0)
    drawn.containers[-1].set_label("missed")
    legend(drawn, 2)
    alt = (
        f"{amount} of anomalous rows over {counted(windows.count, 'window')} of {windows.unit}, {model}: "
        f"caught {number(float(caught.sum()))}, missed {number(float(missed.sum()))}."
    )
    return Picture(name, f"{amount} caught and missed: {model}", png(figure), alt)


def psi(windows: Windows, series: Series) -> Picture:
    """How far the scores moved from the reference, by window."""
    figure, drawn = _drawn(windows, "PSI of the score (no unit)", series)
    for level, name in LEVELS.items():
        drawn.axhline(level, color=GREY, linestyle=":", linewidth=1.2, label=f"{name} shift: {level:g}")
    drawn.set_ylim(bottom=0)
    legend(drawn, 2)
    return Picture("score-psi", "Drift of the score", png(figure), _alt("PSI of the score", windows, series))


def latencies(series: Series) -> Picture:
    """Which share of the alerts came within how long (s)."""
    figure, drawn = axes("from row handed over to alert read (s)", "alerts that came by then (%)")
    for (model, seconds), (colour, line, _) in zip(series, LOOKS, strict=False):
        ascending = np.maximum(np.sort(seconds), 1e-3)  # the clock of a message counts in milliseconds
        share = 100 * np.arange(1, len(ascending) + 1) / len(ascending)
        drawn.plot(ascending, share, color=colour, linestyle=line, label=shown(model, TITLE))
    every = np.maximum(np.concatenate([seconds for _, seconds in series]), 1e-3)
    logarithmic(drawn, "x", every)
    drawn.set_ylim(0, 101)
    legend(drawn, 2)
    told = "; ".join(f"{model} median {number(float(np.median(seconds)), 3)} s" for model, seconds in series)
    return Picture("latency", "From row to alert", png(figure), f"Share of alerts by the time they took: {told}.")


def _drawn(windows: Windows, y: str, series: Series) -> tuple[Figure, Axes]:
    """Axes with a line for each model."""
    figure, drawn = _axes(windows, y)
    for (model, values), (colour, line, marker) in zip(series, LOOKS, strict=False):
        mark = marker if windows.count <= MARKED else ""
        at = _places(windows, windows.start)
        drawn.plot(at, values, color=colour, linestyle=line, marker=mark, markersize=4, label=shown(model, TITLE))
    return figure, drawn


def _axes(windows: Windows, y: str) -> tuple[Figure, Axes]:
    if windows.timed:
        return timeline(windows.start, windows.length, y)
    return axes("row, in the order of play", y)


def _places(windows: Windows, start: NDArray[np.int64]) -> Values:
    """Where on such axes windows stand (k,) that start at these places; dates count in days."""
    if not windows.timed:
        return start.astype(np.float64)
    if dated(windows.start):
        return np.asarray(date2num(start.astype("datetime64[ms]")), np.float64)  # type: ignore[no-untyped-call]
    return start / clock(windows.length)[0]


def _alt(title: str, windows: Windows, series: Series) -> str:
    told = "; ".join(f"{model} {_range(values)}" for model, values in series)
    return f"{title} over {counted(windows.count, 'window')} of {windows.unit}: {told}."


def _range(values: Values) -> str:
    known = values[~np.isnan(values)]
    return f"from {number(float(known.min()))} to {number(float(known.max()))}" if len(known) else "not known"
