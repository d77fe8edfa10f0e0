"""The pure line gives the alerts of a straight loop over the log, whatever the batches."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from detector.alerts import Alert
from detector.artifact import Artifact
from detector.detection import build_alerts, judge
from detector.model import Model
from detector.rows import Decoder, Message, encode_packed
from detector.schema import Schema
from detector.statistics import RunningMedianMad
from detector.threshold import Line, Threshold, above
from tests.messages import FakeMessage, json_message
from tests.straight_line import Alerts, Log, Shape, StraightLine, low_line, plain

SHAPE = Shape(window=48, stride=16, min_rows=20)
PARTITIONS = 3


@pytest.fixture(scope="module")
def log(unseen_rows: NDArray[np.float32]) -> Log:
    """480 rows over three partitions, with gaps in their offsets, keys, row-ids and times."""
    rng = np.random.default_rng(5)
    partitions: dict[int, list[Message]] = {partition: [] for partition in range(PARTITIONS)}
    following = [0, 7, 100]
    for row_id, content in enumerate(encode_packed(unseen_rows[:480])):
        partition = int(rng.integers(PARTITIONS))
        place = ("transactions", partition, following[partition])
        marks = [("format", b"packed"), ("row-id", b"%d" % row_id)]
        partitions[partition].append(FakeMessage(content, place, 1_000_000 + row_id, b"card-%d" % (row_id % 9), marks))
        following[partition] += int(rng.integers(1, 4))
    return partitions


def alerts_of(batches: list[list[Message]], artifact: Artifact, model: Model, line: Line, when: str) -> list[Alert]:
    """What the service makes of a sequence of batches."""
    windows = {partition: SHAPE.statistics() for partition in range(PARTITIONS)}
    decoder, found = Decoder(artifact.schema), []
    for batch in batches:
        rows, rejects = decoder.decode(batch)
        assert rejects == []
        verdicts = judge(rows, model.score(rows.matrix), line, windows.__getitem__)
        for alert, message in build_alerts(rows, verdicts, model, artifact, when):
            assert alert.id.endswith(f"/{message.partition()}/{message.offset()}")
            found.append(alert)
    return found


Oracle = dict[bool, Alerts]


@pytest.fixture(scope="module")
def oracle(log: Log, cards_artifact: Artifact, cards_model: Model) -> Oracle:
    return {
        running: StraightLine(cards_artifact, cards_model, low_line(cards_artifact, running), SHAPE).over(log)
        for running in (False, True)
    }


def test_the_log_is_a_fair_trial(oracle: Oracle) -> None:
    """Many rows alert and many do not; the running line is in force for some and not yet for others."""
    assert all(100 < len(alerts) < 460 for alerts in oracle.values())
    assert {alert["method"] for alert in oracle[True].values()} == {"value:low", "running-mad:1.5"}
    assert {alert["method"] for alert in oracle[False].values()} == {"value:low"}
    assert set(oracle[True]) != set(oracle[False])


@given(data=st.data(), running=st.booleans(), whole=st.booleans())
def test_any_batches_give_the_same_alerts(
    data: st.DataObject,
    running: bool,
    whole: bool,
    log: Log,
    oracle: Oracle,
    cards_artifact: Artifact,
    cards_model: Model,
) -> None:
    """Any batching and interleaving of the partitions gives the alerts of the straight loop, to the last bit."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    batches = shuffled(log, rng, 10_000 if whole else int(rng.integers(1, 120)))
    found = alerts_of(batches, cards_artifact, cards_model, low_line(cards_artifact, running), "now")
    assert len(found) == len(oracle[running])
    assert {alert.id: plain(alert) for alert in found} == oracle[running]


def shuffled(log: Log, rng: np.random.Generator, most: int) -> list[list[Message]]:
    """The log in batches of random size, its partitions interleaved at random, each in its order."""
    left = {partition: list(messages) for partition, messages in log.items()}
    order = rng.permutation([partition for partition, messages in log.items() for _ in messages])
    line: list[Message] = [left[int(partition)].pop(0) for partition in order]
    cuts = np.cumsum(rng.integers(0, most + 1, len(line)))
    bounds = [0, *cuts[cuts < len(line)].tolist(), len(line)]
    return [line[start:end] for start, end in pairwise(bounds)]


