"""Every metric that is exported, and those that PromQL asks for."""

from __future__ import annotations

import re

from prometheus_client import CollectorRegistry

from detector.client_figures import families
from detector.families import Families
from detector.feedback.figures import Shown
from replay.lateness import Lateness
from replay.metrics import Figures
from replay.metrics import Metrics as ReplayMetrics
from tests.readme import detector_registry
from trainer.metrics import METRICS

SERIES = {
    "counter": ("_total",),
    "gauge": ("",),
    "info": ("_info",),
    "histogram": ("_bucket", "_sum", "_count"),
    "summary": ("_sum", "_count"),
}
"""What the series of each type are called behind the metric's name."""

RECORDED = re.compile(r"\bjob\w*:[\w:]+")
"""What a recording rule makes."""

_NAME = re.compile(r"\b(?:detector|replay|kafka|process|trainer)_[a-z0-9_]+")


def exported() -> dict[str, str]:
    """The metric of each series' name: of the detector, feedback, replay, their Kafka clients, and of a training."""
    registries: list[CollectorRegistry] = [
        detector_registry(),
        Families(lambda: families({})).registry,
        Families(Shown().families).registry,
        ReplayMetrics(lambda: Figures(0, 0, 0, 0, Lateness())).registry,
    ]
    trained = {f"trainer_{name}": f"trainer_{name}" for name in METRICS}
    return {series: metric for one in registries for series, metric in of_registry(one).items()} | trained


def of_registry(registry: CollectorRegistry) -> dict[str, str]:
    """The metric of each series' name in one."""
    return {metric.name + ending: metric.name for metric in registry.collect() for ending in SERIES[metric.type]}


def asked(expr: str) -> set[str]:
    """Names of series in PromQL; what stands in quotes is none, and what a rule records is another's."""
    return set(_NAME.findall(RECORDED.sub("", re.sub(r'"(?:[^"\\]|\\.)*"', '""', expr))))
