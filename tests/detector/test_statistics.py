"""Running statistics equal a straight look at the log, whatever the batches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import median_abs_deviation

from detector.statistics import RunningMedianMad, Summary, summarize
from tests.arrays import f32

Offsets = NDArray[np.int64]
Scores = NDArray[np.float32]
finite = st.floats(-1e6, 1e6, width=32)


def straight(offsets: Offsets, scores: Scores, window: int, stride: int, min_rows: int) -> list[Summary | None]:
    """What each row sees, row by row, from the whole log."""
    seen: list[Summary | None] = []
    for offset in offsets:
        edge = offset - offset % stride
        past = [float(score) for at, score in zip(offsets, scores, strict=True) if at < edge][-window:]
        seen.append(summary_of(past) if len(past) >= min_rows else None)
    return seen


def summary_of(past: Sequence[float]) -> Summary:
    middle = float(np.median(past))
    return Summary(
        len(past), middle, float(median_abs_deviation(past)), float(np.mean(np.abs(np.array(past) - middle)))
    )


def run(running: RunningMedianMad, offsets: Offsets, scores: Scores, cuts: Sequence[int]) -> list[Summary | None]:
    """What each row sees when the log comes in batches."""
    seen: list[Summary | None] = []
    for batch in np.split(np.arange(len(offsets)), sorted(cuts)):
        for part, summary in running.update(offsets[batch], scores[batch]):
            seen += [summary] * len(batch[part])
    return seen


@st.composite
def logs(draw: st.DrawFn) -> tuple[Offsets, Scores]:
    """Offsets with gaps, and scores."""
    steps = draw(st.lists(st.integers(1, 9), min_size=1, max_size=80))
    scores = draw(st.lists(finite, min_size=len(steps), max_size=len(steps)))
    return np.cumsum(steps).astype(np.int64), f32(scores)


@given(logs(), st.integers(1, 30), st.integers(1, 20), st.integers(1, 30), st.lists(st.integers(0, 80), max_size=8))
def test_equals_a_straight_look(
    log: tuple[Offsets, Scores], window: int, stride: int, min_rows: int, cuts: list[int]
) -> None:
    """For any window, stride, least number, gaps and batches, a row sees exactly what the whole log says it should."""
    offsets, scores = log
    least = min(min_rows, window)
    cuts = [min(cut, len(offsets)) for cut in cuts]
    seen = run(RunningMedianMad(window, stride, least), offsets, scores, cuts)
    assert seen == straight(offsets, scores, window, stride, least)


@given(st.lists(finite, min_size=1, max_size=50))
def test_summary_is_scipy_s(scores: list[float]) -> None:
    """Median and MAD are numpy's and scipy's of the float64 values; the mean deviation is from the median."""
    assert summarize(f32(scores)) == summary_of(scores)


def test_defaults_on_a_long_log() -> None:
    """With the default window, stride and least number a long log still equals the straight look, at every block."""
    rng = np.random.default_rng(0)
    offsets = np.cumsum(rng.integers(1, 3, 12_000))
    scores = rng.lognormal(size=12_000).astype(np.float32)
    seen = run(RunningMedianMad(), offsets, scores, rng.integers(0, 12_000, 40).tolist())
    firsts = np.flatnonzero(np.diff(offsets // 1024, prepend=-1))
    assert len(firsts) > 10
    for first in firsts:
        past = scores[:first][-4096:].astype(float).tolist()
        assert seen[first] == (summary_of(past) if len(past) >= 256 else None)


def test_summary_stays_between_strides() -> None:
    """The summary changes only where the offset crosses a multiple of the stride, not row by row."""
    running = RunningMedianMad(window=4, stride=10, min_rows=1)
    seen = run(running, np.arange(30), np.arange(30, dtype=np.float32), range(30))
    assert seen[:10] == [None] * 10
    assert len(set(map(id, seen[10:20]))) == 1
    assert seen[10] == summary_of([6, 7, 8, 9])
    assert seen[20] == running.summary == summary_of([16, 17, 18, 19])


def test_an_empty_batch() -> None:
    """A batch without rows yields nothing and changes nothing."""
    running = RunningMedianMad(4, 2, 1)
    run(running, np.arange(4), np.arange(4, dtype=np.float32), [])
    before = running.summary
    assert list(running.update(np.empty(0, np.int64), np.empty(0, np.float32))) == []
    assert running.summary == before


def test_mad_of_zero() -> None:
    """Where more than half of the scores are equal the mean deviation stands in; where all are, there is no line."""
    flat = summarize([1, 1, 1, 1, 5])
    assert flat.mad == 0
    assert flat.line(3.5) == pytest.approx(1 + 3.5 * 0.8 * np.sqrt(np.pi / 2), rel=1e-6)
    assert summarize([2, 2, 2]).line(3.5) is None
    assert summarize([2, 2, 2]).modified_z(7) is None


@given(st.lists(finite, min_size=2, max_size=30, unique=True), finite)
def test_modified_z(scores: list[float], score: float) -> None:
    """Modified z is .6745 (x - median) / MAD (Iglewicz and Hoaglin), and `line` is its inverse."""
    summary = summarize(scores)
    if summary.mad > 0:
        wanted = 0.6745 * (score - np.median(scores)) / median_abs_deviation(scores)
        z = summary.modified_z(score)
        assert z == pytest.approx(wanted, rel=1e-9)
        assert z is not None
        assert summary.line(z) == pytest.approx(score, rel=1e-6, abs=1e-6 * (1 + abs(summary.median)))


def test_normal_scores_have_their_own_sd() -> None:
    """Both estimates of sigma come near the standard deviation of normal scores."""
    scores = np.random.default_rng(1).normal(3, 2, 200_000)
    summary = summarize(scores)
    assert summary.sigma == pytest.approx(2, rel=0.02)
    assert Summary(1, 0, 0, summary.mean_ad).sigma == pytest.approx(2, rel=0.02)


@pytest.mark.parametrize(("window", "stride", "min_rows"), [(4, 1, 5), (4, 0, 1), (4, 1, 0), (0, 1, 0)])
def test_refusals(window: int, stride: int, min_rows: int) -> None:
    """Sizes that make no sense are refused."""
    with pytest.raises(ValueError, match="wanted"):
        RunningMedianMad(window, stride, min_rows)


def test_offsets_that_go_back() -> None:
    """Rows of an earlier block after those of a later one are a fault of the caller, and are said to be."""
    running = RunningMedianMad(4, 10, 1)
    run(running, np.array([25]), f32([1]), [])
    with pytest.raises(ValueError, match="went back from block 2 to 1"):
        run(running, np.array([19]), f32([1]), [])
