"""What is written is what is read back, and a place holds the old, or the new, whole."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector import table
from detector.errors import DataRefused
from tests.detector.tables import frames, same

ENDINGS = (".csv", ".csv.gz", ".csv.xz", ".csv.zst", ".parquet", "/")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("write")


def there(folder: Path) -> list[str]:
    """All files of a folder, hidden ones and those within too."""
    return sorted(str(one.relative_to(folder)) for one in folder.rglob("*") if one.is_file())


def in_pieces(frame: pd.DataFrame, rows: int) -> Iterator[pd.DataFrame]:
    for start in range(0, len(frame), rows):
        yield frame.iloc[start : start + rows]


@pytest.mark.parametrize("ending", [".parquet", "/"])
@given(frame=frames(), rows=st.integers(1, 20))
@settings(max_examples=40)
def test_parquet_keeps_all(folder: Path, ending: str, frame: pd.DataFrame, rows: int) -> None:
    """Parquet keeps every bit of floats, whole numbers, booleans, text, times and gaps, written in whatever pieces.

    Where a column that might have gaps has none it comes back as one that cannot.
    """
    table.write(in_pieces(frame, rows), f"{folder}/x{ending}", 7)
    plain = {"gapped": "int64", "doubt": "bool"}
    wanted = frame.astype({name: dtype for name, dtype in plain.items() if name in frame and frame[name].notna().all()})
    same(table.read(folder / f"x{ending}"), wanted)


@pytest.mark.parametrize("ending", [".csv", ".csv.zst"])
@given(frame=frames(), rows=st.integers(1, 20))
@settings(max_examples=40)
def test_csv_keeps_what_it_can(folder: Path, ending: str, frame: pd.DataFrame, rows: int) -> None:
    """CSV keeps every bit of float64, of whole numbers and booleans, instants, and text that is told to be text.

    A float32 comes back as a float64 that rounds to it. Texts here begin with a letter: one that is empty or looks
    like a number, a boolean or NaN is no text in a CSV.
    """
    if "text" in frame:
        frame["text"] = "t" + frame["text"]
    table.write(in_pieces(frame, rows), folder / f"x{ending}")
    found = table.read(folder / f"x{ending}")
    assert list(found) == list(frame)
    assert len(found) == len(frame)
    for name in frame:
        same(read_back(found[name], frame[name]).to_frame(), frame[[name]])


def read_back(found: pd.Series[Any], wanted: pd.Series[Any]) -> pd.Series[Any]:
    """A column of a CSV as the dtype that was written, where a column of nothing, or of no gaps, may be another."""
    if pd.api.types.is_datetime64_any_dtype(wanted.dtype):
        zoned = isinstance(wanted.dtype, pd.DatetimeTZDtype)
        return pd.to_datetime(found, format="ISO8601", utc=zoned).astype(wanted.dtype)
    if wanted.name == "gapped" and wanted.isna().any():
        return wanted.where(found.isna() == wanted.isna())  # CSV's whole numbers with gaps are floats
    return found.astype(wanted.dtype)


@pytest.mark.parametrize("ending", ENDINGS)
def test_pieces_make_the_same(ending: str, tmp_path: Path) -> None:
    """The same CSV comes of one frame and of chunks, and from one run to the next; the same rows in each format."""
    rng = np.random.default_rng(0)
    days = np.array(["2018-04-01", "2018-04-01T12:00:00.5"] * 20, "datetime64[us]")
    frame = pd.DataFrame({"a": rng.normal(size=40), "b": np.arange(40), "t": days})
    for name, chunks in (("x", frame), ("y", in_pieces(frame, 1)), ("z", in_pieces(frame, 40))):
        written = table.write(chunks, f"{tmp_path}/{name}{ending}", 9)
        assert (written.rows, written.columns, written.rounded) == (40, 3, ())
        assert written.size == table.describe(tmp_path / f"{name}{ending}").size
    assert table.read(tmp_path / f"y{ending}").equals(table.read(tmp_path / f"x{ending}"))
    if ending.startswith(".csv"):
        assert len({(tmp_path / f"{name}{ending}").read_bytes() for name in "xyz"}) == 1


def test_a_csv_as_it_looks(tmp_path: Path) -> None:
    """Numbers are printed in full, times as ISO 8601 with a Z where they have a zone, gaps as nothing."""
    times = pd.to_datetime(pd.Series(["2018-04-01 02:00", None]))
    frame = pd.DataFrame({"a": [0.1, None], "b": pd.array([2**63 - 1, None], "Int64"), "t": times, "c": ["x,y", None]})
    frame["z"] = times.dt.tz_localize("Europe/Paris").dt.as_unit("s")
    table.write(frame, tmp_path / "x.csv")
    text = 'a,b,t,c,z\n0.1,9223372036854775807,2018-04-01T02:00:00.000000,"x,y",2018-04-01T00:00:00Z\n,,,,\n'
    assert (tmp_path / "x.csv").read_text() == text


def test_lines_within_text(tmp_path: Path) -> None:
    """Text with line feeds and with carriage returns, which end a line unless quoted, is read back."""
    frame = pd.DataFrame({"a\rb": ["x\ry", "\n", 'q"\r\n', "z"], "n": [1, 2, 3, 4]})
    table.write(in_pieces(frame, 2), tmp_path / "x.csv")
    same(table.read(tmp_path / "x.csv"), frame)


def test_directories(tmp_path: Path) -> None:
    """A directory gets files of so many rows each, and the next table takes the place of all of them."""
    frame = pd.DataFrame({"a": np.arange(10)})
    table.write(in_pieces(frame, 3), f"{tmp_path}/x/", 4)
    assert there(tmp_path) == [f"x/part-0000{number}.parquet" for number in range(3)]
    assert [len(pd.read_parquet(tmp_path / "x" / name)) for name in os.listdir(tmp_path / "x")].count(4) == 2
    same(table.read(tmp_path / "x"), frame)
    table.write(frame.tail(2), tmp_path / "x")
    assert there(tmp_path) == ["x/part-00000.parquet"]
    assert table.read(tmp_path / "x")["a"].tolist() == [8, 9]


def test_a_directory_that_cannot_be_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the last step fails the older directory stands as it was, and the refusal names it."""
    table.write(pd.DataFrame({"a": [1, 2]}), f"{tmp_path}/x/", 1)
    before, rename = there(tmp_path), Path.rename

    def full(path: Path, target: Path) -> Path:
        if target.name == "x" and path.name.startswith(".x.") and not path.name.endswith(".old"):
            raise OSError(errno.ENOSPC, "No space left")
        return rename(path, target)

    monkeypatch.setattr("detector.exchange._exchanged", lambda one, other: False)
    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(DataRefused, match=rf"out {tmp_path}/x: No space left"):
        table.write(pd.DataFrame({"a": [3]}), f"{tmp_path}/x/")
    assert there(tmp_path) == before
    assert table.read(tmp_path / "x")["a"].tolist() == [1, 2]


