"""A small history of our own, broken, as one batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from replay import columns as roles
from replay.batch import Batch, Marks, objects
from replay.columns import Columns
from replay.files import TableFile
from replay.history import Reading
from replay.inject.broken import stages
from replay.order import block_of
from replay.pipeline import played, sendable
from replay.settings import Settings
from tests.replay.made import asked, whole

START = 1_700_000_000
"""Event time of the first row, s since 1970; a row comes every 10 s."""

STEP_MS = 10_000
ROWS = 600


def cards(rows: int = ROWS) -> pd.DataFrame:
    """Rows with whole numbers, fractions, gaps and text; one in 20 is a fraud."""
    rng = np.random.default_rng(7)
    return pd.DataFrame(
        {
            "Time": START + 10 * np.arange(rows),
            "card": rng.integers(0, 9, rows),
            "V14": rng.normal(5, 2, rows),
            "items": rng.integers(1, 9, rows),
            "Amount": np.where(rng.random(rows) < 0.1, np.nan, rng.gamma(2, 50, rows)),
            "shop": rng.choice(["a", "b"], rows),
            "Class": (np.arange(rows) % 20 == 7).astype(int),
        }
    )


class Held:
    """A table in memory as a history, in batches of these sizes, again and again. See `replay.history.History`."""

    def __init__(self, frame: pd.DataFrame, sizes: Sequence[int] = (), **given: Any) -> None:
        self.name = "held"
        found = roles.resolved(frame, roles.asked(asked(**given), None), "json")
        self.columns: Columns | None = found
        block = block_of(frame, TableFile(Path("rows"), 0, ()).event(frame, found.time), 0)
        self.all = Reading(found, "held").batch(block)
        self.rows: int | None = len(frame)
        event = self.all.event
        self.span = None if event is None else (int(event[0]), int(event[-1]))
        self.sizes = list(sizes) or [len(frame)]

    def batches(self) -> Iterator[Batch]:
        first = turn = 0
        while first < len(self.all):
            size = self.sizes[turn % len(self.sizes)]
            yield self.all.take(slice(first, first + size))
            first, turn = first + size, turn + 1

    def identity(self) -> dict[str, str]:
        return {"data": "held"}

    def held(self) -> None:
        return None

    def hold(self, held: Any) -> None:
        return None

    def close(self) -> None:
        return None


def broken(specs: Sequence[str], history: Held | None = None, done: int = 0, **given: Any) -> Batch:
    """The rows as they are sent, with their values."""
    chosen, found = told(specs, **given), history or Held(cards())
    rows = played(found, chosen, stages(found, chosen), done)
    return whole(_named(batch, chosen.format) for batch in sendable(rows, found, chosen) if len(batch))


def _named(batch: Batch, format_: str) -> Batch:
    """With the headers that a row of ours has."""
    if batch.headers is not None:
        return batch
    own = ("format", format_.encode())
    return replace(batch, headers=objects([[own, ("row-id", name)] for name in batch.row_ids.tolist()]))


def told(specs: Sequence[str], **given: Any) -> Settings:
    """Settings with these breaks."""
    return asked(inject=tuple(specs), **{"speed": "60x", **given})


def marks(batch: Batch) -> list[Marks]:
    """What was done to each row."""
    return [()] * len(batch) if batch.injected is None else batch.injected.tolist()


def touched(batch: Batch) -> list[int]:
    """The places of rows to which something was done."""
    return [place for place, one in enumerate(marks(batch)) if one]


def same(one: Batch, other: Batch) -> None:
    """Two batches are alike to the last bit."""
    assert one.row_ids.tolist() == other.row_ids.tolist()
    assert one.values is not None
    assert other.values is not None
    assert one.values.tolist() == other.values.tolist()
    assert marks(one) == marks(other)
    for name in ("event", "moments", "anomalous", "keys", "headers"):
        pair = [getattr(batch, name) for batch in (one, other)]
        assert pair[0].tolist() == pair[1].tolist(), name
