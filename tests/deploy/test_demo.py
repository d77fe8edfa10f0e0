"""The demo itself, small and without a terminal but for one, on the embedded broker."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import urllib.request
from pathlib import Path

import pytest

from detector.errors import EXIT_CODES
from detector.http import Endpoint
from tests.deploy.running import LIVE, ROOT, eventually, running
from trainer.simulate import simulated_cards

QUICK = ("--epochs", "1", "--no-console")


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """A person's own file, small."""
    path = tmp_path / "my cards.csv"
    simulated_cards(4_000, seed=5, fraud_share=0.05).to_csv(path, index=False)
    return path


def test_the_whole_line(tmp_path: Path) -> None:
    """Simulated rows, said to be that, flow to the end: a summary with every row and label, and beside it the console,
    which with --stay is there until Ctrl-C; exit 0, nothing left."""
    with running(tmp_path, "--rows", "8000", "--epochs", "3", "--stay") as demo:
        demo.until(re.compile(r"^demo: console: \S+ stays until Ctrl-C$", re.MULTILINE))
        assert_console(demo.out)
        demo.process.send_signal(signal.SIGINT)
        assert demo.end() == 0, demo.err
        assert demo.err == ""
        assert "8,000 SIMULATED card transactions to replay" in demo.out
        assert re.search(r"^demo: [\d,]+/8,000 rows, .* alerts, .* frauds caught, .* threshold", demo.out, re.MULTILINE)
        found = re.search(
            r"rows +8,000 in .*, 0 dead letters\s+alerts +([\d,]+),.*\s+frauds +14 by the labels, (\d+) caught",
            demo.out,
        )
        assert found, demo.out
        assert int(found[1]) > 0
        assert 0 < int(found[2]) <= 14
        assert "The most striking alerts" in demo.out
        assert ".venv/bin/detector run" in demo.out
        assert demo.nothing_left()


def assert_console(told: str) -> None:
    """The address that a demo told is that of the page of alerts."""
    found = re.search(r"^demo: console: (http://127\.0\.0\.1:\d+)$", told, re.MULTILINE)
    assert found, told
    with urllib.request.urlopen(found[1], timeout=10) as page:
        assert "fraud console" in page.read().decode()


@pytest.mark.parametrize("labelled", [True, pytest.param(False, marks=pytest.mark.long)])
def test_a_persons_own_file(tmp_path: Path, rows: Path, labelled: bool) -> None:
    """The later half is replayed; without a label column the demo says what cannot be shown, and goes on."""
    if not labelled:
        lines = rows.read_text().splitlines()
        rows.write_text("\n".join(line.rpartition(",")[0] for line in lines))
    with running(tmp_path, "--data", str(rows), *QUICK) as demo:
        assert demo.end() == 0, demo.err
        assert "my cards.csv in the order of 'Time': 2,000 rows to learn from, then 2,000 to replay" in demo.out
        assert "SIMULATED" not in demo.out
        assert ("no label column: precision and recall cannot be shown" in demo.out) == (not labelled)
        assert ("none, so no precision and no recall" in demo.out) == (not labelled)
        assert bool(re.search(r"frauds +\d+ by the labels", demo.out)) == labelled
        assert f".venv/bin/trainer fit '{rows}'" in demo.out
        assert demo.nothing_left()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"PAR1 and no more", "cannot be read"),
        (b"V1,V2\n1,2.5\n3.5,1\n1,2.5\n3.5,1\n", "earlier half is learnt from: data earlier.parquet: 2 normal rows"),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path: Path, content: bytes, sentence: str) -> None:
    """One line with the file's name, exit code 8, nothing left."""
    path = tmp_path / ("rows.parquet" if content.startswith(b"PAR1") else "rows.csv")
    path.write_bytes(content)
    with running(tmp_path, "--data", str(path)) as demo:
        assert demo.end() == 8
        assert demo.err.startswith(f"error: data {path}")
        assert sentence in demo.err
        assert demo.err.count("\n") == 1
        assert demo.nothing_left()


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_while_rows_flow(tmp_path: Path, rows: Path, number: signal.Signals) -> None:
    """Ctrl-C stops all of it in order and tells what there was so far: 130, nothing left."""
    with running(tmp_path, "--data", str(rows), "--speed", "100/s", *QUICK) as demo:
        demo.until(LIVE)
        assert len(demo.children()) == 2
        demo.process.send_signal(number)
        assert demo.end() == 130
        assert "Interrupted after" in demo.out
        assert demo.err == "interrupted\n"
        assert demo.nothing_left()


