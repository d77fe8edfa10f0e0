"""`evaluate`: scores against the truth."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pandas as pd

from detector import artifact, table
from detector.artifact import Artifact
from detector.errors import DataRefused
from trainer import scoring
from trainer.amounts import amount_column, amounts
from trainer.commands.arguments import add_data, add_label, threshold_of
from trainer.datasets import open_data
from trainer.evaluate import as_text, evaluate
from trainer.history import days

ABOUT = "compare scores with the labels of DATA"


def add(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("model", metavar="DIR", type=Path, help="an artifact")
    add_data(parser)
    add_label(parser)
    parser.add_argument("--time", metavar="COLUMN", help="column of the event time (default: the artifact's; or none)")
    parser.add_argument("--amount", metavar="COLUMN", help="column of the value at stake (default: the artifact's)")
    parser.add_argument("--threshold", metavar="SPEC", default="", help="overrides the artifact's")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def run(arguments: argparse.Namespace) -> None:
    """Does it."""
    found = artifact.load(arguments.model)
    line = threshold_of(found, arguments.threshold)
    data = open_data(arguments.data)
    frame = table.with_features(data.frame, found.schema.features)
    label = table.label_column(frame, arguments.label or found.schema.label)
    if label is None:
        raise DataRefused(f"data {data.name}: no label column found; name it with --label")
    truth = table.anomalous(frame, label, arguments.normal or found.schema.normal)
    span = _span(found, frame, arguments.time)
    amount = amount_column(frame, arguments.amount or _held(frame, found.calibration.amount))
    values = amounts(frame, amount) if amount else None
    scores = scoring.score(found, found.model(), frame)
    figures = evaluate(scores, truth, line, span, amount, values)
    print(json.dumps(figures.to_dict(), indent=2) if arguments.json else as_text(figures))


def _span(found: Artifact, frame: pd.DataFrame, asked: str | None) -> float | None:
    """Days between the rows, None without a time."""
    time = table.time_column(frame, asked or _held(frame, found.schema.time) or "none")
    return days(table.event_milliseconds(frame, time)) if time else None


def _held(frame: pd.DataFrame, column: str | None) -> str | None:
    return column if column in frame.columns else None
