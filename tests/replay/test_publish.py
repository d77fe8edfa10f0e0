"""The loop, against a sender, a group and a clock of our own."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from detector.errors import BrokerUnavailable
from detector.kafka import Record
from replay.ahead import IDLE
from replay.batch import Batch
from replay.encoding import CHUNK
from replay.leash import Leash, Patience, Pauses, lead
from replay.outbox import UNANSWERED
from replay.plan import Stop
from replay.summary import Stopped
from tests.replay.made import OLDER, WALL, Silence, World, batch_of, cut, replay, row_id


def table(count: int, label: bool = False) -> Batch:
    """Rows of which the first in time is the last in the file; an event each second from 10 on."""
    columns: dict[str, Any] = {"time": np.arange(count)[::-1] + 10.0, "x": np.arange(count) / 7}
    columns |= {"label": np.arange(count) % 2} if label else {}
    return batch_of(pd.DataFrame(columns))


def test_every_row_once_in_order() -> None:
    """Every row is sent once, in the order of event time, over as many batches as it takes."""
    world, count = World(), 2 * CHUNK + 17
    summary = replay(world, table(count)).run()
    assert world.order() == [str(row) for row in reversed(range(count))]
    assert (summary.sent, summary.failed, summary.labels, summary.lateness) == (count, 0, 0, None)
    assert summary.outcome() is None


def test_records() -> None:
    """A record is the row with its key, its format and its number in the file; Kafka's time is that of sending."""
    world = World()
    frame = pd.DataFrame({"x": [0.5], "card": [7]})
    replay(world, batch_of(frame, key="card", format="packed"), format="packed").run()
    record = Record("rows", b"7", np.float32(0.5).tobytes(), [("format", b"packed"), ("row-id", b"0")])
    assert world.sent == [(0.0, record, WALL * 1000)]


def test_label_follows_its_row() -> None:
    """Right after each row comes its label, under the row's number and at the row's time."""
    world = World()
    summary = replay(world, table(2, label=True), "2/s", labels="truth").run()
    assert [(record.topic, row_id(record)) for _, record, _ in world.sent] == [
        ("rows", b"1"),
        ("truth", b"1"),
        ("rows", b"0"),
        ("truth", b"0"),
    ]
    record, stamp = world.sent[3][1:]
    assert json.loads(record.value or b"") == {
        "row_id": "0",
        "label": 0,
        "event_time": "2023-11-14T22:13:20.500Z",
    }
    assert record.headers == []
    assert stamp == world.sent[2][2] == WALL * 1000 + 500
    assert (summary.sent, summary.labels) == (2, 2)


def test_no_labels_wanted() -> None:
    """Without a topic for labels none is sent."""
    world = World()
    assert replay(world, table(3, label=True)).run().labels == 0
    assert len(world.sent) == 3


@pytest.mark.parametrize("speed", ["real", "4x", "1000/s", "3/s", "0.5/s"])
def test_pace_is_kept(speed: str) -> None:
    """Each row is sent when it is due and no earlier, and no later than the client's clock can tell."""
    world = World()
    summary = replay(world, table(40), speed).run()
    due = np.arange(40) / {"real": 1, "4x": 4, "1000/s": 1000, "3/s": 3, "0.5/s": 0.5}[speed]
    late = np.array([at for at, _, _ in world.rows()]) - due
    assert late.min() >= 0
    assert late.max() <= 0.001 + 1e-9
    assert summary.lateness is not None
    assert summary.lateness.most == pytest.approx(late.max())
    assert summary.lateness.late == 0


def test_lateness_is_told() -> None:
    """A sender that is slower than the pace is late, and the summary says by how much at most."""
    world = World()
    world.seconds_to_send = 0.1
    summary = replay(world, table(101), "20/s").run()
    assert summary.lateness is not None
    assert summary.lateness.most == pytest.approx(100 * (0.1 - 0.05), abs=0.2)
    assert summary.lateness.late >= 99
    assert summary.lateness.median() == pytest.approx(50 * (0.1 - 0.05), rel=0.2)
    assert "s late" in summary.text()


