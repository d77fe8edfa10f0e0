"""The Prometheus of the tests says what it lacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import prometheus
from tests.broker import NoBroker, Present


def test_no_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no Docker engine answers a test that needs it fails, and says what for; it is not skipped."""
    monkeypatch.setattr(prometheus, "present", lambda: Present(engine=False, java=True, maven=True))
    with pytest.raises(NoBroker, match=r"needs prom/prometheus:.*, and for it a Docker engine"):
        prometheus.prometheus(tmp_path, {}).__enter__()
    assert list(tmp_path.iterdir()) == []
