"""Every command of the trainer's page, run as it stands there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from detector import artifact
from tests import told
from tests.readme import TRAINER


@pytest.mark.long
def test_commands_run(tmp_path: Path) -> None:
    """The commands run one after the other, and what they speak of is there in the end."""
    blocks = told.blocks(TRAINER, "sh")
    assert len(blocks) == 7
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for block in blocks:
        done = subprocess.run(
            ["bash", "-euc", block], cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, text=True
        )
        assert done.returncode == 0, block + done.stdout + done.stderr
    assert artifact.load(tmp_path / "model").threshold.method == "percentile:99.9"
    assert artifact.load(tmp_path / "mine").manifest["training"]["recipe"] == "mine"
    assert (tmp_path / "model.report" / "report.html").is_file()
