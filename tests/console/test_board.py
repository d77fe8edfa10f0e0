"""What the console knows: alerts held, filtered and ordered, verdicts, precision, drift, spread, traffic."""

from __future__ import annotations

import json

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.alerts import ModelName, Reason, Source, encode
from detector.console.alerts import Alerts, Entry
from detector.console.board import Board
from detector.console.listing import Filter, listed
from detector.console.rawrow import MOST, raw
from detector.console.shown import bar, histogram_html, number, percent, row, shortened, tiles, times_text, value_text
from detector.console.spread import WINDOW, Spread, histogram
from detector.console.traffic import Traffic
from detector.console.verdicts import Precision, Verdict, Verdicts, decode
from detector.console.verdicts import encode as encode_verdict
from detector.feedback import labels
from tests.console.made import HOSTILE, START, Record, alert, drifted, entries, entry, letter, scored


def nothing_said(entry: Entry) -> None:
    """No verdict."""


@given(st.lists(st.integers(0, 30), max_size=80), st.integers(1, 10))
def test_the_last_alerts_are_held_once(offsets: list[int], most: int) -> None:
    """Of all that came the last ones are held, the newest first; what had to go is named, and held plus gone is new."""
    held, new, gone = Alerts(most), [], []
    for offset in offsets:
        more, less = held.add([entry(offset)])
        new += more
        gone += less
    assert len(held) <= most
    assert [one.alert.id for one in (*gone, *reversed(list(held)))] == [one.alert.id for one in new]
    assert held.total == len(new)


def test_one_row_may_alert_by_two_models() -> None:
    """Two models' alerts of one row are two, and each is found by its model."""
    held, other = Alerts(5), entry(1, model=ModelName("other", "2", "ff"))
    held.add([entry(1), other, entry(1)])
    assert len(held) == 2
    assert held.get(other.alert.id, "ff") is other
    assert held.get("transactions/9/9") is None


def test_of_one_entity() -> None:
    """An entity's alerts are those of its key, the newest first."""
    held = Alerts(10)
    held.add([entry(1, key="a"), entry(2, key="b"), entry(3, key="a"), entry(4, key=None), entry(5, key="a")])
    assert [one.alert.source.offset for one in held.of_key("a", 2)] == [5, 3]


FILTERS = [
    (Filter(text="CARD-7"), [3]),
    (Filter(text="transactions/2/"), [2]),
    (Filter(text=" r1 "), [1]),
    (Filter(least=6.0), [3]),
    (Filter(reason="V3"), [2]),
    (Filter(model="other 2"), [1]),
    (Filter(judged="fraud"), [1]),
    (Filter(judged="open"), [3, 2, 0]),
    (Filter(), [3, 2, 1, 0]),
    (Filter(text="card", least=100), []),
]


@pytest.mark.parametrize(("wanted", "found"), FILTERS)
def test_filters(wanted: Filter, found: list[int]) -> None:
    """Each filter lets pass what it says, the newest first."""
    held = Alerts(10)
    reasons = [msgspec.structs.replace(alert(0).reasons[0], feature="V3")]
    held.add([entry(0), entry(1, row_id="r1", model=ModelName("other", "2", "ff"))])
    held.add([entry(2, reasons=reasons), entry(3, 7.0, key="card-7")])

    def verdict(one: Entry) -> str | None:
        return "fraud" if one.alert.row_id == "r1" else None

    assert [one.alert.source.offset for one in listed(held, wanted, "newest", 0, 9, verdict).entries] == found


@given(st.lists(st.sampled_from([1.5, 2.0, 3.0, 9.0]), max_size=30), st.integers(0, 40), st.integers(1, 7))
def test_pages_are_slices_of_the_whole_order(scores: list[float], start: int, most: int) -> None:
    """A page of the highest is a slice of all, sorted: ties the newest first; one behind the end is the last page."""
    held = Alerts(50)
    held.add([entry(i, score) for i, score in enumerate(scores)])
    page = listed(held, Filter(), "highest", start, most, nothing_said)
    whole = sorted(held, key=lambda one: -one.ratio)
    assert page.entries == whole[page.start : page.start + most]
    assert page.matching == len(scores)
    assert bool(page.entries) == bool(scores)


