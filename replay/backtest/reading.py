"""What the detectors publish, read as they work, by a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from detector.errors import Failure
from detector.kafka import Reader
from detector.rows import Message
from replay.backtest.line import Line
from replay.backtest.tally import Tally, slowest

MOST_MESSAGES = 500
"""Read at a time: a record of scores has some 50 kB."""

TURN_SECONDS = 0.05
QUIET_TURNS = 8
"""Turns without a message after which a topic that nobody writes to any more is taken to have been read."""

Take = Callable[[Message, float], None]


class Readback(threading.Thread):
    """Fills the tallies, one for each detector, until it is told that nothing more comes.

    watch: called now and then; what it raises ends the reading. failed: called then. failure: what ended it.
    """

    def __init__(
        self, line: Line, tallies: Sequence[Tally], watch: Callable[[], None], failed: Callable[[], None]
    ) -> None:
        super().__init__(name="readback", daemon=True)
        self.failure: BaseException | None = None
        self._tallies, self._watch, self._failed = tallies, watch, failed
        self._take: dict[str, Take] = {}
        for out, tally in zip(line.outputs, tallies, strict=True):
            kinds = (out.scores, tally.score), (out.alerts, tally.alert)
            others = (out.dead_letters, tally.dead_letter), (out.drift, tally.change)
            self._take |= dict((*kinds, *others))
        self._drain, self._closed = threading.Event(), threading.Event()
        self._reader = Reader(line.bootstrap_servers, line.properties)

    def run(self) -> None:
        """The thread."""
        try:
            self._reader.follow(list(self._take))
            self._read()
        except BaseException as error:
            self.failure = error
            self._failed()
        finally:
            self._reader.close()

    def _read(self) -> None:
        quiet = 0
        while not self._closed.is_set() and not (self._drain.is_set() and quiet >= QUIET_TURNS):
            draining = self._drain.is_set()
            messages = self._reader.take(MOST_MESSAGES, TURN_SECONDS)
            seen = time.time()
            for message in messages:
                self._take[message.topic()](message, seen)
            quiet = quiet + 1 if draining and not messages else 0
            if not draining:
                self._watch()

    def drain(self) -> None:
        """Reads what is still there, of detectors that have said all, and ends; nobody is watched any more."""
        self._drain.set()

    def ended(self) -> None:
        """Waits for that end, and raises what was in its way."""
        self.join()
        self.check()

    def close(self) -> None:
        """Ends at once."""
        self._closed.set()
        self.join()

    def check(self) -> None:
        """Raises what ended it."""
        if self.failure is not None:
            raise self.failure

    def committed(self, topic: str, partitions: Sequence[int]) -> dict[int, int]:
        """How far all detectors have come and were read: a replay's leash asks, in place of their groups."""
        return slowest(self._tallies)


def refuse_stillness(moved: float, seconds: float) -> None:
    """Failure where nothing has been said of rows for so long."""
    if time.monotonic() - moved > seconds:
        raise Failure(f"the detector has said nothing of rows that wait for it for {seconds:g} s, though it runs")
