"""`python -m detector create-topics`: what the line reads and writes."""

from __future__ import annotations

from detector import settings
from detector.kafka import BROKERS_DEFAULT, COMPACTED, connect, created

ABOUT = "make the topics that do not exist yet"
DETAIL = """\
Makes the topics that do not exist yet, as the broker makes them by default but for what is said here. Of labels,
and of the state of `feedback`, the last record of each key is kept (compaction); which model served when is kept for
ever."""
SETTINGS = settings.TopicSettings

DAY_MS = 86_400_000
FOR_EVER = {"retention.ms": "-1"}


def run(chosen: settings.TopicSettings) -> int:
    """Says of each topic whether it was made or there already."""
    admin = connect(chosen.bootstrap_servers, chosen.kafka)
    replication = chosen.replication or BROKERS_DEFAULT
    made = created(admin, chosen.names(), chosen.partitions, configs(chosen), replication)
    for topic in chosen.names():
        print(f"{topic}: {'made' if topic in made else 'exists'}")
    return 0


def configs(chosen: settings.TopicSettings) -> dict[str, dict[str, str]]:
    """By topic, in what it differs from the broker's default."""
    rows, alerts = _kept(chosen.rows_days), _kept(chosen.alerts_days)
    dead = chosen.dead_letters_topic or settings.dead_letters_of(chosen.input_topic)
    own = {
        chosen.input_topic: rows,
        chosen.scores_topic: rows,
        chosen.alerts_topic: alerts,
        dead: alerts,
        chosen.drift_topic: alerts,
        chosen.labels_topic: COMPACTED,
        chosen.feedback_topic: COMPACTED,
        chosen.models_topic: FOR_EVER,
    }
    durable = {"min.insync.replicas": str(chosen.min_insync)} if chosen.min_insync else {}
    return {topic: durable | own[topic] for topic in chosen.names()}


def _kept(days: float) -> dict[str, str]:
    return {"retention.ms": str(round(days * DAY_MS))} if days else {}
