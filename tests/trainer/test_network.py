"""Preprocessing and error inside the graph are those of scikit-learn and Keras."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from detector.model import Model
from tests.arrays import f32
from trainer.export import serving_graph
from trainer.network import FAR, Affine, Preprocess, build_model, errors, fit_preprocessing
from trainer.recipes import RECIPES, Step

Rows = NDArray[np.float32]
FEATURES = ("a", "b", "c", "d")
SCALERS: dict[str, Any] = {"standardise": StandardScaler, "min_max": MinMaxScaler}


@pytest.fixture(scope="module")
def rows() -> Rows:
    """Columns of several scales, the last one constant."""
    made = np.random.default_rng(0).normal([0, 1e4, -5, 3], [1, 200, 1e-3, 0], (500, 4))
    return made.astype(np.float32)


@pytest.fixture(scope="module")
def fresh() -> Rows:
    made = np.random.default_rng(1).normal([1, 1e4, -5, 9], [3, 900, 1e-2, 4], (200, 4))
    return made.astype(np.float32)


@pytest.mark.parametrize("kind", SCALERS)
def test_steps_are_scikit_learn_s(kind: Any, rows: Rows, fresh: Rows) -> None:
    """Each step fitted on training rows changes other rows as scikit-learn's scaler does, a constant column too."""
    affine = fit_preprocessing((Step(kind),), FEATURES, rows)
    scaler = SCALERS[kind]().fit(rows.astype(float))
    np.testing.assert_allclose(affine.apply(fresh), scaler.transform(fresh.astype(float)), rtol=1e-9, atol=1e-9)


def test_global_min_max(rows: Rows, fresh: Rows) -> None:
    """min_max_global uses one minimum and one maximum of all columns."""
    affine = fit_preprocessing((Step("min_max_global"),), FEATURES, rows)
    low, high = float(rows.min()), float(rows.max())
    np.testing.assert_allclose(affine.apply(fresh), (fresh.astype(float) - low) / (high - low), rtol=1e-12)


def test_steps_follow_each_other(rows: Rows, fresh: Rows) -> None:
    """Steps work on what the step before left, each on its own columns alone."""
    affine = fit_preprocessing((Step("standardise", ("b", "d")), Step("min_max")), FEATURES, rows)
    first = StandardScaler().fit(rows[:, [1, 3]].astype(float))

    def by_hand(some: Rows) -> NDArray[np.float64]:
        wide = some.astype(float)
        wide[:, [1, 3]] = first.transform(wide[:, [1, 3]])
        return wide

    wanted = MinMaxScaler().fit(by_hand(rows)).transform(by_hand(fresh))
    np.testing.assert_allclose(affine.apply(fresh), wanted, rtol=1e-9, atol=1e-9)


def test_recipe_of_the_cards(rows: Rows) -> None:
    """Time and Amount are standardised, then one minimum and maximum serves all."""
    recipe = RECIPES["cards-30-14-7-4"]
    assert recipe.features is not None
    wide = np.random.default_rng(3).normal(2, 5, (300, 30)).astype(np.float32)
    z = wide.astype(float)
    ends = [recipe.features.index(name) for name in ("Time", "Amount")]
    z[:, ends] = StandardScaler().fit_transform(z[:, ends])
    found = fit_preprocessing(recipe.preprocessing, recipe.features, wide).apply(wide)
    np.testing.assert_allclose(found, (z - z.min()) / (z.max() - z.min()), rtol=1e-9, atol=1e-12)


def test_missing_values(rows: Rows) -> None:
    """A missing value counts as its feature's mean over the training rows; 0 where it was always missing."""
    gappy = rows.copy()
    gappy[::3, 0] = np.nan
    gappy[:, 3] = np.nan
    affine = fit_preprocessing((Step("standardise"),), FEATURES, gappy)
    mean = float(np.nanmean(gappy[:, 0].astype(float)))
    np.testing.assert_allclose(affine.fill, [mean, *rows[:, 1:3].astype(float).mean(axis=0), 0], rtol=1e-12)
    filled = np.where(np.isnan(gappy), affine.fill, gappy)
    wanted = StandardScaler().fit(filled).transform(filled)
    np.testing.assert_allclose(affine.apply(gappy), wanted, rtol=1e-9, atol=1e-9)


def test_far_values_are_cut() -> None:
    """What lies beyond FAR after preprocessing is cut there, infinite values too: no row's score is infinite."""
    layer = Preprocess([0.0, 0.0], [1e-30, 2.0], [5.0, 7.0])
    far = float(FAR)
    found = np.asarray(layer(f32([[1.0, 4.0], [-1.0, 2.0], [3e38, math.inf], [math.nan, math.nan]])))
    np.testing.assert_array_equal(found, f32([[far, 2.0], [-far, 1.0], [far, far], [far, 3.5]]))


@pytest.mark.parametrize("loss", ["mse", "msle"])
def test_errors_are_keras_s(loss: str) -> None:
    """The mean over the features of the errors is the loss of that name in Keras, below 0 too."""
    rng = np.random.default_rng(0)
    z, other = rng.normal(size=(2, 50, 9)).astype(np.float32)
    found = np.asarray(errors(loss, z, other)).mean(axis=1)
    wanted = {"mse": keras.losses.mean_squared_error, "msle": keras.losses.mean_squared_logarithmic_error}[loss]
    np.testing.assert_allclose(found, np.asarray(wanted(z, other)), rtol=1e-5)


class Half(keras.layers.Layer):  # type: ignore[misc]
    """A network whose reconstruction is half of what it sees: the oracle needs no weights."""

    def call(self, z: Any) -> Any:
        return z * 0.5


def halving(width: int) -> Any:
    inputs = keras.Input((width,))
    return keras.Model(inputs, Half()(inputs))


@pytest.mark.parametrize("kind", SCALERS)
def test_the_exported_graph_scales_alike(kind: Any, rows: Rows, fresh: Rows) -> None:
    """In the exported graph a row is scaled as scikit-learn scales it, and what is expected is scaled back."""
    affine = fit_preprocessing((Step(kind),), FEATURES, rows)
    model = Model(serving_graph(build_model(affine, halving(4)), affine, "mse"), 4)
    scaler = SCALERS[kind]().fit(rows.astype(float))
    z = scaler.transform(fresh.astype(float))
    contributions, expected = model.explain(fresh)
    np.testing.assert_allclose(contributions, (z / 2) ** 2 / 4, rtol=1e-2, atol=1e-6)
    np.testing.assert_allclose(model.score(fresh), ((z / 2) ** 2).mean(axis=1), rtol=1e-3)
    np.testing.assert_allclose(expected, scaler.inverse_transform(z / 2), rtol=1e-5)


def test_the_exported_graph_fills_gaps() -> None:
    """In the exported graph a missing value scores as the mean of its feature does."""
    affine = Affine(np.array([1.0, 2.0]), np.array([2.0, 4.0]), np.array([1.0, 10.0]))
    model = Model(serving_graph(build_model(affine, halving(2)), affine, "mse"), 2)
    gappy, filled = f32([[np.nan, np.nan], [3, np.nan]]), f32([[1, 10], [3, 10]])
    assert model.score(gappy).tobytes() == model.score(filled).tobytes()
    assert model.score(filled).tolist() == [0.5, 0.625]
