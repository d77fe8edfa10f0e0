"""Rows through a pipe: as they come, or sorted once they are all there."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pandas as pd
import pytest

from detector.errors import DataRefused, UsageError
from replay.encoding import encoded, encoder
from replay.stdin import Piped
from tests.replay.made import asked, ids, rows, whole


def piped(frame: pd.DataFrame | bytes, said: list[str] | None = None, **given: Any) -> Piped:
    content = frame if isinstance(frame, bytes) else frame.to_csv(index=False).encode()
    return Piped(io.BytesIO(content), asked(**given), None, (said if said is not None else []).append)


def cards(count: int) -> pd.DataFrame:
    random = np.random.default_rng(0)
    return pd.DataFrame({"Time": random.integers(0, 500, count), "card": ["a", "08"] * (count // 2), "Class": 0})


def test_rows_as_they_come() -> None:
    """Rows in order are played as they come, with ids, keys and truth; text stays text over all blocks."""
    frame = cards(4000).sort_values("Time")
    found = piped(frame)
    batch = whole(encoded(encoder("json", found.columns))(found.batches()))
    assert ids(batch) == [str(row) for row in range(4000)]
    assert [row["Time"] for row in rows(batch)] == frame["Time"].tolist()
    assert batch.keys is not None
    assert batch.keys.tolist() == [card.encode() for card in frame["card"]]
    assert batch.anomalous is not None
    assert not batch.anomalous.any()


def test_older_rows_are_refused() -> None:
    """A row that is older than the one before is refused, with what to do about it; rows before it were played."""
    frame = pd.DataFrame({"Time": [*range(1500), 3], "x": 1})
    batches = piped(frame).batches()
    assert len(next(batches)) == 1000
    with pytest.raises(DataRefused) as raised:
        next(batches)
    assert str(raised.value) == (
        "data standard input: row 1500 is older than the one before by 'Time'; "
        "--order time sorts all rows first, --order file plays them as they come"
    )


def test_sorted_on_request() -> None:
    """Asked for the order of time, all rows are read and sorted first, and it says so."""
    frame, said = cards(3000), list[str]()
    found = piped(frame, said, order="time")
    wanted = sorted(range(3000), key=lambda row: (frame["Time"][row], row))
    assert ids(whole(found.batches())) == [str(row) for row in wanted]
    assert said == ["replay: sorting standard input by 'Time', once its end is there"]
    found.close()


def test_in_its_own_order_on_request() -> None:
    """Asked for the order of the file, nothing is refused or sorted."""
    assert ids(whole(piped(cards(3000), order="file").batches())) == [str(row) for row in range(3000)]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "data standard input: no rows"),
        (b"Time,x\n", "data standard input: no rows"),
        (b"Time,x\n1,2\n3,4,5\n", "data standard input: cannot be read: "),
        (b"Time,x\n" + b"1,2\n" * 2000 + b"1,z\n", "row 2000: column 'x' holds 'z', a number wanted"),
    ],
)
def test_refused(content: bytes, sentence: str) -> None:
    """What is no table is refused, also when it is found late."""
    with pytest.raises(DataRefused, match=sentence):
        whole(piped(content).batches())


@pytest.mark.parametrize("given", [{"loop": 2}, {"resume": "a"}])
def test_read_once(given: dict[str, Any]) -> None:
    """What needs a second reading is refused."""
    with pytest.raises(UsageError, match=f"setting {next(iter(given))} does not go with standard input"):
        piped(cards(4), **given)


def test_missing_columns() -> None:
    """A column that is not there is refused."""
    with pytest.raises(DataRefused, match="data standard input: key column 'who' is not in the data"):
        piped(cards(4), key="who")
