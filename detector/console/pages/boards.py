"""The other pages: drift, dead letters, and the line from rows to verdicts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from nicegui import ui

from detector.console.pages.frame import Console, frame
from detector.console.pages.markup import empty, facts, table, tag, when
from detector.console.shown import DASH, number, percent, shortened
from detector.rows import REASONS

REDRAW_SECONDS = 2.0
LETTERS = 30
"""Dead letters that are listed."""


def drift_page(console: Console) -> None:
    """Which features moved away from what the model learnt."""
    with frame(console, "/drift", "Drift"):
        tag("h1", "Drift")
        _redrawn(lambda: _drift(console))


def letters_page(console: Console) -> None:
    """What was no row, by reason."""
    with frame(console, "/dead-letters", "Dead letters"):
        tag("h1", "Dead letters")
        _redrawn(lambda: _letters(console))


def line_page(console: Console) -> None:
    """Throughput, lag, precision by model, and how the reading of topics goes."""
    with frame(console, "/line", "Line"):
        tag("h1", "The line")
        _redrawn(lambda: _line(console))


@dataclass(frozen=True, slots=True)
class _Drawing:
    """What was looked at, and how it is drawn."""

    seen: object
    draw: Callable[[], None]


def _redrawn(look: Callable[[], _Drawing]) -> None:
    """Draws anew where something changed."""
    box = tag("div", classes="redrawn")
    seen: list[object] = []

    def turn() -> None:
        found = look()
        if seen != [found.seen]:
            seen[:] = [found.seen]
            box.clear()
            with box:
                found.draw()

    turn()
    ui.timer(REDRAW_SECONDS, turn)


def _drift(console: Console) -> _Drawing:
    with console.board.lock:
        columns, last = console.board.drifting.columns(), list(console.board.drifting.last)

    def draw() -> None:
        if not columns:
            empty(
                "Nothing has drifted",
                f"Topic {console.chosen.drift_topic} has no change of state. A feature that moves away from what the "
                "model learnt, by PSI, Kolmogorov-Smirnov distance or missing values, is here within a few windows.",
                _trouble(console, console.chosen.drift_topic),
            )
            return
        tag("p", "Features whose state changed; of those that are not here, none has drifted.")
        head = ("Feature", "State", "PSI", "KS", "Missing", "Because of", "Since", "Model")
        rows = [
            (
                shortened(one.event.name),
                partial(tag, "span", one.event.state, f"state {one.event.state}"),
                number(one.event.psi, 3),
                number(one.event.ks, 3),
                f"{percent(one.event.missing)}, was {percent(one.event.reference_missing)}",
                ", ".join(map(shortened, one.event.above)) or DASH,
                when(one.written),
                f"{shortened(one.event.model.name)} {shortened(one.event.model.version, 20)}",
            )
            for one in columns
        ]
        table("Features by drift", head, rows)
        tag("h2", "Last changes")
        changes = [
            (when(one.written), shortened(one.event.name), one.event.was, one.event.state, f"{one.event.rows:,}")
            for one in last
        ]
        table("Last changes of state", ("Time", "Feature", "Was", "Is", "Rows looked at"), changes, "brief")

    return _Drawing([one.event.id for one in (*columns, *last)], draw)


def _letters(console: Console) -> _Drawing:
    board = console.board
    with board.lock:
        groups = sorted(board.letters.reasons.items(), key=lambda pair: -pair[1].count)
        told = [(name, one.count, one.resent, one.first, one.last, one.example) for name, one in groups]
        lines = board.letters.lines()[::-1][:LETTERS]
    chosen = console.chosen

    def draw() -> None:
        if not told:
            why = f"Topic {chosen.dead_letters_topic} has none: every message of topic {chosen.input_topic} was a row."
            empty("No dead letters", why, _trouble(console, chosen.dead_letters_topic))
            return
        head = ("Reason", "Meaning", "Count", "Sent again", "First", "Last", "Example")
        rows = [
            (
                shortened(name),
                REASONS.get(name, DASH),
                f"{count:,}",
                f"{sent:,}",
                when(first),
                when(end),
                shortened(one),
            )
            for name, count, sent, first, end, one in told
        ]
        table("Dead letters by reason", head, rows)
        tag("p", "Once the cause is mended, put them back on the input:")
        where = f"--bootstrap-servers {chosen.bootstrap_servers} --input-topic {chosen.input_topic}"
        tag("code", f"python -m detector dead-letters {where} --resend")
        tag("h2", f"The last {len(lines)}")
        body = [
            (
                when(one.rejected_at),
                shortened(one.reason),
                f"{one.source.partition}/{one.source.offset}",
                shortened(one.detail, 200),
                shortened(one.value or (f"{one.bytes:,} bytes left in the input" if one.omitted else DASH), 120),
            )
            for one in lines
        ]
        table("Last dead letters", ("Time", "Reason", "Place", "Detail", "Value"), body, "brief")

    return _Drawing((told, lines), draw)


def _line(console: Console) -> _Drawing:
    board, chosen = console.board, console.chosen
    models = board.choices().models
    found = [(model, board.precision(model)) for model in models]
    with board.lock:
        traffic, parts = board.traffic, dict(board.traffic.parts)
        rates = (traffic.scored, traffic.arriving, traffic.lag, traffic.begun)
        known = [one for one in board.topics.values() if one.trouble or one.name != chosen.input_topic]
        topics = [(one.name, one.read, one.trouble, one.loaded) for one in known]  # of the input offsets are read alone

    def draw() -> None:
        tag("h2", "Throughput and lag")
        if not rates[3]:
            start = f"python -m detector run --model model --bootstrap-servers {chosen.bootstrap_servers}"
            told = (
                _trouble(console, chosen.input_topic)
                or f"Group {chosen.group} has committed nothing of topic {chosen.input_topic}."
            )
            empty("No detector has been at work", told, command=start)
        else:
            whole = [("Scored", f"{number(rates[0], 3)} a second"), ("Arriving", f"{number(rates[1], 3)} a second")]
            facts([*whole, ("Waiting", f"{rates[2]:,} messages")])
            rows = [(str(p), number(part.committed), f"{part.end:,}", f"{part.lag:,}") for p, part in parts.items()]
            table("Lag by partition", ("Partition", "Scored up to", "End", "Lag"), rows)
        tag("h2", "Precision by model")
        if found:
            judged = [(shortened(m), percent(p.share), p.fraud, p.legitimate, p.unsure) for m, p in found]
            table("Precision by model", ("Model", "Precision", "Fraud", "Legitimate", "Unsure"), judged)
        tag(
            "p",
            f"Of the last {chosen.history:,} alerts, those with a verdict or a label; unsure counts for neither.",
            "small",
        )
        tag("h2", "Topics")
        state = [
            (shortened(n), f"{read:,}", shortened(bad, 200) or ("up to date" if done else "being read"))
            for n, read, bad, done in topics
        ]
        table("Topics", ("Topic", "Records read", "State"), state)

    return _Drawing((found, parts, rates, topics), draw)


def _trouble(console: Console, topic: str) -> str:
    """Why a topic is not read, and what makes it."""
    found = console.board.topics.get(topic)
    if found is None:
        return "It is not read: its setting is none."
    told = shortened(found.trouble, 200)
    return f"{told}; python -m detector create-topics makes it." if found.trouble and found.missing else told
