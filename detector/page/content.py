"""What a report is made of, before it is a page: sections of sentences, pictures and tables."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Picture:
    """A PNG. name: of its file. alt: what it shows, with the numbers. note: what a reader must know to read it."""

    name: str
    title: str
    png: bytes
    alt: str
    note: str = ""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, as the PNG's first chunk says."""
        return int.from_bytes(self.png[16:20]), int.from_bytes(self.png[20:24])


@dataclass(frozen=True, slots=True)
class Table:
    """Cells of text under headings. numeric: columns of numbers, which stand to the right. long: of several lines."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: frozenset[int] = frozenset()
    long: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report. texts: what is to be said, also why something is not there."""

    anchor: str
    title: str
    texts: tuple[str, ...] = ()
    pictures: tuple[Picture, ...] = ()
    tables: tuple[Table, ...] = ()


def number(value: float | None, digits: int = 4) -> str:
    """A number for a person: whole ones with separators, others with so many digits, none as a dash."""
    if value is None or value != value:
        return "-"
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:.{digits}g}"


def percent(share: float | None) -> str:
    """A share from 0 to 1 as a percentage."""
    return "-" if share is None or share != share else f"{100 * share:.3g} %"


def counted(count: int, noun: str) -> str:
    """A number of things: `1 row`, `2 rows`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
