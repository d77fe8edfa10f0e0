"""One alert: how far out it lies and why, what else its entity did, where it is, and what is said of it."""

from __future__ import annotations

from functools import partial

from nicegui import run, ui
from nicegui.elements.mixins.text_element import TextElement

from detector.alerts import Alert, Reason, Source
from detector.console.alerts import Entry
from detector.console.pages.frame import TURN_SECONDS, Console, Judge, frame
from detector.console.pages.markup import empty, facts, link, picture, table, tag
from detector.console.shown import (
    alert_path,
    histogram_html,
    moment,
    number,
    percent,
    shortened,
    times_text,
    value_text,
    verdict_sentence,
)
from detector.console.spread import histogram
from detector.console.verdicts import MOST_NOTE, WORDS
from detector.errors import Failure

OTHERS = 12
"""Other alerts of an entity that are listed."""

LONGEST = 400
"""Characters of a key or value on this page."""


def alert_page(console: Console, name: str, model: str) -> None:
    """The page of the alert of this id, by the model with this sha256."""
    with console.board.lock:
        entry = console.board.alerts.get(name, model)
    with frame(console, "/alert", "Alert"):
        if entry is None:
            _absent(console, name)
            return
        _steps(console, entry)
        tag("h1", f"Row {shortened(entry.name)}")
        _Verdict(console, entry)
        with tag("div", classes="columns"):
            _score(console, entry)
            with tag("div", classes="stack"):
                _reasons(entry.alert.reasons)
                _place(entry.alert)
            _entity(console, entry)
        _raw(console, entry.alert.source)


def _absent(console: Console, name: str) -> None:
    tag("h1", f"Alert {shortened(name, 200)}")
    held = f"The console holds the last {console.chosen.history:,} alerts, and this is none of them."
    empty("This alert is not here", held, "Start the console with a larger --history to reach further back.")
    link("All alerts", "/")


def _steps(console: Console, entry: Entry) -> None:
    newer, older = console.board.neighbours(entry)
    with tag("nav", classes="steps", aria_label="Alerts beside this one"):
        link("All alerts", "/")
        for one, text, key in ((newer, "Newer (k)", "k"), (older, "Older (j)", "j")):
            if one is not None:
                link(text, alert_path(one.alert), data_key=key)


class _Verdict:
    """What is said of the row, and the buttons to say it."""

    def __init__(self, console: Console, entry: Entry) -> None:
        self._board, self._entry = console.board, entry
        self._judge = Judge(console, self._say)
        self._buttons: dict[str, TextElement] = {}
        with tag("section", classes="judge", aria_label="Verdict"):
            self._told, self._noted = tag("p", classes="told"), tag("p", classes="noted")
            with tag("label"):
                tag("span", "Note, goes with the verdict")
                self._note = tag("textarea", id="note", rows="2", maxlength=str(MOST_NOTE))
            with tag("div", classes="words"):
                for word in WORDS:
                    self._buttons[word] = self._button(word)
            self._status = tag("p", classes="status", role="status")
        self._turn()
        ui.timer(TURN_SECONDS, self._turn)

    def _button(self, word: str) -> TextElement:
        # The note travels with the press: what was typed last may not have come yet otherwise.
        note = "() => emit(document.getElementById('note').value)"
        button = tag("button", word.capitalize(), word, type="button", data_verdict=word)
        return button.on("click", lambda e: self._judge(self._entry, word, str(e.args)), js_handler=note)

    def _say(self, sentence: str, bad: bool) -> None:
        self._status.set_text(sentence)
        self._status.classes(replace="status bad" if bad else "status")
        self._turn()

    def _turn(self) -> None:
        verdict = self._board.verdict_of(self._entry)
        self._told.set_text(verdict_sentence(verdict))
        self._noted.set_text(shortened(verdict.note, MOST_NOTE) if verdict else "")
        for word, button in self._buttons.items():
            button.props["aria-pressed"] = "true" if verdict and verdict.word == word else "false"


