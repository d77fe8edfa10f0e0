"""What was said of rows: by the truth that came with history, and by people, whose verdicts these records carry.

A verdict is a label: `{"row_id", "label", "by", "at", "note"}` under the row's id, which `detector feedback` reads too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import msgspec

from detector.feedback import labels

Word = Literal["fraud", "legitimate", "unsure"]
WORDS: tuple[Word, ...] = ("fraud", "legitimate", "unsure")
NAMED: dict[bool | None, Word] = {True: "fraud", False: "legitimate", None: "unsure"}

MOST_NOTE = 1000
"""Characters of a note."""


class _Wire(msgspec.Struct, frozen=True, omit_defaults=True):
    """A verdict's record. at: ISO 8601, UTC."""

    row_id: str
    label: Word
    by: str
    at: str
    note: str = ""


class _Told(msgspec.Struct, frozen=True):
    """What a label may say beside the truth."""

    by: str = ""
    at: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was said of a row. by, at, note: empty where no person said it."""

    word: Word
    by: str = ""
    at: str = ""
    note: str = ""


PLAIN = {word: Verdict(word) for word in WORDS}
"""Of rows whose truth came with history: one for all."""


@dataclass(frozen=True, slots=True)
class Precision:
    """Of alerts with a verdict: how many were right."""

    fraud: int = 0
    legitimate: int = 0
    unsure: int = 0

    @property
    def judged(self) -> int:
        """Alerts of which it was found out."""
        return self.fraud + self.legitimate

    @property
    def share(self) -> float | None:
        """Frauds among them; None where there are none."""
        return self.fraud / self.judged if self.judged else None


def encode(row_id: str, verdict: Verdict) -> tuple[bytes, bytes]:
    """Key and value of a verdict's record."""
    wire = _Wire(row_id, verdict.word, verdict.by, verdict.at, verdict.note)
    return row_id.encode(), msgspec.json.encode(wire)


def decode(value: bytes | None) -> tuple[str, Verdict] | None:
    """A label's row id and what it says; None for a note, which has none; labels.Unreadable where it is neither."""
    label = labels.read(value, 0)
    if label is None:
        return None
    word = NAMED[label.anomalous]
    try:
        told = msgspec.json.decode(value or b"", type=_Told)
    except msgspec.MsgspecError:  # a label all the same: its other fields are somebody's own
        return label.name, PLAIN[word]
    if not (told.by or told.at or told.note):
        return label.name, PLAIN[word]
    return label.name, Verdict(word, told.by, told.at, told.note)


class Verdicts:
    """The last verdict of each row: of all that have an alert, and of the last `most` others, whose alert may come."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._alerting: dict[str, Verdict] = {}
        self._early: dict[str, Verdict] = {}
        self._alerts: dict[str, int] = {}
        self.refused = 0

    def get(self, row_id: str) -> Verdict | None:
        """What was said last of a row."""
        return self._alerting.get(row_id)

    def take(self, values: Iterable[bytes | None]) -> bool:
        """Takes labels in; whether one was of a row with an alert."""
        told = False
        for value in values:
            try:
                said = decode(value)
            except labels.Unreadable:
                self.refused += 1
                continue
            told = bool(said and self.say(*said)) or told
        return told

    def say(self, row_id: str, verdict: Verdict) -> bool:
        """Takes one verdict in; whether it is of a row with an alert."""
        if row_id in self._alerts:
            self._alerting[row_id] = verdict
            return True
        self._early.pop(row_id, None)  # the newest last
        self._early[row_id] = verdict
        if len(self._early) > self._most:
            del self._early[next(iter(self._early))]
        return False

    def alerted(self, row_ids: Iterable[str]) -> None:
        """Alerts of these rows came."""
        for row_id in row_ids:
            self._alerts[row_id] = self._alerts.get(row_id, 0) + 1
            if (verdict := self._early.pop(row_id, None)) is not None:
                self._alerting[row_id] = verdict

    def gone(self, row_ids: Iterable[str]) -> None:
        """Alerts of these rows are no longer held."""
        for row_id in row_ids:
            self._alerts[row_id] -= 1
            if not self._alerts[row_id]:
                del self._alerts[row_id]
                self._alerting.pop(row_id, None)


def precision(verdicts: Iterable[Verdict | None]) -> Precision:
    """Of the verdicts of alerts, None for one without."""
    counts = dict.fromkeys(WORDS, 0)
    for verdict in verdicts:
        if verdict is not None:
            counts[verdict.word] += 1
    return Precision(counts["fraud"], counts["legitimate"], counts["unsure"])
