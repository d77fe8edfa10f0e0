"""What dead letters say, what is told of them, and what puts one back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.alerts import Source
from detector.dead_letters import (
    SHOWN,
    DeadLetter,
    Overview,
    acknowledged,
    fetched,
    line,
    literal,
    original,
    read,
    receipt,
    safe,
)
from detector.errors import UsageError
from detector.kafka.resend import Parcel, Refused, Spot, each_or_none
from detector.records import dead_letter
from detector.rows import REASONS, Reject
from detector.settings import DeadLetterSettings, Settings, load
from tests.messages import FakeMessage

TOPIC = "transactions"
Marks = Sequence[tuple[str, bytes | None]] | None


def message(value: bytes | None = b"x", offset: int = 9, topic: str = TOPIC, marks: Marks = None) -> FakeMessage:
    """A message of partition 2, of 1.234 s after 1970."""
    return FakeMessage(value, (topic, 2, offset), 1234, b"k\xfe", marks)


def lying(
    of: FakeMessage,
    offset: int = 5,
    reason: str = "not_json",
    limit: int | None = None,
    when: int = 50,
    partition: int = 1,
) -> FakeMessage:
    """A message's dead letter, in its topic."""
    record = dead_letter(Reject(of, reason, "why"), "dead", limit)
    return FakeMessage(record.value, ("dead", partition, offset), when, record.key, record.headers)


def letter_of(of: FakeMessage, **more: Any) -> DeadLetter:
    """The same, read."""
    found = read(lying(of, **more))
    assert found is not None
    return found


def its_receipt(letter: DeadLetter, offset: int = 90) -> FakeMessage:
    """A receipt, behind its dead letter."""
    record = receipt(letter)
    assert (record.key, record.value) == (None, None)
    return FakeMessage(None, (record.topic, letter.place.partition, offset), 99, None, record.headers)


names = st.text(max_size=8).filter(lambda name: not name.startswith("errors."))
contents = st.one_of(st.none(), st.binary(max_size=20))


@given(contents, contents, st.lists(st.tuples(names, contents), max_size=4), st.integers(0, 1 << 40))
def test_what_went_out_comes_back(
    value: bytes | None, key: bytes | None, marks: list[tuple[str, bytes | None]], when: int
) -> None:
    """Any bytes, key, headers and time of a message come back from its dead letter, with its place as a header."""
    letter = letter_of(FakeMessage(value, (TOPIC, 3, 17), when, key, marks), reason="empty")
    record = original(letter)
    assert (record.topic, record.key, record.value) == (TOPIC, key, value)
    assert record.headers == [*marks, ("resent-from", b"transactions/3/17")]
    assert (letter.origin.source, letter.origin.time, letter.origin.reason) == (Source(TOPIC, 3, 17), when, "empty")
    assert letter.place == Source("dead", 1, 5)


def test_sent_twice() -> None:
    """A message that was sent before names both of its places, the last one last."""
    letter = letter_of(message(marks=[("resent-from", b"transactions/2/1"), ("a", b"b")]))
    wanted = [("resent-from", b"transactions/2/1"), ("a", b"b"), ("resent-from", b"transactions/2/9")]
    assert original(letter).headers == wanted


GOOD = lying(message())


@pytest.mark.parametrize("missing", [name for name, _ in GOOD.headers()])
def test_what_is_no_dead_letter(missing: str) -> None:
    """A record that lacks one of the headers is no dead letter; neither is one of a place that cannot be."""
    assert read(replace(GOOD, marks=[pair for pair in GOOD.headers() if pair[0] != missing])) is None
    assert read(replace(GOOD, marks=None)) is None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("errors.partition", b"x"),
        ("errors.partition", b"-1"),
        ("errors.partition", b"%d" % (1 << 31)),
        ("errors.offset", b""),
        ("errors.offset", b"%d" % (1 << 63)),
        ("errors.timestamp", b"now"),
        ("errors.omitted-bytes", b"many"),
    ],
)
def test_places_that_cannot_be(name: str, text: bytes) -> None:
    """Numbers that Kafka cannot have make no dead letter."""
    assert read(replace(GOOD, marks=[*GOOD.headers(), (name, text)])) is None


class Garbled(FakeMessage):
    """A message of which the client cannot give the headers the first time, and gives nulls afterwards."""

    def headers(self) -> Any:
        raise SystemError


def test_headers_that_cannot_be_read() -> None:
    """A record with a header name that is not UTF-8 is neither dead letter nor receipt."""
    garbled = Garbled(b"", ("dead", 0, 0))
    assert read(garbled) is None
    assert acknowledged(garbled) is None


def test_a_receipt_names_its_dead_letter() -> None:
    """A receipt says which dead letter of its own partition was sent, whose it was and why it had been rejected."""
    letter = letter_of(message(), offset=7)
    told = acknowledged(its_receipt(letter))
    assert told is not None
    assert (told.partition, told.offset, told.topic, told.reason) == (1, 7, TOPIC, "not_json")
    assert read(its_receipt(letter)) is None


