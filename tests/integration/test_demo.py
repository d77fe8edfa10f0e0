"""The demo on Apache Kafka."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from detector.kafka import connect
from tests.broker import Broker
from tests.deploy.running import LIVE, running
from trainer.simulate import simulated_cards


@pytest.mark.long
def test_a_real_broker(broker: Broker, tmp_path: Path) -> None:
    """Exactly once, on topics of the demo's own, which are gone afterwards, as its group is."""
    rows = tmp_path / "cards.csv"
    simulated_cards(8_000, seed=5, fraud_share=0.05).to_csv(rows, index=False)
    arguments = ("--data", str(rows), "--epochs", "1", "--speed", "500/s")
    admin = connect(broker.bootstrap, {})
    with running(tmp_path, *arguments, "--bootstrap-servers", broker.bootstrap) as demo:
        demo.until(LIVE)
        made = {name for name in admin.list_topics(timeout=10).topics if name.startswith("demo-")}
        assert len(made) == 7
        assert demo.end() == 0, demo.err
        assert "delivery exactly_once" in demo.out
        assert all(name in demo.out for name in made)
        assert re.search(r"rows +4,000 in .*, 0 dead letters\s+alerts +[1-9]", demo.out)
        assert "not read back" not in demo.out
        assert demo.nothing_left()
    assert not made & admin.list_topics(timeout=10).topics.keys()
    groups = admin.list_consumer_groups().result(10).valid
    assert not [group.group_id for group in groups if group.group_id.startswith("demo-")]
