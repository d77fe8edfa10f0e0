"""When rows are due."""

from __future__ import annotations

import numpy as np
import pytest

from replay.pace import Schedule, Speed, parse

EVENT = np.array([5_000, 5_000, 8_000, 65_000])


@pytest.mark.parametrize(
    ("text", "speed"),
    [
        ("max", Speed()),
        ("1000/s", Speed(rate=1000)),
        ("0.5/s", Speed(rate=0.5)),
        ("60x", Speed(factor=60)),
        ("1.5x", Speed(factor=1.5)),
        ("real", Speed(factor=1)),
    ],
)
def test_speeds(text: str, speed: Speed) -> None:
    """A speed is no pace, a rate of rows, or a factor on event time; real is a factor of 1."""
    assert parse(text) == speed


@pytest.mark.parametrize(
    "text", ["", "fast", "1000", "1000/m", "0/s", "0x", "-1x", "1e3/s", "60 x", "x", "nanx", "maximum"]
)
def test_no_speed(text: str) -> None:
    """Anything else, and a speed of nothing, is refused with the forms that are wanted."""
    with pytest.raises(ValueError, match=r"is no speed; max .* N/s .* Kx .* real .* wanted"):
        parse(text)


@pytest.mark.parametrize(
    ("text", "due"),
    [
        ("max", [0, 0, 0, 0]),
        ("4/s", [0, 0.25, 0.5, 0.75]),
        ("real", [0, 0, 3, 60]),
        ("60x", [0, 0, 0.05, 1]),
    ],
)
def test_due(text: str, due: list[float]) -> None:
    """The first row is due at the start, the others at their place in the rate or at their event time by the factor."""
    schedule = Schedule(parse(text))
    assert schedule.due(4, schedule.moments(EVENT)).tolist() == pytest.approx(due)


@pytest.mark.parametrize("text", ["max", "4/s", "real", "60x"])
def test_batches_make_no_difference(text: str) -> None:
    """Due times go on from batch to batch as if there were but one."""
    whole, parts = Schedule(parse(text)), Schedule(parse(text))
    wanted = whole.due(4, whole.moments(EVENT))
    found = [parts.due(len(part), parts.moments(part)) for part in (EVENT[:1], EVENT[1:1], EVENT[1:3], EVENT[3:])]
    assert np.concatenate(found).tolist() == pytest.approx(wanted.tolist())


def test_time_never_falls() -> None:
    """A row that is older than one before it is due at once after it, also over batches and rows sent earlier."""
    schedule = Schedule(parse("real"))
    schedule.passed(np.array([1_000, 4_000, 2_000]))
    assert schedule.moments(np.array([3_000, 5_000])).tolist() == [4_000, 5_000]
    assert schedule.due(2, schedule.moments(np.array([4_500, 7_000]))).tolist() == [1.0, 3.0]
    assert schedule.first == 4_000


def test_event_times_wanted() -> None:
    """A factor on event time has no meaning without event times."""
    with pytest.raises(ValueError, match="event times"):
        Schedule(parse("60x")).due(4, None)


def test_the_datas_clock() -> None:
    """At a factor of event time the data's time follows the clock, and back; elsewhere it has none."""
    schedule = Schedule(parse("60x"))
    assert schedule.moment(1.0) is None
    schedule.moments(EVENT)
    assert schedule.moment(1.0) == 65_000
    assert schedule.seconds(65_000) == 1.0
    other = Schedule(parse("5/s"))
    other.moments(EVENT)
    assert other.moment(1.0) is None


def test_only_a_pace_makes_late() -> None:
    """At full speed nothing is late, and event times matter to a factor alone."""
    assert [parse(text).paced for text in ("max", "5/s", "5x")] == [False, True, True]
    assert [parse(text).by_event for text in ("max", "5/s", "5x")] == [False, False, True]
