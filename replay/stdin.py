"""Rows that come through standard input: CSV, played as it comes, or sorted once its end is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from detector import table
from detector.errors import DataRefused, UsageError
from detector.schema import Schema
from replay import columns as roles
from replay.batch import Batch
from replay.encoding import encoder
from replay.history import Reading
from replay.order import Block, block_of, merged, spilled
from replay.settings import AUTO, ORIGINAL, TIME, Settings
from replay.source import sorting

NAME = "standard input"


class Piped:
    """Rows that can be read once. See `replay.history.History`."""

    def __init__(self, stream: BinaryIO, chosen: Settings, schema: Schema | None, say: Callable[[str], None]) -> None:
        if chosen.loop != 1 or chosen.resume:
            what = "resume" if chosen.resume else "loop"
            raise UsageError(f"setting {what} does not go with standard input, which is read once")
        self.name, self._say = NAME, say
        self.rows: int | None = None
        self.span: tuple[int, int] | None = None
        self._csv = table.PipedCsv(stream, NAME)
        try:
            self.columns = roles.resolved(self._csv.head, roles.asked(chosen, schema), chosen.row_format)
            encoder(chosen.row_format, self.columns)(self._csv.head)
        except DataRefused as refused:
            told = str(refused)
            raise DataRefused(told if told.startswith("data ") else f"data {NAME}: {refused}") from refused
        if self.columns.time is None:
            roles.refuse_without_time(chosen)
        timed = self.columns.time is not None
        self._strict, self._sorts = timed and chosen.order == AUTO, timed and chosen.order == TIME
        self._reading = Reading(self.columns, NAME, original=chosen.timestamps == ORIGINAL)
        self._folder: TemporaryDirectory[str] | None = None

    def batches(self) -> Iterator[Batch]:
        """The one pass."""
        yield from map(self._reading.batch, self._sorted() if self._sorts else self._blocks())

    def _blocks(self) -> Iterator[Block]:
        latest = -(1 << 63)
        for frame in self._csv.frames():
            event = None if self.columns.time is None else self._event(frame)
            block = block_of(frame[self.columns.needed], event, 0)
            if event is not None and self._strict:
                latest = self._refuse_older(block, latest)
            yield block

    def _event(self, frame: pd.DataFrame) -> NDArray[np.int64]:
        assert self.columns.time is not None
        try:
            return table.event_milliseconds(frame, self.columns.time)
        except DataRefused as refused:
            raise DataRefused(f"data {NAME}: {refused}") from refused

    def _refuse_older(self, block: Block, latest: int) -> int:
        """The last event time; DataRefused where a row's is earlier than that of the one before."""
        assert block.event is not None
        older = np.flatnonzero(np.diff(block.event, prepend=latest if latest > -(1 << 63) else block.event[0]) < 0)
        if len(older):
            raise DataRefused(
                f"data {NAME}: row {block.place[older[0]]} is older than the one before by {self.columns.time!r}; "
                "--order time sorts all rows first, --order file plays them as they come"
            )
        return int(block.event[-1])

    def _sorted(self) -> Iterator[Block]:
        self._say(f"replay: sorting {NAME} by {self.columns.time!r}, once its end is there")
        self._folder = TemporaryDirectory(prefix="replay-")
        yield from merged(spilled(self._blocks(), Path(self._folder.name), sorting(self._say, None)))

    def identity(self) -> dict[str, str]:
        """Nothing is known."""
        return {"data": NAME}

    def held(self) -> None:
        """Nothing: `identity` tells."""

    def hold(self, held: object) -> None:
        """Nothing to hold."""

    def close(self) -> None:
        """Removes what was sorted on disk."""
        if self._folder:
            self._folder.cleanup()
