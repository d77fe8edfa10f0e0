"""The command around the console: what it says where it cannot run."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from detector.commands import console
from detector.console import server
from detector.console.pages.frame import KEYS
from detector.errors import PortInUse, UsageError
from detector.settings import ConsoleSettings


def test_without_nicegui(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the extra is not installed, the message names it."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'streaming-fraud-detector\[console\]'"):
        console.run(ConsoleSettings(bootstrap_servers="localhost:9092"))


def test_where_it_listens() -> None:
    """A port that is taken, and an address that is not here, are refused by name; any free port is told."""
    with server.listening("127.0.0.1", 0) as bound:
        port = bound.getsockname()[1]
        assert server.address_of("127.0.0.1", bound) == f"http://127.0.0.1:{port}"
        with pytest.raises(PortInUse, match=f"console_port {port} on 127.0.0.1 is in use"):
            server.listening("127.0.0.1", port)
    with pytest.raises(UsageError, match="console_host"):
        server.listening("192.0.2.1", 0)


@pytest.mark.parametrize("topic", ["alerts_topic", "labels_topic"])
def test_topics_that_it_cannot_do_without(topic: str) -> None:
    """It shows alerts and writes verdicts: neither topic can be none."""
    with pytest.raises(UsageError, match="a topic's name wanted"):
        ConsoleSettings(bootstrap_servers="localhost:9092", **{topic: "none"})  # type: ignore[arg-type]


def test_its_page_tells_of_every_key() -> None:
    """What the console's README says of keys is what the page does."""
    told = (Path(console.__file__).parents[1] / "console" / "README.md").read_text()
    assert [key for key in KEYS if f"`{key}`" not in told] == []
