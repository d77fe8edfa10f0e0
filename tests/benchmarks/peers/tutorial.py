"""The tutorials' way: poll one message, `json.loads`, `model.predict` on 64 rows in Keras, publish, commit.

Guarantee: at least once. Offsets are committed after the alerts have been flushed, so that a crash between the two
publishes alerts again. (Where tutorials leave `enable.auto.commit` on, not even that: confluent-kafka's documentation
says that offsets are then committed in the background, whether or not their messages have been processed.)
"""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
from confluent_kafka import Consumer, Producer

from tests.benchmarks.measured import tell
from tests.benchmarks.peers.arguments import parser

BATCH = 64
WAIT_SECONDS = 0.05


def main() -> None:
    """Runs until so many rows are done, or for ever."""
    chosen = parser(__doc__).parse_args()
    model, features = load(chosen.model), schema(chosen.model)
    consumer = Consumer(
        {
            "bootstrap.servers": chosen.bootstrap_servers,
            "group.id": chosen.group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    producer = Producer({"bootstrap.servers": chosen.bootstrap_servers})
    consumer.subscribe([chosen.input_topic])
    batch: list[Any] = []
    rows = alerts = 0
    begun = 0.0
    while not 0 < chosen.rows <= rows:
        message = consumer.poll(WAIT_SECONDS)
        if message is not None and message.error() is None:
            begun = begun or time.time()
            batch.append(message)
        if batch and (message is None or len(batch) == BATCH):
            scores = model.predict(matrix(batch, features, chosen.format), verbose=0)["score"]
            for i in np.flatnonzero(scores > chosen.line).tolist():
                row = batch[i]
                alert = {
                    "id": f"{row.topic()}/{row.partition()}/{row.offset()}",
                    "score": float(scores[i]),
                    "threshold": chosen.line,
                }
                producer.produce(chosen.alerts_topic, json.dumps(alert), row.key())
                alerts += 1
            producer.flush()
            consumer.commit(message=batch[-1], asynchronous=False)
            rows += len(batch)
            batch = []
    tell(rows, alerts, begun)
    consumer.close()


def load(folder: Any) -> Any:
    """The artifact's Keras model; warmed, because its first prediction traces it."""
    import keras

    import trainer.network  # noqa: F401  # its layers are known to Keras once they are imported

    model = keras.models.load_model(folder / "model.keras")
    model.predict(np.zeros((BATCH, model.input_shape[1]), np.float32), verbose=0)
    return model


def schema(folder: Any) -> list[str]:
    """The artifact's features."""
    return list(json.loads((folder / "manifest.json").read_text())["schema"]["features"])


def matrix(messages: list[Any], features: list[str], form: str) -> Any:
    """Messages as a float32 (n, d) matrix."""
    if form == "packed":
        return np.array([np.frombuffer(message.value(), "<f4") for message in messages])
    rows = [json.loads(message.value()) for message in messages]
    return np.array([[row[name] for name in features] for row in rows], np.float32)


if __name__ == "__main__":
    main()
