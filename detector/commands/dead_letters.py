"""`python -m detector dead-letters`: what was no row, why, and back to the input with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass

import msgspec

from detector.alerts import Source, alert_id, iso
from detector.command import columns
from detector.dead_letters import DeadLetter, Line, Overview, Reasons, fetched, line, original, read, receipt, safe
from detector.kafka import Reader, check_topics, connect
from detector.kafka.extent import Extent, decided, extent
from detector.kafka.resend import Parcel, Resender, Spot, each_or_none
from detector.rows import Message
from detector.settings import DeadLetterSettings

ABOUT = "list what was no row, by reason, and send it again"
DETAIL = """\
Lists the dead letters of an input topic, the last ones, and counts them by reason. With --resend it puts them back on
the input topic as they came, each at most once however often it is run or killed: in one transaction the message is
sent and a receipt is written behind its dead letter. A reason may be sent before another. A message whose bytes were
left in the input topic is sent from there, if retention has left it."""
SETTINGS = DeadLetterSettings

BATCH = 4096
"""Records that are read together."""

MOST_SENT, MOST_BYTES = 200, 4 << 20
"""How many messages, and how many bytes of them, are sent in one transaction."""


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of a dead letter. to: where the message is now. why: it was not sent."""

    line: Line
    to: Source | None
    why: str


def run(chosen: DeadLetterSettings) -> int:
    """Lists, or sends."""
    with closing(_Topic(chosen)) as topic:
        if chosen.resend:
            _tell_fates(chosen, topic.resend())
        else:
            _tell(chosen, topic.overview())
    return 0


class _Topic:
    """The dead-letter topic, and the input that it belongs to. again: reads single messages of the input."""

    def __init__(self, chosen: DeadLetterSettings) -> None:
        self.chosen = chosen
        self._admin = connect(chosen.bootstrap_servers, chosen.kafka, chosen.connect_seconds)
        topics = [chosen.dead_letters_topic, *([chosen.input_topic] if chosen.resend else [])]
        self._partitions = check_topics(self._admin, topics)
        self._reader, self._again = (Reader(chosen.bootstrap_servers, chosen.kafka) for _ in range(2))

    def close(self) -> None:
        """Closes the connections."""
        self._reader.close()
        self._again.close()

    def overview(self) -> Overview:
        """All that was written, read once."""
        return self._overview(self._decided())

    def resend(self) -> Iterator[Fate]:
        """Sends what waits, and tells what became of each.

        1. fence who sent before, and end what it left open; 2. read all receipts; 3. read the dead letters again, and
        send those without one, each together with its receipt.
        """
        chosen, send = self.chosen, None
        if not chosen.dry_run:
            name = f"{chosen.dead_letters_topic}.resend"
            send = Resender(chosen.bootstrap_servers, chosen.kafka, name).send
        ends = self._decided()
        overview = self._overview(ends)
        for letters in _cut(self._waiting(ends, overview)):
            whole = [self._whole(letter) for letter in letters]
            groups = [self._parcels(one) for one in whole if isinstance(one, DeadLetter)]
            answers = iter(each_or_none(send, groups) if send else [[] for _ in groups])
            for letter, one in zip(letters, whole, strict=True):
                yield _fate(letter, next(answers) if isinstance(one, DeadLetter) else one)

    def _decided(self) -> Extent:
        topic = self.chosen.dead_letters_topic
        return decided(self._admin, topic, range(self._partitions[topic]))

    def _overview(self, ends: Extent) -> Overview:
        chosen = self.chosen
        overview = Overview(chosen.input_topic, chosen.reason, chosen.limit)
        for messages in self._reader.between(chosen.dead_letters_topic, ends, BATCH):
            overview.take(messages)
        return overview

    def _waiting(self, ends: Extent, overview: Overview) -> Iterator[DeadLetter]:
        for messages in self._reader.between(self.chosen.dead_letters_topic, ends, BATCH):
            for message in messages:
                letter = read(message)
                if letter is not None and overview.waiting(letter):
                    yield letter

    def _whole(self, letter: DeadLetter) -> DeadLetter | str:
        """A dead letter with its bytes, or why they are not to be had."""
        if letter.origin.omitted is None:
            return letter
        source = letter.origin.source
        message = self._message(source)
        if message is None:
            return "its bytes stayed in the input topic, which has no such message any more"
        return fetched(letter, message) or "its bytes stayed in the input topic, where another message is now"

    def _message(self, source: Source) -> Message | None:
        if source.partition >= self._partitions[source.topic]:
            return None
        low, high = extent(self._admin, source.topic, [source.partition])[source.partition]
        if not low <= source.offset < high:
            return None
        span = {source.partition: (source.offset, source.offset + 1)}
        found = [one for part in self._again.between(source.topic, span, 1) for one in part]
        return found[0] if found else None

    def _parcels(self, letter: DeadLetter) -> list[Parcel]:
        """The message for its partition, with its event time, and the receipt for the dead letter's."""
        source = letter.origin.source
        partition = source.partition if source.partition < self._partitions[source.topic] else None
        return [
            Parcel(original(letter), partition, letter.origin.time),
            Parcel(receipt(letter), letter.place.partition, 0),
        ]


