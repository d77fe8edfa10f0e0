"""The audit on a real broker: silent about what a detector wrote, exact about what was tampered with."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from detector import artifact
from tests.integration.conftest import Cards
from tests.integration.line import (
    Sent,
    Topics,
    await_true,
    make_outputs,
    make_topics,
    positions,
    read_committed,
    running,
    send,
    until_end,
)
from tests.integration.test_detector import bad_messages, messages

ROWS = 3000
LINE = ("--threshold", "running-mad:6", "--window", "256", "--stride", "64", "--min-rows", "32")


def audit(topics: Topics, model: Path, *options: str) -> tuple[int, dict[str, Any], str]:
    """The exit code of an audit, its report, and what it said on stderr."""
    command = [
        *(sys.executable, "-m", "detector", "audit", "--model", str(model), "--bootstrap-servers", topics.bootstrap),
        *("--input-topic", topics.input, "--alerts-topic", topics.alerts, "--dead-letters-topic", topics.dead),
        *("--models-topic", topics.models, "--group", topics.name, "--json", "--limit", "0", *options),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    return done.returncode, json.loads(done.stdout or "{}"), done.stderr


def mixed(cards: Cards, rows: int, partitions: int) -> list[Sent]:
    """Rows, among them messages that are none, over all partitions."""
    found = messages(cards, rows, "json", partitions)
    for i, ((value, _, headers), _) in enumerate(bad_messages(len(cards.features))):
        found.insert(17 + 97 * i, (value, i % partitions, headers))
    return found


@dataclass(frozen=True)
class Run:
    """A topic that a detector has been over, and the records that it wrote."""

    topics: Topics
    model: Path
    alerts: list[Any]
    dead: list[Any]
    messages: int


@pytest.fixture(scope="module")
def run(cards: Cards, broker: Any) -> Run:
    """Once for all tests that tamper with copies."""
    topics = make_topics(broker.bootstrap)
    sent = mixed(cards, ROWS, topics.partitions)
    send(topics.bootstrap, topics.input, sent)
    until_end(topics, cards.model, *LINE, "--max-batch", "50")
    outputs = [read_committed(topics.bootstrap, topic) for topic in (topics.alerts, topics.dead)]
    return Run(topics, cards.model, outputs[0], outputs[1], len(sent))


def test_what_a_detector_wrote(run: Run) -> None:
    """Rows, alerts and dead letters of a detector are accounted for, whatever the batches; exit code 0."""
    code, report, errors = audit(run.topics, run.model, *LINE)
    assert (code, errors, report["findings"], report["accounted"]) == (0, "", [], True)
    found = report["total"]
    assert (found["messages"], found["alerts"], found["dead_letters"]) == (run.messages, len(run.alerts), len(run.dead))
    assert len(run.alerts) > 10
    assert len(run.dead) == 11
    assert (found["not_checkable"], found["ahead"], found["by_other_models"], found["expired"]) == (0, 0, 0, 0)
    assert [account["partition"] for account in report["partitions"]] == list(range(run.topics.partitions))


def test_for_people(run: Run) -> None:
    """Without --json there is a table with a line for each partition, and a word that all is well."""
    t = run.topics
    command = [
        *(sys.executable, "-m", "detector", "audit", "--model", str(run.model), "--bootstrap-servers", t.bootstrap),
        *("--input-topic", t.input, "--alerts-topic", t.alerts, "--dead-letters-topic", t.dead),
        *("--models-topic", t.models, "--group", t.name),
    ]
    done = subprocess.run([*command, *LINE, "--verbose"], capture_output=True, text=True, timeout=120)
    lines = done.stdout.splitlines()
    assert done.returncode == 0
    assert " ".join(lines[2].split()) == "partition messages alerts dead letters missing doubled altered unexpected"
    assert [line.split()[0] for line in lines[3:8]] == ["0", "1", "2", "3", "all"]
    assert lines[7].split()[1:] == [f"{run.messages:,}", str(len(run.alerts)), str(len(run.dead)), *"0000"]
    assert lines[-1] == "all accounted for"
    options = ("--models-topic", "none", "--threshold", "value:0")
    other = subprocess.run([*command, *options], capture_output=True, text=True, timeout=120)
    assert other.returncode == 1
    assert len([line for line in other.stdout.splitlines() if line.startswith(("missing ", "altered "))]) == 20
    assert "the first 20 findings" in other.stdout
    assert other.stderr.startswith(f"error: topic '{t.input}' is not accounted for: ")


class Record(NamedTuple):
    """A record to write."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


