"""From data and a recipe to an artifact on disk."""

from __future__ import annotations

import platform
import sys
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from detector import artifact
from detector.calibration import Calibration
from detector.errors import Failure
from detector.model import Model
from detector.quiet import held_back
from detector.signature import SigningKey
from detector.statistics import summarize
from detector.table.accounts import ACCOUNT_FEATURES, DROPPED, account_rows, is_accounts
from detector.threshold import calibrate, parse, refuse_without
from trainer.calibrate import calibration, reference
from trainer.datasets import Data
from trainer.distribution import Workers
from trainer.export import keras_file, serving_graph
from trainer.fit import Checked, Fitted, Progress, fit, unheard
from trainer.history import Columns, History, find_schema, prepare
from trainer.recipes import Recipe, refuse_columns
from trainer.truncation import Found, Lost
from trainer.truncation import to_dict as cost

ERROR = "mean reconstruction error of the preprocessed row"
SURPRISE = "surprise: -ln of the share of held-out normal rows that are as odd, by the oddest of several errors"

PACKAGES = ("streaming-fraud-detector", "ai-edge-litert", "keras", "numpy", "tensorflow")


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be made. name, model_version: how the artifact is called; the rest overrides the recipe.

    tensorboard: a directory for the curves of the training as TensorBoard shows them; None for none.
    signing_key: what the artifact is signed with; None: it is not.
    """

    recipe_name: str
    recipe: Recipe
    name: str
    model_version: str = "1"
    threshold: str | None = None
    epochs: int | None = None
    seed: int = 0
    tensorboard: Path | None = None
    signing_key: SigningKey | None = None

    @property
    def asked(self) -> Recipe:
        """The recipe with the threshold that is wanted."""
        if self.threshold is None:
            return self.recipe
        return msgspec.structs.replace(self.recipe, threshold=self.threshold)


def build(
    data: Data,
    columns: Columns,
    order: Order,
    out: Path,
    progress: Progress,
    workers: Workers | None = None,
    checked: Checked = unheard,
) -> History:
    """Trains, exports, calibrates by the exported graph's own scores, and writes; nothing is written before the end.

    A recipe that truncates is trained a second time without, where labels can tell what that costs. workers: those
    that train together, of which the chief alone writes.
    """
    artifact.refuse_to_replace(out)
    recipe = order.asked
    spec = parse(recipe.threshold)
    if recipe.table == "accounts":
        data, columns = _accounts(data, columns)
    history = _history(data, columns, recipe, order.seed)
    refuse_without(spec, history.anomalous_rows, history.days)
    fitted = fit(history, recipe, order.seed, order.epochs, progress, order.tensorboard, workers, checked)
    twin = _untruncated(history, order, progress, workers)
    if workers and not workers.cluster.chief:
        return history
    served = _Served.of(fitted, history, recipe)
    manifest = {
        "name": order.name,
        "version": order.model_version,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "schema": history.schema.to_dict(),
        "threshold": asdict(calibrate(spec, served.known)),
        "summary": asdict(summarize(served.known.scores)),
        "calibration": served.known.to_dict(),
        "training": _training(order, history, fitted, served.held_out) | _truncation(recipe, history, served, twin),
        "data": {"name": data.name, "rows": history.rows, "sha256": history.fingerprint} | _not_english(data),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
    }
    artifact.write(out, manifest, _files(fitted, history, served), order.signing_key)
    return history


def _history(data: Data, columns: Columns, recipe: Recipe, seed: int) -> History:
    schema = find_schema(data, columns, recipe.features)
    if recipe.features is None:
        refuse_columns(recipe.branches, schema.features)
    found_label = columns.label is None and data.label is None
    return prepare(data, schema, seed, columns.amount, recipe.rows, found_label)


@dataclass(frozen=True, slots=True)
class _Served:
    """The graph that the detector serves, and what it makes of history. held_out: the held-out rows' scores (n,)."""

    graph: bytes
    model: Model
    held_out: NDArray[np.float32]
    known: Calibration

    @classmethod
    def of(cls, fitted: Fitted, history: History, recipe: Recipe) -> _Served:
        with held_back():
            graph = serving_graph(fitted.model)
            model = Model(graph, len(history.schema.features))
            held_out = model.score(history.held_out)
            return cls(graph, model, held_out, calibration(history, model, recipe.calibrate_on, held_out))


def _files(fitted: Fitted, history: History, served: _Served) -> dict[str, bytes]:
    arrays = served.known.to_arrays() | reference(history.held_out, served.held_out)
    return {
        artifact.GRAPH: served.graph,
        artifact.KERAS: keras_file(fitted.model),
        artifact.REFERENCE: artifact.pack_arrays(arrays),
    }


def _untruncated(history: History, order: Order, progress: Progress, workers: Workers | None) -> Fitted | None:
    """The same training without truncation, where the recipe truncates and labels can compare; None if it fails."""
    if not (order.asked.truncate and len(history.anomalous)):
        return None
    print("truncate = true: the same is trained without it, to tell what it costs", file=sys.stderr, flush=True)
    whole = msgspec.structs.replace(order.asked, truncate=False)
    try:
        return fit(history, whole, order.seed, order.epochs, progress, workers=workers)
    except Failure as failure:
        print(f"without it: {failure}", file=sys.stderr)
        return None


def _truncation(recipe: Recipe, history: History, served: _Served, twin: Fitted | None) -> dict[str, Any]:
    """What truncation costs, for the manifest; nothing where the recipe does not truncate."""
    if not recipe.truncate:
        return {}
    features, categories = history.schema.features, history.schema.categories
    numbers = [place for place, name in enumerate(features) if name not in categories]

    def found(one: _Served) -> Found:
        return Found.of(one.model, one.known, history.held_out, numbers)

    truncated = found(served) if len(history.anomalous) else None
    whole = found(_Served.of(twin, history, recipe)) if twin else None
    return {"truncation": cost(Lost.of(history.training.sample), truncated, whole)}


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
        "checks_threshold": order.asked.fixed,
        "held_out_mean_score": float(held_out.mean(dtype=np.float64)),
    }
