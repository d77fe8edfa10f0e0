"""A shadow's agreement is that of two models asked row by row; it never stops the line, and counts what committed."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import cohen_kappa_score

from detector.artifact import Artifact
from detector.errors import ModelRefused, UsageError
from detector.model import Model
from detector.rows import Decoder
from detector.schema import Schema
from detector.serving import Serving
from detector.shadow import EDGES, OUTCOMES, Distribution, Shadow, Tally
from detector.threshold import Line, Threshold, above, parse
from tests.arrays import f32

Rows = NDArray[np.float32]


class Weighted:
    """A network whose score is a weighted sum of the row, so that every column's place matters."""

    def __init__(self, weights: dict[str, float], features: tuple[str, ...]) -> None:
        self.weights = f32([weights[name] for name in features])

    def score(self, matrix: Rows) -> Rows:
        return np.asarray(matrix @ self.weights, np.float32)


class Broken:
    """A network whose score is the first column, and that fails when it is told to."""

    def __init__(self) -> None:
        self.error: Exception | None = None

    def score(self, matrix: Rows) -> Rows:
        if self.error:
            raise self.error
        return matrix[:, 0].copy()


WEIGHTS = {"a": 1.0, "b": 10.0, "c": 100.0, "d": 1000.0}


@pytest.fixture(scope="module")
def serving(cards_artifact: Artifact, cards_model: Model) -> Serving:
    return Serving(cards_artifact, cards_model, cards_artifact.line(), Decoder(cards_artifact.schema))


def made(like: Serving, schema: Schema, threshold: float = 1.0, network: Any = None) -> Serving:
    """What serves rows of a schema by weighted sums, or by another network."""
    found = replace(like.artifact, schema=schema)
    model = network or Weighted(WEIGHTS, schema.features)
    return Serving(found, cast(Model, model), Line(Threshold(threshold, f"value:{threshold}")), Decoder(schema))


def judged(serving: Serving, matrix: Rows) -> tuple[Rows, NDArray[np.intp]]:
    """Scores, and the places of the rows that alert."""
    scores = serving.model.score(matrix)
    return scores, np.flatnonzero(above(scores, serving.line.calibrated.value))


def straight(served: list[float], shadow: list[float], lines: tuple[float, float]) -> dict[str, int]:
    """Rows by how they end, one after the other."""
    found = dict.fromkeys(OUTCOMES, 0)
    for one, other in zip(served, shadow, strict=True):
        alerts = one > lines[0], other > lines[1]
        names = {(True, True): "both", (True, False): "served_only", (False, True): "shadow_only"}
        found[names.get(alerts, "neither")] += 1
    return found


SCORE = st.floats(0, 8, width=32)


@given(pairs=st.lists(st.tuples(SCORE, SCORE), max_size=60), lines=st.tuples(SCORE, SCORE))
def test_like_row_by_row(pairs: list[tuple[float, float]], lines: tuple[float, float], serving: Serving) -> None:
    """Rows by outcome, agreement and both distributions are those of the two scores of each row."""
    matrix = f32(pairs).reshape(-1, 2)
    served = made(serving, Schema(("a", "b")), lines[0], Weighted({"a": 1, "b": 0}, ("a", "b")))
    own = made(serving, Schema(("a", "b")), lines[1], Weighted({"a": 0, "b": 1}, ("a", "b")))
    tally = Shadow(own, served).score(matrix, *judged(served, matrix))
    assert tally.outcomes == straight(matrix[:, 0].tolist(), matrix[:, 1].tolist(), lines)
    assert tally.rows == len(matrix)
    for found, column, line in ((tally.served, matrix[:, 0], lines[0]), (tally.shadow, matrix[:, 1], lines[1])):
        edges = EDGES * (line or 1.0)
        below = [int((column <= edge).sum()) for edge in edges.tolist()]
        assert np.cumsum(found.counts).tolist() == [*below, len(column)]
        assert found.total == pytest.approx(column.sum(dtype=np.float64))


@given(st.lists(st.integers(0, 50), min_size=4, max_size=4))
def test_agreement_and_kappa(counts: list[int]) -> None:
    """Agreement is the share judged alike, and kappa is scikit-learn's."""
    tally = Tally(counts[0], counts[1], counts[2], counts[3], 7)
    pairs = [(1, 1)] * counts[0] + [(1, 0)] * counts[1] + [(0, 1)] * counts[2] + [(0, 0)] * counts[3]
    if not pairs:
        assert math.isnan(tally.agreement)
        assert math.isnan(tally.kappa)
        return
    served, shadow = zip(*pairs, strict=True)
    assert tally.agreement == pytest.approx(np.equal(served, shadow).mean())
    if len(set(served) | set(shadow)) == 1:
        assert math.isnan(tally.kappa)
    else:
        assert tally.kappa == pytest.approx(cohen_kappa_score(served, shadow))


