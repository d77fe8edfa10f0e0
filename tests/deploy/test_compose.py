"""The whole line in containers, whose images are built first: minutes, and gigabytes of packages."""

from __future__ import annotations

import json
import time
import urllib.error
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from confluent_kafka import KafkaException

from tests.deploy.composed import LASTING, ONCE, Stack, stack
from tests.integration.line import await_true, read_committed

ROWS = 30_000

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def line() -> Iterator[Stack]:
    """The services, some of the rows played: ROWS at 150 a second."""
    begun = time.monotonic()
    with stack(ROWS=str(ROWS), EPOCHS="2", SPEED="150/s", LOOP="1") as found:
        built = time.monotonic()
        found.run("up", "-d", "--no-build", *LASTING)
        await_true(lambda: alerts(found) > 0, "an alert", 300)
        told = f"images {built - begun:.0f} s, from `up` to the first alert {time.monotonic() - built:.0f} s"
        print(f"\ncompose: {told} (training on {ROWS:,} rows included)")
        yield found


def alerts(line: Stack) -> int:
    """Alerts that readers of committed messages see."""
    return len(read_committed(line.bootstrap, "alerts"))


def status(line: Stack, service: str) -> str:
    """Whether a container runs, or how it ended."""
    return str(line.state(service)["Status"])


def health(line: Stack, service: str) -> str:
    """What its health check says."""
    return str(line.state(service)["Health"]["Status"])


def answers(line: Stack) -> bool:
    """Whether Prometheus has scraped every target well."""
    try:
        found = line.query("up")
    except (OSError, urllib.error.URLError):
        return False
    return Counter(one["metric"]["job"] for one in found if one["value"][1] == "1") == {
        "detector": 2,
        "feedback": 1,
        "replay": 1,
    }


def test_scraped(line: Stack) -> None:
    """Prometheus reaches every service that has figures, by its name, and what it has of the detectors moves."""
    await_true(lambda: answers(line), "every target")
    await_true(lambda: sum(float(one["value"][1]) for one in line.query("detector_rows_total")) > 0, "scored rows")
    instances = {one["metric"]["instance"] for one in line.query('up{job="detector"}')}
    assert instances == {"detector-1:9108", "detector-2:9108"}
    groups = json.loads(line.get("prometheus", 9090, "/api/v1/rules"))["data"]["groups"]
    assert not [rule for group in groups for rule in group["rules"] if rule.get("lastError")]
    assert sum(len(group["rules"]) for group in groups) > 20


@pytest.mark.parametrize("service", ["detector-1", "detector-2", "feedback", "replay", "console"])
def test_bare_of_rights(line: Stack, service: str) -> None:
    """Our containers run as nobody in particular, on a root that nothing can write to, without capabilities."""
    told = line.container(service)
    assert told["Config"]["User"] == "10001:10001"
    assert told["HostConfig"]["ReadonlyRootfs"]
    assert told["HostConfig"]["CapDrop"] == ["ALL"]
    assert "no-new-privileges:true" in told["HostConfig"]["SecurityOpt"]


def test_healthy(line: Stack) -> None:
    """The health check of each service that has one says so."""
    for service in ("kafka", "detector-1", "detector-2", "feedback", "console"):
        await_true(partial(is_, health, line, service, "healthy"), f"{service} to be healthy")


def test_light(line: Stack) -> None:
    """The detector's image has no TensorFlow, no compiler and no pip of its environment."""
    absent = "import importlib.util as u, shutil; print([n for n in ('tensorflow', 'pandas', 'pip') if u.find_spec(n)])"
    program = f"{absent}; print([n for n in ('gcc', 'cc', 'g++', 'make') if shutil.which(n)])"
    told = line.run("exec", "-T", "detector-1", "/opt/venv/bin/python", "-c", program)
    assert told.split() == ["[]", "[]"]


def test_the_console_asks_who(line: Stack) -> None:
    """Its page goes to the sign-in; a token is made at the first start."""
    assert "Your token" in line.get("console", 8080, "/")
    assert line.run("exec", "-T", "console", "cat", "/data/tokens").startswith("analyst:")


@pytest.mark.long
def test_each_killed_and_nothing_lost(line: Stack) -> None:
    """Each container killed and started in turn: every row is there once, and each has its verdict once."""
    token = line.run("exec", "-T", "console", "cat", "/data/tokens")
    for service in (*LASTING, *ONCE):
        assert not done(line), f"all rows were sent before {service} was killed"
        seen = alerts(line)
        line.run("restart", "-t", "0", service)
        wanted = "exited" if service in ONCE else "running"
        await_true(partial(is_, status, line, service, wanted), service)
        await_true(partial(went_on, line, seen), f"alerts after {service}", 120)
    assert [line.state(service)["ExitCode"] for service in ONCE] == [0, 0]
    await_true(lambda: answers(line), "every target again")
    assert line.run("exec", "-T", "console", "cat", "/data/tokens") == token
    await_true(lambda: done(line), "the replay's end", 400)
    assert line.state("replay")["ExitCode"] == 0
    rows = [dict(one.headers())["row-id"] for one in read_committed(line.bootstrap, "transactions")]
    assert Counter(Counter(rows).values()) == {1: ROWS}
    await_true(lambda: audited(line), "all rows to be processed")
    await_true(lambda: labelled(line) == ROWS, "all labels to be counted")


def is_(told: Callable[[Stack, str], str], line: Stack, service: str, wanted: str) -> bool:
    """Whether a service says so."""
    return told(line, service) == wanted


def went_on(line: Stack, before: int) -> bool:
    """Whether there are more alerts than before; none are seen while the broker is not back."""
    try:
        return alerts(line) > before
    except KafkaException:
        return False


def done(line: Stack) -> bool:
    """Whether the replay has sent all."""
    return status(line, "replay") == "exited"


def audited(line: Stack) -> bool:
    """Whether the audit has looked at every row; it must find nothing wrong with any."""
    told = json.loads(line.run("exec", "-T", "detector-1", "python", "-m", "detector", "audit", "--json"))
    return bool(told["total"]["messages"] == ROWS)


def labelled(line: Stack) -> int:
    """Rows whose truth `feedback` has counted."""
    text = line.get("feedback", 9109, "/metrics")
    return round(
        sum(float(one.split()[-1]) for one in text.splitlines() if one.startswith("detector_labelled_rows_total"))
    )
