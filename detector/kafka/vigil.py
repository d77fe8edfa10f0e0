"""Clients that have lost their brokers: found, so that whoever owns one can begin anew with another."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, Protocol

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from detector.errors import Failure
from detector.kafka.client import Properties, connect, existing
from detector.log import logger

QUIET_SECONDS = 10.0
"""How long a consumer hears nothing before it is asked whether it has brokers."""

ASK_SECONDS, SURE_SECONDS = 1.0, 5.0
"""How long a client may take to find a broker, and how long when another one has found it."""

STILL_SECONDS = 60.0
"""How long a consumer must have stood still that does find its brokers. On a slow line one answer may take as long."""

log = logger("detector.kafka")


class Client(Protocol):
    """What consumers, producers and admin clients have in common."""

    def list_topics(self, topic: str, timeout: float) -> Any: ...


def lost(client: Client, topic: str, bootstrap_servers: str, given: Properties) -> bool:
    """Whether a client finds no broker although another one does.

    A broker that is alone says, when it stops, that there are no brokers. librdkafka 2.16 believes it, and where the
    connection breaks at the same moment it asks none any more, for good (its issue 5301): six in a hundred consumers
    stood still behind a broker that was restarted.
    """
    if _finds(client, topic, ASK_SECONDS):
        return False
    try:
        there = existing(connect(bootstrap_servers, given, ASK_SECONDS), [topic])
    except Failure:  # it is the broker that does not answer
        return False
    return bool(there) and alone(client, topic)


def alone(client: Client, topic: str) -> bool:
    """Whether a client finds no broker, where another one has just found one."""
    if _finds(client, topic, SURE_SECONDS):
        return False
    log.warning("client_lost", why="it finds no broker, another one does", doing="beginning anew")
    return True


def _finds(client: Client, topic: str, seconds: float) -> bool:
    try:
        client.list_topics(topic, timeout=seconds)
    except KafkaException:
        return False
    return True


class Vigil:
    """Watches a consumer of a topic: one that hears nothing may have nothing to hear, or have lost its brokers.

    stands: whether another client, which is given, sees that there is more for it than it hears of.
    """

    def __init__(
        self,
        topic: str,
        bootstrap_servers: str,
        given: Properties,
        stands: Callable[[AdminClient], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._about = topic, bootstrap_servers, given
        self._stands, self._standing = stands, math.inf
        self._clock, self._since = clock, clock()

    def heard(self) -> None:
        """Something came."""
        self._since, self._standing = self._clock(), math.inf

    def lost(self, client: Client) -> bool:
        """Nothing came; whether that is because the client has lost its brokers. It is asked now and then."""
        if self._clock() < self._since + QUIET_SECONDS:
            return False
        found = lost(client, *self._about) or self._stands_still()
        self._since = self._clock()
        if found:
            self._standing = math.inf
        return found

    def _stands_still(self) -> bool:
        """Whether it has found brokers and stood still for too long: it may wait for a coordinator that has moved, and
        that librdkafka 2.16 never asks for again (its issues 5456 and 5511)."""
        now = self._clock()
        try:
            stands = self._stands(connect(*self._about[1:], ASK_SECONDS))
        except Failure:  # nobody can say
            return False
        self._standing = min(self._standing, now) if stands else math.inf
        if now < self._standing + STILL_SECONDS:
            return False
        log.warning("client_lost", why="it stands still, and there is more for it", doing="beginning anew")
        return True