@pytest.mark.parametrize("named", [b"", b"dead/1/", b"dead/1/x", b"dead/0/7", b"other/1/7", b"7", "dead/1/²".encode()])
def test_what_is_no_receipt(named: bytes) -> None:
    """A receipt that lies elsewhere than behind what it names says nothing: it was copied from another topic."""
    assert acknowledged(FakeMessage(None, ("dead", 1, 90), 0, None, [("resent.dead-letter", named)])) is None


@given(st.one_of(st.none(), st.binary(max_size=200), st.text(max_size=200), st.lists(st.text(max_size=99), max_size=9)))
def test_what_is_shown_cannot_steer_a_terminal(content: Any) -> None:
    """Keys, values and texts are shown as printable characters, cut where they are long."""
    assert literal(content).isprintable()
    assert len(literal(content)) <= 10 * SHOWN + 10
    if isinstance(content, str):
        assert safe(content).isprintable()
        assert safe(content) == content or not content.isprintable()


def test_the_beginning_is_shown() -> None:
    """Of a long value its first bytes are shown; how many there are stands beside."""
    told = line(letter_of(message(b"\x1b[2J" + b"y" * 500), reason="too_large"))
    assert told.value == repr(b"\x1b[2J" + b"y" * (SHOWN - 4)) + "..."
    assert (told.bytes, told.key, told.reason, told.detail) == (504, "b'k\\xfe'", "too_large", "why")
    omitted = line(letter_of(message(b"y" * 500), limit=10))
    assert (omitted.key, omitted.value, omitted.omitted, omitted.bytes > 500) == (None, None, True, True)


def test_headers_are_shown_safely() -> None:
    """A reason or sentence that someone forged is escaped."""
    marks = [
        (name, b"\x1b[31mred\n" if name in ("errors.reason", "errors.message") else text)
        for name, text in GOOD.headers()
    ]
    forged = read(replace(GOOD, marks=marks))
    assert forged is not None
    assert line(forged).reason == line(forged).detail == "\\x1b[31mred\\n"


