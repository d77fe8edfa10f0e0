"""The recipes' networks are built as they are named."""

from __future__ import annotations

from typing import Any

import pytest

from detector.threshold import parse
from trainer.network import build_autoencoder
from trainer.recipes import RECIPES, Layer

WIDTHS = {
    "cards-30-14-7-4": (30, [14, 7, 4, 7, 14, 30]),
    "ecg-msle": (140, [64, 32, 16, 8, 16, 32, 64, 140]),
    "default": (30, [90, 18, 90, 30]),
}


def dense(recipe: str, width: int) -> list[Any]:
    import keras

    return [one for one in build_autoencoder(RECIPES[recipe], width).layers if isinstance(one, keras.layers.Dense)]


@pytest.mark.parametrize("name", RECIPES)
def test_layer_widths(name: str) -> None:
    """The built Keras model has the layers that the recipe's name or description says."""
    width, wanted = WIDTHS[name]
    model = build_autoencoder(RECIPES[name], width)
    assert model.input_shape == model.output_shape == (None, width)
    assert [layer.units for layer in dense(name, width)] == wanted
    shapes = [tuple(layer.kernel.shape) for layer in dense(name, width)]
    assert shapes == list(zip([width, *wanted], wanted, strict=False))


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("cards-30-14-7-4", ["tanh", "relu", "leaky_relu", "relu", "relu", "tanh"]),
        ("ecg-msle", ["relu"] * 7 + ["sigmoid"]),
        ("default", ["gelu", "linear", "gelu", "linear"]),
    ],
)
def test_activations(name: str, wanted: list[str]) -> None:
    """Each layer has the recipe's activation."""
    assert [layer.activation.__name__ for layer in dense(name, WIDTHS[name][0])] == wanted


def test_regularisers() -> None:
    """Dropout follows the layers that ask for it, noise the input, and the penalty of activity is the recipe's."""
    import keras

    cards = build_autoencoder(RECIPES["cards-30-14-7-4"], 30)
    kinds = [type(layer).__name__ for layer in cards.layers]
    assert kinds == ["InputLayer", "Dense", "Dropout", "Dense", "Dense", "Dense", "Dropout", "Dense", "Dense"]
    assert float(cards.layers[1].activity_regularizer.l2) == pytest.approx(1e-7)
    assert [layer.activity_regularizer for layer in dense("ecg-msle", 140)] == [None] * 8
    noisy = build_autoencoder(RECIPES["default"], 5).layers[1]
    assert isinstance(noisy, keras.layers.GaussianNoise)
    assert noisy.stddev == 0.2


@pytest.mark.parametrize(
    ("units", "features", "wanted"), [(14, 30, 14), ("3x", 29, 87), ("0.6x", 29, 17), ("0.6x", 2, 2), ("0.6x", 1, 2)]
)
def test_relative_widths(units: int | str, features: int, wanted: int) -> None:
    """A width is a number, or a share of the features rounded, never below 2."""
    assert Layer(units).width(features) == wanted


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_can_be_followed(name: str) -> None:
    """Each recipe's threshold is a method, and its columns are among its features."""
    recipe = RECIPES[name]
    parse(recipe.threshold)
    for step in recipe.preprocessing:
        assert step.columns is None or set(step.columns) <= set(recipe.features or ())


def test_names() -> None:
    """These recipes exist, and the default is the command's."""
    assert set(RECIPES) == set(WIDTHS)
