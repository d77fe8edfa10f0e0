"""What a backtest makes of rows, scores, alerts and dead letters: joined, cut into windows, counted, compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector import drift
from detector.drift import Change
from detector.errors import DataRefused, Failure, UsageError
from detector.feedback.measures import measured
from replay.backtest.command import flat, parser
from replay.backtest.moved import LEAST_ROWS, MOST_PERIODS, Sampled, movers, score_psi
from replay.backtest.outcome import account, outcome
from replay.backtest.played import Noted, Played, Timed, digest
from replay.backtest.reading import refuse_stillness
from replay.backtest.report import MARK, refuse_to_replace, write
from replay.backtest.run import refuse_codes
from replay.backtest.settings import Settings
from replay.backtest.subjects import sent_as, titles
from replay.backtest.tally import WORST, Tally, slowest
from replay.backtest.windows import DAY, HOUR, MOST, WEEK, Windows, cut, daily, length_of
from replay.batch import Batch, objects
from tests.replay.tried import (
    BEGIN,
    Heard,
    alerted,
    artifact_of,
    event_of,
    labelled,
    scored,
    subject_of,
)


def played(ids: list[str], anomalous: list[bool] | None = None, timed: bool = True) -> Played:
    truth = None if anomalous is None else np.array(anomalous)
    return Played(digest(ids, len(ids)), truth, timed)


def dead(reason: str, partition: int, offset: int) -> Heard:
    headers = {"errors.reason": reason, "errors.partition": str(partition), "errors.offset": str(offset)}
    return Heard(b"", named=[(name, text.encode()) for name, text in headers.items()])


def handed(rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Each row a second after the one before."""
    return rows.astype(np.float64)


def test_rows_meet_their_truth() -> None:
    """Scores find their labels by row id, whatever the order, and figures are those of `measures`."""
    tally = Tally()
    tally.score(scored(["b", "d"], [5.0, 1.0]), 0.0)
    tally.score(scored(["a", "c"], [0.5, 3.0], partition=1), 0.0)
    tally.alert(alerted("b", 5.0), 3.5)
    tally.alert(alerted("c", 3.0), 4.0)
    found = outcome(subject_of(), tally, played(["a", "b", "c", "d"], [False, True, False, True]), handed)
    wanted = [(5.0, 50.0, True, True), (1.0, 10.0, False, True), (0.5, 0.0, False, False), (3.0, 30.0, True, False)]
    assert found.rows.tolist() == wanted
    assert found.measures == measured(labelled(wanted))
    assert (found.measures.caught, found.measures.missed, found.measures.false_amount) == (50.0, 10.0, 30.0)
    assert found.latencies.tolist() == [2.5, 2.0]
    assert [(alert.row_id, truth) for alert, truth in found.worst] == [("b", True), ("c", False)]
    assert found.span == (BEGIN, BEGIN + 1000)


def test_without_labels_and_times() -> None:
    """Without labels none is anomalous and no truth is told; without times a row's place is its number in the play."""
    tally = Tally()
    tally.score(scored(["b", "a"], [5.0, 1.0]), 0.0)
    tally.alert(alerted("b", 5.0), 9.0)
    found = outcome(subject_of(), tally, played(["a", "b"], None, timed=False), handed)
    assert not found.labelled
    assert found.worst[0][1] is None
    assert found.at.tolist() == [1, 0]


def test_ids_that_come_twice() -> None:
    """Of rows that share an id the first verdict counts, and the last label, as in `detector feedback`."""
    tally = Tally()
    tally.score(scored(["a", "a"], [5.0, 1.0]), 0.0)
    found = outcome(subject_of(), tally, played(["a", "a"], [True, False]), handed)
    assert found.rows.tolist() == [(5.0, 50.0, True, False)]


def test_a_row_nobody_played() -> None:
    """A score of a row that was not played is told."""
    tally = Tally()
    tally.score(scored(["x"], [5.0]), 0.0)
    with pytest.raises(Failure, match="told of a row that was not played"):
        outcome(subject_of(), tally, played(["a"], [True]), handed)


def test_amounts_as_they_were_written() -> None:
    """Money adds up as the decimals that a float32 stands for: 149.62, and not 149.61999512."""
    tally = Tally()
    tally.score(scored(["a"], [14.962]), 0.0)
    assert outcome(subject_of(), tally, played(["a"], [True]), handed).measures.caught == 149.62


