"""Preprocessing is that of scikit-learn and scipy, the same in numpy and in the graph, and can be undone."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.stats import norm, rankdata
from sklearn.preprocessing import MinMaxScaler, Normalizer, StandardScaler

from tests.arrays import f32
from trainer.network import Expected, Preprocess
from trainer.preprocessing import (
    FAR,
    FARTHEST,
    KNOTS,
    RAREST,
    RIDGE,
    Affine,
    Moments,
    Pieces,
    Preprocessing,
    fit,
    whitening,
)
from trainer.recipes import RECIPES, Step

Rows = NDArray[np.float32]
Wide = NDArray[np.float64]
FEATURES = ("a", "b", "c", "d")
STANDARD, MIN_MAX, GLOBAL, UNIT, NORMAL, WHITE = (
    Step("standardise"),
    Step("min_max"),
    Step("min_max_global"),
    Step("unit_length"),
    Step("normal_scores"),
    Step("whiten"),
)
CHAINS: dict[str, tuple[Step, ...]] = {
    "none": (),
    "standardise": (STANDARD,),
    "min_max": (MIN_MAX,),
    "min_max_global": (GLOBAL,),
    "one column": (Step("standardise", ("b",)),),
    "cards": (Step("standardise", ("a", "d")), GLOBAL),
    "accounts": (UNIT, MIN_MAX),
    "normal_scores": (NORMAL,),
    "memory": (STANDARD, WHITE),
    "four": (STANDARD, NORMAL, WHITE, MIN_MAX),
}


@pytest.fixture(scope="module")
def rows() -> Rows:
    """Columns of several scales, the last one constant."""
    made = np.random.default_rng(0).normal([0, 500, -5, 3], [1, 200, 1e-1, 0], (500, 4))
    return made.astype(np.float32)


@pytest.fixture(scope="module")
def fresh() -> Rows:
    made = np.random.default_rng(1).normal([1, 50, -5, 9], [3, 90, 1, 4], (200, 4))
    return made.astype(np.float32)


def fitted(steps: tuple[Step, ...], rows: Rows, sizes: tuple[int, ...] = (), truncate: bool = False) -> Preprocessing:
    """Fitted on rows that are in memory."""
    names = FEATURES[: rows.shape[1]]
    (found,) = fit((steps,), names, sizes or (0,) * rows.shape[1], truncate, lambda: iter((rows,)), rows)
    return found


def chunked(rows: Rows, cuts: list[int]) -> list[Rows]:
    """Rows cut at places, which are taken modulo their number; a chunk may be empty."""
    places = sorted({0, len(rows), *(cut % len(rows) for cut in cuts)})
    return [rows[start:end] for start, end in pairwise(places)]


def close(found: Any, wanted: Wide, relative: float) -> None:
    """Equal but for so much of the largest value there is in a column."""
    apart = np.abs(np.asarray(found, np.float64) - wanted)
    assert (apart <= relative * np.abs(wanted).max(axis=0)).all()


# As scikit-learn does it


@pytest.mark.parametrize(("step", "scaler"), [(STANDARD, StandardScaler), (MIN_MAX, MinMaxScaler), (UNIT, Normalizer)])
def test_steps_are_scikit_learn_s(step: Step, scaler: Any, rows: Rows, fresh: Rows) -> None:
    """Each step fitted on training rows changes other rows as scikit-learn's scaler does, a constant column too."""
    found, wanted = fitted((step,), rows), scaler().fit(rows.astype(float)).transform(fresh.astype(float))
    np.testing.assert_allclose(found.forward(fresh.astype(float)), wanted, rtol=1e-12, atol=1e-12)
    close(Preprocess(found.to_config())(fresh), wanted, 1e-5)


def test_global_min_max(rows: Rows, fresh: Rows) -> None:
    """min_max_global uses one minimum and one maximum of all columns."""
    low, high = float(rows.min()), float(rows.max())
    found = fitted((GLOBAL,), rows).forward(fresh.astype(float))
    np.testing.assert_allclose(found, (fresh.astype(float) - low) / (high - low), rtol=1e-12, atol=1e-12)


