"""`inspect` says what it found on a page a hundred columns wide, and the command that would say the same."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from detector import table
from tests.conftest import real
from tests.trainer.test_columns import tables
from trainer.__main__ import main, parser
from trainer.columns import Column, Columns, Findings, find
from trainer.datasets import Data, open_data
from trainer.history import find_schema
from trainer.overview import MOST_LINES, WIDTH, command, grouped, number, overview

Capture = pytest.CaptureFixture[str]
ROWS = 240
RNG = np.random.default_rng(0)
FRAUD = np.arange(ROWS) % 6 == 0
SHOP = pd.DataFrame(
    {
        "id": np.arange(ROWS),
        "when": pd.date_range("2024-01-01", periods=ROWS, freq="h").astype(str),
        "customer id": np.arange(ROWS) % 40,
        "Amount": RNG.gamma(2, 40, ROWS).round(2),
        "price": [f"{x:,.2f}" for x in RNG.uniform(1000, 2000, ROWS)],
        "kind": np.resize(["it's", "-b", "it's"], ROWS),
        "online": np.where(np.arange(ROWS) % 4 == 0, None, np.arange(ROWS) % 3 == 0),
        "note": [f"some words that are {x}" for x in range(ROWS)],
        "fraud": np.where(FRAUD, "Y", "N"),
        "fraud_type": np.where(FRAUD, "a", "b"),
        "leak": FRAUD + RNG.normal(size=ROWS) / 100,
    }
)
PAGE = r"""shop.csv: 240 rows, 11 columns

column       role     type     missing    distinct  values
id           dropped  number         -         240  0 .. 239
when         time     text           -         240  2024-01-01 00:00:00
customer id  key      number         -          40  0 .. 39
Amount       feature  number         -         239  4.26 .. 340.3
price        dropped  text           -         240  1,261.86
kind         feature  text           -           2  it's (160), -b (80)
online       feature  boolean      25%           2  False (120), True (60)
note         dropped  text           -         240  some words that are 0
fraud        label    text           -           2  N (200), Y (40)
fraud_type   dropped  text           -           2  b (200), a (40)
leak         feature  number         -         240  -0.02928 .. 1.017

label     fraud: N is normal, 40 of 240 rows are anomalous (16.7 %)
time      when: 2024-01-01 00:00:00 to 2024-01-10 23:00:00, 10 days, 24 rows a day
key       customer id: 40 of them, 6.0 rows each on average
amount    Amount
features  4: 2 numbers, 1 text, 1 boolean

left out
  id: identifier, by its name
  price: numbers as text, such as '1,261.86': write plain numbers
  note: free text: 5 words on average
  fraud_type: its name continues the label's, fraud

! 'leak' alone tells the label (AUROC 1.0000): will it be known when a row is scored?

