"""Rows and labels meet whichever comes first, are counted once, and wait no longer than they may."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics

from detector.alerts import ModelName
from detector.feedback import join as join_module
from detector.feedback import labels, state
from detector.feedback.join import MODELS, Bounds, Join
from detector.feedback.labels import Label, Unreadable
from detector.feedback.measures import LABELLED, measured
from detector.scores import Scored
from tests.arrays import f32
from trainer.evaluate import evaluate

HOUR = 3_600_000
FAR = 1 << 60
WIDE = Bounds(window=10_000, pending=10_000, wait=1e15)
MODEL = ModelName("cards", "1", "aa")


def scored(
    names: Sequence[str],
    scores: Sequence[float] | None = None,
    model: ModelName = MODEL,
    times: Sequence[int] | None = None,
    amounts: Sequence[float] | None = None,
    line: float = 0.5,
) -> Scored:
    """Rows of these names."""
    count = len(names)
    return Scored(
        topic="transactions",
        partition=0,
        model=model,
        offsets=np.arange(count),
        times=np.zeros(count, np.int64) if times is None else np.array(times, np.int64),
        scores=f32([0.0] * count if scores is None else scores),
        thresholds=np.full(count, line),
        ids=list(names),
        amount=None if amounts is None else "Amount",
        amounts=None if amounts is None else f32(amounts),
    )


def label(name: str, anomalous: bool | None = True, time: int = 0) -> Label:
    return Label(name, anomalous, time)


def totals(join: Join, number: int = 0) -> list[int]:
    return join.models[number].totals


def window(join: Join, number: int = 0) -> list[tuple[float, bool, bool]]:
    """Score, verdict and label of the rows in a model's window."""
    rows = join.models[number].window.rows()
    return [(float(row["score"]), bool(row["alert"]), bool(row["anomalous"])) for row in rows]


@pytest.mark.parametrize("labels_first", [True, False])
def test_they_meet(labels_first: bool) -> None:
    """A row and its label meet whichever comes first; each cell of label and verdict is counted."""
    join = Join(WIDE)
    rows = scored(["a", "b", "c", "d", "e"], [0.9, 0.1, 0.8, 0.2, 0.7])
    said = [label("a"), label("b"), label("c", False), label("d", False), label("x")]
    if labels_first:
        join.labelled(said)
        join.scored(rows, FAR)
    else:
        join.scored(rows, FAR)
        join.labelled(said)
    assert totals(join) == [1, 1, 1, 1]
    assert (len(join.rows), len(join.labels)) == (1, 1)
    assert join.counts.said == {"first": 5}
    assert sorted(window(join)) == sorted(
        [(float(np.float32(s)), s > 0.5, bad) for s, bad in ((0.9, True), (0.1, True), (0.8, False), (0.2, False))]
    )


ROWS = 40
events = st.lists(
    st.one_of(
        st.tuples(st.just("score"), st.lists(st.integers(0, ROWS - 1), max_size=6)),
        st.tuples(st.just("label"), st.lists(st.tuples(st.integers(0, ROWS - 1), st.booleans()), max_size=6)),
    ),
    max_size=30,
)


@given(events, st.randoms(use_true_random=False))
def test_the_order_of_topics_does_not_matter(told: list[Any], chance: Any) -> None:
    """However the two topics are interleaved, totals, money, window and counts are those of a plain count."""
    first: dict[int, bool] = {}
    last: dict[int, bool] = {}
    kinds = {"first": 0, "repeated": 0, "revised": 0}
    seen: list[int] = []
    for kind, content in told:
        for one in content:
            if kind == "score":
                seen += [] if one in seen else [one]
            else:
                number, bad = one
                kinds["first" if number not in first else "repeated" if last[number] == bad else "revised"] += 1
                first.setdefault(number, bad)
                last[number] = bad
    join = Join(WIDE)
    for kind, content in interleaved(told, chance):
        if kind == "score":
            names = [str(number) for number in content]
            join.scored(scored(names, [n / ROWS for n in content], amounts=[n / 100 for n in content]), FAR)
        else:
            join.labelled([label(str(number), bad) for number, bad in content])
    met = sorted(set(seen) & first.keys())
    cells = [(first[number], number / ROWS > 0.5) for number in met]
    wanted = [cells.count((bad, alert)) for bad in (True, False) for alert in (True, False)]
    model = next(iter(join.models.values()), None)
    assert (model.totals if model else [0] * 4) == wanted
    assert +join.counts.said == +type(join.counts.said)(kinds)
    assert join.counts.scored["new"] == len(seen)
    if model:
        assert sorted(window(join)) == [(float(np.float32(n / ROWS)), n / ROWS > 0.5, last[n]) for n in met]
        money = [sum(n * 10_000 for n in met if first[n] and (n / ROWS > 0.5) == alert) for alert in (True, False)]
        assert [model.caught, model.missed] == money


