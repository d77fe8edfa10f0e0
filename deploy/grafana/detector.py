"""The dashboard *Detector*: whether it keeps up, how fast it tells, where its time goes, what goes wrong."""

from __future__ import annotations

from collections.abc import Sequence

from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Panel

from deploy.grafana.board import Board, Section
from deploy.grafana.panels import BAD, SERVED, WARN, WINDOW, About, Query, buckets, figure, lines, rows_of

NO_DETECTOR = "No detector of this choice was scraped: look at Prometheus' targets"
NO_ROWS = "No row was read in this time"
NO_ALERT = "No alert in this time"
NO_PARTITIONS = "No partition is assigned yet: the members may be joining"
NO_REPLAY = "No replay serves figures: start it with --metrics-port"


def board() -> Board:
    """The dashboard."""
    return Board(
        "detector",
        "Detector",
        "Throughput, lag, latency, the stages of a batch and errors, of the detectors of one topic.",
        1,
        [
            Section("Now", _now()),
            Section("Throughput and lag", _throughput()),
            Section("Latency and stages", [*_latency(), *_stages()]),
            Section("Errors", [*_errors(), *_beginnings()]),
            Section("Partitions", [_partitions()]),
            Section("Kafka client", _kafka()),
            Section("Replay", _replay(), folded=True),
        ],
    )


def _now() -> Sequence[Builder[Panel]]:
    rows, rejects = (
        f"sum(rate(detector_rows_total{SERVED}{WINDOW}))",
        f"sum(rate(detector_rejects_total{SERVED}{WINDOW}))",
    )
    return [
        figure(
            About("Detectors", units.Short, "Members that are scraped and serve a model.", NO_DETECTOR),
            Query(f"count(detector_rows_total{SERVED})"),
        ),
        figure(
            About("Rows", units.RowsPerSecond, "Rows scored and committed each second, by all members.", NO_DETECTOR),
            Query(rows),
        ),
        figure(
            About("Lag", units.Short, "Messages of the topic that wait to be processed.", NO_PARTITIONS),
            Query(f"sum(detector_lag_rows{SERVED})"),
        ),
        figure(
            About(
                "Lag in time",
                units.Seconds,
                "How old the last processed row of the slowest partition is, while more wait.",
                NO_PARTITIONS,
            ),
            Query(f"max(detector_lag_seconds{SERVED})"),
            steps=[(60, WARN), (300, BAD)],
        ),
        figure(
            About("Alert latency, p99", units.Seconds, _LATENCY, NO_ALERT),
            Query(_quantile(0.99, "detector_alert_latency_seconds")),
        ),
        figure(
            About("Dead letters", units.PercentUnit, "Share of messages that were no rows.", NO_ROWS),
            Query(f"{rejects} / ({rows} + {rejects} > 0)"),
            steps=[(0.001, WARN), (0.01, BAD)],
        ),
    ]


_LATENCY = (
    "From a row's event time to the commit of its alert. A clock that differs between sender and detector is in it, "
    "and so is all the time that a replayed row of the past has waited."
)


def _quantile(share: float, histogram: str) -> str:
    return f"histogram_quantile({share:g}, sum by (le) (rate({histogram}_bucket{SERVED}{WINDOW})))"


def _throughput() -> Sequence[Builder[Panel]]:
    return [
        lines(
            About("Rows", units.RowsPerSecond, "Rows scored and committed, by member; stacked.", NO_DETECTOR),
            Query(f"sum by (instance) (rate(detector_rows_total{SERVED}{WINDOW}))", "{{instance}}"),
            stacked=True,
        ),
        lines(
            About(
                "Lag by partition",
                units.Short,
                "Messages not yet processed. One partition above the others: its keys are hot, or its owner is slow.",
                NO_PARTITIONS,
            ),
            Query(f"sum by (partition) (detector_lag_rows{SERVED})", "{{partition}}"),
        ),
        lines(
            About(
                "Lag in time by partition",
                units.Seconds,
                "How old the last processed row is while there are more, else 0.",
                NO_PARTITIONS,
            ),
            Query(f"max by (partition) (detector_lag_seconds{SERVED})", "{{partition}}"),
        ),
        lines(
            About(
                "Samples that wait",
                units.Short,
                "Samples of signals that wait for others to be a row. It stays near half a window for each signal.",
                "No member cuts signals into rows (--window-samples)",
            ),
            Query(f"sum by (partition) (detector_open_samples{SERVED})", "{{partition}}"),
        ),
    ]


def _latency() -> Sequence[Builder[Panel]]:
    latency, size = "detector_alert_latency_seconds", "detector_batch_rows"
    return [
        lines(
            About(
                "Alert latency",
                units.Seconds,
                f"{_LATENCY} Points are single alerts, where Prometheus keeps them.",
                NO_ALERT,
            ),
            Query(_quantile(0.5, latency), "p50"),
            Query(_quantile(0.95, latency), "p95"),
            Query(_quantile(0.99, latency), "p99", exemplars=True),
            logarithmic=True,
        ),
        lines(
            About(
                "Batch size",
                units.Short,
                "Messages in a batch. At rest a few; at the most that --max-batch allows, the detector is behind.",
                NO_ROWS,
            ),
            Query(_quantile(0.5, size), "p50"),
            Query(_quantile(0.95, size), "p95"),
            Query(f"sum(rate({size}_sum{SERVED}{WINDOW})) / (sum(rate({size}_count{SERVED}{WINDOW})) > 0)", "mean"),
        ),
    ]


