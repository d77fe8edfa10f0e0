"""Child processes, started for real."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from detector import tied
from detector.children import Child, ChildDied, Children, obituary

READY = "import os, signal, sys; print('ready', file=sys.stderr, flush=True); "


@pytest.fixture
def children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Children:
    """Their modules are files of this directory."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return Children(tmp_path, {})


def script(folder: Path, name: str, text: str) -> str:
    (folder / f"{name}.py").write_text(text)
    return name


def ready(child: Child) -> None:
    """Waits until a child has said so."""
    for _ in range(200):
        if "ready" in child.said() or child.wait(0.05):
            return
    raise AssertionError(f"{child.name} did not start: {child.said()}")


def test_a_child_that_dies_is_named_with_its_last_words(tmp_path: Path, children: Children) -> None:
    """Which child, how it ended, what that means, and what it said last."""
    said = "import sys; print('\\n'.join(f'line {n}' for n in range(40)), file=sys.stderr); sys.exit(5)"
    child = children.start("detector", script(tmp_path, "dies", said))
    assert child.wait(10)
    with pytest.raises(ChildDied) as caught:
        children.check()
    assert str(caught.value).startswith("the detector ended with exit code 5 (a topic does not exist); it said last:\n")
    assert str(caught.value).endswith("\n  line 39")
    assert "line 5\n" not in str(caught.value)


def test_a_killed_child_is_named_with_its_signal() -> None:
    """A signal has a name, and silence is said to be that."""
    assert obituary("replay", -9, "") == "the replay was killed by SIGKILL; it said nothing"


@pytest.mark.parametrize("endless", [True, False])
def test_an_end_without_error(tmp_path: Path, children: Children, endless: bool) -> None:
    """Exit code 0 is the end of a task, and the death of what was to run on."""
    child = children.start("one", script(tmp_path, "task", "pass"), endless=endless)
    assert child.wait(10)
    if endless:
        with pytest.raises(ChildDied, match="the one ended with exit code 0"):
            children.check()
    else:
        children.check()


def test_stopped_in_order(tmp_path: Path) -> None:
    """Leaving the block ends the last started first, each by SIGTERM, and waits for it."""
    log = tmp_path / "order"
    text = (
        "import signal, sys, threading; done = threading.Event(); "
        "signal.signal(signal.SIGTERM, lambda *_: done.set()); print('ready', file=sys.stderr, flush=True)\n"
        "while not done.wait(0.05): pass\n"
        f"open({str(log)!r}, 'a').write(sys.argv[1] + ' ')"
    )
    (tmp_path / "waits.py").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(tmp_path))
        with Children(tmp_path, {}) as children:
            started = [children.start(name, "waits", name, endless=True) for name in ("detector", "replay")]
            for child in started:
                ready(child)
    assert log.read_text() == "replay detector "
    assert [child.code() for child in started] == [0, 0]


def test_a_child_that_does_not_listen_is_killed(
    tmp_path: Path, children: Children, capsys: pytest.CaptureFixture[str]
) -> None:
    """SIGTERM is asked once; after the limit the whole group is ended by force, and that is said."""
    deaf = READY.replace("print", "signal.signal(signal.SIGTERM, signal.SIG_IGN); print") + "signal.pause()"
    child = children.start("deaf", script(tmp_path, "deaf", deaf))
    ready(child)
    child.stop(0.2)
    assert child.code() == -signal.SIGKILL
    assert capsys.readouterr().err == "the deaf did not end within 0.2 s of SIGTERM: killed\n"
    with pytest.raises(ProcessLookupError):
        os.killpg(child.pid, 0)


def test_a_child_is_apart_from_the_terminal(tmp_path: Path, children: Children) -> None:
    """It leads a group of its own, which Ctrl-C in the terminal does not reach."""
    with children:
        child = children.start("one", script(tmp_path, "pauses", READY + "signal.pause()"))
        ready(child)
        assert os.getpgid(child.pid) == child.pid != os.getpgid(0)


def test_settings_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person's settings for their own detector and replay do not reach the demo's; broker properties do."""
    monkeypatch.setenv("DETECTOR_THRESHOLD", "value:0")
    monkeypatch.setenv("REPLAY_LIMIT", "1")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    tell = "import os, sys; print(*(f'{k}={v}' for k, v in sorted(os.environ.items()) if k.startswith(('DET', 'REP'))))"
    with Children(tmp_path, {"sasl.password": "x"}) as children:
        child = children.start("one", script(tmp_path, "tells", tell))
        assert child.wait(10)
    out = (tmp_path / "one.out").read_text()
    assert out == "DETECTOR_KAFKA_SASL_PASSWORD=x REPLAY_KAFKA_SASL_PASSWORD=x\n"


if sys.platform == "linux":  # no other system can tie a child to its parent

    def test_a_child_does_not_outlive_its_parent() -> None:
        """A parent that is killed takes its children with it: the output that they share reaches its end."""
        child = "import signal; print('ready', flush=True); signal.pause()"
        command = "[sys.executable, sys.argv[1], str(os.getpid()), sys.executable, '-c', sys.argv[2]]"
        parent = f"import os, subprocess, sys; subprocess.Popen({command}).wait()"
        with subprocess.Popen([sys.executable, "-c", parent, tied.__file__, child], stdout=subprocess.PIPE) as process:
            assert process.stdout
            assert process.stdout.readline() == b"ready\n"
            process.kill()
            assert process.communicate(timeout=30)[0] == b""
