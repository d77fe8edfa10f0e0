"""From data to an artifact: the same bytes for the same seed, nothing left where it fails."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from detector import artifact
from detector.artifact import FILES, KERAS, MANIFEST, Artifact
from detector.statistics import summarize
from detector.threshold import calibrate, parse
from tests.conftest import CARDS_ROWS
from tests.trainer.conftest import Run
from trainer.build import Order, build
from trainer.datasets import KNOWN, Data
from trainer.history import Columns, prepare
from trainer.recipes import RECIPES
from trainer.simulate import simulated_cards

ORDER = Order("default", replace(RECIPES["default"], layers=RECIPES["default"].layers[1:2]), "small", epochs=1)


def cards(rows: int, frauds: float = 0.00173) -> Data:
    known = KNOWN["simulated-cards"]
    return Data("cards", simulated_cards(rows, 0, fraud_share=frauds), known.label, known.normal, known.time)


def built(out: Path, order: Order = ORDER, frauds: float = 0.00173) -> Artifact:
    build(cards(300, frauds), Columns(), order, out, lambda epoch, loss, held_out: None)
    return artifact.load(out)


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
    found = built(tmp_path / "m", replace(ORDER, threshold="mad:2", name="mine", model_version="9"))
    assert found.threshold == calibrate(parse("mad:2"), found.calibration)
    assert (found.name.name, found.name.version) == ("mine", "9")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("out of memory")])
def test_a_training_that_fails_leaves_nothing(error: BaseException, tmp_path: Path) -> None:
    """Interrupted or failing in the middle, a training leaves nothing at its place nor beside it."""

    def fail(epoch: int, loss: float, held_out: float) -> None:
        raise error

    with pytest.raises(type(error)):
        build(cards(300), Columns(), ORDER, tmp_path / "m", fail)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("threshold", ["often", "running-mad:3"])
def test_a_wrong_threshold_leaves_nothing(threshold: str, tmp_path: Path) -> None:
    """A threshold that cannot be found in history is refused before the training, not after, and leaves nothing."""
    with pytest.raises(ValueError, match=threshold):
        build(cards(300), Columns(), replace(ORDER, threshold=threshold), tmp_path / "m", never)
    assert list(tmp_path.iterdir()) == []


def never(epoch: int, loss: float, held_out: float) -> None:
    """What is told to a training that must not begin."""
    raise AssertionError("it trained")


def test_what_is_no_artifact_is_refused_first(tmp_path: Path) -> None:
    """A place that is taken is refused before the training, not after."""
    (tmp_path / "letter.txt").write_text("precious")
    with pytest.raises(FileExistsError):
        build(cards(300), Columns(), ORDER, tmp_path, never)
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
    found = built(tmp_path / "m", replace(ORDER, threshold=method), frauds=0.05)
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
        build(cards(300), columns, replace(ORDER, threshold=threshold), tmp_path / "m", never)
    assert list(tmp_path.iterdir()) == []
