"""A person's own file, and the settings."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from deploy.local.broker import Broker
from deploy.local.data import split
from deploy.local.settings import Settings
from detector.errors import DataRefused, UsageError
from detector.kafka.embedded import MOST_LEAD, most_lead


def written(folder: Path, frame: pd.DataFrame) -> str:
    path = folder / "rows.csv"
    frame.to_csv(path, index=False)
    return str(path)


def test_the_earlier_half_is_learnt_from(tmp_path: Path) -> None:
    """By event time, whatever the file's order; no row is in both halves and none is lost."""
    frame = pd.DataFrame({"Time": [5, 1, 4, 2, 3], "V1": [50, 10, 40, 20, 30], "Class": [0, 1, 0, 0, 1]})
    halves = split(Settings(data=written(tmp_path, frame)), tmp_path)
    assert (halves.label, halves.time) == ("Class", "Time")
    assert pd.read_parquet(halves.training).V1.tolist() == [10, 20]
    assert pd.read_parquet(halves.live).V1.tolist() == [30, 40, 50]
    assert (halves.training_rows, halves.live_rows) == (2, 3)


def test_without_time_the_files_order_holds(tmp_path: Path) -> None:
    """A file that has no column for it has an order all the same; `rows` bounds what is replayed."""
    frame = pd.DataFrame({"V1": range(10), "V2": range(10)})
    halves = split(Settings(data=written(tmp_path, frame), rows=3), tmp_path)
    assert (halves.label, halves.time) == (None, None)
    assert pd.read_parquet(halves.training).V1.tolist() == [0, 1, 2, 3, 4]
    assert pd.read_parquet(halves.live).V1.tolist() == [5, 6, 7]


def test_columns_of_mixed_kinds(tmp_path: Path) -> None:
    """A column that holds numbers and text, as CSV allows, does not stop the rest."""
    frame = pd.DataFrame({"V1": range(4), "shop": ["a", "7", None, "x"], "Class": ["no", "yes", "no", "yes"]})
    halves = split(Settings(data=written(tmp_path, frame), normal="no"), tmp_path)
    assert pd.read_parquet(halves.live).Class.tolist() == ["no", "yes"]


@pytest.mark.parametrize(
    ("content", "settings", "sentence"),
    [
        (b"a,b\n1,2\n1,2,3\n", {}, "cannot be read"),
        (b"", {}, "cannot be read"),
        (b"a,b\n1,2\n", {}, "1 row"),
        (b"a,b\n1,2\n3,4\n", {"label": "Klass"}, "label column 'Klass' is not in the data, which has a, b"),
        (b"a,Class\n1,0\n3,\n", {}, "label column 'Class' has 1 missing values"),
        (b"a,Time\n1,yesterday\n3,today?\n", {"time": "Time"}, "time column 'Time'"),
    ],
)
def test_refusals(tmp_path: Path, content: bytes, settings: dict[str, str], sentence: str) -> None:
    """A file that cannot be used is refused before anything is trained, by its name and with what is wrong."""
    path = tmp_path / "rows.csv"
    path.write_bytes(content)
    with pytest.raises(DataRefused) as caught:
        split(Settings(data=str(path), **settings), tmp_path)  # type: ignore[arg-type]
    assert str(caught.value).startswith(f"data {path}: ")
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("rows", "speed", "expected"),
    [(60_000, "", "2500/s"), (142_404, "", "5933/s"), (10**6, "", "6000/s"), (9, "max", "max")],
)
def test_the_speed_fits_the_rows(rows: int, speed: str, expected: str) -> None:
    """Some twenty seconds are watched, whatever the rows, as far as two cores keep up; what was said is kept to."""
    assert Settings(speed=speed).pace_of(rows) == expected


def test_a_speed_that_is_none() -> None:
    """It is refused at once, not after the training."""
    with pytest.raises(UsageError, match="setting speed: 'fast' is no speed"):
        Settings(speed="fast")


@pytest.mark.parametrize("features", [2, 29, 140, 5000])
def test_the_lead_stays_within_what_the_embedded_broker_keeps(features: int) -> None:
    """Rows written as JSON with every digit, times the lead, are half of 20 MiB at most."""
    assert 0 < most_lead(features) <= MOST_LEAD
    assert most_lead(features) * features * 30 <= 10 << 20


def test_names_on_a_real_broker() -> None:
    """Every topic and the group begin with the demo's own prefix."""
    broker = Broker("kafka:9092", "", "exactly_once", "demo-1.")
    assert broker.topics == [
        "demo-1.transactions",
        "demo-1.alerts",
        "demo-1.transactions.dead-letters",
        "demo-1.labels",
        "demo-1.models",
        "demo-1.drift",
        "demo-1.scores",
    ]
    assert broker.group == "demo-1.detector"
