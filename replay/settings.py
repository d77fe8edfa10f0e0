"""Every setting of a replay: its default and its meaning; file < environment < flag."""

from __future__ import annotations

from dataclasses import dataclass

from detector.errors import UsageError
from detector.settings import required, setting
from replay import pace

PREFIX = "REPLAY_"
NONE = "none"
NOW, ORIGINAL = "now", "original"
FORMATS = ("json", "packed")
"""Formats that rows are sent in; the detector reads Avro, too."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What `python -m replay` can be told beside DATA. Empty text stands for what was not said."""

    bootstrap_servers: str = required("brokers to begin with, host:port, comma-separated")
    topic: str = setting("transactions", "topic for rows")
    labels_topic: str = setting("labels", "topic for labels, which never travel in the row; none: send none")
    speed: str = setting("max", pace.SPEEDS)
    format: str = setting("json", "json: text, every digit kept; packed: float32, little endian", choices=FORMATS)
    model: str = setting("", "an artifact whose features, key, time, label and normal value hold where no flag says")
    features: str = setting(
        "",
        "columns that make a row, comma-separated; default: for json all but the label, "
        "for packed all numbers but label, time and key",
    )
    key: str = setting("", "column of the record's key, the entity; default: found by name; none: no key")
    time: str = setting("", "column of the event time; default: found by name; none: the file's order holds")
    label: str = setting("", "column of the label; default: found by name; none: no column is one")
    normal: str = setting("", "the label's value for a normal row; default: found, 0 for numbers")
    timestamps: str = setting(
        NOW,
        "now: the first row happens now, the others as the speed has it; original: the file's own times, "
        "numbers being seconds since 1970 (a topic's retention may find them too old)",
        choices=(NOW, ORIGINAL),
    )
    limit: int = setting(0, "send the first rows only, in the order of event time; 0: all", least=0)
    max_lead: int = setting(0, "rows that the group may be behind: wait rather than run further ahead; 0: any", least=0)
    group: str = setting("", "the consumer group of max_lead")
    connect_seconds: float = setting(10.0, "how long a broker may take to answer at the start, s", least=0.1)
    kafka: dict[str, str] = setting({}, "any librdkafka property, KEY=VALUE; may be repeated")

    def __post_init__(self) -> None:
        try:
            pace.parse(self.speed)
        except ValueError as error:
            raise UsageError(f"setting speed: {error}") from error
        if bool(self.max_lead) != bool(self.group):
            raise UsageError("settings max_lead and group go together: rows, and the group that they wait for")
        if self.labels_topic == self.topic:
            raise UsageError(f"settings topic and labels_topic are both {self.topic!r}: a label is no row")
        if len(set(self.feature_names)) != len(self.feature_names):
            raise UsageError(f"setting features has value {self.features!r}, each name once wanted")

    @property
    def pace(self) -> pace.Speed:
        """The speed, understood."""
        return pace.parse(self.speed)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The features asked for, in order."""
        return tuple(name.strip() for name in self.features.split(",") if name.strip())
