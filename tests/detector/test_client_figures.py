"""librdkafka's statistics: read when they are asked for, bounded, and never a reason to fail."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.client_figures import CONSUMER, PRODUCER, families
from detector.families import Families
from detector.kafka import EmbeddedBroker, ExactlyOnce, Statistics
from detector.kafka.figures import MOST_BROKERS
from tests.benchmarks.scrape import client_statistics
from tests.integration.line import await_true


def shown(statistics: Statistics) -> dict[tuple[str, ...], float]:
    """Every sample by its name and the values of its labels."""
    metrics = Families(lambda: families(statistics.figures())).registry.collect()
    return {(s.name, *s.labels.values()): s.value for metric in metrics for s in metric.samples}


def told(text: str, client: str = CONSUMER) -> dict[tuple[str, ...], float]:
    statistics = Statistics()
    statistics.take(client, text)
    return shown(statistics)


def test_what_is_shown() -> None:
    """Connections, round trips, queues and lag are there by broker, client and partition, in seconds and bytes."""
    found = told(client_statistics(partitions=2, brokers=2))
    assert found["kafka_broker_up", CONSUMER, "1"] == 1
    assert found["kafka_broker_rtt_seconds", CONSUMER, "0"] == pytest.approx(0.005012)
    assert found["kafka_broker_rtt_p99_seconds", CONSUMER, "0"] == pytest.approx(0.050123)
    assert found["kafka_broker_errors_total", CONSUMER, "0"] == 3
    assert found["kafka_queue_messages", CONSUMER] == 12 + 1234  # one queue for both partitions, told with each
    assert found["kafka_queue_bytes", CONSUMER] == 3456 + 123_456
    assert [found["kafka_fetch_lag_messages", CONSUMER, partition] for partition in "01"] == [12_345, 12_345]
    assert found["kafka_rebalances_total",] == 3


@pytest.mark.parametrize(
    ("one", "lag"),
    [
        ({"app_offset": 109, "next_offset": 8862, "ls_offset": 10_000, "fetchq_cnt": 8753}, 9891),
        ({"app_offset": 9999, "next_offset": 10_000, "ls_offset": 10_000}, 0),
        ({"app_offset": -1001, "next_offset": 700, "ls_offset": 1000}, 300),
        ({"app_offset": -1001, "next_offset": 0, "ls_offset": -1001, "fetchq_cnt": 8753}, None),
        ({"app_offset": -1001, "next_offset": 900, "ls_offset": 1000, "fetchq_cnt": 900}, None),
        ({}, None),
    ],
)
def test_fetch_lag(one: dict[str, int], lag: int | None) -> None:
    """Counted from what was taken; where nothing waits to be, from what was fetched; else nothing is told."""
    found = told(json.dumps({"topics": {"rows": {"partitions": {"0": one}}}}))
    assert found.get(("kafka_fetch_lag_messages", CONSUMER, "0")) == lag


def broker(**more: Any) -> dict[str, Any]:
    return {"name": "b/1", "nodeid": 1, "source": "learned", "state": "UP", **more}


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (broker(), 1.0),
        (broker(state="UPDATE"), 1.0),
        (broker(state="CONNECT"), 0.0),
        (broker(state="TRY_CONNECT"), 0.0),
        (broker(state="INIT"), None),
        (broker(source="configured", nodeid=-1), None),
    ],
)
def test_connections(one: dict[str, Any], expected: float | None) -> None:
    """A broker is up, or wanted and not up; one that is not wanted, or was asked once for the others, is not shown."""
    assert told(json.dumps({"brokers": {"b": one}})).get(("kafka_broker_up", CONSUMER, "1")) == expected


def test_coordinators_have_names() -> None:
    """A group's coordinator has no number of its own."""
    found = told(json.dumps({"brokers": {"g": broker(name="GroupCoordinator", nodeid=-1, source="logical")}}))
    assert found["kafka_broker_up", CONSUMER, "GroupCoordinator"] == 1


def test_no_round_trip_yet() -> None:
    """What was not measured is not 0."""
    found = told(json.dumps({"brokers": {"b": broker(rtt={"avg": 0, "p99": 0, "cnt": 0})}}))
    assert ("kafka_broker_rtt_seconds", CONSUMER, "1") not in found


def test_a_cluster_that_floods() -> None:
    """So many brokers have series, the first by number, whatever a cluster says of itself; and names are no labels."""
    every = {str(i): broker(nodeid=i, name="x" * 1000 + str(i)) for i in range(10_000)}
    every |= {f"logical{i}": broker(nodeid=-1, source="logical", name=f"hostile {i}") for i in range(10_000)}
    found = told(json.dumps({"brokers": every}))
    labels = {labels[-1] for name, *labels in found if name == "kafka_broker_up"}
    assert labels == {str(i) for i in range(MOST_BROKERS)}
    assert not any("hostile" in part or "xxx" in part for key in found for part in key)


@given(st.text() | st.binary().map(lambda raw: raw.decode("latin-1")))
def test_what_is_no_statistics(text: str) -> None:
    """Text that cannot be read shows nothing and fails nothing."""
    told(text)


def test_a_client_tells() -> None:
    """A producer that has nothing to do tells its statistics when it is served, also that no broker answers."""
    statistics = Statistics()
    broker = EmbeddedBroker(["t"])
    own = {**statistics.of(PRODUCER), "statistics.interval.ms": 50}
    output = ExactlyOnce(broker.bootstrap_servers, {}, "id", watched=own)
    try:

        def connected() -> bool:
            output.serve()
            return ("kafka_broker_up", PRODUCER, "1") in shown(statistics)

        def unreachable() -> bool:
            output.serve()
            return shown(statistics).get(("kafka_broker_up", PRODUCER, "TxnCoordinator")) == 0

        await_true(connected, "statistics of a connected producer", 20)
        assert shown(statistics)["kafka_statistics_timestamp_seconds", PRODUCER] > 1e9
        broker.close()
        await_true(unreachable, "statistics of one that nobody answers", 20)
    finally:
        output.close()