def records(found: Sequence[Any]) -> list[Record]:
    return [Record(one.key(), one.value(), one.headers() or []) for one in found]


def write(topics: Topics, alerts: Sequence[Record], dead: Sequence[Record]) -> None:
    """Publishes records to a test's outputs."""
    producer = Producer({"bootstrap.servers": topics.bootstrap, "message.max.bytes": 20_000_000})
    for topic, found in ((topics.alerts, alerts), (topics.dead, dead)):
        for record in found:
            headers: Any = record.headers
            producer.produce(topic, record.value, record.key, headers=headers)
    assert producer.flush(60) == 0


def place(record: Record) -> str:
    """The message that a record is about."""
    headers = dict(record.headers)
    if "ce_id" in headers:
        return headers["ce_id"].decode()
    return "/".join(headers[f"errors.{name}"].decode() for name in ("topic", "partition", "offset"))


def with_field(record: Record, **changes: Any) -> Record:
    assert record.value is not None
    return record._replace(value=json.dumps({**json.loads(record.value), **changes}).encode())


def with_reason(record: Record, reason: bytes) -> Record:
    return record._replace(headers=[(n, reason if n == "errors.reason" else v) for n, v in record.headers])


Findings = set[tuple[str, str, str]]


def tampered(alerts: list[Record], dead: list[Record]) -> Findings:
    """Does to copies whatever can be wrong with them; what must be found."""
    wanted = {
        ("missing", "alert", place(alerts.pop(5))),
        ("missing", "dead letter", place(dead.pop(5))),
        ("doubled", "alert", place(alerts[1])),
        ("doubled", "dead letter", place(dead[1])),
        ("altered", "alert", place(alerts[2])),
        ("altered", "dead letter", place(dead[2])),
        ("altered", "dead letter", place(dead[3])),
    }
    alerts.append(with_field(alerts[1], detected_at="again"))
    dead.append(dead[1])
    alerts[2] = with_field(alerts[2], score=1e9)
    dead[2] = with_reason(dead[2], b"not_finite")
    dead[3] = dead[3]._replace(value=b"other bytes")
    source = {**json.loads(alerts[0].value or b"")["source"], "offset": 1 << 40}
    alerts.append(with_field(alerts[0], source=source))
    return wanted


def test_tampered_outputs(run: Run) -> None:
    """Of copies with everything wrong each thing is named, nothing else is, and the exit code is 1."""
    alerts, dead = records(run.alerts), records(run.dead)
    wanted = tampered(alerts, dead)
    copy = copied(run.topics)
    write(copy, alerts, dead)
    code, report, errors = audit(copy, run.model, *LINE)
    assert code == 1
    assert {(one["kind"], one["what"], one["place"]) for one in report["findings"]} == wanted
    assert len(report["findings"]) == len(wanted)
    assert errors == (f"error: topic '{run.topics.input}' is not accounted for: 2 missing, 2 doubled, 3 altered\n")
    altered = next(one for one in report["findings"] if (one["kind"], one["what"]) == ("altered", "alert"))
    assert altered["found"] == "score 1000000000.0"
    assert altered["at"] == [f"{copy.alerts}/0/2"]


def copied(topics: Topics) -> Topics:
    """Empty outputs beside the same input and group."""
    copy = Topics(topics.bootstrap, f"{topics.name}-copy", topics.partitions)
    make_outputs(copy)
    for name in ("input", "name"):
        object.__setattr__(copy, name, getattr(topics, name))
    return copy


