"""The audit finds what is missing, doubled, altered or unexpected, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from detector.alerts import ModelName
from detector.artifact import Artifact
from detector.audit import (
    ALERT,
    DEAD_LETTER,
    Audit,
    Ledger,
    Served,
    Span,
    Term,
    Witness,
    alert_entry,
    by_one,
    dead_letter_entry,
    decides,
    rerun,
    total,
)
from detector.command import columns
from detector.dead_letters import read, receipt
from detector.detection import build_alerts, judge
from detector.errors import UsageError
from detector.model import Model
from detector.records import alert_records, reject_records
from detector.rows import Decoder, Message
from detector.schema import Schema
from detector.serving import Serving
from detector.settings import AuditSettings, Settings, load
from detector.statistics import RunningMedianMad, Summary
from detector.takeover import Takeover, takeovers, terms
from detector.threshold import Line, Threshold, parse
from tests.messages import FakeMessage, json_message

WINDOW, STRIDE, MIN_ROWS = 12, 5, 4
Log = list[FakeMessage]


class FirstFeature:
    """A model whose score is the first feature, times a factor."""

    def __init__(self, times: float = 1.0) -> None:
        self.times = times

    def score(self, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        return matrix[:, 0] * np.float32(self.times)

    def explain(self, matrix: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return matrix * np.float32(self.times), np.zeros_like(matrix)


def serving_of(sha256: str = "aa", times: float = 1.0, running: bool = True) -> Serving:
    """A model with a calibrated line of 4, and a running one where rows are many enough."""
    schema = Schema(("a", "b"))
    known = SimpleNamespace(name=ModelName("m", "1", sha256), schema=schema, summary=Summary(100, 1.0, 0.5, 0.6))
    line = Line(Threshold(4.0, "value:4"), parse("running-mad:5") if running else None)
    return Serving(cast(Artifact, known), cast(Model, FirstFeature(times)), line, Decoder(schema))


SERVING = serving_of()


@dataclass
class World:
    """An input partition as it lies in the log, and the records that were written about it."""

    log: Log
    alerts: Log = field(default_factory=list)
    dead: Log = field(default_factory=list)
    low: int = 0
    end: int = 0
    read: list[tuple[int, int]] = field(default_factory=list)

    def between(self, ranges: Mapping[int, tuple[int, int]]) -> Iterator[Sequence[Message]]:
        """The log in batches of seven, an empty one first."""
        (start, end), *more = ranges.values()
        assert not more
        assert start >= self.low
        self.read.append((start, end))
        found = [message for message in self.log if start <= message.offset() < end]
        yield []
        for at in range(0, len(found), 7):
            yield found[at : at + 7]

    def topic(self, topic: str, ranges: Mapping[int, tuple[int, int]]) -> Iterator[Sequence[Message]]:
        """Records that were written, in batches of three."""
        records = self.alerts if topic == "alerts" else self.dead
        assert all(start < end for start, end in ranges.values())
        found = [one for one in records if _within(one.offset(), ranges.get(one.partition()))]
        for at in range(0, len(found), 3):
            yield found[at : at + 3]


def _within(offset: int, span: tuple[int, int] | None) -> bool:
    return span is not None and span[0] <= offset < span[1]


def a_log(rows: int = 120, seed: int = 1, partition: int = 0) -> Log:
    """Rows of which some alert, among them messages that are no rows; offsets have gaps, keys and row-ids are there."""
    rng = np.random.default_rng(seed)
    offsets = np.cumsum(rng.integers(1, 3, rows)) - 1
    return [a_message(int(offset), rng, partition) for offset in offsets]


def a_message(offset: int, rng: np.random.Generator, partition: int) -> FakeMessage:
    kind = rng.random()
    marks = [("row-id", b"r%d" % offset), ("trace", b"\xff")]
    place = ("transactions", partition, offset)
    if kind < 0.1:
        return FakeMessage(b"not json", place, offset * 10, b"k\xfe", marks)
    if kind < 0.15:
        return FakeMessage(None, place, offset * 10)
    row = {"a": float(np.float32(rng.lognormal(0, 1.2))), "b": 0.5}
    return json_message(row, partition, offset, when=offset * 10, name=b"card", marks=marks)


def world_of(log: Log, serving: Serving = SERVING, batch: int = 11, limit: int | None = None) -> World:
    """What a detector writes about a log, read in batches of another size than the audit's."""
    world = World(log, end=log[-1].offset() + 1 if log else 0)
    window = RunningMedianMad(WINDOW, STRIDE, MIN_ROWS)
    for at in range(0, len(log), batch):
        rows, rejects = serving.decoder.decode(log[at : at + batch])
        verdicts = judge(rows, serving.model.score(rows.matrix), serving.line, lambda _: window)
        alerts = build_alerts(rows, verdicts, serving.model, serving.artifact, f"batch {at}")
        for record in alert_records(alerts, "alerts"):
            publish(world.alerts, record.topic, record.value, record.key, record.headers)
        for record in reject_records(rejects, "dead", limit):
            publish(world.dead, record.topic, record.value, record.key, record.headers)
    return world


