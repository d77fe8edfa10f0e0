"""The least that a detector must be allowed to do, by its settings."""

from __future__ import annotations

import shlex
from typing import NamedTuple

from detector.settings import Settings, wanted


class Acl(NamedTuple):
    """An operation on a resource: topic, group or transactional-id. prefixed: of all whose names begin like this."""

    resource: str
    name: str
    operation: str
    prefixed: bool = False

    def command(self, principal: str) -> str:
        """The arguments of `kafka-acls.sh` that allow it to a principal."""
        pattern = ["--resource-pattern-type", "prefixed"] if self.prefixed else []
        parts = [
            "--add",
            "--allow-principal",
            principal,
            "--operation",
            self.operation,
            f"--{self.resource}",
            self.name,
        ]
        return shlex.join(parts + pattern)


def needed(settings: Settings) -> list[Acl]:
    """Reading and writing a topic or group brings with it to describe it, which is therefore not listed.

    A transactional id is GROUP.INSTANCE, or GROUP. and something random where no instance is named. The limit of the
    topic of dead letters is asked for, so that a message that is too large for it stops nothing.
    """
    s = settings
    outputs = [s.alerts_topic, s.dead_letters_topic, *wanted(s.models_topic, s.drift_topic, s.scores_topic)]
    acls = [
        Acl("topic", s.input_topic, "Read"),
        Acl("group", s.group, "Read"),
        *(Acl("topic", topic, "Write") for topic in outputs),
        Acl("topic", s.dead_letters_topic, "DescribeConfigs"),
    ]
    if s.delivery == "exactly_once":
        acls.append(Acl("transactional-id", f"{s.group}.", "Write", prefixed=True))
    return acls
