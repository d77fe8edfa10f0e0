"""What was committed last, for Prometheus, for a person and for a program."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from detector.alerts import ModelName
from detector.command import columns
from detector.dead_letters import safe
from detector.families import Family, bounded
from detector.feedback.join import EXPIRED, MILLIONTHS, SAID, SCORED, VERDICTS, Counts, Join
from detector.feedback.labels import REFUSALS
from detector.feedback.measures import Measures, measured

MODEL = ("model", "version", "sha256")
FIGURES = {
    "precision": "Share of alerts that were right, among a model's last labelled rows.",
    "recall": "Share of anomalous rows that alerted, among a model's last labelled rows.",
    "f1": "Harmonic mean of precision and recall, of a model's last labelled rows.",
    "auroc": "Area under the ROC curve of the scores of a model's last labelled rows.",
    "average_precision": "Average precision of the scores of a model's last labelled rows.",
}
"""Those of the window that are metrics; NaN where the rows do not define one."""


@dataclass(frozen=True, slots=True)
class Told:
    """What is told of one model. totals: by label and verdict. caught, missed: money since the beginning."""

    name: ModelName
    window: Measures
    totals: Mapping[tuple[str, str], int]
    caught: float
    missed: float


@dataclass(frozen=True, slots=True)
class Shown:
    """A join as it was when it was committed. money: the feature that is. waiting: by side. lag: records, by topic."""

    models: Sequence[Told] = ()
    counts: Counts = field(default_factory=Counts)
    money: str | None = None
    waiting: Mapping[str, int] = field(default_factory=lambda: {"row": 0, "label": 0})
    lag: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, join: Join, lag: Mapping[str, int]) -> Shown:
        """A copy: the join goes on."""
        counts = join.counts
        return cls(
            models=[
                Told(
                    one.name,
                    measured(one.window.rows()),
                    dict(zip(VERDICTS, one.totals, strict=True)),
                    one.caught / MILLIONTHS,
                    one.missed / MILLIONTHS,
                )
                for one in join.models.values()
            ],
            counts=Counts(counts.scored.copy(), counts.said.copy(), counts.expired.copy(), counts.refused.copy()),
            money=join.money,
            waiting={"row": len(join.rows), "label": len(join.labels)},
            lag=dict(lag),
        )

    def families(self) -> Iterator[Family]:
        """Everything as metrics; the labels are of closed sets, and of at most MODELS models."""
        yield from _of_models(self.models)
        counts = self.counts
        alone = [
            ("scored", "Scored rows, by whether one of that row id was known already.", "kind", SCORED, counts.scored),
            ("labels", "Labels, by whether they said something new of their row.", "kind", SAID, counts.said),
            ("refused", "Messages that are no label or no record of scores.", "reason", REFUSALS, counts.refused),
        ]
        for name, meaning, label, known, found in alone:
            yield Family("counter", f"detector_feedback_{name}", meaning, [label], [((k,), found[k]) for k in known])
        expired = {pair: float(counts.expired[pair]) for pair in EXPIRED}
        meaning = "Rows and labels that waited in vain, for too long (late) or for too many others (crowded)."
        yield Family("counter", "detector_feedback_expired", meaning, ["side", "reason"], expired.items())
        waiting = [((side,), float(count)) for side, count in self.waiting.items()]
        yield Family(
            "gauge", "detector_feedback_pending", "Rows and labels that wait for the other.", ["side"], waiting
        )
        lag = [((topic,), float(count)) for topic, count in self.lag.items()]
        yield Family("gauge", "detector_feedback_lag", "Records not yet read.", ["topic"], lag)


def _of_models(models: Sequence[Told]) -> Iterator[Family]:
    def gauge(name: str, meaning: str, value: Callable[[Told], float]) -> Family:
        return Family("gauge", f"detector_{name}", meaning, MODEL, [(_labels(one), value(one)) for one in models])

    rows = [((*_labels(one), *cell), float(count)) for one in models for cell, count in one.totals.items()]
    meaning = "Rows whose truth is known, by the label they had first and the detector's verdict."
    yield Family("counter", "detector_labelled_rows", meaning, [*MODEL, "label", "verdict"], rows)
    for name, what in FIGURES.items():
        yield gauge(name, what, lambda one, name=name: _number(getattr(one.window, name)))  # type: ignore[misc]
    yield gauge("window_rows", "Labelled rows that a model's figures are of.", lambda one: one.window.rows)
    for name, what in (("caught", "that alerted"), ("missed", "that did not alert")):
        meaning = f"Money of anomalous rows {what}."
        sums = [(_labels(one), float(getattr(one, name))) for one in models]
        yield Family("counter", f"detector_amount_{name}", meaning, MODEL, sums)


def _labels(told: Told) -> tuple[str, str, str]:
    return bounded(told.name.name), bounded(told.name.version), bounded(told.name.sha256)


def _number(figure: float | None) -> float:
    return math.nan if figure is None else figure


def _labels_of(counts: Counts) -> int:
    return sum(counts.said.values()) - counts.said["note"]


def as_fields(shown: Shown) -> dict[str, int | str]:
    """Fields of a log line."""
    waiting, counts = shown.waiting, shown.counts
    found: dict[str, int | str] = {"rows": sum(counts.scored.values()), "labels": _labels_of(counts)}
    found |= {"waiting_rows": waiting["row"], "waiting_labels": waiting["label"]}
    if shown.models:
        last = shown.models[-1]
        found |= {"model": last.name.sha256[:12], "labelled": sum(last.totals.values())}
        found |= {name: _four(getattr(last.window, name)) for name in FIGURES}
    return found


def as_text(shown: Shown) -> str:
    """Tables, for a person."""
    blocks = [_model(one, shown.money) for one in shown.models] or ["no row was scored"]
    counts, waiting = shown.counts, shown.waiting
    lines = [
        f"{counts.scored['new']:,} scored rows, {waiting['row']:,} wait for a label",
        f"{_labels_of(counts):,} labels, {waiting['label']:,} wait for a row",
    ]
    said = [kind for kind in sorted(counts.said) if kind not in ("first", "note") and counts.said[kind]]
    lines += [f"{counts.said[kind]:,} labels {kind}" for kind in said]
    if counts.said["note"]:
        lines.append(f"{counts.said['note']:,} notes of what a replay did on purpose")
    if counts.scored["repeated"]:
        lines.append(f"{counts.scored['repeated']:,} scored rows have a row id that another one had")
    for (side, reason), count in sorted(counts.expired.items()):
        lines.append(f"{count:,} {side}s waited in vain, {reason}")
    lines += [f"{count:,} messages passed over: {REFUSALS[reason]}" for reason, count in sorted(counts.refused.items())]
    return "\n\n".join([*blocks, "\n".join(lines)])


def _model(told: Told, money: str | None) -> str:
    window, name = told.window, told.name
    lines = [
        ["  AUROC", _four(window.auroc)],
        ["  average precision", _four(window.average_precision)],
        ["  precision", _four(window.precision)],
        ["  recall", _four(window.recall)],
        ["  F1", _four(window.f1)],
    ]
    if money:
        amount = safe(money)
        lines += [
            [f"  {amount} caught", f"{window.caught:,.2f}"],
            [f"  {amount} missed", f"{window.missed:,.2f}"],
            [f"  {amount} in false alerts", f"{window.false_amount:,.2f}"],
            [f"  share of {amount} caught", _four(window.caught_share)],
        ]
    labelled = sum(told.totals.values())
    return "\n".join(
        [
            safe(f"model {name.name} version {name.version} ({name.sha256[:12]})"),
            f"the last {window.rows:,} of {labelled:,} labelled rows, {window.anomalous:,} anomalous",
            columns(lines),
            "                    alert      no alert",
            f"  anomalous  {window.true_positives:>12}  {window.false_negatives:>12}",
            f"  normal     {window.false_positives:>12}  {window.true_negatives:>12}",
        ]
    )


def _four(figure: float | None) -> str:
    return "undefined" if figure is None else f"{figure:.4f}"


def as_dict(shown: Shown) -> dict[str, Any]:
    """For JSON."""
    counts = shown.counts
    return {
        "amount": shown.money,
        "models": [
            {
                "model": {"name": one.name.name, "version": one.name.version, "sha256": one.name.sha256},
                "window": one.window.to_dict(),
                "totals": [{"label": label, "verdict": v, "rows": n} for (label, v), n in one.totals.items()],
                "caught": one.caught,
                "missed": one.missed,
            }
            for one in shown.models
        ],
        "scored": {kind: counts.scored[kind] for kind in SCORED},
        "labels": {kind: counts.said[kind] for kind in SAID},
        "expired": [{"side": side, "reason": why, "count": counts.expired[side, why]} for side, why in EXPIRED],
        "refused": {reason: counts.refused[reason] for reason in REFUSALS},
        "waiting": dict(shown.waiting),
    }
