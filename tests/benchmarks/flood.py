"""What a bad message costs: topics of nothing but bad ones against as many good JSON rows, by turns on one broker.

`python -m tests.benchmarks.flood [--rows 100000] [--repeats 3] [--kinds truncated,text,...] [--out FILE]` prints, for
each kind, messages a second and how much of a good row's time one takes: the median of the repeats, each measured
right after good rows. A bad message becomes a record of the dead-letter topic, as long as itself; a good row none.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from detector import artifact, table
from tests.benchmarks.line import machine
from tests.broker import delete_topic, start
from tests.fuzz import Material
from tests.integration.line import Running, Sent, Topics, detector_command, make_topics, send
from tests.spoiling import KINDS, Made
from trainer.simulate import simulated_cards

RECIPE = "cards-30-14-7-4"


@dataclass(frozen=True)
class Cost:
    """One kind. ratio: the time of a bad message by that of a good row."""

    kind: str
    reason: str
    bad_per_second: float
    good_per_second: float
    ratio: float


def main() -> None:
    """Measures, prints a table, keeps JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--kinds", type=lambda text: text.split(","), default=list(KINDS))
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    broker = start()
    try:
        with tempfile.TemporaryDirectory() as folder:
            found = measure(broker.bootstrap, Path(folder), chosen.kinds, chosen.rows, chosen.repeats)
    finally:
        broker.stop()
    print(as_text(found))
    if chosen.out:
        chosen.out.write_text(json.dumps([asdict(one) for one in found], indent=2))


def measure(bootstrap: str, folder: Path, kinds: Sequence[str], rows: int, repeats: int) -> list[Cost]:
    """The cost of each kind."""
    model = folder / "model"
    fit = [sys.executable, "-m", "trainer", "fit", "simulated-cards", "--out", str(model), "--recipe", RECIPE]
    subprocess.run([*fit, "--epochs", "5", "--threshold", "percentile:99.8"], check=True, capture_output=True)
    source = lines(artifact.load(model).schema.features)
    good = make_topics(bootstrap)
    fill(good, [(row, []) for row in source], rows)
    return [cost(good, model, kind, source, rows, repeats) for kind in kinds]


def lines(features: tuple[str, ...]) -> list[bytes]:
    """Simulated rows as JSON."""
    return Material.of(features, table.matrix(simulated_cards(10_000, seed=5), features)).json


def fill(topics: Topics, made: Sequence[Made], rows: int) -> None:
    """Publishes messages, over and over."""
    sent: list[Sent] = [(value, None, marks) for value, marks in made]
    batch = [(value, number % topics.partitions, marks) for number, (value, _, marks) in enumerate(sent)]
    for begin in range(0, rows, len(batch)):
        send(topics.bootstrap, topics.input, batch[: rows - begin])


def cost(good: Topics, model: Path, kind: str, source: list[bytes], rows: int, repeats: int) -> Cost:
    """Good rows and bad ones by turns."""
    reason, spoil = KINDS[kind]
    bad = make_topics(good.bootstrap)
    fill(bad, [spoil(row) for row in source], rows)
    seconds = []
    for turn in range(repeats):
        seconds.append(
            (
                run(good.with_outputs(f"{bad.name}-{turn}-good"), model, f"rows={rows} "),
                run(bad.with_outputs(f"{bad.name}-{turn}"), model, f"dead_letters={rows} "),
            )
        )
    delete_topic(good.bootstrap, bad.input)
    ratio = statistics.median(worse / better for better, worse in seconds)
    better, worse = (statistics.median(column) for column in zip(*seconds, strict=True))
    return Cost(kind, reason, rows / worse, rows / better, ratio)


def run(topics: Topics, model: Path, told: str) -> float:
    """Seconds from a detector's assignment to its loop's end, at which its totals must say what is `told`."""
    detector = Running(detector_command(topics, model, "--until-end"))
    try:
        begun = logged(detector.await_line("partitions_assigned"))
        assert detector.wait() == 0, detector.log()
        line = detector.await_line("loop_ended")
        assert told in line, line
        print(line.partition("loop_ended ")[2].strip(), file=sys.stderr, flush=True)
        return logged(line) - begun
    finally:
        detector.close()
        for topic in (topics.alerts, topics.dead):
            delete_topic(topics.bootstrap, topic)


def logged(line: str) -> float:
    """The time of a log line, seconds."""
    return datetime.strptime(line[:23], "%Y-%m-%d %H:%M:%S,%f").timestamp()


def as_text(found: Sequence[Cost]) -> str:
    """For a person."""
    rows = [f"{'kind':18}{'reason':18}{'bad/s':>12}{'good/s':>12}{'a bad one costs':>18}"]
    rows += [
        f"{one.kind:18}{one.reason:18}{one.bad_per_second:>12,.0f}{one.good_per_second:>12,.0f}{one.ratio:>16.2f} x"
        for one in found
    ]
    return "\n".join([machine(), *rows])


if __name__ == "__main__":
    main()
