"""The demo as a process, watched from outside."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).parents[2]
END_SECONDS = 180.0
LIVE = re.compile(r"demo: [\d,]*[1-9][\d,]*/")
"""A line of facts with a first row in it."""


class Running:
    """A demo whose temporary directory and output lie in a folder of the test's own."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.place = folder / "tmp"
        self.place.mkdir()
        self._out, self._err = folder / "out", folder / "err"
        own = {name: value for name, value in os.environ.items() if not name.startswith("DEMO_")}
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "deploy.local", *arguments],
                cwd=ROOT,
                env=own | {"TMPDIR": str(self.place)},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    @property
    def out(self) -> str:
        return self._out.read_text()

    @property
    def err(self) -> str:
        return self._err.read_text()

    def until(self, what: str | re.Pattern[str]) -> None:
        """Waits until the output holds it."""
        pattern = re.compile(re.escape(what)) if isinstance(what, str) else what
        eventually(lambda: bool(pattern.search(self.out)) or self.process.poll() is not None)
        assert pattern.search(self.out), f"never said {pattern.pattern!r}:\n{self.out}\n{self.err}"

    def end(self) -> int:
        """The exit code."""
        return self.process.wait(END_SECONDS)

    def children(self, module: str = "") -> list[int]:
        """Processes whose command names a file of this demo, as every child's does."""
        return [number for number, command in _commands() if str(self.place) in command and module in command]

    def nothing_left(self) -> bool:
        """Neither a process nor a file."""
        return not self.children() and not list(self.place.iterdir())


def _commands() -> Iterator[tuple[int, str]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):  # it ended in between
                yield int(entry.name), (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")


def eventually(met: Callable[[], bool], seconds: float = END_SECONDS) -> bool:
    """Whether it is met in time."""
    deadline, pause = time.monotonic() + seconds, threading.Event()
    while not met():
        if time.monotonic() > deadline:
            return False
        pause.wait(0.05)
    return True


@contextmanager
def running(folder: Path, *arguments: str) -> Iterator[Running]:
    """A demo that ends with the test, whatever the test finds."""
    demo = Running(folder, *arguments)
    try:
        yield demo
    finally:
        demo.process.kill()
        demo.process.wait()
        for number in demo.children():
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
