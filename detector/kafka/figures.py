"""What librdkafka says of itself: the last of each client's statistics, read when they are asked for."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec

INTERVAL_MS = 5000
"""How often a client tells. It makes the text in a thread of its own, a kilobyte for each partition and broker."""

MOST_BROKERS = 64
"""Brokers of which figures are kept, the first by number: what a cluster says of itself must not flood who watches."""

UP = ("UP", "UPDATE")
UNUSED = "INIT"
"""A broker to which no connection is wanted."""


class Latency(msgspec.Struct, frozen=True):
    """Of the requests of the last interval, microseconds."""

    avg: int = 0
    p99: int = 0
    cnt: int = 0


class BrokerFigures(msgspec.Struct, frozen=True):
    """One broker as one client sees it. nodeid: -1 for a coordinator, which `name` says then."""

    name: str = ""
    nodeid: int = -1
    source: str = ""
    state: str = UNUSED
    rtt: Latency = Latency()
    txerrs: int = 0
    rxerrs: int = 0
    req_timeouts: int = 0
    disconnects: int = 0

    @property
    def label(self) -> str:
        """Its number, or which coordinator it is."""
        return str(self.nodeid) if self.nodeid >= 0 else self.name

    @property
    def up(self) -> bool:
        """Whether requests can be sent to it now."""
        return self.state in UP

    @property
    def shown(self) -> bool:
        """Whether it is one of the cluster, or a coordinator, to which a connection is wanted."""
        return self.state != UNUSED and (
            self.source == "learned" or self.name in ("GroupCoordinator", "TxnCoordinator")
        )


class PartitionFigures(msgspec.Struct, frozen=True):
    """fetchq_cnt, fetchq_size: messages, and bytes, in the queue that all partitions share: fetched and not taken.

    app_offset: behind the last message that was taken. next_offset: the next one to be fetched. ls_offset: the end of
    what is visible. Offsets are negative while they are not known. librdkafka's own `consumer_lag` needs commits of its
    own, and offsets that are committed with a transaction are none.
    """

    fetchq_cnt: int = 0
    fetchq_size: int = 0
    app_offset: int = -1
    next_offset: int = -1
    ls_offset: int = -1

    @property
    def lag(self) -> int | None:
        """Messages between the last one that was taken and the end; None: not known.

        Where none is in the queue all that was fetched was taken, also what nobody sees: the ends of transactions.
        """
        taken = self.app_offset if self.fetchq_cnt else max(self.app_offset, self.next_offset)
        return max(self.ls_offset - taken, 0) if min(taken, self.ls_offset) >= 0 else None


class _Topic(msgspec.Struct, frozen=True):
    partitions: dict[str, PartitionFigures] = {}


class _Group(msgspec.Struct, frozen=True):
    rebalance_cnt: int = 0


class ClientFigures(msgspec.Struct, frozen=True):
    """The statistics of one client, as far as they are shown. msg_cnt, msg_size: that wait to be sent. time: s."""

    time: int = 0
    msg_cnt: int = 0
    msg_size: int = 0
    tx_bytes: int = 0
    rx_bytes: int = 0
    brokers: dict[str, BrokerFigures] = {}
    topics: dict[str, _Topic] = {}
    cgrp: _Group | None = None

    def partitions(self) -> dict[int, PartitionFigures]:
        """Those of the one topic that a consumer reads."""
        every = [item for topic in self.topics.values() for item in topic.partitions.items()]
        return {int(number): found for number, found in every if number.isdecimal()}

    def cluster(self) -> list[BrokerFigures]:
        """The brokers to which it wants to be connected."""
        wanted = [one for one in self.brokers.values() if one.shown]
        return sorted(wanted, key=lambda one: (one.nodeid < 0, one.nodeid, one.name))[:MOST_BROKERS]


class Statistics:
    """What clients told last. The callback keeps a text and no more: it is called between two batches."""

    def __init__(self) -> None:
        self._told: dict[str, str] = {}

    def of(self, client: str) -> dict[str, Any]:
        """Properties by which a client tells its statistics under a name."""
        return {"statistics.interval.ms": INTERVAL_MS, "stats_cb": partial(self.take, client)}

    def take(self, client: str, text: str) -> None:
        """A client tells."""
        self._told[client] = text

    def figures(self) -> dict[str, ClientFigures]:
        """By client, what it told last; nothing of one whose text cannot be read."""
        found: dict[str, ClientFigures] = {}
        for client, text in dict(self._told).items():
            try:
                found[client] = msgspec.json.decode(text, type=ClientFigures)
            except (msgspec.MsgspecError, UnicodeError):
                continue
        return found
