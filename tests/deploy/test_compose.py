"""The whole line in containers."""

from __future__ import annotations

import json
import time
import urllib.error
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from tests.deploy.composed import LASTING, Stack, stack
from tests.integration.line import await_true, read_committed

ROWS = 12_000


@pytest.fixture(scope="module")
def line() -> Iterator[Stack]:
    """The services, some of the rows played: 12,000 of them at 100 a second."""
    with stack(ROWS=str(ROWS), EPOCHS="2", SPEED="100/s", LOOP="1") as found:
        begun = time.monotonic()
        found.run("up", "-d", "--no-build", *LASTING)
        await_true(lambda: alerts(found) > 0, "an alert", 300)
        print(f"\nfrom `up` to the first alert, training included: {time.monotonic() - begun:.0f} s")
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


@pytest.mark.long
def test_scraped(line: Stack) -> None:
    """Prometheus reaches every service that has figures, and what it has of the detectors moves."""
    await_true(lambda: answers(line), "every target")
    await_true(lambda: float(line.query("sum(detector_rows_total)")[0]["value"][1]) > 0, "scored rows")


@pytest.mark.long
@pytest.mark.parametrize("service", ["detector-1", "detector-2", "feedback", "replay"])
def test_bare_of_rights(line: Stack, service: str) -> None:
    """Our containers run as nobody in particular, on a root that nothing can write to, without capabilities."""
    told = line.container(service)
    assert told["Config"]["User"] == "10001:10001"
    assert told["HostConfig"]["ReadonlyRootfs"]
    assert told["HostConfig"]["CapDrop"] == ["ALL"]
    assert "no-new-privileges:true" in told["HostConfig"]["SecurityOpt"]


@pytest.mark.long
def test_healthy(line: Stack) -> None:
    """The health check of each image that has one says so."""
    for service in ("detector-1", "detector-2", "feedback"):
        await_true(partial(is_, health, line, service, "healthy"), f"{service} to be healthy")


@pytest.mark.long
def test_each_restarted_and_nothing_lost(line: Stack) -> None:
    """Each container killed and started in turn: every row is there once, and each has its verdict once."""
    for service in LASTING:
        line.run("restart", "-t", "0", service)
        if service != "replay":
            await_true(partial(is_, status, line, service, "running"), service)
        seen = alerts(line)
        await_true(partial(went_on, line, seen), f"alerts after {service}", 120)
    await_true(lambda: done(line), "the replay's end", 300)
    assert line.state("replay")["ExitCode"] == 0
    rows = [dict(one.headers())["row-id"] for one in read_committed(line.bootstrap, "transactions")]
    assert Counter(Counter(rows).values()) == {1: ROWS}
    await_true(lambda: audited(line), "all rows to be processed")
    await_true(lambda: labelled(line) == ROWS, "all labels to be counted")


def is_(told: Callable[[Stack, str], str], line: Stack, service: str, wanted: str) -> bool:
    """Whether a service says so."""
    return told(line, service) == wanted


def went_on(line: Stack, before: int) -> bool:
    """Whether there are more alerts than before, or no more rows."""
    return alerts(line) > before or done(line)


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
