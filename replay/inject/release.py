"""Rows that wait: each has a moment at which it is let go, and comes behind the rows that were let go before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from replay.batch import Batch, Stage, joined
from replay.inject.where import Moments

Due = Callable[[Batch], tuple[Batch, Moments]]
"""A batch's rows, perhaps with others beside them, and when each is let go (n,): never before its own moment."""


def released(due: Due) -> Stage:
    """Rows in the order in which they are let go, ties as they came: the same whatever the batches."""

    def stage(batches: Iterator[Batch]) -> Iterator[Batch]:
        held: tuple[Batch, Moments] | None = None
        for batch in batches:
            assert batch.moments is not None
            latest = int(batch.moments[-1])
            rows, moments = due(batch)
            if held is not None:
                rows, moments = joined([held[0], rows]), np.concatenate([held[1], moments])
            rows, moments = _ordered(rows, moments)
            # What comes later is not let go before `latest`, and comes behind what is let go then.
            ready = int(np.searchsorted(moments, latest, side="right"))
            if ready:
                yield replace(rows.take(slice(0, ready)), moments=moments[:ready])
            held = (rows.take(slice(ready, len(rows))), moments[ready:]) if ready < len(rows) else None
        if held is not None:
            yield replace(held[0], moments=held[1])

    return stage


def _ordered(rows: Batch, moments: Moments) -> tuple[Batch, Moments]:
    if (np.diff(moments) >= 0).all():
        return rows, moments
    order = np.argsort(moments, kind="stable")
    return rows.take(order), moments[order]
