"""One backtest: broker, detectors and replay started, watched and ended, and what came of it."""

from __future__ import annotations

import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detector.children import Child, Children
from detector.errors import Failure
from detector.kafka import JSON_BYTES, PACKED_BYTES, most_lead
from detector.kafka.client import Properties
from detector.schema import Schema
from replay.backtest.line import Line, detectors, embedded, real
from replay.backtest.moved import Floats, Sampled
from replay.backtest.outcome import Outcome, account, outcome
from replay.backtest.played import Noted, Timed
from replay.backtest.reading import Readback, refuse_stillness
from replay.backtest.settings import Settings
from replay.backtest.subjects import PACKED, Subject
from replay.backtest.tally import Tally
from replay.backtest.windows import Windows, cut
from replay.batch import Stage
from replay.history import History
from replay.leash import Leash
from replay.pipeline import played, sendable
from replay.plan import Plan, Stop
from replay.progress import LINE_SECONDS, watching
from replay.publish import Replay
from replay.run import BATCH_BYTES
from replay.settings import NONE
from replay.settings import Settings as ReplaySettings
from replay.summary import Summary

LOOK_SECONDS = 0.05
Start = Callable[[Children, Line, Sequence[Subject]], Sequence[Child]]
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be tried: the models, what their rows hold, and how these are sent."""

    chosen: Settings
    subjects: Sequence[Subject]
    schema: Schema
    format: str

    def replayed(self, line: Line | None = None) -> ReplaySettings:
        """The replay's settings, on a line once there is one."""
        if line is None:
            where = self.chosen.bootstrap_servers or "nowhere:1"
            return self.chosen.replayed(where, "backtest.rows", "backtest.labels", self.format)
        labels = line.labels if self.chosen.keep else NONE
        return self.chosen.replayed(line.bootstrap_servers, line.rows, labels, self.format)


