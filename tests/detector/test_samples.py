"""Signals are cut into rows as by a straight loop, whatever the batches, members and crashes."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from detector.alerts import row_id
from detector.artifact import Artifact
from detector.audit import Span, Term, Witness, rerun
from detector.errors import UsageError
from detector.model import Model
from detector.rebuild import Ranges, rebuild, reopen
from detector.rows import Cutter, Decoder, Message, SignalDecoder
from detector.serving import Serving
from detector.statistics import RunningMedianMad
from detector.threshold import Line, Threshold
from tests.messages import FakeMessage
from tests.straight_signals import StraightSignals

PARTITIONS = 2
KEYS = (b"a", b"b", None)
BAD = (
    b"{",
    b"{}",
    b'{"sample": 1}',
    b'{"sample": -1, "value": 1}',
    b'{"sample": 0.5, "value": 1}',
    b'{"sample": 9007199254740992, "value": 1}',
    b'{"sample": 1, "value": 1e39}',
    b'{"sample": "1", "value": 1}',
)
Log = dict[int, list[Message]]


@dataclass
class Monitor:
    """Numbers its samples, but for what goes wrong."""

    length: int
    next: int = 0
    sent: dict[int, int] = field(default_factory=dict)

    def sample(self, rng: np.random.Generator, trouble: float) -> bytes:
        """A sample; of trouble: one that is skipped, sent again or out of order, a restart, a jump, or no sample."""
        if rng.random() < trouble:
            kind = rng.integers(6)
            if kind == 0 and self.next:
                number = int(rng.integers(max(self.next - self.length, 0), self.next))
                return self.told(number, self.sent.get(number, 7))
            if kind == 1:
                return self.told(int(rng.integers(self.next + 3)), -1)
            if kind == 2:
                return BAD[rng.integers(len(BAD))]
            self.next = (0, self.next + 1, (self.next // self.length + 1) * self.length)[kind - 3]
        self.next += 1
        return self.told(self.next - 1, int(rng.integers(3)))

    def told(self, number: int, value: int) -> bytes:
        self.sent[number] = value
        return json.dumps({"sample": number, "value": value + 0.1}).encode()


def a_log(seed: int, length: int, trouble: float, gap: int) -> Log:
    """Partitions of interleaved signals, with gaps between offsets."""
    rng = np.random.default_rng(seed)
    log: Log = {}
    for partition in range(PARTITIONS):
        monitors = {key: Monitor(length) for key in KEYS}
        offsets = np.cumsum(rng.integers(1, gap + 1, int(rng.integers(0, 120))))
        log[partition] = []
        for offset in offsets.tolist():
            key = KEYS[rng.integers(len(KEYS))]
            marks = [("row-id", b"mine")] if rng.random() < 0.1 else None
            content = monitors[key].sample(rng, trouble)
            log[partition].append(FakeMessage(content, ("signals", partition, offset), offset, key, marks))
    return log


def reader(log: Log, rng: np.random.Generator, lows: dict[int, int] | None = None) -> Any:
    """Reads ranges of a log in batches of any size."""

    def read(ranges: Ranges) -> Iterator[list[Message]]:
        found = [m for p, (start, end) in ranges.items() for m in log[p] if start <= m.offset() < end]
        for partition, (start, _) in ranges.items():
            assert start >= (lows or {}).get(partition, 0)
        while found:
            count = int(rng.integers(1, 30))
            yield found[:count]
            found = found[count:]

    return read


def ends_of(log: Log) -> dict[int, int]:
    return {p: messages[-1].offset() + 1 if messages else 0 for p, messages in log.items()}


@dataclass
class Member:
    """A detector that reads signals in batches; what it found is visible once it commits, with positions and notes."""

    log: Log
    length: int
    reach: int
    rng: np.random.Generator
    rows: dict[tuple[int, int], Any] = field(default_factory=dict)
    dead: dict[tuple[int, int], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.committed = dict.fromkeys(self.log, 0)
        self.notes = dict.fromkeys(self.log, "")
        self.restart()

    def restart(self) -> None:
        """A new process, at the committed positions; at times without the notes, which a reset of offsets clears."""
        self.positions = dict(self.committed)
        self.decoder = SignalDecoder(Cutter(self.length, self.reach))
        notes = self.notes if self.rng.random() < 0.8 else dict.fromkeys(self.log, "")
        reopen(self.positions, notes.__getitem__, lambda _: 0, reader(self.log, self.rng), self.decoder)
        self.pending: list[Any] = []

    def turn(self) -> None:
        """A batch of any partitions, of any size; then perhaps a commit, or a crash."""
        batch: list[Message] = []
        for partition, messages in self.log.items():
            left = [m for m in messages if m.offset() >= self.positions[partition]][: int(self.rng.integers(0, 25))]
            batch += left
            self.positions[partition] = left[-1].offset() + 1 if left else self.positions[partition]
        self.pending.append(self.decoder.decode(batch))
        chance = self.rng.random()
        if chance < 0.3:
            self.restart()
        elif chance < 0.7:
            self.commit()

    def commit(self) -> None:
        for rows, rejects in self.pending:
            for message, values in zip(rows.messages, rows.matrix.tolist(), strict=True):
                self.once(self.rows, message, (values, row_id(message)))
            for reject in rejects:
                self.once(self.dead, reject.message, reject.reason)
        self.pending, self.committed = [], dict(self.positions)
        self.notes = {p: self.decoder.note(p) for p in self.log}

    def once(self, found: dict[tuple[int, int], Any], message: Message, what: Any) -> None:
        place = message.partition(), message.offset()
        assert place not in found
        found[place] = what


@given(
    seed=st.integers(0, 2**32),
    length=st.integers(1, 6),
    extra=st.sampled_from([0, 3, 20, 1000]),
    trouble=st.sampled_from([0.0, 0.05, 0.3]),
    gap=st.sampled_from([1, 3]),
)
@settings(max_examples=150)
def test_any_batches_and_crashes_give_the_straight_loops_rows(
    seed: int, length: int, extra: int, trouble: float, gap: int
) -> None:
    """Each message becomes part of one row, or one dead letter, or waits; as the straight loop has it, each once."""
    log, reach = a_log(seed, length, trouble, gap), length + extra
    member = Member(log, length, reach, np.random.default_rng(seed + 1))
    while member.committed != ends_of(log):
        member.turn()
    straight = {p: StraightSignals(length, reach).over(messages) for p, messages in log.items()}
    assert member.rows == {(p, at): row for p, one in straight.items() for at, row in one.rows.items()}
    assert member.dead == {(p, at): why for p, one in straight.items() for at, why in one.dead.items()}
    for partition, one in straight.items():
        assert member.decoder.open_offsets(partition) == one.waiting()
        assert member.decoder.waiting().get(partition, 0) == len(one.waiting())
        assert len(one.rows) * length + len(one.dead) + len(one.waiting()) == len(log[partition])


class FirstFeature:
    """A model whose score is the first feature."""

    def score(self, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        return matrix[:, 0]


@given(seed=st.integers(0, 2**32), length=st.integers(1, 4), extra=st.integers(0, 9), share=st.floats(0, 1))
@settings(max_examples=80)
def test_statistics_are_made_of_the_rows_before(seed: int, length: int, extra: int, share: float) -> None:
    """Rebuilt at any position, windows hold what a reader from the log's beginning has in them."""
    log, rng, reach = a_log(seed, length, 0.05, 2), np.random.default_rng(seed), length + extra
    decoder, model = SignalDecoder(Cutter(length, reach)), cast(Model, FirstFeature())
    positions = {p: int(share * end) for p, end in ends_of(log).items()}

    def empty() -> RunningMedianMad:
        return RunningMedianMad(7, 5, 2)

    windows = rebuild(positions, lambda _: 0, reader(log, rng), decoder, model, empty)
    for partition, position in positions.items():
        calm = empty()
        straight = StraightSignals(length, reach).over([m for m in log[partition] if m.offset() < position])
        rows = straight.rows
        for _ in calm.update(np.array(list(rows), np.int64), np.array([v[0] for v, _ in rows.values()], np.float32)):
            pass
        following = np.array([position, position + 5], np.int64), np.zeros(2, np.float32)
        assert [one for _, one in windows[partition].update(*following)] == [one for _, one in calm.update(*following)]
    assert decoder.waiting() == {}


