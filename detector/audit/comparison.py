"""What the topics say, held against what they must say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace

from detector.alerts import Source, alert_id
from detector.audit.ledger import ALERT, Claim, Entry, Ledger, Parts, digest
from detector.audit.rerun import Expected, Span, Wanted
from detector.dead_letters import LAST_OFFSET, literal, safe
from detector.rebuild import Ranges
from detector.rows import Message

KINDS: dict[str, str] = {
    "missing": "a message that must have an alert or dead letter has none",
    "doubled": "it has the same one more than once",
    "altered": "it has one that says something else",
    "unexpected": "it must have none, or there is no such message",
}
"""What can be wrong, and what it means."""

SHOWN_PARTS = 3
"""How many differences of a record are told."""


@dataclass(slots=True)
class Account:
    """What was found of one partition; `partition` is None for records about none of the input's.

    messages: checked. alerts, dead_letters: records about them. For missing, doubled, altered and unexpected see KINDS.
    sent_again: messages that would be rows now, whose dead letters were sent again. by_other_models: messages with an
    alert of another model. not_checkable: messages whose verdict depends on rows that
    have expired, or on a model that is not at hand. expired: records about messages that have expired. ahead: offsets
    that the group has not reached. waiting: samples that wait for others to be a row.
    """

    partition: int | None
    messages: int = 0
    alerts: int = 0
    dead_letters: int = 0
    missing: int = 0
    doubled: int = 0
    altered: int = 0
    unexpected: int = 0
    sent_again: int = 0
    by_other_models: int = 0
    not_checkable: int = 0
    expired: int = 0
    ahead: int = 0
    waiting: int = 0

    @property
    def wrong(self) -> int:
        """How much is not as it must be."""
        return self.missing + self.doubled + self.altered + self.unexpected


def total(accounts: Iterable[Account]) -> Account:
    """The sum of accounts."""
    every = list(accounts)
    names = [f.name for f in fields(Account) if f.name != "partition"]
    return Account(None, **{name: sum(getattr(account, name) for account in every) for name in names})


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, of KINDS. what: ALERT or DEAD_LETTER. place: of the message, or of a record about none.

    expected, found: for people. at: places of the records in question.
    """

    kind: str
    what: str
    place: str
    expected: str
    found: str
    at: tuple[str, ...]


Claims = dict[int, list[Claim]]
"""By offset, what is said about a partition's messages."""

ReadTopic = Callable[[str, Ranges], Iterator[Sequence[Message]]]
"""Reads start <= offset < end of each partition of a topic, in batches."""


