"""Each method finds the line that numpy, scipy or plain counting finds; an alert is strictly above it."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import median_abs_deviation

from detector.calibration import Calibration
from detector.statistics import Summary, summarize
from detector.threshold import METHODS, RUNNING, Line, Spec, Threshold, above, calibrate, parse
from tests.arrays import f32

SCORES = np.random.default_rng(0).lognormal(size=1001).astype(np.float32)
WIDE = SCORES.astype(np.float64)
KNOWN = Calibration.of(SCORES, [*SCORES[:9], 30, 40], normal_rows=5005, days=2.0)


def found(text: str, scores: NDArray[np.float32] = SCORES) -> float:
    return found_in(Calibration.of(scores), text)


def found_in(known: Calibration, text: str) -> float:
    threshold = calibrate(parse(text), known)
    assert threshold.method == text
    return threshold.value


@pytest.mark.parametrize("percent", [0.1, 50, 99.5, 100])
def test_percentile(percent: float) -> None:
    """percentile:P is numpy's percentile of the float64 scores."""
    assert found(f"percentile:{percent}") == np.percentile(WIDE, percent)


@pytest.mark.parametrize(("text", "times"), [("mean+3sd", 3), ("mean+sd", 1), ("mean+1sd", 1), ("mean+-.5sd", -0.5)])
def test_mean_and_sd(text: str, times: float) -> None:
    """mean+Ksd is the mean and K population standard deviations, K being 1 where it is left out."""
    assert found(text) == WIDE.mean() + times * np.std(WIDE)


@pytest.mark.parametrize("z", [3.5, 0.5])
def test_mad(z: float) -> None:
    """mad:K is the score whose modified z, .6745 (x - median) / MAD, is K."""
    assert found(f"mad:{z}") == pytest.approx(np.median(WIDE) + z * median_abs_deviation(WIDE) / 0.6745, rel=1e-12)


@pytest.mark.parametrize(("text", "value"), [("value:0.25", 0.25), ("value:-1e-3", -0.001), ("value:7.", 7.0)])
def test_value(text: str, value: float) -> None:
    """value:X is X, and needs no scores."""
    assert found(text, np.empty(0, np.float32)) == value


def test_mad_of_zero() -> None:
    """Where the MAD is 0 the mean deviation stands in; where all scores are equal the way out is named."""
    scores = f32([1, 1, 1, 1, 5])
    assert found("mad:2", scores) == pytest.approx(1 + 2 * 0.8 * math.sqrt(math.pi / 2), rel=1e-6)
    with pytest.raises(ValueError, match="take value:X"):
        found("mad:2", f32([3, 3]))


def test_every_method_is_found() -> None:
    """Each method that the help names can be parsed as it is written there and finds a line."""
    for text in METHODS:
        assert math.isfinite(found_in(KNOWN, text.replace("X", "1.5")))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            "",
            r"is none of percentile:99.5, mean\+3sd, mad:3.5, value:X, f1, recall@precision:0.9, budget:100/day, "
            "running-mad:3.5",
        ),
        ("percentile", "threshold 'percentile' is none of"),
        ("percentile:x", "'percentile:x'"),
        ("percentile:0", "above 0 and up to 100"),
        ("percentile:100.1", "above 0 and up to 100"),
        ("mad:0", "above 0"),
        ("mad:-1", "above 0"),
        ("running-mad:0", "above 0"),
        ("running-mad", "'running-mad' is none of"),
        ("value:nan", "'value:nan' is none of"),
        ("value:1e400", "'value:1e400': a finite number"),
        ("mean+1e999sd", "a finite number"),
        ("mad:1e999", "a finite number"),
        ("mean+3", "'mean\\+3' is none of"),
        ("99.5", "'99.5' is none of"),
        ("f2", "'f2' is none of"),
        ("f1:0.5", "'f1:0.5' is none of"),
        ("recall@precision:0", "a precision above 0 and up to 1"),
        ("recall@precision:90", "a precision above 0 and up to 1"),
        ("recall@precision", "'recall@precision' is none of"),
        ("budget:100", "'budget:100' is none of"),
        ("budget:100/month", "'budget:100/month' is none of"),
        ("budget:0/day", "above 0"),
        ("budget:1e999/week", "a finite number"),
    ],
)
def test_parse_refusals(text: str, wanted: str) -> None:
    """What is no method is refused with its text and what is wanted."""
    with pytest.raises(ValueError, match=wanted):
        parse(text)


METHODISH = r"\s?(percentile|mad|mean\+|value|running-mad|f1|recall@precision|budget):?[-+.e\d]{0,4}(sd|/day|/hour)?"


