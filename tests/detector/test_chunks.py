"""What is read in chunks is what is read whole, and never held whole."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector import table
from detector.errors import DataRefused
from detector.table import csv_file
from detector.table.csv_file import SETTLED_ROWS
from tests.conftest import real
from tests.detector.tables import frames, same

CELLS = (
    *("1", "-2", "3.5", "1e3", " 4", "007", "inf", "", "NA", "True", "false", "x"),
    *("9223372036854775807", "9223372036854775808", "-9223372036854775809", "18446744073709551616"),
)
GROWTH = "import sys; from tests.detector.growth import grown; print(*grown(*sys.argv[1:]))"


def chunked(path: Path, rows: int, columns: list[str] | None = None) -> pd.DataFrame:
    return pd.concat(list(table.chunks(path, columns, rows)))


def outcome(read: Any) -> Any:
    """A table, or why it was refused."""
    try:
        return read()
    except DataRefused as refused:
        return str(refused)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("chunks")


@given(
    st.lists(st.sampled_from(CELLS), min_size=1, max_size=4).flatmap(
        lambda some: st.lists(st.sampled_from(some), min_size=1, max_size=12)
    ),
    st.integers(1, 14),
    st.integers(1, 14),
)
@settings(max_examples=100)
def test_any_csv(folder: Path, cells: list[str], rows: int, settled: int) -> None:
    """Whatever the cells, chunks of any length have the values and dtypes of the whole, or are refused for the same."""
    path = folder / "any.csv"
    path.write_text("a,b\n" + "".join(f"{cell},{i}\n" for i, cell in enumerate(cells)))
    with patch.object(csv_file, "SETTLED_ROWS", settled):
        whole, parts = outcome(lambda: table.read(path)), outcome(lambda: chunked(path, rows))
    assert type(whole) is type(parts)
    if isinstance(whole, str):
        assert parts == whole
    else:
        same(parts, whole)


@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".csv.xz", ".csv.zst", ".parquet", "/"])
@given(frame=frames(), rows=st.integers(1, 25), rows_per_file=st.integers(1, 25), data=st.data())
@settings(max_examples=15)
def test_any_file(
    folder: Path, ending: str, frame: pd.DataFrame, rows: int, rows_per_file: int, data: st.DataObject
) -> None:
    """In each format chunks of any length make the whole, and so do some of its columns in another order."""
    path = folder / f"any{ending}"
    table.write(frame, f"{path}/" if ending == "/" else path, rows_per_file)
    whole = table.read(path)
    same(chunked(path, rows), whole)
    columns = data.draw(st.permutations([str(name) for name in frame]))[: data.draw(st.integers(1, frame.shape[1]))]
    same(chunked(path, rows, columns), whole[columns])


@pytest.mark.parametrize("ending", [".csv", ".parquet", "/"])
def test_lengths(ending: str, tmp_path: Path) -> None:
    """Each chunk but the last has exactly as many rows as were asked for, and the index goes on."""
    table.write(pd.DataFrame({"a": np.arange(25) / 4}), f"{tmp_path}/x{ending}", 7)
    found = list(table.chunks(tmp_path / f"x{ending}", rows=10))
    assert [(len(chunk), chunk.index[0]) for chunk in found] == [(10, 0), (10, 10), (5, 20)]


def test_a_file_of_no_header(tmp_path: Path) -> None:
    """A CSV without a header has the columns c0, c1, ... in chunks too, also when some are asked for."""
    (tmp_path / "x.csv").write_text("1,2,3\n4,5,6\n7,8,9.5\n")
    same(chunked(tmp_path / "x.csv", 1, ["c2", "c0"]), pd.DataFrame({"c2": [3, 6, 9.5], "c0": [1, 4, 7]}))


def test_names_that_are_there_twice(tmp_path: Path) -> None:
    """A CSV's columns of the same name are told apart in chunks as they are in the whole."""
    (tmp_path / "x.csv").write_text("a,a,b\n1,2,3\n4,5,6\n7,8,9\n")
    same(chunked(tmp_path / "x.csv", 2, ["a.1"]), pd.DataFrame({"a.1": [2, 5, 8]}))


