"""Heartbeats sent sample by sample on a real broker: what the detector says of them is what it says of rows."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from numpy.typing import NDArray

from detector.kafka.produce import STEPS
from tests.broker import Broker
from tests.conftest import real
from tests.integration.line import (
    LIMIT_SECONDS,
    Running,
    Topics,
    alerts_of,
    detector_command,
    make_topics,
    read_committed,
    running,
    until_end,
)
from tests.integration.story import Outputs
from tests.integration.test_audit import audit
from trainer.simulate import simulated_ecg

SAMPLES = 140
BEATS = 200
PATIENTS = 7
CUT = ("--window-samples", str(SAMPLES))
LOW = ("--threshold", "percentile:60")
MOVING = ("--threshold", "running-mad:1", "--window", "16", "--stride", "512", "--min-rows", "8")
SMALL_STEPS = ("--max-batch", "100", "--max-transaction", "100", "--instance", "one")

Message = tuple[bytes, bytes, int, list[tuple[str, bytes]]]
"""Key, value, partition and headers."""


def simulated() -> NDArray[np.float64]:
    """Heartbeats (n, 140) made by a formula."""
    return simulated_ecg(BEATS, seed=5).iloc[:, :SAMPLES].to_numpy()


def recorded() -> NDArray[np.float64]:
    """Heartbeats (n, 140) of patients."""
    return pd.read_csv(real("ecg.csv.xz"), header=None).iloc[:BEATS, :SAMPLES].to_numpy()


def rows_of(beats: NDArray[np.float64]) -> Iterator[Message]:
    """Each beat as a row under the name that it has as samples; patients take turns."""
    for number, beat in enumerate(beats.tolist()):
        beat_of_patient, patient = divmod(number, PATIENTS)
        row = {f"c{place}": value for place, value in enumerate(beat)}
        name = [("row-id", b"p%d/%d" % (patient, beat_of_patient))]
        yield b"p%d" % patient, json.dumps(row).encode(), patient % 4, name


def samples_of(beats: NDArray[np.float64], trouble: bool = False) -> Iterator[Message]:
    """Each beat as samples, patients interleaved.

    trouble: messages that are no samples, a monitor that restarts inside a beat, one that stops inside one.
    """
    signals = [beats[patient::PATIENTS].ravel().tolist() for patient in range(PATIENTS)]
    numbered = [list(enumerate(one)) for one in signals]
    if trouble:
        numbered[0] = numbered[0][:1000] + numbered[0]
        numbered[1] = numbered[1][:1000]
        numbered[2] = numbered[2][:777] + numbered[2][776:]
    rng = np.random.default_rng(0)
    turns = rng.permutation([patient for patient, one in enumerate(numbered) for _ in one])
    waiting = [iter(one) for one in numbered]
    for turn, patient in enumerate(turns.tolist()):
        number, value = next(waiting[patient])
        yield b"p%d" % patient, json.dumps({"value": value, "sample": number}).encode(), patient % 4, []
        if trouble and turn % 997 == 0:
            yield b"p%d" % patient, b"no sample", patient % 4, []


def publish(topics: Topics, sent: Iterator[Message]) -> None:
    """All of it is on the input topic, or the test fails."""
    failed: list[Any] = []
    producer = Producer({"bootstrap.servers": topics.bootstrap, "linger.ms": 5})

    def delivered(error: Any, message: Any) -> None:
        if error:
            failed.append(error)

    for key, value, partition, headers in sent:
        producer.produce(
            topics.input,
            value,
            key,
            partition,
            on_delivery=delivered,
            headers=headers,  # type: ignore[arg-type]
        )
        producer.poll(0)
    assert producer.flush(LIMIT_SECONDS) == 0
    assert not failed


def by_row(topics: Topics) -> dict[str, dict[str, Any]]:
    """Alerts by patient and beat, without what the two ways of sending a beat give it."""
    found: dict[str, dict[str, Any]] = {}
    for alert in alerts_of(topics):
        name = alert["row_id"]
        assert name not in found
        found[name] = {part: alert[part] for part in ("score", "threshold", "method", "modified_z", "reasons", "key")}
    return found


@pytest.mark.parametrize("beats", [simulated, recorded])
def test_samples_are_judged_as_rows(broker: Broker, ecg_artifact_dir: Path, beats: Any) -> None:
    """Beats sent as samples have the alerts of the same beats sent as rows, scores and reasons bit for bit."""
    as_rows, as_samples = make_topics(broker.bootstrap), make_topics(broker.bootstrap)
    sent = beats()
    publish(as_rows, rows_of(sent))
    publish(as_samples, samples_of(sent))
    until_end(as_rows, ecg_artifact_dir, *LOW)
    until_end(as_samples, ecg_artifact_dir, *LOW, *CUT)
    found = by_row(as_samples)
    assert len(found) > 10
    assert found == by_row(as_rows)
    assert read_committed(broker.bootstrap, as_samples.dead) == []
    code, report, told = audit(as_samples, ecg_artifact_dir, *LOW, *CUT)
    assert (code, report["total"]["messages"]) == (0, sent.size), told


@dataclass(frozen=True)
class Ward:
    """Signals with their troubles on a topic, and what an undisturbed detector says of them."""

    topics: Topics
    calm: Outputs
    messages: int


@pytest.fixture(scope="module")
def ward(broker: Broker, ecg_artifact_dir: Path) -> Ward:
    """Once for the tests that disturb a detector."""
    topics = make_topics(broker.bootstrap)
    sent = list(samples_of(simulated(), trouble=True))
    publish(topics, iter(sent))
    until_end(topics, ecg_artifact_dir, *MOVING, *CUT)
    return Ward(topics, Outputs.of(topics), len(sent))


def notes(topics: Topics) -> list[Any]:
    """What the group committed beside its offsets."""
    consumer = Consumer({"bootstrap.servers": topics.bootstrap, "group.id": topics.name, "log_level": 0})
    try:
        found = consumer.committed([TopicPartition(topics.input, p) for p in range(topics.partitions)], timeout=30)
        return [json.loads(one.metadata) for one in found if one.metadata]
    finally:
        consumer.close()


def test_every_message_is_accounted_for(ward: Ward, ecg_artifact_dir: Path) -> None:
    """A calm run has alerts and each kind of dead letter; the audit finds them all, and what waits."""
    dead = read_committed(ward.topics.bootstrap, ward.topics.dead)
    reasons = [dict(message.headers())["errors.reason"] for message in dead]
    assert ward.calm.on("alert").texts
    assert set(reasons) == {b"not_json", b"broken_window", b"repeated_sample"}
    # What was open when patient 0's monitor restarted.
    assert reasons.count(b"broken_window") == 1000 % SAMPLES
    assert len(notes(ward.topics)) == ward.topics.partitions
    assert any("open" in note for note in notes(ward.topics))
    code, report, told = audit(ward.topics, ecg_artifact_dir, *MOVING, *CUT)
    assert code == 0, told
    assert report["total"]["messages"] == ward.messages
    assert report["total"]["waiting"] == 1000 % SAMPLES


@pytest.mark.long
def test_killed_inside_windows(ward: Ward, ecg_artifact_dir: Path) -> None:
    """Killed at each step of a commit, windows open, alerts and dead letters are those of a calm run, each once."""
    topics = ward.topics.with_outputs(f"{ward.topics.name}-killed")
    for step in STEPS:
        command = detector_command(topics, ecg_artifact_dir, *MOVING, *CUT, *SMALL_STEPS)
        at = command.index("detector")
        program = ["tests.integration.stopping", step, "30"]
        with closing(Running([*command[:at], *program, *command[at + 1 :]])) as detector:
            detector.await_line("standing")
            assert detector.kill() == -signal.SIGKILL
    log = until_end(topics, ecg_artifact_dir, *MOVING, *CUT, "--instance", "one")
    assert "ERROR" not in log
    found = Outputs.of(topics)
    assert found.doubled == 0
    assert found.texts == ward.calm.texts
    code, _, told = audit(topics, ecg_artifact_dir, *MOVING, *CUT)
    assert code == 0, told


def test_another_cut_is_refused(ward: Ward, ecg_artifact_dir: Path) -> None:
    """A group that read signals does not go on as one that reads rows; a model of other width serves no signal."""
    with running(ward.topics, ecg_artifact_dir, "--until-end") as detector:
        assert detector.wait() == 2
        assert "was read as signals" in detector.log()
        assert "Traceback" not in detector.log()
    with running(ward.topics, ecg_artifact_dir, "--window-samples", "70") as detector:
        assert detector.wait() == 3
        assert "has 140 features, as many as window_samples (70) wanted" in detector.log()
