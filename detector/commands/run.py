"""`python -m detector run`: joins the group, scores rows, publishes alerts."""

from __future__ import annotations

import logging
import signal
import sys

from detector import artifact, settings
from detector.errors import INTERRUPTED
from detector.service import Service
from detector.serving import Serving

ABOUT = "consume, score, alert"
DETAIL = "Joins the group, scores rows, publishes alerts and dead letters with the offsets they come from."
SETTINGS = settings.Settings
log = logging.getLogger("detector")


def run(chosen: settings.Settings) -> int:
    """Runs until SIGTERM, SIGINT or the end; the exit code."""
    logging.basicConfig(
        level=chosen.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr
    )
    found = artifact.load(chosen.model)
    service = Service(chosen, Serving.of(found, chosen.threshold, chosen.format, chosen.max_row_bytes))
    received: set[int] = set()

    def stop(number: int, frame: object) -> None:
        received.add(number)
        service.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    log.info(
        "started model=%s version=%s sha256=%s threshold=%.9g method=%s metrics=%s",
        found.name.name,
        found.name.version,
        found.name.sha256[:12],
        service.serving.line.calibrated.value,
        service.serving.line.running.text if service.serving.line.running else service.serving.line.calibrated.method,
        service.endpoint.address,
    )
    service.run()
    log.info("stopped")
    return INTERRUPTED if signal.SIGINT in received else 0
