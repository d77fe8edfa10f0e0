"""Every metric of a detector. Counted after it happened, once a batch."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import perf_counter, time
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    Summary,
    disable_created_metrics,
)
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar
from prometheus_client.utils import floatToGoString

from detector.alerts import ModelName
from detector.counts import ByPartition, Count
from detector.detection import Segment
from detector.drift import STATES, Drift
from detector.families import Families, Family, bounded, rendered
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
MOST_EXEMPLAR_LETTERS = 128
"""Letters of an exemplar's names and values together: OpenMetrics 1.0 allows no more."""

EXEMPLAR = "alert_id"
BATCH_ROWS = (1, 4, 16, 64, 256, 1024, 4096, 16384)

Collected = TypeVar("Collected", bound=Collector)


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


class LatencyHistogram(Collector):
    """A histogram that takes a batch at once, and keeps of each bucket the last alert as an example."""

    def __init__(self) -> None:
        self._edges = np.array(LATENCY_SECONDS)
        self._counts = np.zeros(len(self._edges) + 1, np.int64)
        self._sum = 0.0
        self._examples: dict[int, Exemplar] = {}

    def observe(self, seconds: NDArray[np.float64], alerts: Sequence[str], when: float) -> None:
        """Adds the latencies (k,) of alerts of these ids, which became visible at a time, s since 1970.

        An id that is too long for an example is counted and not told.
        """
        places = np.searchsorted(self._edges, seconds)  # a bucket holds its upper edge
        self._counts += np.bincount(places, minlength=len(self._counts))
        self._sum += float(seconds.sum())
        for place, last in dict(zip(places.tolist(), range(len(places)), strict=True)).items():
            if len(EXEMPLAR) + len(alerts[last]) <= MOST_EXEMPLAR_LETTERS:
                self._examples[place] = Exemplar({EXEMPLAR: alerts[last]}, float(seconds[last]), when)

    def collect(self) -> Iterator[Metric]:
        """The metric as the registry wants it; its examples are shown to who asks for OpenMetrics alone."""
        meaning = "From an alerting row's event time to the commit of its alert."
        metric = HistogramMetricFamily("detector_alert_latency_seconds", meaning)
        found = enumerate(_buckets(self._edges, self._counts))
        examples = self._examples
        metric.add_metric([], [(*one, examples[i]) if i in examples else one for i, one in found], self._sum)
        yield metric


class PartitionCounts(Collector):
    """What became of each partition's messages: kept with the group's offsets, and so by no process."""

    def __init__(self, counts: Callable[[], ByPartition]) -> None:
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        """Rows and alerts by partition, rejects by reason too; every reason from the start, so that a rate has a 0."""
        rows = CounterMetricFamily("detector_rows", "Rows scored and committed by the group.", labels=["partition"])
        alerts = CounterMetricFamily("detector_alerts", "Alerts published by the group.", labels=["partition"])
        meaning = "Messages sent to dead letters by the group."
        rejects = CounterMetricFamily("detector_rejects", meaning, labels=["partition", "reason"])
        for partition, count in sorted(dict(self._counts()).items()):
            name = str(partition)
            rows.add_metric([name], count.rows)
            alerts.add_metric([name], count.alerts)
            for reason in REASONS:
                rejects.add_metric([name, reason], count.rejects.get(reason, 0))
        yield from (rows, alerts, rejects)


class DriftGauges(Collector):
    """What the last look at the rows found: shown when it is asked for, never measured by it."""

    def __init__(self, drift: Drift) -> None:
        self.drift = drift

    def collect(self) -> Iterator[Metric]:
        """Gauges of each feature and of the score."""
        figures, features = self.drift.figures, [*map(bounded, self.drift.features)]
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
            told = {"name": bounded(name.name), "version": bounded(name.version), "sha256": name.sha256}
            for outcome, count in tally.outcomes.items():
                rows.add_metric([outcome], count)
            kappa.add_metric([], tally.kappa)
            info.add_metric([], told)
            threshold = shadow.serving.line.calibrated.value
            scores.add_metric([], _buckets(edges_of(threshold), tally.shadow.counts), tally.shadow.total)
        yield from (rows, kappa, info, scores)


def _buckets(edges: NDArray[np.float64], counts: NDArray[np.int64]) -> list[tuple[str, float]]:
    """Cumulative counts by upper edge, as the exposition wants them: 1.0, for OpenMetrics knows no 1."""
    names = [*(floatToGoString(float(f"{edge:.9g}")) for edge in edges), "+Inf"]  # type: ignore[no-untyped-call]
    return [(name, float(total)) for name, total in zip(names, np.cumsum(counts), strict=True)]


class PartitionGauges(Collector):
    """What is in force for each partition and how far behind it is: written down by the loop, shown when asked for.

    waiting: gives the messages not yet processed; asked for by who looks, for a loop that stands still tells nothing.
    open: processed ones that wait for others to be a row. last: event time of the last processed row, ms since 1970.
    """

    def __init__(self, clock: Callable[[], float] = time) -> None:
        self.waiting: Callable[[], Mapping[int, int]] = dict
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
            for shown in (self.open, self.last, self._segments):
                shown.pop(partition, None)

    def collect(self) -> Iterator[Metric]:
        """A gauge of each kind."""
        now = self._clock()
        segments, waiting, last = dict(self._segments), self.waiting(), dict(self.last)
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


