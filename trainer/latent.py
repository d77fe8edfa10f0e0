"""What the network makes of rows on its way: preprocessed rows, and the code they are squeezed into."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

CODE = "code"


def preprocessed(model: Any, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows (n, d) as the first network sees them, (n, D). model: an artifact's Keras model."""
    return np.asarray(model(rows, training=False)["preprocessed"], np.float32)


def owners(model: Any) -> NDArray[np.intp]:
    """The feature that each column (D,) of `preprocessed` comes from."""
    from trainer.preprocessing import Preprocessing

    return np.asarray(Preprocessing.from_config(model.get_layer("preprocess_1").config).owners, np.intp)


def codes(model: Any, rows: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """The latent codes (n, k) of rows (n, d): the output of the layer `code` of the first autoencoder that has one.

    None where none has: a network without inner layers, or a memory of prototypes.
    """
    import keras

    networks = {layer.name: layer for layer in model.layers if layer.name.startswith("autoencoder")}
    for number in range(1, len(networks) + 1):
        network = networks["autoencoder" if number == 1 else f"autoencoder_{number}"]
        if any(layer.name == CODE for layer in network.layers):
            before = keras.Model(model.input, model.get_layer(f"preprocess_{number}").output)
            inside = keras.Model(network.input, network.get_layer(CODE).output)
            return np.asarray(inside(before(rows, training=False), training=False), np.float32)
    return None
