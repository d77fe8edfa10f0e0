"""What a person sees while a set comes in: a bar where someone watches, plain lines otherwise."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from trainer.fetch.download import Told

LINE_SECONDS = 5.0
MEGABYTE = 1_000_000

Unit = Literal["MB", "files"]


@contextmanager
def told(name: str, unit: Unit) -> Iterator[Told]:
    """What to tell how much of a set is there, and of how much: bytes, or files."""
    if sys.stderr.isatty():
        yield from _bar(name, unit)
    else:
        yield _lines(name, unit)


def amount(there: int, total: int | None, unit: Unit) -> str:
    """How much, for people."""
    scale, digits = (MEGABYTE, 1) if unit == "MB" else (1, 0)
    whole = "" if total is None else f" of {total / scale:,.{digits}f}"
    return f"{there / scale:,.{digits}f}{whole} {unit}"


def _bar(name: str, unit: Unit) -> Iterator[Told]:
    from rich.console import Console  # only where a person watches
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(name), BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=None)

        def tell(there: int, total: int | None) -> None:
            bar.update(task, completed=there, total=total, description=amount(there, total, unit))

        yield tell


def _lines(name: str, unit: Unit) -> Told:
    last = 0.0

    def tell(there: int, total: int | None) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= LINE_SECONDS or there == total:
            last = now
            print(f"fetch: {name} {amount(there, total, unit)}", file=sys.stderr, flush=True)

    return tell
