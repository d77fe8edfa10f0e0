"""What every part works with: a broker, models, and what the person asked for."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.line.models import Models
from tests.benchmarks.line.rows import Form, Pool, fill
from tests.broker import delete_topic
from tests.integration.line import PARTITIONS, Topics, make_topics

ROWS = {"packed": 3_000_000, "json": 1_000_000, "avro": 1_000_000}
"""Rows of a run of some seconds, by form."""


@dataclass(frozen=True)
class Bench:
    """forms: those that are measured. packed: the one of parts that need but one.

    rows: of a run, where the person says so. seconds: that latency and idleness are measured for. soak_rows: of the
    soak. peers: by name, the interpreter of its environment.
    """

    bootstrap: str
    models: Models
    packed: Form
    forms: tuple[Form, ...]
    repeats: int = 3
    rows: int | None = None
    seconds: float = 20.0
    soak_rows: int = 50_000_000
    peers: tuple[tuple[str, Path], ...] = ()

    def rows_of(self, form: Form) -> int:
        """How many rows a run of a form has."""
        return self.rows or ROWS[form.name]

    @contextmanager
    def filled(
        self, pool: Pool, rows: int, every: int = 500, partitions: int = PARTITIONS, ids: bool = False
    ) -> Iterator[Topics]:
        """Topics whose input holds so many rows; the input is deleted afterwards."""
        with self.empty(partitions) as topics:
            fill(topics, pool, rows, every, ids)
            yield topics

    @contextmanager
    def empty(self, partitions: int = PARTITIONS) -> Iterator[Topics]:
        """Fresh topics; the input is deleted afterwards."""
        topics = make_topics(self.bootstrap, partitions)
        try:
            yield topics
        finally:
            delete_topic(self.bootstrap, topics.input)


def say(text: str) -> None:
    """Tells the person how far it is."""
    print(text, file=sys.stderr, flush=True)
