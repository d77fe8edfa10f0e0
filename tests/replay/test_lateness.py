"""Lateness in bounded memory, against numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.lateness import Lateness
from replay.metrics import LATENESS_SECONDS

SECONDS = st.lists(st.floats(-1, 500), min_size=1, max_size=60)


@given(SECONDS, st.integers(1, 60))
def test_as_numpy_has_it(values: list[float], first: int) -> None:
    """In whatever parts, counts and maximum are exact and the median is right to about one in a hundred."""
    found, wanted = Lateness(), np.maximum(np.array(values), 0)
    found.observe(np.array(values[:first]))
    found.observe(np.array(values[first:]))
    assert (found.rows, found.late, found.most) == (len(values), int((wanted > 0.002).sum()), wanted.max())
    lower = float(np.sort(wanted)[(len(wanted) - 1) // 2])
    assert found.median() == pytest.approx(lower, rel=0.013, abs=1e-5)
    assert found.total == pytest.approx(wanted.sum())


@given(SECONDS)
def test_buckets(values: list[float]) -> None:
    """The counts below the metric's edges are exact."""
    found, wanted = Lateness(), np.maximum(np.array(values), 0)
    found.observe(np.array(values))
    edges = np.array(LATENESS_SECONDS)
    assert found.below(edges).tolist() == [int((wanted <= edge).sum()) for edge in edges]


def test_text() -> None:
    """A person reads how many were late, the median and the latest."""
    found = Lateness()
    found.observe(np.array([0.0, 0.001, 0.001, 0.0123]))
    assert found.text() == "1 more than 2 ms late, median 1.0 ms, at most 0.012 s late"
