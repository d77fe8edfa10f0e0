"""Rows a second of the detector and of the bare client's loop, interleaved on one broker; memory; time to ready.

`python -m tests.benchmarks.line [--repeats 3] [--json-rows 400000] [--packed-rows 1500000] [--out FILE]`
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from confluent_kafka import Producer

from detector import artifact, table
from detector.rows import encode_json, encode_packed
from tests.broker import start
from tests.integration.line import Running, Topics, detector_command, make_topics, positions
from trainer.simulate import simulated_cards

RECIPE = "cards-30-14-7-4"


@dataclass(frozen=True)
class Run:
    """One detector over one topic."""

    rows_per_second: float
    rss_megabytes: float


def main() -> None:
    """Measures, prints a table, keeps JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json-rows", type=int, default=400_000)
    parser.add_argument("--packed-rows", type=int, default=1_500_000)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    broker = start()
    try:
        with tempfile.TemporaryDirectory() as folder:
            found = measure(broker.bootstrap, Path(folder), chosen)
    finally:
        broker.stop()
    print(as_text(found))
    if chosen.out:
        chosen.out.write_text(json.dumps(found, indent=2))


def measure(bootstrap: str, folder: Path, chosen: argparse.Namespace) -> dict[str, object]:
    """All figures, by name."""
    model = folder / "model"
    fit = [sys.executable, "-m", "trainer", "fit", "simulated-cards", "--out", str(model), "--recipe", RECIPE]
    subprocess.run([*fit, "--epochs", "5", "--threshold", "percentile:99.8"], check=True, capture_output=True)
    found: dict[str, object] = {"machine": machine()}
    for form, rows in (("packed", chosen.packed_rows), ("json", chosen.json_rows)):
        topics = make_topics(bootstrap)
        fill(topics, form, rows, artifact.load(model).schema.features)
        found[form] = compare(topics, model, form, rows, chosen.repeats)
        if form == "packed":
            found["ready_seconds"] = ready(topics, model)
    return found


def fill(topics: Topics, form: str, rows: int, features: tuple[str, ...]) -> None:
    """Publishes simulated rows, over and over."""
    frame = simulated_cards(50_000, seed=5)
    if form == "packed":
        values = encode_packed(table.matrix(frame, features))
    else:
        values = encode_json({str(k): v for k, v in row.items()} for row in frame[list(features)].to_dict("records"))
    producer = Producer(
        {"bootstrap.servers": topics.bootstrap, "linger.ms": 20, "queue.buffering.max.messages": 500_000}
    )
    for i in range(rows):
        while True:
            try:
                producer.produce(topics.input, values[i % len(values)], partition=i % topics.partitions)
                break
            except BufferError:
                producer.poll(0.1)
    producer.flush()


def compare(topics: Topics, model: Path, form: str, rows: int, repeats: int) -> dict[str, object]:
    """Bare loop and detector by turns."""
    bare, runs = [], []
    for turn in range(repeats):
        bare.append(bare_rate(topics, rows))
        runs.append(detector_run(topics.with_outputs(f"{topics.name}-{turn}"), model, form, rows))
    rates = [run.rows_per_second for run in runs]
    return {
        "rows": rows,
        "bare_rows_per_second": statistics.median(bare),
        "detector_rows_per_second": statistics.median(rates),
        "share_of_bare": statistics.median(rates) / statistics.median(bare),
        "rss_megabytes": max(run.rss_megabytes for run in runs),
        "bare_all": bare,
        "detector_all": [asdict(run) for run in runs],
    }


def bare_rate(topics: Topics, rows: int) -> float:
    """Rows a second of the bare loop."""
    command = [sys.executable, "-m", "tests.benchmarks.bare", topics.bootstrap, topics.input, topics.alerts, str(rows)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return rows / float(done.stdout)


def detector_run(topics: Topics, model: Path, form: str, rows: int) -> Run:
    """A detector over the whole topic; the clock runs from its assignment to its loop's end."""
    detector = Running(detector_command(topics, model, "--until-end", "--format", form))
    try:
        begun = logged(detector.await_line("partitions_assigned"))
        rss = peak_rss(detector)
        assert detector.wait() == 0, detector.log()
        line = detector.await_line("loop_ended")
        assert f"rows={rows} " in line, line
        return Run(rows / (logged(line) - begun), rss)
    finally:
        detector.close()


def logged(line: str) -> float:
    """The time of a log line, seconds."""
    return datetime.strptime(line[:23], "%Y-%m-%d %H:%M:%S,%f").timestamp()


def peak_rss(detector: Running) -> float:
    """The process' peak resident memory, MB, asked until it has ended."""
    peak = 0.0
    while detector.process.poll() is None:
        with suppress(OSError):
            status = Path(f"/proc/{detector.process.pid}/status").read_text()
            peak = max([peak, *(float(line.split()[1]) / 1024 for line in status.splitlines() if "VmHWM" in line)])
        with suppress(subprocess.TimeoutExpired):
            detector.process.wait(0.05)
    return peak


def ready(topics: Topics, model: Path) -> dict[str, float]:
    """Seconds from process start until /readyz says so: for a new group, and for one with windows to rebuild."""
    fresh = topics.with_outputs(f"{topics.name}-fresh")
    worked = topics.with_outputs(f"{topics.name}-worked")
    detector_run(worked, model, "packed", sum_rows(topics))
    return {
        "new_group": statistics.median(seconds_until_ready(fresh, model, turn) for turn in range(3)),
        "rebuilding": statistics.median(seconds_until_ready(worked, model, turn) for turn in range(3)),
    }


def sum_rows(topics: Topics) -> int:
    """Rows in the input."""
    return sum(positions(topics)[1].values())


def seconds_until_ready(topics: Topics, model: Path, turn: int) -> float:
    """One start; it is ended as soon as it is ready."""
    port = 21_000 + os.getpid() % 5000 + turn
    begun = time.perf_counter()
    detector = Running(detector_command(topics, model, "--format", "packed", "--metrics-port", str(port)))
    try:
        for _ in asked_until(f"http://127.0.0.1:{port}/readyz"):
            assert detector.process.poll() is None, detector.log()
        return time.perf_counter() - begun
    finally:
        detector.process.terminate()
        detector.wait()
        detector.close()


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


def machine() -> str:
    """What it was measured on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if "model name" in line), platform.processor())
    return f"{os.cpu_count()} x {model}, Python {platform.python_version()}"


def as_text(found: dict[str, object]) -> str:
    """For a person."""
    lines = [str(found["machine"]), "exactly once, one process, 30-14-7-4, 0.2 % alerts; medians", ""]
    lines.append(f"{'':8}{'bare rows/s':>14}{'detector rows/s':>18}{'share':>8}{'RSS MB':>9}")
    for form in ("packed", "json"):
        f = found[form]
        assert isinstance(f, dict)
        lines.append(
            f"{form:8}{f['bare_rows_per_second']:>14,.0f}{f['detector_rows_per_second']:>18,.0f}"
            f"{f['share_of_bare']:>8.2f}{f['rss_megabytes']:>9.0f}"
        )
    ready_ = found["ready_seconds"]
    assert isinstance(ready_, dict)
    lines.append(
        f"ready after {ready_['new_group']:.2f} s in a new group, {ready_['rebuilding']:.2f} s with windows to rebuild"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
