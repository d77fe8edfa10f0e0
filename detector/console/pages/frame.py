"""What every page has: its head, the figures, and what stands in the way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from nicegui import background_tasks, run, ui
from nicegui.elements.mixins.text_element import TextElement

from detector.alerts import Source, iso
from detector.console.access import MOST_NAME
from detector.console.alerts import Entry
from detector.console.board import Board
from detector.console.guard import WHO
from detector.console.pages.markup import link, tag
from detector.console.rawrow import Raw
from detector.console.shown import shortened, tiles
from detector.console.verdicts import MOST_NOTE, WORDS, Verdict
from detector.errors import Failure
from detector.settings import ConsoleSettings

TURN_SECONDS = 1.0
"""How often a page looks whether there is something new."""

PAGES = {"/": "Alerts", "/drift": "Drift", "/dead-letters": "Dead letters", "/line": "Line"}
KEYS = {
    "j": "next alert",
    "k": "previous alert",
    "Enter": "open the alert",
    "f": "fraud",
    "l": "legitimate",
    "u": "unsure",
    "n": "write a note (on an alert's page)",
    "/": "search",
    "g": "to the newest, and go on",
    "p": "pause the list, or go on",
    "Escape": "leave the list or the field",
    "?": "these keys",
}


class Desk(Protocol):
    """Where verdicts go and raw rows come from."""

    def say(self, row_id: str, verdict: Verdict) -> None:
        """Writes a verdict; Failure where nobody took it."""

    def raw(self, source: Source) -> Raw | None:
        """A message; None where it is gone. Failure where no broker answers."""


@dataclass(frozen=True, slots=True)
class Console:
    """What the pages are made of. signs_out: whether people sign in here."""

    chosen: ConsoleSettings
    board: Board
    desk: Desk
    signs_out: bool = False


def who() -> str:
    """Who looks at the page that is being built."""
    request = ui.context.client.request
    return str(request.scope.get(WHO) or "") if request else ""


@contextmanager
def frame(console: Console, here: str, title: str) -> Iterator[None]:
    """The page around what is built inside."""
    ui.page_title(f"{title} · fraud console")
    ui.add_head_html('<link rel="stylesheet" href="/static/console.css"><script src="/static/console.js"></script>')
    link("To the content", "#content", "skip")
    _head(console, here)
    with tag("div", classes="content", id="content", tabindex="-1"):
        trouble = _Trouble(console.board)
        figures = _Tiles(console.board)
        yield
    _keys()

    def turn() -> None:
        trouble.turn()
        figures.turn()

    ui.timer(TURN_SECONDS, turn)


def _head(console: Console, here: str) -> None:
    with tag("header", classes="top"):
        link("fraud console", "/", "brand")
        with tag("nav", aria_label="Pages"):
            for href, name in PAGES.items():
                link(name, href, **({"aria_current": "page"} if href == here else {}))
        with tag("div", classes="tools"):
            tag("span", shortened(who(), MOST_NAME), "me", title="Who gives verdicts")
            if console.signs_out:
                with tag("form", method="post", action="/sign-out"):
                    tag("button", "Sign out")
            tag("button", "Keys", id="show-keys", type="button")
            tag("button", "Dark / light", id="theme", type="button")


def _keys() -> None:
    with tag("dialog", id="keys", aria_label="Keys"):
        tag("h2", "Keys")
        with tag("dl"):
            for key, meaning in KEYS.items():
                with tag("div"):
                    with tag("dt"):
                        tag("kbd", key)
                    tag("dd", meaning)
        tag("button", "Close", type="button", data_close="")


class _Trouble:
    """What stands in the way, told where it is heard."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._box = tag("div", classes="trouble", role="alert")
        self._told: list[str] = []
        self.turn()

    def turn(self) -> None:
        """Says what is so now."""
        told = troubles(self._board)
        if told == self._told:
            return
        self._told = told
        self._box.clear()
        with self._box:
            for sentence in told:
                tag("p", sentence)


def troubles(board: Board) -> list[str]:
    """What stands in the way, and what to do about it."""
    if board.bug:
        return [f"A topic is read no more, because of a bug ({board.bug}, see the log). Start the console anew."]
    if board.trouble:
        return [
            f"No broker answers: {shortened(board.trouble, 300)}. What is below was read before. Check that Kafka "
            "runs and that this machine reaches it; this page goes on by itself."
        ]
    return [
        f"{shortened(topic.trouble, 300)}. It is tried again every few seconds."
        for topic in board.topics.values()
        if topic.trouble and topic.needed
    ]


class _Tiles:
    """The figures at the head, drawn where they change."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._figures: list[tuple[TextElement, TextElement, TextElement]] = []
        with tag("div", classes="tiles"):
            for tile in tiles(board, time.time()):
                with link("", tile.href, f"tile {tile.state}") as box:
                    tag("span", tile.title, "title")
                    self._figures.append((box, tag("b", tile.figure), tag("small", tile.note)))

    def turn(self) -> None:
        """Says what is so now."""
        for (box, figure, note), tile in zip(self._figures, tiles(self._board, time.time()), strict=True):
            figure.set_text(tile.figure)
            note.set_text(tile.note)
            box.classes(replace=f"tile {tile.state}")


class Judge:
    """Gives verdicts in the name of who looks at the page. status: where it is told what became of them."""

    def __init__(self, console: Console, status: Callable[[str, bool], None]) -> None:
        self._console, self._status, self._who = console, status, who()

    def __call__(self, entry: Entry | None, word: object, note: str = "") -> None:
        """Writes a verdict; what a browser sends is checked here."""
        found = next((one for one in WORDS if one == word), None)
        if entry is None or found is None:
            self._status("This alert is no longer held.", True)
            return
        verdict = Verdict(found, self._who, iso(int(time.time() * 1000)), note.strip()[:MOST_NOTE])
        background_tasks.create(self._say(entry.name, verdict))

    async def _say(self, row_id: str, verdict: Verdict) -> None:
        name = shortened(row_id)
        self._status(f"Writing {verdict.word} for row {name} …", False)
        try:
            await run.io_bound(self._console.desk.say, row_id, verdict)
        except Failure as failure:
            self._status(
                f"Not written: {shortened(str(failure), 300)}. Give the verdict again once that is mended.", True
            )
            return
        self._status(f"Row {name}: {verdict.word}, written to topic {self._console.chosen.labels_topic}.", False)
