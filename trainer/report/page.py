"""What the page of a report says first: what it is about, and its figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from detector.page import page
from detector.page.content import Section, Table, counted, number
from trainer.bootstrap import Estimate
from trainer.comparison import BRACKETS, percent, quantity, ratio, with_interval
from trainer.evaluate import Evaluation, evaluate
from trainer.report.evidence import Evidence
from trainer.report.folder import MARK
from trainer.tradeoff import Figures, figures

AREAS = {"AUROC": "auroc", "average precision": "average_precision"}
NOT_SAID = "not said: the artifact is of an earlier version"


def render(evidence: Evidence, sections: Sequence[Section]) -> str:
    """The page's HTML."""
    name = evidence.artifact.name
    title = f"{name.name} version {name.version}: report"
    return page.render(title, MARK, facts(evidence), figure_table(evidence), sections)


def facts(evidence: Evidence) -> Mapping[str, str]:
    """What the report is about."""
    found, m = evidence.artifact, evidence.artifact.manifest
    data = evidence.seen.name if evidence.seen else f"none; rows of {m['data']['name']} kept out of the training"
    rows = counted(len(evidence.scores), "row")
    if evidence.truth is not None:
        rows += f", {int(evidence.truth.sum()):,} of them anomalous"
    label = evidence.seen.label if evidence.seen else found.schema.label
    return {
        "Model": f"{found.name.name} version {found.name.version}",
        "SHA-256 of its graph": found.name.sha256,
        "Made": f"{m['created_at']} by recipe {m['training']['recipe']}, from {m['data']['name']}",
        "Score": str(m["training"].get("score", NOT_SAID)),
        "Features": f"{len(found.schema.features):,}",
        "Threshold": f"{number(evidence.threshold.value, 9)} by {evidence.threshold.method}",
        "Data": data,
        "Rows": rows,
        "Label": f"column {label}" if label and evidence.labelled else "none",
    }


def figure_table(evidence: Evidence) -> Table:
    """The figures at the threshold and over all thresholds, each with its interval, and the counts behind them."""
    found = figures(evidence.calibration, evidence.threshold.value, evidence.labelled)
    amount = evidence.calibration.amount
    lines = [(name, with_interval(one, text)) for name, one, text in _figures(found, amount) if one]
    if evidence.truth is not None:
        e = evaluate(evidence.scores, evidence.truth, evidence.threshold.value)
        lines += [(name, _area(e, key)) for name, key in AREAS.items() if evidence.seen or key == "auroc"]
        lines += [
            ("anomalous rows that alert", f"{e.true_positives:,} of {e.anomalous:,}"),
            ("normal rows that alert", f"{e.false_positives:,} of {e.rows - e.anomalous:,}"),
        ]
    caption = f"Figures at the threshold; {BRACKETS}"
    return Table(caption, ("figure", "value"), tuple(lines), frozenset({1}))


def _figures(f: Figures, amount: str | None) -> list[tuple[str, Estimate | None, Callable[[float], str]]]:
    return [
        ("precision", f.precision, ratio),
        ("recall", f.recall, ratio),
        ("F1", f.f1, ratio),
        ("rows that alert", f.alert_share, percent),
        ("alerts a day", f.alerts_per_day, quantity),
        ("false alerts a day", f.false_alerts_per_day, quantity),
        (f"{amount} caught a day", f.caught_per_day, quantity),
        (f"{amount} missed a day", f.missed_per_day, quantity),
    ]


def _area(e: Evaluation, key: str) -> str:
    value = getattr(e, key)
    if value is None:
        return "undefined"
    low, high = e.intervals[key]
    return f"{value:.4f} [{low:.4f}, {high:.4f}]"