def test_steps_follow_each_other(rows: Rows, fresh: Rows) -> None:
    """Steps work on what the step before left, each on its own columns alone; those that are linear become one."""
    found = fitted((Step("standardise", ("b", "d")), MIN_MAX), rows)
    first = StandardScaler().fit(rows[:, [1, 3]].astype(float))

    def by_hand(some: Rows) -> Wide:
        wide = some.astype(float)
        wide[:, [1, 3]] = first.transform(wide[:, [1, 3]])
        return wide

    wanted = MinMaxScaler().fit(by_hand(rows)).transform(by_hand(fresh))
    np.testing.assert_allclose(found.forward(fresh.astype(float)), wanted, rtol=1e-10, atol=1e-10)
    assert [type(step) for step in found.steps] == [Affine]


def test_recipe_of_the_cards() -> None:
    """Time and Amount are standardised, then one minimum and maximum serves all."""
    recipe = RECIPES["cards-30-14-7-4"]
    assert recipe.features is not None
    wide = np.random.default_rng(3).normal(2, 5, (300, 30)).astype(np.float32)
    z = wide.astype(float)
    ends = [recipe.features.index(name) for name in ("Time", "Amount")]
    z[:, ends] = StandardScaler().fit_transform(z[:, ends])
    steps = recipe.branches[0].preprocessing
    (made,) = fit((steps,), recipe.features, (0,) * 30, False, lambda: iter((wide,)), wide)
    found = made.forward(wide.astype(float))
    np.testing.assert_allclose(found, (z - z.min()) / (z.max() - z.min()), rtol=1e-10, atol=1e-12)


def test_recipe_of_the_accounts(fresh: Rows) -> None:
    """Rows of length one, then minimum and maximum by column: as a pipeline of scikit-learn's."""
    steps = RECIPES["twitter-accounts"].branches[0].preprocessing
    z = Normalizer().fit_transform(fresh.astype(float))
    found = fitted(steps, fresh).forward(fresh.astype(float))
    np.testing.assert_allclose(found, MinMaxScaler().fit_transform(z), rtol=1e-10, atol=1e-12)


def test_columns_that_are_not_there(rows: Rows) -> None:
    """Where a step's columns are none of the features it changes nothing."""
    for step in (STANDARD, MIN_MAX, GLOBAL):
        found = fitted((Step(step.kind, ("z",)),), rows)
        np.testing.assert_array_equal(found.forward(rows), rows)


# One pass


TABLES = arrays(
    np.float32,
    st.tuples(st.integers(1, 40), st.integers(1, 4)),
    elements=st.floats(-1e6, 1e6, width=32) | st.just(float("nan")) | st.integers(-3, 3).map(float),
)
CUTS = st.lists(st.integers(0, 1000), max_size=6)


@given(TABLES, CUTS)
def test_moments_in_one_pass(table: Rows, cuts: list[int]) -> None:
    """Over any chunks, empty ones too, the moments are those that numpy finds in all rows, gaps left out."""
    chunks = [part.astype(np.float64) for part in chunked(table, cuts)]
    found = Moments.of([chunks[0][:0], *chunks, chunks[0][:0]])
    for column, values in enumerate(table.astype(np.float64).T):
        there = values[~np.isnan(values)]
        assert found.count[column] == len(there)
        if len(there):
            spread = np.abs(there).max()
            assert found.mean[column] == pytest.approx(there.mean(), rel=1e-12, abs=1e-12 * spread)
            assert found.variance[column] == pytest.approx(there.var(), rel=1e-9, abs=1e-12 * spread**2)
            assert (found.least[column], found.most[column]) == (there.min(), there.max())


@given(CUTS)
def test_moments_of_a_far_mean(cuts: list[int]) -> None:
    """A spread that is tiny beside its mean is not lost, as it would be in a difference of squares."""
    table = 1e6 + np.random.default_rng(0).normal(0, 1e-3, (400, 2))
    places = [0, *sorted(cut % 400 for cut in cuts), 400]
    found = Moments.of(table[start:end] for start, end in pairwise(places))
    np.testing.assert_allclose(found.variance, table.var(axis=0), rtol=1e-6)


