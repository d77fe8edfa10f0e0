"""The loop: poll -> decode -> score -> statistics -> alerts -> commit, and what is told about it afterwards."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from detector.artifact import Artifact
from detector.detection import Verdicts, build_alerts, judge
from detector.drift import Drift
from detector.errors import UsageError
from detector.http import Answer, Endpoint, Route, plain
from detector.kafka import (
    Aborted,
    AtLeastOnce,
    ExactlyOnce,
    Input,
    Output,
    Reader,
    check_topics,
    connect,
    topic_limit,
)
from detector.metrics import Metrics
from detector.rebuild import Ranges, rebuild
from detector.records import alert_records, reject_records
from detector.rows import Decoder, Message, Rows
from detector.settings import Settings
from detector.statistics import RunningMedianMad
from detector.threshold import Line

log = logging.getLogger("detector")

IDLE_SECONDS = 0.5
"""How long a poll waits for a first message: the longest a signal waits to be seen."""

MOST_BACKOFF_SECONDS = 1.0
"""The longest pause before a batch whose transactions abort one after the other is read again."""

STALLED_SECONDS = 120.0
"""A loop that has not turned for so long is not alive; a group's offsets may be waited for for 60 s."""


class Service:
    """One member of the group: reads its share of the rows and publishes their alerts."""

    def __init__(self, settings: Settings, artifact: Artifact) -> None:
        self.settings, self.artifact = settings, artifact
        self.line = _line(artifact, settings.threshold)
        self.model = artifact.model()
        self.model.warm()
        self.decoder = Decoder(artifact.schema, settings.format, settings.max_row_bytes)
        self.drift = Drift(artifact.reference, settings.drift_rows, settings.drift_every)
        self.metrics = Metrics(self.line.calibrated.value, artifact.name, self.drift, artifact.schema.features)
        self.windows: dict[int, RunningMedianMad] = {}
        self._last: dict[int, int] = {}
        # A plain flag: a signal handler that sets an event for which its own thread waits can deadlock.
        self._stopping = False
        self._turned = time.monotonic()
        routes: dict[str, Route] = {"/metrics": self.metrics.render, "/healthz": self._alive, "/readyz": self._ready}
        self.endpoint = Endpoint(settings.metrics_host, settings.metrics_port, routes)
        try:
            self._connect()
        except BaseException:
            self.endpoint.close()
            raise

    def _connect(self) -> None:
        s = self.settings
        admin = connect(s.bootstrap_servers, s.kafka, s.connect_seconds)
        check_topics(admin, [s.input_topic, s.alerts_topic, s.dead_letters_topic])
        self.dead_letter_limit = topic_limit(admin, s.dead_letters_topic)
        self.output = self._output()
        self.input = Input(admin, s.bootstrap_servers, s.kafka, s.input_topic, s.group, self._assigned, self._revoked)

    def _output(self) -> Output:
        s = self.settings
        if s.delivery == "at_least_once":
            return AtLeastOnce(s.bootstrap_servers, s.kafka)
        return ExactlyOnce(s.bootstrap_servers, s.kafka, f"{s.group}.{s.instance or uuid.uuid4().hex}")

    def run(self) -> None:
        """Turns until told to stop, or until the end if that is wanted; leaves the group and nothing open."""
        try:
            self._loop(self.input.ends() if self.settings.until_end else None)
            log.info("loop_ended %s", self.metrics.totals())
        finally:
            self.output.close()
            self.input.close()
            self.endpoint.close()

    def stop(self) -> None:
        """Asks the loop to end after the batch at hand."""
        self._stopping = True

    def _loop(self, ends: Mapping[int, int] | None) -> None:
        aborts = 0
        while not self._stopping:
            try:
                with self.metrics.stage("poll"):
                    messages = self.input.poll(self.settings.max_batch, self.settings.linger_ms / 1000, IDLE_SECONDS)
                self._turned = time.monotonic()
                if messages:
                    self._turn(messages)
                elif self.input.uncommitted():
                    self.output.commit([], self.input)  # control records moved the position
                self._tell_lag()
                if ends is not None and self.input.group_reached(ends):
                    return
                aborts = 0
            except Aborted as aborted:
                aborts += 1
                log.warning("batch_aborted why=%r in_a_row=%d doing=%r", str(aborted), aborts, "reading it again")
                self.metrics.aborted()
                threading.Event().wait(min(0.05 * 2**aborts, MOST_BACKOFF_SECONDS))
                self.input.rewind()

    def _turn(self, messages: Sequence[Message]) -> None:
        """One batch: all its alerts, dead letters and offsets become visible together, or none."""
        stage, s = self.metrics.stage, self.settings
        with stage("decode"):
            rows, rejects = self.decoder.decode(messages)
        with stage("score"):
            scores = self.model.score(rows.matrix)
        with stage("statistics"):
            verdicts = judge(rows, scores, self.line, self.windows.__getitem__)
        with stage("alerts"):
            alerts = build_alerts(rows, verdicts, self.model, self.artifact, _now())
            records = alert_records(alerts, s.alerts_topic)
            records += reject_records(rejects, s.dead_letters_topic, self.dead_letter_limit)
        with stage("commit"):
            self.output.commit(records, self.input)
        self.metrics.committed(verdicts, [reject.reason for reject in rejects])
        self._tell_times(rows, verdicts)
        self.drift.update(rows.offset, rows.matrix, scores)

    def _tell_times(self, rows: Rows, verdicts: Verdicts) -> None:
        now = time.time()
        self.metrics.alerted(now - rows.timestamp[verdicts.alerting] / 1000)
        self._last |= dict(zip(rows.partition.tolist(), rows.timestamp.tolist(), strict=True))

    def _tell_lag(self) -> None:
        now = time.time()
        self.metrics.lag(self.input.lags(), {partition: now - at / 1000 for partition, at in self._last.items()})

    def _assigned(self, positions: Mapping[int, int]) -> None:
        """Partitions come: their statistics are made from the log before their first row is read."""
        s = self.settings
        self.windows |= rebuild(
            positions,
            self.input.low,
            self._read_back,
            self.decoder,
            self.model,
            lambda: RunningMedianMad(s.window, s.stride, s.min_rows),
        )

    def _read_back(self, ranges: Ranges) -> Iterator[Sequence[Message]]:
        reader = Reader(self.settings.bootstrap_servers, self.settings.kafka)
        try:
            for messages in reader.between(self.settings.input_topic, ranges):
                self._turned = time.monotonic()
                yield messages
        finally:
            reader.close()

    def _revoked(self, partitions: Sequence[int]) -> None:
        for partition in partitions:
            self.windows.pop(partition, None)
            self._last.pop(partition, None)
        self.metrics.forget(partitions)

    def _alive(self, accept: str) -> Answer:
        still = time.monotonic() - self._turned
        return plain(still < STALLED_SECONDS, f"last turn {still:.1f} s ago")

    def _ready(self, accept: str) -> Answer:
        joined = hasattr(self, "input") and self.input.joined
        return plain(joined, "ready" if joined else "joining the group")


def _line(artifact: Artifact, override: str) -> Line:
    try:
        return artifact.line(override)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