def test_text_far_down(tmp_path: Path) -> None:
    """Text in a column of numbers, far below its first rows, is refused by its row; a fraction there is none."""
    rows = [f"{i},{i}" for i in range(SETTLED_ROWS + 20)]
    rows[-3] = "0.5,#REF!"
    (tmp_path / "x.csv").write_text("a,b\n" + "\n".join(rows))
    wanted = rf"x\.csv: row {SETTLED_ROWS + 17}: column 'b' holds '#REF!', a number wanted: its first 65,536 rows"
    for count in (None, 9_000, 70_000):
        with pytest.raises(DataRefused, match=wanted):
            table.read(tmp_path / "x.csv") if count is None else next(table.chunks(tmp_path / "x.csv", rows=count))
    first = next(table.chunks(tmp_path / "x.csv", ["a"], 30_000))
    assert first["a"].dtype == np.float64


def test_text_near_the_top(tmp_path: Path) -> None:
    """A column that has text among its first rows is text, however long the file, and every digit of it is kept."""
    (tmp_path / "x.csv").write_text("a\n" + "007\n" * SETTLED_ROWS + "x\n")
    with pytest.raises(DataRefused, match=f"row {SETTLED_ROWS}: column 'a' holds 'x'"):
        table.read(tmp_path / "x.csv")
    (tmp_path / "x.csv").write_text("a\n" + "007\n" * (SETTLED_ROWS - 1) + "x\n007\n")
    for found in (table.read(tmp_path / "x.csv"), chunked(tmp_path / "x.csv", 40_000)):
        assert found["a"].dtype == "str"
        assert found["a"].iloc[[0, -2, -1]].tolist() == ["007", "x", "007"]


def test_a_late_beginning(tmp_path: Path) -> None:
    """A column that is empty for long is what its first values are, and no column of numbers."""
    (tmp_path / "x.csv").write_text("a,b\n" + ",1\n" * (SETTLED_ROWS + 1) + "x,2\n")
    found = chunked(tmp_path / "x.csv", 40_000)
    assert found["a"].dtype == "str"
    assert found["a"].iloc[-1] == "x"


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_columns_that_are_not_there(ending: str, tmp_path: Path) -> None:
    """A column that is absent, or asked for twice, is named; asking for none is refused; so are chunks of no rows."""
    table.write(pd.DataFrame({"a": [1.5], "b": [2]}), tmp_path / f"x{ending}")
    for columns, wanted in ((["c"], "'c' is not there; there are a, b"), (["a", "a"], "'a' is asked for twice")):
        with pytest.raises(DataRefused, match=rf"x\{ending}: column {wanted}"):
            next(table.chunks(tmp_path / f"x{ending}", columns))
    with pytest.raises(DataRefused, match="no column is asked for"):
        next(table.chunks(tmp_path / f"x{ending}", []))
    with pytest.raises(ValueError, match="rows 0: at least 1 wanted"):
        next(table.chunks(tmp_path / f"x{ending}", rows=0))


@pytest.mark.parametrize("ending", [".csv.gz", ".csv.xz", ".csv.zst", ".parquet"])
def test_damage(ending: str, tmp_path: Path) -> None:
    """A file that was cut short is refused, and not read in part as if it were whole."""
    path = tmp_path / f"x{ending}"
    table.write(pd.DataFrame({"a": np.random.default_rng(0).normal(size=20_000)}), path)
    path.write_bytes(path.read_bytes()[:-100_000])
    with pytest.raises(DataRefused, match=rf"data {path}: cannot be read: ."):
        chunked(path, 1_000)


@pytest.mark.parametrize(("content", "ending"), [("a,b\n", ".csv"), ("a\n\n\n", ".csv")])
def test_no_rows(content: str, ending: str, tmp_path: Path) -> None:
    """A file without rows is refused in chunks as it is whole."""
    (tmp_path / f"x{ending}").write_text(content)
    with pytest.raises(DataRefused, match="no rows"):
        next(table.chunks(tmp_path / f"x{ending}"))


