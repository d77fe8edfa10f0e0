"""The line on a real broker: the stream's alerts are the file's, whatever happens to the detectors."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from detector import artifact, table
from detector.rows import encode_json, encode_packed
from detector.statistics import summarize
from tests.integration.conftest import Cards
from tests.integration.line import (
    Running,
    Sent,
    Topics,
    alerts_of,
    await_true,
    comparable,
    detector_command,
    make_topics,
    positions,
    read_committed,
    running,
    send,
    until_end,
)


def rows_of(cards: Cards, rows: int) -> pd.DataFrame:
    """So many rows: the table's, over and over."""
    return cards.frame.iloc[np.arange(rows) % len(cards.frame)]


def oracle(cards: Cards, rows: int) -> NDArray[np.float64]:
    """The scores of those rows, by the model alone."""
    found = artifact.load(cards.model)
    return found.model().score(table.matrix(rows_of(cards, rows), found.schema.features)).astype(float)


def messages(cards: Cards, rows: int, form: str, partitions: int) -> list[Sent]:
    """The first rows as messages, spread over the partitions by turns, each with its number."""
    frame = rows_of(cards, rows)
    if form == "packed":
        values = encode_packed(table.matrix(frame, cards.features))
    else:
        values = encode_json(records(frame[list(cards.features)]))
    return [
        (value, i % partitions, [("row-id", str(i).encode()), ("format", form.encode())])
        for i, value in enumerate(values)
    ]


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as objects."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def scored(cards: Cards, folder: Path, rows: int) -> dict[str, float]:
    """By row_id, the scores that `trainer score` gives the rows that alert."""
    out = folder / "scores.csv"
    command = [sys.executable, "-m", "trainer", "score", str(cards.model), str(cards.file(folder, rows))]
    subprocess.run([*command, "--out", str(out)], check=True, capture_output=True)
    found = pd.read_csv(out)
    found = found[found.verdict == "alert"]
    return dict(zip(found.row_id.astype(str), found.score, strict=True))


def scores_by_row(alerts: Sequence[dict[str, Any]]) -> dict[str, float]:
    """By row_id, the alerts' scores; a row that alerts twice fails."""
    found = {alert["row_id"]: alert["score"] for alert in alerts}
    assert len(found) == len(alerts)
    return found


@pytest.mark.parametrize("form", ["json", "packed"])
@pytest.mark.parametrize("members", [1, 2])
@pytest.mark.parametrize(("batch", "rows"), [(1, 800), (7, 4000), (4096, 18000)])
def test_stream_equals_file(
    cards: Cards, topics: Topics, tmp_path: Path, batch: int, rows: int, members: int, form: str
) -> None:
    """The alerts of the stream are those of `trainer score`, id by id and bit for bit; offsets end at the end."""
    send(topics.bootstrap, topics.input, messages(cards, rows, form, topics.partitions))
    with ExitStack() as stack:
        command = ("--until-end", "--max-batch", str(batch))
        detectors = [stack.enter_context(running(topics, cards.model, *command)) for _ in range(members)]
        for detector in detectors:
            assert detector.wait() == 0, detector.log()
    expected = scored(cards, tmp_path, rows)
    assert expected
    assert scores_by_row(alerts_of(topics)) == expected
    committed, ends = positions(topics)
    assert committed == ends
    assert read_committed(topics.bootstrap, topics.dead) == []


def test_running_threshold_equals_a_straight_loop(cards: Cards, topics: Topics) -> None:
    """With running-mad the verdicts are those of a loop over each partition, whatever the batch size."""
    rows, window, stride, least = 6000, 512, 128, 64
    send(topics.bootstrap, topics.input, messages(cards, rows, "json", topics.partitions))
    options = ("--threshold", "running-mad:6", "--window", str(window), "--stride", str(stride))
    runs = []
    for batch in ("37", "4096"):
        mine = topics.with_outputs(f"{topics.name}-{batch}")
        until_end(mine, cards.model, *options, "--min-rows", str(least), "--max-batch", batch)
        runs.append(comparable(alerts_of(mine)))
    assert runs[0] == runs[1]
    expected = {}
    scores, calibrated = oracle(cards, rows), artifact.load(cards.model).threshold.value
    for partition in range(topics.partitions):
        here = scores[partition :: topics.partitions]
        for offset, score in enumerate(here):
            edge = offset // stride * stride
            seen = here[max(0, edge - window) : edge]
            line = summarize(seen).line(6.0) if len(seen) >= least else calibrated
            if score > line:
                expected[f"{topics.input}/{partition}/{offset}"] = line
    assert {key: json.loads(text)["threshold"] for key, text in runs[0].items()} == expected


