"""The served network: the same bits for a row whatever its batch, the numbers of Keras, and never a NaN."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from detector import artifact, table
from detector.artifact import Artifact
from detector.errors import ModelRefused
from detector.model import SIZES, Model
from tests.arrays import f32
from tests.conftest import real

Rows = NDArray[np.float32]
LARGEST = float(np.finfo(np.float32).max)
NEAR_0 = 1e-6
"""What a score that is a logarithm may be off where it is near 0: it is then that of a number near 1."""

MOST = 5000


@pytest.fixture(scope="module")
def ecg(ecg_artifact_dir: Path) -> Model:
    return artifact.load(ecg_artifact_dir).model()


@pytest.fixture(scope="module")
def beats() -> Rows:
    """Simulated heartbeats of another seed than those trained on, and the same stretched beyond all measure."""
    from trainer.simulate import simulated_ecg

    rows = simulated_ecg(400, seed=99).drop(columns="label").to_numpy(np.float32)
    return np.concatenate((rows, rows * 50))


@pytest.fixture(scope="module")
def whole(cards_model: Model, unseen_rows: Rows) -> tuple[Rows, Rows, Rows]:
    """Scores, contributions and expected values of 5,000 rows given at once."""
    return cards_model.score(unseen_rows), *cards_model.explain(unseen_rows)


def same_bits(model: Model, rows: Rows, whole: tuple[Rows, Rows, Rows], start: int, size: int) -> bool:
    part = rows[start : start + size]
    found = (model.score(part), *model.explain(part))
    return all(one.tobytes() == all_[start : start + size].tobytes() for one, all_ in zip(found, whole, strict=True))


EDGES = sorted({size + more for size in SIZES for more in (-1, 0, 1)} | {1, 2, 3, MOST})


@pytest.mark.parametrize("size", EDGES)
def test_same_bits_at_every_batch_size(
    size: int, cards_model: Model, unseen_rows: Rows, whole: tuple[Rows, Rows, Rows]
) -> None:
    """Scores and explanations of rows are the same bits in a batch of any size, at its edges above all."""
    assert len(unseen_rows) == MOST
    for start in {0, 7, MOST - size}:
        assert same_bits(cards_model, unseen_rows, whole, start, size)


@given(st.integers(0, MOST - 1), st.integers(1, MOST))
def test_same_bits_at_every_place(
    cards_model: Model, unseen_rows: Rows, whole: tuple[Rows, Rows, Rows], start: int, size: int
) -> None:
    """The same for any size and place in the batch."""
    assert same_bits(cards_model, unseen_rows, whole, start, size)


@given(st.integers(0, MOST - 1), st.integers(0, 99), st.integers(1, 100), st.floats(width=32))
def test_neighbours_do_not_matter(
    cards_model: Model, unseen_rows: Rows, whole: tuple[Rows, Rows, Rows], row: int, place: int, size: int, what: float
) -> None:
    """A row's score has the same bits among neighbours of any value, infinite and NaN too."""
    batch = np.full((size, unseen_rows.shape[1]), what, np.float32)
    batch[place % size] = unseen_rows[row]
    assert cards_model.score(batch)[place % size].tobytes() == whole[0][row].tobytes()


def test_a_second_model_has_the_same_bits(
    cards_artifact: Artifact, unseen_rows: Rows, whole: tuple[Rows, Rows, Rows]
) -> None:
    """Another process that loads the same artifact gets the same bits."""
    assert cards_artifact.model().score(unseen_rows).tobytes() == whole[0].tobytes()


def test_results_are_not_overwritten(cards_model: Model, unseen_rows: Rows) -> None:
    """The arrays of one call stay as they are when the model is asked again."""
    first = cards_model.score(unseen_rows[:16])
    before = first.tobytes()
    cards_model.score(unseen_rows[16:32])
    assert first.tobytes() == before


def adds_up(model: Model, rows: Rows) -> bool:
    contributions, expected = model.explain(rows)
    assert contributions.shape == expected.shape == rows.shape
    assert (contributions >= 0).all()
    return np.allclose(contributions.sum(axis=1, dtype=np.float64), model.score(rows), rtol=1e-5, atol=0)


def test_contributions_add_up(cards_model: Model, ecg: Model, unseen_rows: Rows, beats: Rows) -> None:
    """A row's contributions are never negative and add up to its score within 1e-5 of it, with either recipe."""
    assert adds_up(cards_model, unseen_rows)
    assert adds_up(ecg, beats)


def extreme(width: int) -> Rows:
    """Rows of the largest and smallest numbers there are, all alike and mixed."""
    numbers = f32([0, LARGEST, -LARGEST, 3e38, -3e38, 1e20, -1e9, 1e-45, -1e-38])
    mixed = np.random.default_rng(0).choice(numbers, (200, width))
    return np.concatenate((np.repeat(numbers[:, None], width, axis=1), mixed)).astype(np.float32)


@pytest.mark.parametrize("name", ["cards_model", "ecg"])
def test_every_finite_row_has_a_finite_score(name: str, request: pytest.FixtureRequest) -> None:
    """Whatever finite numbers a row holds, score, contributions and expected values are finite and add up."""
    model: Model = request.getfixturevalue(name)
    rows = extreme(model.width)
    assert np.isfinite(model.score(rows)).all()
    assert np.isfinite(model.explain(rows)).all()
    assert adds_up(model, rows)


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=29, max_size=29))
def test_any_row_has_a_finite_score(cards_model: Model, row: list[float]) -> None:
    """The same for any 29 numbers; a score is never negative."""
    (score,) = cards_model.score(f32([row]))
    assert 0 <= score < np.inf


