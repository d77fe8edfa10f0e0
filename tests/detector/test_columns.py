"""What columns hold, and which is the truth, the time, the entity."""

from __future__ import annotations

import datetime
import decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector import table
from detector.errors import DataRefused
from detector.table.roles import LABELS, NORMAL_WORDS, TIMES, as_text, letters, words
from tests.conftest import real


def frame(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame(columns)


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (pd.Series([1, 2]), "number"),
        (pd.Series([1.5, None]), "number"),
        (pd.Series([1, None], dtype="Int64"), "number"),
        (pd.Series([1, 0], dtype="Sparse[int]"), "number"),
        (pd.Series([1, None], dtype="int64[pyarrow]"), "number"),
        (pd.Series([None, None], dtype=float), "number"),
        (pd.Series([True, False]), "boolean"),
        (pd.Series([True, None]), "boolean"),
        (pd.Series([True, None], dtype="boolean"), "boolean"),
        (pd.Series([True, False], dtype="category"), "boolean"),
        (pd.Series(["x", None]), "text"),
        (pd.Series(["x", None], dtype=object), "text"),
        (pd.Series(["x", None], dtype="category"), "text"),
        (pd.Series(["x", None], dtype="string[pyarrow]"), "text"),
        (pd.Series(pd.to_datetime(["2024-01-02"])), "time"),
        (pd.Series(pd.to_datetime(["2024-01-02"])).dt.tz_localize("Europe/Paris"), "time"),
        (pd.Series([datetime.date(2024, 1, 2), None]), "time"),
        (pd.Series([1, 2], dtype="category"), "other"),
        (pd.Series(["x", 1]), "other"),
        (pd.Series([1j]), "other"),
        (pd.Series([[1], [2]]), "other"),
        (pd.Series([b"x"]), "other"),
        (pd.Series([decimal.Decimal("1.5")]), "other"),
        (pd.Series([pd.Timedelta(1)]), "other"),
        (pd.Series([None, None], dtype=object), "other"),
        (pd.Series([], dtype=object), "other"),
    ],
)
def test_kinds(values: pd.Series[Any], wanted: str) -> None:
    """A column holds numbers, booleans, text or times whatever pandas keeps them in; all else is other."""
    assert table.kind(values) == wanted


@pytest.mark.parametrize("name", ["CLASS", "Is Fraud", "isFraud", "is-fraud", "TX_FRAUD", "Account_Type", "Y"])
def test_label_is_found_in_any_case(name: str) -> None:
    """A label's name is known by its letters and digits, whatever is between them."""
    assert table.label_column(frame(x=[1, 2], **{name: [0, 1]}), None) == name


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([0, 1, 1], "Class"),
        ([0, 0, 0], "Class"),
        ([0, None, 1], "Class"),
        ([True, False, True], "Class"),
        (["Y", "N", "N"], "Class"),
        ([0, 1, 2], None),
        (["a", "b", "c"], None),
        ([None, None, None], None),
        ([[0], [1], [1]], None),
        (pd.to_datetime(["2024-01-02", "2024-01-03", "2024-01-03"]), None),
    ],
)
def test_a_label_has_two_values(values: Any, wanted: str | None) -> None:
    """What is found by its name has one or two values; more are no label unless a person says so."""
    given_ = frame(x=[1, 2, 3], Class=values)
    assert table.label_column(given_, None) == wanted
    assert table.label_column(given_, "Class") == "Class"


def test_the_likelier_name_wins() -> None:
    """Of several names the one that is more surely a label is taken, wherever it stands, and one that fits."""
    assert table.label_column(frame(y=[0, 1], target=[0, 1], Class=[0, 1]), None) == "Class"
    assert table.label_column(frame(Class=[0, 7, 2], is_fraud=[0, 1, 1]), None) == "is_fraud"
    assert table.label_column(frame(CLASS=[0, 1], Class=[0, 1]), None) == "CLASS"


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([5, 6], "time"),
        ([5.5, None], "time"),
        (["2024-01-02", "2024-01-03"], "time"),
        (["01/13/2024 10:00", "01/14/2024 11:00"], "time"),
        (["soon", "later"], None),
        ([True, False], None),
        ([None, None], None),
    ],
)
def test_a_time_s_name_needs_times(values: Any, wanted: str | None) -> None:
    """A column of a time's name is one where it holds numbers or dates."""
    assert table.time_column(frame(x=[1, 2], time=values), None) == wanted


