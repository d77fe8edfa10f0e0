"""Recipes say what was asked for, their networks are built as they say, and a person's mistakes are named."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from detector.errors import UsageError
from detector.table.accounts import ACCOUNT_FEATURES
from detector.threshold import parse
from trainer.network import SwapNoise, dense_autoencoder
from trainer.recipes import RECIPES, Activation, Branch, Dense, Layer, Memory, Recipe, find, read, source

V = tuple(f"V{number}" for number in range(1, 29))
WIDTHS = {
    "cards-30-14-7-4": (30, [14, 7, 4, 7, 14, 30]),
    "cards-64-32-16": (29, [64, 32, 16, 32, 64, 29]),
    "cards-29-20-8-20": (29, [20, 8, 20, 29]),
    "ecg-msle": (140, [64, 32, 16, 8, 16, 32, 64, 140]),
    "twitter-accounts": (16, [16, 8, 4, 2, 4, 8, 16]),
}
"""Of the recipes that were asked for: the features, and the units of each layer."""

ACTIVATIONS = {
    "cards-30-14-7-4": ["tanh", "relu", "leaky_relu", "relu", "relu", "tanh"],
    "cards-64-32-16": ["relu"] * 5 + ["tanh"],
    "cards-29-20-8-20": ["relu"] * 3 + ["linear"],
    "ecg-msle": ["relu"] * 7 + ["sigmoid"],
    "twitter-accounts": ["elu"] * 7,
}
DROPOUTS = {
    "cards-30-14-7-4": {1: 0.2, 4: 0.2},
    "ecg-msle": {1: 0.1, 2: 0.1, 3: 0.1, 5: 0.1, 6: 0.1},
}
"""By the number of the layer that it follows."""

TRAINING = {
    "cards-30-14-7-4": ("mse", "adam", 1e-3, 50, 64),
    "cards-64-32-16": ("mse", "rmsprop", 1e-3, 10, 64),
    "cards-29-20-8-20": ("mse", "adam", 1e-3, 50, 64),
    "ecg-msle": ("msle", "adam", 1e-3, 20, 512),
    "twitter-accounts": ("mse", "adam", 1e-3, 100, 256),
}
EARLY_STOP = {"cards-30-14-7-4": (1e-4, 10), "twitter-accounts": (1e-4, 10)}
PREPROCESSING = {
    "cards-30-14-7-4": [("standardise", ("Time", "Amount")), ("min_max_global", None)],
    "cards-64-32-16": [("standardise", ("Amount",))],
    "cards-29-20-8-20": [("standardise", None)],
    "ecg-msle": [("min_max", None)],
    "twitter-accounts": [("unit_length", None), ("min_max", None)],
}
FEATURES = {
    "cards-30-14-7-4": ("Time", *V, "Amount"),
    "cards-64-32-16": (*V, "Amount"),
    "cards-29-20-8-20": (*V, "Amount"),
    "ecg-msle": None,
    "twitter-accounts": None,
}
ASKED = tuple(WIDTHS)


def dense_of(name: str) -> Dense:
    """The first branch of a recipe."""
    branch = RECIPES[name].branches[0]
    assert isinstance(branch, Dense)
    return branch


def built(name: str) -> Any:
    return dense_autoencoder(dense_of(name), WIDTHS[name][0], 0, "autoencoder")


def dense_layers(network: Any) -> list[Any]:
    return [one for one in network.layers if type(one).__name__ == "Dense"]


def test_names() -> None:
    """These recipes exist, and the default comes first; each of the asked ones is one network."""
    assert next(iter(RECIPES)) == "default"
    assert set(RECIPES) == {"default", *ASKED}
    assert all(len(RECIPES[name].branches) == 1 for name in ASKED)


@pytest.mark.parametrize("name", ASKED)
def test_layers(name: str) -> None:
    """The built network has the units and activations that were asked for, between rows of so many features."""
    width, units = WIDTHS[name]
    network = built(name)
    layers = dense_layers(network)
    assert network.input_shape == network.output_shape == (None, width)
    assert [layer.units for layer in layers] == units
    assert [tuple(layer.kernel.shape) for layer in layers] == list(pairwise([width, *units]))
    assert [layer.activation.__name__ for layer in layers] == ACTIVATIONS[name]


@pytest.mark.parametrize("name", ASKED)
def test_dropouts(name: str) -> None:
    """Dropout follows the layers that ask for it, with their rate, and no other."""
    found, number = {}, 0
    for layer in built(name).layers:
        kind = type(layer).__name__
        number += kind == "Dense"
        if kind == "Dropout":
            found[number] = layer.rate
    assert found == DROPOUTS.get(name, {})
    assert number == len(WIDTHS[name][1])


@pytest.mark.parametrize("name", ASKED)
def test_penalties_and_weights(name: str) -> None:
    """One network has a penalty of its first layer's activity, another no bias at its end and weights as asked for."""
    layers = dense_layers(built(name))
    penalties = [layer.activity_regularizer for layer in layers]
    if name == "cards-30-14-7-4":
        assert float(penalties[0].l2) == pytest.approx(1e-7)
        penalties = penalties[1:]
    assert set(penalties) == {None}
    assert [layer.use_bias for layer in layers] == [True] * (len(layers) - 1) + [name != "cards-29-20-8-20"]
    normal = name == "cards-29-20-8-20"
    assert {type(layer.kernel_initializer).__name__ for layer in layers} == {
        "RandomNormal" if normal else "GlorotUniform"
    }
    if normal:
        assert {(layer.kernel_initializer.mean, layer.kernel_initializer.stddev) for layer in layers} == {(0.0, 0.25)}


