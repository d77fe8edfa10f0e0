"""What the json module makes of a value: the word that counts, asked for where the fast decoder's does not."""

from __future__ import annotations

import json
from typing import Any

TOO_DEEP = "maximum recursion depth exceeded while decoding a JSON array from a unicode string"
"""What json says of lists within lists without end."""

SHALLOW = 800
"""Nesting for which json's stack has room, whoever calls: 200 of the interpreter's 1,000 frames are left to them."""

BLANK = " \t\n\r"
"""What may stand between brackets."""

OPENING, MANY = b"[" + BLANK.encode(), b"[" * 128

_json = json.JSONDecoder(parse_int=float)


def decoded(value: bytes, start: int = 0) -> Any:
    """The object of a value that is UTF-8, its numbers floats; ValueError or RecursionError where it is no JSON.

    start: what `unclosed` found. Those lists are not even opened: the sentence about what is wrong in them is the same.
    """
    whole = value.decode("utf-8")
    if not start:
        return _json.decode(whole)
    found, _ = _json.raw_decode(whole, len(whole) - len(whole[start:].lstrip(BLANK)))
    return found


def unclosed(value: bytes) -> int:
    """How many bytes at the beginning do nothing but open lists that cannot all be closed: more open than close behind.

    0, too, where the stack may not have room for them all, as json has to say that.
    """
    end, closed = _opened(value), value.count(b"]")
    start = end - 2 * (closed + 1)
    if start <= 0 or value.count(b"[", start, end) <= closed or value.count(b"[") + value.count(b"{") > SHALLOW:
        return 0
    return start


def _opened(value: bytes) -> int:
    """How many bytes at the beginning do nothing but open lists."""
    end = 0
    while value.startswith(MANY, end):
        end += len(MANY)
    return len(value) - len(value[end:].lstrip(OPENING))
