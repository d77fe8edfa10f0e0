"""The page on a Kafka that asks who comes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from confluent_kafka import Consumer

from detector.kafka.consume import consumer_properties
from detector.settings import Settings, load
from tests.guarded import Authority

PAGE = Path(__file__).parents[2] / "deploy" / "access.md"
EXAMPLES = re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)
SECRETS = {"DETECTOR_KAFKA_SASL_PASSWORD": "one", "DETECTOR_KAFKA_SASL_OAUTHBEARER_CLIENT_SECRET": "two"}


@pytest.mark.parametrize("example", EXAMPLES, ids=["tls", "mtls", "scram", "oauthbearer"])
def test_examples_are_taken(example: str, tmp_path: Path) -> None:
    """Each example is a settings file whose properties, with a secret of the environment, make a client."""
    authority = Authority()
    (tmp_path / "ca.pem").write_bytes(authority.certificate)
    authority.issue("detector").write(tmp_path, "detector")
    file = tmp_path / "detector.toml"
    nobody = "http://127.0.0.1:1/token"
    file.write_text(example.replace("/secrets", str(tmp_path)).replace("https://identity.example.org/token", nobody))
    environment = {"DETECTOR_MODEL": "m", "DETECTOR_BOOTSTRAP_SERVERS": "127.0.0.1:1", **SECRETS}
    found = load(Settings, {"config": str(file)}, "DETECTOR_", environment)
    assert found.kafka["sasl.password"] == "one"
    Consumer(consumer_properties(found.bootstrap_servers, found.kafka, found.group)).close()


def test_a_property_that_is_none() -> None:
    """A misspelt one makes none: that the examples make one says something."""
    with pytest.raises(Exception, match="No such configuration property"):
        Consumer(consumer_properties("127.0.0.1:1", {"ssl.ca.locations": "x"}, "g"))
