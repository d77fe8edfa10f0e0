"""What is served is what was trained, for every recipe; what is exported loads again, and is the same bytes."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from functools import cache
from html import unescape
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from detector.artifact import KERAS, Artifact
from detector.model import Model
from tests.arrays import f32
from trainer import preprocessing
from trainer.export import keras_file, load_keras, serving_graph
from trainer.network import Part, Reading, dense_autoencoder, memory_autoencoder, whole
from trainer.recipes import RECIPES, Dense, Layer, Step
from trainer.report import page
from trainer.report.evidence import of_artifact
from trainer.report.sections import compose

Rows = NDArray[np.float32]
Made = Callable[[str], Artifact]
Unseen = Callable[[str], Rows]
LARGEST = float(np.finfo(np.float32).max)
EXTREMES = f32([0, LARGEST, -LARGEST, 1e30, -1e30, 1e20, -1e9, 1e-38, 1e-45, -1e-45])
WIDTH = 6
ROWS: Rows = np.random.default_rng(0).normal(size=(300, WIDTH)).astype(np.float32)
SURPRISE = {"knots": [-70.0, -2.0, 3.0], "heights": [0.0, 0.0, 4.0], "slope": 0.5}


# What is served


def gappy(rows: Rows) -> Rows:
    """The rows with gaps: in each a fifth of the values, and in the first all."""
    holes = np.random.default_rng(1).random(rows.shape) < 0.2
    holes[0] = True
    return np.where(holes, np.float32(np.nan), rows)


def extreme(rows: Rows) -> Rows:
    """Rows of the largest and the smallest numbers there are: all alike, mixed, and a few in each of the rows."""
    rng, width = np.random.default_rng(2), rows.shape[1]
    alike = np.repeat(EXTREMES[:, None], width, axis=1)
    mixed = rng.choice(EXTREMES, (100, width))
    few = np.where(rng.random((100, width)) < 0.1, rng.choice(EXTREMES, (100, width)), rows[:100])
    return np.concatenate((alike, mixed, few)).astype(np.float32)


HOW: dict[str, Callable[[Rows], Rows]] = {"as they are": np.array, "gappy": gappy, "extreme": extreme}


@pytest.fixture(scope="module")
def by_keras(made: Made) -> Callable[[str], Any]:
    """The Keras model of each recipe's artifact."""
    return cache(lambda recipe: load_keras(made(recipe).path / KERAS))


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("recipe", RECIPES)
def test_what_is_served_is_what_was_trained(
    recipe: str, how: str, made: Made, unseen: Unseen, by_keras: Callable[[str], Any]
) -> None:
    """Of rows never seen, with gaps, or of the largest and smallest numbers, the served graph and Keras say the same.

    Scores within 1e-5 of them (a surprise is a logarithm: within 1e-6 where it is near 0), finite and never below 0;
    contributions add up to the score within 1e-5 of it; expected values are finite, and in the rows' own units.
    """
    found = made(recipe)
    rows = HOW[how](unseen(recipe))
    model, told = found.model(), by_keras(recipe)(rows, training=False)
    wanted = {name: np.asarray(values, np.float64) for name, values in told.items()}
    scores, (contributions, expected) = model.score(rows), model.explain(rows)
    assert np.isfinite(wanted["score"]).all()
    near_0 = 1e-6 if len(RECIPES[recipe].branches) > 1 else 0.0
    np.testing.assert_allclose(scores, wanted["score"], rtol=1e-5, atol=near_0)
    assert (scores >= 0).all()
    assert (contributions >= 0).all()
    np.testing.assert_allclose(contributions.sum(axis=1, dtype=np.float64), scores, rtol=1e-5, atol=0)
    # One feature's error may be the difference of near equals: it is held to the row's score.
    apart = np.abs(contributions - wanted["contribution"])
    assert (apart <= 1e-5 * np.maximum(scores, near_0)[:, None] + near_0 * 1e-2).all()
    assert np.isfinite(expected).all()
    if how != "extreme":
        spread = np.abs(wanted["expected"]).max(axis=0) + np.nanmax(np.abs(rows), axis=0)
        if recipe == "twitter-accounts":  # a small feature of a long row
            spread = spread + np.abs(wanted["expected"]).max(axis=1, keepdims=True)
        assert (np.abs(expected - wanted["expected"]) <= 1e-5 * spread).all()


