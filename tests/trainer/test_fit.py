"""Training: the same seed, the same weights; the best epoch's weights are kept; branches are compared by surprise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, precision_recall_fscore_support, roc_auc_score

from detector.errors import Failure
from detector.schema import Schema
from trainer.datasets import Data
from trainer.fit import Check, Fitted, fit
from trainer.history import Columns, History, find_schema, prepare
from trainer.network import Part, Reading, error_of
from trainer.recipes import Branch, Dense, Layer, Memory, Recipe, Step
from trainer.rows import Rows

# So fast a learner that its loss on held-out rows goes up and down.
RESTLESS = Dense(
    preprocessing=(Step("standardise"),),
    layers=(Layer(3, "tanh", dropout=0.3), Layer(2)),
    learning_rate=0.3,
    epochs=12,
    batch=32,
    min_delta=0.0,
    patience=12,
)
QUICK = Dense((Step("normal_scores"),), (Layer(8, "gelu"), Layer(2)), steps=40, batch=64, patience=0, swap_noise=0.2)
MEMORY = Memory((Step("standardise"), Step("whiten")), prototypes=32)


def changed(branch: Dense, **changes: Any) -> Dense:
    return msgspec.structs.replace(branch, **changes)


def recipe(*branches: Branch, **more: Any) -> Recipe:
    return Recipe("for these tests", branches, "mad:3", **more)


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """300 rows of six features that hang together, and 30 that do not."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(330, 2)) @ rng.normal(size=(2, 6)) + rng.normal(size=(330, 6)) / 9
    rows[300:] = 2 * rng.normal(size=(30, 6))
    return pd.DataFrame(rows, columns=list("abcdef")).assign(Class=np.arange(330) >= 300)


@pytest.fixture(scope="module")
def history(frame: pd.DataFrame) -> History:
    """The normal rows alone."""
    data = Data("x", frame[~frame["Class"]].drop(columns="Class"))
    return prepare(data, find_schema(data, Columns()), 0)


@pytest.fixture(scope="module")
def labelled(frame: pd.DataFrame) -> History:
    data = Data("x", frame)
    return prepare(data, find_schema(data, Columns()), 0)


def fitted(
    history: History, branch: Branch | Recipe = RESTLESS, seed: int = 0, epochs: int | None = None, **more: Any
) -> Fitted:
    asked = branch if isinstance(branch, Recipe) else recipe(branch)
    return fit(history, asked, seed, epochs, lambda epoch, epochs, loss, held_out: None, **more)


def weights(one: Fitted) -> bytes:
    return b"".join(array.tobytes() for array in one.model.get_weights())


def held_out_loss(one: Fitted, history: History) -> float:
    found = one.model(history.held_out, training=False)
    z, reconstruction = (np.asarray(found[name], np.float64) for name in ("preprocessed", "reconstruction"))
    return float(((z - reconstruction) ** 2).mean())


# Epochs


def test_the_best_weights_are_kept(history: History) -> None:
    """The model has the weights of the epoch with the least loss on held-out rows, which was not the last."""
    found = fitted(history)
    assert len(found.losses) == len(found.held_out_losses) == 12
    assert found.best == int(np.argmin(found.held_out_losses)) + 1 < 12
    assert held_out_loss(found, history) == pytest.approx(min(found.held_out_losses), rel=1e-5)


def test_best_is_what_was_kept(history: History) -> None:
    """Where improvements below `min_delta` do not count, `best` is the epoch whose weights were kept all the same."""
    found = fitted(history, changed(RESTLESS, min_delta=1e6))
    assert found.best == 1 != int(np.argmin(found.held_out_losses)) + 1
    assert held_out_loss(found, history) == pytest.approx(found.held_out_losses[0], rel=1e-5)


def test_it_stops_early(history: History) -> None:
    """After `patience` epochs without improvement it stops."""
    assert len(fitted(history, changed(RESTLESS, min_delta=1e6, patience=2)).losses) == 3


def test_it_never_stops_early(history: History) -> None:
    """Without patience it goes to the end, and the last weights are those that are kept."""
    found = fitted(history, changed(RESTLESS, min_delta=1e6, patience=0, epochs=4))
    assert len(found.losses) == found.best == 4
    assert held_out_loss(found, history) == pytest.approx(found.held_out_losses[-1], rel=1e-5)