class Metrics:
    """The detector's own registry, and what the loop tells it."""

    def __init__(
        self,
        threshold: float,
        model: ModelName,
        drift: Drift,
        counts: Callable[[], ByPartition] = dict,
        clock: Callable[[], float] = time,
        topic: str = "",
        group: str = "",
    ) -> None:
        """counts: what became of the messages of the partitions that are here, as far as it is visible."""
        self._read = {"topic": topic, "group": group}
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._shown(PartitionCounts(counts))
        self._here = Count()
        self._scores = self._shown(ScoreHistogram(threshold))
        self._drift = self._shown(DriftGauges(drift))
        self._changes = self._counter(
            "detector_drift_changes", "Features, and the score, that changed to a state.", "state", STATES
        )
        self._reasons = self._counter(
            "detector_alert_reasons", "Alerts by the feature that carries most of their score.", "feature"
        )
        self._features: frozenset[str] = frozenset()
        self._know(drift.features)
        self._latency = self._shown(LatencyHistogram())
        self._batch = Histogram(
            "detector_batch_rows", "Messages in a batch.", buckets=BATCH_ROWS, registry=self.registry
        )
        self._stages = Summary(
            "detector_stage_seconds", "Time spent in each stage of a batch.", ["stage"], registry=self.registry
        )
        self._transactions = self._counter(
            "detector_transactions", "Commits of a batch, by how they ended.", "outcome", OUTCOMES
        )
        self._partitions = self._shown(PartitionGauges(clock))
        self._shadow = self._shown(ShadowMetrics())
        self._refused = self._counter("detector_models_refused", "Successors of the model that could not be served.")
        self._expired: Callable[[], int] = int
        self._shown(Families(self._lost))
        self._settled(model)

    def _settled(self, model: ModelName) -> None:
        """What changes seldom: the model, and what was asked of this member."""
        self._model = Info(
            "detector_model",
            "The model that is served, and the topic and the group that it is served to.",
            registry=self.registry,
        )
        self._made = Gauge(
            "detector_model_created_timestamp_seconds",
            "When the model that is served was trained, s since 1970.",
            registry=self.registry,
        )
        self._wanted = Gauge(
            "detector_replicas_wanted", "Members that the group shall have; 0: any.", registry=self.registry
        )
        self._service = Info("detector_service", "What this member reads, and how.", registry=self.registry)
        self._name(model)

    def _shown(self, collector: Collected) -> Collected:
        self.registry.register(collector)
        return collector

    def _counter(self, name: str, meaning: str, label: str = "", values: Iterable[str] = ()) -> Counter:
        """A counter; with a label, all whose values are there from the beginning, at 0."""
        counter = Counter(name, meaning, [label] if label else [], registry=self.registry)
        for value in values:
            counter.labels(value)
        return counter

    def _name(self, model: ModelName) -> None:
        told = {"name": bounded(model.name), "version": bounded(model.version), "sha256": model.sha256}
        self._model.info({**told, **self._read})

    def _know(self, features: Iterable[str]) -> None:
        """The served model's features have a series each from here on, those that it lacks have none any more."""
        known = frozenset(map(bounded, features))
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

    def describe(self, made: float, replicas: int, **service: str) -> None:
        """What does not change while a model serves. made: s since 1970. service: texts of this process' settings."""
        self._made.set(made)
        self._wanted.set(replicas)
        self._service.info(service)

    def watch_expired(self, expired: Callable[[], int]) -> None:
        """Where to find how many messages retention removed before they were read."""
        self._expired = expired

    def _lost(self) -> Iterator[Family]:
        meaning = "Messages that retention removed before this member could read them."
        yield Family("counter", "detector_rows_expired", meaning, [], [((), self._expired())])

    def watch(self, families: Callable[[], Iterable[Family]]) -> None:
        """More metrics, whose values are made elsewhere when they are asked for."""
        self.registry.register(Families(families))

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
            count = sum(outcome.counts.values(), Count())
            self._here += count
            self._scores.observe(outcome.verdicts.scores)
            self._batch.observe(count.messages)
            self._partitions.judged(outcome.verdicts.segments)
            self._partitions.last |= outcome.last
            self._latency.observe(np.maximum(when - outcome.alert_times / 1000, 0.0), outcome.alerts, when)
            for feature, alerts in Tally(outcome.features).items():
                self._reasons.labels(bounded(feature)).inc(alerts)

    def aborted(self) -> None:
        """A batch was aborted, and will be read again."""
        self._transactions.labels("aborted").inc()

    def watch_lags(self, lags: Callable[[], Mapping[int, int]]) -> None:
        """Where to find how many messages of each partition are not read yet; asked from another thread."""
        self._partitions.waiting = lags

    def opened(self, samples: Mapping[int, int]) -> None:
        """How many samples of each partition wait for others to be a row."""
        self._partitions.open = dict(samples)

    def forget(self, partitions: Iterable[int]) -> None:
        """Partitions went to another member: their series end here."""
        self._partitions.forget(partitions)

    def totals(self) -> dict[str, int | str]:
        """What this process committed so far and where the time went, for a log line."""
        (stages,) = self._stages.collect()
        spent = {one.labels["stage"]: one.value for one in stages.samples if one.name.endswith("_sum")}
        here = self._here
        counts = {"rows": here.rows, "alerts": here.alerts, "dead_letters": sum(here.rejects.values())}
        return {**counts, "seconds": ",".join(f"{stage}:{spent.get(stage, 0.0):.3f}" for stage in STAGES)}

    def render(self, accept: str) -> tuple[int, bytes, str]:
        """200, the exposition in the format that the scraper accepts, and its content type."""
        return rendered(self.registry, accept)
