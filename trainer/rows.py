"""Rows to learn from, in memory or streamed: chunks of them, a sample that stands for all, shuffled batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

SAMPLE = 200_000
"""Rows that stand for all where order statistics, covariances and prototypes are asked for."""

POOL = 1 << 18
"""Rows that are shuffled together where they do not all fit into memory."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows (n, d), NaN where a value is missing.

    count: n. sample: at most SAMPLE of them, in memory. chunks: opens an iterator over all, (m, d) each.
    """

    count: int
    sample: Array
    chunks: Callable[[], Iterator[Array]]

    @classmethod
    def of(cls, rows: Array, seed: int = 0) -> Rows:
        """Rows that are in memory."""
        sample = rows
        if len(rows) > SAMPLE:
            sample = rows[np.sort(np.random.default_rng(seed).choice(len(rows), SAMPLE, replace=False))]
        return cls(len(rows), sample, lambda: iter((rows,)))

    def mapped(self, change: Callable[[Array], Array]) -> Rows:
        """Each row changed by itself; what is in memory is changed once."""
        if self.count <= POOL:
            return Rows.of(np.concatenate([change(chunk) for chunk in self.chunks()]))
        return Rows(self.count, change(self.sample), lambda: map(change, self.chunks()))

    def batches(self, size: int, seed: int, epochs: int | None) -> Iterator[Array]:
        """Shuffled batches, the last of an epoch with what is left; for ever where no epochs are said.

        Of more rows than POOL, those of a pool are shuffled together.
        """
        generator = np.random.default_rng(seed)
        epoch = 0
        while epochs is None or epoch < epochs:
            for pool in self._pools():
                order = generator.permutation(len(pool))
                for at in range(0, len(pool), size):
                    yield pool[order[at : at + size]]
            epoch += 1

    def _pools(self) -> Iterator[Array]:
        kept: list[Array] = []
        held = 0
        for chunk in self.chunks():
            kept.append(chunk)
            held += len(chunk)
            if held >= POOL:
                yield np.concatenate(kept) if len(kept) > 1 else chunk
                kept, held = [], 0
        if kept:
            yield np.concatenate(kept) if len(kept) > 1 else kept[0]

    def steps(self, size: int) -> int:
        """Batches of an epoch."""
        return -(-self.count // size)


def dataset(rows: Rows, size: int, seed: int, epochs: int | None) -> Any:
    """Batches as a tf.data.Dataset of (row, row), read ahead of the training."""
    import tensorflow as tf

    one = tf.TensorSpec((None, rows.sample.shape[1]), tf.float32)
    found = tf.data.Dataset.from_generator(lambda: rows.batches(size, seed, epochs), output_signature=one)
    return found.map(lambda batch: (batch, batch)).prefetch(8)
