"""One fit of a peer in a process of its own. Stands alone: the peers' environment has nothing of this project.

`python peer.py FOLDER NAME SEED` reads FOLDER/task.npz and writes FOLDER/result.npz and FOLDER/result.json.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

CONTAMINATION = 0.1
"""PyOD's default: its own threshold lets this share of the training rows alert."""


class Mahalanobis:
    """The squared Mahalanobis distance to the training rows' mean, by the pseudo-inverse of their covariance."""

    threshold_: float

    def fit(self, rows: NDArray[np.float64]) -> None:
        """Mean, inverse covariance, and the quantile that PyOD would take for a threshold."""
        self._mean = rows.mean(axis=0)
        self._inverse = np.linalg.pinv(np.cov(rows.T))
        self.threshold_ = float(np.quantile(self.decision_function(rows), 1 - CONTAMINATION))

    def decision_function(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Distances (n,) of rows (n, d)."""
        off = rows - self._mean
        return np.asarray(np.einsum("ij,jk,ik->i", off, self._inverse, off))


@dataclass(frozen=True)
class Peer:
    """A method to compare with. make: from a seed. needs: packages beyond numpy. rule: of its own threshold."""

    about: str
    make: Callable[[int], Any]
    needs: tuple[str, ...] = ("pyod",)
    supervised: bool = False
    rule: str = "PyOD's contamination .1"


def _of(module: str, name: str, **settings: Any) -> Any:
    return getattr(import_module(module), name)(**settings)


PEERS: dict[str, Peer] = {
    "iforest": Peer("PyOD IForest as it comes", lambda seed: _of("pyod.models.iforest", "IForest", random_state=seed)),
    "ecod": Peer("PyOD ECOD; it looks at all judged rows at once", lambda seed: _of("pyod.models.ecod", "ECOD")),
    "knn": Peer(
        "PyOD KNN, mean distance to 5 neighbours",
        lambda seed: _of("pyod.models.knn", "KNN", n_neighbors=5, method="mean"),
    ),
    "autoencoder": Peer(
        "PyOD AutoEncoder (PyTorch) as it comes",
        lambda seed: _of("pyod.models.auto_encoder", "AutoEncoder", random_state=seed, verbose=0, device="cpu"),
        needs=("pyod", "torch"),
    ),
    "mahalanobis": Peer(
        "Mahalanobis distance", lambda seed: Mahalanobis(), needs=(), rule="90 % quantile of training scores"
    ),
    "hist-gradient-boosting": Peer(
        "scikit-learn HistGradientBoosting: SUPERVISED, an upper reference",
        lambda seed: _of("sklearn.ensemble", "HistGradientBoostingClassifier", random_state=seed),
        needs=("sklearn",),
        supervised=True,
        rule="probability .5",
    ),
}


def peak_megabytes() -> float | None:
    """The most memory that this process ever held, in MB; None where the system does not tell.

    Not `ru_maxrss`: it begins with that of the process which started this one.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")), None)


def main(folder: Path, name: str, seed: int) -> None:
    """Fits on rows standardised by the rows it fits on, and scores."""
    with np.load(folder / "task.npz", allow_pickle=False) as arrays:
        task = dict(arrays)
    taken = np.isin(task["columns"], task["features"])
    training, test, fit = task["training"][:, taken], task["test"][:, taken], task["fit"]
    offset, scale = training[fit].mean(axis=0), training[fit].std(axis=0)
    scale[scale == 0] = 1
    training, test = (training - offset) / scale, (test - offset) / scale
    peer = PEERS[name]
    model = peer.make(seed)
    begun = time.perf_counter()
    if peer.supervised:
        model.fit(training[fit], task["anomalous"][fit])
    else:
        model.fit(training[fit])
    seconds, megabytes = time.perf_counter() - begun, peak_megabytes()
    kept = model.decision_function(training[~fit]) if (~fit).any() else np.empty(0)
    np.savez(folder / "result.npz", test=model.decision_function(test), kept=kept)
    own = 0.0 if peer.supervised else float(model.threshold_)  # a decision of 0 is a probability of .5
    result = {"seconds": seconds, "megabytes": megabytes, "own": own, "rule": peer.rule}
    (folder / "result.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
