"""A detector on a machine whose clock jumps: `python -m tests.integration.jumping run ...`.

Each time that it is asked the clock is a day earlier, or later, than it should be.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from itertools import cycle

DAY = 86_400.0


def jumping(clock: Callable[[], float]) -> Callable[[], float]:
    """The clock, a day back and a day ahead by turns."""
    steps = cycle((-DAY, DAY))
    return lambda: clock() + next(steps)


def main(command: Sequence[str]) -> int:
    """The detector's exit code."""
    time.time = jumping(time.time)  # before anybody takes the function itself
    from detector.__main__ import main as detector

    return detector(command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
