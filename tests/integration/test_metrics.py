"""Metrics of real processes: they agree with the topics, whoever is killed, and with Prometheus' conventions."""

from __future__ import annotations

import json
import random
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from detector.alerts import TRACEPARENT
from detector.kafka.produce import STEPS
from detector.log import EVENTS
from detector.metrics import EXEMPLAR
from detector.rows import FORMATS, REASONS
from tests.broker import create_topic, free_ports
from tests.collector import attributes, collector
from tests.deploy.test_prometheus import passed, promtool
from tests.integration.conftest import Cards
from tests.integration.line import (
    Running,
    Sent,
    Topics,
    alerts_of,
    await_true,
    make_topics,
    positions,
    read_committed,
    running,
    send,
    until_end,
)
from tests.integration.story import QUICKLY_MISSED, SMALL_STEPS, Course, Trial
from tests.integration.test_detector import messages
from tests.prometheus import Prometheus, prometheus

QUICKLY_ENDED = ("--kafka", "transaction.timeout.ms=3000")
"""What a member that dies leaves open holds up who takes over for no longer."""

SHARED = ("detector_rows_total", "detector_alerts_total", "detector_rejects_total")
"""Counters that a group keeps with its offsets."""

Series = tuple[str, frozenset[tuple[str, str]]]


def series(page: str) -> dict[Series, float]:
    """Every sample of a page by its name and labels."""
    families = text_string_to_metric_families(page)
    return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}


def totals(found: Mapping[Series, float]) -> dict[str, float]:
    """Sums over the partitions."""
    return {name: sum(value for (one, _), value in found.items() if one == name) for name in SHARED}


def on_the_topics(topics: Topics) -> dict[str, float]:
    """The same counts by what a read_committed consumer sees of input, alerts and dead letters."""
    rejects = len(read_committed(topics.bootstrap, topics.dead))
    rows = len(read_committed(topics.bootstrap, topics.input)) - rejects
    return dict(zip(SHARED, map(float, (rows, len(alerts_of(topics)), rejects)), strict=True))


class Watched:
    """What a scraper makes of counters that it sees now and then: Prometheus' increase, from 0, over resets."""

    def __init__(self) -> None:
        self.last: dict[Series, float] = {}
        self.increase: Counter[Series] = Counter()
        self.resets = 0

    def see(self, page: str) -> None:
        """A scrape."""
        for one, value in series(page).items():
            if one[0] in SHARED:
                before = self.last.get(one, 0.0)
                self.resets += value < before
                self.increase[one] += value - before if value >= before else value  # type: ignore[assignment]
                self.last[one] = value


def finished(trial: Trial, watched: Watched) -> None:
    """Lets a detector read to the end, looks at it, and ends it."""
    with trial.running() as detector:
        trial.await_end(detector)
        wanted = on_the_topics(trial.topics)
        await_true(lambda: totals(series(detector.scrape())) == wanted, "the counts of all messages")
        watched.see(detector.scrape())
        assert detector.kill(signal.SIGTERM) == 0, detector.log()


def assert_agree(trial: Trial, watched: Watched) -> None:
    """What was seen adds up to what is on the topics, reason by reason, and nothing ever fell."""
    wanted = on_the_topics(trial.topics)
    assert wanted["detector_rejects_total"] > 0 < wanted["detector_alerts_total"]
    assert watched.resets == 0
    assert totals(watched.increase) == totals(watched.last) == wanted
    dead = read_committed(trial.topics.bootstrap, trial.topics.dead)
    reasons = Counter(dict(message.headers())["errors.reason"].decode() for message in dead)
    told: Counter[str] = Counter()
    for (name, labels), value in watched.last.items():
        if name == "detector_rejects_total":
            told[dict(labels)["reason"]] += int(value)
    assert +told == reasons


def test_counters_over_kills_at_every_step(course: Course) -> None:
    """Killed at each step of a commit, behind it too, before it was counted: counters are those of the topics."""
    trial, watched = course.trial("--instance", "a", *QUICKLY_MISSED), Watched()
    for step in STEPS:
        with trial.standing(step, 20, *SMALL_STEPS) as detector:
            detector.await_line("partitions_assigned")
            watched.see(detector.scrape())
            detector.await_line("standing")
            watched.see(detector.scrape())
            assert detector.kill() == -signal.SIGKILL
    finished(trial, watched)
    assert_agree(trial, watched)


