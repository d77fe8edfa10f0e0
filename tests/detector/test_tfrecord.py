"""TFRecord files become tables and back, every float as float32 and all else as it was, or are refused by record."""

from __future__ import annotations

import gzip
import io
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from detector import table
from detector.errors import DataRefused
from detector.quiet import held_back
from tests.conftest import real
from tests.detector.tables import frames, same

with held_back():
    import tensorflow as tf

HEAD = 12
"""Bytes of a record's length and its checksum."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tfrecord")


def example(**features: Any) -> bytes:
    """An Example as others write it: floats, whole numbers and bytes, lists of them, or None for a list of no kind."""
    kinds = {float: "float_list", int: "int64_list", bytes: "bytes_list"}
    one = tf.train.Example()
    for name, values in features.items():
        several = values if isinstance(values, list) else [values]
        feature = one.features.feature[name]
        if values is not None:
            getattr(feature, kinds[type(several[0])]).value.extend(several)
    return bytes(one.SerializeToString(deterministic=True))


def write(path: Path, records: Iterable[bytes]) -> Path:
    """A TFRecord file by TensorFlow alone."""
    with tf.io.TFRecordWriter(str(path), "GZIP" if path.suffix == ".gz" else "") as writer:
        for record in records:
            writer.write(record)
    return path


def chunked(path: Path, rows: int, columns: list[str] | None = None) -> pd.DataFrame:
    return pd.concat(list(table.chunks(path, columns, rows)))


@pytest.mark.parametrize("ending", [".tfrecord", ".tfrecords.gz"])
@given(frame=frames(), rows=st.integers(1, 25), data=st.data())
@settings(max_examples=12)
def test_any_table(folder: Path, ending: str, frame: pd.DataFrame, rows: int, data: st.DataObject) -> None:
    """A table comes back with its columns' order and dtypes, floats as float32, all else exact; in chunks too."""
    with np.errstate(over="ignore"):
        narrow = frame.astype({"float": "float32"}) if "float" in frame else frame
    wide = [name for name in frame if name == "float" and not np.array_equal(narrow[name], frame[name], equal_nan=True)]
    if "float" in frame:
        assume((np.isinf(narrow["float"]) == np.isinf(frame["float"])).all())  # others are refused, see below
    written = table.write(frame, folder / f"x{ending}")
    assert written.rounded == tuple(wide)
    wanted = narrow.astype(frame.dtypes)
    same(table.read(folder / f"x{ending}"), wanted)
    columns = data.draw(st.permutations([str(name) for name in frame]))[: data.draw(st.integers(1, frame.shape[1]))]
    same(chunked(folder / f"x{ending}", rows, columns), wanted[columns])


@given(frame=frames(("narrow", "whole", "gapped", "text")), rows=st.integers(1, 25))
@settings(max_examples=12)
def test_without_the_sidecar(folder: Path, frame: pd.DataFrame, rows: int) -> None:
    """Without the sidecar the same values come in the natural order of the names, as the Examples tell them.

    A column of which no Example has a value is not told at all.
    """
    assume(frame.notna().any(axis=None))
    table.write(frame, folder / "x.tfrecord")
    (folder / "x.tfrecord.columns.json").unlink()
    wanted = frame[sorted(str(name) for name in frame if frame[name].notna().any())]
    if "gapped" in wanted and wanted["gapped"].notna().all():
        wanted = wanted.astype({"gapped": "int64"})
    found = table.read(folder / "x.tfrecord")
    same(found, wanted)
    same(chunked(folder / "x.tfrecord", rows), found)


def test_natural_order(tmp_path: Path) -> None:
    """Without a sidecar V2 comes before V10."""
    names = ["V10", "Time", "V2", "V1", "Amount", "c0_9", "c0_10"]
    write(tmp_path / "x.tfrecord", [example(**dict.fromkeys(names, 1.5))])
    assert list(table.read(tmp_path / "x.tfrecord")) == ["Amount", "Time", "V1", "V2", "V10", "c0_9", "c0_10"]


def test_files_of_others(tmp_path: Path) -> None:
    """Features that are absent, empty or of no kind are missing values, wherever in the file they are."""
    records = [
        example(a=None, b=[1][:0] or None, c=b"x", d=1, e=None),
        example(a=1.5, c="é".encode(), d=2, e=None),
        example(b=2**63 - 1, d=3, e=None),
        example(a=None, d=-4, e=None, f=b"late"),
    ]
    path = write(tmp_path / "x.tfrecord.gz", records)
    wanted = {
        "a": np.array([np.nan, 1.5, np.nan, np.nan], np.float32),
        "b": pd.array([None, None, 2**63 - 1, None], "Int64"),
        "c": ["x", "é", None, None],
        "d": [1, 2, 3, -4],
        "e": np.full(4, np.nan, np.float32),
        "f": [None, None, None, "late"],
    }
    same(table.read(path), pd.DataFrame(wanted))
    same(chunked(path, 1, ["f", "a"]), pd.DataFrame(wanted)[["f", "a"]])


