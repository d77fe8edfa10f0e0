"""One training by the command line, twice at the same time."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Run:
    """A finished `python -m trainer fit`."""

    out: Path
    code: int
    stdout: str
    stderr: str


@pytest.fixture(scope="session")
def twins(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """Two processes that were told the same, but for the place of the artifact."""
    outs = [tmp_path_factory.mktemp(name) / "model" for name in ("first", "second")]
    order = ["fit", "simulated-ecg", "--recipe", "ecg-msle", "--epochs", "1", "--seed", "3", "--out"]
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "trainer", *order, str(out)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for out in outs
    ]
    said = [process.communicate(timeout=300) for process in started]
    return [Run(out, one.returncode, *texts) for out, one, texts in zip(outs, started, said, strict=True)]
