"""Files of history become tables with every bit kept, or are refused with a sentence."""

from __future__ import annotations

import gzip
import io
import lzma
import math
import struct
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detector import table
from detector.errors import DataRefused
from tests.arrays import f32
from tests.conftest import real

TEXT = "a,b\n1,x\n2.5,y\n-3e2,z\n"
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".csv": lambda content: content,
    ".csv.gz": gzip.compress,
    ".csv.xz": lzma.compress,
    ".csv.zst": zstandard.ZstdCompressor().compress,
}
LONG = ("a,b\n" + "".join(f"{i},{i / 7!r}\n" for i in range(50_000))).encode()


def read(folder: Path, content: bytes | str, ending: str = ".csv") -> pd.DataFrame:
    path = folder / f"file{ending}"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return table.read(path)


def frame(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame(columns)


@pytest.mark.parametrize("ending", [*PACKERS, ".CSV"])
def test_csv(ending: str, tmp_path: Path) -> None:
    """A CSV is read whatever its packing, with its header's names."""
    found = read(tmp_path, PACKERS[ending.lower()](TEXT.encode()), ending)
    assert list(found.columns) == ["a", "b"]
    assert found["a"].tolist() == [1.0, 2.5, -300.0]
    assert found["b"].tolist() == ["x", "y", "z"]


def test_parquet(tmp_path: Path) -> None:
    """A Parquet file is read with its types."""
    wanted = frame(a=[1.5, math.nan], b=["x", None], c=[True, False], d=[1, 2])
    wanted.to_parquet(tmp_path / "x.parquet")
    pd.testing.assert_frame_equal(table.read(tmp_path / "x.parquet"), wanted)


def test_no_header(tmp_path: Path) -> None:
    """A first line that is all numbers is a row, and the columns are called c0, c1, ..."""
    found = read(tmp_path, "1,-2.5,nan\n3,4,5\n")
    assert list(found.columns) == ["c0", "c1", "c2"]
    assert found["c1"].tolist() == [-2.5, 4.0]
    assert list(read(tmp_path, "1,x\n3,4\n").columns) == ["1", "x"]


def test_booleans_with_gaps(tmp_path: Path) -> None:
    """Booleans of a CSV of which some are missing stay booleans."""
    found = read(tmp_path, "a,b\nTrue,1\n,2\nfalse,3\n")
    pd.testing.assert_series_equal(found["a"], pd.Series([True, None, False], dtype="boolean", name="a"))


@pytest.mark.parametrize(
    ("cells", "wanted", "dtype"),
    [
        (["1", "18446744073709551615"], [1, 2**64 - 1], "uint64"),
        (["1", "18446744073709551616"], ["1", "18446744073709551616"], "str"),
        (["-1", "9223372036854775808"], ["-1", "9223372036854775808"], "str"),
        (["007", "", "-12345678901234567890"], ["007", None, "-12345678901234567890"], "str"),
        (["", "NA", "9223372036854775808"], [None, None, "9223372036854775808"], "str"),
        (["1.5", "18446744073709551616"], [1.5, 2.0**64], "float64"),
        (["18446744073709551616", "inf"], [2.0**64, math.inf], "float64"),
    ],
)
def test_whole_numbers_beyond_int64(cells: list[str], wanted: list[Any], dtype: str, tmp_path: Path) -> None:
    """Whole numbers beyond int64 are uint64 where all fit, else text with every digit; beside fractions they round."""
    found = read(tmp_path, "a,b\n" + "".join(f"{cell},1\n" for cell in cells))
    pd.testing.assert_series_equal(found["a"], pd.Series(wanted, dtype=dtype, name="a"))


@given(st.lists(st.binary(min_size=8, max_size=8), min_size=1, max_size=50))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_numbers_are_exact(tmp_path: Path, bits: list[bytes]) -> None:
    """Any finite float64 printed in full comes back from a CSV as the same bits."""
    numbers = [number for (number,) in (struct.unpack("<d", one) for one in bits) if math.isfinite(number)] or [0.1]
    found = read(tmp_path, "x,y\n" + "".join(f"{number!r},1.5\n" for number in numbers))
    assert found["x"].to_numpy(np.float64).tobytes() == np.array(numbers).tobytes()


def test_many_numbers_are_exact(tmp_path: Path) -> None:
    """The same for 100,000 patterns of bits and for as many common numbers, as float32 too."""
    rng = np.random.default_rng(0)
    patterns = rng.integers(0, 2**64, 100_000, dtype=np.uint64).view(np.float64)
    numbers = np.concatenate((patterns[np.isfinite(patterns)], rng.normal(size=100_000)))
    found = read(tmp_path, "x\n" + "\n".join(map(repr, numbers.tolist())))
    assert found["x"].to_numpy().tobytes() == numbers.tobytes()
    with np.errstate(over="ignore"):
        assert table.matrix(found, ["x"]).tobytes() == numbers.astype(np.float32).tobytes()


@pytest.mark.parametrize("ending", [".csv.gz", ".csv.xz", ".csv.zst"])
@pytest.mark.parametrize("damage", ["cut short", "of other bytes", "empty"])
def test_damaged_packing(ending: str, damage: str, tmp_path: Path) -> None:
    """A packed file that was cut short, or is none, is refused and never read in part."""
    whole = PACKERS[ending](LONG)
    content = {"cut short": whole[: len(whole) * 2 // 3], "of other bytes": LONG, "empty": b""}[damage]
    with pytest.raises(DataRefused, match=r"file\.csv\.\w+: cannot be read: ."):
        read(tmp_path, content, ending)


@pytest.mark.parametrize("ending", [".csv.gz", ".csv.xz", ".csv.zst"])
def test_packed_in_parts(ending: str, tmp_path: Path) -> None:
    """A file packed in several parts, one after the other, is read whole."""
    pack = PACKERS[ending]
    found = read(tmp_path, pack(LONG[:300_000]) + pack(LONG[300_000:]), ending)
    assert len(found) == 50_000


@pytest.mark.parametrize("place", [0.3, 0.5, 0.7])
@pytest.mark.parametrize("ending", [".csv.gz", ".csv.xz"])
def test_a_byte_altered_in_the_packing(ending: str, place: float, tmp_path: Path) -> None:
    """A packing that has a checksum, with a byte altered, is refused."""
    content = bytearray(PACKERS[ending](LONG))
    content[int(place * len(content))] ^= 0xFF
    with pytest.raises(DataRefused, match="cannot be read"):
        read(tmp_path, bytes(content), ending)


@pytest.mark.parametrize(
    ("content", "ending", "wanted"),
    [
        ("", ".csv", "cannot be read: No columns"),
        ("\n\n", ".csv", "cannot be read: No columns"),
        ("a,b\n", ".csv", "no rows"),
        ("a,b\n1,2\n1,2,3\n", ".csv", "Expected 2 fields in line 3, saw 3"),
        ('a,b\n"1,2\n', ".csv", "EOF inside string"),
        (b"a,b\n\xff,2\n", ".csv", "can't decode byte 0xff"),
        (b"not parquet", ".parquet", "cannot be read"),
        ("a\n1\n", ".txt", r"\.csv, \.csv\.gz, \.csv\.xz, \.csv\.zst, \.parquet, \.tfrecord, .* wanted"),
        ("a,b\n1,2,3\n4,5,6\n", ".csv", "Expected 2 fields in line 2, saw 3"),
    ],
)
def test_refusals(content: bytes | str, ending: str, wanted: str, tmp_path: Path) -> None:
    """What is no table is refused in one line that names the file and the trouble."""
    with pytest.raises(DataRefused, match=wanted) as refused:
        read(tmp_path, content, ending)
    assert f"data {tmp_path / ('file' + ending)}: " in str(refused.value)
    assert "\n" not in str(refused.value)


def test_damaged_parquet(tmp_path: Path) -> None:
    """A Parquet file that was cut short is refused."""
    packed = io.BytesIO()
    frame(a=np.arange(1000)).to_parquet(packed)
    with pytest.raises(DataRefused, match="cannot be read"):
        read(tmp_path, packed.getvalue()[:-100], ".parquet")


def test_no_such_file(tmp_path: Path) -> None:
    """A file that is not there is named."""
    with pytest.raises(DataRefused, match=f"{tmp_path / 'absent.csv'}: no such file"):
        table.read(tmp_path / "absent.csv")


@pytest.mark.parametrize("name", table.LABELS)
def test_label_is_found(name: str) -> None:
    """A column with a known name is the label where none is asked for."""
    assert table.label_column(frame(x=[1], **{name: [0]}), None) == name


@pytest.mark.parametrize("name", table.TIMES)
def test_time_is_found(name: str) -> None:
    """A column with a known name is the time where none is asked for."""
    assert table.time_column(frame(x=[1], **{name: [0]}), None) == name


def test_columns_asked_for() -> None:
    """What is asked for wins over known names, "none" asks for none, and a key is never guessed."""
    found = frame(Class=[0], fraud=[1], Time=[0], when=[1], card=[2])
    assert table.label_column(found, "fraud") == "fraud"
    assert table.time_column(found, "when") == "when"
    assert table.key_column(found, "card") == "card"
    assert table.label_column(found, "none") is table.time_column(found, "none") is table.key_column(found, "none")
    assert table.key_column(found, None) is None
    assert table.label_column(frame(x=[1]), None) is None


@pytest.mark.parametrize(
    ("ask", "what"), [(table.label_column, "label"), (table.time_column, "time"), (table.key_column, "key")]
)
def test_absent_columns(ask: Callable[[pd.DataFrame, str], str | None], what: str) -> None:
    """A column that is asked for and absent is named, with those that are there."""
    with pytest.raises(DataRefused, match=f"{what} column 'x' is not in the data, which has a, b"):
        ask(frame(a=[1], b=[2]), "x")


def test_wide() -> None:
    """Numbers and booleans become float64 with NaN for gaps, in the order asked; text is refused by name."""
    found = frame(a=[1, 2], b=[True, False], c=[0.5, None], d=["x", "y"], e=pd.array([1, None], dtype="Int64"))
    assert np.array_equal(table.wide(found, ["c", "b", "a", "e"]), [[0.5, 1, 1, 1], [np.nan, 0, 2, np.nan]], True)
    with pytest.raises(DataRefused, match="feature column 'd' holds str, numbers wanted"):
        table.wide(found, ["a", "d"])
    with pytest.raises(DataRefused, match="feature column 'z' is not in the data"):
        table.wide(found, ["a", "z"])


def test_matrix_is_the_direct_cast() -> None:
    """The matrix is float32 by one rounding, in one piece."""
    found = table.matrix(frame(a=[0.1, 1e39], b=[-1e39, math.nan]), ["a", "b"])
    assert np.array_equal(found, f32([[0.1, -np.inf], [np.inf, np.nan]]), equal_nan=True)
    assert found.dtype == np.float32
    assert found.flags.c_contiguous


def test_numeric_columns() -> None:
    """Columns of numbers and booleans are features in the file's order, but for those left out and those of text."""
    found = frame(z=[1], a=[0.5], t=["x"], b=[True], label=[0])
    assert table.numeric_columns(found, ("label", None)) == ["z", "a", "b"]


@pytest.mark.parametrize(
    ("labels", "normal", "wanted"),
    [
        ([0, 1, 0], "0", [False, True, False]),
        ([0.0, 1.0, 2.0], "0", [False, True, True]),
        ([1, 0, 1], "1", [False, True, False]),
        ([1, 0, 1], "1.0", [False, True, False]),
        (["human", "bot", "human"], "human", [False, True, False]),
        ([True, False, True], "True", [False, True, False]),
        ([True, False, True], "0", [True, False, True]),
        ([0, 1], "fine", [True, True]),
    ],
)
def test_anomalous(labels: list[Any], normal: str, wanted: list[bool]) -> None:
    """Anomalous is what is not the normal value: numbers compare as numbers, all else as text."""
    assert table.anomalous(frame(y=labels), "y", normal).tolist() == wanted


def test_anomalous_refusals() -> None:
    """A label that is missing in some rows, or altogether, is refused."""
    with pytest.raises(DataRefused, match="label column 'y' has 2 missing values"):
        table.anomalous(frame(y=[0, None, None]), "y", "0")
    with pytest.raises(DataRefused, match="label column 'z' is not in the data"):
        table.anomalous(frame(y=[0]), "z", "0")


def milliseconds(*texts: str) -> list[int]:
    return [round(datetime.fromisoformat(text).timestamp() * 1000) for text in texts]


@pytest.mark.parametrize(
    ("times", "wanted"),
    [
        ([0, 1, 172_792], [0, 1000, 172_792_000]),
        ([0.0004, 0.0006, -1.5], [0, 1, -1500]),
        (["2013-09-01", "2013-09-01 12:30:00.5"], milliseconds("2013-09-01T00:00Z", "2013-09-01T12:30:00.500Z")),
        (["2018-04-01T00:00:31+02:00"], milliseconds("2018-03-31T22:00:31Z")),
        (["04/13/2018 10:00", "04/14/2018 11:00"], milliseconds("2018-04-13T10:00Z", "2018-04-14T11:00Z")),
        (pd.to_datetime(["2018-04-01 00:00:31.123456"]), milliseconds("2018-04-01T00:00:31.123Z")),
        (pd.to_datetime(["2018-04-01 02:00"]).tz_localize("Europe/Paris"), milliseconds("2018-04-01T00:00Z")),
    ],
)
def test_event_milliseconds(times: Any, wanted: list[int]) -> None:
    """Numbers are seconds; text and datetimes are dates, UTC where they name no zone; all become ms since 1970."""
    found = table.event_milliseconds(frame(t=times), "t")
    assert found.tolist() == wanted
    assert found.dtype == np.int64


@pytest.mark.parametrize(
    ("times", "wanted"),
    [
        ([0.0, None], "has missing values"),
        ([0.0, math.inf], "has missing values"),
        (["2013-09-01", None], "has missing values"),
        (["2013-09-01", "soon"], "time column 't': "),
        (["soon"], "time column 't': "),
    ],
)
def test_event_refusals(times: list[Any], wanted: str) -> None:
    """A time that is missing or no time is refused, in one line."""
    with pytest.raises(DataRefused, match=wanted) as refused:
        table.event_milliseconds(frame(t=times), "t")
    assert "\n" not in str(refused.value)


def test_real_heartbeats() -> None:
    """TensorFlow's ecg.csv has no header: 140 samples and the label, 2,919 of 4,998 normal."""
    found = table.read(real("ecg.csv.xz"))
    assert list(found.columns) == [f"c{i}" for i in range(141)]
    assert len(found) == 4998
    assert int(table.anomalous(found, "c140", "1").sum()) == 2079


def test_simulated_heartbeats_without_a_header(tmp_path: Path) -> None:
    """Simulated heartbeats written without a header are read like the real ones, every bit kept."""
    from trainer.simulate import simulated_ecg

    beats = simulated_ecg(50)
    found = read(tmp_path, beats.to_csv(index=False, header=False))
    assert list(found.columns) == [f"c{i}" for i in range(141)]
    assert found.to_numpy().tobytes() == beats.to_numpy().tobytes()


def test_real_cards() -> None:
    """The real cards have the columns Time, V1..V28, Amount, Class and 414 frauds; label and time are found."""
    found = table.read(real("creditcard_sample.parquet"))
    assert list(found.columns) == ["Time", *(f"V{i}" for i in range(1, 29)), "Amount", "Class"]
    assert (table.label_column(found, None), table.time_column(found, None)) == ("Class", "Time")
    assert int(table.anomalous(found, "Class", "0").sum()) == 414
    assert (np.diff(table.event_milliseconds(found, "Time")) >= 0).all()
