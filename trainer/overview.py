"""Findings on a page, for a person: a hundred columns wide, whatever the table."""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from detector.alerts import iso
from trainer.columns import Column, Findings
from trainer.suspicion import LEAST_FEATURES

WIDTH = 100
MOST_LINES = 60
"""Lines of the table up to which neighbours that are no numbered row of columns have a line each."""

MOST_NAMES = 12
"""Columns that are named where one reason left many out."""

MOST_FEATURES = 100
"""Features that the command names: more are found again without being named."""

LONGEST_NAME = 36
CONTINUED = " \\"
"""What tells a shell that a command goes on in the next line."""

SINCE_1970 = 10**11
"""Event times in ms from which they are dates (those after March 1973), rather than a count that began at 0."""

_NUMBERED = re.compile(r"(.*?)(\d+)")
_Group = Sequence[Column]


def overview(source: str, found: Findings, days: float | None) -> str:
    """The whole page. source: what the table is called on the command line. days: what its event times span."""
    parts = (
        [f"{_printable(source)}: {found.rows:,} rows, {len(found.columns):,} columns"],
        columns_table(found),
        _facts(found, days),
        _left_out(found),
        [line for warning in found.warnings for line in _wrapped("! ", _printable(warning))],
        _command_lines(source, found),
    )
    return "\n\n".join("\n".join(part) for part in parts if part)


def columns_table(found: Findings) -> list[str]:
    """A line for each column, or for neighbours that are alike."""
    from rich.cells import set_cell_size

    groups = grouped(found.columns)
    names = [_name(group) for group in groups]
    wide = min(max(map(len, ["column", *names])), LONGEST_NAME)
    lines = [f"{'column':<{wide}}  role     type     missing    distinct  values"]
    for name, group in zip(names, groups, strict=True):
        one = group[0]
        cells = (
            set_cell_size(name, wide),
            f"{one.role:<7}",
            f"{one.kind:<7}",
            f"{_missing(group, found.rows):>7}",
            f"{_distinct(group):>10}",
        )
        line = "  ".join(cells) + "  "
        lines.append((line + set_cell_size(_values(group), WIDTH - wide - len(line) + len(cells[0]))).rstrip())
    return lines


def grouped(columns: Sequence[Column]) -> list[_Group]:
    """Columns, some told in one: numbered ones like V1..V28; where they are very many, all neighbours of one role."""
    for same in (_follows, _like):
        groups = _runs(columns, same)
        if len(groups) <= MOST_LINES:
            return groups
    kinds = dict.fromkeys((one.role, one.kind) for one in columns)
    return [[one for one in columns if (one.role, one.kind) == kind] for kind in kinds]


def _runs(columns: Sequence[Column], same: Callable[[Column, Column], bool]) -> list[_Group]:
    """Neighbours of which each is the same as the one before it; two have a line each."""
    runs: list[list[Column]] = [[one] for one in columns[:1]]
    for before, one in pairwise(columns):
        if same(before, one):
            runs[-1].append(one)
        else:
            runs.append([one])
    return [part for run in runs for part in ([run] if len(run) > 2 else [[one] for one in run])]


def _like(before: Column, one: Column) -> bool:
    return (before.role, before.kind) == (one.role, one.kind)


def _follows(before: Column, one: Column) -> bool:
    earlier, later = _NUMBERED.fullmatch(before.name), _NUMBERED.fullmatch(one.name)
    if not (earlier and later and _like(before, one) and before.why == one.why):
        return False
    return earlier[1] == later[1] and int(earlier[2]) + 1 == int(later[2])


def _name(group: _Group) -> str:
    if len(group) == 1:
        return _printable(group[0].name)
    count = f" ({len(group):,})"
    room = (LONGEST_NAME - len(count) - 2) // 2
    return f"{_cut(group[0].name, room)}..{_cut(group[-1].name, room)}{count}"


def _missing(group: _Group, rows: int) -> str:
    shares = [one.missing / max(rows, 1) for one in group]
    if not max(shares):
        return "-"
    told = "<1%" if max(shares) < 0.01 else f"{max(shares):.0%}"
    return told if min(shares) == max(shares) else f"to {told}"


def _distinct(group: _Group) -> str:
    counts = [one.distinct for one in group if one.distinct is not None]
    if not counts:
        return "?"
    return f"{'to ' * (min(counts) != max(counts))}{max(counts):,}"


def _values(group: _Group) -> str:
    bounds = [one.bounds for one in group if one.bounds and one.role != "label"]
    if bounds:
        return f"{number(min(low for low, _ in bounds))} .. {number(max(high for _, high in bounds))}"
    told = ", ".join(_cut(value, 40) + (f" ({rows:,})" if rows else "") for value, rows in group[0].examples)
    return told if len(group) == 1 or not told else f"such as {told}"


def number(value: float) -> str:
    """A number in few digits, a whole one in all of them."""
    return f"{int(value):,}" if value.is_integer() and abs(value) < 1e12 else f"{value:,.4g}"


