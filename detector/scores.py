"""Each row's score, alert or not: what a detector says of a batch's rows of one partition, as one compact record.

A record's value is a byte, VERSION, and a MessagePack array, `_Wire`, of which the columns are packed arrays,
little-endian: `detector.packing`. With it some ten bytes tell of a row.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import msgspec
import numpy as np
from numpy.typing import NDArray

from detector.alerts import ModelName, Source, alert_id
from detector.packing import Names, Numbers, pack_names, pack_numbers, unpack_names, unpack_numbers
from detector.threshold import above

VERSION = 1
"""First byte of a record. A reader refuses another one; a new layout takes the next."""

MOST_BYTES = 500_000
"""Longest value of a record of more than one row: topics take 1 MB by default."""


class _Wire(msgspec.Struct, frozen=True, array_like=True):
    """Version 1. name, version, sha256: of the model. offsets: what they differ from a sequence by one.

    runs: of how many rows each one after the other has the same threshold. scores, amounts: float32. amount: the
    feature whose values travel beside; None and no bytes where none does.
    """

    topic: str
    partition: int
    name: str
    version: str
    sha256: str
    offsets: Numbers
    times: Numbers
    runs: list[int]
    thresholds: list[float]
    scores: bytes
    ids: Names
    amount: str | None
    amounts: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """Rows of one partition that one model scored, in the log's order.

    offsets, times: int64 (n,), event times being ms since 1970 UTC. scores: float32 (n,). thresholds: float64 (n,),
    those in force. ids: the sender's row ids, None where it gave none. amounts: float32 (n,) of the feature `amount`,
    NaN where it is missing; None where none travels.
    """

    topic: str
    partition: int
    model: ModelName
    offsets: NDArray[np.int64]
    times: NDArray[np.int64]
    scores: NDArray[np.float32]
    thresholds: NDArray[np.float64]
    ids: list[str | None]
    amount: str | None = None
    amounts: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def alerting(self) -> NDArray[np.bool_]:
        """The detector's verdicts (n,)."""
        return above(self.scores, self.thresholds)

    def names(self) -> list[str]:
        """The rows' ids; of a row without one its place, as in its alert's id."""
        if None not in self.ids:
            return [name for name in self.ids if name is not None]
        pairs = zip(self.ids, self.offsets.tolist(), strict=True)
        return [
            alert_id(Source(self.topic, self.partition, offset)) if name is None else name for name, offset in pairs
        ]

    def part(self, rows: slice) -> Scored:
        """Some of the rows."""
        return replace(
            self,
            offsets=self.offsets[rows],
            times=self.times[rows],
            scores=self.scores[rows],
            thresholds=self.thresholds[rows],
            ids=self.ids[rows],
            amounts=None if self.amounts is None else self.amounts[rows],
        )


def encode(scored: Scored) -> bytes:
    """A record's value."""
    starts, thresholds = _runs(scored.thresholds)
    wire = _Wire(
        topic=scored.topic,
        partition=scored.partition,
        name=scored.model.name,
        version=scored.model.version,
        sha256=scored.model.sha256,
        offsets=pack_numbers(scored.offsets - np.arange(len(scored))),
        times=pack_numbers(scored.times),
        runs=np.diff([*starts, len(scored)]).tolist(),
        thresholds=thresholds,
        scores=scored.scores.astype("<f4").tobytes(),
        ids=pack_names(scored.ids),
        amount=scored.amount,
        amounts=b"" if scored.amounts is None else scored.amounts.astype("<f4").tobytes(),
    )
    return bytes((VERSION,)) + msgspec.msgpack.encode(wire)


def encoded(scored: Scored, most: int = MOST_BYTES) -> list[bytes]:
    """The values of as many records as it takes, each of up to so many bytes or of one row."""
    value = encode(scored)
    if len(value) <= most or len(scored) <= 1:
        return [value]
    half = len(scored) // 2
    return encoded(scored.part(slice(0, half)), most) + encoded(scored.part(slice(half, None)), most)


def decode(value: bytes | None) -> Scored:
    """The inverse of `encode`; ValueError where a value is no such record, whatever else it is."""
    if not value or value[0] != VERSION:
        raise ValueError(
            f"a record of scores begins with byte {VERSION}, this one with {value[:1] if value else value!r}"
        )
    try:
        wire = msgspec.msgpack.decode(memoryview(value)[1:], type=_Wire)
        scores = np.frombuffer(wire.scores, "<f4").astype(np.float32)
        count = len(scores)
        return Scored(
            topic=wire.topic,
            partition=wire.partition,
            model=ModelName(wire.name, wire.version, wire.sha256),
            offsets=_ascending(unpack_numbers(wire.offsets, count) + np.arange(count)),
            times=unpack_numbers(wire.times, count),
            scores=_finite(scores),
            thresholds=_thresholds(wire, count),
            ids=unpack_names(wire.ids, count),
            amount=wire.amount,
            amounts=_amounts(wire, count),
        )
    except msgspec.MsgspecError as error:
        raise ValueError(f"no record of scores: {error}") from error


def _runs(thresholds: NDArray[np.float64]) -> tuple[list[int], list[float]]:
    """Where each run of equal thresholds (n,) starts, and its threshold."""
    if not len(thresholds):
        return [], []
    starts = np.append(0, np.flatnonzero(thresholds[1:] != thresholds[:-1]) + 1)
    return starts.tolist(), thresholds[starts].tolist()


def _thresholds(wire: _Wire, count: int) -> NDArray[np.float64]:
    runs = wire.runs
    if len(runs) != len(wire.thresholds) or any(not 0 < run <= count for run in runs) or sum(runs) != count:
        raise ValueError(f"{len(runs)} runs of {len(wire.thresholds)} thresholds are not those of {count} rows")
    return np.repeat(np.array(wire.thresholds, np.float64), runs)


def _amounts(wire: _Wire, count: int) -> NDArray[np.float32] | None:
    if wire.amount is None and not wire.amounts:
        return None
    amounts = np.frombuffer(wire.amounts, "<f4").astype(np.float32)
    if wire.amount is None or len(amounts) != count:
        raise ValueError(f"{len(amounts)} amounts of {wire.amount!r} are not those of {count} rows")
    return amounts


def _ascending(offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    if len(offsets) and (offsets[0] < 0 or (np.diff(offsets) <= 0).any()):
        raise ValueError("offsets that do not ascend")
    return offsets


def _finite(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    if not np.isfinite(scores).all():
        raise ValueError("a score that is no number")
    return scores
