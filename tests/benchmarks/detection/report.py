"""Outcomes as Markdown for a person and as JSON for a program; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from tests.benchmarks.detection.known import KNOWN, NOTES
from tests.benchmarks.detection.methods import Outcome
from tests.benchmarks.detection.protocols import Protocol
from tests.benchmarks.detection.tables import PREFIX

TITLES = {
    "auroc": "AUROC",
    "average_precision": "AP",
    "best_f1": "best F1",
    "recall_at_precision_90": "recall at precision .9",
    "card_precision_100": "card precision@100",
    "accuracy_own": "accuracy, own rule",
    "f1_own": "F1, own rule",
    "accuracy_chosen": "accuracy, rule f1",
    "f1_chosen": "F1, rule f1",
    "precision": "precision, mad:3",
    "recall": "recall, mad:3",
    "accuracy": "accuracy, mad:3",
}


def as_dict(outcomes: Sequence[Outcome], failures: Sequence[str], about: Mapping[str, Any]) -> dict[str, Any]:
    """Every run with all digits."""
    return {**about, "failures": list(failures), "runs": [asdict(outcome) for outcome in outcomes]}


def as_markdown(
    outcomes: Sequence[Outcome], failures: Sequence[str], protocols: Mapping[str, Protocol], about: Mapping[str, Any]
) -> str:
    """A table for each protocol, one for all small tables, and what failed."""
    ran = list(dict.fromkeys(outcome.protocol for outcome in outcomes))
    parts = [f"Measured on {about['machine']}. Mean ± standard deviation over the seeds."]
    parts += [_protocol(name, protocols[name].about, _of(outcomes, name)) for name in ran if not _small(name)]
    if small := [outcome for outcome in outcomes if _small(outcome.protocol)]:
        parts.append(_small_tables(small))
    if failures:
        parts.append("\n".join(["## Failed", "", *(f"- {failure}" for failure in failures)]))
    return "\n\n".join(parts) + "\n"


def _small(name: str) -> bool:
    return name.startswith(PREFIX)


def _of(outcomes: Sequence[Outcome], protocol: str) -> list[Outcome]:
    return [outcome for outcome in outcomes if outcome.protocol == protocol]


def _protocol(name: str, about: str, outcomes: list[Outcome]) -> str:
    keys = list(outcomes[0].figures)
    own = "accuracy_own" in keys
    head = ["method", *(TITLES[key] for key in keys), *(["own rule"] if own else []), "seeds", "fit s", "peak MB"]
    rows = [_row(method, group, keys, own) for method, group in _by_method(outcomes).items()]
    rows += [
        [f"before: {method}", *(figures.get(key, "") for key in keys), *[""] * (len(head) - 1 - len(keys))]
        for method, figures in KNOWN.get(name, {}).items()
    ]
    notes = ["", NOTES[name]] if name in NOTES else []
    return "\n".join([f"## {name}: {about}", "", *_table(head, rows), *notes])


def _by_method(outcomes: Iterable[Outcome]) -> dict[str, list[Outcome]]:
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        short = f" (epochs ≤ {outcome.epochs})" if outcome.epochs else ""
        groups.setdefault(outcome.method + short, []).append(outcome)
    return groups


def _row(method: str, group: list[Outcome], keys: list[str], own: bool) -> list[str]:
    peaks = [outcome.megabytes for outcome in group if outcome.megabytes is not None]
    return [
        method,
        *(spread([outcome.figures[key] for outcome in group]) for key in keys),
        *([group[0].rule] if own else []),
        ", ".join(str(outcome.seed) for outcome in group),
        f"{np.mean([outcome.seconds for outcome in group]):.1f}",
        f"{max(peaks):.0f}" if peaks else "?",
    ]


def spread(figures: Sequence[float]) -> str:
    """Mean ± standard deviation (n - 1); the figure alone where there is one."""
    mean = f"{np.mean(figures):.3f}"
    return mean if len(figures) == 1 else f"{mean} ± {np.std(figures, ddof=1):.3f}"


def _small_tables(outcomes: list[Outcome]) -> str:
    methods = list(_by_method(outcomes))
    names = list(dict.fromkeys(outcome.protocol for outcome in outcomes))
    parts = ["## Small tables: half of the normal rows train, the rest and all anomalies are judged"]
    for key in ("auroc", "average_precision"):
        values = np.array([[_mean(_of(outcomes, name), method, key) for method in methods] for name in names])
        whole = values[~np.isnan(values).any(axis=1)]
        rows = [[name.removeprefix(PREFIX), *map(_number, line)] for name, line in zip(names, values, strict=True)]
        if len(whole):
            rows.append([f"mean of {len(whole)}", *map(_number, whole.mean(axis=0))])
            rows.append(["mean rank", *(f"{rank:.2f}" for rank in ranks(whole).mean(axis=0))])
        parts.append("\n".join([f"### {TITLES[key]}", "", *_table(["table", *methods], rows)]))
    return "\n\n".join(parts)


def _mean(outcomes: list[Outcome], method: str, key: str) -> float:
    found = [outcome.figures[key] for outcome in _by_method(outcomes).get(method, [])]
    return float(np.mean(found)) if found else float("nan")


def _number(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.3f}"


def ranks(values: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """In each row (n, k) the places of its values from 1, the highest; equal ones share the mean of theirs."""
    higher = (values[:, None, :] > values[:, :, None]).sum(axis=2)
    equal = (values[:, None, :] == values[:, :, None]).sum(axis=2)
    return np.asarray(higher + (equal + 1) / 2)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table whose columns also line up as plain text; numbers to the right."""
    widths = [max(len(line[i]) for line in (head, *rows)) for i in range(len(head))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = [
        [line[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(line[1:], widths[1:], strict=True))]
        for line in (head, *rows)
    ]
    return ["| " + " | ".join(line) + " |" for line in (lines[0], rule, *lines[1:])]