def test_each_row_is_accounted_for() -> None:
    """Rows in are rows scored and dead letters: one too few or too many is an error that names the numbers."""
    tally = Tally()
    tally.score(scored(["a", "b"], [1.0, 5.0]), 0.0)
    tally.dead_letter(dead("not_json", 0, 2), 0.0)
    tally.alert(alerted("b", 5.0), 0.0)
    account(subject_of(), tally, 3)
    assert tally.complete(3)
    with pytest.raises(Failure, match="4 rows were played, 2 scored and 1 became dead letters: 1 are missing"):
        account(subject_of(), tally, 4)
    with pytest.raises(Failure, match="1 are too many"):
        account(subject_of(), tally, 2)


def test_verdicts_are_accounted_for() -> None:
    """A row above the threshold whose alert did not come is an error, and keeps the tally waiting."""
    tally = Tally()
    tally.score(scored(["b"], [5.0]), 0.0)
    assert not tally.complete(1)
    with pytest.raises(Failure, match="1 rows are to alert, and 0 alerts came"):
        account(subject_of(), tally, 1)


def test_dead_letters_alone() -> None:
    """Where no row could be scored there is nothing to report, and the reasons are told."""
    tally = Tally()
    for offset in range(2):
        tally.dead_letter(dead("wrong_length", 0, offset), 0.0)
    with pytest.raises(Failure, match="no row could be scored; dead letters: 2 wrong_length"):
        account(subject_of(), tally, 2)


def test_no_alert() -> None:
    """Rows that all are normal leave no alert, no latency and no worst one; precision is undefined."""
    tally = Tally()
    tally.score(scored(["a", "b"], [1.0, 0.5]), 0.0)
    found = outcome(subject_of(), tally, played(["a", "b"], [True, False]), handed)
    assert (found.alerts, len(found.latencies), found.worst) == (0, 0, [])
    assert (found.measures.precision, found.measures.recall) == (None, 0.0)


def test_how_far_all_detectors_are() -> None:
    """The slowest decides, by partition; what it has not heard of at all is left out; dead letters count too."""
    fast, slow = Tally(), Tally()
    fast.score(scored(["a", "b", "c"], [1.0] * 3), 0.0)
    fast.score(scored(["d"], [1.0], partition=1), 0.0)
    slow.score(scored(["a"], [1.0]), 0.0)
    slow.dead_letter(dead("not_json", 0, 1), 0.0)
    assert slowest([fast]) == {0: 3, 1: 1}
    assert slowest([fast, slow]) == {0: 2}


def test_the_worst_alerts_are_kept() -> None:
    """Those farthest above the threshold, the farthest first, of equals the first to come."""
    tally = Tally()
    for place in range(3 * WORST):
        tally.alert(alerted(str(place), 3.0 + place % (WORST + 1)), 0.0)
    worst = tally.worst()
    assert len(worst) == WORST
    assert [one.score for one in worst] == sorted([one.score for one in worst], reverse=True)
    assert (worst[0].score, worst[0].row_id) == (3.0 + WORST, str(WORST))


def test_when_drift_was() -> None:
    """A change of the drift state happened about when the record did that holds its row; elsewhere nobody knows."""
    tally = Tally()
    tally.score(scored(["a", "b"], [1.0, 1.0]), 0.0)
    tally.score(scored(["c"], [1.0], first=2), 0.0)
    told = event_of("V1", offset=1)
    change = Change(
        **{name: getattr(told, name) for name in Change.__struct_fields__ if hasattr(told, name)}, partition=0, offset=1
    )
    tally.change(Heard(drift.encode(change, "rows", told.model)[1]), 0.0)
    assert tally.events == [drift.decode(drift.encode(change, "rows", told.model)[1])]
    assert tally.time_of(tally.events[0]) == BEGIN + 1000
    assert tally.time_of(event_of("V1", offset=2)) == BEGIN + 2000
    assert tally.time_of(event_of("V1", offset=3)) is None
    assert tally.time_of(event_of("V1", partition=1)) is None


def test_records_that_are_none() -> None:
    """A record of scores or drift that cannot be read is told with its place."""
    tally = Tally()
    with pytest.raises(Failure, match="topic 's' offset 7"):
        tally.score(Heard(b"?", ("s", 0, 7)), 0.0)
    with pytest.raises(Failure, match="topic 'd' offset 8"):
        tally.change(Heard(b"?", ("d", 0, 8)), 0.0)


@pytest.mark.parametrize(
    ("span", "length"),
    [(0, HOUR), (2 * DAY, HOUR), (3 * DAY, DAY), (60 * DAY, DAY), (300 * DAY, WEEK), (4 * 365 * DAY, 4 * WEEK)],
)
def test_windows_fit_the_span(span: int, length: int) -> None:
    """Hours, days or weeks, whichever shows the history in some dozens."""
    found = cut([(BEGIN, BEGIN + span)], True)
    assert found.length == length
    assert found.count <= MOST + 1
    assert found.start[0] <= BEGIN < found.start[0] + length


