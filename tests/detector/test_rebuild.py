"""Statistics rebuilt from the log are those of a reader who began at its beginning."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from detector.model import Model
from detector.rebuild import Ranges, rebuild
from detector.rows import Decoder, Message
from detector.schema import Schema
from detector.statistics import RunningMedianMad, Summary
from tests.messages import FakeMessage, json_message

Log = dict[int, list[FakeMessage]]
Seen = list[tuple[int, Summary | None]]
DECODER = Decoder(Schema(("a",)))


class FirstFeature:
    """A model whose score is the first feature."""

    def score(self, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        return matrix[:, 0]


MODEL = cast(Model, FirstFeature())


@dataclass
class FakeLog:
    """Partitions with gaps and rejects, of which offsets below `low` have expired; remembers what was read."""

    messages: Log
    lows: dict[int, int]
    batch: int = 5
    asked: list[dict[int, tuple[int, int]]] = field(default_factory=list)

    def low(self, partition: int) -> int:
        return self.lows[partition]

    def read(self, ranges: Ranges) -> Iterator[Sequence[Message]]:
        """Batches of the ranges, partitions taking turns, empty batches between."""
        self.asked.append(dict(ranges))
        left = {p: [m for m in self.messages[p] if start <= m.offset() < end] for p, (start, end) in ranges.items()}
        for partition, (start, _) in ranges.items():
            assert start >= self.lows[partition]
        while any(left.values()):
            yield []
            yield [left[p].pop(0) for _ in range(self.batch) for p in sorted(left) if left[p]]


def from_the_beginning(log: FakeLog, partition: int, position: int, window: RunningMedianMad) -> RunningMedianMad:
    seen(log, partition, log.lows[partition], position, window)
    return window


def seen(log: FakeLog, partition: int, start: int, end: int, window: RunningMedianMad) -> Seen:
    """What each row of a range sees, read one by one."""
    found: Seen = []
    for message in log.messages[partition]:
        if start <= message.offset() < end:
            rows, _ = DECODER.decode([message])
            for _, summary in window.update(rows.offset, MODEL.score(rows.matrix)):
                found.append((message.offset(), summary))
    return found


@st.composite
def logs(draw: st.DrawFn) -> FakeLog:
    """One to three partitions; a third of the messages may be no rows, offsets may have gaps, old ones expired."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    gap, bad = draw(st.sampled_from([1, 2, 9])), draw(st.sampled_from([0.0, 0.3, 0.95]))
    messages: Log = {}
    for partition in range(draw(st.integers(1, 3))):
        offsets = np.cumsum(rng.integers(1, gap + 1, draw(st.integers(0, 150)))) - 1
        messages[partition] = [a_message(partition, int(offset), rng, bad) for offset in offsets]
    lows = {p: draw(st.sampled_from([0, 0, 17])) if found else 0 for p, found in messages.items()}
    return FakeLog(messages, lows, draw(st.integers(1, 40)))


def a_message(partition: int, offset: int, rng: np.random.Generator, bad: float) -> FakeMessage:
    row: dict[str, Any] = {"a": float(np.float32(rng.lognormal()))} if rng.random() >= bad else {"b": 1}
    return json_message(row, partition, offset)


@given(logs(), st.integers(1, 40), st.integers(1, 30), st.integers(1, 40), st.data())
@settings(max_examples=200)
def test_as_from_the_beginning(log: FakeLog, window: int, stride: int, min_rows: int, data: st.DataObject) -> None:
    """For any position, window and stride, gaps, rejects and expired rows: every later row sees the same."""

    def empty() -> RunningMedianMad:
        return RunningMedianMad(window, stride, min(min_rows, window))

    ends = {p: (found[-1].offset() + 1 if found else 0) for p, found in log.messages.items()}
    positions = {p: data.draw(st.integers(log.lows[p], max(end, log.lows[p]))) for p, end in ends.items()}
    rebuilt = rebuild(positions, log.low, log.read, DECODER, MODEL, empty)
    assert rebuilt.keys() == positions.keys()
    for partition, position in positions.items():
        wanted = from_the_beginning(log, partition, position, empty())
        later = (partition, position, ends[partition] + 1)
        assert seen(log, *later, rebuilt[partition]) == seen(log, *later, wanted)


def dense(rows: int, low: int = 0) -> FakeLog:
    return FakeLog({0: [json_message({"a": at % 7}, 0, at) for at in range(rows)]}, {0: low})


def rebuilt_at(log: FakeLog, position: int, window: int = 32, stride: int = 8) -> RunningMedianMad:
    return rebuild({0: position}, log.low, log.read, DECODER, MODEL, lambda: RunningMedianMad(window, stride, 1))[0]


def test_no_more_than_needed_is_read() -> None:
    """In a log without gaps one reading of the window, and of what lies above the stride's last multiple, is enough."""
    log = dense(1000)
    rebuilt_at(log, 901)
    assert log.asked == [{0: (901 - 32 - 901 % 8, 901)}]


def test_farther_back_where_rows_are_few() -> None:
    """Where messages were no rows it reads farther back, twice as far each time, and nothing twice."""
    log = dense(1000)
    log.messages[0][600:] = [json_message({"b": 1}, 0, at) for at in range(600, 1000)]
    rebuilt_at(log, 1000)
    ranges = [asked[0] for asked in log.asked]
    assert ranges[0] == (968, 1000)
    assert [start for start, _ in ranges[:-1]] == [end for _, end in ranges[1:]]
    assert [end - start for start, end in ranges] == [32 * 2**turn for turn in range(len(ranges))]
    assert ranges[-1][0] < 600 - 32 <= ranges[-2][0]


def test_expired_rows_are_not_asked_for() -> None:
    """Reading ends at the log's first offset; below it there is nothing."""
    log = dense(1000, low=890)
    window = rebuilt_at(log, 901)
    assert log.asked == [{0: (890, 901)}]
    assert window.summary is not None
    assert window.summary.rows == 896 - 890


def test_the_beginning_of_a_log() -> None:
    """At the log's first offset there is nothing to read, and nothing is waited for."""
    for low in (0, 40):
        log = dense(100, low)
        assert rebuilt_at(log, low).summary is None
        assert all(start == end for asked in log.asked for start, end in asked.values())


def test_partitions_are_read_together() -> None:
    """Several partitions are read in one go; those that have enough are not read again."""
    log = dense(200)
    log.messages[1] = [json_message({"b": 1}, 1, at) for at in range(200)]
    log.lows[1] = 0
    positions = {0: 200, 1: 200}
    rebuild(positions, log.low, log.read, DECODER, MODEL, lambda: RunningMedianMad(16, 8, 1))
    assert log.asked[0].keys() == {0, 1}
    assert all(asked.keys() == {1} for asked in log.asked[1:])
    assert log.asked[-1][1][0] == 0
