"""What cannot start says so: one line on stderr that names the thing, and the exit code of the table."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.integration.conftest import Cards
from tests.integration.line import Topics, detector_command


def refused(command: Sequence[str]) -> tuple[int, str]:
    """The exit code, and the one line that a command ends with."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    return done.returncode, lines[0]


def test_topic_missing(cards: Cards, topics: Topics) -> None:
    """A topic that does not exist is named; 5."""
    command = [*detector_command(topics, cards.model), "--alerts-topic", "nowhere"]
    code, line = refused(command)
    assert code == 5
    assert "'nowhere'" in line


def test_no_broker(cards: Cards, topics: Topics, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that is not there is named with the time that it was given; 4."""
    monkeypatch.setenv("DETECTOR_CONNECT_SECONDS", "1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        command = [*detector_command(topics, cards.model), "--bootstrap-servers", address]
        code, line = refused(command)
    assert code == 4
    assert repr(address) in line
    assert "1 s" in line


def test_port_in_use(cards: Cards, topics: Topics) -> None:
    """A port in use is named; 6."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, line = refused([*detector_command(topics, cards.model), "--metrics-port", str(port)])
    assert code == 6
    assert f"metrics_port {port}" in line


def test_model_missing(topics: Topics, tmp_path: Path) -> None:
    """A model directory that is not there is named; 3."""
    code, line = refused(detector_command(topics, tmp_path / "nothing"))
    assert code == 3
    assert "nothing: no such directory" in line


def test_model_altered(cards: Cards, topics: Topics, tmp_path: Path) -> None:
    """A model with one byte changed is refused, and the file named; 3."""
    shutil.copytree(cards.model, tmp_path / "model")
    graph = tmp_path / "model" / "model.tflite"
    content = bytearray(graph.read_bytes())
    content[len(content) // 2] ^= 1
    graph.write_bytes(content)
    code, line = refused(detector_command(topics, tmp_path / "model"))
    assert code == 3
    assert "model.tflite" in line


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--max-batch", "0"], "--max-batch has value '0', at least 1 wanted"),
        (["--delivery", "twice"], "--delivery has value 'twice'"),
        (["--threshold", "loud"], "threshold 'loud'"),
        (["--kafka", "enable.auto.commit=true"], "'enable.auto.commit'"),
        (["--kafka", "no.such.property=1"], "no.such.property"),
        (["--config", "nowhere.toml"], "nowhere.toml"),
    ],
)
def test_settings(cards: Cards, topics: Topics, options: list[str], named: str) -> None:
    """A setting that is wrong is named with its value and what was wanted; 2."""
    code, line = refused([*detector_command(topics, cards.model), *options])
    assert code == 2
    assert named in line


def test_secret_is_not_logged(cards: Cards, topics: Topics) -> None:
    """A password among the Kafka properties does not come back in any line."""
    command = [*detector_command(topics, cards.model), "--kafka", "sasl.password=hunter2", "--kafka", "no.such=1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "hunter2" not in done.stderr + done.stdout


def test_detector_is_light(cards: Cards) -> None:
    """The detector's process has loaded no TensorFlow, pandas or scikit-learn."""
    code = (
        "import sys, detector.__main__, detector.artifact, pathlib\n"
        f"detector.artifact.load(pathlib.Path({str(cards.model)!r})).model().warm()\n"
        "print([name for name in ('tensorflow', 'keras', 'pandas', 'sklearn', 'pyarrow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
