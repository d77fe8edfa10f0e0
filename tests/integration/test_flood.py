"""A flood of messages of which not one is a row: the line says why of each, goes on, and tells of it as it goes."""

from __future__ import annotations

import re
import signal
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack

import pytest

from detector import artifact, table
from tests.fuzz import Material
from tests.integration.conftest import Cards
from tests.integration.line import (
    Running,
    Sent,
    Topics,
    alerts_of,
    await_true,
    positions,
    read_committed,
    running,
    send,
    until_end,
)
from tests.integration.test_detector import count, messages, oracle, scores_by_row
from tests.spoiling import KINDS

SLOW = ("--max-batch", "16", "--max-transaction", "16")


def flood(cards: Cards, rows: int, partitions: Sequence[int]) -> list[Sent]:
    """So many bad messages, of every kind by turns, over the partitions by turns."""
    source = Material.of(cards.features, table.matrix(cards.frame, cards.features)[:1000]).json
    kinds = list(KINDS.values())
    sent: list[Sent] = []
    for number in range(rows):
        _, spoil = kinds[number % len(kinds)]
        value, marks = spoil(source[number % len(source)])
        sent.append((value, partitions[number // len(kinds) % len(partitions)], marks))
    return sent


def reasons(rows: int) -> Counter[str]:
    """How often each reason must be given."""
    kinds = [reason for reason, _ in KINDS.values()]
    return Counter(kinds[number % len(kinds)] for number in range(rows))


def told(detector: Running) -> Counter[str]:
    """How often a detector says that it has given each reason."""
    series = r'^detector_rejects_total\{partition="\d+",reason="(\w+)"\} (\S+)$'
    found: Counter[str] = Counter()
    for reason, number in re.findall(series, detector.scrape(), re.MULTILINE):
        found[reason] += int(float(number))
    return +found


def at_end(topics: Topics) -> bool:
    """Whether all that arrived is committed."""
    committed, ends = positions(topics)
    return committed == ends


def assert_dead(topics: Topics, rows: int) -> None:
    """Each bad message has one dead letter, with its reason; none is missing."""
    dead = [dict(record.headers()) for record in read_committed(topics.bootstrap, topics.dead)]
    places = {(one["errors.partition"], one["errors.offset"]) for one in dead}
    assert len(places) == len(dead) == rows
    assert Counter(one["errors.reason"].decode() for one in dead) == reasons(rows)


def assert_scored(cards: Cards, topics: Topics, rows: int) -> None:
    """The first rows of the table alerted where their scores say so, each once."""
    line = artifact.load(cards.model).threshold.value
    wanted = {str(number): score for number, score in enumerate(oracle(cards, rows).tolist()) if score > line}
    assert wanted
    assert scores_by_row(alerts_of(topics)) == wanted


def test_alive_in_a_flood(cards: Cards, topics: Topics) -> None:
    """All through a flood /healthz and /readyz answer 200 and the counter of rejects grows; what follows is scored."""
    rows, good = 30_000, 2_000
    with running(topics, cards.model, "--max-transaction", "4096") as detector:
        detector.await_line("partitions_assigned")
        send(topics.bootstrap, topics.input, flood(cards, rows, range(topics.partitions)))
        seen = [0]

        def done() -> bool:
            assert detector.scrape("/healthz").startswith("last turn")
            assert detector.scrape("/readyz") == "ready\n"
            seen.append(told(detector).total())
            assert seen[-1] >= seen[-2]
            return at_end(topics)

        await_true(done, "the flood's end")
        await_true(lambda: told(detector) == reasons(rows), "the last commit's figures")
        assert count(detector.scrape(), "detector_rows_total") == 0
        assert count(detector.scrape(), "detector_lag_rows") == 0
        send(topics.bootstrap, topics.input, messages(cards, good, "json", topics.partitions))
        await_true(lambda: at_end(topics), "the rows after it")
        await_true(lambda: count(detector.scrape(), "detector_rows_total") == good, "the last commit's figures")
        assert detector.kill(signal.SIGTERM) == 0
    assert_dead(topics, rows)
    assert_scored(cards, topics, good)


def test_partitions_of_rejects_go_on(cards: Cards, topics: Topics) -> None:
    """Partitions with nothing but rejects are committed to their ends, beside others whose rows are scored as ever."""
    rows, good = 3_000, 4_000
    even = [
        (value, 2 * (number % 2), marks) for number, (value, _, marks) in enumerate(messages(cards, good, "json", 1))
    ]
    bad = flood(cards, rows, (1, 3))
    mixed = [one for pair in zip(even, bad, strict=False) for one in pair] + even[rows:]
    send(topics.bootstrap, topics.input, mixed)
    until_end(topics, cards.model)
    assert at_end(topics)
    assert_dead(topics, rows)
    assert_scored(cards, topics, good)


@pytest.mark.long
def test_rebalances_in_a_flood(cards: Cards, topics: Topics) -> None:
    """Members that come, leave and die amid a flood: every bad message has one dead letter, every row its verdict."""
    rows, good = 30_000, 4_000
    send(topics.bootstrap, topics.input, messages(cards, good, "json", topics.partitions))
    send(topics.bootstrap, topics.input, flood(cards, rows, range(topics.partitions)))
    with ExitStack() as stack:

        def member(*options: str) -> Running:
            found = stack.enter_context(running(topics, cards.model, "--kafka", "session.timeout.ms=1500", *options))
            found.await_line("partitions_assigned")
            return found

        first = member(*SLOW)
        await_true(lambda: sum(positions(topics)[0].values()) > good, "some of the flood")
        second = member(*SLOW)
        assert first.kill(signal.SIGTERM) == 0, first.log()
        third = member()
        assert not at_end(topics)
        second.kill(signal.SIGKILL)
        await_true(lambda: at_end(topics), "the end")
        assert third.kill(signal.SIGTERM) == 0, third.log()
    # What the killed one left open hides what came after it from readers, until the broker ends it.
    await_true(lambda: len(read_committed(topics.bootstrap, topics.dead)) >= rows, "all dead letters")
    assert_dead(topics, rows)
    assert_scored(cards, topics, good)
