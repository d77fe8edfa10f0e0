"""What detectors publish, read back from the embedded broker while a backtest plays."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence

import msgspec
import pytest

from detector.errors import Failure
from detector.kafka import Publisher, Record
from replay.backtest.line import Line, embedded
from replay.backtest.reading import Readback
from replay.backtest.tally import Tally
from tests.replay.tried import Heard, alerted, event_of, scored

LIMIT_SECONDS = 30.0


@pytest.fixture
def line() -> Iterator[Line]:
    """Topics for two detectors, and no detector."""
    with embedded(2) as found:
        yield found


@pytest.fixture
def sender(line: Line) -> Publisher:
    return Publisher(line.bootstrap_servers, {})


def publish(sender: Publisher, messages: Sequence[tuple[str, Heard]]) -> None:
    """All of them are there when it ends."""
    for topic, one in messages:
        sender.send(Record(topic, None, one.data, one.named), 1)
    deadline = time.monotonic() + LIMIT_SECONDS
    while sender.waiting():
        assert time.monotonic() < deadline
        sender.poll(0.1)


def awaited(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)


def dead(offset: int) -> Heard:
    headers = {"errors.reason": "not_json", "errors.partition": "0", "errors.offset": str(offset)}
    return Heard(b"", named=[(name, text.encode()) for name, text in headers.items()])


def test_everything_is_read(line: Line, sender: Publisher) -> None:
    """Scores, alerts, dead letters and drift of two detectors reach the tally of each, and the slower one's place."""
    tallies = [Tally(), Tally()]
    one, other = line.outputs
    readback = Readback(line, tallies, lambda: None, lambda: None)
    readback.start()
    publish(sender, [(one.scores, scored(["a", "b"], [5.0, 1.0])), (one.alerts, alerted("a", 5.0))])
    publish(sender, [(one.dead_letters, dead(2)), (one.drift, Heard(msgspec.json.encode(event_of("V1"))))])
    publish(sender, [(other.scores, scored(["a"], [1.0]))])
    awaited(lambda: tallies[0].complete(3) and tallies[1].complete(1))
    readback.drain()
    readback.ended()
    assert [tally.told for tally in tallies] == [3, 1]
    assert (tallies[0].alerts, tallies[0].dead["not_json"], len(tallies[0].events)) == (1, 1, 1)
    assert readback.committed(line.rows, [0]) == {0: 1}


def test_what_goes_wrong_is_told(line: Line, sender: Publisher) -> None:
    """What the watch raises, as that a detector died, ends the reading, is told at once, and raised when asked."""
    told = threading.Event()

    def watch() -> None:
        raise Failure("the detector ended")

    readback = Readback(line, [Tally(), Tally()], watch, told.set)
    readback.start()
    assert told.wait(LIMIT_SECONDS)
    readback.close()
    with pytest.raises(Failure, match="the detector ended"):
        readback.check()
