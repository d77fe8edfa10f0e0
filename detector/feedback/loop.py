"""The loop: poll -> join -> commit, and what is shown of it afterwards."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from detector import scores
from detector.client_figures import PRODUCER, families
from detector.errors import Failure
from detector.families import Families, Family
from detector.feedback import labels, state
from detector.feedback.figures import Shown, as_fields
from detector.feedback.join import Bounds, Join
from detector.http import Answer, Endpoint, Route, plain
from detector.kafka import Aborted, ExactlyOnce, Follower, Reader, Record, Statistics, check_topics, connect
from detector.kafka.extent import decided
from detector.log import logger
from detector.rows import Message
from detector.settings import FeedbackSettings

log = logger("detector")

DAY_MS = 86_400_000
IDLE_SECONDS = 0.1
"""How long a topic that has been read to its end is waited for, and a signal to be seen at most."""

FETCHING_SECONDS = 0.05
"""How long a topic is waited for that is known to have more."""

MOST_SCORES, MOST_LABELS = 16, 4096
"""Messages that are read at once: a record of scores has as many rows as the detector's batch of a partition."""

SCORES, LABELS = "scores", "labels"
"""Names of the clients that read, in the metrics."""

LOG_SECONDS = 30.0
MOST_BACKOFF_SECONDS = 1.0
STALLED_SECONDS = 120.0
"""A loop that has not turned for so long is not alive."""


@dataclass(slots=True)
class Side:
    """A topic, what is done with its messages, and how far in time it has been read, ms since 1970."""

    follower: Follower
    most: int
    take: Callable[[Sequence[Message]], int | None]
    time: int = -1


