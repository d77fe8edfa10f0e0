"""Axes of time: dates where event times are some, else hours or days of the data's own clock."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from numpy.typing import NDArray

from detector.alerts import iso
from detector.page.drawing import SINGLE, axes

HOUR, DAY = 3_600_000, 86_400_000
"""In milliseconds."""

FIRST_DATE = 10 * 365 * DAY
"""Times before 1980 are no dates but counted from some start, as where they are seconds since the first row."""


def timeline(start: NDArray[Any], length: int, y: str, size: tuple[float, float] = SINGLE) -> tuple[Figure, Axes]:
    """Axes over periods that start at (k,), ms since 1970, and are `length` ms long."""
    if not dated(start):
        return axes(f"{clock(length)[1]}s since the start of the data's clock", y, size)
    figure, drawn = axes("event time (UTC)", y, size)
    locator = AutoDateLocator(maxticks=8)  # type: ignore[no-untyped-call]
    drawn.xaxis.set_major_locator(locator)
    drawn.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    return figure, drawn


def when(start: NDArray[Any], length: int) -> NDArray[Any]:
    """Where on such axes periods stand (k,)."""
    return start.astype("datetime64[ms]") if dated(start) else start / clock(length)[0]


def clock(length: int) -> tuple[int, str]:
    """What a clock without dates counts where periods are so long: the unit in ms, and its name."""
    return (HOUR, "hour") if length < DAY else (DAY, "day")


def dated(start: NDArray[Any]) -> bool:
    """Whether periods (k,), k >= 1, have a date."""
    return bool(start[0] >= FIRST_DATE)


def time_text(milliseconds: int) -> str:
    """A date, or seconds of a clock that is none."""
    if milliseconds >= FIRST_DATE:
        return iso(milliseconds)[:19].replace("T", " ")
    return f"{milliseconds / 1000:,.10g} s"
