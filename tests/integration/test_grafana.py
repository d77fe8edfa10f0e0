"""Every query of dashboards and rules returns data from a Prometheus that scrapes the line at work."""

from __future__ import annotations

import math
import re
import sys
import time
from collections import Counter as Tally
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import cycle, islice
from operator import eq
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from detector import artifact
from detector.http import Answer, Endpoint
from tests.broker import Broker, create_topic
from tests.deploy.metric_names import exported
from tests.deploy.test_grafana import NAMES, events, panels, read
from tests.deploy.test_prometheus import rules
from tests.integration.line import (
    Running,
    Topics,
    alerts_of,
    await_true,
    detector_command,
    make_topics,
    positions,
    send,
)
from tests.integration.test_signals import CUT, publish, samples_of, simulated
from tests.prometheus import Prometheus, Sample, prometheus
from trainer import metrics
from trainer.simulate import simulated_cards

SECONDS = 90.0
"""How long the line may take until all have data."""

FILLED = {"$__rate_interval": "5s", "$__range": "120s", "$__interval": "1s"}
ROWS, SHIFTED_FROM = 20_000, 1_500
OFTEN = ("--drift-rows", "256", "--drift-every", "1", "--window", "256", "--stride", "64", "--min-rows", "64")


@dataclass(frozen=True)
class Scraped:
    """A Prometheus that scrapes a line at work, and since when, s since 1970. beats: a topic that is at rest."""

    prometheus: Prometheus
    since: float
    cards: Topics
    beats: Topics

    def filled(self, board: str) -> list[dict[str, str]]:
        """What a dashboard's variables are, for each topic that may be chosen."""
        return [choices(board, topic.input, self.prometheus) for topic in (self.cards, self.beats)]


@dataclass(frozen=True)
class Asked:
    """A query of a dashboard. place: the panel's or annotation's title. over_time: asked so, else as it is now.

    labels: those of which the names of its series are made.
    """

    board: str
    place: str
    expr: str
    over_time: bool
    labels: frozenset[str]


def asked(board: str) -> list[Asked]:
    """Every query of a dashboard's panels and annotations."""
    found = read(board)
    queries = [
        Asked(board, panel["title"], target["expr"], target["range"], named(target["legendFormat"]))
        for panel in panels(found)
        for target in panel["targets"]
    ]
    marks = [Asked(board, one["name"], one["expr"], True, named(one["titleFormat"])) for one in events(found)]
    return queries + marks


def named(pattern: str) -> frozenset[str]:
    """The labels in the name of a series."""
    return frozenset(re.findall(r"{{(\w+)}}", pattern))


def choices(board: str, topic: str, source: Prometheus) -> dict[str, str]:
    """What Grafana puts in place of the variables where a topic was chosen, its only group, and else everything."""
    filled: dict[str, str] = {}
    for one in read(board)["templating"]["list"]:
        if one["type"] == "query":
            wanted = re.fullmatch(r"label_values\((.*), (\w+)\)", one["query"])
            assert wanted
            values = source.label_values(wanted[2], fill(wanted[1], filled))
            every = "|".join(re.sub(r"([\\^$*+?.()|\[\]{}])", r"\\\\\1", value) for value in values)
            chosen = one.get("allValue") or f"({every})"
            if not one.get("multi"):
                (chosen,) = [value for value in values if one["name"] != "topic" or value == topic]
            filled[f"${one['name']}"] = chosen
    return filled


def fill(expr: str, filled: dict[str, str]) -> str:
    """PromQL with its variables' values."""
    for name, value in filled.items():
        expr = expr.replace(name, value)
    return expr


def has_data(one: Asked, filled: dict[str, str], scraped: Scraped) -> bool:
    """Whether there is at least one number in the answer."""
    return any_number(answer(one, filled, scraped))


def answer(one: Asked, filled: dict[str, str], scraped: Scraped) -> list[Sample]:
    """What Prometheus says."""
    expr = fill(one.expr, {**FILLED, **filled})
    assert not re.search(r"\$[a-z_]", expr), expr
    if one.over_time:
        return scraped.prometheus.over_time(expr, scraped.since, time.time())
    return scraped.prometheus.now(expr)


def any_number(found: list[Sample]) -> bool:
    """Whether there is one in an answer."""
    values = [pair for series in found for pair in series.get("values", [series.get("value")])]
    return any(math.isfinite(float(value)) for _, value in values)


