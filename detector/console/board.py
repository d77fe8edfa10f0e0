"""All that the pages show. Whoever reads topics fills it, whoever draws pages reads it, each holding its lock."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from detector import alerts
from detector.console.alerts import Alerts, Entry
from detector.console.drifting import Drifting
from detector.console.listing import Filter, Listing, Order, listed, model_text
from detector.console.spread import Spread
from detector.console.traffic import Traffic
from detector.console.verdicts import Precision, Verdict, Verdicts, precision
from detector.dead_letters import Overview
from detector.rows import Message

EARLY_LABELS = 100_000
"""Labels that are kept of rows without an alert: theirs may come."""

LETTERS = 100
"""Dead letters that are told one by one."""


@dataclass(slots=True)
class Topic:
    """How the reading of a topic goes. trouble: why it cannot be read, for people. missing: because it is not there.

    loaded: its history has been read. read: records since the start. needed: the console is of no use without it.
    """

    name: str
    needed: bool = False
    loaded: bool = False
    read: int = 0
    trouble: str = ""
    missing: bool = False


@dataclass(frozen=True, slots=True)
class Choices:
    """What filters can ask for: models by name and version, and features that alerts name, the most frequent first."""

    models: list[str]
    reasons: list[str]


@dataclass
class Board:
    """What is known now.

    version: grows with each change of what a list of alerts shows. trouble: why no broker answers, empty where one
    does. bug: what ended the reading of a topic, empty where nothing did. refused: records of the alerts' topic that
    are none.
    """

    history: int
    input_topic: str
    lock: threading.RLock = field(default_factory=threading.RLock)
    version: int = 0
    trouble: str = ""
    bug: str = ""
    refused: int = 0
    topics: dict[str, Topic] = field(default_factory=dict)
    traffic: Traffic = field(default_factory=Traffic)
    drifting: Drifting = field(default_factory=Drifting)
    spread: Spread = field(default_factory=Spread)

    def __post_init__(self) -> None:
        self.alerts = Alerts(self.history)
        self.verdicts = Verdicts(EARLY_LABELS)
        self.letters = Overview(self.input_topic, limit=LETTERS)

    def take_alerts(self, messages: Sequence[Message]) -> None:
        """Takes in records of alerts, the oldest first; what is none is counted."""
        entries = []
        for message in messages:
            try:
                alert = alerts.decode(message.value() or b"")
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                self.refused += 1
                continue
            entries.append(Entry.of(alert, message.timestamp()[1]))
        with self.lock:
            self.add(entries)

    def add(self, entries: Iterable[Entry]) -> None:
        """Takes in alerts, the oldest first."""
        with self.lock:
            new, gone = self.alerts.add(entries)
            self.verdicts.alerted(entry.name for entry in new)
            self.verdicts.gone(entry.name for entry in gone)
            self.version += bool(new)

    def take_labels(self, messages: Sequence[Message]) -> None:
        """Takes in labels."""
        with self.lock:
            self.version += self.verdicts.take(message.value() for message in messages)

    def say(self, row_id: str, verdict: Verdict) -> None:
        """A verdict was given, and is in its topic."""
        with self.lock:
            self.version += self.verdicts.say(row_id, verdict)

    def take_drift(self, messages: Sequence[Message]) -> None:
        """Takes in events of drift."""
        with self.lock:
            self.drifting.take((message.value(), message.timestamp()[1]) for message in messages)

    def take_letters(self, messages: Sequence[Message]) -> None:
        """Takes in dead letters."""
        with self.lock:
            self.letters.take(messages)

    def take_scores(self, messages: Sequence[Message]) -> None:
        """Takes in records of scores."""
        with self.lock:
            self.spread.take(message.value() for message in messages)

    def verdict_of(self, entry: Entry) -> Verdict | None:
        """What was said last of an alert's row."""
        return self.verdicts.get(entry.name)

    def listing(self, wanted: Filter, order: Order, start: int, most: int) -> Listing:
        """A page of alerts."""
        with self.lock:
            return listed(self.alerts, wanted, order, start, most, self._word)

    def _word(self, entry: Entry) -> str | None:
        verdict = self.verdict_of(entry)
        return verdict.word if verdict else None

    def precision(self, model: str = "") -> Precision:
        """How right the alerts are that are held; model: those of this name and version."""
        with self.lock:
            return precision(self.verdict_of(entry) for entry in self.alerts if not model or model_text(entry) == model)

    def choices(self) -> Choices:
        """What filters can ask for."""
        with self.lock:
            models = Counter(model_text(entry) for entry in self.alerts)
            features = Counter(reason.feature for entry in self.alerts for reason in entry.alert.reasons)
        return Choices([name for name, _ in models.most_common()], [name for name, _ in features.most_common()])

    def neighbours(self, entry: Entry) -> tuple[Entry | None, Entry | None]:
        """The alert that came after one, and the one before it; None where there is none."""
        with self.lock:
            newer: Entry | None = None
            every = iter(self.alerts)
            for one in every:
                if one is entry:
                    return newer, next(every, None)
                newer = one
        return None, None
