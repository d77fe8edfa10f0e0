"""The end: what came of it, and what to do next. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from deploy.local.tally import Judged
from deploy.local.view import Facts, percent, reasons, times, verdict

STRIKING = "The most striking alerts (score in thresholds; top reasons: value, share of the score)"


@dataclass(frozen=True, slots=True)
class Course:
    """How long it took. seconds, first_alert: since the start, the latter None if none came. finished: to the end."""

    seconds: float
    first_alert: float | None
    finished: bool


def summary(facts: Facts, course: Course) -> RenderableType:
    """Figures, and the alerts that stand out."""
    parts: list[RenderableType] = [Text(), Text(_title(facts, course), style="bold"), _figures(facts, course)]
    if facts.striking:
        parts += [Text(), Text(STRIKING, style="bold"), _striking(facts.striking, facts.labelled)]
    return Group(*parts)


def _title(facts: Facts, course: Course) -> str:
    return f"{'Done' if course.finished else 'Interrupted'} after {course.seconds:.0f} s: {facts.source}"


def _figures(facts: Facts, course: Course) -> RenderableType:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim")
    grid.add_column()
    grid.add_row("  rows", _rows(facts))
    grid.add_row("  alerts", _alerts(facts, course))
    for name, text in _judged(facts) if facts.labelled else [("labels", "none, so no precision and no recall")]:
        grid.add_row(f"  {name}", text)
    return grid


def _rows(facts: Facts) -> str:
    figures = facts.figures
    pace = figures.processed / facts.seconds if facts.seconds else 0.0
    return f"{figures.rows:,} in {facts.seconds:.0f} s ({pace:,.0f} a second), {figures.dead_letters:,} dead letters"


def _alerts(facts: Facts, course: Course) -> str:
    share = facts.counts.alerts / facts.figures.rows if facts.figures.rows else 0.0
    first = "" if course.first_alert is None else f"; the first {course.first_alert:.0f} s after the start"
    unseen = facts.figures.alerts - facts.counts.alerts
    lost = f"; {unseen:,} more were not read back in time" if course.finished and unseen > 0 else ""
    return f"{facts.counts.alerts:,}, {share:.2%} of the rows{first}{lost}"


def _judged(facts: Facts) -> list[tuple[str, str]]:
    counts = facts.counts
    normal = counts.labels - counts.frauds
    share = counts.false_alarms / normal if normal else 0.0
    return [
        ("frauds", f"{counts.frauds:,} by the labels, {counts.caught:,} caught: recall {percent(counts.recall)}"),
        (
            "precision",
            f"{percent(counts.precision)}: {counts.false_alarms:,} alerts on {normal:,} normal rows, "
            f"{share:.2%} (set for 0.1%)",
        ),
    ]


def _striking(striking: Sequence[Judged], labelled: bool) -> RenderableType:
    grid = Table.grid(padding=(0, 2, 0, 0))
    for judged in striking:
        told = [f"  row {judged.alert.row_id}", times(judged)]
        grid.add_row(*told, *([verdict(judged.fraud)] if labelled else []), reasons(judged, wide=False))
    return grid


def next_steps(data: str, bootstrap_servers: str) -> str:
    """What to do now, as commands to copy."""
    file, broker = shlex.quote(data) if data else "creditcard.csv", bootstrap_servers or "host:9092"
    again = [] if data else ["# this, with rows of your own", f"make demo DATA={file}"]
    commands = [
        "# learn from your rows, watch the topic transactions, fill it",
        f".venv/bin/trainer fit {file} --out model",
        f".venv/bin/detector run --model model --bootstrap-servers {broker}",
        f".venv/bin/replay {file} --model model --bootstrap-servers {broker}",
    ]
    return "\n".join(["", "Next", *(f"  {text}" for text in [*again, *commands])])
