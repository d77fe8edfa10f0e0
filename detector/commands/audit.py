"""`python -m detector audit`: whether each row has the alert or dead letter that it must have, once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from functools import partial

import msgspec

from detector import models, takeover
from detector.alerts import ModelName
from detector.audit import (
    ALERT,
    DEAD_LETTER,
    KINDS,
    Account,
    Audit,
    Finding,
    Ledger,
    Served,
    Span,
    Witness,
    alert_entry,
    by_one,
    dead_letter_entry,
    decides,
    rerun,
    total,
)
from detector.command import columns
from detector.dead_letters import safe
from detector.errors import Failure, UsageError
from detector.kafka import Progress, Reader, check_topics, connect
from detector.kafka.extent import Extent, decided, extent, first_at
from detector.rebuild import Ranges
from detector.rows import Message
from detector.serving import Serving
from detector.settings import AuditSettings, wanted
from detector.takeover import Takeover

ABOUT = "check that each row has the alert or dead letter that it must have, once"
DETAIL = """\
Scores the rows below the group's offsets again, as a detector of the same settings does, and holds them against the
alerts and dead letters that readers of committed messages see. Changes nothing. Exits 1 where one is missing, doubled,
altered or unexpected. Rows after the expired beginning of a log cannot be checked until a window is full."""
SETTINGS = AuditSettings

BATCH = 16_384
"""Messages that are scored together."""

NOTES = {
    "sent_again": "messages were no rows once, and were sent again",
    "by_other_models": "messages have alerts of other models",
    "not_checkable": "messages cannot be checked: what they come to depends on expired rows, or on another model",
    "expired": "records are about messages that have expired",
    "waiting": "samples are in rows that are not whole yet",
    "ahead": "offsets have not been reached by the group",
}


@dataclass(frozen=True, slots=True)
class Report:
    """What an audit came to."""

    chosen: AuditSettings
    serving: Serving
    accounts: list[Account]
    findings: list[Finding]


def run(chosen: AuditSettings) -> int:
    """Prints what it found; Failure where something is not accounted for."""
    serving = models.ready(chosen, models.load(chosen, chosen.model), models.registry(chosen))
    report = audited(chosen, serving)
    print(as_json(report) if chosen.json else as_text(report))
    found = total(report.accounts)
    if found.wrong:
        told = ", ".join(f"{getattr(found, kind):,} {kind}" for kind in KINDS if getattr(found, kind))
        raise Failure(f"topic {chosen.input_topic!r} is not accounted for: {told}")
    return 0


def audited(chosen: AuditSettings, serving: Serving) -> Report:
    """Reads the topics and compares them, partition by partition."""
    with closing(_Log(chosen)) as log:
        spans, reached = log.spans()
        # After the offsets: what their transactions wrote must be there to be seen.
        served, ledgers = log.served(serving), log.ledgers()
        audit = Audit(chosen.input_topic, ledgers, chosen.limit)
        read = partial(log.between, chosen.input_topic)
        empty = partial(Witness, chosen.window, chosen.stride, chosen.min_rows)
        for partition, span in spans.items():
            account = audit.partition(partition, span, rerun(partition, span, served, read, empty))
            account.ahead = max(reached[partition][1] - span.end, 0)
        audit.elsewhere(spans)
        audit.explain(log.between)
    return Report(chosen, serving, audit.accounts, audit.findings)


class _Log:
    """The topics, each read by a client of its own: one that turns to another topic waits a second before it reads."""

    def __init__(self, chosen: AuditSettings) -> None:
        self.chosen = chosen
        self._readers: dict[str, Reader] = {}
        topics = [chosen.input_topic, chosen.alerts_topic, chosen.dead_letters_topic, *wanted(chosen.models_topic)]
        self._admin = connect(chosen.bootstrap_servers, chosen.kafka, chosen.connect_seconds)
        self._partitions = check_topics(self._admin, topics)

    def close(self) -> None:
        """Closes the connections."""
        for reader in self._readers.values():
            reader.close()

    def spans(self) -> tuple[dict[int, Span], Extent]:
        """What is to be checked of each partition of the input, and what it holds."""
        topic, partitions = self.chosen.input_topic, range(self._partitions[self.chosen.input_topic])
        committed = self._committed(topic, partitions)
        reached = extent(self._admin, topic, partitions)
        since = self.chosen.since_ms()
        starts = {} if since is None else first_at(self._admin, topic, partitions, since)
        spans = {}
        for partition, (low, high) in reached.items():
            end = min(committed.get(partition, low), high)
            spans[partition] = Span(low, min(max(starts.get(partition, low), low), max(end, low)), end)
        if not committed and any(low < high for low, high in reached.values()):
            raise UsageError(f"group {self.chosen.group!r} has committed no offsets of topic {topic!r}: none to check")
        return spans, reached

    def _committed(self, topic: str, partitions: Sequence[int]) -> dict[int, int]:
        with closing(Progress(self.chosen.bootstrap_servers, self.chosen.kafka, self.chosen.group)) as progress:
            return progress.committed(topic, partitions)

    def ledgers(self) -> list[Ledger]:
        """All that alerts and dead letters say about the input."""
        topic = self.chosen.input_topic
        ledgers = [
            Ledger(ALERT, self.chosen.alerts_topic, partial(alert_entry, topic=topic)),
            Ledger(DEAD_LETTER, self.chosen.dead_letters_topic, partial(dead_letter_entry, topic=topic)),
        ]
        for ledger in ledgers:
            for messages in self._all(ledger.topic):
                ledger.take(messages)
            ledger.close()
        return ledgers

    def served(self, serving: Serving) -> Served:
        """Which rows the model served, by the topic of takeovers."""
        told: list[Takeover] = []
        for topic in wanted(self.chosen.models_topic):
            for messages in self._all(topic):
                told += _takeovers(messages, self.chosen.input_topic)
        others = dict.fromkeys((one.model, one.threshold, one.method) for one in told)
        if others and decides(serving) not in others:
            raise UsageError(
                f"model {_named(*decides(serving))} served no row of topic {self.chosen.input_topic!r}; "
                f"by topic {self.chosen.models_topic!r} it was {', '.join(_named(*one) for one in others)}"
            )
        return by_one(takeover.terms(told, self.chosen.input_topic, self.chosen.group), serving)

    def _all(self, topic: str) -> Iterator[Sequence[Message]]:
        return self.between(topic, decided(self._admin, topic, range(self._partitions[topic])))

    def between(self, topic: str, ranges: Ranges) -> Iterator[Sequence[Message]]:
        """Messages of start <= offset < end, by partition."""
        if topic not in self._readers:
            self._readers[topic] = Reader(self.chosen.bootstrap_servers, self.chosen.kafka)
        return self._readers[topic].between(topic, ranges, BATCH)


def _takeovers(messages: Sequence[Message], topic: str) -> Iterator[Takeover]:
    """Takeovers of an input topic; what is none is passed over."""
    for message in messages:
        with suppress(msgspec.MsgspecError):
            told = takeover.decode(message.value() or b"")
            if told.topic == topic:
                yield told


def _named(model: ModelName, threshold: float, method: str) -> str:
    return safe(f"{model.name} version {model.version} ({model.sha256[:12]}) with threshold {threshold:.9g} ({method})")


def as_text(report: Report) -> str:
    """A table, notes and findings, for people."""
    chosen, model, found = report.chosen, report.serving.artifact.name, total(report.accounts)
    several = chosen.verbose or any(account.partition is None for account in report.accounts)
    lines = [
        f"topic {chosen.input_topic}, group {chosen.group}, model {model.name} version {model.version} "
        f"({model.sha256[:12]})",
        "",
        _table([*report.accounts, found] if several else [found]),
        "",
    ]
    lines += [f"{getattr(found, name):,} {note}" for name, note in NOTES.items() if getattr(found, name)]
    lines += [_line(finding) for finding in report.findings]
    if found.wrong and chosen.limit and len(report.findings) >= chosen.limit:
        lines.append(f"the first {chosen.limit:,} findings; --limit 0 tells all")
    if not found.wrong:
        lines.append("all accounted for")
    return "\n".join(lines)


def _table(accounts: Sequence[Account]) -> str:
    names = ("messages", "alerts", "dead_letters", *KINDS)
    rows = [["partition", *(name.replace("_", " ") for name in names)]]
    for account in accounts[:-1]:
        label = "other" if account.partition is None else str(account.partition)
        rows.append([label, *(f"{getattr(account, name):,}" for name in names)])
    rows.append(["all", *(f"{getattr(accounts[-1], name):,}" for name in names)])
    return columns(rows, right=True)


def _line(finding: Finding) -> str:
    at = f" ({', '.join(finding.at)})" if finding.at else ""
    return f"{finding.kind} {finding.what} {finding.place}: expected {finding.expected}; found {finding.found}{at}"


def as_json(report: Report) -> str:
    """The same for programs, as one JSON object."""
    found = total(report.accounts)
    every = {**asdict(found)}
    del every["partition"]
    told = {
        "input_topic": report.chosen.input_topic,
        "group": report.chosen.group,
        "model": report.serving.artifact.name,
        "accounted": not found.wrong,
        "total": every,
        "partitions": report.accounts,
        "findings": report.findings,
    }
    return msgspec.json.encode(told).decode()
