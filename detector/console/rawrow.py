"""A message as it lies in Kafka, as text for people: nothing in it is taken for more than text."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import msgspec
import numpy as np

from detector.alerts import iso
from detector.rows import FORMAT_HEADER, Message, text
from detector.rows.messages import headers_of

MOST = 20_000
"""Characters of a message that are shown."""


@dataclass(frozen=True, slots=True)
class Raw:
    """A message. kind: what its value was taken for. headers: name and value."""

    kind: str
    value: str
    key: str | None
    time: str
    headers: list[tuple[str, str]]
    bytes: int


def raw(message: Message) -> Raw:
    """A message as text, its beginning where it is long."""
    value, found = message.value() or b"", headers_of([message])[0]
    headers = [(name, text(content) or "") for name, content in found or ()]
    kind, told = _value(value, dict(headers).get(FORMAT_HEADER))
    cut = f"{told[:MOST]}\n... {len(told) - MOST:,} more characters" if len(told) > MOST else told
    return Raw(kind, cut, text(message.key()), iso(message.timestamp()[1]), headers, len(value))


def _value(value: bytes, form: str | None) -> tuple[str, str]:
    """What a value is taken for, and the text of it."""
    if not value:
        return "empty", ""
    if form == "packed" and len(value) % 4 == 0:
        return "packed, float32", "\n".join(f"{one:.9g}" for one in np.frombuffer(value, "<f4").tolist())
    with suppress(UnicodeDecodeError):
        told = value.decode()
        with suppress(msgspec.MsgspecError, RecursionError):
            return "JSON", msgspec.json.format(told, indent=2)  # as it came but for spaces: every digit is kept
        if told.isprintable():
            return "text", told
    return form or "bytes", value.hex(" ", 4)