class Feedback:
    """Joins scores and labels, and keeps what it counted.

    One process of a group at a time: rows and labels of one id lie in any partitions of their topics, so they cannot
    be shared out. A new process fences the one before, by the transactional id, before it reads back what that kept.

    at: called with the name of each step of a transaction that was done.
    """

    def __init__(self, settings: FeedbackSettings, at: Callable[[str], None] = lambda step: None) -> None:
        self.settings, self._at = settings, at
        self.shown = Shown()
        self._stopping = self._begun = False
        self._turned = time.monotonic()
        self._kept: state.Positions = {}
        self._committed = self._logged = 0.0
        self.statistics = Statistics()
        self.metrics = Families(self._families)
        routes: dict[str, Route] = {"/metrics": self.metrics.render, "/healthz": self._alive, "/readyz": self._ready}
        self.endpoint = Endpoint(settings.metrics_host, settings.metrics_port, routes)
        try:
            self._connect()
        except BaseException:
            self.endpoint.close()
            raise

    def _connect(self) -> None:
        """Fences the process before, reads back what it kept, and begins where it ended."""
        s = self.settings
        admin = connect(s.bootstrap_servers, s.kafka, s.connect_seconds)
        found = check_topics(admin, [s.scores_topic, s.labels_topic, s.feedback_topic])
        name = f"{s.feedback_group}.feedback"
        watched = self.statistics.of(PRODUCER)
        self.output = ExactlyOnce(s.bootstrap_servers, s.kafka, name, lambda: self._stopping, self._at, watched)
        restored = self._restored(admin, found[s.feedback_topic])
        self.join = restored.join if restored else Join(self._bounds(), s.amount)
        followed = [
            Follower(s.bootstrap_servers, s.kafka, topic, s.feedback_group, self.statistics.of(client))
            for client, topic in ((SCORES, s.scores_topic), (LABELS, s.labels_topic))
        ]
        for follower in followed:
            follower.begin((restored.positions if restored else {}).get(follower.topic, {}))
        # What is read at once waits at once: where little may wait, little is read.
        self.scores = Side(followed[0], max(min(s.max_pending // MOST_LABELS, MOST_SCORES), 1), self._take_scores)
        self.labels = Side(followed[1], min(s.max_pending, MOST_LABELS), self._take_labels)
        self._kept = restored.positions if restored else {}
        self.shown = Shown.of(self.join, {})
        self._begun = True

    def _bounds(self) -> Bounds:
        s = self.settings
        return Bounds(s.feedback_window, s.max_pending, s.max_wait_days * DAY_MS)

    def _restored(self, admin: Any, partitions: int) -> state.Restored | None:
        s = self.settings
        records = state.Records(s.feedback_group)
        reader = Reader(s.bootstrap_servers, s.kafka, s.feedback_group)
        try:
            for messages in reader.between(s.feedback_topic, decided(admin, s.feedback_topic, range(partitions))):
                for message in messages:
                    records.take(message.key(), message.value())
        finally:
            reader.close()
        return records.restored(self._bounds(), s.amount, s.feedback_topic)

    def run(self) -> None:
        """Turns until told to stop, or until the topics' ends if that is wanted; what was read is committed then."""
        sides = (self.scores, self.labels)
        ends = [side.follower.ends() for side in sides] if self.settings.until_end else None
        try:
            while not self._stopping:
                self._turn()
                if ends and all(side.follower.reached(end) for side, end in zip(sides, ends, strict=True)):
                    break
            self._commit()
            log.info("feedback_ended", **as_fields(self.shown))
        finally:
            self.output.close()
            for side in sides:
                side.follower.close()
            self.endpoint.close()

    def stop(self) -> None:
        """Asks the loop to end after the turn at hand."""
        self._stopping = True

    def _turn(self) -> None:
        """Reads on, joins, and commits where that is due."""
        for side in self._next():
            wait = IDLE_SECONDS if side.follower.at_end else FETCHING_SECONDS
            messages = side.follower.poll(side.most, wait)
            if messages:
                side.time = side.take(messages) or -1
        self.join.expire()
        self._turned = time.monotonic()
        if self._turned - self._committed >= self.settings.commit_seconds:
            self._commit()
            self.output.serve()
            self._tell()

    def _next(self) -> Sequence[Side]:
        """Which side to read. Where both have more it is the one that is behind in time: whichever runs ahead of the
        other would fill what waits, and its rows would seem to wait for too long."""
        sides = (self.scores, self.labels)
        if any(side.follower.at_end for side in sides):
            return sides
        return [min(sides, key=lambda side: side.time)]

    def _take_scores(self, messages: Sequence[Message]) -> int | None:
        now = int(time.time() * 1000)
        for message in messages:
            try:
                found = scores.decode(message.value())
            except ValueError:
                self.join.counts.refused["not_scores"] += 1
            else:
                self.join.scored(found, now)
        return self.join.clock

    def _take_labels(self, messages: Sequence[Message]) -> int | None:
        found, counts = list[labels.Label](), self.join.counts
        for message in messages:
            try:
                label = labels.read(message.value(), message.timestamp()[1])
            except labels.Unreadable as unreadable:
                counts.refused[unreadable.reason] += 1
                continue
            if label is None:
                counts.said["note"] += 1
            else:
                found.append(label)
        self.join.labelled(found)
        return messages[-1].timestamp()[1]

    def _commit(self) -> None:
        """What changed, with the positions of which it is, in one transaction; shown once it is visible.

        An abort takes nothing back that is in memory, so the same is tried again.
        """
        followers = [self.scores.follower, self.labels.follower]
        positions = {follower.topic: dict(follower.positions) for follower in followers}
        if positions != self._kept:
            topic = self.settings.feedback_topic
            kept = state.changes(self.join, positions, self.settings.feedback_group)
            self._publish([Record(topic, key, value, []) for key, value in kept], followers, positions)
            state.saved(self.join)
            self._kept = positions
            self.shown = Shown.of(self.join, {follower.topic: follower.waiting() for follower in followers})
        self._committed = time.monotonic()

    def _publish(self, records: Sequence[Record], followers: Sequence[Follower], positions: state.Positions) -> None:
        failed = 0
        while True:
            try:
                self.output.commit(records, Follower.checkpoint(followers, positions))
                return
            except Aborted as aborted:
                failed += 1
                log.warning("commit_failed", why=str(aborted), in_a_row=failed, doing="trying again")
                if self._stopping:
                    raise Failure(f"not committed, and will be read again: {aborted}") from aborted
                threading.Event().wait(min(0.05 * 2**failed, MOST_BACKOFF_SECONDS))

    def _tell(self) -> None:
        if self._committed - self._logged >= LOG_SECONDS:
            self._logged = self._committed
            log.info("feedback", **as_fields(self.shown))

    def _families(self) -> Iterator[Family]:
        yield from self.shown.families()
        yield from families(self.statistics.figures())

    def _alive(self, accept: str) -> Answer:
        still = time.monotonic() - self._turned
        return plain(still < STALLED_SECONDS, f"last turn {still:.1f} s ago")

    def _ready(self, accept: str) -> Answer:
        return plain(self._begun, "ready" if self._begun else "reading back what was kept")
