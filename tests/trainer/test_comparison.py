"""Figures as a person reads them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.calibration import Calibration
from detector.threshold import Threshold
from trainer.bootstrap import Estimate
from trainer.comparison import aligned, caution, methods, percent, quantity, ratio, side_by_side, with_interval
from trainer.tradeoff import figures

KNOWN = Calibration.of(
    range(40), range(30, 50), days=1.0, amount="eur", held_out_amounts=range(40), anomalous_amounts=range(20)
)


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0.00"),
        (1, "1.00"),
        (0.5, "0.50"),
        (0.834, "0.83"),
        (0.0414, "0.041"),
        (0.00414, "0.0041"),
        (0.0000414, "0.0000"),
        (0.95, "0.95"),
        (0.9968, "0.997"),
        (0.99968, "0.9997"),
    ],
)
def test_ratio(share: float, text: str) -> None:
    """A share has two decimals, and more where it is close to 0 or 1, which it never reaches by rounding to two."""
    assert ratio(share) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (1234567.8, "1,234,568"),
        (152.3, "152"),
        (15.23, "15.2"),
        (1.523, "1.52"),
        (0.01523, "0.0152"),
        (-7, "-7.00"),
    ],
)
def test_quantity(number: float, text: str) -> None:
    """A quantity has three digits, or all before the point, and never an exponent."""
    assert quantity(number) == text


@given(st.floats(-1e15, 1e15), st.floats(0, 1))
def test_numbers_read_back(number: float, share: float) -> None:
    """What is printed is the number but for the digits that are cut."""
    assert float(quantity(number).replace(",", "")) == pytest.approx(number, rel=6e-3, abs=6e-5)
    assert float(ratio(share)) == pytest.approx(share, abs=5.1e-3)
    assert percent(share) == f"{quantity(100 * share)} %"


def test_with_interval() -> None:
    """An estimate is its value and its interval in brackets; what there is not is undefined."""
    assert with_interval(Estimate(0.83, 0.78, 0.88), ratio) == "0.83 [0.78, 0.88]"
    assert with_interval(None, ratio) == "undefined"


def test_side_by_side() -> None:
    """Every figure that some threshold has is a line, each threshold a column; columns begin at the same place."""
    columns = [(Threshold(35.5, "value:35.5"), figures(KNOWN, 35.5)), (Threshold(60, "value:60"), figures(KNOWN, 60))]
    lines = side_by_side(("before", "after"), columns, "eur")
    assert [line[: lines[0].index("before")].strip() for line in lines] == [
        "",
        "threshold",
        "method",
        "alerts a day",
        "false alerts a day",
        "precision",
        "recall",
        "F1",
        "eur caught a day",
        "eur missed a day",
        "share of eur caught",
        "eur in false alerts a day",
    ]
    assert lines[5].endswith("undefined")
    after = lines[0].index("after")
    assert all(line[after - 1] == " " != line[after] for line in lines)
    assert not any("eur" in line for line in side_by_side(("now",), columns[:1], None))


def test_without_time_and_labels() -> None:
    """A history with neither time nor labels tells how many rows alert, and nothing else."""
    plain = Calibration.of(range(1000))
    lines = side_by_side(("now",), [(Threshold(989.5, "value:989.5"), figures(plain, 989.5))], None)
    assert [line.split("  ")[0] for line in lines[1:]] == ["threshold", "method", "rows that alert"]
    assert "1.00 % [0.4" in lines[-1]


def test_methods() -> None:
    """A method that the history serves has its figures, another one its reason; the one in force has a star."""
    now = Threshold(35.5, "value:35.5")
    lines = methods(("value:35.5", "f1"), [(now, figures(KNOWN, 35.5)), "needs labels"], now)
    assert lines[0].split() == ["method", "threshold", "alerts", "a", "day", "precision", "recall"]
    assert lines[1].startswith("* value:35.5 ")
    assert lines[2].startswith("  f1 ")
    assert lines[2].endswith("needs labels")
    assert lines[1].index("35.5 ", 12) == lines[2].index("needs") == lines[0].index("threshold")


def test_aligned() -> None:
    """A column is as wide as its widest cell, shorter lines end early, and no line ends in space."""
    assert aligned([["a", "bb", "c"], ["aaaa", "b"], ["", "b", ""]]) == ["a      bb   c", "aaaa   b", "       b"]


def test_caution() -> None:
    """A method that learned its line from labels is named, the others are not."""
    assert caution("f1", "mad:3", "recall@precision:0.9")[0].startswith("f1 and recall@precision:0.9: chosen on these")
    assert caution("percentile:99", "budget:5/day") == []