def test_a_verdict_is_a_label_that_feedback_reads() -> None:
    """What is written is what feedback takes for a label, and what the console reads back; a note left out is empty."""
    for word, anomalous in (("fraud", True), ("legitimate", False), ("unsure", None)):
        key, value = encode_verdict("r1", Verdict(word, "ada", "2026-11-23T10:00:00Z", HOSTILE))  # type: ignore[arg-type]
        assert key == b"r1"
        assert labels.read(value, 7) == ("r1", anomalous, 7)
        assert decode(value) == ("r1", Verdict(word, "ada", "2026-11-23T10:00:00Z", HOSTILE))  # type: ignore[arg-type]
    assert json.loads(encode_verdict("r1", Verdict("fraud", "ada", "now"))[1]) == {
        "row_id": "r1", "label": "fraud", "by": "ada", "at": "now",
    }  # fmt: skip


@pytest.mark.parametrize("value", [None, b"", b"[]", b"{}", b'{"row_id": "r", "label": "maybe"}', b"\xff"])
def test_what_is_no_label_is_counted(value: bytes | None) -> None:
    """Other records of the topic are passed over and counted."""
    verdicts = Verdicts(10)
    verdicts.take([value])
    assert verdicts.refused == 1


def test_labels_before_and_after_their_alerts() -> None:
    """The last label of a row holds, whether it came before the alert or after; a label of the data has no author."""
    board = Board(3, "transactions")
    board.say("early", Verdict("fraud"))
    board.add([entry(1, row_id="early"), entry(2, row_id="late")])
    board.take_labels([Record("labels", 0, 0, b'{"row_id": "late", "label": 0, "by": 7}')])
    assert board.precision() == Precision(1, 1, 0)
    board.take_labels([Record("labels", 0, 1, encode_verdict("late", Verdict("unsure", "ada", "t"))[1])])
    assert board.precision() == Precision(1, 0, 1)
    assert board.precision().share == 1.0
    assert board.precision("cards 2").share is None


def test_a_flood_of_labels_pushes_no_alerts_verdict_out() -> None:
    """Labels of other rows are bounded, those of rows with an alert stay until the alert goes."""
    verdicts = Verdicts(5)
    verdicts.alerted(["mine"])
    verdicts.say("mine", Verdict("fraud"))
    for i in range(100):
        verdicts.say(f"other-{i}", Verdict("legitimate"))
    assert verdicts.get("mine") == Verdict("fraud")
    verdicts.alerted(["other-99", "other-3"])
    assert verdicts.get("other-99") is not None
    assert verdicts.get("other-3") is None
    verdicts.gone(["mine"])
    assert verdicts.get("mine") is None


def test_a_row_without_a_row_id_has_its_place() -> None:
    """Its verdict goes under topic/partition/offset, as feedback names it."""
    assert entry(6).name == "transactions/2/6"
    assert entry(6, row_id="r").name == "r"


def test_records_that_are_no_alerts_are_counted() -> None:
    """Whatever stands in the topic of alerts, what is an alert is held."""
    board = Board(5, "transactions")
    values = (None, b"{", b"[" * 9999, b"\xff", encode(alert(1))[0])
    board.take_alerts([Record("alerts", 0, i, value) for i, value in enumerate(values)])
    assert (len(board.alerts), board.refused) == (1, 4)


DEEP = (b"[" * 9999, b'{"x":' * 9999, b'{"row_id": "r", "label": 1, "note": ' + b"[" * 9999)
ODD = (None, b"", b"null", b"{}", b"\xff\x00", b"\x01\x93", b'{"row_id": "\\ud800", "label": 1}', *DEEP)


