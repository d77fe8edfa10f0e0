"""Every setting of a replay: its default and its meaning; file < environment < flag."""

from __future__ import annotations

from dataclasses import dataclass

from detector.errors import UsageError
from detector.settings import milliseconds, setting
from replay import labels, pace
from replay.inject import scenarios
from replay.inject.spec import Spec

PREFIX = "REPLAY_"
NONE = "none"
NOW, ORIGINAL = "now", "original"
AUTO, TIME, FILE = "auto", "time", "file"
FORMATS = ("json", "packed")
"""Formats that rows are sent in; the detector reads Avro, too."""

PARTITIONERS = ("murmur2_random", "murmur2", "consistent_random", "consistent", "fnv1a_random", "fnv1a", "random")
OPEN = ".."
"""Stands for no bound where two times are wanted."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What `python -m replay` can be told beside DATA. Empty text stands for what was not said."""

    bootstrap_servers: str = setting("", "brokers to begin with, host:port, comma-separated; wanted but for dry_run")
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
    accounts: bool = setting(
        False, "rows are raw Twitter accounts: play the sixteen numbers of the English ones, as a model of these has it"
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
    order: str = setting(
        AUTO,
        "time: by event time over all files, sorted on disk where one is neither sorted nor small; file: as the rows "
        "stand; auto: by time, but standard input as it comes, refused where a row is older than the one before",
        choices=(AUTO, TIME, FILE),
    )
    between: str = setting(
        "", "rows of these event times alone, T1/T2: from T1 on and before T2, ISO 8601 or seconds; ..: no bound"
    )
    sample: float = setting(1.0, "this share of the keys, whole histories, the same in every run", least=0, most=1)
    loop: int = setting(1, "passes over the data, event time going on from one to the next; 0: for ever", least=0)
    skip: int = setting(0, "leave out so many rows of what would be played", least=0)
    limit: int = setting(0, "send the first rows only, in the order of event time; 0: all", least=0)
    start_at: str = setting("", "wait until this time, ISO 8601, UTC unless it says: the first row is sent then")
    partitioner: str = setting(
        "murmur2_random", "how a key finds its partition; murmur2 is that of Java's client", choices=PARTITIONERS
    )
    label_delay: str = setting("", f"time between a row and its label, in the data's time: {labels.DELAYS}")
    label_share: float = setting(1.0, "share of the rows whose label is ever sent, drawn by seed", least=0, most=1)
    as_signal: bool = setting(
        False, "each row's features as samples, one a message, as the detector's window_samples reads them"
    )
    sample_rate: float = setting(
        175.0,
        "samples a second of a signal, by which 140 take .8 s; where the key's next row comes within ten times as "
        "long, a row's samples are spread up to it",
        least=0.001,
    )
    seed: int = setting(0, "what is drawn at random is drawn from it")
    inject: tuple[str, ...] = setting(
        (), "break the history on purpose: KIND:..., or a name of `python -m replay scenarios`; may be repeated"
    )
    resume: str = setting(
        "",
        "a name for this replay: its rows are sent in transactions, and the same command after a kill goes on behind "
        "the last row sent; each is there once for readers of committed messages",
    )
    resume_topic: str = setting("replays", "topic that holds how far each named replay came; made if it is not there")
    max_lead: int = setting(0, "rows that the group may be behind: wait rather than run further ahead; 0: any", least=0)
    group: str = setting("", "the consumer group of max_lead")
    timeout: float = setting(60.0, "how long a broker may answer nothing before the replay ends, s", least=0.1)
    metrics_host: str = setting("127.0.0.1", "address for /metrics; 0.0.0.0 for all")
    metrics_port: str = setting(NONE, "its port; 0: any free one; none: metrics are not served")
    dry_run: bool = setting(
        False, "tell what would be sent and send nothing; needs no broker, and asks one that is named for partitions"
    )
    connect_seconds: float = setting(10.0, "how long a broker may take to answer at the start, s", least=0.1)
    kafka: dict[str, str] = setting({}, "any librdkafka property, KEY=VALUE; may be repeated")

    def __post_init__(self) -> None:
        for name, parse in (("speed", pace.parse), ("label_delay", labels.parse)):
            try:
                parse(getattr(self, name))
            except ValueError as error:
                raise UsageError(f"setting {name}: {error}") from error
        if not self.bootstrap_servers and not self.dry_run:
            raise UsageError("setting bootstrap_servers is missing: --bootstrap-servers or REPLAY_BOOTSTRAP_SERVERS")
        self._refuse_pairs()
        if len(set(self.feature_names)) != len(self.feature_names):
            raise UsageError(f"setting features has value {self.features!r}, each name once wanted")
        if not self.sample:
            raise UsageError("setting sample has value 0.0, more than 0 wanted")
        _ = self.bounds, self.start_ms, self.port, self.injections

    def _refuse_pairs(self) -> None:
        if bool(self.max_lead) != bool(self.group):
            raise UsageError("settings max_lead and group go together: rows, and the group that they wait for")
        if self.labels_topic == self.topic:
            raise UsageError(f"settings topic and labels_topic are both {self.topic!r}: a label is no row")
        if self.resume and self.resume_topic in (self.topic, self.labels_topic):
            raise UsageError(f"setting resume_topic has value {self.resume_topic!r}, a topic of its own wanted")
        if self.as_signal and self.inject:
            raise UsageError("settings as_signal and inject do not go together: what is broken are rows")
        if self.accounts and self.features:
            raise UsageError("settings accounts and features do not go together: an account has its sixteen")
        if self.resume and self.skip:
            raise UsageError("settings resume and skip do not go together: a named replay knows where it was")

    @property
    def pace(self) -> pace.Speed:
        """The speed, understood."""
        return pace.parse(self.speed)

    @property
    def row_format(self) -> str:
        """The format by which columns make a row: samples are numbers, as packed rows are."""
        return "packed" if self.as_signal else self.format

    @property
    def unit(self) -> str:
        """What is sent, one a message."""
        return "samples" if self.as_signal else "rows"

    @property
    def delay(self) -> labels.Delay:
        """The labels' delay, understood."""
        return labels.parse(self.label_delay)

    @property
    def injections(self) -> tuple[Spec, ...]:
        """What is broken on purpose, scenarios by what they stand for."""
        return scenarios.understood(self.inject)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The features asked for, in order."""
        return tuple(name.strip() for name in self.features.split(",") if name.strip())

    @property
    def bounds(self) -> tuple[int | None, int | None]:
        """The event times of `between`, ms since 1970 UTC, None for no bound."""
        if not self.between:
            return None, None
        first, slash, end = self.between.partition("/")
        if not slash:
            raise UsageError(f"setting between has value {self.between!r}, T1/T2 wanted")
        low, high = _event_time(first.strip()), _event_time(end.strip())
        if low is not None and high is not None and low >= high:
            raise UsageError(f"setting between has value {self.between!r}, an earlier and a later time wanted")
        return low, high

    @property
    def start_ms(self) -> int | None:
        """The moment of the first row, ms since 1970 UTC; None for at once."""
        return milliseconds("start_at", self.start_at) if self.start_at else None

    @property
    def port(self) -> int | None:
        """The port for metrics, None for none."""
        if self.metrics_port == NONE:
            return None
        if not self.metrics_port.isdecimal() or int(self.metrics_port) > 65_535:
            raise UsageError(f"setting metrics_port has value {self.metrics_port!r}, 0 to 65535 or none wanted")
        return int(self.metrics_port)


def _event_time(text: str) -> int | None:
    """A bound in ms: numbers are seconds, as in a column of times."""
    if text in (OPEN, ""):
        return None
    try:
        return round(float(text) * 1000)
    except (ValueError, OverflowError):
        return milliseconds("between", text)
