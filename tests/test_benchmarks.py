"""The benchmark of the line: what it asks for, computes and prints. What it measures is no test."""

from __future__ import annotations

import json
import os
import sys
import time
from itertools import islice, pairwise
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from detector import artifact, table
from detector.errors import Failure
from detector.kafka.registry import Registry
from detector.model import Model
from detector.rows import Decoder
from detector.threshold import above
from tests.benchmarks.bare import keyed, one_in
from tests.benchmarks.line import host, machine
from tests.benchmarks.line.__main__ import DEFAULT, PARTS, interpreters, main, measured, parser, plan
from tests.benchmarks.line.bench import ROWS, Bench
from tests.benchmarks.line.curves import together
from tests.benchmarks.line.figures import (
    FLAT,
    Goal,
    Part,
    Table,
    compared,
    judged,
    knee,
    median,
    named_knee,
    percentile,
    slope,
    stage_table,
)
from tests.benchmarks.line.latency import summary
from tests.benchmarks.line.models import POOL_ROWS, Models, pool_rows, wide_frame
from tests.benchmarks.line.peers import PEERS, environments, goal, latency_table, program, rate_table
from tests.benchmarks.line.programs import BARE, DETECTOR, Ran, Work, check, from_log
from tests.benchmarks.line.report import as_dict, as_markdown, as_text, shown
from tests.benchmarks.line.rows import (
    ALERTING_SHARE,
    FORMS,
    Form,
    Pool,
    alerts,
    alerts_of,
    chunks,
    forms,
    packed,
    parting,
    place,
    pool,
)
from tests.benchmarks.line.sender import TICK_SECONDS, due, ticks
from tests.benchmarks.line.soak import Sample
from tests.benchmarks.line.soak import table as soak_table
from tests.benchmarks.line.throughput import of_the_middle
from tests.benchmarks.measured import MEASURED, Measured, heard, tell
from tests.benchmarks.peers import tutorial
from tests.benchmarks.peers.scoring import Scorer
from tests.integration.line import Topics
from tests.messages import FakeMessage
from tests.registry import schema_registry

Capture = pytest.CaptureFixture[str]
FINITE = st.floats(-1e6, 1e6, width=32)
TOPICS = Topics("nowhere:1", "t")
PACKED = Form("packed", packed)
STARTED = "2026-11-23 04:00:00,000 INFO detector started model=cards threshold=1 metrics=http://127.0.0.1:1\n"
ASSIGNED = "2026-11-23 04:00:00,250 INFO detector.kafka partitions_assigned partitions=[0, 1, 2, 3]\n"
ENDED = (
    "2026-11-23 04:00:02,250 INFO detector loop_ended rows=990 alerts=2 dead_letters=10 "
    "seconds=poll:0.750,decode:0.500,commit:0.250\n"
)


def ran(rate: float, rows: int = 1000, stages: dict[str, float] | None = None, begun: float = 0.0) -> Ran:
    """A run of so many rows a second."""
    return Ran(Measured(rows, 2, begun, begun + rows / rate, stages or {}), 50.0)


def work(**more: int) -> Work:
    return Work(TOPICS, PACKED, Path("model"), 1.5, **more)


# Figures


@given(st.lists(FINITE, min_size=1), st.floats(0.1, 100))
def test_a_percentile(figures: list[float], percent: float) -> None:
    """So many percent of the figures do not exceed it, and it is the least figure of which that is true."""
    found = percentile(figures, percent)
    assert found in figures
    assert sum(one <= found for one in figures) >= percent / 100 * len(figures) - 1e-9
    below = [one for one in figures if one < found]
    assert len(below) < max(percent / 100 * len(figures), 1)


def test_percentiles_of_a_hundred() -> None:
    """The 50th, 99th and 100th of 1 to 100 are these; of nothing there is none."""
    figures = [float(one) for one in range(100, 0, -1)]
    assert [percentile(figures, percent) for percent in (50, 99, 100)] == [50, 99, 100]
    with pytest.raises(ValueError, match="no figures"):
        percentile([], 50)


def test_goals() -> None:
    """A goal is a bound from below or above, and says so with what it is of."""
    assert Goal(least=1).met(1.0)
    assert not Goal(least=1).met(0.999)
    assert Goal(most=150).met(149.9)
    assert not Goal(most=150).met(151)
    assert [Goal(least=0.7, of_ratio=True).text(), Goal(most=6).text()] == ["ratio ≥ 0.7", "≤ 6"]
    assert judged(5, None) == ("", "")
    assert judged(7, Goal(most=6)) == ("≤ 6", "NO")


