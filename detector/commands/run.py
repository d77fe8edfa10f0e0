"""`python -m detector run`: joins the group, scores rows, publishes alerts."""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from detector import settings
from detector.errors import INTERRUPTED, BrokerUnavailable
from detector.log import configure, logger, tell_failure
from detector.service import Service

ABOUT = "consume, score, alert"
DETAIL = "Joins the group, scores rows, publishes alerts and dead letters with the offsets they come from."
SETTINGS = settings.Settings
log = logger("detector")

ENDING = (signal.SIGTERM, signal.SIGINT)

PATIENCE_SECONDS = 15.0
"""How long the client may hold up a process that was told to end: it may wait for a broker as long as one is away."""

COLLECTED = (50_000, 20, 50)
"""How many containers more than were freed are made before Python looks for those that refer to each other, and how
often it looks further. Its 700 are fewer than the messages and records of one batch, which it would look through again
and again: a tenth of the time, twice as much of a flood of bad ones."""

SWITCH_SECONDS = 0.0005
"""How soon the thread that commits gets its turn beside the loop; Python's 5 ms would be longer than the commit."""


def run(chosen: settings.Settings) -> int:
    """Runs until SIGTERM, SIGINT or the end; the exit code."""
    configure(chosen.log_format, chosen.log_level)
    service = Service(chosen)
    received: set[int] = set()

    def stop(number: int, frame: object) -> None:
        received.add(number)
        service.stop()

    for number in ENDING:
        signal.signal(number, stop)
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.collect()
    gc.freeze()  # what is there now stays
    gc.set_threshold(*COLLECTED)
    _tell(service)
    with ended_in_time(service.stop):
        service.run()
    log.info("stopped")
    return INTERRUPTED if signal.SIGINT in received else 0


@contextmanager
def ended_in_time(stop: Callable[[], None]) -> Iterator[None]:
    """Sees to it that a process that was told to end does: with code 4 if its client waits for a broker for good.

    A signal's own handler would wait with the thread that the client holds up: this hears of it in another one.
    """
    hears, told = socket.socketpair()
    told.setblocking(False)
    ended = threading.Event()
    before = signal.set_wakeup_fd(told.fileno())
    threading.Thread(target=_insist, args=(hears, stop, ended), daemon=True).start()
    try:
        yield
    finally:
        ended.set()
        signal.set_wakeup_fd(before)
        told.close()


def _insist(hears: socket.socket, stop: Callable[[], None], ended: threading.Event) -> None:
    with hears:
        while (number := hears.recv(1)) and number[0] not in ENDING:
            pass
    if number:
        stop()
    if number and not ended.wait(PATIENCE_SECONDS):
        why = "told to end, but no broker answers: its rows will be read again"
        tell_failure(f"error: {why}", why, BrokerUnavailable.code)
        os._exit(BrokerUnavailable.code)


def _tell(service: Service) -> None:
    name, line = service.models.serving.artifact.name, service.models.serving.line
    log.info(
        "started",
        model=name.name,
        version=name.version,
        sha256=name.sha256[:12],
        threshold=line.calibrated.value,
        method=line.running.text if line.running else line.calibrated.method,
        metrics=service.endpoint.address,
    )