def publish(records: Log, topic: str, value: bytes | None, key: bytes | None = None, headers: Any = None) -> None:
    """Appends a record to a topic, over two partitions by turns."""
    place = (topic, len(records) % 2, len(records) // 2)
    records.append(FakeMessage(value, place, 77, key, headers))


def again(records: Log, which: int, **changes: Any) -> None:
    """Appends a copy of a record, changed."""
    one = replace(records[which], **changes)
    publish(records, one.topic(), one.content, cast("bytes | None", one.name), one.marks)


def told(which: int, **changes: Any) -> Callable[[World], None]:
    """Changes fields of an alert's value."""

    def tamper(world: World) -> None:
        alert = json.loads(world.alerts[which].content or b"")
        world.alerts[which] = replace(world.alerts[which], content=json.dumps({**alert, **changes}).encode())

    return tamper


def audit_of(
    world: World,
    served: Served = lambda partition, offset: Term(SERVING),
    start: int | None = None,
    end: int | None = None,
    limit: int = 0,
) -> Audit:
    """Audits a world of one partition."""
    ledgers = [
        Ledger(ALERT, "alerts", partial(alert_entry, topic="transactions")),
        Ledger(DEAD_LETTER, "dead", partial(dead_letter_entry, topic="transactions")),
    ]
    for ledger, records in zip(ledgers, (world.alerts, world.dead), strict=True):
        for at in range(0, len(records), 5):
            ledger.take(records[at : at + 5])
        ledger.close()
    audit = Audit("transactions", ledgers, limit)
    span = Span(world.low, world.low if start is None else start, world.end if end is None else end)
    audit.partition(0, span, rerun(0, span, served, world.between, partial(Witness, WINDOW, STRIDE, MIN_ROWS)))
    audit.elsewhere([0])
    audit.explain(world.topic)
    return audit


def kinds(audit: Audit) -> list[tuple[str, str, str]]:
    """What was found, without words."""
    return [(finding.kind, finding.what, finding.place) for finding in audit.findings]


def place(records: Log, which: int) -> str:
    """The row that an alert or dead letter is about."""
    one = records[which]
    if one.topic() == "alerts":
        return str(json.loads(one.content or b"")["id"])
    marks = dict(one.headers())
    return f"transactions/{int(marks['errors.partition'])}/{int(marks['errors.offset'])}"


@given(st.integers(0, 2**16), st.integers(0, 90), st.integers(1, 40), st.booleans(), st.booleans())
def test_what_a_detector_wrote_is_accounted_for(seed: int, rows: int, batch: int, running: bool, omit: bool) -> None:
    """Whatever the log, the batches and the line, nothing is found; messages, alerts and dead letters are counted."""
    serving = serving_of(running=running)
    world = world_of(a_log(rows, seed), serving, batch, 0 if omit else None)
    audit = audit_of(world, lambda partition, offset: Term(serving))
    assert audit.findings == []
    (account,) = audit.accounts
    assert (account.messages, account.alerts, account.dead_letters) == (rows, len(world.alerts), len(world.dead))
    assert (account.wrong, account.not_checkable, account.by_other_models, account.expired) == (0, 0, 0, 0)


def test_the_trial_is_fair() -> None:
    """The log that the other tests tamper with has many alerts by both lines, dead letters and gaps."""
    world = world_of(a_log())
    methods = {json.loads(one.content or b"")["method"] for one in world.alerts}
    assert methods == {"value:4", "running-mad:5"}
    assert len(world.alerts) > 8
    assert len(world.dead) > 8
    assert len(world.log) < world.end


def test_missing() -> None:
    """An alert and a dead letter that are not there are named with what was expected."""
    world = world_of(a_log())
    wanted = [("missing", DEAD_LETTER, place(world.dead, 2)), ("missing", ALERT, place(world.alerts, 3))]
    score = json.loads(world.alerts[3].content or b"")["score"]
    reason = dict(world.dead[2].headers())["errors.reason"].decode()
    del world.alerts[3], world.dead[2]
    audit = audit_of(world)
    assert sorted(kinds(audit)) == sorted(wanted)
    by_what = {finding.what: finding for finding in audit.findings}
    assert f"score {score:.9g} is above" in by_what[ALERT].expected
    assert reason in by_what[DEAD_LETTER].expected
    assert {finding.found for finding in audit.findings} == {"none"}
    assert audit.accounts[0].missing == 2


@pytest.mark.parametrize("more", [1, 3])
def test_doubled(more: int) -> None:
    """A record that comes again is told once with all its places, and each that is too many is counted."""
    world = world_of(a_log())
    for _ in range(more):
        again(world.alerts, 1)
        again(world.dead, 1)
    audit = audit_of(world)
    wanted = [("doubled", ALERT, place(world.alerts, 1)), ("doubled", DEAD_LETTER, place(world.dead, 1))]
    assert sorted(kinds(audit)) == sorted(wanted)
    assert {finding.found for finding in audit.findings} == {f"{more + 1}"}
    assert all(len(set(finding.at)) == more + 1 for finding in audit.findings)
    assert audit.accounts[0].doubled == 2 * more


def test_doubled_by_another_time_of_detection() -> None:
    """Two alerts that differ in `detected_at` alone are one too many, and neither is altered."""
    world = world_of(a_log())
    again(world.alerts, 0)
    told(-1, detected_at="later")(world)
    assert kinds(audit_of(world)) == [("doubled", ALERT, place(world.alerts, 0))]


def without_time(world: World) -> None:
    told(2, detected_at="another time")(world)


def other_words(world: World) -> None:
    marks = [(name, b"in other words" if name == "errors.message" else text) for name, text in world.dead[0].headers()]
    world.dead[0] = replace(world.dead[0], marks=marks)


@pytest.mark.parametrize("tamper", [without_time, other_words])
def test_what_may_differ(tamper: Callable[[World], None]) -> None:
    """When an alert was made, and how a dead letter words its reason, are no one's account."""
    world = world_of(a_log())
    tamper(world)
    assert audit_of(world).findings == []


ALTERED: dict[str, tuple[Callable[[World], None], str]] = {
    "score": (told(2, score=9.125), "score 9.125"),
    "threshold": (told(2, threshold=0.5), "threshold 0.5"),
    "method": (told(2, method="f1"), "method 'f1'"),
    "z": (told(2, modified_z=None), "modified_z None"),
    "reasons": (told(2, reasons=[]), "reasons []"),
    "version": (told(2, model={"name": "m", "version": "2", "sha256": "aa"}), "model {'name': 'm', 'version': '2'"),
    "id": (told(2, id="transactions/9/9"), "id 'transactions/9/9'"),
    "its key": (told(2, key="other"), "key 'other'"),
    "row-id": (told(2, row_id=None), "row_id None"),
    "time": (told(2, event_time="now"), "event_time 'now'"),
    "one more": (told(2, colour="red"), "colour 'red'"),
    "one that is no text": (told(2, **{"\x1b[31m": "\x1b[0m"}), "\\x1b[31m '\\x1b[0m'"),
}


@pytest.mark.parametrize("name", ALTERED)
def test_altered_alerts(name: str) -> None:
    """An alert of which any field differs is told with the field, as it must be and as it is, and where it lies."""
    tamper, wanted = ALTERED[name]
    world = world_of(a_log())
    real = json.loads(world.alerts[2].content or b"")
    tamper(world)
    (finding,) = audit_of(world).findings
    assert (finding.kind, finding.what, finding.place) == ("altered", ALERT, real["id"])
    assert finding.found.startswith(wanted)
    changed = wanted.partition(" ")[0]
    assert finding.found.isprintable()
    assert finding.expected.startswith(f"{changed} {real.get(changed)!r}"[:60])
    assert finding.at == ("alerts/0/1",)


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"name": b"other"}, "record key b'other'"),
        ({"marks": None}, "record headers []"),
        ({"marks": [("ce_id", b"x")]}, "record headers [('ce_id', b'x')]"),
    ],
)
def test_altered_records_of_alerts(changes: dict[str, Any], wanted: str) -> None:
    """The key and headers of an alert's record are compared too."""
    world = world_of(a_log())
    world.alerts[0] = replace(world.alerts[0], **changes)
    (finding,) = audit_of(world).findings
    assert (finding.kind, finding.found) == ("altered", wanted)