def _facts(found: Findings, days: float | None) -> list[str]:
    facts = {
        "label": _label(found),
        "time": _time(found, days),
        "key": _key(found),
        "amount": _printable(found.amount or "none"),
        "features": _features(found),
    }
    return [line for name, told in facts.items() for line in _wrapped(f"{name:<10}", told)]


def _label(found: Findings) -> str:
    if found.label is None:
        return "none"
    told = f"{_printable(found.label)}: {_printable(str(found.normal))} is normal"
    if found.anomalous is None:
        return told
    share = 100 * found.anomalous / max(found.rows, 1)
    return f"{told}, {found.anomalous:,} of {found.rows:,} rows are anomalous ({share:.3g} %)"


def _time(found: Findings, days: float | None) -> str:
    if found.time is None:
        return "none"
    name = _printable(found.time)
    if found.span is None:
        return name
    first, last = found.span
    if last >= SINCE_1970 or found.column(found.time).kind != "number":
        told = f"{name}: {_moment(first)} to {_moment(last)}"
    else:
        told = f"{name}: {number(first / 1000)} s to {number(last / 1000)} s"
    return told if days is None else f"{told}, {days:,.4g} days, {found.rows / days:,.4g} rows a day"


def _moment(milliseconds: int) -> str:
    return iso(milliseconds).replace("T", " ")[: len("2018-04-01 00:00:31")]


def _key(found: Findings) -> str:
    if found.key is None:
        return "none"
    many = found.column(found.key).distinct or 1
    return f"{_printable(found.key)}: {many:,} of them, {found.rows / many:,.1f} rows each on average"


def _features(found: Findings) -> str:
    kinds = [found.column(name).kind for name in found.features]
    counts = [f"{(count := kinds.count(kind)):,} {kind}{'s' * (count > 1)}" for kind in dict.fromkeys(kinds)]
    told = f"all {kinds[0]}s" if len(counts) == 1 else ", ".join(counts)
    return f"{len(kinds):,}: {told}" if kinds else "none"


def _left_out(found: Findings) -> list[str]:
    """Each reason with the columns that it left out."""
    names: dict[str, list[str]] = {}
    for one in found.columns:
        if one.role == "dropped":
            names.setdefault(one.why, []).append(_cut(one.name, LONGEST_NAME))
    lines = ["left out"] if names else []
    for why, which in names.items():
        more = f" and {len(which) - MOST_NAMES:,} more" if len(which) > MOST_NAMES else ""
        lines += _wrapped("  ", f"{', '.join(which[:MOST_NAMES])}{more}: {_printable(why)}")
    return lines


def command(source: str, found: Findings) -> list[str]:
    """The command that trains on what was found, saying all of it; no features where their names cannot be said."""
    said = {"label": found.label, "time": found.time, "key": found.key, "amount": found.amount}
    words = ["python", "-m", "trainer", "fit", source]
    for name, value in said.items():
        words += _option(name, value or "none")
    if found.label:
        words += _option("normal", str(found.normal))
    if not any("," in name for name in found.features):
        words += _option("features", ",".join(found.features))
    return [*words, "--out", "model"]


def _option(name: str, value: str) -> list[str]:
    return [f"--{name}={value}"] if value.startswith("-") else [f"--{name}", value]


def _command_lines(source: str, found: Findings) -> list[str]:
    """The command in lines that a shell takes as they stand."""
    if len(found.features) < LEAST_FEATURES:
        return []
    words, told = command(source, found), "the same, said in full"
    if not all(map(str.isprintable, words)):
        return ["no command can say the same: a name in it cannot be printed; --json has its words"]
    lines = [shlex.join(words[:5])]
    for option in _options(words[5:]):
        text = _shell(option)
        if option[0].startswith("--features") and len(found.features) > MOST_FEATURES:
            told += f"; its {len(found.features):,} features are found again, --json names them"
        elif len(lines[-1]) + len(text) + len(" " + CONTINUED) <= WIDTH:
            lines[-1] += f" {text}"
        else:
            lines.append(f"    {text}")
    return [f"{told}:", f"{CONTINUED}\n".join(lines)]


def _options(words: Sequence[str]) -> Iterator[Sequence[str]]:
    place = 0
    while place < len(words):
        step = 1 if "=" in words[place] else 2
        yield words[place : place + step]
        place += step


def _shell(option: Sequence[str]) -> str:
    """An option quoted for a shell; a long list goes on at the very beginning of the next line."""
    if len(text := shlex.join(option)) <= WIDTH - 6:
        return text
    *name, value = option
    lines = [""]
    for part in re.findall(r"[^,]*,|[^,]+", value):
        if lines[-1] and len(lines[-1]) + len(part) > WIDTH - 20:
            lines.append("")
        lines[-1] += part
    return " ".join([*name, "\\\n".join(map(shlex.quote, lines))])


def _wrapped(mark: str, text: str) -> list[str]:
    return textwrap.wrap(mark + text, WIDTH, subsequent_indent=" " * len(mark), break_on_hyphens=False)


def _cut(text: str, width: int) -> str:
    return _printable(text if len(text) <= width else f"{text[: width - 3]}...")


def _printable(text: str) -> str:
    """A text that keeps to its line, and sends the terminal no commands."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
