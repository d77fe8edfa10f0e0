"""What came of a model: its verdicts beside the truth, how soon its alerts came, what the detector said of drift."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.alerts import Alert
from detector.drift import Event
from detector.errors import Failure
from detector.feedback.measures import LABELLED, Measures, measured, shortest
from replay.backtest.played import Index, Played
from replay.backtest.subjects import Subject
from replay.backtest.tally import Tally, name_of

Handed = Callable[[NDArray[np.int64]], NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What one model made of history.

    at: int64 (n,), of each scored row its event time, ms since 1970, or its number in the order of play where nothing
    has a time. rows: (n,) of LABELLED; without labels none is anomalous. labelled: whether there are labels. dead: dead
    letters by reason. latencies: float64 (a,), s from before an alert's row was handed over until its alert was read.
    worst: alerts, the farthest above its threshold first, each with its row's truth, None where it is not known.
    changes: of the drift state, each with about the event time of its row.
    """

    subject: Subject
    at: NDArray[np.int64]
    rows: NDArray[Any]
    labelled: bool
    alerts: int
    dead: Mapping[str, int]
    latencies: NDArray[np.float64]
    worst: list[tuple[Alert, bool | None]]
    changes: list[tuple[Event, int | None]]
    threshold: float

    @cached_property
    def measures(self) -> Measures:
        """The figures of all rows."""
        return measured(self.rows)

    @property
    def span(self) -> tuple[int, int]:
        """The first and the last place; there is at least one row."""
        return int(self.at.min()), int(self.at.max())


def outcome(subject: Subject, tally: Tally, played: Played, handed: Handed) -> Outcome:
    """Joins what a detector said with the rows as they were played. handed: when rows were handed over.

    Of rows that share a name the first one's verdict counts, and the last one's label, as in `detector feedback`.
    """
    scored, alerted, worst = tally.scored(), tally.alerted(), tally.worst()
    index, truth = Index(played), played.anomalous
    first = index.first(scored["name"])
    rows = np.zeros(len(scored), LABELLED)
    rows["score"], rows["alert"] = scored["score"], scored["alert"]
    rows["anomalous"] = False if truth is None else truth[index.last(scored["name"])]
    told = rows["alert"] | rows["anomalous"]  # no other row's money is added up
    rows["amount"][told] = shortest(scored["amount"][told])
    named = np.array([name_of(one) for one in worst], np.int64)
    truths = [None] * len(worst) if truth is None else truth[index.last(named)].tolist()
    return Outcome(
        subject=subject,
        at=scored["time"].copy() if played.timed else first,
        rows=rows,
        labelled=truth is not None,
        alerts=tally.alerts,
        dead=dict(tally.dead),
        latencies=np.maximum(alerted["seen"] - handed(index.first(alerted["name"])), 0.0),
        worst=list(zip(worst, truths, strict=True)),
        changes=[(one, tally.time_of(one) if played.timed else None) for one in tally.events],
        threshold=subject.artifact.threshold.value if tally.threshold is None else tally.threshold,
    )


def account(subject: Subject, tally: Tally, played: int) -> None:
    """Failure where not each row that was played was scored or became a dead letter, not each verdict is told, or no
    row was scored at all."""
    dead = tally.dead.total()
    if tally.rows + dead != played:
        raise Failure(
            f"{subject.title}: {played:,} rows were played, {tally.rows:,} scored and {dead:,} became dead letters: "
            f"{abs(played - tally.rows - dead):,} {'are missing' if tally.told < played else 'are too many'}"
        )
    if tally.alerts != tally.alerting:
        raise Failure(f"{subject.title}: {tally.alerting:,} rows are to alert, and {tally.alerts:,} alerts came")
    if not tally.rows:
        why = ", ".join(f"{count:,} {reason}" for reason, count in tally.dead.most_common())
        raise Failure(f"{subject.title}: no row could be scored; dead letters: {why or 'none, as no row was played'}")
