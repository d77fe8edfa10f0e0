"""History + recipe -> a trained network. The same seed gives the same weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from detector.errors import Failure
from trainer.history import History
from trainer.network import Affine, build_autoencoder, build_model, fit_preprocessing
from trainer.recipes import Recipe

Progress = Callable[[int, float, float], None]
"""Told after each epoch: its number, the loss, the loss on held-out rows."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A trained model. losses, held_out_losses: by epoch. best: the epoch (from 1) whose weights were kept."""

    model: Any
    affine: Affine
    losses: list[float]
    held_out_losses: list[float]
    best: int


def fit(history: History, recipe: Recipe, seed: int, epochs: int | None, progress: Progress) -> Fitted:
    """Trains on the normal training rows; stops early by the held-out ones and keeps the best epoch's weights."""
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    affine = fit_preprocessing(recipe.preprocessing, history.schema.features, history.training)
    network = build_autoencoder(recipe, len(history.schema.features))
    optimizer = keras.optimizers.get(
        {"class_name": recipe.optimizer, "config": {"learning_rate": recipe.learning_rate}}
    )
    network.compile(optimizer, loss=recipe.loss, jit_compile=False)
    training, held_out = (affine.apply(rows).astype(np.float32) for rows in (history.training, history.held_out))
    stop = keras.callbacks.EarlyStopping(
        "val_loss", min_delta=recipe.min_delta, patience=recipe.patience, restore_best_weights=True
    )
    record = network.fit(
        training,
        training,
        validation_data=(held_out, held_out),
        epochs=epochs or recipe.epochs,
        batch_size=recipe.batch,
        callbacks=[stop, _Told(progress), keras.callbacks.TerminateOnNaN()],
        verbose=0,
    )
    losses, held_out_losses = record.history["loss"], record.history["val_loss"]
    if not np.isfinite([losses, held_out_losses]).all():
        raise Failure(f"training diverged: the loss of epoch {len(losses)} is no finite number")
    return Fitted(build_model(affine, network), affine, losses, held_out_losses, stop.best_epoch + 1)


class _Told(keras.callbacks.Callback):  # type: ignore[misc]
    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self._progress = progress

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        logs = logs or {}
        self._progress(epoch + 1, logs["loss"], logs["val_loss"])
