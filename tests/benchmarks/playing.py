"""How fast a replay sends, beside the bare client; and how well it keeps a pace.

`python -m tests.benchmarks.playing [--rows N] [--repeats N] [--minutes M] [--gigabytes G] [--out FILE]` sends simulated
cards of 30 numbers to a fresh topic of 4 partitions, in turn by `python -m replay` flat out and by a loop that does
nothing but hand records that were made before to the client of the same settings, and prints rows a second of each, the
median of the repeats. A replay's time has its encoding in it and not the reading of its file. With --minutes it then
plays rows of so many minutes at 60x and prints how late they were and how long it took beside how long it should. With
--gigabytes it plays a Parquet file of that size, and one of a tenth, and prints the most memory that each took.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from confluent_kafka import Producer

from detector.kafka import Record
from detector.kafka.publish import PUBLISHER
from replay.encoding import encoded, encoder
from replay.outbox import rows_of
from replay.settings import Settings
from replay.source import Files
from tests.benchmarks.watched import run
from tests.broker import create_topic, start
from tests.replay.made import long_parquet

PARTITIONS = 4
COLUMNS = 30
PACED_ROWS = 50
"""Rows a second of the paced replay, by the clock."""


@dataclass(frozen=True)
class Speed:
    """Rows a second."""

    format: str
    resumed: bool
    bare: float
    replay: float

    @property
    def share(self) -> float:
        """Of the bare client's."""
        return self.replay / self.bare


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=0.0)
    parser.add_argument("--gigabytes", type=float, default=0.0)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    broker = start()
    try:
        with tempfile.TemporaryDirectory() as folder:
            data = cards(Path(folder) / "rows.parquet", chosen.rows)
            cases = [(format_, resumed) for format_ in ("packed", "json") for resumed in (False, True)]
            found = [speed(broker.bootstrap, data, *case, chosen.repeats) for case in cases]
            for one in found:
                how = "in transactions" if one.resumed else "plain"
                rates = f"bare {one.bare:>9,.0f} rows/s  replay {one.replay:>9,.0f} rows/s"
                print(f"{one.format:7}{how:16}{rates}  {one.share:.0%}", flush=True)
            if chosen.minutes:
                print(paced(broker.bootstrap, Path(folder), chosen.minutes * 60), flush=True)
            for gigabytes in (chosen.gigabytes / 10, chosen.gigabytes) if chosen.gigabytes else ():
                print(remembered(broker.bootstrap, Path(folder) / "long.parquet", gigabytes), flush=True)
    finally:
        broker.stop()
    if chosen.out:
        chosen.out.write_text(json.dumps([asdict(one) for one in found], indent=2))


def cards(path: Path, rows: int) -> Path:
    """Rows in order of time, with a key of a thousand cards."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(rows, COLUMNS)), columns=[f"V{number}" for number in range(COLUMNS)])
    frame.insert(0, "Time", np.arange(rows) // 100)
    frame["card"] = rng.integers(0, 1000, rows)
    frame.to_parquet(path, index=False)
    return path


def speed(bootstrap: str, data: Path, format_: str, resumed: bool, repeats: int) -> Speed:
    """Both in turn, the median of each."""
    bare_rates, replay_rates = [], []
    for _ in range(repeats):
        bare_rates.append(bare(bootstrap, data, format_))
        replay_rates.append(played(bootstrap, data, format_, resumed))
    return Speed(format_, resumed, statistics.median(bare_rates), statistics.median(replay_rates))


def topic_of(bootstrap: str) -> str:
    """A fresh one."""
    name = f"t{uuid.uuid4().hex[:8]}"
    create_topic(bootstrap, name, PARTITIONS)
    return name


def played(bootstrap: str, data: Path, format_: str, resumed: bool) -> float:
    """Rows a second as a replay tells."""
    topic = topic_of(bootstrap)
    more = ("--resume", topic) if resumed else ()
    said = tool(bootstrap, data, topic, "--format", format_, *more)
    found = re.search(r"(\d+) rows/s", said)
    assert found is not None
    return float(found[1])


def tool(bootstrap: str, data: Path, topic: str, *more: str) -> str:
    """What a replay says in the end."""
    line = [sys.executable, "-m", "replay", str(data), "--bootstrap-servers", bootstrap, "--topic", topic, *more]
    return subprocess.run(line, check=True, capture_output=True, text=True).stdout


def records(data: Path, format_: str, topic: str) -> list[Record]:
    """Those that a replay sends."""
    chosen = Settings(bootstrap_servers="nowhere:1", format=format_, topic=topic)
    history = Files([str(data)], chosen, None, lambda line: None)
    batches = encoded(encoder(format_, history.columns))(history.batches())
    return [record for batch in batches for record in rows_of(batch, format_, topic)]


def bare(bootstrap: str, data: Path, format_: str) -> float:
    """Rows a second of the client alone, its queue never full."""
    topic = topic_of(bootstrap)
    made = records(data, format_, topic)
    settings = {**PUBLISHER, "linger.ms": 5, "partitioner": "murmur2_random", "batch.size": 1_000_000}
    producer = Producer({**settings, "bootstrap.servers": bootstrap, "log_level": 0})
    producer.list_topics(topic, timeout=10)
    begun = time.perf_counter()
    send(producer, made)
    producer.flush()
    return len(made) / (time.perf_counter() - begun)


def send(producer: Producer, made: Sequence[Record]) -> None:
    """Hands over all records, a thousand between two looks at the queue."""
    for first in range(0, len(made), 1000):
        for topic, key, value, headers in made[first : first + 1000]:
            producer.produce(topic, value, key, headers=headers)  # type: ignore[arg-type]
        while len(producer) > 50_000:
            producer.poll(0.01)
        producer.poll(0)


def paced(bootstrap: str, folder: Path, seconds: float) -> str:
    """How a replay at 60x keeps its pace for so long."""
    count = int(seconds * PACED_ROWS)
    rng = np.random.default_rng(1)
    times = np.sort(rng.uniform(0, seconds * 60, count))
    times[0], times[-1] = 0, seconds * 60
    pd.DataFrame({"Time": times, "x": 1.0}).to_parquet(folder / "paced.parquet", index=False)
    said = tool(bootstrap, folder / "paced.parquet", topic_of(bootstrap), "--speed", "60x")
    taken = re.search(r"rows/s, (\d+\.\d) s", said)
    assert taken is not None
    return f"60x: {said.strip()}; {seconds:g} s wanted, {float(taken[1]) / seconds - 1:+.3%}"


def remembered(bootstrap: str, path: Path, gigabytes: float) -> str:
    """The most memory that a replay of a file of this size has at any moment; the topic keeps little of it."""
    rows = long_parquet(path, round(gigabytes * 1e9), COLUMNS)
    topic = f"t{uuid.uuid4().hex[:8]}"
    create_topic(bootstrap, topic, PARTITIONS, retention_bytes=1 << 28, segment_bytes=1 << 26)
    line = [sys.executable, "-m", "replay", str(path), "--bootstrap-servers", bootstrap, "--topic", topic]
    said, peak = run([*line, "--format", "packed"])
    path.unlink()
    return f"{gigabytes:g} GB, {rows:,} rows: {peak:,.0f} MB at most; {said.strip()}"


if __name__ == "__main__":
    main()
