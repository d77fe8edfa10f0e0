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

import trainer.network  # noqa: F401  # its layers are known to Keras once they are imported

FIXED_TIME = (1980, 1, 1, 0, 0, 0)


class _Graph(tf.Module):  # type: ignore[misc]
    """The two signatures of the serving graph, weights as constants: LiteRT has no variables to initialise."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self._model = model
        self._trainable = [variable.numpy() for variable in model.trainable_variables]
        self._fixed = [variable.numpy() for variable in model.non_trainable_variables]

    def _of(self, rows: Any) -> Any:
        trainable = [tf.constant(value) for value in self._trainable]
        fixed = [tf.constant(value) for value in self._fixed]
        found, _ = self._model.stateless_call(trainable, fixed, rows, training=False)
        return found

    def score(self, rows: Any) -> dict[str, Any]:
        return {"score": self._of(rows)["score"]}

    def explain(self, rows: Any) -> dict[str, Any]:
        found = self._of(rows)
        return {name: found[name] for name in ("contribution", "expected")}


def serving_graph(model: Any) -> bytes:
    """A .tflite file with the signatures `score` and `explain`, float32 throughout."""
    graph = _Graph(model)
    rows = tf.TensorSpec((None, model.input_shape[1]), tf.float32, name="rows")
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