@pytest.mark.parametrize("name", ASKED)
def test_training(name: str) -> None:
    """Loss, optimizer, its rate, epochs and batch are those asked for; only two stop early; none adds noise."""
    branch = dense_of(name)
    found = (branch.loss, branch.optimizer, branch.learning_rate, branch.epochs, branch.batch)
    assert found == TRAINING[name]
    assert (branch.min_delta, branch.patience) == EARLY_STOP.get(name, (branch.min_delta, 0))
    assert (branch.steps, branch.input_noise, branch.swap_noise, branch.readings) == (0, 0, 0, ("plain",))
    assert branch.check_every == (1000 if name == "cards-29-20-8-20" else 0)


@pytest.mark.parametrize("name", ASKED)
def test_rows_and_thresholds(name: str) -> None:
    """Features, preprocessing, rows to learn from and the threshold are those asked for."""
    recipe = RECIPES[name]
    assert recipe.features == FEATURES[name]
    assert [(step.kind, step.columns) for step in recipe.branches[0].preprocessing] == PREPROCESSING[name]
    assert recipe.rows == ("all" if name == "cards-64-32-16" else "normal")
    assert recipe.table == ("accounts" if name == "twitter-accounts" else "as_is")
    assert recipe.truncate is False
    assert recipe.calibrate_on == ("training" if name == "ecg-msle" else "held_out")


@pytest.mark.parametrize(
    ("name", "kind", "number"),
    [
        ("default", "percentile", 99.5),
        ("cards-30-14-7-4", "percentile", 99.5),
        ("cards-64-32-16", "value", 0.5),
        ("cards-29-20-8-20", "value", 10.0),
        ("ecg-msle", "mean+sd", 1.0),
        ("twitter-accounts", "mad", 3.0),
    ],
)
def test_thresholds(name: str, kind: str, number: float) -> None:
    """Each recipe's threshold is the method asked for."""
    spec = parse(RECIPES[name].threshold)
    assert (spec.kind, spec.number) == (kind, number)


def test_sixteen_features_of_accounts() -> None:
    """The network of the accounts is as wide as they have features."""
    assert len(ACCOUNT_FEATURES) == WIDTHS["twitter-accounts"][0] == WIDTHS["twitter-accounts"][1][-1]


