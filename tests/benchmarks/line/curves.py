"""Parts `features`, `partitions`, `alerts` and `two`: how the cost of a row moves, and where its knees are."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace

from tests.benchmarks.line.bench import Bench, say
from tests.benchmarks.line.figures import Cell, Goal, Part, Table, judged, median, named_knee
from tests.benchmarks.line.programs import BARE, DETECTOR, Program, Ran, Work, by_turns, run_together
from tests.benchmarks.line.rows import Form
from tests.integration.line import PARTITIONS

WIDTHS = (10, 30, 100, 200, 500)
COUNTS = (1, 4, 16, 64)
ALERTS_A_SECOND = (1, 10, 100, 1_000, 10_000)
FILL_BYTES = 512 << 20
"""Of the rows of one width at most: 500 features in JSON are 13 kB a row."""

BYTES = {"packed": 4, "json": 28, "avro": 8}
"""Of a number, about."""

SCALES_AS_BARE = Goal(least=0.95)
"""The detector's gain from a second process over the bare loop's; below 1 by what a median moves."""

Runs = dict[str, list[Ran]]


def micros(runs: Sequence[Ran]) -> float:
    """The median cost of a row, microseconds."""
    return median([one.micros for one in runs])


def rate(runs: Sequence[Ran]) -> float:
    """The median of rows a second."""
    return median([one.rate for one in runs])


def features(bench: Bench) -> Part:
    """Microseconds a row, and a row and feature, by the number of features."""
    tables, raw = [], {}
    for form in bench.forms:
        found = {width: _of_width(bench, form, width) for width in WIDTHS}
        cells: list[list[Cell]] = []
        for width, runs in found.items():
            ours, bare = micros(runs[DETECTOR.name]), micros(runs[BARE.name])
            cells.append([str(width), ours, bare, bare / ours, ours / width, bare / width])
        head = ("features", "detector, us a row", "bare loop, us a row", "ratio of rates")
        note = named_knee(
            "Cost of a row and feature", WIDTHS, [micros(one[DETECTOR.name]) / w for w, one in found.items()]
        )
        each = ("detector, us a row and feature", "bare loop, us a row and feature")
        tables.append(Table(f"Cost by the number of features, {form.name} rows", (*head, *each), cells, [note]))
        raw[form.name] = {str(width): as_dict(runs) for width, runs in found.items()}
    return Part("features", tables, raw)


def _of_width(bench: Bench, form: Form, width: int) -> Runs:
    say(f"features: {form.name}, {width}")
    rows = min(bench.rows_of(form), FILL_BYTES // (BYTES[form.name] * width))
    model, pool = bench.models.wide(width), bench.models.wide_pool(form, width)
    with bench.filled(pool, rows) as topics:
        return by_turns([BARE, DETECTOR], Work(topics, form, model, pool.line, rows=rows), bench.repeats)


def partitions(bench: Bench) -> Part:
    """Microseconds a row by the number of partitions of one process."""
    found = {}
    pool, rows = bench.models.cards_pool(bench.packed), bench.rows_of(bench.packed)
    for count in COUNTS:
        say(f"partitions: {count}")
        with bench.filled(pool, rows, partitions=count) as topics:
            work = Work(topics, bench.packed, bench.models.cards(), pool.line, rows=rows)
            found[count] = by_turns([BARE, DETECTOR], work, bench.repeats)
    return Part(
        "partitions", [curve("partitions", "packed rows", found)], {str(k): as_dict(v) for k, v in found.items()}
    )


def alerts(bench: Bench) -> Part:
    """Microseconds a row by the number of alerts a second, at the rate that the detector has with one in a run."""
    found: dict[int, Runs] = {}
    pool, rows = bench.models.cards_pool(bench.packed), bench.rows_of(bench.packed)
    speed = 0.0
    for count in ALERTS_A_SECOND:
        say(f"alerts: {count} a second")
        every = max(round(speed / count), 1) if speed else rows
        with bench.filled(pool, rows, every) as topics:
            work = Work(topics, bench.packed, bench.models.cards(), pool.line, every, rows)
            runs = by_turns([BARE, DETECTOR], work, bench.repeats)
        speed = speed or rate(runs[DETECTOR.name])
        found[count] = runs
    table = curve("alerts a second", "packed rows", found)
    return Part("alerts", [table], {str(count): as_dict(runs) for count, runs in found.items()})


def curve(what: str, of: str, found: dict[int, Runs]) -> Table:
    """Cost and ratio by a number, and the detector's knee."""
    cells: list[list[Cell]] = []
    for count, runs in found.items():
        ours, bare = runs[DETECTOR.name], runs[BARE.name]
        cells.append(
            [f"{count:,}", micros(ours), micros(bare), rate(ours) / rate(bare), max(o.megabytes for o in ours)]
        )
    head = (what, "detector, us a row", "bare loop, us a row", "ratio of rates", "detector's peak MB")
    notes = [
        named_knee(f"{program.name.capitalize()}", list(found), [micros(runs[program.name]) for runs in found.values()])
        for program in (DETECTOR, BARE)
    ]
    return Table(f"Cost by the number of {what}, {of}", head, cells, notes)


def two(bench: Bench) -> Part:
    """What a second process brings: each has half of the rows in partitions of its own."""
    pool, rows = bench.models.cards_pool(bench.packed), bench.rows_of(bench.packed)
    one: dict[str, list[float]] = {BARE.name: [], DETECTOR.name: []}
    both: dict[str, list[float]] = {BARE.name: [], DETECTOR.name: []}
    with ExitStack() as open_:
        whole = open_.enter_context(bench.filled(pool, rows))
        halves = [open_.enter_context(bench.filled(pool, rows // 2, partitions=PARTITIONS // 2)) for _ in range(2)]
        work = Work(whole, bench.packed, bench.models.cards(), pool.line, rows=rows)
        shared = [replace(work, topics=half, rows=rows // 2) for half in halves]
        for _ in range(bench.repeats):
            for program in (BARE, DETECTOR):
                say(f"two: {program.name}")
                one[program.name].append(run_together(program, [work])[0].rate)
                both[program.name].append(together(run_together(program, shared)))
    gains = {name: median(both[name]) / median(one[name]) for name in one}
    cells = [_gain(program, one, both, gains) for program in (DETECTOR, BARE)]
    head = ("", "one process, rows/s", "two processes, rows/s", "gain", "gain to the bare loop's", "goal", "met")
    notes = ["Two processes have half of the rows each, in two partitions of their own: no rebalance is measured."]
    title = f"A second process, packed rows, {PARTITIONS} partitions in all"
    return Part("two", [Table(title, head, cells, notes)], {"one": one, "two": both})


def _gain(
    program: Program, one: dict[str, list[float]], both: dict[str, list[float]], gains: dict[str, float]
) -> list[Cell]:
    name = program.name
    share = gains[name] / gains[BARE.name]
    judgement = judged(share, SCALES_AS_BARE if program is DETECTOR else None)
    return [name, median(one[name]), median(both[name]), gains[name], share, *judgement]


def together(runs: Sequence[Ran]) -> float:
    """Rows a second of processes that ran at once: from the first one's beginning to the last one's end."""
    begun, ended = min(one.measured.begun for one in runs), max(one.measured.ended for one in runs)
    return sum(one.measured.rows for one in runs) / (ended - begun)


def as_dict(runs: Runs) -> dict[str, list[object]]:
    """Every run for JSON."""
    return {name: [one.as_dict() for one in ones] for name, ones in runs.items()}