@pytest.mark.parametrize("name", ["EVENT_TIME", "Transaction Date", "trans_date_trans_time", "createdAt", "TS"])
def test_time_is_found_in_any_case(name: str) -> None:
    """A time's name is known by its letters and digits."""
    assert table.time_column(frame(x=[1, 2], **{name: [0, 1]}), None) == name


DAYS = ["2024-01-02", "2024-01-03"]


@pytest.mark.parametrize(
    ("columns", "wanted"),
    [
        ({"when": pd.to_datetime(DAYS)}, "when"),
        ({"when": DAYS}, "when"),
        ({"when": ["02.01.2024 10:00", "03.01.2024 11:00"]}, "when"),
        ({"when": [datetime.date(2024, 1, 2)] * 2}, "when"),
        ({"date_of_birth": DAYS, "when": DAYS}, "when"),
        ({"dob": DAYS}, None),
        ({"cardExpires": pd.to_datetime(DAYS)}, None),
        ({"when": pd.to_datetime(pd.Series(["2024-01-02", None]))}, None),
        ({"when": ["2024-01-02", None]}, None),
        ({"when": ["2024-01-02", "2024-13-45"]}, None),
        ({"address": ["10.0.0.1", "10.0.0.2"]}, None),
        ({"version": ["1.2.3", "1.2.4"]}, None),
        ({"count": [1_700_000_000, 1_700_000_001]}, None),
        ({"first": DAYS, "second": DAYS}, "first"),
        ({"first": DAYS, "Time": [1, 2]}, "Time"),
    ],
)
def test_time_by_what_it_holds(columns: dict[str, Any], wanted: str | None) -> None:
    """Without a known name the first column of dates without a gap is the time; births are none, nor are numbers."""
    assert table.time_column(frame(x=[1, 2], **columns), None) == wanted


@pytest.mark.parametrize(
    ("columns", "wanted"),
    [
        ({"customer_id": [7, 7, 8]}, "customer_id"),
        ({"CUSTOMER_ID": ["a", "b", "a"]}, "CUSTOMER_ID"),
        ({"cc_num": [7.0, 7.0, 8.0, None]}, "cc_num"),
        ({"cc_num": [2**60, 2**60, 2**60 + 1]}, "cc_num"),
        ({"account": [7, 7, 8], "card_id": [1, 1, 2]}, "card_id"),
        ({"customer_id": [7, 8, 9]}, None),
        ({"customer_id": [7, 7, 7]}, None),
        ({"customer_id": [None, None, None]}, None),
        ({"account": [7.5, 7.5, 8]}, None),
        ({"user": [True, False, True]}, None),
        ({"user": [[1], [1], [2]]}, None),
        ({"shop": [7, 7, 8]}, None),
    ],
)
def test_key_is_found(columns: dict[str, Any], wanted: str | None) -> None:
    """A column of an entity's name is the key where its text or whole numbers come again, and are not all the same."""
    assert table.key_column(frame(x=1, **columns), None) == wanted


def test_roles_leave_each_other_out() -> None:
    """What is one thing already is not found as another, but may be asked for."""
    given_ = frame(user=[1, 1, 2], time=[1, 2, 3])
    assert table.key_column(given_, None, leave_out=("user",)) is None
    assert table.time_column(given_, None, leave_out=("time",)) is None
    assert table.key_column(given_, "user", leave_out=("user",)) == "user"