def _stages() -> Sequence[Builder[Panel]]:
    stage = f"sum by (stage) (rate(detector_stage_seconds_sum{SERVED}{WINDOW}))"
    batches = f"sum by (stage) (rate(detector_stage_seconds_count{SERVED}{WINDOW}))"
    return [
        lines(
            About(
                "Where the time goes",
                units.PercentUnit,
                "Share of a member's time in each stage, the mean over the members. Poll is mostly waiting for rows.",
                NO_DETECTOR,
            ),
            Query(f"avg by (stage) (rate(detector_stage_seconds_sum{SERVED}{WINDOW}))", "{{stage}}"),
            stacked=True,
        ),
        lines(
            About("Time of a stage", units.Seconds, "Mean time that a batch spends in each stage.", NO_ROWS),
            Query(f"{stage} / ({batches} > 0)", "{{stage}}"),
            logarithmic=True,
        ),
        buckets(
            About(
                "Alert latency over time",
                units.Short,
                "How many alerts became visible how long after their row's event time.",
                NO_ALERT,
            ),
            Query(f"sum by (le) (increase(detector_alert_latency_seconds_bucket{SERVED}{WINDOW}))", "{{le}}"),
            axis=units.Seconds,
        ),
    ]


def _errors() -> Sequence[Builder[Panel]]:
    rejects = f"rate(detector_rejects_total{SERVED}{WINDOW})"
    by_reason = f"sum by (reason) ({rejects})"
    none = f'(label_replace(sum({rejects}), "reason", "none", "", "") == 0)'  # looked for, and there is none
    return [
        lines(
            About(
                "Dead letters by reason",
                units.MessagesPerSecond,
                "Messages that were no rows. `python -m detector dead-letters` shows them.",
                NO_DETECTOR,
            ),
            Query(f"({by_reason} > 0) or {none}", "{{reason}}"),
            stacked=True,
        ),
        lines(
            About(
                "Transactions",
                units.OpsPerSecond,
                "Commits of batches, by how they ended. What an aborted one held is read again: nothing is lost.",
                NO_DETECTOR,
            ),
            Query(f"sum by (outcome) (rate(detector_transactions_total{SERVED}{WINDOW}))", "{{outcome}}"),
        ),
    ]


def _beginnings() -> Sequence[Builder[Panel]]:
    """Processes and models that begin, or could not."""
    return [
        lines(
            About(
                "Restarts",
                units.Short,
                "Counters that began anew: a process under the same address is another one. Rows are read again from "
                "the last commit.",
                NO_DETECTOR,
            ),
            Query(f"sum by (instance) (resets(detector_rows_total{SERVED}{WINDOW}))", "{{instance}}"),
        ),
        lines(
            About(
                "Models refused",
                units.Short,
                "Successors of the model that could not be served: damaged, unsigned or made for other features. The "
                "old one goes on; the log says why.",
                NO_DETECTOR,
            ),
            Query(f"sum by (instance) (increase(detector_models_refused_total{SERVED}{WINDOW}))", "{{instance}}"),
        ),
    ]


def _partitions() -> Builder[Panel]:
    def by(metric: str) -> Query:
        return Query(f"max by (partition) (detector_{metric}{SERVED})")

    return rows_of(
        About(
            "Partitions",
            units.Short,
            "What is in force for each partition of the topic. Median and MAD are of its window of scores; before it "
            "has enough of them the calibrated threshold holds.",
            NO_PARTITIONS,
        ),
        {
            "lag, messages": by("lag_rows"),
            "lag, time": by("lag_seconds"),
            "median": by("score_median"),
            "MAD": by("score_mad"),
            "threshold": by("threshold"),
        },
        {"partition": "partition"},
        {"lag, time": units.Seconds},
    )


def _kafka() -> Sequence[Builder[Panel]]:
    """Panels of the client's own figures (`kafka_...`) belong here; the row shows once there are any."""
    return []


def _replay() -> Sequence[Builder[Panel]]:
    late = f"sum by (le) (rate(replay_lateness_seconds_bucket{WINDOW}))"
    return [
        lines(
            About("Sent", units.RecordsPerSecond, "Rows and labels that the broker has, each second.", NO_REPLAY),
            Query(f"sum(rate(replay_rows_total{WINDOW}))", "rows"),
            Query(f"sum(rate(replay_labels_total{WINDOW}))", "labels"),
            Query(f"sum(rate(replay_failed_total{WINDOW}))", "refused"),
            width=8,
        ),
        lines(
            About(
                "Rows ahead of the group",
                units.Short,
                "How far the group of --max-lead is behind what was sent, when last asked.",
                NO_REPLAY,
            ),
            Query("sum(replay_lead_rows)", "rows"),
            width=8,
        ),
        lines(
            About(
                "Lateness",
                units.Seconds,
                "From the moment that a row was due to that at which it was handed over.",
                "No row had a due time: the speed is max, or no replay serves figures",
            ),
            Query(f"histogram_quantile(0.5, {late})", "p50"),
            Query(f"histogram_quantile(0.99, {late})", "p99"),
            width=8,
            logarithmic=True,
        ),
    ]