def test_describe(tmp_path: Path) -> None:
    """Columns, dtypes and bytes are known before reading, and of Parquet the rows too; a directory adds up."""
    frame = pd.DataFrame({"a": [1, 2, 3], "b": ["x", None, "y"], "c": pd.array([1, None, 3], "Int64")})
    for place, rows, dtypes in (("x.csv", None, ("int64", "str", "float64")), ("x/", 3, ("int64", "str", "Int64"))):
        written = table.write(frame, f"{tmp_path}/{place}", 2)
        found = table.describe(tmp_path / place)
        assert found == table.Shape(("a", "b", "c"), dtypes, rows, written.size)
        assert tuple(map(str, table.read(tmp_path / place).dtypes)) == dtypes
    assert len(list((tmp_path / "x").iterdir())) == 2


def parquet(path: Path, **columns: Any) -> Path:
    """A Parquet file as others than pandas write it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path


def test_a_directory(tmp_path: Path) -> None:
    """Its files are read by name, those of folders within too; hidden files and those of other kinds are no data."""
    for name in ("b.parquet", "a.parquet", "c/a.PARQUET", ".hidden.parquet", "_temporary/x.parquet", "_metadata"):
        parquet(tmp_path / name, file=[name], n=[len(name)])
    (tmp_path / "_SUCCESS").touch()
    (tmp_path / "README.txt").write_text("no data")
    assert table.read(tmp_path)["file"].tolist() == ["a.parquet", "b.parquet", "c/a.PARQUET"]
    same(chunked(tmp_path, 2), table.read(tmp_path))


def test_folders_that_are_columns(tmp_path: Path) -> None:
    """Folders called name=value are columns, as Spark and Hive write them: numbers where all are, and gaps."""
    parquet(tmp_path / "day=2018-04-02" / "fraud=1" / "x.parquet", a=[1.5, 2.5])
    parquet(tmp_path / "day=2018-04-01" / "fraud=0" / "x.parquet", a=[0.5])
    parquet(tmp_path / "day=a%2Fb" / "fraud=__HIVE_DEFAULT_PARTITION__" / "x.parquet", a=[3.5])
    found = table.read(tmp_path)
    wanted = {"a": [0.5, 1.5, 2.5, 3.5], "day": ["2018-04-01", "2018-04-02", "2018-04-02", "a/b"]}
    same(found, pd.DataFrame(wanted).assign(fraud=pd.array([0, 1, 1, None], "Int64")))
    same(chunked(tmp_path, 3), found)
    same(chunked(tmp_path, 3, ["fraud"]), found[["fraud"]])


def test_gaps_in_another_file(tmp_path: Path) -> None:
    """One file's gaps decide for all; a file in which a column is all missing has the type of the others."""
    parquet(tmp_path / "1.parquet", a=[1, 2**53 + 1], b=pa.nulls(2), c=["x", "y"], d=[True, False])
    parquet(tmp_path / "2.parquet", d=pa.array([None], pa.bool_()), a=pa.array([None], pa.int64()), b=["z"], c=["z"])
    found = table.read(tmp_path)
    wanted = {"a": pd.array([1, 2**53 + 1, None], "Int64"), "b": [None, None, "z"], "c": ["x", "y", "z"]}
    same(found, pd.DataFrame(wanted).assign(d=pd.array([True, False, None], "boolean")))
    same(chunked(tmp_path, 1), found)


@pytest.mark.parametrize(
    ("columns", "wanted"),
    [
        ({"a": [1]}, r"2\.parquet: column 'b' of .*1\.parquet is not there"),
        ({"a": [1], "b": ["x"], "c": [1]}, r"2\.parquet: column 'c' is not in .*1\.parquet"),
        ({"a": [1.5], "b": ["x"]}, r"2\.parquet: column 'a' holds double, int64 in .*1\.parquet"),
    ],
)
def test_files_that_differ(columns: dict[str, Any], wanted: str, tmp_path: Path) -> None:
    """A directory's files have the same columns of the same types, or the one that differs is named."""
    parquet(tmp_path / "1.parquet", a=[1], b=["x"])
    parquet(tmp_path / "2.parquet", **columns)
    with pytest.raises(DataRefused, match=wanted):
        table.read(tmp_path)
    with pytest.raises(DataRefused, match=wanted):
        next(table.chunks(tmp_path))


