"""What is exported can be loaded again, and the same model gives the same bytes."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from detector.model import Model
from trainer.export import keras_file, load_keras, serving_graph
from trainer.network import Affine, build_autoencoder, build_model
from trainer.recipes import RECIPES

ROWS: NDArray[np.float32] = np.random.default_rng(0).normal(size=(300, 6)).astype(np.float32)
AFFINE = Affine(np.linspace(-1, 1, 6), np.linspace(1, 3, 6), np.zeros(6))


@pytest.fixture(scope="module")
def model() -> Any:
    """An untrained model of the default recipe."""
    keras.utils.set_random_seed(0)
    return build_model(AFFINE, build_autoencoder(RECIPES["default"], 6))


def test_the_same_bytes_twice(model: Any) -> None:
    """Exported twice in one process, file and graph are the same bytes."""
    assert keras_file(model) == keras_file(model)
    assert serving_graph(model, AFFINE, "mse") == serving_graph(model, AFFINE, "mse")


def test_another_model_gives_other_bytes(model: Any) -> None:
    """Other weights give other bytes: the sameness is not that of empty files."""
    keras.utils.set_random_seed(1)
    other = build_model(AFFINE, build_autoencoder(RECIPES["default"], 6))
    assert keras_file(model) != keras_file(other)
    assert serving_graph(model, AFFINE, "mse") != serving_graph(other, AFFINE, "mse")


def test_the_keras_file_predicts_alike(model: Any, tmp_path: Path) -> None:
    """The .keras file loads without running code and predicts the same bits, gaps included."""
    (tmp_path / "model.keras").write_bytes(keras_file(model))
    gappy = ROWS.copy()
    gappy[::2, 1] = np.nan
    for rows in (ROWS, gappy):
        found, wanted = load_keras(tmp_path / "model.keras")(rows), model(rows)
        assert [np.asarray(one).tobytes() for one in found] == [np.asarray(one).tobytes() for one in wanted]


def test_a_loaded_model_can_be_exported(model: Any, tmp_path: Path) -> None:
    """The .keras file is enough to serve from: its graph scores the same bits."""
    (tmp_path / "model.keras").write_bytes(keras_file(model))
    again = load_keras(tmp_path / "model.keras")
    graphs = [serving_graph(one, AFFINE, "mse") for one in (model, again)]
    scores = [Model(graph, 6).score(ROWS).tobytes() for graph in graphs]
    assert scores[0] == scores[1]


def test_the_keras_file_holds_no_time(model: Any) -> None:
    """No member of the file has a date of its making, in its entry or its text."""
    with zipfile.ZipFile(io.BytesIO(keras_file(model))) as file:
        assert {one.date_time for one in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert b"date" not in file.read("metadata.json")


def test_code_in_a_keras_file_is_not_run(tmp_path: Path) -> None:
    """A .keras file with a function in it is refused."""
    inputs = keras.Input((2,))
    keras.Model(inputs, keras.layers.Lambda(lambda x: x * 2)(inputs)).save(tmp_path / "model.keras")
    with pytest.raises(ValueError, match="unsafe"):
        load_keras(tmp_path / "model.keras")
