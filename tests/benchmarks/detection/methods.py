"""What is compared, and one fit of it: in a process of its own, so that its memory is its own."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.calibration import Calibration
from detector.errors import Failure
from detector.threshold import calibrate, parse
from tests.benchmarks.detection.figures import Floats, Truth
from tests.benchmarks.detection.peer import PEERS
from tests.benchmarks.detection.protocols import Protocol, Split, with_labels
from tests.benchmarks.detection.tables import PREFIX
from trainer.history import HELD_OUT
from trainer.recipes import RECIPES

HERE = "tests.benchmarks.detection"
PROJECT_HAS = ("sklearn",)


@dataclass(frozen=True, slots=True)
class Run:
    """What is to be run. peers_python: of an environment with the peers' requirements. epochs: most, of recipes."""

    protocol: str
    method: str
    seed: int
    peers_python: str | None = None
    epochs: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run. rule: how the method's own threshold was found. megabytes: of the process, at its peak.

    seconds: of the fit; a recipe's goes from rows to an artifact on disk.
    """

    protocol: str
    method: str
    seed: int
    figures: dict[str, float]
    seconds: float
    megabytes: float | None
    rule: str
    epochs: int | None


def methods_of(name: str, protocol: Protocol) -> list[str]:
    """The methods that a protocol is for: its recipes, then the peers; a small table has too few rows for labels."""
    recipes = [one for one in RECIPES if any(fnmatch(one, pattern) for pattern in protocol.recipes)]
    return recipes + [one for one, peer in PEERS.items() if not (peer.supervised and name.startswith(PREFIX))]


def needs_peers_python(method: str) -> bool:
    """Whether a method is none of this project's environment."""
    return method in PEERS and not set(PEERS[method].needs) <= set(PROJECT_HAS)


def fit_rows(split: Split, method: str, protocol: Protocol) -> Truth:
    """Which training rows (n,) a method learns from; by the scores of the others thresholds are chosen.

    A recipe always holds out the last HELD_OUT of the normal rows. A peer does so where the protocol wants thresholds,
    and a supervised one with both kinds of rows.
    """
    supervised = method in PEERS and PEERS[method].supervised
    holds_out = method in RECIPES or bool(protocol.rules)
    fit = np.zeros(len(split.anomalous), bool)
    for rows in [~split.anomalous, split.anomalous] if supervised else [~split.anomalous]:
        places = np.flatnonzero(rows)
        fit[places[: round(len(places) * (1 - HELD_OUT))] if holds_out else places] = True
    return fit


def run(one: Run, protocol: Protocol, split: Split) -> Outcome:
    """Fits, scores and judges; Failure with the process' last words where it fails."""
    if one.method in PEERS and PEERS[one.method].supervised:
        split = with_labels(split, one.seed)
    fit = fit_rows(split, one.method, protocol)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_task(folder / "task.npz", split, fit)
        _start(one, folder)
        with np.load(folder / "result.npz", allow_pickle=False) as arrays:
            test, kept = arrays["test"], arrays["kept"]
        result: dict[str, Any] = json.loads((folder / "result.json").read_text())
    if not np.isfinite(test).all():
        raise Failure(f"{one.protocol} {one.method} seed {one.seed}: a score is no finite number")
    lines = {"own": result["own"], **found_lines(protocol.rules, kept, split.anomalous, fit)}
    return Outcome(
        protocol=one.protocol,
        method=one.method,
        seed=one.seed,
        figures=protocol.figures(split, test, lines),
        seconds=result["seconds"],
        megabytes=result["megabytes"],
        rule=result["rule"],
        epochs=one.epochs if one.method in RECIPES else None,
    )


def found_lines(rules: tuple[str, ...], kept: Floats, anomalous: Truth, fit: Truth) -> dict[str, float]:
    """Thresholds by the product's own rules, found in the scores of the training rows (k,) that were kept out.

    They count for all training rows of their kind, so that F1 is read at the training rows' prevalence.
    """
    if not rules:
        return {}
    kind = anomalous[~fit]
    rows = int(anomalous.sum())
    calibration = Calibration.of(
        kept[~kind], kept[kind], normal_rows=len(anomalous) - rows, anomalous_rows=rows if kind.any() else 0
    )
    return {rule: calibrate(parse(rule), calibration).value for rule in rules}


def write_task(path: Path, split: Split, fit: NDArray[np.bool_]) -> None:
    """A split as plain arrays, for a process that may have nothing but numpy."""
    np.savez(
        path,
        columns=np.array(list(split.training.columns)),
        features=np.array(split.features),
        training=split.training.to_numpy(np.float64),
        anomalous=split.anomalous,
        fit=fit,
        test=split.test.to_numpy(np.float64),
    )


def _start(one: Run, folder: Path) -> None:
    order = [str(folder), one.method, str(one.seed)]
    if one.method in RECIPES:
        command = [sys.executable, "-m", f"{HERE}.recipe", *order, *([str(one.epochs)] if one.epochs else [])]
    else:
        python = one.peers_python if needs_peers_python(one.method) else sys.executable
        # -I: this folder's tables.py must not pass for a library of that name
        command = [python or sys.executable, "-I", str(Path(__file__).with_name("peer.py")), *order]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        last = (ended.stderr.strip().splitlines() or [f"exit code {ended.returncode}"])[-1]
        raise Failure(f"{one.protocol} {one.method} seed {one.seed}: {last}")