def test_a_comparison() -> None:
    """A row has both medians, their ratio, and the goal of what it is set for: the ratio or the figure."""
    assert compared("rows", [60, 80, 70], [100, 100], Goal(least=0.7, of_ratio=True)) == [
        "rows",
        70,
        100,
        0.7,
        "ratio ≥ 0.7",
        "yes",
    ]
    assert compared("ms", [7], [5], Goal(most=6)) == ["ms", 7, 5, 1.4, "≤ 6", "NO"]
    assert compared("MB", [7], []) == ["MB", 7, None, None, "", ""]


@given(st.lists(st.floats(0.01, 1e3), min_size=1, max_size=8))
def test_a_knee(costs: list[float]) -> None:
    """It is the first cost that exceeds FLAT times the least before; without it each stays below that."""
    places = [float(4**i) for i in range(len(costs))]
    found = knee(places, costs)
    end = places.index(found) if found is not None else len(costs)
    assert all(costs[i] <= FLAT * min(costs[:i]) for i in range(1, end))
    assert found is None or costs[end] > FLAT * min(costs[:end])


def test_knees_are_named() -> None:
    """A flat or falling curve has none; a rising one is named by its place."""
    assert "no knee" in named_knee("Cost", [1, 4, 16], [3.0, 2.0, 2.3])
    assert named_knee("Cost", [1, 4, 1600], [2.0, 2.1, 2.9]).startswith("Cost: knee at 1,600,")


def test_slopes() -> None:
    """A line's slope is found again, and fewer than two places have none."""
    assert slope([1, 2, 3], [10, 12, 14]) == pytest.approx(2)
    assert slope([1], [10]) == 0
    assert slope([1, 1], [10, 20]) == 0


def test_stages_add_up() -> None:
    """Microseconds a row: the stages and what is between them are all of it."""
    found = stage_table(1_000_000, 2.0, {"poll": 0.5, "decode": 1.0})
    assert found == pytest.approx({"poll": 0.5, "decode": 1.0, "between": 0.5, "all": 2.0})


def test_stages_of_the_middle() -> None:
    """Stages are those of the run of the median rate."""
    runs = [ran(rate, stages={"poll": 1 / rate}) for rate in (100, 300, 200)]
    assert of_the_middle(runs)["poll"] == pytest.approx(1e6 / 1000 / 200)


# What programs say


@given(st.integers(0, 10**9), st.integers(0, 10**6), st.floats(0, 1e10), st.floats(0.1, 1e10))
def test_what_is_told_is_heard(rows: int, found: int, begun: float, ended: float) -> None:
    """A program's line is understood with whatever a library puts before it."""
    told = json.dumps({"rows": rows, "alerts": found, "begun": begun, "ended": ended, "stages": {"poll": 0.5}})
    wanted = Measured(rows, found, begun, ended, {"poll": 0.5})
    assert heard(f"[2026-11-23] [7] [WARNING] {MEASURED}{told} \n") == wanted


def test_telling(capsys: Capture) -> None:
    """A program tells on stderr, and its end is now where it does not say."""
    before = time.time()
    tell(10, 2, before - 5)
    found = heard(capsys.readouterr().err)
    assert (found.rows, found.alerts) == (10, 2)
    assert before <= found.ended <= time.time()
    assert found.seconds == pytest.approx(5, abs=1)


def test_a_line_that_tells_nothing() -> None:
    """Another line is refused with its beginning."""
    with pytest.raises(ValueError, match="'no such thing'"):
        heard("no such thing")


def test_the_detectors_log() -> None:
    """The clock runs from assignment to end, dead letters are rows too, and the wait for the assignment is no poll."""
    found = from_log(STARTED, ASSIGNED, ENDED)
    assert (found.rows, found.alerts, found.seconds) == (1000, 2, 2.0)
    assert found.stages == pytest.approx({"poll": 0.5, "decode": 0.5, "commit": 0.25})


def test_a_run_must_do_its_work() -> None:
    """A run that left rows or alerts out is a failure, not a figure."""
    check(DETECTOR, Measured(1000, 2, 0, 1, {}), work(rows=1000))
    with pytest.raises(Failure, match="detector did 999 of 1000 rows"):
        check(DETECTOR, Measured(999, 2, 0, 1, {}), work(rows=1000))
    with pytest.raises(Failure, match="bare loop did 100000 of 100000 rows, 0 of 200 alerts"):
        check(BARE, Measured(100_000, 0, 0, 1, {}), work(rows=100_000))


