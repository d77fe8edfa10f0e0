"""Recipe -> Keras model: preprocessing, autoencoders, their errors and the score, all in one graph.

The model takes raw rows (n, d), NaN where a value is missing, and gives a dict:
score (n,), contribution (n, d) that adds up to it, expected (n, d) in the rows' own units, and of the first branch
preprocessed and reconstruction, both (n, D).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from trainer.preprocessing import Preprocessing, through
from trainer.recipes import Dense, Layer

LEAST = 1e-30
"""Added to an error before its logarithm is taken."""


def _registered(cls: type[Any]) -> type[Any]:
    return keras.saving.register_keras_serializable(package="trainer")(cls)  # type: ignore[no-any-return]


class Fixed(keras.layers.Layer):  # type: ignore[misc]
    """A layer that learns nothing: all it is stands in its configuration, arrays as lists."""

    def __init__(self, config: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**{"trainable": False, **kwargs})  # a loaded file says it too
        self.config = config

    def get_config(self) -> dict[str, Any]:
        """For a Keras file."""
        return {**super().get_config(), "config": self.config}


@_registered
class Preprocess(Fixed):
    """Raw rows (n, d) to what a network sees (n, D)."""

    def call(self, rows: Any) -> Any:
        return Preprocessing.from_config(self.config).forward(rows, ops)


@_registered
class Expected(Fixed):
    """A reconstruction (n, D) in the units of the raw rows (n, d) that it is of."""

    def call(self, reconstruction: Any, rows: Any) -> Any:
        return Preprocessing.from_config(self.config).backward(reconstruction, rows, ops)


@_registered
class Errors(Fixed):
    """Each column's error (n, D), whose mean over the columns is a branch's error. As Keras defines MSE and MSLE.

    loss: mse or msle. mean (D,), matrix (D, D): where there is one, the differences are first whitened by it.
    near, far: where there are such, the error is near (z - r)^2 + far z^2.
    """

    def call(self, z: Any, reconstruction: Any) -> Any:
        if self.config["loss"] == "msle":
            least = keras.config.epsilon()
            z, reconstruction = (ops.log(ops.maximum(values, least) + 1.0) for values in (z, reconstruction))
        apart = z - reconstruction
        if self.config.get("matrix"):
            apart = ops.matmul(apart - _array(self.config["mean"]), _array(self.config["matrix"]))
        if self.config.get("far"):
            return ops.square(apart) * self.config["near"] + ops.square(z) * self.config["far"]
        return ops.square(apart)


@_registered
class ByFeature(Fixed):
    """Columns' errors (n, D) to each feature's part (n, d) of their mean. owners (D,): the feature of each column."""

    def call(self, errors: Any) -> Any:
        owners = np.array(self.config["owners"])
        share = 1.0 / len(owners)
        if len(np.unique(owners)) == len(owners):
            return errors * share
        return ops.matmul(errors, (np.eye(owners[-1] + 1, dtype=np.float32) * np.float32(share))[owners])


@_registered
class Weighed(Fixed):
    """One times `own` plus another times `other`."""

    def call(self, one: Any, another: Any) -> Any:
        return one * self.config["own"] + another * self.config["other"]


@_registered
class Surprise(Fixed):
    """A branch's error (n, 1) as -ln of the share of held-out normal rows with a larger one, (n, 1).

    knots, heights (k,): of ln(error). slope: beyond the last knot.
    """

    def call(self, error: Any) -> Any:
        knots, heights = (np.array(self.config[name])[:, None] for name in ("knots", "heights"))
        return through(ops.log(error + LEAST), knots, heights, np.array([self.config["slope"]]), ops)


@_registered
class Memories(keras.layers.Layer):  # type: ignore[misc]
    """Rows (n, D) rebuilt as the mean of centres (k, D), of which c weighs exp(-|z - c|^2 / (2 width))."""

    def __init__(self, prototypes: int, width: float, **kwargs: Any) -> None:
        super().__init__(**{"trainable": False, **kwargs})
        self.prototypes, self.width = prototypes, width

    def build(self, shape: Any) -> None:
        self.centres = self.add_weight(shape=(self.prototypes, shape[-1]), name="centres", trainable=False)

    def call(self, z: Any) -> Any:
        # |z|^2 is the same for all centres and drops out of the softmax; far rows would lose all digits to it.
        near = ops.matmul(z, ops.transpose(self.centres)) - 0.5 * ops.sum(ops.square(self.centres), axis=1)
        return ops.matmul(ops.softmax(near / self.width, axis=1), self.centres)

    def get_config(self) -> dict[str, Any]:
        """For a Keras file."""
        return {**super().get_config(), "prototypes": self.prototypes, "width": self.width}


@_registered
class SwapNoise(keras.layers.Layer):  # type: ignore[misc]
    """While training, values of a row (n, D) are taken from other rows of the batch, each from its own column.

    share: of a row's values on average; a row's own is uniform between 0 and twice that.
    """

    def __init__(self, share: float, seed: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.share, self.seed = share, seed
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, z: Any, training: bool = False) -> Any:
        if not training:
            return z
        rows, columns = ops.shape(z)
        other = keras.random.randint((rows, columns), 0, rows, seed=self.generator)
        swapped = ops.take(ops.reshape(z, (-1,)), other * columns + ops.arange(columns))
        share = keras.random.uniform((rows, 1), 0.0, 2 * self.share, seed=self.generator)
        return ops.where(keras.random.uniform((rows, columns), seed=self.generator) < share, swapped, z)

    def get_config(self) -> dict[str, Any]:
        """For a Keras file."""
        return {**super().get_config(), "share": self.share, "seed": self.seed}


def _array(values: Any) -> NDArray[np.float32]:
    return np.asarray(values, np.float32)


def dense_autoencoder(branch: Dense, columns: int, seed: int, name: str) -> Any:
    """The network between preprocessed rows (n, D) and their reconstruction (n, D); its narrowest layer is `code`."""
    z = inputs = keras.Input((columns,), name="preprocessed")
    if branch.swap_noise:
        z = SwapNoise(branch.swap_noise, seed, name="swap_noise")(z)
    if branch.input_noise:
        z = keras.layers.GaussianNoise(branch.input_noise, name="input_noise")(z)
    widths = [layer.width(columns) for layer in branch.layers]
    narrowest = widths.index(min(widths)) if widths else None
    for number, layer in enumerate(branch.layers):
        z = _dense(layer, widths[number], branch, "code" if number == narrowest else f"dense_{number + 1}")(z)
        if layer.dropout:
            z = keras.layers.Dropout(layer.dropout, name=f"dropout_{number + 1}")(z)
    last = keras.layers.Dense(
        columns, branch.output, branch.output_bias, kernel_initializer=_beginning(branch), name="reconstruction"
    )
    return keras.Model(inputs, last(z), name=name)


def _dense(layer: Layer, width: int, branch: Dense, name: str) -> Any:
    penalty = keras.regularizers.L2(layer.l2_activity) if layer.l2_activity else None
    return keras.layers.Dense(
        width, layer.activation, activity_regularizer=penalty, kernel_initializer=_beginning(branch), name=name
    )


def _beginning(branch: Dense) -> Any:
    return keras.initializers.RandomNormal(stddev=branch.weights_sd) if branch.weights_sd else "glorot_uniform"


def memory_autoencoder(centres: NDArray[np.float64], width: float, name: str) -> Any:
    """The same for a memory of centres (k, D); width: temperature times the typical squared distance to the nearest."""
    inputs = keras.Input((centres.shape[1],), name="preprocessed")
    layer = Memories(len(centres), width, name="reconstruction")
    model = keras.Model(inputs, layer(inputs), name=name)
    layer.set_weights([centres.astype(np.float32)])
    return model


@dataclass(frozen=True, slots=True)
class Reading:
    """How a branch's error is read: the configurations of Errors and of Surprise, None where it is the score itself."""

    errors: dict[str, Any]
    surprise: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """A fitted branch: its preprocessing, its network, and how its error is read."""

    preprocessing: Preprocessing
    network: Any
    readings: tuple[Reading, ...]
    joined: Joined | None = None


