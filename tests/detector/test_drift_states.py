"""A column's state: told soon when something drifts, quiet when nothing does, and the same whatever the batches."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from functools import cache
from itertools import pairwise

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from detector.alerts import ModelName, Source
from detector.drift import (
    CALM,
    EVENT_TYPE,
    LOOKS,
    Change,
    Event,
    Levels,
    Reference,
    bin_counts,
    decode,
    encode,
    ks,
    psi,
    sampled,
)
from detector.drift.levels import States
from detector.drift.window import Drift
from tests.arrays import f32
from tests.conftest import real
from tests.drifts import DRIFTS, FEATURES, columns, delay, names, quiet, reference, rows

SMALL = 64
"""Rows of a small window."""

Log = tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]
MODEL = ModelName("cards", "7", "abc")


def watch(every: int = 1, window: int = SMALL, reference_rows: int = 500) -> Drift:
    """Against a reference of made-up rows."""
    return Drift(reference(reference_rows, np.random.default_rng(0)), FEATURES, window, every)


def two_partitions(count: int) -> Log:
    """Made-up rows of two partitions by turns of uneven length; by stretches, one feature or another is far off."""
    rng = np.random.default_rng(5)
    matrix, scores = rows(count, rng)
    stretch = np.arange(count) // 400
    matrix[stretch % 4 == 1, 0] += 5
    matrix[stretch % 4 == 1, 2] = np.nan
    scores[stretch % 4 == 2] *= 9
    partition = (np.arange(count) % 7 > 2).astype(np.int32) * 3
    offset = np.where(partition == 3, np.cumsum(partition == 3), np.cumsum(partition == 0) * 2)
    return partition, offset, matrix, scores


LOG = two_partitions(4_800)


def between(log: Log, low: int, high: int) -> Log:
    """The rows from one to another."""
    partition, offset, matrix, scores = log
    return partition[low:high], offset[low:high], matrix[low:high], scores[low:high]


def in_a_row(matrix: NDArray[np.float32], scores: NDArray[np.float32]) -> Log:
    """Rows as one partition has them."""
    return np.zeros(len(scores), np.int32), np.arange(len(scores)), matrix, scores


def run(drift: Drift, log: Log, cuts: Sequence[int] = ()) -> list[Change]:
    """All changes of a log in batches that end at `cuts`."""
    bounds = [0, *sorted(cuts), len(log[0])]
    return [change for low, high in pairwise(bounds) for change in drift.update(*between(log, low, high))]


@pytest.mark.parametrize("every", [1, 2])
@pytest.mark.parametrize("cuts", [range(0, 4_800, 1), range(0, 4_800, 100)])
def test_changes_do_not_depend_on_batches(every: int, cuts: range) -> None:
    """Row by row, or by the hundred, the log has the same changes as in one batch, and there are some to be had."""
    whole = run(watch(every), LOG)
    assert {(change.name, change.state) for change in whole} == {
        (name, state) for name in ("steady", "gappy", "score") for state in ("drifting", "stable")
    }
    assert run(watch(every), LOG, cuts) == whole


@cache
def straight() -> tuple[list[Change], list[float]]:
    """The changes of the log's first 1,600 rows, each read once, and the PSI at their end."""
    drift = watch()
    return run(drift, between(LOG, 0, 1_600)), drift.figures.psi.tolist()


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 1_600), st.integers(0, 500)), max_size=8))
def test_rows_that_are_read_again_count_once(aborts: list[tuple[int, int]]) -> None:
    """Wherever batches end, and however far an abort goes back, changes are those of each row read once."""
    drift, found, read = watch(), [], 0
    for end, back in [*aborts, (1_600, 0)]:
        found += drift.update(*between(LOG, max(read - back, 0), end))
        read = max(read, end)
    assert (found, drift.figures.psi.tolist()) == straight()
    assert found


def test_one_partition_goes_back_alone() -> None:
    """Rows of one partition that come again are left out, those of another in the same batch are not."""
    partition, offset, matrix, scores = between(LOG, 0, 1_200)
    here = partition == 3
    drift, straight = watch(), watch()
    drift.update(partition[here][:300], offset[here][:300], matrix[here][:300], scores[here][:300])
    drift.update(partition, offset, matrix, scores)
    order = np.r_[np.flatnonzero(here)[:300], np.flatnonzero(~here | (offset > offset[here][299]))]
    straight.update(*in_a_row(matrix[order], scores[order]))
    assert drift.figures.psi.tolist() == straight.figures.psi.tolist()


