"""What a Keras model makes of rows in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

ROWS = 4096
"""Rows that go through a model at once."""

Outputs = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def outputs(model: Any) -> Outputs:
    """A function of rows (n, d) to the model's output (n, ...), as it is outside a training.

    It is traced once, here, for any number of rows. `predict` would trace each new model twice, for whole batches and
    for the last one, and TensorFlow warns of so many traces.
    """
    rows = tf.TensorSpec((None, model.input_shape[1]), tf.float32)
    traced = tf.function(lambda some: model(some, training=False), autograph=False).get_concrete_function(rows)

    def of(rows: NDArray[np.float32]) -> NDArray[np.float32]:
        starts = range(0, max(len(rows), 1), ROWS)
        return np.concatenate([traced(tf.constant(rows[at : at + ROWS])).numpy() for at in starts])

    return of
