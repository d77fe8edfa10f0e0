"""Command line: `python -m replay DATA`, and `python -m replay COMMAND ...` for what goes beyond playing."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from detector import artifact, settings
from detector.command import ended, told
from detector.errors import INTERRUPTED, BrokerUnavailable
from replay import dry_run
from replay.backtest import command as backtest
from replay.inject import broken, scenarios
from replay.pipeline import opened, played
from replay.run import run
from replay.settings import PREFIX, Settings
from replay.summary import Summary, continued

DATA = (
    "rows: CSV (also .gz .xz .zst), Parquet or TFRecord files, patterns, directories; "
    "or kafka://TOPIC?from=T1&to=T2 (ISO 8601, ms since 1970, or offset:N); or - for CSV on standard input"
)


COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {"backtest": backtest.main, "scenarios": scenarios.main}
"""What the first argument may be instead of data; the first line of each one's docstring tells what it does."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    given = sys.argv[1:] if argv is None else argv
    if given and given[0] in COMMANDS:
        return COMMANDS[given[0]](given[1:])
    return ended(lambda: _run(vars(parser().parse_args(given))))


def parser() -> argparse.ArgumentParser:
    """The command line, with every setting."""
    about = told("Publishes the rows of files in the order of their event time.")
    about["description"] += (
        "\nCtrl-C and SIGTERM wait for what is on its way and end with a summary; a second one ends at once."
    )
    about["description"] += "\n\nOther commands (a file of such a name is ./NAME):"
    for name, command in COMMANDS.items():
        about["description"] += f"\n  python -m replay {name}: {(command.__doc__ or '').splitlines()[0]}"
    top = argparse.ArgumentParser(prog="python -m replay", **about)
    top.add_argument("data", metavar="DATA", nargs="+", help=DATA)
    settings.add_flags(top, Settings, PREFIX)
    between = next(action for action in top._actions if action.dest == "between")
    between.nargs, between.metavar = 2, ("T1", "T2")
    return top


def _run(flags: dict[str, Any]) -> int:
    if flags["between"]:
        flags["between"] = "/".join(flags["between"])
    chosen = settings.load(Settings, flags, PREFIX)
    schema = artifact.load(Path(chosen.model)).schema if chosen.model else None
    logging.getLogger("detector.kafka").setLevel(logging.ERROR)  # what it would say of waiting is said by the replay
    history = opened(flags["data"], chosen, schema, lambda line: print(line, file=sys.stderr, flush=True))
    try:
        broken.refuse(history, chosen)
        if chosen.dry_run:
            rows = played(history, chosen, broken.stages(history, chosen))
            print(dry_run.text(history, rows, chosen), flush=True)
            return 0
        return _told(run(history, chosen), chosen)
    finally:
        history.close()


def _told(summary: Summary, chosen: Settings) -> int:
    """Says what came of it; the exit code."""
    print(summary.text(), flush=True)
    failure = summary.outcome()
    if summary.stopped and (summary.interrupted or isinstance(failure, BrokerUnavailable)):
        print(continued(summary.stopped, chosen), file=sys.stderr, flush=True)
    if failure:
        raise failure
    return INTERRUPTED if summary.interrupted else 0


if __name__ == "__main__":
    sys.exit(main())
