"""The list of alerts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from nicegui import events, ui
from nicegui.element import Element

from detector.console.alerts import Entry
from detector.console.listing import JUDGED, ORDERS, Filter, Order
from detector.console.pages.frame import TURN_SECONDS, Console, Judge, frame
from detector.console.pages.markup import empty, tag
from detector.console.shown import row

MOST = 50
"""Alerts on a page."""

MOST_CHOICES = 200
CHOICES_TURNS = 5
"""How many turns pass between two looks at what filters can ask for."""

LISTED = Path(__file__).parents[1] / "static" / "alerts.js"


class AlertRows(Element, component=LISTED):
    """The rows in the browser."""

    def show(self, rows: list[dict[str, Any]], busy: bool) -> None:
        """Draws these rows."""
        self.props["rows"] = rows
        self.props["busy"] = busy


def listing_page(console: Console) -> None:
    """The page of the list."""
    with frame(console, "/", "Alerts"):
        tag("h1", "Alerts", "unseen")
        _List(console)


class _List:
    """One person's view of the alerts. It stands still while the person is in it, or has paused it."""

    def __init__(self, console: Console) -> None:
        self._console, self._board = console, console.board
        self._filter, self._start = Filter(), 0
        self._order: Order = "newest"
        self._entries: list[Entry] = []
        self._busy = self._paused = False
        self._matching = self._total = self._turns = 0
        self._drawn = self._seen = -1
        self._shown: object = None
        self._told: object = None
        self._filters()
        with tag("div", classes="bar"):
            self._count = tag("span", classes="count")
            self._status = tag("p", classes="status", role="status")
            self._fresh = _button("", self._release, "fresh", data_key="g")
            self._pause = _button("Pause", self._toggle, data_key="p", aria_pressed="false")
            self._newer = _button("Newer", lambda: self._page(-1))
            self._older = _button("Older", lambda: self._page(1))
        self._judge = Judge(console, self._say)
        self._rows = AlertRows().on("verdict", self._verdict).on("hold", self._hold)
        self._empty = tag("div")
        self._turn()
        ui.timer(TURN_SECONDS, self._turn)

    def _filters(self) -> None:
        with tag("form", classes="filters", role="search").on("submit.prevent", lambda: None):
            with _field("Entity, row or place"):
                box = tag("input", id="seek", type="search", autocomplete="off", placeholder="a part of it")
                _listen(box, lambda text: self._want(text=text))
            with _field("Model"):
                self._models = _Choice("any model", lambda text: self._want(model=text))
            with _field("Reason"):
                self._reasons = _Choice("any feature", lambda text: self._want(reason=text))
            with _field("Least score"):
                box = tag("input", type="number", min="0", step="any", placeholder="in thresholds")
                _listen(box, lambda text: self._want(least=_least(text)))
            with _field("Verdict"):
                _select(JUDGED, lambda text: self._want(judged=text if text in JUDGED else "all"))
            with _field("Order"):
                _select(ORDERS, self._sort)

    def _want(self, **parts: Any) -> None:
        self._filter, self._start = replace(self._filter, **parts), 0
        self._draw()

    def _sort(self, order: str) -> None:
        self._order, self._start = order if order in ORDERS else "newest", 0
        self._draw()

    def _page(self, step: int) -> None:
        self._start = max(self._start + step * MOST, 0)
        self._draw()

    def _toggle(self) -> None:
        self._paused = not self._paused
        self._pause.set_text("Go on" if self._paused else "Pause")
        self._pause.props["aria-pressed"] = "true" if self._paused else "false"
        self._draw()

    def _release(self) -> None:
        self._busy, self._start = False, 0
        if self._paused:
            self._toggle()
        self._draw()

    def _hold(self, event: events.GenericEventArguments) -> None:
        self._busy = event.args is True
        self._turn()

    def _verdict(self, event: events.GenericEventArguments) -> None:
        found = event.args if isinstance(event.args, dict) else {}
        name, _, model = str(found.get("id", "")).rpartition(" ")
        self._judge(self._board.alerts.get(name, model), found.get("word"))

    def _say(self, sentence: str, bad: bool) -> None:
        self._status.set_text(sentence)
        self._status.classes(replace="status bad" if bad else "status")
        self._turn()

    def _turn(self) -> None:
        """Draws what changed; of a list that stands still, the verdicts alone."""
        if self._turns % CHOICES_TURNS == 0:
            found = self._board.choices()
            self._models.offer(found.models)
            self._reasons.offer(found.reasons)
        self._turns += 1
        version, still = self._board.version, self._busy or self._paused
        if not still and (version != self._drawn or not self._entries):
            self._draw()
        elif version != self._seen:
            self._show()
        else:
            self._tell()

    def _draw(self) -> None:
        self._drawn = self._board.version
        found = self._board.listing(self._filter, self._order, self._start, MOST)
        self._entries, self._start, self._matching = found.entries, found.start, found.matching
        self._total = self._board.alerts.total
        self._show()

    def _show(self) -> None:
        self._seen = self._board.version
        with self._board.lock:
            rows = [row(entry, self._board.verdict_of(entry)) for entry in self._entries]
        if rows != self._shown:
            self._shown = rows
            self._rows.show(rows, not self._loaded)
            self._rows.set_visibility(bool(rows))
        self._tell()

    @property
    def _loaded(self) -> bool:
        topic = self._board.topics.get(self._console.chosen.alerts_topic)
        return topic is None or topic.loaded

    def _tell(self) -> None:
        """The line above the list: which alerts these are, and how many are new."""
        last, held = self._start + len(self._entries), len(self._board.alerts)
        which = f"{self._start + 1:,}-{last:,} of {self._matching:,}" if self._entries else "no alerts"
        self._count.set_text(which if self._matching == held else f"{which} that match, {held:,} in all")
        fresh = self._board.alerts.total - self._total
        self._fresh.set_visibility(fresh > 0)
        self._fresh.set_text(f"Show {fresh:,} new")
        self._newer.props["disabled"] = self._start == 0
        self._older.props["disabled"] = last >= self._matching
        self._explain()

    def _explain(self) -> None:
        """Why the list is empty, and what to do."""
        told = None if self._entries else _why(self._console, self._loaded)
        if told == self._told:
            return
        self._told = told
        self._empty.clear()
        if told:
            with self._empty:
                empty(*told[:-1], command=told[-1])


