"""The dashboard *Detector*: whether it keeps up, how fast it tells, where its time goes, what goes wrong."""

from __future__ import annotations

from collections.abc import Sequence

from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Panel

from deploy.grafana.board import Board, Section
from deploy.grafana.panels import (
    BAD,
    OK,
    SERVED,
    WARN,
    WINDOW,
    About,
    Query,
    buckets,
    figure,
    lines,
    rows_of,
    timeline,
)

NO_DETECTOR = "No detector of this choice was scraped: look at Prometheus' targets"
NO_ROWS = "No row was read in this time"
NO_ALERT = "No alert in this time"
NO_PARTITIONS = "No partition is assigned yet: the members may be joining"
NO_PROCESS = "No figures of processes: they are told on Linux alone"
NO_CLIENT = "Nothing told yet: Kafka's client does so every few seconds"
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
            Section("Errors", [*_errors(), *_losses()]),
            Section("Members", [_members(), *_comings(), *_processes()]),
            Section("Partitions", [_partitions()]),
            Section("Kafka client", [*_brokers(), *_failures(), *_queues(), *_progress()], folded=True),
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
            Query(f"count(detector_service_info{SERVED})"),
        ),
        figure(
            About("Rows", units.RowsPerSecond, "Rows scored and committed each second, by all members.", NO_DETECTOR),
            Query(rows),
        ),
        figure(
            About("Lag", units.Short, "Messages of the topic that wait to be processed.", NO_PARTITIONS),
            Query(f"sum(max by (partition) (detector_lag_rows{SERVED}))"),
        ),
        figure(
            About(
                "Lag in time",
                units.Seconds,
                "How old the last processed row of the slowest partition is, while more wait.",
                NO_PARTITIONS,
            ),
            Query(f"max(detector_lag_seconds{SERVED})"),
            steps=[(30, WARN), (300, BAD)],
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
            Query(f"max by (partition) (detector_lag_rows{SERVED})", "{{partition}}"),
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
            Query(f"max by (partition) (detector_open_samples{SERVED})", "{{partition}}"),
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


def _losses() -> Sequence[Builder[Panel]]:
    """Rows, and models, that were not taken."""
    return [
        lines(
            About(
                "Rows lost",
                units.Short,
                "Messages that retention removed before they were read, since each member started. They will not be "
                "scored.",
                NO_DETECTOR,
            ),
            Query(f"sum by (instance) (detector_rows_expired_total{SERVED})", "{{instance}}"),
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


def _members() -> Builder[Panel]:
    named = "instance, group, member, delivery"
    return rows_of(
        About("Members", units.Short, "Who shares the partitions, and what each does.", NO_DETECTOR),
        {
            "": Query(f"max by ({named}) (detector_service_info{SERVED})"),
            "partitions": Query(f"count by (instance) (detector_lag_rows{SERVED})"),
            "rows": Query(f"sum by (instance) (rate(detector_rows_total{SERVED}{WINDOW}))"),
            "running for": Query(f"time() - max by (instance) (process_start_time_seconds{SERVED})"),
        },
        {"instance": "detector", "group": "group", "member": "name", "delivery": "delivery"},
        {"rows": units.RowsPerSecond, "running for": units.Seconds},
    )


def _comings() -> Sequence[Builder[Panel]]:
    return [
        lines(
            About(
                "Members here and wanted",
                units.Short,
                "Members that are scraped, and how many there shall be (--replicas; 0: any number).",
                NO_DETECTOR,
            ),
            Query(f"count(detector_service_info{SERVED})", "here"),
            Query(f"max(detector_replicas_wanted{SERVED})", "wanted"),
        ),
        lines(
            About(
                "Restarts",
                units.Short,
                "Processes that took the place of another one at the same address. Rows are read again from the last "
                "commit.",
                NO_PROCESS,
            ),
            Query(f"sum by (instance) (changes(process_start_time_seconds{SERVED}{WINDOW}))", "{{instance}}"),
        ),
    ]


def _processes() -> Sequence[Builder[Panel]]:
    def of_each(title: str, unit: str, description: str, expr: str) -> Builder[Panel]:
        return lines(About(title, unit, description, NO_PROCESS), Query(expr, "{{instance}}"), width=8)

    return [
        of_each(
            "Processor",
            units.PercentUnit,
            "Processor time of each member: 100 % is one core.",
            f"sum by (instance) (rate(process_cpu_seconds_total{SERVED}{WINDOW}))",
        ),
        of_each(
            "Memory",
            units.BytesIEC,
            "Resident memory of each member: what a container's limit is of.",
            f"max by (instance) (process_resident_memory_bytes{SERVED})",
        ),
        of_each(
            "Open files",
            units.PercentUnit,
            "Files and connections that each member has open, of those that it may.",
            f"max by (instance) (process_open_fds{SERVED} / process_max_fds{SERVED})",
        ),
    ]


def _partitions() -> Builder[Panel]:
    def by(metric: str) -> Query:
        return Query(f"max by (partition) (detector_{metric}{SERVED})")

    return rows_of(
        About(
            "Partitions",
            units.Short,
            "Who has each partition of the topic, and what is in force for it. Median and MAD are of its window of "
            "scores; before it has enough of them the calibrated threshold holds.",
            NO_PARTITIONS,
        ),
        {
            "lag, messages": Query(f"max by (partition, instance) (detector_lag_rows{SERVED})"),
            "lag, time": by("lag_seconds"),
            "rows": Query(f"sum by (partition) (rate(detector_rows_total{SERVED}{WINDOW}))"),
            "median": by("score_median"),
            "MAD": by("score_mad"),
            "threshold": by("threshold"),
        },
        {"partition": "partition", "instance": "detector"},
        {"lag, time": units.Seconds, "rows": units.RowsPerSecond},
    )


def _brokers() -> Sequence[Builder[Panel]]:
    """The client's own figures of its connections."""
    of_each, named = "by (client, broker)", "{{client}} to {{broker}}"
    return [
        timeline(
            About(
                "Connections",
                units.Short,
                "Whether every member's consumer and producer are connected to each broker that they want to be.",
                NO_CLIENT,
            ),
            Query(f"min {of_each} (kafka_broker_up{SERVED})", named),
            {0: ("not of all members", BAD), 1: ("of all members", OK)},
            width=12,
        ),
        lines(
            About(
                "Round trip",
                units.Seconds,
                "From a request to its answer, of the slowest member. A consumer's fetch waits at the broker for rows, "
                "and that is in it.",
                NO_CLIENT,
            ),
            Query(f"max {of_each} (kafka_broker_rtt_seconds{SERVED})", f"mean, {named}"),
            Query(f"max {of_each} (kafka_broker_rtt_p99_seconds{SERVED})", f"p99, {named}"),
            logarithmic=True,
        ),
    ]


def _failures() -> Sequence[Builder[Panel]]:
    def of_brokers(counter: str) -> Query:
        rate = f"rate(kafka_broker_{counter}_total{SERVED}{WINDOW})"
        return Query(f"sum by (broker) ({rate})", f"{counter}, {{{{broker}}}}")

    return [
        lines(
            About(
                "Failures on the way",
                units.CountsPerSecond,
                "Requests that failed or were not answered in time, and connections that ended. The client tries "
                "again by itself.",
                NO_CLIENT,
            ),
            *map(of_brokers, ("errors", "timeouts", "disconnects")),
        ),
        lines(
            About(
                "Rebalances",
                units.Short,
                "Times that the group was shared out anew, as each member saw it: while it is, rows wait.",
                NO_CLIENT,
            ),
            Query(f"sum by (instance) (increase(kafka_rebalances_total{SERVED}{WINDOW}))", "{{instance}}"),
        ),
    ]


def _queues() -> Sequence[Builder[Panel]]:
    def of_clients(figure_: str) -> Query:
        return Query(f"sum by (client) (kafka_{figure_}{SERVED})", "{{client}}")

    waiting = "that were fetched and not taken (consumer), or wait to be sent (producer)"
    return [
        lines(
            About("Messages in queues", units.Short, f"Messages {waiting}.", NO_CLIENT),
            of_clients("queue_messages"),
            width=8,
        ),
        lines(
            About("Bytes in queues", units.BytesIEC, f"Bytes of messages {waiting}.", NO_CLIENT),
            of_clients("queue_bytes"),
            width=8,
        ),
        lines(
            About("Traffic", units.BytesPerSecondIEC, "Bytes from and to the brokers, by all members.", NO_CLIENT),
            Query(f"sum by (client) (rate(kafka_received_bytes_total{SERVED}{WINDOW}))", "{{client}} receives"),
            Query(f"sum by (client) (rate(kafka_sent_bytes_total{SERVED}{WINDOW}))", "{{client}} sends"),
            width=8,
        ),
    ]


def _progress() -> Sequence[Builder[Panel]]:
    return [
        lines(
            About(
                "Fetch lag by partition",
                units.Short,
                "Messages between the last one that was taken from the client and the partition's end. Near 0 while "
                "the lag is not: rows wait in the detector, and not at the broker.",
                NO_CLIENT,
            ),
            Query(f"max by (partition) (kafka_fetch_lag_messages{SERVED})", "{{partition}}"),
        ),
        lines(
            About(
                "Age of these figures",
                units.Seconds,
                "Since the client told them last, of the oldest member. It tells every few seconds while the loop "
                "turns: what grows on and on stands still.",
                NO_CLIENT,
            ),
            Query(f"time() - min by (client) (kafka_statistics_timestamp_seconds{SERVED})", "{{client}}"),
        ),
    ]


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