@pytest.mark.parametrize(("factor", "wanted"), [(1e30, LARGEST), (math.inf, LARGEST)])
def test_a_network_that_overflows(factor: float, wanted: float) -> None:
    """Where the network itself gives infinity or NaN the score is the largest there is: an alert, never a gap."""
    import keras

    from trainer.export import serving_graph
    from trainer.network import Part, Reading, whole
    from trainer.preprocessing import Preprocessing

    inputs = keras.Input((2,))
    network = keras.Model(inputs, keras.layers.Rescaling(factor)(inputs))
    part = Part(Preprocessing(np.zeros(2), (0, 0), False, ()), network, (Reading({"loss": "mse"}),))
    model = Model(serving_graph(whole([part], 2)), 2)
    rows = f32([[1e9, 1e9], [0.0, -1e9]])
    assert model.score(rows).tolist() == [wanted, wanted]
    assert np.isfinite(model.explain(rows)).all()


def by_keras(folder: Path, rows: Rows) -> tuple[Rows, Rows, Rows]:
    """Scores, contributions and expected values of the artifact's Keras model."""
    from trainer.export import load_keras

    found = load_keras(folder / artifact.KERAS)(rows, training=False)
    scores, contributions, expected = (np.asarray(found[name]) for name in ("score", "contribution", "expected"))
    return scores, contributions, expected


def agree_with_keras(folder: Path, model: Model, rows: Rows, near_0: float) -> None:
    scores, contributions, expected = by_keras(folder, rows)
    np.testing.assert_allclose(model.score(rows), scores, rtol=1e-5, atol=near_0)
    found = model.explain(rows)
    # One feature's error may be the difference of near equals: it is held to the row's score.
    assert (np.abs(found[0] - contributions) <= 1e-5 * scores[:, None] + near_0).all()
    spread = np.abs(expected).max(axis=0) + np.abs(rows).max(axis=0)
    assert (np.abs(found[1] - expected) <= 1e-5 * spread).all()


def test_agrees_with_keras(artifact_dir: Path, cards_model: Model, unseen_rows: Rows) -> None:
    """Served scores of rows never seen are those of Keras within 1e-5 of them; so are the explanations."""
    agree_with_keras(artifact_dir, cards_model, unseen_rows, NEAR_0)


def test_agrees_with_keras_on_heartbeats(ecg_artifact_dir: Path, ecg: Model, beats: Rows) -> None:
    """The same with the recipe of the heartbeats and its logarithms."""
    agree_with_keras(ecg_artifact_dir, ecg, beats, 0.0)


def test_agrees_with_keras_at_the_extremes(artifact_dir: Path, cards_model: Model) -> None:
    """The same for rows of the largest numbers there are."""
    rows = extreme(cards_model.width)
    np.testing.assert_allclose(cards_model.score(rows), by_keras(artifact_dir, rows)[0], rtol=1e-5)


def test_agrees_with_keras_on_real_rows(artifact_dir: Path, cards_artifact: Artifact, cards_model: Model) -> None:
    """The same for real cards."""
    frame = table.read(real("creditcard_sample.parquet"))
    agree_with_keras(artifact_dir, cards_model, table.matrix(frame, cards_artifact.schema.features), NEAR_0)


def test_expected_is_in_the_rows_units(cards_artifact: Artifact, cards_model: Model, unseen_rows: Rows) -> None:
    """What the model expected of a feature is in that feature's unit: around its mean, with its spread."""
    _, expected = cards_model.explain(unseen_rows)
    means, spreads = unseen_rows.mean(axis=0), unseen_rows.std(axis=0)
    assert (np.abs(expected.mean(axis=0) - means) < 0.6 * spreads).all()
    amount = cards_artifact.schema.features.index("Amount")
    assert expected[:, amount].mean() > 20 > np.abs(expected[:, 0]).mean()


@pytest.mark.parametrize("count", [0, 1])
def test_few_rows(count: int, cards_model: Model, unseen_rows: Rows) -> None:
    """No rows give no scores, of the right shape; one row gives one."""
    assert cards_model.score(unseen_rows[:count]).shape == (count,)
    assert [one.shape for one in cards_model.explain(unseen_rows[:count])] == [(count, 29)] * 2


@pytest.mark.parametrize("shape", [(1, 28), (1, 30), (29,), (1, 1, 29)])
def test_wrong_width(shape: tuple[int, ...], cards_model: Model) -> None:
    """Rows of another shape are refused, naming both."""
    with pytest.raises(ValueError, match=r"rows of shape \(.*\), \(n, 29\) wanted"):
        cards_model.score(np.zeros(shape, np.float32))


@pytest.mark.parametrize("width", [28, 30])
def test_a_graph_for_other_features(width: int, cards_artifact: Artifact) -> None:
    """A graph made for another number of features is refused when it is loaded."""
    with pytest.raises(ModelRefused, match=f"cannot be served for {width} features"):
        Model(cards_artifact.graph, width)


@pytest.mark.parametrize("content", [b"", b"not a graph", b"\0" * 1000])
def test_no_graph(content: bytes) -> None:
    """Bytes that are no graph are refused."""
    with pytest.raises(ModelRefused, match=r"model\.tflite"):
        Model(content, 29)


def test_warm_changes_nothing(cards_artifact: Artifact, unseen_rows: Rows, whole: tuple[Rows, Rows, Rows]) -> None:
    """A model that was warmed gives the same bits."""
    model = cards_artifact.model()
    model.warm()
    assert model.score(unseen_rows[:100]).tobytes() == whole[0][:100].tobytes()
