"""What a detector makes of a partition's rows, worked out again from the log and the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from detector import takeover
from detector.alerts import Alert, ModelName
from detector.audit.ledger import DEAD_LETTER, Parts, alert_parts, dead_letter_parts
from detector.dead_letters import origin
from detector.detection import build_alerts, judge
from detector.rebuild import Ranges, rebuild
from detector.records import alert_records, dead_letter
from detector.rows import Decoder, Message, Reject
from detector.serving import Serving
from detector.statistics import RunningMedianMad, Summary
from detector.takeover import takeovers


class Span(NamedTuple):
    """Offsets of a partition to check: start <= offset < end. low: the first that the log still has."""

    low: int
    start: int
    end: int


class Term(NamedTuple):
    """What serves a partition from an offset on, up to `end` (None: no end). serving: None where it is not at hand."""

    serving: Serving | None
    end: int | None = None


Read = Callable[[Ranges], Iterator[Sequence[Message]]]
"""Reads start <= offset < end of each partition, in batches, each partition in order."""

Served = Callable[[int, int], Term]
"""What scored the row at a partition's offset."""


def by_one(find: Callable[[int, int], takeover.Term], serving: Serving) -> Served:
    """The terms of one model, others' being those of models that are not at hand.

    find: what the takeovers tell. Rows before the first one count as the model's own: nobody else is known.
    """
    mine = decides(serving)

    def served(partition: int, offset: int) -> Term:
        told, end = find(partition, offset)
        return Term(serving if told is None or (told.model, told.threshold, told.method) == mine else None, end)

    return served


def decides(serving: Serving) -> tuple[ModelName, float, str]:
    """What takeovers call a model and its line."""
    (own,) = takeovers("", "", {0: 0}, serving.artifact.name, serving.line, None, "")
    return own.model, own.threshold, own.method