def test_commands() -> None:
    """With an end both work on what the topic holds; without one the bare loop takes what is there at once."""
    ends = DETECTOR.command(work(rows=10))
    assert ends[-1] == "--until-end"
    assert ends[ends.index("--threshold") + 1] == "value:1.5"
    assert "--until-end" not in DETECTOR.command(work())
    assert BARE.command(work(rows=10, every=7))[-4:] == ["--rows", "10", "--every", "7"]
    assert BARE.command(work())[-1] == "--at-once"


def test_processes_together() -> None:
    """Two processes' rate is of all their rows, from the first beginning to the last end."""
    assert together([ran(100, 1000, begun=0), ran(100, 1000, begun=2)]) == pytest.approx(2000 / 12)


# Rows


@given(st.integers(1, 50), st.lists(st.integers(1, 40), min_size=1, max_size=10))
def test_the_bare_loop_forwards_what_alerts(every: int, batches: list[int]) -> None:
    """However rows fall into batches, those forwarded are the ones that a topic's rows alert at."""
    forwarded: list[int] = []
    before = 0
    for size in batches:
        forwarded += one_in(every)(range(before, before + size), before)
        before += size
    assert forwarded == [number for number in range(before) if alerts(number, every)]
    assert len(forwarded) == alerts_of(before, every)


def test_keyed_rows_are_forwarded() -> None:
    """At once, the bare loop forwards the rows with a key, which are those whose alert is waited for."""
    messages = [FakeMessage(b"a", ("t", 0, 0), name=b"1"), FakeMessage(b"b", ("t", 0, 1))]
    assert keyed(messages, 0) == messages[:1]


def test_no_row_alerts() -> None:
    """Every 0 rows is none."""
    assert not any(alerts(number, 0) for number in range(10))
    assert alerts_of(10, 0) == 0


@given(st.integers(1, 64), st.integers(1, 2000))
def test_partitions_share_rows(partitions: int, every: int) -> None:
    """Every partition gets rows, as many as any other but a block's."""
    counts = np.bincount([place(number, partitions) for number in range(97 * partitions * 2 + every)])
    assert len(counts) == partitions
    assert counts.max() - counts.min() <= 97


def test_alerts_go_to_all_partitions() -> None:
    """At 0.2 % as at 2 %, no partition is without alerts."""
    for every in (50, 500, 1000):
        assert {place(number, 4) for number in range(40_000) if alerts(number, every)} == {0, 1, 2, 3}


@given(st.lists(st.floats(0, 1e6, width=32), min_size=2), st.floats(0.01, 0.9))
def test_a_parting_line(values: list[float], share: float) -> None:
    """It lies strictly between two scores, also for who compares in float32."""
    scores = np.array(values, np.float32)
    ranked = np.unique(scores)
    if (np.nextafter(ranked[:-1], np.float32(np.inf)) == ranked[1:]).all():
        return  # nothing lies between any two
    line = parting(scores, share)
    over = above(scores, line)
    assert 0 < over.sum() < len(scores)
    assert (over == (scores > np.float32(line))).all()
    assert line not in scores


def test_scores_that_nothing_parts() -> None:
    """Equal scores have no line between them."""
    with pytest.raises(ValueError, match="no line parts them"):
        parting(np.ones(5, np.float32), 0.02)


def test_a_pools_rows() -> None:
    """Each so manieth row is one that alerts, the others are not, and both are taken in turn."""
    rows = Pool([b"a", b"b", b"c"], [b"X", b"Y"], 0.5)
    assert b"".join(rows.value(number, 3) for number in range(9)) == b"abXabYabX"
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(rows), type=Pool) == rows


def test_chunks() -> None:
    """Chunks are all numbers in order, none longer than told."""
    assert [list(chunk) for chunk in chunks(5, 2)] == [[0, 1], [2, 3], [4]]


