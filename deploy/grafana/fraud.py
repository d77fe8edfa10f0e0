"""The dashboard *Fraud*: what alerts, by how much, why, and how right that was."""

from __future__ import annotations

from collections.abc import Sequence

from grafana_foundation_sdk.builders import timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Panel

from deploy.grafana.board import Board, Section
from deploy.grafana.panels import (
    JUDGED,
    RANGE,
    SERVED,
    WINDOW,
    About,
    Query,
    band,
    bars,
    buckets,
    figure,
    gained,
    lines,
)

NO_ROWS = "No row was scored in this time"
NO_WINDOWS = "No partition has enough rows for a median yet"
NO_TRUTH = "No labelled row of these models yet: `detector feedback` and `run --scores-topic` tell them"
NO_MONEY = "No amount travels with the scores (--scores-amount), or no row is labelled yet"
NO_FEEDBACK = "`detector feedback` was not scraped"
NO_ALERT = "No alert in this time"

SIGMAS = 3.5 / 0.6745
"""MADs above the median at which the modified z is 3.5 (Iglewicz and Hoaglin 1993)."""


def board() -> Board:
    """The dashboard."""
    return Board(
        "fraud",
        "Fraud",
        "Alerts, scores, reasons, and how right the verdicts were, of the detectors of one topic.",
        24,
        [
            Section("In this time", _figures()),
            Section("Alerts", _alerts()),
            Section("Scores", _scores()),
            Section("Right and wrong", [*_truth(), *_judged()]),
            Section("Money", _money()),
            Section("Labels on their way", [*_labels(), *_left_over()], folded=True),
        ],
    )


def _figures() -> Sequence[Builder[Panel]]:
    alerts, rows = gained("detector_alerts_total"), gained("detector_rows_total")
    return [
        figure(About("Alerts", units.Short, "Alerts published in the time shown.", NO_ROWS), Query(alerts)),
        figure(
            About("Share of rows", units.PercentUnit, "Alerts among the rows scored in the time shown.", NO_ROWS),
            Query(f"{alerts} / ({rows} > 0)"),
        ),
        _of_model(
            "Precision", "precision", units.PercentUnit, "Share of alerts that were right, of the last labelled rows."
        ),
        _of_model(
            "Recall", "recall", units.PercentUnit, "Share of anomalous rows that alerted, of the last labelled rows."
        ),
        figure(
            About(
                "Money caught", units.LocaleFormat, "Of anomalous rows that alerted, labelled in this time.", NO_MONEY
            ),
            Query(f"sum(increase(detector_amount_caught_total{JUDGED}{RANGE}))"),
        ),
        figure(
            About(
                "Money missed", units.LocaleFormat, "Of anomalous rows without alert, labelled in this time.", NO_MONEY
            ),
            Query(f"sum(increase(detector_amount_missed_total{JUDGED}{RANGE}))"),
        ),
    ]


def _of_model(title: str, metric: str, unit: str, description: str) -> Builder[Panel]:
    return figure(About(title, unit, description, NO_TRUTH), _by_model(metric))


def _by_model(metric: str) -> Query:
    """A gauge of feedback, a series for each model; models of one name and version differ by the rest."""
    return Query(f"detector_{metric}{JUDGED}", "{{model}} {{version}}")


def _alerts() -> Sequence[Builder[Panel]]:
    alerts, rows = (f"sum(rate(detector_{name}_total{SERVED}{WINDOW}))" for name in ("alerts", "rows"))
    reasons = f"sum by (feature) (increase(detector_alert_reasons_total{SERVED}{RANGE}))"
    return [
        lines(
            About("Alert rate", units.EventsPerMinute, "Alerts a minute, by member; stacked.", NO_ROWS),
            Query(f"60 * sum by (instance) (rate(detector_alerts_total{SERVED}{WINDOW}))", "{{instance}}"),
            stacked=True,
        ),
        lines(
            About(
                "Alerts among rows",
                units.PercentUnit,
                "Share of rows that alert. It moves when the world does, and when the threshold does.",
                NO_ROWS,
            ),
            Query(f"{alerts} / ({rows} > 0)", "share"),
        ),
        bars(
            About(
                "Top features of alerts",
                units.Short,
                "Alerts in the time shown by the feature that carries most of their score.",
                NO_ALERT,
            ),
            Query(f"sort_desc(topk(12, {reasons}) > 0)", "{{feature}}"),
        ),
        lines(
            About(
                "Reasons over time",
                units.EventsPerMinute,
                "Alerts a minute by the feature that carries most of their score: those features that carry any.",
                NO_ALERT,
            ),
            Query(f"60 * sum by (feature) (rate(detector_alert_reasons_total{SERVED}{WINDOW})) > 0", "{{feature}}"),
            stacked=True,
        ),
    ]


