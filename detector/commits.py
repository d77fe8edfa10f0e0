"""Transactions one after the other, of which one may be on its way while the loop works on the next."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from detector.detection import Outcome
from detector.kafka import Checkpoint, Output, Record


@dataclass(slots=True)
class Pending:
    """What one transaction makes visible: records, and what is told of their batches once it has."""

    records: list[Record] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    messages: int = 0


@dataclass(frozen=True, slots=True)
class Flight:
    """A transaction on its way; `done` gives the time at which it became visible."""

    pending: Pending
    checkpoint: Checkpoint
    done: Future[float]


Tell = Callable[[Pending, Checkpoint, float], None]
"""Told of each transaction that became visible, in their order, and when, s since 1970."""


class Commits:
    """The pending transaction, and the one on its way."""

    def __init__(self, output: Output, tell: Tell) -> None:
        self.pending = Pending()
        self._output, self._tell = output, tell
        self._flight: Flight | None = None
        self._beside = ThreadPoolExecutor(1, "commit")

    @property
    def busy(self) -> bool:
        """Whether something is pending or on its way."""
        return self.pending.messages > 0 or self._flight is not None

    def commit(self, checkpoint: Callable[[], Checkpoint], beside: bool = False) -> None:
        """Makes all that is pending visible, with the offsets that `checkpoint` gives once the one before has settled.

        beside: returns at once, and `settle` waits. Aborted means that nothing of the transaction is visible.
        """
        self.settle()
        pending, self.pending = self.pending, Pending()
        at = checkpoint()
        if beside:
            self._flight = Flight(pending, at, self._beside.submit(self._visible, pending, at))
        else:
            self._tell(pending, at, self._visible(pending, at))

    def settle(self) -> None:
        """Waits for the transaction on its way, if there is one; Aborted if nothing of it is visible."""
        flight, self._flight = self._flight, None
        if flight is not None:
            self._tell(flight.pending, flight.checkpoint, flight.done.result())

    def _visible(self, pending: Pending, checkpoint: Checkpoint) -> float:
        self._output.commit(pending.records, checkpoint)
        return time.time()

    def drop(self) -> None:
        """Forgets what is pending: it will be read again."""
        self.pending = Pending()

    def close(self) -> None:
        """Waits for what is on its way, whatever becomes of it, and ends."""
        self._beside.shutdown()
        self._flight = None
        self.drop()
        self._output.close()
