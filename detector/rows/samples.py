"""Signals cut into rows: of each key, samples k * N to k * N + N - 1 are its row k.

The rule, for each message of a partition in the log's order:

1. A window is opened by the sample of its first number alone, and takes the following numbers one after the other.
2. A sample whose number its window has already, with the same value, is refused and changes nothing (a producer that
   sends again). The first number always opens anew: a monitor that restarts begins at 0 once more.
3. Any other number breaks the window: its samples are refused, and so is the one that came, unless it opens another.
4. A window is given up, as if broken, once its first sample lies more than `reach` offsets back.

So each sample becomes part of one row, or is refused, or waits in an open window. And what is open at an offset is a
function of the log from its oldest sample on: who reads from there sees no window's first number but of windows that
were opened, and so meets none that was closed before.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.rows.messages import Batch, Message
from detector.rows.refusals import Reject


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Samples in the order in which they were read. number: int64 (n,), >= 0. value: float32 (n,), finite."""

    batch: Batch
    number: NDArray[np.int64]
    value: NDArray[np.float32]


@dataclass(slots=True, eq=False)
class Window:
    """The samples of a row that came so far. row: its number k. first: offset of the first. values: theirs."""

    row: int
    first: int
    values: list[float] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)


@dataclass(slots=True)
class Cut:
    """What a batch of samples came to. whole: windows that were filled, each with the place of its last sample."""

    whole: list[tuple[int, Window]] = field(default_factory=list)
    refused: list[Reject] = field(default_factory=list)


@dataclass(frozen=True, slots=True, eq=False)
class _Sorted:
    """Samples of one partition, key by key; each list (n,). place: in the batch."""

    key: list[Any]
    number: list[int]
    offset: list[int]
    place: list[int]
    messages: list[Message]
    value: list[float]
    stretches: list[int]
    """Where stretches of one key's numbers, each one more than the last, begin; and the end."""

    @classmethod
    def of(cls, samples: Samples, at: NDArray[np.intp]) -> _Sorted:
        keys = [samples.batch.messages[i].key() for i in at.tolist()]
        ids = {key: number for number, key in enumerate(dict.fromkeys(keys))}
        which = np.fromiter(map(ids.__getitem__, keys), np.int64, len(keys))
        order = np.argsort(which, kind="stable")
        at = at[order]
        number, places = samples.number[at], at.tolist()
        follows = (np.diff(number) == 1) & (np.diff(which[order]) == 0)
        return cls(
            [keys[i] for i in order.tolist()],
            number.tolist(),
            samples.batch.offset[at].tolist(),
            places,
            [samples.batch.messages[i] for i in places],
            samples.value[at].tolist(),
            [0, *(np.flatnonzero(~follows) + 1).tolist(), len(places)],
        )


