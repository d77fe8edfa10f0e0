"""Every metric of a replay, made when it is asked for from what the sender counts anyway."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from detector.client_figures import families
from detector.families import Families, Family, rendered
from detector.http import Endpoint
from detector.kafka import Statistics
from replay.lateness import Lateness

LATENESS_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 30.0, 300.0)


@dataclass(frozen=True, slots=True)
class Figures:
    """What a sender counts. failed: rows and labels that were refused. lead: rows that the group is behind.

    lateness: of rows that had a due time.
    """

    rows: int
    labels: int
    failed: int
    lead: int
    lateness: Lateness


class Metrics(Collector):
    """The replay's own registry. figures: what is counted now."""

    def __init__(self, figures: Callable[[], Figures]) -> None:
        self._figures = figures
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """All metrics as the registry wants them."""
        found = self._figures()
        yield CounterMetricFamily("replay_rows", "Rows that the broker has.", found.rows)
        yield CounterMetricFamily("replay_labels", "Labels that the broker has.", found.labels)
        yield CounterMetricFamily("replay_failed", "Rows and labels that it refused.", found.failed)
        yield GaugeMetricFamily("replay_lead_rows", "Rows that the group was behind when last asked.", found.lead)
        below = found.lateness.below(np.array(LATENESS_SECONDS)).tolist()
        names = [*map(floatToGoString, LATENESS_SECONDS), "+Inf"]  # 1.0: OpenMetrics knows no 1
        yield HistogramMetricFamily(
            "replay_lateness_seconds",
            "From the moment that a row was due to that at which it was handed over.",
            list(zip(names, [*below, found.lateness.rows], strict=True)),
            found.lateness.total,
        )

    def watch(self, families: Callable[[], Iterable[Family]]) -> None:
        """More metrics, whose values are made elsewhere when they are asked for."""
        self.registry.register(Families(families))

    def render(self, accept: str) -> tuple[int, bytes, str]:
        """200, the exposition in the format that the scraper accepts, and its content type."""
        return rendered(self.registry, accept)


def serve(host: str, port: int, figures: Callable[[], Figures], statistics: Statistics) -> Endpoint:
    """Serves /metrics until it is closed. statistics: what the client that sends tells of itself."""
    metrics = Metrics(figures)
    metrics.watch(lambda: families(statistics.figures()))
    return Endpoint(host, port, {"/metrics": metrics.render})
