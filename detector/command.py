"""What the three command lines share: exit codes, and one line for a person instead of a traceback."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from detector.errors import EXIT_CODES, INTERRUPTED, Failure
from detector.log import tell_failure

SETTINGS = (
    "Each setting may also stand in the TOML file or, as shown in brackets, in the environment; "
    "a flag wins over the environment, and that over the file."
)


def exit_codes_text() -> str:
    """The exit codes for the foot of a help text."""
    return "exit codes:\n" + "\n".join(f"  {code:<3} {meaning}" for code, meaning in EXIT_CODES.items())


def told(description: str, with_settings: bool = True) -> dict[str, Any]:
    """What the parsers of all command lines share; with_settings: for a command that has a settings class."""
    return {
        "description": f"{description}\n{SETTINGS}" if with_settings else description,
        "epilog": exit_codes_text(),
        "formatter_class": argparse.RawDescriptionHelpFormatter,
        "allow_abbrev": False,
    }


def ended(command: Callable[[], int]) -> int:
    """A command's exit code; a Failure is one line on stderr, never a traceback."""
    try:
        return command()
    except Failure as failure:
        tell_failure(f"error: {failure}", str(failure), failure.code)
        return failure.code
    except KeyboardInterrupt:
        tell_failure("interrupted", "interrupted", INTERRUPTED)
        return INTERRUPTED


def columns(rows: Sequence[Sequence[str]], right: bool = False) -> str:
    """Rows of cells in columns two spaces apart; right: all but the first are numbers, and end together."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(_cells(row, widths, right)).rstrip() for row in rows)


def _cells(row: Sequence[str], widths: Sequence[int], right: bool) -> list[str]:
    cells = list(zip(row, widths, strict=True))
    return [cell.rjust(width) if right and place else cell.ljust(width) for place, (cell, width) in enumerate(cells)]
