"""How a command ends."""

from __future__ import annotations

import subprocess
import sys

import pytest

from detector.__main__ import main
from detector.command import ended, exit_codes_text
from detector.errors import EXIT_CODES, FAILURES, INTERRUPTED, Failure


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_is_one_line(failure: type[Failure], capsys: pytest.CaptureFixture[str]) -> None:
    """A Failure ends a command with its code and one line on stderr, no traceback."""

    def command() -> int:
        raise failure("the disk is full")

    assert ended(command) == failure.code
    assert capsys.readouterr() == ("", "error: the disk is full\n")


def test_done_and_interrupted(capsys: pytest.CaptureFixture[str]) -> None:
    """A command's own code is passed on; Ctrl-C is told in a word and has its code."""

    def interrupted() -> int:
        raise KeyboardInterrupt

    assert ended(lambda: 0) == 0
    assert ended(interrupted) == INTERRUPTED
    assert capsys.readouterr().err == "interrupted\n"


def test_other_errors_are_not_hidden() -> None:
    """What is no Failure is a fault of the program and keeps its traceback."""

    def broken() -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ended(broken)


def test_exit_codes_text() -> None:
    """The foot of a help text has a line for every code."""
    lines = exit_codes_text().splitlines()
    assert lines[0] == "exit codes:"
    assert [line.split(None, 1) for line in lines[1:]] == [[str(code), text] for code, text in EXIT_CODES.items()]


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"]])
def test_help_has_the_exit_codes(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The detector's help, and that of its command, end with the exit codes."""
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 0
    assert capsys.readouterr().out.endswith(exit_codes_text() + "\n")


@pytest.mark.parametrize(
    ("arguments", "code", "wanted"),
    [
        (["run"], 2, "error: setting model is missing: --model or DETECTOR_MODEL\n"),
        (["run", "--model", "/nowhere", "--bootstrap-servers", "b:1"], 3, "error: model /nowhere: no such directory"),
        (
            ["run", "--model", "m", "--bootstrap-servers", "b:1", "--window", "x"],
            2,
            "error: --window has value 'x', a whole number wanted\n",
        ),
        (["run", "--config", "/nowhere"], 2, "error: config /nowhere: No such file or directory\n"),
    ],
)
def test_errors_of_the_detector(arguments: list[str], code: int, wanted: str) -> None:
    """A wrong start of `python -m detector` is one line on stderr and the right exit code."""
    ran = subprocess.run([sys.executable, "-m", "detector", *arguments], capture_output=True, text=True, timeout=60)
    assert ran.returncode == code
    assert ran.stderr.startswith(wanted)
    assert ran.stderr.count("\n") == 1
    assert ran.stdout == ""
