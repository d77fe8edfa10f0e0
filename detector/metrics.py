"""Every metric. The only file that imports prometheus_client. Counted after it happened, once a batch."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import perf_counter, time
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Counter, Histogram, Info, Summary, disable_created_metrics
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from detector.alerts import ModelName
from detector.detection import Segment
from detector.drift import STATES, Drift
from detector.outcome import Outcome
from detector.rows import REASONS
from detector.shadow import Shadow, edges_of

STAGES = ("poll", "decode", "score", "statistics", "alerts", "commit")
OUTCOMES = ("committed", "aborted")
LATENCY_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 30.0, 300.0)
DRIFT_MEANINGS = {
    "psi": ("psi", "Population stability index, against the training reference,", True),
    "ks": ("ks", "Kolmogorov-Smirnov distance from the training reference", True),
    "missing": ("missing_share", "Share of missing values", False),
    "drifting": ("drifting", "1 for drift, 0 for none,", True),
}
"""Figures of drift: their metrics' last words, what they are, and whether the score has them too."""
BATCH_ROWS = (1, 4, 16, 64, 256, 1024, 4096, 16384)


# A timestamp beside each counter doubles the series and says what Prometheus knows.
disable_created_metrics()  # type: ignore[no-untyped-call]


class ScoreHistogram(Collector):
    """A histogram that takes a batch at once: prometheus_client observes one value at a time.

    Its buckets are multiples of the threshold, a factor of two apart, so that they fit every model's scale.
    """

    def __init__(self, threshold: float) -> None:
        self.restart(threshold)

    def restart(self, threshold: float) -> None:
        """Begins anew, as after a restart: another model's scores have another scale."""
        self._edges = edges_of(threshold)
        self._counts = np.zeros(len(self._edges) + 1, np.int64)
        self._sum = 0.0

    def observe(self, scores: NDArray[np.float32]) -> None:
        """Adds scores (n,)."""
        places = np.searchsorted(self._edges, scores)  # a bucket holds its upper edge
        self._counts += np.bincount(places, minlength=len(self._counts))
        self._sum += float(scores.sum(dtype=np.float64))

    def collect(self) -> Iterator[Metric]:
        """The metric as the registry wants it."""
        buckets = _buckets(self._edges, self._counts)
        yield HistogramMetricFamily(
            "detector_score", "Anomaly scores of rows; an alert lies above the threshold.", buckets, self._sum
        )


class DriftGauges(Collector):
    """What the last look at the rows found: shown when it is asked for, never measured by it."""

    def __init__(self, drift: Drift) -> None:
        self.drift = drift

    def collect(self) -> Iterator[Metric]:
        """Gauges of each feature and of the score."""
        figures, features = self.drift.figures, self.drift.features
        for figure, (name, meaning, of_score) in DRIFT_MEANINGS.items():
            values = getattr(figures, figure).tolist()
            gauge = GaugeMetricFamily(f"detector_feature_{name}", f"{meaning} of a feature.", labels=["feature"])
            for feature, value in zip(features, values, strict=False):
                gauge.add_metric([feature], value)
            yield gauge
            if of_score:
                yield GaugeMetricFamily(f"detector_score_{name}", f"{meaning} of the score.", values[-1])
        yield GaugeMetricFamily("detector_drift_rows", "Sampled rows that drift was last measured over.", figures.rows)


class ShadowMetrics(Collector):
    """What a shadow model's tally says; nothing where there is no shadow."""

    def __init__(self) -> None:
        self.shadow: Callable[[], Shadow | None] = lambda: None

    def collect(self) -> Iterator[Metric]:
        """Counts of rows by how the two models judged them, the shadow's scores, and its name."""
        shadow = self.shadow()
        rows = CounterMetricFamily(
            "detector_shadow_rows",
            "Rows by which of the two models alerts: both, one alone, neither.",
            labels=["agreement"],
        )
        kappa = GaugeMetricFamily("detector_shadow_kappa", "Agreement of the two models beyond chance (Cohen).")
        info = InfoMetricFamily("detector_shadow_model", "The model that scores beside the served one.")
        scores = HistogramMetricFamily("detector_shadow_score", "Scores of the shadow model.")
        if shadow is not None:
            name, tally = shadow.serving.artifact.name, shadow.totals
            for outcome, count in tally.outcomes.items():
                rows.add_metric([outcome], count)
            kappa.add_metric([], tally.kappa)
            info.add_metric([], {"name": name.name, "version": name.version, "sha256": name.sha256})
            threshold = shadow.serving.line.calibrated.value
            scores.add_metric([], _buckets(edges_of(threshold), tally.shadow.counts), tally.shadow.total)
        yield from (rows, kappa, info, scores)


