"""Faults of the broker and of the way to it: the detector waits and goes on, or says why not; nothing is lost."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest
from confluent_kafka.admin import AdminClient

from detector.errors import BrokerUnavailable, Fenced
from detector.kafka import Aborted, AtLeastOnce, Checkpoint, Follower, Input, Record, produce
from detector.kafka.client import known
from detector.kafka.vigil import Vigil
from tests.broker import Broker
from tests.integration.line import PARTITIONS, await_true, read_committed, send
from tests.integration.losing import Losing
from tests.integration.story import (
    PASSING,
    PATIENT,
    QUICKLY_MISSED,
    SMALL_STEPS,
    Course,
    Trial,
    down,
    end,
    go_on,
    pass_by,
    troubles,
)
from tests.proxy import Proxy

AWAY_SECONDS = 3.0
"""How long a line is cut."""

HELD_UP_SECONDS = 14.0
"""How long a broker stands still: its controller misses it after nine."""

GROUPS = 4
"""What happens to a broker happens to so many groups at once: what clients make of it is a matter of milliseconds."""

IMPATIENT = ("--kafka", "transaction.timeout.ms=2000")


@pytest.fixture
def proxy(broker: Broker) -> Iterator[Proxy]:
    """A proxy to which the broker sends those who come by it."""
    with closing(Proxy(broker.node.front, broker.node.back)) as proxy:
        yield proxy


@pytest.fixture
def trial(course: Course, proxy: Proxy) -> Trial:
    """Detectors that come by the proxy, and are told apart by no more than a name that outlives them."""
    return course.trial("--instance", "a", "--bootstrap-servers", f"127.0.0.1:{proxy.port}")


@pytest.mark.long
def test_broker_stopped_and_started(course: Course, broker: Broker) -> None:
    """The broker is killed in mid-stream and comes back: the detector says once that it waits, and goes on."""
    trial = course.trial(*PATIENT)
    with trial.running(*SMALL_STEPS) as detector:
        trial.await_committed(200)
        with down(broker):
            assert detector.process.poll() is None
        trial.await_end(detector)
        assert end(detector) == 0
        assert set(troubles(detector)) <= PASSING
        assert troubles(detector).count("broker_unavailable") <= 2
    trial.assert_whole("broker killed and started")


@pytest.mark.long
def test_broker_restarted(course: Course, broker: Broker) -> None:
    """A broker that is told to end tells its clients first that there are no brokers: all go on when it is back."""

    def restart() -> None:
        with down(broker, "halt"):
            pass

    all_go_on(course, restart, "broker restarted", times=5)


@pytest.mark.long
def test_broker_held_up(course: Course, broker: Broker) -> None:
    """A broker that stood still for longer than its own controller waits for it: so does a suspended machine."""

    def hold_up() -> None:
        broker.pause()
        pass_by(HELD_UP_SECONDS)
        broker.resume()

    all_go_on(course, hold_up, "broker held up", times=3)


def all_go_on(course: Course, happens: Callable[[], None], fault: str, times: int) -> None:
    """Something happens to the broker while groups of two are at work: all go on, and say nothing that is unusual."""
    for _ in range(times):
        trials = [course.trial(*PATIENT) for _ in range(GROUPS)]
        with ExitStack() as stack:
            detectors = [(trial, stack.enter_context(trial.running(*SMALL_STEPS))) for trial in trials for _ in (1, 2)]
            for trial in trials:
                trial.await_committed(200)
            happens()
            for trial, detector in detectors:
                trial.await_end(detector)
                assert set(troubles(detector)) <= PASSING
        for trial in trials:
            trial.assert_whole(fault)


def test_consumer_that_lost_its_brokers(course: Course) -> None:
    """A member whose consumer will find no broker any more goes on with another one, three times in mid-stream."""
    trial = course.trial(*QUICKLY_MISSED)
    with trial.running(*SMALL_STEPS, program="tests.integration.losing consumer 3 none 0") as detector:
        trial.await_end(detector)
        assert end(detector) == 0
        assert troubles(detector).count("losing") == 3
    trial.assert_whole("consumer lost its brokers", times=3)


def test_broker_away_while_partitions_come(course: Course) -> None:
    """Nobody says where partitions that come begin, twice: the member joins anew until somebody does."""
    trial = course.trial()
    with trial.running(*SMALL_STEPS, program="tests.integration.losing places 2 none 0") as detector:
        trial.await_end(detector)
        assert end(detector) == 0
        assert [one for one in troubles(detector) if one != "losing"] == ["batch_failed", "batch_failed"]
    trial.assert_whole("broker away while partitions come", times=2)


def test_producer_that_lost_its_brokers(trial: Trial, proxy: Proxy) -> None:
    """A producer that answers no more while there are brokers: the next one ends its transaction, and does it again."""
    program = "tests.integration.losing producer 1 offsets_added 10"
    with trial.running(*SMALL_STEPS, program=program) as detector:
        detector.await_line("standing")
        proxy.dam()
        go_on(detector)
        detector.await_line("losing")
        proxy.mend()
        trial.await_end(detector)
        assert end(detector) == 0
    trial.assert_whole("producer lost its brokers")


@pytest.mark.long
def test_connections_forgotten(trial: Trial, proxy: Proxy) -> None:
    """A firewall forgets the connections that are open, inside a transaction: what stood on them begins anew."""
    with trial.standing("offsets_added", 10, *SMALL_STEPS, *PATIENT) as detector:
        detector.await_line("standing")
        proxy.forget()
        go_on(detector)
        trial.await_end(detector)
        assert end(detector) == 0
        assert set(troubles(detector)) <= {*PASSING, "batch_failed"}
    trial.assert_whole("connections forgotten")


def test_reader_that_lost_its_brokers(broker: Broker, topic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes part in no group goes on where it stood, with another consumer."""
    follower = Follower(broker.bootstrap, {}, topic, "reader")
    before = follower._consumer
    with closing(follower):
        follower.begin({})
        found = read_by(follower, broker, topic, 100)
        monkeypatch.setattr(Vigil, "lost", Losing(1, 1))
        while follower.poll(100, 0.1) or follower._consumer is before:
            pass
        found += read_by(follower, broker, topic, 100)
    assert sorted(found) == [(partition, offset) for partition in range(PARTITIONS) for offset in range(50)]


