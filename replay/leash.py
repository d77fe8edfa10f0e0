"""What holds a replay back: the group that it must not run away from, a broker that is slow, one that has gone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

ASK_SECONDS = 0.02
"""How often a group is asked while the rows wait for it."""

PAUSED_SECONDS = 1.0
"""A wait that is longer is told."""

Ends = Mapping[tuple[str, int], int]


class Answered(Protocol):
    """What is needed of detector.kafka.Publisher, which explains it."""

    starts: dict[tuple[str, int], int]
    ends: dict[tuple[str, int], int]

    def waiting(self) -> int: ...


class Group(Protocol):
    """What is needed of detector.kafka.Progress."""

    def committed(self, topic: str, partitions: Sequence[int]) -> dict[int, int]: ...


class Leash:
    """Keeps a replay from running more than `most` rows ahead of what a group has committed.

    lead: how far it was ahead when the group was last asked.
    """

    def __init__(self, most: int, name: str, group: Group, sender: Answered, topic: str) -> None:
        self.name = name
        self.lead = 0
        self._most, self._group, self._sender, self._topic = most, group, sender, topic
        self._allowed = most
        self._ask_at = 0.0

    def room(self, sent: int, now: float) -> int:
        """Rows that may follow `sent` others; asks the group only where what it allowed is used up."""
        if sent >= self._allowed and now >= self._ask_at:
            self.lead = self._ahead()
            self._allowed = sent + max(self._most - self.lead, 0)
            self._ask_at = now + ASK_SECONDS
        return self._allowed - sent

    def _ahead(self) -> int:
        """Rows handed over and not committed. Labels on their way count too: that errs on the safe side."""
        partitions = [partition for name, partition in self._sender.ends if name == self._topic]
        done = self._group.committed(self._topic, partitions) if partitions else {}
        return lead(self._sender.starts, self._sender.ends, done, self._topic) + self._sender.waiting()


def lead(starts: Ends, ends: Ends, done: Mapping[int, int], topic: str) -> int:
    """Rows of a topic from `starts` on that the broker has and that a group has not committed, by partition."""
    return sum(
        max(end - max(done.get(partition, 0), starts[name, partition]), 0)
        for (name, partition), end in ends.items()
        if name == topic
    )


class Patience:
    """Ends when records wait for an answer and none has come for `seconds`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._answered = 0
        self._since = 0.0

    def over(self, waiting: int, answered: int, now: float) -> bool:
        """Whether it has ended `now` seconds after the start."""
        return self.waited(waiting, answered, now) >= self._seconds

    def waited(self, waiting: int, answered: int, now: float) -> float:
        """Seconds since something was answered, or waited for."""
        if not waiting or answered != self._answered:
            self._answered, self._since = answered, now
        return now - self._since


class Pauses:
    """Tells once that a replay stands still, and once that it goes on."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._why = ""
        self._since = 0.0
        self._told = False

    def note(self, why: str, now: float) -> None:
        """What is waited for `now` seconds after the start, empty for nothing."""
        if not why:
            if self._told:
                self._say(f"replay: goes on after {now - self._since:.1f} s")
            self._told, self._why = False, ""
        elif not self._why:
            self._why, self._since = why, now
        elif not self._told and now - self._since >= PAUSED_SECONDS:
            self._told = True
            self._say(f"replay: paused: {why}")