def header(name: str, text: bytes) -> Callable[[FakeMessage], FakeMessage]:
    def change(one: FakeMessage) -> FakeMessage:
        return replace(one, marks=[(n, text if n == name else t) for n, t in one.headers()])

    return change


@pytest.mark.parametrize(
    ("change", "expected", "found"),
    [
        (header("errors.reason", b"empty"), "reason 'not_json'", "reason 'empty'"),
        (header("errors.timestamp", b"5"), "timestamp ", "timestamp 5"),
        (header("trace", b"\x1b[31m"), "headers [('row-id', ", "('trace', b'\\x1b[31m')]"),
        (lambda one: replace(one, content=b"not  json"), "value b'not json'", "value b'not  json'"),
        (lambda one: replace(one, content=None), "value b'not json'", "value None"),
        (lambda one: replace(one, name=None), "key b'k\\xfe'", "key None"),
    ],
)
def test_altered_dead_letters(change: Callable[[FakeMessage], FakeMessage], expected: str, found: str) -> None:
    """A dead letter of another reason, time, header, key or of other bytes is told with both."""
    world = world_of(a_log())
    which = next(i for i, one in enumerate(world.dead) if one.content == b"not json")
    world.dead[which] = change(world.dead[which])
    (finding,) = audit_of(world).findings
    assert (finding.kind, finding.what, finding.place) == ("altered", DEAD_LETTER, place(world.dead, which))
    assert finding.expected.startswith(expected)
    assert found in finding.found
    assert finding.found.isprintable()


