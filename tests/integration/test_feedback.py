"""Truth beside the verdicts, on a real broker: the trainer's own numbers, whatever happens to the process."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType  # type: ignore[attr-defined]

from detector import scores
from detector.__main__ import parser
from detector.feedback.figures import as_dict
from detector.feedback.loop import Feedback
from detector.kafka.produce import STEPS
from detector.settings import FeedbackSettings, load
from tests.broker import Broker, create_topic
from tests.conftest import real
from tests.integration.conftest import Cards
from tests.integration.line import (
    Running,
    Topics,
    await_true,
    detector_command,
    make_topics,
    read_committed,
    send,
    until_end,
)
from tests.integration.story import PATIENT, down
from tests.integration.test_abort import Flaky
from tests.integration.test_detector import kill_at_random, messages, oracle
from tests.integration.test_refusals import refused

Keyed = tuple[bytes | None, bytes | None]
"""A record's key and value."""


@dataclass(frozen=True)
class Truth:
    """A test's topics beside those of the line."""

    line: Topics
    folder: Path

    @property
    def scores(self) -> str:
        return f"{self.line.name}.scores"

    @property
    def labels(self) -> str:
        return f"{self.line.name}.labels"

    @property
    def kept(self) -> str:
        return f"{self.line.name}.feedback"

    def command(self, group: str, *more: str) -> list[str]:
        """A feedback's command line."""
        return [sys.executable, "-m", "detector", "feedback", *self.flags(group), *more]

    def flags(self, group: str) -> list[str]:
        """Its settings."""
        topics = ("--scores-topic", self.scores, "--labels-topic", self.labels, "--feedback-topic", self.kept)
        where = ("--bootstrap-servers", self.line.bootstrap, "--metrics-port", "0")
        return [*where, *topics, "--feedback-group", group, "--feedback-window", "1000000"]

    def figures(self, group: str, *more: str) -> dict[str, Any]:
        """What a feedback over all that the topics hold says, as JSON; its tables are there too."""
        path = self.folder / f"{group}.json"
        command = self.command(group, "--until-end", "--json", str(path), *more)
        done = subprocess.run(command, capture_output=True, text=True, timeout=90)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(path.read_text())
        for one in found["models"]:
            if one["window"]["auroc"] is not None:
                assert f"{one['window']['auroc']:.4f}" in done.stdout
        return found


@pytest.fixture
def truth(topics: Topics, tmp_path: Path) -> Truth:
    """Fresh topics for scores, labels and the state."""
    found = Truth(topics, tmp_path)
    create_topic(topics.bootstrap, found.scores, 3)
    create_topic(topics.bootstrap, found.labels, 2)
    create_topic(topics.bootstrap, found.kept, 2, cleanup_policy="compact")
    return found


def replayed(truth: Truth, data: Path, model: Path, *more: str) -> None:
    """All rows of a file through replay and the detector, every score published."""
    command = [sys.executable, "-m", "replay", str(data), "--model", str(model), "--topic", truth.line.input]
    where = ("--bootstrap-servers", truth.line.bootstrap, "--labels-topic", truth.labels)
    subprocess.run([*command, *where], check=True, capture_output=True, timeout=90)
    until_end(truth.line, model, "--scores-topic", truth.scores, "--scores-amount", "Amount", *more)


