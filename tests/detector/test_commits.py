"""Transactions follow one another, one of them beside the loop; what an abort takes back is told to nobody."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from detector.commits import Commits, Pending
from detector.errors import Failure
from detector.kafka import Aborted, Checkpoint, Record


class Told:
    """An output that remembers what it committed, fails where told, and holds a commit back until it may go on."""

    def __init__(self) -> None:
        self.committed: list[tuple[list[bytes | None], dict[int, int]]] = []
        self.visible: list[tuple[int, dict[int, int]]] = []
        self.fails: Exception | None = None
        self.may = threading.Event()
        self.may.set()
        self.closed = False
        self.served = 0

    def commit(self, records: Iterable[Record], checkpoint: Checkpoint) -> None:
        assert self.may.wait(10)
        if self.fails:
            failing, self.fails = self.fails, None
            raise failing
        self.committed.append(([record.value for record in records], dict(checkpoint.positions)))

    def serve(self) -> None:
        self.served += 1

    def close(self) -> None:
        self.closed = True

    def tell(self, pending: Pending, checkpoint: Checkpoint, when: float) -> None:
        assert when > 1e9
        self.visible.append((pending.messages, dict(checkpoint.positions)))


@pytest.fixture
def output() -> Told:
    return Told()


@pytest.fixture
def commits(output: Told) -> Iterator[Commits]:
    made = Commits(output, output.tell)
    yield made
    output.may.set()
    made.close()


def at(offset: int) -> Callable[[], Checkpoint]:
    def nothing(places: Any) -> None:
        raise AssertionError("the output decides how offsets are committed")

    return lambda: Checkpoint({0: offset}, [], None, nothing)


def record(value: bytes) -> Record:
    return Record("alerts", None, value, [])


def add(commits: Commits, *values: bytes) -> None:
    commits.pending.records += [record(value) for value in values]
    commits.pending.messages += 1


def test_at_once(commits: Commits, output: Told) -> None:
    """A commit that is not beside the loop is visible when it returns, and nothing is pending any more."""
    add(commits, b"a", b"b")
    assert commits.busy
    commits.commit(at(7))
    assert output.committed == [([b"a", b"b"], {0: 7})]
    assert output.visible == [(1, {0: 7})]
    assert not commits.busy


def test_beside_the_loop(commits: Commits, output: Told) -> None:
    """One beside the loop returns while it is under way, more can be pending meanwhile; it is told when it settles."""
    output.may.clear()
    add(commits, b"a")
    commits.commit(at(7), beside=True)
    add(commits, b"b")
    assert (commits.busy, commits.waiting, output.visible) == (True, True, [])
    output.may.set()
    commits.settle()
    assert output.visible == [(1, {0: 7})]
    assert commits.waiting


def test_one_after_the_other(commits: Commits, output: Told) -> None:
    """The next commit waits for the one under way, and asks for its offsets only then."""
    output.may.clear()
    add(commits, b"a")
    commits.commit(at(7), beside=True)
    add(commits, b"b")
    asked: list[int] = []

    def checkpoint() -> Checkpoint:
        asked.append(len(output.visible))
        return at(9)()

    threading.Timer(0.05, output.may.set).start()
    commits.commit(checkpoint, beside=True)
    commits.settle()
    assert asked == [1]
    assert [values for values, _ in output.committed] == [[b"a"], [b"b"]]


def commit_and_settle(commits: Commits, beside: bool) -> None:
    commits.commit(at(7), beside)
    commits.settle()


@pytest.mark.parametrize("beside", [False, True])
def test_an_abort(commits: Commits, output: Told, beside: bool) -> None:
    """An aborted transaction is told to nobody; beside the loop it is said when it settles."""
    output.fails = Aborted("for the test")
    add(commits, b"a")
    with pytest.raises(Aborted, match="for the test"):
        commit_and_settle(commits, beside)
    assert (output.committed, output.visible) == ([], [])
    commits.drop()
    assert not commits.busy
    add(commits, b"a")
    commits.commit(at(7))
    assert output.committed == [([b"a"], {0: 7})]


def test_notices_wait_for_a_commit_that_stays(commits: Commits, output: Told) -> None:
    """What is to be said once goes with the next transaction, and again with the one after it if that aborts."""
    commits.notices["drift"] = record(b"moved")
    output.fails = Aborted("for the test")
    add(commits, b"a")
    with pytest.raises(Aborted):
        commits.commit(at(7))
    commits.drop()
    assert commits.waiting
    add(commits, b"a")
    commits.commit(at(7))
    commits.commit(at(8))
    assert [values for values, _ in output.committed] == [[b"a", b"moved"], []]


def test_a_notice_that_changed_meanwhile_is_kept(commits: Commits, output: Told) -> None:
    """A notice that takes another's place while that is under way is not lost."""
    output.may.clear()
    commits.notices["takeover"] = record(b"one")
    commits.commit(at(7), beside=True)
    commits.notices["takeover"] = record(b"other")
    output.may.set()
    commits.commit(at(8))
    assert [values for values, _ in output.committed] == [[b"one"], [b"other"]]
    assert not commits.waiting


def test_closing_waits(commits: Commits, output: Told) -> None:
    """Closing waits for what is under way, drops what is pending, and says nothing of a failure."""
    output.may.clear()
    output.fails = Failure("gone")
    add(commits, b"a")
    commits.commit(at(7), beside=True)
    add(commits, b"b")
    commits.notices["takeover"] = record(b"one")
    threading.Timer(0.05, output.may.set).start()
    commits.close()
    assert (bool(output.fails), output.closed) == (False, True)
    assert not commits.busy
