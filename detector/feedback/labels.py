"""Labels as messages: what replay sends with history, and what an analyst says of a row later."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from detector.rows import MAX_NAME_BYTES

REFUSALS: dict[str, str] = {
    "empty": "a label without a value",
    "not_json": "a label that is no JSON object",
    "no_row_id": "`row_id` is missing, no text, empty or too long",
    "no_label": "`label` is missing, or none of 0, 1, fraud, legitimate, unsure",
    "not_scores": "a record of scores that is none, or of another version",
}
"""Why messages are passed over, and what it means. A closed set: it labels a metric."""

NOTES = ("injected", "injection")
"""Fields of a record that says what a replay did to a row on purpose; without a label it says nothing of its truth."""

MEANINGS: dict[int | str, bool | None] = {0: False, 1: True, "legitimate": False, "fraud": True, "unsure": None}
"""What a label may be, and whether its row is anomalous; None where who looked at it could not tell."""


class Unreadable(Exception):
    """A message that is no label. reason: of REFUSALS."""

    def __init__(self, reason: str) -> None:
        super().__init__(REFUSALS[reason])
        self.reason = reason


class Label(NamedTuple):
    """The truth about a row. anomalous: None where it was not found out. time: of its message, ms since 1970 UTC."""

    name: str
    anomalous: bool | None
    time: int


class _Wire(msgspec.Struct, frozen=True):
    """Fields beside these (event_time; by, at, note) are for people."""

    row_id: str
    label: int | str


_decoder = msgspec.json.Decoder(_Wire)


def read(value: bytes | None, time: int) -> Label | None:
    """A message as a label, None for a note that has none; Unreadable where it is neither."""
    if not value:
        raise Unreadable("empty")
    try:
        wire = _decoder.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        if _is_note(value):
            return None
        raise Unreadable(_reason(value)) from None
    if not wire.row_id or len(wire.row_id.encode()) > MAX_NAME_BYTES:
        raise Unreadable("no_row_id")
    if wire.label not in MEANINGS:
        raise Unreadable("no_label")
    return Label(wire.row_id, MEANINGS[wire.label], time)


def _decoded(value: bytes) -> Any:
    try:
        return msgspec.json.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _is_note(value: bytes) -> bool:
    found = _decoded(value)
    return isinstance(found, dict) and "label" not in found and any(name in found for name in NOTES)


def _reason(value: bytes) -> str:
    found = _decoded(value)
    if not isinstance(found, dict):
        return "not_json"
    return "no_label" if isinstance(found.get("row_id"), str) else "no_row_id"
