"""What the replay's tests open is closed, and what they silence is heard again."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.replay.made import OPEN


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Closes histories at the end of each test."""
    yield
    while OPEN:
        OPEN.pop().close()


@pytest.fixture(autouse=True)
def heard() -> Iterator[None]:
    """The command silences the client's log for its process, which here is that of other tests too."""
    log = logging.getLogger("detector.kafka")
    level = log.level
    yield
    log.setLevel(level)
