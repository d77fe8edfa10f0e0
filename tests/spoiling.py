"""Every kind of message that is no row, made from a good row as JSON, and the reason that its dead letter gives."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

PACKED = [("format", b"packed")]

Made = tuple[bytes | None, list[tuple[str, bytes]]]


def first_number(row: bytes, told: bytes) -> bytes:
    """A row with something else for its first number."""
    return row[: row.index(b":") + 1] + told + row[row.index(b",") :]


def last_number(row: bytes, told: bytes) -> bytes:
    """A row with something else for its last number."""
    return row[: row.rindex(b":") + 1] + told + b"}"


KINDS: dict[str, tuple[str, Callable[[bytes], Made]]] = {
    "truncated": ("not_json", lambda row: (row[:-20], [])),
    "text": ("not_a_number", lambda row: (first_number(row, b'"1.5"'), [])),
    "late text": ("not_a_number", lambda row: (last_number(row, b'"1.5"'), [])),
    "absent": ("missing_feature", lambda row: (row.replace(b'"V28"', b'"v28"'), [])),
    "NaN": ("not_finite", lambda row: (first_number(row, b"NaN"), [])),
    "1e400": ("not_finite", lambda row: (last_number(row, b"1e400"), [])),
    "beyond float32": ("not_finite", lambda row: (last_number(row, b"1e39"), [])),
    "half a surrogate": ("not_a_number", lambda row: (last_number(row, b'"\\ud800"'), [])),
    "array": ("not_an_object", lambda row: (b"[" + row + b"]", [])),
    "latin-1": ("not_utf8", lambda row: (row[:-1] + b',"name":"caf\xe9"}', [])),
    "cut packed": ("wrong_length", lambda row: (row[:115], PACKED)),
    "NaN packed": ("not_finite", lambda row: (np.full(29, np.nan, "<f4").tobytes(), PACKED)),
    "format": ("unknown_format", lambda row: (row, [("format", b"xml")])),
    "tombstone": ("empty", lambda row: (None, [])),
    "deep": ("not_json", lambda row: (b"[" * len(row), [])),
}
"""By name: the reason, and what makes such a message of a row."""
