"""Batches are every row once an epoch, in an order of the seed's, whatever chunks the rows come in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from trainer.rows import SAMPLE, Rows, feed

Array = NDArray[np.float32]
CUTS = st.lists(st.integers(0, 199), max_size=6)


def numbered(count: int) -> Array:
    """Rows (n, 2) that tell their place."""
    return np.stack([np.arange(count), -np.arange(count)], axis=1).astype(np.float32)


def cut(count: int, cuts: list[int], pool: int = 1 << 18) -> Rows:
    """So many rows in chunks, of which some may be empty; a pool has at least so many."""
    rows = numbered(count)
    places = [0, *sorted(min(one, count) for one in cuts), count]
    parts = [rows[start:end] for start, end in pairwise(places)]
    return replace(Rows.of(rows), chunks=lambda: iter(parts), pool=pool)


def places(batches: list[Array]) -> list[int]:
    return [int(place) for batch in batches for place in batch[:, 0]]


@given(st.integers(1, 200), CUTS, st.integers(1, 70), st.integers(1, 300), st.integers(1, 3), st.integers(0, 99))
def test_batches_are_every_row_once(count: int, cuts: list[int], size: int, pool: int, epochs: int, seed: int) -> None:
    """Each epoch has every row once, in batches of the asked size but for the last, whatever chunks and pools."""
    rows = cut(count, cuts, pool)
    batches = list(rows.batches(size, seed, epochs))
    assert len(batches) == epochs * rows.steps(size)
    for epoch in range(epochs):
        here = batches[epoch * rows.steps(size) : (epoch + 1) * rows.steps(size)]
        assert sorted(places(here)) == list(range(count))
        assert [len(batch) for batch in here[:-1]] == [size] * (len(here) - 1)
        assert 1 <= len(here[-1]) <= size
    assert all((batch[:, 1] == -batch[:, 0]).all() for batch in batches)


@given(CUTS, st.integers(1, 300), st.integers(0, 2**32 - 1))
def test_the_seed_decides(cuts: list[int], pool: int, seed: int) -> None:
    """The same seed gives the same batches, another others; no two epochs have the same order."""
    rows = cut(200, cuts, pool)
    one, same, other = (places(list(rows.batches(32, number, 2))) for number in (seed, seed, seed + 1))
    assert one == same != other
    assert one[:200] != one[200:]


@given(CUTS)
def test_chunks_do_not_matter_within_a_pool(cuts: list[int]) -> None:
    """Rows that fit into one pool come in the same order however they are cut."""
    assert places(list(cut(200, cuts).batches(32, 1, 1))) == places(list(cut(200, []).batches(32, 1, 1)))


def test_pools() -> None:
    """Rows of more than a pool are shuffled pool by pool: each comes in its own part of the epoch."""
    rows = cut(200, list(range(10, 200, 10)), pool=50)
    order = places(list(rows.batches(25, 0, 1)))
    for pool in range(4):
        here = order[50 * pool : 50 * (pool + 1)]
        assert sorted(here) == list(range(50 * pool, 50 * (pool + 1)))
        assert here != sorted(here)


def test_for_ever() -> None:
    """Where no epochs are said batches never end."""
    assert len(list(islice(cut(10, []).batches(3, 0, None), 1000))) == 1000


@given(CUTS, st.integers(1, 300))
def test_mapped(cuts: list[int], pool: int) -> None:
    """A change of each row by itself holds for chunks, sample and batches alike, and leaves the rows as they were."""
    rows = cut(200, cuts, pool)
    changed = rows.mapped(lambda some: some * 2 + 1)
    assert changed.count == 200
    wanted = numbered(200) * 2 + 1
    np.testing.assert_array_equal(np.concatenate(list(changed.chunks())), wanted)
    np.testing.assert_array_equal(changed.sample, wanted)
    np.testing.assert_array_equal(np.concatenate(list(rows.chunks())), numbered(200))
    assert sorted(places(list(changed.batches(32, 0, 1)))) == sorted(wanted[:, 0].astype(int).tolist())


def test_rows_in_memory_are_changed_once() -> None:
    """What fits into a pool is changed when it is asked for, once, and not again in each epoch; what does not, then."""
    seen: list[int] = []

    def change(some: Array) -> Array:
        seen.append(len(some))
        return some

    list(cut(200, [100]).mapped(change).batches(10, 0, 5))
    assert sum(seen) == 200
    seen.clear()
    streamed = cut(200, [100], pool=50).mapped(change)
    list(streamed.batches(10, 0, 5))
    assert sum(seen) >= 1000


def test_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sample is all rows, or so many different ones in their order that the seed chose."""
    assert len(Rows.of(numbered(100)).sample) == 100
    assert SAMPLE >= 100_000
    monkeypatch.setattr("trainer.rows.SAMPLE", 30)
    one, same, other = (Rows.of(numbered(100), seed).sample[:, 0].tolist() for seed in (0, 0, 1))
    assert one == same != other
    assert len(one) == len(set(one)) == 30
    assert one == sorted(one)


def test_feed() -> None:
    """What TensorFlow is fed are the batches, each as what goes in and what is to come out."""
    rows = cut(100, [40])
    found = [(one.numpy(), other.numpy()) for one, other in feed(rows, 32, 7, 2).dataset]
    wanted = list(rows.batches(32, 7, 2))
    assert len(found) == len(wanted) == 8
    for (one, other), batch in zip(found, wanted, strict=True):
        assert one.tobytes() == other.tobytes() == batch.tobytes()


def test_what_goes_wrong_while_reading_is_told() -> None:
    """An error in a chunk comes out as it is, and not as what TensorFlow makes of it."""

    def broken() -> Iterator[Array]:
        yield numbered(10)
        raise OSError("the file ended early")

    fed = feed(replace(Rows.of(numbered(20)), chunks=broken, pool=5), 5, 0, 1)
    with pytest.raises(OSError, match="the file ended early"), fed.watched():
        list(fed.dataset)
