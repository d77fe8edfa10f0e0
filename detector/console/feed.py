"""From Kafka to the board, by a thread for each topic; and verdicts back, with a raw row where one is asked for.

What a topic holds is read from its last records on: nothing that was published is missed by a console that starts
late, and a page that is loaded anew shows what the board holds. Nothing is committed.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

from detector.alerts import Source
from detector.console import verdicts
from detector.console.board import EARLY_LABELS, Board, Topic
from detector.console.rawrow import Raw, raw
from detector.console.verdicts import Verdict
from detector.errors import BrokerUnavailable, DataRefused, Failure, TopicMissing
from detector.kafka import Follower, Progress, Publisher, Reader, Record, check_topics, connect
from detector.kafka.extent import extent
from detector.log import logger
from detector.rows import Message
from detector.settings import ConsoleSettings, wanted

log = logger("detector.console")

MOST_MESSAGES = 4096
POLL_SECONDS = 0.2
LOOK_SECONDS = 2.0
AGAIN_SECONDS = 5.0
"""How soon a topic is tried again that could not be read."""

CHECK_SECONDS = 5.0
"""How often it is looked whether a topic has more partitions than before."""

WRITE_SECONDS = 10.0
"""How long a broker may take over a verdict."""

RAW_AT_ONCE = 4
"""Raw rows that are fetched at once, each by a client of its own."""

DRIFT_RECORDS, LETTER_RECORDS, SCORE_RECORDS = 5_000, 10_000, 256
"""Last records of each partition that are read at the start."""


@dataclass(frozen=True, slots=True)
class Tap:
    """A topic that is read. depth: offsets of each partition that are read back at the start.

    ordered: what was read back is handed over at once, ordered by time over all partitions.
    """

    topic: Topic
    depth: Callable[[int], int]
    take: Callable[[Sequence[Message]], None]
    ordered: bool = False


class Look:
    """A look, every few seconds, at whether a client that begins anew would read more partitions than this one.

    partitions: how many the topic has now.
    """

    def __init__(self, follower: Follower, partitions: Callable[[], int]) -> None:
        self._follower, self._partitions = follower, partitions
        self._next = time.monotonic() + CHECK_SECONDS

    def outdated(self) -> bool:
        """Whether it would; asks the broker every few seconds alone. Failure where none answers."""
        if time.monotonic() < self._next:
            return False
        self._next = time.monotonic() + CHECK_SECONDS
        return self._partitions() > len(self._follower.positions)


class Feed:
    """Reads topics until it is closed. A broker must answer at the start, and the topic of alerts be there."""

    def __init__(self, chosen: ConsoleSettings, board: Board) -> None:
        self.chosen, self.board = chosen, board
        self._admin = connect(chosen.bootstrap_servers, chosen.kafka, chosen.connect_seconds)
        check_topics(self._admin, [chosen.alerts_topic])
        self._ending = threading.Event()
        self._publisher: Publisher | None = None
        self._writing = threading.Lock()
        self._raw = threading.BoundedSemaphore(RAW_AT_ONCE)
        taps = self._taps()
        board.topics = {tap.topic.name: tap.topic for tap in taps}
        board.topics.setdefault(chosen.input_topic, Topic(chosen.input_topic))
        work = [*(partial(self._follow, tap) for tap in taps), self._watch]
        self._threads = [threading.Thread(target=self._told, args=(one,), daemon=True) for one in work]

    def start(self) -> None:
        """Begins to read."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Ends the reading."""
        self._ending.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(POLL_SECONDS * 5)

    def _told(self, work: Callable[[], None]) -> None:
        """Works until it is done. A page that stood still and did not say so would be believed: it tells of a bug."""
        try:
            work()
        except Exception as bug:
            self.board.bug = type(bug).__name__
            sys.excepthook(type(bug), bug, bug.__traceback__)

    def _taps(self) -> list[Tap]:
        chosen, board = self.chosen, self.board
        twice = 2 * chosen.history  # each alert may be in a transaction of its own, whose marker takes an offset
        every = (
            (chosen.alerts_topic, lambda _: twice, board.take_alerts, True),
            (chosen.labels_topic, lambda partitions: EARLY_LABELS // partitions, board.take_labels, False),
            (chosen.drift_topic, lambda _: DRIFT_RECORDS, board.take_drift, True),
            (chosen.dead_letters_topic, lambda _: LETTER_RECORDS, board.take_letters, False),
            (chosen.scores_topic, lambda _: SCORE_RECORDS, board.take_scores, False),
        )
        needed = (chosen.alerts_topic, chosen.labels_topic)
        return [
            Tap(Topic(name, name in needed), depth, take, ordered)
            for name, depth, take, ordered in every
            if wanted(name)
        ]

    def _follow(self, tap: Tap) -> None:
        """Reads a topic for good; one that is not there, or is refused, is tried again."""
        positions: dict[int, int] = {}
        while not self._ending.is_set():
            try:
                self._read(tap, positions)
            except Failure as failure:
                why = str(failure)
                if why != tap.topic.trouble:
                    log.warning("topic_unread", topic=tap.topic.name, why=why, doing="tried again every few seconds")
                tap.topic.trouble, tap.topic.missing = why, isinstance(failure, TopicMissing)
                if isinstance(failure, TopicMissing | DataRefused):  # gone, or made anew: what was read is of another
                    positions.clear()
                    tap.topic.loaded = False
                self._ending.wait(AGAIN_SECONDS)

    def _read(self, tap: Tap, positions: dict[int, int]) -> None:
        """Reads from these positions on, which it moves along; from the last records where there are none.

        Until it is closed, or a client that begins anew would read more.
        """
        chosen, name = self.chosen, tap.topic.name
        begin = positions or self._last(tap)
        follower = Follower(chosen.bootstrap_servers, chosen.kafka, name, f"{chosen.group}.console")
        with closing(follower):
            follower.begin(begin)
            tap.topic.trouble = ""
            look = Look(follower, partial(self._partitions, name))
            if not tap.topic.loaded:
                self._load(tap, follower, positions, look)
            while tap.topic.loaded and not (self._ending.is_set() or look.outdated()):
                self._take(tap, follower.poll(MOST_MESSAGES, POLL_SECONDS))
                positions |= follower.positions

    def _partitions(self, name: str) -> int:
        return check_topics(self._admin, [name])[name]

    def _last(self, tap: Tap) -> dict[int, int]:
        """By partition, where the last records begin."""
        partitions = self._partitions(tap.topic.name)
        found = extent(self._admin, tap.topic.name, range(partitions))
        depth = tap.depth(partitions)
        return {partition: max(low, high - depth) for partition, (low, high) in found.items()}

    def _load(self, tap: Tap, follower: Follower, positions: dict[int, int], look: Look) -> None:
        """Reads to the end that is there now. Positions move along with what was handed over."""
        ends, held = follower.ends(), list[Message]()
        while not follower.reached(ends):
            if self._ending.is_set() or look.outdated():
                return
            if tap.ordered:
                held += follower.poll(MOST_MESSAGES, POLL_SECONDS)
            else:
                self._take(tap, follower.poll(MOST_MESSAGES, POLL_SECONDS))
                positions |= follower.positions
        self._take(tap, sorted(held, key=lambda one: (one.timestamp()[1], one.partition(), one.offset())))
        positions |= follower.positions
        tap.topic.loaded = True

    def _take(self, tap: Tap, messages: Sequence[Message]) -> None:
        if messages:
            tap.take(messages)
            tap.topic.read += len(messages)

    def _watch(self) -> None:
        """Looks at the group's offsets every few seconds, and so at whether a broker answers."""
        chosen, topic = self.chosen, self.board.topics[self.chosen.input_topic]
        with closing(Progress(chosen.bootstrap_servers, chosen.kafka, chosen.group)) as progress:
            while not self._ending.is_set():
                try:
                    self._look(progress)
                    self.board.trouble = topic.trouble = ""
                except BrokerUnavailable as failure:
                    self.board.trouble = str(failure)
                except Failure as failure:
                    topic.trouble, topic.missing = str(failure), isinstance(failure, TopicMissing)
                self._ending.wait(LOOK_SECONDS)

    def _look(self, progress: Progress) -> None:
        name = self.chosen.input_topic
        partitions = range(self._partitions(name))
        found = extent(self._admin, name, partitions)
        committed = progress.committed(name, partitions)
        with self.board.lock:
            self.board.traffic.look(time.monotonic(), committed, found)

    def say(self, row_id: str, verdict: Verdict) -> None:
        """Writes a verdict to the topic of labels; it is on the board once the broker has it. Failure otherwise."""
        key, value = verdicts.encode(row_id, verdict)
        with self._writing:
            self._write(Record(self.chosen.labels_topic, key, value, [("content-type", b"application/json")]))
        self.board.say(row_id, verdict)
        log.info("verdict", label=verdict.word, by=verdict.by)

    def _write(self, record: Record) -> None:
        """Waits for the broker's answer. A producer that failed is made anew, as what it says then is of another."""
        publisher = self._publisher or Publisher(self.chosen.bootstrap_servers, self.chosen.kafka, linger_ms=0)
        self._publisher = None
        publisher.send(record, int(time.time() * 1000))
        deadline = time.monotonic() + WRITE_SECONDS
        while publisher.waiting() and time.monotonic() < deadline:
            publisher.poll(0.05)
        if publisher.waiting():
            publisher.settle()
            raise BrokerUnavailable(f"topic {record.topic!r}: no broker took it within {WRITE_SECONDS:g} s")
        if publisher.failed:
            raise publisher.first_error or Failure(f"topic {record.topic!r}: not written")
        self._publisher = publisher

    def raw(self, source: Source) -> Raw | None:
        """The message at a place; None where the log no longer has it. Failure where no broker answers."""
        ranges: Any = {source.partition: (source.offset, source.offset + 1)}
        with self._raw, closing(Reader(self.chosen.bootstrap_servers, self.chosen.kafka)) as reader:
            for messages in reader.between(source.topic, ranges, 1):
                for message in messages:
                    if message.offset() == source.offset:  # where it is gone the client begins elsewhere
                        return raw(message)
        return None
