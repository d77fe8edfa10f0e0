"""Our text of metrics is prometheus_client's, and small."""

from __future__ import annotations

import math
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as prometheus
from prometheus_client.samples import Exemplar

from detector.families import rendered
from tests.benchmarks.scrape import wide

ACCEPTS = (
    "",
    "text/plain",
    "text/plain; version=1.0.0; escaping=allow-utf-8",
    "application/openmetrics-text",
    "application/openmetrics-text; version=1.0.0; charset=utf-8",
    "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;q=0.3",
)
"""What scrapers ask for; the last one is Prometheus 2.42."""

TEXTS = st.text(max_size=12)
VALUES = (
    st.floats() | st.integers(-(1 << 53), 1 << 53).map(float) | st.sampled_from([999_999.0, 1e6, 1234567.5, 1e21, 1e22])
)
MOST_BYTES = 300_000


class Made:
    """A registry's only collector."""

    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> list[Metric]:
        return self._metrics


def registry(*metrics: Metric) -> CollectorRegistry:
    found = CollectorRegistry()
    found.register(Made(list(metrics)))
    return found


def same_as_the_library(made: CollectorRegistry) -> None:
    """In every form that may be asked for."""
    for accept in ACCEPTS:
        encode, content_type = choose_encoder(accept)
        assert rendered(made, accept) == (200, encode(made), content_type)


@given(TEXTS, st.dictionaries(st.sampled_from(["a", "b", "le", "model"]), TEXTS, max_size=4), VALUES)
def test_any_sample(meaning: str, labels: dict[str, str], value: float) -> None:
    """Whatever meaning, labels and values are, the text is the library's, byte by byte."""
    counter = CounterMetricFamily("detector_c", meaning, labels=list(labels))
    gauge = GaugeMetricFamily("detector_g", meaning, labels=list(labels))
    for family in (counter, gauge):
        family.add_metric(list(labels.values()), value)
    info = InfoMetricFamily("detector_i", meaning)
    info.add_metric([], labels)
    same_as_the_library(registry(counter, gauge, info))


@given(st.text(string.printable, min_size=1, max_size=40), VALUES.filter(math.isfinite), st.floats(0, 1e10) | st.none())
def test_any_exemplar(name: str, value: float, when: float | None) -> None:
    """So is that of examples, which the older form leaves out."""
    family = HistogramMetricFamily("detector_h", "Meaning.")
    family.add_metric([], [("1.0", 1, Exemplar({"alert_id": name}, value, when)), ("+Inf", 2)], 3.0)
    same_as_the_library(registry(family))


def test_a_whole_detector() -> None:
    """All metrics of a detector at work are the library's text, and its strict parsers read them."""
    told = wide(features=7, partitions=3)
    for accept, parse in (("", prometheus), (ACCEPTS[4], open_metrics)):
        encode, _ = choose_encoder(accept)
        # What the process is like differs from one moment to the next.
        ours, theirs = (
            [line for line in text.splitlines() if b"process_" not in line]
            for text in (told.render(accept)[1], encode(told.registry))
        )
        assert ours == theirs
        names = {family.name for family in parse(told.render(accept)[1].decode())}
        assert len(names) > 40


@pytest.mark.parametrize("accept", ACCEPTS[-1:] + ACCEPTS[:1])
def test_a_wide_detector_is_not_much_to_read(accept: str) -> None:
    """With 500 features and 64 partitions a scrape is less than 300 KB, in either form."""
    _, body, _ = wide().render(accept)
    assert b'feature="merchant_feature_499"' in body
    assert b'partition="63"' in body
    assert len(body) < MOST_BYTES
