"""`convert`: a table in another format, in chunks, with what came of it."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from detector import table
from tests.detector.tables import same
from tests.trainer.test_main import failed, said
from trainer.__main__ import main
from trainer.commands import convert
from trainer.simulate import simulated_cards

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def swift(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is, no conversion here takes long enough to tell its progress."""
    monkeypatch.setattr(convert, "LINE_SECONDS", float("inf"))


@pytest.fixture(scope="module")
def cards() -> pd.DataFrame:
    return simulated_cards(300)


@pytest.fixture
def file(cards: pd.DataFrame, tmp_path: Path) -> Path:
    """300 simulated cards as Parquet."""
    table.write(cards, tmp_path / "cards.parquet")
    return tmp_path / "cards.parquet"


@pytest.mark.parametrize("name", ["x.csv", "x.csv.zst", "y.parquet", "x/"])
def test_convert(name: str, file: Path, cards: pd.DataFrame, tmp_path: Path, capsys: Capture) -> None:
    """Every row and bit comes to the other file, and rows, columns and bytes are told."""
    out = f"{tmp_path}/{name}"
    text = said(capsys, "convert", file, out)
    assert text == f"300 rows, 31 columns, {table.describe(Path(out)).size:,} bytes: {out}\n"
    same(table.read(Path(out)), cards)


def test_there_and_back(file: Path, cards: pd.DataFrame, tmp_path: Path, capsys: Capture) -> None:
    """TFRecord has floats as float32, which is told of the columns that were rounded; all else comes back."""
    text = said(capsys, "convert", file, tmp_path / "x.tfrecord")
    rounded = re.search(r"^(\d+) columns rounded to float32: (.*)$", text, re.MULTILINE)
    assert rounded
    floats = {name: np.float32 for name in cards if cards[name].dtype == np.float64}
    wanted = cards.astype(floats).astype(cards.dtypes)
    names = [str(name) for name in cards if not wanted[name].equals(cards[name])]
    assert (int(rounded[1]), rounded[2]) == (len(names), ", ".join(names[:8]) + ", ...")
    said(capsys, "convert", tmp_path / "x.tfrecord", tmp_path / "back.parquet")
    same(table.read(tmp_path / "back.parquet"), wanted)


def test_some_columns(file: Path, cards: pd.DataFrame, tmp_path: Path, capsys: Capture) -> None:
    """Columns that are asked for come alone, in that order."""
    text = said(capsys, "convert", file, tmp_path / "x.csv", "--columns", "Class,V3")
    assert text.startswith("300 rows, 2 columns, ")
    same(table.read(tmp_path / "x.csv"), cards[["Class", "V3"]])


def test_rows_per_file(file: Path, tmp_path: Path, capsys: Capture) -> None:
    """A directory has as many rows a file as were asked for, and can be read, and written again."""
    for rows, files in ((100, 3), (170, 2)):
        said(capsys, "convert", file, f"{tmp_path}/parts/", "--rows-per-file", rows)
        assert len(list((tmp_path / "parts").iterdir())) == files
    said(capsys, "convert", tmp_path / "parts", tmp_path / "x.parquet")
    same(table.read(tmp_path / "x.parquet"), table.read(file))


def test_a_directory_is_data(file: Path, tmp_path: Path, capsys: Capture) -> None:
    """A directory of Parquet files is data for the other commands too."""
    said(capsys, "convert", file, f"{tmp_path}/parts/", "--rows-per-file", 100)
    code, text = failed(capsys, "fit", tmp_path / "parts", "--out", tmp_path / "m", "--label", "absent")
    assert code == 8
    assert "label column 'absent' is not in the data, which has Time, V1" in text


def test_progress(file: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes long tells on stderr how many rows it has, of how many where the file says so."""
    monkeypatch.setattr(convert, "LINE_SECONDS", 0.0)
    for source, wanted in ((file, "converting: 300/300 rows\n"), (tmp_path / "x.csv", "converting: 300 rows\n")):
        assert main(["convert", str(source), f"{tmp_path}/x.csv" if source is file else f"{tmp_path}/y.csv"]) == 0
        assert capsys.readouterr().err == wanted


def test_progress_for_a_person(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """On a terminal it is a bar, which is gone when the file is there."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm-256color")
    assert main(["convert", str(file), str(tmp_path / "x.csv")]) == 0
    assert "300 rows" in terminal.getvalue()
    assert capsys.readouterr().out.startswith("300 rows, 31 columns, ")


@pytest.mark.parametrize(
    ("order", "code", "wanted"),
    [
        (["cards.parquet", "cards.parquet"], 2, r"cards\.parquet is what is read; another place wanted"),
        (["cards.parquet", "./sub/../cards.parquet"], 2, "is what is read; another place wanted"),
        (["parts", "parts/"], 2, "is what is read; another place wanted"),
        (["parts", "parts/all.parquet"], 2, "one lies within the other; another place wanted"),
        (["cards.parquet", "x.xlsx"], 8, r"out .*x\.xlsx: \.csv, .*\.tfrecords\.gz, or a directory with / at its end"),
        (["cards.xlsx", "x.csv"], 8, r"data .*cards\.xlsx: no such file"),
        (["notes.txt", "x.csv"], 8, r"data .*notes\.txt: \.csv, .* wanted"),
        (["empty", "x.csv"], 8, r"data .*empty: no \.parquet or \.tfrecord file in this directory"),
        (["cards.parquet", "parts"], 8, r"out .*parts: holds a\.parquet; only its own part-00000\.parquet"),
        (["cards.parquet", "x.csv", "--columns", "V1,V99"], 8, r"cards\.parquet: column 'V99' is not there; there are"),
        (
            ["cards.parquet", "x.csv", "--rows-per-file", "9"],
            2,
            r"--rows-per-file 9: .*x\.csv is one file; a directory",
        ),
    ],
)
def test_refusals(order: list[str], code: int, wanted: str, file: Path, tmp_path: Path, capsys: Capture) -> None:
    """What cannot be converted is refused in one line with the right code, and nothing is written or changed."""
    for folder in ("parts", "empty", "sub"):
        (tmp_path / folder).mkdir()
    (tmp_path / "parts" / "a.parquet").write_bytes(file.read_bytes())
    (tmp_path / "notes.txt").touch()
    before = sorted(tmp_path.rglob("*"))
    places = [f"{tmp_path}/{place}" for place in order[:2]]
    found, text = failed(capsys, "convert", *places, *order[2:])
    assert found == code
    assert re.search(wanted, text)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_damaged_file(file: Path, cards: pd.DataFrame, tmp_path: Path, capsys: Capture) -> None:
    """Damage found halfway leaves the older file as it was."""
    said(capsys, "convert", file, tmp_path / "x.csv.zst")
    table.write(cards.head(9), tmp_path / "y.parquet")
    before = (tmp_path / "y.parquet").read_bytes()
    content = (tmp_path / "x.csv.zst").read_bytes()
    (tmp_path / "x.csv.zst").write_bytes(content[:-20])
    code, text = failed(capsys, "convert", tmp_path / "x.csv.zst", tmp_path / "y.parquet")
    assert code == 8
    assert "x.csv.zst: cannot be read: " in text
    assert (tmp_path / "y.parquet").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 3
