"""Command line: `python -m replay backtest DATA --model DIR`."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from typing import Any

from detector import settings
from detector.command import ended, told
from detector.errors import UsageError
from replay.backtest.played import refuse_early
from replay.backtest.run import Order, Result, backtest
from replay.backtest.settings import PREFIX, Settings
from replay.backtest.subjects import loaded, sent_as
from replay.pipeline import opened

MODELS = 2
"""That a report shows side by side, at most."""


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns its exit code."""
    return ended(lambda: _run(vars(parser().parse_args(argv))))


def parser() -> argparse.ArgumentParser:
    """The command line, with every setting."""
    about = told("Plays history flat out through the real detector, and writes what it would have done as one page.")
    about["description"] += (
        "\nStarts what it needs: a broker in this process, or topics of its own on yours, and a detector for each "
        "model.\nNothing of it is left at the end, nor after Ctrl-C."
    )
    top = argparse.ArgumentParser(prog="python -m replay backtest", conflict_handler="resolve", **about)
    top.add_argument("data", metavar="DATA", nargs="+", help="rows, as `python -m replay` takes them")
    settings.add_flags(top, Settings, PREFIX)
    meaning = "an artifact; a second --model DIR is shown beside it (required)"
    top.add_argument("--model", metavar="DIR", action="append", help=f"{meaning} [{PREFIX}MODEL]")
    between = next(action for action in top._actions if action.dest == "between")
    between.nargs, between.metavar = 2, ("T1", "T2")
    return top


def _run(flags: dict[str, Any]) -> int:
    from replay.backtest import report  # matplotlib takes a second to import

    chosen = settings.load(Settings, flat(flags), PREFIX)
    report.refuse_to_replace(chosen.out)
    logging.getLogger("detector.kafka").setLevel(logging.ERROR)  # what it would say of waiting is said by the replay
    result = _tested(flags["data"], chosen)
    with result.parts.part("report"):
        report.write(chosen.out, report.html(result))
    _tell(result, chosen)
    return 0


def flat(flags: dict[str, Any]) -> dict[str, Any]:
    """The flags as settings: one value for each."""
    models = [*(flags["model"] or ()), *([flags["other_model"]] if flags["other_model"] else ())]
    if len(models) > MODELS:
        raise UsageError(f"{len(models)} models are named by --model, one or two wanted")
    between = "/".join(flags["between"]) if flags["between"] else None
    one, other = flags["model"][0] if flags["model"] else None, models[-1] if models[1:] else flags["other_model"]
    return flags | {"model": one, "other_model": other, "between": between}


def _tested(data: Sequence[str], chosen: Settings) -> Result:
    subjects = loaded(chosen.models, chosen.amount)
    order = Order(chosen, subjects, *sent_as(subjects, chosen.format))
    history = opened(data, order.replayed(), order.schema, _say)
    try:
        if history.span:
            refuse_early(history.name, history.span[0])
        return backtest(history, order, _say)
    finally:
        history.close()


def _tell(result: Result, chosen: Settings) -> None:
    from replay.backtest.totals import text

    print(text(result))
    print(f"report: {chosen.out}", flush=True)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