def _cut(letters: Iterator[DeadLetter]) -> Iterator[list[DeadLetter]]:
    """Parts that make a transaction each."""
    part: list[DeadLetter] = []
    size = 0
    for letter in letters:
        part.append(letter)
        size += letter.origin.omitted or len(letter.value or b"")
        if len(part) >= MOST_SENT or size >= MOST_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part


def _fate(letter: DeadLetter, answer: list[Spot] | str) -> Fate:
    if isinstance(answer, str):
        return Fate(line(letter), None, answer)
    return Fate(line(letter), Source(letter.origin.source.topic, *answer[0]) if answer else None, "")


def _tell_fates(chosen: DeadLetterSettings, fates: Iterator[Fate]) -> None:
    """A line for each as it comes, up to the limit but for those that stay; then how many."""
    sent = left = 0
    for fate in fates:
        sent, left = sent + (not fate.why), left + bool(fate.why)
        if chosen.json:
            print(msgspec.json.encode({**asdict(fate.line), "to": fate.to, "why": fate.why}).decode())
        elif fate.why or not chosen.limit or sent <= chosen.limit:
            print(_fate_text(fate))
    if not chosen.json:
        did = "would be sent" if chosen.dry_run else "sent"
        print(f"{sent:,} {did} to {chosen.input_topic}" + (f", {left:,} left where they are" if left else ""))


def _fate_text(fate: Fate) -> str:
    source = alert_id(fate.line.source)
    if fate.why:
        return f"{source} left ({fate.line.reason}): {fate.why}"
    return f"{source} ({fate.line.reason})" + (f" -> {alert_id(fate.to)}" if fate.to else "")


def _tell(chosen: DeadLetterSettings, overview: Overview) -> None:
    if chosen.json:
        for told in _objects(chosen, overview):
            print(msgspec.json.encode(told).decode())
        return
    print(_summary(overview))
    lines = overview.lines()
    if lines and not chosen.group_by_reason:
        print(f"\nthe last {len(lines):,}:" if chosen.limit else "")
        print(_list(lines, overview))
    if overview.others:
        print(f"{overview.others:,} dead letters of other topics are in {chosen.dead_letters_topic} too")
    if overview.strangers:
        print(f"{overview.strangers:,} records of {chosen.dead_letters_topic} are no dead letters")


def _objects(chosen: DeadLetterSettings, overview: Overview) -> Iterator[dict[str, object]]:
    if chosen.group_by_reason:
        for reason, found in overview.reasons.items():
            times = {"first": iso(found.first), "last": iso(found.last)}
            yield {"reason": reason, **asdict(found), **times}
        return
    for one in overview.lines():
        times = {"rejected_at": iso(one.rejected_at), "time": iso(one.time)}
        yield {**asdict(one), **times, "resent": overview.was_sent(one.place)}


def _summary(overview: Overview) -> str:
    """A row for each reason, the most frequent first."""
    every = sum(found.count for found in overview.reasons.values())
    if not every:
        return f"no dead letters of {overview.topic}" + (f" for {overview.reason}" if overview.reason else "")
    rows = [("reason", "count", "share", "resent", "first", "last", "the last one")]
    for reason, found in sorted(overview.reasons.items(), key=lambda item: (-item[1].count, item[0])):
        rows.append(_reason(safe(reason), found, every))
    return columns(rows)


def _reason(name: str, found: Reasons, every: int) -> tuple[str, str, str, str, str, str, str]:
    share = f"{found.count / every:.1%}"
    return name, f"{found.count:,}", share, f"{found.resent:,}", iso(found.first), iso(found.last), found.example


def _list(lines: Sequence[Line], overview: Overview) -> str:
    rows = [("message", "rejected", "resent", "bytes", "key", "value", "why")]
    for one in lines:
        sent = "yes" if overview.was_sent(one.place) else ""
        value = "omitted" if one.omitted else one.value or "none"
        content = (f"{one.bytes:,}", one.key or "none", value)
        rows.append((alert_id(one.source), iso(one.rejected_at), sent, *content, f"{one.reason}: {one.detail}"))
    return columns(rows)
