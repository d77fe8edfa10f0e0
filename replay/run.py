"""One replay: its sender, its stages, what watches it, put together."""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile

from detector.client_figures import PRODUCER
from detector.kafka import Progress, Publisher, Statistics, TransactionalPublisher, check_topics, connect, topic_limit
from detector.kafka.client import Properties
from replay import metrics, resume
from replay.batch import Stage
from replay.history import History
from replay.inject.broken import stages
from replay.labels import Pending, Truth
from replay.leash import Leash
from replay.metrics import Figures
from replay.pipeline import played, sendable
from replay.plan import Plan, Sender, Stop
from replay.progress import Watch, watching
from replay.publish import Replay
from replay.resume import Ledger
from replay.settings import NONE, ORIGINAL, Settings
from replay.summary import Summary

BATCH_BYTES = 1_000_000


def run(history: History, chosen: Settings, broken: Sequence[Stage] = ()) -> Summary:
    """Plays a history to its end, or until Ctrl-C or SIGTERM. broken: stages that change its rows, before those of
    `--inject`."""
    stop, held_up, statistics = Stop(), _HeldUp(), Statistics()
    sender, ledger = _sender(history, chosen, held_up, statistics)
    broken = [*broken, *stages(history, chosen)]
    with _group(chosen) as group, watching(_total(history, chosen, ledger), sys.stderr, chosen.unit) as watch:
        leash = Leash(chosen.max_lead, chosen.group, group, sender, chosen.topic) if group else None
        done = ledger.start.rows if ledger else 0
        pending = _pending(chosen, ledger)
        batches = played(history, chosen, broken, done, lambda batch: replay.outbox.remember(batch))
        rows = sendable(batches, history, chosen)
        replay = Replay(rows, _plan(history, chosen), sender, watch, stop, leash, None, pending, ledger)
        held_up.asked = replay.held_up
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, stop.request)
        with _served(chosen, replay.figures, watch, statistics), _rarely_collected():
            return replay.run()


def _plan(history: History, chosen: Settings) -> Plan:
    return Plan(
        chosen.topic,
        _labels_topic(history, chosen),
        chosen.pace,
        chosen.timestamps == ORIGINAL,
        chosen.format,
        chosen.start_ms,
        chosen.timeout,
        chosen.unit,
        tuple(spec.text for spec in chosen.injections),
    )


def _labels_topic(history: History, chosen: Settings) -> str | None:
    labelled = bool(chosen.inject) or (history.columns is not None and history.columns.label is not None)
    return chosen.labels_topic if labelled and chosen.labels_topic != NONE else None


def _pending(chosen: Settings, ledger: Ledger | None) -> Pending | None:
    """For labels that do not simply follow their rows."""
    if not chosen.label_delay and chosen.label_share >= 1:
        return None
    truth = Truth(chosen.delay, chosen.label_share, chosen.seed)
    return Pending(truth, ledger.start.label if ledger else None)


def _total(history: History, chosen: Settings, ledger: Ledger | None) -> int | None:
    """Rows or samples to send, where that is known."""
    width = len(history.columns.features) if history.columns and chosen.as_signal else 1
    if history.rows is None or chosen.between or chosen.sample < 1 or chosen.loop == 0 or chosen.inject:
        return chosen.limit * width or None
    rows = max(history.rows * chosen.loop - chosen.skip, 0)
    rows = min(rows, chosen.limit) if chosen.limit else rows
    return max(rows * width - (ledger.start.rows if ledger else 0), 0)


@contextmanager
def _rarely_collected() -> Iterator[None]:
    """Python looks for cycles now and then: in records there are none, and to look all the time took half of it."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(10_000, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


class _HeldUp:
    """Asks a replay that is made after its sender whether to wait for the broker any longer."""

    def __init__(self) -> None:
        self.asked: Callable[[], bool] = lambda: False

    def __call__(self) -> bool:
        return self.asked()


def _sender(
    history: History, chosen: Settings, held_up: Callable[[], bool], statistics: Statistics
) -> tuple[Sender, Ledger | None]:
    """Who sends, and with a name who writes how far it came: then what an earlier process left open ends here."""
    admin = connect(chosen.bootstrap_servers, chosen.kafka, chosen.connect_seconds)
    topics = [topic for topic in (chosen.topic, _labels_topic(history, chosen)) if topic]
    check_topics(admin, topics)
    # A broker that does not tell of one topic is not waited for again.
    limits = takewhile(lambda limit: limit is not None, (topic_limit(admin, topic) for topic in topics))
    size = min([BATCH_BYTES, *(limit for limit in limits if limit)])
    properties: Properties = {"batch.size": size, "partitioner": chosen.partitioner, **chosen.kafka}
    places = bool(chosen.group)  # the leash asks where records landed
    watched = {} if chosen.port is None else statistics.of(PRODUCER)
    if not chosen.resume:
        return Publisher(chosen.bootstrap_servers, properties, places=places, watched=watched), None
    resume.prepare(chosen)
    name = f"replay-{chosen.resume}"
    sender = TransactionalPublisher(
        chosen.bootstrap_servers, properties, name, held_up, places=places, patience=chosen.timeout, watched=watched
    )
    of = resume.decides(history, history.columns, chosen)
    start = resume.begun(chosen, history, of, resume.read_back(chosen))
    return sender, Ledger(chosen.resume, chosen.resume_topic, start, sender)


@contextmanager
def _group(chosen: Settings) -> Iterator[Progress | None]:
    group = Progress(chosen.bootstrap_servers, chosen.kafka, chosen.group) if chosen.group else None
    try:
        yield group
    finally:
        if group:
            group.close()


@contextmanager
def _served(chosen: Settings, figures: Callable[[], Figures], watch: Watch, statistics: Statistics) -> Iterator[None]:
    endpoint = None if chosen.port is None else metrics.serve(chosen.metrics_host, chosen.port, figures, statistics)
    try:
        if endpoint:
            watch.say(f"replay: metrics={endpoint.address}/metrics")
        yield
    finally:
        if endpoint:
            endpoint.close()
