"""Any table's columns find their role, each with a reason."""

from __future__ import annotations

import datetime
import decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from detector import table
from detector.errors import DataRefused
from tests.conftest import real
from trainer.columns import MOST_ASKED, Columns, Findings, find
from trainer.left_out import correlation, reads_as_number
from trainer.look import FEW, SHOWN
from trainer.suspicion import auroc

ROWS = 200
RNG = np.random.default_rng(0)
NOISE = RNG.normal(size=ROWS)
SHOPS = np.resize(["spar", "aldi", "lidl", "spar"], ROWS)
FRAUD = np.arange(ROWS) % 5 == 0


def either(yes: NDArray[np.bool_], one: object, other: object) -> NDArray[np.object_]:
    """One value where it is so, the other elsewhere; None stays None."""
    return np.where(yes, np.asarray(one, object), np.asarray(other, object))


def cards(**more: Any) -> pd.DataFrame:
    """Two columns of numbers, and more."""
    return pd.DataFrame({"a": NOISE, "b": NOISE[::-1], **more})


def why(said: Columns | None = None, **columns: Any) -> str:
    """Why the last of the columns was dropped; empty where it is a feature."""
    found = find(cards(**columns), said)
    one = found.columns[-1]
    assert one.role == ("dropped" if one.why else "feature")
    assert (one.name in found.features) == (not one.why)
    return one.why


def test_kinds_of_features() -> None:
    """Numbers, booleans and texts of few values are features in the file's order, with gaps or without."""
    gaps = either(np.arange(ROWS) % 10 == 0, None, SHOPS)
    online = either(np.arange(ROWS) % 7 == 0, None, np.arange(ROWS) % 2 == 0)
    few = np.arange(ROWS) % 3
    found = find(cards(shop=SHOPS, gaps=gaps, online=online, sure=FRAUD, few=few))
    assert found.features == ("a", "b", "shop", "gaps", "online", "sure", "few")
    schema = found.schema()
    assert schema.categories == {"shop": ("spar", "aldi", "lidl"), "gaps": ("spar", "aldi", "lidl")}
    assert (schema.booleans, schema.optional) == (("online", "sure"), ("gaps", "online"))
    assert (schema.label, schema.time, schema.key, schema.normal) == (None, None, None, "0")


