"""Rows or samples between where they come from and where they go: columns of one length, in the order of sending."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Objects = NDArray[np.object_]
Headers = list[tuple[str, bytes]]


class Mark(NamedTuple):
    """What was done to a row on purpose. spec: as it was asked for. fault: of a message that is to be no row, the
    reason from detector.rows.REASONS for which it is refused."""

    spec: str
    fault: str = ""


Marks = tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows in order.

    row_ids: bytes (n,). event: int64 (n,), ms since 1970 UTC, None without event times. keys: bytes or None (n,), None
    where no row has one. anomalous: bool (n,), None without a label. frame: n rows of columns that are not encoded yet.
    values: bytes or None (n,), once they are. headers: a list of pairs (n,), None for those that a row of ours has.
    last: bool (n,), whether a sample is the last one of its row, which has the row's id and its label; None for rows.
    moments: int64 (n,), never falling, when each is sent in the data's time; None for when it happened. injected: Marks
    (n,), None where nothing was injected.
    """

    row_ids: Objects
    event: NDArray[np.int64] | None = None
    keys: Objects | None = None
    anomalous: NDArray[np.bool_] | None = None
    frame: pd.DataFrame | None = None
    values: Objects | None = None
    headers: Objects | None = None
    last: NDArray[np.bool_] | None = None
    moments: NDArray[np.int64] | None = None
    injected: Objects | None = None

    def __len__(self) -> int:
        return len(self.row_ids)

    def take(self, which: slice | NDArray[Any]) -> Batch:
        """These rows: a slice, a mask (n,), or places."""
        if isinstance(which, slice) and which.indices(len(self)) == (0, len(self), 1):
            return self
        return Batch(
            row_ids=self.row_ids[which],
            event=None if self.event is None else self.event[which],
            keys=None if self.keys is None else self.keys[which],
            anomalous=None if self.anomalous is None else self.anomalous[which],
            frame=None if self.frame is None else self.frame.iloc[which],
            values=None if self.values is None else self.values[which],
            headers=None if self.headers is None else self.headers[which],
            last=None if self.last is None else self.last[which],
            moments=None if self.moments is None else self.moments[which],
            injected=None if self.injected is None else self.injected[which],
        )


Stage = Callable[[Iterator[Batch]], Iterator[Batch]]
"""A step between the source and the sender. Batches may be of any length, also cut or left out."""


def joined(batches: Sequence[Batch]) -> Batch:
    """The rows of batches of one source, one after the other, as one batch. At least one batch is wanted."""
    if len(batches) == 1:
        return batches[0]
    frames = [batch.frame for batch in batches if batch.frame is not None]
    found = {f.name: _joined(f.name, batches) for f in fields(Batch) if f.name != "frame"}
    return Batch(**found, frame=pd.concat(frames, ignore_index=True) if frames else None)


def _joined(name: str, batches: Sequence[Batch]) -> Any:
    parts = [getattr(batch, name) for batch in batches]
    if name == "injected" and any(part is not None for part in parts):
        parts = [unmarked(len(batch)) if part is None else part for part, batch in zip(parts, batches, strict=True)]
    return None if parts[0] is None else np.concatenate(parts)


def unmarked(rows: int) -> Objects:
    """The marks (n,) of rows to which nothing was done."""
    return objects([()] * rows)


def objects(values: list[Any]) -> Objects:
    """Anything as an array (n,): numpy itself would make a matrix of lists of one length."""
    found = np.empty(len(values), dtype=object)
    found[:] = values
    return found