@pytest.mark.long
def test_counters_over_kills_at_random(course: Course) -> None:
    """Killed at random moments, seen at others, taken over by a member of another name: they are the topics' own."""
    trial, watched, chance = course.trial(*QUICKLY_MISSED, *QUICKLY_ENDED), Watched(), random.Random(7)
    for turn in range(4):
        with trial.running("--instance", f"m{turn % 2}", *SMALL_STEPS) as detector:
            detector.await_line("partitions_assigned")
            if chance.random() < 0.7:
                watched.see(detector.scrape())
            with pytest.raises(subprocess.TimeoutExpired):
                detector.process.wait(chance.uniform(0.0, 0.3))
            assert detector.kill() == -signal.SIGKILL
    finished(trial, watched)
    assert_agree(trial, watched)


def test_lag_of_a_loop_that_stands(course: Course) -> None:
    """A detector whose loop stands still tells its lag all the same, of rows that came since too, and its age grows."""
    trial = course.trial("--instance", "a", *QUICKLY_MISSED)
    with trial.standing("begun", 20, *SMALL_STEPS) as detector:
        detector.await_line("standing")
        _, ends = positions(course.rows)
        await_true(lambda: lag(detector, "rows") > sum(ends.values()) / 2, "most rows seen to wait")
        age = lag(detector, "seconds")
        await_true(lambda: lag(detector, "seconds") > age > 0, "an age that grows")
        detector.kill()


def lag(detector: Running, unit: str) -> float:
    """The sum over the partitions."""
    return sum(value for (name, _), value in series(detector.scrape()).items() if name == f"detector_lag_{unit}")


def test_a_group_of_an_older_release(cards: Cards, topics: Topics) -> None:
    """Offsets without counts, or with what another program noted, are gone on from: counts begin at 0."""
    send(topics.bootstrap, topics.input, messages(cards, 400, "packed", topics.partitions))
    until_end(topics, cards.model)
    committed, _ = positions(topics)
    note(topics, committed, "rubbish")
    send(topics.bootstrap, topics.input, messages(cards, 40, "packed", topics.partitions))
    with running(topics, cards.model) as detector:
        await_true(lambda: totals(series(detector.scrape()))["detector_rows_total"] == 40, "the rows that came since")
        assert detector.kill(signal.SIGTERM) == 0


def test_rows_that_expired(cards: Cards, topics: Topics) -> None:
    """Messages that retention removed below a group's offsets are counted, once, and told."""
    from confluent_kafka import TopicPartition
    from confluent_kafka.admin import AdminClient

    send(topics.bootstrap, topics.input, messages(cards, 400, "packed", topics.partitions))
    until_end(topics, cards.model)
    note(topics, dict.fromkeys(range(topics.partitions), 10), "")
    admin = AdminClient({"bootstrap.servers": topics.bootstrap, "log_level": 0})
    for done in admin.delete_records([TopicPartition(topics.input, 0, 50)]).values():
        assert done.result(30).low_watermark == 50
    with running(topics, cards.model) as detector:
        await_true(lambda: positions(topics)[0] == positions(topics)[1], "the end")
        assert "rows_expired partition=0 start=10 end=50" in detector.log()
        found = series(detector.scrape())
        assert found["detector_rows_expired_total", frozenset()] == 40
        assert totals(found)["detector_rows_total"] == 3 * 90 + 50
        assert detector.kill(signal.SIGTERM) == 0


def note(topics: Topics, committed: Mapping[int, int], text: str) -> None:
    """Commits a group's offsets anew, with other metadata."""
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": topics.bootstrap, "group.id": topics.name, "log_level": 0})
    try:
        places = [TopicPartition(topics.input, partition, at, text) for partition, at in committed.items()]
        await_true(lambda: _commits(consumer, places), "a group without members")
    finally:
        consumer.close()


def _commits(consumer: Any, places: list[Any]) -> bool:
    from confluent_kafka import KafkaException

    try:
        consumer.commit(offsets=places, asynchronous=False)
    except KafkaException:
        return False
    return True


PLANTED = "planted-4111111111111111"


def hostile(cards: Cards, count: int) -> list[Sent]:
    """Messages whose every part is another text, all of them with what must not be logged in it."""
    found: list[Sent] = []
    row = dict.fromkeys(cards.features, 0.5)
    for i in range(count):
        text = f'{PLANTED} {i} "}}\n\\ # HELP {{le="1"}}'
        values = [text.encode(), json.dumps({**row, cards.features[0]: text}).encode(), json.dumps(row).encode()]
        headers = [("row-id", text.encode()), ("format", [text, *FORMATS][i % 4].encode()), (text, b"x")]
        found.append((values[i % 3], None, headers))
    return found


