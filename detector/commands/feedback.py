"""`python -m detector feedback`: how right the detector was, by the labels that come."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from detector import settings
from detector.commands.run import ENDING, ended_in_time
from detector.errors import INTERRUPTED, UsageError
from detector.feedback.figures import Shown, as_dict, as_text
from detector.feedback.loop import Feedback
from detector.log import configure, logger

ABOUT = "join scores and labels, tell precision and recall"
DETAIL = """\
Reads each row's score (`run --scores-topic`) and the labels, joins them by row id, and exports how right the detector
was over its last labelled rows, by the definitions of `trainer evaluate`. What it counted outlives restarts."""
SETTINGS = settings.FeedbackSettings
log = logger("detector")


def run(chosen: settings.FeedbackSettings) -> int:
    """Runs until SIGTERM, SIGINT or the end, of which it prints the figures; the exit code."""
    configure(chosen.log_format, chosen.log_level)
    feedback = Feedback(chosen)
    received: set[int] = set()

    def stop(number: int, frame: object) -> None:
        received.add(number)
        feedback.stop()

    for number in ENDING:
        signal.signal(number, stop)
    log.info("feedback_started", group=chosen.feedback_group, metrics=feedback.endpoint.address)
    with ended_in_time(feedback.stop):
        feedback.run()
    if chosen.until_end and not received:
        print(as_text(feedback.shown))
        if chosen.json:
            _write(chosen.json, feedback.shown)
    log.info("stopped")
    return INTERRUPTED if signal.SIGINT in received else 0


def _write(path: Path, shown: Shown) -> None:
    try:
        path.write_text(json.dumps(as_dict(shown), indent=2) + "\n")
    except OSError as error:
        raise UsageError(f"setting json has value {str(path)!r}: {error.strerror or error}") from error
