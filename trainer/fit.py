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
from trainer.inference import outputs
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

Check = dict[str, float | None]
"""What labelled rows say on the way. batch: how many were learned from. precision, recall, f1: at the recipe's fixed
threshold, or where it has none at the best F1. auroc. best_f1: where there is a fixed threshold. None if undefined."""

Checked = Callable[[Check], None]
"""Told each check."""

ROUNDS = 20
"""Epochs that a training of `steps` is told in."""

CENTRE_ROWS = 20_000
"""Rows of the sample among which prototypes are looked for."""

TAIL = 0.1
"""The share of rows whose errors tell how fast larger ones become rarer."""

APART = 1e-4
"""The least distance of two quantiles of ln(error): those of errors that are alike would leave a jump between them."""


@dataclass(frozen=True, slots=True)
class Curves:
    """How a training went. losses, held_out_losses: by epoch. best: the epoch (from 1) whose weights were kept; 0 where
    none was trained. checks: what labelled rows said on the way."""

    losses: list[float]
    held_out_losses: list[float]
    best: int
    checks: list[Check]


@dataclass(frozen=True, slots=True)
class Fitted(Curves):
    """A trained model; its curves are those of the dense branch."""

    model: Any
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class How:
    """What all branches of a training share. line: the threshold of the checks; None for that of the best F1."""

    seed: int
    epochs: int | None
    line: float | None
    progress: Progress
    checked: Checked
    tensorboard: Path | None
    workers: Workers | None


@dataclass(frozen=True, slots=True)
class Seen:
    """A history's rows (n, D) as a network sees them, and how many it has of both kinds."""

    training: Rows
    held_out: NDArray[np.float32]
    anomalous: NDArray[np.float32]
    normal_rows: int
    anomalous_rows: int

    @classmethod
    def of(cls, history: History, before: Preprocessing) -> Seen:
        """Through a branch's preprocessing."""
        return cls(
            history.training.mapped(lambda rows: _seen(before, rows)),
            _seen(before, history.held_out),
            _seen(before, history.anomalous),
            history.normal_rows,
            history.anomalous_rows,
        )


def unheard(check: Check) -> None:
    """Nobody is told the checks."""


