"""From data and a recipe to an artifact on disk."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector import artifact
from detector.model import Model
from detector.quiet import held_back
from detector.statistics import summarize
from detector.table.accounts import ACCOUNT_FEATURES, DROPPED, account_rows, is_accounts
from detector.threshold import calibrate, parse, refuse_running, refuse_without
from trainer.calibrate import calibration, reference
from trainer.datasets import Data
from trainer.distribution import Workers
from trainer.export import keras_file, serving_graph
from trainer.fit import Fitted, Progress, fit
from trainer.history import Columns, History, find_schema, prepare
from trainer.recipes import Recipe, refuse_columns

ERROR = "mean reconstruction error of the preprocessed row"
SURPRISE = "surprise: -ln of the share of held-out normal rows that are as odd, by the oddest of several errors"

PACKAGES = ("streaming-fraud-detector", "ai-edge-litert", "keras", "numpy", "tensorflow")


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be made. name, model_version: how the artifact is called; the rest overrides the recipe.

    tensorboard: a directory for the curves of the training as TensorBoard shows them; None for none.
    """

    recipe_name: str
    recipe: Recipe
    name: str
    model_version: str = "1"
    threshold: str | None = None
    epochs: int | None = None
    seed: int = 0
    tensorboard: Path | None = None


def build(
    data: Data, columns: Columns, order: Order, out: Path, progress: Progress, workers: Workers | None = None
) -> History:
    """Trains, exports, calibrates by the exported graph's own scores, and writes; nothing is written before the end.

    workers: those that train together, of which the chief alone writes.
    """
    artifact.refuse_to_replace(out)
    spec = parse(order.threshold or order.recipe.threshold)
    refuse_running(spec)
    if order.recipe.table == "accounts":
        data, columns = _accounts(data, columns)
    schema = find_schema(data, columns, order.recipe.features)
    if order.recipe.features is None:
        refuse_columns(order.recipe.branches, schema.features)
    found_label = columns.label is None and data.label is None
    history = prepare(data, schema, order.seed, columns.amount, order.recipe.rows, found_label)
    refuse_without(spec, history.anomalous_rows, history.days)
    fitted = fit(history, order.recipe, order.seed, order.epochs, progress, order.tensorboard, workers)
    if workers and not workers.cluster.chief:
        return history
    with held_back():
        graph = serving_graph(fitted.model)
        model = Model(graph, len(history.schema.features))
        held_out = model.score(history.held_out)
        known = calibration(history, model, order.recipe.calibrate_on, held_out)
    manifest = {
        "name": order.name,
        "version": order.model_version,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "schema": history.schema.to_dict(),
        "threshold": asdict(calibrate(spec, known)),
        "summary": asdict(summarize(known.scores)),
        "calibration": known.to_dict(),
        "training": _training(order, history, fitted, held_out),
        "data": {"name": data.name, "rows": history.rows, "sha256": history.fingerprint} | _not_english(data),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
    }
    files = {
        artifact.GRAPH: graph,
        artifact.KERAS: keras_file(fitted.model),
        artifact.REFERENCE: artifact.pack_arrays(known.to_arrays() | reference(history.held_out, held_out)),
    }
    artifact.write(out, manifest, files)
    return history


def _accounts(data: Data, columns: Columns) -> tuple[Data, Columns]:
    """Raw accounts as rows of features. That an account was made is no event, unless it is said to be one."""
    frame, label = data.frame, data.label
    if is_accounts(frame):
        frame = account_rows(frame)
    if "account_type" in frame.columns:
        label = "account_type"
    known = replace(data, frame=frame, label=label, normal="human" if label == "account_type" else data.normal)
    return known, replace(columns, features=columns.features or ACCOUNT_FEATURES, time=columns.time or "none")


def _not_english(data: Data) -> dict[str, int]:
    """How many accounts were left out for their language, where the table is of accounts."""
    return {DROPPED: data.frame.attrs[DROPPED]} if DROPPED in data.frame.attrs else {}


def _training(order: Order, history: History, fitted: Fitted, held_out: NDArray[np.float32]) -> dict[str, Any]:
    return {
        "recipe": order.recipe_name,
        "seed": order.seed,
        "score": SURPRISE if sum(len(part.readings) for part in fitted.parts) > 1 else ERROR,
        "calibrated_on": order.recipe.calibrate_on,
        "training_rows": history.training.count,
        "held_out_rows": len(history.held_out),
        "anomalous_rows_left_out": history.anomalous_rows - history.anomalous_learned,
        "epochs": len(fitted.losses),
        "best_epoch": fitted.best,
        "losses": [float(f"{loss:.8g}") for loss in fitted.losses],
        "held_out_losses": [float(f"{loss:.8g}") for loss in fitted.held_out_losses],
        "checks": fitted.checks,
        "held_out_mean_score": float(held_out.mean(dtype=np.float64)),
    }
