"""Labels are bounded: whatever topics, models and clusters say, there are so many series, and each is short."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import chain
from types import SimpleNamespace
from typing import Any

import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from detector.alerts import ModelName
from detector.client_figures import CONSUMER, PRODUCER, families
from detector.counts import KEPT, Counts
from detector.detection import Segment, Verdicts
from detector.drift import STATES, Drift, Reference
from detector.families import MOST_LABEL_LETTERS, Families
from detector.feedback.figures import Shown
from detector.feedback.join import EXPIRED, MODELS, SAID, SCORED, VERDICTS, Join
from detector.feedback.labels import REFUSALS, Unreadable, read
from detector.kafka import Statistics
from detector.kafka.figures import MOST_BROKERS
from detector.metrics import OUTCOMES, STAGES, Metrics
from detector.outcome import Outcome
from detector.rows import REASONS
from detector.shadow import OUTCOMES as AGREEMENTS
from detector.shadow import Tally
from detector.statistics import Summary
from detector.threshold import Threshold
from tests.arrays import f32
from tests.detector.test_feedback_join import FAR, WIDE, scored

TIMES, FEATURES, PARTITIONS = 50, 3, 2
NOW = 2_000_000.0
SHA256 = "5e" * 32

CLOSED: dict[str, set[str]] = {
    "stage": set(STAGES),
    "outcome": set(OUTCOMES),
    "state": set(STATES),
    "agreement": set(AGREEMENTS),
    "reason": {*REASONS, *REFUSALS, *(reason for _, reason in EXPIRED)},
    "side": {side for side, _ in EXPIRED},
    "kind": {*SCORED, *SAID},
    "label": {label for label, _ in VERDICTS},
    "verdict": {verdict for _, verdict in VERDICTS},
    "client": {CONSUMER, PRODUCER},
    "delivery": {"exactly_once"},
}
"""Labels whose values are written in the code."""

OPEN = {
    "partition": 2 * PARTITIONS,  # of the detector, and of its client
    "feature": FEATURES,
    "broker": MOST_BROKERS,
    "name": 2,  # of a model: the served one and its shadow
    "model": MODELS,
    "version": MODELS + 2,
    "sha256": MODELS + 2,
    "topic": 1,
    "group": 1,
    "member": 1,
    "le": 100,
}
"""Labels whose values come from elsewhere, and how many there may be of what is told of here."""

Name = Callable[[object], str]
"""Of a thing in a topic, a manifest or a cluster."""


def hostile(one: object) -> str:
    """A name that would be a line of its own, breaks out of its quotes, and does not end."""
    return f'"}}\n# HELP {one}\\ {{le="1"}} ' + "ünïcödé" * 1000 + str(one)


def detector(name: Name, times: int) -> str:
    """The page of a detector that served so many models, and had so many partitions in turn."""
    counts, of_models = Counts(), [_model(name, turn) for turn in range(times)]
    told = Metrics(1.0, of_models[0], _drift(name, 0), lambda: counts.visible, lambda: NOW, "rows", "g")
    told.describe(NOW, 1, topic="rows", group="g", member="m", delivery="exactly_once")
    told.watch_shadow(lambda: _shadow(name))  # type: ignore[arg-type,return-value]
    for stage in STAGES:
        with told.stage(stage):
            pass
    for turn, model in enumerate(of_models):
        told.serve(1.0, model, _drift(name, turn))
        here = range(turn, turn + PARTITIONS)
        counts.begin({partition: _note(name) for partition in here})
        told.committed([_outcome(here, _features(name, turn))], NOW)
        if turn < times - 1:
            counts.forget(here)
            told.forget(here)
    return told.render("")[1].decode()


def _model(name: Name, turn: int) -> ModelName:
    return ModelName(name(f"model {turn}"), name(f"version {turn}"), SHA256)


def _features(name: Name, turn: int) -> list[str]:
    return [name(f"feature {turn} {feature}") for feature in range(FEATURES)]


def _drift(name: Name, turn: int) -> Drift:
    column = np.linspace(0, 1, 100, dtype=np.float32)
    return Drift(Reference.of([column] * (FEATURES + 1)), _features(name, turn), rows=10, every=1)


def _note(name: Name) -> str:
    """What another program may have committed with an offset."""
    reasons = {"empty": 1, **{name(f"reason {number}"): 1 for number in range(TIMES)}}
    return json.dumps({KEPT: [1, 1, reasons]})


def _shadow(name: Name) -> SimpleNamespace:
    line = SimpleNamespace(calibrated=SimpleNamespace(value=1.0))
    artifact = SimpleNamespace(name=ModelName(name("shadow"), name("shadow's"), SHA256))
    return SimpleNamespace(serving=SimpleNamespace(artifact=artifact, line=line), totals=Tally())


def _outcome(partitions: Sequence[int], features: Sequence[str]) -> Outcome:
    line, summary = Threshold(1.0, "value:1"), Summary(300, 1.0, 1.0, 1.0)
    segments = [Segment(partition, np.empty(0, np.intp), summary, line) for partition in partitions]
    verdicts = Verdicts(f32([1.0]), segments, np.empty(0, np.intp))
    times = np.zeros(len(features), np.int64)
    return Outcome(verdicts, {}, ["rows/0/1"] * len(features), times, dict.fromkeys(partitions, 0), features=features)


def feedback(name: Name, times: int) -> str:
    """The page of feedback that read scores of so many models, and labels that are none."""
    join = Join(WIDE)
    for turn in range(times):
        model = ModelName(name(f"model {turn}"), name(f"version {turn}"), name(f"sha256 {turn}"))
        join.scored(scored([f"{turn}"], model=model), FAR)
        try:
            read(json.dumps({"row_id": name(turn), "label": name(turn)}).encode(), 0)
        except Unreadable as unreadable:
            join.counts.refused[unreadable.reason] += 1
    return Families(Shown.of(join, {}).families).render("")[1].decode()


def clients(name: Name, times: int) -> str:
    """What clients tell of so many brokers, and of coordinators that no protocol knows."""
    statistics = Statistics()
    rtt = {"avg": 1, "p99": 1, "cnt": 1}
    every = {"rtt": rtt, "state": "UP", "source": "learned"}
    brokers: dict[str, Any] = {name(n): {**every, "name": name(n), "nodeid": n} for n in range(times)}
    logical = {**every, "source": "logical", "nodeid": -1}
    brokers |= {name(f"logical {n}"): {**logical, "name": name(f"logical {n}")} for n in range(times)}
    offsets = {"app_offset": 1, "ls_offset": 2}
    partitions = {str(n): offsets for n in range(PARTITIONS)} | {"-1": offsets}
    told = json.dumps({"brokers": brokers, "topics": {"rows": {"partitions": partitions}}})
    for client in (CONSUMER, PRODUCER):
        statistics.take(client, told)
    return Families(lambda: families(statistics.figures())).render("")[1].decode()


def series(*pages: str) -> list[tuple[str, dict[str, str]]]:
    """Name and labels of every sample."""
    every = chain.from_iterable(text_string_to_metric_families(page) for page in pages)
    return [(one.name, one.labels) for family in every for one in family.samples]


def test_a_flood_of_every_label() -> None:
    """As many series as of plain names, one after the other; their values are of closed sets, or few and short."""
    flooded = [detector(hostile, TIMES), feedback(hostile, TIMES), clients(hostile, 5 * MOST_BROKERS)]
    plain = [detector(str, 1), feedback(str, MODELS), clients(str, MOST_BROKERS)]
    found = series(*flooded)
    assert len(found) == len(series(*plain))
    assert len({(name, frozenset(labels.items())) for name, labels in found}) == len(found)
    values: defaultdict[str, set[str]] = defaultdict(set)
    for _, labels in found:
        for label, value in labels.items():
            values[label].add(value)
    assert values.keys() == CLOSED.keys() | OPEN.keys(), "a label that no flood has tried"
    assert not {(label, one) for label, known in CLOSED.items() for one in values[label] - known}
    assert {label: most for label, most in OPEN.items() if len(values[label]) > most} == {}
    assert max(len(value) for every in values.values() for value in every) <= MOST_LABEL_LETTERS
