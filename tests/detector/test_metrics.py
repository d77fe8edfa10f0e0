"""Metrics say what happened, in the conventions of Prometheus."""

from __future__ import annotations

import math
from collections import Counter as Tally
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families

from detector.alerts import ModelName
from detector.counts import Count, Counts
from detector.detection import Segment, Verdicts
from detector.drift import Drift, Reference
from detector.log import EVENTS
from detector.metrics import EXEMPLAR, LATENCY_SECONDS, MOST_EXEMPLAR_LETTERS, OUTCOMES, STAGES, Metrics, ScoreHistogram
from detector.outcome import Outcome
from detector.rows import REASONS
from detector.statistics import Summary
from detector.threshold import Threshold
from tests.arrays import f32

MODEL = ModelName("cards", "7", "abc")
Key = tuple[str, frozenset[tuple[str, str]]]
BASE_UNITS = ("seconds", "rows", "info", "score", "bytes")


NOW = 2_000_000.0


def metrics(threshold: float = 1.0, drift: Drift | None = None) -> Metrics:
    return Metrics(threshold, MODEL, drift or a_drift(), dict, lambda: NOW, "rows", "g")


def with_counts(counts: Counts) -> Metrics:
    return Metrics(1.0, MODEL, a_drift(), lambda: counts.visible, lambda: NOW, "rows", "g")


def a_drift(features: Sequence[str] = ("a", "b")) -> Drift:
    """Of these features and the score, against the same normal rows."""
    column = np.linspace(0, 1, 500, dtype=np.float32)
    return Drift(Reference.of([column] * (len(features) + 1)), features, rows=100, every=1)


def samples(told: Metrics, accept: str = "") -> dict[Key, float]:
    """Every sample by name and labels."""
    status, body, content_type = told.render(accept)
    assert status == 200
    assert content_type.startswith("text/plain")
    families = text_string_to_metric_families(body.decode())
    return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}


def value(told: Metrics, name: str, **labels: str) -> float:
    return samples(told)[name, frozenset(labels.items())]


def verdicts(scores: list[float], *segments: tuple[int, Summary | None, float]) -> Verdicts:
    parts = [Segment(p, np.empty(0, np.intp), summary, Threshold(line, "value:1")) for p, summary, line in segments]
    return Verdicts(f32(scores), parts, np.empty(0, np.intp))


def outcome(
    judged: Verdicts,
    reasons: Sequence[str] = (),
    alert_times: Sequence[int] = (),
    last: Mapping[int, int] | None = None,
    alerts: Sequence[str] | None = None,
    features: Sequence[str] = (),
) -> Outcome:
    """All of it in partition 0."""
    counts = {0: Count(len(judged.scores), len(alert_times), dict(Tally(reasons)))}
    ids = [f"rows/0/{i}" for i in range(len(alert_times))] if alerts is None else alerts
    times = np.array(alert_times, np.int64)
    return Outcome(judged, counts, ids, times, dict(last or {}), features=features)


def buckets(told: Metrics, name: str) -> dict[float, float]:
    found = samples(told)
    return {float(dict(labels)["le"]): count for (one, labels), count in found.items() if one == f"{name}_bucket"}


@given(
    st.lists(st.lists(st.floats(0, 2.0**99, width=32), max_size=20), max_size=4), st.sampled_from([1.0, 0.037, 250.0])
)
def test_score_histogram_is_numpy_s(batches: list[list[float]], threshold: float) -> None:
    """Each bucket counts the scores at or below its edge, batch by batch; sum and count are theirs."""
    told = metrics(threshold)
    for batch in batches:
        told.committed([outcome(verdicts(batch))], NOW)
    scores: NDArray[np.float64] = f32([score for batch in batches for score in batch]).astype(float)
    found = buckets(told, "detector_score")
    edges = [*(threshold * 2.0 ** np.arange(-8, 9)), math.inf]
    assert list(found) == pytest.approx(edges, rel=1e-8)
    assert list(found.values()) == [np.count_nonzero(scores <= edge) for edge in edges]
    assert value(told, "detector_score_count") == len(scores)
    assert value(told, "detector_score_sum") == pytest.approx(scores.sum(), rel=1e-12)


