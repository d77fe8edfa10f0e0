"""Command line: `python -m replay DATA`."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

from detector import artifact, settings
from detector.command import ended, told
from detector.errors import INTERRUPTED
from detector.kafka import Progress, Publisher, check_topics, connect, topic_limit
from replay import source
from replay.progress import watching
from replay.publish import Leash, Plan, Replay, Stop, Summary
from replay.settings import NONE, ORIGINAL, PREFIX, Settings

BATCH_BYTES = 1_000_000


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    return ended(lambda: _run(vars(parser().parse_args(argv))))


def parser() -> argparse.ArgumentParser:
    """The command line, with every setting."""
    about = told("Publishes the rows of a file in the order of their event time.")
    about["description"] += (
        "\nCtrl-C and SIGTERM wait for what is on its way and end with a summary; a second one ends at once."
    )
    top = argparse.ArgumentParser(prog="python -m replay", **about)
    top.add_argument("data", metavar="DATA", type=Path, help="rows: CSV (also .gz .xz .zst), Parquet or TFRecord")
    settings.add_flags(top, Settings, PREFIX)
    return top


def _run(flags: dict[str, Any]) -> int:
    chosen = settings.load(Settings, flags, PREFIX)
    schema = artifact.load(Path(chosen.model)).schema if chosen.model else None
    history = source.read(flags["data"], chosen, schema)
    labels = None if history.anomalous is None or chosen.labels_topic == NONE else chosen.labels_topic
    plan = Plan(chosen.topic, labels, chosen.pace, chosen.timestamps == ORIGINAL)
    summary = _replayed(history, plan, chosen)
    print(summary.text(), flush=True)
    if failure := summary.outcome():
        raise failure
    return INTERRUPTED if summary.interrupted else 0


def _replayed(history: source.History, plan: Plan, chosen: Settings) -> Summary:
    publisher = Publisher(chosen.bootstrap_servers, {**_batch_size(plan, chosen), **chosen.kafka})
    group = Progress(chosen.bootstrap_servers, chosen.kafka, chosen.group) if chosen.group else None
    leash = Leash(chosen.max_lead, chosen.group, group, publisher, plan.topic) if group else None
    stop = Stop()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop.request)
    try:
        with watching(len(history), sys.stderr) as watch:
            return Replay(history, plan, publisher, watch, stop, leash).run()
    finally:
        if group:
            group.close()


def _batch_size(plan: Plan, chosen: Settings) -> dict[str, int]:
    """A batch no longer than the topics take: the broker refuses all rows of a longer one, not the long row alone."""
    admin = connect(chosen.bootstrap_servers, chosen.kafka, chosen.connect_seconds)
    topics = [topic for topic in (plan.topic, plan.labels) if topic]
    check_topics(admin, topics)
    # A broker that does not tell of one topic is not waited for again.
    limits = takewhile(lambda limit: limit is not None, (topic_limit(admin, topic) for topic in topics))
    return {"batch.size": min([BATCH_BYTES, *(limit for limit in limits if limit)])}


if __name__ == "__main__":
    sys.exit(main())
