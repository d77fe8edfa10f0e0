"""Another topic as data: how its part is named. What is read of it is tested on a broker."""

from __future__ import annotations

import numpy as np
import pytest

from detector.errors import UsageError
from replay.order import Run, merged
from replay.settings import Settings
from replay.topic import Address, Bound, Topic, _batch, _block, address
from tests.messages import FakeMessage
from tests.replay.made import asked, ids, whole


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("kafka://rows", Address("rows")),
        ("kafka://Rows.of-2", Address("Rows.of-2")),
        ("kafka://rows?from=offset:17", Address("rows", Bound(offset=17))),
        ("kafka://rows?from=1000&to=2000", Address("rows", Bound(time=1000), Bound(time=2000))),
        ("kafka://rows?to=1970-01-01T00:00:01Z", Address("rows", None, Bound(time=1000))),
        ("kafka://rows?to=1970-01-01T02:00:01+02:00", Address("rows", None, Bound(time=1000))),
    ],
)
def test_addresses(text: str, wanted: Address) -> None:
    """A topic with bounds that are times, ms or offsets, or with none."""
    assert address(text) == wanted


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("kafka://", "kafka://TOPIC"),
        ("kafka://rows/more", "kafka://TOPIC"),
        ("kafka://rows?since=1", "kafka://TOPIC"),
        ("kafka://rows?to=1&to=2", "kafka://TOPIC"),
        ("kafka://rows?from=yesterday", "'yesterday', a time like 2026-"),
        ("kafka://rows?from=offset:x", "a time like"),
    ],
)
def test_no_addresses(text: str, sentence: str) -> None:
    """Anything else is refused with what is wanted."""
    with pytest.raises(UsageError, match=sentence):
        address(text)


def test_its_own_rows() -> None:
    """A topic is not played into itself."""
    with pytest.raises(UsageError, match="is a topic that the rows are sent to"):
        Topic("kafka://transactions", asked())


def test_a_broker_is_wanted() -> None:
    """A topic is on a broker, also for a dry run."""
    with pytest.raises(UsageError, match="wants bootstrap_servers"):
        Topic("kafka://rows", Settings(dry_run=True))


def messages(partition: int, times: list[int]) -> list[FakeMessage]:
    return [
        FakeMessage(
            b"value %d" % time,
            ("rows", partition, offset),
            time,
            marks=[("row-id", b"%d" % time)] if time % 2 else None,
        )
        for offset, time in enumerate(times)
    ]


def run(number: int, times: list[int]) -> Run:
    return Run(-(1 << 63), number, 1, lambda rows: iter([_block(messages(number, times), number, 0)]))


def test_partitions_are_merged_by_time() -> None:
    """Messages come by time over all partitions; in a partition the log's order holds; ids are theirs, or places."""
    logs = [[10, 30, 20, 50], [15, 25, 45]]
    batch = whole(map(_batch, merged([run(number, times) for number, times in enumerate(logs)])))
    assert batch.event is not None
    assert batch.event.tolist() == [10, 15, 25, 30, 20, 45, 50]
    assert ids(batch) == ["0:0", "15", "25", "0:1", "0:2", "45", "0:3"]
    assert batch.values is not None
    assert batch.values.tolist()[0] == b"value 10"
    assert batch.headers is not None
    assert batch.headers.tolist()[1] == [("row-id", b"15")]
    assert np.all(np.diff(np.maximum.accumulate(batch.event)) >= 0)
