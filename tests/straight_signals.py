"""Signals as a straight loop: message after message, each key's window a list of what came."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from detector.rows import Message


@dataclass
class StraightSignals:
    """What messages of one partition came to. length: samples of a row. reach: offsets that a window may span.

    rows: by the offset of their last sample, their numbers and row-ids. dead: reasons by offset. open: by key, the
    window that is open, as (offset of the first sample, number of the first sample, offsets, values).
    """

    length: int
    reach: int
    rows: dict[int, tuple[list[float], str]] = field(default_factory=dict)
    dead: dict[int, str] = field(default_factory=dict)
    open: dict[Any, tuple[int, list[int], list[float]]] = field(default_factory=dict)

    def over(self, messages: Sequence[Message]) -> StraightSignals:
        """Takes messages."""
        for message in messages:
            self.take(message)
        return self

    def take(self, message: Message) -> None:
        """Takes one message."""
        at, key = message.offset(), message.key()
        for other, (_, offsets, _) in list(self.open.items()):
            if at - offsets[0] > self.reach:
                self.give_up(other)
        found = self.read(message)
        if isinstance(found, str):
            self.dead[at] = found
            return
        number, value = found
        first, offsets, values = self.open.get(key, (None, [], []))
        if first is not None and number == first + len(values):
            offsets.append(at)
            values.append(value)
        elif first is not None and first < number < first + len(values) and values[number - first] == value:
            self.dead[at] = "repeated_sample"
        else:
            self.give_up(key)
            if number % self.length:
                self.dead[at] = "broken_window"
            else:
                self.open[key] = (number, [at], [value])
        self.complete(key, message)

    def complete(self, key: Any, message: Message) -> None:
        """Takes a window that is full out as a row."""
        if key in self.open and len(self.open[key][2]) == self.length:
            first, _, values = self.open.pop(key)
            name = message.partition() if key is None else key.decode()
            ids = [content.decode() for header, content in message.headers() or () if header == "row-id"]
            self.rows[message.offset()] = values, ids[-1] if ids else f"{name}/{first // self.length}"

    def give_up(self, key: Any) -> None:
        """A window's samples are no row's."""
        if key in self.open:
            self.dead |= dict.fromkeys(self.open.pop(key)[1], "broken_window")

    def waiting(self) -> list[int]:
        """Offsets of samples in open windows."""
        return sorted(at for _, offsets, _ in self.open.values() for at in offsets)

    def read(self, message: Message) -> tuple[int, float] | str:
        """A sample's number and value, or why there is none."""
        try:
            found = json.loads(message.value())
            number, value = found["sample"], found["value"]
        except json.JSONDecodeError:
            return "not_json"
        except KeyError:
            return "missing_feature"
        if isinstance(number, str) or isinstance(value, str):
            return "not_a_number"
        if not math.isfinite(value) or abs(value) > 3e38:
            return "not_finite"
        if number < 0 or number != int(number) or number >= 2**53:
            return "not_an_index"
        return int(number), float(np.float32(value))