@dataclass(slots=True)
class Audit:
    """Compares partition by partition; counts all that is wrong and keeps what it found first.

    topic: the input. limit: most findings kept, 0 for all.
    """

    topic: str
    ledgers: Sequence[Ledger]
    limit: int = 0
    accounts: list[Account] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    _altered: list[tuple[int, Ledger, Claim, Wanted]] = field(default_factory=list)

    def partition(self, partition: int, span: Span, batches: Iterable[Expected]) -> Account:
        """Checks the span of a partition. batches: what is expected of it, from its start to its end."""
        account, start = Account(partition), span.start
        self.accounts.append(account)
        gone = [claims for ledger in self.ledgers for claims in ledger.between(partition, 0, span.low).values()]
        account.expired = sum(map(len, gone))
        for batch in batches:
            said = [(ledger, ledger.between(partition, start, batch.end)) for ledger in self.ledgers]
            again = {offset for ledger, claims in said for offset in _sent_again(ledger, claims, batch)}
            for ledger, claims in said:
                self._batch(account, ledger, claims, batch, again)
            account.sent_again += len(again)
            account.messages += len(batch.offsets)
            account.waiting += len(batch.waiting)
            account.not_checkable += len(batch.offsets) if batch.scored is None else len(batch.unsure)
            start = batch.end
        return account

    def elsewhere(self, partitions: Iterable[int]) -> None:
        """Takes in what is about none of the input's partitions, or about nothing."""
        account, known = Account(None), set(partitions)
        for ledger in self.ledgers:
            for at in ledger.strangers:
                place = _record(ledger, at)
                self._tell(account, Finding("unexpected", ledger.what, place, f"only {ledger.what}s", "none", (place,)))
            for partition in set(ledger.partitions()) - known:
                for offset, claims in ledger.between(partition, 0, LAST_OFFSET).items():
                    place = alert_id(Source(self.topic, partition, offset))
                    self._tell(account, _unexpected(ledger, place, claims, "none, there is no such partition"))
        if account.wrong:
            self.accounts.append(account)

    def explain(self, read: ReadTopic) -> None:
        """Says of altered records how they differ: a ledger has no content, so their topics are read once more.

        A record that has gone meanwhile stays told as altered.
        """
        for ledger in self.ledgers:
            mine = [(claim.at, number, wanted) for number, here, claim, wanted in self._altered if here is ledger]
            found = _fetched(ledger, {at for at, _, _ in mine}, read)
            for at, number, wanted in mine:
                if at in found:
                    expected, differs = _differences(wanted, found[at])
                    self.findings[number] = replace(self.findings[number], expected=expected, found=differs)

    def _batch(self, account: Account, ledger: Ledger, claims: Claims, batch: Expected, again: set[int]) -> None:
        """One topic's records about the messages of a batch, and about offsets before and between them.

        again: messages whose dead letters were sent again: what they must have, their copies have.
        """
        assert account.partition is not None
        wanted = batch.alerts if ledger.what == ALERT else batch.rejects
        for offset in sorted(claims.keys() | wanted.keys()):
            said = claims.get(offset, [])
            mine = [claim for claim in said if claim.model == batch.model or ledger.what != ALERT]
            place = alert_id(Source(self.topic, account.partition, offset))
            _count(account, ledger, len(mine), len(said))
            self._doubled(account, ledger, place, said)
            if batch.scored is None or (ledger.what == ALERT and offset in batch.unsure):
                continue
            if ledger.what != ALERT and offset in batch.waiting:
                continue
            if offset in again and (ledger.what != ALERT or not said):
                continue
            if offset in wanted:
                self._wanted(account, ledger, place, mine, said, wanted[offset])
            elif mine:
                self._tell(account, _unexpected(ledger, place, mine, batch.instead(ledger.what, offset)))

    def _doubled(self, account: Account, ledger: Ledger, place: str, said: list[Claim]) -> None:
        for model, times in Counter(claim.model for claim in said).items():
            if times > 1:
                at = tuple(_record(ledger, claim.at) for claim in said if claim.model == model)
                self._tell(account, Finding("doubled", ledger.what, place, "one", f"{times}", at), times - 1)

    def _wanted(
        self, account: Account, ledger: Ledger, place: str, mine: list[Claim], said: list[Claim], wanted: Wanted
    ) -> None:
        """What a message must have, and what it has. An alert of another model stands for one of this model."""
        if not said:
            self._tell(account, Finding("missing", ledger.what, place, wanted.why, "none", ()))
        elif mine:
            allowed = {digest(parts) for parts in wanted.parts}
            other = [claim for claim in mine if claim.content not in allowed]
            if other:
                self._tell_altered(account, ledger, place, other, wanted)

    def _tell_altered(self, account: Account, ledger: Ledger, place: str, claims: list[Claim], wanted: Wanted) -> None:
        if not self._full():
            self._altered.append((len(self.findings), ledger, claims[0], wanted))
        at = tuple(_record(ledger, claim.at) for claim in claims)
        self._tell(account, Finding("altered", ledger.what, place, wanted.why, "another", at))

    def _full(self) -> bool:
        return 0 < self.limit <= len(self.findings)

    def _tell(self, account: Account, finding: Finding, times: int = 1) -> None:
        setattr(account, finding.kind, getattr(account, finding.kind) + times)
        if not self._full():
            self.findings.append(finding)


def _sent_again(ledger: Ledger, claims: Claims, batch: Expected) -> Iterator[int]:
    """Messages that are rows now and were none when their dead letters were written, which were sent again."""
    if ledger.sent_again and batch.scored is not None:
        for offset, said in claims.items():
            here = offset not in batch.rejects and offset in batch.offsets
            if here and any(claim.at in ledger.sent_again for claim in said):
                yield offset


def _count(account: Account, ledger: Ledger, mine: int, said: int) -> None:
    if ledger.what == ALERT:
        account.alerts += mine
        account.by_other_models += mine < said
    else:
        account.dead_letters += mine


def _unexpected(ledger: Ledger, place: str, claims: list[Claim], why: str) -> Finding:
    at = tuple(_record(ledger, claim.at) for claim in claims)
    return Finding("unexpected", ledger.what, place, why, f"{len(claims)}", at)


def _record(ledger: Ledger, at: tuple[int, int]) -> str:
    """Where a record of a topic is."""
    return alert_id(Source(ledger.topic, *at))


def _fetched(ledger: Ledger, places: set[tuple[int, int]], read: ReadTopic) -> dict[tuple[int, int], Parts]:
    """What the records at these partitions and offsets of a ledger's topic say."""
    ranges: dict[int, tuple[int, int]] = {}
    for partition, offset in places:
        start, end = ranges.get(partition, (offset, offset + 1))
        ranges[partition] = (min(start, offset), max(end, offset + 1))
    found = {}
    for messages in read(ledger.topic, ranges) if ranges else ():
        for message in messages:
            at = (message.partition(), message.offset())
            if at in places and isinstance(entry := ledger.read(message), Entry):
                found[at] = entry.parts
    return found


def _differences(wanted: Wanted, found: Parts) -> tuple[str, str]:
    """The parts that differ, as they must be and as they are; of records that are allowed, the one that is closest."""
    unequal = [[n for n in {**parts, **found} if parts.get(n) != found.get(n)] for parts in wanted.parts]
    names, parts = min(zip(unequal, wanted.parts, strict=True), key=lambda pair: len(pair[0]))
    more = ", ..." if len(names) > SHOWN_PARTS else ""
    told = [[f"{safe(name)} {literal(side.get(name))}" for name in names[:SHOWN_PARTS]] for side in (parts, found)]
    return ", ".join(told[0]) + more, ", ".join(told[1]) + more