def interleaved(told: list[Any], chance: Any) -> list[Any]:
    """The same events, each topic in its own order."""
    topics = {kind: [one for one in told if one[0] == kind] for kind in ("score", "label")}
    mixed = []
    while any(topics.values()):
        kind = chance.choice([kind for kind, left in topics.items() if left])
        mixed.append(topics[kind].pop(0))
    return mixed


def test_revisions() -> None:
    """A label that says otherwise changes the window, and not what was counted; the same again changes nothing."""
    join = Join(WIDE)
    join.scored(scored(["a", "b"], [0.9, 0.9]), FAR)
    join.labelled([label("a"), label("a", False), label("a", False)])
    join.labelled([label("b", False)])
    join.labelled([label("b"), label("b", None)])
    assert totals(join) == [1, 0, 1, 0]
    assert [bad for *_, bad in window(join)] == [False, True]
    assert join.counts.said == {"first": 2, "repeated": 1, "revised": 2, "unsure": 1}
    join.labelled([label("later")])
    join.labelled([label("later", False)])
    join.scored(scored(["later"], [0.9]), FAR)
    assert totals(join) == [2, 0, 1, 0]
    assert [bad for *_, bad in window(join)][-1] is False


def test_unsure_is_no_label() -> None:
    """Who could not tell has said nothing: the row goes on waiting."""
    join = Join(WIDE)
    join.scored(scored(["a"]), FAR)
    join.labelled([label("a", None)])
    assert len(join.rows) == 1
    assert totals(join) == [0] * 4


def test_a_row_that_comes_again() -> None:
    """A second row of an id counts for nothing, be the first waiting, in one batch with it, or labelled."""
    join = Join(WIDE)
    join.scored(scored(["a", "a", "b"], [0.9, 0.1, 0.1]), FAR)
    join.scored(scored(["b", "c"], [0.9, 0.9]), FAR)
    join.labelled([label("a"), label("b")])
    join.scored(scored(["a"], [0.1]), FAR)
    assert join.counts.scored == {"new": 3, "repeated": 3}
    assert sorted(window(join)) == [(float(np.float32(0.1)), False, True), (float(np.float32(0.9)), True, True)]
    assert len(join.rows) == 1


def test_the_window_slides() -> None:
    """A model's figures are of its last labelled rows; what left the window stays counted."""
    join = Join(Bounds(window=3, pending=100, wait=1e15))
    for number in range(10):
        join.scored(scored([str(number)], [number / 10]), FAR)
        join.labelled([label(str(number))])
    assert [score for score, *_ in window(join)] == pytest.approx([0.7, 0.8, 0.9])
    assert sum(totals(join)) == 10


def test_too_many_wait() -> None:
    """Beyond the bound the oldest go and are counted, on either side."""
    join = Join(Bounds(window=9, pending=5, wait=1e15))
    join.scored(scored([str(i) for i in range(12)]), FAR)
    join.labelled([label(f"x{i}") for i in range(8)])
    assert join.rows.oldest(9) == [str(i) for i in range(7, 12)]
    assert join.labels.oldest(9) == [f"x{i}" for i in range(3, 8)]
    assert join.counts.expired == {("row", "crowded"): 7, ("label", "crowded"): 3}


def test_too_long() -> None:
    """What has waited longer than it may, in the rows' time, goes and is counted: a label's row comes too late then."""
    join = Join(Bounds(window=9, pending=99, wait=HOUR))
    join.labelled([label("orphan", time=0), label("young", time=2 * HOUR)])
    join.scored(scored(["old", "new"], times=[0, 2 * HOUR]), FAR)
    join.expire()
    assert join.rows.oldest(9) == ["new"]
    assert join.labels.oldest(9) == ["young"]
    assert join.counts.expired == {("row", "late"): 1, ("label", "late"): 1}
    join.labelled([label("old")])
    assert totals(join) == [0] * 4


def test_time_is_the_rows() -> None:
    """Without rows time stands still, and a row of the far future does not move it beyond now."""
    join = Join(Bounds(window=9, pending=99, wait=HOUR))
    join.labelled([label("a", time=0), label("b", time=FAR)])
    join.expire()
    assert len(join.labels) == 2
    join.scored(scored(["x", "y"], times=[5 * HOUR, 1 << 61]), now=5 * HOUR)
    join.expire()
    assert join.clock == 5 * HOUR
    assert join.rows.oldest(9) == ["x", "y"]
    assert join.labels.oldest(9) == ["b"]


