"""Parts `throughput` and `stages`: rows a second over a full topic, and where the time goes."""

from __future__ import annotations

from collections.abc import Sequence

from tests.benchmarks.line.bench import Bench, say
from tests.benchmarks.line.figures import COMPARED, Cell, Goal, Part, Table, compared, judged, median, stage_table
from tests.benchmarks.line.models import YARDSTICK
from tests.benchmarks.line.programs import BARE, DETECTOR, Ran, Work, by_turns

GOALS = {"packed": Goal(least=1.0, of_ratio=True), "json": Goal(least=0.7, of_ratio=True)}
AS_JSON = Goal(least=1.0)
MEMORY = Goal(most=150)
RECIPES = (YARDSTICK, "default")

WARM_ROWS = 200_000

Runs = dict[str, list[Ran]]


def warm(bench: Bench) -> None:
    """One run of each that is forgotten: a young broker is slow."""
    say("warming the broker")
    pool = bench.models.cards_pool(bench.packed)
    with bench.filled(pool, WARM_ROWS) as topics:
        by_turns([BARE, DETECTOR], Work(topics, bench.packed, bench.models.cards(), pool.line, rows=WARM_ROWS), 1)


def measure(bench: Bench) -> dict[tuple[str, str], Runs]:
    """By form and recipe, runs of the bare loop and the detector by turns."""
    found = {}
    for recipe in RECIPES:
        model = bench.models.cards(recipe)
        for form in bench.forms:
            say(f"throughput: {form.name} rows, recipe {recipe}")
            pool, rows = bench.models.cards_pool(form, recipe), bench.rows_of(form)
            with bench.filled(pool, rows) as topics:
                work = Work(topics, form, model, pool.line, rows=rows)
                found[form.name, recipe] = by_turns([BARE, DETECTOR], work, bench.repeats)
    return found


def throughput(found: dict[tuple[str, str], Runs]) -> Part:
    """Rows a second and peak memory against the bare loop."""
    rates, memory = [], []
    for (form, recipe), runs in found.items():
        bare, ours = runs[BARE.name], runs[DETECTOR.name]
        goal = GOALS.get(form) if recipe == YARDSTICK else None
        what = f"{form} rows, {recipe}"
        rates.append(compared(what, [one.rate for one in ours], [one.rate for one in bare], goal))
        memory.append(_memory(what, ours, bare))
    rates += _avro(found)
    about = "exactly once, one process, 0.2 % alerts"
    tables = [Table(f"Rows a second: {about}", COMPARED, rates), Table(f"Peak memory, MB: {about}", COMPARED, memory)]
    return Part("throughput", tables, raw(found))


def _avro(found: dict[tuple[str, str], Runs]) -> list[list[Cell]]:
    """Avro rows beside JSON rows, where both were measured."""
    runs = [found.get((form, YARDSTICK)) for form in ("avro", "json")]
    if None in runs:
        return []
    avro, json = (median([one.rate for one in by_name[DETECTOR.name]]) for by_name in runs if by_name)
    return [["Avro to JSON rows of the detector", avro / json, None, None, *judged(avro / json, AS_JSON)]]


def _memory(what: str, ours: Sequence[Ran], bare: Sequence[Ran]) -> list[Cell]:
    peak, other = max(one.megabytes for one in ours), max(one.megabytes for one in bare)
    return [what, peak, other, peak / other if other else None, *judged(peak, MEMORY)]


def stages(found: dict[tuple[str, str], Runs]) -> Part:
    """Microseconds a row of each stage: of the run in the middle."""
    columns: dict[str, dict[str, float]] = {}
    for (form, recipe), runs in found.items():
        for name, kind in ((DETECTOR.name, f"{form}, {recipe}"), (BARE.name, f"{form}, bare")):
            if name == DETECTOR.name or recipe == YARDSTICK:
                columns[kind] = of_the_middle(runs[name])
    names = list(dict.fromkeys(name for column in columns.values() for name in column))
    names = [name for name in names if name not in ("between", "all")] + ["between", "all"]
    rows: list[list[Cell]] = [[name, *(column.get(name) for column in columns.values())] for name in names]
    notes = ["Stages are those of the loop; where it commits beside its work, `commit` is what it waits for."]
    table = Table("Where the time goes, microseconds a row", ["stage", *columns], rows, notes)
    return Part("stages", [table], columns)


def of_the_middle(runs: Sequence[Ran]) -> dict[str, float]:
    """The stages of the run of the median rate."""
    middle = median([one.rate for one in runs])
    chosen = min(runs, key=lambda one: abs(one.rate - middle)).measured
    return stage_table(chosen.rows, chosen.seconds, dict(chosen.stages))


def raw(found: dict[tuple[str, str], Runs]) -> dict[str, dict[str, list[object]]]:
    """Every run for JSON."""
    return {
        f"{form}, {recipe}": {name: [one.as_dict() for one in runs] for name, runs in by_name.items()}
        for (form, recipe), by_name in found.items()
    }