@pytest.mark.parametrize(("steps", "told"), [(40, 20), (20, 20), (7, 7), (1, 1)])
def test_steps(history: History, steps: int, told: int) -> None:
    """A training of so many batches is told in 20 rounds, or as many as there are batches."""
    assert len(fitted(history, changed(QUICK, steps=steps)).losses) == told


def test_progress_is_told(history: History) -> None:
    """After each epoch its number of how many and both losses are told; epochs of the order win over the recipe's."""
    told: list[Any] = []
    found = fit(history, recipe(RESTLESS), 0, 2, lambda *figures: told.append(figures))
    assert told == list(zip([1, 2], [2, 2], found.losses, found.held_out_losses, strict=True))


@pytest.mark.parametrize(("optimizer", "loss"), [("adam", "msle"), ("rmsprop", "mse"), ("sgd", "mse")])
def test_it_learns(history: History, optimizer: str, loss: str) -> None:
    """With each optimizer, and each loss, the loss falls."""
    rate = 0.3 if optimizer == "sgd" else 0.02
    found = fitted(history, changed(RESTLESS, optimizer=optimizer, loss=loss, learning_rate=rate, epochs=6))
    assert found.losses[-1] < 0.95 * found.losses[0]


# The same again


@pytest.mark.parametrize(
    "asked",
    [recipe(changed(RESTLESS, epochs=2)), recipe(QUICK, MEMORY), recipe(MEMORY)],
    ids=["dense", "both", "memory"],
)
def test_the_same_seed_gives_the_same_weights(history: History, asked: Recipe) -> None:
    """Weights and losses are the same bits for the same seed, noise and shuffling included; others for another."""
    one, same, other = (fitted(history, asked, seed=seed) for seed in (5, 5, 6))
    assert weights(one) == weights(same) != weights(other)
    assert (one.losses, one.held_out_losses) == (same.losses, same.held_out_losses)
    assert [step.name for step in one.model.operations] == [step.name for step in same.model.operations]


def test_weights_begin_as_the_recipe_says(history: History) -> None:
    """Where the recipe gives a spread weights begin with it, and not with Glorot's."""
    still = changed(RESTLESS, layers=(Layer(400),), learning_rate=1e-9, epochs=1, weights_sd=0.25)
    first = fitted(history, still).parts[0].network.get_layer("code").kernel.numpy()
    assert first.std() == pytest.approx(0.25, rel=0.1)
    assert np.abs(first).max() > 0.5  # which the uniform distribution of that spread does not have


# Failures


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_divergence(history: History, optimizer: str) -> None:
    """Training whose loss is no number fails, and says so."""
    wild = changed(RESTLESS, layers=tuple([Layer(9, "gelu")] * 6), learning_rate=1e6, optimizer=optimizer)
    with pytest.raises(Failure, match=r"training diverged: the loss of epoch \d+ is no finite number"):
        fitted(history, wild)


# Looks at labelled rows


def at_threshold(check: Check) -> list[float]:
    """Precision, recall and F1 of a check that has them all."""
    found = [check[name] for name in ("precision", "recall", "f1")]
    assert None not in found
    return [float(one) for one in found if one is not None]


def test_checks(labelled: History) -> None:
    """Every so many batches precision, recall, F1 and AUROC on held-out and anomalous rows are noted, and told."""
    told: list[Check] = []
    found = fitted(labelled, changed(RESTLESS, epochs=3, check_every=5), checked=told.append)
    batches = 3 * -(-240 // 32)
    assert [one["batch"] for one in found.checks] == list(range(5, batches + 1, 5))
    assert told == found.checks
    for one in found.checks:
        assert set(one) == {"batch", "precision", "recall", "f1", "auroc"}
        p, r, f1 = at_threshold(one)
        assert 0 <= p <= 1
        assert 0 <= r <= 1
        assert f1 == pytest.approx(2 * p * r / (p + r))
    assert (found.checks[-1]["auroc"] or 0) > 0.8


def judged(found: Fitted, history: History) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float64]]:
    """Scores (n,) of the rows kept out of a fit, which are anomalous, and how many of the history each stands for."""
    scores = [np.asarray(found.model(rows)["score"]) for rows in (history.held_out, history.anomalous)]
    counts = [len(one) for one in scores]
    weights = np.repeat(np.divide((history.normal_rows, history.anomalous_rows), counts), counts)
    return np.concatenate(scores), np.repeat([False, True], counts), weights