@dataclass(slots=True)
class Parts:
    """What took how long, s, in order."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Counts what the block takes."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """What came of a backtest. data: for people. rows: that were played. timed: whether they have event times.

    moved: of each model the PSI of its features by window (k, d), None where rows came encoded. kept: topics that were
    left on the broker.
    """

    data: str
    rows: int
    timed: bool
    about: str
    format: str
    outcomes: Sequence[Outcome]
    windows: Windows
    moved: Sequence[Floats | None]
    parts: Parts
    kept: Sequence[str] = ()


@contextmanager
def stopping() -> Iterator[Stop]:
    """A wish to end by signal is noted and acted upon where nothing is half done, also while all is cleared away."""
    stop = Stop()
    before = {number: signal.signal(number, stop.request) for number in ENDING}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def backtest(
    history: History,
    order: Order,
    say: Callable[[str], None],
    broken: Sequence[Stage] = (),
    start: Start = detectors,
) -> Result:
    """Plays a history through the real detector. broken: stages that change its rows. start: what starts detectors.

    1. a broker, or topics; 2. a detector for each model; 3. all rows, while what the detectors say of them is read;
    4. all is awaited, counted and compared. Whatever happens, nothing that was started is left.
    """
    parts = Parts()
    with ExitStack() as stack:
        stop = stack.enter_context(stopping())
        logs = stack.enter_context(tempfile.TemporaryDirectory(prefix="backtest-", ignore_cleanup_errors=True))
        with parts.part("broker up"):
            line = stack.enter_context(_broker(order))
        children = stack.enter_context(Children(Path(logs), order.chosen.kafka))
        return _Running(history, order, line, children, stop, parts, say).run(broken, start)


def _broker(order: Order) -> AbstractContextManager[Line]:
    chosen, models = order.chosen, len(order.subjects)
    if not chosen.bootstrap_servers:
        return embedded(models)
    return real(chosen.bootstrap_servers, chosen.kafka, models, chosen.connect_seconds, chosen.keep)


class _Running:
    """The backtest while its line stands."""

    def __init__(
        self,
        history: History,
        order: Order,
        line: Line,
        children: Children,
        stop: Stop,
        parts: Parts,
        say: Callable[[str], None],
    ) -> None:
        self._history, self._order, self._line, self._children = history, order, line, children
        self._stop, self._parts, self._say = stop, parts, say
        self._timed = history.columns is None or history.columns.time is not None
        self._tallies = [Tally() for _ in order.subjects]
        self._sampled = [Sampled(one.artifact, self._timed) for one in order.subjects]
        self._noted = Noted(history.name, self._sampled)
        self._sender: Timed | None = None
        self._told, self._still = 0, time.monotonic()

    def run(self, broken: Sequence[Stage], start: Start) -> Result:
        """All steps."""
        self._say(f"backtest: {self._line.about}, topics {self._line.prefix}.*")
        running = start(self._children, self._line, self._order.subjects)
        readback = Readback(self._line, self._tallies, self._watch, self._stop.request)
        readback.start()
        try:
            with self._parts.part("played"):
                summary, sender = self._play(broken, readback)
            readback.check()
            self._refuse(summary)
            with self._parts.part("scored"):
                self._await(readback, summary.sent)
                readback.drain()
                self._children.stop()
                refuse_codes([child.code() for child in running])
                readback.ended()
        finally:
            readback.close()
        for subject, tally in zip(self._order.subjects, self._tallies, strict=True):
            account(subject, tally, summary.sent)
        with self._parts.part("joined"):
            return self._result(summary, sender.handed)

    def _watch(self) -> None:
        """In the reader's thread: a detector that died ends all."""
        self._children.check()
        sent = self._sender.acknowledged if self._sender else 0
        if all(tally.told >= sent for tally in self._tallies):
            self._still = time.monotonic()
        told = sum(tally.told for tally in self._tallies)
        if told != self._told:
            self._told, self._still = told, time.monotonic()
        refuse_stillness(self._still, self._order.chosen.timeout)

    def _play(self, broken: Sequence[Stage], readback: Readback) -> tuple[Summary, Timed]:
        """Sends all rows flat out; where the broker keeps little, no more ahead than it keeps."""
        chosen, line = self._order.replayed(self._line), self._line
        size: Properties = {"batch.size": BATCH_BYTES, "partitioner": chosen.partitioner, **chosen.kafka}
        sender = self._sender = Timed(line.bootstrap_servers, size, places=line.bounded)
        width = PACKED_BYTES if self._order.format == PACKED else JSON_BYTES
        lead = most_lead(len(self._order.schema.features), width)
        leash = Leash(lead, "detectors", readback, sender, line.rows) if line.bounded else None
        labelled = self._history.columns is not None and self._history.columns.label is not None
        labels = line.labels if labelled and chosen.labels_topic != NONE else None
        plan = Plan(line.rows, labels, chosen.pace, True, self._order.format, None, chosen.timeout)
        rows = sendable(self._noted.stage(played(self._history, chosen, broken)), self._history, chosen)
        with watching(chosen.limit or self._history.rows, sys.stderr) as watch:
            return Replay(rows, plan, sender, watch, self._stop, leash).run(), sender

    def _refuse(self, summary: Summary) -> None:
        if failure := summary.outcome():
            raise failure
        if summary.interrupted or self._stop.requests:
            raise KeyboardInterrupt

    def _await(self, readback: Readback, rows: int) -> None:
        """Until all that has to be said of the rows has been read."""
        pause, told_at = threading.Event(), time.monotonic()
        while not all(tally.complete(rows) for tally in self._tallies):
            pause.wait(LOOK_SECONDS)
            readback.check()
            if self._stop.requests:
                raise KeyboardInterrupt
            if time.monotonic() >= told_at + LINE_SECONDS:
                told_at = time.monotonic()
                self._say(f"backtest: scored {min(tally.told for tally in self._tallies)}/{rows} rows")

    def _result(self, summary: Summary, handed: Callable[[NDArray[np.int64]], NDArray[np.float64]]) -> Result:
        seen = self._noted.all()
        pairs = zip(self._order.subjects, self._tallies, strict=True)
        outcomes = [outcome(subject, tally, seen, handed) for subject, tally in pairs]
        windows = cut([one.span for one in outcomes], seen.timed)
        return Result(
            data=self._history.name,
            rows=summary.sent,
            timed=seen.timed,
            about=self._line.about,
            format=self._order.format,
            outcomes=outcomes,
            windows=windows,
            moved=[one.psi(windows) for one in self._sampled],
            parts=self._parts,
            kept=self._line.topics if self._order.chosen.keep else (),
        )


def refuse_codes(codes: Sequence[int | None]) -> None:
    """Failure where a detector did not end well when it was stopped."""
    if bad := [code for code in codes if code]:
        raise Failure(f"a detector ended with exit code {bad[0]} when it was stopped")
