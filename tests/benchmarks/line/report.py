"""What was found as text, as Markdown and as JSON. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from tests.benchmarks.line.figures import Cell, Part, Table

WIDTH = 100


def shown(cell: Cell) -> str:
    """A cell for a person: three figures or so."""
    if cell is None or isinstance(cell, str):
        return cell or ""
    if isinstance(cell, int):
        return f"{cell:,}"
    size = abs(cell)
    if size >= 100:
        return f"{cell:,.0f}"
    if size >= 10:
        return f"{cell:.1f}"
    return f"{cell:.2f}" if size >= 0.1 or cell == 0 else f"{cell:.2g}"


def as_text(parts: Sequence[Part], failures: Sequence[str], about: Mapping[str, str]) -> str:
    """Tables that line up."""
    blocks = ["\n".join(about.values())]
    for part in parts:
        for table in part.tables:
            blocks.append("\n".join([table.title, "", *_lined_up(table), *(f"  {note}" for note in table.notes)]))
    if failures:
        blocks.append("\n".join(["Failed", *(f"  {failure}" for failure in failures)]))
    return "\n\n".join(blocks) + "\n"


def as_markdown(parts: Sequence[Part], failures: Sequence[str], about: Mapping[str, str]) -> str:
    """Tables to be pasted."""
    blocks = [f"Measured on {'; '.join(about.values())}."]
    for part in parts:
        for table in part.tables:
            blocks += [f"### {table.title}", "\n".join(_markdown(table)), *table.notes]
    if failures:
        blocks += ["### Failed", "\n".join(f"- {failure}" for failure in failures)]
    return "\n\n".join(blocks) + "\n"


def as_dict(parts: Sequence[Part], failures: Sequence[str], about: Mapping[str, str]) -> dict[str, Any]:
    """Tables with all digits, and every single run."""
    found = {part.name: {"tables": [asdict(table) for table in part.tables], "raw": part.raw} for part in parts}
    return {**about, "failures": list(failures), "parts": found}


def _cells(table: Table) -> list[list[str]]:
    return [list(table.head), *([shown(cell) for cell in row] for row in table.rows)]


def _lined_up(table: Table) -> list[str]:
    lines = _cells(table)
    widths = [max(len(line[i]) for line in lines) for i in range(len(table.head))]
    return ["  ".join(_aligned(line, widths)).rstrip() for line in lines]


def _markdown(table: Table) -> list[str]:
    head, *rows = _cells(table)
    rule = ["---", *["---:"] * (len(head) - 1)]
    return ["| " + " | ".join(line) + " |" for line in (head, rule, *rows)]


def _aligned(line: Sequence[str], widths: Sequence[int]) -> list[str]:
    """The first column to the left, numbers to the right."""
    return [line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]
