"""Labels that come when life would tell them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from detector.alerts import iso
from replay.batch import Batch
from replay.labels import Delay, Pending, Truth, parse
from replay.plan import Stop
from replay.stages import skipped
from tests.replay.made import WALL, World, batch_of, cut, replay, row_id

DAY = 86_400_000


@pytest.mark.parametrize(
    ("text", "delay"),
    [
        ("", Delay()),
        ("7d", Delay(7 * DAY)),
        ("1.5h", Delay(5_400_000)),
        ("90m", Delay(5_400_000)),
        ("45s", Delay(45_000)),
        ("250ms", Delay(250)),
        ("exp:2d", Delay(2 * DAY, drawn=True)),
    ],
)
def test_delays(text: str, delay: Delay) -> None:
    """A delay is a number with a unit, or the mean of an exponential one."""
    assert parse(text) == delay


@pytest.mark.parametrize("text", ["7", "d", "-1d", "7 d", "exp:", "exp2d", "1e3s", "7days"])
def test_no_delays(text: str) -> None:
    """Anything else is refused with the forms that are wanted."""
    with pytest.raises(ValueError, match=r"is no delay; 7d, .* wanted"):
        parse(text)


def table(count: int, step: float = 1.0) -> Batch:
    """Rows 0, 1, ... an event each `step` seconds from 1,000,000 on; every third is anomalous."""
    frame = pd.DataFrame({"time": 1_000_000 + np.arange(count) * step, "x": 1.0, "label": np.arange(count) % 3 // 2})
    return batch_of(frame)


def told(world: World) -> list[tuple[float, str, int]]:
    """When each label came, of which row, and its truth."""
    return [(at, row_id(record).decode(), json.loads(record.value or b"")["label"]) for at, record, _ in world.labels()]


def pending(**given: Any) -> Pending:
    return Pending(Truth(**given))


def test_a_delay_scales_with_the_pace() -> None:
    """At 10x a label of 30 s comes three seconds after its row, at its own time; the last ones after the last row."""
    world = World()
    summary = replay(world, table(50), "10x", labels="truth", pending=pending(delay=Delay(30_000))).run()
    assert (summary.sent, summary.labels, summary.failed_labels) == (50, 50, 0)
    assert [row for _, row, _ in told(world)] == [str(row) for row in range(50)]
    assert [truth for _, _, truth in told(world)] == [row % 3 // 2 for row in range(50)]
    late = np.array([at for at, _, _ in told(world)]) - (np.arange(50) / 10 + 3)
    assert late.min() >= -1e-9
    assert late.max() <= 0.002
    stamps = [stamp - WALL * 1000 for _, _, stamp in world.labels()]
    assert stamps == pytest.approx([row * 100 + 3_000 for row in range(50)], abs=1)
    events = [json.loads(record.value or b"")["event_time"] for _, record, _ in world.labels()]
    assert events[:2] == ["2023-11-14T22:13:20.000Z", "2023-11-14T22:13:20.100Z"]


@pytest.mark.parametrize("speed", ["max", "100/s"])
def test_a_delay_without_a_pace_of_its_own(speed: str) -> None:
    """Where event time sets no pace a label comes once rows of its due time have been sent, and never before."""
    world = World()
    replay(world, table(3000), speed, labels="truth", pending=pending(delay=Delay(700_000))).run()
    reached, order = -1, []
    for _, record, _ in world.sent:
        number = int(row_id(record))
        if record.topic == "rows":
            reached = number
        else:
            order.append(number)
            assert reached >= min(number + 700, 2999)
    assert order == list(range(3000))


def test_original_times() -> None:
    """With the file's own times a label happens when it was due in them."""
    world = World()
    replay(world, table(3), labels="truth", original=True, pending=pending(delay=Delay(DAY))).run()
    assert [stamp for _, _, stamp in world.labels()] == [1_000_000_000 + row * 1000 + DAY for row in range(3)]
    first = json.loads(world.labels()[0][1].value or b"")
    assert first["event_time"] == "1970-01-12T13:46:40.000Z"


