"""The command line: what each command does, and how each fails."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from detector import artifact, table
from detector.artifact import GRAPH, Artifact
from detector.command import exit_codes_text
from detector.model import Model
from detector.threshold import METHODS, calibrate, parse
from tests.trainer.conftest import Run, accounts
from trainer.__main__ import main
from trainer.datasets import KNOWN
from trainer.evaluate import evaluate
from trainer.history import days
from trainer.recipes import RECIPES, find, source
from trainer.simulate import simulated_cards, simulated_ecg

Capture = pytest.CaptureFixture[str]
COMMANDS = (
    "fit",
    "score",
    "evaluate",
    "show",
    "generate",
    "convert",
    "fetch",
    "inspect",
    "recipes",
    "report",
    "threshold",
    "sign",
)


@pytest.fixture(scope="module")
def rows(unseen_cards: pd.DataFrame) -> pd.DataFrame:
    return unseen_cards.head(400)


@pytest.fixture
def file(rows: pd.DataFrame, tmp_path: Path) -> Path:
    """400 labelled rows as CSV."""
    rows.to_csv(tmp_path / "rows.csv", index=False)
    return tmp_path / "rows.csv"


def said(capture: Capture, *arguments: object) -> str:
    """What a command that succeeds prints; it has nothing to say on stderr."""
    assert main([str(one) for one in arguments]) == 0
    out, err = capture.readouterr()
    assert err == ""
    return out


def failed(capture: Capture, *arguments: object) -> tuple[int, str]:
    """Exit code and the one line on stderr of a command that fails, which prints nothing else."""
    code = main([str(one) for one in arguments])
    out, err = capture.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    return code, err


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command: str, capsys: Capture) -> None:
    """The help of each command, and of all, names exit codes, data sets, recipes and thresholds."""
    for arguments in ([command, "--help"], ["--help"]):
        with pytest.raises(SystemExit) as left:
            main(arguments)
        assert left.value.code == 0
        text = capsys.readouterr().out
        assert text.endswith(exit_codes_text() + "\n")
        assert all(f"\n  {name} " in text for name in (*KNOWN, *RECIPES, *METHODS))
    assert all(re.search(rf"^    {name}\s", text, re.MULTILINE) for name in COMMANDS)


def test_fit_says_what_it_made(twins: list[Run]) -> None:
    """A training that succeeds exits 0, tells its progress alone on stderr, and on stdout what the artifact is."""
    run = twins[0]
    assert run.code == 0
    assert re.fullmatch(r"(training: epoch \d+/1 loss [-+.e\d]+ held out [-+.e\d]+\n)+", run.stderr)
    found = artifact.load(run.out)
    assert f"sha256 {found.name.sha256[:12]}" in run.stdout
    assert "model           simulated-ecg version 1" in run.stdout
    assert "label label (normal = 1)" in run.stdout
    assert f"{found.threshold.value:.9g} by mean+1sd" in run.stdout


def test_fit_by_the_default_recipe_says_no_more(file: Path, tmp_path: Path) -> None:
    """However many networks a recipe has, stderr has the progress alone: nothing that TensorFlow has to say."""
    short = source("default").replace("steps = 2000", "steps = 20").replace("prototypes = 512", "prototypes = 16")
    (tmp_path / "short.toml").write_text(short, encoding="utf-8")
    order = ["fit", file, "--recipe", tmp_path / "short.toml", "--out", tmp_path / "m"]
    command = [sys.executable, "-m", "trainer", *map(str, order)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0
    assert re.fullmatch(r"(training: epoch \d+/20 loss [-+.e\d]+ held out [-+.e\d]+\n)+", ran.stderr)


def test_fit_tells_its_checks(tiny: Path, file: Path, tmp_path: Path, capsys: Capture) -> None:
    """Each look at labelled rows is a line on stderr, which says at which threshold it is."""
    order = ["fit", str(file), "--recipe", str(tiny), "--epochs", "1", "--out", str(tmp_path / "m")]
    figures = r"precision (\d\.\d{4}|undefined) recall \d\.\d{4} F1 \d\.\d{4} AUROC \d\.\d{4}"
    for threshold, wanted in (("percentile:99", rf"at the best F1: {figures}"), ("value:3", rf"{figures} best F1 0\.")):
        tiny.write_text(TINY.replace("epochs = 2", "check_every = 2"))
        assert main([*order, "--threshold", threshold]) == 0
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("check: batch ")]
        assert [line.split()[2] for line in lines] == ["2", "4"]
        assert all(re.search(wanted, line) for line in lines)
    assert artifact.load(tmp_path / "m").manifest["training"]["checks_threshold"] == 3


def test_fit_of_a_file(file: Path, tmp_path: Path, capsys: Capture) -> None:
    """A file is learned from with the columns that were said; text is left out and named; progress is on stderr."""
    frame = table.read(file).assign(shop="x", fine=lambda one: 1 - one["Class"])
    frame.to_csv(tmp_path / "more.csv.gz", index=False)
    asked = ["--label", "fine", "--normal", "1", "--time", "none", "--key", "V28", "--features", "V1,V2,Amount"]
    asked += ["--recipe", "cards-29-20-8-20", "--epochs", "1", "--threshold", "mad:4"]
    order = ["fit", tmp_path / "more.csv.gz", "--out", tmp_path / "m", *asked]
    assert main([str(one) for one in order]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("left out: Time, V3, ")
    assert re.fullmatch(r"training: epoch 1/1 loss .*\n", err)
    found = artifact.load(tmp_path / "m")
    schema = found.schema
    assert (schema.features, schema.label, schema.normal) == (("V1", "V2", "Amount"), "fine", "1")
    assert (schema.time, schema.key) == (None, "V28")
    assert (found.name.name, found.threshold.method) == ("more", "mad:4")
    assert found.manifest["training"]["anomalous_rows_left_out"] == int(frame["Class"].sum())


@pytest.mark.parametrize("ending", ["csv", "csv.zst", "parquet"])
def test_score_keeps_every_bit(
    ending: str, file: Path, artifact_dir: Path, cards_model: Model, cards_artifact: Artifact, capsys: Capture
) -> None:
    """`score` writes each row's number, score, threshold and verdict; scores come back bit for bit from the file."""
    out = file.parent / f"scores.{ending}"
    text = said(capsys, "score", artifact_dir, file, "--out", out, "--threshold", "percentile:90")
    found = table.read(out)
    scores = cards_model.score(table.matrix(table.read(file), cards_artifact.schema.features))
    line = calibrate(parse("percentile:90"), cards_artifact.calibration).value
    assert list(found.columns) == ["row_id", "score", "threshold", "verdict"]
    assert found["row_id"].tolist() == list(range(400))
    assert found["score"].to_numpy().astype(np.float32).tobytes() == scores.tobytes()
    assert set(found["threshold"]) == {line}
    assert found["verdict"].tolist() == ["alert" if score > line else "normal" for score in scores.astype(float)]
    assert text == f"400 rows, {(scores.astype(float) > line).sum()} alerts above {line:.9g}: {out}\n"