def test_forms_hold_the_same_rows(unseen_cards: pd.DataFrame, cards_artifact: artifact.Artifact) -> None:
    """Every form is decoded to the same numbers, Avro by the registry that its schema went to."""
    schema, frame = cards_artifact.schema, unseen_cards.head(50)
    wanted = table.matrix(frame, schema.features)
    with schema_registry() as registry:
        found = forms(registry)
        assert tuple(found) == FORMS == tuple(ROWS)
        served = Registry(registry.url)
        for form in found.values():
            values = form.encode(frame, schema.features)
            decoder = Decoder(schema, form.name, registry=served)
            rows, rejects = decoder.decode([FakeMessage(value, ("t", 0, i)) for i, value in enumerate(values)])
            assert not rejects
            assert (rows.matrix == wanted).all()


def test_a_pool_knows_what_alerts(artifact_dir: Path, unseen_cards: pd.DataFrame, cards_model: Model) -> None:
    """Rows above a pool's line are those that the model scores above it, about ALERTING_SHARE of all."""
    features = artifact.load(artifact_dir).schema.features
    found = pool(artifact_dir, unseen_cards, PACKED)
    assert len(found.above) == pytest.approx(ALERTING_SHARE * len(unseen_cards), rel=0.3)
    assert len(found.above) + len(found.below) == len(unseen_cards)
    for values, over in ((found.above, True), (found.below, False)):
        matrix = np.frombuffer(b"".join(values), "<f4").reshape(-1, len(features))
        assert (above(cards_model.score(matrix), found.line) == over).all()


def test_wide_rows() -> None:
    """Tables of a width have its columns and the same rows every time; wider pools have fewer rows."""
    assert list(wide_frame(3, 5).columns) == ["x0", "x1", "x2"]
    assert wide_frame(3, 5).equals(wide_frame(3, 5))
    assert not wide_frame(3, 5).equals(wide_frame(3, 5, seed=1))
    sizes = [pool_rows(width) for width in (10, 100, 500, 10_000)]
    assert sizes[0] == POOL_ROWS
    assert all(later < earlier for earlier, later in pairwise(sizes))


# Sending and reading


@given(st.floats(0, 100), st.floats(0, 100), st.floats(1, 1e6))
def test_what_is_due(earlier: float, later: float, rate: float) -> None:
    """What is due grows with time, and is the rate in one second."""
    assume(earlier <= later)
    assert due(earlier, rate) <= due(later, rate)
    assert due(1.0, rate) == int(rate)


def test_ticks_come_late_never_early() -> None:
    """The n-th tick is not before n milliseconds, also after one that came too late."""
    found = list(islice(ticks(time.perf_counter() - 3 * TICK_SECONDS), 8))
    assert all(seconds >= number * TICK_SECONDS for number, seconds in enumerate(found, 1))
    assert found[0] >= 3 * TICK_SECONDS


def test_a_latency() -> None:
    """Only alerts whose rows were sent while it was measured count; without one there is no latency."""
    samples = [(5, 900.0), *((10 + i, float(i)) for i in range(100)), (200, 800.0)]
    sent = Measured(5000, 102, 0.0, 2.0, {})
    found = summary(samples, 10, 110, sent, 80.0)
    assert (found.p50, found.p99, found.longest, found.samples, found.rate) == (49, 98, 99, 100, 2500)
    with pytest.raises(Failure, match="none of 102 alerts"):
        summary(samples, 300, 400, sent, 80.0)


def test_memory_that_grows() -> None:
    """A slope is of what comes after the first tenth of the rows; too short a soak is no measurement."""
    samples = [Sample(float(i), i * 1_000_000, 50.0 if i < 5 else 100.0 + i) for i in range(51)]
    found = {str(row[0]): row for row in soak_table(samples, 50_000_000, 100.0).rows}
    assert found["growth, MB a million rows"][1:] == [pytest.approx(1.0), "≤ 0.1", "NO"]
    assert found["memory, peak, MB"][1:] == [150.0, "≤ 150", "yes"]
    assert found["rows a second, the sender beside"][1] == 500_000
    with pytest.raises(Failure, match="too few"):
        soak_table(samples[:2], 50_000_000, 1.0)


# Peers


def test_the_peers_model(artifact_dir: Path, unseen_cards: pd.DataFrame) -> None:
    """A peer alerts at the rows that the detector's model scores above the line, in every form that it reads."""
    found = pool(artifact_dir, unseen_cards, PACKED)
    features = artifact.load(artifact_dir).schema.features
    with schema_registry() as registry:
        known = forms(registry)
    for name in ("packed", "json"):
        scorer = Scorer(artifact_dir, found.line, name)
        values = known[name].encode(unseen_cards, features)
        places = [place for place, _ in scorer.over([scorer.read(value) for value in values])]
        assert [values[place] for place in places] == pool(artifact_dir, unseen_cards, known[name]).above
        assert (scorer.rows, scorer.alerts) == (len(values), len(places))


