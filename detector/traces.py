"""OpenTelemetry: one span a batch, of which each of its alerts names the place. The only file that imports it.

Told where to by the variables that all its programs share (OTEL_EXPORTER_OTLP_ENDPOINT and the like); where they name
no endpoint nothing is imported and nothing is done.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from detector.alerts import TRACEPARENT, Headers, ModelName
from detector.errors import UsageError
from detector.outcome import Outcome

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
PROTOCOL = "http/protobuf"
SERVICE = "streaming-fraud-detector"

LAST_SECONDS = 3.0
"""How long the end of a process waits for a collector to take the last spans."""


class Trace(Protocol):
    """One batch on its way. headers: what each of its alerts' records carries."""

    headers: Headers

    def committed(self, outcome: Outcome) -> None:
        """It became visible."""

    def aborted(self) -> None:
        """It did not, and will be read again."""


class Tracer(Protocol):
    """Makes a trace for each batch."""

    def batch(self, messages: int, model: ModelName) -> Trace:
        """A batch of so many messages was read, and goes to this model."""

    def close(self) -> None:
        """Hands over what has not been yet."""


class Untraced:
    """Nobody wants to know: the tracer, and the trace of every batch."""

    def __init__(self) -> None:
        self.headers: Headers = []

    def batch(self, messages: int, model: ModelName) -> Trace:
        """Itself."""
        return self

    def committed(self, outcome: Outcome) -> None:
        """Nothing."""

    def aborted(self) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


def tracer(topic: str, group: str, environment: Mapping[str, str] | None = None) -> Tracer:
    """What the environment asks for; UsageError where it cannot be had."""
    environment = os.environ if environment is None else environment
    name = next((name for name in ENDPOINTS if environment.get(name)), None)
    if name is None or environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return Untraced()
    wanted = next((environment[one] for one in PROTOCOLS if environment.get(one)), PROTOCOL)
    if wanted != PROTOCOL:
        raise UsageError(f"OTEL_EXPORTER_OTLP_PROTOCOL has value {wanted!r}, {PROTOCOL} wanted")
    try:
        return OpenTelemetry(topic, group)
    except ImportError as error:
        raise UsageError(f"{name} is set, and OpenTelemetry is not installed: pip install '.[traces]'") from error


class OpenTelemetry:
    """Spans to an OTLP endpoint over HTTP, from a thread of their own; how many, the SDK's own variables say."""

    def __init__(self, topic: str, group: str) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        name = os.environ.get("OTEL_SERVICE_NAME") or SERVICE
        self._exporter = OTLPSpanExporter()
        self._provider = TracerProvider(resource=Resource.create({"service.name": name}), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer(SERVICE)
        self._topic = topic
        self._told = {
            "messaging.system": "kafka",
            "messaging.operation.type": "process",
            "messaging.destination.name": topic,
            "messaging.consumer.group.name": group,
        }

    def batch(self, messages: int, model: ModelName) -> Trace:
        """A span that begins now."""
        from opentelemetry.context import Context
        from opentelemetry.trace import SpanKind

        told: dict[str, Any] = {
            "messaging.batch.message_count": messages,
            "model.name": model.name,
            "model.sha256": model.sha256,
        }
        name, attributes = f"process {self._topic}", {**self._told, **told}
        return _Span(self._tracer.start_span(name, Context(), SpanKind.CONSUMER, attributes))

    def close(self) -> None:
        """Waits LAST_SECONDS at most: a collector that is away holds up no process that ends."""
        ends = threading.Thread(target=self._provider.shutdown, daemon=True)
        ends.start()
        ends.join(LAST_SECONDS)
        if ends.is_alive():
            self._exporter.shutdown()  # type: ignore[no-untyped-call]


class _Span:
    def __init__(self, span: Any) -> None:
        self._span = span
        at = span.get_span_context()
        # W3C Trace Context, section 3.2
        place = f"00-{at.trace_id:032x}-{at.span_id:016x}-{at.trace_flags:02x}"
        self.headers: Headers = [(TRACEPARENT, place.encode())]

    def committed(self, outcome: Outcome) -> None:
        """The span ends, with what the batch came to."""
        counts = outcome.counts.values()
        found = {"rows": sum(one.rows for one in counts), "alerts": len(outcome.alerts)}
        self._end("committed", {**found, "rejects": sum(one.messages - one.rows for one in counts)})

    def aborted(self) -> None:
        """The span ends."""
        self._end("aborted", {})

    def _end(self, outcome: str, found: Mapping[str, int]) -> None:
        self._span.set_attributes({"outcome": outcome, **found})
        self._span.end()


class OpenTraces:
    """Traces of batches that are not visible yet, each with what it came to."""

    def __init__(self) -> None:
        self._open: dict[int, tuple[Trace, Outcome]] = {}

    def add(self, trace: Trace, outcome: Outcome) -> None:
        """A batch waits to be visible."""
        self._open[id(outcome)] = (trace, outcome)

    def committed(self, outcomes: Sequence[Outcome]) -> None:
        """These became visible."""
        for outcome in outcomes:
            trace, _ = self._open.pop(id(outcome))
            trace.committed(outcome)

    def aborted(self) -> None:
        """None of the others will be."""
        for trace, _ in self._open.values():
            trace.aborted()
        self._open.clear()
