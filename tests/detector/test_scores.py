"""Scores travel compactly and come back bit for bit; what is no record of scores is refused."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from detector.alerts import ModelName
from detector.artifact import Artifact
from detector.detection import judge
from detector.errors import UsageError
from detector.packing import MOST_DIGITS, Names, Numbers, pack_names, pack_numbers, unpack_names, unpack_numbers
from detector.records import ScoreRecords
from detector.rows import Decoder
from detector.rows.messages import last, row_ids
from detector.schema import Schema
from detector.scores import MOST_BYTES, VERSION, Scored, decode, encode, encoded
from detector.statistics import RunningMedianMad
from detector.threshold import Line, Threshold, parse
from tests.arrays import f32
from tests.messages import FakeMessage, json_message

MODEL = ModelName("cards", "1", "ab" * 32)
int64 = st.integers(-(1 << 63), (1 << 63) - 1)
names = st.none() | st.text(max_size=9) | st.integers(0, 10**19).map(str) | st.sampled_from(["0", "007", "٣", "-1"])


@st.composite
def batches(draw: st.DrawFn) -> Scored:
    """Scored rows of any kind."""
    count = draw(st.integers(0, 40))

    def column(values: st.SearchStrategy[Any], kind: type[Any]) -> NDArray[Any]:
        return np.array(draw(st.lists(values, min_size=count, max_size=count)), kind)

    amounts = column(st.floats(width=32), np.float32) if draw(st.booleans()) else None
    steps = column(st.integers(1, 1 << 40), np.int64)
    return Scored(
        topic=draw(st.text(max_size=5)),
        partition=draw(st.integers(0, 99)),
        model=ModelName(draw(st.text(max_size=5)), "1", "ab"),
        offsets=np.cumsum(steps) - 1,
        times=column(int64, np.int64),
        scores=column(st.floats(width=32, allow_nan=False, allow_infinity=False), np.float32),
        thresholds=column(st.sampled_from([0.5, 1.0, math.inf]), np.float64),
        ids=draw(st.lists(names, min_size=count, max_size=count)),
        amount=None if amounts is None else "Amount",
        amounts=amounts,
    )


def a_batch(rows: int = 100, ids: list[str | None] | None = None) -> Scored:
    """Rows whose places name them, where no ids are given."""
    rng = np.random.default_rng(rows)
    return Scored(
        topic="transactions",
        partition=3,
        model=MODEL,
        offsets=np.arange(rows) + 7,
        times=np.full(rows, 1_700_000_000_000),
        scores=rng.random(rows).astype(np.float32),
        thresholds=np.full(rows, 0.9),
        ids=[None] * rows if ids is None else ids,
    )


def same(one: Scored, other: Scored) -> bool:
    """Whether every field is the same, bit for bit."""
    for name in Scored.__slots__:
        ours, theirs = getattr(one, name), getattr(other, name)
        if isinstance(ours, np.ndarray):
            if ours.dtype != theirs.dtype or ours.tobytes() != theirs.tobytes():
                return False
        elif ours != theirs:
            return False
    return True


@given(batches())
def test_round_trip(scored: Scored) -> None:
    """What was encoded comes back, whatever the numbers, names and gaps."""
    assert same(decode(encode(scored)), scored)


@given(batches(), st.integers(1, 400))
def test_split(scored: Scored, most: int) -> None:
    """Records of a bounded length hold all rows in their order; one that is longer has one row alone."""
    values = encoded(scored, most)
    parts = [decode(value) for value in values]
    assert all(len(value) <= most or len(part) <= 1 for value, part in zip(values, parts, strict=True))
    assert [name for part in parts for name in part.names()] == scored.names()
    assert np.concatenate([part.scores for part in parts]).tobytes() == scored.scores.tobytes()


@given(st.lists(int64, max_size=30))
def test_numbers(values: list[int]) -> None:
    """Numbers from one end of int64 to the other survive, in no more bytes than their spread needs."""
    packed = pack_numbers(np.array(values, np.int64))
    assert unpack_numbers(packed, len(values)).tolist() == values
    spread = max(values) - min(values) if values else 0
    assert packed.width == next(width for width in (0, 1, 2, 4, 8) if spread < 1 << (8 * width))


@given(st.lists(names, max_size=20))
def test_names(told: list[str | None]) -> None:
    """Names survive letter by letter, numbers with zeros before them and foreign digits too."""
    assert unpack_names(pack_names(told), len(told)) == told


@pytest.mark.parametrize(("name", "is_number"), [("0", True), ("9" * MOST_DIGITS, True), ("01", False), ("1a", False)])
def test_names_that_are_numbers(name: str, is_number: bool) -> None:
    """Names that are just what a number is written as travel as numbers."""
    assert (pack_names([name, "5"]).numbers is not None) == is_number


def test_a_name_too_long() -> None:
    """A name whose length cannot be written is refused."""
    with pytest.raises(ValueError, match="65535 bytes"):
        pack_names(["x" * 65_535])


def test_compact() -> None:
    """A row of a full batch takes some ten bytes, its row id, its time and its amount among them."""
    rng = np.random.default_rng(1)
    batch = a_batch(4096, [str(number) for number in rng.permutation(4096 * 4)[:4096]])
    batch = replace(batch, times=batch.times + np.sort(rng.integers(0, 60_000, 4096)), amount="A", amounts=batch.scores)
    assert len(encode(batch)) / 4096 < 13
    assert len(encode(a_batch(4096))) / 4096 < 4.1


def test_names_by_place() -> None:
    """A row without an id of its own goes by its place, as its alert's id does."""
    assert a_batch(2).names() == ["transactions/3/7", "transactions/3/8"]
    assert a_batch(2, ["x", None]).names() == ["x", "transactions/3/8"]


