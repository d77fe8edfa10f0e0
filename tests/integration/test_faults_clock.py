"""Clocks that are wrong, the senders' and our own: every row is scored as ever, and no figure is nonsense."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import cycle

from confluent_kafka import Producer

from detector.alerts import iso
from tests.broker import Broker, alter_topic
from tests.integration.conftest import Cards
from tests.integration.jumping import DAY
from tests.integration.line import (
    Sent,
    Topics,
    alerts_of,
    await_true,
    make_topics,
    positions,
    running,
    send,
    until_end,
)
from tests.integration.story import SMALL_STEPS, Course, end, troubles
from tests.integration.tally import Fault, FaultTable
from tests.integration.test_detector import messages

FOREVER = (1 << 63) - 1
EVENT_TIMES = (1, 1_000, 253_402_300_800_000, FOREVER, 1_795_392_000_000)
"""Ms since 1970: its first moments, the year 10000, the end of Kafka's time, and a day like any other."""


def send_at(bootstrap: str, topic: str, sent: Sequence[Sent], times: Sequence[int]) -> None:
    """Publishes messages with event times, by turns."""
    producer = Producer({"bootstrap.servers": bootstrap})
    for (value, partition, headers), when in zip(sent, cycle(times), strict=False):
        producer.produce(topic, value, partition=partition, headers=headers, timestamp=when)  # type: ignore[arg-type]
    assert producer.flush(30) == 0


def scores(topics: Topics) -> dict[tuple[int, int], tuple[float, float]]:
    """By partition and offset of its row, each alert's score and threshold; one that comes twice fails."""
    alerts = alerts_of(topics)
    found = {(a["source"]["partition"], a["source"]["offset"]): (a["score"], a["threshold"]) for a in alerts}
    assert len(found) == len(alerts)
    return found


def figures(metrics: str, name: str) -> list[float]:
    """The values of a metric."""
    return [float(value) for value in re.findall(rf"^{name}(?:\{{[^}}]*\}})? (\S+)$", metrics, re.MULTILINE)]


def assert_sane(metrics: str, alerts: int) -> None:
    """No alert came before its row, and no lag is below nothing."""
    assert figures(metrics, "detector_alert_latency_seconds_count") == [alerts]
    assert figures(metrics, "detector_alert_latency_seconds_sum")[0] >= 0
    lags = figures(metrics, "detector_lag_seconds")
    assert len(lags) == 4
    assert min(lags) >= 0


def test_event_times_from_everywhere(broker: Broker, cards: Cards, faults: FaultTable) -> None:
    """Rows that say they are of 1970, or of the end of time, alert as those of today do, and stop nothing."""
    calm, odd = make_topics(broker.bootstrap), make_topics(broker.bootstrap)
    sent = messages(cards, 600, "json", calm.partitions)
    send(broker.bootstrap, calm.input, sent)
    until_end(calm, cards.model)
    alter_topic(broker.bootstrap, odd.input, message_timestamp_after_max_ms=FOREVER)
    send_at(broker.bootstrap, odd.input, sent, EVENT_TIMES)
    with running(odd, cards.model) as detector:
        await_true(lambda: positions(odd)[0] == positions(odd)[1], "the end")
        metrics = detector.scrape()
        assert end(detector) == 0
        assert troubles(detector) == []
    expected, found = scores(calm), scores(odd)
    faults.add(Fault("event times of 1970 and of the year 10000", 1, len(expected.keys() - found.keys()), 0))
    assert found == expected != {}
    for alert in alerts_of(odd):
        row = alert["source"]["offset"] * odd.partitions + alert["source"]["partition"]
        assert alert["event_time"] == iso(EVENT_TIMES[row % len(EVENT_TIMES)])
    assert_sane(metrics, len(expected))


def test_clock_that_jumps(course: Course) -> None:
    """A clock that jumps two days at each look changes nothing in the alerts; latency and lag are never below 0."""
    trial = course.trial()
    with trial.running(*SMALL_STEPS, program="tests.integration.jumping") as detector:
        trial.await_end(detector)
        metrics = detector.scrape()
        assert end(detector) == 0
        assert troubles(detector) == []
    trial.assert_whole("clock that jumps by days")
    assert_sane(metrics, len(course.calm.on("alert").texts))
    assert figures(metrics, "detector_alert_latency_seconds_sum")[0] > DAY  # or it did not jump
