"""Kafka's errors in our own words, and properties that are not the person's to set. No broker is asked."""

from __future__ import annotations

import socket
from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from detector.errors import BrokerAway, BrokerUnavailable, Failure, Fenced, TopicMissing, UsageError
from detector.kafka import Aborted, AtLeastOnce, Checkpoint, ExactlyOnce
from detector.kafka.client import (
    AWAY,
    FENCED,
    MISSING,
    MISUSED,
    MOVING,
    OURS,
    UNAVAILABLE,
    common,
    connect,
    failure,
    told,
)
from detector.kafka.produce import PERMANENT, REBALANCED, FailedDeliveries, answer_ms
from tests.messages import FakeMessage

CODES = sorted(
    {code for name, code in vars(KafkaError).items() if name.lstrip("_").isupper() and isinstance(code, int)}
)
NOWHERE = "127.0.0.1:1"


def test_there_are_codes() -> None:
    """The client's codes were found: errors of the broker (above 0) and of the library (below)."""
    assert len(CODES) > 150
    assert min(CODES) < -100
    assert max(CODES) > 80


GROUPS: list[set[int]] = [FENCED, AWAY, MOVING, UNAVAILABLE, MISSING, MISUSED]


@pytest.mark.parametrize("code", CODES)
def test_every_code_is_told(code: int) -> None:
    """Every code becomes one Failure whose sentence says what was being done and the code's name."""
    error = KafkaError(code)
    found = failure(error, "polling")
    assert isinstance(found, Failure)
    assert str(found).startswith("polling: ")
    assert f"({error.name()})" in str(found)


@pytest.mark.parametrize(
    ("codes", "kind"),
    [
        (FENCED, Fenced),
        (AWAY, BrokerAway),
        (MOVING, BrokerAway),
        (UNAVAILABLE, BrokerUnavailable),
        (MISSING, TopicMissing),
        (MISUSED, UsageError),
    ],
)
def test_groups(codes: set[int], kind: type[Failure]) -> None:
    """The named groups map to their own kind, and share no code with another."""
    assert {type(failure(KafkaError(code), "x")) for code in codes} == {kind}
    others = [one for one in GROUPS if one is not codes]
    assert not any(codes & other for other in others)


def test_the_rest_is_a_failure() -> None:
    """A code of no group is a plain Failure."""
    named = set[int]().union(*GROUPS)
    assert {type(failure(KafkaError(code), "x")) for code in set(CODES) - named} == {Failure}


def test_told_maps_once() -> None:
    """What the client raises becomes a Failure that names its cause; a time-out too; all else passes."""
    with pytest.raises(TopicMissing, match="listing: ") as missing, told("listing"):
        raise KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))
    assert isinstance(missing.value.__cause__, KafkaException)
    with pytest.raises(BrokerUnavailable, match="asking: no answer within"), told("asking"):
        raise TimeoutError
    with pytest.raises(KeyError), told("asking"):
        raise KeyError


@pytest.mark.parametrize("name", OURS)
def test_ours_are_refused(name: str) -> None:
    """A property that a promise stands on is refused, and what sets it instead is said."""
    with pytest.raises(UsageError, match=f"kafka property '{name}' cannot be set here; use ") as refused:
        common("b:1", {name: "x"})
    assert OURS[name] in str(refused.value)


def test_the_person_s_properties_come_last() -> None:
    """Any other property is the person's to set, over our own default too."""
    found = common("b:1", {"client.id": "mine", "ssl.ca.location": "/ca"})
    assert (found["bootstrap.servers"], found["client.id"], found["ssl.ca.location"]) == ("b:1", "mine", "/ca")
    assert common("b:1", {})["client.id"] == "streaming-fraud-detector"


@pytest.mark.parametrize("given", [{"no.such.property": "1"}, {"socket.timeout.ms": "soon"}])
def test_wrong_properties(given: dict[str, str]) -> None:
    """A property that the client does not know, or a value that it does not take, is a wrong setting."""
    with pytest.raises(UsageError, match=f"kafka properties: .*{next(iter(given))}"):
        connect(NOWHERE, given)


@pytest.mark.parametrize(
    ("transaction_ms", "answer"), [(None, 9_900), ("120000", 9_900), (2_000, 1_900), ("500", 900), ("soon", 9_900)]
)
def test_an_answer_is_waited_for_no_longer_than_usual(transaction_ms: str | int | None, answer: int) -> None:
    given = {} if transaction_ms is None else {"transaction.timeout.ms": transaction_ms}
    assert answer_ms(given) == answer


