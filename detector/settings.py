"""Every setting of the detector: its default and its meaning; file < environment < flag."""

from __future__ import annotations

import argparse
import math
import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from detector import log, threshold
from detector.errors import UsageError
from detector.rows import FORMATS, REASONS

DELIVERIES = ("exactly_once", "at_least_once")
T = TypeVar("T")


def setting(
    default: Any, meaning: str, *, choices: Sequence[str] = (), least: float | None = None, most: float | None = None
) -> Any:
    """A field of a settings class. `default` of None means that the person must say it, unless the type allows None."""
    metadata = {"meaning": meaning, "choices": tuple(choices), "least": least, "most": most}
    if isinstance(default, dict):
        return field(default_factory=dict, metadata=metadata)
    return field(default=default, metadata=metadata)


def required(meaning: str) -> Any:
    """A field that has no default."""
    return field(metadata={"meaning": meaning, "choices": (), "least": None, "most": None})


@dataclass(frozen=True, kw_only=True)
class Served:
    """Which model a command speaks of. A class of its own, so that it is the first setting that is asked for."""

    model: Path = required("directory of the artifact to serve, a link to one, or a file that holds its path")
    trusted_key: Path | None = setting(
        None, "PEM file of Ed25519 public keys: only a model that one of them signed is served"
    )


@dataclass(frozen=True, kw_only=True)
class InputSettings:
    """Where the rows are and what is none of them goes: shared by the commands that read them."""

    bootstrap_servers: str = required("brokers to begin with, host:port, comma-separated")
    connect_seconds: float = setting(10.0, "how long a broker may take to answer at the start, s", least=0.1)
    kafka: dict[str, str] = setting({}, "any librdkafka property, KEY=VALUE; may be repeated")
    input_topic: str = setting("transactions", "topic of rows")
    dead_letters_topic: str = setting("", "topic for messages that are no rows; default: INPUT_TOPIC.dead-letters")

    def __post_init__(self) -> None:
        if not self.dead_letters_topic:
            object.__setattr__(self, "dead_letters_topic", dead_letters_of(self.input_topic))


