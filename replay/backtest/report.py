"""The report as one file: written whole or not at all, and never over something else."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

from detector.errors import Failure
from detector.page import page
from detector.page.content import Table
from detector.page.timeline import time_text
from replay.backtest.outcome import Outcome
from replay.backtest.run import Result
from replay.backtest.sections import compose
from replay.backtest.totals import totals

MARK = '<meta name="generator" content="streaming-fraud-detector backtest">'
"""Stands in the first lines of every report: how one is known again."""

INDENTED = re.compile("^  ")
"""Before a total that is part of the one above; HTML would drop the blanks."""


def html(result: Result) -> str:
    """The page."""
    names = [one.subject.title for one in result.outcomes]
    right = frozenset(range(1, len(names) + 1))
    lines = tuple((INDENTED.sub(2 * "\N{NO-BREAK SPACE}", name), *cells) for name, *cells in totals(result))
    figures = Table("Totals of all rows", ("figure", *names), lines, right)
    return page.render(f"Backtest of {' and '.join(names)}", MARK, facts(result), figures, compose(result))


def facts(result: Result) -> dict[str, str]:
    """What the report is about."""
    first, last = min(one.span[0] for one in result.outcomes), max(one.span[1] for one in result.outcomes)
    span = f"{time_text(first)} to {time_text(last)}" if result.timed else "no event times"
    models = {f"Model {place}": _model(one) for place, one in enumerate(result.outcomes, 1)}
    dead = "; ".join(f"{len(one.rows):,} and {sum(one.dead.values()):,}" for one in result.outcomes)
    took = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in result.parts.seconds.items())
    return {
        "Data": result.data,
        "Rows played": f"{result.rows:,}, {result.format}",
        "Scored and dead letters": dead,
        "Event time": span,
        **(models if len(models) > 1 else {"Model": _model(result.outcomes[0])}),
        "Labels": "yes" if result.outcomes[0].labelled else "none",
        "Broker": result.about,
        "Took": took,
    }


def _model(one: Outcome) -> str:
    found = one.subject.artifact
    return f"{found.name.name} version {found.name.version} ({found.name.sha256[:12]}), {found.path}"


def refuse_to_replace(out: Path) -> None:
    """Failure where `out` is something that is no report of a backtest, or cannot be: it would be lost."""
    if out.is_symlink() or (out.exists() and not _is_report(out)):
        raise Failure(f"out {out}: exists and is no report of a backtest; it is left as it is")
    if not out.parent.is_dir():
        raise Failure(f"out {out}: {out.parent} is no directory")


def _is_report(out: Path) -> bool:
    if not out.is_file():
        return False
    with out.open("r", encoding="utf-8", errors="replace") as file:
        return MARK in file.read(2000)


def write(out: Path, text: str) -> None:
    """Writes the page beside its place and moves it there."""
    refuse_to_replace(out)
    try:
        handle, staged = tempfile.mkstemp(prefix=f".{out.name}.", dir=out.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(staged, 0o666 & ~umask)  # a temporary file is its owner's alone
            os.replace(staged, out)
        finally:
            Path(staged).unlink(missing_ok=True)
    except OSError as error:
        raise Failure(f"out {out}: {error.strerror or error}") from error