def test_only_the_time_of_detection_differs(log: Log, cards_artifact: Artifact, cards_model: Model) -> None:
    """Two runs differ in `detected_at` alone, which is what the caller says it is."""
    line = low_line(cards_artifact, True)
    batch: list[Message] = [message for messages in log.values() for message in messages]
    one, other = (alerts_of([batch], cards_artifact, cards_model, line, when) for when in ("early", "late"))
    assert {alert.detected_at for alert in one} == {"early"}
    assert [msgspec.structs.replace(alert, detected_at="late") for alert in one] == other


def test_alerts_keep_the_batch_s_order(log: Log, cards_artifact: Artifact, cards_model: Model) -> None:
    """Alerts of a batch come in the order of its rows, so that those of one key keep theirs."""
    (batch,) = shuffled(log, np.random.default_rng(1), 0)[-1:]
    found = alerts_of([batch], cards_artifact, cards_model, low_line(cards_artifact, False), "now")
    places = {f"transactions/{one.partition()}/{one.offset()}": at for at, one in enumerate(batch)}
    order = [places[alert.id] for alert in found]
    assert order == sorted(order)


def test_segments_cover_every_row_once(log: Log, cards_artifact: Artifact, cards_model: Model) -> None:
    """Each row is in one segment, of its partition, with the threshold that decided it."""
    batch: list[Message] = [message for messages in log.values() for message in messages]
    rows, _ = Decoder(cards_artifact.schema).decode(batch)
    scores = cards_model.score(rows.matrix)
    windows = {partition: SHAPE.statistics() for partition in range(PARTITIONS)}
    verdicts = judge(rows, scores, low_line(cards_artifact, True), windows.__getitem__)
    assert np.sort(np.concatenate([one.rows for one in verdicts.segments])).tolist() == list(range(len(rows)))
    for one in verdicts.segments:
        assert set(rows.partition[one.rows]) == {one.partition}
        over = one.rows[above(scores[one.rows], one.threshold.value)]
        assert set(over) == set(one.rows) & set(verdicts.alerting)


def test_an_empty_batch(cards_artifact: Artifact, cards_model: Model) -> None:
    """A batch without rows has no alerts and asks for no window."""
    rows, _ = Decoder(cards_artifact.schema).decode([])
    windows: dict[int, RunningMedianMad] = {}
    verdicts = judge(rows, cards_model.score(rows.matrix), low_line(cards_artifact, True), windows.__getitem__)
    assert (len(verdicts.scores), verdicts.segments, verdicts.alerting.tolist()) == (0, [], [])
    assert build_alerts(rows, verdicts, cards_model, cards_artifact, "now") == []


def test_alerts_tell_texts_and_booleans(cards_artifact: Artifact, cards_model: Model) -> None:
    """An alert's reasons have the texts and truths that a model's schema has for the numbers of the matrix."""
    features = cards_artifact.schema.features
    schema = Schema(features, categories=dict.fromkeys(features[:20], ("red", "green")), booleans=features[20:])
    row: dict[str, Any] = {name: True if name in schema.booleans else "green" for name in features}
    rows, rejects = Decoder(schema).decode([json_message(row)])
    assert rejects == []
    line, window = Line(Threshold(0.0, "value:0")), SHAPE.statistics()
    verdicts = judge(rows, cards_model.score(rows.matrix), line, lambda _: window)
    ((alert, _),) = build_alerts(rows, verdicts, cards_model, replace(cards_artifact, schema=schema), "now")
    kinds = {(reason.feature in schema.booleans, reason.value, type(reason.expected)) for reason in alert.reasons}
    assert kinds <= {(False, "green", str), (True, True, bool)}
    assert len(alert.reasons) == 5


def test_a_row_at_the_line_is_no_alert(log: Log, cards_artifact: Artifact, cards_model: Model) -> None:
    """An alert is strictly above: with the line at a row's own score that row is none, just under it is one."""
    batch = [log[0][0]]
    (score,) = cards_model.score(Decoder(cards_artifact.schema).decode(batch)[0].matrix).astype(float).tolist()
    for value, count in ((score, 0), (np.nextafter(score, 0), 1)):
        found = alerts_of([batch], cards_artifact, cards_model, Line(Threshold(float(value), "value")), "now")
        assert len(found) == count
