"""Rows to learn from, in memory or streamed: chunks of them, a sample that stands for all, shuffled batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

SAMPLE = 200_000
"""Rows that stand for all where order statistics, covariances and prototypes are asked for."""

POOL = 1 << 18
"""Rows that are shuffled together where they do not all fit into memory."""

READ_AHEAD = 8
"""Batches that are made while the network learns from others."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows (n, d), NaN where a value is missing.

    count: n. sample: at most SAMPLE of them, in memory. chunks: opens an iterator over all, (m, d) each. pool: rows
    that are shuffled together. streamed: whether chunks reads them anew each time, as they do not fit into memory.
    """

    count: int
    sample: Array
    chunks: Callable[[], Iterator[Array]]
    pool: int = POOL
    streamed: bool = False

    @classmethod
    def of(cls, rows: Array, seed: int = 0) -> Rows:
        """Rows that are in memory."""
        sample = rows
        if len(rows) > SAMPLE:
            sample = rows[np.sort(np.random.default_rng(seed).choice(len(rows), SAMPLE, replace=False))]
        return cls(len(rows), sample, lambda: iter((rows,)))

    def mapped(self, change: Callable[[Array], Array]) -> Rows:
        """Each row changed by itself; what is in memory is changed once."""
        if self.count <= self.pool:
            return Rows.of(np.concatenate([change(chunk) for chunk in self.chunks()]))
        return replace(self, sample=change(self.sample), chunks=lambda: map(change, self.chunks()))

    def batches(self, size: int, seed: int, epochs: int | None) -> Iterator[Array]:
        """Shuffled batches, the last of an epoch with what is left; for ever where no epochs are said.

        Of more rows than `pool`, those of a pool are shuffled together.
        """
        generator = np.random.default_rng(seed)
        epoch = 0
        while epochs is None or epoch < epochs:
            yield from self._epoch(size, generator)
            epoch += 1

    def _epoch(self, size: int, generator: np.random.Generator) -> Iterator[Array]:
        rest = self.sample[:0]
        for pool in self._pools():
            rows = np.concatenate((rest, pool)) if len(rest) else pool
            order = generator.permutation(len(rows))
            whole = len(rows) // size * size
            for at in range(0, whole, size):
                yield rows[order[at : at + size]]
            rest = rows[order[whole:]]
        if len(rest):
            yield rest

    def _pools(self) -> Iterator[Array]:
        kept: list[Array] = []
        held = 0
        for chunk in self.chunks():
            kept.append(chunk)
            held += len(chunk)
            if held >= self.pool:
                yield np.concatenate(kept) if len(kept) > 1 else chunk
                kept, held = [], 0
        if kept:
            yield np.concatenate(kept) if len(kept) > 1 else kept[0]

    def steps(self, size: int) -> int:
        """Batches of an epoch."""
        return -(-self.count // size)


@dataclass(frozen=True, slots=True)
class Feed:
    """Batches for a training. dataset: a tf.data.Dataset. errors: what ended it early; TensorFlow tells only where."""

    dataset: Any
    errors: list[Exception] = field(default_factory=list)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Raises what went wrong where the batches were made, in place of what TensorFlow makes of it."""
        try:
            yield
        except Exception as error:
            if self.errors:
                raise self.errors[0] from error
            raise


def feed(rows: Rows, size: int, seed: int, epochs: int | None) -> Feed:
    """Shuffled batches of (row, row)."""
    import tensorflow as tf

    found = read_ahead(
        lambda: rows.batches(size, seed, epochs), tf.TensorSpec((None, rows.sample.shape[1]), tf.float32)
    )
    return replace(found, dataset=found.dataset.map(lambda batch: (batch, batch)).prefetch(READ_AHEAD))


def read_ahead(batches: Callable[[], Iterator[Any]], shapes: Any) -> Feed:
    """Batches as a tf.data.Dataset. shapes: the tf.TensorSpec of one batch, or a tuple of them."""
    import tensorflow as tf

    errors: list[Exception] = []

    def watched() -> Iterator[Any]:
        try:
            yield from batches()
        except Exception as error:
            errors.append(error)
            raise

    return Feed(tf.data.Dataset.from_generator(watched, output_signature=shapes), errors)
