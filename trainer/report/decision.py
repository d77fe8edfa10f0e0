"""What the threshold makes of the errors: right and wrong alerts, and what other thresholds would give."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray
from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_curve

from detector.calibration import Calibration, Cuts
from detector.page.content import Picture, number, percent
from detector.page.drawing import (
    BLUE,
    GREEN,
    GREY,
    PURPLE,
    SQUARE,
    axes,
    legend,
    logarithmic,
    mark_threshold,
    png,
    tick,
)
from trainer.evaluate import Evaluation
from trainer.tradeoff import Curve


def confusion(e: Evaluation) -> Picture:
    """Alerts against the truth: counts, and the share of each class."""
    counts = np.array([[e.true_negatives, e.false_positives], [e.false_negatives, e.true_positives]])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure, drawn = axes("verdict", "label", (5.6, 3.4))
    drawn.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), count in np.ndenumerate(counts):
        drawn.text(
            column,
            row,
            f"{count:,}\n{percent(shares[row, column])} of the class",
            ha="center",
            va="center",
            fontsize=11,
            color="white" if shares[row, column] > 0.5 else "black",
        )
    drawn.set_xticks([0, 1], ["no alert", "alert"])
    drawn.set_yticks([0, 1], ["normal", "anomalous"], rotation=90, va="center")
    drawn.grid(visible=False)
    drawn.axhline(0.5, color="white", linewidth=3)
    drawn.axvline(0.5, color="white", linewidth=3)
    drawn.tick_params(length=0)
    alt = (
        f"Confusion matrix at the threshold {number(e.threshold)}: of the anomalous rows {e.true_positives:,} alert, "
        f"{e.false_negatives:,} do not; of the normal rows {e.false_positives:,} alert, {e.true_negatives:,} do not."
    )
    return Picture("confusion", "Confusion matrix", png(figure), alt)


def roc(c: Calibration, threshold: float) -> Picture:
    """Recall against the share of normal rows that alert, over all thresholds; the area is the AUROC."""
    truth, scores, _ = _pooled(c)
    false_alarms, recall, _ = roc_curve(truth, scores)
    area, at = float(auc(false_alarms, recall)), c.at([threshold])
    here = float(at.normal[0] / c.normal_rows), float(at.recall[0])
    figure, drawn = axes("normal rows that alert (%)", "anomalous rows that alert: recall (%)", SQUARE)
    drawn.plot(100 * false_alarms, 100 * recall, color=BLUE, label=f"AUROC {area:.4f}")
    drawn.plot([0, 100], [0, 100], color=GREY, linestyle=":", label="chance: 0.5")
    _operating_point(drawn, here, threshold)
    legend(drawn)
    alt = (
        f"ROC curve, area {area:.4f}. At the threshold {number(threshold)}: {percent(here[1])} of the anomalous and "
        f"{percent(here[0])} of the normal rows alert."
    )
    return Picture("roc", "ROC curve", png(figure), alt)


def precision_recall(c: Calibration, threshold: float) -> Picture:
    """Precision against recall, over all thresholds, each row weighing as many as it stands for."""
    truth, scores, weights = _pooled(c)
    precision, recall, _ = precision_recall_curve(truth, scores, sample_weight=weights)
    average, at = float(average_precision_score(truth, scores, sample_weight=weights)), c.at([threshold])
    prevalence = c.anomalous_rows / (c.normal_rows + c.anomalous_rows)
    here = float(at.recall[0]), float(at.precision[0])
    figure, drawn = axes("recall (%)", "precision: alerts that are right (%)", SQUARE)
    drawn.plot(100 * recall, 100 * precision, color=BLUE, label=f"average precision {average:.4f}")
    drawn.axhline(100 * prevalence, color=GREY, linestyle=":", label=f"chance: {percent(prevalence)}")
    _operating_point(drawn, here, threshold)
    legend(drawn)
    alt = (
        f"Precision-recall curve, average precision {average:.4f}. At the threshold {number(threshold)}: precision "
        f"{percent(here[1])}, recall {percent(here[0])}; {percent(prevalence)} of all rows are anomalous."
    )
    return Picture("precision-recall", "Precision-recall curve", png(figure), alt)


def by_threshold(curve: Curve, at: Cuts) -> Picture:
    """Precision, recall and F1 at each threshold."""
    assert curve.precision is not None
    assert curve.recall is not None
    assert curve.f1 is not None
    figure, drawn = axes("threshold (score)", "figure (%)")
    for name, values, colour, line in (
        ("precision", curve.precision, "black", "-"),
        ("recall", curve.recall, GREEN, "--"),
        ("F1", curve.f1, PURPLE, "-."),
    ):
        drawn.plot(curve.thresholds, 100 * values, color=colour, linestyle=line, label=name)
    value = _with_threshold(drawn, curve, at)
    drawn.set_ylim(-2, 102)
    legend(drawn, 4)
    best = int(np.nanargmax(curve.f1))
    alt = (
        f"Precision, recall and F1 by threshold. At the threshold {number(value)}: {percent(float(at.precision[0]))}, "
        f"{percent(float(at.recall[0]))} and {percent(float(at.f1[0]))}; "
        f"the best F1, {percent(float(curve.f1[best]))}, is at {number(float(curve.thresholds[best]))}."
    )
    return Picture("by-threshold", "Precision and recall by threshold", png(figure), alt)


def alerts(curve: Curve, at: Cuts) -> Picture:
    """Alerts a day at each threshold; without a time their share of all rows."""
    per_day = curve.alerts_per_day
    name, unit = "Alerts by threshold", "rows that alert (%)"
    if per_day is not None:
        name, unit = "Alerts a day by threshold", "alerts a day"
    values = per_day if per_day is not None else 100 * curve.alert_share
    figure, drawn = axes("threshold (score)", unit)
    drawn.plot(curve.thresholds, values, color="black", label="alerts")
    if curve.precision is not None:
        drawn.plot(
            curve.thresholds,
            values * (1 - curve.precision),
            color=BLUE,
            linestyle="--",
            label="of these on normal rows",
        )
    value = _with_threshold(drawn, curve, at)
    drawn.set_yscale("log")
    drawn.yaxis.set_major_formatter(FuncFormatter(lambda value, _: tick(value)))
    legend(drawn, 4)
    now = float(np.interp(value, curve.thresholds, values))
    alt = f"{unit[0].upper()}{unit[1:]} by threshold, from {number(float(values[0]))} to {number(float(values[-1]))}; "
    return Picture("alerts", name, png(figure), f"{alt}about {number(now, 3)} at the threshold {number(value)}.")


def _with_threshold(drawn: Axes, curve: Curve, at: Cuts) -> float:
    value = float(at.thresholds[0])
    positive = curve.thresholds[curve.thresholds > 0]
    logarithmic(drawn, "x", positive)
    mark_threshold(drawn, value)
    return value


def _operating_point(drawn: Axes, place: tuple[float, float], threshold: float) -> None:
    x, y = (100 * share for share in place)
    text = f"threshold {number(threshold)}"
    drawn.plot([x], [y], "D", color="black", markersize=7, markerfacecolor="white", label=text, clip_on=False, zorder=4)
    drawn.set_xlim(-2, 102)
    drawn.set_ylim(-2, 104)


def _pooled(c: Calibration) -> tuple[NDArray[np.bool_], NDArray[np.float32], NDArray[np.float64]]:
    """Truth, scores and weights (n,) of all rows of a calibration."""
    weights = (c.held_out_weight, c.anomalous_weight)
    counts = (len(c.held_out), len(c.anomalous))
    return np.repeat([False, True], counts), np.concatenate((c.held_out, c.anomalous)), np.repeat(weights, counts)
