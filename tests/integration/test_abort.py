"""A transaction that aborts: the input is rewound, the statistics are made anew, and nothing shows."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from detector.kafka import Aborted, Checkpoint, Output, Record
from detector.service import Service
from detector.settings import Settings
from tests.integration.conftest import Cards
from tests.integration.line import Topics, alerts_of, comparable, positions, send, until_end
from tests.integration.test_detector import messages

OPTIONS = ("--threshold", "running-mad:6", "--window", "256", "--stride", "64", "--min-rows", "32", "--max-batch", "50")


class Flaky:
    """An output whose every third commit produces its records, and then aborts the transaction for real."""

    def __init__(self, inner: Output) -> None:
        self.inner, self.turns, self.aborts = inner, 0, 0

    def commit(self, records: Iterable[Record], checkpoint: Checkpoint) -> None:
        self.turns += 1
        if self.turns % 3:
            self.inner.commit(records, checkpoint)
            return
        self.aborts += 1
        producer = self.inner._producer  # type: ignore[attr-defined]
        producer.begin_transaction()
        for record in records:
            producer.produce(record.topic, record.value, record.key)
        producer.send_offsets_to_transaction(checkpoint.places, checkpoint.generation)
        producer.abort_transaction()
        raise Aborted("for the test")

    def serve(self) -> None:
        self.inner.serve()

    def close(self) -> None:
        self.inner.close()


def settings(topics: Topics, model: Path) -> Settings:
    """Those of OPTIONS, for a service in this process."""
    return Settings(
        model=model,
        bootstrap_servers=topics.bootstrap,
        input_topic=topics.input,
        alerts_topic=topics.alerts,
        dead_letters_topic=topics.dead,
        models_topic=topics.models,
        drift_topic=topics.drift,
        group=topics.name,
        metrics_port=0,
        until_end=True,
        threshold="running-mad:6",
        window=256,
        stride=64,
        min_rows=32,
        max_batch=50,
        max_transaction=50,
    )


@pytest.mark.long
def test_aborts_do_not_show(cards: Cards, topics: Topics, monkeypatch: pytest.MonkeyPatch) -> None:
    """With every third transaction aborted the alerts are those of a run without aborts, and offsets are at the end."""
    send(topics.bootstrap, topics.input, messages(cards, 3000, "json", topics.partitions))
    calm = topics.with_outputs(f"{topics.name}-calm")
    until_end(calm, cards.model, *OPTIONS)
    made: list[Flaky] = []

    def flaky(service: Service) -> Output:
        made.append(Flaky(real(service)))
        return made[0]

    real = Service._output
    monkeypatch.setattr(Service, "_output", flaky)
    Service(settings(topics, cards.model)).run()
    assert made[0].aborts >= 10
    assert comparable(alerts_of(topics)) == comparable(alerts_of(calm)) != {}
    committed, ends = positions(topics)
    assert committed == ends
