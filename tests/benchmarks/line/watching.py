"""Part `watched`: what it costs to have the client tell its statistics, and each batch's span."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tests.benchmarks.line.bench import Bench, say
from tests.benchmarks.line.curves import as_dict
from tests.benchmarks.line.figures import Cell, Part, Table, median
from tests.benchmarks.line.programs import DETECTOR, Program, Work, by_turns
from tests.collector import collector

HEAD = ("", "rows/s", "to the first")
SILENT = ("--kafka", "statistics.interval.ms=0")


def watched(bench: Bench) -> Part:
    """Rows a second unwatched, with the client's statistics, and with traces too, by turns."""
    tables, raw = [], dict[str, Any]()
    for form in bench.forms:
        say(f"watched: {form.name} rows")
        pool, rows = bench.models.cards_pool(form), bench.rows_of(form)
        with bench.filled(pool, rows) as topics, collector() as collected:
            work = Work(topics, form, bench.models.cards(), pool.line, rows=rows)
            found = by_turns(programs(collected.url), work, bench.repeats)
        rates = {name: median([one.rate for one in runs]) for name, runs in found.items()}
        first = next(iter(rates.values()))
        cells: list[list[Cell]] = [[name, rate, rate / first] for name, rate in rates.items()]
        note = f"{len(collected.spans):,} spans came. No line is logged for a batch, in whichever form."
        tables.append(Table(f"Being watched, {form.name} rows", HEAD, cells, [note]))
        raw[form.name] = as_dict(found)
    return Part("watched", tables, raw)


def programs(endpoint: str) -> Sequence[Program]:
    """The detector, watched ever more."""

    def silent(work: Work) -> list[str]:
        return [*DETECTOR.command(work), *SILENT]

    def traced(work: Work) -> list[str]:
        return ["env", f"OTEL_EXPORTER_OTLP_ENDPOINT={endpoint}", *DETECTOR.command(work)]

    return [
        replace(DETECTOR, name="unwatched", command=silent),
        replace(DETECTOR, name="the client's statistics, as it is"),
        replace(DETECTOR, name="traces too", command=traced),
    ]
