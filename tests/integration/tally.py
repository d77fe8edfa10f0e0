"""The fault table: what was tried, how often, and what was lost or came twice."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest


@dataclass(frozen=True)
class Fault:
    """What came of a fault. times: how often it was tried. lost, doubled: alerts and dead letters."""

    name: str
    times: int
    lost: int
    doubled: int


@dataclass
class FaultTable:
    """What came of all faults of a session."""

    rows: dict[str, Fault] = field(default_factory=dict)

    def add(self, fault: Fault) -> None:
        """Adds to the row of that name."""
        before = self.rows.get(fault.name, Fault(fault.name, 0, 0, 0))
        sums = (before.times + fault.times, before.lost + fault.lost, before.doubled + fault.doubled)
        self.rows[fault.name] = Fault(fault.name, *sums)

    def text(self) -> str:
        """For a person."""
        width = max(map(len, self.rows), default=0)
        lines = [f"{'fault':{width}}  {'times':>6}  {'lost':>5}  {'doubled':>7}"]
        return "\n".join(
            [*lines, *(f"{r.name:{width}}  {r.times:>6}  {r.lost:>5}  {r.doubled:>7}" for r in self.rows.values())]
        )


FAULTS = pytest.StashKey[FaultTable]()
"""Where a session keeps its table."""