@given(st.sampled_from(sorted(CHAINS)), CUTS)
def test_any_chunking_gives_the_same(rows: Rows, chain: str, cuts: list[int]) -> None:
    """Fitted on any chunks, which are read once, preprocessing is that of the rows at once."""
    opened = []

    def chunks() -> Iterator[Rows]:
        opened.append(1)
        return iter(chunked(rows, cuts))

    (found,) = fit((CHAINS[chain],), FEATURES, (0,) * 4, False, chunks, rows)
    assert len(opened) == 1
    whole = fitted(CHAINS[chain], rows).forward(rows.astype(float))
    np.testing.assert_allclose(found.forward(rows.astype(float)), whole, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("sizes", [(0,) * 4, (0, 0, 0, 3)])
def test_one_pass_for_all(rows: Rows, sizes: tuple[int, ...]) -> None:
    """However many branches there are the rows are read once, and each is fitted to the bit as if it were alone."""
    opened = []

    def chunks() -> Iterator[Rows]:
        opened.append(1)
        return iter((rows[:123], rows[123:]))

    found = fit(list(CHAINS.values()), FEATURES, sizes, False, chunks, rows[:400])
    assert len(opened) == 1
    alone = [fit((chain,), FEATURES, sizes, False, chunks, rows[:400])[0] for chain in CHAINS.values()]
    assert [one.to_config() for one in found] == [one.to_config() for one in alone]


def test_the_sample_stands_in_only_where_it_must(rows: Rows) -> None:
    """Means, spreads and bounds are those of all rows, though the sample has only some: also after unit length."""
    some = rows[:50]

    def of(steps: tuple[Step, ...], sample: Rows) -> Wide:
        (found,) = fit((steps,), FEATURES, (0,) * 4, False, lambda: iter((rows[:100], rows[100:])), sample)
        return np.asarray(found.forward(rows.astype(float)))

    for chain in ("standardise", "min_max", "min_max_global", "cards", "accounts"):
        np.testing.assert_allclose(of(CHAINS[chain], some), of(CHAINS[chain], rows), rtol=1e-12, atol=1e-12)
    assert np.abs(of((NORMAL,), some) - of((NORMAL,), rows)).max() > 0.01


def test_no_rows() -> None:
    """Without a row there is nothing to fit on."""
    with pytest.raises(ValueError, match="no rows to learn from"):
        fit(((STANDARD,),), FEATURES, (0,) * 4, False, lambda: iter(()), np.empty((0, 4), np.float32))


# Gaps, whole numbers, text


def test_missing_values(rows: Rows) -> None:
    """A missing value counts as its feature's mean over the training rows; 0 where it was always missing."""
    gappy = rows.copy()
    gappy[::3, 0] = np.nan
    gappy[:, 3] = np.nan
    found, wide = fitted((STANDARD,), gappy), gappy.astype(float)
    means = [np.nanmean(wide[:, 0]), *wide[:, 1:3].mean(axis=0), 0.0]
    np.testing.assert_allclose(found.fill, means, rtol=1e-12)
    wanted = StandardScaler().fit_transform(wide[:, :3])  # which leaves gaps out, and leaves them
    np.testing.assert_allclose(found.forward(wide)[:, :3], np.nan_to_num(wanted), rtol=1e-9, atol=1e-9)
    assert set(found.forward(wide)[:, 3]) == {0.0}
    assert np.isnan(wanted).any()


@pytest.mark.parametrize("chain", CHAINS)
def test_gaps_are_filled_before_every_step(chain: str, rows: Rows) -> None:
    """Whatever follows, a row with gaps is seen as the row with the means in their places."""
    gappy = rows.copy()
    gappy[::4, 1] = np.nan
    found = fitted(CHAINS[chain], gappy)
    filled = np.where(np.isnan(gappy), found.fill, gappy)
    assert np.isfinite(found.forward(gappy.astype(float))).all()
    np.testing.assert_array_equal(found.forward(gappy.astype(float)), found.forward(filled))


def test_truncate() -> None:
    """Values are cut to whole numbers towards zero before all else, in the graph too."""
    table = f32([[1.9, -1.9], [0.2, -0.2], [5.0, -7.0]])
    found = fitted((MIN_MAX,), table, truncate=True)
    whole = np.trunc(table.astype(float))
    np.testing.assert_allclose(found.forward(table.astype(float)), MinMaxScaler().fit_transform(whole), atol=1e-12)
    np.testing.assert_allclose(Preprocess(found.to_config())(table), MinMaxScaler().fit_transform(whole), atol=1e-6)
    assert not np.allclose(fitted((MIN_MAX,), table).forward(table), found.forward(table))


TEXT = f32([[1, 0, 5, 0], [2, 1, 6, 1], [3, 2, 7, 0], [4, 0, 8, 0], [5, 0, 9, 0]])
SIZES = (0, 3, 0, 2)
"""Two numbers and two text features, of three and of two values."""


def test_text_features() -> None:
    """A text feature becomes a column for each of its values and one for any other; the most frequent fills a gap."""
    found = fitted((), TEXT, SIZES)
    assert found.owners.tolist() == [0, 1, 1, 1, 1, 2, 3, 3, 3]
    wanted = [[2.0, 0, 1, 0, 0, 6, 0, 1, 0], [9.0, 1, 0, 0, 0, 7, 0, 0, 1], [3.0, 0, 0, 0, 1, 7, 1, 0, 0]]
    gap = math.nan
    given = f32([[2.0, 1, 6, 1], [9, gap, gap, 2], [gap, 3, 7, gap]])
    assert found.forward(given).tolist() == wanted
    assert np.asarray(Preprocess(found.to_config())(given)).tolist() == wanted


@pytest.mark.parametrize("steps", [(), (STANDARD,), (MIN_MAX,), (NORMAL,), (STANDARD, WHITE)])
def test_text_features_and_back(steps: tuple[Step, ...]) -> None:
    """Turned back, the columns of a text feature are the position of the likeliest value, numbers what they were."""
    found = fitted(steps, TEXT, SIZES)
    z = found.forward(TEXT.astype(float))
    np.testing.assert_allclose(found.backward(z, TEXT.astype(float)), TEXT, atol=1e-6)
    config = found.to_config()
    graph = Expected(config)(Preprocess(config)(TEXT), TEXT)
    np.testing.assert_allclose(graph, TEXT, atol=1e-4)


def test_a_value_never_seen() -> None:
    """A text that history never had is far away, but no farther than a number would be: 1 / RAREST deviations."""
    found = fitted((STANDARD,), TEXT, SIZES)
    z = found.forward(f32([[1, 3, 5, 2]]).astype(float))[0]
    assert z[found.owners == 1][3] == pytest.approx(1 / RAREST)
    assert z[found.owners == 3][2] == pytest.approx(1 / RAREST)


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 4), min_size=1, max_size=4))
def test_any_table_of_text_comes_back(seed: int, sizes: list[int]) -> None:
    """Tables of numbers and texts of any number of values are rows of 0 and 1, one in each feature, and come back."""
    rng = np.random.default_rng(seed)
    table = np.stack([rng.integers(0, size + 1, 20) if size else rng.normal(size=20) for size in sizes], axis=1)
    found = fitted((), f32(table), tuple(sizes))
    z = found.forward(f32(table))
    for feature, size in enumerate(sizes):
        here = z[:, found.owners == feature]
        assert here.shape[1] == (size + 1 if size else 1)
        if size:
            assert (here.sum(axis=1) == 1).all()
            assert set(np.unique(here)) <= {0, 1}
    np.testing.assert_array_equal(found.backward(z, f32(table)), f32(table))


