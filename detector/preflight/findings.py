"""What a preflight finds, and the exit code that comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from detector.errors import Failure

State = Literal["ok", "warning", "failed", "skipped"]
STATES: tuple[State, ...] = ("ok", "warning", "failed", "skipped")


class Finding(NamedTuple):
    """One thing that was looked at. told: what was found. fix: what to do. code: the exit code, of what failed."""

    state: State
    subject: str
    told: str
    fix: str = ""
    code: int = 0


def ok(subject: str, told: str) -> Finding:
    """All is well."""
    return Finding("ok", subject, told)


def warning(subject: str, told: str, fix: str) -> Finding:
    """A detector starts, and something about it is not as it should be."""
    return Finding("warning", subject, told, fix)


def failed(subject: str, why: Failure, fix: str) -> Finding:
    """A detector does not start, or does not work."""
    return Finding("failed", subject, str(why), fix, why.code)


def skipped(subject: str, because: str) -> Finding:
    """It could not be looked at."""
    return Finding("skipped", subject, because)


def exit_code(findings: Sequence[Finding], strict: bool = False) -> int:
    """The code of the first thing that failed, else 0; strict: 1 where there is a warning."""
    first = next((one.code for one in findings if one.state == "failed"), 0)
    warned = strict and any(one.state == "warning" for one in findings)
    return first or (Failure.code if warned else 0)
