"""What benchmarks of simulated cards share: a broker and a folder for a while, rows, topics full of them, a record."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from detector import artifact, table
from tests.benchmarks.line.rows import chunks
from tests.broker import delete_topic, start
from tests.fuzz import Material
from tests.integration.line import PARTITIONS, Sent, Topics, make_topics, send
from tests.spoiling import Made
from trainer.simulate import simulated_cards

CHUNK = 10_000
"""Messages that are made and sent at a time."""


@contextmanager
def broker_and_folder() -> Iterator[tuple[str, Path]]:
    """A broker's address and a folder; both are gone afterwards."""
    broker = start()
    try:
        with tempfile.TemporaryDirectory() as folder:
            yield broker.bootstrap, Path(folder)
    finally:
        broker.stop()


def material(model: Path) -> Material:
    """Cards that a model has not seen, as its rows."""
    features = artifact.load(model).schema.features
    return Material.of(features, table.matrix(simulated_cards(10_000, seed=5), features))


@contextmanager
def filled(bootstrap: str, made: Sequence[Made], rows: int, partitions: int = PARTITIONS) -> Iterator[Topics]:
    """Topics whose input holds so many messages; it is deleted afterwards."""
    topics = make_topics(bootstrap, partitions)
    try:
        fill(topics, made, rows)
        yield topics
    finally:
        delete_topic(bootstrap, topics.input)


def fill(topics: Topics, made: Sequence[Made], rows: int) -> None:
    """Publishes so many messages in all, over and over, to one partition after the other."""
    for numbers in chunks(rows, CHUNK):
        send(topics.bootstrap, topics.input, [sent(made[n % len(made)], n % topics.partitions) for n in numbers])


def sent(made: Made, partition: int) -> Sent:
    """A message with the partition that it goes to."""
    value, marks = made
    return value, partition, marks


def keep(found: Sequence[Any], out: Path | None) -> None:
    """Writes dataclasses as JSON where that is wanted."""
    if out:
        out.write_text(json.dumps([asdict(one) for one in found], indent=2))