def test_omitted_bytes_are_counted() -> None:
    """A dead letter without its bytes is right, but not one that gives another number of them."""
    world = world_of(a_log(), limit=0)
    world.dead[0] = header("errors.omitted-bytes", b"3")(world.dead[0])
    (finding,) = audit_of(world).findings
    assert finding.found == "omitted bytes 3"
    assert finding.expected.startswith("omitted bytes ")


def quiet_row(world: World) -> int:
    """The offset of a row that does not alert."""
    about = {place(records, i) for records in (world.alerts, world.dead) for i in range(len(records))}
    return next(one.offset() for one in world.log if f"transactions/0/{one.offset()}" not in about)


def gap(world: World) -> int:
    """An offset without a message."""
    return min(set(range(world.end)) - {one.offset() for one in world.log})


def claim(world: World, topic: str, partition: int, offset: int) -> str:
    """Writes an alert or dead letter of another place; that place."""
    if topic == "alerts":
        again(world.alerts, 0)
        where = {"topic": "transactions", "partition": partition, "offset": offset}
        told(-1, id=f"transactions/{partition}/{offset}", source=where)(world)
    else:
        again(world.dead, 0)
        world.dead[-1] = header("errors.offset", b"%d" % offset)(world.dead[-1])
        world.dead[-1] = header("errors.partition", b"%d" % partition)(world.dead[-1])
    return f"transactions/{partition}/{offset}"


@pytest.mark.parametrize(("topic", "what"), [("alerts", ALERT), ("dead", DEAD_LETTER)])
@pytest.mark.parametrize(
    ("where", "why"),
    [
        (quiet_row, {ALERT: "is not above", DEAD_LETTER: "the message is a row"}),
        (gap, dict.fromkeys((ALERT, DEAD_LETTER), "the log has no message there")),
    ],
)
def test_unexpected(topic: str, what: str, where: Callable[[World], int], why: dict[str, str]) -> None:
    """A record about a row that must have none, or about no row, is told with the reason."""
    world = world_of(a_log())
    wanted = claim(world, topic, 0, where(world))
    (finding,) = audit_of(world).findings
    assert (finding.kind, finding.what, finding.place) == ("unexpected", what, wanted)
    assert why[what] in finding.expected
    assert len(finding.at) == 1


def test_an_alert_of_what_is_no_row() -> None:
    """An alert about a message that must be a dead letter is told as that."""
    world = world_of(a_log())
    offset = int(place(world.dead, 0).rpartition("/")[2])
    claim(world, "alerts", 0, offset)
    (finding,) = audit_of(world).findings
    assert (finding.kind, finding.what) == ("unexpected", ALERT)
    assert finding.expected.startswith("none, but a dead letter, ")


def test_a_partition_that_is_not_there() -> None:
    """A record about a partition that the input does not have is unexpected, in an account of its own."""
    world = world_of(a_log())
    wanted = [("unexpected", ALERT, claim(world, "alerts", 7, 0))]
    wanted.append(("unexpected", DEAD_LETTER, claim(world, "dead", 8, 3)))
    audit = audit_of(world)
    assert kinds(audit) == wanted
    assert [(account.partition, account.unexpected) for account in audit.accounts] == [(0, 0), (None, 2)]


