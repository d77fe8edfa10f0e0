"""Command line: `python -m deploy.local`, which is `make demo`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deploy.local.demo import Demo, Stop
from deploy.local.settings import PREFIX, Settings
from deploy.local.show import show
from detector import settings
from detector.children import Children
from detector.command import ended, told


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the demo; returns its exit code."""
    return ended(lambda: _run(vars(parser().parse_args(argv))))


def parser() -> argparse.ArgumentParser:
    """The command line, with every setting."""
    about = told("Trains a model, and lets rows flow through Kafka and the detector while you watch.")
    about["description"] += "\nCtrl-C ends it; nothing is left behind."
    top = argparse.ArgumentParser(prog="python -m deploy.local", **about)
    settings.add_flags(top, Settings, PREFIX)
    return top


def _run(flags: dict[str, Any]) -> int:
    chosen = settings.load(Settings, flags, PREFIX)
    stop, shown = Stop(), show()
    with tempfile.TemporaryDirectory(prefix="fraud-demo-", ignore_cleanup_errors=True) as directory:
        try:
            with Children(Path(directory), chosen.kafka) as children:
                Demo(chosen, Path(directory), children, shown, stop).run()
        finally:
            shown.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
