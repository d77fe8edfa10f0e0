"""Why a row alerts, as a cell of a table."""

from __future__ import annotations

from collections.abc import Sequence

from detector.alerts import Reason, Value
from detector.page.content import number, percent


def reason_lines(reasons: Sequence[Reason]) -> str:
    """A line for each feature: its value, what the model expected, and its share of the score."""
    return "\n".join(
        f"{one.feature} = {value_text(one.value)}, expected {value_text(one.expected)} ({percent(one.share)})"
        for one in reasons
    )


def value_text(value: Value) -> str:
    """A feature's value for people."""
    if value is None:
        return "missing"
    return number(value) if isinstance(value, float) else str(value)
