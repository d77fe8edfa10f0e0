"""History broken on purpose, played through the detector on Apache Kafka: its answer to each ready scenario."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from detector.alerts import iso
from detector.drift import Event, decode
from replay.inject.scenarios import SCENARIOS
from tests.broker import Broker, create_topic
from tests.conftest import real
from tests.integration.line import Topics, await_true, make_topics, positions, read_committed, running, until_end
from tests.integration.line import alerts_of as alerts_on

START = 1_700_000_000
"""Event time of the first row, s since 1970."""

ROWS, PER_SECOND = 6_000, 10
"""Rows that are played, ten minutes of them at so many a second."""

DRIFT = ("--drift-rows", "512", "--drift-every", "2")
"""Half the rows are looked at."""


@dataclass(frozen=True)
class Stage:
    """Rows, a model that knows gaps in Amount, and the ids of rows that alert where nothing is broken."""

    bootstrap: str
    data: Path
    model: Path
    calm: frozenset[str]

    def line(self) -> Line:
        """Fresh topics."""
        topics = make_topics(self.bootstrap, partitions=1)
        found = Line(self, topics)
        create_topic(self.bootstrap, found.labels, 1)
        return found


@dataclass(frozen=True)
class Line:
    """One scenario's own topics."""

    stage: Stage
    topics: Topics

    @property
    def labels(self) -> str:
        return f"{self.topics.name}.labels"

    def command(self, *more: str) -> list[str]:
        """A replay's command line."""
        data, where = str(self.stage.data), ("--bootstrap-servers", self.topics.bootstrap, "--topic", self.topics.input)
        labels = ("--labels-topic", self.labels, "--model", str(self.stage.model))
        return [sys.executable, "-m", "replay", data, *where, *labels, *more]

    def play(self, name: str, *more: str) -> dict[str, int]:
        """Plays a scenario; by break, the rows that it touched."""
        done = subprocess.run(self.command("--inject", name, *more), capture_output=True, text=True, timeout=90)
        assert done.returncode == 0, done.stderr
        found = dict(re.findall(r"replay: injected (\S+): (\d+) rows", done.stdout))
        assert tuple(found) == SCENARIOS[name].specs
        return {spec: int(rows) for spec, rows in found.items()}

    def detect(self, *options: str, model: Path | None = None) -> None:
        """Lets a detector read all of it."""
        until_end(self.topics, model or self.stage.model, *options)

    def alerts(self) -> list[dict[str, Any]]:
        return alerts_on(self.topics)

    def alerting(self) -> list[str]:
        """The ids of rows that alert, as often as they do."""
        return sorted(str(alert["row_id"]) for alert in self.alerts())

    def notes(self) -> list[dict[str, Any]]:
        """All records of the labels topic."""
        return [json.loads(one.value()) for one in read_committed(self.topics.bootstrap, self.labels)]

    def touched(self) -> list[dict[str, Any]]:
        """Those of touched rows."""
        return [one for one in self.notes() if "injected" in one]

    def drifting(self) -> dict[str, Event]:
        """By name, what began to drift."""
        events = [decode(one.value()) for one in read_committed(self.topics.bootstrap, self.topics.drift)]
        return {event.name: event for event in events if event.state == "drifting"}

    def reasons(self) -> Counter[str]:
        """Dead letters by reason."""
        letters = read_committed(self.topics.bootstrap, self.topics.dead)
        return Counter(dict(one.headers())["errors.reason"].decode() for one in letters)