def evaluated(data: Path, model: Path) -> dict[str, Any]:
    """What `trainer evaluate` says of the same rows."""
    command = [sys.executable, "-m", "trainer", "evaluate", str(model), str(data), "--json"]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def same(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Feedback's figures are the trainer's: each bit of those of rows, and of money all but the last digits of sums."""
    (one,) = found["models"]
    window = one["window"]
    for name in window.keys() & wanted.keys() - {"caught_share"}:
        assert window[name] == wanted[name], name
    assert window["rows"] == wanted["rows"] == found["scored"]["new"] == found["labels"]["first"] > 0
    assert window["true_positives"] > 0
    assert window["caught_share"] == pytest.approx(wanted["caught_share"], rel=1e-9)
    assert (found["amount"], wanted["amount"]) == ("Amount", "Amount")
    shares = [window[name] / wanted[f"{name}_per_day"] for name in ("caught", "missed")]
    assert shares[0] == pytest.approx(shares[1], rel=1e-9)
    assert (one["caught"], one["missed"]) == (pytest.approx(window["caught"]), pytest.approx(window["missed"]))
    assert found["waiting"] == {"row": 0, "label": 0}
    assert not any(found["refused"].values())


def test_the_trainer_s_numbers_on_simulated_cards(truth: Truth, artifact_dir: Path, unseen_cards: pd.DataFrame) -> None:
    """After a whole replay feedback says of the rows what `trainer evaluate` says of the file."""
    data = truth.folder / "cards.csv"
    unseen_cards.to_csv(data, index=False)
    replayed(truth, data, artifact_dir)
    same(truth.figures("g"), evaluated(data, artifact_dir))


def test_the_trainer_s_numbers_on_real_cards(truth: Truth, cards: Cards) -> None:
    """The same on real card transactions."""
    data = real("creditcard_sample.parquet")
    replayed(truth, data, cards.model)
    same(truth.figures("g"), evaluated(data, cards.model))


@pytest.fixture
def worked(truth: Truth, artifact_dir: Path, unseen_cards: pd.DataFrame) -> Truth:
    """Topics with the scores of rows in many small records, their labels, and a few that are strange."""
    data = truth.folder / "cards.csv"
    unseen_cards.to_csv(data, index=False)
    replayed(truth, data, artifact_dir, "--max-batch", "8", "--max-transaction", "512")
    strange = [{"row_id": str(n), "label": "legitimate"} for n in range(0, 300, 3)] + [{"row_id": "x", "label": 1}]
    write(truth.line.bootstrap, truth.labels, [*map(said, strange), (None, b"junk")])
    return truth


def said(label: dict[str, Any]) -> Keyed:
    """A label under its row id: it comes after the labels of the same row that were sent before it."""
    return label["row_id"].encode(), json.dumps(label).encode()


def write(bootstrap: str, topic: str, records: Sequence[Keyed]) -> None:
    """Publishes records under their keys."""
    producer = Producer({"bootstrap.servers": bootstrap})
    for key, content in records:
        producer.produce(topic, content, key)
    assert producer.flush(30) == 0


def test_killed_at_every_step(worked: Truth) -> None:
    """SIGKILL at each step of a transaction, again and again: every count is that of a calm run, to the last."""
    for number, step in enumerate(STEPS * 2):
        command = [sys.executable, "-m", "tests.integration.killed_feedback", step, str(2 + number % 3)]
        options = ("--commit-seconds", "0")
        done = subprocess.run([*command, *worked.flags("killed"), *options], capture_output=True, timeout=90)
        assert done.returncode == -signal.SIGKILL, done.stderr
    calm, killed = worked.figures("calm"), worked.figures("killed")
    assert sum(cell["rows"] for cell in calm["models"][0]["totals"]) == 5_000
    assert calm["waiting"] == {"row": 0, "label": 1}
    assert calm["refused"]["not_json"] == 1
    assert killed == calm


def test_aborted_commits(worked: Truth) -> None:
    """A transaction that aborts is tried again with all that it had: every count is that of a calm run."""
    flags = vars(parser().parse_args(["feedback", *worked.flags("flaky"), "--until-end", "--commit-seconds", "0"]))
    loop = Feedback(load(FeedbackSettings, flags, "DETECTOR_"))
    loop.output = flaky = Flaky(loop.output)  # type: ignore[assignment]
    loop.run()
    assert flaky.aborts > 3
    calm = worked.figures("calm")
    assert as_dict(loop.shown) == calm
    assert worked.figures("flaky") == calm


@pytest.mark.long
def test_killed_at_random(worked: Truth) -> None:
    """SIGKILL at forty random moments: every count is that of a calm run."""
    chance = random.Random(6)
    for _ in range(40):
        with feedback(worked, "killed", "--commit-seconds", "0") as running:
            running.await_line("started")
            with pytest.raises(subprocess.TimeoutExpired):
                running.process.wait(chance.uniform(0.0, 0.15))
            running.kill()
    assert worked.figures("killed") == worked.figures("calm")


@contextmanager
def feedback(truth: Truth, group: str, *more: str) -> Iterator[Running]:
    """A feedback that is gone when the block ends."""
    running = Running(truth.command(group, *more))
    try:
        yield running
    finally:
        running.close()


def value(text: str, start: str) -> float:
    """The sum of all series of a scrape that begin so."""
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(start))


def test_as_labels_come(truth: Truth, cards: Cards) -> None:
    """Figures move as analysts' verdicts come; after SIGTERM and a new start the counters go on where they were."""
    rows = 40
    send(truth.line.bootstrap, truth.line.input, messages(cards, rows, "packed", truth.line.partitions))
    until_end(truth.line, cards.model, "--scores-topic", truth.scores)
    labelled = "detector_labelled_rows_total"
    with feedback(truth, "g", "--commit-seconds", "0.05") as running:
        await_true(lambda: value(running.scrape(), 'detector_feedback_pending{side="row"}') == rows, "the rows")
        assert running.scrape("/healthz").startswith("last turn")
        assert running.scrape("/readyz") == "ready\n"
        verdict = {"row_id": "7", "label": "fraud", "by": "ann", "at": "2026-11-23T08:00:00Z", "note": "card lost"}
        rest = [said({"row_id": "8", "label": "unsure"}), (b"8", None), (None, b"{}")]
        write(truth.line.bootstrap, truth.labels, [said(verdict), *rest])
        await_true(lambda: value(running.scrape(), labelled) == 1, "a labelled row")
        await_true(lambda: value(running.scrape(), "detector_feedback_refused_total") == 2, "what was refused")
        assert value(running.scrape(), 'detector_feedback_labels_total{kind="unsure"}') == 1
        before = running.scrape()
        assert running.kill(signal.SIGTERM) == 0, running.log()
    with feedback(truth, "g", "--commit-seconds", "0.05") as running:
        after = running.scrape()
        for name in (
            labelled,
            "detector_feedback_refused_total",
            "detector_feedback_scored_total",
            "detector_feedback_p",
        ):
            assert value(after, name) == value(before, name) > 0, name
        write(truth.line.bootstrap, truth.labels, [said({"row_id": "9", "label": "legitimate"})])
        await_true(lambda: value(running.scrape(), labelled) == 2, "another labelled row")


def test_one_at_a_time(worked: Truth) -> None:
    """A new process of a group ends the one before, which counts nothing more."""
    with feedback(worked, "g", "--commit-seconds", "0.05") as first:
        await_true(lambda: value(first.scrape(), "detector_labelled_rows_total") == 5_000, "all rows")
        found = worked.figures("g")
        write(worked.line.bootstrap, worked.labels, [said({"row_id": "y", "label": 1})])
        assert first.wait() == 7
        assert "fenced" in first.log() or "took over" in first.log()
    assert worked.figures("g")["labels"]["first"] == found["labels"]["first"] + 1


@pytest.mark.long
def test_a_broker_that_comes_back(worked: Truth, broker: Broker) -> None:
    """The broker comes back in mid-work: feedback waits and goes on, and counts as in a calm run."""
    with feedback(worked, "patient", "--commit-seconds", "0", *PATIENT) as running:
        running.await_line("started")
        with down(broker):
            assert running.process.poll() is None, running.log()
        await_true(lambda: value(running.scrape(), "detector_labelled_rows_total") == 5_000, "all rows", 60)
        assert running.kill(signal.SIGTERM) == 0, running.log()
    assert worked.figures("patient") == worked.figures("calm")


@pytest.mark.long
def test_scores_come_once(cards: Cards, topics: Topics, truth: Truth) -> None:
    """A detector killed again and again publishes each row's score once, bit for bit, and the audit finds nothing."""
    rows = 20_000
    kill_at_random(cards, topics, rows, 4, "--scores-topic", truth.scores)
    found = [scores.decode(message.value()) for message in read_committed(topics.bootstrap, truth.scores)]
    expected = oracle(cards, rows)
    by_place = {
        (one.partition, offset): score
        for one in found
        for offset, score in zip(one.offsets.tolist(), one.scores.tolist(), strict=True)
    }
    assert sum(map(len, found)) == len(by_place) == rows
    assert all(by_place[i % topics.partitions, i // topics.partitions] == expected[i] for i in range(rows))
    names = [name for one in found for name in one.names()]
    assert sorted(map(int, names)) == list(range(rows))
    command = detector_command(topics, cards.model)
    command[command.index("run")] = "audit"
    for flag in ("--drift-topic", "--metrics-port"):
        del command[command.index(flag) : command.index(flag) + 2]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "all accounted for" in done.stdout


def test_refusals(cards: Cards, topics: Topics, truth: Truth) -> None:
    """A topic that is missing, an amount that is no feature, and a state of another topic's are told in one line."""
    code, line = refused(truth.command("g", "--labels-topic", "nowhere"))
    assert (code, "'nowhere'" in line) == (5, True)
    code, line = refused(detector_command(topics, cards.model, "--scores-topic", "nowhere"))
    assert (code, "'nowhere'" in line) == (5, True)
    code, line = refused(
        detector_command(topics, cards.model, "--scores-topic", truth.scores, "--scores-amount", "Money")
    )
    assert (code, "scores_amount has value 'Money'" in line) == (2, True)
    broken = json.dumps(["g", "head"]).encode()
    write(topics.bootstrap, truth.kept, [(broken, b"{")])
    code, line = refused(truth.command("g"))
    assert (code, "another --feedback-group begins anew" in line) == (8, True)


def test_the_state_s_topic_is_compacted(broker: Broker) -> None:
    """`create-topics` makes the topic of the state compacted, and no other."""
    names = make_topics(broker.bootstrap)
    topics = {name: f"{names.name}.made.{name}" for name in ("input", "alerts", "labels", "models", "drift", "scores")}
    flags = [part for name, topic in topics.items() for part in (f"--{name}-topic", topic)]
    kept = f"{names.name}.made.feedback"
    command = [sys.executable, "-m", "detector", "create-topics", "--bootstrap-servers", broker.bootstrap]
    subprocess.run([*command, *flags, "--feedback-topic", kept], check=True, capture_output=True, timeout=60)
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    resources = [ConfigResource(ResourceType.TOPIC, topic) for topic in (topics["scores"], kept)]
    found = {one.name: future.result(10) for one, future in admin.describe_configs(resources).items()}
    assert found[kept]["cleanup.policy"].value == "compact"
    assert found[topics["scores"]]["cleanup.policy"].value == "delete"
