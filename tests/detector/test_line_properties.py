"""The pure line in a group of processes that crash, abort, join and leave: its alerts are the straight loop's.

A group is modelled without Kafka: what a process has read and judged is its own until a transaction lands, which makes
alerts, dead letters and positions visible at once. Whatever ends a process takes the rest with it, and the next owner
of a partition begins at the committed position with statistics rebuilt from the log.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from numpy.typing import NDArray

from detector.artifact import Artifact
from detector.detection import build_alerts, judge
from detector.model import Model
from detector.rebuild import Ranges, rebuild
from detector.rows import Decoder, Message, encode_packed
from detector.statistics import RunningMedianMad
from tests.messages import FakeMessage
from tests.straight_line import Alerts, Shape, StraightLine, low_line, plain

PARTITIONS = 3
SHAPES = [Shape(8, 4, 3), Shape(48, 16, 20), Shape(5, 7, 5), Shape(30, 1, 1), Shape(16, 64, 8)]
Place = tuple[int, int]
"""Partition and offset."""

Marks = list[tuple[str, bytes | None]]
NO_ROWS: list[tuple[bytes | None, Marks]] = [
    (None, []),
    (b"{", []),
    (b"{}", []),
    (b"\xff", []),
    (b"\0" * 7, [("format", b"packed")]),
    (b"{}", [("format", b"xml")]),
]

seeds = st.integers(0, 2**32)
places = st.integers(0, 11)


@dataclass
class Work:
    """What a transaction makes visible: alerts by id, and the places of dead letters."""

    alerts: Alerts = field(default_factory=dict)
    dead: list[Place] = field(default_factory=list)


@dataclass
class Member:
    """A process with all that it loses when it dies. flight: a transaction on its way, and the positions it commits."""

    positions: dict[int, int] = field(default_factory=dict)
    windows: dict[int, RunningMedianMad] = field(default_factory=dict)
    pending: Work = field(default_factory=Work)
    flight: tuple[Work, dict[int, int]] | None = None


@dataclass(frozen=True)
class Stage:
    """What all groups of a test share: the trained line, and rows as packed and as JSON."""

    artifact: Artifact
    model: Model
    packed: list[bytes]
    json: list[bytes]


@pytest.fixture(scope="module")
def stage(cards_artifact: Artifact, cards_model: Model, unseen_rows: NDArray[np.float32]) -> Stage:
    rows = unseen_rows[:400]
    names = cards_artifact.schema.features
    objects = [dict(zip(names, row, strict=True)) for row in rows.astype(float).tolist()]
    return Stage(cards_artifact, cards_model, encode_packed(rows), [json.dumps(one).encode() for one in objects])


def a_log(stage: Stage, rng: np.random.Generator, gap: int, bad: float) -> dict[int, list[Message]]:
    """Partitions whose offsets have gaps as transaction markers and compaction leave them, a share `bad` no rows."""
    log: dict[int, list[Message]] = {}
    for partition in range(PARTITIONS):
        rows = int(rng.integers(0, 200))
        steps = np.where(rng.random(rows) < 0.02, 100, rng.integers(1, gap + 1, rows))
        log[partition] = [a_message(stage, rng, partition, at, bad) for at in np.cumsum(steps).tolist()]
    return log


def a_message(stage: Stage, rng: np.random.Generator, partition: int, offset: int, bad: float) -> Message:
    place, key, when = ("transactions", partition, offset), b"card-%d" % (offset % 9), 1_000_000 + offset
    if rng.random() < bad:
        content, marks = NO_ROWS[rng.integers(len(NO_ROWS))]
        return FakeMessage(content, place, when, key, marks)
    row = int(rng.integers(len(stage.packed)))
    if rng.random() < 0.5:
        return FakeMessage(stage.json[row], place, when, key)
    return FakeMessage(stage.packed[row], place, when, None, [("format", b"packed"), ("row-id", b"%d" % row)])


class Group(RuleBasedStateMachine):
    """Members over one topic. losing: rows expire and are compacted away too, but none that is not yet committed."""

    def __init__(self, stage: Stage, losing: bool) -> None:
        super().__init__()
        self.stage, self.losing = stage, losing
        self.decoder = Decoder(stage.artifact.schema)

    @initialize(
        seed=seeds,
        gap=st.sampled_from([1, 2, 9]),
        bad=st.sampled_from([0.0, 0.3, 0.95]),
        shape=st.sampled_from(SHAPES),
        running=st.booleans(),
    )
    def begin(self, seed: int, gap: int, bad: float, shape: Shape, running: bool) -> None:
        """A log of which some has arrived, and one member."""
        rng = np.random.default_rng(seed)
        self.log = a_log(self.stage, rng, gap, bad)
        self.following = {p: messages[-1].offset() + 1 if messages else 0 for p, messages in self.log.items()}
        line = low_line(self.stage.artifact, running)
        self.straight = StraightLine(self.stage.artifact, self.stage.model, line, shape)
        self.wanted = {} if self.losing else self.straight.over(self.log)
        self.bad = [
            (p, message.offset())
            for p, messages in self.log.items()
            for message in messages
            if isinstance(self.straight.read(message), str)
        ]
        self.ends, self.lows, self.committed = (dict.fromkeys(self.log, 0) for _ in range(3))
        self.past: dict[int, list[tuple[int, float]]] = {}
        self.visible = Work()
        self.members: list[Member] = []
        self.join(0)
        for partition in self.log:
            self.arrive(partition, int(rng.integers(1, 100)))

    # --- what the log does

    @rule(partition=st.integers(0, PARTITIONS - 1), rows=st.integers(1, 150))
    def arrive(self, partition: int, rows: int) -> None:
        """Messages arrive, and perhaps a marker behind them."""
        there = [message.offset() for message in self.log[partition] if message.offset() >= self.ends[partition]]
        self.ends[partition] = there[rows] if rows < len(there) else self.following[partition] + 1

    @precondition(lambda self: self.losing)
    @rule(partition=st.integers(0, PARTITIONS - 1), share=st.floats(0, 1))
    def expire(self, partition: int, share: float) -> None:
        """The log's beginning moves up."""
        low = self.lows[partition]
        self.lows[partition] += int(share * (self.committed[partition] - low))
        self.keep(partition, lambda offset: offset >= self.lows[partition])

    @precondition(lambda self: self.losing)
    @rule(partition=st.integers(0, PARTITIONS - 1), seed=seeds)
    def compact(self, partition: int, seed: int) -> None:
        """Some rows give way to later ones of their key."""
        rng = np.random.default_rng(seed)
        self.keep(partition, lambda offset: offset >= self.committed[partition] or rng.random() < 0.7)

    def keep(self, partition: int, stays: Callable[[int], bool]) -> None:
        self.log[partition] = [message for message in self.log[partition] if stays(message.offset())]

    # --- what a member does

    def member(self, who: int) -> Member:
        return self.members[who % len(self.members)]

    @rule(who=places, most=st.integers(1, 120), seed=seeds)
    def work(self, who: int, most: int, seed: int) -> None:
        """A member reads a batch, its partitions interleaved as they come, and judges it."""
        member, rng = self.member(who), np.random.default_rng(seed)
        batch = self.read(member.positions, self.ends, most, rng)
        for message in batch:
            member.positions[message.partition()] = message.offset() + 1
        if len(batch) < most:  # the end of every partition was seen, behind its last marker
            member.positions = {p: max(at, self.ends[p]) for p, at in member.positions.items()}
        if self.losing:
            self.judge_straight(batch)
        rows, rejects = self.decoder.decode(batch)
        scores = self.stage.model.score(rows.matrix)
        verdicts = judge(rows, scores, self.straight.line, member.windows.__getitem__)
        for alert, _ in build_alerts(rows, verdicts, self.stage.model, self.stage.artifact, "now"):
            assert alert.id not in member.pending.alerts
            member.pending.alerts[alert.id] = plain(alert)
        member.pending.dead += [(one.message.partition(), one.message.offset()) for one in rejects]

    def judge_straight(self, batch: Sequence[Message]) -> None:
        """What the batch must come to for an owner who found in the log what was there when its partition came."""
        for message in batch:
            past = self.past[message.partition()]
            alert = self.straight.alert(message, past)
            name = f"transactions/{message.partition()}/{message.offset()}"
            self.wanted.pop(name, None)
            if alert is not None:
                self.wanted[name] = alert
            past += self.straight.past([message])

    def read(self, starts: dict[int, int], ends: dict[int, int], most: int, rng: np.random.Generator) -> list[Message]:
        """Up to `most` messages from there on, in their partitions' order."""
        left = {p: [m for m in self.log[p] if start <= m.offset() < ends[p]] for p, start in starts.items()}
        order = rng.permutation([p for p, messages in left.items() for _ in messages])[:most]
        return [left[int(partition)].pop(0) for partition in order]

    @rule(who=places, most=st.integers(1, 120), seed=seeds)
    def turn(self, who: int, most: int, seed: int) -> None:
        """A batch in a transaction of its own, visible at once."""
        self.work(who, most, seed)
        self.commit(who)
        self.settle(who)

    @rule(who=places)
    def commit(self, who: int) -> None:
        """What is pending goes on its way; what was, lands."""
        member = self.member(who)
        self.settle(who)
        member.flight, member.pending = (member.pending, dict(member.positions)), Work()

    @rule(who=places)
    def settle(self, who: int) -> None:
        """A transaction lands: alerts, dead letters and positions at once."""
        member = self.member(who)
        if member.flight is not None:
            (work, positions), member.flight = member.flight, None
            assert not work.alerts.keys() & self.visible.alerts.keys()
            self.visible.alerts |= work.alerts
            self.visible.dead += work.dead
            self.committed |= positions

    @rule(who=places, seed=seeds)
    def abort(self, who: int, seed: int) -> None:
        """A transaction is aborted: what was not visible is read again, from the committed positions on."""
        member = self.member(who)
        member.flight, member.pending = None, Work()
        self.assign(member, list(member.positions), seed)

    @rule(who=places, seed=seeds, landed=st.booleans())
    def crash(self, who: int, seed: int, landed: bool) -> None:
        """A process dies; of a transaction on its way none can tell whether it landed."""
        member = self.member(who)
        if landed:
            self.settle(who)
        self.members.remove(member)
        if not self.members:
            self.members.append(Member())
        self.rebalance(seed)

    @rule(seed=seeds)
    def join(self, seed: int) -> None:
        """Another process comes."""
        if len(self.members) < PARTITIONS:
            self.members.append(Member())
            self.rebalance(seed)

    @precondition(lambda self: len(self.members) > 1)
    @rule(who=places, seed=seeds)
    def leave(self, who: int, seed: int) -> None:
        """A process ends as it should: it commits what it has, and goes."""
        self.commit(who)
        self.settle(who)
        self.members.remove(self.member(who))
        self.rebalance(seed)

    def rebalance(self, seed: int) -> None:
        """Each partition goes to any member; who loses one commits first, who keeps one keeps its statistics."""
        rng = np.random.default_rng(seed)
        owners = {partition: int(rng.integers(len(self.members))) for partition in self.log}
        for who, member in enumerate(self.members):
            if gone := [partition for partition in member.positions if owners[partition] != who]:
                self.commit(who)
                self.settle(who)
                for partition in gone:
                    del member.positions[partition], member.windows[partition]
        for who, member in enumerate(self.members):
            here = [partition for partition, owner in owners.items() if owner == who]
            self.assign(member, [partition for partition in here if partition not in member.positions], seed)

    def assign(self, member: Member, partitions: list[int], seed: int) -> None:
        """Partitions come to a member, or are read again by it: their statistics are made from what is in the log."""
        rng = np.random.default_rng(seed)
        starts = {partition: self.committed[partition] for partition in partitions}

        def read_back(ranges: Ranges) -> Iterator[list[Message]]:
            position = {partition: start for partition, (start, _) in ranges.items()}
            ends = {partition: end for partition, (_, end) in ranges.items()}
            while batch := self.read(position, ends, int(rng.integers(1, 90)), rng):
                yield batch
                position |= {message.partition(): message.offset() + 1 for message in batch}

        new = rebuild(
            starts, self.lows.__getitem__, read_back, self.decoder, self.stage.model, self.straight.shape.statistics
        )
        member.windows |= new
        member.positions |= starts
        for partition, start in starts.items():
            there = [message for message in self.log[partition] if message.offset() < start]
            self.past[partition] = self.straight.past(there) if self.losing else []

    # --- what must hold

    @invariant()
    def visible_is_what_was_committed(self) -> None:
        """What is visible is what the straight loop says of all below the committed positions: each once, no more."""
        wanted = {name: one for name, one in self.wanted.items() if self.below(one["source"])}
        assert self.visible.alerts == wanted
        assert sorted(self.visible.dead) == [(p, offset) for p, offset in self.bad if offset < self.committed[p]]

    def below(self, source: dict[str, Any]) -> bool:
        return bool(source["offset"] < self.committed[source["partition"]])

    def teardown(self) -> None:
        """All that is left arrives and is worked off; then every alert is there."""
        for partition in range(PARTITIONS):
            self.arrive(partition, 10_000)
        for who in range(len(self.members)):
            self.work(who, 10_000, 0)
            self.commit(who)
            self.settle(who)
        assert self.committed == self.ends
        assert self.visible.alerts == self.wanted
        assert sorted(self.visible.dead) == self.bad


