"""When rows are due."""

from __future__ import annotations

import numpy as np
import pytest

from replay.pace import Speed, pace, parse

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
    assert pace(parse(text), 4, EVENT).due.tolist() == pytest.approx(due)


def test_event_times_wanted() -> None:
    """A factor on event time has no meaning without event times."""
    with pytest.raises(ValueError, match="event times"):
        pace(parse("60x"), 4, None)


def test_one_row_and_none() -> None:
    """A single row is due at the start, and no row is no trouble."""
    assert pace(parse("real"), 1, EVENT[:1]).due.tolist() == [0]
    assert pace(parse("real"), 0, EVENT[:0]).ready(1) == 0


def test_ready_agrees_with_until() -> None:
    """A row is ready exactly when its wait is over, whatever the clock says."""
    paced = pace(parse("60x"), 4, EVENT)
    for elapsed in (-0.1, 0.0, 0.049, 0.05, 0.051, 0.999, 1.0, 7.0):
        assert paced.ready(elapsed) == sum(paced.until(row, elapsed) <= 0 for row in range(4))


def test_only_a_pace_makes_late() -> None:
    """At full speed nothing is late, and event times matter to a factor alone."""
    assert [parse(text).paced for text in ("max", "5/s", "5x")] == [False, True, True]
    assert [parse(text).by_event for text in ("max", "5/s", "5x")] == [False, False, True]
