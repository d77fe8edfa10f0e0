"""A feedback process that ends itself by SIGKILL at a step of a transaction: `STEP NUMBER` and feedback's own flags."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Sequence

from detector.__main__ import parser
from detector.feedback.loop import Feedback
from detector.settings import FeedbackSettings, load


def main(argv: Sequence[str]) -> None:
    """Runs until that step of the transaction of that number."""
    step, number, *flags = argv
    logging.basicConfig(level="INFO", stream=sys.stderr)
    left = int(number)

    def at(done: str) -> None:
        nonlocal left
        left -= done == step
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    Feedback(load(FeedbackSettings, vars(parser().parse_args(["feedback", *flags])), "DETECTOR_"), at).run()


if __name__ == "__main__":
    main(sys.argv[1:])
