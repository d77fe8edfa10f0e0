"""Where a named replay goes on, and with what it does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pytest

from detector.errors import UsageError
from detector.kafka import Record
from replay.labels import Delay, Pending, Truth
from replay.legs import Leg
from replay.plan import Stop
from replay.resume import MOST_ROWS, Ledger, Position, begun, decides
from replay.source import Files
from tests.replay.made import WALL, World, asked, batch_of, files, replay


class Committing(World):
    """A broker with transactions: what was sent since the last commit is not there yet."""

    def __init__(self) -> None:
        super().__init__()
        self.commits: list[tuple[float, Position, int]] = []
        self.open: list[tuple[Record, bool]] = []

    def send(self, record: Record, timestamp: int, counted: bool = True) -> None:
        super().send(record, timestamp, counted)
        self.pending.clear()
        self.open.append((record, counted))

    def commit(self, last: Record) -> None:
        assert last.value is not None
        assert (last.topic, last.key) == ("replays", b"x")
        self.commits.append((self.now, msgspec.json.decode(last.value, type=Position), len(self.sent)))
        self.acknowledged += sum(counted for _, counted in self.open)
        self.others += sum(not counted for _, counted in self.open)
        self.open.clear()


def ledger(world: Committing, start: Position | None = None) -> Ledger:
    return Ledger("x", "replays", start or Position(rows=0), world)


def table(count: int) -> Any:
    return batch_of(pd.DataFrame({"time": range(count), "x": 1.0, "label": 0}))


def test_positions_at_full_speed() -> None:
    """Flat out a transaction holds some thousand rows; the last position says that nothing is left."""
    world, count = Committing(), 2 * MOST_ROWS + 1500
    summary = replay(world, table(count), ledger=ledger(world)).run()
    assert (summary.sent, summary.failed) == (count, 0)
    rows = [position.rows for _, position, _ in world.commits]
    assert rows == [MOST_ROWS, 2 * MOST_ROWS, count]
    assert all(position.rows == sent for _, position, sent in world.commits)
    assert [position.event for _, position, _ in world.commits] == [(row - 1) * 1000 for row in rows]
    assert [position.ended for _, position, _ in world.commits] == [False, False, True]


def test_positions_at_a_pace() -> None:
    """At a pace what was sent is committed within some hundred milliseconds, and nothing where nothing was sent."""
    world = Committing()
    replay(world, table(5), "real", ledger=ledger(world)).run()
    assert [position.rows for _, position, _ in world.commits] == [1, 2, 3, 4, 5]
    assert [at for at, _, _ in world.commits][:4] == pytest.approx([0.2, 1.2, 2.2, 3.2], abs=0.11)


def test_a_stop_commits() -> None:
    """Ctrl-C commits what was sent; the position is not the end."""
    world, stop = Committing(), Stop()
    world.on_send = lambda: stop.request() if len(world.sent) == 1200 else None
    summary = replay(world, table(5000), stop=stop, ledger=ledger(world)).run()
    assert [(position.rows, position.ended) for _, position, _ in world.commits] == [(2000, False)]
    assert summary.stopped is not None
    assert (summary.sent, summary.stopped.rows) == (2000, 2000)


def test_positions_go_on() -> None:
    """A second process counts from where the first ended, and keeps what it told of the data."""
    world = Committing()
    kept: dict[str, Any] = {"label": (7, 3), "of": {"data": "a"}, "held": {"0": [1, 2]}}
    before, now = Leg(0, 5, 6), int(WALL * 1000)
    start = Position(rows=100, event=5, legs=[before], **kept)
    replay(world, table(10), ledger=ledger(world, start)).run()
    legs = [before, Leg(100, now, now)]
    assert world.commits[-1][1] == Position(rows=110, event=9000, ended=True, legs=legs, **kept)


def test_labels_have_a_place() -> None:
    """The position holds the last delayed label that was sent with it."""
    world = Committing()
    truth = Pending(Truth(Delay(3000)))
    replay(world, table(10), "real", labels="truth", pending=truth, ledger=ledger(world)).run()
    labels = [position.label for _, position, _ in world.commits]
    assert labels[-1] == (12_000, 9)
    assert [label for label in labels if label] == sorted(label for label in labels if label)


def made(tmp_path: Path, **given: Any) -> Files:
    path = tmp_path / "rows.csv"
    if not path.exists():
        pd.DataFrame({"time": range(5), "x": 1.0, "label": [0, 1, 0, 0, 0]}).to_csv(path, index=False)
    return files(path, **given)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"format": "packed"}, "features, format"),
        ({"limit": 3}, "limit"),
        ({"sample": 0.5, "between": "1/2"}, "between, sample"),
        ({"label": "none"}, "features, label, normal"),
        ({"label_delay": "1d", "seed": 3}, "label_delay, seed"),
    ],
)
def test_other_rows_are_refused(tmp_path: Path, given: dict[str, Any], named: str) -> None:
    """A name that was begun with other settings or data is refused, and what is other is named."""
    one, chosen = made(tmp_path), asked(resume="x")
    first = begun(chosen, one, decides(one, one.columns, chosen), None)
    assert (first.rows, first.ended) == (0, False)
    other, also = made(tmp_path, resume="x", **given), asked(resume="x", **given)
    with pytest.raises(UsageError, match=f"resume 'x' was begun with other {named}; .* after 7 rows"):
        begun(also, other, decides(other, other.columns, also), msgspec.structs.replace(first, rows=7))


def test_other_data_is_refused(tmp_path: Path) -> None:
    """So is a file that was written anew."""
    one, chosen = made(tmp_path), asked(resume="x")
    found = Position(rows=3, of=decides(one, one.columns, chosen))
    (tmp_path / "rows.csv").write_text("time,x,label\n1,2,0\n2,2,1\n")
    other = made(tmp_path)
    with pytest.raises(UsageError, match="begun with other data"):
        begun(chosen, other, decides(other, other.columns, chosen), found)


def test_another_pace_is_fine(tmp_path: Path) -> None:
    """Speed and timestamps do not decide which rows are sent."""
    one, chosen = made(tmp_path), asked(resume="x")
    found = Position(rows=3, of=decides(one, one.columns, chosen))
    also = asked(resume="x", speed="60x", timestamps="original", timeout=5.0)
    assert begun(also, one, decides(one, one.columns, also), found) == found