@pytest.mark.parametrize("find", [table.label_column, table.time_column, table.key_column])
def test_asked_for(find: Any) -> None:
    """What is asked for is taken whatever it holds, "none" is none, and what is absent is refused."""
    given_ = frame(Class=[0, 1, 2], time=[1, 2, 3], user=[1, 1, 2], x=["a", None, "c"])
    assert find(given_, "x") == "x"
    assert find(given_, "none") is None
    with pytest.raises(DataRefused, match="column 'z' is not in the data, which has Class, time, user, x"):
        find(given_, "z")


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([0, 1, 1], "0"),
        ([0.0, 1.0], "0"),
        ([1, 1], "0"),
        ([0, 1, 2], "0"),
        ([-1, 1, 1], "1"),
        ([2.5, 1.5, 2.5], "2.5"),
        ([2.0, 4.0, 4.0], "4"),
        ([3, 4], "3"),
        ([None, 1, 0], "0"),
        ([True, True], "False"),
        ([True, None], "False"),
        (["bot", "bot", "human"], "human"),
        (["Fraud", "Legit"], "Legit"),
        (["Y", "N"], "N"),
        (["non-fraud", "fraud"], "non-fraud"),
        (["a", "b", "b"], "b"),
        (["b", "a"], "a"),
        (["b", "a", None], "a"),
        ([None, None], "0"),
    ],
)
def test_normal_value(values: list[Any], wanted: str) -> None:
    """Normal is 0, False or a word that says so, else the most frequent value, ties by text."""
    found = table.normal_value(pd.Series(values))
    assert found == wanted
    if all(value is not None for value in values):
        normal = ~table.anomalous(frame(y=values), "y", found)
        assert normal.sum() == sum(as_text(value) == wanted for value in values)


@given(st.lists(st.sampled_from([0, 1, 2, -1, 0.5]) | st.sampled_from(["x", "no", "ok"]) | st.booleans(), min_size=1))
def test_some_row_is_normal(values: list[Any]) -> None:
    """The normal value is that of a row, but for numbers that are all 1 and booleans that are all true."""
    for kind_ in (int | float, str, bool):
        same = [one for one in values if isinstance(one, kind_) and isinstance(one, bool) == (kind_ is bool)]
        if same and set(same) != {1}:
            found = table.normal_value(pd.Series(same))
            assert not table.anomalous(frame(y=same), "y", found).all()


def test_words_of_names() -> None:
    """Names fall apart at capitals, and at what is no letter or digit; letters compare names without these."""
    assert words("isFlaggedFraud") == ["is", "flagged", "fraud"]
    assert words("TX_FRAUD_SCENARIO") == ["tx", "fraud", "scenario"]
    assert words("HTTPServer2 x") == ["http", "server2", "x"]
    assert words("__") == []
    assert letters("Is-Fraud_2") == "isfraud2"


def test_names_are_told_apart() -> None:
    """No known name stands in a list twice, and none is both a label's and a time's or a key's."""
    lists = [[letters(name) for name in names] for names in (LABELS, TIMES, table.KEYS)]
    assert all(len(set(names)) == len(names) for names in lists)
    assert len(set().union(*lists)) == sum(map(len, lists))
    assert all(letters(word) == word for word in NORMAL_WORDS)


REAL = [
    ("creditcard_sample.parquet", ("Class", "0", "Time", None)),
    ("ecg.csv.xz", (None, None, None, None)),
    ("handbook_features.parquet", ("TX_FRAUD", "0", "TX_DATETIME", "CUSTOMER_ID")),
    ("handbook_transactions.parquet", ("TX_FRAUD", "0", "TX_DATETIME", "CUSTOMER_ID")),
    ("twitter_accounts.parquet", ("account_type", "human", "created_at", None)),
    ("twitter_accounts_numeric.parquet", ("account_type", "human", None, None)),
]


def roles_of(given_: pd.DataFrame) -> tuple[str | None, ...]:
    label = table.label_column(given_, None)
    normal = None if label is None else table.normal_value(given_[label])
    return label, normal, table.time_column(given_, None), table.key_column(given_, None)


@pytest.mark.parametrize(("name", "wanted"), REAL)
def test_real_files(name: str, wanted: tuple[str | None, ...]) -> None:
    """Label, normal value, time and key of the real files, without a word of configuration."""
    assert roles_of(table.read(real(name))) == wanted


def test_simulated_tables() -> None:
    """The same of simulated tables in their shapes."""
    from trainer.simulate import simulated_cards, simulated_ecg

    assert roles_of(simulated_cards(300, 1)) == ("Class", "0", "Time", None)
    assert roles_of(simulated_ecg(50)) == ("label", "0", None, None)
    rng = np.random.default_rng(0)
    accounts = frame(created_at=pd.date_range("2020", periods=50, freq="D").astype(str), account_type=["human"] * 50)
    accounts.loc[rng.permutation(50)[:20], "account_type"] = "bot"
    assert roles_of(accounts) == ("account_type", "human", "created_at", None)
