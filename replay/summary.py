"""What came of a replay, and how it is continued, for a person."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from detector.alerts import iso
from detector.errors import BrokerUnavailable, Failure
from replay.lateness import Lateness
from replay.progress import rate
from replay.settings import OPEN, Settings


@dataclass(frozen=True, slots=True)
class Stopped:
    """Where a replay ended before its end. rows: how many of the rows or samples in order the broker has for certain.

    row_id, event: of the first one after them (the event ms since 1970 UTC); None where it is not known.
    """

    rows: int
    row_id: bytes | None = None
    event: int | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """What came of it.

    sent, labels: those that the broker has, with the labels what is told beside them. failed, failed_labels: those
    that were handed over and that it did not acknowledge. lateness: of the rows, None without a pace. error: what
    ended the replay early, or the first record's failure. silent: whether it ended because no broker answered.
    stopped: None where all was sent. unit: what was sent, rows or samples. injected: by what was done on purpose, the
    rows that were touched.
    """

    sent: int
    labels: int
    failed: int
    failed_labels: int
    seconds: float
    lateness: Lateness | None
    interrupted: bool
    error: Failure | None
    silent: bool = False
    stopped: Stopped | None = None
    unit: str = "rows"
    injected: Mapping[str, int] = field(default_factory=dict)

    def text(self) -> str:
        """One line for people, and one for each break."""
        start = "replay: interrupted: sent" if self.interrupted else "replay: sent"
        lost = f" ({self.failed_labels} failed)" if self.failed_labels else ""
        late = "" if self.lateness is None else f", {self.lateness.text()}"
        told = "".join(f"\nreplay: injected {spec}: {rows} rows" for spec, rows in self.injected.items())
        return (
            f"{start} {self.sent} {self.unit}, failed {self.failed}, labels {self.labels}{lost}, "
            f"{rate(self.sent, self.seconds, self.unit)}, {self.seconds:.1f} s{late}{told}"
        )

    def outcome(self) -> Failure | None:
        """What makes the command fail."""
        if not (self.failed or self.failed_labels):
            return self.error
        first = self.error or "no answer from the broker"
        kind = BrokerUnavailable if self.silent else type(self.error) if self.error else Failure
        return kind(f"{self.failed} {self.unit} and {self.failed_labels} labels were not acknowledged; first: {first}")


def continued(stopped: Stopped, chosen: Settings) -> str:
    """Where it stopped, and what to say to go on."""
    where = "" if stopped.row_id is None else f" before {_next(chosen)} {stopped.row_id.decode('utf-8', 'replace')}"
    when = "" if stopped.event is None else f" at {iso(stopped.event)}"
    return f"replay: stopped after {stopped.rows} {chosen.unit}{where}{when}; {_how(stopped, chosen)}"


def _next(chosen: Settings) -> str:
    return "one of row" if chosen.as_signal else "row"


def _how(stopped: Stopped, chosen: Settings) -> str:
    if chosen.resume:
        return f"the same command goes on there: --resume {shlex.quote(chosen.resume)}"
    if chosen.as_signal:
        return "a signal goes on where it was with --resume NAME alone, given from the beginning"
    limit = f" --limit {chosen.limit - stopped.rows}" if chosen.limit else ""
    skip = f"--skip {chosen.skip + stopped.rows}{limit}"
    if stopped.event is None or chosen.loop != 1 or chosen.label_delay or chosen.inject:
        return f"to go on there: {skip}"
    end = chosen.between.partition("/")[2] or OPEN
    return f"to go on there: {skip}, or for all from this time on: --between {iso(stopped.event)} {end}"
