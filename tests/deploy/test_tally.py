"""Alerts and labels to counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.local.tally import KEPT, STRIKING, Counts, Tally
from tests.deploy.made import alert

EVENTS = st.lists(st.tuples(st.sampled_from(["alert", "fraud", "normal"]), st.integers(0, 20)), max_size=60)


@given(EVENTS)
def test_counts_equal_one_pass_over_everything(events: list[tuple[str, int]]) -> None:
    """In whatever order alerts and labels come, and however often, the counts are those of the sets they make."""
    tally, alerted = Tally(), set()
    truth: dict[int, bool] = {}
    for kind, row in events:
        if kind == "alert":
            tally.alert(alert(str(row)))
            alerted.add(row)
        else:
            tally.label(str(row), kind == "fraud")
            truth.setdefault(row, kind == "fraud")
    frauds = {row for row, fraud in truth.items() if fraud}
    judged = alerted & truth.keys()
    assert tally.counts() == Counts(
        len(alerted), len(truth), len(frauds), len(alerted & frauds), len(judged) - len(alerted & frauds)
    )


def test_precision_and_recall() -> None:
    """Precision asks the alerts that have a label, recall the frauds that have one; an alert without waits."""
    tally = Tally()
    for row in ("1", "2", "3", "4"):
        tally.alert(alert(row))
    for row, fraud in {"1": True, "2": True, "3": False, "5": True, "6": False}.items():
        tally.label(row, fraud)
    counts = tally.counts()
    assert counts.precision == pytest.approx(2 / 3)
    assert counts.recall == pytest.approx(2 / 3)


def test_nothing_yet() -> None:
    """Without labels there is neither precision nor recall, rather than a nought."""
    tally = Tally()
    tally.alert(alert("1"))
    assert (tally.counts().precision, tally.counts().recall) == (None, None)


def test_an_alert_without_row_id_counts_and_is_never_judged() -> None:
    """A sender that numbers no rows gets its alerts counted all the same."""
    tally = Tally()
    tally.alert(alert(None))
    tally.label("0", True)
    assert tally.counts() == Counts(alerts=1, labels=1, frauds=1)
    assert tally.last()[0].fraud is None


def test_the_newest_come_first_and_the_oldest_go() -> None:
    """What is kept to be shown is bounded, and carries what the labels said since."""
    tally = Tally()
    for row in range(KEPT + 5):
        tally.alert(alert(str(row)))
    tally.label(str(KEPT + 4), True)
    last = tally.last()
    assert [judged.alert.row_id for judged in last] == [str(row) for row in range(KEPT + 4, 4, -1)]
    assert [judged.fraud for judged in last[:2]] == [True, None]


def test_the_farthest_above_the_line_are_striking() -> None:
    """Score in thresholds decides, of equals the earlier one, and a threshold of nought is beyond all."""
    tally = Tally()
    for row, score, threshold in [("1", 4, 2), ("2", 9, 3), ("3", 5, 1), ("4", 6, 2), ("5", 1, 0), ("6", 30, 10)]:
        tally.alert(alert(row, float(score), float(threshold)))
    assert [judged.alert.row_id for judged in tally.striking()] == ["5", "3", "2"]
    assert len(tally.striking()) == STRIKING
