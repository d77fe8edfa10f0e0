"""Every setting of a backtest: its default and its meaning; file < environment < flag."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from detector.errors import UsageError
from detector.settings import required, setting
from replay.settings import AUTO, FILE, FORMATS, TIME
from replay.settings import Settings as ReplaySettings

PREFIX = "BACKTEST_"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What `python -m replay backtest` can be told beside DATA. Empty text stands for what was not said."""

    model: Path = required("an artifact; a second --model DIR is shown beside it")
    other_model: str = setting("", "the second one, where it is not said by a second --model")
    out: Path = setting(Path("backtest.html"), "file for the report; an older report is replaced, nothing else is")
    bootstrap_servers: str = setting("", "a broker, where topics of its own are made; default: one in this process")
    keep: bool = setting(False, "leave the topics and groups on the broker, and send the labels there too")
    amount: str = setting("", "feature that is money; default: the one that the artifact knows; none: no money")
    format: str = setting(
        AUTO, "auto: packed, but json where two models have different features", choices=(AUTO, *FORMATS)
    )
    key: str = setting("", "column of the record's key, the entity; default: the model's, or by name; none: no key")
    time: str = setting("", "column of the event time; default: the model's, or found by name; none: no times")
    label: str = setting("", "column of the label; default: the model's, or found by name; none: no labels")
    normal: str = setting("", "the label's value for a normal row; default: the model's, or found")
    order: str = setting(AUTO, "as of a replay: by event time, or as the rows stand", choices=(AUTO, TIME, FILE))
    between: str = setting("", "rows of these event times alone, T1/T2, ISO 8601 or seconds; ..: no bound")
    sample: float = setting(1.0, "this share of the keys, whole histories", least=0, most=1)
    limit: int = setting(0, "play the first rows only, in the order of event time; 0: all", least=0)
    timeout: float = setting(60.0, "how long broker or detector may be silent before the backtest ends, s", least=0.1)
    connect_seconds: float = setting(10.0, "how long a broker may take to answer at the start, s", least=0.1)
    kafka: dict[str, str] = setting({}, "any librdkafka property, KEY=VALUE; may be repeated")

    def __post_init__(self) -> None:
        if self.keep and not self.bootstrap_servers:
            raise UsageError("setting keep goes with bootstrap_servers: the broker in this process ends with it")
        self.replayed("nowhere:1", "rows", "labels", FORMATS[0])

    @property
    def models(self) -> list[Path]:
        """The artifacts, one or two."""
        return [self.model, *([Path(self.other_model)] if self.other_model else [])]

    def replayed(self, bootstrap_servers: str, topic: str, labels: str, format_: str) -> ReplaySettings:
        """The replay's settings that these stand for. UsageError where one of them is wrong."""
        return ReplaySettings(
            bootstrap_servers=bootstrap_servers,
            topic=topic,
            labels_topic=labels,
            format=format_,
            key=self.key,
            time=self.time,
            label=self.label,
            normal=self.normal,
            order=self.order,
            between=self.between,
            sample=self.sample,
            limit=self.limit,
            timeout=self.timeout,
            connect_seconds=self.connect_seconds,
            kafka=self.kafka,
        )
