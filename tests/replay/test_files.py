"""Files become one history: which they are, how they go together, and that they stay as they are."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from detector import table
from detector.errors import DataRefused
from detector.schema import Schema
from detector.table.accounts import ACCOUNT_FEATURES
from replay.encoding import encoded, encoder
from replay.source import Files
from tests.accounts import accounts
from tests.conftest import real
from tests.replay.made import asked, files, ids, rows, whole

ROWS = 400


def cards(count: int = ROWS, seed: int = 0, **more: Any) -> pd.DataFrame:
    """Cards in no order of time, many at the same second, with gaps and texts."""
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "Time": random.integers(0, max(count // 4, 1), count),
            "card": random.integers(0, 20, count),
            "x": random.normal(size=count),
            "shop": random.choice(np.array(["a", "b", None], dtype=object), count),
            "Class": random.integers(0, 2, count),
        }
    ).assign(**more)


def write(frame: pd.DataFrame, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.name.endswith(".parquet"):
        frame.to_parquet(path, index=False)
    else:
        frame.to_csv(path, index=False)
    return path


def order(frame: pd.DataFrame) -> list[str]:
    return [str(row) for row in sorted(range(len(frame)), key=lambda row: (frame["Time"][row], row))]


@pytest.mark.parametrize("name", ["rows.csv", "rows.csv.gz", "rows.parquet"])
@pytest.mark.parametrize("whole_bytes", [0, 1 << 30])
def test_order(tmp_path: Path, name: str, whole_bytes: int) -> None:
    """Held in memory or sorted on disk, rows come in the order of event time, ties in the file's; and so again."""
    frame = cards()
    found = files(write(frame, tmp_path / name), whole_bytes=whole_bytes)
    for _ in range(2):
        batch = whole(found.batches())
        assert ids(batch) == order(frame)
        assert batch.event is not None
        assert batch.event.tolist() == (np.sort(frame["Time"].to_numpy()) * 1000).tolist()
        assert batch.keys is not None
        assert batch.keys.tolist() == [str(frame["card"][int(row)]).encode() for row in ids(batch)]
        assert batch.anomalous is not None
        assert batch.anomalous.tolist() == [frame["Class"][int(row)] == 1 for row in ids(batch)]
    assert (found.rows, found.span) == (ROWS, (0, int(frame["Time"].max()) * 1000))


def played(found: Files) -> list[Any]:
    return rows(whole(encoded(encoder("json", found.columns))(found.batches())))


@pytest.mark.parametrize("name", ["rows.csv", "rows.parquet"])
@pytest.mark.parametrize("sorted_", [False, True])
def test_streamed_as_in_memory(tmp_path: Path, name: str, sorted_: bool) -> None:
    """A file that is streamed gives the very rows that it gives from memory."""
    frame = cards().sort_values("Time", kind="stable") if sorted_ else cards()
    path = write(frame, tmp_path / name)
    streamed = files(path, whole_bytes=0)
    assert played(streamed) == played(files(path))
    assert (streamed._folder is None) == sorted_
    streamed.close()


def test_sorted_runs_are_removed(tmp_path: Path) -> None:
    """What was sorted on disk is gone when the history is closed."""
    found = files(write(cards(), tmp_path / "rows.csv"), whole_bytes=0)
    assert found._folder is not None
    assert list(Path(found._folder.name).iterdir())
    found.close()
    assert not Path(found._folder.name).exists()


def test_sorting_is_told(tmp_path: Path) -> None:
    """A file that has to be sorted is named, with its rows and the column of its times."""
    path, said = write(cards(), tmp_path / "rows.csv"), list[str]()
    Files([str(path)], asked(), None, said.append, 0).close()
    assert said == [
        f"replay: looking through the times of {path}",
        f"replay: {path} is not in the order of 'Time': sorting its 400 rows",
    ]


@pytest.mark.parametrize("whole_bytes", [0, 1 << 30])
def test_file_order(tmp_path: Path, whole_bytes: int) -> None:
    """On request rows come as they stand, file after file, with their event times."""
    paths = [write(cards(50, seed), tmp_path / f"{seed}.csv") for seed in (1, 0)]
    batch = whole(files(*paths, whole_bytes=whole_bytes, order="file").batches())
    assert ids(batch) == [f"{name}:{row}" for name in ("1.csv", "0.csv") for row in range(50)]
    assert batch.event is not None
    assert batch.event.tolist() == [int(time) * 1000 for seed in (1, 0) for time in cards(50, seed)["Time"]]


