"""What the clients are told for the sake of faults, and what a person is told of them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from detector.errors import Failure, UsageError
from detector.kafka.client import CALM_SECONDS, Properties, Trouble, told
from detector.kafka.consume import COORDINATORS, Input, Progress, consumer_properties

NOWHERE = "127.0.0.1:1"
DOWN = KafkaError(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down")


def test_a_trouble_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """However many clients say however often that no broker answers, a person is told once, and of the next again."""
    now = 100.0
    trouble = Trouble(lambda: now)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            trouble(DOWN)
            now += CALM_SECONDS - 1
        assert len(caplog.records) == 1
        now += 1
        trouble(DOWN)
    assert [record.getMessage().split()[0] for record in caplog.records] == ["broker_unavailable"] * 2


def test_what_is_no_trouble_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    """One connection that breaks is the client's own business."""
    with caplog.at_level(logging.DEBUG):
        Trouble()(KafkaError(KafkaError._TRANSPORT, "disconnected"))
    assert caplog.records == []


@pytest.mark.parametrize("protocol", ["consumer", "Consumer"])
def test_newer_group_protocol(protocol: str) -> None:
    """With KIP-848's protocol our defaults that the client refuses beside it are left away, and the client starts."""
    found = consumer_properties(NOWHERE, {"group.protocol": protocol}, "g")
    assert not set(COORDINATORS) & found.keys()
    Consumer(found).close()


def test_newer_group_protocol_and_what_the_person_wants() -> None:
    """What the person gives stays, and where the client refuses it that is said."""
    given: Properties = {"group.protocol": "consumer", "session.timeout.ms": 6000}
    with pytest.raises(UsageError, match=r"consumer: .*session\.timeout\.ms"), told("consumer"):
        Consumer(consumer_properties(NOWHERE, given, "g"))


class Leaving:
    """A consumer that is given partitions while it closes, and would wait long for their offsets."""

    assign: Callable[[Any, list[TopicPartition]], None]

    def __init__(self) -> None:
        self.asked = False

    def close(self) -> None:
        self.assign(self, [TopicPartition("transactions", 0)])

    def committed(self, *_: object, **__: object) -> None:
        self.asked = True
        raise AssertionError("the broker would not answer before a minute")


def test_partitions_that_come_while_a_member_leaves() -> None:
    """A rebalance under way when a member leaves does not hold it up: nothing is asked of what it is given."""
    leaving, left = Leaving(), Input.__new__(Input)
    vars(left).update(_consumer=leaving, _closing=False, _open=threading.Lock(), topic="transactions", joined=False)
    leaving.assign = left._on_assign
    left.close()
    assert not leaving.asked
    assert not left.joined


class Moving:
    """A consumer whose group has no coordinator at first. code: what it says then."""

    def __init__(self, code: int) -> None:
        self.answers = [KafkaException(KafkaError(code))] * 2

    def committed(self, places: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        if self.answers:
            raise self.answers.pop()
        return [TopicPartition(place.topic, place.partition, 7) for place in places]


def committed_by(consumer: Moving) -> dict[int, int]:
    """What is found out of a group."""
    progress = Progress.__new__(Progress)
    vars(progress).update(_consumer=consumer)
    return progress.committed("transactions", [0, 1])


@pytest.mark.parametrize(
    "code", [KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_LOAD_IN_PROGRESS, KafkaError._NOENT]
)
def test_a_coordinator_that_comes_back_is_asked_again(code: int) -> None:
    """While a group's coordinator moves its offsets are asked for again, instead of the process ending."""
    assert committed_by(Moving(code)) == {0: 7, 1: 7}


def test_offsets_that_may_not_be_read() -> None:
    """Any other answer is told."""
    with pytest.raises(Failure, match="reading committed offsets: "):
        committed_by(Moving(KafkaError.GROUP_AUTHORIZATION_FAILED))


def test_older_group_protocol() -> None:
    """Without it they are there."""
    assert set(COORDINATORS) <= consumer_properties(NOWHERE, {}, "g").keys()


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, 3333),
        ({"session.timeout.ms": 1500}, 500),
        ({"session.timeout.ms": "1500", "heartbeat.interval.ms": 100}, 100),
        ({"session.timeout.ms": "soon"}, None),
    ],
)
def test_members_are_heard_of_three_times_a_session(given: Properties, wanted: int | None) -> None:
    """A short session brings short heartbeats, unless the person wants others; what is no number is the client's."""
    assert consumer_properties(NOWHERE, given, "g").get("heartbeat.interval.ms") == wanted
