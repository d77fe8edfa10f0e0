"""How long statistics take to be made from the log, against a bare reader of the same rows, by turns on one broker.

`python -m tests.benchmarks.rebuild [--partitions 64] [--rows 4096] [--behind 4096] [--repeats 5] [--out FILE]` prints
seconds from nothing (no connection yet) to the last partition's summary. behind: rows of each partition beyond the
position at which it comes, which a member that takes over from a dead one finds.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from detector import artifact
from detector.artifact import Artifact
from detector.kafka import Reader
from detector.rebuild import Ranges, rebuild
from detector.rows import Decoder, Message
from detector.statistics import RunningMedianMad
from tests.benchmarks.cards import broker_and_folder, fill, filled, keep, material
from tests.benchmarks.line import machine
from tests.benchmarks.line.models import Models
from tests.integration.line import Topics
from tests.spoiling import Made


@dataclass(frozen=True)
class Times:
    """Seconds, medians; ratio: the median of a rebuild by the bare reading next to it."""

    form: str
    behind: int
    rebuild: float
    bare: float
    ratio: float


def main() -> None:
    """Measures, prints a table, keeps JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--partitions", type=int, default=64)
    parser.add_argument("--rows", type=int, default=4096)
    parser.add_argument("--behind", type=int, default=4096)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    with broker_and_folder() as (bootstrap, folder):
        found = measure(bootstrap, folder, chosen)
    print(as_text(found, chosen.partitions, chosen.rows))
    keep(found, chosen.out)


def measure(bootstrap: str, folder: Path, chosen: argparse.Namespace) -> list[Times]:
    """Packed and JSON rows, at the log's end and behind it."""
    model = Models(folder).cards()
    served, rows = artifact.load(model), material(model)
    found = []
    for form, values in (("packed", rows.packed), ("json", rows.json)):
        made: list[Made] = [(value, []) for value in values]
        with filled(bootstrap, made, 2 * chosen.rows * chosen.partitions, chosen.partitions) as topics:
            found.append(compare(topics, served, form, chosen.rows, 0, chosen.repeats))
            fill(topics, made, chosen.behind * chosen.partitions)
            found.append(compare(topics, served, form, chosen.rows, chosen.behind, chosen.repeats))
    return found


def compare(topics: Topics, served: Artifact, form: str, rows: int, behind: int, repeats: int) -> Times:
    """By turns, at the position behind twice the rows."""
    ranges = dict.fromkeys(range(topics.partitions), (rows, 2 * rows))
    decoder, model = Decoder(served.schema, form), served.model()
    model.warm()

    def ours() -> None:
        windows = rebuild(
            {partition: end for partition, (_, end) in ranges.items()},
            lambda partition: 0,
            lambda wanted: read_back(topics, wanted),
            decoder,
            model,
            lambda: RunningMedianMad(rows, 1024, 256),
        )
        assert len(windows) == topics.partitions

    times = [(seconds(lambda: bare(topics, ranges)), seconds(ours)) for _ in range(repeats)]
    bare_, ours_ = (statistics.median(column) for column in zip(*times, strict=True))
    return Times(form, behind, ours_, bare_, statistics.median(mine / other for other, mine in times))


def read_back(topics: Topics, ranges: Ranges) -> Iterator[Sequence[Message]]:
    """As the service reads."""
    reader = Reader(topics.bootstrap, {})
    try:
        yield from reader.between(topics.input, ranges)
    finally:
        reader.close()


def bare(topics: Topics, ranges: Mapping[int, tuple[int, int]]) -> None:
    """Reads so many messages from the starts on, and looks at none."""
    settings: dict[str, Any] = {
        "bootstrap.servers": topics.bootstrap,
        "group.id": "bare",
        "enable.auto.commit": False,
        "isolation.level": "read_committed",
        "fetch.queue.backoff.ms": 5,
        "queued.min.messages": 1_000_000,
        "queued.max.messages.kbytes": 16_384,
    }
    consumer = Consumer(settings)
    consumer.assign([TopicPartition(topics.input, partition, begin) for partition, (begin, _) in ranges.items()])
    left = sum(end - begin for begin, end in ranges.values())
    while left > 0:
        left -= len(consumer.consume(4096, 0.05))
    consumer.close()


def seconds(work: Callable[[], None]) -> float:
    """How long it takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def as_text(found: Sequence[Times], partitions: int, rows: int) -> str:
    """For a person."""
    lines = [machine(), f"{rows} rows on each of {partitions} partitions; medians", ""]
    lines.append(f"{'form':8}{'rows behind':>12}{'rebuild s':>12}{'bare s':>10}{'ratio':>8}")
    lines += [f"{t.form:8}{t.behind:>12}{t.rebuild:>12.2f}{t.bare:>10.2f}{t.ratio:>8.2f}" for t in found]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