@pytest.mark.parametrize("whole_bytes", [0, 1 << 30])
def test_many_files(tmp_path: Path, whole_bytes: int) -> None:
    """Rows of several files come by event time over all; ids name the file, and ties go by file and row."""
    frames = {f"{number}.{kind}": cards(60, number) for number, kind in enumerate(("csv", "parquet", "csv.gz"))}
    paths = [write(frame, tmp_path / name) for name, frame in frames.items()]
    batch = whole(files(*paths, whole_bytes=whole_bytes).batches())
    keys = [(frame["Time"][row], name, row) for name, frame in frames.items() for row in range(60)]
    assert ids(batch) == [f"{name}:{row}" for _, name, row in sorted(keys)]


def test_patterns_and_directories(tmp_path: Path) -> None:
    """A pattern names its files in order, a directory of CSV as many, one of Parquet is one table."""
    for name in ("b.csv", "a.csv"):
        write(cards(10), tmp_path / "csv" / name)
    for name in ("p1.parquet", "p0.parquet"):
        write(cards(10), tmp_path / "parquet" / name)
    every = sorted(f"{name}:{row}" for name in ("a.csv", "b.csv") for row in range(10))
    assert sorted(ids(whole(files(tmp_path / "csv" / "*.csv").batches()))) == every
    assert sorted(ids(whole(files(tmp_path / "csv").batches()))) == every
    assert sorted(ids(whole(files(tmp_path / "parquet").batches())), key=int) == [str(row) for row in range(20)]


def test_names_that_repeat(tmp_path: Path) -> None:
    """Files of one name in two places are told apart by their paths."""
    paths = [write(cards(2), tmp_path / folder / "rows.csv") for folder in ("a", "b")]
    assert sorted(ids(whole(files(*paths).batches()))) == sorted(f"{path}:{row}" for path in paths for row in (0, 1))


def test_widths_are_united(tmp_path: Path) -> None:
    """A column of whole numbers in one file and of fractions in another is one of fractions; keys stay as they are."""
    one, other = cards(5, x=[1, 2, 3, 4, 5]), cards(5, 1, card=[1.0, None, 3.0, 4.0, 5.0])
    paths = write(one, tmp_path / "one.csv"), write(other, tmp_path / "other.csv")
    for whole_bytes in (0, 1 << 30):
        found = files(*paths, whole_bytes=whole_bytes, key="card")
        values = played(found)
        assert all(isinstance(row["x"], float) for row in values)
        keys = whole(found.batches()).keys
        assert keys is not None
        assert {key for key in keys.tolist() if key} <= {b"%d" % card for card in range(20)}


@pytest.mark.parametrize(
    ("other", "given", "sentence"),
    [
        (cards(5).drop(columns="x"), {}, r"b\.csv: column 'x' is not there, which .*a\.csv has"),
        (cards(5, more=1), {}, r"b\.csv: column 'more' is there, and not in .*a\.csv; --features says which"),
        (cards(5, x="text"), {}, r"b\.csv: column 'x' holds texts, numbers in .*a\.csv"),
        (cards(5).drop(columns="Time"), {"features": "x"}, r"b\.csv: column 'Time' is not there"),
    ],
)
@pytest.mark.parametrize("whole_bytes", [0, 1 << 30])
def test_mixed_files(tmp_path: Path, other: pd.DataFrame, given: Any, sentence: str, whole_bytes: int) -> None:
    """Files that do not go together are refused by the name of the other one and its column."""
    paths = write(cards(5), tmp_path / "a.csv"), write(other, tmp_path / "b.csv")
    with pytest.raises(DataRefused, match=sentence):
        files(*paths, whole_bytes=whole_bytes, **given)


def test_columns_that_are_not_asked_for_do_not_matter(tmp_path: Path) -> None:
    """With the features named, files may differ in all else; a column of gaps goes with any."""
    paths = write(cards(5), tmp_path / "a.csv"), write(cards(5, shop=None, more=1), tmp_path / "b.csv")
    assert len(whole(files(*paths, features="x,shop").batches())) == 10


def test_no_file(tmp_path: Path) -> None:
    """A path, a pattern or a directory without a file, and a file named twice, are refused by name."""
    path = write(cards(5), tmp_path / "a.csv")
    (tmp_path / "empty").mkdir()
    for data, sentence in [
        ((tmp_path / "none.csv",), f"data {tmp_path}/none.csv: no such file"),
        ((tmp_path / "*.parquet",), f"data {tmp_path}/*.parquet: no file matches"),
        ((tmp_path / "empty",), f"data {tmp_path}/empty: no .parquet or .tfrecord file in this directory"),
        ((path, tmp_path / "a*"), f"data {path}: named twice"),
    ]:
        with pytest.raises(DataRefused) as raised:
            files(*data)
        assert str(raised.value) == sentence


