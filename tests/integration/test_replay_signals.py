"""Heartbeats played as signals on a real broker: what the detector says of them is what it says of rows."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.broker import Broker, create_topic
from tests.conftest import real
from tests.integration.line import (
    Running,
    Topics,
    alerts_of,
    detector_command,
    make_topics,
    read_committed,
    until_end,
)
from trainer.simulate import simulated_ecg

SAMPLES = 140
BEATS = 150
PATIENTS = 5
CUT = ("--window-samples", str(SAMPLES))
LOW = ("--threshold", "percentile:60")
SMALL_STEPS = ("--max-batch", "500", "--max-transaction", "500", "--instance", "one")


@dataclass(frozen=True)
class Beats:
    """A file of heartbeats and what is said of it. patients: its keys."""

    path: Path
    flags: tuple[str, ...]
    truths: list[int]
    patients: set[bytes]


def monitored(folder: Path) -> Beats:
    """Simulated beats of patients that take turns, each at its own pace, JSON."""
    frame = simulated_ecg(BEATS, seed=5)
    patient = np.arange(BEATS) % PATIENTS
    frame.insert(0, "patient", [f"p{number}" for number in patient])
    frame.insert(1, "time", np.round(np.arange(BEATS) // PATIENTS * (0.7 + 0.05 * patient), 3))
    frame.to_csv(folder / "ward.csv", index=False)
    flags = ("--key", "patient", "--time", "time", "--label", "label", "--normal", "1")
    return Beats(
        folder / "ward.csv", flags, (frame["label"] != 1).astype(int).tolist(), set(map(str.encode, frame["patient"]))
    )


def recorded(folder: Path) -> Beats:
    """Beats of real patients without a key or a time, packed."""
    frame = pd.read_csv(real("ecg.csv.xz"), header=None, skiprows=2800, nrows=BEATS)
    frame.to_csv(folder / "ecg.csv", header=False, index=False)
    flags = ("--label", "c140", "--normal", "1", "--format", "packed")
    return Beats(folder / "ecg.csv", flags, (frame[140] != 1).astype(int).tolist(), {b"ecg.csv"})


def play(topics: Topics, beats: Beats, model: Path, *more: str) -> str:
    """What a replay to a test's topics says in the end; its labels are on the topic NAME.labels."""
    labels = f"{topics.name}.labels"
    create_topic(topics.bootstrap, labels, 1)
    where = ("--bootstrap-servers", topics.bootstrap, "--topic", topics.input, "--labels-topic", labels)
    line = [sys.executable, "-m", "replay", str(beats.path), *where, "--model", str(model), *beats.flags, *more]
    done = subprocess.run(line, capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stderr
    return done.stdout


def killed_in_the_middle(topics: Topics, model: Path, *more: str) -> None:
    """A detector that is killed inside its tenth transaction, and one that reads the rest."""
    command = detector_command(topics, model, *LOW, *CUT, *SMALL_STEPS, *more)
    at = command.index("detector")
    program = ["tests.integration.stopping", "produced", "10"]
    with closing(Running([*command[:at], *program, *command[at + 1 :]])) as detector:
        detector.await_line("standing")
        assert detector.kill() == -signal.SIGKILL
    until_end(topics, model, *LOW, *CUT, "--instance", "one", *more)


def scores(topics: Topics) -> dict[str, float]:
    """Alerts by row-id."""
    found = {alert["row_id"]: alert["score"] for alert in alerts_of(topics)}
    assert len(found) == len(alerts_of(topics))
    return found


@pytest.mark.parametrize("made", [monitored, pytest.param(recorded, marks=pytest.mark.long)])
def test_signals_are_judged_as_rows(
    broker: Broker, ecg_artifact_dir: Path, tmp_path: Path, made: Callable[[Path], Beats]
) -> None:
    """Beats played as signals have the alerts of the same beats played as rows, across a kill of the detector."""
    beats = made(tmp_path)
    as_rows, as_signals = make_topics(broker.bootstrap), make_topics(broker.bootstrap)
    assert play(as_rows, beats, ecg_artifact_dir).startswith(f"replay: sent {BEATS} rows, failed 0, labels {BEATS}, ")
    said = play(as_signals, beats, ecg_artifact_dir, "--as-signal", "--timestamps", "now")
    assert said.startswith(f"replay: sent {BEATS * SAMPLES} samples, failed 0, labels {BEATS}, ")
    until_end(as_rows, ecg_artifact_dir, *LOW)
    killed_in_the_middle(as_signals, ecg_artifact_dir)
    found = scores(as_signals)
    assert len(found) > 10
    assert found == scores(as_rows)
    assert read_committed(broker.bootstrap, as_signals.dead) == []
    assert labels_of(as_signals) == labels_of(as_rows) == {str(row): truth for row, truth in enumerate(beats.truths)}
    check_messages(as_signals, beats)


def labels_of(topics: Topics) -> dict[str, int]:
    """Labels by row-id, each there once."""
    found = [json.loads(message.value()) for message in read_committed(topics.bootstrap, f"{topics.name}.labels")]
    assert len({label["row_id"] for label in found}) == len(found)
    return {label["row_id"]: label["label"] for label in found}


def check_messages(topics: Topics, beats: Beats) -> None:
    """Asserts that a key's samples are in one partition, and that the last of each row alone has its id."""
    places: dict[bytes, set[int]] = {}
    named: list[Any] = []
    for message in read_committed(topics.bootstrap, topics.input):
        places.setdefault(message.key(), set()).add(message.partition())
        named += [dict(message.headers())["row-id"]] if len(message.headers()) == 2 else []
    assert set(places) == beats.patients
    assert all(len(partitions) == 1 for partitions in places.values())
    assert sorted(named) == sorted(b"%d" % row for row in range(BEATS))


def test_a_monitor_at_its_own_pace(broker: Broker, ecg_artifact_dir: Path, tmp_path: Path) -> None:
    """With the data's own times a beat's samples have the times between it and its patient's next one, in order."""
    topics, beats = make_topics(broker.bootstrap), monitored(tmp_path)
    said = play(
        topics, beats, ecg_artifact_dir, "--as-signal", "--timestamps", "original", "--limit", "10", "--speed", "5x"
    )
    assert said.startswith(f"replay: sent {10 * SAMPLES} samples, failed 0, labels 10, ")
    stamps: dict[bytes, list[tuple[int, int]]] = {}
    for message in sorted(read_committed(topics.bootstrap, topics.input), key=lambda one: one.offset()):
        stamps.setdefault(message.key(), []).append((json.loads(message.value())["sample"], message.timestamp()[1]))
    for patient in range(PATIENTS):
        gap = 700 + 50 * patient
        wanted = [(j, max(j * gap // SAMPLES, 1)) for j in range(SAMPLES)]
        wanted += [(SAMPLES + j, gap + j * 800 // SAMPLES) for j in range(SAMPLES)]
        assert stamps[f"p{patient}".encode()] == wanted
