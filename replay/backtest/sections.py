"""The parts of the report, in order: each shows its pictures and tables, or says in one sentence why there are none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from detector.alerts import Alert
from detector.feedback.measures import Measures
from detector.page.content import Picture, Section, Table, counted, number, percent
from detector.page.drawing import styled
from detector.page.reasons import reason_lines
from detector.page.timeline import time_text
from replay.backtest import pictures
from replay.backtest.moved import LEAST_ROWS, movers, score_psi
from replay.backtest.outcome import Outcome
from replay.backtest.run import Result
from replay.backtest.totals import four, latency
from replay.backtest.windows import DAY, HOUR, Windows, daily

NO_LABELS = "The rows have no labels, so nobody can say which alerts are right."
NO_MONEY = "No feature is known to be money; --amount names one."
NO_TIMES = "The rows have no event times: windows are parts of the rows in the order of play."
FLAT_OUT = (
    "The rows were played flat out, as fast as the broker took them: an alert waited for the rows before it, and this "
    "says how far behind the detector was, with whatever else the machine did. It is no measure of how soon an alert "
    "comes when rows come as they do in life. The clock runs from just before a row was handed to the client "
    "until a reader of committed messages had its alert."
)

MOVERS, CHANGES, REASONS = 10, 30, 3
"""Features that moved most, changes of the drift state, and reasons of an alert, that are shown."""

MIDNIGHT = " 00:00:00"
NUMBERS = frozenset(range(1, 20))
A_LENGTH = {HOUR: "an hour", DAY: "a day"}


def compose(result: Result) -> list[Section]:
    """All sections of the report."""
    parts: Sequence[Callable[[Result], Section]] = (
        alerts_section,
        quality_section,
        money_section,
        drift_section,
        latency_section,
        worst_section,
    )
    with styled():
        return [part(result) for part in parts]


def alerts_section(result: Result) -> Section:
    """How many alerts there would have been, day by day."""
    windows = daily(result.windows, [one.span for one in result.outcomes])
    rate = A_LENGTH.get(windows.length, f"in {windows.unit}") if windows.timed else f"in {windows.unit}"
    series = [(one.subject.title, _counts(windows, one)) for one in result.outcomes]
    texts = [f"{one.subject.title}: {_busiest(windows, one, rate)}" for one in result.outcomes]
    if not result.timed:
        texts.append(NO_TIMES)
    picture = pictures.lines("alerts", f"Alerts {rate}", f"alerts {rate}", windows, series)
    return Section("alerts", "Alerts over time", tuple(texts), (picture,))


def _counts(windows: Windows, one: Outcome) -> NDArray[np.float64]:
    return windows.counted(one.at[one.rows["alert"]]).astype(np.float64)


def _busiest(windows: Windows, one: Outcome, rate: str) -> str:
    counts = _counts(windows, one)
    most = int(counts.argmax())
    begin = _begin(windows, most)
    return (
        f"{counted(one.alerts, 'alert')}, {number(float(counts.mean()), 3)} {rate} on average, "
        f"at most {number(float(counts[most]))} (from {begin})."
    )


def _begin(windows: Windows, place: int) -> str:
    start = int(windows.start[place])
    return time_text(start).removesuffix(MIDNIGHT) if windows.timed else f"row {start:,}"


def quality_section(result: Result) -> Section:
    """Precision and recall, window by window."""
    anchor, title, windows = "quality", "Precision and recall over time", result.windows
    if not result.outcomes[0].labelled:
        return Section(anchor, title, (NO_LABELS,))
    found = [windows.measured(one.at, one.rows) for one in result.outcomes]
    texts = [
        f"Windows of {windows.unit}. A window without alerts has no precision, one without anomalous rows no recall."
    ]
    if not result.timed:
        texts.append(NO_TIMES)
    made = tuple(
        pictures.shares(name, name.capitalize(), windows, _series(result, found, name))
        for name in ("precision", "recall")
    )
    return Section(anchor, title, tuple(texts), made, (_by_window(result, found),))


def _series(result: Result, found: Sequence[Sequence[Measures]], name: str) -> pictures.Series:
    """A figure of each window of each model."""
    return [
        (one.subject.title, np.array([_or_nan(getattr(window, name)) for window in windows]))
        for one, windows in zip(result.outcomes, found, strict=True)
    ]


def _or_nan(figure: float | None) -> float:
    return np.nan if figure is None else float(figure)


def _by_window(result: Result, found: Sequence[Sequence[Measures]]) -> Table:
    titles = [one.subject.title for one in result.outcomes]
    several = len(titles) > 1
    ends = [f" {place}" if several else "" for place in range(1, len(titles) + 1)]
    heads = [f"{name}{end}" for end in ends for name in ("alerts", "precision", "recall")]
    rows = []
    for place, of in enumerate(zip(*found, strict=True)):
        cells = [cell for one in of for cell in (f"{_alerts(one):,}", four(one.precision), four(one.recall))]
        rows.append((_begin(result.windows, place), f"{of[0].rows:,}", f"{of[0].anomalous:,}", *cells))
    which = "".join(f"; {place}: {title}" for place, title in enumerate(titles, 1)) if several else ""
    caption = f"By window of {result.windows.unit}{which}"
    return Table(caption, ("from", "rows", "anomalous", *heads), tuple(rows), NUMBERS)


def _alerts(found: Measures) -> int:
    return found.true_positives + found.false_positives


def money_section(result: Result) -> Section:
    """What was at stake in anomalous rows, and how much of it alerted."""
    anchor, head = "money", "Money caught and missed"
    if not result.outcomes[0].labelled:
        return Section(anchor, head, (NO_LABELS,))
    known = [one for one in result.outcomes if one.subject.amount]
    if not known:
        return Section(anchor, head, (NO_MONEY,))
    silent = [one.subject.title for one in result.outcomes if not one.subject.amount]
    made, texts = [], [f"{title}: {NO_MONEY}" for title in silent]
    for place, one in enumerate(known):
        found = result.windows.measured(one.at, one.rows)
        caught, missed = (np.array([getattr(window, name) for window in found]) for name in ("caught", "missed"))
        title, amount, m = one.subject.title, one.subject.amount, one.measures
        made.append(pictures.money(f"money-{place + 1}", title, amount, result.windows, caught, missed))
        texts.append(
            f"{title}: of {m.caught + m.missed:,.2f} {amount} in anomalous rows {m.caught:,.2f} were caught "
            f"({percent(m.caught_share)}), {m.missed:,.2f} missed; {m.false_amount:,.2f} were in false alerts."
        )
    return Section(anchor, head, tuple(texts), tuple(made))


def drift_section(result: Result) -> Section:
    """How far the scores and features moved from those of the training."""
    windows = result.windows
    series = [
        (one.subject.title, score_psi(one.subject.artifact.reference, windows, one.at, one.rows["score"]))
        for one in result.outcomes
    ]
    texts = [
        "PSI compares a window with the normal rows that were held out in training; anomalous rows are in it, too. "
        f"Windows of fewer than {LEAST_ROWS} rows say nothing."
    ]
    made: tuple[Picture, ...] = ()
    if any(not np.isnan(values).all() for _, values in series):
        made = (pictures.psi(windows, series),)
    else:
        texts.append("No window has so many.")
    tables = [table for place in range(len(result.outcomes)) for table in _drift_tables(result, place, texts)]
    return Section("drift", "Drift over time", tuple(texts), made, tuple(tables))


def _drift_tables(result: Result, place: int, texts: list[str]) -> list[Table]:
    """The features of a model that moved most, and the changes that its detector told; texts: where none is said."""
    one, moved = result.outcomes[place], result.moved[place]
    title, features = one.subject.title, one.subject.artifact.schema.features
    tables = []
    found = [] if moved is None else movers(features, moved, MOVERS)
    if found:
        rows = tuple((m.feature, number(m.most, 3), _begin(result.windows, m.window)) for m in found)
        caption = f"Features that moved most, by their largest PSI of any window: {title}"
        tables.append(Table(caption, ("feature", "PSI", "in the window from"), rows, frozenset({1})))
    else:
        texts.append(
            f"{title}: how far its features moved was not measured: too few rows in any window, or other input."
        )
    if one.changes:
        tables.append(_changes(one))
    else:
        texts.append(f"{title}: the detector told of no drift.")
    return tables


def _changes(one: Outcome) -> Table:
    rows = tuple(
        (
            "-" if at is None else time_text(at),
            event.name,
            event.state,
            ", ".join(event.above) or "-",
            number(event.psi, 3),
            number(event.ks, 3),
            percent(event.missing),
        )
        for event, at in one.changes[:CHANGES]
    )
    more = f" (the first {CHANGES} of {len(one.changes):,})" if len(one.changes) > CHANGES else ""
    caption = f"What the detector told of drift{more}: {one.subject.title}"
    heads = ("about", "feature, or score", "now", "by", "PSI", "KS", "missing")
    return Table(caption, heads, rows, frozenset({4, 5, 6}))


def latency_section(result: Result) -> Section:
    """How long alerts took, which flat out is how far behind the detector was."""
    anchor, title = "latency", "From row to alert"
    series = [(one.subject.title, one.latencies) for one in result.outcomes if len(one.latencies)]
    if not series:
        return Section(anchor, title, (FLAT_OUT, "There was no alert."))
    texts = [FLAT_OUT, *(f"{name}: median {latency(seconds)}." for name, seconds in series)]
    return Section(anchor, title, tuple(texts), (pictures.latencies(series),))


def worst_section(result: Result) -> Section:
    """The alerts that lie farthest above the threshold, and why."""
    tables = [_worst(one, result.timed) for one in result.outcomes if one.worst]
    silent = [f"{one.subject.title}: there was no alert." for one in result.outcomes if not one.worst]
    text = "Reasons are the features that carry most of the score: value, what the model expected, share of the score."
    return Section("worst", "The worst alerts", (text, *silent), (), tuple(tables))


def _time(alert: Alert) -> str:
    """When its row happened."""
    try:
        return time_text(round(datetime.fromisoformat(alert.event_time).timestamp() * 1000))
    except ValueError:  # a number: the calendar had ended
        return alert.event_time


def _worst(one: Outcome, timed: bool) -> Table:
    rows = tuple(
        (
            alert.row_id or alert.id,
            _time(alert) if timed else "-",
            (alert.key or "-")[:40],
            {True: "anomalous", False: "normal", None: "-"}[truth],
            number(alert.score),
            number(alert.score / alert.threshold, 3) if alert.threshold > 0 else "-",
            reason_lines(alert.reasons[:REASONS]),
        )
        for alert, truth in one.worst
    )
    heads = ("row", "time", "key", "label", "score", "\N{MULTIPLICATION SIGN} threshold", "reasons")
    caption = f"The {len(rows)} alerts farthest above the threshold: {one.subject.title}"
    return Table(caption, heads, rows, frozenset({4, 5}), frozenset({6}))