def drop_alerts(alerts: list[Record], dead: list[Record]) -> tuple[str, int]:
    count = len(alerts)
    alerts.clear()
    return "missing", count


def another_line(alerts: list[Record], dead: list[Record]) -> tuple[str, int]:
    for i, alert in enumerate(alerts):
        alerts[i] = with_field(alert, threshold=0.5)
    return "altered", len(alerts)


Spoil = Callable[[list[Record], list[Record]], tuple[str, int]]


@pytest.mark.parametrize("spoil", [drop_alerts, another_line])
def test_all_of_a_topic(run: Run, topics: Topics, spoil: Spoil) -> None:
    """A whole topic that is empty, or of another line, is told alert by alert."""
    alerts, dead = records(run.alerts), records(run.dead)
    kind, count = spoil(alerts, dead)
    mine = Topics(topics.bootstrap, topics.name, topics.partitions)
    for name in ("input", "name"):
        object.__setattr__(mine, name, getattr(run.topics, name))
    write(mine, alerts, dead)
    code, report, _ = audit(mine, run.model, *LINE)
    assert code == 1
    assert {one["kind"] for one in report["findings"]} == {kind}
    assert report["total"][kind] == count


def test_a_committed_doublet_of_a_whole_run(run: Run) -> None:
    """A topic that two groups wrote to has each alert and dead letter twice."""
    twice = run.topics.with_outputs(f"{run.topics.name}-twice")
    until_end(twice, run.model, *LINE)
    assert audit(twice, run.model, *LINE)[0] == 0
    write(twice, records(run.alerts), records(run.dead))
    code, report, _ = audit(twice, run.model, *LINE)
    assert code == 1
    assert report["total"]["doubled"] == len(run.alerts) + len(run.dead)
    assert {one["kind"] for one in report["findings"]} == {"doubled"}


def test_rows_ahead_and_open_transactions(cards: Cards, topics: Topics) -> None:
    """Rows that came after the group's offsets are nobody's account; what an open transaction holds is waited for."""
    send(topics.bootstrap, topics.input, messages(cards, 2000, "json", topics.partitions))
    until_end(topics, cards.model)
    killed = {"bootstrap.servers": topics.bootstrap, "transactional.id": topics.name, "transaction.timeout.ms": 2000}
    producer = Producer(killed)
    producer.init_transactions(30)
    producer.begin_transaction()
    for topic in (topics.alerts, topics.dead):
        producer.produce(topic, b"of a transaction that will time out")
    assert producer.flush(30) == 0
    send(topics.bootstrap, topics.input, messages(cards, 600, "json", topics.partitions))
    code, report, _ = audit(topics, cards.model)
    assert (code, report["findings"]) == (0, [])
    assert (report["total"]["messages"], report["total"]["ahead"]) == (2000, 600)


def test_an_expired_beginning(cards: Cards, topics: Topics) -> None:
    """Of a log without its beginning the rows of the first window are not checkable; those after it are, and agree."""
    send(topics.bootstrap, topics.input, messages(cards, 4000, "json", topics.partitions))
    until_end(topics, cards.model, *LINE)
    places = [TopicPartition(topics.input, p, 300) for p in range(topics.partitions)]
    admin = AdminClient({"bootstrap.servers": topics.bootstrap})
    for future in admin.delete_records(places).values():
        future.result(30)
    code, report, _ = audit(topics, cards.model, *LINE)
    assert (code, report["findings"]) == (0, [])
    found = report["total"]
    assert found["messages"] == 4 * 700
    assert 4 * 256 <= found["not_checkable"] <= 4 * (256 + 64)
    assert found["expired"] > 0
    assert found["expired"] + found["alerts"] == len(read_committed(topics.bootstrap, topics.alerts))


