"""Command line: `python -m trainer COMMAND`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from detector.command import ended, exit_codes_text
from detector.threshold import METHODS
from trainer.commands import (
    convert,
    evaluate,
    fetch,
    fit,
    generate,
    inspect,
    recipes,
    report,
    score,
    show,
    sign,
    threshold,
)
from trainer.datasets import KNOWN
from trainer.recipes import RECIPES

COMMANDS = {
    "fit": fit,
    "score": score,
    "evaluate": evaluate,
    "show": show,
    "generate": generate,
    "convert": convert,
    "fetch": fetch,
    "inspect": inspect,
    "recipes": recipes,
    "report": report,
    "threshold": threshold,
    "sign": sign,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; returns its exit code."""
    arguments = parser().parse_args(argv)
    return ended(lambda: arguments.run(arguments) or 0)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    foot = _foot()
    top = argparse.ArgumentParser(
        prog="python -m trainer",
        description="Turns history into a model that the detector serves.",
        epilog=foot,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        one = commands.add_parser(
            name,
            help=command.ABOUT,
            description=f"{command.ABOUT[0].upper()}{command.ABOUT[1:]}.",
            epilog=foot,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        command.add(one)
        one.set_defaults(run=command.run)
    return top


def _foot() -> str:
    known = "\n".join(f"  {name:<18}{one.about}" for name, one in KNOWN.items())
    recipes = "\n".join(f"  {name:<18}{one.about}" for name, one in RECIPES.items())
    methods = "\n".join(f"  {name:<22}{meaning}" for name, meaning in METHODS.items())
    return f"known data sets:\n{known}\n\nrecipes:\n{recipes}\n\nthresholds:\n{methods}\n\n{exit_codes_text()}"


if __name__ == "__main__":
    sys.exit(main())