@dataclass(frozen=True, slots=True)
class Joined:
    """A branch whose first error is added to every one of another: that times `own`, this times `other`.

    leads: whether what is expected of a row is this branch's reconstruction.
    """

    part: Part
    own: float
    other: float
    leads: bool


def error_of(part: Part, reading: Reading) -> Any:
    """A model of raw rows (n, d) to their error (n,)."""
    rows = keras.Input((len(part.preprocessing.sizes),), name="rows")
    bare = replace(part, readings=(Reading(reading.errors),))
    return keras.Model(rows, ops.squeeze(_branch(bare, rows, "1")[1][0][0], axis=1))


def whole(parts: Sequence[Part], features: int) -> Any:
    """The model of fitted branches, for rows of so many features."""
    rows = keras.Input((features,), name="rows")
    branches = [_branch(part, rows, str(number)) for number, part in enumerate(parts, 1)]
    score, contribution, expected = branches[0][1][0]
    for another in [one for _, read in branches for one in read][1:]:
        larger = ops.greater(another[0], score)
        score, contribution, expected = (
            ops.where(larger, new, old) for new, old in zip(another, (score, contribution, expected), strict=True)
        )
    outputs = {"score": ops.squeeze(score, axis=1), "contribution": contribution, "expected": expected}
    return keras.Model(rows, outputs | branches[0][0], name="model")


def _branch(part: Part, rows: Any, number: str) -> tuple[dict[str, Any], list[tuple[Any, Any, Any]]]:
    """What a branch makes of rows on its way, and by each of its readings score (n, 1), contribution and expected."""
    config = part.preprocessing.to_config()
    z = Preprocess(config, name=f"preprocess_{number}")(rows)
    reconstruction = part.network(z)
    expected = Expected(config, name=f"expected_{number}")(reconstruction, rows)
    read = []
    for at, reading in enumerate(part.readings, 1):
        errors = Errors(reading.errors, name=f"errors_{number}_{at}")(z, reconstruction)
        by_feature = ByFeature({"owners": part.preprocessing.owners.tolist()}, name=f"by_feature_{number}_{at}")
        score, contribution = ops.mean(errors, axis=1, keepdims=True), by_feature(errors)
        if part.joined:
            score, contribution, expected = _sum(part.joined, rows, number, (score, contribution, expected))
        if reading.surprise:
            error, score = score, Surprise(reading.surprise, name=f"surprise_{number}_{at}")(score)
            contribution = contribution * (score / (error + LEAST))
        read.append((score, contribution, expected))
    return {"preprocessed": z, "reconstruction": reconstruction}, read


def _sum(joined: Joined, rows: Any, number: str, own: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
    score, contribution, expected = _branch(joined.part, rows, f"{number}_joined")[1][0]
    weighed = Weighed({"own": joined.own, "other": joined.other}, name=f"weighed_{number}")
    return weighed(own[0], score), weighed(own[1], contribution), expected if joined.leads else own[2]
