"""PSI and Kolmogorov-Smirnov of binned counts equal a straight count and scipy."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import ks_2samp

from detector.drift import BINS, FLOOR, Drift, Reference, bin_counts, bin_edges, ks, psi
from tests.arrays import f32

counts = st.integers(2, 12).flatmap(
    lambda bins: st.tuples(*[st.lists(st.integers(0, 200), min_size=bins, max_size=bins)] * 2)
)
values = st.lists(st.floats(-100, 100, width=32) | st.just(math.nan) | st.integers(-2, 2).map(float), max_size=60)


def shares(row: list[int]) -> list[float]:
    total = sum(row)
    return [count / total if total else 0.0 for count in row]


def straight_psi(reference: list[int], sample: list[int]) -> float:
    pairs = zip(shares(reference), shares(sample), strict=True)
    floored = [(max(p, FLOOR), max(q, FLOOR)) for p, q in pairs]
    return sum((p - q) * math.log(p / q) for p, q in floored)


@given(counts)
def test_psi(pair: tuple[list[int], list[int]]) -> None:
    """PSI is the sum of (p - q) ln(p / q) over the bins, an empty bin counting as its floor; it is never negative."""
    assert psi(*pair) == pytest.approx(straight_psi(*pair), rel=1e-9, abs=1e-12)
    assert psi(*pair) >= 0
    assert psi(*pair) == pytest.approx(psi(*reversed(pair)), rel=1e-9, abs=1e-12)


@given(counts)
def test_ks(pair: tuple[list[int], list[int]]) -> None:
    """KS is scipy's two-sample statistic of the binned values, those missing left out."""
    binned = [np.repeat(np.arange(len(row) - 1), row[:-1]) for row in pair]
    if all(len(row) for row in binned):
        assert ks(*pair) == pytest.approx(ks_2samp(*binned).statistic, abs=1e-12)


@given(st.lists(st.integers(0, 1000), min_size=2, max_size=20), st.integers(1, 9))
def test_zero_for_the_same_shares(row: list[int], times: int) -> None:
    """The same distribution has neither PSI nor KS, however many rows there are."""
    more = [count * times for count in row]
    assert psi(row, row) == ks(row, row) == 0
    assert psi(row, more) == pytest.approx(0, abs=1e-12)
    assert ks(row, more) == pytest.approx(0, abs=1e-12)


def test_a_shift_is_seen() -> None:
    """A shift of one standard deviation is a major one (PSI above .25), and its KS is that of the raw values nearly."""
    rng = np.random.default_rng(0)
    before, after = (rng.normal(mean, 1, 20_000).astype(np.float32) for mean in (0, 1))
    edges = bin_edges(before)
    pair = [bin_counts(sample, edges) for sample in (before, after)]
    assert psi(*pair) > 0.25
    assert ks(*pair) == pytest.approx(ks_2samp(before, after).statistic, abs=0.02)


@given(values, values)
def test_bin_counts(reference: list[float], sample: list[float]) -> None:
    """Bin i holds edges[i-1] < x <= edges[i], the last NaN alone; every value is counted once."""
    edges = bin_edges(f32(reference))
    bounds = [-math.inf, *edges.tolist(), math.inf]
    inside = [sum(low < x <= high for x in sample) for low, high in pairwise(bounds)]
    wanted = [*inside, sum(map(math.isnan, sample))]
    found = bin_counts(f32(sample), edges)
    assert found.tolist() == wanted
    assert found.sum() == len(sample)


def test_infinite_values_are_counted() -> None:
    """Values beyond every edge, infinite ones too, fall into the outer bins."""
    edges = f32([0, 1])
    assert bin_counts(f32([-np.inf, np.inf, 0, 1]), edges).tolist() == [2, 1, 1, 0]


@given(values)
def test_edges_ascend(reference: list[float]) -> None:
    """Edges are few, ascending and distinct, whatever ties there are; none where every value is missing."""
    edges = bin_edges(f32(reference))
    assert len(edges) <= BINS - 1
    assert (np.diff(edges) > 0).all()
    if all(map(math.isnan, reference)):
        assert len(edges) == 0


def test_edges_cut_equal_shares() -> None:
    """Without ties each bin holds the same share of the reference."""
    reference: NDArray[np.float32] = np.random.default_rng(0).permutation(2000).astype(np.float32)
    assert bin_counts(reference, bin_edges(reference)).tolist() == [100] * BINS + [0]


def three_columns(rows: int, seed: int) -> NDArray[np.float32]:
    """Two features, one with gaps, and a score."""
    found = np.random.default_rng(seed).normal(seed % 3, 1, (rows, 3)).astype(np.float32)
    found[::7, 1] = np.nan
    return found


def test_reference_round_trip() -> None:
    """A reference comes back from an artifact's arrays; an array that is absent is a KeyError."""
    reference = Reference.of(list(three_columns(500, 0).T))
    arrays = reference.to_arrays()
    back = Reference.from_arrays(arrays, 3)
    assert [one.tolist() for one in back.edges] == [one.tolist() for one in reference.edges]
    assert [one.tolist() for one in back.counts] == [one.tolist() for one in reference.counts]
    with pytest.raises(KeyError):
        Reference.from_arrays(arrays, 4)


@given(st.lists(st.integers(1, 40), max_size=8), st.integers(1, 30), st.integers(1, 5), st.integers(0, 9))
def test_drift_is_of_the_last_sampled_rows(sizes: list[int], rows: int, every: int, start: int) -> None:
    """Drift is PSI and KS of the last rows whose offset divides by `every`, whatever the batches."""
    reference = Reference.of(list(three_columns(500, 0).T))
    drift = Drift(reference, rows, every)
    log = three_columns(sum(sizes), 1)
    offsets = np.arange(start, start + len(log))
    for batch in np.split(np.arange(len(log)), np.cumsum(sizes)):
        drift.update(offsets[batch], log[batch, :2], log[batch, 2])
    kept = log[offsets % every == 0][-rows:]
    found = drift.measure()
    if len(kept) == 0:
        assert np.isnan(found).all()
        return
    pairs = [
        (counts, bin_counts(column, edges))
        for counts, column, edges in zip(reference.counts, kept.T, reference.edges, strict=True)
    ]
    assert found[0].tolist() == [psi(*pair) for pair in pairs]
    assert found[1].tolist() == [ks(*pair) for pair in pairs]
