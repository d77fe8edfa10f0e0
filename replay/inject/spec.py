"""What `--inject` can be told: how a text names what is broken, by how much, and in which stretch of the history."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from detector.errors import UsageError
from detector.settings import milliseconds
from replay import labels
from replay.inject.faults import FAULTS

ALL = "all"
"""Stands for all features that can be changed."""

WHERE = ("from", "to", "for")
_OPTION = re.compile(r":(?=(?:from|to|for|ramp)=)")
_SHARE = re.compile(r"(?P<number>\d+(?:\.\d+)?)%")
_FACTOR = re.compile(r"(?P<number>\d+(?:\.\d+)?)x")


@dataclass(frozen=True, slots=True)
class Point:
    """A place in the history, by one of these: a share of it, 0 to 1; ms after its first row; ms since 1970 UTC."""

    share: float | None = None
    after: int | None = None
    time: int | None = None


@dataclass(frozen=True, slots=True)
class Stretch:
    """From `first` on, and before `end` or for `length`; None for no bound. ramp: over which something grows."""

    first: Point | None = None
    end: Point | None = None
    length: Point | None = None
    ramp: Point | None = None

    @property
    def points(self) -> list[Point]:
        """All that are told."""
        return [point for point in (self.first, self.end, self.length, self.ramp) if point]


@dataclass(frozen=True, slots=True)
class Spec:
    """One break, understood. text: as it was asked for.

    features: names, ALL alone for all. amount: what is added, a factor, or a share (0 to 1), as the kind has it.
    deviations: whether the amount counts standard deviations. milliseconds: how long. fault: a reason, empty for any.
    """

    text: str
    kind: str
    stretch: Stretch = Stretch()
    features: tuple[str, ...] = ()
    amount: float = 0.0
    deviations: bool = False
    milliseconds: int = 0
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Kind:
    """What can be broken. parts: of PARTS, the last may be left out where it ends with ?. options: that it takes.

    columns: whether it changes columns, so that it cannot be done to messages of a topic. label, timed, paced: whether
    it wants labels, event times, a speed of event time.
    """

    meaning: str
    parts: tuple[str, ...]
    example: str
    options: tuple[str, ...] = WHERE
    columns: bool = False
    label: bool = False
    timed: bool = False
    paced: bool = False

    @property
    def form(self) -> str:
        """Its parts, for a person."""
        return "".join(f"[:{part[:-1].upper()}]" if part.endswith("?") else f":{part.upper()}" for part in self.parts)


KINDS: dict[str, Kind] = {
    "drift": Kind(
        "features lie that much higher (lower with -), by an amount, or by so many of their standard deviations; with "
        "`ramp=1h` it grows to that from 0",
        ("features", "shift"),
        "drift:V14:+1sd:from=50%",
        options=(*WHERE, "ramp"),
        columns=True,
    ),
    "scale": Kind("features are multiplied", ("features", "factor"), "scale:Amount:10x", columns=True),
    "missing": Kind(
        "that share of the values of each feature is left out, as a value that is missing in the file is",
        ("features", "share"),
        "missing:Amount:5%",
        columns=True,
    ),
    "fraud-burst": Kind(
        "anomalous rows come that much more often: copies under ids of their own (`17+1`), spread over the ten minutes "
        "behind each, or up to the stretch's end",
        ("times",),
        "fraud-burst:10x:for=10m",
        columns=True,
        label=True,
        timed=True,
    ),
    "duplicate": Kind("that share of the rows comes twice, under one row-id", ("share",), "duplicate:1%"),
    "corrupt": Kind(
        "that share of the messages is no row any more, for any [reason](../../detector/rows/README.md#dead-letters) "
        "there can be in the format, or for the one that is named; key and row-id stay",
        ("share", "fault?"),
        "corrupt:0.1%:not_json",
    ),
    "delay": Kind(
        "that share of the rows comes so much later; their event time stays",
        ("share", "duration"),
        "delay:1%:5m",
        timed=True,
    ),
    "reorder": Kind("rows come up to so much later, out of their order", ("duration",), "reorder:30s", timed=True),
    "silence": Kind(
        "nothing is sent for so long; the rows of that time are held back and come at its end, all at once. Without "
        "`from` it begins behind the first row",
        ("duration",),
        "silence:2m:from=50%",
        options=("from",),
        timed=True,
        paced=True,
    ),
    "burst": Kind(
        "rows happen that much faster, and what follows them that much sooner",
        ("times",),
        "burst:20x:for=10m",
        timed=True,
        paced=True,
    ),
}
"""What can be broken by name, in the order in which it is done: first the world, then the sender, then the wire."""

Read = Mapping[str, Any]
"""Fields of a Spec by name."""


def _features(text: str) -> Read:
    names = tuple(name.strip() for name in text.split(","))
    if not all(names) or len(set(names)) < len(names) or (ALL in names and len(names) > 1):
        raise ValueError(text)
    return {"features": names}


def _shift(text: str) -> Read:
    amount = float(text.removesuffix("sd"))
    if not math.isfinite(amount) or not amount:
        raise ValueError(text)
    return {"amount": amount, "deviations": text.endswith("sd")}


def _number(pattern: re.Pattern[str], text: str) -> float:
    found = pattern.fullmatch(text)
    if not found:
        raise ValueError(text)
    return float(found["number"])


def _factor(text: str) -> Read:
    return {"amount": _number(_FACTOR, text)}


def _times(text: str) -> Read:
    if (amount := _number(_FACTOR, text)) <= 1:
        raise ValueError(text)
    return {"amount": amount}


def _percent(text: str) -> float:
    if not 0 <= (number := _number(_SHARE, text)) <= 100:
        raise ValueError(text)
    return number / 100


def _share(text: str) -> Read:
    if not (share := _percent(text)):
        raise ValueError(text)
    return {"amount": share}


def _long(text: str, least: int = 1) -> int:
    delay = labels.parse(text)
    if not text or delay.drawn or round(delay.mean) < least:
        raise ValueError(text)
    return round(delay.mean)


def _duration(text: str) -> Read:
    return {"milliseconds": _long(text)}


def _fault(text: str) -> Read:
    if text not in FAULTS:
        raise ValueError(text)
    return {"fault": text}


DURATIONS = "a duration (30s, 10m, 2h, 7d)"
PARTS: dict[str, tuple[Callable[[str], Read], str]] = {
    "features": (_features, "names, comma-separated and each once, or all"),
    "shift": (_shift, "+1sd, -0.5sd or a number but 0"),
    "factor": (_factor, "a factor such as 10x"),
    "times": (_times, "a factor above 1 such as 10x"),
    "share": (_share, "a share above 0% and up to 100%"),
    "duration": (_duration, DURATIONS),
    "fault": (_fault, f"one of {', '.join(FAULTS)}"),
}
"""By name, what reads a part of a text, and what is wanted of it."""


def _point(text: str) -> Point:
    if text.endswith("%"):
        return Point(share=_percent(text))
    try:
        return Point(after=_long(text, least=0))
    except ValueError:
        return Point(time=milliseconds("", text))


def _length(text: str) -> Point:
    return Point(share=_share(text)["amount"]) if text.endswith("%") else Point(after=_long(text))


_LENGTH = f"a share of the history (10%) or {DURATIONS}"
_POINT = f"a share of the history (50%), {DURATIONS} from its first row, or a time like 2026-11-23T00:00:00Z"
OPTIONS: dict[str, tuple[str, Callable[[str], Point], str]] = {
    "from": ("first", _point, _POINT),
    "to": ("end", _point, _POINT),
    "for": ("length", _length, _LENGTH),
    "ramp": ("ramp", _length, _LENGTH),
}
"""By name, the field of a Stretch, what reads it, and what is wanted of it."""


def parse(text: str) -> Spec:
    """A break from its text; UsageError names the text, the part that is wrong, and what is wanted."""
    head, *options = _OPTION.split(text)
    name, *given = head.split(":")
    kind = KINDS.get(name)
    if kind is None:
        raise _refused(text, "kind", name, f"one of {', '.join(KINDS)}, or the name of a scenario")
    found: dict[str, Any] = {}
    for part, value in _paired(text, name, kind, given):
        read, wanted = PARTS[part]
        try:
            found |= read(value)
        except ValueError:
            raise _refused(text, part, value, wanted) from None
    return Spec(text, name, _stretch(text, kind, options), **found)


def _paired(text: str, name: str, kind: Kind, given: list[str]) -> list[tuple[str, str]]:
    """The parts of a text under their names; a feature's name may hold a colon."""
    most, least = len(kind.parts), sum(not part.endswith("?") for part in kind.parts)
    if "features" in kind.parts and len(given) > most:
        given = [":".join(given[: 1 - most]), *given[1 - most :]]
    if not least <= len(given) <= most:
        told = "".join(f"[:{option}=...]" for option in kind.options)
        raise UsageError(f"setting inject has value {text!r}, {name}{kind.form}{told} wanted")
    return [(part.removesuffix("?"), value) for part, value in zip(kind.parts, given, strict=False)]


