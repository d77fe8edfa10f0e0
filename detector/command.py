"""What the three command lines share: exit codes, and one line for a person instead of a traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable

from detector.errors import EXIT_CODES, INTERRUPTED, Failure


def exit_codes_text() -> str:
    """The exit codes for the foot of a help text."""
    return "exit codes:\n" + "\n".join(f"  {code:<3} {meaning}" for code, meaning in EXIT_CODES.items())


def ended(command: Callable[[], int]) -> int:
    """A command's exit code; a Failure is one line on stderr, never a traceback."""
    try:
        return command()
    except Failure as failure:
        print(f"error: {failure}", file=sys.stderr)
        return failure.code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
