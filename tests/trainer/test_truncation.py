"""What truncation costs: what the whole numbers no longer tell, what is no longer found, and where it is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from sklearn import metrics

from detector import artifact
from detector.artifact import GRAPH, Artifact
from detector.errors import Failure
from detector.page.content import Section
from detector.page.drawing import styled
from tests.arrays import f32
from tests.conftest import real
from tests.trainer.conftest import ignored
from trainer.build import Order, build
from trainer.columns import Columns
from trainer.commands.show import describe
from trainer.comparison import ratio
from trainer.datasets import Data, open_data
from trainer.recipes import RECIPES, Dense, Layer, Recipe, Step
from trainer.report import page, whole_numbers
from trainer.report.evidence import of_artifact
from trainer.report.sections import compose
from trainer.simulate import simulated_cards
from trainer.truncation import FAILED, NO_LABELS, Lost, unexplained

WHOLE = Recipe(
    "for these tests",
    (Dense((Step("standardise"),), (Layer(6, "tanh"),), epochs=3, batch=32, learning_rate=0.01, patience=0),),
    "percentile:99",
    rows="all",
    truncate=True,
)
ORDER = Order("cut", WHOLE, "small")
Capture = pytest.CaptureFixture[str]


def cards(labelled: bool) -> Data:
    frame = simulated_cards(600, 0, fraud_share=0.1)
    return Data("cards", frame if labelled else frame[frame["Class"] == 0].drop(columns="Class"))


def built(out: Path, order: Order = ORDER, labelled: bool = True) -> Artifact:
    build(cards(labelled), Columns(), order, out, ignored)
    return artifact.load(out)


@pytest.fixture(scope="module")
def truncated(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """Learned from whole numbers, with labels to tell what that costs."""
    return built(tmp_path_factory.mktemp("truncated") / "model")


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return built(tmp_path_factory.mktemp("unlabelled") / "model", labelled=False)


def cost_of(found: Artifact) -> dict[str, Any]:
    return dict(found.manifest["training"]["truncation"])


# What is lost


def test_lost() -> None:
    """By hand: values between -1 and 1 become 0, which 0 itself does not; what never varied has nothing to lose."""
    rows = f32([[0.5, 1.0, 7.5, np.nan], [-0.5, 2.0, 7.5, 0.0], [0.25, 3.0, 7.5, 1.5], [0.0, 4.0, 7.5, np.nan]])
    found = Lost.of(rows)
    assert found.zeroed == (0.75, 0.0, 0.0, 0.0)
    assert found.cells == 3 / 14
    assert found.kept == pytest.approx((0.0, 1.0, None, 1.0))
    assert found.mean_kept == pytest.approx(2 / 3)


@given(arrays(np.float32, st.tuples(st.integers(1, 30), st.integers(1, 3)), elements=st.floats(-9, 9, width=16)))
def test_lost_is_numpy_s(rows: NDArray[np.float32]) -> None:
    """What is kept is the squared correlation of values and whole numbers, and a share at that."""
    found = Lost.of(rows)
    wide = rows.astype(np.float64)
    assert found.cells == pytest.approx(((wide != 0) & (np.trunc(wide) == 0)).mean())
    for column, kept in zip(wide.T, found.kept, strict=True):
        whole = np.trunc(column)
        if kept is None:
            assert np.ptp(column) == 0
        elif np.ptp(whole) == 0:
            assert kept == 0
        else:
            line = np.polyfit(whole, column, 1)
            missed = ((column - np.polyval(line, whole)) ** 2).sum() / ((column - column.mean()) ** 2).sum()
            assert kept == pytest.approx(1 - missed, abs=1e-6)
            assert 0 <= kept <= 1 + 1e-12


@pytest.mark.parametrize("rows", [np.empty((0, 2)), [[np.nan, 1.0]]])
def test_nothing_to_lose(rows: Any) -> None:
    """Without rows, or without values, nothing is lost and nothing is said of variance."""
    found = Lost.of(f32(rows))
    assert found.cells == 0
    assert found.mean_kept is None


class Rebuilding:
    """A model that expects the first value of each row in all its columns."""

    def explain(self, rows: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return rows, np.repeat(rows[:, :1], rows.shape[1], axis=1)


def test_unexplained(monkeypatch: pytest.MonkeyPatch) -> None:
    """The share of each column's variance that is missed, the mean over those that vary, in whatever blocks."""
    rows = f32([[1.0, 1.0, 5.0, 2.0], [2.0, 4.0, 5.0, np.nan], [3.0, 3.0, 5.0, 4.0], [4.0, 4.0, 5.0, 6.0]])
    model: Any = Rebuilding()
    second, last = 4 / 6.0, (1 + 1 + 4) / 8.0
    for block in (3, 100):
        monkeypatch.setattr("trainer.truncation.BLOCK", block)
        assert unexplained(model, rows, [0, 1, 2, 3]) == pytest.approx((0 + second + last) / 3)
        assert unexplained(model, rows, [1]) == pytest.approx(second)
        assert unexplained(model, rows, [2]) is None


