"""How long a backtest takes: a million simulated card transactions on Apache Kafka, and on the embedded broker.

`python -m tests.benchmarks.backtest [--rows N] [--repeats N] [--models N] [--out FILE]` trains a model once on other
simulated rows, writes the rows to Parquet, and runs `python -m replay backtest` on either broker, from the start of its
process to its end. It prints what the parts took, the largest memory of the process, and the goals beside them: a
minute on Apache Kafka, three on the embedded broker. Labels, times and money are there, as in the original.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.benchmarks.watched import run
from tests.broker import start
from trainer.simulate import simulated_cards

GOALS = {"Apache Kafka": 60.0, "embedded": 180.0}
"""Seconds for a million rows on two cores."""

TRAINING_ROWS = 60_000


@dataclass(frozen=True)
class Took:
    """A backtest. seconds: from start to end of its process. parts: as it told. peak: memory of its own process, MB."""

    broker: str
    models: int
    rows: int
    seconds: float
    parts: dict[str, float]
    peak: float

    @property
    def text(self) -> str:
        """For a person."""
        told = ", ".join(f"{name} {seconds:.1f}" for name, seconds in self.parts.items())
        goal = f"goal {GOALS[self.broker]:.0f} s" if self.rows == 1_000_000 and self.models == 1 else "no goal"
        head = f"{self.broker:13}{self.models} model{'s' if self.models > 1 else ' '}{self.rows:>10,} rows"
        return f"{head}{self.seconds:>8.1f} s ({goal}; {told}; {self.peak:,.0f} MB)"


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--models", type=int, default=1, choices=(1, 2))
    parser.add_argument("--brokers", nargs="+", default=list(GOALS), choices=list(GOALS))
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = [trained(folder, number) for number in range(chosen.models)]
        data = folder / "cards.parquet"
        simulated_cards(chosen.rows, seed=1).to_parquet(data, index=False)
        found = [
            one for broker in chosen.brokers for one in measured(broker, data, models, chosen.rows, chosen.repeats)
        ]
    if chosen.out:
        chosen.out.write_text(json.dumps([asdict(one) for one in found], indent=2))


def trained(folder: Path, number: int) -> Path:
    """A model of rows that are not played; a second one is of another seed."""
    model = folder / f"model-{number}"
    how = ("--out", str(model), "--epochs", "5", "--threshold", "percentile:99.8", "--seed", str(number))
    run([sys.executable, "-m", "trainer", "fit", "simulated-cards", *how])
    return model


def measured(broker: str, data: Path, models: Sequence[Path], rows: int, repeats: int) -> list[Took]:
    """So many backtests on one broker, each printed as it is done."""
    kafka = start() if broker == "Apache Kafka" else None
    try:
        where = ["--bootstrap-servers", kafka.bootstrap] if kafka else []
        found = []
        for _ in range(repeats):
            found.append(took(broker, data, models, rows, where))
            print(found[-1].text, flush=True)
        return found
    finally:
        if kafka:
            kafka.stop()


def took(broker: str, data: Path, models: Sequence[Path], rows: int, where: Sequence[str]) -> Took:
    """One backtest, in a process of its own."""
    tried = [text for model in models for text in ("--model", str(model))]
    command = [sys.executable, "-m", "replay", "backtest", str(data), *tried, *where]
    began = time.monotonic()
    said, peak = run([*command, "--out", str(data.with_suffix(".html"))])
    seconds = time.monotonic() - began
    parts = {name: float(number) for name, number in re.findall(r"([a-z][a-z ]*?) (\d+\.\d) s\b", said)}
    return Took(broker, len(models), rows, seconds, parts, peak)


if __name__ == "__main__":
    main()
