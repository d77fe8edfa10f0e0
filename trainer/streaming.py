"""A table too long for memory, chunk by chunk: read once to know it, once to split it, and once more for each epoch."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from detector import table
from detector.errors import DataRefused
from detector.schema import Schema
from detector.table.roles import MOST_LABEL_VALUES, as_text
from trainer.amounts import amounts
from trainer.memory import Shares
from trainer.rows import Array, Rows

Mask = NDArray[np.bool_]
Numbers = NDArray[np.int64]

FOR_SPLIT, FOR_SAMPLE, FOR_HELD_OUT, FOR_ANOMALOUS = range(4)
"""What rows are drawn for: each purpose has random numbers of its own."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows in the file's order. first: the number of the first, from 0.

    rows (m, d), anomalous (m,), moments (m,) in ms since 1970 UTC, amounts (m,), label (m,) as it stands; each of the
    last three None where the table has none.
    """

    first: int
    rows: Array
    anomalous: Mask
    moments: Numbers | None
    amounts: NDArray[np.float64] | None
    label: pd.Series[Any] | None

    @property
    def numbers(self) -> Numbers:
        """Of its rows in the file."""
        return np.arange(self.first, self.first + len(self.rows))


@dataclass(frozen=True, slots=True)
class LongTable:
    """A file whose rows are read so many at a time. name: for a person. amount: the column of the value at stake."""

    name: str
    path: Path
    schema: Schema
    amount: str | None
    chunk_rows: int

    def chunks(self) -> Iterator[Chunk]:
        """From the first row to the last; DataRefused names a row that is not what the first ones promised."""
        schema = self.schema
        wanted = dict.fromkeys((*schema.features, schema.label, schema.time, self.amount))
        for frame in table.chunks(self.path, [name for name in wanted if name], self.chunk_rows):
            rows = table.encoded(frame, schema)
            first = int(frame.index[0])
            refuse_infinite(rows, schema.features, self.name, first)
            yield Chunk(
                first,
                rows,
                truth(frame, schema),
                table.event_milliseconds(frame, schema.time) if schema.time else None,
                amounts(frame, self.amount) if self.amount else None,
                frame[schema.label] if schema.label else None,
            )


def truth(frame: pd.DataFrame, schema: Schema) -> Mask:
    """Which rows (n,) are anomalous; none without a label."""
    if schema.label is None:
        return np.zeros(len(frame), bool)
    return table.anomalous(frame, schema.label, schema.normal)


def refuse_infinite(rows: Array, features: tuple[str, ...], name: str, first: int = 0) -> None:
    """DataRefused with the row's number and the feature. first: the number of the first row."""
    infinite = np.isinf(rows)
    if infinite.any():
        row, column = map(int, np.argwhere(infinite)[0])
        where = f"{features[column]!r} in row {first + row}"
        raise DataRefused(f"data {name}: a feature is infinite or beyond the range of float32: {where}")


class Times:
    """Event times of rows: all while they are at most `most`, else those of every 2nd, 4th, 8th, ... row."""

    def __init__(self, most: int) -> None:
        self.most, self.stride, self.count = most, 1, 0
        self._parts: list[Numbers] = []
        self._kept = 0

    def add(self, moments: Numbers) -> None:
        """Times (m,) of the next rows."""
        some = moments[-self.count % self.stride :: self.stride].copy()
        self.count += len(moments)
        self._parts.append(some)
        self._kept += len(some)
        while self._kept > self.most:
            self._parts = [np.concatenate(self._parts)[::2].copy()]
            self._kept, self.stride = len(self._parts[0]), self.stride * 2

    def kept(self) -> Numbers:
        """Those that were kept, in the file's order."""
        return np.concatenate(self._parts) if self._parts else np.empty(0, np.int64)

    def cut(self, share: float) -> Cut:
        """What parts the earliest `share` of the rows from the others; rows of one time are parted by their order."""
        ordered = np.sort(self.kept())
        before = round(len(ordered) * share)
        if not before:
            return Cut(np.iinfo(np.int64).min, 0)
        moment = int(ordered[before - 1])
        return Cut(moment, (before - int(np.searchsorted(ordered, moment))) * self.stride)


@dataclass(frozen=True, slots=True)
class Cut:
    """Rows before `moment`, and the first `ties` of those at it, are learned from."""

    moment: int
    ties: int


