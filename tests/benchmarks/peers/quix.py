"""Quix Streams: a dataframe over topics, `apply`, `filter`, `to_topic`.

Guarantee: exactly once, `processing_guarantee="exactly-once"`: produced messages and offsets are committed in one Kafka
transaction, which closes when a checkpoint does. Its documentation says that `commit_interval`, 5 s by default, is then
the longest time before a produced message can be read, and that a smaller one serves latency: --commit-ms.

Rows are scored one by one, since that is how a dataframe hands them over; a function that held rows back to score them
together would let a checkpoint commit rows that were not scored. --forward-every K leaves the model out and forwards
one row in K: the most that the library does, whatever the model costs.
"""

from __future__ import annotations

import time
from typing import Any

from quixstreams import Application  # type: ignore[import-not-found]

from tests.benchmarks.measured import tell
from tests.benchmarks.peers.arguments import parser
from tests.benchmarks.peers.scoring import Scorer


class Rows:
    """Scores rows, or forwards one in so many, and counts them. begun: when the first one came, s since 1970."""

    def __init__(self, scorer: Scorer, forward_every: int) -> None:
        self._scorer, self._every = scorer, forward_every
        self.count = self.alerts = 0
        self.begun = 0.0

    def score(self, row: Any) -> float | None:
        """The score of a row that alerts, else None."""
        self.begun = self.begun or time.time()
        self.count += 1
        if self._every:
            score = 0.0 if self.count % self._every == 0 else None
        else:
            score = next((score for _, score in self._scorer.over([row])), None)
        self.alerts += score is not None
        return score


def main() -> None:
    """Runs until so many rows are done, or for ever."""
    options = parser(__doc__)
    options.add_argument("--commit-ms", type=float, default=5000.0)
    options.add_argument("--forward-every", type=int, default=0)
    chosen = options.parse_args()
    rows = Rows(Scorer(chosen.model, chosen.line, chosen.format), chosen.forward_every)

    def processed(topic: str, partition: int, offset: int) -> None:
        if rows.count == chosen.rows:
            app.stop()

    app = Application(
        broker_address=chosen.bootstrap_servers,
        consumer_group=chosen.group,
        auto_offset_reset="earliest",
        processing_guarantee="exactly-once",
        commit_interval=chosen.commit_ms / 1000,
        on_message_processed=processed,
        auto_create_topics=False,
        state_dir=chosen.scratch,
        loglevel="WARNING",
    )
    kind = {"json": "json", "packed": "bytes"}[chosen.format]
    source = app.topic(chosen.input_topic, key_deserializer="bytes", value_deserializer=kind)
    target = app.topic(chosen.alerts_topic, key_serializer="bytes", value_serializer="json")
    frame = app.dataframe(source).apply(rows.score).filter(lambda score: score is not None)
    frame.apply(lambda score: {"score": score, "threshold": chosen.line}).to_topic(target)
    app.run()
    tell(rows.count, rows.alerts, rows.begun)


if __name__ == "__main__":
    main()
