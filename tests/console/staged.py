"""A scene of the console in a process of its own, and a browser before it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Error, Page

ROOT = Path(__file__).parents[2]
SECONDS = 20_000
"""How long a browser waits for something, ms: the machine may be busy."""

LOST = "ERR_NETWORK_CHANGED"
TRIES = 3


@dataclass
class Scene:
    """A console that runs. lines: what it said."""

    address: str
    process: subprocess.Popen[str]

    def line(self) -> str:
        """The next line that it says."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


@dataclass
class Seen:
    """A page in the browser. said: its console's errors and warnings. hosts: whom it asked for anything.

    moved: how often it lost what it loaded because the machine got a network, as from Docker for another test.
    """

    page: Page
    said: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)
    moved: int = 0

    def open(self, address: str) -> None:
        """Loads a page; again where what it loaded was lost."""
        for _ in range(TRIES):
            moved = self.moved
            try:
                self.page.goto(address)
                self.page.wait_for_selector("header.top")
                return
            except Error as error:
                if self.moved == moved and LOST not in error.message:
                    raise
        raise AssertionError("the machine's networks never stood still")

    def heard(self, line: str) -> None:
        """Its console said this."""
        if LOST in line:
            self.moved += 1
        else:
            self.said.append(line)

    def asked(self, url: str) -> None:
        """It asked for this; pictures inside a page ask nobody."""
        if not url.startswith("data:"):
            self.hosts.add(urlsplit(url).netloc)


@contextmanager
def scene(name: str, *flags: str) -> Iterator[Scene]:
    """A console with a scene in it, gone when the block ends."""
    command = [sys.executable, "-m", "tests.console.stage", name, *flags]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert process.stdout is not None
        yield Scene(process.stdout.readline().strip(), process)
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@contextmanager
def looking(
    browser: Browser, address: str, path: str = "/", width: int = 1280, scheme: Literal["light", "dark"] = "light"
) -> Iterator[Seen]:
    """A page of the console in a window of so many CSS pixels."""
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    context.set_default_timeout(SECONDS)
    seen = Seen(context.new_page())
    seen.page.on("console", lambda message: seen.heard(f"{message.type}: {message.text}"))
    seen.page.on("pageerror", lambda error: seen.said.append(f"error: {error}"))
    seen.page.on("request", lambda request: seen.asked(request.url))
    seen.page.on("websocket", lambda socket: seen.asked(socket.url))
    try:
        seen.open(address + path)
        yield seen
    finally:
        context.close()
