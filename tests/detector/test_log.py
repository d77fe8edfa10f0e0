"""Log lines: events of stable names and fields, as text or JSON, that say nothing of what a row holds."""

from __future__ import annotations

import ast
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.log import EVENTS, LEVELS, logger, text

ROOT = Path(__file__).parents[2]
PLANTED = "4111-1111-planted"


class Call(NamedTuple):
    """A line that the code logs. fields: None where they are computed."""

    event: str
    level: str
    fields: str | None
    place: str


def calls() -> Iterator[Call]:
    """Every call of a logger in the detector."""
    for path in sorted((ROOT / "detector").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            if node.func.attr in LEVELS and _is_logger(node.func.value):
                (event,) = node.args
                assert isinstance(event, ast.Constant), f"{path}:{node.lineno}: the name of an event is no variable"
                names = [keyword.arg for keyword in node.keywords]
                fields = None if None in names else " ".join(map(str, names))
                yield Call(str(event.value), node.func.attr, fields, f"{path}:{node.lineno}")


def _is_logger(node: ast.expr) -> bool:
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id == "logger"
    return isinstance(node, ast.Name) and node.id == "log"


def test_every_line_is_an_event_that_is_told_of() -> None:
    """Every line that is logged has a name, a level and fields of the table, and every name of the table is logged."""
    found = list(calls())
    for call in found:
        event = EVENTS[call.event]
        assert call.level == event.level, call.place
        assert call.fields in (event.fields, None), call.place
    assert {call.event for call in found} | {"library"} == set(EVENTS)


def test_no_other_way_to_log() -> None:
    """Nothing in the detector makes a logger of `logging` of its own to say something by."""
    for path in (ROOT / "detector").rglob("*.py"):
        if path.name != "log.py":
            assert "log = logging." not in path.read_text(), path


def test_text() -> None:
    """A plain word stands as it is, anything else in quotes; numbers are short."""
    found = text({"event": "drift", "kind": "feature", "name": 'a "b"', "above": "", "x": 0.1234567891, "n": [0, 1]})
    assert found == "drift kind=feature name='a \"b\"' above='' x=0.123456789 n=[0, 1]"


@given(st.text(), st.text())
def test_a_line_is_one_line(name: str, value: str) -> None:
    """Whatever a name holds, it neither begins a line nor looks like a field."""
    found = text({"event": "drift", "name": name, "state": value})
    assert found.isprintable()
    assert found.count(" state=") == 1 or " state=" in name + value


def test_records_are_those_of_logging(caplog: pytest.LogCaptureFixture) -> None:
    """Levels and handlers are those of `logging`: what is below the level costs no text."""
    log = logger("detector.test")
    with caplog.at_level(logging.WARNING):
        log.info("started", model="m")
        log.warning("batch_failed", why="100% of it", in_a_row=1, doing="x")
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("detector.test", "WARNING")
    assert record.getMessage() == "batch_failed why='100% of it' in_a_row=1 doing=x"


SAYS = """
import logging, sys
from detector import command, log
from detector.errors import ModelRefused
log.configure(*sys.argv[1:])
log.logger("detector").info("partitions_assigned", partitions=[0, 3])
log.logger("detector").warning("drift", kind="feature", name="V\\n1", state="drifting", above="psi")
logging.getLogger("library").debug("unheard")
logging.getLogger("library").warning("%s of %d", "one", 2)
try:
    raise ValueError("PLANTED")
except ValueError:
    logging.getLogger("library").exception("failed")
def refused():
    raise ModelRefused("model x: damaged")
command.ended(refused)
raise KeyError("PLANTED")
""".replace("PLANTED", PLANTED)


def said(*how: str) -> list[str]:
    """The lines of a process that says all kinds of things and ends by a bug."""
    done = subprocess.run([sys.executable, "-c", SAYS, *how], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.returncode == 1
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_json() -> None:
    """With `json` every line of a process is an object with time, level, logger, an event of the table and its fields,

    also those of libraries, of a failure and of a bug, of which the message stays unsaid."""
    lines = [json.loads(line) for line in said("json", "info")]
    assert [(one["level"], one["logger"], one["event"]) for one in lines] == [
        ("info", "detector", "partitions_assigned"),
        ("warning", "detector", "drift"),
        ("warning", "library", "library"),
        ("error", "library", "library"),
        ("error", "detector", "failed"),
        ("error", "detector", "crashed"),
    ]
    for one in lines:
        assert list(one)[:4] == ["time", "level", "logger", "event"]
        assert list(one)[4:] == EVENTS[one["event"]].fields.split()
        assert one["time"].endswith("Z")
    assert lines[0]["partitions"] == [0, 3]
    assert lines[1]["name"] == "V\n1"
    assert lines[2]["message"] == "one of 2"
    assert (lines[4]["why"], lines[4]["code"]) == ("model x: damaged", 3)
    assert (lines[5]["error"], "<module>" in lines[5]["where"]) == ("KeyError", True)
    assert PLANTED not in json.dumps(lines)


def test_text_of_a_process() -> None:
    """As text a line begins with its time, level and logger; a bug shows where it is and not with which value."""
    lines = said("text", "info")
    assert lines[0].endswith(" INFO detector partitions_assigned partitions=[0, 3]")
    assert lines[1].endswith(r" WARNING detector drift kind=feature name='V\n1' state=drifting above=psi")
    assert "error: model x: damaged" in lines
    assert "ValueError" in lines  # of a library
    assert " ERROR detector crashed error=KeyError where=" in lines[-1]
    assert not any(PLANTED in line for line in lines)


def test_debugging_tells_all() -> None:
    """At level debug a bug's message is told too."""
    assert any(PLANTED in line for line in said("text", "debug")[-5:])


def test_levels() -> None:
    """The events' levels are levels."""
    assert {event.level for event in EVENTS.values()} <= set(LEVELS)