# Normal scores


def scores_by_rank(values: Wide) -> Wide:
    """Each value's normal score by the ranks of scipy."""
    return np.asarray(norm.ppf((rankdata(values, "average") - 0.5) / len(values)))


@given(st.lists(st.integers(-8, 8), min_size=1, max_size=60))
def test_normal_scores_of_few_values(values: list[int]) -> None:
    """With no more distinct values than knots every value has the score of its mid-rank, ties the same one."""
    column = np.array(values, float)[:, None]
    found = fitted((NORMAL,), column.astype(np.float32)).forward(column)
    np.testing.assert_allclose(found[:, 0], scores_by_rank(column[:, 0]), rtol=1e-12, atol=1e-12)


def test_normal_scores_of_many_values() -> None:
    """With more, the knots have the scores of their mid-ranks, from the least to the largest value; lines between."""
    column = np.random.default_rng(0).lognormal(size=(3000, 1)).astype(np.float32).astype(float)
    found = fitted((NORMAL,), column.astype(np.float32))
    (pieces,) = found.steps
    assert isinstance(pieces, Pieces)
    knots, heights = pieces.knots[:, 0], pieces.heights[:, 0]
    wanted = dict(zip(column[:, 0].tolist(), scores_by_rank(column[:, 0]).tolist(), strict=True))
    assert KNOTS - 2 <= len(set(knots.tolist())) <= KNOTS
    assert (knots.min(), knots.max()) == (column.min(), column.max())
    assert heights.tolist() == pytest.approx([wanted[knot] for knot in knots.tolist()], rel=1e-12)
    z = found.forward(column)[:, 0]
    np.testing.assert_allclose(z, np.interp(column[:, 0], knots, heights), atol=1e-12)
    assert np.abs(z - scores_by_rank(column[:, 0])).max() < 0.1
    assert np.abs(np.diff(heights)).max() < 0.6


