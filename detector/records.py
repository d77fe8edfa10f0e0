"""Alerts, rejects and scores as records to publish."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from detector import drift, scores, takeover
from detector.alerts import Alert, Headers, ModelName, encode
from detector.artifact import Artifact
from detector.detection import Segment, Verdicts
from detector.drift import Change
from detector.errors import UsageError
from detector.kafka import Record
from detector.rows import Message, Reject, Rows
from detector.scores import Scored
from detector.takeover import Takeover

OVERHEAD_BYTES = 1024
"""Room for a record's own fields and headers beside its key and value."""

HEADER_BYTES = 10
"""What a header's two lengths take at most: headers without content are no way past the limit."""


def alert_records(
    alerts: Iterable[tuple[Alert, Message]], topic: str, more: Sequence[tuple[str, bytes]] = ()
) -> list[Record]:
    """Alerts under the keys of their rows. more: headers that each of them has beside its own."""
    found = []
    for alert, message in alerts:
        value, headers = encode(alert)
        found.append(Record(topic, _bytes(message.key()), value, [*headers, *more]))
    return found


def dead_letter(reject: Reject, topic: str, limit: int | None = None) -> Record:
    """The message as it came, with its place and the reason in headers.

    limit: the topic's max.message.bytes. A message above it leaves its bytes where they are, at the place that the
    headers name, and says how many there were: a dead letter without its body is better than a stopped line.
    """
    message, detail = reject.message, reject.detail.encode("utf-8", "replace")
    key, value, found = message.key(), message.value(), message.headers()
    own = [one for one in found if not one[0].startswith("errors.")] if found else []
    topic_of, partition = _source(message.topic(), message.partition())
    offset, time = ("errors.offset", b"%d" % message.offset()), ("errors.timestamp", b"%d" % message.timestamp()[1])
    told = [_reason(reject.reason), ("errors.message", detail), topic_of, partition, offset, time]
    carried = _carried(key, value, own)
    if limit is not None and carried + OVERHEAD_BYTES > limit:
        return Record(topic, None, None, [*told, ("errors.omitted-bytes", b"%d" % carried)])
    return Record(topic, key, value, own + told if own else told)


def _carried(key: bytes | None, value: bytes | None, headers: Headers) -> int:
    """What a message brings along, bytes."""
    size = len(key or b"") + len(value or b"")
    for name, content in headers:
        size += len(name.encode()) + len(content or b"") + HEADER_BYTES
    return size


@lru_cache(1024)
def _reason(reason: str) -> tuple[str, bytes]:
    """One of few."""
    return "errors.reason", reason.encode()


@lru_cache(1024)
def _source(topic: str, partition: int) -> tuple[tuple[str, bytes], tuple[str, bytes]]:
    """The same for all of a partition: made once, a flood of rejects takes half the time to tell of."""
    return ("errors.topic", topic.encode()), ("errors.partition", b"%d" % partition)


def takeover_record(told: Takeover, topic: str) -> Record:
    """A model's beginning on a partition, under the partition's key."""
    return Record(topic, takeover.key(told), *takeover.encode(told))


def drift_record(change: Change, topic: str, input_topic: str, model: ModelName) -> Record:
    """A change of a column's state, under the column's name."""
    return Record(topic, *drift.encode(change, input_topic, model))


def reject_records(rejects: Iterable[Reject], topic: str, limit: int | None) -> list[Record]:
    """The dead letters of a batch."""
    return [dead_letter(reject, topic, limit) for reject in rejects]


class ScoreRecords:
    """What `--scores-topic` publishes: for each partition of a batch a record, more where one would be too long.

    amount: the feature whose value travels beside each score; none for "". A model without it sends none.
    """

    def __init__(self, topic: str, amount: str, served: Artifact) -> None:
        """UsageError where the first model served has no such feature."""
        self._topic, self._amount = topic, amount
        if topic != "none" and amount and amount not in served.schema.features:
            raise UsageError(f"setting scores_amount has value {amount!r}, which is no feature of the model")

    def of(self, rows: Rows, verdicts: Verdicts, served: Artifact) -> list[Record]:
        """Those of a batch, each under the place of its partition, so that they keep their order."""
        if self._topic == "none":
            return []
        by_partition: dict[int, list[Segment]] = {}
        for segment in verdicts.segments:
            by_partition.setdefault(segment.partition, []).append(segment)
        ids, times = rows.ids(), rows.times()
        found = [self._scored(rows, verdicts, one, ids, times, served) for one in by_partition.values()]
        return [
            Record(self._topic, f"{one.topic}/{one.partition}".encode(), value, [])
            for one in found
            for value in scores.encoded(one)
        ]

    def _scored(
        self,
        rows: Rows,
        verdicts: Verdicts,
        segments: list[Segment],
        ids: list[str | None],
        times: NDArray[np.int64],
        served: Artifact,
    ) -> Scored:
        """The rows of one partition, of which these are the segments. ids, times: (n,), of the batch."""
        at = np.concatenate([segment.rows for segment in segments])
        features = served.schema.features
        amount = self._amount if self._amount in features else None
        return Scored(
            topic=rows.messages[int(at[0])].topic(),
            partition=segments[0].partition,
            model=served.name,
            offsets=rows.offset[at],
            times=times[at],
            scores=verdicts.scores[at],
            thresholds=np.concatenate([np.full(len(one.rows), one.threshold.value) for one in segments]),
            ids=list(map(ids.__getitem__, at.tolist())),
            amount=amount,
            amounts=None if amount is None else rows.matrix[at, features.index(amount)],
        )


def _bytes(content: bytes | str | None) -> bytes | None:
    return content.encode() if isinstance(content, str) else content
