"""Rows that come when they should not: later, out of their order, after a silence, or all too fast."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from replay.batch import Batch, Stage
from replay.inject.release import released
from replay.inject.where import FAR, Moments, Where, marked, unmark


def delayed(where: Where) -> Stage:
    """Some rows come later."""
    spec = where.spec

    def due(batch: Batch) -> tuple[Batch, Moments]:
        assert batch.moments is not None
        late = where.drawn(batch, spec.amount)
        return marked(batch, late, spec.text), batch.moments + np.where(late, spec.milliseconds, 0)

    return released(due)


def reordered(where: Where) -> Stage:
    """Each row comes a little later, and so some behind rows that are later than they are; those are marked."""
    spec = where.spec

    def due(batch: Batch) -> tuple[Batch, Moments]:
        assert batch.moments is not None
        moved, moments = where.within(batch.moments), batch.moments.copy()
        for place in np.flatnonzero(moved).tolist():
            moments[place] += int(where.chance(batch.row_ids[place]) * (spec.milliseconds + 1))
        return marked(batch, moved, spec.text), moments

    def stage(batches: Iterator[Batch]) -> Iterator[Batch]:
        latest = -FAR
        for batch in released(due)(batches):
            assert batch.event is not None
            before = np.maximum(np.maximum.accumulate(np.concatenate([[latest], batch.event[:-1]])), latest)
            yield unmark(batch, batch.event >= before, spec.text)
            latest = max(latest, int(batch.event.max()))

    return stage


def silent(where: Where) -> Stage:
    """Rows of a stretch are held back to its end."""
    spec = where.spec

    def due(batch: Batch) -> tuple[Batch, Moments]:
        assert batch.moments is not None
        first = where.bounds[0]
        begun = batch.moments >= first if spec.stretch.first else batch.moments > first
        end = first + spec.milliseconds
        held = begun & (batch.moments < end)
        return marked(batch, held, spec.text), np.where(held, end, batch.moments)

    return released(due)


def faster(where: Where) -> Stage:
    """Time passes faster in a stretch: what happens in it and behind it happens sooner."""
    spec = where.spec

    def stage(batches: Iterator[Batch]) -> Iterator[Batch]:
        for batch in batches:
            assert batch.moments is not None
            assert batch.event is not None
            first, end = where.bounds
            sooner = np.round((np.clip(batch.moments, first, end) - first) * (1 - 1 / spec.amount)).astype(np.int64)
            moved = replace(batch, moments=batch.moments - sooner, event=batch.event - sooner)
            yield marked(moved, where.within(batch.moments), spec.text)

    return stage
