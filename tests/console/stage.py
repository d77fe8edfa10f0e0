"""A console without Kafka, for browsers: `python -m tests.console.stage SCENE`. It prints its address."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from detector.alerts import Reason, Source
from detector.console import server
from detector.console.access import Access
from detector.console.board import Board, Topic
from detector.console.pages.frame import Console
from detector.console.rawrow import Raw, raw
from detector.console.verdicts import WORDS, Verdict
from detector.drift.changes import State
from detector.errors import BrokerUnavailable
from detector.settings import ConsoleSettings
from tests.console.made import HOSTILE, START, Record, drifted, entries, entry, letter, scored

HISTORY = 10_000
LIVE_PER_SECOND = 100
TOPICS = ("transactions", "alerts", "labels", "drift", "scores", "transactions.dead-letters")


class Desk:
    """Takes verdicts as a broker would, or refuses them."""

    def __init__(self, board: Board, broken: bool) -> None:
        self._board, self._broken = board, broken

    def say(self, row_id: str, verdict: Verdict) -> None:
        """On the board, and on stdout."""
        if self._broken:
            raise BrokerUnavailable("topic 'labels': no broker took it within 10 s")
        self._board.say(row_id, verdict)
        print("said", row_id, verdict.word, verdict.by, repr(verdict.note), flush=True)

    def raw(self, source: Source) -> Raw | None:
        """Some row."""
        if self._broken:
            raise BrokerUnavailable("no message within 60 s")
        value = b'{"V1": -1.5, "Amount": 12.50, "note": "<b>bold</b>"}'
        return raw(Record(source.topic, source.partition, source.offset, value))


def filled(scene: str) -> Board:
    """What the board shows in a scene."""
    board = Board(HISTORY, "transactions")
    board.topics = {name: Topic(name, loaded=True) for name in TOPICS}
    board.traffic.look(0.0, {0: 0, 1: 0}, {0: (0, 100), 1: (0, 100)})
    if scene == "empty":
        board.traffic.look(10.0, {}, {0: (0, 0), 1: (0, 0)})
        return board
    board.traffic.look(10.0, {0: 12_000, 1: 13_000}, {0: (0, 12_200), 1: (0, 13_000)})
    board.add(entries(HISTORY if scene in ("full", "live") else 300))
    drawn = np.random.default_rng(0)
    for partition in range(4):
        board.spread.take([scored(partition, 0, drawn.lognormal(-2.5, 0.8, 4096))])
    changes: tuple[tuple[int, State, float], ...] = ((4, "drifting", 0.31), (7, "stable", 0.02), (9, "drifting", 1.2))
    board.take_drift([Record("drift", 0, i, drifted(f"V{i}", state, psi, i)) for i, state, psi in changes])
    board.take_letters([letter(i, "not_json" if i % 3 else "missing_feature") for i in range(40)])
    for i, one in enumerate(list(board.alerts)[2:60:3] if scene != "few" else ()):
        board.say(one.name, Verdict(WORDS[i % 3], "ada", "2026-11-23T10:00:00Z", "seen"))
    if scene == "broken":
        board.trouble = "bootstrap_servers 'localhost:9092': no broker answered within 10 s"
    if scene == "hostile":
        _hostile(board)
    return board


def _hostile(board: Board) -> None:
    """Names, keys, values, notes and reasons that are markup or program."""
    for i in range(5):
        other: dict[str, Any] = {"method": HOSTILE, "reasons": [Reason(HOSTILE, HOSTILE, HOSTILE, 0.5)]}
        board.add([entry(900_000 + i, written=START + 10**9 + i, key=HOSTILE, row_id=f"{HOSTILE}{i}", **other)])
        board.say(f"{HOSTILE}{i}", Verdict("fraud", HOSTILE, HOSTILE, HOSTILE))
    board.take_drift([Record("drift", 0, 1, drifted(HOSTILE))])
    board.take_letters([letter(99, HOSTILE, HOSTILE, HOSTILE.encode())])
    board.topics["labels"].trouble, board.topics["labels"].needed = HOSTILE, True


def _live(board: Board) -> None:
    """A hundred alerts a second."""
    start = 10**6
    while True:
        board.add(entries(LIVE_PER_SECOND // 10, start, seed=start))
        start += LIVE_PER_SECOND // 10
        time.sleep(0.1)


def _pair(flag: str) -> tuple[str, str]:
    name, _, value = flag.partition("=")
    return name, value


def main(scene: str, *flags: str) -> None:
    """Serves a scene until it is ended."""
    given: dict[str, Any] = {"console_port": 0}
    for name, value in map(_pair, flags):
        given[name] = {"console_port": int, "token_file": Path}.get(name, str)(value)
    chosen = ConsoleSettings(bootstrap_servers="localhost:9092", user="ada", **given)
    board = filled(scene)
    if scene == "live":
        threading.Thread(target=_live, args=(board,), daemon=True).start()
    with server.listening(chosen.console_host, chosen.console_port) as bound:
        print(server.address_of(chosen.console_host, bound), flush=True)
        access = Access.of(chosen)
        console = Console(chosen, board, Desk(board, scene == "broken"), signs_out=bool(access.tokens))
        server.serve(server.application(console, access), bound)


if __name__ == "__main__":
    main(*sys.argv[1:])
