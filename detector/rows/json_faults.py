"""What is wrong with a JSON value that the fast decoder refused, found without json wherever msgspec can tell.

The json module decides what is JSON, as it reads more than msgspec: NaN, numbers beyond float64, halves of surrogates.
It takes ten times as long, so it is asked only where it could say something else.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import compress, count
from operator import is_not
from typing import Any

import msgspec

from detector.rows.json_module import TOO_DEEP, decoded, unclosed
from detector.rows.json_structs import Leaf, flattened, struct
from detector.rows.paths import Layout
from detector.rows.refusals import Refusal
from detector.rows.values import ABSENT, Numbers, number_of, numbers_of

NO_NUMBERS = (b"NaN", b"Infinity")
"""What the json module takes for numbers, with or without a minus before it."""

HALF = re.compile(rb"\\u[dD][89a-fA-F]")
"""Perhaps half a surrogate: JSON, though msgspec refuses one without the other."""

SURROGATE = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
"""Half a surrogate, or either half of two that make a character, where no backslash before it makes it text."""

REFUSED = (msgspec.MsgspecError, RecursionError)
"""What msgspec raises for a value that is nothing of what is asked for."""

A_LIST = "Expected `object`, got `array`"
"""What msgspec says of a value that is a list itself; of a list inside it says where."""

Shown: Any = float | int | str | bool | None | list[msgspec.Raw] | dict[str, msgspec.Raw]
"""Any JSON value, of which lists and objects are not looked into: a thousand of them in each other cost no more."""


class JsonFaults:
    """Finds why values are no rows of a layout. rows: reads those that are, the fast way."""

    def __init__(self, layout: Layout, rows: Callable[[Sequence[bytes]], Iterator[Numbers]]) -> None:
        self._layout, self._rows = layout, rows
        loose = struct(layout.root, lambda place: Leaf(Shown, ABSENT))
        self._loose = msgspec.json.Decoder(loose).decode
        self._flattened = flattened(layout)
        self._skipped = msgspec.json.Decoder(msgspec.Raw).decode
        self._untyped = msgspec.json.Decoder(float_hook=float).decode
        schema = layout.schema
        told = {f"Object missing required field `{path[0]}`": place for place, path in enumerate(layout.paths)}
        self._missing = {one: Refusal("missing_feature", layout.absent(place)) for one, place in told.items()}
        self._places = {path[0]: place for place, path in enumerate(layout.paths)}
        if not layout.flat:
            self._missing, self._places = {}, {}
        self._kinds = [str if name in schema.categories else float for name in schema.features]
        self._not_finite = [Refusal("not_finite", f"feature {name!r} is NaN or infinite") for name in schema.features]
        self._spelled_by_names = any(one.decode() in ".".join(path) for path in layout.paths for one in NO_NUMBERS)
        self._astral = any(one > "\uffff" for path in layout.paths for one in "".join(path))
        self._numbers: dict[str, tuple[str, bytes, re.Pattern[bytes]]] = {}

    def read(self, value: bytes, error: Exception) -> Numbers | Refusal:
        """Reads a value that is UTF-8 and that the decoder of rows refused with this error: it may be a row still."""
        if type(error) is msgspec.DecodeError:
            return self._malformed(value, error)
        if not isinstance(error, msgspec.ValidationError):
            return self._straight(value)
        told = str(error)
        if told == A_LIST:
            return self._list(value)
        try:
            if told in self._missing:  # said of the first that is absent, where all others are as they should be
                self._skipped(value)  # what stands behind the object was not yet looked at
                return self._missing[told]
            fault = self._infinite(value, told) if told.startswith("Number out of range") else self._fault(value)
            return fault or self._patient(value)
        except msgspec.ValidationError:
            return self._patient(value)
        except msgspec.DecodeError as other:
            return self._malformed(value, other)
        except RecursionError:
            return self._straight(value)

    def _fault(self, value: bytes, list_is_nan: bool = False) -> Refusal | None:
        """The first feature that is not as it should be, in the schema's order; None where none is found."""
        values: Any = self._loose(value)
        for step in self._flattened:
            values = step(values)
        for place in compress(count(), map(is_not, map(type, values), self._kinds)):
            nan = list_is_nan and isinstance(values[place], list)
            if nan and self._kinds[place] is float:
                return self._not_finite[place]
            refusal = number_of(math.nan if nan else values[place], self._layout, place)
            if isinstance(refusal, Refusal):
                return refusal
        return None

    def _malformed(self, value: bytes, error: Exception) -> Numbers | Refusal:
        """Reads what is no JSON to msgspec."""
        told = str(error)
        if _stands_at_no_number(value, told):
            return self._nan(value) or self._straight(value)
        if (at := value.find(b"\\")) >= 0 and HALF.search(value, at):
            return self._half(value) or self._straight(value)
        return Refusal("not_json", told[:200])

    def _half(self, value: bytes) -> Numbers | Refusal | None:
        """Reads a value that may hold half a surrogate; None where that cannot be done without json.

        Surrogates and backslashes are made control characters: text stays text, though other text, and no name becomes
        a feature's.
        """
        if self._astral:
            return None
        mended = _without_surrogates(value)
        try:
            return self._fault(mended) or (None if self._layout.schema.categories else next(self._rows([mended])))
        except REFUSED:
            return None

    def _nan(self, value: bytes) -> Refusal | None:
        """What is wrong with a value that holds NaN or Infinity, if that is a feature; None where it has to be read."""

        def listed() -> bytes:
            found = value.replace(b"NaN", b"[]")
            return found.replace(b"-Infinity", b"[]").replace(b"Infinity", b"[]") if b"I" in value else found

        return None if self._spelled_by_names else self._as_list(value, listed)

    def _infinite(self, value: bytes, told: str) -> Refusal | None:
        """The same for a number beyond float64 that msgspec's sentence names the field of."""
        if told not in self._numbers:
            self._numbers[told] = _number_of(told.rpartition("`$.")[2].rpartition(".")[2].removesuffix("`"))
        name, quoted, pattern = self._numbers[told]
        found = pattern.search(value, at) if (at := value.find(quoted)) >= 0 else None
        if found is None or not math.isinf(float(found[1])):
            return None
        start, end = found.span(1)
        if name in self._places and b"\\" not in value and value.find(quoted, start) < 0:
            try:  # without it the value is a row: there is no other fault
                next(self._rows([b"%s0%s" % (value[:start], value[end:])]))
                return self._not_finite[self._places[name]]
            except REFUSED:
                pass
        return self._as_list(value, lambda: b"%s[]%s" % (value[:start], value[end:]))

    def _as_list(self, value: bytes, listed: Callable[[], bytes]) -> Refusal | None:
        """What is wrong with a value in which numbers that are none were made lists.

        Where it has no lists of its own and no escapes, every list that is found was such a number.
        """
        if b"[" in value or b"\\" in value:
            return None
        try:
            return self._fault(listed(), list_is_nan=True)
        except msgspec.MsgspecError:
            return None

    def _patient(self, value: bytes) -> Numbers | Refusal:
        """Reads a value whose numbers may be infinite, and its objects no objects."""
        try:
            found = self._untyped(value)
        except REFUSED:
            return self._straight(value)
        numbers = self._of_object(found)
        return numbers if isinstance(numbers, Refusal) else self._straight(value)

    def _list(self, value: bytes) -> Numbers | Refusal:
        """Reads a value that begins as a list: no row, and perhaps not JSON."""
        start = unclosed(value)
        if not start:
            try:
                self._skipped(value)
                return self._of_object([])
            except RecursionError:
                if b"{" not in value:
                    return Refusal("not_json", TOO_DEEP)  # json needs no less of the stack
            except msgspec.MsgspecError:
                pass
        return self._straight(value, start)

    def _straight(self, value: bytes, start: int = 0) -> Numbers | Refusal:
        """What json makes of a value. start: what `unclosed` found of it."""
        try:
            return self._of_object(decoded(value, start))
        except (ValueError, RecursionError) as error:
            return Refusal("not_json", f"{error}"[:200])

    def _of_object(self, found: Any) -> Numbers | Refusal:
        if not isinstance(found, dict):
            return Refusal("not_an_object", f"a JSON {type(found).__name__}, an object wanted")
        return numbers_of(found, self._layout)


def _without_surrogates(value: bytes) -> bytes:
    """Surrogates and backslashes as control characters."""
    at = value.find(b"\\")
    if value.find(b"\\", at + 1) < 0 and SURROGATE.match(value, at):
        return b"%s\\u0000%s" % (value[:at], value[at + 6 :])
    return SURROGATE.sub(rb"\\u0000", value.replace(rb"\\", rb"\n"))


def _number_of(name: str) -> tuple[str, bytes, re.Pattern[bytes]]:
    """A name, in quotes, and with a number behind it that may be infinite."""
    quoted = b'"%s"' % name.encode()
    return name, quoted, re.compile(rb"%s\s*:\s*(-?[0-9.]+[eE]\+?[0-9]+)" % re.escape(quoted))


def _stands_at_no_number(value: bytes, told: str) -> bool:
    """Whether msgspec's sentence about malformed JSON names the byte at which NaN or Infinity begins."""
    _, found, place = told.rpartition("(byte ")
    return bool(found) and value.startswith(NO_NUMBERS, int(place[:-1]))