def test_interrupted_while_training(tmp_path: Path) -> None:
    """Ctrl-C before there is anything to see ends as cleanly."""
    with running(tmp_path, "--epochs", "1000") as demo:
        demo.until("demo: training")
        demo.process.send_signal(signal.SIGINT)
        assert demo.end() == 130
        assert demo.err == "interrupted\n"
        assert demo.nothing_left()


@pytest.mark.long
@pytest.mark.parametrize(("name", "module"), [("detector", "-m detector"), ("replay", "-m replay")])
def test_a_child_that_is_killed(tmp_path: Path, rows: Path, name: str, module: str) -> None:
    """The demo says which child died and how, stops the others: 1, nothing left."""
    with running(tmp_path, "--data", str(rows), "--speed", "100/s", *QUICK) as demo:
        demo.until(LIVE)
        (child,) = demo.children(module)
        os.kill(child, signal.SIGKILL)
        assert demo.end() == 1
        assert demo.err.startswith(f"error: the {name} was killed by SIGKILL; it said")
        assert demo.nothing_left()


@pytest.mark.long
def test_a_demo_that_is_killed(tmp_path: Path, rows: Path) -> None:
    """Not even then does a child go on; only the temporary directory stays."""
    with running(tmp_path, "--data", str(rows), "--speed", "100/s", *QUICK) as demo:
        demo.until(LIVE)
        demo.process.kill()
        demo.process.wait()
        assert eventually(lambda: not demo.children(), 30)


def test_a_broker_that_does_not_answer(tmp_path: Path, rows: Path) -> None:
    """The real broker is asked before the model is trained; none there is one line and exit code 4."""
    endpoint = Endpoint("127.0.0.1", 0, {})
    address = endpoint.address.removeprefix("http://")
    endpoint.close()
    with running(tmp_path, "--data", str(rows), "--bootstrap-servers", address, *QUICK) as demo:
        assert demo.end() == 4
        assert demo.err.startswith(f"error: bootstrap_servers '{address}': no broker answered")
        assert "demo: training" not in demo.out
        assert demo.nothing_left()


@pytest.mark.long
def test_in_a_terminal(tmp_path: Path, rows: Path) -> None:
    """There it draws a screen of its own, gives the terminal back, and ends with the summary."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    command = [sys.executable, "-m", "deploy.local", "--data", str(rows), *QUICK]
    env = {**os.environ, "TMPDIR": str(tmp_path), "TERM": "xterm-256color"}
    with subprocess.Popen(command, cwd=ROOT, env=env, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        shown = _read(ours)
    assert process.returncode == 0, shown
    drawn, given_back = shown.index("\x1b[?1049h"), shown.index("\x1b[?1049l")
    assert "last alerts" in shown[drawn:given_back]
    assert "Done after" in shown[given_back:]


def _read(terminal: int) -> str:
    """All that is written to a terminal until nobody has it open."""
    parts = []
    with os.fdopen(terminal, "rb", buffering=0) as pipe:
        while True:
            try:
                parts.append(pipe.read(65536))
            except OSError:  # EIO: Linux's word for the end
                return b"".join(parts).decode()


def test_help(tmp_path: Path) -> None:
    """The help has every exit code, and says what Ctrl-C does."""
    with running(tmp_path, "--help") as demo:
        assert demo.end() == 0
        assert "nothing is left behind" in demo.out
        assert all(meaning in demo.out for meaning in EXIT_CODES.values())


@pytest.mark.parametrize(
    ("arguments", "sentence"), [(("--speed", "fast"), "setting speed"), (("--rows", "x"), "--rows")]
)
def test_wrong_arguments(tmp_path: Path, arguments: tuple[str, ...], sentence: str) -> None:
    """A wrong setting is one line and exit code 2, before anything is begun."""
    with running(tmp_path, *arguments) as demo:
        assert demo.end() == 2
        assert sentence in demo.err
        assert demo.nothing_left()
