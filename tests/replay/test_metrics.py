"""What a scraper of a replay finds."""

from __future__ import annotations

import urllib.request

import numpy as np
import pytest

from detector.client_figures import PRODUCER
from detector.errors import PortInUse
from detector.kafka import Statistics
from replay.lateness import Lateness
from replay.metrics import Figures, serve
from tests.benchmarks.scrape import client_statistics


def test_served() -> None:
    """Counts, the lead, lateness, and the client's own figures are served as they are when they are asked for."""
    lateness = Lateness()
    figures = [Figures(7, 5, 2, 30, lateness)]
    statistics = Statistics()
    statistics.take(PRODUCER, client_statistics(partitions=1))
    endpoint = serve("127.0.0.1", 0, lambda: figures[0], statistics)
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
        'kafka_broker_up{broker="0",client="producer"} 1.0',
    ):
        assert f"{line}\n" in page
    assert "# TYPE replay_lateness_seconds histogram" in page


def _nothing() -> Figures:
    return Figures(0, 0, 0, 0, Lateness())


def test_a_port_in_use() -> None:
    """A port that is taken is refused."""
    first = serve("127.0.0.1", 0, _nothing, Statistics())
    try:
        with pytest.raises(PortInUse):
            serve("127.0.0.1", int(first.address.rpartition(":")[2]), _nothing, Statistics())
    finally:
        first.close()