def _scores() -> Sequence[Builder[Panel]]:
    return [
        buckets(
            About(
                "Scores",
                units.Short,
                "How many rows had which score. The edges are multiples of the model's threshold, so choose the "
                "detectors of one model.",
                NO_ROWS,
            ),
            Query(f"sum by (le) (increase(detector_score_bucket{SERVED}{WINDOW}))", "{{le}}"),
        ),
        band(_bands(), "median + MAD", "median - MAD"),
    ]


def _bands() -> timeseries.Panel:
    median, mad = f"detector_score_median{SERVED}", f"detector_score_mad{SERVED}"
    return lines(
        About(
            "Median, MAD and threshold",
            units.Short,
            "Of the partitions' windows the middle one: the median with its MAD on either side, where a modified z of "
            "3.5 lies, and the highest and lowest threshold in force.",
            NO_WINDOWS,
        ),
        Query(f"quantile(0.5, {median})", "median"),
        Query(f"quantile(0.5, {median} + {mad})", "median + MAD"),
        Query(f"quantile(0.5, {median} - {mad})", "median - MAD"),
        Query(f"quantile(0.5, {median} + {SIGMAS:.4f} * {mad})", "modified z of 3.5"),
        Query(f"max(detector_threshold{SERVED})", "highest threshold"),
        Query(f"min(detector_threshold{SERVED})", "lowest threshold"),
        width=24,
        logarithmic=True,
    )


def _truth() -> Sequence[Builder[Panel]]:
    return [
        lines(
            About(
                "Precision, recall, F1",
                units.PercentUnit,
                "Of each model's last labelled rows. Labels come late: it is the past that is judged.",
                NO_TRUTH,
            ),
            *(_over_models(name) for name in ("precision", "recall", "f1")),
            most=1,
        ),
        lines(
            About(
                "Ranking",
                units.PercentUnit,
                "AUROC and average precision of the scores of each model's last labelled rows: what another threshold "
                "could still gain.",
                NO_TRUTH,
            ),
            _over_models("auroc", "AUROC"),
            _over_models("average_precision", "average precision"),
            most=1,
        ),
    ]


def _judged() -> Sequence[Builder[Panel]]:
    cells = f"sum by (label, verdict) (increase(detector_labelled_rows_total{JUDGED}{WINDOW}))"
    return [
        lines(
            About(
                "Labelled rows",
                units.Short,
                "Rows whose truth became known, by label and verdict; stacked.",
                NO_TRUTH,
            ),
            Query(cells, "{{label}}, {{verdict}}"),
            stacked=True,
        ),
        lines(
            About(
                "Rows judged", units.Short, "Labelled rows that a model's figures are of, at most the window.", NO_TRUTH
            ),
            _over_models("window_rows", "rows"),
        ),
    ]


def _over_models(metric: str, word: str = "") -> Query:
    return Query(f"detector_{metric}{JUDGED}", f"{word or metric}, {{{{model}}}} {{{{version}}}}")


def _money() -> Sequence[Builder[Panel]]:
    caught, missed = (f"sum(increase(detector_amount_{name}_total{JUDGED}{WINDOW}))" for name in ("caught", "missed"))
    return [
        lines(
            About("Money caught and missed", units.LocaleFormat, "Of anomalous rows, as their labels came.", NO_MONEY),
            Query(caught, "caught"),
            Query(missed, "missed"),
            stacked=True,
        ),
        lines(
            About("Share of money caught", units.PercentUnit, "Of the money of anomalous rows.", NO_MONEY),
            Query(f"{caught} / ({caught} + {missed} > 0)", "share"),
            most=1,
        ),
    ]


def _feedback(metric: str, by: str) -> str:
    return f"sum by ({by}) (rate(detector_feedback_{metric}_total{WINDOW}))"


def _labels() -> Sequence[Builder[Panel]]:
    return [
        lines(
            About(
                "Read",
                units.RecordsPerSecond,
                "Scored rows and labels that feedback read, by what they said.",
                NO_FEEDBACK,
            ),
            Query(_feedback("scored", "kind"), "{{kind}} row"),
            Query(_feedback("labels", "kind"), "{{kind}} label"),
            width=8,
        ),
        lines(
            About(
                "Waiting", units.Short, "Scored rows without a label, and labels whose row is not known.", NO_FEEDBACK
            ),
            Query("sum by (side) (detector_feedback_pending)", "{{side}}"),
            width=8,
        ),
        lines(
            About("Not yet read", units.Short, "Records of each topic that feedback has not read.", NO_FEEDBACK),
            Query("sum by (topic) (detector_feedback_lag)", "{{topic}}"),
            width=8,
        ),
    ]


def _left_over() -> Sequence[Builder[Panel]]:
    return [
        lines(
            About(
                "Waited in vain",
                units.RecordsPerSecond,
                "Rows and labels that went without the other: late, or crowded out by others.",
                NO_FEEDBACK,
            ),
            Query(_feedback("expired", "side, reason"), "{{side}}, {{reason}}"),
        ),
        lines(
            About("Passed over", units.MessagesPerSecond, "Messages that are no labels or scores.", NO_FEEDBACK),
            Query(_feedback("refused", "reason"), "{{reason}}"),
        ),
    ]
