"""`python -m detector create-topics` against a real broker."""

from __future__ import annotations

import uuid

from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType  # type: ignore[attr-defined]

from detector.__main__ import main
from tests.broker import Broker


def test_topics_have_their_settings(broker: Broker) -> None:
    """The broker has each topic with what its role wants; a second time nothing is made."""
    name = f"t{uuid.uuid4().hex[:8]}"
    topics = {role: f"{name}.{role}" for role in ("input", "alerts", "labels", "models", "drift", "scores", "feedback")}
    flags = [text for role, topic in topics.items() for text in (f"--{role}-topic", topic)]
    own = ["--partitions", "3", "--replication", "1", "--min-insync", "1", "--rows-days", "1", "--alerts-days", "30"]
    command = ["create-topics", "--bootstrap-servers", broker.bootstrap, *flags, *own]
    assert main(command) == main(command) == 0
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    asked = admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic) for topic in topics.values()])
    found = {resource.name.rpartition(".")[2]: future.result(30) for resource, future in asked.items()}
    assert {role for role, config in found.items() if config["cleanup.policy"].value == "compact"} == {
        "labels",
        "feedback",
    }
    days = {role: int(config["retention.ms"].value) / 86_400_000 for role, config in found.items()}
    assert (days["input"], days["scores"], days["alerts"], days["drift"]) == (1, 1, 30, 30)
    assert found["models"]["retention.ms"].value == "-1"
    assert len(admin.list_topics(topics["input"], timeout=10).topics[topics["input"]].partitions) == 3