def _buckets(edges: NDArray[np.float64], counts: NDArray[np.int64]) -> list[tuple[str, float]]:
    """Cumulative counts by upper edge, as the exposition wants them."""
    names = [*(f"{edge:.9g}" for edge in edges), "+Inf"]
    return [(name, float(total)) for name, total in zip(names, np.cumsum(counts), strict=True)]


class PartitionGauges(Collector):
    """What is in force for each partition and how far behind it is: written down by the loop, shown when asked for.

    waiting: messages not yet processed. open: processed ones that wait for others to be a row. last: event time of the
    last processed row, ms since 1970.
    """

    def __init__(self, clock: Callable[[], float] = time) -> None:
        self.waiting: dict[int, int] = {}
        self.open: dict[int, int] = {}
        self.last: dict[int, int] = {}
        self._segments: dict[int, Segment] = {}
        self._clock = clock

    def judged(self, segments: Iterable[Segment]) -> None:
        """Segments in the log's order: the last one of a partition is shown."""
        self._segments |= {segment.partition: segment for segment in segments}

    def forget(self, partitions: Iterable[int]) -> None:
        """Partitions whose series end."""
        for partition in partitions:
            for shown in (self.waiting, self.open, self.last, self._segments):
                shown.pop(partition, None)

    def collect(self) -> Iterator[Metric]:
        """A gauge of each kind."""
        now = self._clock()
        segments, waiting, last = dict(self._segments), dict(self.waiting), dict(self.last)
        summaries = {p: segment.summary for p, segment in segments.items() if segment.summary}
        lags = {p: max(now - last[p] / 1000, 0.0) if count and p in last else 0.0 for p, count in waiting.items()}
        yield _gauge(
            "score_median", "Median score of the partition's window.", {p: s.median for p, s in summaries.items()}
        )
        yield _gauge(
            "score_mad", "Median absolute deviation of the scores in it.", {p: s.mad for p, s in summaries.items()}
        )
        yield _gauge(
            "threshold", "Threshold in force for the partition.", {p: s.threshold.value for p, s in segments.items()}
        )
        yield _gauge("lag_rows", "Messages not yet processed.", waiting)
        yield _gauge("open_samples", "Samples of signals that wait for others to be a row.", dict(self.open))
        yield _gauge("lag_seconds", "Age of the last processed row while there are more, else 0.", lags)


def _gauge(name: str, meaning: str, values: Mapping[int, float]) -> GaugeMetricFamily:
    gauge = GaugeMetricFamily(f"detector_{name}", meaning, labels=["partition"])
    for partition, value in sorted(values.items()):
        gauge.add_metric([str(partition)], value)
    return gauge


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
        encode, content_type = choose_encoder(accept)
        return 200, encode(self.registry), content_type