def play(stage: Stage, losing: bool) -> None:
    """Tries groups of one kind."""

    class Played(Group):
        def __init__(self) -> None:
            super().__init__(stage, losing)

    run_state_machine_as_test(Played, settings=settings(max_examples=40, stateful_step_count=40))


def test_crashes_do_not_show(stage: Stage) -> None:
    """Any batches, members, rebalances, aborts and crashes, gaps and rejects: the straight loop's alerts, each once."""
    play(stage, losing=False)


def test_a_window_holds_the_rows_that_are_there(stage: Stage) -> None:
    """Where rows expire or are compacted away, a new owner's windows hold those that were there when it came.

    An owner that read a row keeps it: what is lost afterwards does not show before the partition moves, or is rewound.
    """
    play(stage, losing=True)


@pytest.mark.parametrize(("low", "same_from"), [(0, 130), (80, 130), (81, 144), (100, 160), (130, 192)])
def test_what_expired_before_a_crash_is_missed_for_a_window(stage: Stage, low: int, same_from: int) -> None:
    """The log's beginning moved up to `low`, the owner of 130 dies: only rows that would see lower ones may differ.

    A row sees 48 rows below its multiple of 16: at 130 those from 80 on. From the first multiple on that has 48 rows
    between itself and `low`, nothing of the loss is left.
    """
    shape = Shape(48, 16, 20)
    straight = StraightLine(stage.artifact, stage.model, low_line(stage.artifact, running=True), shape)
    marks = [("format", b"packed")]
    log: list[Message] = [
        FakeMessage(content, ("transactions", 0, at), at, None, marks) for at, content in enumerate(stage.packed[:240])
    ]
    calm = straight.over({0: log})
    decoder = Decoder(stage.artifact.schema)
    windows = rebuild(
        {0: 130}, lambda _: low, lambda at: iter([log[slice(*at[0])]]), decoder, stage.model, shape.statistics
    )
    rows, _ = decoder.decode(log[130:])
    verdicts = judge(rows, stage.model.score(rows.matrix), straight.line, windows.__getitem__)
    alerts = [plain(one) for one, _ in build_alerts(rows, verdicts, stage.model, stage.artifact, "now")]
    past = straight.past(log[low:130])
    wanted = judged(straight, log[130:], past)
    assert alerts == [one for _, one in wanted]
    different = [at for at, one in wanted if calm.get(one["id"]) != one]
    assert all(at < same_from for at in different)
    assert different or same_from == 130


def judged(
    straight: StraightLine, messages: Sequence[Message], past: Sequence[tuple[int, float]]
) -> list[tuple[int, dict[str, Any]]]:
    """The alerts of messages behind such a past, with their offsets."""
    found, seen = [], list(past)
    for message in messages:
        if (alert := straight.alert(message, seen)) is not None:
            found.append((message.offset(), alert))
        seen += straight.past([message])
    return found
