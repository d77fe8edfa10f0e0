"""`evaluate`: scores against the truth."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from detector import artifact, table
from detector.errors import DataRefused
from trainer import scoring
from trainer.commands.arguments import add_data, add_label, threshold_of
from trainer.datasets import open_data

ABOUT = "compare scores with the labels of DATA"


def add(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("model", metavar="DIR", type=Path, help="an artifact")
    add_data(parser)
    add_label(parser)
    parser.add_argument("--threshold", metavar="SPEC", default="", help="overrides the artifact's")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def run(arguments: argparse.Namespace) -> None:
    """Does it."""
    from trainer.evaluate import as_text, evaluate  # scikit-learn takes a second to import

    found = artifact.load(arguments.model)
    data = open_data(arguments.data)
    label = table.label_column(data.frame, arguments.label or found.schema.label)
    if label is None:
        raise DataRefused(f"data {data.name}: no label column found; name it with --label")
    truth = table.anomalous(data.frame, label, arguments.normal or found.schema.normal)
    scores = scoring.score(found, found.model(), data.frame)
    figures = evaluate(scores, truth, threshold_of(found, arguments.threshold))
    print(json.dumps(figures.to_dict(), indent=2) if arguments.json else as_text(figures))
