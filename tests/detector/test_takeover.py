"""Which model scored a row is read off the takeovers of its partition."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector import takeover
from detector.alerts import ModelName
from detector.takeover import Takeover, Term, served_by, takeovers, terms
from detector.threshold import Line, Threshold, parse

A, B = ModelName("cards", "1", "a" * 64), ModelName("cards", "2", "b" * 64)
LINE = Line(Threshold(7.5, "percentile:99.5"))
AT = "2026-11-23T10:00:00.000001Z"
OURS = ("transactions", "detector")


def one(
    partition: int, offset: int, model: ModelName, topic: str = "transactions", group: str = "detector"
) -> Takeover:
    return Takeover(topic, group, partition, offset, model, 7.5, "percentile:99.5", None, AT)


def test_of_each_partition() -> None:
    """Each partition gets its takeover at the offset where the model begins, with the line that decides."""
    found = takeovers("transactions", "detector", {3: 70, 0: 12}, B, LINE, A, AT)
    assert found == [
        Takeover("transactions", "detector", 0, 12, B, 7.5, "percentile:99.5", A, AT),
        Takeover("transactions", "detector", 3, 70, B, 7.5, "percentile:99.5", A, AT),
    ]
    running = Line(LINE.calibrated, parse("running-mad:3.5"))
    (first,) = takeovers("transactions", "detector", {0: 0}, A, running, None, AT)
    assert (first.threshold, first.method, first.previous) == (7.5, "running-mad:3.5", None)


def test_as_a_record() -> None:
    """A record holds what a person or the audit asks for; what was encoded is decoded; its key is the partition."""
    (first,) = takeovers("transactions", "detector", {3: 70}, B, LINE, A, AT)
    value, headers = takeover.encode(first)
    assert takeover.decode(value) == first
    assert takeover.key(first) == b"detector/transactions/3"
    assert json.loads(value) == {
        "topic": "transactions",
        "group": "detector",
        "partition": 3,
        "offset": 70,
        "model": {"name": "cards", "version": "2", "sha256": "b" * 64},
        "threshold": 7.5,
        "method": "percentile:99.5",
        "previous": {"name": "cards", "version": "1", "sha256": "a" * 64},
        "at": AT,
    }
    assert dict(headers) == {
        "ce_specversion": b"1.0",
        "ce_id": b"detector/transactions/3/70/" + b"b" * 64,
        "ce_source": b"/topics/transactions",
        "ce_type": b"streaming-fraud-detector.takeover.v1",
        "ce_time": AT.encode(),
        "content-type": b"application/json",
    }


@pytest.mark.parametrize("value", [b"", b"{}", b"[]", b"\xff", b'{"topic": "transactions"}'])
def test_no_takeover(value: bytes) -> None:
    """What is no takeover is not decoded."""
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        takeover.decode(value)


def test_who_served() -> None:
    """From its offset on a model served, up to the next takeover; before the first, and elsewhere, nobody is known."""
    find = served_by(
        [one(0, 10, A), one(1, 5, B), one(0, 20, B), one(0, 0, B, "other"), one(0, 0, B, group="others")],
        "transactions",
        "detector",
    )
    assert [find(0, offset) for offset in (0, 9, 10, 19, 20, 10**12)] == [None, None, A, A, B, B]
    assert [find(1, offset) for offset in (4, 5)] == [None, B]
    assert find(2, 100) is None
    assert served_by([], *OURS)(0, 0) is None


def test_read_again() -> None:
    """A partition that was read again from an earlier offset is from there on the later takeover's, to its end."""
    find = served_by([one(0, 10, A), one(0, 20, B), one(0, 15, A)], *OURS)
    assert [find(0, offset) for offset in (10, 14, 15, 25)] == [A] * 4
    find = served_by([one(0, 10, A), one(0, 20, B), one(0, 10, B)], *OURS)
    assert [find(0, offset) for offset in (9, 10, 25)] == [None, B, B]


def test_terms() -> None:
    """A term is the takeover that holds and the offset of the next that changes something; before the first is one."""
    first, same = one(0, 10, A), one(0, 15, A)
    line = Takeover("transactions", "detector", 0, 20, A, 9.0, "value:9", A, AT)
    find = terms([first, same, line, one(1, 3, B)], *OURS)
    found = [find(0, offset) for offset in (0, 9, 10, 15, 19, 20, 99)]
    assert found == [Term(None, 10)] * 2 + [Term(first, 20)] * 3 + [Term(line, None)] * 2
    assert (find(1, 2), find(2, 0)) == (Term(None, 3), Term(None, None))


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 12)), max_size=12))
def test_like_a_log_that_is_written_over(told: list[tuple[int, int]]) -> None:
    """Whatever takeovers come, the answer is that of an array in which each overwrites all from its offset on."""
    models = [ModelName("m", str(number), "") for number in range(len(told))]
    straight: dict[int, list[ModelName | None]] = {partition: [None] * 14 for partition in range(3)}
    for (partition, offset), model in zip(told, models, strict=True):
        straight[partition][offset:] = [model] * (14 - offset)
    find = served_by(
        [one(*place, model) for place, model in zip(told, models, strict=True)], "transactions", "detector"
    )
    term = terms([one(*place, model) for place, model in zip(told, models, strict=True)], *OURS)
    for partition, row in straight.items():
        assert [find(partition, offset) for offset in range(14)] == row
        for offset, who in enumerate(row):
            end = next((at for at in range(offset, 14) if row[at] != who), None)
            assert term(partition, offset).end == end
