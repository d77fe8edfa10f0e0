"""Every metric that is exported, and those that PromQL asks for."""

from __future__ import annotations

import re

from prometheus_client import CollectorRegistry

from detector.feedback.figures import Shown
from detector.metrics import Families
from replay.lateness import Lateness
from replay.metrics import Figures
from replay.metrics import Metrics as ReplayMetrics
from tests.readme import detector_registry

SERIES = {
    "counter": ("_total",),
    "gauge": ("",),
    "info": ("_info",),
    "histogram": ("_bucket", "_sum", "_count"),
    "summary": ("_sum", "_count"),
}
"""What the series of each type are called behind the metric's name."""

_NAME = re.compile(r"\b(?:detector|replay|kafka)_[a-z0-9_]+")


def exported() -> dict[str, str]:
    """The metric of each series' name: of the detector, of feedback and of replay."""
    registries: list[CollectorRegistry] = [
        detector_registry(),
        Families(Shown().families).registry,
        ReplayMetrics(lambda: Figures(0, 0, 0, 0, Lateness())).registry,
    ]
    metrics = [metric for registry in registries for metric in registry.collect()]
    return {metric.name + ending: metric.name for metric in metrics for ending in SERIES[metric.type]}


def asked(expr: str) -> set[str]:
    """Names of series in PromQL; what stands in quotes is none."""
    return set(_NAME.findall(re.sub(r'"(?:[^"\\]|\\.)*"', '""', expr)))
