"""The loop: poll -> decode -> score -> statistics -> alerts -> commit, and what is told about it afterwards."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

from detector.alerts import ModelName
from detector.client_figures import CONSUMER, PRODUCER, families
from detector.commits import Commits, Pending
from detector.counts import Counts
from detector.detection import build_alerts, judge
from detector.drift import Change, Drift, Levels
from detector.errors import BrokerAway, RegistryUnavailable
from detector.http import Answer, Endpoint, Route, plain
from detector.kafka import (
    Aborted,
    AtLeastOnce,
    Checkpoint,
    ExactlyOnce,
    Input,
    Output,
    Reader,
    Statistics,
    check_topics,
    connect,
    topic_limit,
)
from detector.log import logger
from detector.metrics import Metrics
from detector.models import Models
from detector.outcome import Outcome
from detector.rebuild import Ranges, rebuild, reopen
from detector.records import ScoreRecords, alert_records, drift_record, reject_records, takeover_record
from detector.rows import Batch
from detector.settings import Settings, wanted
from detector.statistics import RunningMedianMad
from detector.takeover import takeovers
from detector.traces import OpenTraces, tracer

log = logger("detector")

IDLE_SECONDS = 0.5
"""How long a poll waits for a first message: the longest a signal waits to be seen."""

FILLING_SECONDS = 0.005
"""How long a batch waits to be filled while more rows are known to wait than one holds."""

MOST_BACKOFF_SECONDS = 1.0
"""The longest pause before a batch whose transactions abort one after the other is read again."""

STALLED_SECONDS = 120.0
"""A loop that has not turned for so long is not alive; a group's offsets may be waited for for 30 s."""


