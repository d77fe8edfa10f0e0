"""The looking itself: model, port, broker, topics, what is allowed, the newest rows and the clock."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from detector import models
from detector.errors import Failure, PortInUse
from detector.http import Endpoint
from detector.kafka import Reader, connect
from detector.kafka.extent import extent
from detector.kafka.inquiry import TopicFacts, brokers, group_operations, topic_facts, try_transactions
from detector.preflight.acls import Acl, needed
from detector.preflight.clock import Clock, kernel_clock
from detector.preflight.findings import Finding, failed, ok, skipped, warning
from detector.preflight.topics import allowing, judged, judged_group, of_topics
from detector.records import ScoreRecords
from detector.rows import Batch, Message
from detector.serving import Serving
from detector.settings import Settings

NEWEST_ROWS = 16
"""So many of each partition's last rows are looked at."""

SECONDS_AHEAD = 5.0
"""A row's time may be so far in the future before a clock is doubted."""


def look(settings: Settings) -> Iterator[Finding]:
    """Each finding as soon as it is there; what needs something that failed is skipped, with the reason."""
    serving, found = _model(settings)
    yield found
    yield _port(settings)
    yield _clock(kernel_clock())
    try:
        admin = connect(settings.bootstrap_servers, settings.kafka, settings.connect_seconds)
        yield ok("broker", f"{brokers(admin)} brokers answer at {settings.bootstrap_servers}")
    except Failure as failure:
        yield failed(
            "broker", failure, "look at --bootstrap-servers, the network, and the --kafka settings of TLS and SASL"
        )
        yield skipped("topics, ACLs and rows", "no broker answers")
        return
    yield from _kafka(settings, admin, serving)


def _model(s: Settings) -> tuple[Serving | None, Finding]:
    """The artifact as it would be served, and its schema registry where it needs one."""
    try:
        serving = models.ready(s, models.load(s, s.model), models.registry(s))
        ScoreRecords(s.scores_topic, s.scores_amount, serving.artifact)
    except Failure as failure:
        fix = "see the message: train it anew (`python -m trainer fit`), or point --model, --trusted-key elsewhere"
        return None, failed("model", failure, fix)
    name, features = serving.artifact.name, len(serving.artifact.schema.features)
    line = serving.line.calibrated
    told = f"{name.name} version {name.version} ({name.sha256[:12]}), {features} features"
    return serving, ok("model", f"{told}, threshold {line.value:.9g} ({line.method})")


def _port(s: Settings) -> Finding:
    subject = f"port {s.metrics_port}"
    try:
        Endpoint(s.metrics_host, s.metrics_port, {}).close()
    except PortInUse as failure:
        return failed(subject, failure, "another detector may be at work here; take another --metrics-port, or 0")
    except Failure as failure:
        return failed(subject, failure, "look at --metrics-host and --metrics-port")
    return ok(subject, f"free on {s.metrics_host}")


def _clock(clock: Clock | None) -> Finding:
    if clock is None:
        return skipped("clock", "this system does not tell how well it is kept")
    if not clock.synchronised:
        fix = "let chrony or another NTP client keep it: latencies and `detected_at` are as right as the clock is"
        return warning("clock", "the kernel says that nothing keeps it", fix)
    return ok("clock", f"kept, to {clock.error_seconds:.3g} s")


def _kafka(s: Settings, admin: Any, serving: Serving | None) -> Iterator[Finding]:
    """What the broker must have, and allow."""
    acls = needed(s)
    topics = of_topics(acls)
    try:
        facts = topic_facts(admin, list(topics))
    except Failure as failure:
        yield failed("topics", failure, "look at the broker's own log")
        return
    for topic, own in topics.items():
        yield from judged(topic, facts[topic], own)
    rows = facts[s.input_topic]
    group = _group(s, admin, acls, rows.partitions)
    yield from group
    if s.delivery == "exactly_once":
        yield _transactions(s, acls)
    if any(one.state == "failed" for one in group):
        yield skipped("rows", "they are read under the group's name")
    else:
        yield from _rows(s, admin, rows, serving)


def _group(s: Settings, admin: Any, acls: Sequence[Acl], partitions: int) -> list[Finding]:
    own = [one for one in acls if one.resource == "group"]
    try:
        return judged_group(s.group, *group_operations(admin, s.group), own, partitions)
    except Failure as failure:
        return [failed(f"group {s.group}", failure, "look at the broker's own log")]


def _transactions(s: Settings, acls: Sequence[Acl]) -> Finding:
    """An id of its own: that of a detector at work would fence it."""
    own, name = [one for one in acls if one.resource == "transactional-id"], f"{s.group}.check"
    try:
        try_transactions(s.bootstrap_servers, s.kafka, name)
    except Failure as failure:
        return failed("transactions", failure, f"{allowing(own)}; or --delivery at_least_once")
    return ok("transactions", f"{name!r} may be used")


def _rows(s: Settings, admin: Any, facts: TopicFacts, serving: Serving | None) -> Iterator[Finding]:
    """Whether the model understands what came last, and whether it came from the future."""
    if serving is None or not facts.partitions or s.window_samples:
        yield skipped("rows", "they are samples of signals" if s.window_samples else "no model or no topic to look at")
        return
    try:
        messages = _newest(s, admin, facts.partitions)
    except Failure as failure:
        yield failed("rows", failure, "the input must be readable: see the findings above")
        return
    if not messages:
        yield skipped("rows", f"topic {s.input_topic!r} is empty")
        return
    yield _understood(serving, messages)
    yield _in_time(messages, time.time)


def _newest(s: Settings, admin: Any, partitions: int) -> list[Message]:
    ends = extent(admin, s.input_topic, range(partitions))
    reader = Reader(s.bootstrap_servers, s.kafka, s.group)
    try:
        ranges = {partition: (max(low, high - NEWEST_ROWS), high) for partition, (low, high) in ends.items()}
        return [message for messages in reader.between(s.input_topic, ranges) for message in messages]
    finally:
        reader.close()


def _understood(serving: Serving, messages: Sequence[Message]) -> Finding:
    _, rejects = serving.decoder.decode(Batch.of(messages))
    if not rejects:
        return ok("rows", f"the newest {len(messages)} are rows of this model")
    reasons = Counter(one.reason for one in rejects)
    told = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
    fix = "look at --format, --field and --model: what is no row becomes a dead letter"
    return warning("rows", f"{len(rejects)} of the newest {len(messages)} are no rows of this model: {told}", fix)


def _in_time(messages: Sequence[Message], now: Callable[[], float]) -> Finding:
    """Rows that happen later than now: the sender's clock is wrong, or this machine's."""
    ahead = max(message.timestamp()[1] for message in messages) / 1000 - now()
    if ahead > SECONDS_AHEAD:
        fix = "set the clock of this machine, or of who sends the rows"
        return warning("time of rows", f"the newest is {ahead:.0f} s in the future", fix)
    return ok("time of rows", f"the newest is {max(-ahead, 0):.0f} s old")
