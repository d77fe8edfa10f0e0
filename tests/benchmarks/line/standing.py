"""Parts `ready` and `idle`: how soon a detector is there, and what it takes while nothing comes."""

from __future__ import annotations

import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

from detector.errors import Failure
from tests.benchmarks.bare import ASSIGNED
from tests.benchmarks.line.bench import Bench, say
from tests.benchmarks.line.figures import COMPARED, Goal, Part, Table, compared
from tests.benchmarks.line.host import cpu_seconds, memory
from tests.benchmarks.line.programs import BARE, DETECTOR, Program, Work, afresh, last_words, leave
from tests.benchmarks.line.throughput import MEMORY
from tests.integration.line import Running

READY_FRESH = Goal(most=1.0)
READY_REBUILDING = Goal(most=2.0)
IDLE = Goal(most=2.0)
WORKED_ROWS = 40_000
"""Rows done before the start that rebuilds: more than every partition's window."""

SETTLING_SECONDS = 3.0


def ready(bench: Bench) -> Part:
    """Seconds from process start until /readyz answers 200."""
    say("ready")
    model, pool = bench.models.cards(), bench.models.cards_pool(bench.packed)
    with bench.filled(pool, WORKED_ROWS) as topics:
        work = Work(topics, bench.packed, model, pool.line)
        bare = [seconds_until_assigned(afresh(work)) for _ in range(bench.repeats)]
        fresh = [seconds_until_ready(afresh(work)) for _ in range(bench.repeats)]
        worked = afresh(work)
        process = Running(DETECTOR.command(replace(worked, rows=WORKED_ROWS)))
        with closing(process):
            if process.wait():
                raise Failure(f"detector failed: {last_words(process)}")
        rebuilding = [seconds_until_ready(worked) for _ in range(bench.repeats)]
    rows = [
        compared("a new group", fresh, bare, READY_FRESH),
        compared("with windows to rebuild", rebuilding, [], READY_REBUILDING),
    ]
    table = Table("Ready, seconds after process start", COMPARED, rows)
    return Part("ready", [table], {"bare": bare, "fresh": fresh, "rebuilding": rebuilding})


def seconds_until_assigned(work: Work) -> float:
    """One start of the bare loop, until it has its partitions."""
    begun = time.perf_counter()
    with closing(Running(BARE.command(work))) as process:
        process.await_line(ASSIGNED)
        took = time.perf_counter() - begun
        leave(process)
    return took


def seconds_until_ready(work: Work) -> float:
    """One start; it is ended as soon as it is ready."""
    begun = time.perf_counter()
    with closing(Running(DETECTOR.command(work))) as process:
        for _ in asked_until(process.address() + "/readyz"):
            if process.process.poll() is not None:
                raise Failure(f"detector failed: {last_words(process)}")
        took = time.perf_counter() - begun
        leave(process)
    return took


def asked_until(address: str) -> Iterator[None]:
    """Yields as long as an address does not answer 200."""
    pause = threading.Event()
    while True:
        try:
            with urllib.request.urlopen(address, timeout=1):
                return
        except (urllib.error.URLError, OSError):
            yield
            pause.wait(0.01)


def idle(bench: Bench) -> Part:
    """Share of a core, %, and resident memory, MB, while no row comes."""
    found: dict[str, list[tuple[float, float]]] = {program.name: [] for program in (BARE, DETECTOR)}
    with bench.empty() as topics:
        work = Work(topics, bench.packed, bench.models.cards(), 1.0)
        for _ in range(bench.repeats):
            for program in (BARE, DETECTOR):
                say(f"idle: {program.name}, {bench.seconds:g} s")
                found[program.name].append(at_rest(program, afresh(work), bench.seconds))
    cpu, rss = ({name: [one[i] for one in ones] for name, ones in found.items()} for i in (0, 1))
    rows = [
        compared("processor, % of a core", cpu[DETECTOR.name], cpu[BARE.name], IDLE),
        compared("memory, MB", rss[DETECTOR.name], rss[BARE.name], MEMORY),
    ]
    notes = [f"Over {bench.seconds:g} s, from {SETTLING_SECONDS:g} s after the start on."]
    return Part("idle", [Table("Idle", COMPARED, rows, notes)], found)


def at_rest(program: Program, work: Work, seconds: float) -> tuple[float, float]:
    """Share of a core, %, and resident memory, MB, of a process that has nothing to do."""
    process = Running(program.command(work))
    pause = threading.Event()
    with closing(process):
        pause.wait(SETTLING_SECONDS)
        before = cpu_seconds(process.process.pid)
        pause.wait(seconds)
        spent = cpu_seconds(process.process.pid) - before
        rss = memory(process.process.pid, "VmRSS")
        process.process.terminate()
        if process.wait() or rss is None:
            raise Failure(f"{program.name} failed: {last_words(process)}")
    return 100 * spent / seconds, rss