def test_a_flood_of_hostile_messages(cards: Cards, topics: Topics) -> None:
    """Whatever messages hold, no series is added to those of an idle detector; and no log line has a word of them."""
    options = ("--log-format", "json", "--time-field", cards.features[1])
    with running(topics, cards.model, *options) as detector:
        detector.await_line('"partitions_assigned"')
        address = json.loads(detector.await_line('"metrics"'))["metrics"]
        await_true(lambda: "detector_rows_total{" in page(address), "partitions")
        before = set(series(page(address)))
        send(topics.bootstrap, topics.input, hostile(cards, 1500))
        await_true(lambda: positions(topics)[0] == positions(topics)[1], "the end")
        await_true(lambda: sum(totals(series(page(address))).values()) >= 1500, "all of them counted")
        told = page(address)
        assert detector.kill(signal.SIGTERM) == 0, detector.log()
    of_clients = {one for one in series(told) if one[0].startswith("kafka_")}
    known = {"detector_stage_seconds_count", "detector_stage_seconds_sum", "detector_threshold"}
    known |= {"detector_score_median", "detector_score_mad", "detector_lag_seconds", "detector_lag_rows"}
    assert {name for name, _ in set(series(told)) - before - of_clients} <= known
    assert PLANTED not in told + detector.log()
    assert {dict(labels)["reason"] for name, labels in series(told) if name == SHARED[2]} == set(REASONS)
    for line in detector.lines:
        said = json.loads(line)
        assert said["event"] in EVENTS, line