def test_drawn_delays() -> None:
    """Exponential delays have their mean, come in the order of their due time, and are the same for a seed."""
    truth = Truth(Delay(1_000_000, drawn=True), seed=3)
    names = table(4000).row_ids
    drawn = truth.delays(names)
    assert drawn.mean() == pytest.approx(1_000_000, rel=0.06)
    assert np.median(drawn) == pytest.approx(1_000_000 * np.log(2), rel=0.08)
    assert (truth.delays(names[::-1]) == drawn[::-1]).all()
    assert (Truth(truth.delay, seed=4).delays(names) != drawn).any()
    world = World()
    replay(world, table(400), "100x", labels="truth", pending=Pending(truth)).run()
    due = {str(row): row * 1000 + int(delay) for row, delay in enumerate(drawn[:400])}
    assert [row for _, row, _ in told(world)] == sorted(due, key=lambda row: (due[row], int(row)))


def test_a_share_of_the_labels() -> None:
    """With a share some rows are never told about, the same ones for a seed, whatever the batches."""
    found = []
    for speed in ("max", "real"):
        world = World()
        summary = replay(world, table(2000), speed, labels="truth", pending=pending(share=0.25, seed=1)).run()
        assert (summary.sent, summary.labels) == (2000, len(world.labels()))
        found.append([row for _, row, _ in told(world)])
    assert found[0] == found[1]
    assert len(found[0]) == pytest.approx(500, abs=60)
    assert found[0] == sorted(found[0], key=int)


def test_a_share_without_event_times() -> None:
    """Rows without event times have labels too, after their rows."""
    world = World()
    rows = batch_of(pd.DataFrame({"x": np.arange(50), "label": np.arange(50) % 2}))
    assert replay(world, rows, labels="truth", pending=pending(share=0.5)).run().labels == len(world.labels()) > 10


def test_ctrl_c_ends_the_wait_for_labels() -> None:
    """Labels that are due in a week are not waited for by who asks to end."""
    world, stop = World(), Stop()
    world.on_poll = lambda: stop.request() if world.now > 100 else None
    summary = replay(world, table(5), "real", labels="truth", pending=pending(delay=Delay(7 * DAY)), stop=stop).run()
    assert (summary.sent, summary.labels, summary.interrupted) == (5, 0, True)
    assert world.now < 101


@pytest.mark.parametrize("speed", ["max", "50x"])
@pytest.mark.parametrize("cut_at", [0, 1, 333, 999, 1000])
def test_who_goes_on_sends_what_is_left(speed: str, cut_at: int) -> None:
    """Cut after any row, the labels of a second process and those of the first are all, each once."""
    truth, rows = Truth(Delay(200_000, drawn=True), share=0.8), table(1000)
    want = World()
    replay(want, rows, speed, labels="truth", pending=Pending(truth)).run()
    first, stop = World(), Stop()
    first.on_send = lambda: stop.request() if len(first.rows()) >= cut_at else None
    one = replay(first, rows, speed, labels="truth", pending=Pending(truth), stop=stop)
    if cut_at:
        one.run()
    second = World()
    after = one.outbox.label
    second.now = first.now + 3600
    other = replay(second, rows, speed, labels="truth", pending=Pending(truth, after))
    other.outbox._legs = [one.outbox.leg()]
    other._batches = skipped(one.outbox.sent, other.outbox.remember)(cut(rows))
    other.outbox._before = one.outbox.sent
    other.run()
    assert first.order() + second.order() == want.order()
    stamps = {row_id(record).decode(): stamp for world in (first, second) for _, record, stamp in world.rows()}
    assert all(
        json.loads(record.value or b"")["event_time"] == iso(stamps[row_id(record).decode()])
        for _, record, _ in second.labels()
    )
    both = [row for _, row, _ in told(first)] + [row for _, row, _ in told(second)]
    assert both == [row for _, row, _ in told(want)]
