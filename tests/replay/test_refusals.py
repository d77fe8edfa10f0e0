"""What a replay refuses, as a process: one line, no traceback, the exit code of its kind, and nothing is sent.

With a broker: tests/integration/test_replay_refusals.py.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

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
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=60, input=fed)
    return done.returncode, done.stdout, done.stderr


ABSENT = "is not in the data, which has Time, x, Class"
LATE = "--order time sorts all rows first, --order file plays them as they come"


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (["nowhere.csv"], 8, "data nowhere.csv: no such file"),
        (["empty.csv"], 8, "data empty.csv: cannot be read: No columns to parse from file"),
        (["header.csv"], 8, "data header.csv: no rows"),
        (["nothing"], 8, "data nothing: no .parquet or .tfrecord file in this directory"),
        (["rows.csv", "--features", "x,y"], 8, f"data rows.csv: feature column 'y' {ABSENT}"),
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
        (
            ["rows.csv", "--as-signal", "--sample-rate", "0"],
            2,
            "--sample-rate has value '0', at least 0.001 wanted",
        ),
        (
            ["rows.csv"],
            4,
            "bootstrap_servers '127.0.0.1:1': no broker answered within 0.2 s: "
            "Failed to get metadata: Local: Broker transport failure (_TRANSPORT)",
        ),
    ],
)
def test_one_line(folder: Path, arguments: list[str], code: int, line: str) -> None:
    """A file that is missing, empty or lacks what is wanted, and a broker that is not there, are one line each."""
    assert replay(folder, *arguments) == (code, "", f"error: {line}\n")


@pytest.mark.parametrize(
    ("fed", "line"),
    [
        ("", "data standard input: no rows"),
        ("Time,x\n", "data standard input: no rows"),
        ("Time,x\n3,1\n1,2\n", f"data standard input: row 1 is older than the one before by 'Time'; {LATE}"),
    ],
)
def test_standard_input(folder: Path, fed: str, line: str) -> None:
    """Nothing in a pipe, and rows out of order where none was asked for, are refused."""
    assert replay(folder, "-", "--dry-run", fed=fed) == (8, "", f"error: {line}\n")


def test_unsorted_and_allowed(folder: Path) -> None:
    """The same rows are played in their own order, or sorted, where that was asked for."""
    rows = "Time,x\n3,1\n1,2\n"
    for order, said, first in (
        ("file", "", "row-id=0"),
        ("time", "replay: sorting standard input by 'Time'", "row-id=1"),
    ):
        code, out, err = replay(folder, "-", "--dry-run", "--order", order, fed=rows)
        assert (code, err.partition(",")[0].strip()) == (0, said)
        assert first in next(line for line in out.splitlines() if line.startswith("to transactions: "))