def serving_of(length: int, reach: int) -> Serving:
    line = Line(Threshold(1e9, "value:1e9"))

    class Known:
        name = type("Name", (), {"sha256": "0"})()

    return Serving(cast(Artifact, Known()), cast(Model, FirstFeature()), line, SignalDecoder(Cutter(length, reach)))


@given(
    seed=st.integers(0, 2**32),
    length=st.integers(1, 4),
    extra=st.integers(0, 30),
    low=st.sampled_from([0, 1, 40]),
    start=st.floats(0, 1),
)
@settings(max_examples=80)
def test_an_audit_expects_the_straight_loops_dead_letters(
    seed: int, length: int, extra: int, low: int, start: float
) -> None:
    """Of any span an audit expects the dead letters that a detector wrote, and knows what waits; near an expired
    beginning, where rows may have begun before it, it says that it cannot tell."""
    log, reach = a_log(seed, length, 0.1, 1), length + extra
    end = ends_of(log)[0]
    low = min(low, end)
    span = Span(low, low + int(start * (end - low)), end)
    straight = StraightSignals(length, reach).over(log[0])

    def served(partition: int, offset: int) -> Term:
        return Term(serving_of(length, reach))

    read = reader(log, np.random.default_rng(seed), {0: low})
    found = list(rerun(0, span, served, read, lambda at: Witness(4, 2, 1, at)))
    first = max(span.start, low + reach + 1 if low else 0)
    assert {at: one.why.split(", ")[1] for batch in found for at, one in batch.rejects.items()} == {
        at: why for at, why in straight.dead.items() if at >= first
    }
    told = [at for batch in found if batch.scored for at in batch.scored.offsets.tolist()]
    assert told == [at for at in straight.rows if at >= first]
    assert [at for batch in found for at in batch.offsets.tolist()] == [
        m.offset() for m in log[0] if m.offset() >= span.start
    ]
    waiting = sorted(at for batch in found for at in batch.waiting)
    assert waiting == [at for at in straight.waiting() if at >= first]
    ends = [batch.end for batch in found]
    assert ends == sorted(ends)
    assert not ends or ends[-1] == end


