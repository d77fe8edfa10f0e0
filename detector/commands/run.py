"""`python -m detector run`: joins the group, scores rows, publishes alerts."""

from __future__ import annotations

import logging
import signal
import sys

from detector import settings
from detector.errors import INTERRUPTED
from detector.service import Service

ABOUT = "consume, score, alert"
DETAIL = "Joins the group, scores rows, publishes alerts and dead letters with the offsets they come from."
SETTINGS = settings.Settings
log = logging.getLogger("detector")

SWITCH_SECONDS = 0.0005
"""How soon the thread that commits gets its turn beside the loop; Python's 5 ms would be longer than the commit."""


def run(chosen: settings.Settings) -> int:
    """Runs until SIGTERM, SIGINT or the end; the exit code."""
    logging.basicConfig(
        level=chosen.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr
    )
    service = Service(chosen)
    received: set[int] = set()

    def stop(number: int, frame: object) -> None:
        received.add(number)
        service.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    sys.setswitchinterval(SWITCH_SECONDS)
    _tell(service)
    service.run()
    log.info("stopped")
    return INTERRUPTED if signal.SIGINT in received else 0


def _tell(service: Service) -> None:
    name, line = service.models.serving.artifact.name, service.models.serving.line
    log.info(
        "started model=%s version=%s sha256=%s threshold=%.9g method=%s metrics=%s",
        name.name,
        name.version,
        name.sha256[:12],
        line.calibrated.value,
        line.running.text if line.running else line.calibrated.method,
        service.endpoint.address,
    )
