"""What a replay plays: rows that can be asked for pass after pass, and what is known of them beforehand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from detector import table
from detector.errors import DataRefused
from replay.batch import Batch, Objects, objects
from replay.columns import Columns
from replay.encoding import keys
from replay.order import Block


class History(Protocol):
    """Where rows come from.

    name: for a person. columns: their roles, None where rows come encoded. rows: how many, None where nobody knows.
    span: the first and the last event time, ms since 1970 UTC, None where nobody knows.
    """

    name: str
    rows: int | None
    span: tuple[int, int] | None

    @property
    def columns(self) -> Columns | None: ...

    def batches(self) -> Iterator[Batch]:
        """All rows in order, once more with each call. Raises DataRefused, some of it only on the way."""

    def identity(self) -> dict[str, str]:
        """What tells this data from other data, as text by name."""

    def held(self) -> Any:
        """What another process has to `hold` to find the same rows, as plain values; None for nothing."""

    def hold(self, held: Any) -> None:
        """Makes the rows those of which another process told."""

    def close(self) -> None:
        """Gives back what was taken."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How blocks of tables become batches.

    names: what stands before a row's place in its id, by the number of its file; empty for one file. name: of the
    data, for refusals. original: whether event times become Kafka's.
    """

    columns: Columns
    name: str
    names: Sequence[str] = ()
    original: bool = False

    def batch(self, block: Block) -> Batch:
        """Rows with their ids, keys and truth, not encoded yet. DataRefused names the data."""
        columns, frame = self.columns, block.frame
        anomalous = self.checked(frame, block.event)
        return Batch(
            row_ids=self._row_ids(block),
            event=block.event,
            keys=None if columns.key is None else keys(frame[columns.key]),
            anomalous=anomalous,
            frame=frame[list(columns.features)],
        )

    def checked(self, frame: pd.DataFrame, event: NDArray[np.int64] | None) -> NDArray[np.bool_] | None:
        """The truth of rows (n,), None without a label; DataRefused where they cannot be played."""
        columns = self.columns
        if self.original and event is not None and (event < 0).any():
            raise DataRefused(
                f"data {self.name}: time column {columns.time!r} begins before 1970, which no Kafka timestamp can say"
            )
        try:
            return None if columns.label is None else table.anomalous(frame, columns.label, columns.normal)
        except DataRefused as refused:
            raise DataRefused(f"data {self.name}: {refused}") from refused

    def _row_ids(self, block: Block) -> Objects:
        if not self.names:
            return objects([b"%d" % place for place in block.place.tolist()])
        before = [name.encode() for name in self.names]
        pairs = zip(block.file.tolist(), block.place.tolist(), strict=True)
        return objects([b"%s:%d" % (before[file], place) for file, place in pairs])
