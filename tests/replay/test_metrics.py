"""What a scraper of a replay finds."""

from __future__ import annotations

import urllib.request

import numpy as np
import pytest

from detector.errors import PortInUse
from replay.lateness import Lateness
from replay.metrics import Figures, serve


def test_served() -> None:
    """Counts, the lead and the lateness of rows are served as they are when they are asked for."""
    lateness = Lateness()
    figures = [Figures(7, 5, 2, 30, lateness)]
    endpoint = serve("127.0.0.1", 0, lambda: figures[0])
    try:
        lateness.observe(np.array([0.0005, 0.004, 2.0]))
        page = urllib.request.urlopen(f"{endpoint.address}/metrics", timeout=10).read().decode()
    finally:
        endpoint.close()
    for line in (
        "replay_rows_total 7.0",
        "replay_labels_total 5.0",
        "replay_failed_total 2.0",
        "replay_lead_rows 30.0",
        'replay_lateness_seconds_bucket{le="0.001"} 1.0',
        'replay_lateness_seconds_bucket{le="0.005"} 2.0',
        'replay_lateness_seconds_bucket{le="+Inf"} 3.0',
        "replay_lateness_seconds_count 3.0",
    ):
        assert f"{line}\n" in page
    assert "# TYPE replay_lateness_seconds histogram" in page


def test_a_port_in_use() -> None:
    """A port that is taken is refused."""
    first = serve("127.0.0.1", 0, lambda: Figures(0, 0, 0, 0, Lateness()))
    try:
        with pytest.raises(PortInUse):
            serve("127.0.0.1", int(first.address.rpartition(":")[2]), lambda: Figures(0, 0, 0, 0, Lateness()))
    finally:
        first.close()