@given(st.lists(st.sampled_from(ODD) | st.binary(max_size=40), max_size=10))
def test_no_record_ends_the_reading_of_a_topic(values: list[bytes | None]) -> None:
    """Whatever stands in any of the topics, it is passed over."""
    board = Board(5, "transactions")
    records = [Record("topic", 0, i, value) for i, value in enumerate(values)]
    for take in (board.take_alerts, board.take_labels, board.take_drift, board.take_letters, board.take_scores):
        take(records)
    assert len(board.alerts) == 0


@given(
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(allow_nan=False, allow_infinity=False),
    st.none() | st.booleans() | st.text() | st.floats(),
    st.text(),
)
def test_every_alert_can_be_shown(score: float, threshold: float, value: float | str | bool | None, name: str) -> None:
    """Whatever an alert says, the list has a row for it, and its page a picture that is numbers alone."""
    odd = [Reason(name, value, value, score)]
    made = entry(1, score, key=name, row_id=name, threshold=threshold, method=name, reasons=odd)
    found = row(made, Verdict("fraud", name, name, name))
    assert 0.0 <= found["bar"] <= 1.0
    assert found["reasons"][0]["feature"] == shortened(name, 24)
    marks = [one for one in (score, threshold) if abs(one) < 1e300]
    picture = histogram_html(histogram(np.ones(3, np.float32), marks), threshold, score)
    assert picture.count("<svg") == 1


def test_neighbours() -> None:
    """Beside an alert stand the one that came after it and the one before; ends have none."""
    board = Board(5, "transactions")
    first, second, third = (entry(i) for i in range(3))
    board.add([first, second, third])
    assert board.neighbours(second) == (third, first)
    assert board.neighbours(third) == (None, second)
    assert board.neighbours(entry(9)) == (None, None)


def test_the_drift_board() -> None:
    """The last event of a feature holds; those that drift come first, the farthest first."""
    board = Board(5, "transactions")
    events = [drifted("V1", psi=0.3), drifted("V2", psi=0.9), drifted("V3"), drifted("V3", "stable", 0.01), b"no"]
    board.take_drift([Record("drift", 0, i, value, None, START + i) for i, value in enumerate(events)])
    assert [(one.event.name, one.event.state) for one in board.drifting.columns()] == [
        ("V2", "drifting"), ("V1", "drifting"), ("V3", "stable"),
    ]  # fmt: skip
    assert len(board.drifting.drifting()) == 2
    assert len(board.drifting.last) == 4
    assert board.drifting.refused == 1


def test_scores_around_an_alert() -> None:
    """An alert lies among the scores of its partition up to its row, or the latest where those have gone."""
    spread = Spread()
    values = np.arange(1, 6001, dtype=np.float32)
    spread.take([scored(0, 0, values[:3000]), scored(0, 3000, values[3000:]), b"no scores"])
    window = spread.window(alert(4000))
    assert window is not None
    assert window.before
    assert (len(window.scores), window.scores[-1]) == (4001 if WINDOW > 4001 else WINDOW, 4001.0)
    assert spread.window(msgspec.structs.replace(alert(4000), source=Source("transactions", 9, 1))) is None
    late = Spread()
    late.take([scored(0, 500, values[:10])])
    old = late.window(alert(4))
    assert old is not None
    assert not old.before
    assert (spread.total, spread.refused) == (6000, 1)


@given(st.lists(st.floats(0, 1e6, width=32), min_size=1, max_size=50), st.floats(0, 1e7, width=32))
def test_histograms_count_every_score(values: list[float], mark: float) -> None:
    """Bars add up to the rows, whatever the scores; a mark lies inside, and the picture holds numbers alone."""
    found = histogram(np.array(values, np.float32), (mark,))
    assert found.counts.sum() == len(values)
    assert 0.0 <= found.place(mark) <= 1.0
    picture = histogram_html(found, mark, mark)
    assert "nan" not in picture
    assert picture.count("<svg") == 1


def test_traffic() -> None:
    """Rates are of the last looks, lag is to the end; without a commit the whole log waits."""
    traffic = Traffic()
    assert (traffic.scored, traffic.lag, traffic.looked, traffic.begun) == (None, 0, False, False)
    traffic.look(0.0, {}, {0: (10, 50)})
    assert (traffic.lag, traffic.begun) == (40, False)
    traffic.look(2.0, {0: 30}, {0: (10, 70)})
    assert (traffic.lag, traffic.scored, traffic.arriving, traffic.begun) == (40, 10.0, 10.0, True)
    for second in range(3, 60):
        traffic.look(float(second), {0: 30}, {0: (10, 70)})
    assert traffic.scored == 0.0