@dataclass(frozen=True, slots=True)
class Survey:
    """What one pass over a table tells.

    gaps (d,): features with a missing value. fingerprint: sha256 of features and labels. normal, anomalous: how many.
    normal_times, anomalous_times: theirs. span: first and last event time; None without a time.
    """

    gaps: Mask
    fingerprint: str
    normal: int
    anomalous: int
    normal_times: Times
    anomalous_times: Times
    span: tuple[int, int] | None

    @classmethod
    def of(cls, long: LongTable, most_times: int, found_label: bool = False) -> Survey:
        """Reads the table once. found_label: a label that has more than two values is refused."""
        digest = hashlib.sha256()
        flags: list[bytes] = []  # which the digest takes after all features
        gaps = np.zeros(len(long.schema.features), bool)
        normal = anomalous = 0
        times = Times(most_times), Times(most_times)
        span = None
        labels: list[Any] = []
        for chunk in long.chunks():
            if found_label and chunk.label is not None:
                labels = _few(labels, chunk.label, long.name)
            digest.update(chunk.rows.tobytes())
            flags.append(zlib.compress(chunk.anomalous.tobytes(), 1))
            gaps |= np.isnan(chunk.rows).any(axis=0)
            anomalous += int(chunk.anomalous.sum())
            normal += int((~chunk.anomalous).sum())
            if chunk.moments is not None:
                times[0].add(chunk.moments[~chunk.anomalous])
                times[1].add(chunk.moments[chunk.anomalous])
                span = _wider(span, chunk.moments)
        for part in flags:
            digest.update(zlib.decompress(part))
        return cls(gaps, digest.hexdigest(), normal, anomalous, *times, span)

    def moments(self) -> Numbers | None:
        """Event times (n,) with the first and the last, all of them where there was room; None without a time."""
        if self.span is None:
            return None
        return np.concatenate((self.normal_times.kept(), self.anomalous_times.kept(), self.span))


def _few(known: list[Any], label: pd.Series[Any], name: str) -> list[Any]:
    """The values of a label, those of the next rows with them."""
    there = [*known, *label[~label.isin(known)].dropna().unique()]
    if len(there) > MOST_LABEL_VALUES:
        third = there[MOST_LABEL_VALUES]
        raise DataRefused(
            f"data {name}: row {label.index[label == third][0]}: column {label.name!r} holds {as_text(third)!r:.60}, "
            f"a third value; its first rows tell of a label, which --label {label.name} makes it all the same"
        )
    return there


def _wider(span: tuple[int, int] | None, moments: Numbers) -> tuple[int, int]:
    here = int(moments.min()), int(moments.max())
    return here if span is None else (min(span[0], here[0]), max(span[1], here[1]))


@dataclass(frozen=True, slots=True)
class Split:
    """Which rows of a table are learned from: normal ones before their cut, anomalous ones before theirs or none.

    Without a time a cut is None, and `share` of the rows are learned from, drawn by their numbers in the file.
    """

    share: float
    seed: int
    normal: Cut | None
    anomalous: Cut | None
    learns_anomalous: bool

    def learned(self, long: LongTable) -> Iterator[tuple[Chunk, Mask]]:
        """Each chunk and which of its rows (m,) are learned from; reads the table once."""
        left = [self.normal.ties if self.normal else 0, self.anomalous.ties if self.anomalous else 0]
        for chunk in long.chunks():
            mask = np.zeros(len(chunk.rows), bool)
            kinds = [(0, self.normal, ~chunk.anomalous), (1, self.anomalous, chunk.anomalous)]
            for place, cut, kind in kinds[: 1 + self.learns_anomalous]:
                before = self._before(chunk, cut, kind)
                if cut is not None and chunk.moments is not None:
                    tied = np.flatnonzero(kind & (chunk.moments == cut.moment))[: left[place]]
                    before[tied] = True
                    left[place] -= len(tied)
                mask |= before
            yield chunk, mask

    def _before(self, chunk: Chunk, cut: Cut | None, kind: Mask) -> Mask:
        if cut is None or chunk.moments is None:
            return kind & (hashed(chunk.numbers, self.seed, FOR_SPLIT) < self.share * 2.0**64)
        return kind & (chunk.moments < cut.moment)

    def rows(self, long: LongTable) -> Iterator[Array]:
        """The rows that are learned from, chunk by chunk, in the file's order."""
        for chunk, learned in self.learned(long):
            if learned.any():
                yield chunk.rows[learned]


