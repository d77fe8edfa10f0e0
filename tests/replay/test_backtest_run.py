"""A backtest from end to end on the embedded broker, with a detector of a few lines in place of the real one."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from detector.children import Child, Children
from detector.errors import Failure
from detector.feedback.measures import measured
from detector.kafka import Publisher, Reader, Record
from detector.rows import Message, header
from replay.backtest.line import Line, Outputs
from replay.backtest.run import Order, Result, Start, backtest
from replay.backtest.settings import Settings
from replay.backtest.subjects import Subject, sent_as
from replay.pipeline import opened
from tests.replay.tried import LINE, alerted, labelled, scored, subject_of

ROWS = 5_000

Loses = Callable[[int], bool]
"""Whether the double says nothing of a row."""


class Double(threading.Thread):
    """Scores a row by its first number; a row below 0 is a dead letter."""

    def __init__(self, line: Line, out: Outputs, loses: Loses) -> None:
        super().__init__(daemon=True)
        self.over = threading.Event()
        self._line, self._out, self._loses = line, out, loses

    def run(self) -> None:
        reader, sender = Reader(self._line.bootstrap_servers, {}), Publisher(self._line.bootstrap_servers, {})
        reader.follow([self._line.rows])
        while not self.over.is_set():
            for message in reader.take(2_000, 0.02):
                self._say(message, sender)
            sender.poll(0.0)
        reader.close()

    def _say(self, message: Message, sender: Publisher) -> None:
        row_id, score = header(message, "row-id"), float(np.frombuffer(message.value(), "<f4")[0])
        assert row_id is not None
        if self._loses(int(row_id)):
            return
        if score < 0:
            named = {"errors.reason": "not_finite", "errors.partition": message.partition()}
            told = [(n, str(v).encode()) for n, v in (named | {"errors.offset": message.offset()}).items()]
            sender.send(Record(self._out.dead_letters, None, b"", told), 1)
            return
        said = scored([row_id], [score], message.partition(), message.offset())
        sender.send(Record(self._out.scores, None, said.data, []), 1)
        if score > LINE:
            sender.send(Record(self._out.alerts, None, alerted(row_id, score).data, []), 1)


@pytest.fixture
def doubles() -> Iterator[Callable[[Loses], Start]]:
    """Starts doubles in place of detectors; they end with the test."""
    running: list[Double] = []

    def starting(loses: Loses) -> Start:
        def start(children: Children, line: Line, subjects: Sequence[Subject]) -> list[Child]:
            running.extend(Double(line, out, loses) for out in line.outputs)
            for one in running:
                one.start()
            return []

        return start

    yield starting
    for one in running:
        one.over.set()
    for one in running:
        one.join(10)


@pytest.fixture
def frame() -> pd.DataFrame:
    """A row a second, one in a hundred below 0."""
    rng = np.random.default_rng(0)
    scores = np.abs(rng.normal(size=ROWS)).astype(np.float32)
    scores[::100] = -1
    truth = (rng.random(ROWS) < 0.05).astype(int)
    return pd.DataFrame({"Time": np.arange(ROWS), "V1": scores, "Amount": 1.0, "Class": truth})


def tried(frame: pd.DataFrame, folder: Path, start: Start, models: int = 1, **given: float) -> Result:
    """A backtest of a table with so many models."""
    data = folder / "rows.parquet"
    frame.to_parquet(data)
    subjects = [subject_of(f"m{number}", time="Time", label="Class") for number in range(models)]
    order = Order(Settings(model=Path("m"), **given), subjects, *sent_as(subjects, "auto"))  # type: ignore[arg-type]
    history = opened([str(data)], order.replayed(), order.schema, lambda line: None)
    try:
        return backtest(history, order, lambda line: None, (), start)
    finally:
        history.close()


def test_every_row_from_end_to_end(frame: pd.DataFrame, tmp_path: Path, doubles: Callable[[Loses], Start]) -> None:
    """Two models: each row is scored or a dead letter, figures are those of the table, features were looked at."""
    found = tried(frame, tmp_path, doubles(lambda row: False), models=2)
    good = frame[frame.V1 >= 0]
    wanted = [
        (s, 10 * s if s > LINE or bad else 0, s > LINE, bad) for s, bad in zip(good.V1, good.Class == 1, strict=True)
    ]
    for one in found.outcomes:
        assert (len(one.rows), dict(one.dead)) == (len(good), {"not_finite": ROWS // 100})
        ours, theirs = one.measures, measured(labelled(wanted))
        for name in ("precision", "recall", "f1", "auroc", "average_precision", "true_positives"):
            assert getattr(ours, name) == getattr(theirs, name), name
        assert ours.caught == pytest.approx(theirs.caught, rel=1e-6)
        assert len(one.latencies) == one.alerts == int((good.V1 > LINE).sum())
    assert found.rows == ROWS
    assert all(moved is not None for moved in found.moved)
    assert list(found.parts.seconds) == ["broker up", "played", "scored", "joined"]


def test_a_row_that_is_lost(frame: pd.DataFrame, tmp_path: Path, doubles: Callable[[Loses], Start]) -> None:
    """A detector that says nothing of a row is waited for as long as told, and no report is made of the others."""
    with pytest.raises(Failure, match="has said nothing of rows that wait for it"):
        tried(frame, tmp_path, doubles(lambda row: row == 17), timeout=1.0)


def test_told_to_end(frame: pd.DataFrame, tmp_path: Path, doubles: Callable[[Loses], Start]) -> None:
    """A signal in the middle ends it, and the handlers are those of before."""
    before = signal.getsignal(signal.SIGTERM)

    told: list[int] = []

    def first(row: int) -> bool:
        if not told:  # once: a signal behind the end would end the tests
            told.append(row)
            os.kill(os.getpid(), signal.SIGTERM)
        return True

    with pytest.raises(KeyboardInterrupt):
        tried(frame, tmp_path, doubles(first))
    assert signal.getsignal(signal.SIGTERM) is before
