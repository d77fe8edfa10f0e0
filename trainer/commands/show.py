"""`show`: what an artifact is."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from detector import artifact
from detector.artifact import Artifact
from trainer.truncation import comparison, losses

ABOUT = "say what an artifact is"
NOT_SAID = "not said: the artifact is of an earlier version"


def add(parser: argparse.ArgumentParser) -> None:
    """Its arguments."""
    parser.add_argument("model", metavar="DIR", type=Path, help="an artifact")
    parser.add_argument("--json", action="store_true", help="print its whole manifest")


def run(arguments: argparse.Namespace) -> None:
    """Does it."""
    found = artifact.load(arguments.model)
    print(json.dumps(found.manifest, indent=2) if arguments.json else describe(found))


def describe(found: Artifact) -> str:
    m, schema = found.manifest, found.schema
    training, data = m["training"], m["data"]
    shown = ", ".join(schema.features[:8]) + (f", ... {schema.features[-1]}" if len(schema.features) > 8 else "")
    lines = {
        "model": f"{found.name.name} version {found.name.version}, sha256 {found.name.sha256[:12]}",
        "made": f"{m['created_at']} by recipe {training['recipe']}, seed {training['seed']}",
        "data": f"{data['name']}: {data['rows']} rows, {training['anomalous_rows_left_out']} anomalous left out",
        "trained": f"on {training['training_rows']} rows, {training['epochs']} epochs, best {training['best_epoch']}; "
        f"{training['held_out_rows']} rows held out",
        "features": f"{len(schema.features)}: {shown}",
        "may be missing": ", ".join(schema.optional) or "none",
        "columns": f"key {schema.key}, time {schema.time}, label {schema.label} (normal = {schema.normal})",
        "threshold": f"{found.threshold.value:.9g} by {found.threshold.method}",
        "score": training.get("score", NOT_SAID),
        "normal scores": f"median {found.summary.median:.6g}, MAD {found.summary.mad:.6g}, of {found.summary.rows}",
    }
    if cost := training.get("truncation"):
        lines |= {"truncate": losses(cost), "its cost": comparison(cost)}
    lines["directory"] = str(found.path)
    return "\n".join(f"{name:<16}{value}" for name, value in lines.items())
