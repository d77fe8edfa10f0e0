"""Bytewax: a dataflow from KafkaSource through `flat_map_batch` to KafkaSink.

Guarantee: at least once, at best. Its documentation of KafkaSink says that it can support at-least-once processing
and that the messages of the resume epoch are duplicated right after a resume; that needs recovery, which is on here,
with an epoch of 10 s. Offsets are kept in its own recovery store, not in the consumer group; nothing is transactional.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import bytewax.operators as op  # type: ignore[import-not-found]
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource  # type: ignore[import-not-found]
from bytewax.dataflow import Dataflow  # type: ignore[import-not-found]
from bytewax.recovery import RecoveryConfig, init_db_dir  # type: ignore[import-not-found]
from bytewax.run import cli_main  # type: ignore[import-not-found]

from tests.benchmarks.measured import tell
from tests.benchmarks.peers.arguments import parser
from tests.benchmarks.peers.scoring import Scorer

EPOCH = timedelta(seconds=10)


def main() -> None:
    """Runs to the end of the topic if a number of rows is given, else for ever."""
    chosen = parser(__doc__).parse_args()
    scorer = Scorer(chosen.model, chosen.line, chosen.format)
    begun = 0.0

    def alerts(batch: list[Any]) -> Iterable[Any]:
        nonlocal begun
        begun = begun or time.time()
        rows = [scorer.read(message.value) for message in batch]
        for place, score in scorer.over(rows):
            row = batch[place]
            alert = scorer.alert(score, row.topic, row.partition, row.offset)
            yield KafkaSinkMessage(row.key, json.dumps(alert).encode())

    brokers = chosen.bootstrap_servers.split(",")
    flow = Dataflow("fraud")
    rows = op.input("rows", flow, KafkaSource(brokers, [chosen.input_topic], tail=not chosen.rows))
    op.output("alerts", op.flat_map_batch("score", rows, alerts), KafkaSink(brokers, chosen.alerts_topic))
    chosen.scratch.mkdir()
    init_db_dir(chosen.scratch, 1)
    cli_main(flow, workers_per_process=1, epoch_interval=EPOCH, recovery_config=RecoveryConfig(str(chosen.scratch)))
    tell(scorer.rows, scorer.alerts, begun)


if __name__ == "__main__":
    main()
