"""`python -m detector create-topics`: what the line reads and writes."""

from __future__ import annotations

from detector import settings
from detector.kafka import connect, created

ABOUT = "make the topics that do not exist yet"
DETAIL = """\
Makes the topics that do not exist yet, with the broker's defaults for all but the partitions; the one that keeps the
state of `feedback` is compacted."""
SETTINGS = settings.TopicSettings


def run(chosen: settings.TopicSettings) -> int:
    """Says of each topic whether it was made or there already."""
    admin = connect(chosen.bootstrap_servers, chosen.kafka)
    made = created(admin, chosen.names(), chosen.partitions, compacted=[chosen.feedback_topic])
    for topic in chosen.names():
        print(f"{topic}: {'made' if topic in made else 'exists'}")
    return 0
