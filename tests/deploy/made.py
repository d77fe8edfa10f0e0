"""Alerts and facts made by hand."""

from __future__ import annotations

from deploy.local.scrape import Figures, Partition
from deploy.local.tally import Tally
from deploy.local.view import Facts
from detector.alerts import Alert, ModelName, Reason, Source


def alert(row_id: str | None, score: float = 5.0, threshold: float = 2.0, offset: int | None = None) -> Alert:
    """An alert for a row; the offset tells two alerts apart."""
    place = Source("transactions", 0, int(row_id or 0) if offset is None else offset)
    return Alert(
        id=f"{place.topic}/{place.partition}/{place.offset}",
        score=score,
        threshold=threshold,
        method="percentile:99.9",
        modified_z=3.0,
        reasons=[Reason(f"a_rather_long_feature_name_{i}", -9.2 * 10**i, -0.4, 0.41) for i in range(5)],
        model=ModelName("simulated-cards", "1", "0" * 64),
        source=place,
        key=None,
        row_id=row_id,
        event_time="2026-01-02T03:04:05.678Z",
        detected_at="2026-01-02T03:04:06.000000Z",
    )


def facts(labelled: bool = True, alerts: int = 30) -> Facts:
    """The middle of a demo: every third alert is a fraud, every seventh has no label yet."""
    tally = Tally()
    for number in range(alerts):
        tally.alert(alert(str(number), score=2.0 * 1.7**number))
        if labelled and number % 7:
            tally.label(str(number), number % 3 == 0)
    partitions = {0: Partition(0.061, 0.039, 2.47), 1: Partition(None, None, 2.47), 2: Partition(1e9, 1e-9, 1e12)}
    return Facts(
        source="60,000 SIMULATED card transactions (no real ones)",
        total=60_000,
        labelled=labelled,
        address="http://127.0.0.1:40133",
        figures=Figures(34_041, alerts, 7, partitions),
        counts=tally.counts(),
        seconds=13.4,
        rate=2460.3,
        last=tally.last(),
        striking=tally.striking(),
    )