the same, said in full:
python -m trainer fit shop.csv --label fraud --time when --key 'customer id' --amount Amount \
    --normal N --features Amount,kind,online,leak --out model"""


def said(capture: Capture, *arguments: object) -> str:
    assert main([str(one) for one in arguments]) == 0
    out, err = capture.readouterr()
    assert err == ""
    return out


def test_page() -> None:
    """The page has every column with its role and values, the facts, the reasons, the doubts and the command."""
    assert overview("shop.csv", find(SHOP), 10.0) == PAGE


def test_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """`inspect` prints that page of a file; a known set has one too."""
    SHOP.to_csv(tmp_path / "shop.csv", index=False)
    monkeypatch.chdir(tmp_path)
    assert said(capsys, "inspect", "shop.csv") == PAGE + "\n"
    known = said(capsys, "inspect", "simulated-ecg")
    assert "\nc0..c139 (140)  feature  number         -       5,000  " in known
    assert "\nlabel     label: 1 is normal, 2,080 of 5,000 rows are anomalous (41.6 %)\n" in known


def test_json(tmp_path: Path, capsys: Capture) -> None:
    """With --json the same findings come as plain values, without NaN, the command as a list of words."""
    SHOP.to_parquet(tmp_path / "shop.parquet")
    plain = json.loads(said(capsys, "inspect", tmp_path / "shop.parquet", "--json"), parse_constant=pytest.fail)
    found = find(SHOP)
    assert plain["data"] == str(tmp_path / "shop.parquet")
    assert (plain["label"], plain["normal"], plain["time"], plain["key"]) == ("fraud", "N", "when", "customer id")
    assert (plain["rows"], plain["anomalous"], plain["days"]) == (ROWS, 40, 10.0)
    assert [(one["name"], one["role"], one["why"]) for one in plain["columns"]] == [
        (one.name, one.role, one.why) for one in found.columns
    ]
    assert plain["features"] == list(found.features)
    assert plain["categories"] == {"kind": ["it's", "-b"]}
    assert plain["warnings"] == list(found.warnings)
    assert plain["command"] == command(str(tmp_path / "shop.parquet"), found)


def test_what_is_said(tmp_path: Path, capsys: Capture) -> None:
    """Label, normal value, time and key may be said: the page is then of these."""
    SHOP.to_parquet(tmp_path / "x.parquet")
    out = said(capsys, "inspect", tmp_path / "x.parquet", "--label", "kind", "--time", "none", "--normal=-b")
    assert "label     kind: -b is normal, 160 of 240 rows are anomalous (66.7 %)" in out
    assert "--normal=-b" in out
    assert "\ntime      none\n" in out
    assert main(["inspect", str(tmp_path / "x.parquet"), "--label", "nope"]) == 8
    assert capsys.readouterr().err.startswith("error: label column 'nope' is not in the data, which has id, when")


def test_names_that_cannot_be_printed() -> None:
    """Where a name would command the terminal no command is printed."""
    frame = pd.DataFrame({"a": np.arange(ROWS) % 5, "b\x9b": np.arange(ROWS) % 7})
    page = overview("x", find(frame), None)
    assert "\x9b" not in page
    assert page.endswith("no command can say the same: a name in it cannot be printed; --json has its words")


@pytest.mark.parametrize(
    "columns",
    [
        {},
        {"Class": FRAUD, "Time": np.arange(ROWS), "user": np.arange(ROWS) % 9, "Amount": np.arange(ROWS) ** 0.5},
        {"Class": np.where(FRAUD, "-bad", "-good"), "a b": np.arange(ROWS) / 7, "it's $HOME": np.arange(ROWS) % 7},
        {f"a rather long name {i}": np.arange(ROWS) % (i + 2) for i in range(90)},
        {f"f{i}": np.arange(ROWS) % (i + 2) for i in range(150)},
        {"a,b": np.arange(ROWS) % 7},
        {"-a": np.arange(ROWS) % 7, "Class": np.where(FRAUD, -1, 1)},
    ],
)
def test_the_command_says_the_same(columns: dict[str, Any], tmp_path: Path) -> None:
    """A shell splits the command into words that `fit` takes, and that find the very same schema."""
    frame = pd.DataFrame({"x": np.arange(ROWS) % 5, "y0": np.arange(ROWS) % 3, **columns})
    path = tmp_path / "some rows.parquet"
    frame.to_parquet(path)
    page = overview(str(path), find(frame), None)
    written = page.rpartition("in full")[2].partition(":\n")[2]
    words = shlex.split(written.replace("\\\n", ""))
    assert words[:3] == ["python", "-m", "trainer"]
    arguments = parser().parse_args(words[3:])
    assert (arguments.command, arguments.data, str(arguments.out)) == ("fit", str(path), "model")
    features = tuple(arguments.features.split(",")) if arguments.features else None
    again = Columns(features, arguments.label, arguments.normal, arguments.time, arguments.key, arguments.amount)
    data = Data(path.name, table.read(path))
    assert find_schema(data, again) == find_schema(data, Columns())
    assert find(frame, again).amount == find(frame).amount


def test_no_command_where_fit_would_refuse() -> None:
    """A table without two features has no command, and says so."""
    page = overview("x", find(pd.DataFrame({"a": np.arange(ROWS) % 5, "Class": FRAUD})), None)
    assert page.endswith("! feature columns: 1, and fit wants at least 2")
    assert "trainer fit" not in page


def wide(count: int, like: Any) -> Findings:
    frame = pd.DataFrame({f"{'abcdefg'[i % 7]}_{i}_x": like(i) for i in range(count)})
    return find(frame)


def test_many_columns_alike() -> None:
    """Five hundred neighbours of one role are one line of the table."""
    rows = np.arange(50.0)
    page = overview("x", wide(500, lambda i: rows * i + rows**2), None)
    assert "\na_0_x..c_499_x (500)  feature  number         -          50  0 .. 26,852\n" in page
    assert len(page.splitlines()) < 25


def test_many_columns_mixed() -> None:
    """Five hundred columns of kinds in no order are a line for each role and type, and reasons name a few."""
    kinds = [RNG.normal(size=ROWS), np.resize(["red", "green"], ROWS), FRAUD, 7, np.arange(ROWS)]
    page = overview("x", wide(500, lambda i: kinds[i % 5]), None)
    lines = page.splitlines()
    assert len(lines) < 40
    assert "a_0_x..a_497_x (100)" not in page
    assert sum(line.startswith("a_0_x..") for line in lines) == 1
    assert "and 88 more: constant" in " ".join(line.strip() for line in lines)
    assert "its 300 features are found again, --json names them" in page


def test_numbered_columns() -> None:
    """Columns numbered in a row and alike are one line; two, or those that differ, have their own."""
    frame = pd.DataFrame({f"V{i}": np.arange(ROWS) % (i + 3) for i in range(1, 9)} | {"W1": 1.5, "W2": 2.5})
    frame["V4"] = "flat"
    assert [[one.name for one in group] for group in grouped(find(frame).columns)] == [
        ["V1", "V2", "V3"],
        ["V4"],
        ["V5", "V6", "V7", "V8"],
        ["W1"],
        ["W2"],
    ]


@given(st.lists(st.tuples(st.sampled_from(["V1", "V2", "V3", "x", "y"]), st.booleans()), max_size=150))
def test_groups_hold_every_column_once(names: list[tuple[str, bool]]) -> None:
    """However many columns there are, each is in one group, of columns with its role and type."""
    columns = [Column(name, "feature" if yes else "dropped", "number", 0, 1, None, ()) for name, yes in names]
    groups = grouped(columns)
    assert sorted(map(id, columns)) == sorted(id(one) for group in groups for one in group)
    assert all(len({(one.role, one.kind) for one in group}) == 1 for group in groups)
    assert len(groups) <= MOST_LINES


@given(tables())
def test_any_table_has_a_page(frame: pd.DataFrame) -> None:
    """Any table has a page, no line of which is too wide or would command a terminal."""
    page = overview("x.csv", find(frame), None)
    assert all(one.isprintable() or one == "\n" for one in page)
    found, _, _ = page.partition("\nthe same, said in full")
    assert max(map(cell_len, found.splitlines())) <= WIDTH


def test_wide_letters_keep_the_columns() -> None:
    """Letters that take two places on a terminal move nothing out of line."""
    more: dict[str, Any] = {"金額": np.resize(["東京", "大阪"], ROWS), "x\x1b[31m": 1}
    frame = SHOP[["Amount", "leak"]].assign(**more)
    lines = overview("x", find(frame), None).splitlines()[2:7]
    starts = {cell_len(line[: line.index(kind)]) for line in lines for kind in (" number ", " text ") if kind in line}
    assert starts == {len("column  feature ")}
    assert "\x1b" not in "".join(lines)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [(0.0, "0"), (-3.0, "-3"), (1234567.0, "1,234,567"), (1e12, "1e+12"), (0.12345678, "0.1235"), (-1234.5, "-1,234")],
)
def test_numbers(value: float, wanted: str) -> None:
    """A number has few digits; a whole one has all of them."""
    assert number(value) == wanted


@pytest.mark.parametrize(
    ("times", "wanted"),
    [
        (np.arange(ROWS), "time      Time: 0 s to 239 s"),
        (np.arange(ROWS) + 1.6e9, "time      Time: 2020-09-13 12:26:40 to 2020-09-13 12:30:39"),
        (np.where(FRAUD, np.nan, 1), "time      Time\n"),
    ],
)
def test_times(times: Any, wanted: str) -> None:
    """Seconds since 1970 are dates, those that began at 0 are seconds; where there are gaps nothing is said of them."""
    assert wanted in overview("x", find(SHOP[["Amount", "leak"]].assign(Time=times)), None)


REAL = [
    (
        "creditcard_sample.parquet",
        "V1..V28 (28)  feature  number         -   to 18,777  -63.34 .. 39.42",
        "label     Class: 0 is normal, 414 of 18,984 rows are anomalous (2.18 %)",
    ),
    ("ecg.csv.xz", "c0..c140 (141)  feature  number         -    to 4,998  -7.09 .. 7.402", "label     none"),
    (
        "handbook_features.parquet",
        "time      TX_DATETIME: 2018-07-01 00:02:06 to 2018-08-15 23:59:45, 46 days, 9,580 rows a day",
        "key       CUSTOMER_ID: 4,962 of them, 88.8 rows each on average",
    ),
    (
        "handbook_transactions.parquet",
        "  TRANSACTION_ID, TERMINAL_ID: identifier, by its name",
        "! feature columns: 1, and fit wants at least 2",
    ),
    (
        "twitter_accounts.parquet",
        "features  11: 5 booleans, 6 numbers",
        "  description: free text: 12 words on average",
    ),
    (
        "twitter_accounts_numeric.parquet",
        "label     account_type: human is normal, 12,425 of 37,438 rows are anomalous (33.2 %)",
        "features  10: 4 booleans, 6 numbers",
    ),
]


@pytest.mark.parametrize(("name", "one", "other"), REAL)
def test_real_files(name: str, one: str, other: str, capsys: Capture) -> None:
    """The page of each real file."""
    page = said(capsys, "inspect", real(name))
    assert {one, other} <= set(page.splitlines())
    assert max(map(len, page.partition("\nthe same")[0].splitlines()[1:])) <= WIDTH


def test_simulated_cards(capsys: Capture) -> None:
    """The page of simulated cards, as that of the real ones."""
    page = said(capsys, "inspect", "simulated-cards")
    found = find(open_data("simulated-cards").frame)
    assert f"label     Class: 0 is normal, {found.anomalous} of 60,000 rows are anomalous" in page
    assert "\nV1..V28 (28)  feature  number         -   to 60,000  " in page
    assert "--label Class --time Time --key none --amount Amount" in page
