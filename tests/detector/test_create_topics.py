"""Which settings each topic is made with."""

from __future__ import annotations

from detector.commands.create_topics import configs
from detector.settings import TopicSettings


def made(**told: object) -> dict[str, dict[str, str]]:
    """By topic."""
    return configs(TopicSettings(bootstrap_servers="b", **told))  # type: ignore[arg-type]


def test_by_default_only_roles_differ() -> None:
    """Labels and the feedback's state are compacted, which model served is kept for ever; the rest is the broker's."""
    found = made()
    assert {topic for topic, own in found.items() if own.get("cleanup.policy") == "compact"} == {"labels", "feedback"}
    assert found["models"] == {"retention.ms": "-1"}
    assert {topic for topic, own in found.items() if not own} == {
        *("transactions", "transactions.dead-letters", "alerts", "drift", "scores"),
    }


def test_retention() -> None:
    """Rows and scores are kept as long as told, alerts and dead letters as long as told for them."""
    found = made(rows_days=2.0, alerts_days=90.0, input_topic="rows")
    assert {found[topic]["retention.ms"] for topic in ("rows", "scores")} == {"172800000"}
    assert {found[topic]["retention.ms"] for topic in ("alerts", "rows.dead-letters", "drift")} == {"7776000000"}


def test_copies_that_must_have_a_record() -> None:
    """min.insync.replicas holds for every topic; topics that are not wanted have no settings."""
    found = made(min_insync=2, drift_topic="none")
    assert all(own["min.insync.replicas"] == "2" for own in found.values())
    assert "drift" not in found
    assert "none" not in found
