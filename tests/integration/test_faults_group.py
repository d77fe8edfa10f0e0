"""Members that join, leave and die all the time: the alerts are those of a calm run, whatever batch and group are."""

from __future__ import annotations

import random
import signal
from contextlib import ExitStack

import pytest

from detector.errors import Fenced
from tests.broker import Broker
from tests.integration.conftest import Cards
from tests.integration.line import Running
from tests.integration.story import QUICKLY_MISSED, Course, Trial, end, pass_by
from tests.integration.tally import FaultTable

PROTOCOLS = {"cooperative-sticky": QUICKLY_MISSED, "KIP-848": ("--kafka", "group.protocol=consumer")}
TINY_STEPS = ("--max-batch", "8", "--max-transaction", "8")
BATCHES = (1, 7, 512, 4096)
ROWS = 200_000


@pytest.fixture(scope="module")
def long_course(broker: Broker, cards: Cards, faults: FaultTable) -> Course:
    """Real rows where they are, over and over."""
    return Course.of(broker.bootstrap, cards, ROWS, faults)


@pytest.fixture(scope="module")
def minute_course(broker: Broker, cards: Cards, faults: FaultTable) -> Course:
    """Rows for about a minute of tiny steps."""
    return Course.of(broker.bootstrap, cards, 40_000, faults)


class Crowd:
    """So many detectors of a trial, each with a name that its successor takes over."""

    def __init__(self, trial: Trial, members: int, *options: str) -> None:
        self.trial, self.options = trial, options
        self._stack = ExitStack()
        self.members = [self._new(place) for place in range(members)]

    def __enter__(self) -> Crowd:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _new(self, place: int) -> Running:
        return self._stack.enter_context(self.trial.running("--instance", f"m{place}", *self.options))

    def replace(self, place: int, number: signal.Signals) -> None:
        """One goes, as told, and its successor comes. It may have been fenced before."""
        code = end(self.members[place], number)
        went = (-signal.SIGKILL,) if number == signal.SIGKILL else (0, -number)  # it may not have begun to listen
        assert code in (*went, Fenced.code), self.members[place].log()
        self.members[place] = self._new(place)

    def leave(self) -> None:
        """All go, as they should."""
        for member in self.members:
            assert end(member) in (0, -signal.SIGTERM, Fenced.code), member.log()


def storm(trial: Trial, joins: int, every: float) -> None:
    """Detectors join one after the other; from the third on, one that joined before leaves, or is killed, each time."""
    with Crowd(trial, 1, *TINY_STEPS) as stays, ExitStack() as stack:
        stays.members[0].await_line("partitions_assigned")
        others: list[Running] = []
        for number in range(joins):
            others.append(stack.enter_context(trial.running(*TINY_STEPS)))
            pass_by(every)
            if len(others) > 2:
                leaver = others.pop(0)
                how = signal.SIGTERM if number % 2 else signal.SIGKILL
                assert end(leaver, how) in (0, -signal.SIGTERM, -signal.SIGKILL), leaver.log()
        others[-1].await_line("partitions_assigned")
        for other in others:
            assert end(other) in (0, -signal.SIGTERM), other.log()
        stays.members[0].await_line("partitions_revoked")
        stays.leave()
    trial.finish()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_rebalances(course: Course, protocol: str) -> None:
    """Four detectors join in two seconds, and go again: nothing is lost, nothing comes twice."""
    trial = course.trial(*PROTOCOLS[protocol])
    storm(trial, joins=4, every=0.5)
    trial.assert_whole(f"joins, {protocol}", times=4)


@pytest.mark.long
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_rebalance_storm(minute_course: Course, protocol: str) -> None:
    """Twenty detectors join in a minute, and leave or die: nothing is lost, nothing comes twice."""
    trial = minute_course.trial(*PROTOCOLS[protocol])
    storm(trial, joins=20, every=3.0)
    trial.assert_whole(f"joins, {protocol}", times=20)


def killed_every_second(trial: Trial, members: int, kills: int, *options: str) -> None:
    """Each second one of the members is killed and replaced; then one reads on to the end."""
    chance = random.Random(kills)
    with Crowd(trial, members, *options) as crowd:
        for _ in range(kills):
            pass_by(1.0)
            crowd.replace(chance.randrange(members), signal.SIGKILL)
    for place in range(members):  # ends what the last ones left open
        trial.finish("--instance", f"m{place}")


@pytest.mark.long
def test_killed_every_second(course: Course) -> None:
    """Two members, one of them killed each second, five times: the alerts are those of a calm run."""
    trial = course.trial(*QUICKLY_MISSED)
    killed_every_second(trial, 2, 5, *TINY_STEPS)
    trial.assert_whole("SIGKILL every second", times=5)


@pytest.mark.long
@pytest.mark.parametrize("batch", BATCHES)
def test_killed_every_second_for_a_minute(long_course: Course, batch: int) -> None:
    """Four members over 200,000 rows, one of them killed each second of a minute: the alerts are a calm run's."""
    trial = long_course.trial(*QUICKLY_MISSED)
    killed_every_second(trial, 4, 60, "--max-batch", str(batch), "--max-transaction", str(batch))
    trial.assert_whole("SIGKILL every second", times=60)


@pytest.mark.long
@pytest.mark.parametrize("members", [1, 2, 4])
@pytest.mark.parametrize("batch", BATCHES)
def test_same_whatever_the_batch_and_the_members(long_course: Course, batch: int, members: int) -> None:
    """200,000 rows by one, two and four members that come and go: the alerts are those of a calm run, byte for byte."""
    trial = long_course.trial(*QUICKLY_MISSED)
    chance = random.Random(batch * members)
    changes = 0
    with Crowd(trial, members, "--max-batch", str(batch)) as crowd:
        while not trial.at_end():
            pass_by(2.0)
            crowd.replace(chance.randrange(members), signal.SIGTERM)
            changes += 1
        crowd.leave()
    trial.assert_whole("members that come and go", times=changes)
