"""What the tests share: artifacts trained once a session, in one of its processes, on simulated rows."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, settings
from numpy.typing import NDArray

from detector import artifact, table
from detector.artifact import Artifact
from detector.model import Model

REAL_DATA = Path(__file__).parents[1].parent / "shared" / "data"
CARDS_ROWS = 3_000

# The machine that tests may be busy: a slow example is no failure.
settings.register_profile("project", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
settings.load_profile("project")


def pytest_configure(config: pytest.Config) -> None:
    """Every warning is an error but Keras' own: it asks numpy for arrays in a way that numpy will drop."""
    config.addinivalue_line(
        "filterwarnings", "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
    )


def pytest_report_header() -> str:
    """Says which rows the tests use."""
    if REAL_DATA.is_dir():
        return "real data: ../shared/data is there, and used"
    return "real data: ../shared/data is ABSENT; simulated rows stand in, and tests of the real ones are skipped"


def real(name: str) -> Path:
    """A file of real rows; a test that needs it is skipped where it is absent, and has a twin on simulated rows."""
    path = REAL_DATA / name
    if not path.is_file():
        pytest.skip(f"the real data ../shared/data/{name} is absent")
    return path


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that a session's processes share: the first to come has it made, the others wait for it."""
    base = factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, fresh = base / f"shared-{name}", base / f"making-{name}"
    with (base / f"shared-{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            fresh.mkdir(exist_ok=True)
            make(fresh)
            fresh.rename(folder)
    return folder


def trained(out: Path, name: str, rows: int, recipe: str) -> Path:
    """An artifact trained for two epochs on simulated rows."""
    from trainer.build import Order, build
    from trainer.datasets import KNOWN, Data
    from trainer.history import Columns
    from trainer.recipes import RECIPES

    known = KNOWN[name]
    data = Data(name, known.make(rows, 1), known.label, known.normal, known.time)
    order = Order(recipe, RECIPES[recipe], name, epochs=2)
    build(data, Columns(), order, out, lambda epoch, epochs, loss, held_out: None)
    return out


@pytest.fixture(scope="session")
def artifact_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact of the default recipe on simulated cards: 29 features V1..V28, Amount."""
    order = ("simulated-cards", CARDS_ROWS, "default")
    return once(tmp_path_factory, "cards", lambda folder: trained(folder / "model", *order)) / "model"


@pytest.fixture(scope="session")
def ecg_artifact_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact of the recipe ecg-msle on simulated heartbeats: 140 features c0..c139."""
    order = ("simulated-ecg", 1_000, "ecg-msle")
    return once(tmp_path_factory, "ecg", lambda folder: trained(folder / "model", *order)) / "model"


@pytest.fixture(scope="session")
def cards_artifact(artifact_dir: Path) -> Artifact:
    return artifact.load(artifact_dir)


@pytest.fixture(scope="session")
def cards_model(cards_artifact: Artifact) -> Model:
    return cards_artifact.model()


@pytest.fixture(scope="session")
def unseen_cards() -> pd.DataFrame:
    """Simulated cards of another seed than those trained on, with many frauds."""
    from trainer.simulate import simulated_cards

    return simulated_cards(5_000, seed=99, fraud_share=0.05)


@pytest.fixture(scope="session")
def unseen_rows(cards_artifact: Artifact, unseen_cards: pd.DataFrame) -> NDArray[np.float32]:
    """Rows (5000, 29) that the model never saw."""
    return table.matrix(unseen_cards, cards_artifact.schema.features)
