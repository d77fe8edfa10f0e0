"""A fleet of detectors in time: measured service times, bursts, deaths, an autoscaler; how far behind it falls.

Time goes in steps of STEP_SECONDS, over which the service times were measured too. A partition's rows come at its share
of the rate and are taken by its owner, who shares a step among its partitions by what waits in each. The broker is not
part of it: it is taken to be wide enough.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
STEP_SECONDS = 0.5
NOBODY = -1


@dataclass(frozen=True, kw_only=True)
class Load:
    """rate: rows a second. Every `burst_every` seconds it is `burst` times as much, for `burst_seconds`.

    partitions: over which they come. skew: the largest partition's rate, in times the mean.
    """

    rate: float
    partitions: int
    burst: float = 1.0
    burst_every: float = 900.0
    burst_seconds: float = 120.0
    skew: float = 1.0

    def at(self, seconds: Floats) -> Floats:
        """Rows a second at each time (n,); a period's burst is in its middle."""
        place = seconds % self.burst_every
        begin = (self.burst_every - self.burst_seconds) / 2
        return self.rate * np.where((place >= begin) & (place < begin + self.burst_seconds), self.burst, 1.0)

    def shares(self) -> Floats:
        """Each partition's share of the rows (partitions,)."""
        rest = (self.partitions - self.skew) / max(self.partitions - 1, 1)
        return np.array([self.skew, *[rest] * (self.partitions - 1)])[: self.partitions] / self.partitions


@dataclass(frozen=True, kw_only=True)
class Faults:
    """Every `between` seconds, exponentially, a member is killed; its partitions stand for `missed_seconds`.

    restart_seconds: until it is back. handover_seconds: how long a partition stands that changes hands, whose window is
    made anew. missed_seconds is the group's session.timeout.ms.
    """

    between: float = math.inf
    missed_seconds: float = 10.0
    restart_seconds: float = 20.0
    handover_seconds: float = 0.5


@dataclass(frozen=True, kw_only=True)
class Scaler:
    """KEDA on the group's lag, and the autoscaler behind it: lag / threshold members, between least and most.

    It looks every `polling` seconds, at most doubles in `up_seconds`, goes down one in `down_seconds` to the most that
    was wanted in the last `stable` seconds; a new member works after `start_seconds`.
    """

    least: int
    most: int
    threshold: float = 200_000
    polling: float = 10.0
    up_seconds: float = 15.0
    down_seconds: float = 60.0
    stable: float = 300.0
    start_seconds: float = 20.0


class Scenario(NamedTuple):
    """What is simulated. form: of the rows, whose service times hold."""

    name: str
    form: str
    load: Load
    scaler: Scaler
    faults: Faults = Faults()


@dataclass(frozen=True, slots=True)
class Course:
    """Step by step (n,): seconds that the last partition is behind, rows that all are, members at work.

    left: rows behind at the end.
    """

    seconds: Floats
    rows: Floats
    members: Floats
    left: float


@dataclass
class Fleet:
    """Which member has which partition, and which partitions stand still until when.

    back: by member, when it is there again (or for the first time); gone: until when its death is not noticed.
    """

    partitions: int
    faults: Faults
    owner: NDArray[np.int64] = field(init=False)
    standing: Floats = field(init=False)
    up: set[int] = field(default_factory=set)
    back: dict[int, float] = field(default_factory=dict)
    gone: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.owner = np.full(self.partitions, NOBODY, np.int64)
        self.standing = np.zeros(self.partitions)

    def want(self, count: int, now: float, start_seconds: float) -> None:
        """Members 0 to count - 1: new ones come after start_seconds, the last ones leave at once, in good order."""
        for member in range(count):
            if member not in self.up and member not in self.back:
                self.back[member] = now + start_seconds
        surplus = {member for member in self.up | self.back.keys() if member >= count}
        self.back = {member: when for member, when in self.back.items() if member not in surplus}
        if surplus & self.up:
            self.up -= surplus
            self._share(now)

    def kill(self, member: int, now: float) -> None:
        """A member dies: it is missed after a while, and comes back after another."""
        self.up.discard(member)
        self.gone[member] = now + self.faults.missed_seconds
        self.back[member] = now + self.faults.restart_seconds
        self.standing[self.owner == member] = self.gone[member]

    def turn(self, now: float) -> None:
        """Those who are due come, or are missed; then the partitions are shared anew."""
        came = {member for member, when in self.back.items() if when <= now}
        missed = {member for member, when in self.gone.items() if when <= now}
        if came or missed:
            self.up |= came
            self.back = {member: when for member, when in self.back.items() if member not in came}
            self.gone = {member: when for member, when in self.gone.items() if member not in missed}
            self._share(now)

    def _share(self, now: float) -> None:
        """As evenly as can be, moving as few as can be; what a member has who is not yet missed stays its own."""
        held = self.up | self.gone.keys()
        self.owner[~np.isin(self.owner, list(held))] = NOBODY
        if not self.up:
            return
        whose = {member: np.flatnonzero(self.owner == member).tolist() for member in self.up}
        ranked = sorted(whose, key=lambda member: (-len(whose[member]), member))
        fewest, more = divmod(int((self.owner == NOBODY).sum()) + sum(map(len, whose.values())), len(self.up))
        quota = {member: fewest + (place < more) for place, member in enumerate(ranked)}
        free = deque(np.flatnonzero(self.owner == NOBODY).tolist())
        for member in ranked:
            free.extend(whose[member][quota[member] :])
        for member in reversed(ranked):
            for partition in [free.popleft() for _ in range(max(quota[member] - len(whose[member]), 0))]:
                self.owner[partition] = member
                self.standing[partition] = max(self.standing[partition], now) + self.faults.handover_seconds