def test_default() -> None:
    """The default is for any table: a denoising network and a memory side by side."""
    recipe = RECIPES["default"]
    assert (recipe.features, recipe.table, recipe.rows) == (None, "as_is", "normal")
    assert {type(branch) for branch in recipe.branches} == {Dense, Memory}
    branch = dense_of("default")
    network = dense_autoencoder(branch, 29, 0, "autoencoder")
    assert network.output_shape == (None, 29)
    assert [layer.units for layer in dense_layers(network)] == [*(one.width(29) for one in branch.layers), 29]
    kinds = [type(layer) for layer in network.layers]
    assert (SwapNoise in kinds) == (branch.swap_noise > 0)


def test_the_code_is_the_narrowest_layer() -> None:
    """The narrowest layer has the name by which a report finds it, the last one its own."""
    for name in ASKED:
        network = built(name)
        assert network.get_layer("code").units == min(WIDTHS[name][1])
        assert network.layers[-1].name == "reconstruction"


@pytest.mark.parametrize(
    ("units", "columns", "wanted"), [(14, 30, 14), (3, 30, 3), ("3x", 29, 87), ("0.6x", 29, 17), ("0.6x", 2, 8)]
)
def test_relative_widths(units: int | str, columns: int, wanted: int) -> None:
    """A width is a number, or a share of the columns rounded, which is never below 8."""
    assert Layer(units).width(columns) == wanted


def test_every_activation_is_keras_s() -> None:
    """Every activation that a recipe may name is one that Keras has and that needs no more than its input."""
    import keras

    for name in get_args(Activation):
        assert keras.activations.get(name)(keras.ops.ones((2, 4))).shape == (2, 4)


@pytest.mark.parametrize("name", RECIPES)
def test_own_recipes_may_begin_a_person_s(name: str, tmp_path: Path) -> None:
    """The TOML of each recipe, kept as a file, is the same recipe again."""
    path = tmp_path / "mine.toml"
    path.write_text(source(name), encoding="utf-8")
    assert find(str(path)) == ("mine", RECIPES[name])
    assert find(name) == (name, RECIPES[name])


@pytest.mark.parametrize(
    ("threshold", "branches", "wanted"),
    [
        ("value:10", (Dense((), ()),), 10.0),
        ("value:-1.5", (Dense((), ()),), -1.5),
        ("mad:3", (Dense((), ()),), None),
        ("value:10", (Dense((), (), readings=("whitened",)),), None),
        ("value:10", (Dense((), (), readings=("plain", "whitened")),), None),
        ("value:10", (Dense((), ()), Memory(())), None),
        ("value:10", (Memory(()),), None),
    ],
)
def test_a_threshold_that_is_fixed(threshold: str, branches: tuple[Branch, ...], wanted: float | None) -> None:
    """A threshold is known before the training where it is a number and the score one plain error of one network."""
    assert Recipe("x", branches, threshold).fixed == wanted


def test_truncate_is_a_line_away() -> None:
    """The recipe whose notebook truncates does so by one more line."""
    assert read(f"truncate = true\n{source('cards-64-32-16')}", "x") == msgspec.structs.replace(
        RECIPES["cards-64-32-16"], truncate=True
    )


HEAD = 'about = "x"\nthreshold = "mad:3"\n'
DENSE = '[[branches]]\nkind = "dense"\npreprocessing = [{ kind = "standardise" }]\n'
LAYERS = "layers = [{ units = 3 }]\n"
MEMORY = '[[branches]]\nkind = "memory"\npreprocessing = []\n'


