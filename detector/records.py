"""Alerts and rejects as records to publish."""

from __future__ import annotations

from collections.abc import Iterable

from detector import takeover
from detector.alerts import Alert, encode
from detector.kafka import Record
from detector.rows import Message, Reject
from detector.takeover import Takeover

OVERHEAD_BYTES = 1024
"""Room for a record's own fields and headers beside its key and value."""

HEADER_BYTES = 10
"""What a header's two lengths take at most: headers without content are no way past the limit."""


def alert_records(alerts: Iterable[tuple[Alert, Message]], topic: str) -> list[Record]:
    """Alerts under the keys of their rows."""
    return [Record(topic, _bytes(message.key()), *encode(alert)) for alert, message in alerts]


def dead_letter(reject: Reject, topic: str, limit: int | None = None) -> Record:
    """The message as it came, with its place and the reason in headers.

    limit: the topic's max.message.bytes. A message above it leaves its bytes where they are, at the place that the
    headers name, and says how many there were: a dead letter without its body is better than a stopped line.
    """
    message, key, value = reject.message, _bytes(reject.message.key()), _bytes(reject.message.value())
    headers = [
        ("errors.reason", reject.reason),
        ("errors.message", reject.detail),
        ("errors.topic", message.topic()),
        ("errors.partition", str(message.partition())),
        ("errors.offset", str(message.offset())),
        ("errors.timestamp", str(message.timestamp()[1])),
    ]
    own = [(name, content) for name, content in message.headers() or () if not name.startswith("errors.")]
    carried = len(key or b"") + len(value or b"") + sum(len(n.encode()) + len(v or b"") + HEADER_BYTES for n, v in own)
    if limit is not None and carried + OVERHEAD_BYTES > limit:
        headers.append(("errors.omitted-bytes", str(carried)))
        key, value, own = None, None, []
    return Record(topic, key, value, own + [(name, content.encode("utf-8", "replace")) for name, content in headers])


def takeover_record(told: Takeover, topic: str) -> Record:
    """A model's beginning on a partition, under the partition's key."""
    return Record(topic, takeover.key(told), *takeover.encode(told))


def reject_records(rejects: Iterable[Reject], topic: str, limit: int | None) -> list[Record]:
    """The dead letters of a batch."""
    return [dead_letter(reject, topic, limit) for reject in rejects]


def _bytes(content: bytes | str | None) -> bytes | None:
    return content.encode() if isinstance(content, str) else content