def test_evaluate(
    rows: pd.DataFrame, file: Path, artifact_dir: Path, cards_model: Model, cards_artifact: Artifact, capsys: Capture
) -> None:
    """`evaluate` compares the model's scores with the labels: as JSON every figure, as text for a person."""
    scores = cards_model.score(table.matrix(rows, cards_artifact.schema.features))
    truth, line = rows["Class"].to_numpy() == 1, cards_artifact.threshold.value
    span = days(table.event_milliseconds(rows, "Time"))
    wanted = evaluate(scores, truth, line, span, "Amount", rows["Amount"].to_numpy())
    assert json.loads(said(capsys, "evaluate", artifact_dir, file, "--json")) == wanted.to_dict()
    assert f"  AUROC                          {wanted.auroc:.4f} [" in said(capsys, "evaluate", artifact_dir, file)
    turned = json.loads(said(capsys, "evaluate", artifact_dir, file, "--json", "--normal", "1", "--label", "Class"))
    assert turned["anomalous"] == 400 - wanted.anomalous


def test_show(artifact_dir: Path, cards_artifact: Artifact, capsys: Capture) -> None:
    """`show` says what an artifact is; with --json it prints the whole manifest."""
    assert json.loads(said(capsys, "show", artifact_dir, "--json")) == cards_artifact.manifest
    text = said(capsys, "show", artifact_dir)
    assert "29: V1, V2, V3, V4, V5, V6, V7, V8, ... Amount" in text
    assert str(artifact_dir) in text