def test_a_person_s_recipe() -> None:
    """What a person leaves out has its default; both kinds of branches may stand in one file."""
    found = read(HEAD + DENSE + LAYERS + MEMORY, "mine")
    assert isinstance(found, Recipe)
    assert [type(branch) for branch in found.branches] == [Dense, Memory]
    assert found.branches[0] == Dense(RECIPES["cards-29-20-8-20"].branches[0].preprocessing, (Layer(3),))


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ("about =", "not TOML: "),
        ("about = 'x'\nabout = 'y'", "not TOML: "),
        ("", "Object missing required field `about`"),
        (HEAD, "Object missing required field `branches`"),
        (HEAD + "branches = []", "branches: at least one is wanted"),
        (HEAD + "branches = 3", "branches: Expected `array`, got `int`"),
        (HEAD + "branches = [3]", "branches[0]: Expected `object`, got `int`"),
        (HEAD + "[[branches]]\nlayers = []", "branches[0]: Object missing required field `kind`"),
        (HEAD + '[[branches]]\nkind = "tree"', "branches[0].kind: Invalid value 'tree'; wanted: dense, memory"),
        (HEAD + DENSE, "branches[0]: Object missing required field `layers`"),
        (HEAD + "colour = 1\n" + DENSE + LAYERS, "unknown field `colour`; known: about, branches, threshold, "),
        (HEAD + DENSE + LAYERS + "prototypes = 3", "branches[0]: Object contains unknown field `prototypes`; known: "),
        (HEAD + DENSE + LAYERS + MEMORY + "epochs = 3", "branches[1]: Object contains unknown field `epochs`; known: "),
        (HEAD + DENSE + "layers = [{ unit = 3 }]", "branches[0].layers[0]: Object contains unknown field `unit`"),
        (HEAD + DENSE + "layers = [{ units = 2.5 }]", "branches[0].layers[0].units: Expected `int | str`, got `float`"),
        (HEAD + DENSE + "layers = [{ units = true }]", "branches[0].layers[0].units: Expected `int | str`, got `bool`"),
        (HEAD + DENSE + "layers = [{ units = 0 }]", "branches[0].layers[0]: units 0: 1 to 1000000 or a share"),
        (HEAD + DENSE + "layers = [{ units = -4 }]", "branches[0].layers[0]: units -4: "),
        (HEAD + DENSE + "layers = [{ units = 2000000 }]", "units 2000000: 1 to 1000000 or a share of the columns"),
        (HEAD + DENSE + 'layers = [{ units = "3" }]', "units '3': 1 to 1000000 or a share of the columns like \"3x\""),
        (HEAD + DENSE + 'layers = [{ units = "nanx" }]', "units 'nanx': "),
        (HEAD + DENSE + 'layers = [{ units = "-1x" }]', "units '-1x': "),
        (HEAD + DENSE + 'layers = [{ units = "0x" }]', "units '0x': "),
        (HEAD + DENSE + "layers = [{ units = 3, dropout = 1 }]", "branches[0].layers[0].dropout: Expected `float` < 1"),
        (
            HEAD + DENSE + 'layers = [{ units = 3 }, { units = 3, activation = "relux" }]',
            "branches[0].layers[1].activation: Invalid enum value 'relux'; wanted: linear, relu, ",
        ),
        (HEAD + DENSE + LAYERS + 'output = "glu"', "branches[0].output: Invalid enum value 'glu'; wanted: linear, "),
        (HEAD + DENSE + LAYERS + 'loss = "mae"', "branches[0].loss: Invalid enum value 'mae'; wanted: mse, msle"),
        (HEAD + DENSE + LAYERS + 'optimizer = "lion"', "Invalid enum value 'lion'; wanted: adam, rmsprop, sgd"),
        (
            HEAD + DENSE + LAYERS + 'readings = ["plain", "loud"]',
            "branches[0].readings[1]: Invalid enum value 'loud'; wanted: plain, whitened",
        ),
        (HEAD + DENSE + LAYERS + "readings = []", "branches[0].readings: Expected `array` of length >= 1"),
        (HEAD + DENSE + LAYERS + "epochs = 0", "branches[0].epochs: Expected `int` >= 1"),
        (HEAD + DENSE + LAYERS + "batch = 2.5", "branches[0].batch: Expected `int`, got `float`"),
        (HEAD + DENSE + LAYERS + "learning_rate = 0", "branches[0].learning_rate: Expected `float` > 0.0"),
        (HEAD + DENSE + LAYERS + "learning_rate = nan", "branches[0].learning_rate: Expected `float` > 0.0"),
        (HEAD + DENSE + LAYERS + "learning_rate = inf", "branches[0].learning_rate: Expected `float` <= 1000000000.0"),
        (HEAD + DENSE + LAYERS + 'learning_rate = "fast"', "branches[0].learning_rate: Expected `float`, got `str`"),
        (HEAD + DENSE + LAYERS + "swap_noise = 0.6", "branches[0].swap_noise: Expected `float` <= 0.5"),
        (HEAD + DENSE + LAYERS + "steps = -1", "branches[0].steps: Expected `int` >= 0"),
        (HEAD + MEMORY + "prototypes = 1", "branches[0].prototypes: Expected `int` >= 2"),
        (HEAD + MEMORY + "temperature = 0", "branches[0].temperature: Expected `float` > 0.0"),
        (HEAD + MEMORY + "from_mean = 2", "branches[0].from_mean: Expected `float` <= 1.0"),
        (
            HEAD + '[[branches]]\nkind = "memory"\npreprocessing = [{ kind = "scale" }]',
            "branches[0].preprocessing[0].kind: Invalid enum value 'scale'; wanted: standardise, min_max, ",
        ),
        (
            HEAD + '[[branches]]\nkind = "memory"\npreprocessing = [{ kind = "whiten", columns = ["a"] }]',
            "branches[0].preprocessing[0]: step 'whiten' works on all columns; standardise, min_max, min_max_global ",
        ),
        (
            'features = ["a", "b"]\n' + HEAD + '[[branches]]\nkind = "memory"\n'
            'preprocessing = [{ kind = "min_max", columns = ["a", "c"] }]',
            "step 'min_max': column 'c' is none of the features",
        ),
        ('rows = "some"\n' + HEAD + MEMORY, "rows: Invalid enum value 'some'; wanted: normal, all"),
        ("features = [1]\n" + HEAD + MEMORY, "features[0]: Expected `str`, got `int`"),
        ("truncate = 1\n" + HEAD + MEMORY, "truncate: Expected `bool`, got `int`"),
        ('about = "x"\nthreshold = "often"\n' + MEMORY, "threshold 'often' is none of percentile:99.5, "),
        ('about = "x"\nthreshold = "running-mad:3"\n' + MEMORY, "threshold 'running-mad:3' needs a running detector"),
        ('about = "x"\nthreshold = "mad:-3"\n' + MEMORY, "threshold 'mad:-3': a number above 0 is wanted"),
    ],
)
def test_mistakes_are_named(content: str, wanted: str, tmp_path: Path) -> None:
    """A mistake in a person's TOML is refused with the file, the key's path and what was wanted, in one line."""
    path = tmp_path / "mine.toml"
    path.write_text(content)
    with pytest.raises(UsageError) as refused:
        find(str(path))
    text = str(refused.value)
    assert text.startswith(f"recipe {path}: ")
    assert wanted in text
    assert "\n" not in text
    assert refused.value.code == 2


def test_files_that_are_no_recipe(tmp_path: Path) -> None:
    """A file that is missing, a directory or no UTF-8, and a name that nobody knows, are refused by name."""
    (tmp_path / "folder.toml").mkdir()
    (tmp_path / "latin.toml").write_bytes('about = "Gr\xfc\xdfe"'.encode("latin-1"))
    for name, wanted in (
        ("absent.toml", "No such file or directory"),
        ("folder.toml", "Is a directory"),
        ("latin.toml", "not UTF-8 text"),
        ("mine.json", "nor a file ending in .toml"),
    ):
        with pytest.raises(UsageError, match=wanted) as refused:
            find(str(tmp_path / name))
        assert name in str(refused.value)
    with pytest.raises(UsageError, match="recipe 'defualt' is none of default, cards-29-20-8-20, "):
        find("defualt")