# What an artifact says of it


def test_the_manifest_has_both_models(truncated: Artifact) -> None:
    """The figures with truncation are those of the artifact's own scores; without it less of a row is missed."""
    cost, known = cost_of(truncated), truncated.calibration
    scores = np.concatenate((known.held_out, known.anomalous))
    truth = np.repeat([False, True], (len(known.held_out), len(known.anomalous)))
    weights = np.where(truth, known.anomalous_weight, known.held_out_weight)
    area = metrics.average_precision_score(truth, scores, sample_weight=weights)
    assert cost["with"]["average_precision"]["value"] == pytest.approx(area)
    assert cost["with"]["auroc"]["value"] == pytest.approx(metrics.roc_auc_score(truth, scores))
    assert cost["without"]["unexplained"] < cost["with"]["unexplained"]
    for one in (cost["with"], cost["without"]):
        for name in ("average_precision", "auroc"):
            assert 0 <= one[name]["low"] <= one[name]["value"] <= one[name]["high"] <= 1
    assert len(cost["zeroed_by_feature"]) == len(cost["variance_kept_by_feature"]) == len(truncated.schema.features)
    assert 0.3 < cost["cells_zeroed"] < 1


def test_the_artifact_is_that_of_the_truncating_recipe(truncated: Artifact, tmp_path: Path) -> None:
    """What is compared with is trained besides: it is not served, and another seed's figures are others."""
    plain = built(tmp_path / "plain", replace(ORDER, recipe=msgspec.structs.replace(WHOLE, truncate=False)))
    assert (truncated.path / GRAPH).read_bytes() != (plain.path / GRAPH).read_bytes()
    assert "truncation" not in plain.manifest["training"]
    rows = f32(np.random.default_rng(0).uniform(1, 2, (5, len(truncated.schema.features))))
    assert len(np.unique(truncated.model().score(rows))) == 1
    assert len(np.unique(plain.model().score(rows))) == 5
    scores = np.concatenate((plain.calibration.held_out, plain.calibration.anomalous))
    truth = np.arange(len(scores)) >= len(plain.calibration.held_out)
    without = cost_of(truncated)["without"]["auroc"]["value"]
    assert without == pytest.approx(metrics.roc_auc_score(truth, scores))


def test_show(truncated: Artifact, unlabelled: Artifact) -> None:
    """`show` says what became 0, and the figures with and without; without labels that nobody can tell."""
    cost = cost_of(truncated)
    text = describe(truncated)
    assert f"truncate        {100 * cost['cells_zeroed']:.1f} % of the cells became 0, " in text
    found = [ratio(cost[one]["average_precision"]["value"]) for one in ("with", "without")]
    assert f"its cost        average precision {found[0]} [" in text
    assert f" with, {found[1]} [" in text
    assert "(held-out and anomalous rows)" in text
    assert f"its cost        {NO_LABELS}\n" in describe(unlabelled)