@dataclass
class Autoscaler:
    """What a Scaler does in time."""

    rule: Scaler
    count: int = 0
    asked: float = -math.inf
    raised: float = -math.inf
    lowered: float = -math.inf
    wanted: deque[tuple[float, int]] = field(default_factory=deque)

    def turn(self, now: float, lag: float) -> int:
        """How many members there shall be, with so many rows behind."""
        r = self.rule
        self.count = self.count or r.least
        if now - self.asked < r.polling:
            return self.count
        self.asked = now
        want = min(max(math.ceil(lag / r.threshold), r.least), r.most)
        self.wanted.append((now, want))
        while self.wanted[0][0] < now - r.stable:
            self.wanted.popleft()
        if want > self.count and now - self.raised >= r.up_seconds:
            self.count, self.raised = min(want, 2 * self.count), now
        elif max(one for _, one in self.wanted) < self.count and now - self.lowered >= r.down_seconds:
            self.count, self.lowered = self.count - 1, now
        return self.count


def simulate(scenario: Scenario, row_seconds: Floats, seconds: float, seed: int = 0) -> Course:
    """The course of a scenario.

    row_seconds (k,): seconds a row of one busy member, as measured over steps of STEP_SECONDS; each member draws one
    in each step. The same seed gives the same course.
    """
    load, faults = scenario.load, scenario.faults
    rng = np.random.default_rng(seed)
    times: Floats = np.arange(1, int(seconds / STEP_SECONDS) + 1, dtype=np.float64) * STEP_SECONDS
    come = np.cumsum(load.at(times)) * STEP_SECONDS
    shares = load.shares()
    fleet, scaler, done = Fleet(load.partitions, faults), Autoscaler(scenario.scaler), np.zeros(load.partitions)
    fleet.want(scenario.scaler.least, 0, 0)
    dies = rng.exponential(faults.between) if math.isfinite(faults.between) else math.inf
    behind, rows, members = np.zeros((3, len(times)))
    for step, now in enumerate(times):
        if now >= dies and fleet.up:
            fleet.kill(int(rng.choice(sorted(fleet.up))), now)
            dies = now + rng.exponential(faults.between)
        fleet.turn(now)
        waiting = come[step] * shares - done
        done += _taken(fleet, waiting, rng.choice(row_seconds, max(fleet.up, default=0) + 1), now)
        waiting = come[step] * shares - done
        fleet.want(scaler.turn(now, float(waiting.sum())), now, scenario.scaler.start_seconds)
        behind[step] = now - np.interp(done / shares, come, times).min() if waiting.max() >= 1 else 0.0
        rows[step], members[step] = waiting.sum(), len(fleet.up)
    return Course(behind, rows, members, float(rows[-1]))


def _taken(fleet: Fleet, waiting: Floats, row_seconds: Floats, now: float) -> Floats:
    """Rows of each partition (partitions,) that its owner scores in one step."""
    able = np.zeros(max(len(row_seconds), int(fleet.owner.max()) + 1))
    up = list(fleet.up)
    able[up] = STEP_SECONDS / row_seconds[up]
    open_ = np.where((fleet.standing <= now) & (fleet.owner != NOBODY), waiting, 0.0)
    here = np.bincount(fleet.owner[fleet.owner != NOBODY], open_[fleet.owner != NOBODY], len(able))
    part = np.minimum(np.divide(able, here, out=np.ones_like(able), where=here > 0), 1.0)
    return np.where(fleet.owner != NOBODY, open_ * part[fleet.owner], 0.0)
