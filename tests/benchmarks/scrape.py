"""What a scrape of a wide detector costs: `python -m tests.benchmarks.scrape [FEATURES [PARTITIONS]]`."""

from __future__ import annotations

import json
import sys
from statistics import median
from time import perf_counter

import numpy as np

from detector.alerts import ModelName
from detector.client_figures import CONSUMER, PRODUCER, families
from detector.counts import Count, Counts
from detector.detection import Segment, Verdicts
from detector.drift import Drift, Reference
from detector.kafka import Statistics
from detector.metrics import Metrics
from detector.outcome import Outcome
from detector.rows import REASONS
from detector.statistics import Summary
from detector.threshold import Threshold

FEATURES, PARTITIONS, BROKERS = 500, 64, 6
REFERENCE_ROWS, WINDOW = 2000, 1024
NOW = 1_795_000_000.0
TIMES = 50
ACCEPTS = {
    "text": "text/plain; version=0.0.4",
    "OpenMetrics": "application/openmetrics-text; version=1.0.0",
}


def wide(features: int = FEATURES, partitions: int = PARTITIONS) -> Metrics:
    """All metrics of a detector at work, each with digits such as real ones have."""
    chance = np.random.default_rng(0)
    counts, statistics = Counts(), Statistics()
    told = Metrics(
        1.0, ModelName("cards", "2026-11-23", "5e" * 32), _drift(features), lambda: counts.visible, lambda: NOW
    )
    told.watch(lambda: families(statistics.figures()))
    told.watch_lags(lambda: {p: 12_345 + p for p in range(partitions)})
    told.opened({p: 1234 + p for p in range(partitions)})
    told.describe(NOW, 3, topic="transactions", group="detector", member="detector-0", delivery="exactly_once")
    counts.begin(dict.fromkeys(range(partitions), ""))
    counts.committed({p: Count(123_456_789 + p, 123_456, dict.fromkeys(REASONS, 1234)) for p in range(partitions)})
    for client in (CONSUMER, PRODUCER):
        statistics.take(client, client_statistics(partitions))
    summaries = [Summary(4096, *chance.random(3).tolist()) for _ in range(partitions)]
    segments = [
        Segment(p, np.empty(0, np.intp), summary, Threshold(summary.median * 7, "running-mad:8"))
        for p, summary in enumerate(summaries)
    ]
    scores = chance.gamma(1, 0.3, 4096).astype(np.float32)
    late = (chance.gamma(1, 100, 300)).astype(np.int64)
    ids = [f"transactions/{i % partitions}/{123_456_789 + i}" for i in range(len(late))]
    last = dict.fromkeys(range(partitions), int(NOW * 1000) - 1234)
    batch = Outcome(
        Verdicts(scores, segments, np.empty(0, np.intp)), {}, ids, (NOW * 1000 - late).astype(np.int64), last
    )
    told.committed([batch], NOW)
    return told


def _drift(features: int) -> Drift:
    """Drift that has been measured."""
    chance = np.random.default_rng(1)
    held = [chance.normal(size=REFERENCE_ROWS).astype(np.float32) for _ in range(features + 1)]
    drift = Drift(Reference.of(held), [f"merchant_feature_{i}" for i in range(features)], rows=WINDOW, every=1)
    rows = chance.normal(0.1, 1, (WINDOW, features)).astype(np.float32)
    drift.update(np.zeros(WINDOW, np.int32), np.arange(WINDOW), rows, rows[:, 0].copy())
    return drift


def client_statistics(partitions: int, brokers: int = BROKERS) -> str:
    """As much of a client's statistics as is read of them."""
    latency = {"avg": 5012, "p99": 50_123, "cnt": 17}
    broker = {"source": "learned", "state": "UP", "rtt": latency, "txerrs": 1, "rxerrs": 2, "disconnects": 3}
    partition = {"fetchq_cnt": 1234, "fetchq_size": 123_456, "app_offset": 1_000, "ls_offset": 13_345}
    told = {
        "time": int(NOW),
        "msg_cnt": 12,
        "msg_size": 3456,
        "tx_bytes": 123_456_789,
        "rx_bytes": 123_456_789,
        "brokers": {f"kafka:9092/{i}": {**broker, "name": f"kafka:9092/{i}", "nodeid": i} for i in range(brokers)},
        "topics": {"transactions": {"partitions": {str(p): partition for p in range(partitions)}}},
        "cgrp": {"rebalance_cnt": 3},
    }
    return json.dumps(told)


def main(features: int = FEATURES, partitions: int = PARTITIONS) -> None:
    """Prints series, bytes and time of a scrape in both forms."""
    told = wide(features, partitions)
    for form, accept in ACCEPTS.items():
        spent = []
        for _ in range(TIMES):
            begun = perf_counter()
            _, body, _ = told.render(accept)
            spent.append(perf_counter() - begun)
        series = sum(not line.startswith("#") for line in body.decode().splitlines())
        print(
            f"{form}: {features} features, {partitions} partitions: {series:,} series, {len(body) / 1000:.0f} KB, "
            f"median {median(spent) * 1000:.1f} ms, least {min(spent) * 1000:.1f} ms"
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
