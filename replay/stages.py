"""Which of the rows are played: stages that leave rows out, or play them again.

Each is a function of batches to batches, so that any of them, and any other, can stand before or after another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import count

import numpy as np

from replay.batch import Batch, Objects, Stage, objects

REPEATED = b"#"
"""Stands between a row's id and the number of the pass, from the second pass on."""


def through(batches: Iterator[Batch], stages: Iterable[Stage]) -> Iterator[Batch]:
    """The batches after all stages, in their order."""
    for stage in stages:
        batches = stage(batches)
    return batches


def between(first: int | None, end: int | None) -> Stage:
    """Rows whose event time is `first` or later and before `end`, ms since 1970; None for no bound."""
    low, high = -(1 << 63) if first is None else first, (1 << 63) - 1 if end is None else end

    def stage(batches: Iterator[Batch]) -> Iterator[Batch]:
        for batch in batches:
            assert batch.event is not None
            if len(kept := batch.take((batch.event >= low) & (batch.event < high))):
                yield kept

    return stage


def share_of(text: bytes, salt: bytes = b"") -> float:
    """A number from 0 to below 1 that a text always has, as if drawn for it. salt: another one draws anew."""
    return int.from_bytes(hashlib.blake2b(text, digest_size=8, key=salt).digest(), "big") / 2**64


def sampled(share: float, salt: bytes = b"") -> Stage:
    """The rows of about this share of the keys, so that an entity's history stays whole; a row without one is its own.

    The same keys in every run.
    """

    def stage(batches: Iterator[Batch]) -> Iterator[Batch]:
        for batch in batches:
            names = _named(batch)
            chosen = {name for name in set(names.tolist()) if share_of(name, salt) < share}
            if len(kept := batch.take(np.array([name in chosen for name in names.tolist()], bool))):
                yield kept

    return stage


def _named(batch: Batch) -> Objects:
    """By row its key, or its id where it has none."""
    if batch.keys is None:
        return batch.row_ids
    pairs = zip(batch.keys.tolist(), batch.row_ids.tolist(), strict=True)
    return objects([row_id if key is None else key for key, row_id in pairs])


def looped(one_pass: Callable[[], Iterator[Batch]], times: int) -> Iterator[Batch]:
    """So many passes, 0 for no end. From pass to pass event time goes on, as far as two rows lie apart on average.

    From the second on a row's id ends with # and the number of the pass.
    """
    shift = 0
    for number in count(1) if times == 0 else range(1, times + 1):
        first = last = None
        rows = 0
        for batch in one_pass():
            if batch.event is not None:
                first = int(batch.event[0]) if first is None else first
                last = int(batch.event[-1]) if last is None else max(last, int(batch.event[-1]))
            rows += len(batch)
            yield batch if number == 1 else _again(batch, number, shift)
        if rows == 0:
            return
        if first is not None and last is not None:
            shift += last - first + max(round((last - first) / max(rows - 1, 1)), 1)


def _again(batch: Batch, number: int, shift: int) -> Batch:
    suffix = REPEATED + b"%d" % number
    names = objects([row_id + suffix for row_id in batch.row_ids.tolist()])
    return replace(batch, row_ids=names, event=None if batch.event is None else batch.event + shift)


def skipped(rows: int, seen: Callable[[Batch], None] = lambda batch: None) -> Stage:
    """All but the first rows. seen: called with what is left out."""

    def stage(batches: Iterator[Batch]) -> Iterator[Batch]:
        left = rows
        for batch in batches:
            if left:
                seen(batch.take(slice(0, left)))
            if left < len(batch):
                yield batch.take(slice(left, len(batch)))
            left = max(left - len(batch), 0)

    return stage


def limited(rows: int) -> Stage:
    """The first rows, and no batch is asked for after them; 0 for all."""

    def stage(batches: Iterator[Batch]) -> Iterator[Batch]:
        left = rows
        for batch in batches:
            yield batch.take(slice(0, left)) if rows else batch
            left -= len(batch)
            if rows and left <= 0:
                return

    return stage
