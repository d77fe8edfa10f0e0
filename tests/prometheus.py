"""A real Prometheus for the tests: a container that scrapes addresses, and has the project's rules."""

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
from tests.integration.line import await_true

# tests.broker has configured testcontainers by now.
from testcontainers.core.container import DockerContainer  # isort: skip

IMAGE = "prom/prometheus:v2.53.0"
NO_ENGINE = f"This test needs {IMAGE}, and for it a Docker engine that answers; there is none."
DEPLOYED = Path(__file__).parents[1] / "deploy" / "prometheus"
START_SECONDS = 60.0

Sample = dict[str, Any]
"""A series of an answer: `metric`, its labels, and `value` or `values`."""


@dataclass(frozen=True)
class Prometheus:
    """Asks the one at an address."""

    address: str

    def now(self, expr: str) -> list[Sample]:
        """An instant query."""
        return list(self._get("query", query=expr)["result"])

    def value(self, expr: str) -> float | None:
        """The one value of an instant query; None where it has none."""
        found = self.now(expr)
        assert len(found) <= 1, found
        return float(found[0]["value"][1]) if found else None

    def over_time(self, expr: str, start: float, end: float, step: float = 1.0) -> list[Sample]:
        """A range query; start and end are s since 1970, step is in s."""
        return list(self._get("query_range", query=expr, start=start, end=end, step=step)["result"])

    def exemplars(self, expr: str, start: float, end: float) -> list[dict[str, Any]]:
        """The examples of an expression's series, in that time."""
        found = self._get("query_exemplars", query=expr, start=start, end=end)
        return [one for each in found for one in each["exemplars"]]

    def label_values(self, label: str, selector: str) -> list[str]:
        """The values of a label in the series of a selector."""
        return list(self._get(f"label/{label}/values", **{"match[]": selector}))

    def rules(self) -> list[dict[str, Any]]:
        """All rules that are loaded, with how they do."""
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]

    def up(self, targets: int) -> bool:
        """Whether it answers, and so many targets do."""
        try:
            return sum(float(one["value"][1]) for one in self.now("up")) == targets
        except (URLError, OSError):
            return False

    def ready(self) -> bool:
        """Whether it answers."""
        try:
            with urllib.request.urlopen(f"{self.address}/-/ready", timeout=2) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False

    def _get(self, path: str, **parameters: object) -> Any:
        page = f"{self.address}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(page, timeout=30) as answer:
                return json.load(answer)["data"]
        except HTTPError as refused:
            with refused:
                raise AssertionError(f"{parameters}: {json.load(refused).get('error')}") from None


@contextmanager
def prometheus(folder: Path, jobs: Mapping[str, Sequence[str]], every: str = "1s") -> Iterator[Prometheus]:
    """Scrapes the jobs' addresses, http://host:port or host:port, until the block ends, and has the project's rules.

    folder: for its configuration. every: how often it scrapes, and evaluates the rules.
    """
    if not present().engine:
        raise NoBroker(NO_ENGINE)
    (port,) = free_ports(1)
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(_configuration(jobs, every)))
    path.chmod(0o644)
    container = DockerContainer(IMAGE).with_kwargs(network_mode="host")
    container.with_volume_mapping(str(path), "/etc/prometheus/prometheus.yml", "ro")
    container.with_volume_mapping(str(DEPLOYED / "rules"), "/rules", "ro")
    container.with_command(
        [
            *("--config.file=/etc/prometheus/prometheus.yml", f"--web.listen-address=127.0.0.1:{port}"),
            *("--storage.tsdb.path=/tmp/data", "--enable-feature=exemplar-storage"),
        ]
    )
    try:
        container.start()
        found = Prometheus(f"http://127.0.0.1:{port}")
        await_true(found.ready, "Prometheus", START_SECONDS)
        yield found
    finally:
        container.stop()


def _configuration(jobs: Mapping[str, Sequence[str]], every: str) -> dict[str, Any]:
    targets = {job: [address.removeprefix("http://") for address in addresses] for job, addresses in jobs.items()}
    return {
        "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
        "rule_files": ["/rules/*.yml"],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": addresses}]} for job, addresses in targets.items()
        ],
    }