def kill_at_random(cards: Cards, topics: Topics, rows: int, kills: int, *options: str) -> None:
    """Sends rows, kills detectors at random moments after they have got their partitions, lets a last one finish."""
    send(topics.bootstrap, topics.input, messages(cards, rows, "json", topics.partitions))
    chance = random.Random(20_131)
    slow = (
        "--max-batch",
        "16",
        "--max-transaction",
        "16",
        "--instance",
        "a",
        "--kafka",
        "session.timeout.ms=1500",
        *options,
    )
    for _ in range(kills):
        with running(topics, cards.model, *slow) as detector:
            detector.await_line("partitions_assigned")
            with pytest.raises(subprocess.TimeoutExpired):
                detector.process.wait(chance.uniform(0.0, 0.6))
            assert detector.kill() == -signal.SIGKILL
    committed, ends = positions(topics)
    assert 0 < sum(committed.values()) < sum(ends.values()) == rows
    until_end(topics, cards.model, "--instance", "a", *options)


@pytest.mark.long
def test_killed_ten_times(cards: Cards, topics: Topics) -> None:
    """SIGKILL at ten random moments over 50,000 rows: read_committed has every alert once, offsets at the end."""
    kill_at_random(cards, topics, rows=50_000, kills=10)
    assert_whole(cards, topics, 50_000)


@pytest.mark.long
def test_killed_a_hundred_times(cards: Cards, topics: Topics) -> None:
    """A hundred kills over 300,000 rows, the running threshold deciding: the alerts are those of a calm run."""
    running_line = ("--threshold", "running-mad:8", "--window", "512", "--stride", "128", "--min-rows", "64")
    kill_at_random(cards, topics, 300_000, 100, *running_line)
    calm = topics.with_outputs(f"{topics.name}-calm")
    until_end(calm, cards.model, *running_line)
    assert comparable(alerts_of(topics)) == comparable(alerts_of(calm)) != {}


def assert_whole(cards: Cards, topics: Topics, rows: int) -> None:
    """Every alert once, none too many, and all offsets committed."""
    scores = oracle(cards, rows)
    expected = {
        f"{topics.input}/{i % topics.partitions}/{i // topics.partitions}": float(scores[i])
        for i in np.flatnonzero(scores > artifact.load(cards.model).threshold.value)
    }
    alerts = alerts_of(topics)
    comparable(alerts)
    assert {alert["id"]: alert["score"] for alert in alerts} == expected
    committed, ends = positions(topics)
    assert committed == ends


