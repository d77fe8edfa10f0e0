"""How well the system's clock is kept, as its kernel says."""

from __future__ import annotations

import ctypes
import struct
import sys
from typing import NamedTuple

UNSYNCHRONISED = 0x0040
"""STA_UNSYNC of adjtimex(2)."""

LAYOUT = "@Illlli"
"""The first fields of its struct timex: modes, offset, freq, maxerror, esterror, status."""


class Clock(NamedTuple):
    """synchronised: whether something such as NTP keeps it. error_seconds: how far off it may be, at most."""

    synchronised: bool
    error_seconds: float


def kernel_clock() -> Clock | None:
    """What the kernel knows of the clock; None where it is not Linux, or does not tell."""
    if sys.platform != "linux":
        return None
    asked = ctypes.create_string_buffer(512)  # modes 0: change nothing
    if ctypes.CDLL(None).adjtimex(asked) < 0:
        return None
    _, _, _, microseconds, _, status = struct.unpack_from(LAYOUT, asked)
    return Clock(not status & UNSYNCHRONISED, microseconds / 1e6)
