"""What a measured program says of itself: one line on stderr, the same from the bare loop, senders and peers."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass

MEASURED = "measured "
"""How the line begins; JSON follows."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What was done. begun, ended: s since 1970. stages: seconds by name, of the time between the two."""

    rows: int
    alerts: int
    begun: float
    ended: float
    stages: Mapping[str, float]

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.ended - self.begun


def tell(
    rows: int, alerts: int, begun: float, ended: float | None = None, stages: Mapping[str, float] | None = None
) -> None:
    """Says what was done; it ended now if that is not said."""
    told = {"rows": rows, "alerts": alerts, "begun": begun, "ended": ended or time.time(), "stages": dict(stages or {})}
    print(MEASURED + json.dumps(told), file=sys.stderr, flush=True)


def heard(line: str) -> Measured:
    """The inverse of `tell`; ValueError where the line is not one of its."""
    before, found, told = line.partition(MEASURED)
    if not found:
        raise ValueError(f"{before[:80]!r} does not say what was {MEASURED.strip()}")
    return Measured(**json.loads(told))
