"""What is told of breaks: beside the labels, at the end, and again after a kill."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from itertools import chain, pairwise
from typing import Any

import pytest

from replay.inject.broken import stages
from replay.labels import Delay, Pending, Truth
from replay.pace import parse
from replay.pipeline import played, sendable
from replay.plan import Plan, Stop
from replay.publish import Replay
from replay.resume import Ledger, Position, decides
from replay.summary import Stopped, Summary, continued
from tests.replay.inject.made import Held, broken, cards, marks, told, touched
from tests.replay.made import Silence, World, asked, ids, row_id
from tests.replay.test_resume import Committing

DRIFT, TWICE, BAD = "drift:V14:+1sd:from=50%:for=10%", "duplicate:10%", "corrupt:10%"
SPECS = (DRIFT, TWICE, BAD)
ROWS = 300


def replayed(world: World, specs: Sequence[str], label: str = "", labels: str | None = "truth", **more: Any) -> Summary:
    """A replay of cards at 60x. label: the column that is one. labels: their topic. more: of Replay."""
    history, chosen = Held(cards(ROWS), label=label), told(specs)
    ledger: Ledger | None = more.get("ledger")
    done, made = ledger.start.rows if ledger else 0, list[Replay]()
    batches = played(history, chosen, stages(history, chosen), done, lambda batch: made[0].outbox.remember(batch))
    rows = filter(len, sendable(batches, history, chosen))
    plan = Plan("rows", labels, parse("60x"), injected=tuple(specs))
    made.append(Replay(rows, plan, world, Silence(), more.pop("stop", Stop()), clock=world.clock(), **more))
    return made[0].run()


def said(world: World) -> list[dict[str, Any]]:
    """The records beside the rows."""
    return [json.loads(record.value or b"") for _, record, _ in world.labels()]


def test_labels_say_it() -> None:
    """A label of a touched row names what was done to it, and the reason of a corrupted one; no other label does."""
    world = World()
    summary = replayed(world, SPECS)
    found = broken(SPECS, Held(cards(ROWS)))
    truth = [one for one in said(world) if "injection" not in one]
    assert [one["row_id"] for one in truth] == ids(found) == world.order()
    for one, mark in zip(truth, marks(found), strict=True):
        assert one.get("injected", []) == [each.spec for each in mark]
        assert one.get("fault", "") == "".join(each.fault for each in mark)
        assert one["label"] == int(int(one["row_id"]) % 20 == 7)
    counts = Counter(each.spec for each in chain(*marks(found)))
    assert summary.injected == {spec: counts[spec] for spec in SPECS}
    assert all(f"\nreplay: injected {spec}: {counts[spec]} rows" in summary.text() for spec in SPECS)


def test_begins_and_ends() -> None:
    """The first and the last touched row of each break are told, with their times, and how many there were."""
    world = World()
    replayed(world, SPECS)
    found = broken(SPECS, Held(cards(ROWS)))
    for spec in SPECS:
        places = [at for at, each in enumerate(marks(found)) if spec in [mark.spec for mark in each]]
        begins, ended = (one for one in said(world) if one.get("injection") == spec)
        assert (begins["state"], begins["rows"], begins["row_id"]) == ("begins", 1, ids(found)[places[0]])
        assert (ended["state"], ended["rows"], ended["row_id"]) == ("ended", len(places), ids(found)[places[-1]])
        assert "2023-11-14T22:13:20" <= begins["event_time"] < ended["event_time"] < "2023-11-14T22:14:20"
    assert [one["state"] for one in said(world)[-3:]] == ["ended"] * 3


def test_nothing_is_logged() -> None:
    """Without a topic for labels nothing is, and all the same it is counted."""
    world = World()
    summary = replayed(world, SPECS, labels=None)
    assert not world.labels()
    assert sum(summary.injected.values()) > 30
    assert (summary.labels, summary.failed_labels) == (0, 0)


def test_rows_without_labels() -> None:
    """A touched row whose label is never told, and one that has none, gets a record without one; no other row does."""
    world, other = World(), World()
    replayed(world, (DRIFT,), label="none")
    found = [one for one in said(world) if "injection" not in one]
    assert [one["row_id"] for one in found] == [str(row) for row in range(150, 180)]
    assert all(one.keys() == {"row_id", "event_time", "injected"} for one in found)
    replayed(other, (DRIFT,), pending=Pending(Truth(share=0.5)))
    both = [one for one in said(other) if "injected" in one]
    assert sorted(int(one["row_id"]) for one in both) == list(range(150, 180))
    assert 0 < sum("label" in one for one in both) < 30


def test_late_labels_say_it() -> None:
    """A label that comes later than its row names what was done to it, too."""
    world = World()
    replayed(world, (DRIFT,), pending=Pending(Truth(Delay(60_000))))
    found = [int(one["row_id"]) for one in said(world) if "label" in one and "injected" in one]
    assert found == list(range(150, 180))


@pytest.mark.parametrize("kill", [0, 1, 149, 165, 300, 310])
def test_a_kill(kill: int) -> None:
    """Two processes of one name send what one would have sent: rows, labels and notes, each once."""
    one, both = Committing(), Committing()
    replayed(one, SPECS, ledger=Ledger("x", "replays", Position(rows=0), one))
    stop = stopping(both, kill + 1)
    replayed(both, SPECS, ledger=Ledger("x", "replays", Position(rows=0), both), stop=stop)
    _, position, sent = both.commits[-1]
    assert 0 < position.rows < len(one.rows())
    del both.sent[sent:]
    both.on_send = lambda: None
    replayed(both, SPECS, ledger=Ledger("x", "replays", position, both))
    assert both.order() == one.order()
    pairs = [[without_times(each) for each in said(world)] for world in (one, both)]
    assert pairs[0] == pairs[1]


def stopping(world: World, rows: int) -> Stop:
    """Someone who presses Ctrl-C once when so many rows were sent."""
    stop = Stop()
    world.on_send = lambda: stop.request() if len(world.rows()) >= rows and not stop.requests else None
    return stop


def test_an_ended_replay_says_nothing_more() -> None:
    """A named replay that has ended, and is asked for again, sends neither rows nor notes."""
    world = Committing()
    replayed(world, SPECS, ledger=Ledger("x", "replays", Position(rows=0), world))
    _, position, sent = world.commits[-1]
    assert position.ended
    replayed(world, SPECS, ledger=Ledger("x", "replays", position, world))
    assert len(world.sent) == sent


def without_times(note: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in note.items() if name != "event_time"}


def test_an_interrupted_replay_says_that_it_ended() -> None:
    """Ctrl-C ends what is done on purpose where nothing goes on with it."""
    world = World()
    stop = stopping(world, 160)
    summary = replayed(world, (DRIFT,), stop=stop)
    assert said(world)[-1]["state"] == "ended"
    assert said(world)[-1]["rows"] == summary.injected[DRIFT] == summary.sent - 150


def test_event_times_stay() -> None:
    """At a pace a delayed row is sent late, with the timestamp of its event."""
    world, found = World(), broken(("delay:10%:5m",), Held(cards(ROWS)))
    late = {ids(found)[at] for at in touched(found)}
    replayed(world, ("delay:10%:5m",))
    sent = {row_id(record).decode(): (at, stamp) for at, record, stamp in world.rows()}
    for name, (at, stamp) in sent.items():
        assert stamp - sent["0"][1] == pytest.approx(int(name) * 10_000 / 60, abs=1)
        assert at - int(name) / 6 == pytest.approx(5.0 if name in late else 0.0, abs=0.11)


def test_a_silence_in_the_wire() -> None:
    """Nothing is sent in a silence, and all that happened then at its end."""
    world = World()
    replayed(world, ("silence:10m:from=50%",))
    sent = [at for at, _, _ in world.rows()]
    gap = max(after - before for before, after in pairwise(sent))
    assert gap == pytest.approx(10 + 1 / 6, abs=0.11)
    assert sum(1 for at in sent if 35 - 0.11 < at <= 35.11) >= 60


def test_names_are_kept_apart() -> None:
    """A name that was begun with other breaks is refused; without breaks it is what it was before there were any."""
    history = Held(cards())
    plain, some, other = (decides(history, history.columns, asked(inject=specs)) for specs in ((), SPECS, (DRIFT,)))
    assert "inject" not in plain
    assert some["inject"] != other["inject"]
    assert plain.items() < some.items()


def test_how_to_go_on() -> None:
    """What was broken goes on by its place alone: from another beginning it would be another break."""
    text = continued(Stopped(17, b"9", 1000), asked(inject=(TWICE,)))
    assert text.endswith("; to go on there: --skip 17")


def test_no_batch_is_empty() -> None:
    """No stage hands out a batch without rows, which would be taken for a source that waits."""
    history = Held(cards(100), [1, 3])
    chosen = told((*SPECS, "silence:10m:from=50%", "delay:10%:5m", "reorder:30s"))
    assert all(map(len, played(history, chosen, stages(history, chosen))))