class Witness(RunningMedianMad):
    """Running statistics that know from which offset on they are those of a reader who saw the whole log.

    sure_from: that offset; None while fewer than `window` scores have been seen of a log whose beginning has expired.
    """

    def __init__(self, window: int, stride: int, min_rows: int, low: int) -> None:
        super().__init__(window, stride, min_rows)
        self.sure_from: int | None = 0 if low == 0 else None
        self._seen, self._edge, self._below = 0, -1, 0

    def update(self, offsets: NDArray[np.int64], scores: NDArray[np.float32]) -> Iterator[tuple[slice, Summary | None]]:
        """As RunningMedianMad does."""
        if self.sure_from is None:
            self._look(offsets)
        return super().update(offsets, scores)

    def _look(self, offsets: NDArray[np.int64]) -> None:
        """For each row, counts the rows below its stride's edge."""
        edges = offsets // self.stride * self.stride
        below = self._seen + np.searchsorted(offsets, edges)
        below[edges == self._edge] = self._below  # the stride began in an earlier batch
        full = np.flatnonzero(below >= self.window)
        if len(full):
            self.sure_from = int(offsets[full[0]])
        elif len(offsets):
            self._edge, self._below = int(edges[-1]), int(below[-1])
        self._seen += len(offsets)

    def unsure(self, offsets: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those of the offsets (n,) that it is not sure of."""
        return offsets if self.sure_from is None else offsets[offsets < self.sure_from]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a row must have. parts: those allowed, of which its record must have one. why: for people."""

    parts: tuple[Parts, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Scored:
    """Rows in the log's order. offsets: int64 (n,). scores: float32 (n,). thresholds: those in force, float64 (n,)."""

    offsets: NDArray[np.int64]
    scores: NDArray[np.float32]
    thresholds: NDArray[np.float64]

    def part(self, start: int, end: int) -> Scored:
        """Those of start <= offset < end."""
        at = _within(self.offsets, start, end)
        return Scored(self.offsets[at], self.scores[at], self.thresholds[at])

    def behind(self, before: Scored) -> Scored:
        """Those before, and these."""
        return Scored(
            np.concatenate((before.offsets, self.offsets)),
            np.concatenate((before.scores, self.scores)),
            np.concatenate((before.thresholds, self.thresholds)),
        )


def _within(offsets: NDArray[np.int64], start: int, end: int) -> slice:
    """Where start <= offset < end, of offsets in order."""
    first, last = np.searchsorted(offsets, [start, end]).tolist()
    return slice(first, last)


@dataclass(frozen=True, slots=True)
class Expected:
    """What a detector makes of messages of one partition, the next ones up to the offset `end`.

    offsets: of all of them, rows and others (n,). scored: None where the model is not at hand. alerts and rejects: what
    some of them must have, by offset. unsure: rows of which it cannot be told whether they alert. model: sha256.
    waiting: samples that are part of no row up to the span's end; what comes of them is decided behind it.
    """

    end: int
    offsets: NDArray[np.int64]
    scored: Scored | None
    alerts: Mapping[int, Wanted]
    rejects: Mapping[int, Wanted]
    unsure: frozenset[int]
    model: str
    waiting: frozenset[int] = frozenset()

    def cut(self, offset: int) -> tuple[Expected, Expected]:
        """What is expected of messages below an offset, and of the others."""
        return self._part(0, min(offset, self.end)), self._part(offset, self.end)

    def _part(self, start: int, end: int) -> Expected:
        at = _within(self.offsets, start, end)
        return replace(
            self,
            end=end,
            offsets=self.offsets[at],
            scored=self.scored and self.scored.part(start, end),
            alerts={offset: one for offset, one in self.alerts.items() if start <= offset < end},
            rejects={offset: one for offset, one in self.rejects.items() if start <= offset < end},
            unsure=frozenset(offset for offset in self.unsure if start <= offset < end),
        )

    def behind(self, before: Expected) -> Expected:
        """This and what was expected of messages before it, as one."""
        assert self.scored is not None
        assert before.scored is not None
        return replace(
            self,
            offsets=np.concatenate((before.offsets, self.offsets)),
            scored=self.scored.behind(before.scored),
            alerts={**before.alerts, **self.alerts},
            rejects={**before.rejects, **self.rejects},
            unsure=before.unsure | self.unsure,
        )

    def instead(self, what: str, offset: int) -> str:
        """Why a message must have no such record."""
        if offset not in self.offsets or self.scored is None:
            return "none, the log has no message there"
        if offset in self.rejects:
            return f"none, but {self.rejects[offset].why}"
        if offset not in self.scored.offsets:
            return "none, it is a sample, not a row's last one" if what != DEAD_LETTER else "none, it is a row's sample"
        if what == DEAD_LETTER:
            return "none, the message is a row"
        row = int(np.searchsorted(self.scored.offsets, offset))
        return f"none, score {self.scored.scores[row]:.9g} is not above {self.scored.thresholds[row]:.9g}"


def rerun(
    partition: int, span: Span, served: Served, read: Read, empty: Callable[[int], Witness]
) -> Iterator[Expected]:
    """Scores a span of a partition again, batch by batch, up to its end.

    read: reads the partition's log. empty: statistics without scores, of a log with this first offset.
    """
    start = span.start
    while start < span.end:
        term = _sure(served(partition, start), span.low, start)
        end = span.end if term.end is None else min(term.end, span.end)
        here = Span(span.low, start, end)
        if term.serving is None:
            for messages in read({partition: (start, end)}):
                if messages:
                    yield _nothing(messages[-1].offset() + 1, messages, None)
            yield _nothing(end, [], None)
        else:
            yield from _settled(partition, here, term.serving, read, empty(span.low))
        start = end


def _sure(term: Term, low: int, start: int) -> Term:
    """What rows were made of near a log's expired beginning cannot be told, where a row is made of several messages."""
    first = _first_sure(term.serving, low) if term.serving else 0
    return term if start >= first else Term(None, first if term.end is None else min(first, term.end))


def _first_sure(serving: Serving, low: int) -> int:
    """The first offset at which no row can end that began before the log does."""
    reach = serving.decoder.reach
    return low + reach + 1 if low and reach else low


def _settled(partition: int, span: Span, serving: Serving, read: Read, window: Witness) -> Iterator[Expected]:
    """What one model makes of a span, told as soon as it is decided: samples that wait are held back."""
    _prepare(window, partition, span, serving, read)
    decoder = serving.decoder.fresh()
    if decoder.reach:
        for messages in read({partition: (max(span.start - decoder.reach - 1, span.low), span.start)}):
            decoder.decode(messages)
    held = _nothing(span.start, [], serving)
    for messages in read({partition: (span.start, span.end)}):
        if messages:
            _, held = _expected(messages, serving, decoder, window).behind(held).cut(span.start)
            decided, held = held.cut(max(next(iter(decoder.open_offsets(partition)), held.end), span.start))
            yield decided
    waiting = frozenset(offset for offset in decoder.open_offsets(partition) if offset >= span.start)
    yield replace(_nothing(span.end, [], serving).behind(held), waiting=waiting)


def _prepare(window: Witness, partition: int, span: Span, serving: Serving, read: Read) -> None:
    """A model's first row sees what it would see if the model had always served: the log is the state."""
    first = min(_first_sure(serving, span.low), span.start)

    def led(ranges: Ranges) -> Iterator[Sequence[Message]]:
        return read({p: (span.low if start <= first else start, end) for p, (start, end) in ranges.items()})

    rebuild({partition: span.start}, lambda _: first, led, serving.decoder, serving.model, lambda: window)


def _expected(messages: Sequence[Message], serving: Serving, decoder: Decoder, window: Witness) -> Expected:
    rows, rejects = decoder.decode(messages)
    scores = serving.model.score(rows.matrix)
    verdicts = judge(rows, scores, serving.line, lambda _: window)
    thresholds = np.empty(len(rows))
    for segment in verdicts.segments:
        thresholds[segment.rows] = segment.threshold.value
    alerts = build_alerts(rows, verdicts, serving.model, serving.artifact, "")
    return Expected(
        messages[-1].offset() + 1,
        _offsets(messages),
        Scored(rows.offset, scores, thresholds),
        {message.offset(): _alert(alert, message) for alert, message in alerts},
        {reject.message.offset(): _reject(reject) for reject in rejects},
        frozenset(window.unsure(rows.offset).tolist()),
        serving.artifact.name.sha256,
    )


def _nothing(end: int, messages: Sequence[Message], serving: Serving | None) -> Expected:
    """Of messages whose model is not at hand; or of offsets without messages."""
    scored = Scored(np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0)) if serving else None
    model = serving.artifact.name.sha256 if serving else ""
    return Expected(end, _offsets(messages), scored, {}, {}, frozenset(), model)


def _offsets(messages: Sequence[Message]) -> NDArray[np.int64]:
    return np.fromiter((message.offset() for message in messages), np.int64, len(messages))


def _alert(alert: Alert, message: Message) -> Wanted:
    (record,) = alert_records([(alert, message)], "")
    parts = alert_parts(record.key, msgspec.json.decode(record.value or b""), record.headers)
    return Wanted((parts,), f"an alert, score {alert.score:.9g} is above {alert.threshold:.9g} ({alert.method})")


def _reject(reject: Reject) -> Wanted:
    """A dead letter with its bytes, or one without: what the topic could take when it was written is not known."""
    allowed = []
    for limit in (None, 0):
        record = dead_letter(reject, "", limit)
        told = origin(record.headers)
        assert told is not None
        allowed.append(dead_letter_parts(told, record.key, record.value))
    return Wanted(tuple(allowed), f"a dead letter, {reject.reason}")
