"""What a person reads in the end, and how they go on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from detector.errors import BrokerUnavailable, Failure, Fenced
from replay.lateness import Lateness
from replay.summary import Stopped, Summary, continued
from tests.replay.made import asked


def test_text() -> None:
    """One line with everything that was counted, lateness only where there was a pace."""
    late = Lateness()
    late.observe(np.array([0.0123]))
    assert Summary(60_000, 59_999, 0, 1, 12.04, late, False, None).text() == (
        "replay: sent 60000 rows, failed 0, labels 59999 (1 failed), 4983 rows/s, 12.0 s, "
        "1 more than 2 ms late, median 12.3 ms, at most 0.012 s late"
    )
    assert Summary(0, 0, 0, 0, 0.0, None, True, None).text() == (
        "replay: interrupted: sent 0 rows, failed 0, labels 0, 0 rows/s, 0.0 s"
    )


def test_outcome() -> None:
    """What failed makes the command fail, with the code of a broker that has gone where none answered."""
    assert Summary(1, 0, 0, 0, 1.0, None, False, None).outcome() is None
    refused = Summary(1, 0, 2, 1, 1.0, None, False, Failure("too large")).outcome()
    assert (type(refused), str(refused)) == (
        Failure,
        "2 rows and 1 labels were not acknowledged; first: too large",
    )
    fenced = Summary(1, 0, 2, 0, 1.0, None, False, Fenced("another process"))
    assert isinstance(fenced.outcome(), Fenced)
    gone = Summary(1, 0, 2, 0, 1.0, None, False, None, silent=True).outcome()
    assert isinstance(gone, BrokerUnavailable)


@pytest.mark.parametrize(
    ("stopped", "given", "wanted"),
    [
        (
            Stopped(17, b"9", 1000),
            {"resume": "a b"},
            "after 17 rows before row 9 at 1970-01-01T00:00:01.000Z; the same command goes on there: --resume 'a b'",
        ),
        (
            Stopped(17, b"9", 1000),
            {"limit": 100},
            "after 17 rows before row 9 at 1970-01-01T00:00:01.000Z; to go on there: --skip 17 --limit 83, "
            "or for all from this time on: --between 1970-01-01T00:00:01.000Z ..",
        ),
        (Stopped(17), {"skip": 3}, "after 17 rows; to go on there: --skip 20"),
        (
            Stopped(1, b"1", 5000),
            {"between": "1/9"},
            "after 1 rows before row 1 at 1970-01-01T00:00:05.000Z; to go on there: --skip 1, "
            "or for all from this time on: --between 1970-01-01T00:00:05.000Z 9",
        ),
    ],
)
def test_how_to_go_on(stopped: Stopped, given: dict[str, Any], wanted: str) -> None:
    """Who stopped is told where, and what part of the command goes on there."""
    assert continued(stopped, asked(**given)) == f"replay: stopped {wanted}"
