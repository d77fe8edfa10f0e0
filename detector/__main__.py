"""Command line: `python -m detector COMMAND`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from detector import settings
from detector.command import ended, told
from detector.commands import audit, check, console, create_topics, dead_letters, feedback, run

PREFIX = "DETECTOR_"
COMMANDS: dict[str, Any] = {
    "run": run,
    "check": check,
    "create-topics": create_topics,
    "audit": audit,
    "dead-letters": dead_letters,
    "feedback": feedback,
    "console": console,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; returns its exit code."""
    flags = vars(parser().parse_args(argv))
    command = COMMANDS[flags.pop("command")]
    return ended(lambda: int(command.run(settings.load(command.SETTINGS, flags, PREFIX))))


def parser() -> argparse.ArgumentParser:
    """The command line, with every setting."""
    top = argparse.ArgumentParser(
        prog="python -m detector",
        **told("Scores the rows of a Kafka topic with a trained model and publishes alerts.", with_settings=False),
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        one = commands.add_parser(name, help=command.ABOUT, **told(command.DETAIL))
        settings.add_flags(one, command.SETTINGS, PREFIX)
    return top


if __name__ == "__main__":
    sys.exit(main())
