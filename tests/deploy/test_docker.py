"""What images are made of, without an engine."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from deploy.docker.healthy import healthy
from deploy.docker.pins import pins, subset

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "deploy" / "docker"
LOCK = (ROOT / "requirements.lock").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def installed(extras: list[str]) -> set[str]:
    """What the packages of this environment say that they need, from the project down: another way to the same."""
    table = PROJECT["project"]
    left = [Requirement(one) for one in table["dependencies"]]
    for extra in extras:
        left += [Requirement(one) for one in table["optional-dependencies"][extra]]
    found: set[str] = set()
    seen: set[str] = set()
    while left:
        one = left.pop()
        if str(one) in seen:
            continue
        seen.add(str(one))
        name = re.sub(r"[-_.]+", "-", one.name).lower()
        if name == table["name"]:
            left += [Requirement(inner) for extra in one.extras for inner in table["optional-dependencies"][extra]]
            continue
        try:
            asked = [Requirement(text) for text in requires(name) or []]
        except PackageNotFoundError:  # of another system or Python
            continue
        found.add(name)
        left += [
            r for r in asked if r.marker is None or any(r.marker.evaluate({"extra": e}) for e in (*one.extras, ""))
        ]
    return found


@pytest.mark.parametrize("extras", [[], ["traces"], ["console"], ["replay"], ["train"]], ids=",".join)
def test_pins_are_all_that_is_needed(extras: list[str]) -> None:
    """The part of the lock for some extras has every package that they need here, each with hashes."""
    chosen = subset(LOCK, PROJECT, extras)
    assert installed(extras) <= {pin.name for pin in chosen}
    assert all(re.match(r"\S+==\S+", pin.text) and "--hash=sha256:" in pin.text for pin in chosen)


def test_the_whole_lock_is_read() -> None:
    """Every package of the lock is seen, and with all extras every one is chosen: its "via" lines leave none out."""
    every = pins(LOCK)
    assert len(every) == len(re.findall(r"^\S+==", LOCK, re.MULTILINE))
    assert subset(LOCK, PROJECT, PROJECT["project"]["optional-dependencies"]) == every


def test_the_detectors_part_is_light() -> None:
    """No TensorFlow, no pandas, nothing of tests in the detector's image, nor in the console's."""
    for extras in (["traces"], ["console"]):
        names = {pin.name for pin in subset(LOCK, PROJECT, extras)}
        assert not names & {"tensorflow", "keras", "pandas", "scikit-learn", "pyarrow", "pytest", "scipy"}


def test_unknown_extra() -> None:
    """An extra that the project has not ends the build with a line."""
    command = [sys.executable, str(DOCKER / "pins.py"), "nonsense"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert done.stderr.startswith("pins: the project has no extra 'nonsense'; it has console, ")


def test_one_package_alone() -> None:
    """--only prints a package without what it needs: what builds the project needs nothing."""
    command = [sys.executable, str(DOCKER / "pins.py"), "--only", "setuptools"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=True).stdout
    assert re.findall(r"^(\S+)==", told, re.MULTILINE) == ["setuptools"]
    assert "--hash=sha256:" in told


@contextmanager
def answering(status: int) -> Iterator[int]:
    """A port that answers so."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_health() -> None:
    """200 is healthy; 503 is not, nor is nobody."""
    with answering(200) as port:
        assert healthy(port)
    assert not healthy(port)
    with answering(503) as port:
        assert not healthy(port)


def test_no_index_is_named() -> None:
    """No file says where packages come from: that is the machine's to know."""
    text = "".join(path.read_text() for path in DOCKER.iterdir() if path.is_file())
    assert "http" not in re.sub(r"http\.(client|server)|HTTP\w*|http://(127\.0\.0\.1|localhost)|httpGet", "", text)


def test_services_of_the_issue() -> None:
    """The compose file has the whole line, each of our containers on a read-only root and without capabilities."""
    services = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]
    ours = {"topics", "trainer", "detector-1", "detector-2", "replay", "feedback", "console"}
    assert services.keys() == ours | {"kafka", "prometheus", "alertmanager", "grafana"}
    for name in ours:
        assert services[name]["read_only"] is True
        assert services[name]["cap_drop"] == ["ALL"]
    for one in services.values():
        assert all(port.startswith("127.0.0.1:") for port in one.get("ports", ()))
