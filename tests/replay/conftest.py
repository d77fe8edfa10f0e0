"""What is opened by the replay's tests is closed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.replay.made import OPEN


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Closes histories at the end of each test."""
    yield
    while OPEN:
        OPEN.pop().close()
