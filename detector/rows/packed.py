"""Packed rows: little-endian float32 in the schema's order, nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.rows.refusals import Refusal
from detector.rows.values import Found, Kind


class PackedRows:
    """Reads values of exactly 4 bytes for each of `width` features; 8 where `kind` is float64."""

    def __init__(self, width: int, kind: Kind = np.float32) -> None:
        self._width, self._kind = width, np.dtype(kind)
        self._bytes = self._kind.itemsize * width

    def whole(self, values: Sequence[bytes]) -> NDArray[Any] | None:
        """The matrix (n, d) of a batch, or None where a value is no row."""
        if set(map(len, values)) - {self._bytes}:
            return None
        found = np.frombuffer(b"".join(values), self._kind.newbyteorder("<")).reshape(-1, self._width)
        return found.astype(self._kind, copy=False)

    def each(self, values: Sequence[bytes]) -> Found:
        """What can be read of values that may be anything."""
        wanted = self._bytes
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
