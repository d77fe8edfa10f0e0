"""The backtest on a real broker and on the embedded one: its figures are those of feedback and of the trainer."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from detector.kafka import connect
from replay.backtest.command import main
from replay.backtest.report import MARK
from tests.broker import Broker, create_topic
from tests.conftest import real
from tests.integration.conftest import Cards
from tests.integration.line import Running, await_true

ROWS = 6_000


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "replay", "backtest", *map(str, arguments)]


@dataclass(frozen=True)
class Ran:
    """What a backtest printed, and its report."""

    out: str
    page: str

    def cell(self, name: str, model: int = 0) -> str:
        """A total of a model, as the terminal shows it."""
        found = re.search(rf"^ *{re.escape(name)}  +(.*)$", self.out, re.MULTILINE)
        assert found, f"{name} is not in {self.out}"
        return re.split(r"  +", found[1].strip())[model]


def ran(folder: Path, *arguments: object) -> Ran:
    """A backtest that ends well."""
    out = folder / "backtest.html"
    done = subprocess.run(command(*arguments, "--out", out), capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stderr + done.stdout
    page = out.read_text()
    assert MARK in page[:2000]
    return Ran(done.stdout, page)


def feedback(bootstrap: str, prefix: str, folder: Path) -> dict[str, Any]:
    """What `detector feedback` says of the topics that a backtest left."""
    kept = f"{prefix}.kept"
    create_topic(bootstrap, kept, 1, cleanup_policy="compact")
    where = ("--bootstrap-servers", bootstrap, "--metrics-port", "0", "--feedback-window", "1000000", "--until-end")
    topics = ("--scores-topic", f"{prefix}.1.scores", "--labels-topic", f"{prefix}.labels", "--feedback-topic", kept)
    path = folder / "feedback.json"
    whole = [sys.executable, "-m", "detector", "feedback", *where, *topics, "--json", str(path)]
    subprocess.run(whole, check=True, capture_output=True, timeout=90)
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def evaluated(data: Path, model: Path) -> dict[str, Any]:
    """What `trainer evaluate` says of the same rows."""
    whole = [sys.executable, "-m", "trainer", "evaluate", str(model), str(data), "--json"]
    found: dict[str, Any] = json.loads(subprocess.run(whole, check=True, capture_output=True, text=True).stdout)
    return found


def same(broker: Broker, data: Path, model: Path, folder: Path) -> None:
    """A backtest's figures, the feedback's on its topics and the trainer's are one."""
    found = ran(folder, data, "--model", model, "--bootstrap-servers", broker.bootstrap, "--keep")
    prefix = re.search(r"kept: (backtest-\w+)\.rows", found.out)
    assert prefix
    told, wanted = feedback(broker.bootstrap, prefix[1], folder), evaluated(data, model)
    (window,) = (one["window"] for one in told["models"])
    for name, key in (("precision", "precision"), ("recall", "recall"), ("F1", "f1"), ("AUROC", "auroc")):
        assert found.cell(name) == f"{window[key]:.4f}" == f"{wanted[key]:.4f}", name
    assert found.cell("average precision") == f"{window['average_precision']:.4f}"
    assert found.cell("alerts") == f"{window['true_positives'] + window['false_positives']:,}"
    assert found.cell("rows scored") == f"{wanted['rows']:,}" == f"{window['rows']:,}"
    assert (found.cell("caught"), found.cell("missed")) == (f"{window['caught']:,.2f}", f"{window['missed']:,.2f}")
    assert window["true_positives"] > 0
    assert told["waiting"] == {"row": 0, "label": 0}


def test_figures_are_the_trainer_s(broker: Broker, cards: Cards, tmp_path: Path) -> None:
    """Precision, recall, F1, areas, alerts and money equal `detector feedback`'s and `trainer evaluate`'s, digit for
    digit."""
    same(broker, cards.file(tmp_path, ROWS), cards.model, tmp_path)


def test_real_cards(broker: Broker, cards: Cards, tmp_path: Path) -> None:
    """The same of real card transactions."""
    rows = pd.read_parquet(real("creditcard_sample.parquet")).head(4 * ROWS)
    rows.to_parquet(tmp_path / "real.parquet")
    same(broker, tmp_path / "real.parquet", cards.model, tmp_path)


def left(bootstrap: str) -> list[str]:
    """Topics and groups of backtests on a broker."""
    admin = connect(bootstrap, {})
    groups = [group.group_id for group in admin.list_consumer_groups().result(10).valid]
    return [name for name in [*admin.list_topics(timeout=10).topics, *groups] if name.startswith("backtest-")]


