"""A model that is replaced while it is served: an offset divides the rows of the old one from those of the new."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from detector import artifact, takeover
from detector.takeover import Takeover, served_by
from tests.integration.conftest import Cards
from tests.integration.line import (
    Running,
    Topics,
    alerts_of,
    await_true,
    comparable,
    positions,
    read_committed,
    running,
    send,
    until_end,
)
from tests.integration.test_detector import messages

QUICK = ("--reload-seconds", "0.1", "--max-batch", "64", "--max-transaction", "64")


@pytest.fixture(scope="module")
def lower(cards: Cards, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another model of the same rows: fitted with another seed."""
    folder = tmp_path_factory.mktemp("lower")
    history = cards.model.parent / "history.parquet"
    command = [sys.executable, "-m", "trainer", "fit", str(history), "--out", str(folder / "model"), "--seed", "7"]
    subprocess.run([*command, "--epochs", "3", "--threshold", "percentile:98"], check=True, capture_output=True)
    return folder / "model"


@pytest.fixture
def served(cards: Cards, tmp_path: Path) -> Path:
    """A pointer file that names a copy of the model."""
    shutil.copytree(cards.model, tmp_path / "one")
    pointer = tmp_path / "current"
    pointer.write_text("one\n")
    return pointer


def point(pointer: Path, to: str) -> None:
    """Changes what a pointer names in one step."""
    beside = pointer.with_name("next")
    beside.write_text(f"{to}\n")
    beside.replace(pointer)


def told(topics: Topics) -> list[Takeover]:
    return [takeover.decode(message.value()) for message in read_committed(topics.bootstrap, topics.models)]


def test_every_row_is_scored_by_one_model(cards: Cards, lower: Path, served: Path, topics: Topics) -> None:
    """Alerts below the offset that was recorded are those of the old model, those from there on of the new one."""
    rows = 12_000
    half = messages(cards, rows, "packed", topics.partitions)
    shutil.copytree(lower, served.with_name("two"))
    with running(topics, served, *QUICK) as detector:
        send(topics.bootstrap, topics.input, half[: rows // 2])
        await_true(lambda: sum(positions(topics)[0].values()) > 500, "some rows")
        point(served, "two")
        detector.await_line("model_taken_over")
        send(topics.bootstrap, topics.input, half[rows // 2 :])
        await_true(lambda: positions(topics)[0] == positions(topics)[1], "all rows")
        assert detector.scrape().count(f'sha256="{artifact.load(lower).name.sha256}"') == 1
    by_model = {}
    for model in (cards.model, lower):
        alone = topics.with_outputs(f"{topics.name}-{model.parent.name}")
        until_end(alone, model)
        by_model[artifact.load(model).name] = comparable(alerts_of(alone))
    serves = served_by(told(topics), topics.input, topics.name)
    expected = {
        name: alert
        for model, alerts in by_model.items()
        for name, alert in alerts.items()
        if serves(*map(int, name.split("/")[1:])) == model
    }
    found = alerts_of(topics)
    assert comparable(found) == expected
    assert {alert["model"]["sha256"] for alert in found} == {model.sha256 for model in by_model}


def test_a_bad_successor_is_refused(cards: Cards, served: Path, topics: Topics) -> None:
    """A damaged artifact is refused with one line and counted; the old one goes on."""
    shutil.copytree(cards.model, served.with_name("two"))
    with (served.with_name("two") / "model.tflite").open("ab") as file:
        file.write(b"!")
    with running(topics, served, *QUICK) as detector:
        detector.await_line("partitions_assigned")
        point(served, "two")
        line = detector.await_line("model_refused")
        assert "model.tflite" in line
        send(topics.bootstrap, topics.input, messages(cards, 400, "packed", topics.partitions))
        await_true(lambda: positions(topics)[0] == positions(topics)[1], "all rows")
        assert "detector_models_refused_total 1.0" in detector.scrape()
        assert detector.log().count("model_refused") == 1
    assert {one.model for one in told(topics)} == {artifact.load(cards.model).name}


def test_only_what_is_signed(cards: Cards, served: Path, topics: Topics, tmp_path: Path) -> None:
    """With a trusted key an unsigned model is refused at the start, with exit code 3; signed it is served."""
    key = tmp_path / "private.pem"
    trainer = [sys.executable, "-m", "trainer", "sign"]
    subprocess.run([*trainer, "--new-key", str(key)], check=True, capture_output=True)
    trusted = ("--trusted-key", str(tmp_path / "private.pub.pem"))
    with running(topics, served, *trusted, "--until-end") as unsigned:
        assert unsigned.wait() == 3
        assert "manifest.sig" in unsigned.log()
    subprocess.run([*trainer, str(served.with_name("one")), "--key", str(key)], check=True, capture_output=True)
    until_end(topics, served, *trusted)


def test_a_shadow_publishes_nothing(cards: Cards, lower: Path, topics: Topics) -> None:
    """A shadow changes no alert; how the two models agree is told row by row."""
    rows = 3000
    send(topics.bootstrap, topics.input, messages(cards, rows, "packed", topics.partitions))
    alone = topics.with_outputs(f"{topics.name}-alone")
    until_end(alone, cards.model)
    with running(topics, cards.model, "--shadow-model", str(lower)) as detector:
        await_true(lambda: positions(topics)[0] == positions(topics)[1], "all rows")
        await_true(lambda: shadowed(detector) == rows, "all rows told")
    assert comparable(alerts_of(topics)) == comparable(alerts_of(alone)) != {}


def shadowed(detector: Running) -> int:
    lines = [line for line in detector.scrape().splitlines() if line.startswith("detector_shadow_rows_total{")]
    return int(sum(float(line.split()[-1]) for line in lines))