class Signals:
    """The open windows of one partition, the oldest first. waiting: samples in them."""

    def __init__(self, length: int, reach: int) -> None:
        self.length, self.reach, self.waiting = length, reach, 0
        self._open: dict[Any, Window] = {}
        self._fresh: dict[Any, Window] = {}

    @property
    def _late(self) -> str:
        return f"not whole after {self.reach} offsets"

    @property
    def open_from(self) -> int | None:
        """The offset of the oldest sample that waits."""
        return next((window.first for window in self._open.values()), None)

    def open_offsets(self) -> list[int]:
        """The offsets of all samples that wait, in order."""
        return sorted(message.offset() for window in self._open.values() for message in window.messages)

    def cut(self, samples: Samples, at: NDArray[np.intp], cut: Cut) -> None:
        """Takes the samples at these places, which are of this partition; adds to what the batch came to."""
        found = _Sorted.of(samples, at)
        for start, end in pairwise(found.stretches):
            while start < end:
                window = self._window(found, start, cut)
                start = start + 1 if window is None else self._fill(window, found, start, end, cut)
        for key, window in sorted(self._fresh.items(), key=lambda one: one[1].first):
            self._open[key] = window
        self._fresh.clear()

    def give_up(self, offset: int, cut: Cut) -> None:
        """All up to this offset was read: refuses the windows that it leaves too far behind."""
        while (first := self.open_from) is not None and offset - first > self.reach:
            key, window = next(iter(self._open.items()))
            self._break(key, window, self._late, cut)

    def _window(self, found: _Sorted, i: int, cut: Cut) -> Window | None:
        """The window that takes a sample; None where none does: the sample is refused then."""
        key, number = found.key[i], found.number[i]
        row, position = divmod(number, self.length)
        window = self._fresh.get(key) or self._open.get(key)
        if window is not None:
            wanted = window.row * self.length + len(window.messages)
            late = found.offset[i] - window.first > self.reach
            if number == wanted and not late:
                return window
            if window.row * self.length < number < wanted and not late and window.values[position] == found.value[i]:
                cut.refused.append(Reject(found.messages[i], "repeated_sample", f"sample {number} has come already"))
                return None
            self._break(key, window, self._late if late else f"sample {wanted} wanted, {number} came", cut)
        if position == 0:
            opened = self._fresh[key] = Window(row, found.offset[i])
            return opened
        told = f"sample {number}: its window, from sample {row * self.length} on, is not open"
        cut.refused.append(Reject(found.messages[i], "broken_window", told))
        return None

    def _fill(self, window: Window, found: _Sorted, start: int, end: int, cut: Cut) -> int:
        """Takes what a window has room and patience for of a stretch that goes on in it; where the rest begins."""
        held = len(window.messages)
        end = min(end, start + self.length - held)
        while found.offset[end - 1] - window.first > self.reach:
            end -= 1
        window.values += found.value[start:end]
        window.messages += found.messages[start:end]
        self.waiting += end - start
        if len(window.messages) == self.length:
            self._close(found.key[start], window)
            cut.whole.append((found.place[end - 1], window))
        return end

    def _break(self, key: Any, window: Window, why: str, cut: Cut) -> None:
        self._close(key, window)
        told = f"window {window.row} of {self.length} samples broke after {len(window.messages)}: {why}"
        cut.refused += [Reject(message, "broken_window", told) for message in window.messages]

    def _close(self, key: Any, window: Window) -> None:
        self.waiting -= len(window.messages)
        if self._fresh.pop(key, None) is None:
            del self._open[key]


class Cutter:
    """Cuts the signals of any partitions into rows of `length` samples; see the module's rule.

    Memory and what is read back are bounded by `reach`: no open window has a sample farther back than that.
    """

    def __init__(self, length: int, reach: int) -> None:
        """ValueError unless reach >= length >= 1."""
        if not reach >= length >= 1:
            raise ValueError(f"reach {reach} >= length {length} >= 1 wanted")
        self.length, self.reach = length, reach
        self._signals: dict[int, Signals] = {}

    def cut(self, samples: Samples, read: Iterable[tuple[int, int]]) -> Cut:
        """Takes samples. read: by partition, the offset up to which its messages, samples or not, were read by now."""
        cut = Cut()
        for partition, at in samples.batch.parts:
            self._of(partition).cut(samples, at, cut)
        for partition, offset in read:
            self._of(partition).give_up(offset, cut)
        cut.whole.sort(key=lambda one: one[0])
        return cut

    def open_from(self, partition: int) -> int | None:
        """The offset of a partition's oldest sample that waits; None where none does."""
        return self._of(partition).open_from

    def open_offsets(self, partition: int) -> list[int]:
        """The offsets of a partition's samples that wait, in order."""
        return self._of(partition).open_offsets()

    def waiting(self) -> dict[int, int]:
        """By partition, the samples that wait in open windows."""
        return {partition: signals.waiting for partition, signals in self._signals.items()}

    def begin(self, partition: int, reach: int | None = None) -> None:
        """Nothing of a partition is open. reach: another than the own, until `resume`."""
        self._signals[partition] = Signals(self.length, self.reach if reach is None else reach)

    def resume(self, partition: int) -> None:
        """From here on a partition has the own reach."""
        self._of(partition).reach = self.reach

    def forget(self, partitions: Iterable[int]) -> None:
        """Partitions went to another member."""
        for partition in partitions:
            self._signals.pop(partition, None)

    def _of(self, partition: int) -> Signals:
        if partition not in self._signals:
            self.begin(partition)
        return self._signals[partition]
