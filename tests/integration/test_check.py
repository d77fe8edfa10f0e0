"""`python -m detector check` against a real broker."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.broker import Broker, alter_topic
from tests.integration.conftest import Cards
from tests.integration.line import Topics, alerts_of, detector_command, positions, running, send, until_end
from tests.integration.test_detector import messages

Findings = dict[str, dict[str, str]]


def check(topics: Topics, model: Path, *options: str) -> tuple[int, Findings]:
    """The exit code, and the last finding of each subject."""
    command = [*detector_command(topics, model, *options), "--json"]
    command[command.index("run")] = "check"
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    return done.returncode, {one["subject"]: one for one in map(json.loads, done.stdout.splitlines())}


def test_all_is_well(cards: Cards, topics: Topics) -> None:
    """With model, topics and rows in place nothing fails; one copy is a warning, which counts if asked for."""
    send(topics.bootstrap, topics.input, messages(cards, 400, "json", topics.partitions))
    code, found = check(topics, cards.model)
    assert code == 0
    assert {one["state"] for one in found.values()} <= {"ok", "warning"}
    assert found["rows"]["told"] == "the newest 64 are rows of this model"
    assert found[f"topic {topics.input}"]["state"] == "warning"
    assert found["transactions"]["state"] == "ok"
    assert check(topics, cards.model, "--strict")[0] == 1


def test_it_changes_nothing(cards: Cards, topics: Topics) -> None:
    """A detector at work goes on, and what it does is no other; nothing is read, written or committed by the check."""
    send(topics.bootstrap, topics.input, messages(cards, 400, "json", topics.partitions))
    before = positions(topics)
    assert check(topics, cards.model)[0] == 0
    assert positions(topics) == before
    assert alerts_of(topics) == []
    with running(topics, cards.model, "--instance", "0") as detector:
        detector.await_line("partitions_assigned")
        code, found = check(topics, cards.model, "--instance", "0")
        assert (code, found[f"group {topics.name}"]["told"]) == (0, "1 members at work")
        assert detector.kill(15) == 0, detector.log()
    assert "error" not in detector.log()
    until_end(topics, cards.model)
    assert positions(topics)[0] == positions(topics)[1]


def test_a_topic_that_is_not_there(cards: Cards, topics: Topics) -> None:
    """It is named, with the code of `run`; the other topics are looked at all the same."""
    code, found = check(topics, cards.model, "--alerts-topic", "nowhere")
    assert code == 5
    assert found["topic nowhere"]["state"] == "failed"
    assert "create-topics" in found["topic nowhere"]["fix"]
    assert f"topic {topics.dead}" in found


def test_a_topic_that_takes_no_records(cards: Cards, topics: Topics, broker: Broker) -> None:
    """One whose copies are fewer than its own rule wants fails before a transaction would hang on it."""
    alter_topic(broker.bootstrap, topics.alerts, min_insync_replicas=2)
    code, found = check(topics, cards.model)
    assert code == 1
    assert "takes no records" in found[f"topic {topics.alerts}"]["told"]


def test_a_topic_that_forgets(cards: Cards, topics: Topics, broker: Broker) -> None:
    """A compacted topic of alerts would lose all but one of each key: a warning."""
    alter_topic(broker.bootstrap, topics.alerts, cleanup_policy="compact")
    code, found = check(topics, cards.model)
    assert code == 0
    assert "compacted" in found[f"topic {topics.alerts}"]["told"]


def test_rows_of_another_kind(cards: Cards, topics: Topics) -> None:
    """Rows that the model does not understand are counted by reason, before they become dead letters."""
    send(topics.bootstrap, topics.input, [(b"{}", 0, []), (b"?", 0, [])])
    code, found = check(topics, cards.model)
    assert code == 0
    assert found["rows"]["told"].startswith("2 of the newest 2 are no rows of this model: ")
    assert {"missing_feature 1", "not_json 1"} <= set(found["rows"]["told"].rpartition(": ")[2].split(", "))