def test_equally_frequent_texts_are_in_order() -> None:
    """Values as frequent as each other are in the order of their text, whatever that of the file."""
    found = find(cards(x=np.resize(["b", "c", "a", "d"], ROWS)))
    assert found.categories == {"x": ("a", "b", "c", "d")}


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (7.0, "constant"),
        ("x", "constant"),
        (True, "constant"),
        (np.where(FRAUD, 3.5, np.nan), "constant"),
        (either(FRAUD, "x", None), "constant"),
        (1.5e9 + np.arange(ROWS) / 1000, "constant"),
        (np.nan, "all missing"),
        (None, "all missing"),
        ([[1, 2]] * ROWS, "holds list: no number, text, true or false"),
        ([{"a": 1}] * ROWS, "holds dict: no number, text, true or false"),
        (
            [decimal.Decimal("1.50"), decimal.Decimal("2")] * (ROWS // 2),
            "holds Decimal: no number, text, true or false",
        ),
        (["x", 1] * (ROWS // 2), "holds int, str: no number, text, true or false"),
        ([b"x", b"y"] * (ROWS // 2), "holds bytes: no number, text, true or false"),
        ([1j, 2j] * (ROWS // 2), "holds complex: no number, text, true or false"),
        (np.where(FRAUD, np.inf, NOISE), "infinite or beyond float32 in row 0"),
        (np.where(np.arange(ROWS) == 3, -1e39, NOISE), "infinite or beyond float32 in row 3"),
        (np.arange(ROWS), "identifier: whole numbers, all distinct, in order"),
        (np.arange(ROWS)[::-1] * 7 - 3, "identifier: whole numbers, all distinct, in order"),
        (pd.date_range("2024-01-01", periods=ROWS, tz="UTC"), "dates"),
        (pd.date_range("2024-01-01", periods=ROWS).astype(str), "dates"),
        ([datetime.date(2024, 1, 1), datetime.date(2024, 1, 2)] * (ROWS // 2), "dates"),
        ([f"{x:,.2f}" for x in NOISE * 1e6], "numbers as text, such as '125,730.22': write plain numbers"),
        (np.where(FRAUD, "$ 5", "12 %"), "numbers as text, such as '$ 5': write plain numbers"),
        (
            [f"{x:.3f}" for x in NOISE[:-9]] + ["unknown"] * 9,
            "numbers mixed with text, such as 'unknown': empty those cells",
        ),
        ([f"paid for number {x} in cash" for x in range(ROWS)], "free text: 6 words on average"),
        (np.where(FRAUD, "x" * 257, "y"), "free text: longer than 256 characters, or no UTF-8"),
        (pd.Series(["\ud800", "y"] * (ROWS // 2), dtype=object), "free text: longer than 256 characters, or no UTF-8"),
        ([f"u{x}" for x in range(ROWS)], "identifier: 100% of its texts differ"),
        ([f"u{x * 9 // 10}" for x in range(ROWS)], "identifier: 90% of its texts differ"),
        ([f"u{x * 8 // 10}" for x in range(ROWS)], "160 different texts, at most 32 make a feature"),
        (np.resize([f"u{x}" for x in range(33)], ROWS), "33 different texts, at most 32 make a feature"),
        (np.resize([f"u{x}" for x in range(11)], ROWS), "each text in 18.2 rows on average, 20 wanted"),
        (np.resize([f"u{x}" for x in range(10)], ROWS), ""),
        (np.resize([f"{x} or 7" for x in range(10)], ROWS), ""),
        (RNG.permutation(ROWS), ""),
        (np.arange(ROWS) // 2, ""),
        (np.arange(ROWS) / 1, ""),
        (np.sort(NOISE), ""),
    ],
)
def test_rules(values: Any, wanted: str) -> None:
    """What a column holds says whether it is a feature, and if not why, in a few words."""
    said = Columns(time="none")
    assert why(said, x=values) == wanted


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("id", "identifier, by its name"),
        ("TERMINAL_ID", "identifier, by its name"),
        ("merchantID", "identifier, by its name"),
        ("row uuid", "identifier, by its name"),
        ("hash", "identifier, by its name"),
        ("index", "identifier, by its name"),
        ("Unnamed: 0", "identifier, by its name"),
        ("paid", ""),
        ("index_of_mass", ""),
        ("id_count", ""),
        ("__", ""),
        ('say "x"', "its name has quotes, backslashes or control characters"),
        ("back\\slash", "its name has quotes, backslashes or control characters"),
        ("line\nbreak", "its name has quotes, backslashes or control characters"),
    ],
)
def test_names(name: str, wanted: str) -> None:
    """Whole numbers that are all distinct are an identifier if they are named like one, in whatever order."""
    columns: dict[str, Any] = {name: RNG.permutation(ROWS)}
    assert why(None, **columns) == wanted


def test_identifiers_that_come_again() -> None:
    """Whole numbers of an identifier's name that come again are one where they are many; fractions never are."""
    assert why(terminal_id=np.arange(ROWS) // 2) == "identifier, by its name"
    assert why(terminal_id=np.arange(ROWS) % 32) == ""
    assert why(terminal_id=NOISE) == ""
    assert why(index=np.arange(ROWS) // 2) == ""


def test_the_time_again() -> None:
    """Numbers that grow as the event time does are left out; those that fall, or only tend to grow, are not."""
    time = pd.date_range("2024-01-01", periods=ROWS, freq="h")
    hours = np.arange(ROWS, dtype=float)
    assert why(when=time, seconds=hours * 3600 + 7) == "the time again: correlation 1.0000 with when"
    assert why(when=time, days=np.where(FRAUD, np.nan, hours // 4)).startswith("the time again: correlation 0.99")
    assert why(when=time, age=-hours) == ""
    assert why(when=time, drift=hours + 20 * NOISE) == ""
    assert why(when=time, other=time + pd.Timedelta(1, "h")) == "another time"
    few = pd.DataFrame({"when": time[:49], "a": NOISE[:49], "b": hours[:49]})
    assert find(few).features == ("a", "b")


@pytest.mark.parametrize(
    ("label", "name", "wanted"),
    [
        ("TX_FRAUD", "TX_FRAUD_SCENARIO", "its name continues the label's, TX_FRAUD"),
        ("isFraud", "is_fraud_kind", "its name continues the label's, isFraud"),
        ("class", "class_of_merchant", "its name continues the label's, class"),
        ("class", "classy", ""),
        ("TX_FRAUD", "TX_AMOUNT", ""),
        ("y", "y_position", ""),
    ],
)
def test_names_that_continue_the_label_s(label: str, name: str, wanted: str) -> None:
    """What is named like the label and more is left out: it is known only when the label is."""
    assert why(**{label: FRAUD, name: NOISE}) == wanted


def test_several_columns_of_a_name() -> None:
    """Columns that share a name are all left out: nobody could say which is meant."""
    frame = cards(c=NOISE)
    frame.columns = pd.Index(["a", "b", "b"])
    found = find(frame)
    assert [one.role for one in found.columns] == ["feature", "dropped", "dropped"]
    assert found.dropped == {"b": "several columns have this name"}


def test_roles() -> None:
    """Label, time, key and amount are found, and neither label, time nor key is a feature."""
    frame = cards(Time=np.arange(ROWS), customer_id=np.arange(ROWS) % 9, Amount=NOISE**2, Class=FRAUD.astype(int))
    found = find(frame)
    assert (found.label, found.time, found.key, found.amount) == ("Class", "Time", "customer_id", "Amount")
    assert (found.normal, found.anomalous, found.rows) == ("0", 40, ROWS)
    assert found.span == (0, (ROWS - 1) * 1000)
    assert found.features == ("a", "b", "Amount")
    assert {one.name: one.role for one in found.columns if one.role != "feature"} == {
        "Time": "time",
        "customer_id": "key",
        "Class": "label",
    }
    assert found.warnings == ()


@pytest.mark.parametrize("name", ["Amount", "AMT", "TX_AMOUNT", "TransactionAmt"])
def test_amount_is_found(name: str) -> None:
    """The amount's name is known by its letters, in any case, where it holds numbers."""
    assert find(cards(**{name: NOISE**2})).amount == name
    assert find(cards(**{name: FRAUD})).amount is None


def test_what_was_said_wins() -> None:
    """What a person says of label, normal value, time and key holds, "none" too."""
    frame = cards(Time=np.arange(ROWS), when=np.arange(ROWS)[::-1], user=FRAUD, Class=FRAUD, other=~FRAUD)
    said = Columns(label="other", normal="True", time="when", key="user", amount="none")
    found = find(frame, said)
    assert (found.label, found.normal, found.time, found.key, found.amount) == ("other", "True", "when", "user", None)
    assert found.anomalous == 40
    nothing = find(frame, Columns(label="none", time="none", key="none"))
    assert (nothing.label, nothing.normal, nothing.anomalous, nothing.time, nothing.span) == (None,) * 5
    assert "Class" in nothing.features


def test_features_asked_for() -> None:
    """Features that were asked for are taken as they are, in that order: constants, identifiers, many texts."""
    many = [f"u{x}" for x in range(ROWS)]
    frame = cards(id=np.arange(ROWS), note=many, flat=1.0, none=np.nan, Time=np.arange(ROWS), Class=FRAUD)
    found = find(frame, Columns(features=("note", "Time", "flat", "none", "id")))
    assert found.features == ("note", "Time", "flat", "none", "id")
    assert found.categories == {"note": tuple(sorted(many))}
    assert (found.time, found.label) == ("Time", "Class")
    assert found.dropped == {"a": "not asked for", "b": "not asked for"}
    assert found.schema().optional == ("none",)


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        (Columns(label="z"), "label column 'z' is not in the data, which has a, b"),
        (Columns(time="z"), "time column 'z' is not in the data"),
        (Columns(key="z"), "key column 'z' is not in the data"),
        (Columns(features=("a", "z")), "feature column 'z' is not in the data"),
        (Columns(features=("a", "Class")), "label column 'Class' cannot be a feature"),
        (Columns(features=("a", "b", "a")), "features name a column twice: a, b, a"),
        (
            Columns(features=("a", "when")),
            r"feature column 'when' holds datetime64\[\w+\], numbers, text or true",
        ),
        (
            Columns(features=("a", "lists")),
            "feature column 'lists' holds object, numbers, text or true",
        ),
        (Columns(features=("a", "long")), "feature column 'long' has 0 different texts of at most 256 characters"),
        (
            Columns(features=("a", "many")),
            "feature column 'many' has 1,001 different texts of at most 256 characters",
        ),
    ],
)
def test_refusals(said: Columns, wanted: str) -> None:
    """What was asked for and cannot be is refused by its name."""
    rows = MOST_ASKED + 1
    frame = pd.DataFrame(
        {
            "a": np.arange(rows, dtype=float),
            "b": 1,
            "Class": np.arange(rows) % 2,
            "when": pd.date_range("2024-01-01", periods=rows),
            "lists": [[1]] * rows,
            "long": "x" * 257,
            "many": [f"u{x}" for x in range(rows)],
        }
    )
    with pytest.raises(DataRefused, match=wanted):
        find(frame, said)
    assert len(find(frame.head(MOST_ASKED), Columns(features=("a", "many"))).categories["many"]) == MOST_ASKED


def warnings(said: Columns | None = None, **columns: Any) -> list[str]:
    return list(find(cards(**columns), said).warnings)


def test_nothing_to_warn_of() -> None:
    """A labelled table of numbers is no cause for a word."""
    assert warnings(Class=FRAUD) == []
    assert warnings(Class=np.where(FRAUD, "fraud", "legit")) == []


@pytest.mark.parametrize(
    ("columns", "said", "wanted"),
    [
        ({}, {}, "no label found by its name, so every row is taken for normal; name the column with --label"),
        ({"q": FRAUD, "shop": SHOPS}, {}, "no label found by its name, .* \\(two values each: q\\)"),
        ({f"q{i}": FRAUD for i in range(7)}, {}, r"\(two values each: ..., q2, q3, q4, q5, q6\)"),
        ({"Class": 0}, {}, "label 'Class' is 0 in every row: there is nothing to compare with"),
        (
            {"Class": 1 - FRAUD.astype(int)},
            {},
            "label 'Class': 160 of 200 rows are anomalous; --normal names the n",
        ),
        ({"Class": either(FRAUD, None, "x")}, {}, "label 'Class' has 40 gaps, which fit refuses"),
        ({"Class": np.where(FRAUD, "x", "y")}, {}, "label 'Class': y, the most frequent value, is taken for normal"),
        ({"Class": np.where(FRAUD, 2, 1)}, {}, "label 'Class': 1, the most frequent value, is taken for normal"),
        ({"shop": SHOPS}, {"label": "shop"}, "label 'shop' has 3 different values: all but spar are anomalous"),
        ({"Class": np.arange(ROWS) % 5}, {}, "'Class' is named like a label and has 5 different values: taken as a f"),
        ({"Class": FRAUD, "fraud_type": SHOPS}, {}, "'fraud_type' is named like a label and is taken as a feature"),
        ({"Class": FRAUD, "isFlaggedFraud": NOISE}, {}, "'isFlaggedFraud' is named like a label"),
        ({"Class": FRAUD, "Time": np.arange(ROWS) * 1e12}, {}, "time 'Time' lies after the year 5000"),
        (
            {"Class": FRAUD, "Time": np.where(FRAUD, np.nan, 1)},
            {},
            "time column 'Time' has missing values, which fit",
        ),
        (
            {"Class": FRAUD, "Date": np.where(FRAUD, "soon", "late")},
            {},
            "'Date' is named like a time, and its",
        ),
        ({"Class": np.arange(ROWS) >= 30}, {}, "normal rows: 30, and fit wants at least 50"),
        ({"Class": FRAUD}, {"features": ("a",)}, "feature columns: 1, and fit wants at least 2"),
    ],
)
def test_warnings(columns: dict[str, Any], said: dict[str, Any], wanted: str) -> None:
    """What looks wrong is said in a sentence with the column's name."""
    found = " | ".join(warnings(Columns(**said), **columns))
    assert pd.Series([found]).str.contains(wanted)[0], found


def test_a_normal_value_that_was_said_is_no_guess() -> None:
    """Nothing is said of how the normal value was found where a person said it."""
    assert warnings(Columns(normal="1"), Class=np.where(FRAUD, 2, 1)) == []


@pytest.mark.parametrize(
    "leak",
    [
        FRAUD.astype(float),
        NOISE / 100 - FRAUD,
        np.where(FRAUD, np.nan, NOISE),
        np.where(FRAUD, "x", SHOPS),
        either(FRAUD, None, SHOPS),
        FRAUD,
    ],
)
def test_leaks(leak: Any) -> None:
    """A column that alone tells the label, by its numbers, its texts or its gaps, is a feature, and is named."""
    (said,) = warnings(Class=FRAUD, leak=leak)
    assert said.startswith("'leak' alone tells the label (AUROC 1.0000)")
    assert "leak" in find(cards(Class=FRAUD, leak=leak)).features


def test_leaks_need_rows() -> None:
    """Of few anomalous rows nothing is said: some column tells them apart by chance."""
    few = np.arange(ROWS) < 19
    assert warnings(Class=few, leak=few.astype(float)) == []


def test_leaks_in_many_rows() -> None:
    """Of very many rows a sample is ranked first, and finds the same."""
    truth = np.arange(50_000) % 100 == 0
    noise = np.random.default_rng(0).normal(size=50_000)
    found = find(pd.DataFrame({"a": noise, "b": noise + 2 * truth, "c": noise / 10 + truth, "Class": truth}))
    assert [said.split("'")[1] for said in found.warnings] == ["c"]


@given(st.lists(st.tuples(st.integers(-3, 3) | st.just(np.nan), st.booleans()), min_size=2, max_size=40))
def test_auroc_is_sklearn_s(rows: list[tuple[float, bool]]) -> None:
    """The area is scikit-learn's, gaps being above all numbers, and never below a half."""
    numbers, truth = (np.array(part) for part in zip(*rows, strict=True))
    if not truth.all() and truth.any():
        wanted = roc_auc_score(truth, np.nan_to_num(numbers, nan=9.0))
        assert auroc(numbers.astype(float), truth) == pytest.approx(max(wanted, 1 - wanted))


@given(st.lists(st.tuples(st.integers(-99, 99), st.integers(-99, 99)), min_size=2, max_size=40), st.floats(1e-3, 1e30))
def test_correlation_is_numpy_s(rows: list[tuple[int, int]], unit: float) -> None:
    """The correlation is numpy's in whatever unit; 0 where a column does not vary."""
    one, other = (np.array(part, float) for part in zip(*rows, strict=True))
    wanted = np.corrcoef(one, other)[0, 1] if np.ptp(one) and np.ptp(other) else 0.0
    assert correlation(one * unit, other) == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("text", ["1,234", "12.5 ", "$ 5.00", "7%", "1_000", "-3", "1e5", "£12'000"])
def test_numbers_in_text(text: str) -> None:
    """What a person reads as a number is one."""
    assert reads_as_number(text)


@pytest.mark.parametrize("text", ["", " ", "nan", "inf", "x1", "1-2", "1.2.3", "e5", "five", "12:30"])
def test_no_numbers_in_text(text: str) -> None:
    """Words, versions, clocks and nothing are no numbers."""
    assert not reads_as_number(text)


def test_examples() -> None:
    """Few values are counted, the most frequent first; of many the first is shown, and none is long."""
    found = find(cards(shop=SHOPS, note=[f"{x}" + "y" * 300 for x in range(ROWS)], odd=[None, *[[1]] * (ROWS - 1)]))
    assert found.column("shop").examples == (("spar", 100), ("aldi", 50), ("lidl", 50))
    assert found.column("note").examples == (("0" + "y" * 255, 0),)
    assert found.column("odd").examples == (("[1]", 0),)
    assert found.column("a").bounds == (NOISE.min(), NOISE.max())
    many = find(cards(few=np.arange(ROWS) % FEW)).column("few")
    assert [rows for _, rows in many.examples] == [2] * SHOWN


ALNUM = st.sampled_from(["Class", "Time", "user", "id", "Amount", "label", "x", "y", "x y", "date", 'q"', "é", "none"])
NAMES = ALNUM | st.text(max_size=5)
LIKELY: list[st.SearchStrategy[Any]] = [
    st.floats(-5, 5, width=16),
    st.integers(0, 2),
    st.booleans(),
    st.sampled_from(["red", "green", "", "no"]),
]
CELLS: list[st.SearchStrategy[Any]] = [
    st.floats(),
    st.integers(-(2**63), 2**63 - 1),
    st.text(max_size=4),
    st.sampled_from(["a", "b", "1,5", "2024-01-02", "", "x" * 300]),
    st.dates().map(str),
    st.datetimes(datetime.datetime(1700, 1, 1), datetime.datetime(2200, 1, 1)),
    st.dates(datetime.date(1700, 1, 1), datetime.date(2200, 1, 1)),
    st.lists(st.integers(), max_size=2),
    st.decimals(allow_nan=False, places=2),
    st.binary(max_size=3),
    st.complex_numbers(allow_nan=False),
    st.timedeltas(),
    st.none(),
    st.floats() | st.text(max_size=2) | st.booleans() | st.none() | st.integers(),
]


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    """Any table: columns of every kind, with gaps or without, some kept as categories, some of one name."""
    rows, width = draw(st.sampled_from([70, 80, 90, 30, 1, 0])), draw(st.integers(0, 6))
    columns = []
    for _ in range(width):
        cells = draw(st.sampled_from(LIKELY * 3 + CELLS))
        if draw(st.booleans()):
            cells = cells | st.none()
        some = draw(st.lists(cells, min_size=1, max_size=8))
        drawn = [some[place % len(some)] for place in np.random.default_rng(rows).permutation(rows)]
        values = pd.Series(drawn, dtype=object)
        columns.append(values.infer_objects() if draw(st.sampled_from([True, True, True, False])) else values)
    frame = pd.concat(columns, axis=1) if columns else pd.DataFrame(index=range(rows))
    unique = draw(st.sampled_from([True, True, True, False]))
    frame.columns = pd.Index(draw(st.lists(NAMES, min_size=width, max_size=width, unique=unique)), dtype=object)
    return frame


def checked(frame: pd.DataFrame) -> Findings:
    """Findings whose roles partition the columns, and whose features encode to finite numbers, NaN where one misses."""
    found = find(frame)
    assert [one.name for one in found.columns] == [str(name) for name in frame.columns]
    for role, name in (("label", found.label), ("time", found.time), ("key", found.key)):
        assert [one.name for one in found.columns if one.role == role] == ([] if name is None else [name])
    assert [one.name for one in found.columns if one.role == "feature"] == list(found.features)
    assert all((one.role == "dropped") == bool(one.why) for one in found.columns)
    if found.features:
        schema = found.schema()
        matrix = table.encoded(frame, schema)
        assert (np.isfinite(matrix) | frame[list(found.features)].isna().to_numpy()).all()
        assert [bool(np.isnan(column).any()) for column in matrix.T] == [
            name in schema.optional for name in found.features
        ]
    return found


@given(tables())
def test_any_table(frame: pd.DataFrame) -> None:
    """No table is too odd: every column has one role, and every feature becomes numbers."""
    checked(frame)


REAL: dict[str, tuple[tuple[str | None, ...], int, dict[str, str], int]] = {
    "creditcard_sample.parquet": (("Class", "0", "Time", None, "Amount"), 29, {}, 0),
    "ecg.csv.xz": ((None, None, None, None, None), 141, {}, 1),
    "handbook_features.parquet": (
        ("TX_FRAUD", "0", "TX_DATETIME", "CUSTOMER_ID", "TX_AMOUNT"),
        15,
        {
            "TRANSACTION_ID": "identifier, by its name",
            "TERMINAL_ID": "identifier, by its name",
            "TX_TIME_SECONDS": "the time again: correlation 1.0000 with TX_DATETIME",
            "TX_TIME_DAYS": "the time again: correlation 0.9999 with TX_DATETIME",
            "TX_FRAUD_SCENARIO": "its name continues the label's, TX_FRAUD",
        },
        0,
    ),
    "handbook_transactions.parquet": (
        ("TX_FRAUD", "0", "TX_DATETIME", "CUSTOMER_ID", "TX_AMOUNT"),
        1,
        {
            "TRANSACTION_ID": "identifier, by its name",
            "TERMINAL_ID": "identifier, by its name",
            "TX_TIME_SECONDS": "the time again: correlation 1.0000 with TX_DATETIME",
            "TX_TIME_DAYS": "the time again: correlation 1.0000 with TX_DATETIME",
            "TX_FRAUD_SCENARIO": "its name continues the label's, TX_FRAUD",
        },
        1,
    ),
    "twitter_accounts.parquet": (
        ("account_type", "human", "created_at", None, None),
        11,
        {
            "description": "free text: 12 words on average",
            "lang": "44 different texts, at most 32 make a feature",
        },
        0,
    ),
    "twitter_accounts_numeric.parquet": (("account_type", "human", None, None, None), 10, {}, 0),
}


@pytest.mark.parametrize("name", REAL)
def test_real_files(name: str) -> None:
    """What is found in the real files: roles, the number of features, what is left out and why, and no false alarm."""
    roles, features, dropped, warned = REAL[name]
    found = checked(table.read(real(name)))
    assert (found.label, found.normal, found.time, found.key, found.amount) == roles
    assert (len(found.features), found.dropped, len(found.warnings)) == (features, dropped, warned)


def test_simulated_tables() -> None:
    """The same of simulated tables in the shape of the cards and of the Handbook's transactions."""
    from trainer.simulate import simulated_cards

    found = checked(simulated_cards(2_000, 1, fraud_share=0.05))
    assert (found.label, found.normal, found.time, found.amount) == ("Class", "0", "Time", "Amount")
    assert (len(found.features), found.dropped, found.warnings) == (29, {}, ())
    seconds = np.sort(np.random.default_rng(0).integers(0, 10**7, 2_000))
    handbook = pd.DataFrame(
        {
            "TRANSACTION_ID": np.arange(2_000),
            "TX_DATETIME": pd.to_datetime("2018-04-01") + pd.to_timedelta(seconds, "s"),
            "CUSTOMER_ID": np.random.default_rng(1).integers(0, 99, 2_000),
            "TERMINAL_ID": np.random.default_rng(2).integers(0, 99, 2_000),
            "TX_AMOUNT": np.random.default_rng(3).gamma(2, 40, 2_000),
            "TX_TIME_SECONDS": seconds,
            "TX_FRAUD": np.arange(2_000) % 50 == 0,
            "TX_FRAUD_SCENARIO": np.arange(2_000) % 50 == 0,
        }
    )
    found = checked(handbook)
    assert (found.label, found.time, found.key, found.amount) == ("TX_FRAUD", "TX_DATETIME", "CUSTOMER_ID", "TX_AMOUNT")
    assert found.features == ("TX_AMOUNT",)
    assert set(found.dropped) == {"TRANSACTION_ID", "TERMINAL_ID", "TX_TIME_SECONDS", "TX_FRAUD_SCENARIO"}
