"""What Prometheus is told of a training: a file for node_exporter, as nothing stays that could be scraped."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from detector.artifact import Artifact
from detector.errors import Failure
from detector.families import Families, Family, bounded

METRICS = {
    "last_success_timestamp_seconds": "When the last model was made, s since 1970.",
    "duration_seconds": "How long it took, from the data to the artifact.",
    "epochs": "Epochs that it was trained for.",
    "threshold": "Score above which it alerts.",
    "rows": "Rows of history, by what they were used for.",
    "loss": "Loss of the epoch whose weights were kept.",
    "model_info": "The model.",
}
"""Gauges, by what follows `trainer_`."""

Values = Mapping[tuple[str, ...], float]
"""By the values of a metric's labels."""


def families(made: Artifact, seconds: float) -> Iterator[Family]:
    """Metrics of an artifact, and of how long it took to make, s. `model` keeps those of several apart."""
    model = bounded(made.name.name)
    found = _alone(made, seconds) | _by_use(made)
    for name, (more, values) in found.items():
        samples = [((model, *labels), value) for labels, value in values.items()]
        yield Family("gauge", f"trainer_{name}", METRICS[name], ["model", *more], samples)


def _alone(made: Artifact, seconds: float) -> dict[str, tuple[list[str], Values]]:
    return {
        "last_success_timestamp_seconds": ([], {(): made.made}),
        "duration_seconds": ([], {(): seconds}),
        "epochs": ([], {(): made.manifest["training"]["epochs"]}),
        "threshold": ([], {(): made.threshold.value}),
        "model_info": (["version", "sha256"], {(bounded(made.name.version), made.name.sha256): 1}),
    }


def _by_use(made: Artifact) -> dict[str, tuple[list[str], Values]]:
    """Rows; and losses, where there are epochs."""
    training = made.manifest["training"]
    rows = {"training": "training_rows", "held_out": "held_out_rows", "left_out": "anomalous_rows_left_out"}
    curves, kept = {"training": "losses", "held_out": "held_out_losses"}, training["best_epoch"] - 1
    counts: Values = {(use,): training[key] for use, key in rows.items()}
    losses: Values = {(use,): training[key][kept] for use, key in curves.items() if kept >= 0}
    return {"rows": (["use"], counts), "loss": (["use"], losses)}


def write(path: Path, made: Artifact, seconds: float) -> None:
    """Replaces a file in one step, so that who reads it finds a whole one; Failure where it cannot be written."""
    _, text, _ = Families(lambda: families(made, seconds)).render("")
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_bytes(text)
        os.replace(part, path)
    except OSError as error:
        raise Failure(f"metrics {path}: {error.strerror or error}") from error
