"""A pickle's table is read, and nothing that a pickle says is done."""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from detector.errors import DataRefused
from tests.trainer.old_pickles import PACKED, old_pickle
from trainer.fetch.pickled import NAMES, table_of

FIVE = pd.DataFrame(
    {
        "TRANSACTION_ID": range(5),
        "TX_DATETIME": pd.date_range("2018-04-01", periods=5, freq="h").as_unit("ns"),
        "CUSTOMER_ID": range(5),
        "TERMINAL_ID": range(300, 305),
        "TX_AMOUNT": np.linspace(1, 9, 5),
        "TX_TIME_SECONDS": range(0, 350_000, 70_000),
        "TX_TIME_DAYS": 0,
        "TX_FRAUD": 0,
        "TX_FRAUD_SCENARIO": 0,
    }
)


def pickled(frame: pd.DataFrame) -> bytes:
    """As pandas does it now, but for the names of columns, which were objects then."""
    return pickle.dumps(frame.set_axis(frame.columns.astype(object), axis=1), protocol=4)


@pytest.mark.parametrize("version", PACKED)
def test_old_pickles(version: str) -> None:
    """What pandas of then wrote is read to the last bit, whichever pandas reads it."""
    pd.testing.assert_frame_equal(table_of(old_pickle(version), "x"), FIVE, check_exact=True)


@given(
    values=st.lists(st.floats(width=64) | st.just(float("nan")), min_size=1, max_size=20),
    whole=st.integers(-(2**63), 2**63 - 1),
    text=st.booleans(),
)
def test_pickles_of_today(values: list[float], whole: int, text: bool) -> None:
    """What pandas writes now is read to the last bit; whole numbers kept as objects or text become numbers."""
    count = len(values)
    wanted = pd.DataFrame(
        {
            "a": values,
            "b": np.full(count, whole),
            "c": pd.date_range("2018-04-01", periods=count, freq="s").as_unit("us"),
            "d": np.arange(count, dtype=np.int8),
            "e": [value > 0 for value in values],
            "f": np.arange(count, dtype=np.float32) / 7,
        }
    )
    kept = wanted.assign(b=pd.Series([str(whole) if text else whole] * count, dtype=object))
    found = table_of(pickled(kept.iloc[::-1]), "x")
    pd.testing.assert_frame_equal(found, wanted.iloc[::-1].reset_index(drop=True), check_exact=True)


class Hostile:
    """Runs a command when it is unpickled."""

    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> Any:
        return self.call[0], self.call[1:]


def refused(content: bytes) -> str:
    with pytest.raises(DataRefused) as failure:
        table_of(content, "2018-04-01.pkl")
    return str(failure.value)


def test_hostile_pickles(tmp_path: Path) -> None:
    """A pickle that would run a command is refused, names what it asked for, and runs nothing; pickle would."""
    mark = tmp_path / "ran"
    content = pickle.dumps(Hostile(os.system, f"touch {mark}"))
    assert refused(content) == (
        f"2018-04-01.pkl: the pickle asks for {os.name}.system, which no table of numbers needs; nothing of it was run"
    )
    assert not mark.exists()
    pickle.loads(content)  # noqa: S301 - that the pickle is a hostile one
    assert mark.exists()


def test_a_hostile_value_within_a_table(tmp_path: Path) -> None:
    """Nor does a table hide it."""
    mark = tmp_path / "ran"
    frame = FIVE.assign(CUSTOMER_ID=pd.Series([1, 2, Hostile(os.system, f"touch {mark}"), 4, 5], dtype=object))
    assert f"asks for {os.name}.system" in refused(pickled(frame))
    assert not mark.exists()


@pytest.mark.parametrize("call", [(eval, "1"), (getattr, "", "x"), (exec, "1"), (sys.exit, 9), (pickle.loads, b"")])
def test_other_calls(call: tuple[Any, ...]) -> None:
    """No function at all is called, whatever it is."""
    assert "which no table of numbers needs" in refused(pickle.dumps(Hostile(*call)))


@given(module=st.text(min_size=1).filter(lambda one: "\n" not in one), name=st.text(min_size=1))
def test_other_names(module: str, name: str) -> None:
    """Any name but those of a table is refused, also what hangs on one of those."""
    assume((module, name) not in NAMES)
    for known, dotted in ((module, name), ("pandas", f"DataFrame.{name}"), ("numpy", f"ndarray.{name}")):
        try:
            content = b"\x80\x04" + b"".join(
                b"X" + len(text.encode()).to_bytes(4, "little") + text.encode() for text in (known, dotted)
            )
        except UnicodeEncodeError:
            return
        assert "which no table of numbers needs" in refused(content + b"\x93.")


@given(module_and_name=st.sampled_from(sorted(NAMES)), state=st.sampled_from([b"}", b"N}\x8c\x01xK\x01s\x86"]))
def test_classes_cannot_be_changed(module_and_name: tuple[str, str], state: bytes) -> None:
    """A pickle cannot set attributes of the inert classes, which later pickles would meet."""
    module, name = (text.encode() for text in module_and_name)
    content = b"\x80\x04\x8c%c%b\x8c%c%b\x93" % (len(module), module, len(name), name)
    before = {known: dict(vars(known)) for known in NAMES.values()}
    refused(content + state + b"b.")
    assert {known: dict(vars(known)) for known in NAMES.values()} == before


@given(length=st.integers(0, len(pickled(FIVE)) - 1))
def test_cut_pickles(length: int) -> None:
    """Any beginning of a pickle is refused as a damaged one."""
    assert "not the pickle of a table" in refused(pickled(FIVE)[:length])


@pytest.mark.parametrize(
    "content", [pickle.dumps(value) for value in (None, 1, "x", [1], {"_mgr": 1}, slice(1, 2), b"", (1, 2))]
)
def test_other_pickles(content: bytes) -> None:
    """A pickle of anything but a table is refused."""
    assert "not the pickle of a table" in refused(content)


@pytest.mark.parametrize("value", ["x", [1], (1,), None])
def test_objects_that_are_no_numbers(value: object) -> None:
    """A column of anything but numbers is refused."""
    refused(pickled(FIVE.assign(CUSTOMER_ID=pd.Series([value] * 5, dtype=object))))


def test_types_that_are_no_numbers() -> None:
    """Nor are complex numbers and text of fixed width any."""
    assert "ValueError" in refused(pickled(pd.DataFrame({"a": [1j, 2j]})))
