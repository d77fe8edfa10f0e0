"""Three brokers, of which one dies: the group and its transactions move to another, and nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster import COUNT, Cluster, cluster
from tests.integration.conftest import Cards
from tests.integration.line import await_true
from tests.integration.story import PASSING, PATIENT, SMALL_STEPS, Course, down, end, go_on, troubles
from tests.integration.tally import FaultTable

pytestmark = pytest.mark.long  # three brokers take half a minute to start

ROWS = 4_000


@pytest.fixture(scope="module")
def brokers() -> Iterator[Cluster]:
    """Three brokers."""
    with cluster() as made:
        yield made


@pytest.fixture(scope="module")
def course(brokers: Cluster, cards: Cards, faults: FaultTable) -> Course:
    """Rows on topics that every broker has."""
    return Course.of(brokers.bootstrap, cards, ROWS, faults)


def test_coordinator_killed(course: Course, brokers: Cluster) -> None:
    """The broker that coordinates the group dies in mid-stream, three times: another takes over, nothing is told."""
    for _ in range(3):
        trial = course.trial(*PATIENT)
        with trial.running(*SMALL_STEPS) as detector:
            trial.await_committed(200)
            with down(brokers.coordinator(trial.topics.name)):
                trial.await_end(detector)
                assert end(detector) == 0
                assert set(troubles(detector)) <= PASSING, detector.log()
                trial.assert_whole("coordinator killed, three brokers")


def test_coordinator_gone(course: Course, brokers: Cluster) -> None:
    """The offsets of an open transaction are for a coordinator that the cluster has forgotten: the new one is found."""
    trial = course.trial(*PATIENT)
    with trial.standing("produced", 10, *SMALL_STEPS) as detector:
        detector.await_line("standing")
        with down(brokers.coordinator(trial.topics.name)):
            await_true(lambda: brokers.answering() == COUNT - 1, "the cluster knows")
            go_on(detector)
            trial.await_end(detector)
            assert end(detector) == 0
            assert set(troubles(detector)) <= PASSING, detector.log()
            trial.assert_whole("coordinator forgotten, three brokers")