@dataclass(frozen=True, kw_only=True)
class Scoring(InputSettings, Served):
    """All that decides which rows alert: of the detector, and of who checks it."""

    alerts_topic: str = setting("alerts", "topic for alerts")
    models_topic: str = setting("models", "topic that records from which offset on a model serves; none: nowhere")
    group: str = setting("detector", "consumer group; all members share the input's partitions")
    format: str = setting("json", "format of rows without a `format` header", choices=FORMATS)
    threshold: str = setting(
        "",
        "overrides the artifact's: percentile:P, mean+Ksd, mad:K, value:X, f1, "
        "recall@precision:P, budget:N/day or running-mad:K",
    )
    window: int = setting(4096, "scores in a partition's running median and MAD", least=1)
    stride: int = setting(1024, "offsets after which they are taken anew", least=1)
    min_rows: int = setting(256, "scores below which the calibrated threshold holds", least=1)
    field: dict[str, str] = setting(
        {}, "where a feature stands in a nested row, FEATURE=PATH such as V1=payload.v1; may be repeated"
    )
    time_field: str = setting(
        "", "field with the event time, PATH or PATH:s, :ms, :us, :ns; default: the message's timestamp"
    )
    schema_registry: str = setting("", "address of the Schema Registry, for Avro rows")
    registry: dict[str, str] = setting({}, "any property of its client, KEY=VALUE; may be repeated")
    max_row_bytes: int = setting(1 << 20, "longest value that is taken for a row, bytes", least=1)
    window_samples: int = setting(
        0, "a message is one sample of its key's signal, and so many make a row; 0: a message is a row", least=0
    )
    sample_field: str = setting("value", "field with a sample's value, a path as in field")
    index_field: str = setting("sample", "field with its running number in the signal: 0, 1, 2, ...; a path")
    window_reach: int = setting(
        262_144, "offsets after which a row whose samples have not all come is given up", least=1
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.window_samples:
            self._refuse_signal()
        if self.threshold:
            try:
                threshold.parse(self.threshold)
            except ValueError as error:
                raise UsageError(str(error)) from error
        if self.min_rows > self.window:
            raise UsageError(f"setting min_rows has value {self.min_rows}, at most window ({self.window}) wanted")

    def _refuse_signal(self) -> None:
        """UsageError where signals cannot be cut as the settings say."""
        if self.window_reach < self.window_samples:
            least = f"at least window_samples ({self.window_samples})"
            raise UsageError(f"setting window_reach has value {self.window_reach}, {least} wanted")
        if self.sample_field == self.index_field:
            raise UsageError(f"setting index_field has value {self.index_field!r}, another than sample_field wanted")
        if self.field:
            raise UsageError("setting field goes with rows; window_samples has sample_field and index_field")


@dataclass(frozen=True, kw_only=True)
class Settings(Scoring):
    """What `python -m detector run` can be told."""

    instance: str = setting(
        "",
        "name of this member that outlives restarts (a pod's ordinal): a new process of that name "
        "takes over the old one's open transaction at once and fences it",
    )
    replicas: int = setting(
        0, "members that the group shall have, for the alert that there are fewer; 0: any number", least=0
    )
    delivery: str = setting(
        "exactly_once", "exactly_once: alerts and offsets commit in one transaction", choices=DELIVERIES
    )
    reload_seconds: float = setting(2.0, "how often a model that was replaced is looked for, s; 0: never", least=0)
    shadow_model: Path | None = setting(
        None, "artifact that scores the same rows and publishes nothing: how far it agrees is told by metrics"
    )
    scores_topic: str = setting(
        "none", "topic for each row's score, alert or not, which `feedback` reads; none: nowhere"
    )
    scores_amount: str = setting("", "feature whose value, such as money, travels beside the score; default: none")
    drift_topic: str = setting("drift", "topic for changes of the drift state; none: nowhere")
    drift_rows: int = setting(1024, "sampled rows that drift is measured over", least=64)
    drift_every: int = setting(8, "one row in so many is sampled for it, by its offset", least=1)
    drift_psi: float = setting(
        0.1, "PSI above which a feature drifts, or the score, unless chance explains it", least=0
    )
    drift_ks: float = setting(0.1, "Kolmogorov-Smirnov distance above which it does", least=0)
    drift_missing: float = setting(0.05, "change of the share of missing values above which it does", least=0)
    max_batch: int = setting(4096, "most messages that are scored at once", least=1, most=1_000_000)
    max_transaction: int = setting(
        16_384, "messages after which a transaction is committed while more wait than a batch holds", least=1
    )
    linger_ms: int = setting(0, "longest wait for a batch to fill after its first message, ms", least=0)
    until_end: bool = setting(False, "process what the topic held at the start, commit, exit 0")
    metrics_host: str = setting("127.0.0.1", "address for /metrics, /healthz and /readyz; 0.0.0.0 for all")
    metrics_port: int = setting(9108, "their port; 0: any free one", least=0, most=65_535)
    log_level: str = setting("info", "least level of log lines", choices=log.LEVELS)
    log_format: str = setting("text", "json: an object a line, of stable names and fields", choices=log.FORMATS)


@dataclass(frozen=True, kw_only=True)
class TopicSettings:
    """What `python -m detector create-topics` can be told."""

    bootstrap_servers: str = required("brokers to begin with, host:port, comma-separated")
    input_topic: str = setting("transactions", "topic of rows")
    alerts_topic: str = setting("alerts", "topic for alerts")
    dead_letters_topic: str = setting("", "topic for messages that are no rows; default: INPUT_TOPIC.dead-letters")
    labels_topic: str = setting("labels", "topic for labels; none: make none")
    models_topic: str = setting("models", "topic for which model serves from where on; none: make none")
    drift_topic: str = setting("drift", "topic for changes of the drift state; none: make none")
    scores_topic: str = setting("scores", "topic for each row's score; none: make none")
    feedback_topic: str = setting("feedback", "compacted topic for the state of `feedback`; none: make none")
    partitions: int = setting(4, "partitions of each topic: the most detectors that can share the input", least=1)
    replication: int = setting(0, "copies of each partition; 0: the broker's default", least=0)
    min_insync: int = setting(
        0, "copies that must have a record before it counts as written; 0: the broker's default", least=0
    )
    rows_days: float = setting(0.0, "how long rows and scores are kept, days; 0: the broker's default", least=0)
    alerts_days: float = setting(
        0.0, "how long alerts, dead letters and changes of drift are kept, days; 0: the broker's default", least=0
    )
    kafka: dict[str, str] = setting({}, "any librdkafka property, KEY=VALUE; may be repeated")

    def names(self) -> list[str]:
        """The topics, in the order of the line."""
        dead = self.dead_letters_topic or dead_letters_of(self.input_topic)
        return [
            self.input_topic,
            self.alerts_topic,
            dead,
            *wanted(self.labels_topic, self.models_topic, self.drift_topic, self.scores_topic, self.feedback_topic),
        ]


@dataclass(frozen=True, kw_only=True)
class AuditSettings(Scoring):
    """What `python -m detector audit` can be told: the detector's own settings, and what to say of it."""

    ALSO: ClassVar[type[Any]] = Settings

    since: str = setting("", "check rows from the first of this time on, ISO 8601, UTC unless it says; default: all")
    limit: int = setting(20, "most findings to tell one by one, 0: all; all are counted", least=0)
    verbose: bool = setting(False, "a line for each partition")
    json: bool = setting(False, "one JSON object instead of the table and the findings")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.since:
            self.since_ms()

    def since_ms(self) -> int | None:
        """`since` in ms since 1970 UTC; None where it is not given."""
        return milliseconds("since", self.since) if self.since else None


@dataclass(frozen=True, kw_only=True)
class CheckSettings(Settings):
    """What `python -m detector check` can be told: all that `run` can, and how to tell of it."""

    strict: bool = setting(False, "a warning too makes the exit code 1")
    acls: bool = setting(False, "print the least set of ACLs, as arguments of kafka-acls.sh, and look at nothing")
    json: bool = setting(False, "a line of JSON for each finding")


@dataclass(frozen=True, kw_only=True)
class DeadLetterSettings(InputSettings):
    """What `python -m detector dead-letters` can be told."""

    ALSO: ClassVar[type[Any]] = Settings

    reason: str = setting("", "those of this reason alone; default: of all", choices=tuple(REASONS))
    limit: int = setting(20, "most dead letters to tell one by one, the last ones, 0: all; all are counted", least=0)
    group_by_reason: bool = setting(False, "tell reasons alone, how often each, first and last")
    json: bool = setting(False, "a line of JSON for each instead of tables")
    resend: bool = setting(False, "put them back on the input topic, each at most once, however often this is run")
    dry_run: bool = setting(False, "with resend: tell what would be sent")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dry_run and not self.resend:
            raise UsageError("setting dry_run has value True, it goes with resend")
        if self.group_by_reason and self.resend:
            raise UsageError("setting group_by_reason has value True, it does not go with resend")


@dataclass(frozen=True, kw_only=True)
class FeedbackSettings:
    """What `python -m detector feedback` can be told."""

    ALSO: ClassVar[type[Any]] = Settings

    bootstrap_servers: str = required("brokers to begin with, host:port, comma-separated")
    connect_seconds: float = setting(10.0, "how long a broker may take to answer at the start, s", least=0.1)
    kafka: dict[str, str] = setting({}, "any librdkafka property, KEY=VALUE; may be repeated")
    scores_topic: str = setting("scores", "topic of each row's score, as `run --scores-topic` writes it")
    labels_topic: str = setting("labels", "topic of labels")
    feedback_topic: str = setting(
        "feedback", "compacted topic that keeps what is counted and what waits, over restarts"
    )
    feedback_group: str = setting(
        "feedback", "name under which it is kept, and consumer group; a new process of it ends the one before"
    )
    feedback_window: int = setting(10_000, "last labelled rows of a model that its figures are of", least=1)
    max_pending: int = setting(
        500_000, "rows that may wait for a label, and labels for a row; beyond it the oldest go", least=1
    )
    max_wait_days: float = setting(30.0, "longest wait of either, in event time, days", least=0)
    amount: str = setting("", "feature that is money; default: the one that travels with the scores; none: no money")
    commit_seconds: float = setting(1.0, "how often what was counted is committed and shown, s", least=0)
    until_end: bool = setting(False, "read what the topics held at the start, print the figures, exit 0")
    json: Path | None = setting(None, "with until_end: file for the figures as JSON")
    metrics_host: str = setting("127.0.0.1", "address for /metrics, /healthz and /readyz; 0.0.0.0 for all")
    metrics_port: int = setting(9109, "their port; 0: any free one", least=0, most=65_535)
    log_level: str = setting("info", "least level of log lines", choices=log.LEVELS)
    log_format: str = setting("text", "json: an object a line, of stable names and fields", choices=log.FORMATS)

    def __post_init__(self) -> None:
        topics = (self.scores_topic, self.labels_topic, self.feedback_topic)
        if len(set(topics)) < len(topics) or "none" in topics:
            told = ", ".join(map(repr, topics))
            raise UsageError(f"settings scores_topic, labels_topic and feedback_topic are {told}: three topics wanted")
        if self.json and not self.until_end:
            raise UsageError(f"setting json has value {str(self.json)!r}, it goes with until_end")


@dataclass(frozen=True, kw_only=True)
class ConsoleSettings(InputSettings):
    """What `python -m detector console` can be told."""

    ALSO: ClassVar[type[Any]] = Settings

    alerts_topic: str = setting("alerts", "topic of alerts")
    labels_topic: str = setting("labels", "topic that verdicts go to, and where others are read")
    drift_topic: str = setting("drift", "topic of changes of the drift state; none: not shown")
    scores_topic: str = setting("scores", "topic of each row's score, among which an alert's is shown; none: not shown")
    group: str = setting("detector", "consumer group of the detectors, whose throughput and lag are shown")
    history: int = setting(10_000, "last alerts that are held, and read back at the start", least=1, most=1_000_000)
    console_host: str = setting("127.0.0.1", "address to listen on; another than this machine's own wants a sign-in")
    console_port: int = setting(9110, "its port; 0: any free one", least=0, most=65_535)
    address: str = setting(
        "", "how people reach it, such as https://fraud.example.org, where that is through a reverse proxy"
    )
    user: str = setting("", "who gives verdicts where nobody signs in; default: the account that it runs under")
    token_file: Path | None = setting(
        None, "file with a line NAME:TOKEN for each person who may sign in; a token has 16 characters at least"
    )
    user_header: str = setting(
        "", "header in which a reverse proxy says who asks, such as X-Forwarded-User; it must remove what others send"
    )
    proxies: str = setting(
        "127.0.0.1,::1", "addresses or networks, comma-separated, from which that header is believed"
    )
    log_level: str = setting("info", "least level of log lines", choices=log.LEVELS)
    log_format: str = setting("text", "json: an object a line, of stable names and fields", choices=log.FORMATS)

    def __post_init__(self) -> None:
        super().__post_init__()
        if "none" in (self.alerts_topic, self.labels_topic):
            raise UsageError("settings alerts_topic and labels_topic have value 'none', a topic's name wanted")
        if self.token_file and self.user_header:
            raise UsageError("settings token_file and user_header are both given, one of them wanted")


def milliseconds(name: str, text: str) -> int:
    """A time as a person writes it, in ms since 1970 UTC; UsageError names the setting where it is none."""
    try:
        when = datetime.fromisoformat(text)
        return int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise UsageError(f"setting {name} has value {text!r}, a time like 2026-11-23T00:00:00Z wanted") from None


def wanted(*topics: str) -> list[str]:
    """Those of some topics that are not `none`."""
    return [topic for topic in topics if topic != "none"]


def dead_letters_of(input_topic: str) -> str:
    """The default name of an input topic's dead letters."""
    return f"{input_topic}.dead-letters"


def add_flags(parser: argparse.ArgumentParser, cls: type[Any], prefix: str) -> None:
    """Gives a parser a flag for each setting, and `--config FILE`."""
    parser.add_argument("--config", metavar="FILE", help=f"settings as TOML [{prefix}CONFIG]")
    for f in fields(cls):
        parser.add_argument(flag(f), dest=f.name, default=None, help=_help(f, prefix), **_flag_kind(f))


def flag(f: Field[Any]) -> str:
    """How a setting is written on the command line."""
    return "--" + f.name.replace("_", "-")


def default_text(f: Field[Any]) -> str:
    """A setting's default for people."""
    if f.default is MISSING:
        return "" if f.default_factory is not MISSING else "required"
    if f.default is None or f.default == ():
        return ""
    return {False: "off", True: "on"}[f.default] if isinstance(f.default, bool) else str(f.default)


def _help(f: Field[Any], prefix: str) -> str:
    default = default_text(f)
    shown = f" (default: {default})" if default not in ("", "required") else " (required)" if default else ""
    return f"{f.metadata['meaning']}{shown} [{prefix}{f.name.upper()}]".replace("%", "%%")


def _flag_kind(f: Field[Any]) -> dict[str, Any]:
    if f.type == "bool":
        return {"action": argparse.BooleanOptionalAction}
    if f.type == "dict[str, str]":
        return {"action": "append", "metavar": "KEY=VALUE"}
    if f.type == "tuple[str, ...]":
        return {"action": "append", "metavar": f.name.upper()}
    return {"metavar": "|".join(f.metadata["choices"]) or f.name.upper()}


def load(cls: type[T], flags: Mapping[str, Any], prefix: str, environment: Mapping[str, str] | None = None) -> T:
    """Settings from file, environment and flags, each over the one before; UsageError names what is wrong.

    flags: what `argparse` found, None where a flag was not given.
    """
    environment = os.environ if environment is None else environment
    path = flags.get("config") or environment.get(f"{prefix}CONFIG")
    from_file = _read_file(Path(path), cls) if path else {}
    values: dict[str, Any] = {}
    for f in fields(cls):  # type: ignore[arg-type]
        if f.type == "dict[str, str]":
            values[f.name] = _properties(f, from_file, environment, flags, prefix)
            continue
        for found, where in (
            (flags.get(f.name), flag(f)),
            (environment.get(f"{prefix}{f.name.upper()}"), f"{prefix}{f.name.upper()}"),
            (from_file.get(f.name), f"{path}: {f.name}"),
        ):
            if found is not None:
                values[f.name] = _convert(f, found, where)
                break
        else:
            if f.default is MISSING:
                raise UsageError(f"setting {f.name} is missing: {flag(f)} or {prefix}{f.name.upper()}")
    return cls(**values)


def _read_file(path: Path, cls: type[Any]) -> dict[str, Any]:
    try:
        found = tomllib.loads(path.read_text())
    except OSError as error:
        raise UsageError(f"config {path}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"config {path}: not TOML: {error}") from error
    known = {f.name for one in (cls, getattr(cls, "ALSO", cls)) for f in fields(one)}
    if unknown := set(found) - known:
        raise UsageError(f"config {path}: unknown setting {', '.join(sorted(unknown))}")
    return found


def _convert(f: Field[Any], found: Any, where: str) -> Any:
    kind = f.type
    try:
        value = _CONVERTERS[str(kind)](found)
    except (ValueError, TypeError):
        raise UsageError(f"{where} has value {found!r}, {_WANTED[str(kind)]} wanted") from None
    if f.metadata["choices"] and value not in f.metadata["choices"]:
        raise UsageError(f"{where} has value {found!r}, one of {', '.join(f.metadata['choices'])} wanted")
    if f.metadata["least"] is not None and value < f.metadata["least"]:
        raise UsageError(f"{where} has value {found!r}, at least {f.metadata['least']} wanted")
    if f.metadata["most"] is not None and value > f.metadata["most"]:
        raise UsageError(f"{where} has value {found!r}, at most {f.metadata['most']} wanted")
    return value


def _boolean(found: Any) -> bool:
    truths = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    return truths[str(found).lower()] if str(found).lower() in truths else _refuse(found)


def _refuse(found: Any) -> bool:
    raise ValueError(found)


def _whole(found: Any) -> int:
    return int(found) if not isinstance(found, (bool, float)) else _refuse(found)


def _number(found: Any) -> float:
    number = float(found)
    return number if math.isfinite(number) and not isinstance(found, bool) else _refuse(found)


def _text(found: Any) -> str:
    return str(found) if not isinstance(found, (bool, dict, list)) else str(_refuse(found))


def _texts(found: Any) -> tuple[str, ...]:
    """Several texts: a flag more than once, a list of a file, or an environment variable with ; between them."""
    if not isinstance(found, (str, list)):
        raise ValueError(found)
    parts = found.split(";") if isinstance(found, str) else found
    return tuple(text for part in parts if (text := _text(part).strip()))


_CONVERTERS: dict[str, Any] = {
    "str": _text,
    "tuple[str, ...]": _texts,
    "Path": Path,
    "Path | None": Path,
    "int": _whole,
    "float": _number,
    "bool": _boolean,
}
_WANTED = {
    "str": "text",
    "tuple[str, ...]": "a list of texts",
    "Path": "a path",
    "Path | None": "a path",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
}


def _properties(
    f: Field[Any], file: Mapping[str, Any], environment: Mapping[str, str], flags: Mapping[str, Any], prefix: str
) -> dict[str, str]:
    """Pairs: a TOML table; DETECTOR_KAFKA_SASL_PASSWORD for sasl.password; --kafka KEY=VALUE.

    Names of features keep their letters: DETECTOR_FIELD_V1 is V1.
    """
    found = {key: _property_text(value) for key, value in _flat(file.get(f.name, {}), f.name)}
    start = f"{prefix}{f.name.upper()}_"
    found |= {
        _property_name(f, name.removeprefix(start)): value
        for name, value in environment.items()
        if name.startswith(start)
    }
    for pair in flags.get(f.name) or ():
        key, equals, value = pair.partition("=")
        if not (key and equals):
            raise UsageError(f"{flag(f)} wants KEY=VALUE, {key!r} has no value")
        found[key] = value
    return found


def _property_name(f: Field[Any], name: str) -> str:
    return name if f.name == "field" else name.lower().replace("_", ".")


def _flat(table: Any, name: str, before: str = "") -> list[tuple[str, Any]]:
    """`[kafka] sasl.password = "x"` is a nested table in TOML; librdkafka's names are flat."""
    if not isinstance(table, dict):
        raise UsageError(f"config: {name} has a value that is no table of properties")
    pairs: list[tuple[str, Any]] = []
    for key, value in table.items():
        pairs += _flat(value, name, f"{before}{key}.") if isinstance(value, dict) else [(before + key, value)]
    return pairs


def _property_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
