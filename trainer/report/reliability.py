"""Whether the errors stay what they are: their centre and spread over the data's own time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector.page.content import Picture, counted, number, percent
from detector.page.drawing import (
    BLUE,
    GREY,
    ORANGE,
    SCORE,
    legend,
    logarithmic,
    png,
)
from detector.page.timeline import DAY, HOUR, timeline, when
from detector.statistics import Summary, summarize
from detector.threshold import above

HOURLY = 5 * DAY
"""A span up to which periods are hours; beyond it they are days."""


@dataclass(frozen=True, slots=True, eq=False)
class Periods:
    """Hours or days that have rows, in order, `length` ms each; arrays (k,).

    start: ms since 1970. median, mad: of the scores. alerting: the share of the rows that alert.
    """

    length: int
    start: NDArray[np.int64]
    rows: NDArray[np.int64]
    median: NDArray[np.float64]
    mad: NDArray[np.float64]
    alerting: NDArray[np.float64]

    @property
    def unit(self) -> str:
        """`hour` or `day`."""
        return "hour" if self.length == HOUR else "day"


def periods(times: NDArray[np.int64], scores: NDArray[np.float32], threshold: float) -> Periods:
    """Cuts rows by their event times (n,), in ms since 1970, into hours or days."""
    length = HOUR if times.max() - times.min() <= HOURLY else DAY
    order = np.argsort(times, kind="stable")
    number_of = times[order] // length
    starts = np.flatnonzero(np.diff(number_of, prepend=number_of[0] - 1))
    parts = np.split(scores[order], starts[1:])
    summaries = [summarize(part) for part in parts]
    return Periods(
        length=length,
        start=number_of[starts] * length,
        rows=np.array([len(part) for part in parts]),
        median=np.array([one.median for one in summaries]),
        mad=np.array([one.mad for one in summaries]),
        alerting=np.array([above(part, threshold).mean() for part in parts]),
    )


def spread(p: Periods, calibrated: Summary) -> Picture:
    """Median and MAD of the score by period, beside those of the calibration."""
    figure, drawn = timeline(p.start, p.length, SCORE)
    mark = "o" if len(p.start) <= 60 else ""
    for name, values, was, colour, line, marker in (
        ("median", p.median, calibrated.median, BLUE, "-", mark),
        ("MAD", p.mad, calibrated.mad, ORANGE, "--", mark and "s"),
    ):
        drawn.plot(
            when(p.start, p.length),
            values,
            color=colour,
            linestyle=line,
            marker=marker,
            markersize=4,
            label=f"{name} by {p.unit}",
        )
        drawn.axhline(was, color=colour, linestyle=":", linewidth=1.2, label=f"{name} at calibration: {number(was)}")
    values = np.concatenate((p.median, p.mad, [calibrated.median, calibrated.mad]))
    if (values > 0).all():
        logarithmic(drawn, "y", values)
    legend(drawn, 2)
    alt = (
        f"Median of the score by {p.unit} over {counted(len(p.start), p.unit)}: from "
        f"{number(float(p.median.min()))} to {number(float(p.median.max()))} "
        f"(calibration {number(calibrated.median)}); MAD from "
        f"{number(float(p.mad.min()))} to {number(float(p.mad.max()))} (calibration {number(calibrated.mad)})."
    )
    return Picture("reliability", f"Median and MAD of the score by {p.unit}", png(figure), alt)


def rate(p: Periods) -> Picture:
    """The share of rows that alert by period."""
    figure, drawn = timeline(p.start, p.length, "rows that alert (%)")
    mark = "o" if len(p.start) <= 60 else ""
    drawn.plot(when(p.start, p.length), 100 * p.alerting, color="black", marker=mark, markersize=4)
    drawn.axhline(
        100 * float(np.average(p.alerting, weights=p.rows)), color=GREY, linestyle=":", label="over the whole data"
    )
    drawn.set_ylim(bottom=0)
    legend(drawn)
    alt = (
        f"Share of rows that alert by {p.unit}: from {percent(float(p.alerting.min()))} to "
        f"{percent(float(p.alerting.max()))}, with {int(p.rows.min()):,} to {int(p.rows.max()):,} rows in a {p.unit}."
    )
    return Picture("alert-rate", f"Alerts by {p.unit}", png(figure), alt)