def test_normal_scores_beyond_the_rows_seen() -> None:
    """Beyond the least and the largest value seen a score goes on as a standardised value does."""
    column = np.random.default_rng(0).normal(5, 2, (1000, 1)).astype(np.float32)
    found = fitted((NORMAL,), column)
    ends = np.array([[column.min()], [column.max()]], float)
    beyond = ends + np.array([[-3.0], [3.0]])
    apart = found.forward(beyond) - found.forward(ends)
    np.testing.assert_allclose(apart[:, 0], np.array([-3.0, 3.0]) / column.std(dtype=float), rtol=1e-9)


@given(st.lists(st.floats(-1e3, 1e3, width=32), min_size=2, max_size=80))
def test_normal_scores_keep_the_order(values: list[float]) -> None:
    """A larger value never has a smaller score, in the graph's float32 either but for its rounding."""
    found = fitted((NORMAL,), f32(values)[:, None])
    ordered = np.sort(f32([*values, -2e3, 2e3]))[:, None]
    assert (np.diff(found.forward(ordered.astype(float))[:, 0]) >= 0).all()
    in_graph = np.asarray(found.forward(ordered))[:, 0]
    assert (np.diff(in_graph) >= -1e-5 * np.abs(in_graph).max()).all()


# Whitening


@given(st.integers(0, 2**32 - 1), st.integers(1, 6))
def test_whitening(seed: int, width: int) -> None:
    """Whitened columns have the identity as covariance, and the inverse leads back."""
    rng = np.random.default_rng(seed)
    table = rng.normal(size=(200, width)) @ (rng.normal(size=(width, width)) + 2 * np.eye(width))
    centred = table - table.mean(axis=0)
    matrix, inverse = whitening(centred, 1e-12)
    z = centred @ matrix
    np.testing.assert_allclose(z.T @ z / len(z), np.eye(width), atol=1e-4)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-9 * np.abs(matrix).max())
    np.testing.assert_allclose(z @ inverse, centred, atol=1e-8 * np.abs(centred).max())


def test_whitening_what_hardly_varies() -> None:
    """Columns that repeat each other, or are constant, are not magnified beyond the ridge; no rows give no NaN."""
    column = np.random.default_rng(0).normal(size=(300, 1))
    centred = np.concatenate((column, column, 0 * column), axis=1)
    matrix, inverse = whitening(centred - centred.mean(axis=0), RIDGE)
    assert np.isfinite(matrix).all()
    assert np.linalg.eigvalsh(matrix).max() <= 1 / np.sqrt(RIDGE * centred.var(axis=0).mean()) * 1.001
    np.testing.assert_allclose(matrix @ inverse, np.eye(3), atol=1e-9)
    assert np.isfinite(whitening(np.zeros((5, 2)), RIDGE)[0]).all()


def test_whitened_rows(fresh: Rows) -> None:
    """As steps of a recipe, standardised and whitened rows are uncorrelated and of unit variance."""
    z = fitted((STANDARD, WHITE), fresh).forward(fresh.astype(float))
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(z.T @ z / len(z), np.eye(4), atol=5 * RIDGE)


# There and back, numpy and graph