@given(
    times=st.lists(st.integers(0, 200 * DAY), min_size=1, max_size=60),
    other=st.lists(st.integers(0, 200 * DAY), min_size=1, max_size=60),
)
def test_each_row_is_in_one_window(times: list[int], other: list[int]) -> None:
    """The windows of two models' rows are the same, hold each row once, and leave no gap between them."""
    both = [np.array(one, np.int64) for one in (times, other)]
    windows = cut([(int(one.min()), int(one.max())) for one in both], True)
    for one in both:
        parts = windows.parts(one)
        assert len(parts) == windows.count
        assert sorted(np.concatenate(parts).tolist()) == list(range(len(one)))
        assert windows.counted(one).tolist() == [len(part) for part in parts]
        for start, part in zip(windows.start.tolist(), parts, strict=True):
            assert ((one[part] >= start) & (one[part] < start + windows.length)).all()


def test_windows_without_times() -> None:
    """Where nothing has a time, windows are parts of the rows, in the order of play."""
    found = cut([(0, 99), (0, 80)], False)
    assert (found.length, found.count, found.unit) == (5, 20, "5 rows")
    assert daily(found, [(0, 99)]) == found


def test_alerts_by_day() -> None:
    """Alerts are counted by the hour for a few days, then by the day, unless these are too many to be drawn."""
    for span, length in ((2 * DAY, HOUR), (40 * DAY, DAY), (3_000 * DAY, DAY), (20_000 * DAY, WEEK)):
        spans = [(BEGIN, BEGIN + span)]
        assert daily(cut(spans, True), spans).length == length
    assert length_of(10**18) == 52 * WEEK