@pytest.mark.parametrize(
    ("speed", "original", "wanted"),
    [
        ("max", False, None),
        ("5/s", False, None),
        ("real", False, [0, 500, 2_000]),
        ("10x", False, [0, 50, 200]),
        ("real", True, [1, 500, 2_000]),
        ("max", True, [1, 500, 2_000]),
    ],
)
def test_timestamps(speed: str, original: bool, wanted: list[int] | None) -> None:
    """Event times become now and when the rows are due, or stay the file's; else it is the moment of sending.

    An event at 1970 itself moves by 1 ms: to Kafka's client 0 means that there is no time.
    """
    world = World()
    replay(world, batch_of(pd.DataFrame({"time": [0.0, 0.5, 2.0], "x": 1})), speed, original=original).run()
    moments = [round(1000 * (WALL + at)) for at, _, _ in world.sent]
    now = moments if wanted is None else [WALL * 1000 + one for one in wanted] if not original else wanted
    assert [stamp for _, _, stamp in world.sent] == pytest.approx(now, abs=1)


def test_timestamps_do_not_follow_lateness() -> None:
    """At a factor of event time a late row keeps the time at which it was due."""
    world = World()
    world.seconds_to_send = 7.0
    replay(world, table(4), "real").run()
    assert [stamp - WALL * 1000 for _, _, stamp in world.sent] == [0, 1_000, 2_000, 3_000]


class Reader:
    """A group that commits up to `step` more rows of a partition each time it is asked; never past the end."""

    def __init__(self, world: World, step: int, most: int) -> None:
        self.world, self.step, self.most = world, step, most
        self.done: dict[int, int] = {}
        self.asked = 0

    def committed(self, topic: str, partitions: Sequence[int]) -> dict[int, int]:
        self.asked += 1
        for partition in partitions:
            at = self.done.get(partition, OLDER)
            self.done[partition] = min(at + self.step, self.world.ends[topic, partition])
        return self.done

    def check(self) -> None:
        """Called at each send: the rows handed over and not committed."""
        behind = len(self.world.rows()) - self.world.failed - sum(self.done.values()) + OLDER * len(self.done)
        assert behind <= self.most


@pytest.mark.parametrize(("most", "step"), [(1, 1), (10, 3), (100, 1000), (5000, 700)])
def test_lead_is_never_exceeded(most: int, step: int) -> None:
    """At no send is the replay further ahead of the group than allowed; all rows arrive, refused ones do not count."""
    world = World()
    world.refused = {b"5", b"6", b"1999"}
    group = Reader(world, step, most)
    world.on_send = group.check
    summary = replay(world, table(2000), leash=Leash(most, "g", group, world, "rows")).run()
    assert (summary.sent, summary.failed) == (1997, 3)


def test_lead_counts_labels_as_nothing_once_answered() -> None:
    """Labels use up no lead: with room for one row all rows and labels arrive."""
    world = World()
    leash = Leash(1, "g", Reader(world, 1, 1), world, "rows")
    summary = replay(world, table(50, label=True), labels="truth", leash=leash).run()
    assert (summary.sent, summary.labels) == (50, 50)


def test_group_is_asked_rarely() -> None:
    """The group is asked only where what it allowed before is used up."""
    world = World()
    group = Reader(world, 10_000, 1000)
    replay(world, table(10_000), leash=Leash(1000, "g", group, world, "rows")).run()
    assert group.asked <= 20


def test_waiting_for_a_group_is_shown_and_can_be_stopped() -> None:
    """While a group stands still the watcher reads its name, and a stop ends the wait."""
    world, watch, stop = World(), Silence(), Stop()

    def stop_later() -> None:
        if world.now > 30:
            stop.request()

    world.on_poll = stop_later
    leash = Leash(100, "g", Reader(world, 0, 100), world, "rows")
    summary = replay(world, table(300), watch=watch, stop=stop, leash=leash).run()
    assert (100, "waiting for group g") in {(sent, waiting) for sent, _, waiting in watch.shown}
    assert (summary.sent, summary.interrupted) == (100, True)
    assert world.now == pytest.approx(30, abs=0.2)


