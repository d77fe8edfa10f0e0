"""How far a replay is, for whoever watches: a bar for a person, plain lines otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

LINE_SECONDS = 5.0
BAR_SECONDS = 0.1


class Watch(Protocol):
    """every: seconds between two looks."""

    every: float

    def show(self, sent: int, seconds: float, waiting: str) -> None:
        """Rows that the broker has, seconds since the start, and what is waited for if anything."""

    def say(self, line: str) -> None:
        """A line that stays."""


class Lines:
    """A line every few seconds."""

    every = LINE_SECONDS

    def __init__(self, total: int | None, stream: TextIO, unit: str = "rows") -> None:
        self._total, self._stream, self._unit = "" if total is None else f"/{total}", stream, unit

    def show(self, sent: int, seconds: float, waiting: str) -> None:
        """One line, at once."""
        told = f"{self._total} {self._unit}, {rate(sent, seconds, self._unit)}"
        self.say(f"replay: sent {sent}{told}{waiting and f', {waiting}'}")

    def say(self, line: str) -> None:
        """The line, at once."""
        print(line, file=self._stream, flush=True)


class Bar:
    """A bar that fills."""

    every = BAR_SECONDS

    def __init__(self, progress: Progress, total: int | None, unit: str = "rows") -> None:
        self._progress, self._unit = progress, unit
        self._task = progress.add_task("replay", total=total, rate="", waiting="")

    def show(self, sent: int, seconds: float, waiting: str) -> None:
        """Moves the bar."""
        self._progress.update(self._task, completed=sent, rate=rate(sent, seconds, self._unit), waiting=waiting)

    def say(self, line: str) -> None:
        """The line, above the bar."""
        self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)


def rate(count: int, seconds: float, unit: str) -> str:
    """Rows or samples a second, for people."""
    return f"{count / seconds if seconds > 0 else 0:.0f} {unit}/s"


@contextmanager
def watching(total: int | None, stream: TextIO, unit: str = "rows") -> Iterator[Watch]:
    """A bar where a person watches the stream, else lines; the bar is gone when it ends. total: None if unknown."""
    if not stream.isatty():
        yield Lines(total, stream, unit)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]} {task.fields[waiting]}"),
    )
    with Progress(*columns, console=Console(file=stream), transient=True) as progress:
        yield Bar(progress, total, unit)