STRANGERS: list[tuple[bytes | None, Any]] = [
    (None, None),
    (b"", None),
    (b"not json", None),
    (b"[]", None),
    (b"{}", None),
    (b'{"source": {"topic": "transactions", "partition": 0}}', None),
    (b'{"source": {"topic": "transactions", "partition": "0", "offset": 1}}', None),
    (b'{"source": {"topic": "transactions", "partition": 0, "offset": -1}, "model": {"name": "m"}}', None),
    (b"\xff", [("errors.reason", b"not_json")]),
]


@pytest.mark.parametrize(("value", "marks"), STRANGERS)
def test_strangers(value: bytes | None, marks: Any) -> None:
    """A record that is neither alert nor dead letter is told by its own place, and hides nothing else."""
    world = world_of(a_log())
    publish(world.alerts, "alerts", value, None, marks)
    publish(world.dead, "dead", value, None, marks)
    audit = audit_of(world)
    wanted = [
        ("unexpected", what, "{}/{}/{}".format(*records[-1].place))
        for what, records in ((ALERT, world.alerts), (DEAD_LETTER, world.dead))
    ]
    assert kinds(audit) == wanted


@pytest.mark.parametrize("changes", [{"partition": 1 << 40}, {"offset": 1 << 70}, {"partition": -1}])
def test_places_that_cannot_be(changes: dict[str, int]) -> None:
    """An alert that names a place outside Kafka's numbers is a stranger, and the row that it was of lacks one."""
    world = world_of(a_log())
    wanted = place(world.alerts, 2)
    source = json.loads(world.alerts[2].content or b"")["source"]
    told(2, source={**source, **changes})(world)
    assert kinds(audit_of(world)) == [("missing", ALERT, wanted), ("unexpected", ALERT, "alerts/0/1")]


class Garbled(FakeMessage):
    """A record of which the client cannot give the headers."""

    def headers(self) -> Any:
        raise SystemError


def test_headers_that_cannot_be_read() -> None:
    """A record with a header name that is not UTF-8 is a stranger."""
    world = world_of(a_log())
    world.alerts.append(Garbled(world.alerts[0].content, ("alerts", 0, 90)))
    world.dead.append(Garbled(b"", ("dead", 0, 90)))
    assert kinds(audit_of(world)) == [("unexpected", ALERT, "alerts/0/90"), ("unexpected", DEAD_LETTER, "dead/0/90")]


def test_of_other_topics_and_receipts() -> None:
    """Records about another input, and receipts of dead letters that were sent again, are nobody's business here."""
    world = world_of(a_log())
    again(world.alerts, 0)
    told(-1, source={"topic": "elsewhere", "partition": 0, "offset": 0})(world)
    again(world.dead, 0)
    world.dead[-1] = header("errors.topic", b"elsewhere")(world.dead[-1])
    letter = read(world.dead[0])
    assert letter is not None
    sent = receipt(letter)
    world.dead.append(FakeMessage(None, ("dead", letter.place.partition, 80), 0, None, sent.headers))
    audit = audit_of(world)
    assert audit.findings == []
    assert audit.accounts[0].dead_letters == len(world.dead) - 2


def receipt_for(world: World, which: int) -> FakeMessage:
    """Says that a dead letter was sent again."""
    letter = read(world.dead[which])
    assert letter is not None
    return FakeMessage(None, ("dead", letter.place.partition, 80 + which), 0, None, receipt(letter).headers)


@pytest.mark.parametrize("pick", ["row", "alert"])
def test_sent_again_after_a_fix(pick: str) -> None:
    """A row with a dead letter was none when it was written: once that was sent again the row owes nothing more."""
    world = world_of(a_log())
    offset = quiet_row(world)
    if pick == "alert":
        offset = int(place(world.alerts, 3).rpartition("/")[2])
        del world.alerts[3]
    wanted = claim(world, "dead", 0, offset)
    told_before = {("unexpected", DEAD_LETTER, wanted)} | ({("missing", ALERT, wanted)} if pick == "alert" else set())
    assert set(kinds(audit_of(world))) == told_before
    world.dead.append(receipt_for(world, len(world.dead) - 1))
    audit = audit_of(world)
    assert audit.findings == []
    assert audit.accounts[0].sent_again == 1


def test_sent_again_and_alerted() -> None:
    """A row that has an alert and a dead letter is not made well by sending the message again if the alert is wrong."""
    world = world_of(a_log())
    told(3, score=99.0)(world)
    wanted = claim(world, "dead", 0, int(place(world.alerts, 3).rpartition("/")[2]))
    world.dead.append(receipt_for(world, len(world.dead) - 1))
    assert kinds(audit_of(world)) == [("altered", ALERT, wanted)]


