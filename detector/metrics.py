"""Every metric. The only file that imports prometheus_client. Counted after it happened, once a batch."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import perf_counter

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, Summary, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from detector.alerts import ModelName
from detector.detection import Verdicts
from detector.drift import Drift
from detector.rows import REASONS

STAGES = ("poll", "decode", "score", "statistics", "alerts", "commit")
OUTCOMES = ("committed", "aborted")
LATENCY_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 30.0, 300.0)
DRIFT_MEANINGS = (
    "Population stability index",
    "Kolmogorov-Smirnov distance",
)
BATCH_ROWS = (1, 4, 16, 64, 256, 1024, 4096, 16384)


# A timestamp beside each counter doubles the series and says what Prometheus knows.
disable_created_metrics()  # type: ignore[no-untyped-call]


class ScoreHistogram(Collector):
    """A histogram that takes a batch at once: prometheus_client observes one value at a time.

    Its buckets are multiples of the threshold, a factor of two apart, so that they fit every model's scale.
    """

    def __init__(self, threshold: float) -> None:
        scale = threshold if threshold > 0 else 1.0
        self._edges = scale * 2.0 ** np.arange(-8, 9)
        self._counts = np.zeros(len(self._edges) + 1, np.int64)
        self._sum = 0.0

    def observe(self, scores: NDArray[np.float32]) -> None:
        """Adds scores (n,)."""
        places = np.searchsorted(self._edges, scores)  # a bucket holds its upper edge
        self._counts += np.bincount(places, minlength=len(self._counts))
        self._sum += float(scores.sum(dtype=np.float64))

    def collect(self) -> Iterator[Metric]:
        """The metric as the registry wants it."""
        totals = np.cumsum(self._counts)
        edges = [*(f"{edge:.9g}" for edge in self._edges), "+Inf"]
        buckets = [(edge, float(total)) for edge, total in zip(edges, totals, strict=True)]
        yield HistogramMetricFamily(
            "detector_score", "Anomaly scores of rows; an alert lies above the threshold.", buckets, self._sum
        )


class DriftGauges(Collector):
    """Drift, measured when it is asked for: a scrape costs it, a row does not."""

    def __init__(self, drift: Drift, features: Sequence[str]) -> None:
        self._drift, self._features = drift, features

    def collect(self) -> Iterator[Metric]:
        """Gauges of each feature and of the score."""
        for name, meaning, figures in zip(("psi", "ks"), DRIFT_MEANINGS, self._drift.measure(), strict=True):
            gauge = GaugeMetricFamily(
                f"detector_feature_{name}",
                f"{meaning} of a feature against the training reference.",
                labels=["feature"],
            )
            for feature, figure in zip(self._features, figures.tolist(), strict=False):
                gauge.add_metric([feature], figure)
            yield gauge
            yield GaugeMetricFamily(
                f"detector_score_{name}", f"{meaning} of the score against it.", figures.tolist()[-1]
            )


class Metrics:
    """The detector's own registry, and what the loop tells it."""

    def __init__(self, threshold: float, model: ModelName, drift: Drift, features: Sequence[str]) -> None:
        registry = self.registry = CollectorRegistry()
        self._scores = ScoreHistogram(threshold)
        registry.register(self._scores)
        registry.register(DriftGauges(drift, features))
        self._rows = Counter("detector_rows", "Rows scored and committed.", registry=registry)
        self._alerts = Counter("detector_alerts", "Alerts published.", registry=registry)
        self._rejects = Counter("detector_rejects", "Messages sent to dead letters.", ["reason"], registry=registry)
        self._latency = Histogram(
            "detector_alert_latency_seconds",
            "From an alerting row's event time to the commit of its alert.",
            buckets=LATENCY_SECONDS,
            registry=registry,
        )
        self._batch = Histogram("detector_batch_rows", "Messages in a batch.", buckets=BATCH_ROWS, registry=registry)
        self._stages = Summary(
            "detector_stage_seconds", "Time spent in each stage of a batch.", ["stage"], registry=registry
        )
        self._transactions = Counter(
            "detector_transactions", "Commits of a batch, by how they ended.", ["outcome"], registry=registry
        )
        self._median = _by_partition("detector_score_median", "Median score of the partition's window.", registry)
        self._mad = _by_partition("detector_score_mad", "Median absolute deviation of the scores in it.", registry)
        self._threshold = _by_partition("detector_threshold", "Threshold in force for the partition.", registry)
        self._lag_rows = _by_partition("detector_lag_rows", "Messages not yet processed.", registry)
        self._lag_seconds = _by_partition(
            "detector_lag_seconds", "Age of the last processed row while there are more, else 0.", registry
        )
        info = Info("detector_model", "The model that is served.", registry=registry)
        info.info({"name": model.name, "version": model.version, "sha256": model.sha256})
        for reason in REASONS:
            self._rejects.labels(reason)
        for outcome in OUTCOMES:
            self._transactions.labels(outcome)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Times a stage of a batch."""
        start = perf_counter()
        yield
        self._stages.labels(name).observe(perf_counter() - start)

    def committed(self, verdicts: Verdicts, reasons: Sequence[str]) -> None:
        """A batch became visible: its scores, what was in force for them, its rejects' reasons."""
        self._rows.inc(len(verdicts.scores))
        self._scores.observe(verdicts.scores)
        for reason, count in Tally(reasons).items():
            self._rejects.labels(reason).inc(count)
        self._batch.observe(len(verdicts.scores) + len(reasons))
        self._transactions.labels("committed").inc()
        for segment in {segment.partition: segment for segment in verdicts.segments}.values():
            self._threshold.labels(segment.partition).set(segment.threshold.value)
            if segment.summary:
                self._median.labels(segment.partition).set(segment.summary.median)
                self._mad.labels(segment.partition).set(segment.summary.mad)

    def alerted(self, latencies: NDArray[np.float64]) -> None:
        """Alerts became visible; latencies (n,) in seconds since their rows' event times."""
        self._alerts.inc(len(latencies))
        for latency in latencies.tolist():
            self._latency.observe(max(latency, 0.0))

    def aborted(self) -> None:
        """A batch was aborted, and will be read again."""
        self._transactions.labels("aborted").inc()

    def lag(self, rows: Mapping[int, int], seconds: Mapping[int, float]) -> None:
        """How far behind the partitions are."""
        for partition, count in rows.items():
            self._lag_rows.labels(partition).set(count)
            self._lag_seconds.labels(partition).set(max(seconds.get(partition, 0.0), 0.0) if count else 0.0)

    def forget(self, partitions: Iterable[int]) -> None:
        """Partitions went to another member: their series end here."""
        for partition in partitions:
            for gauge in (self._median, self._mad, self._threshold, self._lag_rows, self._lag_seconds):
                gauge.remove_by_labels({"partition": str(partition)})

    def totals(self) -> str:
        """What was committed so far, for a log line."""
        names = {"rows": "detector_rows", "alerts": "detector_alerts", "dead_letters": "detector_rejects"}
        found = {metric.name: metric.samples for metric in self.registry.collect()}
        sums = {
            word: sum(sample.value for sample in found[name] if sample.name == f"{name}_total")
            for word, name in names.items()
        }
        return " ".join(f"{word}={int(total)}" for word, total in sums.items())

    def render(self, accept: str) -> tuple[int, bytes, str]:
        """200, the exposition in the format that the scraper accepts, and its content type."""
        encode, content_type = choose_encoder(accept)
        return 200, encode(self.registry), content_type


def _by_partition(name: str, meaning: str, registry: CollectorRegistry) -> Gauge:
    return Gauge(name, meaning, ["partition"], registry=registry)
