"""Dead letters on a real broker: listed safely, and sent again each once, whatever happens to the sender."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
)

from tests.integration.conftest import Cards
from tests.integration.line import Sent, Topics, alerts_of, make_topics, read_committed, send, until_end
from tests.integration.test_audit import audit
from tests.integration.test_detector import bad_messages, messages

RESENT_FROM = "resent-from"


def command(topics: Topics, *options: str) -> list[str]:
    """The command line on a test's topics."""
    return [
        *(sys.executable, "-m", "detector", "dead-letters", "--bootstrap-servers", topics.bootstrap),
        *("--input-topic", topics.input, "--dead-letters-topic", topics.dead, *options),
    ]


def told(topics: Topics, *options: str) -> str:
    """What the command says; it must end well."""
    done = subprocess.run(command(topics, *options), capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def objects(topics: Topics, *options: str) -> list[dict[str, Any]]:
    """Its lines of JSON, all of them."""
    return [json.loads(text) for text in told(topics, "--json", "--limit", "0", *options).splitlines()]


def published(topics: Topics, sent: Sequence[Sent]) -> None:
    """Publishes messages with keys and times of their own."""
    producer = Producer({"bootstrap.servers": topics.bootstrap, "message.max.bytes": 20_000_000})
    for i, (value, partition, headers) in enumerate(sent):
        place: dict[str, Any] = {"partition": partition}
        marks: Any = headers
        producer.produce(topics.input, value, b"key-%d\xff" % i, headers=marks, timestamp=1_000_000 + i, **place)
    assert producer.flush(60) == 0


def bad(cards: Cards, partitions: int) -> list[Sent]:
    """A message for each way of being no row, over the partitions, with a header of its own."""
    found = [message for message, _ in bad_messages(len(cards.features))]
    return [
        (value, i % partitions, [*headers, ("trace", b"\xff%d" % i)]) for i, (value, _, headers) in enumerate(found)
    ]


def sources(found: Sequence[Any]) -> list[str]:
    """Where messages of the input were before, of those that were sent again."""
    return [text.decode() for message in found for name, text in message.headers() or () if name == RESENT_FROM]


def alike(one: Any) -> tuple[Any, ...]:
    """What must come back of a message."""
    headers = [pair for pair in one.headers() or [] if pair[0] != RESENT_FROM]
    return one.partition(), one.key(), one.value(), one.timestamp(), headers


def test_listed(cards: Cards, topics: Topics) -> None:
    """Each dead letter is listed with place, reason and the beginning of its bytes, all printable; and by reason."""
    sent = [*bad(cards, topics.partitions), (b"\x1b[2J not json", 0, [])]
    send(topics.bootstrap, topics.input, sent)
    until_end(topics, cards.model)
    found = objects(topics)
    dead = read_committed(topics.bootstrap, topics.dead)
    assert {(one["place"]["offset"], one["source"]["partition"], one["reason"]) for one in found} == {
        (m.offset(), int(dict(m.headers())["errors.partition"]), dict(m.headers())["errors.reason"].decode())
        for m in dead
    }
    assert len(found) == len(sent)
    text = told(topics)
    assert all(line.isprintable() for line in text.splitlines())
    assert r"b'\x1b[2J not json'" in text
    reasons = Counter(one["reason"] for one in found)
    by_reason = objects(topics, "--group-by-reason")
    assert {one["reason"]: one["count"] for one in by_reason} == reasons
    assert [one["reason"] for one in objects(topics, "--reason", "not_json")] == ["not_json"] * reasons["not_json"]
    assert told(topics, "--group-by-reason").splitlines()[0].split()[:3] == ["reason", "count", "share"]
    assert len(told(topics, "--json", "--limit", "2").splitlines()) == 2


def test_nothing_to_tell(topics: Topics) -> None:
    """A topic without dead letters says so, and sends nothing; one that is not there is named, with exit code 5."""
    assert told(topics) == f"no dead letters of {topics.input}\n"
    assert told(topics, "--resend") == f"0 sent to {topics.input}\n"
    options = ("--dead-letters-topic", "nowhere")
    done = subprocess.run(command(topics, *options), capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr.count("\n"), "'nowhere'" in done.stderr) == (5, 1, True)


def test_sent_again_as_they_came(cards: Cards, topics: Topics) -> None:
    """Bytes, key, headers, time and partition come back as they were; a second run sends nothing."""
    published(topics, bad(cards, topics.partitions))
    until_end(topics, cards.model)
    before = read_committed(topics.bootstrap, topics.input)
    assert "11 would be sent" in told(topics, "--resend", "--dry-run")
    assert len(read_committed(topics.bootstrap, topics.input)) == len(before) == 11
    fates = objects(topics, "--resend")
    after = read_committed(topics.bootstrap, topics.input)
    resent = [message for message in after if sources([message])]
    assert sorted(map(alike, resent), key=repr) == sorted(map(alike, before), key=repr)
    assert sorted(sources(after)) == sorted(f"{topics.input}/{m.partition()}/{m.offset()}" for m in before)
    by_place = {(m.partition(), m.offset()): m for m in resent}
    for fate in fates:
        (source,) = sources([by_place[fate["to"]["partition"], fate["to"]["offset"]]])
        assert source == "{topic}/{partition}/{offset}".format(**fate["source"])
    assert told(topics, "--resend") == f"0 sent to {topics.input}\n"
    assert {one["resent"] for one in objects(topics)} == {True}


def test_by_reason(cards: Cards, topics: Topics) -> None:
    """One reason may be sent before the others; those follow later, and none is sent twice."""
    send(topics.bootstrap, topics.input, bad(cards, topics.partitions))
    until_end(topics, cards.model)
    before = {(one["source"]["partition"], one["source"]["offset"]): one["reason"] for one in objects(topics)}
    for reason in ("empty", "not_an_object", "empty"):
        told(topics, "--resend", "--reason", reason)
    first = sources(read_committed(topics.bootstrap, topics.input))
    early = [place for place, reason in before.items() if reason in ("empty", "not_an_object")]
    assert sorted(first) == sorted(f"{topics.input}/{p}/{o}" for p, o in early)
    assert len(early) == 4
    told(topics, "--resend")
    every = sources(read_committed(topics.bootstrap, topics.input))
    assert sorted(every) == sorted(f"{topics.input}/{p}/{o}" for p, o in before)


def test_after_a_fix(cards: Cards, topics: Topics) -> None:
    """What was no row by mistake becomes rows with alerts when it is sent again, and the audit accounts for all."""
    good = [
        (value, partition, [pair for pair in headers if pair[0] != "format"])
        for value, partition, headers in messages(cards, 1500, "packed", topics.partitions)
    ]
    send(topics.bootstrap, topics.input, good)
    until_end(topics, cards.model)
    assert alerts_of(topics) == []
    told(topics, "--resend")
    until_end(topics, cards.model, "--format", "packed")
    found = alerts_of(topics)
    assert len({alert["row_id"] for alert in found}) == len(found) > 0
    code, report, _ = audit(topics, cards.model, "--format", "packed")
    assert (code, report["findings"]) == (0, [])
    assert (report["total"]["messages"], report["total"]["sent_again"]) == (2 * 1500, 1500)


def test_bytes_that_stayed_behind(cards: Cards, topics: Topics) -> None:
    """Messages too large for the dead-letter topic are sent from their places, or told where these have expired."""
    small = make_topics(topics.bootstrap, partitions=2)
    admin = AdminClient({"bootstrap.servers": small.bootstrap})
    limited(admin, small.dead, 3000)
    published(small, [(b"x" * 5000, i % 2, [("trace", b"%d" % i)]) for i in range(6)])
    until_end(small, cards.model)
    before = read_committed(small.bootstrap, small.input)
    assert {(one["value"], one["omitted"]) for one in objects(small)} == {(None, True)}
    for future in admin.delete_records([TopicPartition(small.input, 0, 2)]).values():
        future.result(30)
    fates = objects(small, "--resend")
    left = [one for one in fates if one["why"]]
    assert sorted(one["source"]["offset"] for one in left) == [0, 1]
    assert {one["to"] for one in left} == {None}
    resent = [message for message in read_committed(small.bootstrap, small.input) if sources([message])]
    kept = [message for message in before if (message.partition(), message.offset()) not in ((0, 0), (0, 1))]
    assert sorted(map(alike, resent), key=repr) == sorted(map(alike, kept), key=repr)
    assert told(small, "--resend").splitlines()[-1] == f"0 sent to {small.input}, 2 left where they are"


def test_what_the_broker_refuses(cards: Cards, topics: Topics) -> None:
    """A message that the input topic takes no more is told and left; those beside it are sent."""
    published(topics, [(b"x" * size, 0, []) for size in (100, 500_000, 200)])
    until_end(topics, cards.model)
    admin = AdminClient({"bootstrap.servers": topics.bootstrap})
    limited(admin, topics.input, 100_000)
    fates = objects(topics, "--resend")
    assert [bool(one["why"]) for one in fates] == [False, True, False]
    assert "MSG_SIZE_TOO_LARGE" in fates[1]["why"]
    assert len(sources(read_committed(topics.bootstrap, topics.input))) == 2
    limited(admin, topics.input, 1_000_000)
    assert len(objects(topics, "--resend")) == 1
    assert len(sources(read_committed(topics.bootstrap, topics.input))) == 3


def limited(admin: AdminClient, topic: str, most: int) -> None:
    """Sets the longest record batch that a topic takes."""
    entry = ConfigEntry("max.message.bytes", str(most), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(30)


@pytest.mark.long
def test_killed_five_times(cards: Cards, topics: Topics) -> None:
    """SIGKILL at five random moments: readers of committed messages see each message again once, and all of them."""
    count = 20_000
    send(topics.bootstrap, topics.input, [(b"no row %d" % i, i % topics.partitions, []) for i in range(count)])
    until_end(topics, cards.model)
    chance = random.Random(7)
    for _ in range(5):
        process = subprocess.Popen(
            command(topics, "--resend", "--limit", "0"),
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        assert process.stdout is not None
        with process, process.stdout:
            assert "(not_json) -> " in process.stdout.readline()
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(chance.uniform(0.0, 0.03))
            process.send_signal(signal.SIGKILL)
    some = sources(read_committed(topics.bootstrap, topics.input))
    assert 0 < len(some) == len(set(some)) < count
    told(topics, "--resend")
    every = sources(read_committed(topics.bootstrap, topics.input))
    assert len(every) == len(set(every)) == count
    assert {one["resent"] for one in objects(topics)} == {True}


def test_two_at_once(cards: Cards, topics: Topics) -> None:
    """Of two senders at the same time the later one fences the first (exit code 7); together they send each once."""
    count = 20_000
    send(topics.bootstrap, topics.input, [(b"no row %d" % i, i % topics.partitions, []) for i in range(count)])
    until_end(topics, cards.model)
    first, second = (
        subprocess.Popen(command(topics, "--resend"), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    )
    ends = [(process.communicate(timeout=120)[1], process.returncode) for process in (first, second)]
    assert {code for _, code in ends} <= {0, 7}
    assert 0 in {code for _, code in ends}
    every = sources(read_committed(topics.bootstrap, topics.input))
    assert len(every) == len(set(every)) == count


def test_other_topics_dead_letters(cards: Cards, topics: Topics) -> None:
    """Of a dead-letter topic that two inputs share only those of the one asked for are told and sent."""
    other = make_topics(topics.bootstrap)
    object.__setattr__(other, "dead", topics.dead)
    for each in (topics, other):
        send(each.bootstrap, each.input, bad(cards, each.partitions))
        until_end(each, cards.model)
    assert "11 dead letters of other topics are in" in told(topics)
    told(topics, "--resend")
    assert len(sources(read_committed(other.bootstrap, other.input))) == 0
    assert {one["resent"] for one in objects(other)} == {False}
    told(other, "--resend")
    assert len(sources(read_committed(other.bootstrap, other.input))) == 11
    assert len(sources(read_committed(topics.bootstrap, topics.input))) == 11
