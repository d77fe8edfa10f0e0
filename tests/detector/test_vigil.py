"""Clients that have lost their brokers are told from those that hear nothing, and from brokers that do not answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from detector.kafka import EmbeddedBroker, vigil
from detector.kafka.client import common
from detector.kafka.vigil import QUIET_SECONDS, STILL_SECONDS, Vigil, lost

NOWHERE = "127.0.0.1:1"
TOPIC = "transactions"


class Asked:
    """A client that finds a broker, or not, and counts how often it was asked. late: finds one the next time."""

    def __init__(self, finds: bool, late: bool = False) -> None:
        self.finds, self.late, self.asked = finds, late, 0

    def list_topics(self, topic: str, timeout: float) -> None:
        self.asked += 1
        if not self.finds and not (self.late and self.asked > 1):
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))


@pytest.fixture(scope="module")
def there() -> Iterator[str]:
    """Where a broker answers that has the topic."""
    with closing(EmbeddedBroker([TOPIC])) as broker:
        yield broker.bootstrap_servers


def test_a_client_that_finds_no_broker_where_there_is_one(there: str, caplog: pytest.LogCaptureFixture) -> None:
    """It has lost them, and that is told."""
    assert lost(AdminClient(common(NOWHERE, {})), TOPIC, there, {})
    assert "client_lost" in caplog.text


def test_a_client_that_finds_them(there: str) -> None:
    """Whatever else, nothing is lost."""
    assert not lost(AdminClient(common(there, {})), TOPIC, NOWHERE, {})


def test_a_client_that_finds_them_a_little_later(there: str) -> None:
    """A broker that has just come back was found by another client first."""
    client = Asked(finds=False, late=True)
    assert not lost(client, TOPIC, there, {})
    assert client.asked == 2


def test_no_broker_that_answers() -> None:
    """Then nobody has lost anything: it is waited for."""
    assert not lost(Asked(finds=False), TOPIC, NOWHERE, {})


def test_a_broker_that_has_no_topic_yet(there: str) -> None:
    """A broker that comes back says so at first."""
    assert not lost(Asked(finds=False), "another", there, {})


def test_who_hears_something_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who heard nothing for a while is, once in that while."""
    now, asked = 100.0, Asked(finds=True)
    found = False
    monkeypatch.setattr(vigil, "lost", lambda client, *about: bool(client.list_topics(*about[:1], 1)) or found)
    watch = Vigil(TOPIC, NOWHERE, {}, lambda admin: True, lambda: now)
    now += QUIET_SECONDS - 1
    watch.heard()
    now += QUIET_SECONDS - 1
    assert (watch.lost(asked), asked.asked) == (False, 0)
    now += 1
    assert (watch.lost(asked), watch.lost(asked), asked.asked) == (False, False, 1)
    now, found = now + QUIET_SECONDS, True
    assert (watch.lost(asked), asked.asked) == (True, 2)


class Watched:
    """A vigil over a client that finds its brokers, and time that passes. stands: whether there is more for it."""

    def __init__(self, where: str) -> None:
        self.now, self.stands = 100.0, True
        self.vigil = Vigil(TOPIC, where, {}, lambda admin: self.stands, lambda: self.now)

    def lost(self, seconds: float) -> list[bool]:
        """What it says while so many seconds pass, once in ten."""
        found = []
        for _ in range(round(seconds / QUIET_SECONDS)):
            self.now += QUIET_SECONDS
            found.append(self.vigil.lost(Asked(finds=True)))
        return found


def test_a_client_that_stands_still(there: str, caplog: pytest.LogCaptureFixture) -> None:
    """It finds brokers, and hears nothing of what is there: after a while it counts as lost, and then anew."""
    watched = Watched(there)
    *before, last = watched.lost(QUIET_SECONDS + STILL_SECONDS)
    assert (any(before), last) == (False, True)
    assert "client_lost" in caplog.text
    assert not any(watched.lost(STILL_SECONDS))


def test_a_client_that_has_nothing_to_hear(there: str) -> None:
    """It is at the end, now and then: nothing is lost, however long that lasts."""
    watched = Watched(there)
    for _ in range(3):
        watched.stands = True
        assert not any(watched.lost(STILL_SECONDS))
        watched.stands = False
        assert not any(watched.lost(QUIET_SECONDS))


def test_a_client_that_hears_something_slowly(there: str) -> None:
    """A message now and then is enough."""
    watched = Watched(there)
    for _ in range(3):
        assert not any(watched.lost(STILL_SECONDS))
        watched.vigil.heard()


def test_nobody_can_say_whether_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it does not."""
    monkeypatch.setattr(vigil, "ASK_SECONDS", 0.01)
    assert not any(Watched(NOWHERE).lost(2 * STILL_SECONDS))