class Service:
    """One member of the group: reads its share of the rows and publishes their alerts.

    at: called with the name of each step of a transaction that was done.
    """

    def __init__(self, settings: Settings, at: Callable[[str], None] = lambda step: None) -> None:
        self.settings, self._at = settings, at
        self.models = Models(settings, lambda why: self.metrics.model_refused())
        self.scores = ScoreRecords(settings.scores_topic, settings.scores_amount, self.models.serving.artifact)
        self.drift = self._new_drift()
        self.counts = Counts()
        topic, group = settings.input_topic, settings.group
        self.metrics = Metrics(*self._described(), lambda: self.counts.visible, topic=topic, group=group)
        self._describe()
        self.statistics = Statistics()
        self.metrics.watch(lambda: families(self.statistics.figures()))
        self.metrics.watch_shadow(lambda: self.models.shadow)
        self.tracer, self.traces = tracer(topic, group), OpenTraces()
        self.windows: dict[int, RunningMedianMad] = {}
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
        outputs = [s.alerts_topic, s.dead_letters_topic, *wanted(s.models_topic, s.drift_topic, s.scores_topic)]
        check_topics(admin, [s.input_topic, *outputs])
        self.dead_letter_limit = topic_limit(admin, s.dead_letters_topic)
        self.commits = Commits(self._output(), self._committed)
        callbacks = (self._assigned, self._leaving, self._revoked, self._note)
        watched = self.statistics.of(CONSUMER)
        self.input = Input(s.bootstrap_servers, s.kafka, s.input_topic, s.group, *callbacks, watched)
        self.metrics.watch_lags(self.input.lags)
        self.metrics.watch_expired(self.input.expired)

    def _output(self) -> Output:
        s, watched = self.settings, self.statistics.of(PRODUCER)
        if s.delivery == "at_least_once":
            return AtLeastOnce(s.bootstrap_servers, s.kafka, watched)
        name = f"{s.group}.{s.instance or uuid.uuid4().hex}"
        return ExactlyOnce(s.bootstrap_servers, s.kafka, name, lambda: self._stopping, self._at, watched)

    def run(self) -> None:
        """Turns until told to stop, or until the end if that is wanted; leaves the group and nothing open."""
        self.models.start()
        try:
            self._loop(self.input.ends() if self.settings.until_end else None)
            log.info("loop_ended", **self.metrics.totals())
        finally:
            self.models.close()
            self.commits.close()
            self.input.close()
            self.tracer.close()
            self.endpoint.close()

    def stop(self) -> None:
        """Asks the loop to end after the batch at hand."""
        self._stopping = True

    def _loop(self, ends: Mapping[int, int] | None) -> None:
        failed = 0
        while True:
            try:
                if failed:
                    self.input.rewind()
                self._turn()
                if self._stopping or (ends is not None and self._reached(ends)):
                    self._flush()
                    return
                failed = 0
            except (Aborted, RegistryUnavailable, BrokerAway) as failure:
                if self._stopping and isinstance(failure, BrokerAway):
                    raise
                failed += 1
                self._turned = time.monotonic()
                log.warning("batch_failed", why=str(failure), in_a_row=failed, doing="reading it again")
                if isinstance(failure, Aborted):
                    self.metrics.aborted()
                self.commits.drop()
                self.traces.aborted()
                threading.Event().wait(min(0.05 * 2**failed, MOST_BACKOFF_SECONDS))
                if self._stopping:
                    return

    def _turn(self) -> None:
        """One batch, in a transaction of its own that is visible at once.

        Where more rows wait than a batch holds, transactions grow, and each is committed beside the next one's work.
        """
        s, stage = self.settings, self.metrics.stage
        behind = self.input.waiting() >= s.max_batch
        if not behind:
            self._settle()
        linger, wait = (FILLING_SECONDS if behind else s.linger_ms / 1000), (0.0 if self.commits.busy else IDLE_SECONDS)
        with stage("poll"):
            batch = self.input.poll(s.max_batch, linger, wait)
        self._turned = time.monotonic()
        if not batch:
            self._flush()
            self.commits.serve()
        else:
            self._work(batch)
            if not behind or self.commits.pending.messages >= s.max_transaction:
                self._commit(beside=behind)
        if self.models.due:
            self._exchange()

    def _work(self, batch: Batch) -> None:
        """From messages to records, of which nothing is visible yet."""
        s, stage, serving, pending = self.settings, self.metrics.stage, self.models.serving, self.commits.pending
        trace = self.tracer.batch(len(batch), serving.artifact.name)
        with stage("decode"):
            rows, rejects = serving.decoder.decode(batch)
        with stage("score"):
            scores = serving.model.score(rows.matrix)
        with stage("statistics"):
            verdicts = judge(rows, scores, serving.line, self.windows.__getitem__)
            self._tell_drift(self.drift.update(rows.partition, rows.offset, rows.matrix, scores))
        with stage("alerts"):
            alerts = build_alerts(rows, verdicts, serving.model, serving.artifact, _now())
            pending.records += alert_records(alerts, s.alerts_topic, trace.headers)
            pending.records += reject_records(rejects, s.dead_letters_topic, self.dead_letter_limit)
            pending.records += self.scores.of(rows, verdicts, serving.artifact)
            shadow = self.models.shadowed(rows, verdicts)
        outcome = Outcome.of(rows, verdicts, rejects, shadow, (alert for alert, _ in alerts))
        pending.outcomes.append(outcome)
        pending.messages += len(batch)
        self.counts.worked(outcome.counts)
        self.traces.add(trace, outcome)

    def _tell_drift(self, changes: Sequence[Change]) -> None:
        """Changes of state go with the next transaction: their rows count once, also if they are read again."""
        s = self.settings
        for change in changes:
            above = ",".join(change.above)
            log.warning("drift", kind=change.kind, name=change.name, state=change.state, above=above)
            self.metrics.drift_changed(change.state)
            if s.drift_topic != "none":
                record = drift_record(change, s.drift_topic, s.input_topic, self.models.serving.artifact.name)
                self.commits.notices["drift", change.kind, change.name, change.partition, change.offset] = record

    def _commit(self, beside: bool = False) -> None:
        """All that is pending becomes visible with its offsets, or nothing; beside: while the loop goes on."""
        if self.commits.waiting or self.input.uncommitted():  # control records move positions too
            with self.metrics.stage("commit"):
                self.commits.commit(self.input.checkpoint, beside)

    def _settle(self) -> None:
        if self.commits.busy:
            with self.metrics.stage("commit"):
                self.commits.settle()

    def _flush(self) -> None:
        """All that was read is committed before anything else is done."""
        self._settle()
        self._commit()

    def _committed(self, pending: Pending, checkpoint: Checkpoint, when: float) -> None:
        """A transaction became visible."""
        self.input.committed(checkpoint)
        for outcome in pending.outcomes:
            self.counts.committed(outcome.counts)
        self.metrics.committed(pending.outcomes, when)
        self.traces.committed(pending.outcomes)
        self.models.committed(outcome.shadow for outcome in pending.outcomes)
        self.metrics.opened(self.models.serving.decoder.waiting())

    def _reached(self, ends: Mapping[int, int]) -> bool:
        """Whether the whole topic was processed, by whichever member; what this one read is committed then."""
        if not self.input.read_to(ends):
            return False
        self._flush()
        return self.input.group_reached(ends)

    def _exchange(self) -> None:
        """Another model from here on: what the old one scored is committed, and the windows are made anew."""
        self._flush()
        if previous := self.models.exchange():
            self.drift = self._new_drift()
            self.metrics.serve(*self._described())
            self._describe()
            self._take_over(self.input.positions(), previous)

    def _assigned(self, positions: Mapping[int, int]) -> None:
        """Partitions come: what is kept of them is made from the log before their first message is read."""
        self.counts.begin({partition: self.input.noted(partition) for partition in positions})
        reopen(positions, self.input.noted, self.input.low, self._read_back, self.models.serving.decoder)
        self._take_over(positions)

    def _take_over(self, positions: Mapping[int, int], previous: ModelName | None = None) -> None:
        """The model's first row of partitions is behind these positions; its statistics are as if it always served."""
        s, serving = self.settings, self.models.serving
        name = serving.artifact.name
        for told in takeovers(s.input_topic, s.group, positions, name, serving.line, previous, _now()):
            if s.models_topic != "none":
                self.commits.notices["takeover", told.partition] = takeover_record(told, s.models_topic)
        self.windows |= rebuild(
            positions,
            self.input.low,
            self._read_back,
            serving.decoder,
            serving.model,
            lambda: RunningMedianMad(s.window, s.stride, s.min_rows),
        )

    def _described(self) -> tuple[float, ModelName, Drift]:
        serving = self.models.serving
        return serving.line.calibrated.value, serving.artifact.name, self.drift

    def _describe(self) -> None:
        s, artifact = self.settings, self.models.serving.artifact
        told = {"topic": s.input_topic, "group": s.group, "member": s.instance, "delivery": s.delivery}
        self.metrics.describe(artifact.made, s.replicas, **told)

    def _note(self, partition: int) -> str:
        """What is committed with a partition's position."""
        return self.counts.note(partition, self.models.serving.decoder.note(partition))

    def _new_drift(self) -> Drift:
        s, artifact = self.settings, self.models.serving.artifact
        levels = Levels(s.drift_psi, s.drift_ks, s.drift_missing)
        return Drift(artifact.reference, artifact.schema.features, s.drift_rows, s.drift_every, levels)

    def _read_back(self, ranges: Ranges) -> Iterator[Batch]:
        reader = Reader(self.settings.bootstrap_servers, self.settings.kafka, self.settings.group)
        try:
            for batch in reader.batches(self.settings.input_topic, ranges):
                self._turned = time.monotonic()
                yield batch
        finally:
            reader.close()

    def _leaving(self) -> None:
        """Partitions are about to go: what was read of them is committed while this member still has them."""
        if self.commits.busy:
            self._flush()

    def _revoked(self, partitions: Sequence[int]) -> None:
        for partition in partitions:
            self.windows.pop(partition, None)
            self.commits.notices.pop(("takeover", partition), None)
        self.models.serving.decoder.forget(partitions)
        self.drift.forget(partitions)
        self.counts.forget(partitions)
        self.metrics.forget(partitions)

    def _alive(self, accept: str) -> Answer:
        still = time.monotonic() - self._turned
        return plain(still < STALLED_SECONDS, f"last turn {still:.1f} s ago")

    def _ready(self, accept: str) -> Answer:
        joined = hasattr(self, "input") and self.input.joined
        return plain(joined, "ready" if joined else "joining the group")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