def shifted_cards(folder: Path) -> Path:
    """Card rows with many frauds; from a row on V4 lies far from where it lay in training."""
    frame = pd.concat([simulated_cards(5_000, seed, fraud_share=0.05) for seed in range(ROWS // 5_000)])
    frame["Time"] = np.arange(len(frame), dtype=float)
    frame.loc[frame["Time"] >= SHIFTED_FROM, "V4"] += 5 * float(frame["V4"].std())
    path = folder / "rows.csv"
    frame.to_csv(path, index=False)
    return path


def feedback_command(topics: Topics) -> list[str]:
    """Of the scores and labels of a test's topics."""
    named = [part for one in ("scores", "labels", "feedback") for part in (f"--{one}-topic", f"{topics.name}.{one}")]
    where = ("--bootstrap-servers", topics.bootstrap, "--metrics-port", "0", "--feedback-group", topics.name)
    return [sys.executable, "-m", "detector", "feedback", *where, *named, "--commit-seconds", "0.2"]


def replay_command(topics: Topics, data: Path, model: Path) -> list[str]:
    """Rows at a pace, labels beside them, never far ahead of the detectors."""
    where = ("--bootstrap-servers", topics.bootstrap, "--topic", topics.input, "--metrics-port", "0")
    pace = ("--speed", "200/s", "--max-lead", "5000", "--group", topics.name, "--labels-topic", f"{topics.name}.labels")
    return [sys.executable, "-m", "replay", str(data), *where, *pace, "--model", str(model)]


def commands(cards: Topics, beats: Topics, model: Path, ecg_model: Path) -> list[list[str]]:
    """Two detectors of cards, one of them with a shadow; one of heartbeats, sample by sample; and feedback."""
    scored = ("--scores-topic", f"{cards.name}.scores", "--scores-amount", "Amount", "--replicas", "2", *OFTEN)
    return [
        detector_command(cards, model, *scored, "--shadow-model", str(model)),
        detector_command(cards, model, *scored),
        detector_command(beats, ecg_model, *CUT, *OFTEN),
        feedback_command(cards),
    ]


def of_training(model: Path, folder: Path) -> Answer:
    """What node_exporter serves of the file that a training leaves."""
    path = folder / "trained.prom"
    metrics.write(path, artifact.load(model), seconds=12.5)
    return 200, path.read_bytes(), "text/plain; version=0.0.4"


@pytest.fixture(scope="module")
def scraped(
    broker: Broker, artifact_dir: Path, ecg_artifact_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scraped]:
    """The line at work under a replay whose rows drift, some messages being no rows."""
    folder = tmp_path_factory.mktemp("grafana")
    data = shifted_cards(folder)
    cards, beats = make_topics(broker.bootstrap), make_topics(broker.bootstrap)
    for name in ("scores", "labels"):
        create_topic(broker.bootstrap, f"{cards.name}.{name}", 2)
    create_topic(broker.bootstrap, f"{cards.name}.feedback", 1, cleanup_policy="compact")
    with ExitStack() as ending:
        line = []
        for command in (
            *commands(cards, beats, artifact_dir, ecg_artifact_dir),
            replay_command(cards, data, artifact_dir),
        ):
            line.append(Running(command))
            ending.callback(line[-1].close)
        publish(beats, islice(samples_of(simulated()), 27_000))
        send(broker.bootstrap, cards.input, [(b"no row", partition, []) for partition in islice(cycle(range(4)), 40)])
        node = Endpoint("127.0.0.1", 0, {"/metrics": lambda accept: of_training(artifact_dir, folder)})
        ending.callback(node.close)
        jobs = {
            "node": [node.address],
            "detector": [one.address() for one in line[:3]],
            "feedback": [line[3].address()],
            "replay": [line[4].address().removesuffix("/metrics")],
        }
        since = time.time()
        source = ending.enter_context(prometheus(folder, jobs))
        await_true(lambda: source.up(6), "all are scraped")
        await_true(lambda: eq(*positions(beats)), "the heartbeats are judged")
        yield Scraped(source, since, cards, beats)


def test_every_query_returns_data(scraped: Scraped, capsys: pytest.CaptureFixture[str]) -> None:
    """Of panels and annotations, for one of the topics that may be chosen, with all of its models and detectors."""
    queries = [one for board in NAMES for one in asked(board)]
    left = list(queries)

    def none_left() -> bool:
        filled = {board: scraped.filled(board) for board in NAMES}
        left[:] = [one for one in left if not any(has_data(one, each, scraped) for each in filled[one.board])]
        return not left

    try:
        await_true(none_left, "all queries return data", SECONDS)
    except AssertionError:
        pytest.fail("no data: " + "; ".join(f"{one.board}, {one.place}: {one.expr}" for one in left))
    boards = [read(name) for name in NAMES]
    shown, marks = sum(len(list(panels(board))) for board in boards), sum(len(events(board)) for board in boards)
    with capsys.disabled():
        print(f"\ndashboards: {shown} panels, {marks} annotations, {len(queries)} queries, all returned data")


def test_series_have_names(scraped: Scraped) -> None:
    """Every label of which the name of a series is made is one that the series has."""
    for board in NAMES:
        for filled in scraped.filled(board):
            for one in asked(board):
                assert all(one.labels <= series["metric"].keys() for series in answer(one, filled, scraped)), one


def test_every_rule_returns_data(scraped: Scraped, capsys: pytest.CaptureFixture[str]) -> None:
    """What is to be recorded has data; alerts are evaluated without an error, and all that they ask for is there."""
    source = scraped.prometheus
    recording, alerting = rules("record"), rules("alert")
    wanted = {one["record"] for one in recording} | {each for one in alerting for each in selectors(one["expr"])}
    left = set(wanted)

    def none_left() -> bool:
        left.difference_update([one for one in left if any_number(source.now(one))])
        return not left

    try:
        await_true(none_left, "all rules have data", SECONDS)
    except AssertionError:
        pytest.fail(f"no data: {left}")
    loaded = {one["name"]: (one["health"], one.get("lastError", "")) for one in source.rules()}
    assert loaded == {one.get("record") or one["alert"]: ("ok", "") for one in (*recording, *alerting)}
    with capsys.disabled():
        print(
            f"\nrules: {len(recording)} recorded, all returned data; {len(alerting)} alerts, evaluated without error, ",
            end="",
        )
        print(f"and every one of the {len(wanted)} series that these make or ask for returned data")


def selectors(expr: str) -> set[str]:
    """What PromQL asks for, with the labels that it picks."""
    return {
        name + labels for name, labels in re.findall(r"\b((?:detector_|kafka_|job\w*:)[\w:]+|up\b)({[^}]*})?", expr)
    }


def test_no_other_metrics(scraped: Scraped) -> None:
    """What Prometheus has of the processes are the metrics of which tests say that each is shown, and all of them."""
    theirs = '{instance!="", __name__!~"up|scrape_.*|ALERTS.*"}'
    known = exported().keys()
    await_true(lambda: set(scraped.prometheus.label_values("__name__", theirs)) >= known, "all metrics are there")
    assert set(scraped.prometheus.label_values("__name__", theirs)) == known


def test_variables_offer_what_there_is(scraped: Scraped) -> None:
    """Each topic is offered, and for a topic its group, and the detectors that read it and no others."""
    assert len(scraped.prometheus.label_values("topic", "detector_model_info")) == 2
    of_cards, of_beats = scraped.filled("drift")
    assert (of_cards["$group"], of_beats["$group"]) == (scraped.cards.name, scraped.beats.name)
    assert [one["$instance"].count("|") + 1 for one in (of_cards, of_beats)] == [2, 1]
    assert of_cards["$feature"] == of_beats["$feature"] == ".*"


def test_reasons_are_those_of_the_alerts(scraped: Scraped) -> None:
    """Counted by the feature that carries most of them, alerts are those on the topic, feature by feature."""
    told = Tally(alert["reasons"][0]["feature"] for alert in alerts_of(scraped.beats))
    of_beats = f'on (instance) group_left () detector_model_info{{topic="{scraped.beats.input}"}}'
    expr = f"sum by (feature) (detector_alert_reasons_total * {of_beats}) > 0"

    def counted() -> bool:
        found = {one["metric"]["feature"]: int(one["value"][1]) for one in scraped.prometheus.now(expr)}
        return found == told

    assert told
    await_true(counted, f"counted are {dict(told)}")
