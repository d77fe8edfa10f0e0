"""Batches that are made ahead are the same batches."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from detector.errors import DataRefused
from replay.ahead import ahead
from replay.batch import Batch, objects


def batches(count: int) -> Iterator[Batch]:
    for number in range(count):
        yield Batch(objects([b"%d" % number]))


def makers() -> int:
    return sum(thread.name == "ahead" for thread in threading.enumerate())


@pytest.mark.parametrize("depth", [1, 3, 1000])
def test_the_same(depth: int) -> None:
    """All come in order, and the thread has ended."""
    assert [batch.row_ids[0] for batch in ahead(batches(50), depth)] == [b"%d" % number for number in range(50)]
    assert makers() == 0


def test_nothing_there_yet() -> None:
    """While a batch is long in coming empty ones are handed out, so that its waiter can do something else."""
    go_on = threading.Event()

    def slow() -> Iterator[Batch]:
        yield from batches(1)
        go_on.wait(30)
        yield from batches(1)

    found = ahead(slow())
    assert [len(next(found)), len(next(found))] == [1, 0]
    go_on.set()
    assert sum(map(len, found)) == 1


def test_errors() -> None:
    """What making them raises is raised after those before."""

    def failing() -> Iterator[Batch]:
        yield from batches(2)
        raise DataRefused("changed")

    found = ahead(failing())
    assert len([next(found), next(found)]) == 2
    with pytest.raises(DataRefused, match="changed"):
        next(found)
    assert makers() == 0


def test_no_longer_wanted() -> None:
    """Who asks no more ends the making, however much there were."""
    found = ahead(batches(10**9), 2)
    next(found)
    found.close()  # type: ignore[attr-defined]
    assert makers() == 0
