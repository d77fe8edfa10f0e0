"""What the records of each topic are: for a person who reads them, and for the page that tells of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Topic:
    """writer: who puts records there; key and value: what each record has; all as Markdown."""

    writer: str
    key: str
    value: str


TOPICS = {
    "input_topic": Topic(
        "your producers, or `replay`",
        "entity (card, patient) or none",
        "one row, or one sample of a signal; the record's timestamp is the event time, unless `--time-field` names "
        "another. Header `format` where it is not the configured one, `row-id` where the sender numbers its rows",
    ),
    "alerts_topic": Topic("`run`", "the row's key", "an alert, as JSON"),
    "dead_letters_topic": Topic(
        "`run`",
        "the message's key",
        "the message's bytes; headers `errors.reason`, `errors.message`, `errors.topic`, `errors.partition`, "
        "`errors.offset`, `errors.timestamp`, and `errors.omitted-bytes` where they were too many. Without key and "
        "value, with a header `resent.dead-letter`: the receipt of one that was sent again",
    ),
    "models_topic": Topic(
        "`run`",
        "group/topic/partition",
        '`{"topic", "group", "partition", "offset", "model", "threshold", "method", "previous", "at"}`: from this '
        "offset on this model scores the partition's rows for the group",
    ),
    "drift_topic": Topic(
        "`run`",
        "feature, or `score`",
        "a change of the drift state: which, to what, its figures and levels, the place of the row that completed "
        "the look",
    ),
    "scores_topic": Topic(
        "`run --scores-topic`",
        "topic/partition",
        "each scored row of a batch's partition: place, time, score, threshold, row-id, amount; binary",
    ),
    "labels_topic": Topic(
        "`replay`, the console, your analysts",
        "row-id",
        '`{"row_id": "17", "label": 1, "event_time": "..."}`; 1 is anomalous. Of a person: '
        '`{"row_id", "label": "fraud", "by", "at", "note"}`. Notes of what `replay --inject` did',
    ),
    "feedback_topic": Topic("`feedback`", "group and part, as JSON", "what it counted and what waits; binary"),
}
"""By the setting that names the topic."""
