"""What ends a command: one line for the person, one exit code for the script."""

from __future__ import annotations

from typing import ClassVar


class Failure(Exception):
    """Something failed at run time that no retry here can mend."""

    code: ClassVar[int] = 1
    meaning: ClassVar[str] = (
        "something failed at run time: a child process, a row the broker refused, a full disk; "
        "or an audit found what is not accounted for"
    )


class UsageError(Failure):
    code = 2
    meaning = "a setting or argument is wrong"


class ModelRefused(Failure):
    code = 3
    meaning = "the model directory is missing, damaged, altered, signed by no trusted key, or made for other features"


class BrokerUnavailable(Failure):
    code = 4
    meaning = "no broker answers, or it refuses the credentials"


class BrokerAway(BrokerUnavailable):
    """No broker answers for now. Who has worked with one already waits for it: nothing is lost by that."""


class TopicMissing(Failure):
    code = 5
    meaning = "a topic does not exist"


class PortInUse(Failure):
    code = 6
    meaning = "the port for metrics is in use"


class Fenced(Failure):
    code = 7
    meaning = "fenced: a process of the same instance name took over, or this one stood still for too long"


class DataRefused(Failure):
    code = 8
    meaning = "a data file is missing, unreadable, or lacks what was asked of it"


class RegistryUnavailable(BrokerUnavailable):
    code = 9
    meaning = "the schema registry does not answer, or refuses the credentials"


FAILURES: tuple[type[Failure], ...] = (
    Failure,
    UsageError,
    ModelRefused,
    BrokerUnavailable,
    TopicMissing,
    PortInUse,
    Fenced,
    DataRefused,
    RegistryUnavailable,
)
INTERRUPTED = 130
EXIT_CODES: dict[int, str] = {
    0: "done",
    **{failure.code: failure.meaning for failure in FAILURES},
    INTERRUPTED: "interrupted by the person (Ctrl-C), after a clean stop",
}