def test_dead_letters_by_reason() -> None:
    """They are counted by reason, and the tile says how many wait."""
    board = Board(5, "transactions")
    board.take_letters([letter(i, "not_json" if i % 2 else "empty") for i in range(5)])
    assert {name: one.count for name, one in board.letters.reasons.items()} == {"not_json": 2, "empty": 3}
    told = {tile.title: tile.figure for tile in tiles(board, START / 1000)}
    assert told == {
        "Alerts": "0", "Precision": "–", "Rows a second": "–", "Lag": "–", "Drift": "0", "Dead letters": "5",  # noqa: RUF001
    }  # fmt: skip


def test_raw_rows() -> None:
    """JSON keeps its digits, packed rows are numbers, what is neither is bytes; a long one is cut and says so."""
    assert raw(Record("t", 0, 1, b'{"a":1.50,"b":[1]}')).value == '{\n  "a": 1.50,\n  "b": [\n    1\n  ]\n}'
    packed = raw(Record("t", 0, 1, np.array([1.5, -2], "<f4").tobytes(), b"k\xff", START, (("format", b"packed"),)))
    assert (packed.kind, packed.value, packed.key) == ("packed, float32", "1.5\n-2", "k\\xff")
    assert raw(Record("t", 0, 1, b"\x00\x01\xff")).value == "0001ff"
    assert raw(Record("t", 0, 1, None)).kind == "empty"
    assert "more characters" in raw(Record("t", 0, 1, b"x" * (MOST + 1))).value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "missing"), (True, "true"), (1.0, "1"), (float("inf"), "∞"), (-3.14159, "-3.142"), (12345.6, "12,346"),
        ("a\u202eb\n", "a�b�"), ("x" * 99, "x" * 60 + "…"), (1e30, "1e+30"),
    ],
)  # fmt: skip
def test_values_for_people(value: float | str | bool | None, text: str) -> None:
    """Values are short, on one line, and turn nothing around."""
    assert value_text(value) == text


def test_figures_for_people() -> None:
    """Shares, ratios, bars and numbers at their ends."""
    assert (percent(None), percent(0.0), percent(0.034), percent(0.5)) == ("–", "0%", "3.4%", "50%")  # noqa: RUF001
    assert (times_text(float("inf")), times_text(5e3), times_text(2.25)) == ("∞", ">999×", "2.2×")  # noqa: RUF001
    assert (bar(float("inf")), bar(100.0), bar(1.0)) == (1.0, 1.0, 0.02)
    assert number(float("nan")) == "–"  # noqa: RUF001
    assert shortened("a" * 10, 4) == "aaaa…"


def test_a_row_of_the_list_leads_to_the_alert() -> None:
    """Every address begins with /alert, and whatever is in an id is escaped in it."""
    made = entry(1, key=HOSTILE, row_id=HOSTILE, id=HOSTILE)
    found = row(made, Verdict("fraud", "ada"))
    assert found["href"].startswith("/alert?id=%3Cscript%3E")
    assert not set("<>\"'` ") & set(found["href"])
    assert (found["verdict"], found["by"]) == ("fraud", "ada")


def test_ten_thousand_alerts_are_listed_in_order() -> None:
    """A page far down in many alerts is what a sort of all of them says."""
    board = Board(10_000, "transactions")
    board.add(entries(12_000))
    page = board.listing(Filter(least=2.0), "highest", 5_000, 50)
    whole = sorted((one for one in board.alerts if one.ratio >= 2.0), key=lambda one: -one.ratio)
    assert page.entries == whole[page.start : page.start + 50]
    assert len(board.alerts) == 10_000
    assert board.choices().models == ["cards 1"]
    assert len(board.choices().reasons) == 28
