"""How fast rows are scored and how many wait, by the offsets that the detector's group commits."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

SECONDS = 20.0
"""Over how long a rate is taken."""


@dataclass(frozen=True, slots=True)
class Part:
    """A partition of the input. committed: None where the group has committed nothing of it. end: of the log."""

    committed: int | None
    low: int
    end: int

    @property
    def lag(self) -> int:
        """Messages that wait."""
        return max(self.end - (self.low if self.committed is None else max(self.committed, self.low)), 0)


class Traffic:
    """The last looks at a group's offsets. Offsets count a transaction's marker too, so rates are a little high."""

    def __init__(self) -> None:
        self.parts: dict[int, Part] = {}
        self._looks: deque[tuple[float, int, int]] = deque()

    def look(self, now: float, committed: Mapping[int, int], extent: Mapping[int, tuple[int, int]]) -> None:
        """Takes a look in. now: s of a steady clock. committed, extent: by partition."""
        self.parts = {p: Part(committed.get(p), low, end) for p, (low, end) in sorted(extent.items())}
        done = sum(part.low if part.committed is None else part.committed for part in self.parts.values())
        self._looks.append((now, done, sum(part.end for part in self.parts.values())))
        while len(self._looks) > 2 and now - self._looks[1][0] >= SECONDS:
            self._looks.popleft()

    @property
    def looked(self) -> bool:
        """Whether there was a look."""
        return bool(self._looks)

    @property
    def begun(self) -> bool:
        """Whether the group has committed anything."""
        return any(part.committed is not None for part in self.parts.values())

    @property
    def lag(self) -> int:
        """Messages that wait, of all partitions."""
        return sum(part.lag for part in self.parts.values())

    @property
    def scored(self) -> float | None:
        """Messages a second that the group gets through; None before the second look."""
        return self._rate(1)

    @property
    def arriving(self) -> float | None:
        """Messages a second that come."""
        return self._rate(2)

    def _rate(self, which: int) -> float | None:
        if len(self._looks) < 2:
            return None
        first, last = self._looks[0], self._looks[-1]
        seconds = last[0] - first[0]
        return max(last[which] - first[which], 0) / seconds if seconds > 0 else None
