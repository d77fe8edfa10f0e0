"""Networks and how they are trained, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Cards = tuple[str, ...]
V: Cards = tuple(f"V{i}" for i in range(1, 29))


@dataclass(frozen=True, slots=True)
class Layer:
    """A dense layer. units: a number, or a share of the number of features ("3x"). dropout follows the activation."""

    units: int | str
    activation: str = "linear"
    dropout: float = 0.0
    l2_activity: float = 0.0

    def width(self, features: int) -> int:
        """Its number of units for rows of so many features, at least 2."""
        if isinstance(self.units, int):
            return self.units
        return max(round(float(self.units.removesuffix("x")) * features), 2)


@dataclass(frozen=True, slots=True)
class Step:
    """A step of preprocessing: `standardise` and `min_max` by column, `min_max_global` by one minimum and maximum.

    columns: those it works on; None for all.
    """

    kind: Literal["standardise", "min_max", "min_max_global"]
    columns: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Recipe:
    """How an autoencoder is made: data, not code.

    features: the columns it is for; None for all numeric ones. layers: between the input and the reconstruction,
    which has `output` as activation. loss: the error whose mean over the features is the score. input_noise: sd of
    the Gaussian noise on the preprocessed training rows. patience: epochs without `min_delta` of improvement on
    held-out rows before it stops; the best weights are kept. calibrate_on: rows whose scores give the threshold.
    """

    about: str
    preprocessing: tuple[Step, ...]
    layers: tuple[Layer, ...]
    output: str
    threshold: str
    features: tuple[str, ...] | None = None
    loss: Literal["mse", "msle"] = "mse"
    optimizer: str = "adam"
    learning_rate: float = 1e-3
    epochs: int = 50
    batch: int = 64
    min_delta: float = 1e-4
    patience: int = 10
    input_noise: float = 0.0
    calibrate_on: Literal["held_out", "training"] = "held_out"


RECIPES: dict[str, Recipe] = {
    "default": Recipe(
        about="any table of numbers: a wide denoising autoencoder with a linear code",
        preprocessing=(Step("standardise"),),
        layers=(Layer("3x", "gelu"), Layer("0.6x"), Layer("3x", "gelu")),
        output="linear",
        threshold="percentile:99.5",
        epochs=60,
        batch=256,
        learning_rate=2e-3,
        patience=8,
        input_noise=0.2,
    ),
    "cards-30-14-7-4": Recipe(
        about="credit cards: Time, V1..V28, Amount through 30-14-7-4-7-14-30",
        features=("Time", *V, "Amount"),
        preprocessing=(Step("standardise", ("Time", "Amount")), Step("min_max_global")),
        layers=(
            Layer(14, "tanh", l2_activity=1e-7, dropout=0.2),
            Layer(7, "relu"),
            Layer(4, "leaky_relu"),
            Layer(7, "relu", dropout=0.2),
            Layer(14, "relu"),
        ),
        output="tanh",
        threshold="percentile:99.5",
    ),
    "ecg-msle": Recipe(
        about="heartbeats of 140 samples through 140-64-32-16-8-16-32-64-140 with MSLE",
        preprocessing=(Step("min_max"),),
        layers=(
            Layer(64, "relu", dropout=0.1),
            Layer(32, "relu", dropout=0.1),
            Layer(16, "relu", dropout=0.1),
            Layer(8, "relu"),
            Layer(16, "relu", dropout=0.1),
            Layer(32, "relu", dropout=0.1),
            Layer(64, "relu"),
        ),
        output="sigmoid",
        loss="msle",
        epochs=20,
        batch=512,
        threshold="mean+1sd",
        calibrate_on="training",
    ),
}