def test_since(cards: Cards, topics: Topics) -> None:
    """With --since rows from a time on are checked, by windows that are read back; what is before is left alone."""
    stamped(topics, messages(cards, 4000, "json", topics.partitions))
    until_end(topics, cards.model, *LINE)
    alerts = records(read_committed(topics.bootstrap, topics.alerts))
    early = next(i for i, one in enumerate(alerts) if int(place(one).rpartition("/")[2]) < 600)
    late = next(i for i, one in enumerate(alerts) if int(place(one).rpartition("/")[2]) >= 600)
    wanted = place(alerts[late])
    copy = copied(topics)
    write(copy, [one for i, one in enumerate(alerts) if i not in (early, late)], [])
    code, report, _ = audit(copy, cards.model, *LINE, "--since", "1970-01-12T13:46:40.600Z")
    assert code == 1
    assert [(one["kind"], one["place"]) for one in report["findings"]] == [("missing", wanted)]
    assert (report["total"]["messages"], report["total"]["not_checkable"]) == (4 * 400, 0)


def stamped(topics: Topics, sent: Sequence[Sent]) -> None:
    """Publishes messages whose time is 1000000 s and their offset in ms."""
    producer = Producer({"bootstrap.servers": topics.bootstrap})
    for i, (value, partition, headers) in enumerate(sent):
        place: dict[str, Any] = {"partition": partition}
        marks: Any = headers
        producer.produce(topics.input, value, headers=marks, timestamp=1_000_000_000 + i // topics.partitions, **place)
    assert producer.flush(60) == 0


def recalibrated(model: Path, out: Path, value: float) -> Path:
    """The same network with a fixed threshold of its own."""
    shutil.copytree(model, out)
    artifact.amend(artifact.load(out), {"threshold": {"value": value, "method": f"value:{value}"}})
    return out


def test_models_that_took_over(cards: Cards, topics: Topics, tmp_path: Path) -> None:
    """Rows of another model cannot be checked, those of the one at hand are; a model that never served is refused."""
    low, never = (recalibrated(cards.model, tmp_path / name, value) for name, value in (("low", 0.5), ("never", 0.7)))
    half = messages(cards, 2000, "json", topics.partitions)
    for model in (cards.model, low):
        send(topics.bootstrap, topics.input, half)
        until_end(topics, model)
    for model in (cards.model, low):
        code, report, _ = audit(topics, model)
        assert (code, report["findings"]) == (0, [])
        assert (report["total"]["messages"], report["total"]["not_checkable"]) == (4000, 2000)
    assert audit(topics, low, "--models-topic", "none")[0] == 1
    code, _, errors = audit(topics, never)
    assert (code, errors.count("\n")) == (2, 1)
    assert "with threshold 0.7 (value:0.7) served no row of topic" in errors
    assert "with threshold 0.5 (value:0.5)" in errors


def test_refusals(cards: Cards, topics: Topics, tmp_path: Path) -> None:
    """A group that committed nothing, a topic and a model that are not there are named: 2, 5, 3; no rows are well."""
    assert audit(topics, cards.model)[0] == 0
    send(topics.bootstrap, topics.input, messages(cards, 10, "json", topics.partitions))
    code, _, errors = audit(topics, cards.model)
    assert (code, errors.count("\n")) == (2, 1)
    assert f"group '{topics.name}' has committed no offsets of topic '{topics.input}'" in errors
    assert audit(topics, cards.model, "--alerts-topic", "nowhere")[0] == 5
    assert audit(topics, tmp_path / "nothing")[0] == 3


def test_a_detector_at_work(cards: Cards, topics: Topics) -> None:
    """An audit beside a running detector sees no row that is answered for by half."""
    send(topics.bootstrap, topics.input, messages(cards, 20_000, "json", topics.partitions))
    with running(topics, cards.model, "--max-batch", "20") as detector:
        await_true(lambda: sum(positions(topics)[0].values()) > 500, "some rows")
        reports = [audit(topics, cards.model) for _ in range(3)]
        assert detector.process.poll() is None
    assert [(code, report["findings"]) for code, report, _ in reports] == [(0, [])] * 3
    checked = [report["total"]["messages"] for _, report, _ in reports]
    assert checked == sorted(checked)
    assert checked[0] > 500