def test_a_score_at_an_edge() -> None:
    """A bucket holds its upper edge; the threshold itself is one, so its bucket holds all that is no alert."""
    told = metrics(0.5)
    judged = verdicts([0.5, float(np.nextafter(np.float32(0.5), np.float32(1))), 0.0, 3e38])
    told.committed([outcome(judged)], NOW)
    found = buckets(told, "detector_score")
    assert (found[0.5], found[1.0], found[math.inf]) == (2, 3, 4)


@pytest.mark.parametrize("threshold", [0.0, -2.0])
def test_score_histogram_without_a_scale(threshold: float) -> None:
    """A threshold that is no scale still gives ascending edges."""
    (family,) = ScoreHistogram(threshold).collect()
    edges = [float(one.labels["le"]) for one in family.samples if one.name.endswith("_bucket")]
    assert edges == sorted(set(edges))


def test_committed() -> None:
    """A commit counts itself, and of its batches rows, rejects by reason, messages, and what is in force at the end."""
    counts = Counts()
    counts.begin({0: ""})
    told = with_counts(counts)
    summary = Summary(300, 0.25, 0.125, 0.2)
    first = verdicts([1, 2, 3], (4, None, 9.0), (4, summary, 2.5), (5, None, 9.0))
    for batches in (
        [outcome(first, ["empty", "empty", "not_json"]), outcome(verdicts([]))],
        [outcome(verdicts([1]), alert_times=[0])],
    ):
        told.committed(batches, NOW)
        for batch in batches:
            counts.committed(batch.counts)
    assert value(told, "detector_rows_total", partition="0") == 4
    assert value(told, "detector_alerts_total", partition="0") == 1
    assert value(told, "detector_rejects_total", partition="0", reason="empty") == 2
    assert value(told, "detector_rejects_total", partition="0", reason="not_json") == 1
    assert {k: told.totals()[k] for k in ("rows", "alerts", "dead_letters")} == {
        "rows": 4,
        "alerts": 1,
        "dead_letters": 3,
    }
    assert list(told.totals()) == EVENTS["loop_ended"].fields.split()
    assert value(told, "detector_transactions_total", outcome="committed") == 2
    assert (value(told, "detector_batch_rows_sum"), value(told, "detector_batch_rows_count")) == (7, 3)
    assert value(told, "detector_threshold", partition="4") == 2.5
    assert value(told, "detector_score_median", partition="4") == 0.25
    assert value(told, "detector_score_mad", partition="4") == 0.125
    assert ("detector_score_median", frozenset({("partition", "5")})) not in samples(told)


def test_closed_sets_are_there_from_the_start() -> None:
    """Every reason and outcome has its series before anything happened: a rate can start at 0."""
    counts = Counts()
    counts.begin({7: ""})
    found = samples(with_counts(counts))
    for reason in REASONS:
        assert found["detector_rejects_total", frozenset({("reason", reason), ("partition", "7")})] == 0
    for outcome in OUTCOMES:
        assert found["detector_transactions_total", frozenset({("outcome", outcome)})] == 0
    assert found["detector_alert_reasons_total", frozenset({("feature", "b")})] == 0
    named = {("name", "cards"), ("version", "7"), ("sha256", "abc"), ("topic", "rows"), ("group", "g")}
    assert found["detector_model_info", frozenset(named)] == 1


def test_alerted() -> None:
    """Alerts are counted with the time from their row's event to their visibility, never below 0."""
    told = metrics()
    told.committed([outcome(verdicts([9]), alert_times=[1_999_999_996, 1_999_998_000, 2_000_007_000])], NOW)
    assert value(told, "detector_alert_latency_seconds_count") == 3
    assert value(told, "detector_alert_latency_seconds_sum") == pytest.approx(2.004)


def test_reasons() -> None:
    """Each alert counts once, with the feature that carries most of it."""
    told = metrics()
    told.committed([outcome(verdicts([9]), alert_times=[0, 1, 2], features=["b", "a", "b"])], NOW)
    assert value(told, "detector_alert_reasons_total", feature="a") == 1
    assert value(told, "detector_alert_reasons_total", feature="b") == 2