def section(found: Artifact) -> Section:
    """The report's section on truncation."""
    with styled():
        parts = compose(of_artifact(found, found.threshold), lambda name: None)
    assert parts[1].anchor == "truncation"
    assert 'id="truncation"' in page.render(of_artifact(found, found.threshold), parts)
    return parts[1]


def test_the_report(truncated: Artifact) -> None:
    """The report has a section with both models' figures, and a picture of the features that lose most."""
    cost, found = cost_of(truncated), section(truncated)
    (table,), (picture,) = found.tables, found.pictures
    assert [row[0] for row in table.rows] == ["average precision", "AUROC", "variance of held-out rows not explained"]
    for row, key in zip(table.rows, ("average_precision", "auroc"), strict=False):
        assert row[1].startswith(f"{ratio(cost['with'][key]['value'])} [")
        assert row[2].startswith(f"{ratio(cost['without'][key]['value'])} [")
    worst = truncated.schema.features[int(np.argmin(cost["variance_kept_by_feature"]))]
    assert f"Worst first: {worst} " in picture.alt
    assert picture.note.startswith("The 15 of 29 features that lose most.")
    assert "of the cells became 0" in found.texts[0]


def test_the_report_without_labels(unlabelled: Artifact) -> None:
    """Without labels the report says what is lost, and that detection is another matter."""
    cost, found = cost_of(unlabelled), section(unlabelled)
    assert (cost["with"], cost["without"]) == (None, None)
    assert cost["cells_zeroed"] > 0.3
    assert found.texts[-1] == f"{NO_LABELS}."
    assert found.tables == ()
    assert len(found.pictures) == 1


def test_no_section_where_nothing_is_truncated(truncated: Artifact) -> None:
    """An artifact whose recipe does not truncate, or that is of an earlier version, has no such section."""
    training = {key: value for key, value in truncated.manifest["training"].items() if key != "truncation"}
    assert whole_numbers.section(training, truncated.schema.features) is None
    assert "truncate " not in describe(replace(truncated, manifest={**truncated.manifest, "training": training}))


def test_a_comparison_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """Where the training without truncation diverges the artifact is written all the same, and says so."""
    from trainer.fit import fit

    def failing(history: Any, recipe: Recipe, *arguments: Any, **more: Any) -> Any:
        if not recipe.truncate:
            raise Failure("training diverged: the loss of epoch 1 is no finite number")
        return fit(history, recipe, *arguments, **more)

    monkeypatch.setattr("trainer.build.fit", failing)
    found = built(tmp_path / "m")
    assert capsys.readouterr().err.splitlines() == [
        "truncate = true: the same is trained without it, to tell what it costs",
        "without it: training diverged: the loss of epoch 1 is no finite number",
    ]
    assert cost_of(found)["with"]["auroc"]["value"] > 0
    assert cost_of(found)["without"] is None
    assert f"its cost        {FAILED}\n" in describe(found)
    assert section(found).texts[-1] == f"{FAILED}."


def test_real_cards(tmp_path: Path) -> None:
    """Of real cards' features, most of which lie between -1 and 1, three cells in four become 0."""
    recipe = msgspec.structs.replace(RECIPES["cards-64-32-16"], truncate=True)
    data = open_data(str(real("creditcard_sample.parquet")))
    build(data, Columns(), Order("cut", recipe, "cards", epochs=2), tmp_path / "m", ignored)
    cost = cost_of(artifact.load(tmp_path / "m"))
    assert 0.7 < cost["cells_zeroed"] < 0.8
    assert 0.75 < cost["variance_kept"] < 0.85
    assert cost["without"]["unexplained"] < cost["with"]["unexplained"]