def test_what_is_no_row_still_owes_a_dead_letter() -> None:
    """A receipt takes nothing from what is compared of a dead letter whose message is no row to this day."""
    world = world_of(a_log())
    world.dead.append(receipt_for(world, 0))
    assert audit_of(world).findings == []
    assert audit_of(world).accounts[0].sent_again == 0
    wanted = place(world.dead, 0)
    world.dead[0] = header("errors.reason", b"too_large")(world.dead[0])
    assert kinds(audit_of(world)) == [("altered", DEAD_LETTER, wanted)]


def test_ahead_of_the_group() -> None:
    """Rows above the group's offset are not asked for anything, and what is said of them is not looked at."""
    world = world_of(a_log())
    end = world.end // 2
    claim(world, "alerts", 0, world.end - 1)
    world.alerts = [one for one in world.alerts if json.loads(one.content or b"")["source"]["offset"] < end]
    audit = audit_of(world, end=end)
    assert audit.findings == []
    assert audit.accounts[0].messages == sum(one.offset() < end for one in world.log)
    assert audit_of(world).accounts[0].missing > 0


def test_another_model_is_counted_apart() -> None:
    """Alerts of another model stand for this one's, and are no finding where this has none; doubled is doubled."""
    world = world_of(a_log())
    other = {"name": "m", "version": "0", "sha256": "bb"}
    told(1, model=other, score=77.0)(world)
    claim(world, "alerts", 0, quiet_row(world))
    told(-1, model=other)(world)
    audit = audit_of(world)
    assert audit.findings == []
    assert (audit.accounts[0].by_other_models, audit.accounts[0].alerts) == (2, len(world.alerts) - 2)
    again(world.alerts, -1)
    assert kinds(audit_of(world)) == [("doubled", ALERT, place(world.alerts, -1))]


def two_models(log: Log, turn: int) -> tuple[World, Served, Serving]:
    """A log of which the first rows were served by one model and the others by another, who saw windows of its own."""
    later = serving_of("bb", 1.5)
    world, second = world_of(log), world_of(log, later)

    def before(one: FakeMessage) -> bool:
        return bool(json.loads(one.content or b"")["source"]["offset"] < turn)

    mixed = [one for one in world.alerts if before(one)] + [one for one in second.alerts if not before(one)]
    world.alerts = []
    for one in mixed:
        publish(world.alerts, "alerts", one.content, cast("bytes | None", one.name), one.marks)

    def served(partition: int, offset: int) -> Term:
        return Term(SERVING, turn) if offset < turn else Term(later)

    return world, served, later


@pytest.mark.parametrize("turn", [20, 44, 45, 150])
def test_models_take_over(turn: int) -> None:
    """Each row is held against the model that served it; a model that takes over sees windows of its own scores."""
    world, served, later = two_models(a_log(), turn)
    audit, alone = audit_of(world, served), audit_of(world, lambda partition, offset: Term(later))
    assert audit.findings == []
    assert audit.accounts[0].by_other_models == 0
    assert audit.accounts[0].alerts == len(world.alerts)
    assert alone.findings != [] or alone.accounts[0].by_other_models > 0


def test_a_model_that_is_not_at_hand() -> None:
    """Rows of a model that is not at hand cannot be checked, but for what comes twice; the others can."""
    world, served, _ = two_models(a_log(), 45)

    def known(partition: int, offset: int) -> Term:
        term = served(partition, offset)
        return term if offset >= 45 else Term(None, term.end)

    rows = sum(one.offset() < 45 for one in world.log)
    again(world.alerts, 0)
    world.dead = [one for i, one in enumerate(world.dead) if int(place(world.dead, i).rpartition("/")[2]) >= 45]
    audit = audit_of(world, known)
    assert kinds(audit) == [("doubled", ALERT, place(world.alerts, 0))]
    account = audit.accounts[0]
    assert (account.not_checkable, account.messages) == (rows, len(world.log))
    assert account.by_other_models > 0


def takeover_of(offset: int, serving: Serving, partition: int = 0, topic: str = "transactions") -> Takeover:
    """What a detector records that begins to serve a partition at an offset."""
    (one,) = takeovers(topic, "detector", {partition: offset}, serving.artifact.name, serving.line, None, "now")
    return one


def spans_of(told: Sequence[Takeover], serving: Serving, partition: int = 0) -> list[tuple[int, bool]]:
    """Where the terms of a partition begin, and whether they are the model's."""
    served, found, offset = by_one(terms(told, "transactions", "detector"), serving), [], 0
    while True:
        term = served(partition, offset)
        found.append((offset, term.serving is serving))
        if term.end is None:
            return found
        offset = term.end


