"""From data to an artifact: the same bytes for the same seed, nothing left where it fails."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from detector import artifact, table
from detector.artifact import FILES, KERAS, MANIFEST, Artifact
from detector.errors import DataRefused, Failure
from detector.statistics import summarize
from detector.table.accounts import ACCOUNT_FEATURES, account_rows
from detector.threshold import calibrate, parse
from tests.conftest import CARDS_ROWS, real
from tests.trainer.conftest import Run, accounts, ignored, shortened
from trainer.build import Order, build
from trainer.datasets import KNOWN, Data
from trainer.export import keras_file
from trainer.fit import fit
from trainer.history import Columns, find_schema, prepare
from trainer.recipes import RECIPES, Dense, Layer, Memory, Recipe, Step
from trainer.simulate import simulated_cards

DENSE = Dense((Step("standardise"),), (Layer(6, "tanh", dropout=0.1),), epochs=1, patience=0)
SMALL = Order("small", Recipe("for these tests", (DENSE,), "percentile:99.5"), "small")
MEMORY = replace(SMALL, recipe=Recipe("no epochs", (Memory((Step("standardise"),), prototypes=8),), "percentile:99.5"))


def cards(rows: int, frauds: float = 0.00173) -> Data:
    known = KNOWN["simulated-cards"]
    return Data("cards", simulated_cards(rows, 0, fraud_share=frauds), known.label, known.normal, known.time)


def built(out: Path, order: Order = MEMORY, frauds: float = 0.00173) -> Artifact:
    build(cards(300, frauds), Columns(), order, out, ignored)
    return artifact.load(out)


def never(epoch: int, epochs: int, loss: float, held_out: float) -> None:
    """What is told to a training that must not begin."""
    raise AssertionError("it trained")


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever happens, no temporary file is left, but for those that TensorFlow removes when the process ends."""
    folder = tmp_path.parent / f"{tmp_path.name}-temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield
    assert [path.name for path in folder.iterdir() if not path.name.startswith("__autograph_generated_file")] == []


def manifest(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / MANIFEST).read_text())
    return found


def test_two_processes_make_the_same_bytes(twins: list[Run]) -> None:
    """Two processes with the same seed write the same files; the manifests differ in the time of making alone."""
    assert [run.code for run in twins] == [0, 0]
    one, other = (run.out for run in twins)
    for name in FILES:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    assert set(manifest(one)) == set(manifest(other))
    differing = {key for key, value in manifest(one).items() if manifest(other)[key] != value}
    assert differing <= {"created_at", "sha256"}


@pytest.mark.parametrize("recipe", [SMALL.recipe, shortened(RECIPES["default"])], ids=["dense", "default"])
def test_the_same_seed_gives_the_same_bytes(recipe: Recipe, tmp_path: Path) -> None:
    """The same order twice in one process gives the same bytes, but for the time of making; another seed others."""
    order = replace(SMALL, recipe=recipe, seed=5)
    for place in ("one", "same"):
        built(tmp_path / place, order)
    for file in FILES:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "same" / file).read_bytes(), file
    told, again = manifest(tmp_path / "one"), manifest(tmp_path / "same")
    assert {key for key, value in told.items() if again[key] != value} <= {"created_at", "sha256"}
    data = cards(300)
    history = prepare(data, find_schema(data, Columns()), 5)
    assert keras_file(fit(history, recipe, 6, None, ignored).model) != (tmp_path / "one" / KERAS).read_bytes()


def test_manifest(cards_artifact: Artifact) -> None:
    """The manifest says what it was made from and by: counts that add up, losses, versions, fingerprint."""
    training, data = cards_artifact.manifest["training"], cards_artifact.manifest["data"]
    assert data["rows"] == 3000
    kept = training["training_rows"] + training["held_out_rows"]
    assert kept + training["anomalous_rows_left_out"] == 3000
    assert training["anomalous_rows_left_out"] == 5
    assert training["epochs"] == len(training["losses"]) == len(training["held_out_losses"]) == 2
    assert training["held_out_losses"][training["best_epoch"] - 1] == min(training["held_out_losses"])
    assert len(data["sha256"]) == 64
    assert {"python", "tensorflow", "keras", "numpy", "ai-edge-litert"} <= set(cards_artifact.manifest["versions"])


def test_calibrated_by_the_served_graph(ecg_artifact_dir: Path) -> None:
    """The threshold is found in scores of the exported graph, on the rows that the recipe says: here training rows."""
    found = artifact.load(ecg_artifact_dir)
    scores = found.calibration.scores
    known = KNOWN["simulated-ecg"]
    frame = known.make(1_000, 1)
    normal = frame[frame["label"] == 1].drop(columns="label").to_numpy(np.float32)
    served = found.model().score(normal)
    assert len(scores) == found.manifest["training"]["training_rows"] == round(0.8 * len(normal))
    assert set(scores.tolist()) <= set(served.tolist())
    assert found.threshold == calibrate(parse("mean+1sd"), found.calibration)
    assert found.summary == summarize(scores)


