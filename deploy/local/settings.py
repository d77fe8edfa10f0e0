"""Every setting of the demo: its default and its meaning; file < environment < flag."""

from __future__ import annotations

from dataclasses import dataclass

from detector.errors import UsageError
from detector.settings import setting
from replay import pace

PREFIX = "DEMO_"
SIMULATED_ROWS = 60_000
MOST_ROWS = 150_000
"""Rows of a person's own file that are trained on, and that are replayed: what two cores do in two minutes."""

SHOW_SECONDS = 24
"""How long the rows are watched, where the speed is not said."""

SPEEDS = (2_500, 6_000)
"""Rows a second, from and to, that two cores keep up with beside everything else that runs here."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What `python -m deploy.local` can be told. Empty text stands for what was not said."""

    data: str = setting("", "a CSV or Parquet file of your own; default: SIMULATED card transactions")
    bootstrap_servers: str = setting(
        "", "a real broker, host:port, where the demo makes topics of its own; default: one inside this process"
    )
    rows: int = setting(
        0, f"most rows to replay; 0: {SIMULATED_ROWS:,} simulated ones, or {MOST_ROWS:,} of DATA", least=0
    )
    speed: str = setting("", f"{pace.SPEEDS}; default: what takes about {SHOW_SECONDS} s")
    epochs: int = setting(20, "most epochs of training", least=1)
    label: str = setting("", "column of DATA's label; default: found by name; none: no column is one")
    normal: str = setting("", "the label's value for a normal row; default: 0")
    time: str = setting("", "column of DATA's event time; default: found by name; none: the file's order holds")
    console: bool = setting(True, "start the console, the page of alerts, where NiceGUI is installed")
    stay: bool = setting(False, "when all rows are through, keep broker and console up until Ctrl-C")
    kafka: dict[str, str] = setting({}, "any librdkafka property for the real broker, KEY=VALUE; may be repeated")

    def __post_init__(self) -> None:
        try:
            pace.parse(self.speed or "max")
        except ValueError as error:
            raise UsageError(f"setting speed: {error}") from error

    def pace_of(self, rows: int) -> str:
        """The speed for so many rows, as replay takes it."""
        slowest, fastest = SPEEDS
        return self.speed or f"{min(max(rows // SHOW_SECONDS, slowest), fastest)}/s"
