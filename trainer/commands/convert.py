"""`convert`: a table in another format, however long it is."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from detector import table
from detector.errors import UsageError
from trainer.commands.arguments import FILES, positive

ABOUT = "write the rows of A to B in the format that B's ending names"
LINE_SECONDS = 5.0
FEW = 8


def add(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("a", metavar="A", type=Path, help=FILES)
    out = "a CSV, Parquet or TFRecord file by its ending, or with / at its end a directory of Parquet files"
    parser.add_argument("b", metavar="B", help=out)
    parser.add_argument("--columns", metavar="A,B,...", help="only these columns, in this order (default: all)")
    parser.add_argument(
        "--rows-per-file", metavar="N", type=positive, help=f"of a directory (default: {table.ROWS_PER_FILE:,})"
    )


def run(arguments: argparse.Namespace) -> None:
    """Does it."""
    source, out = arguments.a, arguments.b
    refuse_overlap(source, Path(out))
    table.refuse_place(out)
    if arguments.rows_per_file and not table.is_folder(out):
        raise UsageError(f"--rows-per-file {arguments.rows_per_file}: {out} is one file; a directory has / at its end")
    columns = arguments.columns.split(",") if arguments.columns else None
    with told(table.describe(source).rows) as tell:
        chunks = counted(table.chunks(source, columns), tell)
        written = table.write(chunks, out, arguments.rows_per_file or table.ROWS_PER_FILE)
    print(f"{written.rows:,} rows, {written.columns} columns, {written.size:,} bytes: {out}")
    if written.rounded:
        few = ", ".join(written.rounded[:FEW]) + (", ..." if len(written.rounded) > FEW else "")
        print(f"{len(written.rounded)} column{'s'[: len(written.rounded) > 1]} rounded to float32: {few}")


def refuse_overlap(source: Path, out: Path) -> None:
    """UsageError where one is the other, or lies within it."""
    one, other = source.resolve(), out.resolve()
    if one == other:
        raise UsageError(f"{out} is what is read; another place wanted")
    if one in other.parents or other in one.parents:
        raise UsageError(f"{out} and {source}: one lies within the other; another place wanted")


def counted(chunks: Iterable[pd.DataFrame], tell: Callable[[int], None]) -> Iterator[pd.DataFrame]:
    """The chunks, with the rows so far told before each is written."""
    rows = 0
    for chunk in chunks:
        rows += len(chunk)
        tell(rows)
        yield chunk


@contextmanager
def told(total: int | None) -> Iterator[Callable[[int], None]]:
    """What to tell how many rows were read: a bar where someone watches, a line every few seconds otherwise."""
    if sys.stderr.isatty():
        yield from _bar(total)
    else:
        yield _lines(total)


def _bar(total: int | None) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("converting"), BarColumn(), TextColumn("{task.completed:,} rows"), TimeElapsedColumn())
    # Drawn when told: TensorFlow's greeting is held back on the same stream, which a clock might draw on meanwhile.
    with Progress(*columns, console=Console(stderr=True), transient=True, auto_refresh=False) as bar:
        task = bar.add_task("", total=total)
        yield lambda rows: bar.update(task, completed=rows, refresh=True)


def _lines(total: int | None) -> Callable[[int], None]:
    last = time.monotonic()

    def tell(rows: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= LINE_SECONDS:
            last = now
            print(f"converting: {rows:,}{f'/{total:,}' if total else ''} rows", file=sys.stderr, flush=True)

    return tell
