"""Which alerts are shown, and in which order."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from detector.console.alerts import Entry

Order = Literal["newest", "highest"]
ORDERS: dict[Order, str] = {"newest": "newest first", "highest": "highest score first"}
"""Highest: in thresholds, so that alerts of models of different scales compare; of equals the newest."""

Judged = Literal["all", "open", "fraud", "legitimate", "unsure"]
JUDGED: dict[Judged, str] = {
    "all": "any verdict",
    "open": "no verdict yet",
    "fraud": "fraud",
    "legitimate": "legitimate",
    "unsure": "unsure",
}


@dataclass(frozen=True, slots=True)
class Filter:
    """What must hold of an alert that is shown; each part that is empty lets all pass.

    text: in its key, row id or place, whatever the case. model: its name and version. reason: a feature that it names.
    least: of the score, in thresholds.
    """

    text: str = ""
    model: str = ""
    reason: str = ""
    least: float = 0.0
    judged: Judged = "all"


@dataclass(frozen=True, slots=True)
class Listing:
    """Alerts on a page. matching: how many there are on all pages. start: how many are before it."""

    entries: list[Entry]
    matching: int
    start: int


def model_text(entry: Entry) -> str:
    """An alert's model for people."""
    return f"{entry.alert.model.name} {entry.alert.model.version}"


def listed(
    alerts: Iterable[Entry], wanted: Filter, order: Order, start: int, most: int, verdict: Callable[[Entry], str | None]
) -> Listing:
    """A page of the alerts that match. alerts: the newest first. verdict: what was said of an alert's row last.

    A page that begins behind the last one is the last one.
    """
    found = matching(alerts, wanted, verdict)
    start = min(start, max((len(found) - 1) // most * most, 0))
    if order == "highest":
        found = heapq.nlargest(start + most, found, key=lambda entry: entry.ratio) + found[start + most :]
    return Listing(found[start : start + most], len(found), start)


def matching(alerts: Iterable[Entry], wanted: Filter, verdict: Callable[[Entry], str | None]) -> list[Entry]:
    """The alerts that match, in their order."""
    found = list(alerts)
    if text := wanted.text.strip().casefold():
        found = [entry for entry in found if text in entry.sought]
    if wanted.model:
        found = [entry for entry in found if model_text(entry) == wanted.model]
    if wanted.least > 0:
        found = [entry for entry in found if entry.ratio >= wanted.least]
    if wanted.reason:
        found = [entry for entry in found if any(one.feature == wanted.reason for one in entry.alert.reasons)]
    if wanted.judged != "all":
        said = None if wanted.judged == "open" else wanted.judged
        found = [entry for entry in found if verdict(entry) == said]
    return found