def samples(values: Sequence[float], key: bytes | None = b"k", first: int = 0, **more: Any) -> list[Message]:
    """A signal's samples at offsets from 0 on."""
    return [
        FakeMessage(json.dumps({"value": value, "sample": first + at}).encode(), ("s", 0, at), at, key, **more)
        for at, value in enumerate(values)
    ]


def test_a_row_is_its_last_samples() -> None:
    """A row has the place, key and event time of its last sample, and the row-id KEY/ROW unless that has its own."""
    decoder = SignalDecoder(Cutter(3, 9))
    rows, rejects = decoder.decode(samples([1, 2, 3, 4, 5, 6, 7], first=6))
    assert rejects == []
    assert rows.matrix.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert rows.offset.tolist() == [2, 5]
    assert rows.times([0, 1]).tolist() == [2, 5]
    assert [(message.key(), row_id(message)) for message in rows.messages] == [(b"k", "k/2"), (b"k", "k/3")]
    rows, _ = SignalDecoder(Cutter(1, 9)).decode(samples([1], key=None))
    assert [row_id(message) for message in rows.messages] == ["0/0"]
    rows, _ = SignalDecoder(Cutter(1, 9)).decode(samples([1], marks=[("row-id", b"x")]))
    assert [row_id(message) for message in rows.messages] == ["x"]


def test_other_fields_and_packed_samples() -> None:
    """A sample's fields may be nested; packed it is two little-endian float64, value and number, exact to 2^53."""
    decoder = SignalDecoder(Cutter(1, 9), "ecg.mv", "n", time_field="t:ms")
    rows, _ = decoder.decode([FakeMessage(b'{"ecg": {"mv": 0.5, "x": 1}, "n": 3, "t": 77}', key := ("s", 0, 0))])
    assert (rows.matrix.tolist(), rows.times([0]).tolist(), key) == ([[0.5]], [77], ("s", 0, 0))
    packed = SignalDecoder(Cutter(2, 9), default_format="packed")
    batch = [FakeMessage(struct.pack("<dd", value, 2**53 - 2 + value), ("s", 0, value)) for value in (0, 1)]
    rows, rejects = packed.decode(cast(list[Message], [*batch, FakeMessage(b"1234", ("s", 0, 2))]))
    assert rows.matrix.tolist() == [[0, 1]]
    assert [(one.reason, one.message.offset()) for one in rejects] == [("wrong_length", 2)]