def _score(console: Console, entry: Entry) -> None:
    alert = entry.alert
    with tag("section", classes="wide", aria_label="Score"):
        tag("h2", "How far out")
        z = "not known" if alert.modified_z is None else f"{number(alert.modified_z, 3)} deviations from the median"
        facts(
            [
                ("Score", f"{number(alert.score)}, {times_text(entry.ratio)} the threshold"),
                ("Threshold", f"{number(alert.threshold)}, {shortened(alert.method)}"),
                ("Modified z", z),
            ]
        )
        with console.board.lock:
            window = console.board.spread.window(alert)
        if window is None:
            _unknown_window(console)
            return
        found = histogram(window.scores, (alert.threshold, alert.score))
        picture(histogram_html(found, alert.threshold, alert.score))
        which = "up to this one" if window.before else "of late, as those before this one are no longer held"
        rows = f"{len(window.scores):,} rows of partition {alert.source.partition} {which}"
        tag("p", f"Scores of {rows}; the height of a bar is the logarithm of its count.", "small")


def _unknown_window(console: Console) -> None:
    topic = console.chosen.scores_topic
    tag("p", "The scores of the rows around it are not known, so no picture of them is shown.", "small")
    tag("p", f"Detectors publish them with --scores-topic {'scores' if topic == 'none' else topic}.", "small")


def _reasons(reasons: list[Reason]) -> None:
    with tag("section", aria_label="Reasons"):
        tag("h2", "Why")
        rows = [
            [
                shortened(one.feature, LONGEST),
                partial(_share, one),
                value_text(one.value, LONGEST),
                value_text(one.expected, LONGEST),
            ]
            for one in reasons
        ]
        table("Reasons", ("Feature", "Share of score", "Value", "Expected"), rows)


def _share(reason: Reason) -> None:
    share = min(max(reason.share, 0.0), 1.0)
    with tag("span", classes="share"):
        with tag("span", classes="track", aria_hidden="true"):
            tag("span", style=f"width: {100 * share:.1f}%")
        tag("b", percent(share))


def _entity(console: Console, entry: Entry) -> None:
    with tag("section", aria_label="Entity"):
        tag("h2", "The same entity")
        key = entry.alert.key
        if key is None:
            tag("p", "The row has no key, so nothing else is known of its entity.")
            return
        with console.board.lock:
            others = [one for one in console.board.alerts.of_key(key, OTHERS + 1) if one is not entry][:OTHERS]
            said = [console.board.verdict_of(one) for one in others]
        tag("p", f"Key {shortened(key, LONGEST)}: {len(others) or 'no'} other alert{'s' * (len(others) != 1)} held.")
        rows = [
            [
                partial(link, moment(one.written), alert_path(one.alert), "when"),
                times_text(one.ratio),
                shortened(", ".join(reason.feature for reason in one.alert.reasons[:3])),
                verdict.word if verdict else "",
            ]
            for one, verdict in zip(others, said, strict=True)
        ]
        if rows:
            table("Other alerts of the entity", ("Time", "Score", "Why", "Verdict"), rows, "brief")


def _place(alert: Alert) -> None:
    with tag("section", aria_label="Place"):
        tag("h2", "Where it is")
        facts(
            [
                ("Topic", shortened(alert.source.topic, LONGEST)),
                ("Partition, offset", f"{alert.source.partition}, {alert.source.offset}"),
                ("Row id", shortened(alert.row_id or "none was sent", LONGEST)),
                ("Event time", shortened(alert.event_time)),
                ("Detected", shortened(alert.detected_at)),
                ("Model", f"{shortened(alert.model.name)} version {shortened(alert.model.version)}"),
                ("Its graph, sha256", shortened(alert.model.sha256, 64)),
            ]
        )


def _raw(console: Console, source: Source) -> None:
    """The message itself, fetched when it is asked for."""
    with tag("section", aria_label="Raw row"):
        tag("h2", "Raw row")
        box = tag("div")
        with box:
            button = tag("button", "Fetch it from Kafka", type="button")

    async def fetch() -> None:
        button.props["disabled"] = True
        button.set_text("Fetching …")
        try:
            found = await run.io_bound(console.desk.raw, source)
        except Failure as failure:
            button.props["disabled"] = False
            button.set_text(f"Not fetched: {shortened(str(failure), 200)}. Try again")
            return
        box.clear()
        with box:
            if found is None:
                tag("p", "The topic no longer has it: retention took it away.")
                return
            headers = ", ".join(f"{shortened(name)}: {shortened(value)}" for name, value in found.headers)
            facts(
                [
                    ("Value", f"{found.kind}, {found.bytes:,} bytes"),
                    ("Time", found.time),
                    ("Headers", headers or "none"),
                ]
            )
            tag("pre", found.value, tabindex="0", aria_label="Value of the message")

    button.on("click", fetch)
