"""What each kind of break makes of rows, whatever the batches in which they come."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.errors import DataRefused, UsageError
from detector.rows import REASONS, Decoder, Message
from detector.schema import Schema
from replay.columns import Columns
from replay.inject.broken import refuse, stages
from replay.inject.faults import FAULTS, possible
from replay.outbox import rows_of
from tests.messages import FakeMessage
from tests.replay.inject.made import ROWS, START, STEP_MS, Held, broken, cards, marks, same, told, touched
from tests.replay.made import ids, numbers, rows

SPECS = (
    "drift:V14,items:+1sd:from=25%:to=75%",
    "drift:V14:+3:ramp=20m:from=10%",
    "scale:Amount:10x:from=20m:for=10m",
    "missing:all:30%",
    "missing:shop,items:5%",
    "fraud-burst:5.5x:from=30%:for=30m",
    "duplicate:10%",
    "corrupt:10%",
    "delay:10%:5m",
    "reorder:45s",
    "silence:10m:from=50%",
    "burst:20x:from=20%:for=20%",
)
PLAIN = broken(())
ALONE = {spec: broken([spec]) for spec in SPECS}
FEW = cards(200)
FEW_ALONE = {spec: broken([spec], Held(FEW)) for spec in SPECS}
FEW_TOGETHER = broken(SPECS, Held(FEW))
SIZES = st.lists(st.integers(1, 150), min_size=1, max_size=8)


@given(st.sampled_from(SPECS), SIZES)
@settings(max_examples=48)
def test_batches_do_not_matter(spec: str, sizes: list[int]) -> None:
    """However the rows are cut into batches, the same ones are touched in the same way and come in the same order."""
    same(broken([spec], Held(FEW, sizes)), FEW_ALONE[spec])


@given(SIZES, st.integers(0, 300))
@settings(max_examples=12)
def test_all_together_and_gone_on_with(sizes: list[int], done: int) -> None:
    """So it is with all of them at once, also for a process that goes on behind the rows of another one."""
    done = min(done, len(FEW_TOGETHER) - 1)
    same(broken(SPECS, Held(FEW, sizes), done), FEW_TOGETHER.take(slice(done, len(FEW_TOGETHER))))


@pytest.mark.parametrize("spec", [spec for spec in SPECS if "%" in spec.split(":from")[0]])
def test_seeds_draw_anew(spec: str) -> None:
    """What is drawn is drawn from the seed: the same again, other rows for another seed, about as many."""
    same(broken([spec]), ALONE[spec])
    other, first = broken([spec], seed=1), ALONE[spec]
    assert [ids(other)[at] for at in touched(other)] != [ids(first)[at] for at in touched(first)]
    assert len(touched(other)) == pytest.approx(len(touched(first)), rel=0.5)


def test_nothing_else_changes() -> None:
    """Rows to which nothing was done are sent as without it, and in the same order."""
    wanted = {one: (value, event) for one, value, event in zip(ids(PLAIN), rows(PLAIN), events(PLAIN), strict=True)}
    for spec in SPECS[:1] + SPECS[2:-1]:
        found = ALONE[spec]
        good = [at for at in range(len(found)) if not marks(found)[at]]
        values = found.take(np.array(good))
        for one, value, event in zip(ids(values), rows(values), events(values), strict=True):
            assert (value, event) == wanted[one], spec
        assert {mark.spec for one in marks(found) for mark in one} == {spec}


def events(batch: Any) -> list[int]:
    found: list[int] = batch.event.tolist()
    return found


def column(batch: Any, name: str) -> list[Any]:
    return [row.get(name) for row in rows(batch)]


def test_drift() -> None:
    """Features lie so many standard deviations of the history higher within the stretch; whole numbers too."""
    found = ALONE[SPECS[0]]
    assert touched(found) == list(range(ROWS // 4, 3 * ROWS // 4))
    for name in ("V14", "items"):
        shift = np.subtract(column(found, name), column(PLAIN, name))
        assert shift[touched(found)] == pytest.approx(cards()[name].std(ddof=0))
        assert not shift[: ROWS // 4].any()
        assert not shift[3 * ROWS // 4 :].any()


def test_a_ramp() -> None:
    """With a ramp the shift grows from 0 to all of it, and stays there."""
    shift = np.subtract(column(ALONE[SPECS[1]], "V14"), column(PLAIN, "V14"))
    assert not shift[:60].any()
    assert shift[60:180] == pytest.approx(3 * np.arange(120) / 120, abs=0.01)
    assert shift[180:] == pytest.approx(3)


def test_scale() -> None:
    """A feature is multiplied; a value that is missing stays missing and its row is not touched."""
    found, gaps = ALONE[SPECS[2]], cards()["Amount"].isna()
    wanted = [at for at in range(120, 180) if not gaps[at]]
    assert touched(found) == wanted
    assert [column(found, "Amount")[at] for at in wanted] == pytest.approx(
        [10 * column(PLAIN, "Amount")[at] for at in wanted]
    )


def test_missing() -> None:
    """Each feature loses its share of values, and for itself; time and key are no features to lose."""
    found = ALONE[SPECS[3]]
    gone = {name: {at for at, value in enumerate(column(found, name)) if value is None} for name in cards().columns}
    for name in ("V14", "items", "shop"):
        assert len(gone[name]) == pytest.approx(0.3 * ROWS, rel=0.2)
    assert gone["Time"] == gone["card"] == set()
    assert gone["V14"] != gone["items"]
    assert set(touched(found)) == gone["V14"] | gone["items"] | gone["shop"] | (
        gone["Amount"] - set(np.flatnonzero(cards()["Amount"].isna()))
    )
    assert all("V14" not in rows(found)[at] for at in gone["V14"])


def test_missing_packed() -> None:
    """A packed row has NaN where a value is left out."""
    history = Held(cards(), format="packed", features="V14,Amount")
    found = broken(["missing:V14:50%"], history, format="packed")
    lost = [bool(np.isnan(first)) for first, _ in numbers(found)]
    assert [at for at, one in enumerate(lost) if one] == touched(found)
    assert len(touched(found)) == pytest.approx(ROWS / 2, rel=0.15)


def test_fraud_burst() -> None:
    """Anomalous rows of the stretch come that much more often, under ids and times of their own within it."""
    found = ALONE[SPECS[5]]
    begin, end = (START + 10 * ROWS * 0.3) * 1000, (START + 10 * ROWS * 0.3 + 1800) * 1000
    frauds = [at for at in range(ROWS) if at % 20 == 7 and begin <= (START + 10 * at) * 1000 < end]
    copies = touched(found)
    assert 4 * len(frauds) < len(copies) <= 5 * len(frauds)
    assert len(found) == ROWS + len(copies)
    assert len(set(ids(found))) == len(found)
    for at in copies:
        name, _, number = ids(found)[at].partition("+")
        assert (int(name) in frauds, 1 <= int(number) <= 5) == (True, True)
        assert begin <= events(found)[at] < end
        assert 0 <= events(found)[at] - 1000 * (START + 10 * int(name)) <= 600_000
        assert found.anomalous is not None
        assert found.anomalous[at]
        row, first = rows(found)[at], rows(PLAIN)[int(name)]
        assert abs(row.pop("Time") - events(found)[at] / 1000) <= 0.5
        assert row == {key: value for key, value in first.items() if key != "Time"}
    assert events(found) == sorted(events(found))


def test_duplicates() -> None:
    """A share of the rows comes twice, one behind the other, the second one touched."""
    found = ALONE[SPECS[6]]
    twice = [at for at in range(1, len(found)) if ids(found)[at] == ids(found)[at - 1]]
    assert twice == touched(found)
    assert len(twice) == pytest.approx(ROWS / 10, rel=0.3)
    assert all(rows(found)[at] == rows(found)[at - 1] for at in twice)
    assert len(found) == ROWS + len(twice)


def test_delays() -> None:
    """A share of the rows comes that much later, with the event time that it had; the others are in order."""
    found = ALONE[SPECS[8]]
    assert found.moments is not None
    assert found.event is not None
    late = found.moments - found.event
    assert np.flatnonzero(late).tolist() == touched(found)
    assert set(late.tolist()) == {0, 300_000}
    assert (np.diff(found.moments) >= 0).all()
    assert len(touched(found)) == pytest.approx(ROWS / 10, rel=0.3)


def test_reorder() -> None:
    """No row comes more than so late; those are touched that come behind a later one, and a good share does."""
    found = ALONE[SPECS[9]]
    assert found.moments is not None
    assert found.event is not None
    late = found.moments - found.event
    assert (late.min() >= 0, late.max() <= 45_000) == (True, True)
    behind = found.event < np.maximum.accumulate(found.event)
    assert np.flatnonzero(behind).tolist() == touched(found)
    assert len(touched(found)) > ROWS / 5
    assert sorted(ids(found)) == sorted(ids(PLAIN))


def test_silence() -> None:
    """Nothing is sent for so long; the rows of that time come at its end, in order, with their event times."""
    found = ALONE[SPECS[10]]
    assert found.moments is not None
    assert touched(found) == list(range(300, 360))
    assert ids(found) == ids(PLAIN)
    assert events(found) == events(PLAIN)
    (end,) = set(found.moments[300:360].tolist())
    assert events(PLAIN)[359] < end <= events(PLAIN)[360]
    assert end - found.moments[299] >= 600_000


def test_silence_from_the_beginning() -> None:
    """Without a beginning the first row is sent, and the silence is behind it."""
    found = broken(["silence:1m"])
    assert touched(found) == [1, 2, 3, 4, 5]


def test_burst() -> None:
    """Rows of the stretch happen that much faster, and what follows that much sooner."""
    found = ALONE[SPECS[11]]
    assert touched(found) == list(range(120, 240))
    gaps = np.diff(found.event if found.event is not None else [])
    assert set(gaps[:119]) | set(gaps[240:]) == {STEP_MS}
    assert set(gaps[121:238]) <= {499, 500, 501}
    assert found.moments is not None
    assert found.moments.tolist() == events(found)


SCHEMA = Schema(("V14", "items", "Amount", "shop"), categories={"shop": ("a", "b")}, optional=("Amount",))


@pytest.mark.parametrize("format_", ["json", "packed"])
def test_corrupt(format_: str) -> None:
    """Each corrupted message is refused by the detector for the reason it is marked with; each reason there can be
    comes, key and row-id stay, and all other messages are rows."""
    history = Held(cards())
    assert history.columns is not None
    history.columns = columns = Columns(SCHEMA.features, "card", "Time", "Class", "0", {"shop": ("a", "b")})
    found = broken(["corrupt:50%"], history, format=format_, features=",".join(SCHEMA.features))
    messages: list[Message] = [
        FakeMessage(one.value, ("transactions", 0, at), name=one.key, marks=one.headers)
        for at, one in enumerate(rows_of(found, format_, "rows"))
    ]
    read, rejects = Decoder(SCHEMA).decode(messages)
    wanted = {at: marks(found)[at][0].fault for at in touched(found)}
    assert {one.message.offset(): one.reason for one in rejects} == wanted
    assert set(wanted.values()) == set(possible(format_, columns))
    assert len(read) == len(found) - len(wanted)
    assert PLAIN.keys is not None
    assert [message.key() for message in messages] == PLAIN.keys.tolist()
    assert [dict(message.headers())["row-id"].decode() for message in messages] == ids(found)


@pytest.mark.parametrize("fault", ["not_json", "empty", "too_large"])
def test_corrupt_by_name(fault: str) -> None:
    """Named, there is no other fault; two breaks never spoil one message."""
    found = broken([f"corrupt:20%:{fault}", "corrupt:20%:not_utf8"])
    assert {len(one) for one in marks(found)} == {0, 1}
    assert {mark.fault for one in marks(found) for mark in one} == {fault, "not_utf8"}


def test_every_reason_is_accounted_for() -> None:
    """What no corrupted message is refused for is Avro's, or a signal's."""
    assert REASONS.keys() - FAULTS.keys() == {
        "not_avro",
        "unknown_schema",
        "not_an_index",
        "repeated_sample",
        "broken_window",
    }


def test_rows_without_times() -> None:
    """Without event times rows count: a share of them, first to last; what needs durations is refused."""
    frame = cards().drop(columns="Time")
    found = broken(["scale:items:2x:from=50%:to=75%"], Held(frame, [7]), speed="max")
    assert touched(found) == list(range(300, 450))
    with pytest.raises(UsageError, match="'reorder:30s': reorder needs event times, and the data has no time column"):
        broken(["reorder:30s"], Held(frame), speed="max")
    with pytest.raises(UsageError, match="a duration or a time needs event times"):
        broken(["scale:items:2x:for=1h"], Held(frame), speed="max")


def test_shares_are_of_what_is_played() -> None:
    """A share is one of the rows between the first and the last that are played, with the skipped ones."""
    assert ids_touched("scale:items:2x:from=50%", limit=100) == list(range(50, 100))
    assert ids_touched("scale:items:2x:from=50%", limit=60, skip=40) == list(range(50, 100))
    assert ids_touched("scale:items:2x:from=50%", between=f"{START}/{START + 1000}") == list(range(50, 100))
    looped = broken(["scale:items:2x:from=50%"], loop=2)
    assert [ids(looped)[at] for at in touched(looped)] == [f"{row}#2" for row in range(ROWS)]
    forever = broken(["scale:items:2x:from=50%"], loop=0, limit=1000)
    assert len(touched(forever)) == 500


def ids_touched(spec: str, **given: Any) -> list[int]:
    found = broken([spec], **given)
    return [int(ids(found)[at]) for at in touched(found)]


@pytest.mark.parametrize(
    ("spec", "given", "sentence"),
    [
        ("drift:V99:1", {}, "'V99' is no feature, one of Time, card, V14, items, Amount, shop wanted"),
        ("fraud-burst:2x", {"label": "none"}, "fraud-burst needs labels, and the data has no label column"),
        ("silence:1m", {"speed": "max"}, "silence shows at a pace of event time alone, --speed real or 60x wanted"),
        ("burst:2x", {"speed": "100/s"}, "burst shows at a pace of event time alone"),
        ("duplicate:1%:from=50%", {"loop": 0}, "a share of what has no end, durations or times wanted"),
        ("corrupt:1%:wrong_length", {}, "wrong_length is no fault of json rows of these columns, one of empty,"),
        ("corrupt:1%:not_a_category", {}, "not_a_category is no fault of json rows"),
    ],
)
def test_refused(spec: str, given: dict[str, Any], sentence: str) -> None:
    """What does not go with the data or the settings is refused in one sentence, before anything is sent."""
    history = Held(cards(), label=given.get("label", ""))
    with pytest.raises(UsageError) as raised:
        refuse(history, told([spec], **given))
    assert str(raised.value).startswith(f"setting inject has value {spec!r}: {sentence}")


def test_no_numbers() -> None:
    """Text cannot be calculated with, nor a feature that never varies be measured in its standard deviations."""
    with pytest.raises(DataRefused, match=r"inject 'drift:shop:1': column 'shop' holds .*, numbers wanted"):
        broken(["drift:shop:1"])
    history = Held(cards().assign(items=3))
    with pytest.raises(UsageError, match="feature 'items' does not vary in the first 600 rows, an amount without sd"):
        stages(history, told(["drift:items:1sd"]))


def test_whole_numbers_beside_fractions() -> None:
    """A column is written alike before, within and behind the stretch."""
    found = broken(["scale:items:1.5x:from=50%:for=10%"])
    assert found.values is not None
    assert all(b'"items":%.1f' % row["items"] in value for row, value in zip(rows(found), found.values, strict=True))


def test_booleans_go_missing() -> None:
    """So do booleans, which stay 0 and 1."""
    frame = pd.DataFrame({"Time": START + np.arange(50), "yes": np.arange(50) % 2 == 0, "x": 1.0})
    found = broken(["missing:yes:40%"], Held(frame, [11]))
    assert {json.dumps(row.get("yes")) for row in rows(found)} == {"0", "1", "null"}
