"""A one-node Apache Kafka for the integration tests: a container, or a Java process where no Docker engine answers."""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

from confluent_kafka import KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

os.environ["TESTCONTAINERS_RYUK_DISABLED"] = "true"  # its reaper image cannot be pulled everywhere

from testcontainers.core.container import DockerContainer
from testcontainers.core.docker_client import DockerClient
from testcontainers.core.network import Network

KAFKA = "4.1.1"
IMAGE = f"apache/kafka:{KAFKA}"
CLUSTER_ID = "dGVzdC1icm9rZXIta2Fma2"
HEAP = "-Xmx320m"
POM = Path(__file__).with_name("pom.xml")
KINDS = ("docker", "java")
NO_BROKER = "Integration tests need Apache Kafka: a Docker engine that answers, or Java 17 with Maven; found neither."
PROPERTIES = "server.properties"
MEGABYTE = 1024 * 1024

SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,INSIDE:PLAINTEXT",
    "num.partitions": "4",
    "auto.create.topics.enable": "false",
    "offsets.topic.num.partitions": "4",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
    "share.coordinator.state.topic.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    # Members of the newer protocol (KIP-848) are told by the broker how soon they are missed.
    "group.consumer.min.session.timeout.ms": "1000",
    "group.consumer.session.timeout.ms": "3000",
    "group.consumer.min.heartbeat.interval.ms": "200",
    "group.consumer.heartbeat.interval.ms": "200",
    "message.max.bytes": str(20 * MEGABYTE),
    "replica.fetch.max.bytes": str(20 * MEGABYTE),
    "log.retention.hours": "-1",
    "log.cleaner.dedupe.buffer.size": str(8 * MEGABYTE),  # the default, 128 MB, is a third of the heap
}


class NoBroker(Exception):
    """This machine has nothing to run the broker that was asked for."""


class BrokerError(Exception):
    """The broker did not come to answer; the message ends with the last lines of its log."""


@dataclass(frozen=True)
class Node:
    """The ports of one broker. Clients that come to `back` are sent on to `front`, where a proxy may listen.

    host: what the nodes of its cluster call it. inside: the port on which they do.
    """

    number: int
    host: str
    port: int
    front: int
    back: int
    inside: int
    controller: int

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port}"


class Broker(Protocol):
    """stop: for good, with all that it has written. kill: at once, what it has written stays, for `revive`; halt: as it
    is told to end, which stays as well."""

    node: Node
    bootstrap: str
    kind: str

    def stop(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def kill(self) -> None: ...
    def halt(self) -> None: ...
    def revive(self) -> None: ...
    def alive(self) -> bool: ...
    def log(self) -> str: ...


@dataclass(frozen=True)
class Present:
    """What this machine has to run a broker with."""

    engine: bool
    java: bool
    maven: bool


def present() -> Present:
    return Present(engine=_engine_answers(), java=_java_major() >= 17, maven=shutil.which("mvn") is not None)


def kinds(there: Present) -> list[str]:
    """The kinds of broker that can run, the preferred one first."""
    return [kind for kind, runs in zip(KINDS, (there.engine, there.java and there.maven), strict=True) if runs]


def choose(wanted: str | None, there: Present) -> str:
    possible = kinds(there)
    if wanted and wanted not in KINDS:
        raise NoBroker(f"Integration tests run the broker docker or java, not {wanted!r}: see TEST_BROKER.")
    if wanted and wanted not in possible:
        lacks = "no Docker engine answers" if wanted == "docker" else "Java 17 with Maven is not on the path"
        raise NoBroker(f"Integration tests were asked for the broker {wanted!r}, but {lacks}.")
    if not possible:
        raise NoBroker(NO_BROKER)
    return wanted or possible[0]


def start(kind: str | None = None) -> Broker:
    """A broker that answers. It is stopped at the latest when this process exits."""
    broker = launch(chosen(kind), nodes(1)[0], {})
    try:
        wait_until_ready(broker)
    except BaseException:
        broker.stop()
        raise
    return broker


def chosen(kind: str | None = None) -> str:
    """The kind to run: the one asked for here or by TEST_BROKER, else the preferred one of those that can run."""
    return choose(kind or os.environ.get("TEST_BROKER"), present())


def nodes(count: int, host: str = "127.0.0.1") -> list[Node]:
    """Nodes on free ports of this machine; "{}" in `host` stands for a node's number."""
    ports = iter(free_ports(5 * count))
    return [Node(number, host.format(number), *(next(ports) for _ in range(5))) for number in range(1, count + 1)]


def launch(kind: str, node: Node, more: Mapping[str, str], network: Network | None = None) -> Broker:
    """A broker that may not answer yet, with settings beside SETTINGS. network: of containers, for a cluster."""
    return _start_java(node, more) if kind == "java" else _start_docker(node, more, network)


def wait_until_ready(broker: Broker, seconds: float = 60) -> None:
    admin = _admin(broker.bootstrap)

    def ready() -> bool:
        if not broker.alive():
            raise BrokerError(f"The {broker.kind} broker ended before it answered. Its log ends with:\n{broker.log()}")
        metadata = _metadata(admin)
        return metadata is not None and bool(metadata.brokers)

    try:
        _wait(ready, seconds)
    except TimeoutError:
        message = f"The {broker.kind} broker did not answer in {seconds:g} s. Its log ends with:\n{broker.log()}"
        raise BrokerError(message) from None


# --- topics


def create_topic(bootstrap: str, name: str, partitions: int = 4, **config: str | int) -> None:
    """Make a topic and wait until every partition has a leader; retention_ms=1 stands for retention.ms."""
    admin = _admin(bootstrap)
    settings = {key.replace("_", "."): str(value) for key, value in config.items()}
    topic = NewTopic(name, num_partitions=partitions, config=settings)
    admin.create_topics([topic])[name].result(timeout=30)
    _await_leaders(admin, name, partitions)


def add_partitions(bootstrap: str, name: str, partitions: int) -> None:
    """Give a topic so many partitions in all, and wait until every one has a leader."""
    admin = _admin(bootstrap)
    admin.create_partitions([NewPartitions(name, partitions)])[name].result(timeout=30)
    _await_leaders(admin, name, partitions)


def _await_leaders(admin: AdminClient, name: str, partitions: int) -> None:
    def led() -> bool:
        metadata = _metadata(admin)
        found = metadata.topics.get(name) if metadata else None
        return found is not None and sum(each.leader >= 0 for each in found.partitions.values()) == partitions

    _wait(led, 30)


def alter_topic(bootstrap: str, name: str, **config: str | int) -> None:
    """Change settings of a topic; retention_ms=1 stands for retention.ms."""
    entries = [
        ConfigEntry(key.replace("_", "."), str(value), incremental_operation=AlterConfigOpType.SET)
        for key, value in config.items()
    ]
    resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=entries)
    admin = _admin(bootstrap)
    admin.incremental_alter_configs([resource])[resource].result(timeout=30)


