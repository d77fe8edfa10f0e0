"""What the backtest's tests share: a model's figures without a model, messages as a reader hands them out, results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from detector import alerts, scores
from detector.alerts import Alert, ModelName, Reason, Source, iso
from detector.artifact import Artifact
from detector.calibration import Calibration
from detector.drift import Event, Levels, Reference
from detector.feedback.measures import LABELLED
from detector.schema import Schema
from detector.scores import Scored
from detector.statistics import summarize
from detector.threshold import Threshold
from replay.backtest.outcome import Outcome
from replay.backtest.run import Parts, Result
from replay.backtest.subjects import Subject
from replay.backtest.windows import DAY, cut

LINE = 2.0
"""The threshold of all models here."""

BEGIN = 20_000 * DAY
"""Midnight of a day in 2024, ms since 1970."""


@dataclass(frozen=True)
class Heard:
    """A message."""

    data: bytes | None
    at: tuple[str, int, int] = ("rows", 0, 0)
    named: list[tuple[str, bytes]] = field(default_factory=list)

    def topic(self) -> str:
        return self.at[0]

    def partition(self) -> int:
        return self.at[1]

    def offset(self) -> int:
        return self.at[2]

    def timestamp(self) -> tuple[int, int]:
        return 1, 0

    def key(self) -> Any:
        return None

    def value(self) -> Any:
        return self.data

    def headers(self) -> Any:
        return self.named


def name_of(model: str = "cards") -> ModelName:
    return ModelName(model, "1", "ab" * 32)


def artifact_of(model: str = "cards", features: tuple[str, ...] = ("V1", "Amount"), **given: Any) -> Artifact:
    """An artifact with no network in it; its reference is a standard normal in every column."""
    normal = np.random.default_rng(0).normal(size=4_000).astype(np.float32)
    return Artifact(
        path=Path("models") / model,
        name=name_of(model),
        schema=Schema(features, **given),
        threshold=Threshold(LINE, f"value:{LINE:g}"),
        summary=summarize(normal),
        manifest={},
        calibration=Calibration.of(np.abs(normal)),
        reference=Reference.of([normal] * (len(features) + 1)),
        graph=b"",
    )


def subject_of(model: str = "cards", amount: str = "Amount", **given: Any) -> Subject:
    found = artifact_of(model, **given)
    return Subject(found, f"{model} version 1", amount)


def scored(
    ids: Sequence[str | None], values: Sequence[float], partition: int = 0, first: int = 0, **given: Any
) -> Heard:
    """A record of scores: rows of a partition from an offset on, a second apart; amounts are 10 times the score."""
    count = len(ids)
    offsets = np.arange(first, first + count)
    told = Scored(
        topic="rows",
        partition=partition,
        model=name_of(),
        offsets=offsets,
        times=BEGIN + 1000 * offsets,
        scores=np.array(values, np.float32),
        thresholds=np.full(count, LINE),
        ids=list(ids),
        amount="Amount",
        amounts=np.array([10 * value for value in values], np.float32),
    )
    return Heard(scores.encode(told), ("scores", 0, 0))


def alert_of(row_id: str | None, score: float, at: int = BEGIN, **given: Any) -> Alert:
    reasons = [Reason("V1", -9.25, 0.5, 0.75), Reason("Amount", given.pop("value", 12.5), None, 0.25)]
    return Alert(
        id=f"rows/0/{row_id}",
        score=score,
        threshold=LINE,
        method="value:2",
        modified_z=9.0,
        reasons=reasons,
        model=name_of(),
        source=Source("rows", 0, 0),
        key=given.pop("key", None),
        row_id=row_id,
        event_time=iso(at),
        detected_at=iso(at),
    )


def alerted(row_id: str | None, score: float) -> Heard:
    return Heard(alerts.encode(alert_of(row_id, score))[0])


def event_of(feature: str, offset: int = 0, partition: int = 0) -> Event:
    """The detector says that a feature drifts."""
    return Event(
        kind="feature",
        name=feature,
        was="stable",
        state="drifting",
        above=["psi"],
        levels=Levels(),
        psi=0.5,
        ks=0.2,
        missing=0.0,
        reference_missing=0.0,
        rows=1024,
        id="1",
        model=name_of(),
        source=Source("rows", partition, offset),
    )


def labelled(rows: Sequence[tuple[float, float, bool, bool]]) -> np.ndarray[Any, Any]:
    """Rows of LABELLED: score, amount, alert, anomalous."""
    return np.array(rows, LABELLED)


def outcome_of(subject: Subject, days: int = 10, seed: int = 0, **given: Any) -> Outcome:
    """Rows of so many days, some anomalous, of which some alert."""
    rng = np.random.default_rng(seed)
    count = days * 1_000
    rows = np.zeros(count, LABELLED)
    rows["anomalous"] = given.get("labelled", True) & (rng.random(count) < 0.02)
    rows["score"] = np.abs(rng.normal(size=count)) * np.where(rows["anomalous"], 3, 0.6)
    rows["alert"] = rows["score"] > LINE if given.get("alerting", True) else False
    rows["amount"] = np.round(rng.gamma(2, 40, count), 2)
    at = BEGIN + np.sort(rng.integers(0, days * DAY, count)) if given.get("timed", True) else np.arange(count)
    found = np.flatnonzero(rows["alert"])
    first = subject.artifact.schema.features[0]
    text = given.get("text", "17")
    worst = [(alert_of(text, 90.0 - n, BEGIN + n * DAY, key=text), n % 2 == 0) for n in range(min(len(found), 5))]
    return Outcome(
        subject=subject,
        at=at,
        rows=rows,
        labelled=given.get("labelled", True),
        alerts=len(found),
        dead=given.get("dead", {"not_a_number": 3}),
        latencies=rng.gamma(2, 0.4, len(found)),
        worst=[(alert, truth if given.get("labelled", True) else None) for alert, truth in worst],
        changes=[(event_of(first), BEGIN + 3 * DAY)] if given.get("changes", True) else [],
        threshold=LINE,
    )


def result_of(*outcomes: Outcome, **given: Any) -> Result:
    """The outcomes side by side."""
    timed = given.get("timed", True)
    windows = cut([one.span for one in outcomes], timed)
    moved = [
        np.linspace(0, 0.5, windows.count)[:, None] * np.ones(len(one.subject.artifact.schema.features))
        for one in outcomes
    ]
    parts = Parts({"broker up": 0.5, "played": 9.5, "scored": 1.5})
    rows = len(outcomes[0].rows) + sum(outcomes[0].dead.values())
    return Result(
        data=given.get("data", "history.csv"),
        rows=rows,
        timed=timed,
        about="a broker of the tests",
        format="packed",
        outcomes=outcomes,
        windows=windows,
        moved=moved if given.get("moved", True) else [None for _ in outcomes],
        parts=parts,
    )