def read_by(follower: Follower, broker: Broker, topic: str, count: int) -> list[tuple[int, int]]:
    """Sends so many messages; the places of those that a reader has then."""
    send(broker.bootstrap, topic, [(b"x", number % PARTITIONS, []) for number in range(count)])
    found: list[tuple[int, int]] = []

    def all_read() -> bool:
        found.extend((message.partition(), message.offset()) for message in follower.poll(100, 0.1))
        return len(found) >= count

    await_true(all_read, "all of them")
    return found


def test_a_member_that_stands_still(broker: Broker, topic: str) -> None:
    """It is seen from outside: its group does not know it, or there is more than it has read."""
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    calls = (lambda positions: None, lambda: None, lambda partitions: None)
    member = Input(broker.bootstrap, {}, topic, "standing", *calls)
    with closing(member):
        await_true(lambda: not member.poll(1, 0.0, 0.1) and member.joined, "its partitions")
        assert not member._stands(admin)
        send(broker.bootstrap, topic, [(b"x", 1, [])])
        assert member._stands(admin)
        await_true(lambda: bool(member.poll(1, 0.0, 0.1)), "the message")
        assert not member._stands(admin)
        assert not known(admin, "standing", "nobody")
    assert not known(admin, "standing", "")


def test_producer_outside_transactions_that_lost_its_brokers(
    broker: Broker, proxy: Proxy, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was not delivered is told, and delivered by the next producer."""
    monkeypatch.setattr(produce, "lost", Losing(1, 1))
    output = AtLeastOnce(f"127.0.0.1:{proxy.port}", {"message.timeout.ms": 5000})
    before, record = output._producer, Record(topic, b"key", b"value", [])
    nowhere = Checkpoint({}, [], None, lambda places: None)
    output.commit([record], nowhere)
    proxy.dam()
    with pytest.raises(Aborted):
        output.commit([record], nowhere)
    proxy.mend()
    assert output._producer is not before
    output.commit([record], nowhere)
    assert [message.value() for message in read_committed(broker.bootstrap, topic)][-1] == b"value"
    assert 2 <= len(read_committed(broker.bootstrap, topic)) <= 3


@pytest.mark.long
def test_broker_away_for_long(course: Course, broker: Broker) -> None:
    """A broker that comes back later than transactions may be open finds a detector that goes on, or ends with 7."""
    for _ in range(3):
        trial = course.trial("--instance", "a", *IMPATIENT)
        with trial.running(*SMALL_STEPS) as detector:
            trial.await_committed(200)
            with down(broker):
                pass_by(AWAY_SECONDS)
            trial.await_end(detector, Fenced.code)
            assert detector.process.poll() == Fenced.code or end(detector) == 0, detector.log()
        trial.finish()
        trial.assert_whole("broker killed for longer than a transaction")


def test_broker_ends_a_transaction(trial: Trial, proxy: Proxy) -> None:
    """A transaction that the broker ended because nothing was heard of it: 7 and one line; who comes next does all."""
    with trial.standing("offsets_added", 10, *SMALL_STEPS, *IMPATIENT) as detector:
        detector.await_line("standing")
        proxy.dam()
        trial.committed()  # is not answered before the broker has ended the transaction
        proxy.mend()
        go_on(detector)
        assert detector.wait() == Fenced.code
        assert len(troubles(detector)) == 1, detector.log()
        assert "no broker answered for longer than transaction.timeout.ms" in detector.lines[-1]
    trial.finish()
    trial.assert_whole("network away for longer than a transaction")


def told_to_end_while_away(trial: Trial, proxy: Proxy, step: str, how: str) -> None:
    """SIGTERM when the line is cut after a step: 4, one line, and nothing lacks in the end."""
    with trial.standing(step, 10, *SMALL_STEPS) as detector:
        detector.await_line("standing")
        getattr(proxy, how)()
        detector.process.send_signal(signal.SIGTERM)
        go_on(detector)
        assert detector.wait(40) == BrokerUnavailable.code
        assert detector.lines[-1].startswith("error: ")
        assert len([line for line in troubles(detector) if line.startswith("error: ")]) == 1
    proxy.mend()
    trial.finish()
    trial.assert_whole("SIGTERM while the broker is away")


def test_told_to_end_while_the_broker_is_away(trial: Trial, proxy: Proxy) -> None:
    """SIGTERM ends a detector that waits for its broker: 4, one line; what it left open is done by the next."""
    told_to_end_while_away(trial, proxy, "offsets_added", "dam")


@pytest.mark.long
@pytest.mark.parametrize("how", ["dam", "cut"])
@pytest.mark.parametrize("step", ["begun", "produced", "offsets_added", "committed"])
def test_told_to_end_at_any_step(course: Course, proxy: Proxy, step: str, how: str) -> None:
    """The same wherever it was, twice: what the client waits for as long as it lasts does not hold it up."""
    for _ in range(2):
        trial = course.trial("--instance", "a", "--bootstrap-servers", f"127.0.0.1:{proxy.port}")
        told_to_end_while_away(trial, proxy, step, how)


@pytest.mark.parametrize("how", ["cut", "dam"])
def test_network_cut(trial: Trial, proxy: Proxy, how: str) -> None:
    """The network is cut, or swallows all, in mid-stream: the detector says so at most once, and goes on."""
    cut_in_mid_stream(trial, proxy, how)


@pytest.mark.long
@pytest.mark.parametrize("how", ["cut", "dam"])
def test_network_cut_again_and_again(course: Course, proxy: Proxy, how: str) -> None:
    """Ten times, at whatever step it is then."""
    for _ in range(10):
        trial = course.trial("--instance", "a", "--bootstrap-servers", f"127.0.0.1:{proxy.port}")
        cut_in_mid_stream(trial, proxy, how)


def cut_in_mid_stream(trial: Trial, proxy: Proxy, how: str) -> None:
    """The same process goes on after the cut."""
    with trial.running(*SMALL_STEPS, *PATIENT) as detector:
        trial.await_committed(200)
        getattr(proxy, how)()
        pass_by(AWAY_SECONDS)
        proxy.mend()
        trial.await_end(detector)
        assert end(detector) == 0
        assert set(troubles(detector)) <= PASSING
        assert troubles(detector).count("broker_unavailable") <= 1, detector.log()
    trial.assert_whole({"cut": "network cut", "dam": "network swallows all"}[how])


def test_answer_to_a_commit_is_lost(trial: Trial, proxy: Proxy) -> None:
    """The broker commits, its answer never comes, the connection breaks: the client asks again, nothing comes twice."""
    with trial.standing("offsets_added", 10, *SMALL_STEPS) as detector:
        detector.await_line("standing")
        pass_by(1.0)  # for the alerts to arrive: the commit would wait for them first
        proxy.dam_answers()
        go_on(detector)
        trial.committed()  # is not answered before the transaction is done
        proxy.cut()
        proxy.mend()
        trial.await_end(detector)
        assert end(detector) == 0
    trial.assert_whole("answer to a commit lost")


@pytest.mark.long
def test_network_slow(trial: Trial, proxy: Proxy) -> None:
    """Each way takes a twentieth of a second more: it is slower, and that is all."""
    proxy.pause = 0.05
    with trial.running("--max-batch", "500", "--max-transaction", "500") as detector:
        trial.await_end(detector)
        assert end(detector) == 0
        assert troubles(detector) == []
    trial.assert_whole("network slow")