@pytest.mark.parametrize("loss", ["mse", "msle"])
def test_checks_are_scikit_learn_s(labelled: History, loss: str) -> None:
    """A check after the last batch has the AUROC of the model's own scores, and the best F1 of any line in them.

    Held-out rows stand for all normal rows of the history, so that the F1 is at its prevalence.
    """
    last = changed(RESTLESS, epochs=1, patience=0, loss=loss, check_every=-(-240 // 32))
    found = fitted(labelled, last)
    scores, truth, weights = judged(found, labelled)
    precision, recall, _ = precision_recall_curve(truth, scores, sample_weight=weights)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
    (check,) = found.checks
    assert check["auroc"] == pytest.approx(roc_auc_score(truth, scores), abs=1e-3)
    assert check["f1"] == pytest.approx(f1.max(), abs=1e-2)


@pytest.mark.parametrize("line", [0.0, 0.7, 2.0])
def test_checks_at_a_fixed_threshold(labelled: History, line: float) -> None:
    """Where the recipe's threshold is a number, a check has precision, recall and F1 there, and the best F1 beside."""
    last = changed(RESTLESS, epochs=1, patience=0, check_every=-(-240 // 32))
    found = fitted(labelled, Recipe("at a line", (last,), f"value:{line}"))
    scores, truth, weights = judged(found, labelled)
    wanted = precision_recall_fscore_support(truth, scores > line, average="binary", sample_weight=weights)[:3]
    (check,) = found.checks
    assert at_threshold(check) == pytest.approx(wanted, abs=1e-6)
    (best,) = fitted(labelled, last).checks
    assert check["best_f1"] == best["f1"]
    assert check["auroc"] == best["auroc"]


def test_checks_where_nothing_alerts(labelled: History) -> None:
    """At a threshold that no row reaches there is no precision, and nothing is caught."""
    found = fitted(labelled, Recipe("far", (changed(RESTLESS, epochs=1, check_every=4),), "value:1e6"))
    assert [(one["precision"], one["recall"], one["f1"]) for one in found.checks] == [(None, 0, 0)] * 2


def test_no_checks_of_errors_that_are_no_numbers(labelled: History) -> None:
    """A training that diverges while it is looked at fails as one that is not."""
    wild = changed(RESTLESS, layers=(Layer(9, "gelu"), Layer(9, "gelu")), learning_rate=1e6, optimizer="sgd")
    with pytest.raises(Failure, match="training diverged"):
        fitted(labelled, changed(wild, check_every=1))


def test_checks_change_nothing(labelled: History) -> None:
    """Looking changes no weight; without labelled rows there is nothing to look at."""
    once, often = (fitted(labelled, changed(RESTLESS, epochs=2, check_every=every)) for every in (0, 3))
    assert weights(once) == weights(often)
    assert once.checks == []


def test_no_checks_without_labels(history: History) -> None:
    """Without anomalous rows there is nothing to look at."""
    assert fitted(history, changed(RESTLESS, epochs=1, check_every=2)).checks == []


# TensorBoard


def events(folder: Path) -> list[tuple[Any, ...]]:
    """What the event files of a folder say, in order: tag, plugin, step and value."""
    import tensorflow as tf
    from tensorflow.core.util import event_pb2

    (path,) = folder.iterdir()
    assert path.name.startswith("events.out.tfevents.")
    read = [event_pb2.Event.FromString(record.numpy()) for record in tf.data.TFRecordDataset(str(path))]
    return [
        (value.tag, value.metadata.plugin_data.plugin_name, event.step, float(tf.make_ndarray(value.tensor)))
        for event in read
        for value in event.summary.value
    ]


def test_tensorboard(history: History, tmp_path: Path) -> None:
    """A directory for TensorBoard gets both losses by epoch, and the weights are the same bits as without it."""
    asked = changed(RESTLESS, epochs=3)
    found, without = fitted(history, asked, tensorboard=tmp_path), fitted(history, asked)
    assert weights(found) == weights(without)
    for part, losses in (("train", found.losses), ("validation", found.held_out_losses)):
        wanted = [("epoch_loss", "scalars", epoch, pytest.approx(loss)) for epoch, loss in enumerate(losses, 1)]
        assert events(tmp_path / "autoencoder" / part) == wanted


def test_tensorboard_of_several_networks(history: History, tmp_path: Path) -> None:
    """Each network that learns by epochs has a folder of its own, a memory none."""
    fitted(history, recipe(MEMORY, changed(QUICK, steps=2), changed(QUICK, steps=2)), tensorboard=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["autoencoder_2", "autoencoder_3"]


# Several branches


def test_the_rows_are_surveyed_once(history: History) -> None:
    """However many branches there are, one pass over the training rows tells all that preprocessing needs."""
    opened = []

    def chunks() -> Iterator[NDArray[np.float32]]:
        opened.append(1)
        return history.training.chunks()

    counting = replace(history, training=replace(history.training, chunks=chunks))
    fitted(counting, recipe(MEMORY, msgspec.structs.replace(MEMORY, preprocessing=(Step("min_max"),)), MEMORY))
    assert len(opened) == 1


def errors_of(one: Fitted, rows: NDArray[np.float32]) -> list[NDArray[np.float64]]:
    """Every reading's errors (n,) of raw rows."""
    return [
        error_of(part, reading).predict(rows, verbose=0).astype(np.float64)
        for part in one.parts
        for reading in part.readings
    ]


@pytest.fixture(scope="module")
def several(labelled: History) -> Fitted:
    """A network with both readings of its errors, beside a memory."""
    both = changed(QUICK, readings=("plain", "whitened"))
    return fitted(labelled, recipe(both, msgspec.structs.replace(MEMORY, from_mean=0.5)))


def line_of(reading: Reading) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Knots, heights and slope of a reading's surprise."""
    assert reading.surprise is not None
    knots, heights = (np.array(reading.surprise[name]) for name in ("knots", "heights"))
    return knots, heights, float(reading.surprise["slope"])


def surprises(errors: NDArray[np.float64], reading: Reading) -> NDArray[np.float64]:
    """-ln of the share above, by the knots that were found, written plainly."""
    knots, heights, slope = line_of(reading)
    logs = np.log(errors + 1e-30)
    return np.asarray(np.interp(logs, knots, heights) + slope * np.maximum(logs - knots[-1], 0))


def test_surprise_is_the_share_above(several: Fitted, labelled: History) -> None:
    """Each reading's surprise of a held-out row is -ln of the share of held-out rows with a larger error.

    In the last tenth, where hardly any are larger, it goes on as an exponential tail, with the mean excess of the
    largest tenth of held-out and learned rows together.
    """
    readings = [reading for part in several.parts for reading in part.readings]
    assert len(readings) == 3
    learned = errors_of(several, labelled.training.sample)
    for errors, more, reading in zip(errors_of(several, labelled.held_out), learned, readings, strict=True):
        found = surprises(errors, reading)
        above = np.array([(errors > one).mean() for one in errors])
        inside = above > 0.2
        np.testing.assert_allclose(np.exp(-found[inside]), above[inside], atol=0.06)
        together = np.sort(np.log(np.append(errors, more)))
        far = together[-round(len(together) / 10) :]
        assert len(far) > 10
        assert 1 / line_of(reading)[2] == pytest.approx((far - far[0]).mean(), rel=1e-3)


def share_rebuilt(part: Part, rows: NDArray[np.float32]) -> float:
    """Of the variance of the rows as a branch sees them, the share that it rebuilds."""
    seen = part.preprocessing.forward(rows.astype(np.float64))
    rebuilt = np.asarray(part.network(seen.astype(np.float32)))
    return float(1 - ((seen - rebuilt) ** 2).sum() / ((seen - seen.mean(axis=0)) ** 2).sum())


def test_a_memory_that_joins(labelled: History) -> None:
    """Its error is added to that of the memory before it, by what each rebuilds, in units of their means."""
    plain = msgspec.structs.replace(MEMORY, preprocessing=(Step("standardise"),))
    white = msgspec.structs.replace(MEMORY, from_mean=0.5)
    (joint,) = fitted(labelled, recipe(plain, msgspec.structs.replace(white, joins=True))).parts
    alone = [fitted(labelled, one).parts[0] for one in (plain, white)]
    errors = [error_of(one, one.readings[0]).predict(labelled.held_out, verbose=0) for one in alone]
    first, second = (share_rebuilt(one, labelled.held_out) for one in alone)
    weight = min(max(second, 0.0) / first, 1.0)
    wanted = (1 - weight) * errors[0] / errors[0].mean() + weight * errors[1] / errors[1].mean()
    found = error_of(joint, joint.readings[0]).predict(labelled.held_out, verbose=0)
    np.testing.assert_allclose(found, wanted, rtol=1e-4)


def test_whitening_that_leaves_noise_hardly_counts(labelled: History) -> None:
    """Of columns that nearly depend on each other, whitened ones are noise: their memory gets little weight."""
    generator = np.random.default_rng(0)
    parts = generator.normal(size=(600, 2)) @ generator.normal(size=(2, 12))
    rows = (parts + 0.3 * generator.normal(size=(600, 12))).astype(np.float32)
    history = replace(
        labelled,
        schema=Schema(tuple(f"x{number}" for number in range(12))),
        training=Rows.of(rows[:500]),
        held_out=rows[500:],
        anomalous=rows[:0],
    )
    plain = msgspec.structs.replace(MEMORY, preprocessing=(Step("standardise"),))
    (joint,) = fitted(history, recipe(plain, msgspec.structs.replace(MEMORY, joins=True))).parts
    assert joint.joined is not None
    assert not joint.joined.leads
    shares = [share_rebuilt(one, history.held_out) for one in (joint, joint.joined.part)]
    assert shares[1] < shares[0] / 2


def test_the_score_is_the_largest_surprise(several: Fitted, labelled: History) -> None:
    """The score is the largest of the surprises, of normal and of anomalous rows."""
    readings = [reading for part in several.parts for reading in part.readings]
    for rows in (labelled.held_out, labelled.anomalous):
        each = [surprises(*one) for one in zip(errors_of(several, rows), readings, strict=True)]
        np.testing.assert_allclose(several.model(rows)["score"], np.max(each, axis=0), rtol=1e-4, atol=1e-5)


def test_anomalous_rows_surprise(several: Fitted, labelled: History) -> None:
    """Anomalous rows have higher scores than held-out ones."""
    normal, strange = (np.asarray(several.model(rows)["score"]) for rows in (labelled.held_out, labelled.anomalous))
    assert np.median(strange) > np.quantile(normal, 0.9)


def test_errors_that_tie() -> None:
    """Where many held-out rows have the very same error its surprise is still that of the share above it."""
    frame = pd.DataFrame({"a": [0.0, 1.0] * 200, "b": [0.0, 0.0, 1.0, 1.0] * 100})
    frame.loc[:9, "b"] = np.arange(10) / 10
    data = Data("x", frame)
    history = prepare(data, find_schema(data, Columns(features=("a", "b"))), 0)
    found = fitted(history, recipe(MEMORY, msgspec.structs.replace(MEMORY, temperature=5.0)))
    readings = [part.readings[0] for part in found.parts]
    for errors, reading in zip(errors_of(found, history.held_out), readings, strict=True):
        knots, heights, _ = line_of(reading)
        assert (np.diff(knots) > 0).all()
        assert (np.diff(heights) >= 0).all()
        found_shares = np.exp(-surprises(errors * 1.01, reading))
        above = np.array([(errors > one).mean() for one in errors])
        assert (found_shares[above > 0.2] <= above[above > 0.2] + 0.06).all()
    assert np.isfinite(found.model(history.held_out)["score"]).all()


def test_a_memory_alone(history: History) -> None:
    """A recipe of a memory alone learns nothing by epochs: no losses, and the score is its mean error."""
    found = fitted(history, MEMORY)
    assert (found.losses, found.held_out_losses, found.best, found.checks) == ([], [], 0, [])
    (part,) = found.parts
    assert part.readings[0].surprise is None
    np.testing.assert_allclose(
        found.model(history.held_out)["score"], errors_of(found, history.held_out)[0], rtol=1e-5, atol=1e-9
    )


def test_prototypes_are_no_more_than_the_rows_allow() -> None:
    """Of few different rows there are few prototypes, without a warning."""
    frame = pd.DataFrame({"a": [0.0, 1.0, 2.0] * 30, "b": [0.0, 2.0, 1.0] * 30})
    data = Data("x", frame)
    history = prepare(data, find_schema(data, Columns(features=("a", "b"))), 0)
    (part,) = fitted(history, MEMORY).parts
    assert part.network.get_layer("reconstruction").centres.shape == (2, 2)


@pytest.mark.parametrize("rows", ["normal", "all"])
def test_rows_to_learn_from(frame: pd.DataFrame, rows: Any) -> None:
    """A recipe for all rows learns from anomalous ones too, another from none of them."""
    data = Data("x", frame)
    history = prepare(data, find_schema(data, Columns()), 0, learn_from=rows)
    learned = {row.tobytes() for chunk in history.training.chunks() for row in chunk}
    strange = {row.tobytes() for row in frame[frame["Class"]][list("abcdef")].to_numpy(np.float32)}
    assert len(learned & strange) == history.anomalous_learned == (24 if rows == "all" else 0)
    assert len(learned) == history.training.count == 240 + history.anomalous_learned
