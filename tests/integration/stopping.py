"""A detector that stands still at a step of a transaction: `python -m tests.integration.stopping STEP TURN run ...`.

At the TURN-th transaction's STEP it says so and stands until it is killed, or sent GO_ON, upon which it goes on.
What was handed to the client meanwhile travels on: only the thread that commits stands.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Sequence
from functools import partial
from typing import Any, cast

GO_ON = signal.SIGUSR1
log = logging.getLogger("tests.stopping")


class Standing:
    """What the seam calls: stands once."""

    def __init__(self, step: str, turn: int) -> None:
        self.step, self.left = step, turn

    def __call__(self, step: str) -> None:
        if step != self.step:
            return
        self.left -= 1
        if self.left == 0:
            log.info("standing step=%s", step)
            while GO_ON not in signal.sigpending():
                threading.Event().wait(0.01)
            log.info("going_on step=%s", step)


def stand(step: str, turn: int) -> None:
    """Has the detector of this process stand there."""
    # Before any thread is made, by numpy too: the signal shall stay pending, whichever thread it is for.
    signal.pthread_sigmask(signal.SIG_BLOCK, {GO_ON})
    from detector.commands import run
    from detector.service import Service

    cast(Any, run).Service = partial(Service, at=Standing(step, turn))


def main(step: str, turn: int, command: Sequence[str]) -> int:
    """The detector's exit code."""
    stand(step, turn)
    from detector.__main__ import main as detector

    return detector(command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), sys.argv[3:]))