@pytest.mark.parametrize("ending", ["csv", "csv.xz", "parquet"])
def test_generate(ending: str, tmp_path: Path, capsys: Capture) -> None:
    """`generate` writes exactly the simulated rows of that seed, and says that they are simulated."""
    out = tmp_path / f"rows.{ending}"
    text = said(capsys, "generate", "simulated-cards", "--rows", 70, "--seed", 4, "--out", out)
    assert text == f"70 SIMULATED rows: {out}\n"
    pd.testing.assert_frame_equal(table.read(out), simulated_cards(70, 4), check_exact=True, check_dtype=False)


def test_generate_heartbeats(tmp_path: Path, capsys: Capture) -> None:
    """The heartbeats too, with the seed 0 where none is said."""
    said(capsys, "generate", "simulated-ecg", "--rows", 20, "--out", tmp_path / "x.csv")
    pd.testing.assert_frame_equal(table.read(tmp_path / "x.csv"), simulated_ecg(20, 0), check_exact=True)


def test_no_such_data(artifact_dir: Path, tmp_path: Path, capsys: Capture) -> None:
    """Data that are neither a file nor known are refused with 8, by each command that reads data."""
    for order in (["fit"], ["score", artifact_dir], ["evaluate", artifact_dir]):
        out = [] if order[0] == "evaluate" else ["--out", tmp_path / "x"]
        code, text = failed(capsys, *order, "absent.csv", *out)
        assert (code, text) == (
            8,
            "error: data 'absent.csv' is neither a file nor a known set (simulated-cards, simulated-ecg)\n",
        )


@pytest.mark.parametrize(
    ("order", "code", "wanted"),
    [
        (["--label", "fraud"], 8, "label column 'fraud' is not in the data, which has Time, V1"),
        (["--features", "V1,V99"], 8, "feature column 'V99' is not in the data"),
        (["--features", "V1,Class"], 8, "label column 'Class' cannot be a feature"),
        (["--normal", "7"], 8, "0 normal rows (label 'Class' = '7'), at least 50 wanted"),
        (["--recipe", "ecg-msle", "--features", "V1"], 8, "1 feature column, at least 2 wanted"),
        (["--threshold", "often"], 2, "threshold 'often' is none of percentile:99.5, "),
        (["--threshold", "running-mad:3"], 2, "threshold 'running-mad:3' needs a running detector"),
    ],
)
def test_fit_refusals(order: list[str], code: int, wanted: str, file: Path, tmp_path: Path, capsys: Capture) -> None:
    """What cannot be trained is refused with the right code and leaves nothing at its place."""
    found, text = failed(capsys, "fit", file, "--out", tmp_path / "m", *order)
    assert found == code
    assert wanted in text
    assert not (tmp_path / "m").exists()


BAD_ROWS: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "no rows": lambda frame: frame.head(0),
    "few rows": lambda frame: frame.head(40),
    "all anomalous": lambda frame: frame.assign(Class=1),
    "constant": lambda frame: frame.assign(**dict.fromkeys(frame.columns[1:-1], 1.5)),
    "text among numbers": lambda frame: frame.assign(V3=[*frame["V3"].astype(str)[:-1], "twelve"]),
    "infinite": lambda frame: frame.assign(V3=[*frame["V3"][:-1], np.inf]),
    "no truth in a row": lambda frame: frame.assign(Class=[*frame["Class"][:-1], np.nan]),
    "no column": lambda frame: frame.drop(columns=["V3", "V7"]),
}


@pytest.mark.parametrize(
    ("rows_that", "wanted"),
    [
        ("no rows", "rows.csv: no rows"),
        ("few rows", "38 normal rows (label 'Class' = '0'), at least 50 wanted"),
        ("all anomalous", "0 normal rows (label 'Class' = '0'), at least 50 wanted"),
        ("constant", "every feature is constant, there is nothing to learn"),
        ("text among numbers", "feature column 'V3': numbers mixed with text, such as 'twelve': empty those cells"),
        ("infinite", "a feature is infinite or beyond the range of float32"),
        ("no truth in a row", "label column 'Class' has 1 missing values"),
        ("no column", "feature column 'V3', 'V7' is not in the data, which has Time, V1, "),
    ],
)
def test_rows_that_cannot_be_learned_from(rows_that: str, wanted: str, tmp_path: Path, capsys: Capture) -> None:
    """Rows that a recipe cannot learn from are refused with 8 and what is wrong with them, before the training."""
    BAD_ROWS[rows_that](simulated_cards(200, 0, fraud_share=0.02)).to_csv(tmp_path / "rows.csv", index=False)
    code, text = failed(capsys, "fit", tmp_path / "rows.csv", "--out", tmp_path / "m", "--recipe", "cards-29-20-8-20")
    assert code == 8
    assert wanted in text
    assert [path.name for path in tmp_path.iterdir()] == ["rows.csv"]