@pytest.mark.parametrize(
    ("numbers", "whole", "dead"),
    [
        ([0, 1, 2, 3], [2], {}),
        ([1, 2, 3, 4, 5], [4], {0: "broken_window", 1: "broken_window"}),
        ([0, 1, 1, 2], [3], {2: "repeated_sample"}),
        ([0, 1, 0, 1, 2], [4], {0: "broken_window", 1: "broken_window"}),
        ([0, 2, 3, 4, 5], [4], {0: "broken_window", 1: "broken_window"}),
        ([0, 2, 1, 3], [], {0: "broken_window", 1: "broken_window", 2: "broken_window"}),
    ],
    ids=["in order", "begun inside", "sent again", "restarted", "a gap", "out of order"],
)
def test_what_comes_of_numbers(numbers: list[int], whole: list[int], dead: dict[int, str]) -> None:
    """Windows of three samples: which are whole, by their last offset, and what is refused."""
    log = [FakeMessage(b'{"value": 1, "sample": %d}' % n, ("s", 0, at), at) for at, n in enumerate(numbers)]
    rows, rejects = SignalDecoder(Cutter(3, 9)).decode(cast(list[Message], log))
    assert rows.offset.tolist() == whole
    assert {one.message.offset(): one.reason for one in rejects} == dead


def test_an_open_window_is_given_up_where_it_is_too_far_behind() -> None:
    """What one key leaves open is refused once the partition, by another key, has gone `reach` offsets on."""
    decoder = SignalDecoder(Cutter(2, 5))
    one = samples([1], key=b"gone")
    other = [FakeMessage(b'{"value": 1, "sample": %d}' % at, ("s", 0, at), at, b"k") for at in range(1, 7)]
    assert decoder.decode(one)[1] == []
    assert decoder.note(0) == (
        '{"window_samples":2,"sample_field":"value","index_field":"sample","window_reach":5,"open":0}'
    )
    assert [reject.message.offset() for reject in decoder.decode(other[:5])[1]] == [1]
    rejects = decoder.decode(other[5:])[1]
    assert [(reject.message, reject.reason) for reject in rejects] == [(one[0], "broken_window")]
    assert rejects[0].detail == "window 0 of 2 samples broke after 1: not whole after 5 offsets"
    assert decoder.waiting() == {0: 1}


def test_another_cut_is_refused() -> None:
    """A group that read signals one way does not go on another way, nor as rows: what waits would be lost silently."""
    note = SignalDecoder(Cutter(2, 5)).note(0)
    nothing = reader({0: []}, np.random.default_rng(0))
    for decoder in (SignalDecoder(Cutter(3, 5)), SignalDecoder(Cutter(2, 5), "x"), Decoder(serving_schema())):
        with pytest.raises(UsageError, match=r"partition 0 was read .* a new group"):
            reopen({0: 4}, lambda _: note, lambda _: 0, nothing, decoder)


def serving_schema() -> Any:
    return SignalDecoder(Cutter(1, 1)).schema


def test_what_other_programs_commit_is_no_note() -> None:
    """Metadata that is no note says nothing: rows are read as ever, and signals are open as the log has them."""
    read = reader({0: samples([1, 2, 3])}, np.random.default_rng(0))
    signals = SignalDecoder(Cutter(9, 99))
    for decoder in (Decoder(serving_schema()), signals):
        reopen({0: 3}, lambda _: "mine, since Monday", lambda _: 0, read, decoder)
    assert signals.open_offsets(0) == [0, 1, 2]


def test_samples_that_expired_are_told(caplog: pytest.LogCaptureFixture) -> None:
    """Where retention has taken the samples that waited, that is logged, and what is left of them opens nothing."""
    (was := SignalDecoder(Cutter(9, 99))).decode(samples([1, 2, 3]))
    decoder = SignalDecoder(Cutter(9, 99))
    read = reader({0: samples([1, 2, 3])}, np.random.default_rng(0), {0: 1})
    reopen({0: 3}, was.note, lambda _: 1, read, decoder)
    assert "samples_expired partition=0 start=0 end=1" in caplog.text
    assert decoder.open_offsets(0) == []


def test_another_reach_holds_from_the_position_on() -> None:
    """What was open under one reach is open again under another, and is judged by that from the next message on."""
    log = {0: samples([1, 2, 3])}
    note = (was := SignalDecoder(Cutter(9, 99))).note
    was.decode(log[0])
    decoder = SignalDecoder(Cutter(9, 9))
    reopen({0: 3}, note, lambda _: 0, reader(log, np.random.default_rng(0)), decoder)
    assert decoder.open_offsets(0) == [0, 1, 2]
    _, rejects = decoder.decode([FakeMessage(b"{", ("s", 0, 10))])
    assert [one.reason for one in rejects] == ["not_json", *["broken_window"] * 3]


def test_cutters_need_room() -> None:
    """A reach that no window fits into is refused."""
    for length, reach in ((0, 5), (3, 2)):
        with pytest.raises(ValueError, match="reach"):
            Cutter(length, reach)
