"""`score`: a table scored by the model that the detector serves."""

from __future__ import annotations

import argparse
from pathlib import Path

from detector import artifact, table
from trainer import scoring
from trainer.commands.arguments import add_data, threshold_of
from trainer.datasets import open_data

ABOUT = "score the rows of DATA with the detector's own model"


def add(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("model", metavar="DIR", type=Path, help="an artifact")
    add_data(parser)
    parser.add_argument("--out", metavar="FILE", type=Path, required=True, help="CSV, Parquet or TFRecord to write")
    parser.add_argument("--threshold", metavar="SPEC", default="", help="overrides the artifact's")


def run(arguments: argparse.Namespace) -> None:
    """Does it."""
    found = artifact.load(arguments.model)
    frame = table.with_features(open_data(arguments.data).frame, found.schema.features)
    line = threshold_of(found, arguments.threshold)
    rows = scoring.verdicts(scoring.score(found, found.model(), frame), line)
    table.write(rows, arguments.out)
    print(f"{len(rows)} rows, {int((rows.verdict == 'alert').sum())} alerts above {line:.9g}: {arguments.out}")