def fit(
    history: History,
    recipe: Recipe,
    seed: int,
    epochs: int | None,
    progress: Progress,
    tensorboard: Path | None = None,
    workers: Workers | None = None,
    checked: Checked = unheard,
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
    how = How(seed, epochs, recipe.fixed, progress, checked, tensorboard, workers)
    parts, curves = _branches(history, recipe, how)
    if sum(len(part.readings) for part in parts) > 1:
        parts = [_comparable(part, history) for part in parts]
    model = whole(parts, len(history.schema.features))
    return Fitted(curves.losses, curves.held_out_losses, curves.best, curves.checks, model, tuple(parts))


def _branches(history: History, recipe: Recipe, how: How) -> tuple[list[Part], Curves]:
    parts: list[Part] = []
    curves = Curves([], [], 0, [])
    for number, (branch, before) in enumerate(zip(recipe.branches, _preprocessings(history, recipe), strict=True), 1):
        name = "autoencoder" if number == 1 else f"autoencoder_{number}"
        if isinstance(branch, Dense):
            part, curves = _dense(history, branch, before, how, name)
        else:
            part = _memory(history, branch, before, how.seed, name)
            if branch.joins:
                part = _joined(parts.pop(), part, history.held_out)
        parts.append(part)
    return parts, curves


def _preprocessings(history: History, recipe: Recipe) -> list[Preprocessing]:
    """Of all branches, in one pass over the training rows."""
    features, categories = history.schema.features, history.schema.categories
    return preprocessing.fit(
        [branch.preprocessing for branch in recipe.branches],
        features,
        [len(categories.get(name, ())) for name in features],
        recipe.truncate,
        history.training.chunks,
        history.training.sample,
    )


def _seen(before: Preprocessing, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(before.forward(rows.astype(np.float64)), np.float32)


def _dense(history: History, branch: Dense, before: Preprocessing, how: How, name: str) -> tuple[Part, Curves]:
    seen = Seen.of(history, before)
    network = dense_autoencoder(branch, len(before.owners), how.seed, name)
    curves = _trained(network, branch, seen, how)
    readings = [_read(reading, branch, network, seen.training.sample) for reading in branch.readings]
    return Part(before, network, tuple(readings)), curves


def _read(reading: str, branch: Dense, network: Any, sample: NDArray[np.float32]) -> Reading:
    if reading == "plain":
        return Reading({"loss": branch.loss})
    apart = sample - outputs(network)(sample)
    mean = apart.mean(axis=0)
    matrix, _ = whitening((apart - mean).astype(np.float64), preprocessing.RIDGE)
    return Reading({"loss": branch.loss, "mean": mean.tolist(), "matrix": matrix.tolist()})


def _trained(network: Any, branch: Dense, seen: Seen, how: How) -> Curves:
    rounds = how.epochs or (min(ROUNDS, branch.steps) if branch.steps else branch.epochs)
    each = _steps(branch, seen.training, how.workers)
    learner = Together(network, how.workers) if how.workers else network
    learner.compile(_optimizer(branch, rounds * each), loss=branch.loss, jit_compile=False)
    stop = keras.callbacks.EarlyStopping(
        "val_loss", min_delta=branch.min_delta, patience=branch.patience, restore_best_weights=True
    )
    checks = _Checks(branch, seen, how)
    watching = [_Told(how.progress, rounds), keras.callbacks.TerminateOnNaN()]
    watching += [Board(how.tensorboard / network.name)] if how.tensorboard else []
    watching += [*([stop] if branch.patience else []), *([checks] if branch.check_every else [])]
    losses, held_out_losses = _learned(learner, branch, seen, how, rounds, each, watching)
    if how.workers:
        how.workers.tell(network)
    if not np.isfinite([losses, held_out_losses]).all():
        raise Failure(f"training diverged: the loss of epoch {len(losses)} is no finite number")
    return Curves(losses, held_out_losses, stop.best_epoch + 1 if branch.patience else len(losses), checks.found)


def _steps(branch: Dense, training: Rows, workers: Workers | None) -> int:
    """Batches between two looks at the held-out rows: an epoch, or a round of a training of `steps`."""
    if branch.steps:
        return max(branch.steps // ROUNDS, 1)
    batches = training.steps(branch.batch)
    return workers.steps(batches) if workers else batches


def _optimizer(branch: Dense, steps: int) -> Any:
    """steps: of the whole training, over which a training of `steps` lets the learning rate fall."""
    optimizer = keras.optimizers.get(
        {"class_name": branch.optimizer, "config": {"learning_rate": branch.learning_rate}}
    )
    if not branch.steps:
        return optimizer
    return type(optimizer)(learning_rate=keras.optimizers.schedules.CosineDecay(branch.learning_rate, steps))


def _learned(
    learner: Any, branch: Dense, seen: Seen, how: How, rounds: int, each: int, watching: list[Any]
) -> tuple[list[float], list[float]]:
    """Losses of training and held-out rows by epoch."""
    workers = how.workers
    fed = (workers.feed if workers else feed)(seen.training, branch.batch, how.seed, None if branch.steps else rounds)
    with workers.watched() if workers else nullcontext(), fed.watched():
        record = learner.fit(
            fed.dataset,
            steps_per_epoch=each,
            validation_data=(seen.held_out, seen.held_out),
            validation_batch_size=4096,
            epochs=rounds,
            callbacks=watching,
            shuffle=False,  # the batches come shuffled
            verbose=0,
        )
    return record.history["loss"], record.history["val_loss"]


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
        apart = held_out - outputs(network)(held_out)
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
    apart = rows - outputs(part.network)(rows)
    left, all_ = (float(np.square(values, dtype=np.float64).sum()) for values in (apart, rows - rows.mean(axis=0)))
    return 1 - left / (all_ or 1.0)


def _comparable(part: Part, history: History) -> Part:
    rows = history.held_out, history.training.sample
    readings = (replace(one, surprise=_surprise(*_errors(part, one, *rows))) for one in part.readings)
    return replace(part, readings=tuple(readings))


def _errors(part: Part, reading: Reading, *rows: NDArray[np.float32]) -> list[NDArray[np.float64]]:
    error = outputs(error_of(part, reading))
    return [error(some).astype(np.float64) for some in rows]


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
    """Looks at held-out and anomalous rows every so many batches; the figures are at history's prevalence."""

    def __init__(self, branch: Dense, seen: Seen, how: How) -> None:
        super().__init__()
        self._every = branch.check_every if len(seen.anomalous) else 0
        self._error = Errors({"loss": branch.loss})
        self._seen, self._line, self._told = seen, how.line, how.checked
        self._batches = 0
        self.found: list[Check] = []

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self._rebuilt = outputs(self.model)

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self._batches += 1
        if self._every and self._batches % self._every == 0 and (figures := self._figures()):
            self.found.append({"batch": self._batches} | figures)
            self._told(self.found[-1])

    def _figures(self) -> Check:
        """None where the errors are no numbers, upon which the training ends, or are all alike."""
        seen, line = self._seen, self._line
        rows = np.concatenate((seen.held_out, seen.anomalous))
        scores = np.asarray(np.mean(self._error(rows, self._rebuilt(rows)), axis=1))
        if not np.isfinite(scores).all() or scores.min() == scores.max():
            return {}
        count = len(seen.held_out)
        known = Calibration.of(
            scores[:count], scores[count:], normal_rows=seen.normal_rows, anomalous_rows=seen.anomalous_rows
        )
        cuts = known.cuts()
        best = int(np.argmax(cuts.f1))
        at = known.at([cuts.thresholds[best] if line is None else line])
        found = {"precision": at.precision[0], "recall": at.recall[0], "f1": at.f1[0]}
        found["auroc"] = roc_auc_score(np.arange(len(scores)) >= count, scores)
        if line is not None:
            found["best_f1"] = cuts.f1[best]
        return {name: None if np.isnan(value) else float(value) for name, value in found.items()}
