"""Real data through the whole line: half of the normal rows train, the rest and every anomaly is replayed via Kafka.

The halves are those of a seeded permutation, `numpy.random.default_rng(0)`.

`python -m tests.benchmarks.replayed [--data ../shared/data] [--out FILE]` prints, for each data set and recipe, whether
the alerts in Kafka are those of `trainer score`, and how well they tell anomalies: precision, recall, AUROC.
Nothing is weighted: anomalies are far more frequent in these rows than in life, and precision reads accordingly.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from detector import table
from tests.broker import create_topic, start
from tests.integration.line import alerts_of, make_topics, read_committed, until_end


@dataclass(frozen=True)
class Case:
    """A data set, what its label means, and the recipe."""

    file: str
    label: str
    normal: str
    recipe: str
    threshold: str


CASES = (
    Case("creditcard_sample.parquet", "Class", "0", "default", "percentile:99.5"),
    Case("creditcard_sample.parquet", "Class", "0", "cards-30-14-7-4", "percentile:99.5"),
    Case("ecg.csv.xz", "c140", "1", "default", "percentile:98"),
    Case("ecg.csv.xz", "c140", "1", "ecg-msle", "mean+1sd"),
)


@dataclass(frozen=True)
class Outcome:
    """What came of a case."""

    data: str
    recipe: str
    threshold: str
    replayed: int
    alerts_in_kafka: int
    alerts_of_score: int
    equal: bool
    precision: float
    recall: float
    f1: float
    auroc: float
    average_precision: float


def main() -> None:
    """Runs every case on one broker."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    broker = start()
    try:
        outcomes = []
        for case in CASES:
            with tempfile.TemporaryDirectory() as folder:
                outcomes.append(run(broker.bootstrap, chosen.data / case.file, case, Path(folder)))
    finally:
        broker.stop()
    print(as_text(outcomes))
    if chosen.out:
        chosen.out.write_text(json.dumps([asdict(outcome) for outcome in outcomes], indent=2))


def run(bootstrap: str, data: Path, case: Case, folder: Path) -> Outcome:
    """Fit, replay, detect, score, evaluate: each by its command."""
    split(data, case, folder)
    model, rest = folder / "model", folder / "rest.parquet"
    label, how = ("--label", case.label, "--normal", case.normal), ("--threshold", case.threshold)
    tool("trainer", "fit", folder / "history.parquet", "--out", model, "--recipe", case.recipe, *how, *label)
    topics = make_topics(bootstrap)
    create_topic(bootstrap, f"{topics.name}.labels", 1)
    where = ("--bootstrap-servers", bootstrap, "--topic", topics.input, "--labels-topic", f"{topics.name}.labels")
    tool("replay", rest, *where, "--model", model)
    until_end(topics, model)
    assert read_committed(bootstrap, topics.dead) == []
    tool("trainer", "score", model, rest, "--out", folder / "scores.csv")
    scores = pd.read_csv(folder / "scores.csv")
    scores = scores[scores.verdict == "alert"]
    wanted = dict(zip(scores.row_id.astype(str), scores.score, strict=True))
    alerts = alerts_of(topics)
    figures = json.loads(tool("trainer", "evaluate", model, rest, *label, "--json"))
    return Outcome(
        data=case.file,
        recipe=case.recipe,
        threshold=case.threshold,
        replayed=figures["rows"],
        alerts_in_kafka=len(alerts),
        alerts_of_score=len(wanted),
        equal={alert["row_id"]: alert["score"] for alert in alerts} == wanted and len(alerts) == len(wanted),
        precision=figures["precision"],
        recall=figures["recall"],
        f1=figures["f1"],
        auroc=figures["auroc"],
        average_precision=figures["average_precision"],
    )


def split(data: Path, case: Case, folder: Path) -> None:
    """Half of the normal rows, and all others, in the file's order."""
    frame = table.read(data)
    normal = np.random.default_rng(0).permutation(np.flatnonzero(~table.anomalous(frame, case.label, case.normal)))
    first = np.zeros(len(frame), bool)
    first[normal[: len(normal) // 2]] = True
    frame[first].to_parquet(folder / "history.parquet", index=False)
    frame[~first].to_parquet(folder / "rest.parquet", index=False)


def tool(package: str, *arguments: object) -> str:
    """What a command of ours prints; it must end well."""
    command = [sys.executable, "-m", package, *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def as_text(outcomes: list[Outcome]) -> str:
    """For a person."""
    lines = [
        f"{'data':26}{'recipe':17}{'threshold':17}{'rows':>7}{'alerts':>8}{'score':>7}{'equal':>7}"
        f"{'prec.':>8}{'recall':>8}{'F1':>7}{'AUROC':>8}{'AP':>7}"
    ]
    lines += [
        f"{o.data:26}{o.recipe:17}{o.threshold:17}{o.replayed:>7}{o.alerts_in_kafka:>8}{o.alerts_of_score:>7}{o.equal!s:>7}"
        f"{o.precision:>8.3f}{o.recall:>8.3f}{o.f1:>7.3f}{o.auroc:>8.3f}{o.average_precision:>7.3f}"
        for o in outcomes
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
