"""Command line: `python -m detector run` and `create-topics`."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from collections.abc import Sequence
from typing import Any

from detector import artifact, settings
from detector.command import ended, told
from detector.errors import INTERRUPTED
from detector.kafka import connect, created
from detector.service import Service

PREFIX = "DETECTOR_"
log = logging.getLogger("detector")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; returns its exit code."""
    flags = vars(parser().parse_args(argv))
    return ended(lambda: COMMANDS[flags.pop("command")](flags))


def parser() -> argparse.ArgumentParser:
    """The command line, with every setting."""
    top = argparse.ArgumentParser(
        prog="python -m detector",
        **told("Scores the rows of a Kafka topic with a trained model and publishes alerts.", with_settings=False),
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser(
        "run",
        help="consume, score, alert",
        **told("Joins the group, scores rows, publishes alerts and dead letters with the offsets they come from."),
    )
    settings.add_flags(run, settings.Settings, PREFIX)
    topics = commands.add_parser(
        "create-topics",
        help="make the topics that do not exist yet",
        **told("Makes the topics that do not exist yet, with the broker's defaults for all but the partitions."),
    )
    settings.add_flags(topics, settings.TopicSettings, PREFIX)
    return top


def _run(flags: dict[str, Any]) -> int:
    chosen = settings.load(settings.Settings, flags, PREFIX)
    logging.basicConfig(
        level=chosen.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr
    )
    service = Service(chosen, artifact.load(chosen.model))
    received: set[int] = set()

    def stop(number: int, frame: object) -> None:
        received.add(number)
        service.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    log.info(
        "started model=%s version=%s sha256=%s threshold=%.9g method=%s metrics=%s",
        service.artifact.name.name,
        service.artifact.name.version,
        service.artifact.name.sha256[:12],
        service.line.calibrated.value,
        service.line.running.text if service.line.running else service.line.calibrated.method,
        service.endpoint.address,
    )
    service.run()
    log.info("stopped")
    return INTERRUPTED if signal.SIGINT in received else 0


def _create_topics(flags: dict[str, Any]) -> int:
    chosen = settings.load(settings.TopicSettings, flags, PREFIX)
    admin = connect(chosen.bootstrap_servers, chosen.kafka)
    made = created(admin, chosen.names(), chosen.partitions)
    for topic in chosen.names():
        print(f"{topic}: {'made' if topic in made else 'exists'}")
    return 0


COMMANDS = {"run": _run, "create-topics": _create_topics}

if __name__ == "__main__":
    sys.exit(main())
