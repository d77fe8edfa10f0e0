"""The layers and the whole graph: errors, contributions, memories, noise and surprise are what they say."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from detector.model import Model
from tests.arrays import f32
from trainer import preprocessing
from trainer.export import serving_graph
from trainer.network import (
    ByFeature,
    Errors,
    Part,
    Reading,
    Surprise,
    SwapNoise,
    dense_autoencoder,
    error_of,
    memory_autoencoder,
    whole,
)
from trainer.preprocessing import Preprocessing
from trainer.recipes import Dense, Layer, Step

Rows = NDArray[np.float32]
FEATURES = ("a", "b", "c", "d")
SCALERS: dict[str, Any] = {"standardise": StandardScaler, "min_max": MinMaxScaler}


@pytest.fixture(scope="module")
def rows() -> Rows:
    """Columns of several scales, the last one constant."""
    made = np.random.default_rng(0).normal([0, 1e4, -5, 3], [1, 200, 1e-1, 0], (500, 4))
    return made.astype(np.float32)


@pytest.fixture(scope="module")
def fresh() -> Rows:
    made = np.random.default_rng(1).normal([1, 1e4, -5, 9], [3, 900, 1, 4], (200, 4))
    return made.astype(np.float32)


def plain(width: int, fill: float = 0.0) -> Preprocessing:
    """Preprocessing that changes nothing but gaps."""
    return Preprocessing(np.full(width, fill), (0,) * width, False, ())


class Half(keras.layers.Layer):  # type: ignore[misc]
    """A network whose reconstruction is so much of what it sees: the oracle needs no weights."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def call(self, z: Any) -> Any:
        return z * self.factor


def halving(width: int, factor: float = 0.5) -> Any:
    inputs = keras.Input((width,))
    return keras.Model(inputs, Half(factor)(inputs))


# Errors


@pytest.mark.parametrize("loss", ["mse", "msle"])
def test_errors_are_keras_s(loss: str) -> None:
    """The mean over the columns of the errors is the loss of that name in Keras, below 0 too."""
    z, other = np.random.default_rng(0).normal(size=(2, 50, 9)).astype(np.float32)
    found = np.asarray(Errors({"loss": loss})(z, other)).mean(axis=1)
    wanted = {"mse": keras.losses.mean_squared_error, "msle": keras.losses.mean_squared_logarithmic_error}[loss]
    np.testing.assert_allclose(found, np.asarray(wanted(z, other)), rtol=1e-5)


def test_whitened_errors_are_a_distance() -> None:
    """The sum of whitened errors is the squared Mahalanobis distance of a difference from its mean."""
    rng = np.random.default_rng(0)
    apart = rng.normal(size=(400, 5)) @ rng.normal(size=(5, 5)) + 3
    mean = apart.mean(axis=0)
    matrix, _ = preprocessing.whitening(apart - mean, 1e-9)
    layer = Errors({"loss": "mse", "mean": mean.tolist(), "matrix": matrix.tolist()})
    found = np.asarray(layer(apart.astype(np.float32), np.zeros((400, 5), np.float32))).sum(axis=1)
    inverse = np.linalg.inv(np.cov(apart.T, bias=True))
    np.testing.assert_allclose(found, np.einsum("ni,ij,nj->n", apart - mean, inverse, apart - mean), rtol=1e-3)


def test_errors_from_the_mean() -> None:
    """An error may be near (z - r)^2 + far z^2."""
    z, other = np.random.default_rng(0).normal(size=(2, 20, 3)).astype(np.float32)
    found = Errors({"loss": "mse", "near": 0.5, "far": 2.0})(z, other)
    np.testing.assert_allclose(found, 0.5 * (z - other) ** 2 + 2 * z**2, rtol=1e-5)


