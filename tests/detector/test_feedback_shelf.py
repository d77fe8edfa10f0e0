"""A shelf behaves as a dictionary does, and its records make it anew after every step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.feedback import shelf as shelf_module
from detector.feedback.shelf import CONTENT, LEFT, SIZE, Part, Shelf

KIND = np.dtype([("time", "<i8"), ("flag", "?")])
Oracle = dict[str, tuple[int, bool]]


def rows_of(values: list[tuple[int, bool]]) -> Any:
    return np.array(values, KIND)


def content(shelf: Shelf) -> list[tuple[int, bool]]:
    """All rows in order, as plain values."""
    return [(int(time), bool(flag)) for time, flag in shelf.rows()]


class Kept:
    """What a topic has of a shelf."""

    def __init__(self) -> None:
        self.parts: dict[Part, bytes] = {}

    def save(self, shelf: Shelf) -> int:
        """Keeps the changes; how many records they were."""
        changes = list(shelf.changes())
        for part, value in changes:
            if value is None:
                del self.parts[part]
            else:
                self.parts[part] = value
        shelf.saved()
        return len(changes)

    def restored(self, shelf: Shelf) -> Shelf:
        return Shelf.of(KIND, self.parts, shelf.next)


steps = st.lists(
    st.tuples(st.sampled_from(["add", "take", "oldest", "set", "save", "below", "restore"]), st.integers(0, 40)),
    max_size=30,
)


@given(steps, st.sampled_from([8, 16]), st.sampled_from([20, 10_000]))
def test_as_a_dictionary(told: list[tuple[str, int]], size: int, most: int) -> None:
    """Whatever is added, taken and changed, a shelf has what a dictionary has, in its order; so has one restored."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shelf_module, "SIZE", size)
        patch.setattr(shelf_module, "MOST_NAMES", most)
        shelf, oracle, kept, made = Shelf(KIND), Oracle(), Kept(), 0
        for step, number in told:
            if step == "add":
                names = [f"n{made + i}" for i in range(number)]
                values = [(made + i, i % 2 == 0) for i in range(number)]
                made += number
                shelf.add(names, rows_of(values))
                oracle |= zip(names, values, strict=True)
            elif step == "restore":
                kept.save(shelf)
                shelf = kept.restored(shelf)
            elif step == "save":
                kept.save(shelf)
            elif step == "set" and oracle:
                name = list(oracle)[number % len(oracle)]
                shelf.set(name, "flag", number % 3 == 0)
                oracle[name] = (oracle[name][0], number % 3 == 0)
            else:
                take(step, number, shelf, oracle)
            assert content(shelf) == list(oracle.values())
            assert len(shelf) == len(oracle)
        kept.save(shelf)
        assert content(kept.restored(shelf)) == list(oracle.values())
        assert bool(kept.parts) == bool(oracle)


def take(step: str, number: int, shelf: Shelf, oracle: Oracle) -> None:
    """Takes rows by name, by age or by time."""
    if step == "oldest":
        names = shelf.oldest(number)
        assert names == list(oracle)[:number]
    elif step == "below":
        limit = number + min((time for time, _ in oracle.values()), default=0)
        names = shelf.below("time", limit)
        assert sorted(names) == sorted(name for name, (time, _) in oracle.items() if time < limit)
    else:
        names = list(oracle)[:: -(number + 1)]
    found = shelf.take(names)
    assert [(int(time), bool(flag)) for time, flag in found] == [oracle.pop(name) for name in names]


def test_few_records_for_few_changes() -> None:
    """Of many rows only what changed is written: a taken row costs its chunk's bits, not its rows."""
    shelf, kept = Shelf(KIND), Kept()
    shelf.add([str(i) for i in range(10 * SIZE)], rows_of([(i, True) for i in range(10 * SIZE)]))
    assert kept.save(shelf) == 20
    shelf.take(["5"])
    changes = list(shelf.changes())
    assert [part for part, _ in changes] == [(0, LEFT)]
    assert len(changes[0][1] or b"") == SIZE // 8
    assert kept.save(shelf) == 1
    assert kept.save(shelf) == 0
    shelf.set("7", "flag", False)
    assert [part for part, _ in shelf.changes()] == [(0, CONTENT), (0, LEFT)]


def test_what_comes_and_goes_is_not_written() -> None:
    """Rows that are taken before they were saved leave no record."""
    shelf, kept = Shelf(KIND), Kept()
    names = [str(i) for i in range(3 * SIZE)]
    for _ in range(4):
        shelf.add(names, rows_of([(1, True)] * len(names)))
        shelf.take(names)
        assert kept.save(shelf) == 0
    assert len(shelf._chunks) <= 1


def test_everything_goes() -> None:
    """All records of a shelf that is given up are taken away."""
    shelf, kept = Shelf(KIND), Kept()
    shelf.add(["a", "b"], rows_of([(1, True), (2, False)]))
    kept.save(shelf)
    assert {part for part, _ in shelf.everything_goes()} == kept.parts.keys()


def test_long_names_close_a_chunk() -> None:
    """A chunk with long names holds fewer rows: no record grows beyond what a topic takes."""
    shelf, kept = Shelf(KIND), Kept()
    names = [f"{i:04}" + "x" * 4092 for i in range(500)]
    shelf.add(names, rows_of([(i, True) for i in range(500)]))
    kept.save(shelf)
    assert max(map(len, kept.parts.values())) < 200_000
    assert kept.restored(shelf).oldest(500) == names


@pytest.mark.parametrize("which", [CONTENT, LEFT])
@pytest.mark.parametrize("value", [None, b"", b"\xc1"])
def test_a_chunk_that_is_not_whole(which: str, value: bytes | None) -> None:
    """A chunk of which a record is missing or damaged is refused."""
    shelf, kept = Shelf(KIND), Kept()
    shelf.add(["a"], rows_of([(1, True)]))
    kept.save(shelf)
    if value is None:
        del kept.parts[0, which]
    else:
        kept.parts[0, which] = value
    with pytest.raises(ValueError, match="chunk 0"):
        kept.restored(shelf)
