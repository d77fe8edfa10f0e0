"""The bare client's loop, the yardstick: consume 4,096, forward two rows in a thousand, one transaction; nothing else.

`python -m tests.benchmarks.bare BOOTSTRAP INPUT OUTPUT ROWS` prints the seconds from first message
to last commit.
"""

from __future__ import annotations

import sys
import time
import uuid
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

from detector.kafka.consume import CONSUMER, FIXED
from detector.kafka.produce import PRODUCER

BATCH = 4096
FORWARDED = 500


def main(bootstrap: str, source: str, target: str, rows: int) -> float:
    """Seconds for so many rows, exactly once, with the detector's own client settings."""
    name = uuid.uuid4().hex
    base = {"bootstrap.servers": bootstrap, "log_level": 0}
    consumer = Consumer({**CONSUMER, **base, **FIXED, "group.id": name})
    producer = Producer({**PRODUCER, **base, "transactional.id": name})
    producer.init_transactions(30)
    consumer.subscribe([source])
    seen, start = 0, 0.0
    while seen < rows:
        found: list[Any] = consumer.consume(BATCH, 0.05)
        messages = [message for message in found if message.error() is None]
        if not messages:
            continue
        start = start or time.perf_counter()
        producer.begin_transaction()
        for message in messages[::FORWARDED]:
            producer.produce(target, message.value(), message.key())
        ends = {message.partition(): message.offset() + 1 for message in messages}
        places = [TopicPartition(source, partition, offset) for partition, offset in ends.items()]
        producer.send_offsets_to_transaction(places, consumer.consumer_group_metadata())
        producer.commit_transaction()
        seen += len(messages)
    seconds = time.perf_counter() - start
    consumer.close()
    return seconds


if __name__ == "__main__":
    print(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
