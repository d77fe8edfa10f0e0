"""Counts that outlive processes: what is committed with the offsets, and what is shown."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.counts import KEPT, NOTHING, Count, Counts, counted, read
from detector.rows import REASONS, Batch, Decoder, Reject
from detector.rows.notes import Note
from detector.schema import Schema
from tests.messages import FakeMessage

COUNTS = st.builds(
    Count,
    st.integers(0, 1 << 50),
    st.integers(0, 1 << 50),
    st.dictionaries(st.sampled_from(list(REASONS)), st.integers(1, 1 << 50)),
)
METADATA_BYTES = 4096
"""What a broker takes for an offset's metadata, unless it is told otherwise."""


def placed(*partitions: int) -> list[FakeMessage]:
    """Rows of one feature, in these partitions."""
    return [FakeMessage(b'{"a": 1}', place=("rows", partition, i)) for i, partition in enumerate(partitions)]


def test_counted() -> None:
    """Rows, alerts and rejects are counted where their messages are; a partition of rejects alone is there too."""
    rows, _ = Decoder(Schema(("a",)), "json").decode(Batch.of(placed(0, 3, 0, 3, 3)))
    rejects = [Reject(message, "empty", "") for message in placed(3, 8)]
    assert counted(rows, np.array([1, 4], np.intp), rejects) == {
        0: Count(2),
        3: Count(3, 2, {"empty": 1}),
        8: Count(0, 0, {"empty": 1}),
    }


@given(COUNTS, COUNTS)
def test_a_sum(one: Count, other: Count) -> None:
    """Counts add up, field by field and reason by reason, and neither is changed by it."""
    before = Count(one.rows, one.alerts, dict(one.rejects))
    both = one + other
    assert (both.rows, both.alerts, both.messages) == (
        one.rows + other.rows,
        one.alerts + other.alerts,
        one.messages + other.messages,
    )
    assert all(both.rejects.get(r, 0) == one.rejects.get(r, 0) + other.rejects.get(r, 0) for r in REASONS)
    assert one == before


@given(COUNTS)
def test_what_is_noted_is_read(count: Count) -> None:
    """A count comes back from the metadata of an offset, with what a decoder noted beside it, and fits in."""
    counts, beside = Counts(), Note(100, "value", "sample", 1000, 17)
    counts.begin({0: ""})
    counts.worked({0: count})
    for note in ("", beside.text()):
        kept = counts.note(0, note)
        assert read(kept) == count
        assert Note.read(kept) == (beside if note else None)
        assert len(kept) < METADATA_BYTES


@pytest.mark.parametrize(
    "note",
    [
        "",
        "text",
        "[]",
        "{}",
        '{"counts": 3}',
        '{"counts": ["1"]}',
        Note(1, "a", "b", 1).text(),
        '{"counts": [-1, "x"]}',
    ],
)
def test_what_others_noted(note: str) -> None:
    """Metadata of older releases and other programs has no counts: they begin at nothing."""
    assert read(note) == NOTHING


def test_reasons_are_a_closed_set() -> None:
    """A reason that this release does not know is not shown, whoever committed it."""
    assert read(json.dumps({KEPT: [1, 0, {"empty": 2, "x" * 100: 3}]})) == Count(1, 0, {"empty": 2})


def killed(counts: Counts, partitions: Sequence[int]) -> dict[int, str]:
    """What a process has committed for the offsets of what it has worked on."""
    return {partition: counts.note(partition, "") for partition in partitions}


def test_killed_before_it_was_told() -> None:
    """A process that dies behind its commit, before it has counted, leaves the count to the next one."""
    counts = Counts()
    counts.begin({0: "", 1: ""})
    counts.worked({0: Count(5, 1, {}), 1: Count(2, 0, {"empty": 1})})
    notes = killed(counts, [0, 1])
    assert counts.visible == {0: NOTHING, 1: NOTHING}
    heir = Counts()
    heir.begin(notes)
    assert heir.visible == {0: Count(5, 1, {}), 1: Count(2, 0, {"empty": 1})}


def test_aborted_and_read_again() -> None:
    """What an abort takes back is counted when it is read again, and once."""
    counts = Counts()
    counts.begin({0: ""})
    counts.worked({0: Count(5)})
    first = counts.note(0, "")
    counts.committed({0: Count(5)})
    counts.worked({0: Count(7)})
    counts.begin({0: first})  # the rewind
    assert counts.visible == {0: Count(5)}
    counts.worked({0: Count(7)})
    counts.committed({0: Count(7)})
    assert counts.visible == {0: Count(12)} == {0: read(counts.note(0, ""))}


def test_partitions_that_went() -> None:
    """A partition that went is shown no more, also if a batch of it is told of late."""
    counts = Counts()
    counts.begin({0: "", 1: ""})
    counts.worked({0: Count(1), 1: Count(1)})
    counts.forget([1, 9])
    counts.committed({0: Count(1), 1: Count(1)})
    assert counts.visible == {0: Count(1)}