def test_reasons_of_another_model() -> None:
    """A feature that both models have goes on counting; one that is gone has no series, a new one begins at 0."""
    told = metrics()
    told.committed([outcome(verdicts([9]), alert_times=[0, 1], features=["b", "a"])], NOW)
    told.serve(1.0, MODEL, a_drift(("b", "c")))
    found = {dict(labels)["feature"]: count for (name, labels), count in samples(told).items() if "reasons" in name}
    assert found == {"b": 1, "c": 0}


def test_aborted() -> None:
    """An abort counts as an abort and nothing else."""
    told = metrics()
    before = samples(told)
    told.aborted()
    after = {key: count for key, count in samples(told).items() if not key[0].startswith("process_")}
    changed = {key: count for key, count in after.items() if str(before[key]) != str(count)}
    assert changed == {("detector_transactions_total", frozenset({("outcome", "aborted")})): 1}


def test_lag() -> None:
    """Lag is told by partition; where nothing waits its age is 0, and a clock that runs ahead makes none negative."""
    told = metrics()
    told.watch_lags(lambda: {0: 5, 1: 0, 2: 3})
    assert value(told, "detector_lag_seconds", partition="0") == 0  # nothing is known of its age yet
    ends = {0: 1_999_998_500, 1: 1_999_901_000, 2: 2_000_004_000}
    told.committed([outcome(verdicts([]), last=ends)], NOW)
    found = {(p, name): value(told, f"detector_lag_{name}", partition=p) for p in "012" for name in ("rows", "seconds")}
    assert [found[p, "rows"] for p in "012"] == [5, 0, 3]
    assert [found[p, "seconds"] for p in "012"] == [1.5, 0, 0]


def test_forget() -> None:
    """A partition that went has no series left, the others keep theirs; one never seen is no error."""
    told = metrics()
    judged = verdicts([1], (3, Summary(300, 1, 1, 1), 1.0), (31, Summary(300, 1, 1, 1), 1.0))
    told.committed([outcome(judged, last={3: 0, 31: 0})], NOW)
    told.opened({3: 1, 31: 1})
    told.forget([3, 77])
    partitions = {dict(labels).get("partition") for _, labels in samples(told)}
    assert partitions == {None, "31"}
    assert sum(dict(labels).get("partition") == "31" for _, labels in samples(told)) == 4


def test_drift() -> None:
    """Drift is what the last look found, by feature's name and for the score; NaN before the first."""
    drift = a_drift()
    told = metrics(drift=drift)
    assert math.isnan(value(told, "detector_feature_psi", feature="a"))
    rows = np.linspace(0, 1, 100, dtype=np.float32)
    drift.update(np.zeros(100, np.int32), np.arange(100), np.column_stack((rows, rows + 1)), rows)
    assert value(told, "detector_drift_rows") == 100
    assert [value(told, "detector_feature_missing_share", feature=feature) for feature in "ab"] == [0, 0]
    for name, figures in (
        ("psi", drift.figures.psi),
        ("ks", drift.figures.ks),
        ("drifting", drift.figures.drifting),
    ):
        found = [value(told, f"detector_feature_{name}", feature=feature) for feature in "ab"]
        assert [*found, value(told, f"detector_score_{name}")] == figures.tolist()


def test_changes_of_drift() -> None:
    """Changes are counted by the state that they lead to."""
    told = metrics()
    for state in ("drifting", "drifting", "stable"):
        told.drift_changed(state)
    assert value(told, "detector_drift_changes_total", state="drifting") == 2
    assert value(told, "detector_drift_changes_total", state="stable") == 1


def test_stage() -> None:
    """A stage that ended is timed; one that failed is not counted."""
    told = metrics()
    for stage in STAGES:
        with told.stage(stage):
            pass
    with pytest.raises(KeyError), told.stage("poll"):
        raise KeyError
    for stage in STAGES:
        assert value(told, "detector_stage_seconds_count", stage=stage) == 1


def test_conventions() -> None:
    """Names begin with detector_ and end in a unit, counters in _total, as the text form itself says of its types."""
    told = metrics()
    told.watch_lags(lambda: {0: 1})
    told.committed([outcome(verdicts([1], (0, Summary(300, 1, 1, 1), 1.0)))], NOW)
    for family in text_string_to_metric_families(told.render("")[1].decode()):
        assert family.name.startswith(("detector_", "process_"))
        assert family.documentation.endswith(".")
        if family.type == "counter":
            assert all(one.name.endswith(("_total", "_created")) for one in family.samples)
        if family.type in ("histogram", "summary"):
            assert family.name.endswith(BASE_UNITS)


