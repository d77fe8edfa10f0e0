"""A real Prometheus for the tests: a container that scrapes the addresses it is given, every second."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

import yaml

from tests.broker import NoBroker, free_ports, present

# tests.broker has configured testcontainers by now.
from testcontainers.core.container import DockerContainer  # isort: skip

IMAGE = "prom/prometheus:v2.53.0"
NO_ENGINE = f"This test needs {IMAGE}, and for it a Docker engine that answers; there is none."

Sample = dict[str, Any]
"""A series of an answer: `metric`, its labels, and `value` or `values`."""


@dataclass(frozen=True)
class Prometheus:
    """Asks the one at an address."""

    address: str

    def now(self, expr: str) -> list[Sample]:
        """An instant query."""
        return list(self._get("query", query=expr)["result"])

    def over_time(self, expr: str, start: float, end: float, step: float = 1.0) -> list[Sample]:
        """A range query; start and end are s since 1970, step is in s."""
        return list(self._get("query_range", query=expr, start=start, end=end, step=step)["result"])

    def label_values(self, label: str, selector: str) -> list[str]:
        """The values of a label in the series of a selector."""
        return list(self._get(f"label/{label}/values", **{"match[]": selector}))

    def up(self, targets: int) -> bool:
        """Whether it answers, and so many targets do."""
        try:
            return sum(float(one["value"][1]) for one in self.now("up")) == targets
        except (URLError, OSError):
            return False

    def _get(self, path: str, **parameters: object) -> Any:
        query = urllib.parse.urlencode(parameters).encode()
        page = f"{self.address}/api/v1/{path}" + (f"?{query.decode()}" if path.startswith("label/") else "")
        try:
            with urllib.request.urlopen(page, None if path.startswith("label/") else query, timeout=30) as answer:
                return json.load(answer)["data"]
        except HTTPError as refused:
            with refused:
                raise AssertionError(f"{parameters}: {json.load(refused).get('error')}") from None


@contextmanager
def prometheus(folder: Path, jobs: Mapping[str, Sequence[str]]) -> Iterator[Prometheus]:
    """Scrapes the jobs' addresses (http://host:port) until the block ends. folder: for its configuration."""
    if not present().engine:
        raise NoBroker(NO_ENGINE)
    (port,) = free_ports(1)
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(_configuration(jobs)))
    path.chmod(0o644)
    container = DockerContainer(IMAGE).with_kwargs(network_mode="host")
    container.with_volume_mapping(str(path), "/etc/prometheus/prometheus.yml", "ro")
    container.with_command(
        [
            *("--config.file=/etc/prometheus/prometheus.yml", f"--web.listen-address=127.0.0.1:{port}"),
            *("--storage.tsdb.path=/tmp/data", "--enable-feature=exemplar-storage"),
        ]
    )
    try:
        container.start()
        yield Prometheus(f"http://127.0.0.1:{port}")
    finally:
        container.stop()


def _configuration(jobs: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    targets = {job: [address.removeprefix("http://") for address in addresses] for job, addresses in jobs.items()}
    return {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": addresses}]} for job, addresses in targets.items()
        ],
    }