@given(st.text(max_size=20) | st.from_regex(METHODISH))
def test_parse_takes_or_refuses(text: str) -> None:
    """Any text is a method with a finite number, or a ValueError that repeats it."""
    refusal, spec = "", None
    try:
        spec = parse(text)
    except ValueError as error:
        refusal = str(error)
    if spec:
        assert spec.text == text.strip()
        assert math.isfinite(spec.number)
    else:
        assert repr(text) in refusal or repr(text.strip()) in refusal


def test_parse_is_forgiving_of_space() -> None:
    """White space around a method is no part of it."""
    assert parse(" mad:3.5\n") == Spec("mad", 3.5, "mad:3.5")


def test_calibrate_refusals() -> None:
    """The running method cannot be found in history, and no method but a value in no scores."""
    with pytest.raises(ValueError, match="'running-mad:3' needs a running detector"):
        calibrate(parse("running-mad:3"), KNOWN)
    with pytest.raises(ValueError, match="'mad:3' needs scores of normal rows, there are none"):
        found("mad:3", np.empty(0, np.float32))


def test_units_of_a_budget() -> None:
    """A budget may be told by the hour, the day or the week, and is alerts a day; its text stays as it was written."""
    assert parse("budget:7/hour") == Spec("budget", 168.0, "budget:7/hour")
    assert parse("budget:7/day") == Spec("budget", 7.0, "budget:7/day")
    assert parse("budget:7/week") == Spec("budget", 1.0, "budget:7/week")


score = st.sampled_from([0.0, 1.0, 1.5, 2.0, 7.0]) | st.floats(0, 100, width=32)


@st.composite
def histories(draw: st.DrawFn) -> Calibration:
    """Few rows with many ties, each standing for several, over some days."""
    held_out, anomalous = draw(st.lists(score, min_size=1, max_size=12)), draw(st.lists(score, max_size=8))
    return Calibration.of(
        held_out,
        anomalous,
        scores=draw(st.lists(score, min_size=1, max_size=5)),
        normal_rows=len(held_out) + draw(st.integers(0, 900)),
        anomalous_rows=len(anomalous) + draw(st.integers(0, 90)) if anomalous else 0,
        days=draw(st.sampled_from([0.5, 1.75, 7.0])),
    )


Choice = Callable[[Fraction, Fraction, Fraction], Fraction | None]
"""Rates a cut by the normal and anomalous rows above it and all anomalous ones; None where it will not do."""


def chosen(known: Calibration, rate: Choice) -> float | None:
    """The best cut by counting row by row in exact fractions; of equals the highest, None where none will do."""
    rows = sorted({float(one) for one in (*known.held_out, *known.anomalous)})
    best: tuple[Fraction, float] | None = None
    for low, high in pairwise(rows):
        cut = (low + high) / 2
        normal = expected(known.held_out, known.normal_rows, cut)
        rated = rate(normal, expected(known.anomalous, known.anomalous_rows, cut), Fraction(known.anomalous_rows))
        if rated is not None and (best is None or (rated, cut) > best):
            best = (rated, cut)
    return best and best[1]


def expected(scores: NDArray[np.float32], rows: int, cut: float) -> Fraction:
    return Fraction(sum(float(one) > cut for one in scores) * rows, max(len(scores), 1))


def agrees(known: Calibration, text: str, wanted: float | None) -> None:
    """The method finds the wanted cut, or refuses where there is none, naming itself."""
    refusal, value = "", None
    try:
        value = found_in(known, text)
    except ValueError as error:
        refusal = str(error)
    assert value == wanted
    assert value is not None or text in refusal


@given(histories())
def test_f1(known: Calibration) -> None:
    """f1 is the cut of the best F1 at the history's prevalence, counted plainly; of equally good ones the highest."""
    wanted = chosen(known, lambda normal, bad, all_bad: 2 * bad / (bad + normal + all_bad))
    agrees(known, "f1", wanted if len(known.anomalous) else None)


@given(histories(), st.sampled_from(["0.05", "0.1", "0.333", "0.5", "0.9", "1"]))
def test_recall_at_precision(known: Calibration, least: str) -> None:
    """recall@precision:P is the cut of the highest recall whose precision is at least P; of equals the highest."""

    def rate(normal: Fraction, bad: Fraction, all_bad: Fraction) -> Fraction | None:
        return bad if bad and bad / (bad + normal) >= Fraction(least) else None

    agrees(known, f"recall@precision:{least}", chosen(known, rate))