def delete_topic(bootstrap: str, name: str) -> None:
    admin = _admin(bootstrap)
    admin.delete_topics([name])[name].result(timeout=30)

    def gone() -> bool:
        metadata = _metadata(admin)
        return metadata is not None and name not in metadata.topics

    _wait(gone, 30)


def _admin(bootstrap: str) -> AdminClient:
    # Refused connections are expected while a broker starts: no log lines, and no growing pauses between tries.
    return AdminClient({"bootstrap.servers": bootstrap, "log_level": 0, "reconnect.backoff.max.ms": 200})


def _metadata(admin: AdminClient) -> Any:
    """The cluster's metadata (the client exports no type for it), or None while no broker answers."""
    try:
        return admin.list_topics(timeout=1)
    except KafkaException:
        return None


def _wait(met: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not met():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not met within {seconds:g} s")
        pause.wait(0.1)


# --- what both ways share


def free_ports(count: int) -> list[int]:
    """Free ports below those that systems give to outgoing connections, which could take one before the broker does."""
    ports: list[int] = []
    for port in random.sample(range(20000, 32000), 1000):
        if len(ports) == count:
            break
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            ports.append(port)
    return ports


def _properties(node: Node, host: str, log_dir: str, more: Mapping[str, str]) -> dict[str, str]:
    """host: the address to listen on."""
    listeners = {"PLAINTEXT": node.port, "PROXIED": node.back, "INSIDE": node.inside, "CONTROLLER": node.controller}
    advertised = {
        "PLAINTEXT": f"127.0.0.1:{node.port}",
        "PROXIED": f"127.0.0.1:{node.front}",
        "INSIDE": f"{node.host}:{node.inside}",
    }
    return {
        **SETTINGS,
        "node.id": str(node.number),
        "listeners": ",".join(f"{name}://{host}:{port}" for name, port in listeners.items()),
        "advertised.listeners": ",".join(f"{name}://{place}" for name, place in advertised.items()),
        "controller.quorum.voters": f"{node.number}@127.0.0.1:{node.controller}",
        "log.dirs": log_dir,
        **more,
    }


def _tail(text: str, count: int = 30) -> str:
    """The last lines, but from the first error on if there is one: Kafka says much while it shuts down after it."""
    lines = text.splitlines()
    wrong = (number for number, line in enumerate(lines) if re.search(r"\b(ERROR|FATAL)\b|Exception", line))
    first = next(wrong, max(0, len(lines) - count))
    return "\n".join(lines[first : first + count])


# --- Docker


@dataclass
class DockerBroker:
    node: Node
    bootstrap: str
    container: DockerContainer
    kind: str = "docker"
    stopped: bool = False

    def stop(self) -> None:
        if not self.stopped:
            self.container.stop()
            self.stopped = True
        atexit.unregister(self.stop)

    def pause(self) -> None:
        self.container.get_wrapped_container().pause()

    def resume(self) -> None:
        self.container.get_wrapped_container().unpause()

    def kill(self) -> None:
        self.container.get_wrapped_container().kill()

    def halt(self) -> None:
        self.container.get_wrapped_container().stop(timeout=30)

    def revive(self) -> None:
        self.container.get_wrapped_container().start()

    def alive(self) -> bool:
        self.container.reload()
        return self.container.status in ("created", "running")

    def log(self) -> str:
        return _tail(self.container.get_wrapped_container().logs().decode(errors="replace"))


def _start_docker(node: Node, more: Mapping[str, str], network: Network | None) -> DockerBroker:
    # One port number inside and outside: the broker calls itself, too, by the address that it advertises.
    properties = _properties(node, "", "/var/lib/kafka/data", more)
    container = DockerContainer(IMAGE, env={"CLUSTER_ID": CLUSTER_ID, "KAFKA_HEAP_OPTS": HEAP})
    container.with_envs(**{variable(key): value for key, value in properties.items()})
    if network is not None:
        container.with_network(network).with_network_aliases(node.host)
    for port in (node.port, node.back, node.inside):
        # with_bind_ports takes no address, and would open the port to the network.
        cast(dict[str, Any], container.ports)[str(port)] = ("127.0.0.1", port)
    broker = DockerBroker(node, node.bootstrap, container)
    atexit.register(broker.stop)
    try:
        container.start()
    except BaseException:
        broker.stop()
        raise
    return broker


def variable(key: str) -> str:
    """The variable of Kafka's image that stands for a property."""
    return "KAFKA_" + key.upper().replace("_", "__").replace("-", "___").replace(".", "_")


def _engine_answers() -> bool:
    with warnings.catch_warnings():
        # The client leaves the socket on which nobody answered to the garbage collector.
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            with contextlib.closing(DockerClient().client) as client:
                return bool(client.ping())
        except Exception:  # no socket, no permission, no daemon behind the socket: each has its own type
            return False
        finally:
            gc.collect()


# --- Java


@dataclass
class JavaBroker:
    node: Node
    bootstrap: str
    process: subprocess.Popen[bytes]
    directory: Path
    libraries: Path
    kind: str = "java"

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)
        atexit.unregister(self.stop)

    def pause(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def halt(self) -> None:
        self.process.terminate()
        self.process.wait()

    def revive(self) -> None:
        self.process = _serve(self.libraries, self.directory)

    def alive(self) -> bool:
        return self.process.poll() is None

    def log(self) -> str:
        return _log(self.directory)


def _start_java(node: Node, more: Mapping[str, str]) -> JavaBroker:
    libraries = _cached(_cache() / f"kafka-{KAFKA}", _copy_jars)
    directory = Path(tempfile.mkdtemp(prefix="kafka-"))
    try:
        properties = _properties(node, "127.0.0.1", str(directory / "data"), more)
        settings = directory / PROPERTIES
        settings.write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
        tool = ["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(settings)]
        if _java(libraries, directory, tool, "ERROR").wait() != 0:
            raise BrokerError(f"Kafka's storage could not be formatted:\n{_log(directory)}")
        process = _serve(libraries, directory)
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise
    broker = JavaBroker(node, node.bootstrap, process, directory, libraries)
    atexit.register(broker.stop)
    return broker


def _serve(libraries: Path, directory: Path) -> subprocess.Popen[bytes]:
    return _java(libraries, directory, ["kafka.Kafka", str(directory / PROPERTIES)], "INFO")


def _java(libraries: Path, directory: Path, command: list[str], level: str) -> subprocess.Popen[bytes]:
    # A killed JVM leaves its performance data and unpacked native libraries behind unless both are kept out of /tmp.
    options = [HEAP, "-XX:-UsePerfData", f"-Djava.io.tmpdir={directory}", f"-Dlog4j2.level={level}"]
    with (directory / "broker.log").open("ab") as log:
        line = ["java", *options, "-cp", f"{libraries}/*", *command]
        return subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=directory)


def _log(directory: Path) -> str:
    return _tail((directory / "broker.log").read_text(errors="replace"))


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "streaming-fraud-detector"


def _cached(directory: Path, fill: Callable[[Path], None]) -> Path:
    """The directory, filled once: under another name until it is whole, as a half-filled one would be used for good."""
    if directory.is_dir():
        return directory
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{directory.name}-", dir=directory.parent) as parent:
        part = Path(parent) / "part"
        part.mkdir()
        fill(part)
        try:
            part.rename(directory)
        except OSError:
            if not directory.is_dir():  # otherwise another run was faster
                raise
    return directory


def _copy_jars(directory: Path) -> None:
    command = ["mvn", "-q", "-B", "-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={directory}"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise BrokerError(f"Maven could not fetch Apache Kafka {KAFKA}:\n{_tail(done.stdout + done.stderr)}")


def _java_major() -> int:
    if shutil.which("java") is None:
        return 0
    version = subprocess.run(["java", "-version"], capture_output=True, text=True).stderr
    found = re.search(r'version "(\d+)', version)
    return int(found[1]) if found else 0
