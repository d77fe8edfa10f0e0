"""One fit of a recipe in a process of its own, by the trainer's own door; scored by the served network.

`python -m tests.benchmarks.detection.recipe FOLDER NAME SEED [EPOCHS]` reads FOLDER/task.npz and writes
FOLDER/result.npz and FOLDER/result.json.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

from detector import artifact, table
from detector.errors import Failure
from detector.quiet import held_back
from tests.benchmarks.detection.peer import peak_megabytes
from trainer.datasets import Data
from trainer.history import Columns
from trainer.recipes import RECIPES

LABEL, ORDER = "anomalous", "order_of_rows"


def main(folder: Path, name: str, seed: int, epochs: int | None = None) -> None:
    """Builds an artifact from the training rows, whose order stands in for time: the last ones are held out."""
    with held_back():
        from trainer.build import Order, build

    with np.load(folder / "task.npz", allow_pickle=False) as arrays:
        task = dict(arrays)
    columns = [str(column) for column in task["columns"]]
    anomalous, fit = task["anomalous"], task["fit"]
    training, test = (pd.DataFrame(task[rows], columns=pd.Index(columns)) for rows in ("training", "test"))
    features = RECIPES[name].features or tuple(str(feature) for feature in task["features"])
    label = LABEL if anomalous.any() else "none"
    history = training.assign(**{LABEL: anomalous.astype(int), ORDER: np.arange(len(training))})
    order = Order(name, RECIPES[name], name, epochs=epochs, seed=seed)
    begun = time.perf_counter()
    made = build(
        Data(name, history), Columns(features, label, "0", ORDER), order, folder / "model", lambda *epoch: None
    )
    seconds, megabytes = time.perf_counter() - begun, peak_megabytes()
    kept = table.matrix(training[~fit], features)
    if not np.array_equal(made.held_out, kept[~anomalous[~fit]]):
        raise Failure(f"recipe {name}: the trainer held out other rows than the last ones of the protocol's order")
    found = artifact.load(folder / "model")
    model = found.model()
    np.savez(folder / "result.npz", test=model.score(table.matrix(test, features)), kept=model.score(kept))
    result = {
        "seconds": seconds,
        "megabytes": megabytes,
        "own": found.threshold.value,
        "rule": found.threshold.method,
    }
    (folder / "result.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:]))
