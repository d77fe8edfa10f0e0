"""Each method finds the line that numpy and scipy find; an alert is strictly above it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import median_abs_deviation

from detector.statistics import Summary, summarize
from detector.threshold import METHODS, RUNNING, Line, Spec, Threshold, above, calibrate, parse
from tests.arrays import f32

SCORES = np.random.default_rng(0).lognormal(size=1001).astype(np.float32)
WIDE = SCORES.astype(np.float64)


def found(text: str, scores: NDArray[np.float32] = SCORES) -> float:
    threshold = calibrate(parse(text), scores)
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
        assert math.isfinite(found(text.replace("X", "1.5")))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", "is none of percentile:99.5, mean\\+3sd, mad:3.5, value:X, running-mad:3.5"),
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
    ],
)
def test_parse_refusals(text: str, wanted: str) -> None:
    """What is no method is refused with its text and what is wanted."""
    with pytest.raises(ValueError, match=wanted):
        parse(text)


@given(st.text(max_size=20) | st.from_regex(r"\s?(percentile|mad|mean\+|value|running-mad):?[-+.e\d]{0,4}(sd)?"))
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
        calibrate(parse("running-mad:3"), SCORES)
    with pytest.raises(ValueError, match="'mad:3' needs scores of normal rows, there are none"):
        found("mad:3", np.empty(0, np.float32))


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
