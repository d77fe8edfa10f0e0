"""`report`: what a model does, as one HTML file with its pictures."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from detector import artifact
from detector.threshold import Threshold
from trainer.commands.arguments import add_label, threshold_of
from trainer.datasets import open_data

ABOUT = "draw what a model does on DATA: one HTML file and its pictures"


def add(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("model", metavar="DIR", type=Path, help="an artifact")
    parser.add_argument(
        "data", metavar="DATA", nargs="?", help="rows to look at (default: only what the artifact holds)"
    )
    add_label(parser)
    parser.add_argument("--time", metavar="COLUMN", help="column of the event time (default: the artifact's; or none)")
    parser.add_argument("--threshold", metavar="SPEC", default="", help="overrides the artifact's")
    parser.add_argument(
        "--out", metavar="REPORT_DIR", type=Path, help="where it goes (default: DIR with .report behind its name)"
    )


def run(arguments: argparse.Namespace) -> None:
    """Does it."""
    from trainer.report import evidence, folder, page, sections  # matplotlib and scikit-learn take a second to import

    found = artifact.load(arguments.model)
    out = arguments.out or folder.beside(arguments.model)
    folder.refuse_to_replace(out)
    value = threshold_of(found, arguments.threshold)
    line = Threshold(value, arguments.threshold.strip() or found.threshold.method)
    said = evidence.Said(arguments.label, arguments.normal, arguments.time)
    if arguments.data is None:
        seen = evidence.of_artifact(found, line)
    else:
        seen = evidence.of_data(found, line, open_data(arguments.data), said)
    parts = sections.compose(seen, _tell)
    pictures = [picture for part in parts for picture in part.pictures]
    content = page.render(seen, parts)
    folder.write(out, content, pictures)
    size = len(content.encode()) / 1e6
    print(f"{len(pictures)} pictures of {len(seen.scores):,} rows, {size:.1f} MB: {out / folder.PAGE}")


def _tell(name: str) -> None:
    """Where someone watches, says what is being drawn."""
    if sys.stderr.isatty():
        print(f"\r\x1b[Kreport: {name}", end="", file=sys.stderr, flush=True)