def test_fit_does_not_overwrite(file: Path, capsys: Capture) -> None:
    """A place that holds something that is no artifact is refused, and left as it is."""
    before = file.read_bytes()
    code, text = failed(capsys, "fit", file, "--out", file.parent)
    assert code == 1
    assert f"{file.parent} exists and is no artifact; it is left as it is" in text
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    "order", [["--epochs", "0"], ["--epochs", "many"], ["--seed", "-1"], ["--seed", "4294967296"], ["--memory", "x"]]
)
def test_wrong_numbers(order: list[str], tmp_path: Path, capsys: Capture) -> None:
    """A number that makes no sense is refused as an argument, with what was wanted."""
    with pytest.raises(SystemExit) as left:
        main(["fit", "simulated-ecg", "--out", str(tmp_path / "m"), *order])
    assert left.value.code == 2
    assert f"argument {order[0]}: invalid" in capsys.readouterr().err


TINY = """
about = "for these tests"
threshold = "percentile:99"
features = ["V1", "V2", "Amount"]

[[branches]]
kind = "dense"
preprocessing = [{ kind = "standardise" }]
layers = [{ units = 2, activation = "tanh" }]
epochs = 2
"""


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A person's own recipe."""
    (tmp_path / "tiny.toml").write_text(TINY)
    return tmp_path / "tiny.toml"


def test_fit_by_a_person_s_recipe(tiny: Path, file: Path, tmp_path: Path, capsys: Capture) -> None:
    """A recipe of one's own is a file, by whose name the artifact says how it was made."""
    assert main(["fit", str(file), "--recipe", str(tiny), "--out", str(tmp_path / "m")]) == 0
    assert "by recipe tiny, seed 0" in capsys.readouterr().out
    found = artifact.load(tmp_path / "m")
    assert found.schema.features == ("V1", "V2", "Amount")
    assert found.threshold.method == "percentile:99"
    assert (found.manifest["training"]["recipe"], found.manifest["training"]["epochs"]) == ("tiny", 2)


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("tanh", "tanhh", "branches[0].layers[0].activation: Invalid enum value 'tanhh'; wanted: linear, relu, "),
        ("epochs = 2", "epochs = 0", "branches[0].epochs: Expected `int` >= 1"),
        ("percentile:99", "often", "threshold 'often' is none of percentile:99.5, "),
        ("[[branches]]", "[[branches", "not TOML: "),
    ],
)
def test_fit_by_a_wrong_recipe(
    old: str, new: str, wanted: str, tiny: Path, file: Path, tmp_path: Path, capsys: Capture
) -> None:
    """A mistake in a recipe is refused with 2, the file and the key, before the training, and leaves nothing."""
    tiny.write_text(TINY.replace(old, new))
    code, text = failed(capsys, "fit", file, "--recipe", tiny, "--out", tmp_path / "m")
    assert code == 2
    assert text.startswith(f"error: recipe {tiny}: ")
    assert wanted in text
    assert not (tmp_path / "m").exists()


def test_no_such_recipe(file: Path, tmp_path: Path, capsys: Capture) -> None:
    """A recipe that is neither known nor a file is refused with 2."""
    for name, wanted in (("x", "is none of default, cards-29-20-8-20, "), ("x.toml", "No such file or directory")):
        code, text = failed(capsys, "fit", file, "--recipe", name, "--out", tmp_path / "m")
        assert code == 2
        assert wanted in text


def interrupting(epoch: int, epochs: int, loss: float, held_out: float) -> None:
    """A person presses Ctrl-C after the first epoch."""
    raise KeyboardInterrupt


