"""What a watcher sees."""

from __future__ import annotations

from io import StringIO

import pytest

from replay.progress import Bar, watching


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_lines() -> None:
    """Where nobody watches, each look is one plain line with rows, speed and what is waited for."""
    stream = StringIO()
    with watching(60_000, stream) as watch:
        watch.show(12_000, 2.4, "")
        watch.show(12_000, 0.0, "waiting for group g")
    assert stream.getvalue() == (
        "replay: sent 12000/60000 rows, 5000 rows/s\nreplay: sent 12000/60000 rows, 0 rows/s, waiting for group g\n"
    )


def test_a_total_that_nobody_knows() -> None:
    """Without a total the line has the rows alone; what is said stays among the lines."""
    stream = StringIO()
    with watching(None, stream) as watch:
        watch.show(12_000, 2.4, "")
        watch.say("replay: paused: because")
    assert stream.getvalue() == "replay: sent 12000 rows, 5000 rows/s\nreplay: paused: because\n"


def test_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person sees a bar with the same facts."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    stream = Terminal()
    with watching(60_000, stream) as watch:
        assert isinstance(watch, Bar)
        watch.show(12_000, 2.4, "waiting for group g")
    assert "12000/60000" in stream.getvalue()
    assert "5000 rows/s waiting for group g" in stream.getvalue()
