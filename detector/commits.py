"""Transactions one after the other, of which one may be on its way while the loop works on the next."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

from detector.kafka import Aborted, Checkpoint, Output, Record
from detector.outcome import Outcome


@dataclass(slots=True)
class Pending:
    """What one transaction makes visible: records, and what is told of their batches once it has."""

    records: list[Record] = field(default_factory=list)
    notices: dict[Hashable, Record] = field(default_factory=dict)
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
    """The pending transaction, and the one on its way.

    notices: records that go with the next transaction that is committed, whichever it is. What an abort takes back is
    read and worked on again; these are not made by rows, and so are kept until they are visible.
    """

    def __init__(self, output: Output, tell: Tell) -> None:
        self.pending = Pending()
        self.notices: dict[Hashable, Record] = {}
        self._output, self._tell = output, tell
        self._flight: Flight | None = None
        self._beside = ThreadPoolExecutor(1, "commit")

    @property
    def busy(self) -> bool:
        """Whether something is pending or on its way."""
        return self.waiting or self._flight is not None

    @property
    def waiting(self) -> bool:
        """Whether something is pending."""
        return self.pending.messages > 0 or bool(self.notices)

    def commit(self, checkpoint: Callable[[], Checkpoint], beside: bool = False) -> None:
        """Makes all that is pending visible, with the offsets that `checkpoint` gives once the one before has settled.

        beside: returns at once, and `settle` waits. Aborted means that nothing of the transaction is visible.
        """
        self.settle()
        pending, self.pending = self.pending, Pending()
        pending.notices = dict(self.notices)
        at = checkpoint()
        if beside:
            self._flight = Flight(pending, at, self._beside.submit(self._publish, pending, at))
        else:
            self._visible(pending, at, self._publish(pending, at))

    def settle(self) -> None:
        """Waits for the transaction on its way, if there is one; Aborted if nothing of it is visible."""
        flight, self._flight = self._flight, None
        if flight is not None:
            self._visible(flight.pending, flight.checkpoint, flight.done.result())

    def _publish(self, pending: Pending, checkpoint: Checkpoint) -> float:
        self._output.commit([*pending.records, *pending.notices.values()], checkpoint)
        return time.time()

    def _visible(self, pending: Pending, checkpoint: Checkpoint, when: float) -> None:
        self.notices = {key: one for key, one in self.notices.items() if pending.notices.get(key) is not one}
        self._tell(pending, checkpoint, when)

    def drop(self) -> None:
        """Forgets what is pending: it will be read again, from where the transaction on its way leaves the offsets."""
        self.pending = Pending()
        with suppress(Aborted):
            self.settle()

    def serve(self) -> None:
        """Nothing was read: the client says what it has to say, while nothing is on its way."""
        if self._flight is None:
            self._output.serve()

    def close(self) -> None:
        """Waits for what is on its way, whatever becomes of it, and ends: nothing waits to be committed any more."""
        self._beside.shutdown()
        self.pending, self.notices, self._flight = Pending(), {}, None
        self._output.close()