def test_an_interrupted_fit(
    tiny: Path, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """Interrupted while it learns, `fit` ends with 130 and leaves no half artifact."""
    monkeypatch.setattr("trainer.progress.told", lambda: nullcontext(interrupting))
    before = sorted(tmp_path.iterdir())
    assert main(["fit", str(file), "--recipe", str(tiny), "--out", str(tmp_path / "m")]) == 130
    assert capsys.readouterr() == ("", "interrupted\n")
    assert sorted(tmp_path.iterdir()) == before


def test_a_full_disk(tiny: Path, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """Where the disk is full `fit` ends with 1 and one line, and nothing is left but what was there."""

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("detector.artifact.os.fsync", full)
    before = sorted(tmp_path.iterdir())
    assert main(["fit", str(file), "--recipe", str(tiny), "--out", str(tmp_path / "m")]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.splitlines()[-1] == f"error: out {tmp_path / 'm'}: No space left on device"
    assert "Traceback" not in told.err
    assert sorted(tmp_path.iterdir()) == before


def test_tensorflow_s_own_failures(
    tiny: Path, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """What TensorFlow itself cannot do, such as write to a full disk, is one line too."""
    import tensorflow as tf

    def full(*_: object, **__: object) -> None:
        raise tf.errors.ResourceExhaustedError(None, None, "model; No space left on device\n\nStack trace: ...")

    monkeypatch.setattr("tensorflow.saved_model.save", full)
    assert main(["fit", str(file), "--recipe", str(tiny), "--out", str(tmp_path / "m")]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == "error: TensorFlow: model; No space left on device"
    assert not (tmp_path / "m").exists()


def test_a_fit_that_diverges(tiny: Path, file: Path, tmp_path: Path, capsys: Capture) -> None:
    """A learning rate that is far too high ends with 1 and one line, and leaves no artifact."""
    wild = 'activation = "linear" }, { units = 9 }]\nlearning_rate = 1e6\noptimizer = "sgd"'
    tiny.write_text(TINY.replace('activation = "tanh" }]', wild))
    assert main(["fit", str(file), "--recipe", str(tiny), "--out", str(tmp_path / "m")]) == 1
    told = capsys.readouterr()
    assert told.err.splitlines()[-1] == "error: training diverged: the loss of epoch 1 is no finite number"
    assert not (tmp_path / "m").exists()


def test_fit_for_tensorboard(tiny: Path, file: Path, tmp_path: Path, capsys: Capture) -> None:
    """With --tensorboard there are event files of training and validation; a place that is none is refused.

    With --metrics there is a file for Prometheus.
    """
    order = ["fit", str(file), "--recipe", str(tiny), "--out", str(tmp_path / "m")]
    assert main([*order, "--tensorboard", str(tmp_path / "curves"), "--metrics", str(tmp_path / "m.prom")]) == 0
    assert "\ntrainer_duration_seconds{model=" in (tmp_path / "m.prom").read_text()
    found = sorted(str(path.parent.relative_to(tmp_path)) for path in tmp_path.rglob("events.out.tfevents.*"))
    assert found == ["curves/autoencoder/train", "curves/autoencoder/validation"]
    capsys.readouterr()
    assert failed(capsys, *order, "--tensorboard", file) == (1, f"error: tensorboard {file}: File exists\n")
    tiny.write_text(TINY.partition("layers")[0].replace("dense", "memory"))
    code, text = failed(capsys, *order, "--tensorboard", tmp_path / "curves")
    assert (code, text) == (
        2,
        "error: tensorboard: the recipe has no dense branch, so that nothing is learned by epochs\n",
    )


def test_fit_of_raw_accounts(tmp_path: Path, capsys: Capture) -> None:
    """Raw accounts are learned from without a word but the recipe; how many were not English is said."""
    frame = accounts(200, 0)
    frame.to_csv(tmp_path / "accounts.csv", index=False)
    order = ["fit", tmp_path / "accounts.csv", "--recipe", "twitter-accounts", "--epochs", 1, "--out", tmp_path / "m"]
    assert main([str(one) for one in order]) == 0
    foreign = int((frame["lang"] != "en").sum())
    assert f"left out: {foreign} accounts that are not English\n" in capsys.readouterr().out
    assert artifact.load(tmp_path / "m").threshold.method == "mad:3"


def test_recipes(capsys: Capture) -> None:
    """`recipes` lists them all with what they are for; with a name it prints that one's TOML."""
    lines = said(capsys, "recipes").splitlines()
    assert [line.split()[0] for line in lines] == list(RECIPES)
    assert all(line.endswith(RECIPES[line.split()[0]].about) for line in lines)
    assert failed(capsys, "recipes", "mine") == (2, f"error: recipe 'mine' is none of {', '.join(RECIPES)}\n")


@pytest.mark.parametrize("name", RECIPES)
def test_a_printed_recipe_can_be_given_back(name: str, tmp_path: Path, capsys: Capture) -> None:
    """What `recipes NAME` prints is a file that --recipe takes, and the very same recipe."""
    (tmp_path / "mine.toml").write_text(said(capsys, "recipes", name), encoding="utf-8")
    assert find(str(tmp_path / "mine.toml")) == ("mine", RECIPES[name])


@pytest.mark.parametrize("command", ["score", "evaluate", "show"])
def test_refused_models(command: str, file: Path, artifact_dir: Path, tmp_path: Path, capsys: Capture) -> None:
    """A model that is missing, or was altered, is refused with 3 and named, by each command that loads one."""
    altered = Path(shutil.copytree(artifact_dir, tmp_path / "altered"))
    with (altered / GRAPH).open("ab") as graph:
        graph.write(b"\0")
    arguments: dict[str, list[object]] = {"score": [file, "--out", tmp_path / "x.csv"], "evaluate": [file], "show": []}
    more = arguments[command]
    for model, wanted in ((tmp_path / "absent", "no such directory"), (altered, "model.tflite: sha256")):
        code, text = failed(capsys, command, model, *more)
        assert code == 3
        assert wanted in text
    assert not (tmp_path / "x.csv").exists()


def test_a_model_of_other_features(file: Path, ecg_artifact_dir: Path, tmp_path: Path, capsys: Capture) -> None:
    """Rows without the model's features are refused, naming what is absent."""
    code, text = failed(capsys, "score", ecg_artifact_dir, file, "--out", tmp_path / "x.csv")
    assert code == 8
    assert "feature column 'c0', 'c1', " in text


@pytest.mark.parametrize(
    ("order", "code", "wanted"),
    [
        (["--threshold", "often"], 2, "threshold 'often' is none of"),
        (["--threshold", "running-mad:3"], 2, "'running-mad:3' needs a running detector"),
        (["--label", "fraud"], 8, "label column 'fraud' is not in the data"),
        (["--label", "none"], 8, "no label column found; name it with --label"),
    ],
)
def test_evaluate_refusals(
    order: list[str], code: int, wanted: str, file: Path, artifact_dir: Path, capsys: Capture
) -> None:
    """What cannot be compared is refused with the right code."""
    found, text = failed(capsys, "evaluate", artifact_dir, file, *order)
    assert found == code
    assert wanted in text


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e39])
def test_rows_that_could_be_no_message(
    value: float, rows: pd.DataFrame, artifact_dir: Path, tmp_path: Path, capsys: Capture
) -> None:
    """A row that the stream would reject is refused with its number and feature: a score means the same in both."""
    wrong = rows.copy()
    wrong.loc[rows.index[7], "V3"] = value
    wrong.to_csv(tmp_path / "wrong.csv", index=False)
    code, text = failed(capsys, "score", artifact_dir, tmp_path / "wrong.csv", "--out", tmp_path / "x.csv")
    assert (code, text) == (8, "error: row 7: feature 'V3' is missing, infinite or too large\n")


@pytest.mark.parametrize("name", ["rows.txt", "absent/rows.csv", "absent/rows.parquet"])
def test_out_that_cannot_be_written(name: str, tmp_path: Path, capsys: Capture) -> None:
    """A file that cannot be written is named."""
    code, text = failed(capsys, "generate", "simulated-ecg", "--rows", 5, "--out", tmp_path / name)
    assert code == 8
    assert f"error: out {tmp_path / name}: " in text


def test_a_process_of_its_own(tmp_path: Path) -> None:
    """As a process too an error is one line and its code, without TensorFlow's greetings."""
    command = [sys.executable, "-m", "trainer", "show", str(tmp_path / "absent")]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 3
    assert ran.stdout == ""
    assert re.fullmatch(r"error: model .*/absent: no such directory; .*\n", ran.stderr)