@pytest.fixture(scope="module")
def stage(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """Rows of the distribution that the model was trained on, by a drift-free clock."""
    folder = tmp_path_factory.mktemp("inject")
    frame = history()
    frame.tail(ROWS).assign(Time=START + np.arange(ROWS) / PER_SECOND).to_parquet(folder / "rows.parquet")
    plain = Stage(broker.bootstrap, folder / "rows.parquet", trained(frame.head(-ROWS), folder), frozenset())
    line = plain.line()
    subprocess.run(line.command("--labels-topic", "none"), check=True, capture_output=True, timeout=90)
    line.detect(*DRIFT)
    assert not line.drifting()
    assert not line.reasons()
    calm = line.alerting()
    assert len(calm) == len(set(calm)) > 20
    return Stage(broker.bootstrap, folder / "rows.parquet", plain.model, frozenset(calm))


def history() -> pd.DataFrame:
    """Simulated cards in no order, a few amounts of which are not there."""
    from trainer.simulate import simulated_cards

    frame = simulated_cards(16_000, seed=4, fraud_share=0.01).sample(frac=1, random_state=0, ignore_index=True)
    return frame.assign(Amount=frame["Amount"].mask(np.random.default_rng(0).random(len(frame)) < 0.02))


def trained(frame: pd.DataFrame, folder: Path) -> Path:
    """A model of it."""
    from trainer.build import Order, build
    from trainer.datasets import Data
    from trainer.history import Columns
    from trainer.recipes import RECIPES

    order = Order("default", RECIPES["default"], "gaps", threshold="percentile:99", epochs=2)
    data = Data("gaps", frame, "Class", "0", "Time")
    build(data, Columns(), order, folder / "model", lambda epoch, epochs, loss, held_out: None)
    return folder / "model"


def shifted_feature(line: Line) -> None:
    """The feature that was shifted drifts, in the half of the rows that was touched; the labels name them."""
    assert line.play("shifted-feature") == {"drift:V14:+1sd:from=50%": ROWS // 2}
    line.detect(*DRIFT)
    event = line.drifting()["V14"]
    assert event.source.offset >= ROWS // 2
    assert {int(one["row_id"]) for one in line.touched()} == set(range(ROWS // 2, ROWS))
    assert all(one["label"] in (0, 1) for one in line.touched())
    begins, ended = (one for one in line.notes() if "injection" in one)
    assert (begins["state"], begins["row_id"]) == ("begins", str(ROWS // 2))
    assert (ended["state"], ended["row_id"], ended["rows"]) == ("ended", str(ROWS - 1), ROWS // 2)


def wrong_unit(line: Line) -> None:
    """Amounts drift, and of the touched rows far more alert than before."""
    line.play("wrong-unit")
    line.detect(*DRIFT)
    assert "Amount" in line.drifting()
    touched = {one["row_id"] for one in line.touched()}
    assert len(touched & set(line.alerting())) > 3 * len(touched & line.stage.calm)
    assert set(line.alerting()) - touched == line.stage.calm - touched


def lost_field(line: Line) -> None:
    """A share of missing values that rises is drift, and no dead letter."""
    line.play("lost-field")
    line.detect(*DRIFT)
    event = line.drifting()["Amount"]
    assert "missing" in event.above
    assert event.missing > event.reference_missing + 0.05
    assert not line.reasons()


def fraud_wave(line: Line) -> None:
    """Ten times as many frauds are ten times as many alerts: each copy is judged as its row is."""
    (copies,) = line.play("fraud-wave").values()
    line.detect()
    found, touched = set(line.alerting()), [one["row_id"] for one in line.touched()]
    assert len(touched) == copies > 0
    assert all(one["label"] == 1 for one in line.touched())
    assert {name for name in touched if name.partition("+")[0] in line.stage.calm} == found - line.stage.calm
    assert found >= line.stage.calm
    caught = len(found - line.stage.calm)
    assert caught == 9 * len({name.partition("+")[0] for name in touched} & line.stage.calm) > 0


def retries(line: Line) -> None:
    """A row that comes twice alerts at both places, and feedback counts it once."""
    (copies,) = line.play("retries").values()
    scores, kept = (f"{line.topics.name}.{name}" for name in ("scores", "feedback"))
    create_topic(line.topics.bootstrap, scores, 1)
    create_topic(line.topics.bootstrap, kept, 1, cleanup_policy="compact")
    line.detect("--scores-topic", scores)
    twice = [one["row_id"] for one in line.touched()]
    assert len(twice) == copies > 100
    assert line.alerting() == sorted([*line.stage.calm, *(line.stage.calm & set(twice))])
    assert len({alert["id"] for alert in line.alerts()}) == len(line.alerts())
    figures = feedback(line, scores, kept)
    assert (figures["scored"], figures["models"][0]["window"]["rows"]) == ({"new": ROWS, "repeated": copies}, ROWS)
    assert figures["labels"] == {"first": ROWS, "repeated": copies, "revised": 0, "unsure": 0, "note": 2}
    assert not any(figures["refused"].values())


def feedback(line: Line, scores: str, kept: str) -> dict[str, Any]:
    """What feedback says of it."""
    path = line.stage.data.parent / f"{line.topics.name}.json"
    topics = ("--scores-topic", scores, "--labels-topic", line.labels, "--feedback-topic", kept)
    command = [sys.executable, "-m", "detector", "feedback", "--bootstrap-servers", line.topics.bootstrap, *topics]
    more = ("--until-end", "--json", str(path), "--metrics-port", "0", "--feedback-group", line.topics.name)
    done = subprocess.run([*command, *more], capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stderr
    assert "2 notes of what a replay did on purpose" in done.stdout
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def bad_network(line: Line) -> None:
    """Rows that come late and out of order are scored as ever, and an alert has the row's own event time."""
    touched = line.play("bad-network", "--timestamps", "original")
    assert all(rows > 20 for rows in touched.values())
    line.detect()
    assert set(line.alerting()) == line.stage.calm
    for alert in line.alerts():
        assert alert["event_time"] == iso(START * 1000 + int(alert["row_id"]) * 1000 // PER_SECOND)


def bad_messages(line: Line) -> None:
    """Each message that is no row is a dead letter for the reason that was made, exactly; the others are scored."""
    (rows,) = line.play("bad-messages").values()
    line.detect()
    touched = line.touched()
    wanted = Counter(one["fault"] for one in touched)
    assert line.reasons() == wanted
    assert wanted.total() == len(touched) == rows
    assert len(wanted) == 9
    assert set(line.alerting()) == line.stage.calm - {one["row_id"] for one in touched}


def outage(line: Line) -> None:
    """Rows of a silence come after it with their event times: the lag of their alerts falls to nothing as they end."""
    with running(line.topics, line.stage.model) as detector:
        detector.await_line("partitions_assigned")
        (rows,) = line.play("outage", "--speed", "300x").values()
        assert rows == 120 * PER_SECOND
        await_true(lambda: all_read(line.topics), "all is read")
    held = {one["row_id"]: one["event_time"] for one in line.touched()}
    end = pd.Timestamp(max(held.values()))
    late = [alert for alert in line.alerts() if alert["row_id"] in held]
    assert late
    assert all(pd.Timestamp(alert["detected_at"]) > end for alert in late)
    assert {alert["event_time"] == held[alert["row_id"]] for alert in late} == {True}
    assert set(line.alerting()) == line.stage.calm


def rush_hour(line: Line) -> None:
    """More comes than a slow detector scores: its lag rises, falls to 0 afterwards, and nothing is lost."""
    most: list[float] = []
    with running(line.topics, line.stage.model, "--max-batch", "4", "--max-transaction", "4") as detector:
        detector.await_line("partitions_assigned")
        command = line.command("--inject", "rush-hour", "--speed", "60x", "--limit", "3000")
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            await_true(lambda: lag(detector.scrape(), most) > 50 and process.poll() is None, "lag")
            assert process.wait(60) == 0
        await_true(lambda: lag(detector.scrape(), most) == 0 and all_read(line.topics), "no lag")
    assert len(line.touched()) == 300
    assert set(line.alerting()) == {name for name in line.stage.calm if int(name) < 3000}


def lag(scraped: str, most: list[float]) -> float:
    """Rows that the detector is behind, kept for who wonders."""
    most.append(sum(map(float, re.findall(r"^detector_lag_rows\{.*\} (\S+)$", scraped, re.MULTILINE))))
    return most[-1]


def all_read(topics: Topics) -> bool:
    """Whether the group is done with all messages there are."""
    committed, ends = positions(topics)
    return committed == ends


ANSWERS: dict[str, Callable[[Line], None]] = {
    "shifted-feature": shifted_feature,
    "wrong-unit": wrong_unit,
    "lost-field": lost_field,
    "fraud-wave": fraud_wave,
    "retries": retries,
    "bad-network": bad_network,
    "bad-messages": bad_messages,
    "outage": outage,
    "rush-hour": rush_hour,
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.long) if name == "rush-hour" else name for name in SCENARIOS]
)
def test_scenario(stage: Stage, name: str) -> None:
    """The detector answers to each ready scenario as the list of them says."""
    ANSWERS[name](stage.line())


@pytest.mark.long
def test_a_lost_field_that_the_model_needs(stage: Stage, artifact_dir: Path) -> None:
    """Where history had no gaps each row that lost its field is a dead letter, and nothing else is."""
    line = stage.line()
    (rows,) = line.play("lost-field").values()
    line.detect(model=artifact_dir)
    lost = {one["row_id"] for one in line.touched()}
    assert len(lost) == rows
    gaps = pd.read_parquet(stage.data)["Amount"].isna().to_numpy()
    assert line.reasons() == {"missing_feature": len(lost) + int(gaps.sum())}


def test_messages_of_a_topic(stage: Stage) -> None:
    """Messages of another topic can be doubled, held back and spoiled; what needs columns is refused."""
    first, second = stage.line(), stage.line()
    subprocess.run(first.command("--labels-topic", "none", "--limit", "500"), check=True, capture_output=True)
    command = second.command("--inject", "corrupt:20%", "--inject", "duplicate:20%", "--inject", "delay:10%:1ms")
    command[3] = f"kafka://{first.topics.input}"
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    second.detect()
    faults = Counter(one["fault"] for one in second.notes() if "fault" in one)
    assert second.reasons() == faults
    assert faults.keys() == {
        "empty",
        "too_large",
        "unknown_format",
        "not_utf8",
        "not_json",
        "not_an_object",
        "missing_feature",
    }
    assert all("label" not in one for one in second.notes())
    refused = subprocess.run([*command, "--inject", "scale:V1:2x"], capture_output=True, text=True, timeout=60)
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert "messages of a topic have no columns to change, one of duplicate, corrupt, delay" in refused.stderr


def test_real_cards(stage: Stage) -> None:
    """Of real rows, too, each message that is no row any more is a dead letter for the reason that was made."""
    data = real("creditcard_sample.parquet")
    line = Line(Stage(stage.bootstrap, data, stage.model, frozenset()), stage.line().topics)
    (rows,) = line.play("bad-messages").values()
    line.detect()
    wanted = Counter(one["fault"] for one in line.touched())
    assert line.reasons() == wanted
    assert wanted.total() == rows > 100


@pytest.mark.long
def test_killed_and_gone_on_with(stage: Stage) -> None:
    """A named replay that is killed sends each broken row once, and tells of each break once."""
    line, whole = stage.line(), stage.line()
    specs: Sequence[str] = ("--inject", "retries", "--inject", "bad-network", "--inject", "corrupt:1%")
    kept = ("--resume", line.topics.name, "--resume-topic", f"{line.topics.name}.replays")
    command = line.command(*specs, *kept, "--speed", "4000/s")
    for least in (500, 3000):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            await_true(partial(sent, line.topics, least), f"{least} rows")
            process.kill()
    subprocess.run(command, check=True, capture_output=True, timeout=90)
    subprocess.run(whole.command(*specs), check=True, capture_output=True, timeout=90)
    values = [
        Counter((m.key(), m.value()) for m in read_committed(line.topics.bootstrap, t.topics.input))
        for t in (line, whole)
    ]
    assert values[0] == values[1]
    notes = [Counter(json.dumps(one | {"event_time": None}) for one in each.notes()) for each in (line, whole)]
    assert notes[0] == notes[1]


def sent(topics: Topics, least: int) -> bool:
    """Whether the input has so many messages, those of open transactions too."""
    return sum(positions(topics)[1].values()) >= least