def test_figures_of_a_window() -> None:
    """A window's figures are those of its rows alone; one without alerts or anomalous rows has no such figure."""
    rows = labelled([(5, 10, True, True), (5, 7, True, False), (1, 3, False, True), (1, 1, False, False)])
    windows = Windows(DAY, BEGIN // DAY, 3)
    at = BEGIN + np.array([0, 1, DAY, 2 * DAY])
    first, second, third = windows.measured(at, rows)
    assert (first.precision, first.recall, first.caught, first.missed) == (0.5, 1.0, 10.0, 0.0)
    assert (second.precision, second.recall, second.missed) == (None, 0.0, 3.0)
    assert (third.precision, third.recall, third.rows) == (None, None, 1)


def test_scores_that_moved() -> None:
    """The PSI of a window's scores is small where they are the reference's, large where not, unknown where few."""
    reference = artifact_of().reference
    normal = np.random.default_rng(1).normal(size=2 * LEAST_ROWS + 1).astype(np.float32)
    scores = np.concatenate((normal[:LEAST_ROWS], normal[LEAST_ROWS:-1] + 1, normal[-1:]))
    at = BEGIN + np.repeat([0, DAY, 2 * DAY], [LEAST_ROWS, LEAST_ROWS, 1])
    found = score_psi(reference, Windows(DAY, BEGIN // DAY, 3), at, scores)
    assert found[0] < 0.1 < 0.5 < found[1]
    assert np.isnan(found[2])


def test_features_that_moved() -> None:
    """A feature that moves on one day stands first, with that day; one that stays has a small PSI."""
    rng = np.random.default_rng(2)
    rows = 3 * LEAST_ROWS
    frame = pd.DataFrame({"V1": rng.normal(size=rows), "Amount": rng.normal(size=rows)})
    frame.loc[2 * LEAST_ROWS :, "V1"] += 1.5
    at = BEGIN + np.repeat([0, DAY, 2 * DAY], LEAST_ROWS)
    sampled = Sampled(artifact_of(), True)
    for start in range(0, rows, 400):
        sampled.take(frame.iloc[start : start + 400], at[start : start + 400])
    windows = Windows(DAY, BEGIN // DAY, 3)
    found = sampled.psi(windows)
    assert found is not None
    first, second = movers(("V1", "Amount"), found, 10)
    assert (first.feature, first.window) == ("V1", 2)
    assert first.most > 1 > 0.2 > second.most


def test_periods_are_bounded() -> None:
    """However long history is, so many periods are kept at most, no row is lost, and windows of days hold days."""
    sampled = Sampled(artifact_of(), True)
    frame = pd.DataFrame({"V1": [0.0] * 2_000, "Amount": [0.0] * 2_000})
    at = BEGIN + np.linspace(0, 600 * DAY, 2_000).astype(np.int64)
    sampled.take(frame, at)
    assert 0 < len(sampled._counts) <= MOST_PERIODS
    assert sum(int(counts[0, -1]) for counts in sampled._counts.values()) == 2_000
    whole = Windows(52 * WEEK, BEGIN // (52 * WEEK), 3)
    assert sampled.psi(whole) is not None
    assert Sampled(artifact_of(), True).psi(whole) is None


def test_rows_are_noted_on_their_way() -> None:
    """Names and truth of all rows are kept, batches come out as they were; times before 1970 are refused."""
    noted = Noted("history", [])
    batch = Batch(objects([b"1", "é".encode()]), np.array([5, 6]), None, np.array([True, False]))
    assert list(noted.stage(iter([batch, batch]))) == [batch, batch]
    found = noted.all()
    assert found.names.tolist() == digest(["1", "é"] * 2, 4).tolist()
    assert found.anomalous is not None
    assert found.anomalous.tolist() == [True, False] * 2
    early = Batch(objects([b"1"]), np.array([-1]))
    with pytest.raises(DataRefused, match="data history: event times begin before 1970"):
        list(noted.stage(iter([early])))


def test_when_rows_were_handed_over() -> None:
    """A row was handed over no earlier than told: the moment before the first turn that it was sent in."""
    now = [100.0]
    sender = Timed("127.0.0.1:1", {}, places=False, wall=lambda: now[0])
    for seconds, rows in ((1.0, 0), (2.0, 3), (5.0, 2)):
        sender._handed[True] += rows
        now[0] += seconds
        sender.poll()
    assert sender.handed(np.array([0, 2, 3, 4])).tolist() == [101.0, 101.0, 103.0, 103.0]


def test_rows_that_both_models_read() -> None:
    """Models of the same features are sent packed; of different ones as JSON that holds all of them."""
    one, other = subject_of("a"), subject_of("b", features=("V1", "V2"), amount="")
    assert sent_as([one], "auto") == (one.artifact.schema, "packed")
    assert sent_as([one, one], "json") == (one.artifact.schema, "json")
    schema, format_ = sent_as([one, other], "auto")
    assert (schema.features, format_) == (("V1", "Amount", "V2"), "json")
    with pytest.raises(UsageError, match="different features: json wanted"):
        sent_as([one, other], "packed")


def test_models_have_titles_of_their_own() -> None:
    """Name and version; where two share them, their directories."""
    assert titles([artifact_of("a"), artifact_of("b")]) == ["a version 1", "b version 1"]
    assert titles([artifact_of("a"), artifact_of("a")]) == ["models/a", "models/a"]


def test_settings_that_are_refused() -> None:
    """Topics of a broker that ends with the process cannot be kept; what a replay refuses is refused at once."""
    with pytest.raises(UsageError, match="keep goes with bootstrap_servers"):
        Settings(model=Path("m"), keep=True)
    with pytest.raises(UsageError, match="setting between has value"):
        Settings(model=Path("m"), between="2/1")


def test_models_on_the_command_line() -> None:
    """A second --model is the other model; a third is refused."""
    for models, wanted in (([], (None, None)), (["a"], ("a", None)), (["a", "b"], ("a", "b"))):
        told = parser().parse_args(["data", *(text for one in models for text in ("--model", one))])
        found = flat(vars(told))
        assert (found["model"], found["other_model"]) == wanted
    told = parser().parse_args(["data", "--model", "a", "--other-model", "b", "--between", "1", ".."])
    found = flat(vars(told))
    assert (found["model"], found["other_model"], found["between"]) == ("a", "b", "1/..")
    with pytest.raises(UsageError, match="3 models are named by --model, one or two wanted"):
        flat(vars(parser().parse_args(["data", *("--model", "a") * 3])))


def test_the_report_s_place(tmp_path: Path) -> None:
    """An older report is replaced, nothing else is, and no other file is left beside it."""
    out = tmp_path / "backtest.html"
    write(out, MARK)
    write(out, f"{MARK} again")
    assert out.read_text() == f"{MARK} again"
    assert list(tmp_path.iterdir()) == [out]
    (tmp_path / "notes.html").write_text("mine")
    for other, why in (
        ("notes.html", "exists and is no report"),
        (".", "exists and is no report"),
        ("no/b", "is no directory"),
    ):
        with pytest.raises(Failure, match=why):
            refuse_to_replace(tmp_path / other)


def test_a_detector_that_stands_still() -> None:
    """Where rows wait and nothing is said of them for too long, that is told; an ill end is too."""
    refuse_stillness(1e12, 60.0)
    with pytest.raises(Failure, match="has said nothing of rows that wait for it for 60 s"):
        refuse_stillness(-1e12, 60.0)
    refuse_codes([0, 0])
    with pytest.raises(Failure, match="exit code 4"):
        refuse_codes([0, 4])
