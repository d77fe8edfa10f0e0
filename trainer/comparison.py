"""Thresholds side by side, for a person."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import zip_longest

from detector.artifact import Artifact
from detector.threshold import Threshold
from trainer.bootstrap import RESAMPLES, Estimate
from trainer.tradeoff import Figures

Judged = tuple[Threshold, Figures]
LEARNED_FROM_LABELS = ("f1", "recall@precision")
BRACKETS = f"in brackets: 95 % of {RESAMPLES:,} bootstrap resamples"


def ratio(share: float) -> str:
    """A share: two decimals, and up to four where it is close to 0 or to 1."""
    if not 0 < share < 1:
        return f"{share:.2f}"
    digits = max(1 - math.floor(math.log10(share)), -math.floor(math.log10(1 - share)), 2)
    return f"{share:.{min(digits, 4)}f}"


def quantity(number: float) -> str:
    """A count or a sum of money: three digits, or all before the point."""
    if number == 0:
        return "0"
    return f"{number:,.{min(max(2 - math.floor(math.log10(abs(number))), 0), 4)}f}"


def percent(share: float) -> str:
    """A share in per cent."""
    return f"{quantity(100 * share)} %"


def with_interval(one: Estimate | None, text: Callable[[float], str]) -> str:
    """A figure and its interval, such as 0.83 [0.78, 0.88]."""
    return f"{text(one.value)} [{text(one.low)}, {text(one.high)}]" if one else "undefined"


def origin(found: Artifact) -> list[str]:
    """Which model it is, and which rows the figures come from."""
    c = found.calibration
    span = f"{quantity(c.days)} days, " if c.days else ""
    anomalous = f", {c.anomalous_rows:,} anomalous ({percent(c.anomalous_rows / (c.normal_rows + c.anomalous_rows))})"
    rows = f"{c.normal_rows:,} normal rows ({len(c.held_out):,} kept out of the fit)"
    return [
        f"model    {found.name.name} version {found.name.version}, sha256 {found.name.sha256[:12]}",
        f"history  {span}{rows}{anomalous if len(c.anomalous) else ', none labelled anomalous'}",
    ]


def side_by_side(titles: Sequence[str], columns: Sequence[Judged], amount: str | None) -> list[str]:
    """A line for each figure that some column has, a column for each threshold."""
    lines = [
        ["", *titles],
        ["threshold", *(f"{threshold.value:.6g}" for threshold, _ in columns)],
        ["method", *(threshold.method for threshold, _ in columns)],
    ]
    for title, name, text in _figures(amount, any(judged.alerts_per_day for _, judged in columns)):
        estimates = [getattr(judged, name) for _, judged in columns]
        if any(estimates):
            lines.append([title, *(with_interval(one, text) for one in estimates)])
    return aligned(lines)


def _figures(amount: str | None, by_day: bool) -> Iterable[tuple[str, str, Callable[[float], str]]]:
    yield ("alerts a day", "alerts_per_day", quantity) if by_day else ("rows that alert", "alert_share", percent)
    yield "false alerts a day", "false_alerts_per_day", quantity
    yield "precision", "precision", ratio
    yield "recall", "recall", ratio
    yield "F1", "f1", ratio
    if amount:
        yield f"{amount} caught a day", "caught_per_day", quantity
        yield f"{amount} missed a day", "missed_per_day", quantity
        yield f"share of {amount} caught", "caught_share", ratio
        yield f"{amount} in false alerts a day", "false_amount_per_day", quantity


def methods(names: Sequence[str], tried: Sequence[Judged | str], now: Threshold) -> list[str]:
    """A line for each method: its threshold and main figures, or why it has none; the present one has a star."""
    judged = [one for one in tried if not isinstance(one, str)]
    by_day = any(figures.alerts_per_day for _, figures in judged)
    heads = ("threshold", "alerts a day" if by_day else "rows that alert", "precision", "recall")
    shown = iter(aligned([heads, *(_cells(*one, by_day) for one in judged)]))
    lines = [f"{'  method':<24}{next(shown)}"]
    for name, one in zip(names, tried, strict=True):
        title = f"{'*' if name == now.method else ' '} {name}"
        lines.append(f"{title:<24}{one if isinstance(one, str) else next(shown)}")
    return lines


def _cells(threshold: Threshold, figures: Figures, by_day: bool) -> list[str]:
    alerts = (figures.alerts_per_day, quantity) if by_day else (figures.alert_share, percent)
    shares = [with_interval(share, ratio) for share in (figures.precision, figures.recall) if share]
    return [f"{threshold.value:.6g}", with_interval(*alerts), *shares]


def aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    """Lines of cells, each column as wide as its widest cell and three more."""
    widths = [max(map(len, column)) + 3 for column in zip_longest(*lines, fillvalue="")]
    return ["".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=False)).rstrip() for line in lines]


def caution(*methods: str) -> list[str]:
    """What to bear in mind where a method looked for the best figures on the rows that tell them."""
    learned = [method for method in methods if method.startswith(LEARNED_FROM_LABELS)]
    return [f"{' and '.join(learned)}: chosen on these very rows, of new ones expect a little less"] if learned else []