def test_no_broker() -> None:
    """Where nobody answers in time the address is named."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(BrokerUnavailable, match=f"bootstrap_servers '{address}': no broker answered within 0.2 s"):
            connect(address, {}, 0.2)


def test_what_stands_in_the_way() -> None:
    """What the client knows of the reason is told, and not only that nobody answered."""
    with pytest.raises(BrokerUnavailable, match=r"no broker answered within 1 s: .*Failed to resolve"):
        connect("no-such-host.invalid:9092", {}, 1)


PLACES = [TopicPartition("transactions", 0, 7)]


def committed(code: int | None) -> list[list[TopicPartition]]:
    """An empty batch committed at least once by a consumer whose commit ends as told; no broker is needed for it."""
    commits: list[list[TopicPartition]] = []

    def commit(places: list[TopicPartition]) -> None:
        commits.append(places)
        if code is not None:
            raise KafkaException(KafkaError(code))

    AtLeastOnce(NOWHERE, {}).commit([], Checkpoint({0: 7}, PLACES, None, commit))
    return commits


def test_at_least_once_commits() -> None:
    """A batch ends with the commit of its offsets."""
    assert committed(None) == [PLACES]


@pytest.mark.parametrize("code", sorted(REBALANCED))
def test_a_rebalance_is_no_failure(code: int) -> None:
    """Offsets that cannot be committed because the group changed mean reading again, not the end of the process."""
    with pytest.raises(Aborted):
        committed(code)


@pytest.mark.parametrize("code", [KafkaError.GROUP_AUTHORIZATION_FAILED, KafkaError._TIMED_OUT, KafkaError.UNKNOWN])
def test_other_commits_fail(code: int) -> None:
    """Any other error of a commit is told."""
    with pytest.raises(Failure, match="committing offsets: "):
        committed(code)


class Broken:
    """A transactional producer whose calls fail as told."""

    def __init__(self, begin: KafkaError, abort: KafkaError | None = None) -> None:
        self.begin, self.abort = begin, abort

    def begin_transaction(self) -> None:
        raise KafkaException(self.begin)

    def abort_transaction(self, seconds: float) -> None:
        if self.abort:
            raise KafkaException(self.abort)


def commit_with(producer: Broken, lost: list[KafkaError] | None = None) -> None:
    output = ExactlyOnce.__new__(ExactlyOnce)
    failed = FailedDeliveries()
    for error in lost or ():
        failed(error, FakeMessage(b"", ("alerts", 0, 0)))
    vars(output).update(_producer=producer, _failed=failed, _stopping=lambda: False)
    output.commit([], cast(Any, SimpleNamespace()))


ABORTABLE = KafkaError(KafkaError.UNKNOWN_MEMBER_ID, "gone", txn_requires_abort=True)


def test_an_abort_is_told_as_one() -> None:
    """An error that asks for an abort aborts, and says that nothing of the batch is visible."""
    with pytest.raises(Aborted, match="gone"):
        commit_with(Broken(ABORTABLE))


@pytest.mark.parametrize("code", sorted(FENCED))
def test_a_fenced_producer_ends(code: int) -> None:
    """A producer that another one took over from ends."""
    with pytest.raises(Fenced):
        commit_with(Broken(KafkaError(code)))


def test_a_failing_abort_is_told() -> None:
    """An abort that itself fails is a Failure in our words, not the client's exception."""
    with pytest.raises(Fenced, match="aborting the transaction: "):
        commit_with(Broken(ABORTABLE, KafkaError(KafkaError._FENCED, fatal=True)))


def test_a_conflict_is_not_tried_for_ever() -> None:
    """The client calls it retriable that another call is under way; where none is, that would never end."""
    conflict = KafkaError(KafkaError._CONFLICT, "commit_transaction", retriable=True)
    with pytest.raises(Failure, match="aborting the transaction: commit_transaction"):
        commit_with(Broken(ABORTABLE, conflict))


@pytest.mark.parametrize("code", sorted(PERMANENT))
def test_what_would_fail_again_ends(code: int) -> None:
    """A record that the broker will never take ends the process instead of being tried for ever."""
    with pytest.raises(Failure, match="publishing to topic 'alerts': "):
        commit_with(Broken(ABORTABLE), [KafkaError(code)])