class Metrics:
    """The detector's own registry, and what the loop tells it."""

    def __init__(
        self,
        threshold: float,
        model: ModelName,
        drift: Drift,
        clock: Callable[[], float] = time,
        topic: str = "",
    ) -> None:
        registry = self.registry = CollectorRegistry()
        self._topic = topic
        self._scores = ScoreHistogram(threshold)
        registry.register(self._scores)
        self._drift = DriftGauges(drift)
        registry.register(self._drift)
        self._changes = Counter(
            "detector_drift_changes", "Features, and the score, that changed to a state.", ["state"], registry=registry
        )
        self._rows = Counter("detector_rows", "Rows scored and committed.", registry=registry)
        self._alerts = Counter("detector_alerts", "Alerts published.", registry=registry)
        self._reasons = Counter(
            "detector_alert_reasons",
            "Alerts by the feature that carries most of their score.",
            ["feature"],
            registry=registry,
        )
        self._features: frozenset[str] = frozenset()
        self._know(drift.features)
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
        self._partitions = PartitionGauges(clock)
        registry.register(self._partitions)
        self._shadow = ShadowMetrics()
        registry.register(self._shadow)
        self._refused = Counter(
            "detector_models_refused", "Successors of the model that could not be served.", registry=registry
        )
        self._model = Info("detector_model", "The model that is served, and the topic of its rows.", registry=registry)
        self._name(model)
        for reason in REASONS:
            self._rejects.labels(reason)
        for outcome in OUTCOMES:
            self._transactions.labels(outcome)
        for state in STATES:
            self._changes.labels(state)

    def _name(self, model: ModelName) -> None:
        told = {"name": model.name, "version": model.version, "sha256": model.sha256, "topic": self._topic}
        self._model.info(told)

    def _know(self, features: Iterable[str]) -> None:
        """The served model's features have a series each from here on, those that it lacks have none any more."""
        known = frozenset(features)
        for gone in self._features - known:
            self._reasons.remove(gone)
        for feature in known - self._features:
            self._reasons.labels(feature)
        self._features = known

    def serve(self, threshold: float, model: ModelName, drift: Drift) -> None:
        """Another model from here on: its scores and its drift begin anew."""
        self._scores.restart(threshold)
        self._drift.drift = drift
        self._know(drift.features)
        self._name(model)

    def watch_shadow(self, shadow: Callable[[], Shadow | None]) -> None:
        """Where to find the shadow model when it is asked for."""
        self._shadow.shadow = shadow

    def drift_changed(self, state: str) -> None:
        """A feature, or the score, began to drift or is stable again."""
        self._changes.labels(state).inc()

    def model_refused(self) -> None:
        """A successor could not be served."""
        self._refused.inc()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Times a stage of the loop."""
        start = perf_counter()
        yield
        self._stages.labels(name).observe(perf_counter() - start)

    def committed(self, outcomes: Sequence[Outcome], when: float) -> None:
        """Batches became visible in one transaction, s since 1970."""
        self._transactions.labels("committed").inc()
        for outcome in outcomes:
            verdicts = outcome.verdicts
            self._rows.inc(len(verdicts.scores))
            self._scores.observe(verdicts.scores)
            for reason, count in Tally(outcome.reasons).items():
                self._rejects.labels(reason).inc(count)
            self._batch.observe(len(verdicts.scores) + len(outcome.reasons))
            self._partitions.judged(verdicts.segments)
            self._partitions.last |= outcome.last
            self._alerts.inc(len(outcome.alert_times))
            for feature, count in Tally(outcome.features).items():
                self._reasons.labels(feature).inc(count)
            for latency in (when - outcome.alert_times / 1000).tolist():
                self._latency.observe(max(latency, 0.0))

    def aborted(self) -> None:
        """A batch was aborted, and will be read again."""
        self._transactions.labels("aborted").inc()

    def lag(self, rows: Mapping[int, int], open_: Mapping[int, int] | None = None) -> None:
        """How many messages of each partition are not read yet, and how many wait for others to be a row."""
        self._partitions.waiting, self._partitions.open = dict(rows), dict(open_ or {})

    def forget(self, partitions: Iterable[int]) -> None:
        """Partitions went to another member: their series end here."""
        self._partitions.forget(partitions)

    def totals(self) -> str:
        """What was committed so far and where the time went, for a log line."""
        names = {"rows": "detector_rows", "alerts": "detector_alerts", "dead_letters": "detector_rejects"}
        found = {metric.name: metric.samples for metric in self.registry.collect()}
        sums = {
            word: sum(sample.value for sample in found[name] if sample.name == f"{name}_total")
            for word, name in names.items()
        }
        stages = {s.labels["stage"]: s.value for s in found["detector_stage_seconds"] if s.name.endswith("_sum")}
        counts = " ".join(f"{word}={int(total)}" for word, total in sums.items())
        return f"{counts} seconds={','.join(f'{stage}:{stages.get(stage, 0.0):.3f}' for stage in STAGES)}"

    def render(self, accept: str) -> tuple[int, bytes, str]:
        """200, the exposition in the format that the scraper accepts, and its content type."""
        encode, content_type = choose_encoder(accept)
        return 200, encode(self.registry), content_type
