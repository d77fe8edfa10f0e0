"""History + recipe -> a trained model. The same seed gives the same weights."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from detector.calibration import Calibration
from detector.errors import Failure
from trainer import preprocessing
from trainer.distribution import Together, Workers
from trainer.history import History
from trainer.network import (
    LEAST,
    Errors,
    Joined,
    Part,
    Reading,
    dense_autoencoder,
    error_of,
    memory_autoencoder,
    whole,
)
from trainer.preprocessing import Preprocessing, whitening
from trainer.recipes import Dense, Memory, Recipe
from trainer.rows import Rows, feed
from trainer.tensorboard import Board

Progress = Callable[[int, int, float, float], None]
"""Told after each epoch: its number, how many there will be at most, the loss, the loss on held-out rows."""

ROUNDS = 20
"""Epochs that a training of `steps` is told in."""

CENTRE_ROWS = 20_000
"""Rows of the sample among which prototypes are looked for."""

TAIL = 0.1
"""The share of rows whose errors tell how fast larger ones become rarer."""

APART = 1e-4
"""The least distance of two quantiles of ln(error): those of errors that are alike would leave a jump between them."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A trained model. losses, held_out_losses: of the dense branch, by epoch. best: the epoch (from 1) whose weights
    were kept; 0 where none was trained. checks: what labelled rows said on the way."""

    model: Any
    parts: tuple[Part, ...]
    losses: list[float]
    held_out_losses: list[float]
    best: int
    checks: list[dict[str, float]]


def fit(
    history: History,
    recipe: Recipe,
    seed: int,
    epochs: int | None,
    progress: Progress,
    tensorboard: Path | None = None,
    workers: Workers | None = None,
) -> Fitted:
    """Trains every branch on the training rows; held-out rows stop it early and make branches comparable.

    tensorboard: a directory that gets losses by epoch as TensorBoard reads them; in it a directory for each network.
    workers: those that learn together, each with batches of the recipe's size.
    """
    if workers:
        workers.refuse_others((recipe, seed, epochs, history.schema, history.fingerprint))
    keras.utils.clear_session(free_memory=False)  # else names would tell how many models this process made before
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    curves = Curves([], [], 0, [])
    parts: list[Part] = []
    for number, branch in enumerate(recipe.branches, 1):
        before = preprocessing.fit(
            branch.preprocessing,
            history.schema.features,
            [len(history.schema.categories.get(name, ())) for name in history.schema.features],
            recipe.truncate,
            history.training.chunks,
            history.training.sample,
        )
        name = "autoencoder" if number == 1 else f"autoencoder_{number}"
        if isinstance(branch, Dense):
            board = [] if tensorboard is None else [Board(tensorboard / name)]
            part, curves = _dense(history, branch, before, seed, epochs, progress, name, board, workers)
        else:
            part = _memory(history, branch, before, seed, name)
            if branch.joins:
                part = _joined(parts.pop(), part, history.held_out)
        parts.append(part)
    if sum(len(part.readings) for part in parts) > 1:
        parts = [_comparable(part, history) for part in parts]
    model = whole(parts, len(history.schema.features))
    return Fitted(model, tuple(parts), curves.losses, curves.held_out_losses, curves.best, curves.checks)


@dataclass(frozen=True, slots=True)
class Curves:
    """How a training went."""

    losses: list[float]
    held_out_losses: list[float]
    best: int
    checks: list[dict[str, float]]


def _seen(before: Preprocessing, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(before.forward(rows.astype(np.float64)), np.float32)


def _dense(
    history: History,
    branch: Dense,
    before: Preprocessing,
    seed: int,
    epochs: int | None,
    progress: Progress,
    name: str,
    board: list[Any],
    workers: Workers | None,
) -> tuple[Part, Curves]:
    training = history.training.mapped(lambda rows: _seen(before, rows))
    held_out, anomalous = _seen(before, history.held_out), _seen(before, history.anomalous)
    network = dense_autoencoder(branch, len(before.owners), seed, name)
    curves = _trained(network, branch, training, held_out, anomalous, seed, epochs, progress, board, workers)
    readings = [_read(how, branch, network, training.sample) for how in branch.readings]
    return Part(before, network, tuple(readings)), curves


def _read(how: str, branch: Dense, network: Any, sample: NDArray[np.float32]) -> Reading:
    if how == "plain":
        return Reading({"loss": branch.loss})
    apart = sample - network.predict(sample, batch_size=4096, verbose=0)
    mean = apart.mean(axis=0)
    matrix, _ = whitening((apart - mean).astype(np.float64), preprocessing.RIDGE)
    return Reading({"loss": branch.loss, "mean": mean.tolist(), "matrix": matrix.tolist()})


def _trained(
    network: Any,
    branch: Dense,
    training: Rows,
    held_out: NDArray[np.float32],
    anomalous: NDArray[np.float32],
    seed: int,
    epochs: int | None,
    progress: Progress,
    board: list[Any],
    workers: Workers | None,
) -> Curves:
    rounds = epochs or (min(ROUNDS, branch.steps) if branch.steps else branch.epochs)
    batches = training.steps(branch.batch)
    each = max(branch.steps // ROUNDS, 1) if branch.steps else workers.steps(batches) if workers else batches
    rate = keras.optimizers.schedules.CosineDecay(branch.learning_rate, rounds * each) if branch.steps else None
    optimizer = keras.optimizers.get(
        {"class_name": branch.optimizer, "config": {"learning_rate": branch.learning_rate}}
    )
    if rate is not None:
        optimizer = type(optimizer)(learning_rate=rate)
    learner = Together(network, workers) if workers else network
    learner.compile(optimizer, loss=branch.loss, jit_compile=False)
    watching = [_Told(progress, rounds), keras.callbacks.TerminateOnNaN(), *board]
    stop = keras.callbacks.EarlyStopping(
        "val_loss", min_delta=branch.min_delta, patience=branch.patience, restore_best_weights=True
    )
    checks = _Checks(branch, held_out, anomalous)
    fed = (workers.feed if workers else feed)(training, branch.batch, seed, None if branch.steps else rounds)
    with workers.watched() if workers else nullcontext(), fed.watched():
        record = learner.fit(
            fed.dataset,
            steps_per_epoch=each,
            validation_data=(held_out, held_out),
            validation_batch_size=4096,
            epochs=rounds,
            callbacks=[*watching, *([stop] if branch.patience else []), *([checks] if branch.check_every else [])],
            shuffle=False,  # the batches come shuffled
            verbose=0,
        )
    if workers:
        workers.tell(network)
    losses, held_out_losses = record.history["loss"], record.history["val_loss"]
    if not np.isfinite([losses, held_out_losses]).all():
        raise Failure(f"training diverged: the loss of epoch {len(losses)} is no finite number")
    return Curves(losses, held_out_losses, stop.best_epoch + 1 if branch.patience else len(losses), checks.found)


def _memory(history: History, branch: Memory, before: Preprocessing, seed: int, name: str) -> Part:
    rows = _seen(before, history.training.sample).astype(np.float64)
    chosen = np.random.default_rng(seed).permutation(len(rows))[:CENTRE_ROWS]
    few = rows[np.sort(chosen)]
    count = min(branch.prototypes, max(len(np.unique(few, axis=0)) // 2, 2))
    with threadpool_limits(1):  # several threads add up in the order in which they happen to end
        found = KMeans(count, n_init=1, max_iter=25, random_state=seed).fit(few)
    width = branch.temperature * max(found.inertia_ / len(few), 1e-6)
    network = memory_autoencoder(found.cluster_centers_, width, name)
    errors: dict[str, Any] = {"loss": "mse"}
    if branch.from_mean:
        held_out = _seen(before, history.held_out)
        apart = held_out - network.predict(held_out, batch_size=4096, verbose=0)
        near, far = (max(float(np.mean(np.square(values, dtype=np.float64))), LEAST) for values in (apart, held_out))
        errors |= {"near": (1 - branch.from_mean) / near, "far": branch.from_mean / far}
    return Part(before, network, (Reading(errors),))


def _joined(first: Part, second: Part, held_out: NDArray[np.float32]) -> Part:
    rebuilt = [max(_rebuilt(part, held_out), 1e-6) for part in (first, second)]
    share = min(max(rebuilt[1], 0.0) / rebuilt[0], 1.0)
    own, other = (float(np.mean(_errors(part, part.readings[0], held_out))) + LEAST for part in (first, second))
    return replace(first, joined=Joined(second, (1 - share) / own, share / other, leads=share > 1 / 2))


def _rebuilt(part: Part, held_out: NDArray[np.float32]) -> float:
    """The share of the variance of rows (n, d) that a network rebuilds."""
    rows = _seen(part.preprocessing, held_out)
    apart = rows - part.network.predict(rows, batch_size=4096, verbose=0)
    left, all_ = (float(np.square(values, dtype=np.float64).sum()) for values in (apart, rows - rows.mean(axis=0)))
    return 1 - left / (all_ or 1.0)


def _comparable(part: Part, history: History) -> Part:
    rows = history.held_out, history.training.sample
    readings = (replace(one, surprise=_surprise(*_errors(part, one, *rows))) for one in part.readings)
    return replace(part, readings=tuple(readings))


def _errors(part: Part, reading: Reading, *rows: NDArray[np.float32]) -> list[NDArray[np.float64]]:
    model = error_of(part, reading)
    found = (model.predict(some, batch_size=4096, verbose=0) for some in rows)
    return [np.asarray(one, np.float64).reshape(-1) for one in found]


def _surprise(held_out: NDArray[np.float64], learned: NDArray[np.float64]) -> dict[str, Any]:
    """An error as a surprise: by its quantiles among held-out rows' (n,), and beyond them by an exponential tail.

    That the logarithm of an error has an exponential tail says that the error's own is a power: Hill, A simple general
    approach to inference about the tail of a distribution (1975). How fast it falls is read off learned rows (m,) too.
    """
    ordered = np.sort(np.log(held_out + LEAST))
    shares = np.linspace(0, 1 - _tail(len(ordered)) / len(ordered), 20)
    knots = np.quantile(ordered, shares)
    together = np.sort(np.log(np.concatenate((held_out, learned)) + LEAST))
    far = together[-_tail(len(together)) :]
    mean_excess = max(float((far - far[0]).mean()), 1e-3)
    flat = np.log(LEAST) - 1  # below the smallest error seen there is no surprise, as far as the logarithm goes
    heights = -np.log1p(-shares)
    spread = APART * np.arange(len(knots))
    knots = np.maximum.accumulate(knots - spread) + spread
    return {"knots": [flat, *knots.tolist()], "heights": [0.0, *heights.tolist()], "slope": 1 / mean_excess}


def _tail(rows: int) -> int:
    return min(max(round(rows * TAIL), 10), rows // 2)


class _Told(keras.callbacks.Callback):  # type: ignore[misc]
    def __init__(self, progress: Progress, rounds: int) -> None:
        super().__init__()
        self._progress, self._rounds = progress, rounds

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        logs = logs or {}
        self._progress(epoch + 1, self._rounds, logs["loss"], logs["val_loss"])


class _Checks(keras.callbacks.Callback):  # type: ignore[misc]
    """Precision, recall, F1 and AUROC on held-out and anomalous rows, every so many batches, at the best F1."""

    def __init__(self, branch: Dense, held_out: NDArray[np.float32], anomalous: NDArray[np.float32]) -> None:
        super().__init__()
        self._every = branch.check_every if len(anomalous) else 0
        self._error = Errors({"loss": branch.loss})
        self._rows = np.concatenate((held_out, anomalous))
        self._truth = np.arange(len(self._rows)) >= len(held_out)
        self._seen = 0
        self.found: list[dict[str, float]] = []

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self._seen += 1
        if self._every and self._seen % self._every == 0:
            self.found.append({"batch": self._seen} | self._figures())

    def _figures(self) -> dict[str, float]:
        rebuilt = self.model.predict(self._rows, batch_size=4096, verbose=0)
        scores = np.mean(self._error(self._rows, rebuilt), axis=1)
        cuts = Calibration.of(scores[~self._truth], scores[self._truth]).cuts()
        best = int(np.argmax(cuts.f1))
        return {
            "precision": float(cuts.precision[best]),
            "recall": float(cuts.recall[best]),
            "f1": float(cuts.f1[best]),
            "auroc": float(roc_auc_score(self._truth, scores)),
        }