def test_threshold_override(tmp_path: Path) -> None:
    """The order's threshold wins over the recipe's, and name and version are the order's."""
    found = built(tmp_path / "m", replace(MEMORY, threshold="mad:2", name="mine", model_version="9"))
    assert found.threshold == calibrate(parse("mad:2"), found.calibration)
    assert (found.name.name, found.name.version) == ("mine", "9")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("out of memory")])
def test_a_training_that_fails_leaves_nothing(error: BaseException, tmp_path: Path) -> None:
    """Interrupted or failing in the middle, a training leaves nothing at its place nor beside it."""

    def fail(epoch: int, epochs: int, loss: float, held_out: float) -> None:
        raise error

    with pytest.raises(type(error)):
        build(cards(300), Columns(), SMALL, tmp_path / "m", fail)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["trainer.build.serving_graph", "trainer.export.tf.saved_model.save"])
def test_an_export_that_is_interrupted_leaves_nothing(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted after the training, while the graph is made, it leaves nothing either, no temporary file too."""

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(place, interrupted)
    with pytest.raises(KeyboardInterrupt):
        built(tmp_path / "m", MEMORY)
    assert list(tmp_path.iterdir()) == []


def test_a_training_that_diverges_leaves_nothing(tmp_path: Path) -> None:
    """A learning rate of a million gives a loss that is no number: refused, and nothing is written."""
    wild = msgspec.structs.replace(DENSE, layers=(Layer(9, "gelu"), Layer(9, "gelu")), learning_rate=1e6, epochs=3)
    wild = msgspec.structs.replace(wild, optimizer="sgd")
    with pytest.raises(Failure, match="training diverged: the loss of epoch"):
        built(tmp_path / "m", replace(SMALL, recipe=Recipe("wild", (wild,), "mad:3")))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["detector.artifact.os.fsync", "detector.artifact._dump"])
def test_a_full_disk_leaves_the_old_artifact(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the disk is full when an artifact is written the one before stays as it was, and nothing else is left."""
    built(tmp_path / "m", MEMORY)
    before = {path.name: path.read_bytes() for path in (tmp_path / "m").iterdir()}

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(place, full)
    with pytest.raises(OSError, match="No space left on device"):
        built(tmp_path / "m", replace(MEMORY, seed=1))
    assert [path.name for path in tmp_path.iterdir()] == ["m"]
    assert {path.name: path.read_bytes() for path in (tmp_path / "m").iterdir()} == before


def test_an_older_artifact_is_replaced(tmp_path: Path) -> None:
    """A training to the place of an older artifact leaves the new one there, and nothing of the old one."""
    built(tmp_path / "m", MEMORY)
    assert built(tmp_path / "m", replace(MEMORY, model_version="2")).name.version == "2"
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


@pytest.mark.parametrize("threshold", ["often", "running-mad:3"])
def test_a_wrong_threshold_leaves_nothing(threshold: str, tmp_path: Path) -> None:
    """A threshold that cannot be found in history is refused before the training, not after, and leaves nothing."""
    with pytest.raises(ValueError, match=threshold):
        build(cards(300), Columns(), replace(MEMORY, threshold=threshold), tmp_path / "m", never)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_artifact_is_refused_first(tmp_path: Path) -> None:
    """A place that is taken is refused before the training, not after."""
    (tmp_path / "letter.txt").write_text("precious")
    with pytest.raises(FileExistsError):
        build(cards(300), Columns(), SMALL, tmp_path, never)
    assert (tmp_path / "letter.txt").read_text() == "precious"


def test_the_keras_file_is_the_graph_s_model(artifact_dir: Path, cards_artifact: Artifact) -> None:
    """The artifact's Keras model loads and has the schema's width."""
    from trainer.export import load_keras

    assert load_keras(artifact_dir / KERAS).input_shape == (None, len(cards_artifact.schema.features))


def test_calibration(cards_artifact: Artifact) -> None:
    """The artifact holds the served scores of all rows kept out of the fit, their amounts, and what history was."""
    known = KNOWN["simulated-cards"].make(CARDS_ROWS, 1)
    held, model = cards_artifact.calibration, cards_artifact.model()
    history = prepare(Data("cards", known), cards_artifact.schema, 0)
    for rows, scores, amounts in (
        (history.held_out, held.held_out, held.held_out_amounts),
        (history.anomalous, held.anomalous, held.anomalous_amounts),
    ):
        served = model.score(rows)
        assert scores.tolist() == sorted(served.tolist())
        assert amounts.astype(np.float32).tolist() == rows[np.argsort(served, kind="stable"), -1].tolist()
    assert held.scores.tolist() == held.held_out.tolist()
    assert (held.normal_rows, held.anomalous_rows) == (CARDS_ROWS - 5, 5)
    assert held.days == history.days
    assert held.amount == "Amount"


def test_no_time_and_no_amounts(ecg_artifact_dir: Path) -> None:
    """Without time and amount column the calibration holds none; scores of anomalous rows it holds all the same."""
    held = artifact.load(ecg_artifact_dir).calibration
    assert (held.days, held.amount, len(held.held_out_amounts), len(held.anomalous_amounts)) == (None, None, 0, 0)
    assert len(held.anomalous) == held.anomalous_rows > 300
    assert len(held.held_out) == pytest.approx(0.2 * held.normal_rows, abs=1)


@pytest.mark.parametrize("method", ["f1", "recall@precision:0.05", "budget:60/day"])
def test_methods_that_look_at_the_history(method: str, tmp_path: Path) -> None:
    """A training may find its threshold by labels or by rate: it is what the artifact's own calibration gives."""
    found = built(tmp_path / "m", replace(MEMORY, threshold=method), frauds=0.05)
    assert found.threshold == calibrate(parse(method), found.calibration)


@pytest.mark.parametrize(
    ("threshold", "columns", "wanted"),
    [
        ("f1", Columns(label="none"), "'f1' needs rows labelled anomalous"),
        ("recall@precision:0.9", Columns(label="none"), "needs rows labelled anomalous"),
        ("budget:5/day", Columns(time="none"), "'budget:5/day' needs a time column"),
    ],
)
def test_what_the_history_lacks_is_said_first(threshold: str, columns: Columns, wanted: str, tmp_path: Path) -> None:
    """A method that the history cannot serve is refused before the training, not after."""
    with pytest.raises(ValueError, match=wanted):
        build(cards(300), columns, replace(MEMORY, threshold=threshold), tmp_path / "m", never)
    assert list(tmp_path.iterdir()) == []


# Accounts


ACCOUNTS = replace(
    SMALL,
    recipe=msgspec.structs.replace(RECIPES["twitter-accounts"], branches=MEMORY.recipe.branches),
)


def test_raw_accounts(tmp_path: Path) -> None:
    """Accounts as their publisher has them become the sixteen features; bots are kept out; the others are counted."""
    frame = accounts(300, 0)
    history = build(Data("raw", frame), Columns(), ACCOUNTS, tmp_path / "m", ignored)
    found, rows = artifact.load(tmp_path / "m"), account_rows(frame)
    assert found.schema.features == ACCOUNT_FEATURES
    assert (found.schema.label, found.schema.normal, found.schema.time) == ("account_type", "human", None)
    assert found.manifest["data"]["not_english"] == 300 - len(rows) > 0
    assert found.manifest["data"]["rows"] == len(rows)
    humans = rows[rows["account_type"] == "human"]
    assert history.normal_rows == len(humans)
    assert history.anomalous_rows == len(rows) - len(humans) > 0
    learned = {row.tobytes() for chunk in history.training.chunks() for row in chunk}
    assert learned <= {row.tobytes() for row in table.encoded(humans, found.schema)}


def test_accounts_that_are_rows_of_features(tmp_path: Path) -> None:
    """A table that has the features already is learned from as it is, to the same bits."""
    frame = accounts(300, 0)
    build(Data("raw", frame), Columns(), ACCOUNTS, tmp_path / "raw", ignored)
    build(Data("raw", account_rows(frame)), Columns(), ACCOUNTS, tmp_path / "made", ignored)
    assert artifact.load(tmp_path / "raw").graph == artifact.load(tmp_path / "made").graph


def test_what_is_said_of_accounts_holds(tmp_path: Path) -> None:
    """Features and a time that a person names win; accounts without a label are all learned from."""
    said = Columns(features=("followers_count", "verified"), time="created_at")
    build(Data("raw", accounts(300, 0)), said, ACCOUNTS, tmp_path / "m", ignored)
    schema = artifact.load(tmp_path / "m").schema
    assert (schema.features, schema.time) == (("followers_count", "verified"), "created_at")
    unlabelled = Data("raw", accounts(300, 0).drop(columns="account_type"))
    assert build(unlabelled, Columns(), ACCOUNTS, tmp_path / "n", ignored).anomalous_rows == 0
    assert artifact.load(tmp_path / "n").schema.label is None


def test_a_table_of_no_accounts(tmp_path: Path) -> None:
    """What is neither raw accounts nor rows of their features is refused, naming what is absent."""
    with pytest.raises(DataRefused, match="feature column 'default_profile', 'default_profile_image', "):
        build(cards(300), Columns(), ACCOUNTS, tmp_path / "m", never)
    assert list(tmp_path.iterdir()) == []


def test_real_accounts(tmp_path: Path) -> None:
    """The real accounts are learned from without a word said: 3,279 English humans, 1,061 bots kept out."""
    frame = table.read(real("twitter_accounts.parquet"))
    history = build(Data("twitter", frame), Columns(), ACCOUNTS, tmp_path / "m", ignored)
    assert (history.normal_rows, history.anomalous_rows) == (3279, 1061)
    assert artifact.load(tmp_path / "m").manifest["data"]["not_english"] == len(frame) - 4340


def test_columns_of_steps(tmp_path: Path) -> None:
    """A step for a column that the table has not is refused before the training, for a recipe of any features."""
    step = Step("standardise", ("Amnt",))
    order = replace(SMALL, recipe=Recipe("x", (msgspec.structs.replace(DENSE, preprocessing=(step,)),), "mad:3"))
    with pytest.raises(ValueError, match="step 'standardise': column 'Amnt' is none of the features"):
        build(cards(300), Columns(), order, tmp_path / "m", never)