def test_directories_that_are_no_table(tmp_path: Path) -> None:
    """A directory without data, of two kinds, or with a damaged file is refused, and the file named."""
    with pytest.raises(DataRefused, match=rf"data {tmp_path}: no \.parquet or \.tfrecord file in this directory"):
        table.read(tmp_path)
    parquet(tmp_path / "1.parquet", a=[1])
    (tmp_path / "1.tfrecord").touch()
    with pytest.raises(DataRefused, match=r"holds 1\.parquet and 1\.tfrecord, files of one kind wanted"):
        table.read(tmp_path)
    (tmp_path / "1.tfrecord").unlink()
    (tmp_path / "2.parquet").write_bytes(b"no parquet")
    with pytest.raises(DataRefused, match=r"2\.parquet: cannot be read: ."):
        table.read(tmp_path)


def test_parquet_of_others(tmp_path: Path) -> None:
    """Categories are their values, decimals floats, days times; whole numbers with gaps keep every digit."""
    path = parquet(
        tmp_path / "x.parquet",
        a=pa.array(["x", None, "x"]).dictionary_encode(),
        b=pa.array([Decimal("0.10"), None, Decimal("12.34")]),
        c=pa.array([0, 1, None], pa.date32()),
        d=pa.array([2**63 - 1, None, 1]),
        e=pa.array(["x", "y", None], pa.large_string()),
        f=pa.nulls(3, pa.float64()),
    )
    wanted = {
        "a": ["x", None, "x"],
        "b": [0.1, None, 12.34],
        "c": np.array(["1970-01-01", "1970-01-02", "NaT"], "datetime64[ms]"),
        "d": pd.array([2**63 - 1, None, 1], "Int64"),
        "e": ["x", "y", None],
        "f": [np.nan] * 3,
    }
    same(table.read(path), pd.DataFrame(wanted))
    same(chunked(path, 1), table.read(path))


def test_an_index_is_no_column(tmp_path: Path) -> None:
    """What pandas numbered rows by is left out, but kept where it has a name."""
    frame = pd.DataFrame({"a": [1.5, 2.5]}, index=[7, 9])
    frame.to_parquet(tmp_path / "x.parquet")
    same(table.read(tmp_path / "x.parquet"), pd.DataFrame({"a": [1.5, 2.5]}))
    frame.rename_axis("Time").to_parquet(tmp_path / "x.parquet")
    same(table.read(tmp_path / "x.parquet"), pd.DataFrame({"a": [1.5, 2.5], "Time": [7, 9]}))


def test_without_statistics(tmp_path: Path) -> None:
    """Where a Parquet file does not say whether values are missing, its column is looked through."""
    pq.write_table(pa.table({"a": [1, None, 3], "b": [1, 2, 3]}), tmp_path / "x.parquet", write_statistics=False)
    found = chunked(tmp_path / "x.parquet", 1)
    assert [str(dtype) for dtype in found.dtypes] == ["Int64", "int64"]


def test_a_name_that_is_there_twice(tmp_path: Path) -> None:
    """Parquet lets two columns have a name; they are refused."""
    pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"]), tmp_path / "x.parquet")
    with pytest.raises(DataRefused, match=r"x\.parquet: column 'a' is there twice"):
        table.read(tmp_path / "x.parquet")


@pytest.mark.parametrize(("source", "out"), [("csv.zst", "parquet"), ("parquet", "csv"), ("tfrecord", "tfrecord")])
def test_memory_is_flat(source: str, out: str, tmp_path: Path) -> None:
    """A file of 80 chunks of 1 MB is read and written in a process that grows by less than half of it."""
    command = [sys.executable, "-c", GROWTH, f"{tmp_path}/a.{source}", f"{tmp_path}/b.{out}"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    chunks, kilobytes = map(int, ran.stdout.split())
    assert chunks == 80
    assert kilobytes < 40_000


def test_real_cards_in_chunks() -> None:
    """The real cards come in chunks as they come whole."""
    path = real("creditcard_sample.parquet")
    same(chunked(path, 1_234), table.read(path))


def test_simulated_cards_in_chunks(tmp_path: Path) -> None:
    """So do simulated ones."""
    from trainer.simulate import simulated_cards

    table.write(simulated_cards(3_000), tmp_path / "x.parquet")
    same(chunked(tmp_path / "x.parquet", 1_234), simulated_cards(3_000))
