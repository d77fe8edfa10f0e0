"""A process that was told to end does so in time, whatever holds up its own thread."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from detector.errors import BrokerUnavailable

PROGRAM = """
import os, signal, sys, threading
from detector.commands import run

run.PATIENCE_SECONDS = float(sys.argv[1])
held_up, stopped = threading.Event(), threading.Event()
for number in (*run.ENDING, signal.SIGUSR1):
    signal.signal(number, lambda *_: None)
with run.ended_in_time(stopped.set):
    print("ready", flush=True)
    (stopped if sys.argv[2] == "willing" else held_up).wait()
"""


@contextmanager
def program(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A process that waits to be told to end. willing: and then does; held-up: and cannot."""
    command = [sys.executable, "-c", PROGRAM, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield process
        finally:
            process.kill()


def test_held_up() -> None:
    """A process that is held up when it is told to end is ended: one line, and the code for a broker that is away."""
    with program("0.1", "held-up") as process:
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (
        BrokerUnavailable.code,
        "error: told to end, but no broker answers: its rows will be read again\n",
    )


def test_willing() -> None:
    """A process that ends when it is told to is let."""
    with program("60", "willing") as process:
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30) == ("", "")
    assert process.returncode == 0


def test_other_signals() -> None:
    """A signal that does not ask for the end brings none about."""
    with program("0", "willing") as process:
        process.send_signal(signal.SIGUSR1)
        process.send_signal(signal.SIGUSR1)
        try:
            process.wait(0.3)
        except subprocess.TimeoutExpired:
            return
    raise AssertionError("it ended")