def test_terms_of_one_model() -> None:
    """By the record of takeovers a model's rows are told from others'; a restart and other topics change nothing."""
    other = serving_of("bb")
    told = [
        takeover_of(10, SERVING),
        takeover_of(20, SERVING),
        takeover_of(25, other, topic="elsewhere"),
        takeover_of(25, other, partition=1),
        takeover_of(30, other),
        takeover_of(40, SERVING),
    ]
    assert spans_of([], SERVING) == [(0, True)]
    assert [term for term in spans_of(told, SERVING) if term[0] != 10] == [(0, True), (30, False), (40, True)]
    assert spans_of(told, SERVING, 1) == [(0, True), (25, False)]
    assert spans_of(told, other)[-2:] == [(30, True), (40, False)]


@pytest.mark.parametrize(
    "line", [Line(Threshold(4.0, "value:4")), Line(Threshold(5.0, "value:4"), SERVING.line.running)]
)
def test_another_line_is_another_model(line: Line) -> None:
    """The same network with another threshold, or without the running one, is not the model that served."""
    other = replace(SERVING, line=line)
    assert decides(other) != decides(SERVING)
    assert spans_of([takeover_of(5, other)], SERVING) == [(0, True), (5, False)]


def expired(world: World, low: int) -> World:
    """The same world after retention took the log's beginning."""
    return replace(world, log=[one for one in world.log if one.offset() >= low], low=low)


@pytest.mark.parametrize("low", [1, 30, 60, 170])
def test_an_expired_beginning(low: int) -> None:
    """After an expired beginning rows cannot be checked until a window is full; nothing is told wrongly of them."""
    world = world_of(a_log())
    audit = audit_of(expired(world, low))
    assert audit.findings == []
    account = audit.accounts[0]
    assert 0 < account.not_checkable <= account.messages
    assert account.messages == sum(one.offset() >= low for one in world.log)
    assert account.expired + account.alerts + account.dead_letters == len(world.alerts) + len(world.dead)


def test_after_an_expired_beginning() -> None:
    """Dead letters are checked from the log's first message on, alerts from the first full window on."""
    world = expired(world_of(a_log()), 30)
    dead = next(i for i in range(len(world.dead)) if int(place(world.dead, i).rpartition("/")[2]) >= 30)
    early = next(i for i in range(len(world.alerts)) if int(place(world.alerts, i).rpartition("/")[2]) >= 30)
    wanted = [("missing", DEAD_LETTER, place(world.dead, dead)), ("missing", ALERT, place(world.alerts, -1))]
    del world.dead[dead], world.alerts[-1]
    told(early, modified_z=0.0)(world)
    assert kinds(audit_of(world)) == wanted


@given(st.integers(0, 2**16), st.integers(0, 80), st.integers(1, 30), st.integers(1, 12), st.integers(1, 30))
def test_a_witness_is_sure_of_what_is_so(seed: int, low: int, window: int, stride: int, batch: int) -> None:
    """From where it is sure on, statistics of a log without its beginning are those of the whole log."""
    rng = np.random.default_rng(seed)
    offsets = np.cumsum(rng.integers(1, 4, 200)) - 1
    scores = rng.lognormal(size=200).astype(np.float32)
    whole = RunningMedianMad(window, stride, 1)
    witness = Witness(window, stride, 1, low)
    here = offsets >= low
    wanted = dict(seen(whole, offsets, scores, 200))
    found = dict(seen(witness, offsets[here], scores[here], batch))
    unsure = set(witness.unsure(offsets[here]).tolist())
    assert all(found[at] == wanted[at] for at in found if at not in unsure)
    if low == 0:
        assert unsure == set()
    elif window + 2 * stride < here.sum() // 2:
        assert len(unsure) < here.sum()


def seen(
    window: RunningMedianMad, offsets: NDArray[np.int64], scores: NDArray[np.float32], batch: int
) -> Iterator[tuple[int, Summary | None]]:
    """What each row sees."""
    for at in range(0, len(offsets), batch):
        part = offsets[at : at + batch]
        for rows, summary in window.update(part, scores[at : at + batch]):
            for offset in part[rows].tolist():
                yield offset, summary


@pytest.mark.parametrize("start", [1, 44, 45, 100, 1000])
def test_since(start: int) -> None:
    """A check from an offset on reads back what the windows need, and is silent about all before."""
    world = world_of(a_log())
    first = place(world.alerts, 0)
    del world.alerts[0]
    start = min(start, world.end)
    audit = audit_of(world, start=start)
    assert kinds(audit) == ([("missing", ALERT, first)] if int(first.rpartition("/")[2]) >= start else [])
    assert audit.accounts[0].messages == sum(one.offset() >= start for one in world.log)
    assert audit.accounts[0].not_checkable == 0