def test_the_tutorials_rows(artifact_dir: Path, unseen_cards: pd.DataFrame) -> None:
    """The tutorials' way reads the same numbers from JSON as from packed rows."""
    features = tutorial.schema(artifact_dir)
    with schema_registry() as registry:
        known = forms(registry)
    matrices = [
        tutorial.matrix(
            [FakeMessage(value, ("t", 0, 0)) for value in known[name].encode(unseen_cards.head(9), features)],
            features,
            name,
        )
        for name in ("json", "packed")
    ]
    assert (matrices[0] == matrices[1]).all()


def test_a_peers_command() -> None:
    """A peer runs in its own interpreter, and is told topics, model and line."""
    quix = next(peer for peer in PEERS if "--commit-ms" in peer.options)
    command = program(quix, Path("/its/python"), Path("/scratch")).command(work(rows=10))
    assert command[:3] == ["/its/python", "-m", "tests.benchmarks.peers.quix"]
    assert command[command.index("--line") + 1] == "1.5"
    assert command[command.index("--scratch") + 1] == "/scratch/t"
    assert command[-2:] == ["--commit-ms", "5"]


def test_a_peers_files() -> None:
    """Every peer's program is there, and every environment's requirements are pinned, without an index's address."""
    folder = Path(tutorial.__file__).parent
    assert all((folder / f"{peer.module}.py").is_file() for peer in PEERS)
    for name in environments():
        lines = (folder / f"{name}.txt").read_text().splitlines()
        assert lines
        assert all("==" in line and "/" not in line for line in lines)


def test_goals_of_peers() -> None:
    """A goal on packed rows is twice that on JSON; where none is set there is none."""
    by_name = {peer.name: peer for peer in PEERS}
    assert goal(by_name["Bytewax"], "json") == Goal(least=2)
    assert goal(by_name["Bytewax"], "packed") == Goal(least=4)
    assert goal(by_name["Faust"], "json") is None


def test_peers_in_a_table() -> None:
    """The detector's rate over each peer's is judged by the goal; latency that was not held is told below."""
    bytewax = next(peer for peer in PEERS if peer.name == "Bytewax")
    there = {bytewax: program(bytewax, Path(sys.executable), Path("/scratch"))}
    rates = {BARE.name: [ran(600)], DETECTOR.name: [ran(400)], "Bytewax": [ran(100), ran(300), ran(250)]}
    rows = {row[0]: list(row[1:]) for row in rate_table("json", there, rates).rows}
    assert rows["Bytewax"] == ["at least once at best", 250, 50, 1.6, "≥ 2", "NO"]
    assert rows[DETECTOR.name] == ["exactly once", 400, 50, None, "", ""]
    late = latency_table({"Bytewax": "Bytewax does not hold 10,000 rows/s"})
    assert (list(late.rows[0]), list(late.notes)) == (
        ["Bytewax", "not held", None, None, None],
        ["One run each.", "Bytewax does not hold 10,000 rows/s"],
    )


# The machine


def test_memory_in_a_status() -> None:
    """A field is read in MB; one that a dead process does not have is none."""
    status = "Name:\tVmHWM: 9 kB\nVmHWM:\t  2048 kB\nVmRSS:\t  1024 kB\n"
    assert (host.megabytes(status, "VmHWM"), host.megabytes(status, "VmRSS")) == (2, 1)
    assert host.megabytes("State:\tZ (zombie)\n", "VmHWM") is None


def test_time_in_a_stat() -> None:
    """User and system time are found behind a name with brackets and blanks."""
    fields = ["S", *map(str, range(4, 14)), "70", "30", "0"]
    assert host.ticks(f"12 (a) b (c) {' '.join(fields)}\n") == 100


def test_this_process() -> None:
    """This process has memory and has taken time; a pid that no process can have has none."""
    assert 5 < (host.memory(os.getpid()) or 0) < 100_000
    assert host.cpu_seconds(os.getpid()) > 0
    assert host.memory(2**22 + 1) is None
    assert "Python 3." in machine()


# Report


TABLE = Table("A title", ("", "rows/s", "met"), [["packed", 754_321.4, "yes"], ["json", None, ""]], ["A note."])
PARTS_FOUND = [Part("throughput", [TABLE], {"runs": [1.5]})]
ABOUT = {"machine": "2 x abacus", "load": "0.1 before"}


