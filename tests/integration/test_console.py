"""The console on Apache Kafka: the command, its history, verdicts, raw rows, and a broker that goes and comes."""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from confluent_kafka import Producer
from playwright.sync_api import Browser, expect

from detector.alerts import Source, encode
from detector.console.board import Board
from detector.console.feed import Feed
from detector.console.verdicts import Verdict
from detector.errors import TopicMissing
from detector.feedback import labels
from detector.settings import ConsoleSettings
from tests.broker import Broker, add_partitions, create_topic
from tests.browser import chromium
from tests.console.made import alert, drifted, entries, scored
from tests.console.staged import SECONDS, looking
from tests.integration.line import Running, await_true, read_committed, send

FIRST = ".alerts .alert >> nth=0"
expect.set_options(timeout=SECONDS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def chosen(broker: Broker) -> ConsoleSettings:
    """Fresh topics, three partitions each, and who looks at them."""
    name = f"t{uuid.uuid4().hex[:10]}"
    found = ConsoleSettings(
        bootstrap_servers=broker.bootstrap,
        input_topic=name,
        alerts_topic=f"{name}.alerts",
        labels_topic=f"{name}.labels",
        drift_topic=f"{name}.drift",
        scores_topic=f"{name}.scores",
        group=name,
        user="ada",
        history=100,
    )
    topics = (found.input_topic, found.alerts_topic, found.labels_topic, found.drift_topic, found.dead_letters_topic)
    for topic in topics:
        create_topic(broker.bootstrap, topic, 3)
    return found


def command(chosen: ConsoleSettings, *flags: str) -> list[str]:
    """The console's command line."""
    names = ("bootstrap_servers", "input_topic", "alerts_topic", "labels_topic", "drift_topic", "scores_topic", "group")
    given = [text for name in (*names, "user") for text in (f"--{name.replace('_', '-')}", getattr(chosen, name))]
    return [sys.executable, "-m", "detector", "console", "--console-port", "0", *given, *flags]


@contextmanager
def console(chosen: ConsoleSettings, *flags: str) -> Iterator[tuple[Running, str]]:
    """A console that runs, and its address."""
    started = Running(command(chosen, *flags))
    try:
        yield started, started.await_line("console=").split("console=")[1].strip()
    finally:
        started.close()


def committed_one_by_one(chosen: ConsoleSettings, values: Sequence[bytes]) -> None:
    """Alerts as a slow detector writes them: each in a transaction of its own, whose marker takes an offset too."""
    properties = {"bootstrap.servers": chosen.bootstrap_servers, "transactional.id": uuid.uuid4().hex, "linger.ms": 0}
    producer = Producer(properties)
    producer.init_transactions(30)
    for number, value in enumerate(values):
        producer.begin_transaction()
        producer.produce(chosen.alerts_topic, value, partition=number % 3)
        producer.commit_transaction(30)


@contextmanager
def fed(chosen: ConsoleSettings) -> Iterator[tuple[Board, Feed]]:
    """A board that is fed, in this process."""
    board = Board(chosen.history, chosen.input_topic)
    feed = Feed(chosen, board)
    feed.start()
    try:
        await_true(lambda: board.topics[chosen.alerts_topic].loaded, "the history of alerts")
        yield board, feed
    finally:
        feed.close()


def test_the_last_alerts_of_all_partitions(chosen: ConsoleSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """History is the last alerts over all partitions, in the order in which they were written, markers or not; what
    comes afterwards follows, and topics that do not exist yet are read once they do."""
    monkeypatch.setattr("detector.console.feed.AGAIN_SECONDS", 0.2)
    chosen, offsets = replace(chosen, history=30), range(40)
    committed_one_by_one(chosen, [encode(alert(offset))[0] for offset in offsets])
    with fed(chosen) as (board, _):
        assert [one.alert.source.offset for one in board.alerts] == [*reversed(offsets)][:30]
        send(chosen.bootstrap_servers, chosen.alerts_topic, [(encode(alert(500))[0], 1, [])])
        await_true(lambda: next(iter(board.alerts)).alert.source.offset == 500, "the new alert")
        send(chosen.bootstrap_servers, chosen.drift_topic, [(drifted("V3"), 0, [])])
        await_true(lambda: len(board.drifting.drifting()) == 1, "the drift")
        await_true(lambda: bool(board.topics[chosen.scores_topic].trouble), "word of the topic that is not there")
        create_topic(chosen.bootstrap_servers, chosen.scores_topic, 1)
        values = scored(0, 0, np.ones(5))
        send(chosen.bootstrap_servers, chosen.scores_topic, [(values, 0, [])])
        await_true(lambda: board.spread.total == 5, "the scores")
        assert not board.topics[chosen.scores_topic].trouble


def test_verdicts_are_in_the_topic_once_and_are_read_by_feedback(chosen: ConsoleSettings) -> None:
    """A verdict is on the board once the broker has it, under the row's id as key; a console that starts later, and
    feedback, read it."""
    send(chosen.bootstrap_servers, chosen.alerts_topic, [(encode(alert(1))[0], 0, [])])
    said = Verdict("fraud", "ada", "2026-11-23T10:00:00Z", "stolen")
    with fed(chosen) as (board, feed):
        feed.say("transactions/1/1", said)
        assert board.precision().fraud == 1
    (message,) = read_committed(chosen.bootstrap_servers, chosen.labels_topic)
    assert message.key() == b"transactions/1/1"
    label = labels.read(message.value(), 0)
    assert label
    assert label.anomalous is True
    with fed(chosen) as (board, _):
        await_true(lambda: board.verdicts.get("transactions/1/1") == said, "the verdict")


def test_raw_rows(chosen: ConsoleSettings) -> None:
    """A row is fetched from its place; a place that the log does not have gives none."""
    send(chosen.bootstrap_servers, chosen.input_topic, [(b'{"V1": 1.50}', 2, [("row-id", b"7")])])
    with fed(chosen) as (_, feed):
        found = feed.raw(Source(chosen.input_topic, 2, 0))
        assert found is not None
        assert json.loads(found.value) == {"V1": 1.5}
        assert found.headers == [("row-id", "7")]
        assert feed.raw(Source(chosen.input_topic, 2, 99)) is None


def test_partitions_that_are_added(chosen: ConsoleSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in partitions that a topic gets while the console runs is read, and nothing is read twice."""
    monkeypatch.setattr("detector.console.feed.CHECK_SECONDS", 0.1)
    server, topic = chosen.bootstrap_servers, chosen.dead_letters_topic
    send(server, topic, [(b"?", 0, [])])
    with fed(chosen) as (board, _):
        await_true(lambda: board.topics[topic].read == 1, "the first record")
        for name in (chosen.alerts_topic, topic):
            add_partitions(server, name, 5)
        send(server, chosen.alerts_topic, [(encode(alert(8))[0], 4, [])])
        send(server, topic, [(b"?", 4, [])])
        await_true(lambda: len(board.alerts) == 1 and board.topics[topic].read == 2, "what is in the new partitions")


def test_without_alerts_topic_it_does_not_start(chosen: ConsoleSettings) -> None:
    """The topic that it is for must be there."""
    with pytest.raises(TopicMissing):
        Feed(replace(chosen, alerts_topic="not-there"), Board(1, "x"))


def test_the_command(chosen: ConsoleSettings, browser: Browser) -> None:
    """`python -m detector console` shows what the topics hold, takes a verdict, shows it after a restart, and ends at
    SIGTERM with 0."""
    send(chosen.bootstrap_servers, chosen.input_topic, [(b"{}", None, [])] * 9)
    send(chosen.bootstrap_servers, chosen.alerts_topic, [(encode(one.alert)[0], None, []) for one in entries(60)])
    with console(chosen) as (process, address):
        with looking(browser, address) as seen:
            expect(seen.page.locator(".count")).to_have_text("1-50 of 60")
            name = seen.page.locator(FIRST).locator("[data-open]").inner_text()
            seen.page.locator(FIRST).get_by_role("button", name="legitimate").click()
            expect(seen.page.locator(".status")).to_contain_text("written to topic")
            send(chosen.bootstrap_servers, chosen.alerts_topic, [(encode(alert(900, key="fresh"))[0], None, [])])
            seen.page.mouse.move(5, 5)
            seen.page.keyboard.press("g")
            expect(seen.page.locator(FIRST)).to_contain_text("fresh")
            assert seen.said == []
        assert process.kill(15) == 0, process.log()
    with console(chosen) as (_, address), looking(browser, address, "/") as seen:
        expect(seen.page.locator(".count")).to_have_text("1-50 of 61")
        seen.page.get_by_label("Verdict").select_option("legitimate")
        expect(seen.page.locator(FIRST)).to_contain_text(name)


@pytest.mark.long
def test_a_broker_that_goes_and_comes(broker: Broker, chosen: ConsoleSettings, browser: Browser) -> None:
    """The page says that no broker answers, keeps what it has, and goes on by itself when one does."""
    send(chosen.bootstrap_servers, chosen.alerts_topic, [(encode(alert(1))[0], None, [])])
    with console(chosen) as (_, address), looking(browser, address) as seen:
        seen.page.wait_for_selector(FIRST)
        broker.pause()
        try:
            expect(seen.page.get_by_role("alert")).to_contain_text("No broker answers", timeout=60_000)
            assert seen.page.locator(FIRST).is_visible()
        finally:
            broker.resume()
        expect(seen.page.get_by_role("alert")).to_be_empty(timeout=60_000)
        send(chosen.bootstrap_servers, chosen.alerts_topic, [(encode(alert(2, key="after"))[0], None, [])])
        expect(seen.page.locator(FIRST)).to_contain_text("after", timeout=60_000)


@pytest.mark.parametrize(
    ("flags", "code", "told"),
    [
        (("--console-host", "0.0.0.0"), 2, "token_file, or user_header"),
        (("--alerts-topic", "not-there"), 5, "topic 'not-there' does not exist"),
        (("--bootstrap-servers", "127.0.0.1:1", "--connect-seconds", "0.5"), 4, "no broker answered"),
    ],
)
def test_refusals(chosen: ConsoleSettings, flags: tuple[str, ...], code: int, told: str) -> None:
    """What cannot be is said in one line, with its exit code."""
    process = Running(command(chosen, *flags))
    try:
        assert process.wait() == code
        assert told in process.log()
        assert "Traceback" not in process.log()
    finally:
        process.close()
