"""Recipe -> Keras model, preprocessing inside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from trainer.recipes import Layer, Recipe, Step

FAR = 1e9
"""Preprocessed values are cut here, so that no finite row has an infinite score."""


@dataclass(frozen=True, slots=True)
class Affine:
    """z = (x - offset) / scale, with `fill` (d,) for values that are missing. All float64 (d,)."""

    offset: NDArray[np.float64]
    scale: NDArray[np.float64]
    fill: NDArray[np.float64]

    def then(self, offset: NDArray[np.float64], scale: NDArray[np.float64]) -> Affine:
        """This, followed by another."""
        return Affine(self.offset + offset * self.scale, self.scale * scale, self.fill)

    def apply(self, rows: NDArray[Any]) -> NDArray[np.float64]:
        """Rows (n, d) as the network sees them."""
        filled = np.where(np.isnan(rows), self.fill, rows)
        return np.asarray((filled - self.offset) / self.scale)


def fit_preprocessing(steps: tuple[Step, ...], features: tuple[str, ...], rows: NDArray[np.float32]) -> Affine:
    """A recipe's steps fitted on training rows (n, d); a constant feature keeps a scale of 1, as in scikit-learn."""
    wide = rows.astype(np.float64)
    width = len(features)
    there = ~np.isnan(wide)
    fill = np.nansum(wide, axis=0) / np.maximum(there.sum(axis=0), 1)  # 0 for a feature that is always missing
    affine = Affine(np.zeros(width), np.ones(width), fill)
    for step in steps:
        here = np.array([step.columns is None or name in step.columns for name in features])
        offset, scale = _FITS[step.kind](affine.apply(wide))
        affine = affine.then(np.where(here, offset, 0.0), np.where(here & (scale > 0), scale, 1.0))
    return affine


def _standardise(z: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return z.mean(axis=0), z.std(axis=0)


def _min_max(z: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return z.min(axis=0), z.max(axis=0) - z.min(axis=0)


def _min_max_global(z: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    width = z.shape[1]
    return np.full(width, z.min()), np.full(width, z.max() - z.min())


_FITS = {"standardise": _standardise, "min_max": _min_max, "min_max_global": _min_max_global}


@keras.saving.register_keras_serializable(package="trainer")
class Preprocess(keras.layers.Layer):  # type: ignore[misc]
    """Raw rows to what the network sees: fill, shift, scale, cut at FAR."""

    def __init__(self, offset: list[float], scale: list[float], fill: list[float], **kwargs: Any) -> None:
        super().__init__(**{"trainable": False, **kwargs})  # a loaded file says it too
        self.offset, self.scale, self.fill = list(offset), list(scale), list(fill)

    def call(self, rows: Any) -> Any:
        filled = ops.where(ops.isnan(rows), ops.convert_to_tensor(self.fill, "float32"), rows)
        shifted = filled - ops.convert_to_tensor(self.offset, "float32")
        return ops.clip(shifted / ops.convert_to_tensor(self.scale, "float32"), -FAR, FAR)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "offset": self.offset, "scale": self.scale, "fill": self.fill}


def build_autoencoder(recipe: Recipe, width: int) -> Any:
    """The network between preprocessed rows (n, d) and their reconstruction (n, d)."""
    z = inputs = keras.Input((width,), name="preprocessed")
    if recipe.input_noise:
        z = keras.layers.GaussianNoise(recipe.input_noise)(z)
    for layer in recipe.layers:
        z = _dense(layer, width)(z)
        if layer.dropout:
            z = keras.layers.Dropout(layer.dropout)(z)
    outputs = keras.layers.Dense(width, recipe.output, name="reconstruction")(z)
    return keras.Model(inputs, outputs, name="autoencoder")


def _dense(layer: Layer, width: int) -> Any:
    penalty = keras.regularizers.L2(layer.l2_activity) if layer.l2_activity else None
    return keras.layers.Dense(layer.width(width), layer.activation, activity_regularizer=penalty)


def build_model(affine: Affine, autoencoder: Any) -> Any:
    """The whole: raw rows (n, d) to [preprocessed rows, their reconstruction], both (n, d)."""
    rows = keras.Input((len(affine.offset),), name="rows")
    z = Preprocess(affine.offset.tolist(), affine.scale.tolist(), affine.fill.tolist(), name="preprocess")(rows)
    return keras.Model(rows, [z, autoencoder(z)], name="model")


def errors(loss: str, z: Any, reconstruction: Any) -> Any:
    """Each feature's error (n, d); their mean over the features is the score. As Keras defines MSE and MSLE."""
    if loss == "msle":
        least = keras.config.epsilon()
        z, reconstruction = (ops.log(ops.maximum(values, least) + 1.0) for values in (z, reconstruction))
    return ops.square(z - reconstruction)
