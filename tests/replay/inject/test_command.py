"""The command line with breaks, as far as it goes without a broker."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from replay.__main__ import COMMANDS, main
from tests.replay.inject.made import START, cards

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "rows.csv"
    cards(60).to_csv(path, index=False)
    return path


def shown(capsys: Capture, *arguments: str) -> str:
    """What a dry run tells."""
    assert main([*arguments, "--dry-run", "--features", "V14,items"]) == 0
    return capsys.readouterr().out


def test_dry_run(data: Path, capsys: Capture) -> None:
    """A dry run shows rows as they would be sent, and what was done to each."""
    text = shown(capsys, str(data), "--inject", "scale:items:100x:from=20s")
    assert text.count(", scale:items:100x:from=20s\n") == 3
    values = [line.strip() for line in text.splitlines() if line.startswith("  {")]
    assert [value.endswith("00.0}") for value in values] == [False, False, True, True, True]


def test_dry_run_of_bad_messages(data: Path, capsys: Capture) -> None:
    """Messages that are no rows are shown, too, bytes that no terminal shows as escapes."""
    text = shown(capsys, str(data), "--inject", "corrupt:100%:not_utf8")
    assert text.count("\\xff\n") == 5
    text = shown(capsys, str(data), "--inject", "corrupt:100%:unknown_format")
    assert text.count("headers format=xml row-id=") == 5


def test_standard_input(data: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of standard input the first row is known once it comes: durations count from it; shares are refused."""
    for spec, code in (("scale:items:100x:from=20s", 0), ("scale:items:2x:from=50%", 2), ("drift:V14:1sd", 2)):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data.read_bytes())))
        assert main(["-", "--dry-run", "--inject", spec]) == code
        told = capsys.readouterr()
        if code:
            assert "known of what can be read twice, amounts, durations or times wanted for standard input" in told.err
        else:
            assert told.out.count(f", {spec}\n") == 3


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--inject", "drift:V14:much"], "setting inject has value 'drift:V14:much': shift 'much', +1sd, -0.5sd or a"),
        (["--inject", "outage"], "setting inject has value 'silence:2m:from=50%': silence shows at a pace of event"),
        (["--inject", "scale:V2:2x"], "setting inject has value 'scale:V2:2x': 'V2' is no feature, one of Time, card"),
        (["--inject", "retries", "--inject", "retries"], "setting inject has value 'duplicate:5%' twice, each once"),
    ],
)
def test_refused(data: Path, arguments: list[str], sentence: str, capsys: Capture) -> None:
    """What cannot be broken is one line and exit code 2, before a broker is asked."""
    assert main([str(data), "--bootstrap-servers", "127.0.0.1:1", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"error: {sentence}")
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_commands(tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first argument may be a command, which the help names; a file of that name is told by its path."""
    assert main(["scenarios"]) == 0
    assert "fraud-wave: " in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    assert all(f"python -m replay {name}: " in text for name in COMMANDS)
    cards(60).assign(Time=START).to_csv(tmp_path / "scenarios", index=False)
    monkeypatch.chdir(tmp_path)
    assert main(["./scenarios", "--dry-run"]) in (0, 8)
    assert "fraud-wave" not in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        main(["scenarios", "more"])
    assert ended.value.code == 2
