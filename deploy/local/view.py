"""What a person sees while rows flow: a screen that is drawn anew, or a line every few seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Group, RenderableType
from rich.layout import Layout
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from deploy.local.scrape import Figures
from deploy.local.tally import Counts, Judged
from detector.alerts import Reason, Value

WIDE = 100
"""Columns from which a reason has room for what the model expected."""

FRAME = 3
"""Lines of the alerts' panel that hold no alert: its borders and the heading."""

REASONS = 3

LONGEST_TEXT = 16
"""Characters of a text feature's value that are shown."""

DASH = "-"


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is shown. source: what is replayed. labelled: whether there are labels to compare with.

    rate: rows a second of late. last, striking: alerts, the newest and the farthest above the line.
    """

    source: str
    total: int
    labelled: bool
    address: str
    figures: Figures = field(default_factory=Figures)
    counts: Counts = field(default_factory=Counts)
    seconds: float = 0.0
    rate: float = 0.0
    last: Sequence[Judged] = ()
    striking: Sequence[Judged] = ()


def line(facts: Facts) -> str:
    """The facts in one line."""
    newest = f"; last: {_sentence(facts.last[0])}" if facts.last else ""
    return (
        f"demo: {facts.figures.rows:,}/{facts.total:,} rows, {facts.rate:,.0f}/s, {facts.counts.alerts} alerts, "
        f"{_judged(facts)}, {_in_force(facts.figures)}{newest}"
    )


def _judged(facts: Facts) -> str:
    counts = facts.counts
    if not facts.labelled:
        return "no labels: no precision, no recall"
    return (
        f"{counts.caught} of {counts.frauds} frauds caught, "
        f"precision {percent(counts.precision)}, recall {percent(counts.recall)}"
    )


def _in_force(figures: Figures) -> str:
    """The first partition stands for all: a line has no room for four."""
    if not figures.partitions:
        return "no rows yet"
    number, one = next(iter(figures.partitions.items()))
    return f"partition {number}: median {short(one.median)}, MAD {short(one.mad)}, threshold {short(one.threshold)}"


def _sentence(judged: Judged) -> str:
    return f"row {judged.alert.row_id} {times(judged)} {reasons(judged, wide=False)}"


def percent(share: float | None) -> str:
    """A share for people."""
    return DASH if share is None else f"{share:.0%}"


def short(number: float | None) -> str:
    """A number in few digits."""
    return DASH if number is None else f"{number:.3g}" if abs(number) < 1000 else f"{number:,.0f}"


def times(judged: Judged) -> str:
    """How far above the threshold."""
    return f"{judged.times:.1f}x" if judged.times < 1000 else ">999x"


def reasons(judged: Judged, wide: bool) -> str:
    """The features that carry most of a score."""
    return ", ".join(_reason(reason, wide) for reason in judged.alert.reasons[:REASONS])


def _reason(reason: Reason, wide: bool) -> str:
    expected = f" ({_value(reason.expected)})" if wide else ""
    return f"{reason.feature} {_value(reason.value)}{expected} {reason.share:.0%}"


def _value(value: Value) -> str:
    if isinstance(value, str):
        return repr(value if len(value) <= LONGEST_TEXT else f"{value[:LONGEST_TEXT]}...")
    return str(value).lower() if isinstance(value, bool) else short(value)


def render(facts: Facts, width: int, height: int) -> RenderableType:
    """The whole screen."""
    layout = Layout()
    layout.split_column(
        Layout(_head(facts, width), size=4),
        Layout(name="middle", size=8),
        Layout(_alerts(facts, width, height - 4 - 8 - 1), name="alerts"),
        Layout(_foot(facts), size=1),
    )
    layout["middle"].split_row(Layout(_so_far(facts), ratio=5), Layout(_partitions(facts.figures), ratio=6))
    return layout


def _head(facts: Facts, width: int) -> RenderableType:
    done = facts.figures.processed
    bar = Table.grid(padding=(0, 1), expand=True)
    bar.add_column(ratio=1)
    bar.add_column(justify="right", no_wrap=True)
    rows = f"{done:,} of {facts.total:,} rows  [bold]{facts.rate:,.0f}[/] rows/s  {facts.seconds:.0f} s"
    bar.add_row(ProgressBar(total=facts.total, completed=done, finished_style="green"), Text.from_markup(rows))
    source = Text(facts.source, no_wrap=True, overflow="ellipsis", style="dim")
    return Panel(Group(source, bar), title="streaming fraud detector", title_align="left", width=width)


def _so_far(facts: Facts) -> RenderableType:
    counts, rows = facts.counts, facts.figures.rows
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(no_wrap=True)
    grid.add_column(justify="right", style="bold", no_wrap=True)
    grid.add_column(style="dim", no_wrap=True)
    grid.add_row("alerts", f"{counts.alerts:,}", f"{counts.alerts / rows:.2%} of rows" if rows else "")
    if facts.labelled:
        grid.add_row("frauds", f"{counts.frauds:,}", "by the labels")
        grid.add_row("caught", Text(f"{counts.caught:,}", style="bold red"), "")
        grid.add_row("recall", percent(counts.recall), "of frauds")
        grid.add_row("precision", percent(counts.precision), "of alerts")
    else:
        grid.add_row("recall", DASH, "no labels")
        grid.add_row("precision", DASH, "no labels")
    grid.add_row("dead letters", f"{facts.figures.dead_letters:,}", "")
    return Panel(grid, title="so far", title_align="left")


def _partitions(figures: Figures) -> RenderableType:
    grid = Table(box=None, padding=(0, 1), expand=True, header_style="dim")
    for heading in ("partition", "median", "MAD", "threshold"):
        grid.add_column(heading, justify="right")
    for number, one in figures.partitions.items():
        grid.add_row(str(number), short(one.median), short(one.mad), short(one.threshold))
    return Panel(grid, title="scores of the last rows", title_align="left")


def _alerts(facts: Facts, width: int, height: int) -> RenderableType:
    wide = width >= WIDE
    grid = Table(box=None, padding=(0, 1), expand=True, header_style="dim")
    grid.add_column("time", no_wrap=True)
    grid.add_column("row", justify="right", no_wrap=True)
    grid.add_column("score", justify="right", no_wrap=True)
    if facts.labelled:
        grid.add_column("label", no_wrap=True)
    told = "value (expected) share of score" if wide else "value, share"
    grid.add_column(f"top reasons: {told}", no_wrap=True, overflow="ellipsis", ratio=1)
    for judged in facts.last[: max(height - FRAME, 0)]:
        grid.add_row(*_cells(judged, facts.labelled, wide))
    return Panel(grid, title="last alerts (score in thresholds)", title_align="left")


def _cells(judged: Judged, labelled: bool, wide: bool) -> list[RenderableType]:
    alert = judged.alert
    cells: list[RenderableType] = [alert.event_time[11:19], Text(alert.row_id or alert.id), times(judged)]
    if labelled:
        cells.append(verdict(judged.fraud))
    return [*cells, Text(reasons(judged, wide))]


def verdict(fraud: bool | None) -> Text:
    """What a row's label says."""
    if fraud is None:
        return Text("?", style="dim")
    return Text("fraud", style="bold red") if fraud else Text("normal", style="yellow")


def _foot(facts: Facts) -> RenderableType:
    return Text(f" {facts.address}/metrics   Ctrl-C ends it", style="dim", no_wrap=True, overflow="ellipsis")
