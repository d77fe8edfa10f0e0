"""The served network. The only file that imports the runtime (LiteRT)."""

from __future__ import annotations

from contextlib import nullcontext
from threading import current_thread, main_thread
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from detector.errors import ModelRefused
from detector.quiet import held_back

SIZES = (16, 64, 256, 1024)
"""Batch sizes that are ever run: smaller batches are padded, larger ones cut. One interpreter for each,
because a change of size makes the runtime allocate its tensors anew. What 4,096 rows take in a wide network
no longer fits the processor's cache: they are slower at once than by 1,024, and hold 17 MB more."""

LARGEST = float(np.finfo(np.float32).max)


class Model:
    """Scores rows; the same bits for a row whatever stands beside it in a batch.

    content: a .tflite file with the signatures `score` (rows -> score) and `explain` (rows -> contribution, expected).
    width: the number of features d.
    """

    def __init__(self, content: bytes, width: int) -> None:
        self.width = width
        self._content = content
        self._runners: dict[tuple[str, int], Any] = {}
        self._check()

    def score(self, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        """Reconstruction errors (n,) of rows (n, d); higher is more anomalous, always finite, never NaN."""
        scores = self._run("score", matrix)["score"]
        return np.nan_to_num(scores, copy=False, nan=LARGEST, posinf=LARGEST, neginf=0.0)

    def explain(self, matrix: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Contributions (n, d) that add up to the scores, and expected values (n, d) in the units of the rows."""
        result = self._run("explain", matrix)
        return (
            np.nan_to_num(result["contribution"], nan=LARGEST, posinf=LARGEST, neginf=0.0),
            np.nan_to_num(result["expected"], nan=0.0, posinf=LARGEST, neginf=-LARGEST),
        )

    def warm(self) -> None:
        """Runs every batch size once, so that the first row does not wait for memory."""
        for size in SIZES:
            self.score(np.zeros((size, self.width), np.float32))
        self.explain(np.zeros((1, self.width), np.float32))

    def _run(self, signature: str, matrix: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        if matrix.ndim != 2 or matrix.shape[1] != self.width:
            raise ValueError(f"rows of shape {matrix.shape}, (n, {self.width}) wanted")
        largest = SIZES[-1]
        parts = [self._part(signature, matrix[at : at + largest]) for at in range(0, max(len(matrix), 1), largest)]
        if len(parts) == 1:
            return parts[0]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _part(self, signature: str, matrix: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        count = len(matrix)
        size = next(size for size in SIZES if size >= count)
        rows = matrix
        if size != count:
            rows = np.zeros((size, self.width), np.float32)
            rows[:count] = matrix
        result = self._runner(signature, size)(rows=np.ascontiguousarray(rows))
        return {name: values[:count] for name, values in result.items()}

    def _runner(self, signature: str, size: int) -> Any:
        runner = self._runners.get((signature, size))
        if runner is None:
            # One thread: the bits then cannot depend on how work is shared out, and the cores belong to Kafka's client.
            interpreter = Interpreter(model_content=self._content, num_threads=1)
            runner = self._runners[signature, size] = interpreter.get_signature_runner(signature)
        return runner

    def _check(self) -> None:
        row = np.zeros((1, self.width), np.float32)
        try:
            # The runtime greets a process once. What another thread held back would be what this one's neighbours log.
            with held_back() if current_thread() is main_thread() else nullcontext():
                outputs = {name: self._part(name, row) for name in ("score", "explain")}
        except (ValueError, RuntimeError) as error:
            raise ModelRefused(f"model.tflite cannot be served for {self.width} features: {error}") from error
        shapes = {name: array.shape for output in outputs.values() for name, array in output.items()}
        wanted = {"score": (1,), "contribution": (1, self.width), "expected": (1, self.width)}
        if shapes != wanted:
            raise ModelRefused(f"model.tflite gives {shapes}, {wanted} wanted")