def page(address: str, accept: str = "") -> str:
    """What a detector's /metrics answers."""
    request = urllib.request.Request(f"{address}/metrics", headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return str(answer.read().decode())


@contextmanager
def helpers(topics: Topics, cards: Cards, folder: Path) -> Iterator[dict[str, str]]:
    """A detector, a replay to it and a feedback behind it, at work; by name, where they serve their metrics."""
    for name in ("scores", "labels", "feedback"):
        create_topic(topics.bootstrap, f"{topics.name}.{name}", 1)
    data = cards.file(folder, 6000)
    to = ("--bootstrap-servers", topics.bootstrap, "--metrics-port", "0")
    kept = [part for one in ("scores", "labels", "feedback") for part in (f"--{one}-topic", f"{topics.name}.{one}")]
    replay = [sys.executable, "-m", "replay", str(data), *to, "--topic", topics.input, *kept[2:4], "--speed", "400/s"]
    feedback = [sys.executable, "-m", "detector", "feedback", *to, *kept, "--commit-seconds", "0.2"]
    with running(topics, cards.model, *kept[:2]) as detector:
        others = [Running([*replay, "--model", str(cards.model)]), Running(feedback)]
        try:
            yield {
                "detector": detector.address(),
                "replay": others[0].await_line("metrics=").split("metrics=")[1].strip().removesuffix("/metrics"),
                "feedback": others[1].address(),
            }
        finally:
            for one in others:
                one.close()


CLIENTS = {
    "detector": {"consumer", "producer"},
    "replay": {"producer"},
    "feedback": {"scores", "labels", "producer"},
}
"""By process, the Kafka clients that tell their statistics."""


def clients_of(told: str) -> set[str]:
    """Those of a page that are connected to a broker."""
    return {dict(labels)["client"] for (name, labels), up in series(told).items() if name == "kafka_broker_up" and up}


def test_promtool_checks_what_is_scraped(cards: Cards, topics: Topics, tmp_path: Path) -> None:
    """`promtool check metrics` finds nothing wrong with what a detector, a replay and a feedback serve at work."""
    with helpers(topics, cards, tmp_path) as addresses:
        await_true(lambda: "detector_precision{" in page(addresses["feedback"]), "labelled rows")
        await_true(
            lambda: all(clients_of(page(at)) == CLIENTS[name] for name, at in addresses.items()), "clients' statistics"
        )
        pages = {name: page(address) for name, address in addresses.items()}
    for name, told in pages.items():
        said = passed(promtool("check", "metrics", given=told))
        assert said == "", f"{name}: {said}"


def test_prometheus_agrees_with_the_topics(cards: Cards, broker: Any, tmp_path: Path) -> None:
    """A real Prometheus that scrapes a detector which is killed three times: its totals are the topics' own.

    No counter fell, every rule is healthy, dead letters are about to be told, and exemplars name alerts.
    """
    topics, port = make_topics(broker.bootstrap), free_ports(1)[0]
    options = ("--metrics-port", str(port), "--instance", "a", "--replicas", "1", *QUICKLY_MISSED)
    rows = messages(cards, 4000, "json", topics.partitions)
    sent = [
        (b"no row", place, headers) if i % 20 == 0 else (row, place, headers)
        for i, (row, place, headers) in enumerate(rows)
    ]
    with prometheus(tmp_path, {"detector": [f"127.0.0.1:{port}"]}, every="250ms") as watching:
        for turn in range(4):
            with running(topics, cards.model, *options) as detector:
                await_scraped(detector, watching, topics.partitions)
                send(topics.bootstrap, topics.input, sent[turn * 1000 : (turn + 1) * 1000])
                await_true(lambda n=turn: sum(positions(topics)[0].values()) > 1000 * n + 300, "some rows")  # type: ignore[misc]
                if turn < 3:
                    assert detector.kill() == -signal.SIGKILL
                    continue
                await_true(lambda: positions(topics)[0] == positions(topics)[1], "the end")
                check(watching, on_the_topics(topics), {alert["id"] for alert in alerts_of(topics)})


def await_scraped(detector: Running, watching: Prometheus, partitions: int) -> None:
    """Waits until Prometheus knows all partitions of a detector that is there."""

    def known() -> bool:
        assert detector.process.poll() is None, detector.log()
        return watching.value("count(detector_rows_total)") == partitions

    await_true(known, "a scrape")


def recorded(watching: Prometheus) -> dict[str, float | None]:
    """What the rules record of the totals."""
    names = [name.removesuffix("_total") for name in SHARED]
    return {f"{name}_total": watching.value(f"job:{name}:total") for name in names}


def check(watching: Prometheus, wanted: Mapping[str, float], alerts: set[str]) -> None:
    """What Prometheus makes of it."""
    await_true(lambda: recorded(watching) == wanted, "the totals of the topics")
    assert watching.value("sum(resets(detector_rows_total[10m]))") == 0
    for name in SHARED:
        seen = 0.0
        for one in watching.now(f"{name}[10m]"):
            values = np.array([float(value) for _, value in one["values"]])
            assert (np.diff(values) >= 0).all()
            seen += values[-1] - values[0]
        assert seen == wanted[name]
    await_true(lambda: all(rule["health"] == "ok" for rule in watching.rules()), "every rule evaluated")
    assert len(watching.rules()) == 33
    await_true(lambda: watching.value('count(ALERTS{alertname="DeadLetters"})') == 1, "dead letters told")
    end = time.time()
    found = watching.exemplars("detector_alert_latency_seconds_bucket", end - 600, end)
    assert found
    assert {one["labels"][EXEMPLAR] for one in found} <= alerts


def test_traces(cards: Cards, topics: Topics, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where an endpoint is configured every batch is a span, every alert names its own, and the audit minds neither."""
    send(topics.bootstrap, topics.input, messages(cards, 2000, "json", topics.partitions))
    with collector() as collected:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collected.url)
        until_end(topics, cards.model, "--max-batch", "100")
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT")
    spans = {(span.trace_id.hex(), span.span_id.hex()): attributes(span) for span in collected.spans}
    assert sum(span["rows"] for span in spans.values()) == 2000
    assert {span["outcome"] for span in spans.values()} == {"committed"}
    named: Counter[tuple[str, str]] = Counter()
    for message in read_committed(topics.bootstrap, topics.alerts):
        place = re.fullmatch(r"00-(\w{32})-(\w{16})-0[13]", dict(message.headers())[TRACEPARENT].decode())
        assert place
        named[place[1], place[2]] += 1
    assert named == +Counter({place: span["alerts"] for place, span in spans.items()})
    audit = ["--bootstrap-servers", topics.bootstrap, "--input-topic", topics.input, "--alerts-topic", topics.alerts]
    audit += ["--dead-letters-topic", topics.dead, "--models-topic", topics.models, "--group", topics.name]
    command = [sys.executable, "-m", "detector", "audit", "--model", str(cards.model), *audit]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stdout + done.stderr
