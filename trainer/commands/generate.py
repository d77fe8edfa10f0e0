"""`generate`: a simulated data set as a file."""

from __future__ import annotations

import argparse
from pathlib import Path

from detector import table
from trainer.commands.arguments import positive, seed
from trainer.datasets import KNOWN

ABOUT = "write a simulated data set to a file"


def add(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("data", metavar="NAME", choices=KNOWN, help=", ".join(KNOWN))
    parser.add_argument("--out", metavar="FILE", type=Path, required=True, help="CSV, Parquet or TFRecord to write")
    parser.add_argument("--rows", type=positive, help="how many (default: the set's)")
    parser.add_argument("--seed", type=seed, default=0, help="another seed gives other rows (default: 0)")


def run(arguments: argparse.Namespace) -> None:
    """Does it."""
    known = KNOWN[arguments.data]
    frame = known.make(arguments.rows or known.rows, arguments.seed)
    table.write(frame, arguments.out)
    print(f"{len(frame)} SIMULATED rows: {arguments.out}")
