"""Stages between the source and the sender: which rows are played, and again."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.batch import Batch, objects
from replay.stages import between, limited, looped, sampled, share_of, skipped, through
from tests.replay.made import ids, whole


def batches(sizes: list[int], keys: list[bytes | None] | None = None) -> Iterator[Batch]:
    """Rows 0, 1, ... with an event each second, in batches of these sizes."""
    first = 0
    for size in sizes:
        numbers = np.arange(first, first + size)
        part = None if keys is None else objects(keys[first : first + size])
        yield Batch(objects([b"%d" % number for number in numbers]), numbers * 1000, part)
        first += size


def left(found: Iterator[Batch]) -> list[int]:
    return [int(row) for batch in found for row in ids(batch)]


SIZES = st.lists(st.integers(1, 7), min_size=1, max_size=6)


@given(SIZES, st.integers(0, 50), st.integers(0, 50))
def test_skipped_and_limited(sizes: list[int], skip: int, limit: int) -> None:
    """Whatever the batches, the rows are those of a slice; what is skipped is seen once, in order."""
    seen: list[Batch] = []
    found = left(through(batches(sizes), [skipped(skip, seen.append), limited(limit)]))
    assert found == list(range(sum(sizes)))[skip:][: limit or None]
    assert left(iter(seen)) == list(range(sum(sizes)))[:skip][: len(left(iter(seen)))]
    assert not limit or skip >= sum(sizes) or len(left(iter(seen))) == skip


def test_a_limit_asks_for_no_more() -> None:
    """Once the limit is reached no further batch is made."""

    def endless() -> Iterator[Batch]:
        yield from batches([3, 3])
        raise AssertionError("asked for more")

    assert left(limited(6)(endless())) == [0, 1, 2, 3, 4, 5]


@given(SIZES, st.one_of(st.none(), st.integers(-1, 40)), st.one_of(st.none(), st.integers(-1, 40)))
def test_between(sizes: list[int], first: int | None, end: int | None) -> None:
    """The interval is half open, and open where nothing is said."""
    bounds = [None if one is None else one * 1000 for one in (first, end)]
    found = left(between(*bounds)(batches(sizes)))
    low, high = -1 if first is None else first, 99 if end is None else end
    assert found == [row for row in range(sum(sizes)) if low <= row < high]


def test_a_sample_keeps_histories_whole() -> None:
    """All rows of a key or none; about the share of the keys; the same in every run, and among a larger share."""
    keys: list[bytes | None] = [b"card %d" % (row % 500) for row in range(5000)]
    found = left(sampled(0.2)(batches([1000] * 5, keys)))
    cards = {row % 500 for row in found}
    assert sorted(found) == [row for row in range(5000) if row % 500 in cards]
    assert 70 <= len(cards) <= 130
    assert left(sampled(0.2)(batches([7] * 714 + [2], keys))) == found
    assert set(found) <= set(left(sampled(0.4)(batches([5000], keys))))


def test_a_sample_without_keys() -> None:
    """A row without a key is sampled by its id."""
    assert 120 <= len(left(sampled(0.3)(batches([500])))) <= 180
    keys: list[bytes | None] = [None, b"1"] * 250
    found = left(sampled(0.3)(batches([500], keys)))
    assert {row % 2 for row in found} <= {0, 1}
    assert len({row for row in found if row % 2 == 0}) > 40


def test_shares_are_even() -> None:
    """A text's number lies anywhere from 0 to 1, is always the same, and another salt draws anew."""
    found = np.array([share_of(b"%d" % one) for one in range(4000)])
    assert found.min() >= 0
    assert found.max() < 1
    assert np.histogram(found, 4, (0, 1))[0].tolist() == pytest.approx([1000] * 4, rel=0.12)
    assert share_of(b"17") == share_of(b"17") != share_of(b"17", b"other")


def test_loops() -> None:
    """In each further pass ids end with its number, and event time goes on by the span and a typical gap."""
    found = list(looped(lambda: batches([2, 1]), 3))
    assert [row for batch in found for row in ids(batch)] == [
        *("0", "1", "2"),
        *("0#2", "1#2", "2#2"),
        *("0#3", "1#3", "2#3"),
    ]
    event = whole(iter(found)).event
    assert event is not None
    assert event.tolist() == [one * 1000 for one in range(9)]


def test_loops_for_ever() -> None:
    """Without a number there is no end; an empty pass ends all the same."""
    assert left_of_first(limited(1000)(looped(lambda: batches([3]), 0))) == 1000
    assert list(looped(lambda: iter(()), 0)) == []


def left_of_first(found: Iterator[Batch]) -> int:
    return sum(map(len, found))


def test_loops_without_event_times() -> None:
    """Rows without event times are played again as they are."""
    plain = Batch(objects([b"0"]))
    assert [batch.event for batch in looped(lambda: iter([plain]), 2)] == [None, None]