def overview_of(records: Sequence[FakeMessage], **more: Any) -> Overview:
    """Reads records in two goes."""
    overview = Overview(TOPIC, **more)
    overview.take(records[: len(records) // 2])
    overview.take(records[len(records) // 2 :])
    return overview


def test_counts_by_reason() -> None:
    """Each reason has its count, the times of the first and last dead letter, and the last one as an example."""
    records = [
        lying(message(offset=1), 0, "empty", when=30),
        lying(message(offset=2), 1, "empty", when=10),
        lying(message(offset=3), 2, "not_json", when=20),
        lying(message(offset=4, topic="elsewhere"), 3),
        FakeMessage(b"?", ("dead", 1, 4)),
    ]
    overview = overview_of(records)
    empty, not_json = overview.reasons["empty"], overview.reasons["not_json"]
    assert (empty.count, empty.first, empty.last, empty.example) == (2, 10, 30, "transactions/2/1")
    assert (not_json.count, not_json.first, not_json.last, not_json.example) == (1, 20, 20, "transactions/2/3")
    assert (overview.others, overview.strangers) == (1, 1)
    assert [one.source.offset for one in overview.lines()] == [2, 3, 1]


def test_one_reason() -> None:
    """With a reason the others are not told, and not waiting."""
    records = [lying(message(offset=i), i, reason) for i, reason in enumerate(["empty", "not_json", "empty"])]
    overview = overview_of(records, reason="empty")
    assert overview.reasons.keys() == {"empty"}
    assert [one.source.offset for one in overview.lines()] == [0, 2]
    assert [overview.waiting(letter) for letter in map(read, records) if letter] == [True, False, True]


@given(st.lists(st.integers(0, 20), max_size=30), st.integers(1, 10))
def test_the_last_ones_are_kept(times: list[int], limit: int) -> None:
    """Of many dead letters those that were written last are told, in that order, whatever the order of reading."""
    records = [lying(message(offset=i), i, when=when) for i, when in enumerate(times)]
    kept = overview_of(records, limit=limit).lines()
    every = overview_of(records).lines()
    assert [one.rejected_at for one in every] == sorted(times)
    assert kept == every[-limit:]
    assert sum(found.count for found in overview_of(records, limit=limit).reasons.values()) == len(times)


def test_what_was_sent_waits_no_more() -> None:
    """A dead letter with a receipt is told as sent and not sent again; one of the same offset elsewhere still waits."""
    records = [lying(message(offset=i), 5, partition=i) for i in range(3)]
    letters = [letter for letter in map(read, records) if letter]
    overview = overview_of([*records, its_receipt(letters[1]), its_receipt(letters[1], 91)])
    assert [overview.waiting(letter) for letter in letters] == [True, False, True]
    assert [overview.was_sent(letter.place) for letter in letters] == [False, True, False]
    assert (overview.reasons["not_json"].count, overview.reasons["not_json"].resent) == (3, 1)
    assert overview.strangers == 0


def test_receipts_of_what_is_not_told() -> None:
    """Receipts of expired dead letters, of other topics' and of other reasons do not count among those told."""
    other = letter_of(message(topic="elsewhere"), offset=6)
    unasked = letter_of(message(), offset=7, reason="empty")
    gone = letter_of(message(), offset=2)
    records = [
        lying(message(), 5),
        lying(message(topic="elsewhere"), 6),
        lying(message(), 7, "empty"),
        *map(its_receipt, (other, unasked, gone)),
    ]
    overview = overview_of(records, reason="not_json")
    assert overview.reasons["not_json"].resent == 0
    assert overview_of(records).reasons["empty"].resent == 1


def test_omitted_bytes_are_fetched() -> None:
    """A dead letter without its bytes takes those of the message in its place, without headers of dead letters."""
    there = message(b"y" * 50, marks=[("a", None), ("errors.x", b"")])
    found = fetched(letter_of(there, limit=0), there)
    assert found is not None
    record = original(found)
    assert (record.value, record.key) == (b"y" * 50, b"k\xfe")
    assert record.headers == [("a", None), ("resent-from", b"transactions/2/9")]


@pytest.mark.parametrize(
    "change",
    [{"content": b"y" * 49}, {"when": 1235}, {"marks": [("a", b"b")]}, {"place": (TOPIC, 2, 10)}, {"name": None}],
)
def test_another_message_in_its_place(change: dict[str, Any]) -> None:
    """Bytes of another size, time or place are not those that were left there: the topic was made anew."""
    there = message(b"y" * 50)
    assert fetched(letter_of(there, limit=0), replace(there, **change)) is None


def test_bytes_of_a_message_with_unreadable_headers() -> None:
    """A message whose headers the client cannot give is fetched without them."""
    there = Garbled(b"y" * 50, (TOPIC, 2, 9), 1234)
    letter = letter_of(FakeMessage(b"y" * 50, (TOPIC, 2, 9), 1234), reason="not_utf8", limit=0)
    found = fetched(letter, there)
    assert found is not None
    assert (found.value, found.origin.own) == (b"y" * 50, [])


class Broker:
    """Takes batches whole or not at all: none with a refused record, none longer than it takes together."""

    def __init__(self, refused: set[int], most: int) -> None:
        self.refused, self.most = refused, most
        self.log: list[int] = []

    def send(self, parcels: Sequence[Parcel]) -> list[Spot]:
        numbers = [parcel.timestamp for parcel in parcels]
        if bad := {place: "refused" for place, number in enumerate(numbers) if number in self.refused}:
            raise Refused(bad)
        if len(parcels) > self.most:
            raise Refused(dict.fromkeys(range(self.most, len(parcels)), "too long together"))
        at = len(self.log)
        self.log += numbers
        return [(0, at + place) for place in range(len(parcels))]


@given(st.lists(st.integers(1, 3), min_size=1, max_size=9), st.sets(st.integers(0, 26)), st.integers(3, 30))
def test_each_or_none(sizes: list[int], refused: set[int], most: int) -> None:
    """Each group is sent whole and once unless the broker refuses one of its records; then not at all, and why."""
    numbers = iter(range(100))
    groups = [[Parcel(None, None, next(numbers)) for _ in range(size)] for size in sizes]  # type: ignore[arg-type]
    broker = Broker(refused, most)
    answers = each_or_none(broker.send, groups)
    sent = []
    for group, answer in zip(groups, answers, strict=True):
        wanted = [parcel.timestamp for parcel in group]
        if refused & set(wanted):
            assert answer == "refused"
        else:
            assert not isinstance(answer, str)
            assert [broker.log[offset] for _, offset in answer] == wanted
            sent += wanted
    assert sorted(broker.log) == sent


def settings_of(**given: Any) -> DeadLetterSettings:
    return load(DeadLetterSettings, {"bootstrap_servers": "b:1", **given}, "DETECTOR_", {})


def test_settings() -> None:
    """Topics are the detector's by the same names; any reason of the closed set may be asked for."""
    run = load(Settings, {"bootstrap_servers": "b:1", "model": "m"}, "DETECTOR_", {})
    chosen = settings_of()
    assert (chosen.input_topic, chosen.dead_letters_topic) == (run.input_topic, run.dead_letters_topic)
    assert chosen.resend is False
    assert [settings_of(reason=reason).reason for reason in REASONS] == list(REASONS)


@pytest.mark.parametrize(
    ("given_", "wanted"),
    [
        ({"dry_run": True}, "dry_run has value True, it goes with resend"),
        ({"group_by_reason": True, "resend": True}, "group_by_reason has value True, it does not go with resend"),
        ({"reason": "bad"}, "--reason has value 'bad', one of empty, "),
        ({"limit": "-1"}, "--limit has value '-1', at least 0 wanted"),
    ],
)
def test_wrong_settings(given_: dict[str, Any], wanted: str) -> None:
    """What does not go together is refused before anything is asked of a broker."""
    with pytest.raises(UsageError, match=wanted):
        settings_of(**given_)
