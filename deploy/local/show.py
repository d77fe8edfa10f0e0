"""Where it is shown: a person's terminal, or lines for whatever reads them."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Protocol

from rich.console import Console, RenderableType
from rich.live import Live
from rich.status import Status
from rich.table import Table

from deploy.local.view import Facts, line, render

LINE_SECONDS = 2.5
BUSY_SECONDS = 5.0
PLAIN_WIDTH = 120


class Show(Protocol):
    """What a demo tells."""

    def step(self, name: str, text: str) -> None:
        """A step is done, or under way for good."""

    def busy(self, name: str, text: str) -> None:
        """A step takes its time."""

    def facts(self, facts: Facts) -> None:
        """Rows flow."""

    def end(self) -> None:
        """Rows flow no more; what follows is printed."""

    def print(self, what: RenderableType) -> None:
        """Prints as it is, and breaks no line that is text."""


class Terminal:
    """A screen of its own while rows flow, lines before and after."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._open = ExitStack()
        self._status: Status | None = None
        self._live: Live | None = None

    def step(self, name: str, text: str) -> None:
        """A line, indented where it breaks."""
        self.end()
        grid = Table.grid(padding=(0, 1))
        grid.add_column(min_width=10, style="bold cyan")
        grid.add_column()
        grid.add_row(name, text)
        self._console.print(grid)

    def busy(self, name: str, text: str) -> None:
        """A line that turns."""
        told = f"[bold cyan]{name:<9}[/] {text}"
        if self._status is None:
            self._status = self._open.enter_context(self._console.status(told))
        self._status.update(told)

    def facts(self, facts: Facts) -> None:
        """Draws the screen anew."""
        if self._live is None:
            self.end()
            live = Live(console=self._console, screen=True, auto_refresh=False)
            self._live = self._open.enter_context(live)
        self._live.update(render(facts, self._console.width, self._console.height), refresh=True)

    def end(self) -> None:
        """Gives the terminal back."""
        self._open.close()
        self._status = self._live = None

    def print(self, what: RenderableType) -> None:
        """Prints below what was there."""
        self.end()
        self._console.print(what, soft_wrap=isinstance(what, str), highlight=False, markup=False)


class Lines:
    """A line for each step, and one every few seconds between."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._told = 0.0

    def step(self, name: str, text: str) -> None:
        """A line, whole."""
        self.print(f"demo: {name}: {text}")

    def busy(self, name: str, text: str) -> None:
        """A line now and then."""
        if self._due(BUSY_SECONDS):
            self.step(name, text)

    def facts(self, facts: Facts) -> None:
        """A line now and then."""
        if self._due(LINE_SECONDS):
            self.print(line(facts))

    def _due(self, seconds: float) -> bool:
        now = time.monotonic()
        if now - self._told < seconds:
            return False
        self._told = now
        return True

    def end(self) -> None:
        """Nothing: a line is not taken back."""

    def print(self, what: RenderableType) -> None:
        """At once, also through a pipe."""
        self._console.print(what, soft_wrap=isinstance(what, str), highlight=False, markup=False)
        self._console.file.flush()


def show() -> Show:
    """For whoever reads stdout."""
    console = Console()
    if console.is_terminal and not console.is_dumb_terminal:
        return Terminal(console)
    return Lines(Console(width=PLAIN_WIDTH))
