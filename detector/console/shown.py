"""What a person reads: numbers, times and sentences. Pure; all of it is text, whatever came from Kafka."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from detector.alerts import Alert, Value, iso
from detector.console.alerts import Entry
from detector.console.board import Board
from detector.console.listing import model_text
from detector.console.spread import Histogram
from detector.console.verdicts import Verdict

DASH = "–"  # noqa: RUF001 - what stands for no number
LONGEST = 60
"""Characters of a text feature, a key or a name that are shown in a list."""

REASONS = 3
"""Reasons that a list names."""

VIEW_WIDTH, VIEW_HEIGHT = 800, 120
"""Of the histogram's drawing, in its own units."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A figure at the head of the page. state: ok, warn, or none where it says neither."""

    title: str
    figure: str
    note: str
    href: str
    state: str = "none"


def number(value: float | None, digits: int = 4) -> str:
    """A number in few digits."""
    if value is None or math.isnan(value):
        return DASH
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if value == int(value) and abs(value) < 1e6:
        return f"{int(value):,}"
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.{digits}g}"


def percent(share: float | None) -> str:
    """A share."""
    return (
        DASH if share is None or math.isnan(share) else f"{share:.0%}" if share >= 0.1 or not share else f"{share:.1%}"
    )


def value_text(value: Value, most: int = LONGEST) -> str:
    """A feature's value."""
    if value is None:
        return "missing"
    if isinstance(value, bool):
        return "true" if value else "false"
    return shortened(value, most) if isinstance(value, str) else number(value)


def shortened(text: str, most: int = LONGEST) -> str:
    """The beginning of a long text, on one line, with nothing in it that turns or hides the text around it."""
    told = text if len(text) <= most else f"{text[:most]}…"
    return "".join(one if one.isprintable() else "�" for one in told)


def times_text(ratio: float) -> str:
    """A score in thresholds."""
    return "∞" if math.isinf(ratio) else f"{ratio:.1f}×" if ratio < 1000 else ">999×"  # noqa: RUF001


def clock(milliseconds: int) -> str:
    """A time of day, UTC."""
    return iso(milliseconds)[11:19] or str(milliseconds)


def moment(milliseconds: int) -> str:
    """Date and time, UTC."""
    told = iso(milliseconds)
    return f"{told[:10]} {told[11:19]} UTC" if told.endswith("Z") else told


def alert_path(alert: Alert) -> str:
    """The address of an alert's page."""
    return f"/alert?id={quote(alert.id, safe='')}&model={quote(alert.model.sha256, safe='')}"


def row(entry: Entry, verdict: Verdict | None) -> dict[str, Any]:
    """An alert as a row of the list, for the browser."""
    alert = entry.alert
    return {
        "id": f"{alert.id} {alert.model.sha256}",
        "href": alert_path(alert),
        "time": clock(entry.written),
        "when": moment(entry.written),
        "times": times_text(entry.ratio),
        "score": number(alert.score),
        "threshold": number(alert.threshold),
        "bar": round(bar(entry.ratio), 3),
        "name": shortened(entry.name),
        "key": shortened(alert.key or ""),
        "model": shortened(model_text(entry), 30),
        "reasons": [
            {"feature": shortened(one.feature, 24), "value": value_text(one.value, 16), "share": percent(one.share)}
            for one in alert.reasons[:REASONS]
        ],
        "verdict": verdict.word if verdict else "",
        "by": shortened(verdict.by, 40) if verdict else "",
    }


def bar(ratio: float) -> float:
    """How long a score's bar is, 0 to 1: at the threshold 0, at a hundred of it 1, logarithmic."""
    return 1.0 if math.isinf(ratio) else min(max(math.log10(max(ratio, 1.0)) / 2, 0.02), 1.0)


def verdict_sentence(verdict: Verdict | None) -> str:
    """What was said of a row, by whom and when."""
    if verdict is None:
        return "No verdict yet."
    if not verdict.by:
        return f"{verdict.word.capitalize()}, by the label that came with the data."
    at = f", {shortened(verdict.at[:19].replace('T', ' '), 19)} UTC" if verdict.at else ""
    return f"{verdict.word.capitalize()}, said {shortened(verdict.by, 100)}{at}."


def tiles(board: Board, now: float) -> list[Tile]:
    """The figures at the head of each page. now: s since 1970."""
    with board.lock:
        held, minute = len(board.alerts), board.alerts.since(int((now - 60) * 1000))
        drifting, known = len(board.drifting.drifting()), len(board.drifting.columns())
        letters = sum(one.count - one.resent for one in board.letters.reasons.values())
        traffic = board.traffic
        rate, lag = traffic.scored, traffic.lag if traffic.looked else None
    found = board.precision()
    return [
        Tile("Alerts", f"{held:,}", f"{minute:,} in the last minute", "/"),
        Tile("Precision", percent(found.share), f"{found.judged:,} judged, {found.fraud:,} fraud", "/line"),
        Tile("Rows a second", number(rate and round(rate)), "scored by the detectors", "/line"),
        Tile("Lag", number(lag), "messages wait", "/line"),
        Tile("Drift", f"{drifting:,}", drift_note(drifting, known), "/drift", "warn" if drifting else "none"),
        Tile("Dead letters", f"{letters:,}", "not sent again yet", "/dead-letters", "warn" if letters else "none"),
    ]


def drift_note(drifting: int, known: int) -> str:
    """What the drift tile says below its number."""
    if drifting:
        return "feature drifts" if drifting == 1 else "features drift"
    return "all stable again" if known else "no feature drifts"


def histogram_html(found: Histogram, threshold: float, score: float) -> str:
    """A picture of a histogram with two lines in it. Of numbers alone: nothing from Kafka is markup here.

    The drawing is stretched to its place; what is written beside it keeps its size.
    """
    width = VIEW_WIDTH / len(found.counts)
    # Counts too are shown by their logarithm: an alert's own bar would have no height beside a thousand normal rows.
    heights = [math.log1p(count) for count in found.counts.tolist()]
    most = max(*heights, 1e-9)
    bars = "".join(
        f'<rect x="{i * width:.1f}" y="{VIEW_HEIGHT * (1 - high / most):.1f}" width="{width - 2:.1f}" '
        f'height="{VIEW_HEIGHT * high / most:.1f}"/>'
        for i, high in enumerate(heights)
        if high
    )
    about = f"Histogram of scores; threshold {number(threshold)}, this alert {number(score)}"
    marks = _mark("threshold", "threshold", found.place(threshold)) + _mark("score", "this alert", found.place(score))
    edges = "".join(f"<span>{number(float(found.edges[end]))}</span>" for end in (0, -1))
    return (
        f'<div class="histogram" role="img" aria-label="{about}"><div class="plot">'
        f'<svg viewBox="0 0 {VIEW_WIDTH} {VIEW_HEIGHT}" preserveAspectRatio="none">{bars}</svg>{marks}</div>'
        f'<div class="edges">{edges}</div></div>'
    )


def _mark(name: str, told: str, place: float) -> str:
    side = "left" if place > 0.5 else "right"
    return f'<div class="mark {name} {side}" style="left: {100 * place:.2f}%"><span>{told}</span></div>'
