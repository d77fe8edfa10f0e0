"""What a person sees."""

from __future__ import annotations

import io
from dataclasses import replace

import msgspec
import pytest
from rich.console import Console
from rich.text import Text

from deploy.local.scrape import Figures
from deploy.local.show import Lines, Terminal
from deploy.local.summary import Course, next_steps, summary
from deploy.local.tally import Counts, Judged
from deploy.local.view import Facts, line, percent, reasons, render, short
from detector.alerts import Reason, Value
from tests.deploy.made import alert, facts

SIZES = [(80, 24), (120, 40), (60, 20)]
BEGINNING = Facts("rows", 60_000, True, "http://127.0.0.1:1")


def drawn(shown: Facts, width: int, height: int) -> list[str]:
    """The screen's lines."""
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    with console.capture() as captured:
        console.print(render(shown, width, height), end="")
    return captured.get().splitlines()


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("shown", [facts(), facts(labelled=False), facts(alerts=0), BEGINNING])
def test_the_screen_fits(shown: Facts, width: int, height: int) -> None:
    """Every size is filled exactly, in the beginning and with numbers of any length, and says where /metrics is."""
    lines = drawn(shown, width, height)
    assert len(lines) == height
    assert all(len(text) == width for text in lines)
    assert f"{shown.address}/metrics" in lines[-1]
    assert all(text[0] in " ╭│╰" and text[-1] in " ╮│╯" for text in lines)


@pytest.mark.parametrize(("width", "height", "expected"), [(80, 24, 8), (120, 40, 24), (80, 14, 0)])
def test_as_many_alerts_as_there_is_room(width: int, height: int, expected: int) -> None:
    """The newest alerts fill what is left of the screen."""
    lines = [text for text in drawn(facts(), width, height) if "03:04:05" in text]
    assert len(lines) == expected
    assert not lines or " 29 " in lines[0]


def test_a_wide_screen_tells_what_was_expected() -> None:
    """A reason is a feature, its value, what the model expected, and the share; a narrow screen leaves out one."""
    told = facts()
    assert "_name_0 -9.2 (-0.4) 41%" in "\n".join(drawn(told, 120, 40))
    assert "_name_0 -9.2 41%" in "\n".join(drawn(told, 80, 24))


def test_one_line_has_the_same_facts() -> None:
    """Without a terminal: rows, rows/s, alerts, precision and recall, median, MAD, threshold, the last alert."""
    told = line(facts())
    for part in (
        "34,041/60,000 rows, 2,460/s, 30 alerts, 8 of 8 frauds caught, precision 32%, recall 100%",
        "partition 0: median 0.061, MAD 0.039, threshold 2.47; last: row 29",
        "_name_0 -9.2 41%, ",
    ):
        assert part in told
    assert "\n" not in told
    assert "no labels: no precision, no recall" in line(facts(labelled=False))
    assert line(BEGINNING).endswith("precision -, recall -, no rows yet")


@pytest.mark.parametrize(
    ("number", "text"), [(None, "-"), (0.0612345, "0.0612"), (-9.25, "-9.25"), (12_345.6, "12,346"), (0.0, "0")]
)
def test_numbers_are_short(number: float | None, text: str) -> None:
    """Three digits tell enough."""
    assert short(number) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (1234.5, "1,234"), (True, "true"), ("a text", "'a text'"), ("x" * 40, "'" + "x" * 16 + "...'")],
)
def test_reasons_of_every_kind(value: Value, text: str) -> None:
    """A reason's value is a number, a text, which is cut, or a truth."""
    told = Judged(msgspec.structs.replace(alert("1"), reasons=[Reason("f", value, value, 0.5)]), None)
    assert reasons(told, wide=True) == f"f {text} ({text}) 50%"


def test_texts_command_no_terminal() -> None:
    """What a text sends to a terminal is shown, not done."""
    told = Judged(msgspec.structs.replace(alert("1"), reasons=[Reason("f", "\x1b[2J\n", True, 0.5)]), None)
    assert reasons(told, wide=False) == r"f '\x1b[2J\n' 50%"


def test_no_share_is_no_nought() -> None:
    """What cannot be said is a dash."""
    assert (percent(None), percent(0.0), percent(0.5149)) == ("-", "0%", "51%")


@pytest.mark.parametrize("width", [80, 120])
def test_the_end_is_told(width: int) -> None:
    """The summary has the counts, what they come to, and the alerts that stand out; none of its lines breaks."""
    console = Console(file=io.StringIO(), width=width)
    counts = Counts(alerts=171, labels=60_000, frauds=104, caught=87, false_alarms=84)
    told = replace(facts(), figures=Figures(60_000, 171, 7), counts=counts, striking=())
    with console.capture() as captured:
        console.print(summary(told, Course(46.2, 21.9, finished=True)))
    assert [text.rstrip() for text in captured.get().splitlines()] == [
        "",
        "Done after 46 s: 60,000 SIMULATED card transactions (no real ones)",
        "  rows       60,000 in 13 s (4,478 a second), 7 dead letters",
        "  alerts     171, 0.29% of the rows; the first 22 s after the start",
        "  frauds     104 by the labels, 87 caught: recall 84%",
        "  precision  51%: 84 alerts on 59,896 normal rows, 0.14% (set for 0.1%)",
    ]


def test_what_is_missing_is_said() -> None:
    """Without labels the summary says so; alerts that could not be read back are counted."""
    console = Console(file=io.StringIO(), width=100)
    told = replace(facts(labelled=False), figures=Figures(100, 33, 0))
    with console.capture() as captured:
        console.print(summary(told, Course(5.0, None, finished=True)))
    assert "none, so no precision and no recall" in captured.get()
    assert "3 more were not read back in time" in captured.get()
    assert "most striking alerts" in captured.get()


def test_next_steps_are_commands_to_copy() -> None:
    """The person's own file and broker are named where they are known, and quoted where the shell needs it."""
    assert "\n  make demo DATA=creditcard.csv\n" in next_steps("", "")
    own = next_steps("my rows.csv", "kafka:9092")
    assert "make demo" not in own
    assert "  .venv/bin/replay 'my rows.csv' --model model --bootstrap-servers kafka:9092" in own


def test_lines_come_every_few_seconds() -> None:
    """Steps come at once; of facts that come faster than a line every few seconds, the first is told."""
    out = io.StringIO()
    lines = Lines(Console(file=out, width=120))
    lines.step("data", "x" * 200)
    for _ in range(5):
        lines.facts(facts())
    lines.end()
    told = out.getvalue().splitlines()
    assert told[0] == f"demo: data: {'x' * 200}"
    assert len(told) == 2


def test_the_terminal_is_given_back() -> None:
    """A screen of its own while rows flow; then the cursor and what was there before are back."""
    out = io.StringIO()
    terminal = Terminal(Console(file=out, width=80, height=24, force_terminal=True))
    terminal.busy("training", "an autoencoder")
    terminal.step("training", "done")
    terminal.facts(facts())
    assert out.getvalue().count("\x1b[?1049h") == 1
    terminal.print(Text("the end"))
    assert out.getvalue().count("\x1b[?1049l") == 1
    assert out.getvalue().rindex("\x1b[?25h") > out.getvalue().rindex("\x1b[?25l")
    assert out.getvalue().endswith("the end\n")