def test_figures_for_a_person() -> None:
    """Three figures or so, thousands with commas, nothing for nothing."""
    cells = [None, "text", 12_345, 754_321.4, 150.2, 12.34, 1.234, 0.0123, 0.0]
    assert [shown(cell) for cell in cells] == ["", "text", "12,345", "754,321", "150", "12.3", "1.23", "0.012", "0.00"]


def test_a_report_as_text() -> None:
    """Columns line up, numbers to the right, notes and failures below."""
    text = as_text(PARTS_FOUND, ["soak: ended"], ABOUT)
    assert "         rows/s  met\npacked  754,321  yes\njson\n  A note." in text
    assert text.startswith("2 x abacus\n0.1 before\n\nA title\n")
    assert text.endswith("Failed\n  soak: ended\n")


def test_a_report_as_markdown() -> None:
    """Tables can be pasted."""
    text = as_markdown(PARTS_FOUND, ["soak: ended"], ABOUT)
    assert "### A title\n\n|  | rows/s | met |\n| --- | ---: | ---: |\n| packed | 754,321 | yes |\n" in text
    assert text.startswith("Measured on 2 x abacus; 0.1 before.\n")
    assert text.endswith("### Failed\n\n- soak: ended\n")


def test_a_report_as_json() -> None:
    """Every digit and every run is kept."""
    found = json.loads(json.dumps(as_dict(PARTS_FOUND, [], ABOUT)))
    assert found["machine"] == "2 x abacus"
    assert found["parts"]["throughput"]["tables"][0]["rows"][0][1] == 754_321.4
    assert found["parts"]["throughput"]["raw"] == {"runs": [1.5]}


# Command line


def test_defaults() -> None:
    """By default the parts that the README shows are measured, thrice, in every form."""
    chosen = parser().parse_args([])
    assert tuple(chosen.parts.split(",")) == DEFAULT
    assert tuple(chosen.forms.split(",")) == FORMS
    assert (chosen.repeats, chosen.rows, chosen.seconds, chosen.soak_rows) == (3, None, 20, 50_000_000)


def test_every_part_has_its_place() -> None:
    """Every part is measured by something, throughput and stages by one measurement, each but once."""
    assert list(plan(PARTS)) == [name for name in PARTS if name != "stages"]
    assert list(plan(["stages"])) == list(plan(["throughput", "stages"])) == ["throughput"]
    assert list(plan(["soak", "idle"])) == ["idle", "soak"]


def test_a_part_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """It is told, the others go on, and what was found is kept."""

    def broken(bench: Bench) -> Part:
        raise Failure("no such luck")

    later = {"idle": broken, "soak": lambda bench: Part("soak", [TABLE])}
    monkeypatch.setattr("tests.benchmarks.line.__main__.LATER", later)
    bench = Bench("nowhere:1", Models(tmp_path), PACKED, (PACKED,))
    parts, failures = measured(bench, ["soak", "idle"], ABOUT, tmp_path / "found.json")
    assert ([part.name for part in parts], failures) == (["soak"], ["idle: no such luck"])
    assert capsys.readouterr().err == "failed: idle: no such luck\n"
    kept = json.loads((tmp_path / "found.json").read_text())
    assert (list(kept["parts"]), kept["failures"]) == (["soak"], failures)
    assert "A title" in (tmp_path / "found.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["--parts", "speed"], "part 'speed' is none of throughput, stages"),
        (["--forms", "xml"], "form 'xml' is none of packed, json, avro"),
        (["--peers-python", "flink=python"], "peers-python 'flink=python': NAME=PYTHON with a name of bytewax, faust"),
        (["--peers-python", "quix=no-such-python"], "'no-such-python' is no program"),
    ],
)
def test_refusals(arguments: list[str], wanted: str, capsys: Capture) -> None:
    """What cannot be measured is refused before a broker is started, in one line."""
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert wanted in err


def test_interpreters() -> None:
    """Each peer's environment has its interpreter; none given is none."""
    assert interpreters("") == ()
    found = interpreters(f"quix={sys.executable},faust={sys.executable}")
    assert found == (("quix", Path(sys.executable)), ("faust", Path(sys.executable)))


def test_medians() -> None:
    """The middle one, or the mean of the two in the middle."""
    assert (median([3, 1, 2]), median([4, 1, 2, 3])) == (2, 2.5)
