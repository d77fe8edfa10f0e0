"""Rows as samples: their numbers, times and order, their row's id and label with the last, whatever the batches."""

from __future__ import annotations

import json
import struct
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.errors import DataRefused, UsageError
from detector.rows import Decoder
from detector.schema import Schema
from replay import samples
from replay.__main__ import main
from replay.batch import Batch, objects
from replay.columns import Columns
from replay.encoding import encoded
from replay.labels import Delay, Pending, Truth
from replay.outbox import rows_of
from replay.pipeline import played
from replay.samples import GAP, as_signal, sample_encoder
from tests.replay.made import World, asked, cut, files, ids, replay, whole

WIDTH = 4
RATE = 40.0
USUAL = round(1000 * WIDTH / RATE)

Row = tuple[str | None, int]
"""A row's key and event time, ms."""


def columns(time: bool) -> Columns:
    return Columns(tuple(f"c{place}" for place in range(WIDTH)), "key", "time" if time else None, None, "")


def batch_of(table: Sequence[Row], time: bool) -> Batch:
    """Rows of which value j of row i is i + j / 10; every third is anomalous."""
    values = np.arange(len(table))[:, None] + np.arange(WIDTH) / 10
    return Batch(
        objects([b"%d" % place for place in range(len(table))]),
        np.array([event for _, event in table], np.int64) if time else None,
        objects([None if key is None else key.encode() for key, _ in table]),
        np.arange(len(table)) % 3 == 0,
        pd.DataFrame(values, columns=list(columns(time).features)),
    )


def made(table: Sequence[Row], time: bool = True, rows: int = 1000) -> Batch:
    """All samples, of rows that come so many at a time."""
    return whole(as_signal(columns(time), "beats.csv", RATE)(cut(batch_of(table, time), rows)))


