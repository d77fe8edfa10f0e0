"""The detector's /metrics and /readyz, seen from outside as a monitoring system would see them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException

GET_SECONDS = 2.0
"""How long an answer may take; the detector is on this machine."""

_SAMPLE = re.compile(r"(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})? (?P<value>\S+)(?: \S+)?")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class Partition:
    """What is in force in a partition; None while it has no rows, or too few for a median."""

    median: float | None
    mad: float | None
    threshold: float | None


@dataclass(frozen=True, slots=True)
class Figures:
    """What the detector says of itself. dead_letters: messages that were no rows."""

    rows: int = 0
    alerts: int = 0
    dead_letters: int = 0
    partitions: dict[int, Partition] = field(default_factory=dict)

    @property
    def processed(self) -> int:
        """Messages that were read and committed."""
        return self.rows + self.dead_letters


def samples(text: str) -> Iterator[tuple[str, dict[str, str], float]]:
    """Name, labels and value of every sample in Prometheus' text format; lines that are none are passed over."""
    for line in text.splitlines():
        found = _SAMPLE.fullmatch(line)
        if found:
            yield found["name"], dict(_LABEL.findall(found["labels"] or "")), float(found["value"])


def figures(text: str) -> Figures:
    """The figures that are shown, from the text of /metrics."""
    totals = {"detector_rows_total": 0.0, "detector_alerts_total": 0.0, "detector_rejects_total": 0.0}
    gauges: dict[str, dict[int, float]] = {
        name: {} for name in ("detector_score_median", "detector_score_mad", "detector_threshold")
    }
    for name, labels, value in samples(text):
        if name in totals:
            totals[name] += value
        elif name in gauges:
            gauges[name][int(labels["partition"])] = value
    rows, alerts, rejects = (int(total) for total in totals.values())
    return Figures(rows, alerts, rejects, _by_partition(*gauges.values()))


def _by_partition(
    medians: dict[int, float], mads: dict[int, float], thresholds: dict[int, float]
) -> dict[int, Partition]:
    numbers = sorted(medians.keys() | thresholds.keys())
    return {n: Partition(medians.get(n), mads.get(n), thresholds.get(n)) for n in numbers}


def get(address: str, path: str) -> str | None:
    """The body of a page that answers 200; None where it does not, or nobody is there."""
    connection = HTTPConnection(address.removeprefix("http://"), timeout=GET_SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read().decode()
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()
    return body if answer.status == 200 else None