def test_what_a_record_holds(tmp_path: Path) -> None:
    """Floats are float_list, whole numbers and booleans int64_list, text UTF-8 and times ISO 8601; gaps are absent."""
    frame = pd.DataFrame({"f": [0.5, None], "i": [7, 8], "b": [True, False], "s": ["é", None]})
    frame["t"] = pd.Series(np.array(["2018-04-01T00:00:31.5", "NaT"], "datetime64[ms]"))
    frame["z"] = frame["t"].dt.tz_localize("Europe/Paris")
    table.write(frame, tmp_path / "x.tfrecord")
    first, second = (record.numpy() for record in tf.data.TFRecordDataset(str(tmp_path / "x.tfrecord")))
    times = {"t": b"2018-04-01T00:00:31.500", "z": b"2018-03-31T22:00:31.500Z"}
    assert tf.train.Example.FromString(first) == tf.train.Example.FromString(
        example(f=0.5, i=7, b=1, s="é".encode(), **times)
    )
    assert tf.train.Example.FromString(second) == tf.train.Example.FromString(example(i=8, b=0))
    told = json.loads((tmp_path / "x.tfrecord.columns.json").read_text())
    dtypes = ["float64", "int64", "bool", "str", "datetime64[ms]", "datetime64[ms, Europe/Paris]"]
    columns = [{"name": name, "dtype": dtype} for name, dtype in zip("fibstz", dtypes, strict=True)]
    assert told == {"format": 1, "rows": 2, "columns": columns}
    same(table.read(tmp_path / "x.tfrecord"), frame)


def test_describe(tmp_path: Path) -> None:
    """With its sidecar a file tells columns, dtypes and rows unread; without, columns and dtypes."""
    table.write(pd.DataFrame({"b": [1, 2], "a": [0.5, 1]}), tmp_path / "x.tfrecord")
    size = (tmp_path / "x.tfrecord").stat().st_size
    assert table.describe(tmp_path / "x.tfrecord") == table.Shape(("b", "a"), ("int64", "float64"), 2, size)
    (tmp_path / "x.tfrecord.columns.json").unlink()
    assert table.describe(tmp_path / "x.tfrecord") == table.Shape(("a", "b"), ("float32", "int64"), None, size)


def flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :]


