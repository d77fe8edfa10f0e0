"""The broker of the integration tests: how it is chosen, and that each kind serves and leaves nothing behind."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaException, Message, Producer
from confluent_kafka.admin import AdminClient
from testcontainers.core.docker_client import DockerClient

from tests import broker as brokers
from tests.broker import Broker, BrokerError, DockerBroker, JavaBroker, NoBroker, Present

EVERYTHING = Present(engine=True, java=True, maven=True)
NOTHING = Present(engine=False, java=False, maven=False)


@pytest.mark.parametrize(
    ("wanted", "there", "kind"),
    [
        (None, EVERYTHING, "docker"),
        ("", EVERYTHING, "docker"),
        (None, Present(engine=True, java=False, maven=False), "docker"),
        (None, Present(engine=False, java=True, maven=True), "java"),
        ("docker", EVERYTHING, "docker"),
        ("java", EVERYTHING, "java"),
    ],
)
def test_choice(wanted: str | None, there: Present, kind: str) -> None:
    """The broker asked for is taken; if none was, Docker goes before Java."""
    assert brokers.choose(wanted, there) == kind


@pytest.mark.parametrize(
    "there",
    [NOTHING, Present(engine=False, java=True, maven=False), Present(engine=False, java=False, maven=True)],
)
def test_nothing_to_choose(there: Present) -> None:
    """Without an engine, and without both Java and Maven, one sentence says what to install."""
    with pytest.raises(NoBroker) as raised:
        brokers.choose(None, there)
    assert str(raised.value) == (
        "Integration tests need Apache Kafka: a Docker engine that answers, or Java 17 with Maven; found neither."
    )


@pytest.mark.parametrize(
    ("wanted", "there", "sentence"),
    [
        ("docker", Present(engine=False, java=True, maven=True), "no Docker engine answers"),
        ("java", Present(engine=True, java=True, maven=False), "Java 17 with Maven is not on the path"),
        ("podman", EVERYTHING, "not 'podman'"),
    ],
)
def test_no_substitute(wanted: str, there: Present, sentence: str) -> None:
    """A broker that was asked for is never replaced by another."""
    with pytest.raises(NoBroker, match=sentence):
        brokers.choose(wanted, there)


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """TEST_BROKER chooses where the caller does not."""
    monkeypatch.setenv("TEST_BROKER", "podman")
    monkeypatch.setattr(brokers, "present", lambda: EVERYTHING)
    with pytest.raises(NoBroker, match="not 'podman'"):
        brokers.start()


def test_silent_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine's address on which nobody answers counts as no engine, without an error or a warning."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    assert not brokers.present().engine


def test_interrupted_cache(tmp_path: Path) -> None:
    """A download that breaks off leaves nothing; one that ends is used from then on."""
    filled: list[Path] = []

    def interrupted(directory: Path) -> None:
        (directory / "half.jar").touch()
        raise KeyboardInterrupt

    def whole(directory: Path) -> None:
        filled.append(directory)
        (directory / "kafka.jar").touch()

    with pytest.raises(KeyboardInterrupt):
        brokers._cached(tmp_path / "cache", interrupted)
    assert list(tmp_path.iterdir()) == []
    for _ in range(2):
        assert brokers._cached(tmp_path / "cache", whole) == tmp_path / "cache"
    assert len(filled) == 1
    assert [each.name for each in tmp_path.rglob("*")] == ["cache", "kafka.jar"]


class Mute:
    """A broker that never answers."""

    kind = "mute"

    def __init__(self, running: bool) -> None:
        self.node = brokers.nodes(1)[0]
        self.bootstrap = self.node.bootstrap
        self.running = running

    def stop(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def kill(self) -> None: ...
    def halt(self) -> None: ...
    def revive(self) -> None: ...

    def alive(self) -> bool:
        return self.running

    def log(self) -> str:
        return "last words"


@pytest.mark.parametrize(("running", "reason"), [(True, "did not answer in 0.1 s"), (False, "ended before")])
def test_failed_start(running: bool, reason: str) -> None:
    """A broker that does not come up is reported with the end of its log, at once if it died."""
    with pytest.raises(BrokerError, match=rf"(?s){reason}.*last words"):
        brokers.wait_until_ready(Mute(running), seconds=0.1)


KINDS: list[str | None] = [*brokers.kinds(brokers.present())] or [None]
"""Those that this machine can run; the second one is tried by `make test-long`."""


@pytest.mark.parametrize("kind", [KINDS[0], *(pytest.param(kind, marks=pytest.mark.long) for kind in KINDS[1:])])
def test_life(kind: str | None) -> None:
    """Each kind that this machine can run serves transactions, can be paused, and leaves nothing behind."""
    broker = brokers.start(kind)
    try:
        assert broker.kind == kind
        brokers.create_topic(broker.bootstrap, "letters", partitions=1, retention_ms=-1)
        assert _round_trip(broker.bootstrap, "letters") == [b"committed"]
        _pause_and_resume(broker)
        brokers.delete_topic(broker.bootstrap, "letters")
        assert not [name for name in _topics(broker.bootstrap) if not name.startswith("__")]
        left = _belongings(broker)
        assert left()
    finally:
        broker.stop()
    assert left() == []
    broker.stop()


def _round_trip(bootstrap: str, topic: str) -> list[bytes | None]:
    """One transaction that is aborted and one that is committed; then what a read_committed consumer gets."""
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": "writer"})
    producer.init_transactions(30)
    for value, end in ((b"aborted", producer.abort_transaction), (b"committed", producer.commit_transaction)):
        producer.begin_transaction()
        producer.produce(topic, value)
        assert producer.flush(30) == 0
        end(30)
    return [message.value() for message in _read_to_end(bootstrap, topic)]


def _read_to_end(bootstrap: str, topic: str) -> list[Message]:
    settings = {"bootstrap.servers": bootstrap, "group.id": "reader", "auto.offset.reset": "earliest"}
    consumer = Consumer(settings | {"isolation.level": "read_committed", "enable.partition.eof": True})
    consumer.subscribe([topic])
    messages: list[Message] = []
    try:
        while (message := consumer.poll(30)) is not None and message.error() is None:
            messages.append(message)
    finally:
        consumer.close()
    return messages


def _pause_and_resume(broker: Broker) -> None:
    broker.pause()
    with pytest.raises(KafkaException):
        _topics(broker.bootstrap, timeout=1)
    broker.resume()
    assert _topics(broker.bootstrap)


def _topics(bootstrap: str, timeout: float = 30) -> list[str]:
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    return list(admin.list_topics(timeout=timeout).topics)


def _belongings(broker: Broker) -> Callable[[], list[str]]:
    """A function that lists what there still is of this broker's process or container, and of its files."""
    if isinstance(broker, DockerBroker):
        return _container_and_volumes(broker)
    assert isinstance(broker, JavaBroker)
    return _process_and_directory(broker)


def _container_and_volumes(broker: DockerBroker) -> Callable[[], list[str]]:
    container = broker.container.get_wrapped_container()
    volumes = {mount["Name"] for mount in container.attrs["Mounts"]}

    def left() -> list[str]:
        client = DockerClient().client
        try:
            containers = client.containers.list(all=True, filters={"id": container.id})
            return [*(each.name for each in containers), *(v.name for v in client.volumes.list() if v.name in volumes)]
        finally:
            client.close()

    return left


def _process_and_directory(broker: JavaBroker) -> Callable[[], list[str]]:
    def left() -> list[str]:
        found = {
            f"process {broker.process.pid}": _runs(broker.process.pid),
            str(broker.directory): broker.directory.exists(),
        }
        return [name for name, exists in found.items() if exists]

    return left


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