@pytest.mark.parametrize(
    ("done", "wanted"),
    [
        ({}, 50 + 7),
        ({0: 0, 1: 0}, 50 + 7),
        ({0: 120, 1: 3}, 30 + 5),
        ({0: 150, 1: 8}, 0),
        ({0: 900, 1: 900}, 0),
    ],
)
def test_lead(done: dict[int, int], wanted: int) -> None:
    """Only rows from the replay's first on count; a partition without a committed offset is not begun."""
    starts, ends = (
        {("rows", 0): 100, ("rows", 1): 1, ("truth", 0): 0},
        {("rows", 0): 150, ("rows", 1): 8, ("truth", 0): 99},
    )
    assert lead(starts, ends, done, "rows") == wanted


def test_stop_flushes() -> None:
    """A stop sends no more rows, waits for the answers of those sent, and the summary says that it was interrupted."""
    world, stop = World(), Stop()
    world.on_send = lambda: stop.request() if len(world.sent) == 10 else None
    summary = replay(world, table(3 * CHUNK), stop=stop).run()
    assert world.pending == []
    assert summary.sent == len(world.sent) == CHUNK
    assert summary.text().startswith("replay: interrupted: sent 1000 rows, failed 0, ")


def test_second_stop_ends_at_once() -> None:
    """Asked twice it waits for nothing; rows without an answer count as failed."""
    world, stop = World(), Stop()
    world.silent = True
    world.on_send = stop.request
    summary = replay(world, table(5), stop=stop).run()
    assert (summary.sent, summary.failed, world.now) == (0, 5, 0)


def test_refused_records_are_counted() -> None:
    """A refused row or label stops nothing; the command fails and says how many failed and the first reason."""
    world = World()
    world.refused = {b"3", b"4"}
    summary = replay(world, table(9, label=True), labels="truth").run()
    assert (summary.sent, summary.failed, summary.labels, summary.failed_labels) == (7, 2, 7, 2)
    failure = summary.outcome()
    assert failure is not None
    assert failure.code == 1
    assert str(failure) == "2 rows and 2 labels were not acknowledged; first: too large"


def test_broker_that_has_gone() -> None:
    """A silent broker is given up after the timeout, at the end as on the way; what it did not answer has failed."""
    for count in (7, 2 * UNANSWERED):
        world, watch = World(), Silence()
        world.silent = True
        summary = replay(world, table(count, label=True), labels="truth", timeout=30.0, watch=watch).run()
        assert world.now == pytest.approx(30, abs=1)
        assert summary.failed == summary.failed_labels == len(world.rows())
        assert summary.failed <= UNANSWERED // 2 + CHUNK
        failure = summary.outcome()
        assert isinstance(failure, BrokerUnavailable)
        assert str(failure).endswith("; first: no answer from the broker within 30 s")
        assert len(watch.said) == 1
        assert watch.said[0].startswith("replay: paused: ")


def test_patience() -> None:
    """Patience begins anew with every answer, and runs only while one is waited for."""
    patience = Patience(60.0)
    assert not patience.over(waiting=0, answered=0, now=100)
    assert not patience.over(waiting=5, answered=0, now=159)
    assert not patience.over(waiting=4, answered=1, now=161)
    assert not patience.over(waiting=4, answered=1, now=220)
    assert patience.over(waiting=4, answered=1, now=221)


def test_pauses_are_told_once() -> None:
    """A wait of more than a second is one line, its end another; a short one is none."""
    said: list[str] = []
    pauses = Pauses(said.append)
    for now, why in [(0.0, "a"), (0.5, "a"), (0.9, ""), (2.0, "b"), (3.0, "b"), (9.0, "c"), (10.0, ""), (11.0, "")]:
        pauses.note(why, now)
    assert said == ["replay: paused: b", "replay: goes on after 8.0 s"]


def test_a_slow_broker_is_told() -> None:
    """A broker that stands still for a while and then answers is one line when the rows wait and one when they go."""
    world, watch = World(), Silence()
    world.silent = True

    def wake() -> None:
        world.silent = world.now < 20

    world.on_poll = wake
    summary = replay(world, table(2 * UNANSWERED), watch=watch).run()
    assert (summary.sent, summary.failed) == (2 * UNANSWERED, 0)
    assert [line.split(":")[1] for line in watch.said] == [" paused", " goes on after 19.9 s"] or len(watch.said) == 2