def test_models_apart() -> None:
    """Each model has its own figures; of more than are kept the one goes that has scored nothing for longest."""
    join = Join(WIDE)
    names = [ModelName("m", str(i), str(i)) for i in range(MODELS + 1)]
    for number, name in enumerate(names[:-1]):
        join.scored(scored([f"r{number}"], [0.9], model=name), FAR)
    join.scored(scored(["again"], [0.1], model=names[0]), FAR)
    join.labelled([label("r0"), label("r1", False), label("again")])
    assert (totals(join, 0), totals(join, 1)) == ([1, 1, 0, 0], [0, 0, 1, 0])
    join.scored(scored(["last"], model=names[-1]), FAR)
    assert [model.name for model in join.models.values()] == [*names[2:-1], names[0], names[-1]]
    assert [model.name for model in join.dropped.values()] == [names[1]]


def test_a_row_of_a_model_that_went() -> None:
    """A label for a row of a model of which nothing is kept any more counts the row as gone."""
    join = Join(WIDE)
    for number in range(MODELS + 1):
        join.scored(scored([f"r{number}"], model=ModelName("m", str(number), "")), FAR)
    join.labelled([label("r0")])
    assert join.counts.expired == {("row", "crowded"): 1}


@pytest.mark.parametrize(
    ("asked", "money", "caught"), [("", "Amount", 149_620_000), ("Amount", "Amount", 149_620_000), ("none", None, 0)]
)
def test_money(asked: str, money: str | None, caught: int) -> None:
    """Money is that which travels, or the one that is named, as its shortest decimal; missing and negative is none."""
    join = Join(WIDE, asked)
    amounts = [149.62, math.nan, -5.0, math.inf]
    join.scored(scored(["a", "b", "c", "d"], [0.9] * 4, amounts=amounts), FAR)
    join.labelled([label(name) for name in "abcd"])
    assert (join.money, join.models[0].caught) == (money, caught)


rows_strategy = st.lists(
    st.tuples(
        st.floats(0, 9, width=32) | st.sampled_from([1.0, 2.0]),
        st.booleans(),
        st.integers(0, 10**6).map(lambda c: c / 100),
    ),
    min_size=1,
    max_size=50,
)


def labelled_rows(rows: list[tuple[float, bool, float]], line: float) -> NDArray[Any]:
    return np.array([(score, amount, score > line, bad) for score, bad, amount in rows], LABELLED)


@given(rows_strategy, st.floats(0, 9, width=32))
def test_the_trainer_s_definitions(rows: list[tuple[float, bool, float]], line: float) -> None:
    """Every figure is exactly what `trainer evaluate` says of the same rows and line; money but for its last bits."""
    found = measured(labelled_rows(rows, line)).to_dict()
    scores, truth = f32([score for score, *_ in rows]), np.array([bad for _, bad, _ in rows])
    amounts = np.array([amount for *_, amount in rows])
    wanted = evaluate(scores, truth, line, days=1.0, amount="Amount", amounts=amounts).to_dict()
    for name in found.keys() & wanted.keys() - {"caught_share"}:
        assert found[name] == wanted[name], name
    pairs = {"caught": "caught_per_day", "missed": "missed_per_day", "false_amount": "false_amount_per_day"}
    for name, theirs in {**pairs, "caught_share": "caught_share"}.items():
        assert found[name] == (None if wanted[theirs] is None else pytest.approx(wanted[theirs], rel=1e-12)), name


def test_scikit_learn_s_definitions() -> None:
    """The figures are scikit-learn's."""
    rng = np.random.default_rng(5)
    truth = rng.random(500) < 0.2
    scores = f32((rng.normal(size=500) + truth).round(1))
    found = measured(labelled_rows([(float(s), bool(t), 1.0) for s, t in zip(scores, truth, strict=True)], 1.0))
    alert = scores > 1.0
    assert found.precision == pytest.approx(metrics.precision_score(truth, alert))
    assert found.recall == pytest.approx(metrics.recall_score(truth, alert))
    assert found.f1 == pytest.approx(metrics.f1_score(truth, alert))
    assert found.auroc == pytest.approx(metrics.roc_auc_score(truth, scores))
    assert found.average_precision == pytest.approx(metrics.average_precision_score(truth, scores))


def test_no_rows() -> None:
    """Of no rows every figure is undefined and every count 0."""
    found = measured(np.empty(0, LABELLED))
    assert (found.rows, found.auroc, found.precision, found.recall, found.f1) == (0, None, None, None, None)
    assert (found.caught, found.caught_share) == (0.0, None)


