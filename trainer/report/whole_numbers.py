"""What truncation costs, where a recipe cuts its features to whole numbers: as the artifact's manifest has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from detector.page.content import Picture, Section, Table, percent
from detector.page.drawing import BLUE, ORANGE, axes, legend, png, wrapped
from trainer.truncation import FAILED, NO_LABELS, figures, losses

BARS = 15
"""Features that are shown."""

COMPARED = (
    "The same recipe was trained twice on the same rows, with and without truncation, and both models were judged by "
    "rows kept out of the fit, at the history's prevalence. One training of each: another seed moves both a little."
)
UNEXPLAINED = (
    "What is not explained is the share of the variance of held-out rows, as they came, that a reconstruction misses: "
    "the two errors cannot be compared, as each is of the model's own input."
)


def section(training: Mapping[str, Any], features: Sequence[str]) -> Section | None:
    """What the whole numbers lost, and what that costs in detection; None where the training did not truncate."""
    cost = training.get("truncation")
    if cost is None:
        return None
    lost = f"The recipe cuts its features to whole numbers: {losses(cost)}."
    pictures = (bars(cost, features),)
    compared = tuple(figures(cost))
    if not compared:
        why = FAILED if cost["with"] else NO_LABELS
        return Section("truncation", "What truncation costs", (lost, f"{why}."), pictures)
    columns = ("figure", "with truncation", "without")
    table = Table("What truncation costs in detection", columns, compared, frozenset({1, 2}))
    return Section("truncation", "What truncation costs", (lost, COMPARED, UNEXPLAINED), pictures, (table,))


def bars(cost: Mapping[str, Any], features: Sequence[str]) -> Picture:
    """Of the features that lose most of their variance the share that is lost, and the values that became 0."""
    kept = np.array([1.0 if share is None else share for share in cost["variance_kept_by_feature"]])
    zeroed = np.array(cost["zeroed_by_feature"])
    first = np.argsort(kept, kind="stable")[:BARS]
    figure, drawn = axes("share of the feature (%)", "", (5.6, 1.2 + 0.36 * len(first)))
    places = np.arange(len(first))
    drawn.barh(places - 0.2, 100 * (1 - kept[first]), 0.4, color=BLUE, label="variance lost")
    drawn.barh(places + 0.2, 100 * zeroed[first], 0.4, color=ORANGE, hatch="///", edgecolor="white", linewidth=0)
    drawn.containers[-1].set_label("values that became 0")
    drawn.set_yticks(places, [wrapped(features[i], 22, 2) for i in first])
    drawn.set_ylim(len(first) - 0.4, -0.6)
    drawn.set_xlim(0, 100)
    drawn.grid(visible=False, axis="y")
    legend(drawn)
    worst = ", ".join(f"{features[i]} {percent(1 - kept[i])} ({percent(zeroed[i])})" for i in first[:5])
    alt = f"Bars of the variance that each feature loses, and of its values that become 0. Worst first: {worst}."
    note = "Lost is what no linear function of the whole numbers tells: 1 - r squared, over the rows learned from."
    if len(first) < len(features):
        note = f"The {len(first)} of {len(features)} features that lose most. {note}"
    return Picture("truncation", "What whole numbers lose", png(figure), alt, note)