def _why(console: Console, loaded: bool) -> tuple[str, ...]:
    """Title, sentences, and last a command or an empty text."""
    board, chosen = console.board, console.chosen
    topic = board.topics.get(chosen.alerts_topic)
    if len(board.alerts):
        return "No alert matches", "Widen the filters above: another text, any model, any verdict, a lower score.", ""
    if not loaded:
        return (
            "Reading the alerts",
            f"{topic.read if topic else 0:,} records of topic {chosen.alerts_topic} so far.",
            "",
        )
    if board.traffic.looked and not board.traffic.begun:
        start = f"python -m detector run --model model --bootstrap-servers {chosen.bootstrap_servers}"
        group = f"No detector of group {chosen.group} has read topic {chosen.input_topic} yet. Start one:"
        return "No alert yet", group, start
    return (
        "No alert yet",
        f"Topic {chosen.alerts_topic} holds none. Detectors score the rows of topic {chosen.input_topic}; "
        "an alert is here as soon as a row lies above the threshold.",
        "",
    )


def _field(name: str) -> Any:
    label = tag("label")
    with label:
        tag("span", name)
    return label


def _button(text: str, pressed: Callable[[], None], classes: str = "", **attributes: Any) -> Any:
    return tag("button", text, classes, type="button", **attributes).on("click", pressed)


def _listen(element: Element, take: Callable[[str], None]) -> Element:
    """Calls with what was typed or chosen."""
    heard = "(event) => emit(event.target.value)"
    return element.on("input", lambda e: take(str(e.args)), throttle=0.2, leading_events=False, js_handler=heard)


def _select(options: Any, take: Callable[[str], None]) -> None:
    with _listen(tag("select"), take):
        for value, text in options.items():
            tag("option", text, value=value)


class _Choice:
    """A choice among names that come to be known; one that was offered stays."""

    def __init__(self, every: str, take: Callable[[str], None]) -> None:
        self._offered: set[str] = set()
        with _listen(tag("select"), take) as self._select:
            tag("option", every, value="")

    def offer(self, names: list[str]) -> None:
        """Adds the names that are new."""
        with self._select:
            for name in names:
                if name not in self._offered and len(self._offered) < MOST_CHOICES:
                    self._offered.add(name)
                    tag("option", name, value=name)


def _least(text: str) -> float:
    try:
        return max(float(text), 0.0)
    except ValueError:
        return 0.0
