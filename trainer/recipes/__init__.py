"""Networks and how they are trained, as data: the TOML files beside this one, or a person's own."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Collection, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta

from detector.errors import UsageError
from detector.threshold import parse, refuse_running

Activation = Literal[
    "linear",
    "relu",
    "relu6",
    "leaky_relu",
    "elu",
    "selu",
    "celu",
    "gelu",
    "silu",
    "mish",
    "softplus",
    "softsign",
    "softmax",
    "log_softmax",
    "exponential",
    "tanh",
    "tanh_shrink",
    "sigmoid",
    "log_sigmoid",
    "hard_sigmoid",
    "hard_silu",
    "hard_tanh",
    "hard_shrink",
    "soft_shrink",
    "squareplus",
    "sparse_plus",
    "sparse_sigmoid",
    "sparsemax",
]
"""Keras' activations that need no argument and keep the width."""

MOST = 1e9
"""The largest number that a recipe may have; infinity is above it."""

WIDEST = 1_000_000
"""Units that a layer may have at most."""

Count = Annotated[int, Meta(ge=1, le=10**9)]
CountOrNone = Annotated[int, Meta(ge=0, le=10**9)]
Above0 = Annotated[float, Meta(gt=0, le=MOST)]
From0 = Annotated[float, Meta(ge=0, le=MOST)]

_SHARE = re.compile(r"(\d+\.?\d*|\.\d+)x")


class Layer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A dense layer. units: a number, or a share of the number of columns ("3x"). dropout follows the activation."""

    units: int | str
    activation: Activation = "linear"
    dropout: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    l2_activity: From0 = 0.0

    def __post_init__(self) -> None:
        if not 0 < self._number() <= WIDEST:
            raise ValueError(f'units {self.units!r}: 1 to {WIDEST} or a share of the columns like "3x" is wanted')

    def width(self, columns: int) -> int:
        """Its number of units for rows of so many columns; a share is at least 8."""
        return self.units if isinstance(self.units, int) else max(round(self._number() * columns), 8)

    def _number(self) -> float:
        if isinstance(self.units, int):
            return self.units
        share = _SHARE.fullmatch(self.units)
        return float(share[1]) if share else math.nan


BY_COLUMN = ("standardise", "min_max", "min_max_global")
"""Steps that may work on some columns alone."""


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A step of preprocessing.

    standardise, min_max: by column. min_max_global: by one minimum and maximum. unit_length: each row divided by its
    Euclidean length. normal_scores: each column's quantiles become those of the normal distribution. whiten: columns
    made uncorrelated. columns: those that the first three work on; None for all.
    """

    kind: Literal["standardise", "min_max", "min_max_global", "unit_length", "normal_scores", "whiten"]
    columns: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.columns is not None and self.kind not in BY_COLUMN:
            raise ValueError(f"step {self.kind!r} works on all columns; {', '.join(BY_COLUMN)} take `columns`")


class Dense(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="dense", tag_field="kind"):
    """An autoencoder of dense layers, trained by gradient.

    layers: between the input and the reconstruction, which has `output` as activation. loss: the error. readings: how
    the error of a row is read: "plain", the mean of the columns' errors, or "whitened", the same after they were made
    uncorrelated and of unit variance over the training rows, a Mahalanobis distance. Of both, each has its own
    surprise. input_noise: sd of Gaussian noise on the preprocessed training rows. swap_noise: in each row a share of
    the values, uniform between 0 and twice this, is taken from other rows. steps: batches in all, the learning rate
    falling to 0 by a cosine; 0 for `epochs` over the rows. patience: epochs without `min_delta` of improvement on
    held-out rows before it stops and takes back the best weights; 0 for never. weights_sd: of the normal distribution
    that weights begin with; 0 for Glorot's uniform one. check_every: batches between two looks at labelled rows that
    were kept out of the fit, at a threshold that is a number or, where it is none, at the best F1; 0 for none.
    """

    preprocessing: tuple[Step, ...]
    layers: tuple[Layer, ...]
    output: Activation = "linear"
    output_bias: bool = True
    loss: Literal["mse", "msle"] = "mse"
    readings: Annotated[tuple[Literal["plain", "whitened"], ...], Meta(min_length=1)] = ("plain",)
    optimizer: Literal["adam", "rmsprop", "sgd"] = "adam"
    learning_rate: Above0 = 1e-3
    epochs: Count = 50
    steps: CountOrNone = 0
    batch: Count = 64
    min_delta: From0 = 1e-4
    patience: CountOrNone = 10
    input_noise: From0 = 0.0
    swap_noise: Annotated[float, Meta(ge=0, le=0.5)] = 0.0
    weights_sd: From0 = 0.0
    check_every: CountOrNone = 0


class Memory(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="memory", tag_field="kind"):
    """An autoencoder without gradient: a row is rebuilt as the mean of `prototypes` centres of the training rows.

    The centres are those of k-means; centre c weighs exp(-|z - c|^2 / (2 temperature b)), b being the mean squared
    distance of a training row to its nearest one: the optimal denoiser of a mixture of Gaussians on the centres.
    from_mean: the share of the error that is a row's distance from the mean of all instead, both in units of their
    own means over held-out rows; on whitened columns that part is the Mahalanobis distance. joins: its error is not
    read by itself but added to that of the memory before it, both in units of their means: it weighs min(R / R of the
    one before, 1), R being the share of the variance of held-out rows that is rebuilt, and that one weighs the rest.
    So whitening counts for little where it leaves nothing but noise, as of columns that nearly depend on each other.
    """

    preprocessing: tuple[Step, ...]
    prototypes: Annotated[int, Meta(ge=2, le=WIDEST)] = 256
    temperature: Above0 = 0.3
    from_mean: Annotated[float, Meta(ge=0, le=1)] = 0.0
    joins: bool = False