def test_directories_of_other_things(tmp_path: Path) -> None:
    """A directory that holds anything that was not written here is refused and left as it is; so is a file."""
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "part-00000.parquet").touch()
    (tmp_path / "x" / "notes.txt").touch()
    with pytest.raises(DataRefused, match=rf"out {tmp_path}/x/: holds notes\.txt; only its own part-00000\.parquet"):
        table.write(pd.DataFrame({"a": [1]}), f"{tmp_path}/x/")
    with pytest.raises(DataRefused, match=r"notes\.txt/: is a file, a directory wanted"):
        table.write(pd.DataFrame({"a": [1]}), f"{tmp_path}/x/notes.txt/")
    assert there(tmp_path) == ["x/notes.txt", "x/part-00000.parquet"]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("error", [DataRefused("row 3 is bad"), KeyboardInterrupt(), OSError(errno.EIO, "Input")])
def test_nothing_half_is_left(ending: str, error: BaseException, tmp_path: Path) -> None:
    """After an error among the rows, or Ctrl-C, the older file is there as it was, and nothing else."""
    table.write(pd.DataFrame({"a": [1, 2]}), f"{tmp_path}/x{ending}", 1)
    before = {name: (tmp_path / name).read_bytes() for name in there(tmp_path)}

    def broken() -> Iterator[pd.DataFrame]:
        yield pd.DataFrame({"a": np.arange(1_000)})
        raise error

    with pytest.raises(type(error)) as raised:
        table.write(broken(), f"{tmp_path}/x{ending}", 300)
    assert raised.value is error
    assert {name: (tmp_path / name).read_bytes() for name in there(tmp_path)} == before


