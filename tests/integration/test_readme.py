"""Every command of the README, and of the pages that go on from its model and topics, run as it stands there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd

from tests import told
from tests.broker import Broker
from tests.integration.line import read_committed


def commands() -> list[str]:
    """The shell blocks of these pages, in order; those of make are run by tests of their own."""
    return [block for page in told.PAGES_OF_A_BROKER for block in told.blocks(page, "sh")]


def test_commands_run(broker: Broker, tmp_path: Path) -> None:
    """The commands run one after the other, and the alerts in Kafka are the rows that `trainer score` finds."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    assert len(commands()) == 10
    for block in commands():
        script = block.replace("localhost:9092", broker.bootstrap)
        done = subprocess.run(
            ["bash", "-euc", script], cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, text=True
        )
        assert done.returncode == 0, block + done.stdout + done.stderr
    scores = pd.read_csv(tmp_path / "scores.csv").head(20_000)
    scores = scores[scores.verdict == "alert"]
    alerts = [json.loads(message.value()) for message in read_committed(broker.bootstrap, "alerts")]
    assert len(alerts) == len(scores) > 0
    assert {alert["row_id"]: alert["score"] for alert in alerts} == dict(
        zip(scores.row_id.astype(str), scores.score, strict=True)
    )
