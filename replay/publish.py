"""The loop that sends rows when they are due, never too far ahead of their readers, and counts every answer."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from detector.alerts import iso
from detector.errors import BrokerUnavailable, Failure
from replay.batch import Batch
from replay.labels import Pending
from replay.lateness import Lateness
from replay.leash import PAUSED_SECONDS, Leash, Patience, Pauses
from replay.metrics import Figures
from replay.outbox import UNANSWERED, Outbox, Ready
from replay.plan import Clock, Plan, Sender, Stop
from replay.progress import Watch
from replay.resume import COMMIT_SECONDS, MOST_ROWS, Ledger
from replay.summary import Stopped, Summary

TURN_SECONDS = 0.1
"""Longest time without a look at the stop and at the watch."""

LEAST_SECONDS = 0.001
"""Shortest wait: the client counts in milliseconds."""

WAIT_SECONDS = 0.02
"""How often it is looked whether what holds the rows back is over."""

SILENT = "no answer from the broker"


class Replay:
    """Sends all batches. pending: labels that come later than their rows, None for those that come with them.

    ledger: writes how far it came; the sender is then one of transactions.
    """

    def __init__(
        self,
        batches: Iterator[Batch],
        plan: Plan,
        sender: Sender,
        watch: Watch,
        stop: Stop,
        leash: Leash | None = None,
        clock: Clock | None = None,
        pending: Pending | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        self._batches, self._plan, self._sender = batches, plan, sender
        self._watch, self._stop, self._leash, self._clock = watch, stop, leash, clock or Clock()
        self._ledger = ledger
        before, legs = (ledger.start.rows, ledger.start.legs) if ledger else (0, [])
        self.outbox = Outbox(plan, sender, self._clock, pending, before, legs)
        self._patience, self._pauses = Patience(plan.timeout), Pauses(watch.say)
        self._lateness = Lateness()
        self._settled = 0
        self._committed, self._committed_at, self._held_since = (0, 0), 0.0, math.inf
        self._next: Stopped | None = None
        self._began, self._look_at = self._clock.monotonic(), watch.every
        self._waiting = ""
        self._silent = self._done = False

    def run(self) -> Summary:
        """1. Each row is sent when it is due and the leash allows it, and its label after it, or when that is due;
        2. every answer is waited for; 3. all of them are counted. A stop or a failure skips what is left of the first.
        """
        error: Failure | None = None
        try:
            self._done = self._send_all()
            self._say_ended()
            self._flush()
        except Failure as failure:
            error = failure
            self._flush_after(failure)
        return self._summary(error)

    def figures(self) -> Figures:
        """What is counted now."""
        lead, sender = self._leash.lead if self._leash else 0, self._sender
        return Figures(sender.acknowledged, sender.others, sender.failed, lead, self._lateness)

    def held_up(self) -> bool:
        """Whether who waits for the broker inside a transaction shall give up: it was told to end, or waited enough."""
        now = self._elapsed()
        self._held_since = min(self._held_since, now)
        self._waiting = SILENT
        self._look()
        self._silent = self._silent or now - self._held_since >= self._plan.timeout
        return self._ending()

    def _send_all(self) -> bool:
        """Whether all rows and labels were sent."""
        first = next(filter(lambda batch: len(batch) or self._stop.requests, self._batches), None)
        self._started()
        if first is not None and not self._send_batch(first):
            return False
        return all(map(self._send_batch, self._batches)) and self._send_rest()

    def _started(self) -> None:
        """Waits for the moment of the first row, or until it is told to end."""
        start = self._plan.start
        if start is not None:
            self._watch.say(f"replay: starts at {iso(start)}")
        while start is not None and (left := start / 1000 - self._clock.wall()) > 0 and not self._stop.requests:
            self._sender.poll(min(max(left, LEAST_SECONDS), TURN_SECONDS))
        self._began = self._clock.monotonic()
        self.outbox.begin()

    def _send_batch(self, batch: Batch) -> bool:
        """Sends a batch's rows as they fall due; False where the replay has to end before."""
        if not len(batch):
            return self._idle()
        ready, first = self.outbox.ready(batch), 0
        while first < len(batch):
            if self._ending():
                event = None if batch.event is None else int(batch.event[first])
                self._next = Stopped(self.outbox.sent, batch.row_ids[first], event)
                return False
            if count := min(self._free(ready.due, first), len(batch) - first):
                self._send(ready, slice(first, first + count))
                first += count
            labels = self.outbox.send_due(self.outbox.moment(ready, first, self._elapsed()))
            self._turn(0.0 if count or labels else self._wait(float(ready.due[first])))
        return True

    def _idle(self) -> bool:
        """Where the next row is not there yet: labels may be due, and somebody may want to end."""
        now = self.outbox.schedule.moment(self._elapsed())
        self._waiting = ""
        if now is not None:
            # A named replay counts on labels coming in their order, which the next row might be too late for.
            self.outbox.send_due(now if self._ledger is None else min(now, self.outbox.reached))
        self._turn(0.0)
        return not self._ending()

    def _free(self, due: NDArray[np.float64], first: int) -> int:
        """Rows from `first` on that may go now; also notes what the others wait for."""
        now = self._elapsed()
        ready = int(np.searchsorted(due, now, side="right")) - first
        self._waiting = ""
        if ready <= 0:
            return 0
        if self._sender.waiting() >= UNANSWERED:
            self._waiting = f"the broker has {UNANSWERED:,} records to answer"
            return 0
        room = self._leash.room(self.outbox.sent, now) if self._leash else ready
        if self._leash and not room:
            self._waiting = f"waiting for group {self._leash.name}"
        return min(ready, room)

    def _send(self, ready: Ready, part: slice) -> None:
        before = self._elapsed()
        self.outbox.send(ready, part)
        if self._plan.speed.paced:
            due = ready.due[part]
            self._lateness.observe(np.linspace(before, self._elapsed(), len(due)) - due)

    def _send_rest(self) -> bool:
        """Sends the labels that are due after the last row, at their pace; False where the replay ends before."""
        while self.outbox.labels_left():
            if self._ending():
                return False
            now = self.outbox.schedule.moment(self._elapsed())
            sent = self.outbox.send_due(math.inf if now is None else now)
            self._turn(0.0 if sent else self._wait(math.inf))
        return True

    def _say_ended(self) -> None:
        """What is done on purpose has ended with the rows, but for those of a named replay that goes on."""
        over = not self._ledger or (self._done and not self._ledger.start.ended)
        if over and not self._given_up() and self._stop.requests < 2:
            self.outbox.say_ended()

    def _wait(self, due: float) -> float:
        """Seconds for which nothing can be sent, as far as is known. due: when the next row is, s."""
        label = self.outbox.next_label()
        left = min(due, math.inf if label is None else label) - self._elapsed()
        return min(max(left, LEAST_SECONDS), TURN_SECONDS) if left > 0 else WAIT_SECONDS

    def _turn(self, seconds: float) -> None:
        """Takes in answers, waiting as long as told or until the first comes, commits, and lets the watcher look."""
        self._sender.poll(seconds)
        self._commit_if_due()
        if not self._sender.waiting():
            self._settled = self.outbox.sent
        self._look()

    def _look(self) -> None:
        now, sender = self._elapsed(), self._sender
        silent = self._patience.waited(sender.waiting(), sender.answered(), now)
        self._pauses.note(self._waiting or (SILENT if silent >= PAUSED_SECONDS else ""), now)
        if now >= self._look_at:
            self._look_at = now + self._watch.every
            self._watch.show(sender.acknowledged, now, self._waiting)

    def _commit_if_due(self) -> None:
        """A transaction ends after so many records or so long, and where readers have to see it before more may go."""
        if self._ledger is None:
            return
        now, (rows, labels) = self._elapsed(), self._committed
        count = self.outbox.sent - rows + self.outbox.labels - labels
        if not count:
            self._committed_at = now
        elif count >= MOST_ROWS or now - self._committed_at >= COMMIT_SECONDS or self._waiting:
            self._commit()

    def _commit(self) -> None:
        assert self._ledger is not None
        out = self.outbox
        self._ledger.commit(out.sent, out.event, out.label, self._done, out.leg())
        self._committed, self._committed_at, self._held_since = (out.sent, out.labels), self._elapsed(), math.inf

    def _flush(self) -> None:
        self._waiting = ""
        fresh = self._done or self._committed != (self.outbox.sent, self.outbox.labels)
        if self._ledger and fresh and self._stop.requests < 2:
            self._commit()
        while self._sender.waiting() and self._stop.requests < 2 and not self._given_up():
            self._turn(TURN_SECONDS)
        if not self._sender.waiting():
            self._settled = self.outbox.sent

    def _flush_after(self, failure: Failure) -> None:
        """What was sent before something failed is not lost by it, unless the broker itself has gone."""
        self._silent = self._silent or (self._ledger is not None and isinstance(failure, BrokerUnavailable))
        try:
            if not self._silent:
                self._flush()
        except Failure:
            return  # the first one is told

    def _ending(self) -> bool:
        return self._stop.requests > 0 or self._given_up()

    def _given_up(self) -> bool:
        over = self._patience.over(self._sender.waiting(), self._sender.answered(), self._elapsed())
        self._silent = self._silent or over
        return self._silent

    def _elapsed(self) -> float:
        return self._clock.monotonic() - self._began

    def _summary(self, error: Failure | None) -> Summary:
        """What was handed over and not acknowledged has failed, whether it was refused or never answered."""
        sender, out = self._sender, self.outbox
        sender.settle()
        gone = BrokerUnavailable(f"{SILENT} within {self._plan.timeout:g} s") if self._silent else None
        return Summary(
            sent=sender.acknowledged,
            labels=sender.others,
            failed=out.sent - sender.acknowledged,
            failed_labels=out.labels - sender.others,
            seconds=self._elapsed(),
            lateness=self._lateness if self._plan.speed.paced else None,
            interrupted=self._stop.requests > 0,
            error=error or sender.first_error or gone,
            silent=self._silent,
            stopped=None if self._done else self._stopped(),
            unit=self._plan.unit,
            injected=out.tally.rows(),
        )

    def _stopped(self) -> Stopped:
        certain = self._committed[0] if self._ledger else self._settled
        return self._next if self._next and self._next.rows == certain else Stopped(certain)