@given(histories(), st.sampled_from(["0.5", "3", "20", "100", "400"]), st.sampled_from([("hour", 24), ("day", 1)]))
def test_budget(known: Calibration, most: str, unit: tuple[str, int]) -> None:
    """budget:N/day is the lowest cut with at most N alerts a day, anomalous ones counted, and never all rows."""
    name, times = unit
    days, budget = Fraction(known.days or 0), Fraction(most) * times

    def rate(normal: Fraction, bad: Fraction, all_bad: Fraction) -> Fraction | None:
        return normal + bad if (normal + bad) / days <= budget else None

    everything = (known.normal_rows + known.anomalous_rows) / days
    agrees(known, f"budget:{most}/{name}", None if budget >= everything else chosen(known, rate))


@given(histories(), st.sampled_from(["f1", "recall@precision:0.1", "budget:50/day", "budget:100/week"]))
def test_a_chosen_line_lies_between_scores(known: Calibration, text: str) -> None:
    """A method that picks a cut lies strictly between two scores: no rounding moves a row to its other side."""
    try:
        value = found_in(known, text)
    except ValueError:
        return
    rows = np.concatenate((known.held_out, known.anomalous)).astype(np.float64)
    assert rows.min() < value < rows.max()
    assert value not in rows


def test_methods_on_a_small_history() -> None:
    """By hand: normal 1..8 and anomalous 7, 9, 10, a normal row standing for two, over two days."""
    known = Calibration.of(range(1, 9), [7, 9, 10], normal_rows=16, days=2.0)
    assert found_in(known, "f1") == 8.5
    assert found_in(known, "recall@precision:1") == 8.5
    assert found_in(known, "recall@precision:0.4") == 6.5
    assert found_in(known, "budget:1/day") == 8.5
    assert found_in(known, "budget:14/week") == 7.5
    assert found_in(known, "percentile:100") == 8


@pytest.mark.parametrize(
    ("known", "text", "wanted"),
    [
        (Calibration.of([1, 2]), "f1", "'f1' needs rows labelled anomalous, the history has none"),
        (Calibration.of([1, 2]), "recall@precision:0.9", "'recall@precision:0.9' needs rows labelled anomalous"),
        (Calibration.of([1, 2]), "budget:1/day", "'budget:1/day' needs a time column that spans some time"),
        (Calibration.of([], [1, 2]), "f1", "'f1' needs scores of normal rows, there are none"),
        (Calibration.of([2, 2], [2]), "f1", "'f1': all scores are equal, none lies above the others; take value:X"),
        (
            Calibration.of([1, 9, 9], [2, 9]),
            "recall@precision:0.6",
            r"'recall@precision:0.6' is never reached: the best precision is 0\.5$",
        ),
        (
            Calibration.of([1, 2], normal_rows=1000, days=10),
            "budget:4/day",
            "'budget:4/day': its rows can tell no fewer alerts a day than 50$",
        ),
        (
            Calibration.of([1, 2], normal_rows=20_000, days=10),
            "budget:2000/day",
            "'budget:2000/day': the history has 2,000 rows a day, all of them would alert",
        ),
    ],
)
def test_what_a_history_cannot_give(known: Calibration, text: str, wanted: str) -> None:
    """Without labels, without time, out of reach: each refusal names the method and what stands in its way."""
    with pytest.raises(ValueError, match=wanted):
        found_in(known, text)


@given(st.floats(width=32, allow_nan=False), st.floats(allow_nan=False))
def test_above_is_strict(score: float, value: float) -> None:
    """An alert is a score strictly above the line, compared in float64: not even a line just under it is rounded."""
    assert above(f32([score]), value).tolist() == [score > value]


def test_above_at_the_line() -> None:
    """A score at the line is no alert; the next float32 is; a line between two float32 parts them."""
    line = float(np.float32(0.1))
    scores = np.nextafter(f32([0.1] * 3), f32([-1, 0.1, 1]))
    assert above(scores, line).tolist() == [False, False, True]
    assert above(scores, np.nextafter(line, 0)).tolist() == [False, True, True]


def test_running_line() -> None:
    """The running method takes the partition's summary where there is one with spread, else the calibrated line."""
    calibrated = Threshold(9.0, "value:9")
    line = Line(calibrated, parse(f"{RUNNING}:3"))
    summary = summarize(SCORES)
    assert line.at(summary) == Threshold(summary.median + 3 * summary.mad / 0.6745, "running-mad:3")
    assert line.at(None) == calibrated
    assert line.at(Summary(300, 1.0, 0.0, 0.0)) == calibrated


def test_calibrated_line() -> None:
    """Without the running method the summary of a partition decides nothing."""
    assert Line(Threshold(9.0, "value:9")).at(summarize(SCORES)) == Threshold(9.0, "value:9")