def wanted(table: Sequence[Row], time: bool) -> list[tuple[int, int, int, bytes, int]]:
    """By the rule, sample by sample: time, row, place in the row, key, number."""
    latest, found = 0 if not time else -(1 << 62), []
    of_key: dict[bytes, list[tuple[int, int]]] = defaultdict(list)
    for row, (name, event) in enumerate(table):
        key = b"beats.csv" if name is None else name.encode()
        before = of_key[key]
        latest = max(latest, event if time else before[-1][1] + USUAL if before else 0)
        before.append((row, latest))
    for key, rows in of_key.items():
        for number, (row, start) in enumerate(rows):
            gap = rows[number + 1][1] - start if time and number + 1 < len(rows) else USUAL
            span = gap if gap <= GAP * USUAL else USUAL
            found += [(start + j * span // WIDTH, row, j, key, number * WIDTH + j) for j in range(WIDTH)]
    return sorted(found)


rows_in_time = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c", None]), st.sampled_from([0, 0, 1, 7, 90, 400, 1500])), max_size=30
)


@settings(max_examples=150)
@given(steps=rows_in_time, time=st.booleans(), rows=st.integers(1, 9))
def test_samples_by_the_rule(steps: list[Row], time: bool, rows: int) -> None:
    """Order, times, keys and numbers are those of the rule taken sample by sample, however the rows are cut."""
    moments = np.cumsum([step for _, step in steps]).tolist()
    table = [(key, int(moment)) for (key, _), moment in zip(steps, moments, strict=True)]
    if not table:
        return
    found = made(table, time, rows)
    assert found.frame is not None
    assert found.event is not None
    assert found.keys is not None
    assert found.last is not None
    pairs = zip(found.event, found.row_ids, found.keys, found.frame["sample"], strict=True)
    told = wanted(table, time)
    assert [(event, int(row), key, number) for event, row, key, number in pairs] == [
        (event, row, key, number) for event, row, _, key, number in told
    ]
    assert found.frame["value"].tolist() == [row + j / 10 for _, row, j, _, _ in told]
    assert found.last.tolist() == [j == WIDTH - 1 for _, _, j, _, _ in told]


def test_few_rows_are_looked_at_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where rows are long, few of them are held at a time; their samples are the same."""
    table = [("ab"[row % 2], 30 * row) for row in range(40)]
    before = made(table)
    monkeypatch.setattr(samples, "SAMPLES", 2 * WIDTH)
    after = made(table)
    assert after.frame is not None
    assert before.frame is not None
    assert after.frame.to_numpy().tolist() == before.frame.to_numpy().tolist()
    assert ids(after) == ids(before)


def test_rows_that_are_not_waited_for() -> None:
    """A key that does not come again holds the others back for GAP usual lengths, and not to the end."""
    table = [("once", 0), *(("often", 50 * row) for row in range(1000))]
    stage = as_signal(columns(True), "beats.csv", RATE)
    read: list[int] = []

    def rows() -> Any:
        for number, row in enumerate(cut(batch_of(table, True), 1)):
            read.append(number)
            yield row

    first = next(stage(rows()))
    assert len(first) > 0
    assert len(read) <= GAP * USUAL // 50 + 3


def test_a_time_that_goes_back() -> None:
    """Rows that are played as they stand have a clock that never goes back."""
    found = made([("a", 1000), ("a", 400), ("b", 1100)])
    assert found.event is not None
    assert found.event.tolist() == sorted(found.event.tolist())
    assert found.event[0] == 1000


def test_records(tmp_path: Path) -> None:
    """A sample is what the detector reads, JSON and packed; the last one of a row alone has its row-id."""
    path = tmp_path / "beats.csv"
    pd.DataFrame({"c0": [0.1, 5.0], "c1": [0.2, np.nan], "label": [1, 0]}).to_csv(path, index=False)
    for format_ in ("json", "packed"):
        chosen = asked(as_signal=True, format=format_, normal="1")
        batches = encoded(sample_encoder(format_))(played(files(path, as_signal=True, normal="1"), chosen))
        records = [record for batch in batches for record in rows_of(batch, format_, "ecg")]
        assert {record.key for record in records} == {b"beats.csv"}
        written = ("format", format_.encode())
        wanted = [[written], [written, ("row-id", b"0")], [written], [written, ("row-id", b"1")]]
        assert [record.headers for record in records] == wanted
        values = [record.value or b"" for record in records]
        if format_ == "json":
            told = [{"value": 0.1, "sample": 0}, {"value": 0.2, "sample": 1}, {"value": 5.0, "sample": 2}]
            assert list(map(json.loads, values)) == [*told, {"sample": 3}]
        else:
            assert [struct.unpack("<2d", value) for value in values[:3]] == [(0.1, 0), (0.2, 1), (5.0, 2)]
            assert np.isnan(struct.unpack("<2d", values[3])[0])


def test_stages_speak_of_rows(tmp_path: Path) -> None:
    """--skip, --limit and --sample take rows; what an earlier process sent is told in samples."""
    path = tmp_path / "beats.csv"
    table = pd.DataFrame({"patient": [0, 1, 2] * 10, "c0": np.arange(30.0), "c1": 0.0})
    table.to_csv(path, index=False)

    def ids_of(done: int = 0, **given: Any) -> list[str]:
        history = files(path, as_signal=True, key="patient", **given)
        return ids(whole(played(history, asked(as_signal=True, key="patient", **given), (), done)))

    assert sorted(ids_of(skip=3, limit=2), key=int) == ["3", "3", "4", "4"]
    assert ids_of()[7:] == ids_of(done=7)
    rows = ids_of(sample=0.4)
    assert 0 < len(rows) < 60
    assert {int(row) % 3 for row in rows} < {0, 1, 2}


def test_labels_come_after_the_last_sample() -> None:
    """A row's label is sent once, right after its last sample or when it is due, and counted so."""
    table = [("ab"[row % 2], 40 * row) for row in range(6)]
    rows = next(encoded(sample_encoder("json"))(iter([made(table)])))
    world = World()
    summary = replay(world, rows, labels="truth", unit="samples").run()
    assert (summary.sent, summary.labels) == (6 * WIDTH, 6)
    assert summary.text().startswith("replay: sent 24 samples, failed 0, labels 6, ")
    sent: dict[str, int] = defaultdict(int)
    for _, record, _ in world.sent:
        if record.topic == "truth":
            assert sent[(record.key or b"").decode()] == WIDTH
        else:
            sent[ids(rows)[sum(sent.values())]] += 1
    delayed = World()
    summary = replay(delayed, rows, "real", labels="truth", unit="samples", pending=Pending(Truth(Delay(500.0)))).run()
    assert (summary.sent, summary.labels) == (6 * WIDTH, 6)
    assert [record.key for _, record, _ in delayed.labels()] == [b"%d" % row for row in range(6)]


def test_pace() -> None:
    """Samples are handed over when their times say so: those of one row spread up to the next."""
    rows = next(encoded(sample_encoder("json"))(iter([made([("a", 0), ("a", 200)])])))
    world = World()
    replay(world, rows, "real").run()
    assert [at for at, _, _ in world.sent] == pytest.approx([0, 0.05, 0.1, 0.15, 0.2, 0.225, 0.25, 0.275], abs=0.002)


def test_without_a_time_column_signals_have_a_pace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows without times are played by the rate, at any speed; the data's own times cannot be asked for."""
    path = tmp_path / "beats.csv"
    pd.DataFrame({"c0": [0.1, 5.0], "c1": [0.2, 3.0]}).to_csv(path, index=False)
    line = [str(path), "--as-signal", "--sample-rate", "10", "--dry-run"]
    assert main([*line, "--speed", "real", "--label-delay", "1s"]) == 0
    assert 'event time 1970-01-01T00:00:00.300Z\n  {"value":3.0,"sample":3}' in capsys.readouterr().out
    assert main([*line, "--timestamps", "original"]) == 2
    told = "error: timestamps 'original' needs event times, and the data has no time column: name it by --time\n"
    assert capsys.readouterr().err == told


def test_a_dry_run_of_packed_samples(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A dry run shows a sample's two numbers, the label with the last one alone, and how long samples take."""
    path = tmp_path / "beats.csv"
    pd.DataFrame({"time": [0, 0.1], "c0": [0.1, 5.0], "c1": [0.2, 3.0], "label": [0, 1]}).to_csv(path, index=False)
    assert main([str(path), "--as-signal", "--format", "packed", "--speed", "2/s", "--dry-run"]) == 0
    text = capsys.readouterr().out
    assert ", 0:00:02 at 2/s\n" in text
    last = "key beats.csv, headers format=packed row-id=0, event time 1970-01-01T00:00:00.050Z, label 0\n"
    assert f"{last}  16 bytes: 0.2 1\n" in text
    assert text.count(", label ") == 2


@pytest.mark.parametrize("format_", ["json", "packed"])
def test_text_is_no_sample(tmp_path: Path, format_: str) -> None:
    """Text that was asked for as a feature is refused before anything is sent; else numbers alone are samples."""
    path = tmp_path / "rows.csv"
    pd.DataFrame({"x": [1.0, 2.0], "shop": ["a", "b"]}).to_csv(path, index=False)
    history = files(path, as_signal=True, format=format_)
    assert history.columns is not None
    assert history.columns.features == ("x",)
    with pytest.raises(DataRefused, match=r"feature column 'shop' holds str, numbers wanted"):
        files(path, as_signal=True, format=format_, features="x,shop")


def test_topics_have_no_columns(capsys: pytest.CaptureFixture[str]) -> None:
    """Messages of another topic are played as they are, and cannot be cut into samples."""
    assert main(["kafka://rows", "--as-signal", "--bootstrap-servers", "127.0.0.1:1"]) == 2
    told = "error: data 'kafka://rows' is played as it is there; as_signal makes samples of columns\n"
    assert capsys.readouterr().err == told


def test_rows_without_columns_any_more() -> None:
    """Rows that some stage has encoded already are no columns to cut."""
    rows = Batch(objects([b"0"]), values=objects([b"{}"]))
    with pytest.raises(UsageError, match="as_signal makes samples of columns"):
        next(as_signal(columns(False), "x", RATE)(iter([rows])))


def test_the_detector_reads_them() -> None:
    """A packed sample is two numbers to the detector's decoder of samples."""
    assert Decoder(Schema(("value", "sample")), "packed", kind=np.float64).width == 2
