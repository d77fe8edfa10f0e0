"""What images are made of, without an engine."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from deploy.docker.healthy import healthy
from deploy.docker.pins import pins, subset
from detector.__main__ import COMMANDS, PREFIX
from detector.__main__ import parser as detector_parser
from detector.settings import Settings, load
from replay.__main__ import parser as replay_parser
from replay.settings import Settings as ReplaySettings
from tests.deploy.composed import compose

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DOCKER = DEPLOY / "docker"
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


SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]
OURS = {"topics", "trainer", "detector-1", "detector-2", "replay", "feedback", "console"}


def test_services() -> None:
    """The compose file has the whole line, each of our containers on a read-only root; no port is open to a network."""
    assert SERVICES.keys() == OURS | {"kafka", "prometheus", "alertmanager", "grafana"}
    assert all(SERVICES[name]["read_only"] is True for name in OURS)
    assert all(SERVICES[name]["cap_drop"] == ["ALL"] for name in SERVICES.keys() - {"kafka"})
    assert all(port.startswith("127.0.0.1:") for one in SERVICES.values() for port in one.get("ports", ()))


def of_detector(service: str) -> list[str]:
    """The arguments of `python -m detector` in a service of the compose file."""
    script = SERVICES[service]["command"]
    found = script if len(script) > 1 else script[0].rpartition("exec python -m ")[2].split()
    assert found[0] == "detector"
    return list(found[1:])


@pytest.mark.parametrize("service", ["topics", "detector-1", "detector-2", "feedback", "console"])
def test_settings_are_the_detectors(service: str) -> None:
    """Flags and variables of a service are settings of its command: a variable of a wrong name would be passed over."""
    flags = vars(detector_parser().parse_args(of_detector(service)))
    command = COMMANDS[flags.pop("command")].SETTINGS
    own = {name: value for name, value in SERVICES[service]["environment"].items() if name.startswith("DETECTOR_")}
    assert own.keys() <= {f"{PREFIX}{field.name.upper()}" for field in fields(command)}
    load(command, flags, PREFIX, own)


def test_settings_are_the_replays() -> None:
    """The same of the replay."""
    one = SERVICES["replay"]
    flags = vars(replay_parser().parse_args(one["command"][1:]))
    assert flags["data"] == ["/data/cards.csv"]
    named = {f"REPLAY_{field.name.upper()}" for field in fields(ReplaySettings)}
    assert {name for name in one["environment"] if name.startswith("REPLAY_")} <= named


def test_prometheus_reaches_them() -> None:
    """Every service that has figures is scraped at its port, and who is told of alerts is there."""
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    jobs = {job["job_name"]: job["static_configs"][0]["targets"] for job in config["scrape_configs"]}
    port = str(Settings.metrics_port)
    assert jobs == {
        "detector": [f"detector-1:{port}", f"detector-2:{port}"],
        "feedback": [f"feedback:{SERVICES['feedback']['environment']['DETECTOR_METRICS_PORT']}"],
        "replay": [f"replay:{SERVICES['replay']['environment']['REPLAY_METRICS_PORT']}"],
    }
    assert config["alerting"]["alertmanagers"] == [{"static_configs": [{"targets": ["alertmanager:9093"]}]}]


def test_what_is_mounted_is_there() -> None:
    """Every folder of this project that a service mounts exists; Grafana finds its dashboards where it looks."""
    mounts = [one.split(":") for service in SERVICES.values() for one in service.get("volumes", ())]
    ours = {place: source for source, place, *_ in mounts if source.startswith(".")}
    provider = yaml.safe_load((DEPLOY / "grafana/provisioning/dashboards/dashboards.yaml").read_text())["providers"][0]
    assert ours == {
        "/etc/prometheus": "../prometheus",
        "/etc/alertmanager": "../prometheus",
        "/etc/grafana/provisioning": "../grafana/provisioning",
        provider["options"]["path"]: "../grafana/dashboards",
    }
    assert all((DOCKER / source).is_dir() for source in ours.values())
    source = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yaml").read_text())["datasources"][0]
    assert source["url"] == "http://prometheus:9090"


def test_compose_takes_it() -> None:
    """Compose, 2 or 1.29, finds nothing wrong with the file, and each variable's default in its place."""
    command = [*compose(), "-f", str(DOCKER / "compose.yaml"), "config"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    told = yaml.safe_load(done.stdout)["services"]
    assert told.keys() == SERVICES.keys()
    assert "29092" in str(told["kafka"]["ports"])
