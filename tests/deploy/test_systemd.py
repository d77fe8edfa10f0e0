"""The unit of systemd."""

from __future__ import annotations

import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

from detector.errors import INTERRUPTED, Fenced, ModelRefused, UsageError

UNIT = Path(__file__).parents[2] / "deploy" / "systemd" / "detector@.service"


def settings() -> dict[str, list[str]]:
    """Every key and its values."""
    found = defaultdict(list)
    for line in UNIT.read_text().splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found[key].append(value)
    return found


def test_exit_codes_are_the_detectors() -> None:
    """What does not mend itself is not tried again: wrong settings, a refused model, another process of the name."""
    codes = [str(failure.code) for failure in (UsageError, ModelRefused, Fenced)]
    assert settings()["RestartPreventExitStatus"] == [" ".join(codes)]
    assert settings()["SuccessExitStatus"] == [str(INTERRUPTED)]


def test_secrets_are_in_files() -> None:
    """No secret stands in the unit; each member has a name of its own that outlives restarts."""
    found = settings()
    assert "-/etc/detector/secrets.env" in found["EnvironmentFile"]
    assert "DETECTOR_INSTANCE=%H-%i" in found["Environment"][0]
    assert "PASSWORD" not in UNIT.read_text()


def test_systemd_takes_it(tmp_path: Path) -> None:
    """systemd itself finds nothing wrong, with a program that is there in the place of the detector's."""
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not on the path: the unit is read, not verified")
    text = UNIT.read_text().replace("/opt/detector/.venv/bin/python", "/bin/true").replace("/opt/detector\n", "/\n")
    unit = tmp_path / "detector@1.service"
    unit.write_text(text)
    command = ["systemd-analyze", "verify", "--man=no", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert not [line for line in done.stderr.splitlines() if "detector@1.service" in line], done.stderr
