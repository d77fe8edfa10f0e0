"""The console beside the demo."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
import time
import webbrowser
from collections.abc import Callable

from deploy.local.broker import Broker
from detector.children import Children
from detector.errors import Failure

ADDRESS = re.compile(r"\bconsole=(\S+)")
READY_SECONDS = 60.0
LOOK_SECONDS = 0.1
ABSENT = "not started: pip install 'streaming-fraud-detector[console]'"


def start(children: Children, broker: Broker, check: Callable[[], None]) -> str | None:
    """Starts the console on the demo's topics, opens it where somebody sits before the screen; its address.

    None where NiceGUI is not installed. check: raises where the person wants to end.
    """
    if importlib.util.find_spec("nicegui") is None:
        return None
    order = {
        "--bootstrap-servers": broker.bootstrap_servers,
        "--input-topic": broker.transactions,
        "--alerts-topic": broker.alerts,
        "--dead-letters-topic": broker.dead_letters,
        "--labels-topic": broker.labels,
        "--drift-topic": broker.drift,
        "--scores-topic": broker.scores,
        "--group": broker.group,
        "--console-port": "0",
    }
    flags = [text for pair in order.items() for text in pair]
    child = children.start("console", "detector", "console", *flags, endless=True)
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if found := ADDRESS.search(child.said()):
            _open(found[1])
            return found[1]
        child.wait(LOOK_SECONDS)
        child.check()
        check()
    raise Failure(f"the console was not ready after {READY_SECONDS:g} s")


def _open(address: str) -> None:
    """In the person's browser: only where a terminal and a screen are theirs."""
    screen = sys.platform == "darwin" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if screen and sys.stdout.isatty():
        webbrowser.open(address)
