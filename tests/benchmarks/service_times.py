"""What a row costs one busy detector, step by step, for `python -m deploy.kubernetes.sizing`.

`python -m tests.benchmarks.service_times [--rows 4000000]` starts an Apache Kafka, fills a topic for each format, and
asks a detector at work how many rows it has committed, every half second; it writes
deploy/kubernetes/service_times.json. The rows are simulated cards (30 numbers), recipe cards-30-14-7-4, exactly once,
one process, the broker on the same machine.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from deploy.kubernetes.simulation import STEP_SECONDS
from deploy.kubernetes.sizing import MEASURED
from tests.benchmarks.line.bench import say
from tests.benchmarks.line.models import Models
from tests.benchmarks.line.rows import Form, fill, packed
from tests.benchmarks.line.rows import json as as_json
from tests.broker import start
from tests.integration.line import Running, detector_command, make_topics

FORMS = (Form("packed", packed), Form("json", as_json))
LIMIT_SECONDS = 600.0


def main() -> None:
    """Measures and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=4_000_000)
    parser.add_argument("--out", type=Path, default=MEASURED)
    chosen = parser.parse_args()
    broker = start()
    try:
        with TemporaryDirectory() as folder:
            models = Models(Path(folder))
            found = {form.name: samples(broker.bootstrap, models, form, chosen.rows) for form in FORMS}
    finally:
        broker.stop()
    told = {
        "measured": datetime.now(UTC).date().isoformat(),
        "step_seconds": STEP_SECONDS,
        "rows": chosen.rows,
        "microseconds_a_row": found,
    }
    chosen.out.write_text(json.dumps(told, indent=1) + "\n")
    for name, micros in found.items():
        say(f"{name}: {len(micros)} steps, median {np.median(micros):.2f} us a row")


def samples(bootstrap: str, models: Models, form: Form, rows: int) -> list[float]:
    """Microseconds a row of each whole step of one detector over a full topic."""
    pool, topics = models.cards_pool(form), make_topics(bootstrap)
    say(f"{form.name}: sending {rows:,} rows")
    fill(topics, pool, rows, 500)
    how = ("--format", form.name, "--threshold", f"value:{pool.line:.17g}")
    detector = Running(detector_command(topics, models.cards(), *how))
    try:
        detector.await_line("partitions_assigned")
        return costs(*watched(detector, rows))
    finally:
        detector.close()


def watched(detector: Running, rows: int) -> tuple[list[float], list[int]]:
    """When it was asked, s, and how many rows it had committed, until it had all."""
    times, counts, pause = [time.monotonic()], [0], threading.Event()
    deadline = times[0] + LIMIT_SECONDS
    while counts[-1] < rows and times[-1] < deadline:
        pause.wait(STEP_SECONDS)
        counts.append(committed(detector.scrape()))
        times.append(time.monotonic())
    return times, counts


def committed(metrics: str) -> int:
    """The counter of rows in a scrape, over all its labels."""
    return round(
        sum(float(line.split()[-1]) for line in metrics.splitlines() if line.startswith("detector_rows_total"))
    )


def costs(times: Sequence[float], counts: Sequence[int]) -> list[float]:
    """Microseconds a row of each step; the first two, in which it joins and warms up, and the last are left out."""
    taken, rows = np.diff(times)[2:-1], np.diff(counts)[2:-1]
    return [round(float(one), 3) for one in 1e6 * taken[rows > 0] / rows[rows > 0]]


if __name__ == "__main__":
    main()
