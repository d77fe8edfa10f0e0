"""A real broker, and history with a model trained on it: real rows where they are, else simulated ones."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from detector import artifact, table
from tests.broker import Broker, create_topic, start
from tests.conftest import once
from tests.integration.line import PARTITIONS, Topics, make_topics
from tests.integration.tally import FAULTS, FaultTable
from trainer.simulate import simulated_cards

if TYPE_CHECKING:
    from tests.integration.story import Course

REAL_CARDS = Path(__file__).parents[3] / "shared" / "data" / "creditcard_sample.parquet"


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    """Apache Kafka, one node."""
    started = start()
    yield started
    started.stop()


@pytest.fixture(scope="session")
def faults(pytestconfig: pytest.Config) -> FaultTable:
    """The fault table, which is printed at the session's end."""
    return pytestconfig.stash.setdefault(FAULTS, FaultTable())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Prints what came of the faults that were tried."""
    if table := config.stash.get(FAULTS, None):
        terminalreporter.section("faults: alerts and dead letters")
        terminalreporter.write_line(table.text())


@pytest.fixture(scope="session")
def course(broker: Broker, cards: Cards, faults: FaultTable) -> Course:
    """Rows that all short stories of faults share, and what a calm run says of them."""
    from tests.integration.story import Course  # it imports this module

    return Course.of(broker.bootstrap, cards, 4_000, faults)


@pytest.fixture
def topics(broker: Broker) -> Topics:
    """Fresh topics for one test."""
    return make_topics(broker.bootstrap)


@pytest.fixture
def topic(broker: Broker) -> str:
    """A fresh topic for rows alone."""
    name = f"rows-{uuid.uuid4().hex[:8]}"
    create_topic(broker.bootstrap, name, PARTITIONS)
    return name


@dataclass(frozen=True)
class Cards:
    """Card transactions as a table and a file, and an artifact trained on other rows of the same kind."""

    frame: pd.DataFrame
    model: Path

    @property
    def features(self) -> tuple[str, ...]:
        """The model's inputs, in order."""
        return artifact.load(self.model).schema.features

    def file(self, folder: Path, rows: int) -> Path:
        """The first rows as a Parquet file."""
        path = folder / "rows.parquet"
        self.frame.head(rows).to_parquet(path)
        return path


def cards_frame() -> pd.DataFrame:
    """The real sample where it is (the report says when it is not), else simulated rows."""
    if REAL_CARDS.is_file():
        return table.read(REAL_CARDS)
    print("real card rows (../shared/data) are absent: simulated ones stand in")
    return simulated_cards(19_000, seed=3, fraud_share=0.02)


@pytest.fixture(scope="session")
def cards(tmp_path_factory: pytest.TempPathFactory) -> Cards:
    """Rows shuffled by seed, so that frauds are spread; a model that alerts for some two in a hundred."""
    frame = cards_frame().sample(frac=1, random_state=0).reset_index(drop=True)

    def fit(folder: Path) -> None:
        frame.head(6000).to_parquet(folder / "history.parquet")
        command = [sys.executable, "-m", "trainer", "fit", str(folder / "history.parquet")]
        command += ["--out", str(folder / "model"), "--epochs", "3", "--threshold", "percentile:99"]
        subprocess.run(command, check=True, capture_output=True)

    return Cards(frame, once(tmp_path_factory, "real-cards", fit) / "model")
