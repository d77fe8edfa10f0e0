"""Faust (faust-streaming): an agent that takes rows in batches and sends alerts.

Guarantee: at least once, `processing_guarantee` as by default: an event is acknowledged after the agent is done with
it, and offsets of acknowledged events are committed in the background. Its documentation also offers "exactly_once",
which --exactly-once asks for. Measured with faust-streaming 0.15.3 on Apache Kafka 4.1.1, an agent's `send` then writes
the same records, and no transaction's marker after them: the topic ends at the number of alerts.
"""

from __future__ import annotations

import os
import time
from typing import Any

import faust  # type: ignore[import-not-found]

from tests.benchmarks.measured import tell
from tests.benchmarks.peers.arguments import parser
from tests.benchmarks.peers.scoring import Scorer

BATCH = 1000
WITHIN_SECONDS = 0.05


def main() -> None:
    """Runs until so many rows are done, or for ever."""
    options = parser(__doc__)
    options.add_argument("--exactly-once", action="store_true")
    chosen = options.parse_args()
    scorer = Scorer(chosen.model, chosen.line, chosen.format)
    app = faust.App(
        chosen.group,
        broker=f"kafka://{chosen.bootstrap_servers}",
        processing_guarantee="exactly_once" if chosen.exactly_once else "at_least_once",
        consumer_auto_offset_reset="earliest",
        key_serializer="raw",
        topic_disable_leader=True,
        web_enabled=False,
        datadir=str(chosen.scratch),
    )
    kind = {"json": "json", "packed": "raw"}[chosen.format]
    rows = app.topic(chosen.input_topic, key_type=bytes, value_serializer=kind)
    alerts = app.topic(chosen.alerts_topic, key_type=bytes, value_serializer="json")

    async def score(stream: Any) -> None:
        begun = 0.0
        async for events in stream.take_events(BATCH, within=WITHIN_SECONDS):
            begun = begun or time.time()
            for place, score in scorer.over([event.value for event in events]):
                message = events[place].message
                alert = scorer.alert(score, message.topic, message.partition, message.offset)
                await alerts.send(key=message.key, value=alert)
            if 0 < chosen.rows <= scorer.rows:
                await app.producer.flush()
                tell(scorer.rows, scorer.alerts, begun)
                os._exit(0)  # a worker that is asked to stop takes seconds to leave

    os.dup2(2, 1)  # the worker draws a spinner on stdout
    app.agent(rows)(score)
    faust.Worker(app, loglevel="WARNING").execute_from_commandline()


if __name__ == "__main__":
    main()
