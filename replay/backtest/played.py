"""What is noted of rows while they are played: their names and truth, when they were handed over, their features."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector.errors import DataRefused, Failure
from detector.kafka import Publisher
from detector.kafka.client import Properties
from replay.backtest.moved import Sampled
from replay.batch import Batch


def digest(names: Iterable[str], count: int) -> NDArray[np.int64]:
    """64 bits for each of some names (n,), the same in this process alone.

    Of a million names two share theirs in one of 37 million runs.
    """
    return np.fromiter(map(hash, names), np.int64, count)


@dataclass(frozen=True, slots=True, eq=False)
class Played:
    """The rows that were played, in order. names: int64 (n,), see `digest`. anomalous: bool (n,), None without labels.

    timed: whether they have event times.
    """

    names: NDArray[np.int64]
    anomalous: NDArray[np.bool_] | None
    timed: bool

    def __len__(self) -> int:
        return len(self.names)


class Index:
    """Finds rows that were played by their names; Failure where one was not."""

    def __init__(self, played: Played) -> None:
        self._order = np.argsort(played.names, kind="stable")
        self._names = played.names[self._order]

    def first(self, names: NDArray[np.int64]) -> NDArray[np.int64]:
        """The number of the first row of each name (n,)."""
        return self._at(names, np.searchsorted(self._names, names, side="left"))

    def last(self, names: NDArray[np.int64]) -> NDArray[np.int64]:
        """The number of the last row of each name (n,)."""
        return self._at(names, np.searchsorted(self._names, names, side="right") - 1)

    def _at(self, names: NDArray[np.int64], places: NDArray[np.intp]) -> NDArray[np.int64]:
        if len(names) and not (len(self._names) and (self._names.take(places, mode="clip") == names).all()):
            raise Failure("the detector told of a row that was not played")
        return self._order[places].astype(np.int64)


class Noted:
    """Looks at batches on their way: names and truth of all rows, the features of some."""

    def __init__(self, data: str, sampled: Sequence[Sampled]) -> None:
        self._data, self._sampled = data, sampled
        self._names: list[NDArray[np.int64]] = []
        self._truths: list[NDArray[np.bool_]] = []
        self._rows = 0
        self._timed = False

    def stage(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The same batches."""
        for batch in batches:
            self._note(batch)
            yield batch

    def _note(self, batch: Batch) -> None:
        self._names.append(digest(map(bytes.decode, batch.row_ids.tolist()), len(batch)))
        if batch.anomalous is not None:
            self._truths.append(batch.anomalous)
        if batch.event is not None:
            self._timed = True
            refuse_early(self._data, int(batch.event.min()) if len(batch) else 0)
        places = np.arange(self._rows, self._rows + len(batch)) if batch.event is None else batch.event
        if batch.frame is not None:
            for one in self._sampled:
                one.take(batch.frame, places)
        self._rows += len(batch)

    def all(self) -> Played:
        """All that were played so far."""
        names = np.concatenate([np.zeros(0, np.int64), *self._names])
        return Played(names, np.concatenate(self._truths) if self._truths else None, self._timed)


def refuse_early(data: str, first: int) -> None:
    """DataRefused where the first event time, ms, is one that Kafka's timestamps cannot say."""
    if first < 0:
        raise DataRefused(f"data {data}: event times begin before 1970, which no Kafka timestamp can say")


class Timed(Publisher):
    """A publisher that notes how many rows it had been handed, and when."""

    def __init__(
        self, bootstrap_servers: str, given: Properties, places: bool, wall: Callable[[], float] = time.time
    ) -> None:
        super().__init__(bootstrap_servers, given, places=places)
        self._wall = wall
        self._counts: list[int] = [0]
        self._moments: list[float] = [wall()]

    def poll(self, seconds: float = 0.0) -> None:
        """Takes in delivery reports; a replay does so between any rows it hands over."""
        super().poll(seconds)
        handed = self._handed[True]
        if handed == self._counts[-1]:
            self._moments[-1] = self._wall()  # the next row is handed over after this
        else:
            self._counts.append(handed)
            self._moments.append(self._wall())

    def handed(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """When rows (n,), by their numbers from 0, were handed over, s since 1970: never later than it was."""
        at = np.searchsorted(self._counts, rows, side="right") - 1
        return np.asarray(self._moments)[at]
