"""Traces: a span a batch where an endpoint is configured, nothing at all where none is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from detector.alerts import TRACEPARENT, ModelName
from detector.counts import Count
from detector.detection import Verdicts
from detector.errors import UsageError
from detector.outcome import Outcome
from detector.traces import OpenTelemetry, OpenTraces, Untraced, tracer
from tests.arrays import f32
from tests.collector import attributes, collector

MODEL = ModelName("cards", "1", "abc")
PLACE = re.compile(rb"00-([0-9a-f]{32})-([0-9a-f]{16})-0[13]")
"""Sampled; from level 2 on a second bit says that the trace's id is random."""


def outcome(rows: int, alerts: int, rejects: int) -> Outcome:
    counts = {0: Count(rows, alerts, {"empty": rejects})}
    return Outcome(
        Verdicts(f32([0] * rows), [], np.empty(0, np.intp)), counts, ["a"] * alerts, np.empty(0, np.int64), {}
    )


@pytest.mark.parametrize(
    "environment",
    [{}, {"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "true"}],
)
def test_nobody_asks(environment: dict[str, str]) -> None:
    """Without an endpoint alerts have no header more, and nothing is kept."""
    found = tracer("t", "g", environment)
    assert isinstance(found, Untraced)
    assert found.batch(1, MODEL).headers == []


def test_nothing_is_imported_where_nobody_asks() -> None:
    """A detector without an endpoint has no OpenTelemetry in its process."""
    use = "import sys, detector.service, detector.traces as t; t.tracer('t', 'g', {})"
    look = f"{use}; print('opentelemetry' in sys.modules)"
    root = Path(__file__).parents[2]
    ran = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, cwd=root, timeout=60, check=True)
    assert ran.stdout == "False\n"


def test_another_protocol() -> None:
    """A protocol that is not spoken is refused, by its name."""
    asked = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    with pytest.raises(UsageError, match="OTEL_EXPORTER_OTLP_PROTOCOL has value 'grpc', http/protobuf wanted"):
        tracer("t", "g", asked)


def test_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the extra is not installed, that is said, with its name."""
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(UsageError, match=r"pip install '\.\[traces\]'"):
        tracer("t", "g", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"})


def test_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch is a span of its own trace, which its alerts' header names; it says what came of it, visible or not."""
    with collector() as collected:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collected.url)
        found = tracer("rows", "g")
        assert isinstance(found, OpenTelemetry)
        open_ = OpenTraces()
        batches = [(found.batch(7, MODEL), outcome(4, 2, 3)), (found.batch(5, MODEL), outcome(5, 0, 0))]
        for trace, came in batches:
            open_.add(trace, came)
        open_.committed([batches[0][1]])
        open_.aborted()
        found.close()
    assert collected.paths == {"/v1/traces"}
    assert collected.services == {"streaming-fraud-detector"}
    by_place = {(span.trace_id.hex(), span.span_id.hex()): span for span in collected.spans}
    assert len(by_place) == 2
    told = []
    for trace, _ in batches:
        ((name, value),) = trace.headers
        assert name == TRACEPARENT
        place = PLACE.fullmatch(value)
        assert place
        span = by_place[place[1].decode(), place[2].decode()]
        assert span.parent_span_id == b""
        assert span.name == "process rows"
        assert 0 < span.start_time_unix_nano <= span.end_time_unix_nano
        told.append(attributes(span))
    wanted = ("messaging.batch.message_count", "outcome", "rows", "alerts", "rejects")
    assert [[one.get(name) for name in wanted] for one in told] == [
        [7, "committed", 4, 2, 3],
        [5, "aborted", None, None, None],
    ]
    assert {one["messaging.consumer.group.name"] for one in told} == {"g"}


def test_a_collector_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spans that nobody takes hold nothing up: the process goes on, and ends."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("detector.traces.LAST_SECONDS", 0.2)
    found = tracer("rows", "g")
    trace = found.batch(1, MODEL)
    trace.committed(outcome(1, 0, 0))
    found.close()