@pytest.mark.parametrize("sidecar", [True, False])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize(
    ("damage", "record"),
    [
        (lambda content, size: content[: 3 * size + 5], 3),
        (lambda content, size: content[: 3 * size + HEAD - 1], 3),
        (lambda content, size: content[: 3 * size + HEAD], 3),
        (lambda content, size: content[: 4 * size - 1], 3),
        (lambda content, size: flipped(content, 3 * size + HEAD + 5), 3),
        (lambda content, size: flipped(content, 5 * size + 1), 5),
        (lambda content, size: b"no TFRecord " * 20, 0),
        (lambda content, size: content + b"x", 10),
    ],
)
def test_damage(
    sidecar: bool,
    pack: Callable[[bytes], bytes],
    damage: Callable[[bytes, int], bytes],
    record: int,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A file that was cut short or altered is refused with the record's number, whatever the chunks, in silence."""
    path = tmp_path / ("x.tfrecord" if pack is bytes else "x.tfrecord.gz")
    table.write(pd.DataFrame({"a": np.arange(10) / 4, "b": ["x"] * 10}), tmp_path / "x.tfrecord")
    content = (tmp_path / "x.tfrecord").read_bytes()
    path.write_bytes(pack(damage(content, len(content) // 10)))
    (tmp_path / "x.tfrecord.columns.json").rename(tmp_path / (f"{path.name}.columns.json" if sidecar else "kept"))
    for rows in (1, 4, 100):
        with pytest.raises(DataRefused, match=rf"data {path}: record {record}: .") as refused:
            chunked(path, rows)
        assert "\n" not in str(refused.value)
        assert "{{" not in str(refused.value)
    assert capfd.readouterr() == ("", "")


def test_damaged_packing(tmp_path: Path) -> None:
    """A .gz that is none, or was cut short even by its checksum alone, is refused."""
    content = write(tmp_path / "x.tfrecord.gz", [example(a=1.5)] * 50).read_bytes()
    for wrong in (b"no gzip", content[:-3], content[:-9], content[:20]):
        (tmp_path / "x.tfrecord.gz").write_bytes(wrong)
        with pytest.raises(DataRefused, match=r"x\.tfrecord\.gz: (record \d+|cannot be read): ."):
            table.read(tmp_path / "x.tfrecord.gz")


def test_whole_records_cut_off(tmp_path: Path) -> None:
    """TFRecord does not tell that records at its end are gone; the sidecar does."""
    path = tmp_path / "x.tfrecord"
    table.write(pd.DataFrame({"a": [1, 2, 3]}), path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 3 * 2])
    with pytest.raises(DataRefused, match=rf"data {path}: 2 records, x\.tfrecord\.columns\.json says 3"):
        table.read(path)


GOOD = {"a": 1.5, "b": 1, "c": b"x"}


@pytest.mark.parametrize(
    ("bad", "wanted"),
    [
        (b"no Example", "."),
        (example(a=1, b=1, c=b"x"), "Name: .* Key: a.* Data types don't match"),
        (example(a=[1.5, 2.5], b=1, c=b"x"), "feature 'a' holds 2 values, one wanted"),
        (example(a=1.5, b=[1, 2, 3], c=b"x"), "feature 'b' holds 3 values, one wanted"),
        (example(a=1.5, b=1, c=b"\xff\xd8"), r"feature 'c' holds b'\\xff\\xd8', UTF-8 text wanted"),
    ],
)
@pytest.mark.parametrize("rows", [1, 7, 100])
def test_records_that_differ(bad: bytes, wanted: str, rows: int, tmp_path: Path) -> None:
    """A record that is no Example, or not like the others, is refused with its number and what is wrong in it."""
    path = write(tmp_path / "x.tfrecord", [*[example(**GOOD)] * 11, bad, *[example(**GOOD)] * 5])
    with pytest.raises(DataRefused, match=rf"data {path}: record 11: {wanted}") as refused:
        chunked(path, rows)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("dtype", "record", "wanted"),
    [
        ("int64", example(b=1), "feature 'a' is absent, int64 wanted"),
        ("uint8", example(a=256), "feature 'a' holds 256, uint8 wanted"),
        ("bool", example(a=2), "feature 'a' holds 2, bool wanted"),
        ("datetime64[us]", example(a=b"soon"), "feature 'a' holds 'soon', a time in ISO 8601 wanted"),
        ("str", example(a=1.5), ".*Data types don't match"),
    ],
)
def test_records_unlike_their_sidecar(dtype: str, record: bytes, wanted: str, tmp_path: Path) -> None:
    """Values that are not of the dtype that the sidecar tells are refused with the record's number."""
    good = {"str": b"x", "datetime64[us]": b"2018-04-01"}.get(dtype, 1)
    path = write(tmp_path / "x.tfrecord", [example(a=good), example(a=good), record])
    told = {"format": 1, "rows": 3, "columns": [{"name": "a", "dtype": dtype}]}
    (tmp_path / "x.tfrecord.columns.json").write_text(json.dumps(told))
    with pytest.raises(DataRefused, match=rf"data {path}: record 2: {wanted}"):
        table.read(path)


@pytest.mark.parametrize(
    "told",
    [
        "",
        "[]",
        '{"format": 2, "rows": 1, "columns": []}',
        '{"format": 1, "columns": []}',
        '{"format": 1, "rows": 1, "columns": [{"name": "a", "dtype": "object"}]}',
        '{"format": 1, "rows": 1, "columns": [{"name": "a", "dtype": "floaty"}]}',
        '{"format": 1, "rows": 1, "columns": [{"name": "a"}]}',
    ],
)
def test_damaged_sidecars(told: str, tmp_path: Path) -> None:
    """A sidecar that is not as this version writes it is refused by its name."""
    path = write(tmp_path / "x.tfrecord", [example(a=1.5)])
    (tmp_path / "x.tfrecord.columns.json").write_text(told)
    with pytest.raises(DataRefused, match=rf"data {path}\.columns\.json: not as this version writes it"):
        table.read(path)


def test_no_records(tmp_path: Path) -> None:
    """A file without records, or of Examples without features, is refused."""
    with pytest.raises(DataRefused, match="no rows"):
        table.read(write(tmp_path / "x.tfrecord", []))
    with pytest.raises(DataRefused, match="its Examples have no features"):
        table.read(write(tmp_path / "x.tfrecord", [example()]))


def test_directories(tmp_path: Path) -> None:
    """A directory of TFRecord files is one table, with sidecars and without; gaps of one file count for all."""
    first, second = pd.DataFrame({"b": [1, 2], "a": [0.5, 1]}), pd.DataFrame({"b": pd.array([None, 4], "Int64")})
    table.write(first, tmp_path / "1.tfrecord")
    table.write(second.assign(a=[2.0, 3.0]), tmp_path / "2.tfrecord.gz")
    wanted = {"b": pd.array([1, 2, None, 4], "Int64"), "a": [0.5, 1, 2, 3]}
    same(table.read(tmp_path), pd.DataFrame(wanted))
    same(chunked(tmp_path, 3), pd.DataFrame(wanted))
    assert table.describe(tmp_path).rows == 4
    (tmp_path / "2.tfrecord.gz.columns.json").unlink()
    same(table.read(tmp_path), pd.DataFrame(wanted)[["a", "b"]].astype({"a": "float32"}))


def test_directories_that_differ(tmp_path: Path) -> None:
    """Files whose sidecars tell other columns or dtypes are refused, and the file and column named."""
    table.write(pd.DataFrame({"a": [1]}), tmp_path / "1.tfrecord")
    for frame, wanted in (({"a": [1.5]}, "column 'a' holds float64, int64 in"), ({"c": [1]}, "column 'a' is in its")):
        table.write(pd.DataFrame(frame), tmp_path / "2.tfrecord")
        with pytest.raises(DataRefused, match=rf"2\.tfrecord: {wanted}"):
            table.read(tmp_path)


@pytest.mark.parametrize(
    ("column", "wanted"),
    [
        ([1.5, 1e39], "row 1: column 'a' holds 1e\\+39, beyond float32"),
        (np.array([1, 2**63], np.uint64), "row 1: column 'a' holds 9223372036854775808, beyond int64_list"),
        (np.array([1, 2], "timedelta64[s]"), r"column 'a' holds timedelta64\[s\]; TFRecord has numbers, booleans"),
        ([[1], [2]], "column 'a' holds object; TFRecord has numbers, booleans"),
    ],
)
def test_what_it_cannot_hold(column: Any, wanted: str, tmp_path: Path) -> None:
    """A number that its list would change beyond rounding, and what no list holds, is refused; nothing is left."""
    with pytest.raises(DataRefused, match=rf"out {tmp_path}/x\.tfrecord: {wanted}"):
        table.write(pd.DataFrame({"a": column}), tmp_path / "x.tfrecord")
    assert list(tmp_path.iterdir()) == []


def test_nothing_half_is_left(tmp_path: Path) -> None:
    """After Ctrl-C among the rows the older file and its sidecar are there as they were, and nothing else."""
    table.write(pd.DataFrame({"a": [1, 2]}), tmp_path / "x.tfrecord")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def broken() -> Iterable[pd.DataFrame]:
        yield pd.DataFrame({"b": [1.5]})
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        table.write(broken(), tmp_path / "x.tfrecord")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_place_that_is_not_there(tmp_path: Path) -> None:
    """A folder that is not there is refused as with the other formats."""
    with pytest.raises(DataRefused, match=rf"out {tmp_path}/absent/x\.tfrecord: No such file or directory"):
        table.write(pd.DataFrame({"a": [1]}), tmp_path / "absent" / "x.tfrecord")


def test_without_tensorflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where TensorFlow is not installed both ways are refused with what to install, and nothing is left."""
    path = write(tmp_path / "x.tfrecord", [example(a=1.5)])
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    wanted = r"TFRecord needs TensorFlow: pip install '\.\[train\]'"
    with pytest.raises(DataRefused, match=wanted):
        table.read(path)
    with pytest.raises(DataRefused, match=wanted):
        table.write(pd.DataFrame({"a": [1]}), tmp_path / "y.tfrecord")
    assert list(tmp_path.iterdir()) == [path]


def test_real_heartbeats(tmp_path: Path) -> None:
    """TensorFlow's ecg.csv goes through TFRecord with every sample as float32, in the columns' order."""
    frame = table.read(real("ecg.csv.xz")).head(500)
    assert len(table.write(frame, tmp_path / "x.tfrecord").rounded) == 140
    same(table.read(tmp_path / "x.tfrecord"), frame.astype(np.float32).astype(np.float64))


def test_simulated_heartbeats(tmp_path: Path) -> None:
    """So do simulated ones."""
    from trainer.simulate import simulated_ecg

    frame = simulated_ecg(200)
    table.write(frame, tmp_path / "x.tfrecord")
    found = table.read(tmp_path / "x.tfrecord")
    same(found, frame.astype({name: np.float32 for name in frame if frame[name].dtype == float}).astype(frame.dtypes))
    assert io.StringIO(frame.to_csv(index=False)).readline().strip().split(",") == list(found)