def test_a_model_agrees_with_itself(serving: Serving, unseen_rows: Rows) -> None:
    """A model that shadows itself judges every row alike and has the same distribution."""
    tally = Shadow(serving, serving).score(unseen_rows, *judged(serving, unseen_rows))
    assert tally.rows == len(unseen_rows) == tally.both + tally.neither
    assert tally.both > 0
    assert (tally.agreement, tally.kappa, tally.unscored) == (1.0, 1.0, 0)
    assert tally.served.counts.tolist() == tally.shadow.counts.tolist()
    assert tally.served.total == tally.shadow.total


def test_alerts_are_the_served_model_s_own(serving: Serving, unseen_rows: Rows) -> None:
    """Which rows the served model alerts is what it said, by a running threshold too, and not found anew."""
    scores = serving.model.score(unseen_rows)
    (own,) = np.nonzero(above(scores, serving.line.calibrated.value))
    tally = Shadow(serving, serving).score(unseen_rows, scores, own[:3])
    assert (tally.both, tally.served_only, tally.shadow_only) == (3, 0, len(own) - 3)


@pytest.mark.parametrize("features", [("a", "b", "c", "d"), ("d", "c", "b", "a"), ("c", "a"), ("b",)])
def test_columns_by_name(features: tuple[str, ...], serving: Serving) -> None:
    """A shadow finds its features in the served model's rows by their names, in any order, and may want fewer."""
    served = made(serving, Schema(("a", "b", "c", "d")), 500.0)
    matrix = np.random.default_rng(0).random((200, 4)).astype(np.float32)
    wanted = np.sum([WEIGHTS[name] * matrix[:, "abcd".index(name)] for name in features], axis=0)
    line = float(np.median(wanted))
    tally = Shadow(made(serving, Schema(features), line), served).score(matrix, *judged(served, matrix))
    assert tally.both + tally.shadow_only == pytest.approx(int((wanted > line).sum()), abs=1)
    assert tally.shadow.total == pytest.approx(float(wanted.sum()), rel=1e-5)


def test_rows_that_have_too_little(serving: Serving) -> None:
    """A shadow whose features the served model's rows lack is refused with their names and its directory."""
    served = made(serving, Schema(("a", "b")))
    with pytest.raises(ModelRefused) as refusal:
        Shadow(made(serving, Schema(("a", "d", "c"))), served)
    path = serving.artifact.path
    assert str(refusal.value) == f"shadow model {path}: the served model's rows lack its features 'd', 'c'"


@pytest.mark.parametrize(
    "other",
    [
        Schema(("a", "b"), categories={"b": ("x", "y")}),
        Schema(("a", "b"), categories={"b": ("y", "x")}),
        Schema(("a", "b"), booleans=("b",)),
    ],
)
def test_features_of_another_kind(other: Schema, serving: Serving) -> None:
    """A feature that is text of other values, or a boolean, in one of the two is refused by name; alike it is not."""
    for rows in (Schema(("a", "b")), Schema(("b", "a"), categories={"b": ("x", "y", "z")})):
        with pytest.raises(ModelRefused, match="feature 'b' is of another kind, or has other values, in the served"):
            Shadow(made(serving, other), made(serving, rows))
    assert Shadow(made(serving, other), made(serving, replace(other, features=("b", "a")))).totals.rows == 0


def test_a_running_line(serving: Serving) -> None:
    """A shadow by a running threshold is refused: it keeps no windows."""
    running = replace(serving, line=Line(serving.line.calibrated, parse("running-mad:3")))
    with pytest.raises(UsageError, match="shadow threshold 'running-mad:3': a shadow keeps no windows; a calibrated"):
        Shadow(running, serving)
    assert Shadow(serving, running).totals.rows == 0


def test_gaps_that_the_shadow_does_not_know(serving: Serving) -> None:
    """Rows that lack what the shadow needs are unscored and leave both distributions alone; what it may lack it may."""
    gap = float("nan")
    matrix = f32([[1.0, 1, 1], [gap, 1, 1], [1, gap, 1], [gap, gap, 1], [1, 1, gap]])
    scores, alerting = f32([9, 9, 9, 0, 0]), np.array([0, 1, 2])
    served = made(serving, Schema(("a", "b", "c"), optional=("a", "b", "c")), 1.0)
    own = made(serving, Schema(("a", "b"), optional=("b",)), 0.5, Broken())
    tally = Shadow(own, served).score(matrix, scores, alerting)
    assert tally.outcomes == {"both": 2, "served_only": 0, "shadow_only": 1, "neither": 0, "unscored": 2}
    assert tally.served.total == 18
    assert tally.shadow.total == 3
    none = Shadow(own, served).score(matrix[[1, 3]], scores[[1, 3]], np.array([0]))
    assert (none.rows, none.unscored) == (0, 2)
    strict = made(serving, Schema(("a", "b", "c")))
    assert Shadow(own, strict).score(matrix[:1], scores[:1], np.array([0])).unscored == 0


