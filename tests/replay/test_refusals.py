"""What a replay refuses: one line, no traceback, the exit code of its kind, and nothing is sent.

A file that changes meanwhile, a broker that goes away, topics that are not there: tests/integration/test_replay*.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from replay.__main__ import main

ROOT = Path(__file__).parents[2]
FILES = {
    "empty.csv": "",
    "header.csv": "Time,x,Class\n",
    "rows.csv": "Time,x,Class\n3,0.5,0\n1,0.25,1\n",
    "less.csv": "Time,Class\n4,0\n",
    "soon.csv": "Time,x\nsoon,1\n",
    "unknown.csv": "Time,x,Class\n1,1,\n2,1,0\n",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small files that are wrong in some way, and a directory without one."""
    made = tmp_path_factory.mktemp("data")
    for name, text in FILES.items():
        (made / name).write_text(text)
    (made / "nothing").mkdir()
    return made


def replay(folder: Path, *arguments: str, fed: str | None = None) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a process that could reach no broker."""
    line = [sys.executable, "-m", "replay", *arguments, "--bootstrap-servers", "127.0.0.1:1", "--connect-seconds", ".2"]
    here = {**os.environ, "PYTHONPATH": str(ROOT)}  # of this tree, whatever is installed
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=60, input=fed, env=here)
    return done.returncode, done.stdout, done.stderr


ABSENT = "is not in the data, which has Time, x, Class"
LATE = "--order time sorts all rows first, --order file plays them as they come"


NO_BROKER = (
    "bootstrap_servers '127.0.0.1:1': no broker answered within 0.2 s: "
    "Failed to get metadata: Local: Broker transport failure (_TRANSPORT)"
)


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (["empty.csv"], 8, "data empty.csv: cannot be read: No columns to parse from file"),
        (["header.csv"], 8, "data header.csv: no rows"),
        (["rows.csv", "--features", "x,y"], 8, f"data rows.csv: feature column 'y' {ABSENT}"),
        (["rows.csv"], 4, NO_BROKER),
    ],
)
def test_a_process(folder: Path, arguments: list[str], code: int, line: str) -> None:
    """An empty file, a missing column and a broker that is not there end the process with one line each."""
    assert replay(folder, *arguments) == (code, "", f"error: {line}\n")


def test_unsorted(folder: Path) -> None:
    """Rows out of order in a pipe, where none was asked for, end the process with the row and what to say."""
    told = f"error: data standard input: row 1 is older than the one before by 'Time'; {LATE}\n"
    assert replay(folder, "-", "--dry-run", fed="Time,x\n3,1\n1,2\n") == (8, "", told)


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (["nowhere.csv"], 8, "data nowhere.csv: no such file"),
        (["nothing"], 8, "data nothing: no .parquet or .tfrecord file in this directory"),
        (["rows.csv", "--key", "card"], 8, f"data rows.csv: key column 'card' {ABSENT}"),
        (["rows.csv", "--time", "when"], 8, f"data rows.csv: time column 'when' {ABSENT}"),
        (["rows.csv", "--label", "fraud"], 8, f"data rows.csv: label column 'fraud' {ABSENT}"),
        (["rows.csv", "less.csv"], 8, "data less.csv: column 'x' is not there, which rows.csv has"),
        (["unknown.csv"], 8, "data unknown.csv: label column 'Class' has 1 missing values"),
        (
            ["soon.csv", "--time", "Time"],
            8,
            "data soon.csv: time column 'Time': Unknown datetime string format, unable to parse: soon",
        ),
        (["rows.csv", "--as-signal", "--sample-rate", "0"], 2, "--sample-rate has value '0', at least 0.001 wanted"),
    ],
)
def test_one_line(
    folder: Path,
    arguments: list[str],
    code: int,
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What else a file may lack is one line, before a broker is asked."""
    monkeypatch.chdir(folder)
    assert main([*arguments, "--bootstrap-servers", "127.0.0.1:1"]) == code
    assert capsys.readouterr() == ("", f"error: {line}\n")


def test_unsorted_and_allowed(folder: Path) -> None:
    """The same rows are played in their own order where that was asked for."""
    code, out, err = replay(folder, "-", "--dry-run", "--order", "file", fed="Time,x\n3,1\n1,2\n")
    assert (code, err) == (0, "")
    assert [f"row-id={row}" in out for row in (0, 1)] == [True, True]
    assert out.index("row-id=0") < out.index("row-id=1")
