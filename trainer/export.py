"""Keras model -> the serving graph and the training file, as bytes."""

from __future__ import annotations

import io
import json
import re
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from trainer.network import Affine, errors

FIXED_TIME = (1980, 1, 1, 0, 0, 0)


class _Graph(tf.Module):  # type: ignore[misc]
    """The two signatures of the serving graph, weights as constants: LiteRT has no variables to initialise."""

    def __init__(self, model: Any, affine: Affine, loss: str) -> None:
        super().__init__()
        self._model, self._loss, self._width = model, loss, len(affine.offset)
        self._affine = affine
        self._trainable = [variable.numpy() for variable in model.trainable_variables]
        self._fixed = [variable.numpy() for variable in model.non_trainable_variables]

    def _errors(self, rows: Any) -> tuple[Any, Any]:
        trainable = [tf.constant(value) for value in self._trainable]
        fixed = [tf.constant(value) for value in self._fixed]
        (z, reconstruction), _ = self._model.stateless_call(trainable, fixed, rows, training=False)
        return errors(self._loss, z, reconstruction), reconstruction

    def score(self, rows: Any) -> dict[str, Any]:
        return {"score": tf.reduce_mean(self._errors(rows)[0], axis=1)}

    def explain(self, rows: Any) -> dict[str, Any]:
        error, reconstruction = self._errors(rows)
        expected = reconstruction * tf.constant(self._affine.scale, tf.float32)
        return {
            "contribution": error / float(self._width),
            "expected": expected + tf.constant(self._affine.offset, tf.float32),
        }


def serving_graph(model: Any, affine: Affine, loss: str) -> bytes:
    """A .tflite file with the signatures `score` and `explain`, float32 throughout."""
    graph = _Graph(model, affine, loss)
    rows = tf.TensorSpec((None, len(affine.offset)), tf.float32, name="rows")
    signatures = {
        name: tf.function(getattr(graph, name), input_signature=[rows]).get_concrete_function()
        for name in ("score", "explain")
    }
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(graph, folder, signatures=signatures)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=sorted(signatures))
        return bytes(converter.convert())


def keras_file(model: Any) -> bytes:
    """A .keras file without the time of its making: the same bytes for the same model."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        content = path.read_bytes()
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as new:
        for name in sorted(old.namelist()):
            new.writestr(zipfile.ZipInfo(name, FIXED_TIME), _repeatable(name, old.read(name)))
    return out.getvalue()


def _repeatable(name: str, content: bytes) -> bytes:
    """A member of the file without the time of its making, and without addresses in this process' memory."""
    if name == "metadata.json":
        return json.dumps({"keras_version": json.loads(content)["keras_version"]}).encode()
    if name == "config.json":
        numbers: dict[bytes, int] = {}
        return re.sub(
            rb'("shared_object_id": )(\d+)',
            lambda match: match[1] + str(numbers.setdefault(match[2], len(numbers))).encode(),
            content,
        )
    return content


def load_keras(path: Path) -> Any:
    """The Keras model of an artifact; no code in the file is run."""
    return keras.saving.load_model(path, safe_mode=True)
