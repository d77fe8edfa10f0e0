"""What a dry run says, without a broker."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from replay.__main__ import main


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "rows.csv"
    times = [1_700_000_000 + 60 * row for row in range(61)]
    frame = pd.DataFrame({"Time": times[::-1], "card": np.arange(61) % 7, "x": 0.5, "shop": "ü", "Class": 0})
    frame.to_csv(path, index=False)
    return path


def test_json(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Columns and roles, rows, span, duration at the pace, and the first five rows as they would be sent."""
    assert main([str(data), "--dry-run", "--speed", "60x"]) == 0
    text = capsys.readouterr().out
    span = "2023-11-14T22:13:20.000Z to 2023-11-14T23:13:20.000Z"
    assert text.startswith(f"{data}: 61 rows, {span}, 0:01:00 at 60x\n")
    for line in ("Time    int64    feature, event time", "card    int64    feature, key", "shop    str      feature"):
        assert line in text
    assert "Class            label ('0' is normal), sent to labels\n" in text
    first = "to transactions: key 4, headers format=json row-id=60, event time 2023-11-14T22:13:20.000Z, label 0\n"
    assert f'{first}  {{"Time":1700000000,"card":4,"x":0.5,"shop":"ü"}}\n' in text
    assert text.count("to transactions: ") == 5


def test_packed(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A packed row is shown by its numbers; what is left out makes the duration a bound."""
    more = [
        "--format",
        "packed",
        "--features",
        "x,card",
        "--speed",
        "10/s",
        "--sample",
        "0.9",
        "--labels-topic",
        "none",
    ]
    assert main([str(data), "--dry-run", *more]) == 0
    text = capsys.readouterr().out
    assert "at most 0:00:06.100000 at 10/s\n" in text
    assert "  8 bytes: 0.5 " in text
    assert "label ('0' is normal), not sent" in text


def test_nothing_left(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where no row is left it says so."""
    assert main([str(data), "--dry-run", "--between", "2001-01-01", "2001-01-02"]) == 0
    assert capsys.readouterr().out.endswith("\n\nno row would be sent\n")


def test_standard_input(data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of standard input only the beginning is known."""
    rows = pd.read_csv(data).sort_values("Time").to_csv(index=False).encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(rows)))
    assert main(["-", "--dry-run", "--loop", "1"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("standard input: rows unknown, as fast as the broker takes them\n")
    assert text.count("to transactions: ") == 5


def test_escapes_reach_no_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a value holds cannot move a terminal's cursor."""
    path = tmp_path / "rows.csv"
    path.write_text('x,t\n1,"\x9b31m"\n')
    assert main([str(path), "--dry-run"]) == 0
    assert "\x9b" not in capsys.readouterr().out
