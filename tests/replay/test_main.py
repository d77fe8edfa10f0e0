"""The command line, as far as it goes without a broker."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pandas as pd
import pytest

from detector.errors import EXIT_CODES
from detector.settings import flag
from replay.__main__ import main
from replay.settings import Settings

NOBODY = ["--bootstrap-servers", "127.0.0.1:1"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "rows.csv"
    pd.DataFrame({"x": [0.1, 0.2], "Class": [0, 1]}).to_csv(path, index=False)
    return path


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--speed", "fast"], 2, "error: setting speed: 'fast' is no speed; max (no pace), N/s"),
        (["--speed", "60x"], 2, "error: speed '60x' needs event times, and the data has no time column"),
        (["--timestamps", "original"], 2, "error: timestamps 'original' needs event times"),
        (["--max-lead", "10"], 2, "error: settings max_lead and group go together"),
        (["--features", "x,Class"], 2, "error: label column 'Class' would travel in the row"),
        (["--model", "nowhere"], 3, "error: model nowhere: no such directory"),
        (["--label", "Klass"], 8, "label column 'Klass' is not in the data, which has x, Class"),
        (["--features", "y"], 8, "feature column 'y' is not in the data"),
        (["--between", "1", "2"], 2, "error: setting between needs event times"),
        (["--label-delay", "7d"], 2, "error: label_delay '7d' needs event times"),
        (["--kafka", "enable.idempotence=false"], 2, "error: kafka property 'enable.idempotence' cannot be set here"),
    ],
)
def test_refusals(
    data: Path, arguments: list[str], code: int, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is wrong is one line on stderr that names it, and the exit code of its kind, before a broker is asked."""
    assert main([str(data), *NOBODY, *arguments]) == code
    captured = capsys.readouterr()
    assert sentence in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_no_such_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is not there is refused by its name."""
    assert main([str(tmp_path / "none.csv"), *NOBODY]) == 8
    assert capsys.readouterr().err == f"error: data {tmp_path / 'none.csv'}: no such file\n"


@pytest.mark.parametrize("other", ["-", "kafka://rows"])
def test_played_alone(data: Path, other: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Standard input and topics are not mixed with files."""
    assert main([str(data), other, *NOBODY]) == 2
    assert capsys.readouterr().err == f"error: data '{other}' is played alone, without other data\n"


def test_a_pattern_without_a_match(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A pattern that no file matches is refused as it was written."""
    assert main([str(tmp_path / "2024-*.csv"), *NOBODY]) == 8
    assert capsys.readouterr().err == f"error: data {tmp_path / '2024-*.csv'}: no file matches\n"


def test_help_names_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    """The help text has every setting with its variable, and every exit code with its meaning."""
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert ended.value.code == 0
    for f in fields(Settings):
        assert flag(f) in text
        assert f"[REPLAY_{f.name.upper()}]" in text
    for code, meaning in EXIT_CODES.items():
        assert f"{code} {' '.join(meaning.split())}" in text
    assert "--config FILE" in text


def test_light() -> None:
    """A replay imports neither TensorFlow nor scikit-learn."""
    program = "import sys, replay.__main__; print(sorted({'tensorflow', 'keras', 'sklearn'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"