@pytest.mark.parametrize("recipe", RECIPES)
def test_scores_tell_rows_apart(recipe: str, made: Made, unseen: Unseen) -> None:
    """A score is no constant: rows never seen have many, and a row of huge values has a higher one than they."""
    scores = made(recipe).model().score(unseen(recipe))
    assert len(np.unique(scores)) > 0.5 * len(scores)
    huge = np.full((1, unseen(recipe).shape[1]), -1e20, np.float32)
    huge[:, ::2] = 1e20
    if recipe != "twitter-accounts":  # which looks at directions alone
        assert made(recipe).model().score(huge)[0] > scores.max()


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_has_a_report(recipe: str, made: Made) -> None:
    """The report of each recipe's artifact is written, and says what its score is."""
    found = made(recipe)
    evidence = of_artifact(found, found.threshold)
    html = page.render(evidence, compose(evidence, lambda name: None))
    assert found.manifest["training"]["score"] in unescape(html)
    assert f"by recipe {found.manifest['training']['recipe']}" in html
    assert 'id="truncation"' not in html


# Files


def parts(seed: int = 0) -> list[Part]:
    """An untrained network and a memory, with preprocessing of several steps, as the first that a process makes."""
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(seed)
    chains = ((Step("normal_scores"),), (Step("standardise"), Step("whiten")))
    found = preprocessing.fit(chains, tuple("abcdef"), (0,) * WIDTH, False, lambda: iter((ROWS,)), ROWS)
    branch = Dense((), (Layer("2x", "gelu"), Layer(3), Layer("2x", "gelu")), swap_noise=0.3, input_noise=0.1)
    centres = np.random.default_rng(seed).normal(size=(20, WIDTH))
    mean, matrix = [0.0] * WIDTH, np.eye(WIDTH).tolist()
    return [
        Part(
            found[0],
            dense_autoencoder(branch, WIDTH, seed, "autoencoder"),
            (Reading({"loss": "mse"}, SURPRISE), Reading({"loss": "mse", "mean": mean, "matrix": matrix}, SURPRISE)),
        ),
        Part(found[1], memory_autoencoder(centres, 0.5, "autoencoder_2"), (Reading({"loss": "mse"}, SURPRISE),)),
    ]


@pytest.fixture(scope="module")
def model() -> Any:
    """A model of all that a recipe may ask for."""
    return whole(parts(), WIDTH)


@pytest.fixture(scope="module")
def graph(model: Any) -> bytes:
    return serving_graph(model)


@pytest.fixture(scope="module")
def again(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The model, written and read again."""
    path = tmp_path_factory.mktemp("keras") / KERAS
    path.write_bytes(keras_file(model))
    return load_keras(path)


def test_the_same_bytes_twice(model: Any, graph: bytes) -> None:
    """Exported twice in one process, file and graph are the same bytes."""
    assert keras_file(model) == keras_file(model)
    assert serving_graph(model) == graph


def test_the_same_bytes_of_the_same_seed(model: Any, graph: bytes) -> None:
    """Made again from the same seed it is the same bytes; from another one others: they are no empty files."""
    one, other = whole(parts(), WIDTH), whole(parts(seed=1), WIDTH)
    assert keras_file(one) == keras_file(model) != keras_file(other)
    assert serving_graph(one) == graph != serving_graph(other)


def test_the_keras_file_predicts_alike(model: Any, again: Any) -> None:
    """The .keras file loads without running code and predicts the same bits, gaps included."""
    for rows in (ROWS, gappy(ROWS)):
        found, wanted = again(rows), model(rows)
        assert set(found) == set(wanted) == {"score", "contribution", "expected", "preprocessed", "reconstruction"}
        assert all(np.asarray(found[name]).tobytes() == np.asarray(wanted[name]).tobytes() for name in wanted)


def test_a_loaded_model_can_be_exported(graph: bytes, again: Any) -> None:
    """The .keras file is enough to serve from: its graph scores the same bits."""
    scores = [Model(one, WIDTH).score(ROWS).tobytes() for one in (graph, serving_graph(again))]
    assert scores[0] == scores[1]


def test_the_keras_file_holds_no_time(model: Any) -> None:
    """No member of the file has a date of its making, in its entry or its text."""
    with zipfile.ZipFile(io.BytesIO(keras_file(model))) as file:
        assert {one.date_time for one in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert b"date" not in file.read("metadata.json")


def test_code_in_a_keras_file_is_not_run(tmp_path: Path) -> None:
    """A .keras file with a function in it is refused."""
    inputs = keras.Input((2,))
    keras.Model(inputs, keras.layers.Lambda(lambda x: x * 2)(inputs)).save(tmp_path / KERAS)
    with pytest.raises(ValueError, match="unsafe"):
        load_keras(tmp_path / KERAS)


def test_noise_is_not_served(model: Any, graph: bytes) -> None:
    """The same rows have the same score however often they come, though the network had noise while it learned."""
    served = Model(graph, WIDTH)
    assert served.score(ROWS).tobytes() == served.score(ROWS).tobytes()
    np.testing.assert_allclose(served.score(ROWS), model(ROWS)["score"], rtol=1e-5, atol=1e-6)
