"""The rows that are measured with: encoded, of which some are known to alert; and topics full of them."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fastavro
import msgspec
import numpy as np
import pandas as pd
from confluent_kafka import Producer
from numpy.typing import NDArray

from detector import artifact, table
from detector.rows import encode_json, encode_packed
from detector.threshold import above
from tests.integration.line import Topics
from tests.registry import SchemaRegistry

ALERTING_SHARE = 0.02
"""Of a pool's rows: those of the highest scores."""

BLOCK = 97
"""Rows that go to a partition before the next one's turn: a prime, so that alerts, at round intervals, go to all."""

FILLING = {"linger.ms": 20, "queue.buffering.max.messages": 500_000}

Encode = Callable[[pd.DataFrame, Sequence[str]], list[bytes]]


@dataclass(frozen=True, slots=True)
class Form:
    """A format of rows. options: what the detector is told besides `--format`."""

    name: str
    encode: Encode
    options: tuple[str, ...] = ()


def packed(frame: pd.DataFrame, features: Sequence[str]) -> list[bytes]:
    """Each row as packed float32."""
    return encode_packed(table.matrix(frame, tuple(features)))


def json(frame: pd.DataFrame, features: Sequence[str]) -> list[bytes]:
    """Each row as a JSON object, some 800 bytes for 30 numbers."""
    return encode_json(
        {str(name): value for name, value in row.items()} for row in frame[list(features)].to_dict("records")
    )


def avro(registry: SchemaRegistry) -> Encode:
    """Each row as a record of doubles in the registry's wire format; the schema is registered once for each call."""

    def encode(frame: pd.DataFrame, features: Sequence[str]) -> list[bytes]:
        fields = [{"name": name, "type": "double"} for name in features]
        schema = {"type": "record", "name": "Row", "fields": fields}
        written, head = fastavro.parse_schema(schema), b"\0" + registry.add(schema).to_bytes(4, "big")
        return [head + _record(written, row) for row in frame[list(features)].to_dict("records")]

    return encode


def _record(schema: Any, row: Any) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema, row)
    return out.getvalue()


FORMS = ("packed", "json", "avro")


def forms(registry: SchemaRegistry) -> dict[str, Form]:
    """Every format that can be measured, by its name in FORMS: a new one is a line in both."""
    found = (
        Form("packed", packed),
        Form("json", json),
        Form("avro", avro(registry), ("--schema-registry", registry.url)),
    )
    return {form.name: form for form in found}


class Pool(msgspec.Struct, frozen=True):
    """Encoded rows. line: a score that all of `above` exceed, and none of `below`."""

    below: list[bytes]
    above: list[bytes]
    line: float

    def value(self, number: int, every: int) -> bytes:
        """The row of a number: each `every`-th alerts; none if that is 0."""
        if alerts(number, every):
            return self.above[number // every % len(self.above)]
        return self.below[number % len(self.below)]


def alerts(number: int, every: int) -> bool:
    """Whether the row of a number is one that alerts."""
    return every > 0 and number % every == every - 1


def alerts_of(rows: int, every: int) -> int:
    """How many of the first so many rows alert."""
    return rows // every if every else 0


def place(number: int, partitions: int) -> int:
    """The partition of the row of a number."""
    return number // BLOCK % partitions


def pool(model: Path, frame: pd.DataFrame, form: Form) -> Pool:
    """A frame's rows in a form, parted by a model's scores."""
    found = artifact.load(model)
    scores = found.model().score(table.matrix(frame, found.schema.features))
    line = parting(scores, ALERTING_SHARE)
    values = np.array(form.encode(frame, found.schema.features), object)
    over = above(scores, line)
    return Pool(values[~over].tolist(), values[over].tolist(), line)


def parting(scores: NDArray[np.float32], share: float) -> float:
    """A number strictly between two scores, with about this share of them above; ValueError where all are equal."""
    ranked = np.unique(scores).astype(np.float64)
    middles = ((ranked[1:] + ranked[:-1]) / 2).astype(np.float32)
    strict = np.flatnonzero((ranked[:-1] < middles) & (middles < ranked[1:]))  # in float32 neighbours have none
    if not len(strict):
        raise ValueError(f"{len(scores)} scores are all {scores[:1]}: no line parts them")
    cut = int(np.searchsorted(middles[strict], np.quantile(scores, 1 - share)))
    return float(middles[strict[min(cut, len(strict) - 1)]])


def fill(topics: Topics, pool: Pool, rows: int, every: int, ids: bool = False) -> None:
    """Publishes so many rows of a pool to a topic, over and over. ids: whether each has its number as its row id."""
    producer = Producer({"bootstrap.servers": topics.bootstrap, **FILLING})
    for number in range(rows):
        marks = [("row-id", b"%d" % number)] if ids else None
        at = place(number, topics.partitions)
        produce(producer, topics.input, pool.value(number, every), at, headers=marks)
    producer.flush()


def produce(
    producer: Producer, topic: str, value: bytes, partition: int, key: bytes | None = None, headers: Any = None
) -> None:
    """Publishes one row; waits where the client's queue is full."""
    while True:
        try:
            producer.produce(topic, value, key, partition=partition, headers=headers)
            return
        except BufferError:
            producer.poll(0.1)


def chunks(rows: int, most: int) -> Iterator[range]:
    """The numbers of so many rows, in chunks."""
    for start in range(0, rows, most):
        yield range(start, min(start + most, rows))