def _stretch(text: str, kind: Kind, options: list[str]) -> Stretch:
    found: dict[str, Point] = {}
    for option in options:
        name, _, value = option.partition("=")
        place, read, wanted = OPTIONS[name]
        if name not in kind.options or place in found:
            raise _refused(text, "option", option, f"each once of {', '.join(f'{one}=' for one in kind.options)}")
        try:
            found[place] = read(value)
        except (ValueError, UsageError):
            raise _refused(text, name, value, wanted) from None
    stretch = Stretch(**found)
    if stretch.end and stretch.length:
        raise _refused(text, "options", "to, for", "one of them")
    _refuse_backwards(text, stretch)
    return stretch


def _refuse_backwards(text: str, stretch: Stretch) -> None:
    """UsageError where a stretch ends before it begins, as far as that is known without the history."""
    first, end = stretch.first or Point(share=0.0, after=0), stretch.end
    for name in ("share", "after", "time") if end else ():
        low, high = getattr(first, name), getattr(end, name)
        if low is not None and high is not None and low >= high:
            raise _refused(text, "to", text.rpartition("to=")[2], "a later point than from")


def _refused(text: str, part: str, value: str, wanted: str) -> UsageError:
    return UsageError(f"setting inject has value {text!r}: {part} {value!r}, {wanted} wanted")
