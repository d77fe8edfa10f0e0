"""Small classical tables: those that come with scikit-learn, and any in a folder of .npz files (X, y).

As in ADBench and ODDS one class of a table is rare and anomalous, the others are normal.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn import datasets

from detector.errors import DataRefused
from tests.benchmarks.detection.figures import Truth
from tests.benchmarks.detection.protocols import Protocol, Split, halves, ranked

PREFIX = "small/"
RARE = 0.05
"""The share of anomalous rows that a class is thinned to."""

Table = tuple[NDArray[np.float64], Truth]


def class_as_anomaly(load: Callable[..., Any], odd: int) -> Table:
    """A set of scikit-learn's with class `odd` anomalous, thinned to RARE by a fixed seed, but to no fewer than 5."""
    rows, classes = load(return_X_y=True)
    normal, others = np.flatnonzero(classes != odd), np.flatnonzero(classes == odd)
    wanted = max(round(RARE / (1 - RARE) * len(normal)), 5)
    kept = np.concatenate((normal, np.random.default_rng(0).permutation(others)[:wanted]))
    return np.asarray(rows[kept], np.float64), classes[kept] == odd


def from_file(path: Path) -> Table:
    """An .npz file with X (n, d) and y (n,), 1 for an anomaly; DataRefused where it is something else."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            rows, truth = np.asarray(arrays["X"], np.float64), arrays["y"] == 1
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise DataRefused(f"table {path}: {error}; an .npz file with X (n, d) and y (n,) is wanted") from error
    if rows.ndim != 2 or truth.shape != (len(rows),) or not np.isfinite(rows).all():
        raise DataRefused(f"table {path}: X {rows.shape} and y {truth.shape}; finite X (n, d) and y (n,) are wanted")
    return rows, truth


def table_split(table: Table, seed: int) -> Split:
    """Half of the normal rows train, the other half and all anomalies are judged; a constant column is left out."""
    rows, truth = table
    first, second = halves(np.random.default_rng(seed).permutation(np.flatnonzero(~truth)))
    test = np.concatenate((second, np.flatnonzero(truth)))
    varying = np.ptp(rows[first], axis=0) > 0
    names = [f"x{i}" for i in np.flatnonzero(varying)]
    frame = pd.DataFrame(rows[:, varying], columns=pd.Index(names))
    return Split(
        features=tuple(names),
        training=frame.iloc[first],
        anomalous=np.zeros(len(first), bool),
        test=frame.iloc[test],
        truth=truth[test],
        weights=np.ones(len(test)),
    )


def table_protocols(folder: Path | None) -> dict[str, Protocol]:
    """A protocol for each small table: scikit-learn's and the folder's *.npz, which win over those of the same name."""
    made: dict[str, Callable[[], Table]] = {"wdbc": partial(class_as_anomaly, datasets.load_breast_cancer, 0)}
    for name, load, classes in (("iris", datasets.load_iris, 3), ("wine", datasets.load_wine, 3)):
        made |= {f"{name}-{odd}": partial(class_as_anomaly, load, odd) for odd in range(classes)}
    made |= {f"digits-{odd}": partial(class_as_anomaly, datasets.load_digits, odd) for odd in range(10)}
    if folder:
        made |= {path.stem: partial(from_file, path) for path in sorted(folder.glob("*.npz"))}
    return {PREFIX + name: _protocol(name, make) for name, make in made.items()}


def _protocol(name: str, make: Callable[[], Table]) -> Protocol:
    return Protocol(
        about=f"the small table {name}",
        split=lambda data, seed: table_split(make(), seed),
        figures=ranked,
        seeds=(0, 1, 2),
    )
