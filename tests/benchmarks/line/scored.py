"""Part `scores`: what it costs to publish every row's score, and how long a record of them is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.benchmarks.line.bench import Bench, say
from tests.benchmarks.line.curves import as_dict
from tests.benchmarks.line.figures import Cell, Part, Table, median
from tests.benchmarks.line.programs import DETECTOR, Program, Ran, Work, by_turns
from tests.benchmarks.line.rows import Form
from tests.broker import create_topic, delete_topic

HEAD = ("", "without, rows/s", "with scores, rows/s", "ratio")


def scores(bench: Bench) -> Part:
    """Rows a second with `--scores-topic` against those without, by turns; of rows with and without ids."""
    cells: list[list[Cell]] = []
    raw: dict[str, Any] = {}
    for form in bench.forms:
        for ids in (False, True):
            what = f"{form.name} rows, {'each with a row id' if ids else 'named by their place'}"
            say(f"scores: {what}")
            found = measured(bench, form, ids)
            raw[what] = as_dict(found)
            without, scoring = ([one.rate for one in runs] for runs in found.values())
            cells.append([what, median(without), median(scoring), median(scoring) / median(without)])
    notes = ["One process, exactly once, an amount beside each score."]
    return Part("scores", [Table("Publishing every row's score", HEAD, cells, notes)], raw)


def measured(bench: Bench, form: Form, ids: bool) -> dict[str, list[Ran]]:
    """Runs of both over one topic; the scores go to a topic that is deleted afterwards."""
    pool, rows = bench.models.cards_pool(form), bench.rows_of(form)
    with bench.filled(pool, rows, ids=ids) as topics:
        work = Work(topics, form, bench.models.cards(), pool.line, rows=rows)
        topic = f"{topics.name}.scores"
        create_topic(topics.bootstrap, topic)
        try:
            return by_turns([DETECTOR, scoring(topic)], work, bench.repeats)
        finally:
            delete_topic(topics.bootstrap, topic)


def scoring(topic: str) -> Program:
    """The detector that publishes every row's score."""

    def command(work: Work) -> list[str]:
        return [*DETECTOR.command(work), "--scores-topic", topic, "--scores-amount", "Amount"]

    return replace(DETECTOR, name="detector with scores", command=command)
