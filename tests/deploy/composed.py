"""The compose file's services, under a project name and on ports of a test's own."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.broker import chosen, nodes

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "docker"
FILE = FOLDER / "compose.yaml"
IMAGES = {
    "topics": "streaming-fraud-detector",
    "trainer": "streaming-fraud-tools",
    "console": "streaming-fraud-console",
}
"""By the service that says how it is built, the images of this project."""

ONCE = ("topics", "trainer")
LASTING = ("kafka", "detector-1", "detector-2", "replay", "feedback", "console", "prometheus")
"""What a test brings up. Not Grafana and Alertmanager, whose images no machine without a registry has."""

PORTS = ("DETECTOR_1_PORT", "DETECTOR_2_PORT", "FEEDBACK_PORT", "PROMETHEUS_PORT", "CONSOLE_PORT")


@cache
def compose() -> list[str]:
    """The command of whichever Compose there is, 2 or 1.29; a test that needs it is skipped, aloud, where none is."""
    if chosen() != "docker":
        pytest.skip("CONTAINERS ARE NOT TESTED: the broker runs on Java here, and no Docker engine answers")
    for command in (["docker", "compose"], ["docker-compose"]):
        if subprocess.run([*command, "version"], capture_output=True).returncode == 0:
            return command
    pytest.skip("CONTAINERS ARE NOT TESTED: Docker is there, Compose is not")


class Stack:
    """A project of the compose file. more: variables of it."""

    def __init__(self, **more: str) -> None:
        self.name = f"test{uuid.uuid4().hex[:8]}"
        self.kafka = nodes(1)[0].port
        empty = dict.fromkeys(PORTS, "")  # any free port
        self._env = {**os.environ, **empty, "KAFKA_PORT": str(self.kafka), **more}

    @property
    def bootstrap(self) -> str:
        """The broker, from this machine."""
        return f"127.0.0.1:{self.kafka}"

    def run(self, *arguments: str, seconds: float = 600) -> str:
        """What a command of Compose prints; it must end with 0."""
        command = [*compose(), "-p", self.name, "-f", str(FILE), *arguments]
        done = subprocess.run(command, env=self._env, capture_output=True, text=True, timeout=seconds)
        assert done.returncode == 0, f"{' '.join(arguments)}: {done.stdout}\n{done.stderr}\n{self.logs()}"
        return done.stdout

    def logs(self) -> str:
        """The last lines of each service."""
        command = [*compose(), "-p", self.name, "-f", str(FILE), "logs", "--no-color", "--tail=15"]
        return subprocess.run(command, env=self._env, capture_output=True, text=True).stdout

    def container(self, service: str) -> Mapping[str, Any]:
        """What the engine says of a service's container."""
        labels = (f"com.docker.compose.project={self.name}", f"com.docker.compose.service={service}")
        filters = [text for label in labels for text in ("--filter", f"label={label}")]
        command = ["docker", "ps", "--all", "--quiet", *filters]
        found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        told = subprocess.run(["docker", "inspect", *found], capture_output=True, text=True, check=True).stdout
        state: Mapping[str, Any] = json.loads(told)[0]
        return state

    def state(self, service: str) -> Mapping[str, Any]:
        """Status, exit code and health of a service."""
        found: Mapping[str, Any] = self.container(service)["State"]
        return found

    def get(self, service: str, port: int, path: str) -> str:
        """What a service answers."""
        place = self.run("port", service, str(port)).strip()
        with urllib.request.urlopen(f"http://{place}{path}", timeout=10) as answer:
            return str(answer.read().decode())

    def query(self, text: str) -> list[Any]:
        """What Prometheus answers to a query now."""
        answer = json.loads(self.get("prometheus", 9090, f"/api/v1/query?query={urllib.parse.quote(text)}"))
        found: list[Any] = answer["data"]["result"]
        return found


@contextmanager
def stack(**more: str) -> Iterator[Stack]:
    """A stack whose images are built; all of it but the images is gone when the block ends."""
    found = Stack(**more)
    try:
        found.run("build", *IMAGES, seconds=3000)
        yield found
    finally:
        found.run("down", "--volumes", "--remove-orphans", "--timeout", "1")