@pytest.mark.parametrize("whole_bytes", [0, 1 << 30])
def test_empty_file(tmp_path: Path, whole_bytes: int) -> None:
    """A file without rows is refused."""
    with pytest.raises(DataRefused, match=r"rows\.csv: no rows"):
        files(write(cards(5).head(0), tmp_path / "rows.csv"), whole_bytes=whole_bytes)


@pytest.mark.parametrize("name", ["rows.csv", "rows.parquet"])
@pytest.mark.parametrize("how", ["longer", "touched", "gone"])
def test_a_file_that_changes(tmp_path: Path, name: str, how: str) -> None:
    """A streamed file that changes between two passes is refused by its name, be it but touched."""
    path = write(cards().sort_values("Time"), tmp_path / name)
    found = files(path, whole_bytes=0)
    if how == "touched":
        os.utime(path, ns=(1, 1))
    elif how == "longer":
        write(cards(2 * ROWS), path)
    else:
        path.unlink()
    with pytest.raises(DataRefused) as raised:
        list(found.batches())
    assert str(raised.value) == f"data {path}: changed while it was played"


def test_a_file_that_changes_on_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that changes while it is played is refused at the next rows; those before were played."""
    path = write(cards(300_000).sort_values("Time"), tmp_path / "rows.parquet")
    batches = files(path, whole_bytes=0).batches()
    first = next(batches)
    os.utime(path, ns=(1, 1))
    with pytest.raises(DataRefused, match="changed while it was played"):
        list(batches)
    assert len(first) < 300_000


def test_refusals_name_the_file(tmp_path: Path) -> None:
    """What is wrong with a file is said with its name."""
    path = write(cards(), tmp_path / "rows.csv")
    cases: list[tuple[dict[str, Any], str]] = [
        ({"label": "Klass"}, r"data .*rows\.csv: label column 'Klass' is not in the data"),
        ({"time": "shop"}, r"data .*rows\.csv: time column 'shop'"),
        ({"label": "shop"}, r"data .*rows\.csv: label column 'shop' has \d+ missing values"),
        ({"features": "shop", "format": "packed"}, r"data .*rows\.csv: feature column 'shop' holds"),
    ]
    for given, sentence in cases:
        with pytest.raises(DataRefused, match=sentence):
            files(path, **given)


def test_raw_accounts_for_their_model(tmp_path: Path) -> None:
    """Raw Twitter accounts are played as the rows of features that a model of them takes, English ones alone."""
    accounts().to_parquet(tmp_path / "accounts.parquet")
    schema = Schema(ACCOUNT_FEATURES, label="account_type", normal="human")
    for whole_bytes in (0, 1 << 30):
        found = files(tmp_path / "accounts.parquet", schema=schema, whole_bytes=whole_bytes)
        batch = whole(found.batches())
        values = played(found)
        assert [row["followers_count"] for row in values] == [4, 6]
        assert set(values[0]) == set(ACCOUNT_FEATURES)
        assert batch.anomalous is not None
        assert batch.anomalous.tolist() == [False, True]


def same_streamed(path: Path, **given: Any) -> None:
    """Asserts that a file's rows are the same streamed and from memory, and in order."""
    held, streamed = (whole(files(path, whole_bytes=size, **given).batches()) for size in (1 << 30, 0))
    assert ids(held) == ids(streamed)
    assert sorted(map(int, ids(held))) == list(range(len(table.read(path))))
    if held.event is not None:
        assert all(one <= other for one, other in pairwise(held.event.tolist()))


@pytest.mark.parametrize("name", ["creditcard_sample.parquet", "handbook_transactions.parquet", "ecg.csv.xz"])
def test_real_rows(name: str) -> None:
    """Real rows are the same streamed and from memory, each once, in the order of their time."""
    same_streamed(real(name))


def test_simulated_rows(tmp_path: Path) -> None:
    """Simulated rows are, too."""
    same_streamed(write(cards(3000), tmp_path / "rows.csv"))


def test_identity(tmp_path: Path) -> None:
    """A file that was written again is other data; the same file is the same."""
    path = write(cards(), tmp_path / "rows.csv")
    before = files(path).identity()
    assert files(path).identity() == before
    os.utime(path, ns=(1, 1))
    assert files(path).identity() != before