@pytest.mark.long
def test_two_models_and_nothing_left(broker: Broker, cards: Cards, tmp_path: Path) -> None:
    """Two models on the same rows, one of fewer features, each with its figures; topics and groups are gone."""
    before = left(broker.bootstrap)
    narrow = tmp_path / "narrow"
    few = cards.frame.head(3_000)[["Time", "V14", "V17", "Amount", "Class"]]
    few.to_parquet(tmp_path / "few.parquet")
    fit = [sys.executable, "-m", "trainer", "fit", str(tmp_path / "few.parquet"), "--out", str(narrow)]
    subprocess.run([*fit, "--epochs", "1", "--name", "narrow"], check=True, capture_output=True)
    data = cards.file(tmp_path, ROWS)
    models = ("--model", cards.model, "--model", narrow)
    found = ran(tmp_path, data, *models, "--bootstrap-servers", broker.bootstrap)
    for place, model in enumerate((cards.model, narrow)):
        wanted = evaluated(data, model)
        assert found.cell("AUROC", place) == f"{wanted['auroc']:.4f}"
        assert found.cell("recall", place) == f"{wanted['recall']:.4f}"
    assert "rows as json" in found.out
    assert sorted(left(broker.bootstrap)) == sorted(before)


@pytest.mark.long
def test_embedded(cards: Cards, tmp_path: Path) -> None:
    """Without a broker one is started, and the figures are the same; a limit plays the first rows."""
    data = cards.file(tmp_path, ROWS)
    found = ran(tmp_path, data, "--model", cards.model)
    assert found.cell("AUROC") == f"{evaluated(data, cards.model)['auroc']:.4f}"
    assert ran(tmp_path, data, "--model", cards.model, "--limit", 700).cell("rows scored") == "700"


def test_dead_letters_are_told(cards: Cards, tmp_path: Path) -> None:
    """Rows in are rows scored and dead letters, told by reason."""
    rows = cards.frame.head(2_000).copy()
    rows.loc[[3, 7], "V3"] = float("nan")
    rows.to_parquet(tmp_path / "gaps.parquet")
    found = ran(tmp_path, tmp_path / "gaps.parquet", "--model", cards.model, "--format", "packed")
    assert (found.cell("rows scored"), found.cell("not_finite")) == ("1,998", "2")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_nothing_left_after_a_signal(number: signal.Signals, broker: Broker, cards: Cards, tmp_path: Path) -> None:
    """Told to end in the middle, it ends with 130: no detector, no topic, no group, no report is left."""
    data = tmp_path / "many.parquet"
    pd.concat([cards.frame.head(6_000)] * 50).to_parquet(data)
    before, out = left(broker.bootstrap), tmp_path / "never.html"
    flags = ("--bootstrap-servers", broker.bootstrap, "--out", out, "--format", "json")
    running = Running(command(data, "--model", cards.model, *flags))
    try:
        running.await_line("backtest: ")
        await_true(lambda: detectors_of(broker), "a detector")
        assert running.kill(number) == 130, running.log()
        assert "interrupted" in running.log()
    finally:
        running.close()
    assert not out.exists()
    assert sorted(left(broker.bootstrap)) == sorted(before)
    assert not detectors_of(broker)


def detectors_of(broker: Broker) -> bool:
    """Whether a detector that reads from a broker is running."""
    command = ["pgrep", "-f", f"detector run .*{re.escape(broker.bootstrap)}"]
    return subprocess.run(command, capture_output=True).returncode == 0


def test_refusals(broker: Broker, cards: Cards, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be tried is told in one line before anything starts."""
    data = cards.file(tmp_path, 100)
    early = tmp_path / "early.csv"
    cards.frame.head(10).assign(Time=-5.0).to_csv(early, index=False)
    (tmp_path / "notes.html").write_text("mine")
    model = ("--model", str(cards.model))
    for arguments, code, line in (
        ((data,), 2, "error: setting model is missing"),
        ((data, "--model", "nowhere"), 3, "error: model nowhere: no such directory"),
        ((data, *model, *model, *model), 2, "error: 3 models are named"),
        ((data, *model, "--amount", "Money"), 2, "setting amount has value 'Money'"),
        ((tmp_path / "no.csv", *model), 8, "no.csv"),
        ((early, *model), 8, "event times begin before 1970"),
        ((data, *model, "--out", tmp_path / "notes.html"), 1, "is no report of a backtest"),
        ((data, *model, "--bootstrap-servers", "127.0.0.1:1", "--connect-seconds", "0.5"), 4, "no broker answered"),
    ):
        assert main([str(one) for one in arguments]) == code, line
        said = capsys.readouterr().err
        assert line in said
        assert "Traceback" not in said
