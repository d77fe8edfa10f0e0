"""Part `peers`: the same rows and the same model in other streaming libraries, beside detector and bare loop."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from detector.errors import Failure
from tests.benchmarks.line.bench import Bench, say
from tests.benchmarks.line.figures import Cell, Goal, Part, Table, judged, median
from tests.benchmarks.line.latency import Latency, measure
from tests.benchmarks.line.programs import BARE, DETECTOR, Program, Ran, Work, run, told
from tests.benchmarks.line.rows import Form

FOLDER = "tests.benchmarks.peers"
OURS = "ours"
"""A peer that needs nothing but this project's environment."""

RATE = 10_000
"""Rows a second at which latency is measured; half of what a peer does at most, if that is less."""

READ = ("packed", "json")
"""The forms that the peers' programs read."""

PACKED_FACTOR = 2.0
"""On packed rows each goal is so many times what it is on JSON."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer's program. module: in FOLDER. environment: whose interpreter runs it. rows: of a run at most.

    times: how many times as fast as it the detector is to be on JSON rows; None where no goal is set.
    """

    name: str
    module: str
    environment: str
    guarantee: str
    rows: int
    options: tuple[str, ...] = ()
    times: float | None = None


PEERS = (
    Peer("the tutorials' way", "tutorial", OURS, "at least once", 6_000, times=200),
    Peer("Quix Streams", "quix", "quix", "exactly once", 300_000, times=6),
    Peer("Quix Streams, commit every 5 ms", "quix", "quix", "exactly once", 200_000, ("--commit-ms", "5"), 8),
    Peer("Quix Streams, no model", "quix", "quix", "exactly once", 300_000, ("--forward-every", "500"), 6),
    Peer(
        "Quix Streams, no model, 5 ms",
        "quix",
        "quix",
        "exactly once",
        200_000,
        ("--forward-every", "500", "--commit-ms", "5"),
        8,
    ),
    Peer("Bytewax", "bytewax_", "bytewax", "at least once at best", sys.maxsize, times=2),
    Peer("Faust", "faust_", "faust", "at least once", 100_000),
)
"""Those without a model forward one row in 500 unread: what the library itself does, which no model can exceed."""


def environments() -> list[str]:
    """The environments that peers need besides this project's."""
    return sorted({peer.environment for peer in PEERS} - {OURS})


def program(peer: Peer, python: Path, scratch: Path) -> Program:
    """A peer as a program that can be run. scratch: where its library may keep what it wants."""

    def command(work: Work) -> list[str]:
        topics = work.topics
        where = ["--bootstrap-servers", topics.bootstrap, "--input-topic", topics.input]
        where += ["--alerts-topic", topics.alerts, "--group", topics.name]
        what = ["--model", str(work.model), "--line", f"{work.line:.17g}", "--format", work.form.name]
        more = ["--rows", str(work.rows), "--scratch", str(scratch / topics.name), *peer.options]
        return [str(python), "-m", f"{FOLDER}.{peer.module}", *where, *what, *more]

    return Program(peer.name, command, told)


def chosen(bench: Bench) -> dict[Peer, Program]:
    """The peers whose environment is there; the others are named."""
    pythons = {OURS: Path(sys.executable), **dict(bench.peers)}
    for name in environments():
        if name not in pythons:
            say(f"peers: without {name}, which needs --peers-python {name}=PYTHON")
    there = [peer for peer in PEERS if peer.environment in pythons]
    return {peer: program(peer, pythons[peer.environment], bench.models.folder) for peer in there}


def peers(bench: Bench) -> Part:
    """Rows a second of each peer, by turns with the detector and the bare loop, then latency at a steady rate."""
    there, tables = chosen(bench), []
    raw: dict[str, Any] = {}
    for form in [form for form in bench.forms if form.name in READ]:
        rates = _rates(bench, there, form)
        tables.append(rate_table(form.name, there, rates))
        raw[form.name] = {name: [one.as_dict() for one in runs] for name, runs in rates.items()}
        if form.name == "json":
            late = _latencies(bench, form, there, rates)
            tables.append(latency_table(late))
            raw["latency"] = {name: asdict(one) if isinstance(one, Latency) else one for name, one in late.items()}
    return Part("peers", tables, raw)


def _rates(bench: Bench, there: dict[Peer, Program], form: Form) -> dict[str, list[Ran]]:
    pool, rows = bench.models.cards_pool(form), bench.rows_of(form)
    found: dict[str, list[Ran]] = {}
    with bench.filled(pool, rows) as topics:
        work = Work(topics, form, bench.models.cards(), pool.line, rows=rows)
        orders = [(BARE, work), (DETECTOR, work)]
        orders += [(one, replace(work, rows=min(peer.rows, rows))) for peer, one in there.items()]
        for _ in range(bench.repeats):
            for one, its_work in orders:
                say(f"peers: {form.name}, {one.name}")
                found.setdefault(one.name, []).append(run(one, its_work))
    return found


def _latencies(
    bench: Bench, form: Form, there: dict[Peer, Program], rates: dict[str, list[Ran]]
) -> dict[str, Latency | str]:
    """Of each program that scores; a peer that does not hold its rate says so instead."""
    found: dict[str, Latency | str] = {}
    scoring = [one for peer, one in there.items() if "--forward-every" not in peer.options]
    for one in (BARE, DETECTOR, *scoring):
        rate = min(RATE, median([ran.rate for ran in rates[one.name]]) / 2)
        try:
            found[one.name] = measure(bench, one, form, rate)
        except Failure as failure:
            found[one.name] = str(failure)
    return found


def rate_table(form: str, there: dict[Peer, Program], rates: dict[str, list[Ran]]) -> Table:
    """Rows a second, and how many times as fast as each peer the detector is."""
    ours = median([one.rate for one in rates[DETECTOR.name]])
    goals = {peer.name: goal(peer, form) for peer in there}
    promises = {
        DETECTOR.name: "exactly once",
        BARE.name: "exactly once",
        **{peer.name: peer.guarantee for peer in there},
    }
    cells: list[list[Cell]] = []
    for name, runs in rates.items():
        speed, peak = median([one.rate for one in runs]), max(one.megabytes for one in runs)
        times = None if name == DETECTOR.name else ours / speed
        cells.append([name, promises[name], speed, peak, times, *judged(times or 0.0, goals.get(name))])
    head = ("", "guarantee", "rows/s", "peak MB", "the detector is so many times as fast", "goal", "met")
    return Table(f"Peers, {form} rows, the same model", head, cells)


def goal(peer: Peer, form: str) -> Goal | None:
    """How many times as fast as a peer the detector is to be."""
    if peer.times is None:
        return None
    return Goal(least=peer.times * (PACKED_FACTOR if form == "packed" else 1.0))


def latency_table(found: dict[str, Latency | str]) -> Table:
    """Percentiles at each one's rate."""
    cells: list[list[Cell]] = []
    notes = ["One run each.", *(text for text in found.values() if isinstance(text, str))]
    for name, one in found.items():
        figures: list[Cell] = ["not held", None, None, None]
        if isinstance(one, Latency):
            figures = [one.rate, one.p50, one.p99, one.longest]
        cells.append([name, *figures])
    head = ("", "rows/s sent", "p50, ms", "p99, ms", "longest, ms")
    return Table("Peers, from JSON row to read_committed alert", head, cells, notes)
