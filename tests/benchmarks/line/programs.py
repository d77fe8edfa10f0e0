"""The programs that are measured, and a run of one over a topic: each in its own process, timed by its own words."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from subprocess import TimeoutExpired
from typing import Any
from uuid import uuid4

from detector.errors import Failure
from tests.benchmarks.line.host import memory
from tests.benchmarks.line.rows import Form, alerts_of
from tests.benchmarks.measured import MEASURED, Measured, heard
from tests.integration.line import Running, Topics, detector_command

LIMIT_SECONDS = 900.0
"""How long a run may take: a program that ended is noticed at once."""

LEAVE_SECONDS = 10.0
"""How long a process may take to end when it is asked to."""

TOTALS = re.compile(r"(rows|alerts|dead_letters)=(\d+)")
STAGE = re.compile(r"(\w+):(\d+\.\d+)")


@dataclass(frozen=True, slots=True)
class Work:
    """What a program is to do. line: rows alert above this score. every: one row in so many does.

    rows: those that the topic holds; 0: it works until it is told to end.
    """

    topics: Topics
    form: Form
    model: Path
    line: float
    every: int = 500
    rows: int = 0


@dataclass(frozen=True, slots=True)
class Program:
    """A program. command: its command line for a work. measured: what a finished one says of itself."""

    name: str
    command: Callable[[Work], list[str]]
    measured: Callable[[Running], Measured]


@dataclass(frozen=True, slots=True)
class Ran:
    """A run. megabytes: resident memory at its peak."""

    measured: Measured
    megabytes: float

    @property
    def rate(self) -> float:
        """Rows a second."""
        return self.measured.rows / self.measured.seconds

    @property
    def micros(self) -> float:
        """Microseconds a row."""
        return 1e6 / self.rate

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"rows_per_second": self.rate, "megabytes": self.megabytes, **asdict(self.measured)}


def _detector(work: Work) -> list[str]:
    how = ["--format", work.form.name, *work.form.options, "--threshold", f"value:{work.line:.17g}"]
    return detector_command(work.topics, work.model, *how, *(["--until-end"] if work.rows else []))


def _bare(work: Work) -> list[str]:
    """Without an end it takes what is there at once, which is the latency's yardstick; with one it fills batches."""
    places = [work.topics.bootstrap, work.topics.input, work.topics.alerts]
    how = ["--rows", str(work.rows), "--every", str(work.every)] if work.rows else ["--at-once"]
    return [sys.executable, "-m", "tests.benchmarks.bare", *places, *how]


def told(running: Running) -> Measured:
    """What a program of ours or a peer's says."""
    return heard(running.await_line(MEASURED, LIMIT_SECONDS))


def logged(running: Running) -> Measured:
    """What the detector's log says; the clock runs from its first assignment to its loop's end."""
    lines = [running.await_line(word, LIMIT_SECONDS) for word in ("started ", "partitions_assigned", "loop_ended")]
    return from_log(*lines)


def from_log(started: str, assigned: str, ended: str) -> Measured:
    """Reads three lines of the detector's log. Its polls include the wait for the assignment, which is taken off."""
    counts = {name: int(count) for name, count in TOTALS.findall(ended)}
    stages = {name: float(spent) for name, spent in STAGE.findall(ended)}
    begun = logged_at(assigned)
    stages["poll"] = max(stages.get("poll", 0.0) - (begun - logged_at(started)), 0.0)
    rows = counts["rows"] + counts["dead_letters"]
    return Measured(rows, counts["alerts"], begun, logged_at(ended), stages)


def logged_at(line: str) -> float:
    """The time of a log line, s since 1970."""
    return datetime.strptime(line[:23], "%Y-%m-%d %H:%M:%S,%f").timestamp()


DETECTOR = Program("detector", _detector, logged)
BARE = Program("bare loop", _bare, told)


def run(program: Program, work: Work) -> Ran:
    """One run over a topic, with outputs and a group of its own."""
    return run_together(program, [work])[0]


def run_together(program: Program, works: Sequence[Work]) -> list[Ran]:
    """A process for each work, all at once; Failure where one fails or does not do all rows."""
    works = [afresh(work) for work in works]
    with ExitStack() as closing:
        processes = [Running(program.command(work)) for work in works]
        for process in processes:
            closing.callback(process.close)
        peaks = peaks_of(processes)
        for process in processes:
            if process.wait():
                raise Failure(f"{program.name} failed: {last_words(process)}")
        found = [Ran(program.measured(one), peak) for one, peak in zip(processes, peaks, strict=True)]
    for ran, work in zip(found, works, strict=True):
        check(program, ran.measured, work)
    return found


def afresh(work: Work) -> Work:
    """The same work with outputs and a group of its own."""
    return replace(work, topics=work.topics.with_outputs(f"r{uuid4().hex[:10]}"))


def check(program: Program, found: Measured, work: Work) -> None:
    """Failure where a run did not do its work: its figures would be of other work."""
    wanted = alerts_of(found.rows, work.every)
    # Who does a part of the topic may be further in one partition than in another.
    allowed = work.topics.partitions + wanted // 20
    if found.rows < work.rows or abs(found.alerts - wanted) > allowed:
        done = f"{found.rows} of {work.rows} rows, {found.alerts} of {wanted} alerts"
        raise Failure(f"{program.name} did {done}")


def peaks_of(processes: Sequence[Running]) -> list[float]:
    """Peak resident memory of processes, MB, asked until all have ended; Failure where one does not."""
    peaks = [0.0] * len(processes)
    deadline = time.monotonic() + LIMIT_SECONDS
    while any(process.process.poll() is None for process in processes):
        if time.monotonic() > deadline:
            raise Failure(f"not ended within {LIMIT_SECONDS:g} s: {last_words(processes[-1])}")
        for i, process in enumerate(processes):
            peaks[i] = max(peaks[i], memory(process.process.pid) or 0.0)
        time.sleep(0.05)
    return peaks


def leave(process: Running) -> None:
    """Asks a process to end, so that it leaves no transaction open; who does not is killed later."""
    process.process.terminate()
    with suppress(TimeoutExpired):
        process.process.wait(LEAVE_SECONDS)


def last_words(process: Running) -> str:
    """The last line that a process said."""
    return (process.log().strip().splitlines() or ["nothing said"])[-1]


def by_turns(programs: Sequence[Program], work: Work, repeats: int) -> dict[str, list[Ran]]:
    """Runs of each program, one after the other and again, so that what else the machine does meets them all."""
    found: dict[str, list[Ran]] = {program.name: [] for program in programs}
    for _ in range(repeats):
        for program in programs:
            found[program.name].append(run(program, work))
    return found