def test_columns_by_feature() -> None:
    """A feature's part of the mean error is that of its columns, all of a text feature's together."""
    errors = f32([[1, 2, 3, 4, 5, 6], [0, 0, 0, 6, 0, 0]])
    found = ByFeature({"owners": [0, 1, 1, 1, 2, 3]})(errors)
    np.testing.assert_allclose(found, f32([[1 / 6, 9 / 6, 5 / 6, 1.0], [0.0, 1.0, 0.0, 0.0]]), rtol=1e-6)
    np.testing.assert_allclose(ByFeature({"owners": list(range(6))})(errors), errors / 6, rtol=1e-6)


# Memories


def remembered(z: NDArray[np.float64], centres: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    """The mean of centres, each with the weight that its distance gives it, written plainly."""
    logs = -np.square(z[:, None, :] - centres[None]).sum(axis=2) / (2 * width)
    weights = np.exp(logs - logs.max(axis=1, keepdims=True))
    return np.asarray((weights / weights.sum(axis=1, keepdims=True)) @ centres)


@given(st.integers(0, 2**32 - 1), st.integers(2, 12), st.integers(1, 5), st.floats(0.05, 20))
def test_memory(seed: int, count: int, columns: int, width: float) -> None:
    """A memory rebuilds a row as the softmax-weighted mean of its centres."""
    rng = np.random.default_rng(seed)
    centres, z = rng.normal(size=(count, columns)), 2 * rng.normal(size=(30, columns))
    found = memory_autoencoder(centres, width, "autoencoder")(z.astype(np.float32))
    np.testing.assert_allclose(found, remembered(z, centres, width), atol=2e-4 / min(width, 1))


def test_memory_of_far_rows() -> None:
    """A row from very far away is rebuilt as the centre that lies in its direction, and never as a NaN."""
    network = memory_autoencoder(np.array([[-1.0, 0], [1, 0], [0, 3]]), 0.1, "autoencoder")
    found = network(f32([[1e9, 0], [-1e9, 1e3], [0, 1e9], [0.0, 0], [-1.0, 0]]))
    np.testing.assert_allclose(found, [[1, 0], [-1, 0], [0, 3], [0, 0], [-1, 0]], atol=1e-5)


# Noise


def noisy(share: float, z: Rows, seed: int = 0) -> NDArray[np.float32]:
    return np.asarray(SwapNoise(share, seed)(z, training=True))


def test_swap_noise_is_for_training_alone() -> None:
    """Outside of training rows come through untouched."""
    z = np.random.default_rng(0).normal(size=(64, 5)).astype(np.float32)
    assert np.asarray(SwapNoise(0.5, 0)(z)).tobytes() == z.tobytes()
    assert noisy(0.5, z).tobytes() != z.tobytes()
    assert noisy(0.0, z).tobytes() == z.tobytes()


@given(st.integers(1, 40), st.integers(1, 6), st.floats(0.01, 0.5), st.integers(0, 2**31))
def test_swap_noise_stays_in_its_column(count: int, columns: int, share: float, seed: int) -> None:
    """While training a value is a row's own, or one of the same column in another row."""
    z = np.arange(count * columns, dtype=np.float32).reshape(count, columns)
    assert (noisy(share, z, seed) % columns == np.arange(columns)).all()


def test_swap_noise_takes_its_share() -> None:
    """The share of values that are swapped is as asked for on average, and differs from row to row up to its double."""
    z = np.arange(400_000, dtype=np.float32).reshape(2000, 200)
    swapped = (noisy(0.3, z) != z).mean(axis=1)
    assert swapped.mean() == pytest.approx(0.3, abs=0.01)
    assert swapped.std() == pytest.approx(0.6 / math.sqrt(12), abs=0.03)
    assert 0.6 <= swapped.max() < 0.75


def test_swap_noise_has_a_seed() -> None:
    """The same seed swaps the same values, another others; each call is a draw of its own."""
    z = np.random.default_rng(0).normal(size=(64, 5)).astype(np.float32)
    assert noisy(0.3, z, 1).tobytes() == noisy(0.3, z, 1).tobytes() != noisy(0.3, z, 2).tobytes()
    layer = SwapNoise(0.3, 1)
    assert np.asarray(layer(z, training=True)).tobytes() != np.asarray(layer(z, training=True)).tobytes()


def test_noise_of_a_network() -> None:
    """A network whose recipe asks for noise has it while it learns alone."""
    network = dense_autoencoder(Dense((), (Layer(3),), input_noise=0.2, swap_noise=0.3), 4, 0, "autoencoder")
    z = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
    assert network.get_layer("input_noise").stddev == 0.2
    assert network.get_layer("swap_noise").share == 0.3
    assert np.asarray(network(z)).tobytes() == np.asarray(network(z, training=False)).tobytes()
    assert np.asarray(network(z, training=True)).tobytes() != np.asarray(network(z)).tobytes()


# Surprise

SURPRISE: dict[str, Any] = {"knots": [-70.0, -3.0, -2.0, 0.0], "heights": [0.0, 0.0, 1.0, 2.5], "slope": 4.0}


def surprise(errors: Any) -> NDArray[np.float32]:
    return np.asarray(Surprise(SURPRISE)(f32(errors)[:, None]))[:, 0]


def test_surprise() -> None:
    """Between its knots a surprise is a line of the error's logarithm, beyond the last it goes on with the slope."""
    inside = np.linspace(-3, 0, 50)
    wanted = np.interp(inside, SURPRISE["knots"], SURPRISE["heights"])
    np.testing.assert_allclose(surprise(np.exp(inside)), wanted, atol=2e-6)
    beyond = np.array([0.0, 1.0, 10.0, 80.0])
    np.testing.assert_allclose(surprise(np.exp(beyond)), 2.5 + 4 * beyond, rtol=1e-6)
    assert surprise([0.0, 1e-38, 1e-30, 1e-9]).tolist() == [0, 0, 0, 0]


@given(st.lists(st.floats(0, 2.0**100, width=32), min_size=2, max_size=30))
def test_surprise_is_monotone(errors: list[float]) -> None:
    """A larger error is never less of a surprise."""
    found = surprise(np.sort(f32(errors)))
    assert np.isfinite(found).all()
    assert (np.diff(found) >= -1e-6 * np.abs(found[1:])).all()


# The whole


def of_parts(parts: list[Part], rows: Rows) -> dict[str, NDArray[np.float32]]:
    return {name: np.asarray(values) for name, values in whole(parts, rows.shape[1])(rows).items()}


def test_one_branch(fresh: Rows) -> None:
    """Of one branch the score is its mean error; what its network sees and makes of it comes with it."""
    found = of_parts([Part(plain(4), halving(4), (Reading({"loss": "mse"}),))], fresh)
    assert set(found) == {"score", "contribution", "expected", "preprocessed", "reconstruction"}
    np.testing.assert_allclose(found["score"], np.mean((fresh / 2) ** 2, axis=1), rtol=1e-5)
    np.testing.assert_allclose(found["contribution"], (fresh / 2) ** 2 / 4, rtol=1e-5)
    np.testing.assert_allclose(found["expected"], fresh / 2, rtol=1e-6)
    assert found["preprocessed"].tobytes() == fresh.tobytes()
    assert found["reconstruction"].tobytes() == (fresh / 2).tobytes()


def test_the_largest_surprise_wins(fresh: Rows) -> None:
    """Of several readings the most surprised gives score, contributions and expected values, row by row."""
    rows = fresh[:, :2] / np.float32(1e4)
    low = {"knots": [-70.0, -9.0, 9.0], "heights": [0.0, 0.0, 4.0], "slope": 1.0}
    high = {"knots": [-70.0, -2.0, 2.0], "heights": [0.0, 0.0, 4.0], "slope": 1.0}
    parts = [
        Part(plain(2), halving(2, 0.5), (Reading({"loss": "mse"}, low), Reading({"loss": "mse"}, high))),
        Part(plain(2), halving(2, 4.0), (Reading({"loss": "mse"}, high),)),
    ]
    rows = rows * np.geomspace(0.05, 20, len(rows), dtype=np.float32)[:, None]
    alone = [
        of_parts([Part(part.preprocessing, part.network, (reading,))], rows)
        for part in parts
        for reading in part.readings
    ]
    scores = np.stack([one["score"] for one in alone])
    found, best = of_parts(parts, rows), scores.argmax(axis=0)
    assert set(best) == {0, 2}  # the first reading where errors are small, the other branch where they are large
    np.testing.assert_array_equal(found["score"], scores.max(axis=0))
    for name in ("contribution", "expected"):
        wanted = np.stack([one[name] for one in alone])[best, np.arange(len(rows))]
        np.testing.assert_allclose(found[name], wanted, rtol=1e-6)
    np.testing.assert_allclose(found["contribution"].sum(axis=1), found["score"], rtol=1e-5)
    assert found["reconstruction"].tobytes() == alone[0]["reconstruction"].tobytes()


def test_a_row_without_error_is_no_surprise() -> None:
    """Where nothing is wrong score and contributions are 0, and no NaN comes of 0 / 0."""
    part = Part(plain(2), halving(2, 1.0), (Reading({"loss": "mse"}, SURPRISE),))
    found = of_parts([part, part], f32([[1, 2], [0, 0]]))
    assert found["score"].tolist() == [0, 0]
    assert found["contribution"].tolist() == [[0, 0], [0, 0]]


def test_text_features_in_the_whole() -> None:
    """A text feature's columns are one contribution, and what is expected of it is the position of a value."""
    table = f32([[1, 0], [2, 1], [3, 2], [4, 0], [5, 0]])
    sizes = (0, 3)
    (before,) = preprocessing.fit(((),), ("a", "shop"), sizes, False, lambda: iter((table,)), table)
    found = of_parts([Part(before, halving(5), (Reading({"loss": "mse"}),))], table)
    z = before.forward(table)
    np.testing.assert_allclose(found["contribution"][:, 1], (z[:, 1:] ** 2).sum(axis=1) / 20, rtol=1e-6)
    assert found["contribution"].shape == found["expected"].shape == table.shape
    assert found["expected"][:, 1].tolist() == table[:, 1].tolist()


def test_error_of_a_reading(fresh: Rows) -> None:
    """A reading's error is what the whole graph calls the score of it alone, before it is made a surprise."""
    part = Part(plain(4), halving(4), (Reading({"loss": "mse"}, SURPRISE),))
    found = error_of(part, part.readings[0]).predict(fresh, verbose=0)
    np.testing.assert_allclose(found, np.mean((fresh / 2) ** 2, axis=1), rtol=1e-5)


# As it is served


@pytest.mark.parametrize("kind", SCALERS)
def test_the_exported_graph_scales_alike(kind: Any, rows: Rows, fresh: Rows) -> None:
    """In the exported graph a row is scaled as scikit-learn scales it, and what is expected is scaled back."""
    (before,) = preprocessing.fit(((Step(kind),),), FEATURES, (0,) * 4, False, lambda: iter((rows,)), rows)
    model = Model(serving_graph(whole([Part(before, halving(4), (Reading({"loss": "mse"}),))], 4)), 4)
    scaler = SCALERS[kind]().fit(rows.astype(float))
    z = scaler.transform(fresh.astype(float))
    contributions, expected = model.explain(fresh)
    np.testing.assert_allclose(contributions, (z / 2) ** 2 / 4, rtol=1e-2, atol=1e-6)
    np.testing.assert_allclose(model.score(fresh), ((z / 2) ** 2).mean(axis=1), rtol=1e-3)
    np.testing.assert_allclose(expected, scaler.inverse_transform(z / 2), rtol=1e-5)


def test_the_exported_graph_fills_gaps() -> None:
    """In the exported graph a missing value scores as the mean of its feature does."""
    model = Model(serving_graph(whole([Part(plain(2, 10.0), halving(2), (Reading({"loss": "mse"}),))], 2)), 2)
    gappy, filled = f32([[np.nan, np.nan], [3, np.nan]]), f32([[10, 10], [3, 10]])
    assert model.score(gappy).tobytes() == model.score(filled).tobytes()
    assert model.score(filled).tolist() == [25, (2.25 + 25) / 2]
