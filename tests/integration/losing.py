"""A detector whose clients are said to lose brokers: `... -m tests.integration.losing WHICH TIMES STEP TURN run ...`.

The race in the client that makes them lose them cannot be called up; what is done about it can. WHICH: `consumer`,
before some of its polls; `producer`, when an answer is late; `places`, when partitions come and it is asked where they
begin. STEP and TURN as those of `stopping`.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from detector.errors import BrokerAway
from tests.integration.stopping import stand

if TYPE_CHECKING:
    from detector.rows import Batch

POLLS = 20
"""A consumer is lost before one of so many polls."""

log = logging.getLogger("tests.losing")


class Losing:
    """Says so many times that a client is lost, each after so many questions."""

    def __init__(self, times: int, every: int) -> None:
        self.left, self.every, self.asked = times, every, 0

    def __call__(self, *_: object) -> bool:
        self.asked += 1
        if not self.left or self.asked % self.every:
            return False
        self.left -= 1
        log.warning("losing left=%d", self.left)
        return True


def asking_first(poll: Callable[..., Batch]) -> Callable[..., Batch]:
    """A poll of an Input that asks each time what it would ask where nothing came."""

    def asking(here: Any, *how: object) -> Batch:
        here._begin_anew_if_lost()
        return poll(here, *how)

    return asking


def beginning_anew(losing: Losing) -> Callable[[Any], None]:
    """What a transaction does whose step is late: its producer is lost as often as is said."""

    def look_round(here: Any) -> None:
        if losing():
            here._on_lost()

    return look_round


def finding_none(starts: Callable[..., dict[int, int]], losing: Losing) -> Callable[..., dict[int, int]]:
    """Where an Input begins, which as often as is said no broker tells."""

    def find(here: Any, *partitions: object) -> dict[int, int]:
        if losing():
            raise BrokerAway("nobody tells")
        return starts(here, *partitions)

    return find


def main(which: str, times: int, step: str, turn: int, command: Sequence[str]) -> int:
    """The detector's exit code."""
    stand(step, turn)
    from detector.__main__ import main as detector
    from detector.kafka import Input, produce, vigil

    if which == "consumer":
        cast(Any, vigil).Vigil.lost = Losing(times, POLLS)
        cast(Any, Input).poll = asking_first(Input.poll)
    elif which == "places":
        cast(Any, Input)._starts = finding_none(Input._starts, Losing(times, 1))
    else:
        cast(Any, produce).Transactions._look_round = beginning_anew(Losing(times, 1))
    return detector(command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), sys.argv[5:]))
