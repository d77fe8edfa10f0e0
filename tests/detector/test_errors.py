"""Exit codes: one for each kind of failure, all of them told."""

from __future__ import annotations

from detector import errors
from detector.errors import EXIT_CODES, FAILURES, INTERRUPTED, BrokerAway, BrokerUnavailable, Failure


def test_table_is_complete() -> None:
    """Every kind of Failure is in the table of exit codes, with what it means; one that a process waits for ends as the
    kind it is one of."""
    defined = {one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, Failure)}
    assert defined == {*FAILURES, BrokerAway}
    assert (BrokerAway.code, BrokerAway.meaning) == (BrokerUnavailable.code, BrokerUnavailable.meaning)
    assert set(EXIT_CODES) == {0, INTERRUPTED, *(failure.code for failure in FAILURES)}
    assert all(EXIT_CODES[failure.code] == failure.meaning for failure in FAILURES)


def test_codes_are_unique() -> None:
    """No two kinds share a code or a meaning, and none takes a code that shells use for signals or their own."""
    assert (
        len({failure.code for failure in FAILURES}) == len({failure.meaning for failure in FAILURES}) == len(FAILURES)
    )
    assert all(0 < failure.code < 126 for failure in FAILURES)
    assert INTERRUPTED == 130
