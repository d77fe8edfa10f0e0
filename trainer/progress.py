"""What a person sees while a network learns: a bar where someone watches, plain lines otherwise."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from trainer.fit import Check
from trainer.fit import Progress as Told

LINE_SECONDS = 5.0


@contextmanager
def told() -> Iterator[Told]:
    """What to tell the loss of each epoch."""
    if sys.stderr.isatty():
        yield from _bar()
    else:
        yield _lines()


def _bar() -> Iterator[Told]:
    columns = (TextColumn("training"), BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("preparing", total=None)

        def tell(epoch: int, epochs: int, loss: float, held_out: float) -> None:
            text = f"epoch {epoch}/{epochs} loss {loss:.4g} held out {held_out:.4g}"
            bar.update(task, completed=epoch, total=epochs, description=text)

        yield tell


def _lines() -> Told:
    last = 0.0

    def tell(epoch: int, epochs: int, loss: float, held_out: float) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= LINE_SECONDS or epoch == epochs:
            last = now
            print(f"training: epoch {epoch}/{epochs} loss {loss:.4g} held out {held_out:.4g}", file=sys.stderr)

    return tell


def checked(check: Check) -> None:
    """A line for each look at labelled rows; a bar stays below it."""
    figures = {"precision": "precision", "recall": "recall", "f1": "F1", "auroc": "AUROC", "best_f1": "best F1"}
    told = " ".join(f"{name} {_share(check[key])}" for key, name in figures.items() if key in check)
    at = "the threshold" if "best_f1" in check else "the best F1"
    print(f"check: batch {check['batch']} at {at}: {told}", file=sys.stderr)


def _share(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"