def hashed(numbers: Numbers, seed: int, purpose: int) -> NDArray[np.uint64]:
    """A random uint64 for each number (n,), the same for the same seed and purpose.

    Source: Steele, Lea, Flood, Fast splittable pseudorandom number generators (2014): SplitMix64.
    """
    return _mixed(numbers.astype(np.uint64) + _mixed(np.array([seed * 8 + purpose], np.uint64)))


def _mixed(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    z = z * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


class Drawn:
    """At most `most` rows of those added, drawn evenly: those with the least random numbers, however they come."""

    def __init__(self, most: int, seed: int, purpose: int) -> None:
        self.most, self.seed, self.purpose = most, seed, purpose
        self._parts: list[tuple[NDArray[Any], ...]] = []
        self._held = 0
        self._least_out = np.iinfo(np.uint64).max
        self.count = 0

    def add(self, numbers: Numbers, *columns: NDArray[Any]) -> None:
        """Rows' numbers in the file (m,), ascending, and what is to be kept of them, each (m, ...)."""
        self.count += len(numbers)
        ranks = hashed(numbers, self.seed, self.purpose)
        near = ranks <= self._least_out
        self._parts.append((ranks[near], numbers[near], *(column[near] for column in columns)))
        self._held += int(near.sum())
        if self._held > 2 * self.most:
            self._thin()

    def taken(self) -> tuple[NDArray[Any], ...]:
        """The numbers of the rows and what was kept of them, in the file's order. Once `add` was called."""
        self._thin()
        return self._parts[0][1:]

    def _thin(self) -> None:
        columns = [np.concatenate(column) for column in zip(*self._parts, strict=True)]
        if len(columns[0]) > self.most:
            nearest = np.sort(np.argpartition(columns[0], self.most)[: self.most])
            columns = [column[nearest] for column in columns]
            self._least_out = columns[0].max()
        self._parts, self._held = [tuple(columns)], len(columns[0])


@dataclass(frozen=True, slots=True)
class Kept:
    """Rows that judge, (k, d), as many as there is room for, and their amounts (k,); by time, else as in the file."""

    rows: Array
    amounts: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Parts:
    """A table that was split. constant: whether no feature of the training rows varies. learned: anomalous rows among
    them."""

    training: Rows
    held_out: Kept
    anomalous: Kept
    constant: bool
    learned: int


def parted(long: LongTable, split: Split, shares: Shares) -> Parts:
    """Reads the table once."""
    sample = Drawn(shares.kept, split.seed, FOR_SAMPLE)
    held_out, anomalous = (Drawn(shares.kept, split.seed, purpose) for purpose in (FOR_HELD_OUT, FOR_ANOMALOUS))
    least, most = (np.full(len(long.schema.features), bound, np.float32) for bound in (np.inf, -np.inf))
    learned_anomalous = 0
    for chunk, learned in split.learned(long):
        sample.add(chunk.numbers[learned], chunk.rows[learned])
        learned_anomalous += int((learned & chunk.anomalous).sum())
        rows = chunk.rows[learned]
        least = np.fmin(least, np.fmin.reduce(rows, axis=0, initial=np.inf))
        most = np.fmax(most, np.fmax.reduce(rows, axis=0, initial=-np.inf))
        for drawn, kind in ((held_out, ~chunk.anomalous), (anomalous, chunk.anomalous)):
            left = kind & ~learned
            drawn.add(chunk.numbers[left], *_beside(chunk, left))
    training = Rows(
        count=sample.count,
        sample=sample.taken()[1],
        chunks=lambda: split.rows(long),
        pool=shares.pool,
        streamed=True,
    )
    return Parts(training, _kept(held_out), _kept(anomalous), bool((most <= least).all()), learned_anomalous)


def _beside(chunk: Chunk, some: Mask) -> tuple[NDArray[Any], ...]:
    """Rows, moments and amounts; where there is no time all are at 0, and without amounts each is 0."""
    none = np.zeros(len(chunk.rows), np.int64)
    moments = none if chunk.moments is None else chunk.moments
    values = none.astype(np.float64) if chunk.amounts is None else chunk.amounts
    return chunk.rows[some], moments[some], values[some]


def _kept(drawn: Drawn) -> Kept:
    _, rows, moments, values = drawn.taken()
    order = np.argsort(moments, kind="stable")
    return Kept(rows[order], values[order])
