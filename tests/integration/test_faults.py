"""Faults of the detector's own process and of its topics: nothing is lost, nothing comes twice, one line says why."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import replace

import pytest

from detector.errors import Failure, Fenced, TopicMissing
from detector.kafka.produce import STEPS
from tests.broker import alter_topic, create_topic, delete_topic
from tests.integration.line import read_committed, send
from tests.integration.story import PASSING, QUICKLY_MISSED, SMALL_STEPS, Course, Outputs, Trial, go_on, troubles
from tests.integration.tally import Fault, FaultTable

KINDS = [("alerts", "alert"), pytest.param("dead", "dead", marks=pytest.mark.long)]
"""The topics that a detector writes, and what is on them."""


@pytest.mark.parametrize("step", STEPS)
def test_killed_between_two_steps(course: Course, step: str) -> None:
    """SIGKILL after a step of the commit, beside the loop and in it: who comes next makes the alerts of a calm run."""
    trial = course.trial("--instance", "a", *QUICKLY_MISSED)
    for turn, size in ((20, SMALL_STEPS), (1, ("--max-batch", "100000"))):
        with trial.standing(step, turn, *size) as detector:
            detector.await_line("standing")
            assert detector.kill() == -signal.SIGKILL
    trial.finish()
    trial.assert_whole("SIGKILL between two steps of the commit", times=2)


def test_zombie_that_wakes_inside_its_transaction(course: Course) -> None:
    """A member freezes in its commit, and one of the same name takes over. Awake, it says so in one line; 7."""
    trial = course.trial("--instance", "a", *QUICKLY_MISSED)
    with trial.standing("offsets_added", 5, *SMALL_STEPS) as zombie:
        zombie.await_line("standing")
        zombie.process.send_signal(signal.SIGSTOP)
        trial.finish()
        zombie.process.send_signal(signal.SIGCONT)
        go_on(zombie)
        assert zombie.wait() == Fenced.code
        assert len(troubles(zombie)) == 1
        assert "another process of this instance took over" in zombie.lines[-1]
    trial.assert_whole("zombie with the same transactional id")


def name_of(trial: Trial, topic: str) -> str:
    """A topic's name by its place in the line."""
    return str(getattr(trial.topics, topic))


def spoiled_in_mid_stream(trial: Trial, spoil: Callable[[], None]) -> tuple[int, list[str]]:
    """Spoils something between two transactions of a detector; its exit code and what it told."""
    with trial.standing("begun", 40, *SMALL_STEPS) as detector:
        detector.await_line("standing")
        spoil()
        go_on(detector)
        return detector.wait(), troubles(detector)


@pytest.mark.parametrize(("topic", "kind"), KINDS)
def test_topic_deleted(course: Course, topic: str, kind: str) -> None:
    """A topic that is deleted in mid-stream ends the detector: 5, one line that names it. Made anew, nothing lacks."""
    trial = course.trial("--instance", "a")
    name, before = name_of(trial, topic), Outputs({})

    def delete() -> None:
        nonlocal before
        before = Outputs.of(trial.topics).on(kind)
        delete_topic(trial.topics.bootstrap, name)

    code, told = spoiled_in_mid_stream(trial, delete)
    assert code == TopicMissing.code
    assert told[-1] == f"error: topic {name!r} is gone; make it anew: no row is lost"
    assert set(told[:-1]) <= PASSING
    create_topic(trial.topics.bootstrap, name, 1)
    trial.finish()
    trial.assert_whole(f"{topic} topic deleted", before=before)


@pytest.mark.parametrize(("topic", "kind"), KINDS)
def test_topic_that_takes_no_more(course: Course, topic: str, kind: str) -> None:
    """A topic that refuses records ends the detector: 1, one line that names it. Mended, nothing lacks."""
    trial = course.trial("--instance", "a")
    bootstrap, name = trial.topics.bootstrap, name_of(trial, topic)
    code, told = spoiled_in_mid_stream(trial, lambda: alter_topic(bootstrap, name, max_message_bytes=100))
    assert code == Failure.code
    assert told == [
        f"error: publishing to topic {name!r}: Broker: Message size too large (MSG_SIZE_TOO_LARGE)",
    ]
    alter_topic(bootstrap, name, max_message_bytes=10_000_000)
    trial.finish()
    trial.assert_whole(f"{topic} topic refuses records")


def test_dead_letter_topic_missing(course: Course) -> None:
    """A detector does not start without its dead-letter topic: 5, one line that names it."""
    trial = course.trial()
    name = trial.topics.dead
    delete_topic(trial.topics.bootstrap, name)
    with trial.running() as detector:
        assert detector.wait() == TopicMissing.code
        assert troubles(detector) == [f"error: topic {name!r} does not exist; make it first, or name another"]
    create_topic(trial.topics.bootstrap, name, 1)
    trial.finish()
    trial.assert_whole("dead-letter topic missing")


def test_disk_full(course: Course) -> None:
    """A detector keeps nothing on disk: where none can be written it reads, alerts and commits as ever."""
    trial = course.trial()
    with trial.running("--until-end", program="tests.integration.diskless") as detector:
        assert detector.wait() == 0, detector.log()
        assert troubles(detector) == []
    trial.assert_whole("disk full")


def test_the_count_sees_what_lacks_and_what_comes_twice(course: Course) -> None:
    """What all these stories stand on: a record that lacks, and one that comes twice, are counted, and fail."""
    counting = replace(course, table=FaultTable())
    trial = counting.trial()
    with pytest.raises(AssertionError):
        trial.assert_whole("nothing read")
    trial.finish()
    message = read_committed(trial.topics.bootstrap, trial.topics.alerts)[0]
    send(trial.topics.bootstrap, trial.topics.alerts, [(message.value(), 0, message.headers())])
    with pytest.raises(AssertionError):
        trial.assert_whole("an alert comes twice")
    assert list(counting.table.rows.values()) == [
        Fault("nothing read", 1, len(course.calm.texts), 0),
        Fault("an alert comes twice", 1, 0, 1),
    ]
    assert "an alert comes twice       1      0        1" in counting.table.text()
