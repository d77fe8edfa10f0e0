"""The curves of a training as TensorBoard reads them.

Keras' own callback needs the package tensorboard for writing, which TensorFlow does not bring any more; this does not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

PARTS = {"loss": "train", "val_loss": "validation"}
"""Keras' name of each loss, and the folder that it goes to."""

SCALARS = tf.compat.v1.SummaryMetadata(plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars"))


class Board(keras.callbacks.Callback):  # type: ignore[misc]
    """Writes the losses of each epoch, numbered from 1: `epoch_loss` in the folders `train` and `validation`."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._writers: dict[str, Any] = {}

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self._writers = {name: tf.summary.create_file_writer(str(self._folder / name)) for name in PARTS.values()}

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        for key, part in PARTS.items():
            with self._writers[part].as_default(step=epoch + 1):
                tf.summary.write("epoch_loss", tf.constant((logs or {})[key], tf.float32), metadata=SCALARS)
            self._writers[part].flush()

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        for writer in self._writers.values():
            writer.close()