@pytest.mark.parametrize("chain", CHAINS)
def test_backward_undoes_forward(chain: str, rows: Rows, fresh: Rows) -> None:
    """What was preprocessed can be turned back into the units it had, for rows never seen too."""
    found = fitted(CHAINS[chain], fresh)
    for some in (fresh.astype(float), rows.astype(float)[:50]):
        close(found.backward(found.forward(some), some), some, 1e-8)


@pytest.mark.parametrize("chain", CHAINS)
def test_the_graph_is_numpy_s(chain: str, fresh: Rows) -> None:
    """In the graph forward and backward give what they give in numpy, within 1e-5 of a column's largest value."""
    found = fitted(CHAINS[chain], fresh)
    gappy = np.where(np.random.default_rng(2).random(fresh.shape) < 0.1, np.nan, fresh).astype(np.float32)
    config = json.loads(json.dumps(found.to_config()))
    z = found.forward(gappy.astype(float))
    close(Preprocess(config)(gappy), z, 1e-5)
    close(Expected(config)(f32(z), gappy), found.backward(f32(z).astype(float), gappy.astype(float)), 1e-5)


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("truncate", [False, True])
def test_configuration(chain: str, truncate: bool, rows: Rows, fresh: Rows) -> None:
    """Written as JSON and read again, preprocessing gives the same bits."""
    found = fitted(CHAINS[chain], rows, truncate=truncate)
    again = Preprocessing.from_config(json.loads(json.dumps(found.to_config())))
    assert again.forward(fresh).tobytes() == found.forward(fresh).tobytes()
    assert again.backward(fresh, fresh).tobytes() == found.backward(fresh, fresh).tobytes()
    assert again.forward(fresh).dtype == np.float32
    assert again.to_config() == found.to_config()


def test_configuration_of_text() -> None:
    """The same with text features."""
    found = fitted((STANDARD, WHITE), TEXT, SIZES)
    again = Preprocessing.from_config(json.loads(json.dumps(found.to_config())))
    assert again.sizes == SIZES
    assert again.forward(TEXT).tobytes() == found.forward(TEXT).tobytes()


# Never a NaN


LARGEST = float(np.finfo(np.float32).max)
EXTREMES = f32([0, LARGEST, -LARGEST, 1e30, -1e30, 1e9, 1e-38, -1e-45, 1.0])


@pytest.mark.parametrize("chain", CHAINS)
def test_far_values_are_cut(chain: str, rows: Rows) -> None:
    """Whatever finite values a row has, and gaps, what a network sees is finite and never beyond FAR."""
    found = fitted(CHAINS[chain], rows)
    mixed = np.random.default_rng(0).choice(np.append(EXTREMES, f32(math.nan)), (300, 4))
    extreme = np.concatenate((np.repeat(EXTREMES[:, None], 4, axis=1), mixed)).astype(np.float32)
    z = np.asarray(Preprocess(found.to_config())(extreme))
    assert np.isfinite(z).all()
    assert np.abs(z).max() <= np.float32(FAR if CHAINS[chain] else FARTHEST)


def test_rows_of_no_length() -> None:
    """A row of zeros, or of the smallest numbers there are, stays as it is; the largest numbers have a length."""
    found = fitted((UNIT,), f32([[3, 4], [0, 0]]))
    rows = f32([[3.0, 4], [0.0, 0], [1e-45, 1e-40], [LARGEST, LARGEST], [-LARGEST, 0]])
    half = math.sqrt(0.5)
    wanted = f32([[0.6, 0.8], [0.0, 0], [0.0, 0], [half, half], [-1.0, 0]])
    np.testing.assert_allclose(Preprocess(found.to_config())(rows), wanted, atol=1e-6)


@pytest.mark.parametrize("chain", CHAINS)
def test_a_history_of_extremes(chain: str) -> None:
    """A history of the largest numbers there are gives no NaN either, to them or to other rows."""
    table = np.random.default_rng(0).choice(EXTREMES, (200, 4)).astype(np.float32)
    found = fitted(CHAINS[chain], table)
    z = np.asarray(Preprocess(found.to_config())(np.concatenate((table, f32([[1, 2, 3, 4]])))))
    assert np.isfinite(z).all()
