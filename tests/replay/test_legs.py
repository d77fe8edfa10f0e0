"""When rows were sent that another process sent."""

from __future__ import annotations

import numpy as np
import pytest

from replay.legs import Leg, stamps


def test_a_pace_of_the_data() -> None:
    """Rows of each leg have the times that its pace gave them, whatever passed between the legs."""
    legs = [Leg(0, 1000, 9, moment=0, factor=10), Leg(3, 50_000, 9, moment=4000, factor=0.5)]
    moments = np.array([0, 0, 1000, 4000, 4000, 5000])
    assert stamps(legs, 6, 0, moments).tolist() == [1000, 1000, 1100, 50_000, 50_000, 52_000]
    assert stamps(legs, 6, 2, moments[2:4]).tolist() == [1100, 50_000]


def test_no_pace_of_the_data() -> None:
    """Rows that went by number lie evenly between the first one and the last commit of their leg."""
    legs = [Leg(0, 1000, 2000), Leg(4, 9000, 9500)]
    found = stamps(legs, 9, 0, np.arange(9))
    assert found.tolist() == [1000, 1250, 1500, 1750, 9000, 9100, 9200, 9300, 9400]


@pytest.mark.parametrize("empty", [Leg(4, 7000, 7000), Leg(4, 7000, 7000, moment=3, factor=1)])
def test_a_leg_without_a_row(empty: Leg) -> None:
    """A process that sent nothing has no row."""
    legs = [Leg(0, 1000, 2000), empty, Leg(4, 9000, 9400)]
    assert stamps(legs, 8, 3, np.arange(3, 6)).tolist() == [1750, 9000, 9100]
