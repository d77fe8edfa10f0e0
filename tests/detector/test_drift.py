"""PSI and Kolmogorov-Smirnov of binned counts equal a straight count and scipy, and chance is not taken for more."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binom, ks_2samp, power_divergence

from detector.drift import BINS, FLOOR, Reference, bin_counts, bin_edges, ks, psi
from detector.drift.columns import Columns
from detector.drift.levels import log_chance_of_counts, log_chance_of_ks
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


columns = st.integers(1, 4).flatmap(
    lambda count: st.tuples(
        *[
            st.integers(1, 40).flatmap(
                lambda rows: st.lists(
                    st.lists(
                        st.floats(-9, 9, width=32) | st.just(math.nan) | st.integers(-2, 2).map(float),
                        min_size=rows,
                        max_size=rows,
                    ),
                    min_size=count,
                    max_size=count,
                )
            )
        ]
        * 2
    )
)


@given(columns)
def test_columns_at_once(pair: tuple[list[list[float]], list[list[float]]]) -> None:
    """All columns at once have the PSI, KS and share of missing values that each has alone, whatever ties and gaps."""
    before, after = (f32(sample) for sample in pair)
    reference = Reference.of(list(before))
    at_once = Columns(reference)
    found = at_once.moved(at_once.count(after.T))
    alone = [bin_counts(column, edges) for column, edges in zip(after, reference.edges, strict=True)]
    pairs = list(zip(reference.counts, alone, strict=True))
    assert found.psi.tolist() == pytest.approx([psi(*pair) for pair in pairs], rel=1e-9, abs=1e-12)
    assert found.ks.tolist() == pytest.approx([ks(*pair) for pair in pairs], abs=1e-12)
    assert found.missing.tolist() == pytest.approx(np.isnan(after).mean(axis=1).tolist())
    assert at_once.missing.tolist() == pytest.approx(np.isnan(before).mean(axis=1).tolist())


@given(columns)
def test_counts_add_up(pair: tuple[list[list[float]], list[list[float]]]) -> None:
    """The counts of two samples add up to those of both together."""
    before, after = (f32(sample) for sample in pair)
    at_once = Columns(Reference.of(list(before)))
    apart = at_once.count(before.T) + at_once.count(after.T)
    assert at_once.count(np.concatenate((before, after), axis=1).T).tolist() == apart.tolist()


def test_infinite_values_at_once() -> None:
    """Infinite values fall into the outer bins of all columns at once as they do into those of one."""
    at_once = Columns(Reference.of([f32(range(100)), f32([0, 1] * 50)]))
    values = f32([[-np.inf, np.inf, np.nan, 50]])
    alone = [bin_counts(values[0], edges) for edges in (bin_edges(f32(range(100))), bin_edges(f32([0, 1] * 50)))]
    counted = at_once.count(np.repeat(values, 2, axis=0).T)
    for row, wanted in zip(np.diff(counted, axis=1), alone, strict=True):
        assert row[row > 0].tolist() == wanted[wanted > 0].tolist()


@given(counts)
def test_likelihood_ratio(pair: tuple[list[int], list[int]]) -> None:
    """What is said of chance is Chernoff's bound of scipy's likelihood ratio of the two rows of counts."""
    table = np.array(pair)
    used = table[:, table.sum(axis=0) > 0]
    found = float(log_chance_of_counts(table[:1], table[1:])[0])
    if used.size == 0 or (used.sum(axis=1) == 0).any() or used.shape[1] < 2:
        assert found == 0
        return
    expected = used.sum(axis=1, keepdims=True) * used.sum(axis=0) / used.sum()
    ratio, degrees = (
        power_divergence(used.ravel(), expected.ravel(), lambda_="log-likelihood").statistic,
        len(used[0]) - 1,
    )
    y = max(ratio / degrees, 1)
    assert found == pytest.approx(degrees / 2 * (1 - y + math.log(y)), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(("reference", "sample"), [(600, 1024), (100, 1024), (64, 64), (1000, 30)])
def test_chance_in_two_bins(reference: int, sample: int) -> None:
    """However rare what is counted is, no share of samples is called rarer than it is: added up over all outcomes."""
    outcomes = [grid.ravel() for grid in np.meshgrid(np.arange(reference + 1), np.arange(sample + 1), indexing="ij")]
    of_reference, of_sample = (
        np.stack((outcome, rows - outcome), axis=1) for outcome, rows in zip(outcomes, (reference, sample), strict=True)
    )
    found = log_chance_of_counts(of_reference, of_sample)
    for share in (0.001, 0.01, 0.1, 0.5):
        odds = binom.pmf(outcomes[0], reference, share) * binom.pmf(outcomes[1], sample, share)
        for chance in (1e-2, 1e-3, 1e-9):
            assert odds[found < math.log(chance)].sum() <= chance


@pytest.mark.parametrize("shares", ["equal", "few rare ones", "many rare ones"])
def test_chance_in_many_bins(shares: str) -> None:
    """Samples of one distribution are called rarer than 1 in 100, or in 1000, no more often than that."""
    rng = np.random.default_rng(0)
    weights = {
        "equal": np.ones(21),
        "few rare ones": np.r_[np.ones(19), 0.1, 0.02],
        "many rare ones": np.r_[1, np.full(20, 0.004)],
    }
    odds = weights[shares] / weights[shares].sum()
    for reference in (300, 20_000):
        drawn = [rng.multinomial(rows, odds, size=20_000) for rows in (reference, 1024)]
        found = log_chance_of_counts(*drawn)
        assert (found < math.log(1e-2)).mean() < 1e-2
        assert (found < math.log(1e-3)).mean() < 1e-3


@pytest.mark.parametrize("rows", [(1024, 600), (1024, 100), (1024, 5000), (60, 50)])
def test_chance_of_ks(rows: tuple[int, int]) -> None:
    """What is said of a KS distance is never less than the exact odds of scipy where they matter, and near to them."""
    rng = np.random.default_rng(1)
    for shift in (0.1, 0.2, 0.3):
        first, second = (rng.normal(mean, 1, count) for mean, count in zip((0, shift), rows, strict=True))
        exact = ks_2samp(first, second, method="exact")
        found = log_chance_of_ks(np.array([exact.statistic]), *(np.array([count]) for count in rows))
        assert math.log(exact.pvalue) - 0.02 <= min(found[0], 0) <= math.log(exact.pvalue) * 0.7 + 0.5


def test_no_values_say_nothing() -> None:
    """Where one of the samples holds no values, chance explains everything."""
    nothing, some = np.zeros((1, 3), np.int64), np.array([[1, 2, 3]])
    assert log_chance_of_counts(nothing, some).tolist() == [0]
    assert log_chance_of_counts(some, nothing).tolist() == [0]
    assert log_chance_of_ks(np.ones(1), np.array([0]), np.array([9]))[0] >= 0
