"""A real Prometheus in a container, with the project's rules, for the tests that need one."""

from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.broker import NoBroker, free_ports, present
from tests.integration.line import await_true

ROOT = Path(__file__).parents[1]
DEPLOYED = ROOT / "deploy" / "prometheus"
IMAGE = "prom/prometheus:v2.53.0"
NO_ENGINE = f"This test needs a Docker engine that answers, for the image {IMAGE}."
SECONDS = 60.0


class Prometheus:
    """Its HTTP API. address: where it is."""

    def __init__(self, address: str) -> None:
        self.address = address

    def get(self, path: str, **parameters: str) -> Any:
        """The data of an answer."""
        with urllib.request.urlopen(f"{self.address}{path}?{urllib.parse.urlencode(parameters)}", timeout=10) as answer:
            return json.loads(answer.read())["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The samples of an expression now."""
        found: list[dict[str, Any]] = self.get("/api/v1/query", query=expression)["result"]
        return found

    def value(self, expression: str) -> float | None:
        """The one value of an expression; None where it has none."""
        found = self.query(expression)
        assert len(found) <= 1, found
        return float(found[0]["value"][1]) if found else None

    def rules(self) -> list[dict[str, Any]]:
        """All rules that are loaded, with how they do."""
        return [rule for group in self.get("/api/v1/rules")["groups"] for rule in group["rules"]]

    def ready(self) -> bool:
        """Whether it answers."""
        try:
            with urllib.request.urlopen(f"{self.address}/-/ready", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False


@contextmanager
def prometheus(folder: Path, jobs: Mapping[str, Sequence[str]], every: str = "250ms") -> Iterator[Prometheus]:
    """One that scrapes the addresses (host:port) of jobs, with the project's rules; gone when the block ends."""
    if not present().engine:
        raise NoBroker(NO_ENGINE)
    targets = [{"job_name": name, "static_configs": [{"targets": list(addresses)}]} for name, addresses in jobs.items()]
    often = {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every}
    config = {"global": often, "rule_files": ["/rules/*.yml"], "scrape_configs": targets}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    name, port = f"prometheus-{uuid.uuid4().hex[:10]}", free_ports(1)[0]
    mounts = ["-v", f"{folder}/prometheus.yml:/etc/prometheus/prometheus.yml:ro", "-v", f"{DEPLOYED}/rules:/rules:ro"]
    flags = ["--config.file=/etc/prometheus/prometheus.yml", f"--web.listen-address=127.0.0.1:{port}"]
    flags += ["--storage.tsdb.path=/tmp/data", "--enable-feature=exemplar-storage"]
    run = ["docker", "run", "-d", "--rm", "--name", name, "--network", "host", "--user", "0", *mounts, IMAGE, *flags]
    subprocess.run(run, check=True, capture_output=True, timeout=60)
    try:
        found = Prometheus(f"http://127.0.0.1:{port}")
        await_true(found.ready, "Prometheus", SECONDS)
        yield found
    finally:
        subprocess.run(["docker", "kill", name], check=False, capture_output=True, timeout=60)
