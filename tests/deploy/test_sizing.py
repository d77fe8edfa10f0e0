"""The simulation behind the page on sizing, against what can be worked out by hand."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.kubernetes import sizing
from deploy.kubernetes.simulation import (
    NOBODY,
    STEP_SECONDS,
    Autoscaler,
    Faults,
    Fleet,
    Load,
    Scaler,
    Scenario,
    simulate,
)

TEN_MICROS = np.array([1e-5])
"""A member that takes 100,000 rows a second, always."""


def scenario(load: Load, scaler: Scaler, faults: Faults | None = None) -> Scenario:
    """One whose service times are given."""
    return Scenario("", "", load, scaler, faults or Faults(handover_seconds=0))


def one(count: int = 1) -> Scaler:
    """So many members, whatever comes."""
    return Scaler(least=count, most=count)


def test_fast_enough_is_never_behind() -> None:
    """Members that take more than comes have nothing left over at any step's end."""
    course = simulate(scenario(Load(rate=90_000, partitions=4), one()), TEN_MICROS, 600)
    assert course.rows.max() == pytest.approx(0, abs=1e-3)
    assert course.seconds.max() == 0


def test_too_slow_falls_behind_by_what_it_lacks() -> None:
    """What a member cannot take stays, row by row; the lag is the age of the oldest of it."""
    course = simulate(scenario(Load(rate=150_000, partitions=4), one()), TEN_MICROS, 600)
    assert course.left == pytest.approx(50_000 * 600)
    assert course.seconds[-1] == pytest.approx(600 / 3, abs=STEP_SECONDS)


def test_a_burst_leaves_its_surplus() -> None:
    """The most that waits is what a burst brings beyond what is taken meanwhile, and it is worked off afterwards."""
    load = Load(rate=50_000, partitions=6, burst=6, burst_every=900, burst_seconds=100)
    course = simulate(scenario(load, one(2)), TEN_MICROS, 900)
    assert course.rows.max() == pytest.approx(100_000 * 100, rel=1e-3)
    assert course.left == pytest.approx(0, abs=1e-3)


def test_a_partition_has_one_owner() -> None:
    """More members than partitions take no more: the rest have nothing to do."""
    course = simulate(scenario(Load(rate=300_000, partitions=2), one(8)), TEN_MICROS, 100)
    assert course.left == pytest.approx(100_000 * 100)


def test_the_fullest_partition_decides() -> None:
    """A partition that gets twice the mean is behind while the others are not."""
    load = Load(rate=300_000, partitions=4, skew=2)
    assert load.shares().sum() == pytest.approx(1)
    course = simulate(scenario(load, one(4)), TEN_MICROS, 100)
    assert course.left == pytest.approx(50_000 * 100)


@pytest.mark.parametrize(("members", "worst"), [(1, 40.0), (3, 10.0)])
def test_a_death_stands_for_as_long_as_it_is_missed(members: int, worst: float) -> None:
    """A member's partitions stand until it is missed; alone, until it is back."""
    faults = Faults(between=600, missed_seconds=10, restart_seconds=40, handover_seconds=0)
    course = simulate(scenario(Load(rate=1_000, partitions=6), one(members), faults), TEN_MICROS, 1200, seed=1)
    assert course.members.min() == members - 1
    assert worst - STEP_SECONDS <= course.seconds.max() <= worst + 2 * STEP_SECONDS


def test_the_same_seed_is_the_same_course() -> None:
    """Nothing but the seed is drawn from."""
    told = scenario(Load(rate=90_000, partitions=4, burst=3), one(2), Faults(between=100))
    times = np.array([1e-5, 2e-5])
    first, again, other = (simulate(told, times, 600, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.rows, again.rows)
    assert not np.array_equal(first.rows, other.rows)


def test_the_autoscaler_follows_the_lag() -> None:
    """Twice as many at most at a time, and never beyond the most; down one by one, long after the lag has gone."""
    scaler = Autoscaler(Scaler(least=2, most=7, threshold=100))
    assert scaler.turn(0, 0) == 2
    assert [scaler.turn(now, 10_000) for now in (5, 20, 40)] == [2, 4, 7]
    counts = [scaler.turn(now, 0) for now in range(50, 1000, 10)]
    assert counts[:29] == [7] * 29  # what was wanted 300 s ago still counts
    assert counts[-1] == 2
    assert set(np.diff(counts)) == {0, -1}


@given(st.integers(1, 12), st.lists(st.one_of(st.integers(1, 6), st.just(0)), max_size=12))
def test_partitions_are_shared(partitions: int, story: list[int]) -> None:
    """Whoever comes, leaves or dies: each partition has one owner who is there, and nobody two more than another."""
    fleet, now = Fleet(partitions, Faults()), 0.0
    fleet.want(1, now, 0)
    fleet.turn(now)
    for count in story:
        now += 100
        if count:
            fleet.want(count, now, 0)
        elif fleet.up:
            fleet.kill(min(fleet.up), now)
        fleet.turn(now)
        fleet.turn(now + 50)  # the dead are missed, and back
        owners = Counter(fleet.owner.tolist())
        assert NOBODY not in owners
        assert owners.keys() <= fleet.up
        shares = [owners[member] for member in fleet.up]
        assert max(shares) - min(shares) <= 1


def test_who_stays_keeps() -> None:
    """A member that comes takes no more than its share, and nothing changes hands between those that stay."""
    fleet = Fleet(12, Faults())
    fleet.want(3, 0, 0)
    fleet.turn(0)
    before = fleet.owner.copy()
    fleet.want(4, 1, 0)
    fleet.turn(1)
    moved = fleet.owner != before
    assert moved.sum() == 3
    assert set(fleet.owner[moved]) == {3}


def test_the_measured_times_are_there() -> None:
    """The page's table stands on measured steps of the same length, some dozens of each form."""
    found = sizing.measured()
    assert {one.form for one in sizing.SCENARIOS} == found.keys()
    assert all(len(times) >= 5 and (times > 0).all() for times in found.values())


@pytest.mark.long
def test_the_page_has_the_table() -> None:
    """The page shows what the simulation says now."""
    page = sizing.PAGE.read_text()
    assert page == sizing.filled(page, sizing.table(sizing.SCENARIOS)), "run `python -m deploy.kubernetes.sizing`"


def test_the_table() -> None:
    """A line for each scenario, with as many cells as the head has."""
    lines = sizing.table(sizing.SCENARIOS[:2], 60).splitlines()
    assert len(lines) == 4
    assert {line.count("|") for line in lines} == {len(sizing.HEAD) + 1}
