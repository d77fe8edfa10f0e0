"""How every picture looks: sizes, colours that a colour-blind person tells apart, axes, and the PNG."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, Literal

import numpy as np
from matplotlib import font_manager, style
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator
from numpy.typing import NDArray

from detector.page.content import number

# Okabe and Ito, Color Universal Design (2008).
BLUE, VERMILLION, GREEN, PURPLE, ORANGE = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00"
GREY = "#595959"
NORMAL, ANOMALOUS, ALL = BLUE, VERMILLION, BLUE

SINGLE, TALL, SQUARE = (5.6, 3.6), (5.6, 5.2), (5.6, 5.0)
"""Sizes in inches. Small, so that 9 points can still be read where a phone makes the picture narrow."""

DPI = 180
FEW = 5_000
"""Points that may be drawn larger without hiding the others."""

SCORE = "score (no unit)"
"""The score's unit, as axes say it."""

_STYLE = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.labelsize": 10,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.use": True,
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "grid.alpha": 0.3,
    "legend.fontsize": 9,
    "text.parse_math": False,  # a column may be called $x$
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
}


@contextmanager
def styled() -> Iterator[None]:
    """Draws as every report does, whatever the person's own settings of matplotlib are."""
    with style.context(["default", _STYLE]):
        yield


def axes(x: str, y: str, size: tuple[float, float] = SINGLE) -> tuple[Figure, Axes]:
    """A figure with one pair of axes, labelled."""
    figure = Figure(size, DPI)
    drawn = figure.add_subplot()
    drawn.set_xlabel(x)
    drawn.set_ylabel(y)
    return figure, drawn


def png(figure: Figure) -> bytes:
    """The picture; the same bytes for the same figure."""
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=DPI, metadata={"Software": None})
    return out.getvalue()


def logarithmic(drawn: Axes, which: Literal["x", "y"], values: NDArray[np.float64]) -> None:
    """Makes an axis logarithmic if its values (n,), all above 0, span more than a decade; few ticks, plain numbers."""
    axis: Axis = drawn.xaxis if which == "x" else drawn.yaxis
    decades = float(np.log10(values.max() / values.min())) if len(values) else 0.0
    if decades <= 1:
        axis.set_major_formatter(FuncFormatter(lambda value, _: tick(value)))
        axis.set_major_locator(MaxNLocator(6))
        return
    (drawn.set_xscale if which == "x" else drawn.set_yscale)("log")
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if decades < 2 else (1.0,), numticks=8))
    axis.set_major_formatter(FuncFormatter(lambda value, _: power(value)))
    axis.set_minor_locator(LogLocator(subs=tuple(range(2, 10)), numticks=40) if decades < 6 else NullLocator())
    axis.set_minor_formatter(NullFormatter())


def power(value: float) -> str:
    """A tick of a logarithmic axis: 0.01, 5, 1,000; 1e-9 and 1e+12 where that is shorter."""
    return tick(value) if 1e-4 <= value < 1e6 else f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e+")


def tick(value: float) -> str:
    """A tick of a linear axis."""
    return number(value, 3).replace("-", "\N{MINUS SIGN}")


def positive(scores: NDArray[Any]) -> NDArray[np.float64]:
    """Scores (n,) for a logarithmic axis: those of 0 stand at the least that is above."""
    wide = np.asarray(scores, np.float64)
    above = wide[wide > 0]
    return np.maximum(wide, above.min() if len(above) else 1.0)


def short(value: float) -> str:
    """A tick where there is little room: 400k, 1.2M."""
    for least, divisor, unit in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if abs(value) >= least:
            return tick(value / divisor) + unit
    return tick(value)


def mark_threshold(drawn: Axes, value: float, vertical: bool = True) -> None:
    """The dashed line of the threshold, with its value in the legend; none where its axis cannot show it."""
    axis = drawn.xaxis if vertical else drawn.yaxis
    if value <= 0 and axis.get_scale() == "log":
        return
    line = drawn.axvline if vertical else drawn.axhline
    line(value, color="black", linestyle="--", linewidth=1.4, label=f"threshold {number(value)}", zorder=3)


def legend(drawn: Any, columns: int = 3, enlarged: float = 1) -> None:
    """The legend above the axes, where it hides nothing, with markers so many times as large as in the axes."""
    drawn.legend(
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        ncols=columns,
        frameon=False,
        markerscale=enlarged,
        columnspacing=1.4,
        borderaxespad=0.2,
    )


def classes(truth: NDArray[np.bool_] | None, count: int) -> list[tuple[str, str, str, NDArray[np.bool_]]]:
    """What is drawn apart: name, colour, marker and mask (n,) of each class that has rows; all rows without a truth."""
    if truth is None:
        return [("all rows", ALL, "o", np.ones(count, bool))]
    both = [("normal", NORMAL, "o", ~truth), ("anomalous", ANOMALOUS, "^", truth)]
    return [one for one in both if one[3].any()]


def scatter(
    drawn: Axes,
    places: Sequence[NDArray[Any]],
    truth: NDArray[np.bool_] | None,
    area: float = 5,
    said: Sequence[int] | None = None,
) -> None:
    """Points at x, y (and z), each (n,), by class; the anomalous ones above the others, as triangles.

    said: the numbers of rows of each class for the legend, where they are not those drawn.
    """
    for i, (name, colour, marker, mask) in enumerate(classes(truth, len(places[0]))):
        count = said[i] if said else int(mask.sum())
        points: Any = drawn.scatter  # also of axes in three dimensions
        points(
            *(values[mask] for values in places),
            s=area * 2 if marker == "^" and mask.sum() <= FEW else area,
            c=colour,
            marker=marker,
            linewidths=0,
            alpha=0.55 if marker == "o" else 0.8,
            label=f"{name} ({count:,})",
            zorder=2 + i * 0.1,
        )


def shown(text: str, most: int = 36) -> str:
    """A name as the font can draw it: shortened in its middle; what it has no sign for becomes a question mark."""
    drawable = "".join(one if one.isprintable() and ord(one) in _signs() else "?" for one in text)
    if len(drawable) <= most:
        return drawable
    half = (most - 1) // 2
    return f"{drawable[:half]}…{drawable[-half:]}"


@cache
def _signs() -> frozenset[int]:
    return frozenset(FT2Font(font_manager.findfont("DejaVu Sans")).get_charmap())


def wrapped(name: str, width: int = 15, lines: int = 3) -> str:
    """A name over several lines, broken at underscores and blanks."""
    parts = shown(name, lines * (width - 3)).replace("_", "_ ")
    return "\n".join(
        line.replace("_ ", "_") for line in textwrap.wrap(parts, width + 1, max_lines=lines, placeholder="…")
    )