def test_no_rows(serving: Serving, unseen_rows: Rows) -> None:
    """A batch without rows is a tally of nothing."""
    tally = Shadow(serving, serving).score(unseen_rows[:0], f32([]), np.array([], np.intp))
    assert set(tally.outcomes.values()) == {0}


@pytest.mark.parametrize("error", [RuntimeError("no memory for tensors"), ValueError("shape"), MemoryError()])
def test_a_shadow_that_fails(error: Exception, serving: Serving, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever its network raises, the line goes on: rows are unscored, it is logged once until it works again."""
    served, network = made(serving, Schema(("a",))), Broken()
    shadow = Shadow(made(serving, Schema(("a",)), network=network), served)
    matrix = f32([[0], [2], [3]])
    told = []
    for failing in (True, True, False, True):
        network.error = error if failing else None
        caplog.clear()
        tally = shadow.score(matrix, *judged(served, matrix))
        assert (tally.unscored, tally.rows) == ((3, 0) if failing else (0, 3))
        told.append([record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING])
    name, why = serving.artifact.name.name, f"{type(error).__name__}: {error}"
    line = [f"shadow_failed model={name} why={why!r}"]
    assert told == [line, [], [], line]


def test_only_what_committed_counts(serving: Serving, unseen_rows: Rows) -> None:
    """A tally counts when its batch is committed, each once, and the sum of the batches is that of all rows at once."""
    shadow = Shadow(serving, serving)
    scores, alerting = judged(serving, unseen_rows)
    for start in range(0, len(unseen_rows), 700):
        part = slice(start, start + 700)
        at = alerting[(alerting >= start) & (alerting < start + 700)] - start
        aborted = shadow.score(unseen_rows[part], scores[part], at)
        assert aborted.rows > 0
        shadow.committed(shadow.score(unseen_rows[part], scores[part], at))
    whole = shadow.score(unseen_rows, scores, alerting)
    assert shadow.totals.outcomes == whole.outcomes
    for found, wanted in ((shadow.totals.served, whole.served), (shadow.totals.shadow, whole.shadow)):
        assert found.counts.tolist() == wanted.counts.tolist()
        assert found.total == pytest.approx(wanted.total)


def test_beside_another(serving: Serving) -> None:
    """Beside another served model a shadow keeps its count, and finds its columns and that model's threshold anew."""
    matrix = f32([[1, 5], [5, 1]])
    first, second = made(serving, Schema(("a", "b")), 2.0), made(serving, Schema(("b", "a")), 4.0)
    own = made(serving, Schema(("a",)), 3.0)
    shadow = Shadow(own, first)
    shadow.committed(shadow.score(matrix, f32([1, 5]), np.array([1])))
    assert shadow.totals.outcomes == {"both": 1, "served_only": 0, "shadow_only": 0, "neither": 1, "unscored": 0}
    later = shadow.beside(second)
    later.committed(later.score(matrix, f32([1, 5]), np.array([1])))
    assert later.totals.outcomes == {"both": 1, "served_only": 1, "shadow_only": 1, "neither": 1, "unscored": 0}
    assert shadow.totals.rows == 2
    with pytest.raises(ModelRefused, match="lack its features 'a'"):
        later.beside(made(serving, Schema(("b",))))


def test_rows_are_left_as_they_are(serving: Serving, unseen_rows: Rows) -> None:
    """Rows, scores and places of the served model are read and not written."""
    scores, alerting = judged(serving, unseen_rows)
    before = [one.tobytes() for one in (unseen_rows, scores, alerting)]
    Shadow(serving, serving).score(unseen_rows, scores, alerting)
    assert [one.tobytes() for one in (unseen_rows, scores, alerting)] == before


def test_a_distribution_without_a_threshold_above_zero() -> None:
    """Where the threshold is 0 or below, edges are scores, as those of the served model's histogram are."""
    scores = f32([0, 1, 2, 300])
    for threshold in (0.0, -3.0, 1.0):
        assert Distribution.of(scores, threshold).counts.tolist() == Distribution.of(scores, 1.0).counts.tolist()
    assert Distribution.of(scores, 2.0).counts.tolist() != Distribution.of(scores, 1.0).counts.tolist()