def test_verdicts() -> None:
    """A row alerts strictly above its own threshold."""
    batch = replace(a_batch(3), scores=f32([1.0, 1.0, 1.5]), thresholds=np.array([1.0, 0.5, 2.0]))
    assert decode(encode(batch)).alerting.tolist() == [False, True, False]


@given(st.binary(max_size=60))
def test_any_bytes(value: bytes) -> None:
    """Bytes that are no record are refused, never a crash."""
    with pytest.raises(ValueError, match="scores"):
        decode(value)


@given(st.data())
def test_damaged_bytes(data: st.DataObject) -> None:
    """A record of which a byte was changed or cut off is refused, or is one of as many rows."""
    value = bytearray(encode(a_batch(20, [f"r{number}" for number in range(20)])))
    value[data.draw(st.integers(0, len(value) - 1))] = data.draw(st.integers(0, 255))
    value = value[: data.draw(st.integers(len(value) // 2, len(value)))]
    try:
        found = decode(bytes(value))
    except ValueError:
        return
    assert len(found.names()) == len(found.scores) == len(found.times) == len(found.thresholds) == 20


HOSTILE: dict[str, dict[int, Any]] = {
    "more offsets than scores": {5: Numbers(0, 1, b"abc")},
    "a width that is none": {6: Numbers(0, 3, b"abcdef")},
    "a base beyond int64": {6: Numbers((1 << 63) + 5, 0, b"")},
    "offsets that go back": {5: Numbers(0, 1, b"\x09\x00")},
    "an offset below zero": {5: Numbers(-5, 0, b"")},
    "runs of too many rows": {7: [1 << 60, 2]},
    "runs below one": {7: [3, -1]},
    "a threshold too many": {8: [1.0, 2.0, 3.0]},
    "a score that is NaN": {9: f32([math.nan, 1.0]).tobytes()},
    "a score cut off": {9: b"\0\0\0\0\0"},
    "names too few": {10: Names(None, b"\1\0", b"x")},
    "names that end early": {10: Names(None, b"\1\0\2\0", b"xx")},
    "a name that is no UTF-8": {10: Names(None, b"\1\0\0\0", b"\xff")},
    "amounts of nothing": {12: b"\0" * 8},
    "amounts too few": {11: "Amount", 12: b"\0" * 4},
}


@pytest.mark.parametrize("how", HOSTILE)
def test_hostile_records(how: str) -> None:
    """A record whose columns do not fit each other is refused; none makes the reader ask for much memory."""
    wire = msgspec.msgpack.decode(encode(replace(a_batch(2), thresholds=np.array([1.0, 2.0])))[1:])
    for place, value in HOSTILE[how].items():
        wire[place] = value
    with pytest.raises(ValueError, match=r"\w"):
        decode(bytes((VERSION,)) + msgspec.msgpack.encode(wire))


@pytest.mark.parametrize("value", [None, b"", bytes((VERSION + 1,)) + encode(a_batch(2))[1:]])
def test_other_versions(value: bytes | None) -> None:
    """No value, or a record of another version, is refused with what was wanted."""
    with pytest.raises(ValueError, match=f"begins with byte {VERSION}"):
        decode(value)


SCHEMA = Schema(("a", "Amount"), optional=("Amount",))
SERVED = cast(Artifact, SimpleNamespace(name=MODEL, schema=SCHEMA))


def a_log(rows: int) -> list[FakeMessage]:
    """Messages over three partitions by turns, every second one with a row id of its own."""
    marks = [[("row-id", b"r%d" % number)] if number % 2 else None for number in range(rows)]
    return [
        json_message({"a": number / rows, "Amount": number}, number % 3, number // 3, when=number, marks=marks[number])
        for number in range(rows)
    ]


one_header = st.tuples(
    st.sampled_from(["row-id", "format"]), st.sampled_from([None, b"", b"7", b"r1", b"a\nb", b"\xff"])
)


@given(st.lists(st.none() | st.lists(one_header, max_size=3), max_size=8))
def test_row_ids_of_a_batch(headers: list[list[tuple[str, bytes | None]] | None]) -> None:
    """The ids of a batch are those that each message's headers give alone: the last one of that name, as text."""
    assert row_ids(headers) == [last(found, "row-id") for found in headers]


def test_records_of_a_batch() -> None:
    """All rows of a batch travel, by partition in order, with the threshold in force, id, time and amount of each."""
    windows = {partition: RunningMedianMad(window=16, stride=8, min_rows=8) for partition in range(3)}
    rows, _ = Decoder(SCHEMA).decode(a_log(90))
    verdicts = judge(rows, rows.matrix[:, 0], Line(Threshold(0.5, "value:0.5"), parse("running-mad:2")), windows.get)  # type: ignore[arg-type]
    records = ScoreRecords("scores", "Amount", SERVED).of(rows, verdicts, SERVED)
    assert [(one.topic, one.key) for one in records] == [("scores", b"transactions/%d" % p) for p in range(3)]
    alerting = []
    for partition, record in enumerate(records):
        found = decode(record.value)
        numbers = list(range(partition, 90, 3))
        assert found.offsets.tolist() == [number // 3 for number in numbers]
        assert found.times.tolist() == numbers
        assert found.scores.tobytes() == rows.matrix[partition::3, 0].tobytes()
        assert found.ids == [f"r{number}" if number % 2 else None for number in numbers]
        assert (found.model, found.amount) == (MODEL, "Amount")
        assert found.amounts is not None
        assert found.amounts.tolist() == numbers
        assert len(set(found.thresholds.tolist())) > 1
        alerting += [number for number, alert in zip(numbers, found.alerting.tolist(), strict=True) if alert]
    assert sorted(alerting) == verdicts.alerting.tolist() != []


def test_records_split() -> None:
    """No record of a batch is longer than topics take, whatever its row ids are."""
    rows, _ = Decoder(SCHEMA).decode(
        [json_message({"a": 1}, 0, number, marks=[("row-id", b"%04d" % number * 1000)]) for number in range(300)]
    )
    verdicts = judge(rows, rows.matrix[:, 0], Line(Threshold(0.5, "value:0.5")), lambda _: RunningMedianMad())
    records = ScoreRecords("scores", "", SERVED).of(rows, verdicts, SERVED)
    assert len(records) > 1
    assert all(len(record.value or b"") <= MOST_BYTES for record in records)
    assert sum(len(decode(record.value)) for record in records) == 300


def test_off() -> None:
    """Without a topic nothing is made; without an amount none travels; a batch without rows has no record."""
    rows, _ = Decoder(SCHEMA).decode(a_log(3))
    verdicts = judge(rows, rows.matrix[:, 0], Line(Threshold(0.5, "value:0.5")), lambda _: RunningMedianMad())
    assert ScoreRecords("none", "", SERVED).of(rows, verdicts, SERVED) == []
    assert decode(ScoreRecords("scores", "", SERVED).of(rows, verdicts, SERVED)[0].value).amounts is None
    empty, _ = Decoder(SCHEMA).decode([])
    nothing = judge(empty, empty.matrix[:, 0], Line(Threshold(0.5, "value:0.5")), lambda _: RunningMedianMad())
    assert ScoreRecords("scores", "", SERVED).of(empty, nothing, SERVED) == []


def test_an_amount_that_is_no_feature() -> None:
    """An amount that the model does not know is refused at the start; a later model without it sends none."""
    with pytest.raises(UsageError, match="scores_amount has value 'Money'"):
        ScoreRecords("scores", "Money", SERVED)
    other = cast(Artifact, SimpleNamespace(name=MODEL, schema=Schema(("a",))))
    rows, _ = Decoder(Schema(("a",))).decode([json_message({"a": 1})])
    verdicts = judge(rows, rows.matrix[:, 0], Line(Threshold(0.5, "value:0.5")), lambda _: RunningMedianMad())
    (record,) = ScoreRecords("scores", "Amount", SERVED).of(rows, verdicts, other)
    assert decode(record.value).amount is None