def test_failure_on_the_way() -> None:
    """Where the group cannot be asked, what was sent is flushed and counted before the command fails."""

    class Broken:
        def committed(self, topic: str, partitions: Sequence[int]) -> dict[int, int]:
            raise BrokerUnavailable("gone")

    world = World()
    summary = replay(world, table(10), leash=Leash(4, "g", Broken(), world, "rows")).run()
    assert (summary.sent, summary.failed) == (4, 0)
    failure = summary.outcome()
    assert isinstance(failure, BrokerUnavailable)


def test_start_at() -> None:
    """With a start the first row is sent at that moment, and the pace counts from there."""
    world, watch = World(), Silence()
    replay(world, table(3), "real", start=int(WALL * 1000) + 7_250, watch=watch).run()
    assert [at for at, _, _ in world.rows()] == pytest.approx([7.25, 8.25, 9.25], abs=0.002)
    assert watch.said == ["replay: starts at 2023-11-14T22:13:27.250Z"]


def test_start_that_is_stopped() -> None:
    """Who is told to end before the start sends nothing."""
    world, stop = World(), Stop()
    world.on_poll = lambda: stop.request() if world.now > 3 else None
    summary = replay(world, table(3), start=int(WALL * 1000) + 7_250, stop=stop).run()
    assert (summary.sent, summary.interrupted) == (0, True)
    assert world.now < 4


def test_where_it_stopped() -> None:
    """A replay that is stopped knows the next row and its event time; one that ends knows of none."""
    world, stop = World(), Stop()
    world.on_send = lambda: stop.request() if len(world.sent) == 10 else None
    summary = replay(world, table(3 * CHUNK), stop=stop).run()
    assert summary.stopped == Stopped(1000, b"1999", (1000 + 10) * 1000)
    assert replay(World(), table(10)).run().stopped is None


def test_stopped_without_answers() -> None:
    """Where not all was answered only what is certain is told: the rows before the last moment without a question."""
    world, stop = World(), Stop()

    def stop_later() -> None:
        world.silent = len(world.sent) > CHUNK
        if len(world.sent) > CHUNK:
            stop.request()

    world.on_poll = stop_later
    summary = replay(world, table(3 * CHUNK), stop=stop, timeout=1.0).run()
    assert summary.stopped == Stopped(CHUNK)
    assert summary.failed == CHUNK


def test_rows_that_are_long_in_coming() -> None:
    """Empty batches between the others change nothing, and a stop is heard between them."""
    world, rows = World(), table(10)
    one = replay(world, rows)
    one._batches = iter([IDLE, *cut(rows, 3), IDLE])
    assert one.run().sent == 10
    world, stop = World(), Stop()

    def endless() -> Iterator[Batch]:
        yield from cut(rows, 3)
        stop.request()
        while True:
            yield IDLE

    one = replay(world, rows, stop=stop)
    one._batches = endless()
    summary = one.run()
    assert (summary.sent, summary.interrupted) == (10, True)


def test_a_stop_before_the_first_row() -> None:
    """Who asks to end before a row has come ends."""
    stop = Stop()
    stop.request()
    one = replay(World(), table(10), stop=stop)
    one._batches = iter([IDLE, IDLE, IDLE])
    assert one.run().sent == 0


def test_a_commit_that_waits_for_the_broker() -> None:
    """Who waits inside a commit goes on waiting until the timeout, and tells once that it does; a stop ends it."""
    world, watch, stop = World(), Silence(), Stop()
    one = replay(world, table(1), timeout=10.0, watch=watch, stop=stop)
    found = []
    for world.now in (0.0, 5.0, 9.9):
        found.append(one.held_up())
    stop.request()
    found.append(one.held_up())
    stop.requests, world.now = 0, 10.1
    found.append(one.held_up())
    assert found == [False, False, False, True, True]
    assert watch.said == ["replay: paused: no answer from the broker"]