def test_findings_are_limited_and_all_are_counted() -> None:
    """Beyond the limit findings are counted; those within it say how records differ."""
    world = world_of(a_log())
    for which in range(len(world.alerts)):
        told(which, score=99.0)(world)
    audit = audit_of(world, limit=3)
    assert [finding.found for finding in audit.findings] == ["score 99.0"] * 3
    assert audit.accounts[0].altered == len(world.alerts)


def test_a_record_that_has_gone_meanwhile() -> None:
    """An altered record that retention takes before it can be read again is told nevertheless."""
    world = world_of(a_log())
    told(0, score=99.0)(world)
    told(1, score=98.0)(world)
    world.topic = lambda topic, ranges: iter([[world.alerts[1]]])  # type: ignore[method-assign]
    assert [finding.found for finding in audit_of(world).findings] == ["another", "score 98.0"]


def test_an_empty_partition() -> None:
    """A partition without messages has nothing wrong with it."""
    audit = audit_of(World([]))
    assert audit.findings == []
    assert audit.accounts[0].messages == 0


def test_totals() -> None:
    """Accounts add up, name by name."""
    world = world_of(a_log())
    del world.alerts[0]
    one = audit_of(world).accounts[0]
    every = total([one, one])
    assert (every.partition, every.missing, every.messages) == (None, 2, 2 * one.messages)
    assert every.wrong == 2 * one.wrong


def test_the_ledger_finds_by_place() -> None:
    """A ledger gives what lies between two offsets of a partition, several records of a place together."""
    world = world_of(a_log())
    again(world.alerts, 4)
    ledger = Ledger(ALERT, "alerts", partial(alert_entry, topic="transactions"))
    ledger.take(world.alerts[:3])
    ledger.take(world.alerts[3:])
    ledger.close()
    offsets = sorted(int(place(world.alerts, i).rpartition("/")[2]) for i in range(len(world.alerts)))
    found = ledger.between(0, offsets[1], offsets[-1])
    assert sorted(offset for offset, claims in found.items() for _ in claims) == offsets[1:-1]
    assert ledger.between(1, 0, 1000) == {}
    assert ledger.partitions() == [0]


def test_columns() -> None:
    """Cells stand under each other; numbers end together."""
    rows = [("partition", "n"), ("0", "1,000"), ("all", "1")]
    assert columns(rows, right=True) == "partition      n\n0          1,000\nall            1"
    assert columns([("a", "b"), ("long", "c")]) == "a     b\nlong  c"


def settings_of(tmp_path: Path, file: str = "", **given: Any) -> AuditSettings:
    path = tmp_path / "detector.toml"
    path.write_text(file)
    flags = {"model": "m", "bootstrap_servers": "b:1", "config": str(path), **given}
    return load(AuditSettings, flags, "DETECTOR_", {})


def test_settings_are_the_detector_s(tmp_path: Path) -> None:
    """The detector's own file serves: what decides about rows is taken, what is for the detector alone passed over."""
    file = 'window = 512\nthreshold = "running-mad:5"\nmax_batch = 7\nmetrics_port = 1\n[kafka]\n"a.b" = "c"\n'
    chosen = settings_of(tmp_path, file)
    assert (chosen.window, chosen.threshold, chosen.kafka) == (512, "running-mad:5", {"a.b": "c"})
    assert chosen.dead_letters_topic == "transactions.dead-letters"
    with pytest.raises(UsageError, match="unknown setting colour"):
        settings_of(tmp_path, "colour = 1")
    plain = load(Settings, {"model": "m", "bootstrap_servers": "b:1"}, "DETECTOR_", {})
    same = ("input_topic", "alerts_topic", "group", "format", "threshold", "window", "stride", "min_rows")
    assert [getattr(settings_of(tmp_path), name) for name in same] == [getattr(plain, name) for name in same]


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("1970-01-01T00:00:01Z", 1000),
        ("1970-01-01 00:00:01", 1000),
        ("1970-01-01T01:00:00.5+01:00", 500),
        ("1970-01-02", 86_400_000),
    ],
)
def test_since_is_a_time(text: str, milliseconds: int, tmp_path: Path) -> None:
    """A time is taken as ISO 8601, in UTC unless it says otherwise."""
    assert settings_of(tmp_path, since=text).since_ms() == milliseconds
    assert settings_of(tmp_path).since_ms() is None


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01", "12"])
def test_since_is_no_time(text: str, tmp_path: Path) -> None:
    """What is no time is refused with the value."""
    with pytest.raises(UsageError, match=f"setting since has value '{text}', a time like"):
        settings_of(tmp_path, since=text)