def test_open_metrics_on_request() -> None:
    """A scraper that asks for OpenMetrics gets it, ended as it must be."""
    _, body, content_type = metrics().render("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


OPEN_METRICS = "application/openmetrics-text; version=1.0.0"


def exemplars(told: Metrics) -> dict[str, tuple[dict[str, str], float]]:
    """By upper edge, the labels and value of the example that the latency's bucket has."""
    families = {one.name: one for one in open_metrics(told.render(OPEN_METRICS)[1].decode())}  # type: ignore[no-untyped-call]
    found = families["detector_alert_latency_seconds"].samples
    return {one.labels["le"]: (one.exemplar.labels, one.exemplar.value) for one in found if one.exemplar}


def test_exemplars() -> None:
    """Each bucket of the latency names the last alert in it, to who asks for OpenMetrics, as its parser reads it."""
    told = metrics()
    times = [1_999_999_992, 1_999_999_985, 1_999_999_300, 1_000_000_000]
    told.committed([outcome(verdicts([9] * 4), alert_times=times, alerts=["t/0/1", "t/0/2", "t/0/3", "t/0/4"])], NOW)
    found = exemplars(told)
    assert {le: labels for le, (labels, _) in found.items()} == {
        "0.01": {EXEMPLAR: "t/0/1"},
        "0.02": {EXEMPLAR: "t/0/2"},
        "1.0": {EXEMPLAR: "t/0/3"},
        "+Inf": {EXEMPLAR: "t/0/4"},
    }
    assert found["1.0"][1] == pytest.approx(0.7)
    told.committed([outcome(verdicts([9]), alert_times=[1_999_999_300], alerts=["t/0/9"])], NOW)
    assert exemplars(told)["1.0"][0] == {EXEMPLAR: "t/0/9"}
    assert b"t/0/9" not in told.render("text/plain")[1]


def test_an_id_too_long_for_an_exemplar() -> None:
    """OpenMetrics allows an example 128 letters: an alert whose id is longer is counted, and is no example."""
    told = metrics()
    most = MOST_EXEMPLAR_LETTERS - len(EXEMPLAR)
    ids = ["x" * most, "x" * (most + 1)]
    told.committed([outcome(verdicts([9] * 2), alert_times=[1_999_999_992, 1_999_999_300], alerts=ids)], NOW)
    assert list(exemplars(told)) == ["0.01"]
    assert value(told, "detector_alert_latency_seconds_count") == 2


LATE = st.integers(0, 400_000).filter(lambda ms: ms / 1000 not in LATENCY_SECONDS)
"""Milliseconds. At an edge the last bit of a difference of times decides."""


@given(st.lists(st.lists(LATE, max_size=20), max_size=4))
def test_latencies_are_numpy_s(batches: list[list[int]]) -> None:
    """Each bucket counts the latencies at or below its edge, batch by batch; sum and count are theirs."""
    told = metrics()
    for late in batches:
        told.committed([outcome(verdicts([]), alert_times=[int(NOW * 1000) - ms for ms in late])], NOW)
    seconds = np.array([ms for late in batches for ms in late]) / 1000
    found = buckets(told, "detector_alert_latency_seconds")
    assert list(found) == [*LATENCY_SECONDS, math.inf]
    assert list(found.values()) == [np.count_nonzero(seconds <= edge) for edge in found]
    assert value(told, "detector_alert_latency_seconds_sum") == pytest.approx(seconds.sum(), abs=1e-6)


def test_what_does_not_change() -> None:
    """When the model was made, how many members there shall be, and what this one reads, are there to be alerted on."""
    told = metrics()
    told.describe(1_700_000_000.0, 3, topic="rows", group="g")
    assert value(told, "detector_model_created_timestamp_seconds") == 1_700_000_000
    assert value(told, "detector_replicas_wanted") == 3
    assert value(told, "detector_service_info", topic="rows", group="g") == 1
    assert value(told, "process_start_time_seconds") > 0
