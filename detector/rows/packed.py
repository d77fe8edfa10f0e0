"""Packed rows: little-endian float32 in the schema's order, nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from detector.rows.refusals import Refusal
from detector.rows.values import Found


class PackedRows:
    """Reads values of exactly 4 bytes for each of `width` features."""

    def __init__(self, width: int) -> None:
        self._width = width

    def whole(self, values: Sequence[bytes]) -> NDArray[np.float32] | None:
        """The matrix (n, d) of a batch, or None where a value is no row."""
        if set(map(len, values)) - {4 * self._width}:
            return None
        return np.frombuffer(b"".join(values), "<f4").reshape(-1, self._width).astype(np.float32, copy=False)

    def each(self, values: Sequence[bytes]) -> Found:
        """What can be read of values that may be anything."""
        wanted = 4 * self._width
        kept = [i for i, value in enumerate(values) if len(value) == wanted]
        matrix = self.whole([values[i] for i in kept])
        assert matrix is not None
        told = f"{wanted} wanted for {self._width} features"
        wrong = {
            i: Refusal("wrong_length", f"{len(v)} bytes, {told}") for i, v in enumerate(values) if len(v) != wanted
        }
        return Found(matrix, kept, wrong)


def encode_packed(matrix: NDArray[np.float32]) -> list[bytes]:
    """Each row of a float32 (n, d) matrix as little-endian bytes, nothing else."""
    width = 4 * matrix.shape[1]
    data = np.ascontiguousarray(matrix, "<f4").tobytes()
    return [data[start : start + width] for start in range(0, len(data), width)]