Branch = Dense | Memory


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How an autoencoder is made: data, not code.

    branches: one or more autoencoders in one graph. A single error is the score; of several, each becomes a surprise
    (the negative logarithm of the share of held-out normal rows above it) and the score is the largest.
    features: the columns it is for; None for all that can be learned from. table: how raw rows become rows of
    features. rows: which rows it learns from. truncate: whether features are cut to whole numbers first.
    calibrate_on: rows whose scores give the threshold.
    """

    about: str
    branches: tuple[Branch, ...]
    threshold: str
    features: tuple[str, ...] | None = None
    table: Literal["as_is", "accounts"] = "as_is"
    rows: Literal["normal", "all"] = "normal"
    truncate: bool = False
    calibrate_on: Literal["held_out", "training"] = "held_out"

    def __post_init__(self) -> None:
        if not self.branches:
            raise ValueError("branches: at least one is wanted")
        refuse_running(parse(self.threshold))
        for before, branch in zip((None, *self.branches), self.branches, strict=False):
            if isinstance(branch, Memory) and branch.joins and not (isinstance(before, Memory) and not before.joins):
                raise ValueError("branches: a memory that joins stands behind a memory that does not")
        if self.features is not None:
            refuse_columns(self.branches, self.features)

    @property
    def fixed(self) -> float | None:
        """The threshold where it is a number, so that it stands before anything is learned; None where history tells.

        None too where what is learned decides how errors become the score: of several readings, and of a whitened one.
        """
        spec, branch = parse(self.threshold), self.branches[0]
        plain = len(self.branches) == 1 and isinstance(branch, Dense) and branch.readings == ("plain",)
        return spec.number if spec.kind == "value" and plain else None


def refuse_columns(branches: tuple[Branch, ...], features: Collection[str]) -> None:
    """ValueError where a step is for a column that is no feature."""
    for step in (step for branch in branches for step in branch.preprocessing):
        if unknown := [name for name in step.columns or () if name not in features]:
            raise ValueError(f"step {step.kind!r}: column {unknown[0]!r} is none of the features")


def read(content: str, name: str) -> Recipe:
    """A recipe from TOML; UsageError names the key, what is wrong with it and what was wanted."""
    try:
        return msgspec.toml.decode(content, type=Recipe)
    except msgspec.ValidationError as error:
        raise UsageError(f"recipe {name}: {_explained(str(error), tomllib.loads(content))}") from error
    except ValueError as error:
        raise UsageError(f"recipe {name}: not TOML: {error}") from error


def _explained(message: str, content: dict[str, Any]) -> str:
    """What msgspec says is wrong, after the key's path, with the words that could stand there if it names none."""
    said, _, place = message.partition(" - at `$")
    path = place.strip(".`")
    told = f"{path}: {said}" if path else said
    if "unknown field" in said:
        return f"{told}; known: {', '.join(_keys(path, content))}"
    if said.startswith("Invalid"):
        holder, _, key = path.rpartition(".")
        return f"{told}; wanted: {', '.join(_keys(holder, content)[key.partition('[')[0]])}"
    return told


def _keys(path: str, content: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """The keys of the table at a path, and the words that each may be; no words where it is not of words."""
    name, _, number = path.rpartition(".")[2].rstrip("]").partition("[")
    struct: Any = {"preprocessing": Step, "layers": Layer}.get(name, Recipe)
    tag = {}
    if name == "branches":
        struct = Memory if content["branches"][int(number)].get("kind") == "memory" else Dense
        tag = {"kind": ("dense", "memory")}
    return tag | {one.name: tuple(_words(one.type)) for one in msgspec.structs.fields(struct)}


def _words(kind: Any) -> Iterator[str]:
    for one in get_args(kind):
        yield from (one,) if isinstance(one, str) else _words(one)


def find(text: str) -> tuple[str, Recipe]:
    """A recipe by its name, or from a file that ends in .toml; its name with it."""
    if text in RECIPES:
        return text, RECIPES[text]
    path = Path(text)
    if path.suffix != ".toml":
        raise UsageError(f"recipe {text!r} is none of {', '.join(RECIPES)}, nor a file ending in .toml")
    try:
        return path.stem, read(path.read_text(encoding="utf-8"), text)
    except OSError as error:
        raise UsageError(f"recipe {text}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"recipe {text}: not UTF-8 text") from error


def source(name: str) -> str:
    """The TOML of one of our own."""
    return (files(__package__) / f"{name}.toml").read_text(encoding="utf-8")


def _own() -> dict[str, Recipe]:
    names = [one.name.removesuffix(".toml") for one in files(__package__).iterdir() if one.name.endswith(".toml")]
    ordered = ["default", *sorted(name for name in names if name != "default")]
    return {name: read(source(name), name) for name in ordered}


RECIPES: dict[str, Recipe] = _own()