@pytest.mark.parametrize("name", ["x.csv", "x.csv.xz", "x.parquet", "x/"])
def test_a_full_disk(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the disk is refused with the place that was to be written, and nothing is left there."""
    monkeypatch.setattr(os, "fsync", lambda file: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left")))
    with pytest.raises(DataRefused, match=rf"out {tmp_path}/{name.rstrip('/')}: No space left"):
        table.write(pd.DataFrame({"a": [1]}), f"{tmp_path}/{name}")
    assert there(tmp_path) == []


@pytest.mark.parametrize("name", ["absent/x.csv", "absent/x.parquet", "absent/x/"])
def test_places_that_are_not_there(name: str, tmp_path: Path) -> None:
    """A place in a folder that is not there is refused before any row is asked for."""
    rows: list[int] = []

    def asked() -> Iterator[pd.DataFrame]:
        rows.append(1)
        yield pd.DataFrame({"a": [1]})

    with pytest.raises(DataRefused, match=rf"out {tmp_path}/{name.rstrip('/')}: No such file or directory"):
        table.write(asked(), f"{tmp_path}/{name}")
    assert rows == []


@pytest.mark.parametrize(
    ("chunks", "name", "wanted"),
    [
        ([{"a": [1]}, {"b": [1]}], "x.csv", "rows from 1 on have the columns b, those before a"),
        ([{"a": [1]}, {"a": [1.5]}], "x.csv", "rows from 1 on have float64 in column 'a', those before int64"),
        ([], "x.parquet", "no rows to write"),
        ([{}], "x.parquet", "no columns to write"),
        ([{"a": [1, "x", 2.5]}], "x.parquet", "Parquet cannot hold this: .*"),
        ([{"0": [1], "1": [2]}], "x.csv", "columns 0, 1: a header of numbers would be read as a row"),
        ([{"a": [1]}], "x.txt", r"\.csv, .*, or a directory with / at its end wanted"),
    ],
)
def test_refusals(chunks: list[dict[str, Any]], name: str, wanted: str, tmp_path: Path) -> None:
    """What a format cannot hold, or what is no table, is refused in one line, and nothing is left."""
    with pytest.raises(DataRefused, match=rf"out {tmp_path}/{name}: {wanted}") as refused:
        table.write(map(pd.DataFrame, chunks), tmp_path / name)
    assert "\n" not in str(refused.value)
    assert there(tmp_path) == []


def test_a_name_twice(tmp_path: Path) -> None:
    """Two columns of one name, which no format tells apart, are refused."""
    with pytest.raises(DataRefused, match="column 'a' is there twice"):
        table.write(pd.DataFrame([[1, 2]], columns=["a", "a"]), tmp_path / "x.csv")


def test_columns_of_objects(tmp_path: Path) -> None:
    """Text, booleans and whole numbers that came as objects, and categories, are stored as what they are."""
    frame = pd.DataFrame({"a": ["x", None], "b": [True, None], "c": [2**60 + 1, None], "d": [None, None]}, dtype=object)
    frame["e"] = pd.Categorical(["y", None])
    table.write(frame, tmp_path / "x.parquet")
    dtypes = {"a": "str", "b": "boolean", "c": "Int64", "d": "str", "e": "str"}
    same(table.read(tmp_path / "x.parquet"), frame.astype(dtypes))


def test_an_index_is_not_written(tmp_path: Path) -> None:
    """Rows that were chosen from a table are numbered anew."""
    frame = pd.DataFrame({"a": [1, 2, 3]}).iloc[[2, 0]]
    for ending in ENDINGS:
        table.write(frame, f"{tmp_path}/x{ending}")
        same(table.read(tmp_path / f"x{ending}"), pd.DataFrame({"a": [3, 1]}))