@given(events, st.randoms(use_true_random=False), st.integers(1, 8))
def test_saved_and_restored_at_any_moment(told: list[Any], chance: Any, pending: int) -> None:
    """A join that is saved and restored again and again goes on as one that never was."""
    bounds = Bounds(window=5, pending=pending, wait=1e15)
    calm, often = Join(bounds), Join(bounds)
    topic: dict[bytes, bytes | None] = {}
    for turn, (kind, content) in enumerate(told):
        for join in (calm, often):
            if kind == "score":
                names = [str(number) for number in content]
                model = ModelName("m", str(sum(content) % 2), "")
                join.scored(scored(names, [n / ROWS for n in content], model=model), FAR)
            else:
                join.labelled([label(str(number), bad) for number, bad in content])
        if chance.random() < 0.5:
            topic |= state.changes(often, {"scores": {0: turn}}, "g")
            state.saved(often)
            often = restored(topic, bounds, turn)
    assert described(often) == described(calm)


def restored(topic: dict[bytes, bytes | None], bounds: Bounds, turn: int) -> Join:
    """What a topic keeps, read in an order that a compacted one may have."""
    records = state.Records("g")
    for key, value in sorted(topic.items()):
        records.take(key, value)
    found = records.restored(bounds, "", "feedback")
    assert found is not None
    assert found.positions == {"scores": {0: turn}}
    return found.join


def described(join: Join) -> Any:
    """All that a join is."""
    shelves = [join.rows, join.labels, *(model.window for model in join.models.values())]
    return (
        [shelf.rows().tolist() for shelf in shelves],
        [shelf.oldest(99) for shelf in shelves],
        [(number, m.name, m.totals, m.caught, m.missed) for number, m in join.models.items()],
        [+counter for counter in (join.counts.scored, join.counts.said, join.counts.expired)],
        join.clock,
    )


def test_a_dropped_model_leaves_no_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """The window of a model that went is taken off the topic."""
    monkeypatch.setattr(join_module, "MODELS", 1)
    join, topic = Join(WIDE), dict[bytes, bytes | None]()
    for number in range(2):
        join.scored(scored([f"r{number}"], model=ModelName("m", str(number), "")), FAR)
        join.labelled([label(f"r{number}")])
        topic |= state.changes(join, {}, "g")
        state.saved(join)
    left = [json.loads(key) for key, value in topic.items() if value is not None]
    assert {key[1] for key in left} == {"head", "window-1"}


MESSAGES: list[tuple[Any, str | None]] = [
    ({"row_id": "17", "label": 1, "event_time": "2013-09-01T00:00:00Z"}, None),
    ({"row_id": "17", "label": "legitimate", "by": "ann", "at": "now", "note": "called"}, None),
    ({"row_id": "17", "label": "unsure"}, None),
    ({"row_id": "17", "label": 2}, "no_label"),
    ({"row_id": "17", "label": True}, "no_label"),
    ({"row_id": "17", "label": "Fraud"}, "no_label"),
    ({"row_id": "17", "label": None}, "no_label"),
    ({"row_id": "17"}, "no_label"),
    ({"row_id": 17, "label": 1}, "no_row_id"),
    ({"row_id": "", "label": 1}, "no_row_id"),
    ({"row_id": "x" * 5000, "label": 1}, "no_row_id"),
    ({"label": 1}, "no_row_id"),
    ([1], "not_json"),
    ("text", "not_json"),
    (b"{", "not_json"),
    (b"\xff", "not_json"),
    (b'{"row_id": "\\ud800", "label": 1}', "not_json"),
    (b"[" * 100_000, "not_json"),
    (b"", "empty"),
    (None, "empty"),
]


@pytest.mark.parametrize(("message", "reason"), MESSAGES)
def test_labels_as_messages(message: Any, reason: str | None) -> None:
    """What replay and analysts send is understood; anything else is refused by a reason of the closed set."""
    value = message if message is None or isinstance(message, bytes) else json.dumps(message).encode()
    if reason is None:
        meaning = {1: True, "legitimate": False, "unsure": None}[message["label"]]
        assert labels.read(value, 5) == Label("17", meaning, 5)
    else:
        with pytest.raises(Unreadable) as caught:
            labels.read(value, 5)
        assert caught.value.reason == reason
        assert reason in labels.REFUSALS


def test_notes_are_no_labels() -> None:
    """What a replay says of rows that it broke on purpose is no label, and nothing bad; with a label it is one."""
    for note in ({"injection": "a", "state": "begins", "row_id": "17"}, {"row_id": "17", "injected": ["a"]}):
        assert labels.read(json.dumps(note).encode(), 5) is None
        assert labels.read(json.dumps(note | {"label": 1}).encode(), 5) == Label("17", True, 5)
        with pytest.raises(Unreadable):
            labels.read(json.dumps(note | {"label": 2}).encode(), 5)


@given(st.binary(max_size=40))
def test_any_bytes_as_a_label(value: bytes) -> None:
    """Whatever bytes come, they are a label or refused for a known reason."""
    reason = None
    try:
        found = labels.read(value, 0)
        assert found is None or found.name
    except Unreadable as unreadable:
        reason = unreadable.reason
    assert reason is None or reason in labels.REFUSALS
