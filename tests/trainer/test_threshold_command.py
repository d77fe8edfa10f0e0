"""`threshold`: what the line costs, and moving it; the detector serves what it wrote."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from detector import artifact
from detector.artifact import FILES, MANIFEST
from detector.threshold import calibrate, parse
from trainer.__main__ import main
from trainer.commands.threshold import TRIED
from trainer.tradeoff import figures

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def model(artifact_dir: Path, tmp_path: Path) -> Path:
    """An artifact that may be moved: cards with labels, time and amounts."""
    return Path(shutil.copytree(artifact_dir, tmp_path / "model"))


def said(capture: Capture, *arguments: object) -> str:
    """What a command that succeeds prints; it has nothing to say on stderr."""
    assert main(["threshold", *map(str, arguments)]) == 0
    out, err = capture.readouterr()
    assert err == ""
    return out


def told(capture: Capture, *arguments: object) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(said(capture, *arguments, "--json"))
    return found


def failed(capture: Capture, *arguments: object) -> tuple[int, str]:
    """Exit code and the one line on stderr of a command that fails, which prints nothing else."""
    code = main(["threshold", *map(str, arguments)])
    out, err = capture.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    return code, err


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    "spec", ["percentile:99", "mean+2sd", "mad:6", "value:0.75", "f1", "recall@precision:0.05", "budget:5/hour"]
)
def test_the_detector_serves_what_was_moved(spec: str, model: Path, capsys: Capture) -> None:
    """Whatever the method, the moved line is the one that the method finds, and the one that a detector loads."""
    before = artifact.load(model)
    text = said(capsys, model, spec)
    wanted = calibrate(parse(spec), before.calibration)
    after = artifact.load(model)
    assert after.line().calibrated == after.threshold == wanted
    assert f"written: {model}; a detector takes it up when it starts" in text
    assert "before" in text
    assert before.threshold.method in text
    assert after.name == before.name


def test_only_the_line_moves(model: Path, capsys: Capture) -> None:
    """Model, version, time of making and all other files stay; the manifest remembers each move."""
    before, manifest = contents(model), artifact.load(model).manifest
    said(capsys, model, "value:3")
    said(capsys, model, "mad:4")
    after = artifact.load(model)
    assert {name for name in FILES if contents(model)[name] != before[name]} == set()
    assert {key for key in after.manifest if after.manifest[key] != manifest.get(key)} == {
        "threshold",
        "threshold_history",
        "sha256",
    }
    first, second = after.manifest["threshold_history"]
    assert first["from"] == manifest["threshold"]
    assert first["to"] == second["from"] == {"value": 3.0, "method": "value:3"}
    assert second["to"] == after.manifest["threshold"]
    assert first["at"] <= second["at"]
    assert list(model.parent.iterdir()) == [model]


def test_before_and_after(model: Path, capsys: Capture) -> None:
    """As JSON it tells both thresholds with all their figures, those of `trainer.tradeoff`."""
    found = artifact.load(model)
    told_now = told(capsys, model, "percentile:90")
    assert told_now["written"] is True
    assert told_now["history"] == found.calibration.to_dict()
    assert told_now["model"]["sha256"] == found.name.sha256
    moved = artifact.load(model).threshold
    for threshold, one in ((found.threshold, told_now["before"]), (moved, told_now["after"])):
        wanted = figures(found.calibration, threshold.value).to_dict()
        assert one == json.loads(json.dumps({"method": threshold.method, **wanted}))
    assert told_now["after"]["alerts_per_day"]["value"] > told_now["before"]["alerts_per_day"]["value"]


def test_dry_run(model: Path, capsys: Capture) -> None:
    """--dry-run says the same and leaves every byte as it is."""
    before = contents(model)
    dry = said(capsys, model, "value:3", "--dry-run")
    assert told(capsys, model, "value:3", "--dry-run")["written"] is False
    assert contents(model) == before
    assert "dry run: nothing is written" in dry
    assert said(capsys, model, "value:3").replace(f"written: {model}; a detector takes it up when it starts", "") == (
        dry.replace("dry run: nothing is written", "")
    )


def test_the_order_of_arguments_is_free(model: Path, capsys: Capture) -> None:
    """DIR, SPEC and options may stand in any order."""
    wanted = said(capsys, model, "value:3", "--dry-run", "--amount", "Amount")
    assert said(capsys, model, "--dry-run", "--amount", "Amount", "value:3") == wanted
    assert said(capsys, "--dry-run", "--amount", "Amount", model, "value:3") == wanted
    assert said(capsys, "--amount", "Amount", model, "--dry-run", "value:3") == wanted


@pytest.mark.parametrize("order", [[], ["x", "value:3", "more"], ["x", "--often"]])
def test_wrong_arguments(order: list[str], capsys: Capture) -> None:
    """Too few or too many arguments, and unknown ones, are refused with the usage and 2."""
    with pytest.raises(SystemExit) as left:
        main(["threshold", *order])
    assert left.value.code == 2
    assert "usage: python -m trainer" in capsys.readouterr().err


def test_where_it_was_already(model: Path, capsys: Capture) -> None:
    """Moving to where the line is writes nothing, and says so."""
    before = contents(model)
    text = said(capsys, model, artifact.load(model).threshold.method)
    assert text.endswith("unchanged: it is where it was\n")
    assert contents(model) == before


def test_what_each_method_would_give(model: Path, capsys: Capture) -> None:
    """Without SPEC it shows the present figures and what each method would give, and writes nothing."""
    before, found = contents(model), artifact.load(model)
    text = said(capsys, model)
    assert contents(model) == before
    assert max(map(len, text.splitlines())) <= 100
    assert "* percentile:99.5 " in text
    for spec in TRIED:
        (line,) = [line for line in text.splitlines() if line[2:].startswith(f"{spec} ")]
        assert line[24:].startswith(f"{calibrate(parse(spec), found.calibration).value:.6g} ")
    plain = told(capsys, model)
    assert [one["method"] for one in plain["methods"]] == list(TRIED)
    assert plain["now"]["method"] == "percentile:99.5"


def test_a_model_without_time_and_amounts(ecg_artifact_dir: Path, capsys: Capture) -> None:
    """Heartbeats have no time and no amounts: shares of rows instead of rates, and the budget says what it needs."""
    text = said(capsys, ecg_artifact_dir)
    assert "rows that alert" in text
    assert "a day  " not in text
    (line,) = [line for line in text.splitlines() if line.startswith("  budget:100/day ")]
    assert line.split("  ")[-1].strip() == "needs a time column that spans some time, the history has none"
    methods = told(capsys, ecg_artifact_dir)["methods"]
    assert methods[-1] == {
        "method": "budget:100/day",
        "refused": "needs a time column that spans some time, the history has none",
    }


def test_amounts(model: Path, capsys: Capture) -> None:
    """Money is told where the artifact holds amounts; --amount insists on them by name, none leaves them out."""
    assert "Amount caught a day" in said(capsys, model)
    assert said(capsys, model, "--amount", "Amount") == said(capsys, model)
    assert "Amount" not in said(capsys, model, "value:3", "--dry-run", "--amount", "none")
    assert told(capsys, model, "--amount", "none")["now"]["caught_per_day"] is None


def test_amounts_that_it_does_not_hold(model: Path, ecg_artifact_dir: Path, capsys: Capture) -> None:
    """An amount column that the artifact does not hold is refused with the one that it holds, and nothing moves."""
    before = contents(model)
    wanted = (2, "error: amount 'price' is not in the model, which holds the amounts of 'Amount'\n")
    assert failed(capsys, model, "f1", "--amount", "price") == wanted
    assert contents(model) == before
    code, text = failed(capsys, ecg_artifact_dir, "--amount", "price")
    assert (code, text) == (
        2,
        "error: amount 'price' is not in the model, which holds no amounts; `fit --amount` keeps them\n",
    )


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ("often", "threshold 'often' is none of percentile:99.5, "),
        ("running-mad:3", "threshold 'running-mad:3' needs a running detector"),
        ("budget:0.001/day", "threshold 'budget:0.001/day': its rows can tell no fewer alerts a day than "),
        ("budget:9999999/day", "threshold 'budget:9999999/day': the history has "),
        ("percentile:101", "a percentile above 0 and up to 100 is wanted"),
    ],
)
def test_refusals(spec: str, wanted: str, model: Path, capsys: Capture) -> None:
    """A method that cannot be found is refused as an argument, and the artifact stays as it was."""
    before = contents(model)
    code, text = failed(capsys, model, spec)
    assert code == 2
    assert wanted in text
    assert contents(model) == before


def test_no_time(ecg_artifact_dir: Path, capsys: Capture) -> None:
    """A budget needs a time: refused where history had none."""
    code, text = failed(capsys, ecg_artifact_dir, "budget:5/day")
    assert code == 2
    assert "'budget:5/day' needs a time column" in text


def test_a_damaged_model(model: Path, tmp_path: Path, capsys: Capture) -> None:
    """A model that is missing or was altered is refused with 3, and is not sealed anew."""
    (model / MANIFEST).write_bytes((model / MANIFEST).read_bytes().replace(b'"version": "1"', b'"version": "2"'))
    before = contents(model)
    assert failed(capsys, model, "value:3")[0] == 3
    assert contents(model) == before
    assert failed(capsys, tmp_path / "absent")[0] == 3


def test_a_place_that_cannot_be_written(model: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the artifact cannot be exchanged the command fails with one line, and the old one stands."""

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    before = contents(model)
    monkeypatch.setattr(os, "fsync", full)
    assert failed(capsys, model, "value:3") == (1, f"error: model {model}: No space left on device\n")
    assert contents(model) == before
