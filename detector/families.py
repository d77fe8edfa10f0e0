"""Metrics as values, made where their figures are and shown by whoever serves them.

With `detector.metrics` the only file of the detector that imports prometheus_client. It stands on no model: a replay
shows its client's figures by it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from detector.exposition import encoded

OPEN_METRICS = "application/openmetrics-text"
MOST_LABEL_LETTERS = 128


class Family(NamedTuple):
    """A metric as values. kind: counter or gauge. samples: by the values of its labels."""

    kind: str
    name: str
    meaning: str
    labels: Sequence[str]
    samples: Iterable[tuple[tuple[str, ...], float]]


class Families(Collector):
    """Metrics whose values are made elsewhere and asked for when they are shown."""

    def __init__(self, families: Callable[[], Iterable[Family]]) -> None:
        self._families = families
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """A metric for each."""
        for kind, name, meaning, labels, samples in self._families():
            metric = (CounterMetricFamily if kind == "counter" else GaugeMetricFamily)(name, meaning, labels=labels)
            for values, figure in samples:
                metric.add_metric(values, figure)
            yield metric

    def render(self, accept: str) -> tuple[int, bytes, str]:
        """200, the exposition in the format that the scraper accepts, and its content type."""
        return rendered(self.registry, accept)


def rendered(registry: CollectorRegistry, accept: str) -> tuple[int, bytes, str]:
    """200, a registry in the format that the scraper accepts, and its content type."""
    _, content_type = choose_encoder(accept)
    return 200, encoded(registry.collect(), content_type.startswith(OPEN_METRICS)), content_type


def bounded(text: str) -> str:
    """A label's value that came from a topic, no longer than a person reads; two that differ stay different."""
    if len(text) <= MOST_LABEL_LETTERS:
        return text
    told = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    return f"{text[: MOST_LABEL_LETTERS - len(told) - 1]} {told}"