def test_forgotten_partitions_begin_anywhere() -> None:
    """A partition that went and came back counts from its first row, also where that was counted before."""
    log = between(LOG, 0, SMALL)
    drift = watch()
    run(drift, log)
    before = drift.figures
    run(drift, log)
    assert drift.figures is before
    drift.forget([0, 3, 99])
    run(drift, log)
    assert drift.figures is not before
    assert drift.figures.psi.tolist() == before.psi.tolist()


@given(st.integers(1, 50), st.integers(0, 2**40))
def test_one_row_in_so_many_is_sampled(every: int, start: int) -> None:
    """Of any run of offsets one in `every` is sampled, to a few rows."""
    found = sampled(np.arange(start, start + 5_000), every)
    assert found.sum() == pytest.approx(5_000 / every, abs=4)


@pytest.mark.parametrize("every", [2, 8, 10])
def test_sampling_has_no_rhythm(every: int) -> None:
    """Whichever rows of a rhythm of up to 64 are looked at, one in `every` of them is sampled."""
    for period in range(2, 65):
        for first in range(period):
            assert sampled(np.arange(first, 40_000 * period, period), every).mean() == pytest.approx(
                1 / every, rel=0.01
            )


@pytest.mark.parametrize("every", [1, 3])
def test_figures_are_of_the_last_window(every: int) -> None:
    """Figures are PSI, KS and missing share of the last sampled rows, taken anew each quarter of a window."""
    before = reference(500, np.random.default_rng(0))
    drift = Drift(before, FEATURES, SMALL, every)
    assert drift.figures.rows == 0
    assert np.isnan(drift.figures.psi).all()
    log = _, offset, matrix, scores = in_a_row(LOG[2], LOG[3])
    for at in range(700):
        drift.update(*between(log, at, at + 1))
        seen = np.flatnonzero(sampled(offset[: at + 1], every))
        kept = seen[: len(seen) // (SMALL // LOOKS) * (SMALL // LOOKS)][-SMALL:]
        assert drift.figures.rows == len(kept)
        if len(kept) and at % 10 == 0:
            together = np.column_stack((matrix, scores))[kept]
            pairs = [
                (was, bin_counts(column, edges))
                for was, column, edges in zip(before.counts, together.T, before.edges, strict=True)
            ]
            assert drift.figures.psi.tolist() == pytest.approx([psi(*pair) for pair in pairs])
            assert drift.figures.ks.tolist() == pytest.approx([ks(*pair) for pair in pairs])
            assert drift.figures.missing.tolist() == pytest.approx(np.isnan(together).mean(axis=0).tolist())


def test_figures_are_replaced() -> None:
    """What a scrape holds of one look is not altered by the next."""
    drift = watch()
    run(drift, between(LOG, 0, 400))
    held = drift.figures
    copy = (held.psi.copy(), held.ks.copy(), held.missing.copy(), held.drifting.copy())
    run(drift, LOG)
    for was, now in zip(copy, (held.psi, held.ks, held.missing, held.drifting), strict=True):
        assert was.tolist() == now.tolist()


@pytest.mark.parametrize("start", [0, 2_500, 5_000, 8_000])
@pytest.mark.parametrize("drift", DRIFTS)
def test_simulated_drift_is_told_within_10_000_rows(drift: str, start: int) -> None:
    """Each simulated drift is told within 10,000 rows, wherever between two looks it begins, and nothing else is."""
    found = delay(drift, reference_rows=20_000, start=start, seed=start)
    assert found is not None
    assert found <= 10_000


def test_a_small_reference_widens_the_levels() -> None:
    """Against 60 rows a slight shift is not told, for they may have been so by chance; a gross one is."""
    slight, gross = watch(8, 1024, 60), watch(8, 1024, 60)
    matrix, scores = rows(40_000, np.random.default_rng(1))
    assert slight.update(*in_a_row(matrix + f32([0.2, 0.2, 0.2, 0]), scores)) == []
    assert slight.figures.psi.max() > Levels().psi
    assert {change.name for change in gross.update(*in_a_row(matrix + np.float32(2), scores))} == set(FEATURES)


def test_quiet_without_drift() -> None:
    """A million rows of 30 features without drift, normal, skewed, counted, rare and with gaps, change no state."""
    for reference_rows in (300, 20_000):
        assert quiet(reference_rows, 1_000_000 // 8, 30).changes == 0


@pytest.mark.long
@pytest.mark.parametrize("reference_rows", [600, 57_000])
def test_quiet_for_ten_million_rows(reference_rows: int) -> None:
    """Ten million rows of 500 features without drift change no state."""
    found = quiet(reference_rows, 10_000_000 // 8, 500)
    assert (found.looks, found.changes) == (4_883, 0)


def test_one_of_many_features() -> None:
    """Of 500 features the one that drifts is told, and no other."""
    rng = np.random.default_rng(2)
    drift = Drift(Reference.of(list(columns(5_000, 500, rng).T)), names(500), every=1)
    matrix = columns(2_560, 500, rng)
    matrix[1_280:, 217] += 1
    changes = drift.update(*in_a_row(matrix[:, :-1], matrix[:, -1]))
    assert [(change.kind, change.name, change.state) for change in changes] == [("feature", "f217", "drifting")]
    assert np.flatnonzero(drift.figures.drifting).tolist() == [217]


def test_gaps_come_and_go() -> None:
    """More missing values are told as such, fewer too, though the values that are there have not moved."""
    rng = np.random.default_rng(3)
    matrix, scores = rows(20_000, rng)
    matrix[rng.random(20_000) < 0.4, 0] = np.nan
    before = Reference.of([*matrix.T, scores])
    matrix, scores = rows(8_192, rng)
    matrix[rng.random(8_192) < 0.3, 1] = np.nan
    changes = Drift(before, FEATURES, every=1).update(*in_a_row(matrix, scores))
    assert [change.name for change in changes] == ["steady", "moving"]
    assert all("missing" in change.above and "ks" not in change.above for change in changes)
    assert [round(change.reference_missing, 1) for change in changes] == [0.4, 0]
    assert [round(change.missing, 1) for change in changes] == [0, 0.3]


def test_a_change_says_what_was_found() -> None:
    """A change names the score as such, with the figures of its look and the place of the row that completed it."""
    drift = watch()
    matrix, scores = rows(8 * SMALL, np.random.default_rng(4))
    scores[4 * SMALL :] *= 3
    partition, offset = np.full(len(scores), 6, np.int32), np.arange(1_000, 1_000 + len(scores))
    (change,) = drift.update(partition, offset, matrix, scores)
    assert (change.kind, change.name, change.was, change.state) == ("score", "score", "stable", "drifting")
    assert change.above
    assert set(change.above) <= {"psi", "ks"}
    assert (change.rows, change.levels, change.partition) == (SMALL, Levels(), 6)
    assert (change.offset - 1_000 + 1) % (SMALL // LOOKS) == 0
    assert change.offset >= 1_000 + 4 * SMALL
    assert (change.missing, change.reference_missing) == (0, 0)
    assert change.ks > Levels().ks


def test_states_from_the_first_full_window() -> None:
    """However far off the first rows are, nothing is told before a whole window of them was seen."""
    drift = watch()
    matrix, scores = rows(SMALL, np.random.default_rng(4))
    log = in_a_row(matrix + 9, scores)
    assert drift.update(*between(log, 0, SMALL - 1)) == []
    assert drift.figures.rows == SMALL * 3 // 4
    changes = drift.update(*between(log, SMALL - 1, SMALL))
    assert [change.name for change in changes] == list(FEATURES)
    assert [change.above for change in changes] == [["ks", "psi"]] * len(FEATURES)


def test_stable_again() -> None:
    """A feature that is back where it was is stable after a window and four more without a move."""
    drift = watch()
    matrix, scores = rows(40 * SMALL, np.random.default_rng(7))
    matrix[10 * SMALL : 20 * SMALL, 0] += 5
    changes = drift.update(*in_a_row(matrix, scores))
    assert [(change.name, change.state) for change in changes] == [("steady", "drifting"), ("steady", "stable")]
    assert (changes[1].was, changes[1].above) == ("drifting", [])
    looks = (changes[1].offset + 1 - 20 * SMALL) / (SMALL // LOOKS)
    assert CALM < looks <= CALM + LOOKS


@given(st.lists(st.integers(0, CALM + 3), min_size=1, max_size=9))
def test_hysteresis(calm: list[int]) -> None:
    """A column drifts while one of its last CALM looks was too far: at once when one is, not before CALM of none."""
    above = [far for looks in calm for far in (*[False] * looks, True)] + [False] * (CALM + 1)
    states = States(2)
    for look, far in enumerate(above):
        before = states.drifting
        changed = states.update(np.array([far, False]))
        assert states.drifting.tolist() == [any(above[max(look + 1 - CALM, 0) : look + 1]), False]
        assert changed == ([0] if before[0] != states.drifting[0] else [])


def test_no_flapping() -> None:
    """Features shifted by just what is at the edge of being told change their state hardly ever: 1.25 million rows."""
    rng = np.random.default_rng(8)
    shifts = np.linspace(0.1, 0.4, 31, dtype=np.float32)
    before = Reference.of([rng.normal(size=20_000).astype(np.float32) for _ in range(len(shifts) + 1)])
    drift = Drift(before, names(len(shifts)), every=1)
    matrix = rng.normal(size=(1_250_000 // 8, len(shifts) + 1)).astype(np.float32)
    matrix[:, :-1] += shifts
    changes = drift.update(*in_a_row(matrix[:, :-1], matrix[:, -1]))
    told = [sum(change.name == name for change in changes) for name in drift.features]
    assert told[0] == 0
    assert told[-1] == 1
    assert max(told) <= 3


def test_a_flat_feature() -> None:
    """A feature that was always 0 and begins to hold something else is told."""
    rng = np.random.default_rng(9)
    drift = Drift(
        Reference.of([np.zeros(2_000, np.float32), rng.normal(size=2_000).astype(np.float32)]), ["a"], every=1
    )
    matrix = np.zeros((4_096, 1), np.float32)
    matrix[2_048:] = rng.random((2_048, 1)) < 0.3
    changes = drift.update(*in_a_row(matrix, rng.normal(size=4_096).astype(np.float32)))
    assert [(change.name, change.state) for change in changes] == [("a", "drifting")]


@pytest.mark.parametrize(
    ("features", "window", "every", "why"),
    [
        (["a"], 3, 1, "rows 3 >= 4 and every 1 >= 1 wanted"),
        (["a"], 64, 0, "rows 64 >= 4 and every 0 >= 1 wanted"),
        (["a", "b"], 64, 1, "a reference of 2 columns, 2 features \\+ 1 wanted"),
    ],
)
def test_refusals(features: list[str], window: int, every: int, why: str) -> None:
    """Sizes that make no sense are refused, and names that do not fit the reference."""
    with pytest.raises(ValueError, match=why):
        Drift(Reference.of([np.zeros(9, np.float32)] * 2), features, window, every)


def a_change() -> Change:
    return run(watch(), LOG)[0]


def test_event() -> None:
    """An event is JSON under its column's name, with the id of the row that completed the look, and comes back."""
    change = a_change()
    key, value, headers = encode(change, "transactions", MODEL)
    told = json.loads(value)
    assert key == change.name.encode()
    assert told["id"] == f"transactions/{change.partition}/{change.offset}/drift/feature/{change.name}"
    assert told["source"] == {"topic": "transactions", "partition": change.partition, "offset": change.offset}
    assert told["model"] == {"name": "cards", "version": "7", "sha256": "abc"}
    assert told["levels"] == {"psi": 0.1, "ks": 0.1, "missing": 0.05}
    found = decode(value)
    assert isinstance(found, Event)
    assert found.source == Source("transactions", change.partition, change.offset)
    for name in set(Change.__struct_fields__) - {"partition", "offset"}:
        assert getattr(found, name) == getattr(change, name)
    assert dict(headers) == {
        "ce_specversion": b"1.0",
        "ce_id": told["id"].encode(),
        "ce_source": b"/topics/transactions",
        "ce_type": EVENT_TYPE.encode(),
        "content-type": b"application/json",
    }


def test_figures_of_events_are_numbers() -> None:
    """Every figure of every event is a finite number, also where a feature has gone altogether: JSON has no NaN."""
    matrix, scores = rows(SMALL, np.random.default_rng(4))
    changes = watch().update(*in_a_row(np.full_like(matrix, np.nan), scores))
    assert [change.missing for change in changes] == [1] * len(FEATURES)
    for change in [*changes, *run(watch(), LOG)]:
        assert all(map(math.isfinite, (change.psi, change.ks, change.missing, change.reference_missing)))


def test_what_is_no_event_is_refused() -> None:
    """Bytes that are no event are an error of the decoder."""
    with pytest.raises(msgspec.DecodeError):
        decode(b'{"kind": "feature"}')


def watched_table(table: pd.DataFrame, shift: float) -> list[Change]:
    """Changes in the last four fifths of a table's shuffled rows, against the first; V4 moved by so many deviations."""
    values = table.sample(frac=1, random_state=0).to_numpy(np.float32)
    fifth = len(values) // 5
    before, after = values[:fifth], values[fifth:].copy()
    at = table.columns.get_loc("V4")
    after[len(after) // 2 :, at] += np.float32(shift * before[:, at].std())
    drift = Drift(Reference.of([*before.T, before[:, at]]), list(table.columns), every=1)
    return drift.update(*in_a_row(after, values[fifth:, at]))


def check_table(table: pd.DataFrame) -> None:
    assert watched_table(table, 0) == []
    assert [(change.name, change.state) for change in watched_table(table, 1)] == [("V4", "drifting")]


def test_real_cards() -> None:
    """Real card payments in random order do not drift; with V4 shifted by one standard deviation it alone does."""
    check_table(pd.read_parquet(real("creditcard_sample.parquet")).drop(columns="Class"))


def test_simulated_cards(unseen_cards: pd.DataFrame) -> None:
    """So with simulated ones."""
    check_table(pd.concat([unseen_cards] * 2, ignore_index=True).drop(columns="Class"))
