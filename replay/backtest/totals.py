"""The totals of a backtest, a column for each model: for the page and for the terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from detector.command import columns
from detector.dead_letters import safe
from detector.feedback.measures import Measures
from replay.backtest.outcome import Outcome
from replay.backtest.run import Result

Cell = Callable[[Outcome], str]

UNDEFINED = "undefined"
AREAS = (
    ("AUROC", "auroc"),
    ("average precision", "average_precision"),
    ("precision", "precision"),
    ("recall", "recall"),
    ("F1", "f1"),
)


def totals(result: Result) -> list[tuple[str, ...]]:
    """Rows of cells: what it is, then each model's."""
    outcomes = result.outcomes
    lines: list[tuple[str, Cell]] = [
        ("rows scored", lambda one: f"{len(one.rows):,}"),
        ("dead letters", lambda one: f"{sum(one.dead.values()):,}"),
        *((f"  {reason}", lambda one, why=reason: f"{one.dead.get(why, 0):,}") for reason in reasons(outcomes)),
        ("threshold", lambda one: f"{one.threshold:.6g}"),
        ("alerts", lambda one: f"{one.alerts:,}"),
        ("alerts a day", lambda one: per_day(one, result.timed)),
    ]
    if all(one.labelled for one in outcomes):
        lines += _by_labels(outcomes)
    return [(name, *(cell(one) for one in outcomes)) for name, cell in lines]


def _by_labels(outcomes: Sequence[Outcome]) -> list[tuple[str, Cell]]:
    def of(name: str) -> Cell:
        return lambda one: four(getattr(one.measures, name))

    lines: list[tuple[str, Cell]] = [(name, of(key)) for name, key in AREAS]
    lines += [
        ("anomalous rows that alert", lambda one: _of(one.measures.true_positives, one.measures.anomalous)),
        ("normal rows that alert", lambda one: _of(one.measures.false_positives, _normal(one.measures))),
    ]
    if any(one.subject.amount for one in outcomes):
        lines += [
            ("money", lambda one: one.subject.amount or "none known"),
            ("  caught", lambda one: _money(one, one.measures.caught)),
            ("  missed", lambda one: _money(one, one.measures.missed)),
            ("  in false alerts", lambda one: _money(one, one.measures.false_amount)),
            ("  share caught", lambda one: four(one.measures.caught_share) if one.subject.amount else "-"),
        ]
    return lines


def reasons(outcomes: Sequence[Outcome]) -> list[str]:
    """The reasons of dead letters that there are."""
    return sorted({reason for one in outcomes for reason, count in one.dead.items() if count})


def per_day(one: Outcome, timed: bool) -> str:
    """Alerts a day over the span of history, at least one day."""
    return f"{one.alerts / days(one):,.3g}" if timed else "not known: no event times"


def days(one: Outcome) -> float:
    """What the rows span, days, at least one: less says nothing of a day."""
    first, last = one.span
    return max((last - first) / 86_400_000, 1.0)


def four(figure: float | None) -> str:
    """A figure with four decimals."""
    return UNDEFINED if figure is None else f"{figure:.4f}"


def _of(part: int, whole: int) -> str:
    return f"{part:,} of {whole:,}"


def _normal(found: Measures) -> int:
    return found.rows - found.anomalous


def _money(one: Outcome, value: float) -> str:
    return f"{value:,.2f}" if one.subject.amount else "-"


def latency(seconds: NDArray[np.float64]) -> str:
    """Median and 99th percentile of seconds, for people."""
    if not len(seconds):
        return "no alert"
    half, most = np.quantile(seconds, (0.5, 0.99))
    return f"{half:.3g} s, 99 % within {most:.3g} s"


def text(result: Result) -> str:
    """The summary for a terminal."""
    outcomes = result.outcomes
    table = columns([("", *(safe(one.subject.title) for one in outcomes)), *_safe(totals(result))], right=True)
    took = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in result.parts.seconds.items())
    lines = [f"backtest of {safe(result.data)}: {result.rows:,} rows as {result.format}, {result.about}", "", table, ""]
    if not outcomes[0].labelled:
        lines.append("no labels: precision, recall and money cannot be told")
    lines.append(f"{result.rows:,} rows played = rows scored + dead letters, of each model; {took}")
    if result.kept:
        lines.append(f"kept: {', '.join(result.kept)}")
    return "\n".join(lines)


def _safe(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    return [[safe(cell) for cell in row] for row in rows]