def test_sigterm_leaves_nothing_uncommitted(cards: Cards, topics: Topics) -> None:
    """SIGTERM finishes the batch, commits, leaves the group and exits 0: alerts are exactly those below the offsets."""
    rows = 20_000
    send(topics.bootstrap, topics.input, messages(cards, rows, "packed", topics.partitions))
    with running(topics, cards.model, "--max-batch", "20", "--max-transaction", "20") as detector:
        await_true(lambda: sum(positions(topics)[0].values()) > 500, "some rows")
        assert detector.kill(signal.SIGTERM) == 0, detector.log()
    committed, _ = positions(topics)
    assert 500 < sum(committed.values()) < rows
    alerting = np.flatnonzero(oracle(cards, rows) > artifact.load(cards.model).threshold.value).tolist()
    expected = {str(i) for i in alerting if i // topics.partitions < committed[i % topics.partitions]}
    assert expected
    assert set(scores_by_row(alerts_of(topics))) == expected
    with running(topics, cards.model, "--until-end") as heir:
        heir.await_line("partitions_assigned", 8)  # sooner than the session of a member that did not leave would end
        assert heir.wait() == 0


def test_two_share_and_one_leaves(cards: Cards, topics: Topics) -> None:
    """Two detectors share the partitions; the one that leaves loses nothing, and the other takes all."""
    rows = 18_000
    half = rows // 2
    sent = messages(cards, rows, "json", topics.partitions)
    with ExitStack() as stack:
        stays, leaves = (
            stack.enter_context(running(topics, cards.model, "--max-batch", "100", "--max-transaction", "100"))
            for _ in range(2)
        )
        for detector in (stays, leaves):
            detector.await_line("partitions_assigned")
        await_true(lambda: shares(stays) == shares(leaves) == topics.partitions // 2, "an even share")
        send(topics.bootstrap, topics.input, sent[:half])
        await_true(lambda: sum(positions(topics)[0].values()) > half // 4, "some rows")
        assert leaves.kill(signal.SIGTERM) == 0, leaves.log()
        send(topics.bootstrap, topics.input, sent[half:])
        await_true(lambda: positions(topics)[0] == positions(topics)[1], "the end")
        assert stays.kill(signal.SIGTERM) == 0
    assert_whole(cards, topics, rows)


def shares(detector: Running) -> int:
    """How many partitions a detector says it has."""
    count = 0
    for line in list(detector.lines):
        if "partitions_assigned" in line or "partitions_revoked" in line:
            many = len(json.loads(line.split("partitions=")[1]))
            count += many if "assigned" in line else -many
    return count


def bad_messages(width: int) -> list[tuple[Sent, str]]:
    """Messages that are no rows, with the reason that each must be given."""
    row = dict.fromkeys(("V1", "V2"), 0.5)
    headers = [("format", b"packed")]
    return [
        ((b"", 0, []), "empty"),
        ((None, 0, []), "empty"),
        ((b"not json", 0, []), "not_json"),
        ((b"[1, 2]", 0, []), "not_an_object"),
        ((b"17", 0, []), "not_an_object"),
        ((json.dumps(row).encode(), 0, []), "missing_feature"),
        ((b"\xff\xfe{}", 0, []), "not_utf8"),
        ((b"x" * (5 * (1 << 20)), 0, []), "too_large"),
        ((b"\0" * (4 * width - 1), 0, headers), "wrong_length"),
        ((np.full(width, np.nan, "<f4").tobytes(), 0, headers), "not_finite"),
        ((b"{}", 0, [("format", b"xml")]), "unknown_format"),
    ]


def spoiled(row: dict[str, Any]) -> list[tuple[Sent, str]]:
    """A good row, spoiled in one feature."""
    wrong: list[tuple[str, str]] = [
        ('"text"', "not_a_number"),
        ("null", "not_a_number"),
        ("true", "not_a_number"),
        ("NaN", "not_finite"),
        ("Infinity", "not_finite"),
        ("-Infinity", "not_finite"),
        ("1e400", "not_finite"),
    ]
    text = json.dumps({**row, "V7": "HERE"})
    return [((text.replace('"HERE"', bad).encode(), 0, []), reason) for bad, reason in wrong]


def test_bad_input_is_data(cards: Cards, tmp_path: Path, topics: Topics) -> None:
    """What is no row goes to dead letters, bytes unchanged, with its place and reason; rows around it are scored.

    Rows in = rows scored + dead letters, also by the detector's own counters.
    """
    one = make_topics(topics.bootstrap, partitions=1)
    rows = 1000
    good = messages(cards, rows, "json", 1)
    row = records(cards.frame[list(cards.features)].head(1))[0]
    bad = bad_messages(len(cards.features)) + spoiled(row)
    mixed = list(good)
    for i, (message, _) in enumerate(bad):
        mixed.insert(17 + 41 * i, message)
    mixed.append((json.dumps({**row, "extra": "field"}).encode(), 0, [("row-id", b"extra")]))
    send(one.bootstrap, one.input, mixed)
    with running(one, cards.model) as detector:
        await_true(lambda: positions(one)[0] == positions(one)[1], "the end")
        metrics = detector.scrape()
        assert detector.kill(signal.SIGTERM) == 0
    dead = read_committed(one.bootstrap, one.dead)
    assert [(m.value() or None, dict(m.headers())["errors.reason"].decode()) for m in dead] == [
        (message[0] or None, reason) for message, reason in bad
    ]
    assert [int(dict(m.headers())["errors.offset"]) for m in dead] == [17 + 41 * i for i in range(len(bad))]
    expected = scored(cards, tmp_path, rows)
    assert {k: v for k, v in scores_by_row(alerts_of(one)).items() if k != "extra"} == expected
    assert count(metrics, "detector_rows_total") == rows + 1
    assert count(metrics, "detector_rejects_total") == len(bad)
    assert count(metrics, "detector_alerts_total") == len(alerts_of(one))


def count(metrics: str, name: str) -> float:
    """The sum of a metric over its labels."""
    lines = [line for line in metrics.splitlines() if line.startswith((name + "{", name + " "))]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


def test_until_end_again_is_nothing(cards: Cards, topics: Topics) -> None:
    """A second run over the same topic finds nothing to do and says nothing twice; an empty topic ends at once."""
    until_end(topics, cards.model)
    assert alerts_of(topics) == []
    send(topics.bootstrap, topics.input, messages(cards, 2000, "json", topics.partitions))
    until_end(topics, cards.model)
    first = comparable(alerts_of(topics))
    assert first
    until_end(topics, cards.model)
    assert comparable(alerts_of(topics)) == first


def test_at_least_once(cards: Cards, topics: Topics, tmp_path: Path) -> None:
    """`at_least_once` loses nothing when it is killed; an alert may come twice, with the same content."""
    send(topics.bootstrap, topics.input, messages(cards, 6000, "json", topics.partitions))
    options = (
        "--delivery",
        "at_least_once",
        "--max-batch",
        "20",
        "--max-transaction",
        "20",
        "--kafka",
        "session.timeout.ms=1500",
    )
    with running(topics, cards.model, *options) as detector:
        await_true(lambda: sum(positions(topics)[0].values()) > 300, "some rows")
        detector.kill()
    until_end(topics, cards.model, *options[:2])
    by_row: dict[str, set[float]] = {}
    for alert in alerts_of(topics):
        by_row.setdefault(alert["row_id"], set()).add(alert["score"])
    assert by_row == {row: {score} for row, score in scored(cards, tmp_path, 6000).items()}


def test_zombie_is_fenced(cards: Cards, topics: Topics) -> None:
    """A second process of the same instance takes over; the first ends with the exit code for it and one line."""
    options = ("--instance", "pod-0", "--kafka", "session.timeout.ms=1500")
    with running(topics, cards.model, *options) as zombie:
        zombie.await_line("partitions_assigned")
        await_true(lambda: len(read_committed(topics.bootstrap, topics.models)) == topics.partitions, "its takeovers")
        with running(topics, cards.model, *options) as heir:
            heir.await_line("started")
            send(topics.bootstrap, topics.input, messages(cards, 3000, "json", topics.partitions))
            assert zombie.wait() == 7, zombie.log()
            assert zombie.lines[-1].startswith("error: ")
            await_true(lambda: positions(topics)[0] == positions(topics)[1], "the end")
            assert heir.kill(signal.SIGTERM) == 0
    assert_whole(cards, topics, 3000)


def test_frozen_member_says_nothing_twice(cards: Cards, topics: Topics) -> None:
    """A member that stands still while another takes its partitions over publishes nothing of them when it wakes."""
    rows = 18_000
    send(topics.bootstrap, topics.input, messages(cards, rows, "json", topics.partitions))
    timeouts = ("--kafka", "session.timeout.ms=1500", "--kafka", "transaction.timeout.ms=1000")
    with running(topics, cards.model, "--max-batch", "16", "--max-transaction", "16", *timeouts) as frozen:
        await_true(lambda: sum(positions(topics)[0].values()) > 200, "some rows")
        frozen.process.send_signal(signal.SIGSTOP)
        assert sum(positions(topics)[0].values()) < rows
        with running(topics, cards.model, *timeouts) as heir:
            await_true(lambda: positions(topics)[0] == positions(topics)[1], "the end, by the heir")
            frozen.process.send_signal(signal.SIGCONT)
            frozen.process.send_signal(signal.SIGTERM)
            assert frozen.wait() in (0, 7), frozen.log()
            assert heir.kill(signal.SIGTERM) == 0
    assert_whole(cards, topics, rows)


def test_probes(cards: Cards, topics: Topics) -> None:
    """/healthz and /readyz answer 200 once the member has joined, /metrics names the model, others are 404."""
    with running(topics, cards.model) as detector:
        detector.await_line("partitions_assigned")
        assert detector.scrape("/readyz") == "ready\n"
        assert detector.scrape("/healthz").startswith("last turn")
        name = artifact.load(cards.model).name
        assert f'sha256="{name.sha256}"' in detector.scrape()
        assert detector.kill(signal.SIGINT) == 130


def test_alert_carries_cloud_events(cards: Cards, topics: Topics) -> None:
    """An alert's record has the row's key, and headers in CloudEvents' binary mode."""
    send(topics.bootstrap, topics.input, messages(cards, 2000, "json", topics.partitions))
    until_end(topics, cards.model)
    record = read_committed(topics.bootstrap, topics.alerts)[0]
    alert, headers = json.loads(record.value()), dict(record.headers())
    assert headers["ce_id"].decode() == alert["id"]
    assert headers["ce_specversion"] == b"1.0"
    assert headers["ce_time"].decode() == alert["event_time"]
    assert headers["content-type"] == b"application/json"
    assert len(alert["reasons"]) == 5
    assert detector_command(topics, cards.model)[0] == sys.executable


def test_fenced_static_member_ends(cards: Cards, topics: Topics) -> None:
    """A member whose `group.instance.id` another one took ends with the exit code for it, also with nothing to read."""
    options = ("--kafka", "group.instance.id=pod-0")
    with running(topics, cards.model, *options) as former:
        former.await_line("partitions_assigned")
        await_true(lambda: len(read_committed(topics.bootstrap, topics.models)) == topics.partitions, "its takeovers")
        with running(topics, cards.model, *options) as heir:
            heir.await_line("partitions_assigned")
            assert former.wait() == 7, former.log()
            assert former.lines[-1].startswith("error: topic ")
            assert heir.kill(signal.SIGTERM) == 0
