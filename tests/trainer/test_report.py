"""The report: what its pictures are drawn from, what the page holds, and where it may be written."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from sklearn import metrics

from detector import table
from detector.artifact import Artifact
from detector.calibration import Calibration
from detector.errors import DataRefused, Failure
from detector.model import Model
from detector.page.content import Picture, Section, counted, number, percent
from detector.page.drawing import short, shown, styled, tick, wrapped
from detector.schema import Schema
from detector.statistics import summarize
from detector.threshold import above
from tests.arrays import f32
from trainer import latent
from trainer.__main__ import main
from trainer.commands.show import describe
from trainer.datasets import Data
from trainer.evaluate import evaluate
from trainer.network import Preprocess, dense_autoencoder, memory_autoencoder
from trainer.preprocessing import Affine, Preprocessing
from trainer.recipes import Dense, Layer
from trainer.report import decision, errors, features, folder, page, reliability, sections, space, training
from trainer.report.evidence import Evidence, Said, of_artifact, of_data
from trainer.report.sampling import sample, thinned
from trainer.report.sections import Depth
from trainer.tradeoff import curve

ROWS = 150
Capture = pytest.CaptureFixture[str]
ANCHORS = [
    *("training", "errors", "decision", "thresholds", "features", "highest", "reliability", "tsne", "latent", "pairs"),
]
PICTURES = {
    *("loss", "errors-linear", "errors-log", "errors-by-row", "confusion", "roc", "precision-recall", "by-threshold"),
    *("alerts", "features", "reliability", "alert-rate", "tsne-2d", "tsne-3d", "latent", "pairs-before", "pairs-after"),
}
HOSTILE = ("<script>top.hacked=1</script>", "$x_1^{2", "日本語 😀", "<img src=x onerror=top.hacked=1>", "n" * 300)


@pytest.fixture(autouse=True)
def drawn_alike() -> Iterator[None]:
    """The style of reports."""
    with styled():
        yield


@pytest.fixture(scope="module")
def rows(unseen_cards: pd.DataFrame) -> pd.DataFrame:
    """Labelled rows, some of them anomalous."""
    return unseen_cards.head(ROWS)


@pytest.fixture(scope="module")
def file(rows: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rows") / "rows.csv"
    rows.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def evidence(cards_artifact: Artifact, rows: pd.DataFrame) -> Evidence:
    return looked_at(cards_artifact, rows)


@pytest.fixture(scope="module")
def written(artifact_dir: Path, file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a report that the command wrote."""
    out = tmp_path_factory.mktemp("reports") / "report"
    assert main(["report", str(artifact_dir), str(file), "--out", str(out)]) == 0
    return out


def looked_at(found: Artifact, frame: pd.DataFrame, said: Said | None = None, name: str = "rows") -> Evidence:
    """What a report of a table looks at."""
    return of_data(found, found.threshold, Data(name, frame), said or Said())


def figures(evidence: Evidence) -> dict[str, str]:
    """The table at the top of the page."""
    return {row[0]: row[1] for row in page.figure_table(evidence).rows}


def silent(name: str) -> None:
    """Tells nobody."""


class Elements(HTMLParser):
    """The elements of a page with their attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def test_the_whole_report(written: Path) -> None:
    """With labelled rows that have a time, every section has its pictures, and each PNG is also inside the page."""
    html = (written / folder.PAGE).read_text("utf-8")
    found = Elements(html)
    assert [one["id"] for one in found.all("section")] == ANCHORS
    images = {path.stem: path.read_bytes() for path in (written / folder.IMAGES).iterdir()}
    assert set(images) == PICTURES
    inside = [base64.b64decode(one["src"].removeprefix("data:image/png;base64,")) for one in found.all("img")]
    assert sorted(inside) == sorted(images.values())
    assert len(html) < 6_000_000


def test_the_same_input_gives_the_same_bytes(written: Path, artifact_dir: Path, file: Path, capsys: Capture) -> None:
    """A second report replaces the first one and is the same, byte for byte; nothing else is left beside it."""
    before = {path: path.read_bytes() for path in sorted(written.rglob("*")) if path.is_file()}
    assert main(["report", str(artifact_dir), str(file), "--out", str(written)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert re.fullmatch(rf"17 pictures of {ROWS} rows, \d\.\d MB: {re.escape(str(written))}/report\.html\n", out)
    assert {path: path.read_bytes() for path in sorted(written.rglob("*")) if path.is_file()} == before
    assert list(written.parent.iterdir()) == [written]


def test_the_page_needs_nothing_and_runs_nothing(written: Path) -> None:
    """No script, no address, and a policy that allows images inside the page and its one style alone."""
    html = (written / folder.PAGE).read_text("utf-8")
    found = Elements(html)
    assert {tag for tag, _ in found.elements} & {
        "script",
        "iframe",
        "object",
        "embed",
        "form",
        "base",
        "video",
    } == set()
    assert not re.search(r"https?:|url\(|@import", html)
    assert all(not name.startswith("on") for _, attributes in found.elements for name in attributes)
    assert all(attributes["src"].startswith("data:image/png;base64,") for attributes in found.all("img"))
    policy = next(one["content"] for one in found.all("meta") if one.get("http-equiv") == "Content-Security-Policy")
    (css,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    assert policy == (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    assert [one["href"] for one in found.all("a")] == [f"#{anchor}" for anchor in ANCHORS]


def test_the_page_says_what_it_is_about(written: Path, cards_artifact: Artifact, rows: pd.DataFrame) -> None:
    """Model, version, sha256, threshold, data and rows stand at the top; `made` is the artifact's, not today's."""
    text = " ".join(" ".join(Elements((written / folder.PAGE).read_text("utf-8")).text).split())
    assert "simulated-cards version 1: report" in text
    assert cards_artifact.name.sha256 in text
    assert cards_artifact.manifest["created_at"] in text
    assert f"{number(cards_artifact.threshold.value, 9)} by {cards_artifact.threshold.method}" in text
    assert f"rows.csv Rows {ROWS} rows, {rows['Class'].sum()} of them anomalous" in text


def test_figures_are_those_of_evaluate(evidence: Evidence) -> None:
    """The table at the top has the figures of `evaluate`, and the confusion matrix has its counts."""
    seen = evidence.seen
    assert seen is not None
    assert seen.truth is not None
    wanted = evaluate(seen.scores, seen.truth, evidence.threshold.value, evidence.calibration.days)
    cells = figures(evidence)
    for name, value in (("AUROC", wanted.auroc), ("average precision", wanted.average_precision)):
        assert cells[name].startswith(f"{value:.4f} [")
    assert wanted.precision is not None
    assert float(cells["precision"].split()[0]) == pytest.approx(wanted.precision, abs=0.005)
    assert cells["anomalous rows that alert"] == f"{wanted.true_positives} of {wanted.anomalous}"
    assert cells["normal rows that alert"] == f"{wanted.false_positives} of {ROWS - wanted.anomalous}"
    alt = decision.confusion(wanted).alt
    counts = [int(text) for text in re.findall(r"\b(\d+) (?:alert|do not)", alt)]
    assert counts == [
        *(wanted.true_positives, wanted.false_negatives),
        *(wanted.false_positives, wanted.true_negatives),
    ]


def test_pictures_tell_their_numbers(evidence: Evidence) -> None:
    """The alt texts of ROC and precision-recall curve have scikit-learn's areas and the operating point."""
    seen, line, c = evidence.seen, evidence.threshold.value, evidence.calibration
    assert seen is not None
    assert seen.truth is not None
    alerting = above(seen.scores, line)
    recall, false_alarms = alerting[seen.truth].mean(), alerting[~seen.truth].mean()
    roc = decision.roc(c, line).alt
    assert f"area {metrics.roc_auc_score(seen.truth, seen.scores):.4f}" in roc
    assert f"{percent(recall)} of the anomalous and {percent(false_alarms)} of the normal rows alert" in roc
    curve_alt = decision.precision_recall(c, line).alt
    assert f"average precision {metrics.average_precision_score(seen.truth, seen.scores):.4f}" in curve_alt
    precision = metrics.precision_score(seen.truth, alerting)
    assert f"precision {percent(precision)}, recall {percent(recall)}" in curve_alt
    others = decision.by_threshold(curve(c), c.at([line])).alt
    assert f"{percent(precision)}, {percent(recall)} and {percent(metrics.f1_score(seen.truth, alerting))}" in others


def test_rows_that_were_kept_weigh_as_the_history_has_them() -> None:
    """Without DATA precision is at the prevalence of the whole history, of which the kept rows are a part."""
    c = Calibration.of([1, 1, 1, 5], [1, 5, 5, 5], normal_rows=4_000, anomalous_rows=4)
    alt = decision.precision_recall(c, 2.0).alt
    assert f"precision {percent(3 / 1_003)}, recall 75 %" in alt
    weights = np.repeat([1_000, 1], 4)
    area = metrics.average_precision_score([0] * 4 + [1] * 4, [1, 1, 1, 5, 1, 5, 5, 5], sample_weight=weights)
    assert f"average precision {area:.4f}" in alt


def test_losses_are_the_manifest_s(cards_artifact: Artifact) -> None:
    """The loss curve has the manifest's losses; that there are no checks by batch is said."""
    told = dict(cards_artifact.manifest["training"])
    told.pop("checks", None)
    found = training.section(told)
    assert [one.name for one in found.pictures] == ["loss"]
    assert "no precision and recall by batch" in found.texts[-1]
    for loss in (told["losses"][0], told["losses"][-1], told["held_out_losses"][-1]):
        assert number(loss) in found.pictures[0].alt


def test_checks_are_the_manifest_s(cards_artifact: Artifact) -> None:
    """The checks have the manifest's figures, and it is said at which threshold they are; none was noted once."""
    checks: list[dict[str, Any]] = [
        {"batch": 1000, "precision": None, "recall": 0.2, "f1": 0.3},
        {"batch": 2000, "recall": 0.5, "f1": 0.4},
    ]
    told = {**cards_artifact.manifest["training"], "checks": checks}
    for line, wanted in ((None, "the best F1 of each check"), (10.0, "the recipe's threshold, 10")):
        found = training.section({**told, "checks_threshold": line})
        assert [one.name for one in found.pictures] == ["loss", "checks"]
        assert found.pictures[1].alt == "Figures at 2 checks up to batch 2,000; at the last: recall 0.5, F1 0.4."
        assert found.texts[-1] == f"Precision, recall and F1 of the checks are at {wanted}."
    del told["checks_threshold"]
    assert "the best F1 of each check" in training.section(told).texts[-1]
    beside = [{**one, "best_f1": 0.75} for one in checks]
    assert training.section({**told, "checks": beside}).pictures[1].alt.endswith("F1 0.4, best F1 0.75.")


@pytest.mark.parametrize(
    "absent", ["score", "checks", "checks_threshold", "calibrated_on", "held_out_mean_score", "truncation"]
)
def test_a_manifest_of_an_earlier_version(absent: str, cards_artifact: Artifact) -> None:
    """What an earlier version did not note is missed by neither the report nor `show`."""
    earlier = {key: value for key, value in cards_artifact.manifest["training"].items() if key != absent}
    found = replace(cards_artifact, manifest={**cards_artifact.manifest, "training": earlier})
    evidence = of_artifact(found, found.threshold)
    html = page.render(evidence, [training.section(earlier)])
    assert ("not said: the artifact is of an earlier version" in html) == (absent == "score")
    assert ("not said" in describe(found)) == (absent == "score")


truths = st.lists(st.booleans(), min_size=1, max_size=300).map(np.array)


@given(truths, st.integers(1, 60), st.integers(0, 60))
def test_samples(truth: NDArray[np.bool_], most: int, anomalous: int) -> None:
    """A sample is as large as can be within its bounds, ascending, without repetition, and the same each time."""
    anomalous = min(anomalous, most)
    places = sample(truth, most, anomalous)
    bad = min(int(truth.sum()), anomalous)
    assert int(truth[places].sum()) == bad
    assert len(places) == bad + min(int((~truth).sum()), most - bad)
    assert (np.diff(places) > 0).all()
    assert (places == sample(truth, most, anomalous)).all()


@given(truths, st.integers(1, 60))
def test_thinned(truth: NDArray[np.bool_], most: int) -> None:
    """A scatter has all rows of a class, or so many of them."""
    places = thinned(truth, most)
    for kind in (True, False):
        assert int((truth[places] == kind).sum()) == min(int((truth == kind).sum()), most)


timed = st.lists(st.tuples(st.integers(-(10**9), 10**9), st.floats(0, 9, width=32)), min_size=1, max_size=60)


@given(timed)
def test_periods_are_pandas_s(pairs: list[tuple[int, float]]) -> None:
    """Rows, median, MAD and alerting share by hour or day are those of pandas' groups."""
    times, scores = np.array([time for time, _ in pairs]), f32([score for _, score in pairs])
    found = reliability.periods(times, scores, 3.0)
    assert found.unit == ("hour" if np.ptp(times) <= 5 * 86_400_000 else "day")
    groups = pd.Series(scores.astype(np.float64)).groupby(times // found.length * found.length)
    assert found.start.tolist() == sorted(set(times // found.length * found.length))
    assert found.rows.tolist() == groups.size().tolist()
    assert found.median == pytest.approx(groups.median().to_numpy())
    assert found.mad == pytest.approx(groups.apply(lambda one: (one - one.median()).abs().median()).to_numpy())
    assert found.alerting == pytest.approx(groups.apply(lambda one: (one > 3.0).mean()).to_numpy())


@pytest.mark.parametrize(
    ("start", "step", "unit", "axis"), [(0, 600, "hour", "clock"), (1_700_000_000, 40_000, "day", "UTC")]
)
def test_reliability_pictures(start: int, step: int, unit: str, axis: str) -> None:
    """The pictures over time tell the range of median, MAD and alerts; the first periods may be any of a clock."""
    times, scores = (start + step * np.arange(100)) * 1000, np.linspace(1, 2, 100, dtype=np.float32)
    found = reliability.periods(times, scores, 1.5)
    told = reliability.spread(found, summarize(scores))
    assert told.title == f"Median and MAD of the score by {unit}"
    assert f"to {number(found.median.max())} (calibration 1.5)" in told.alt
    assert f"to 100 %, with {found.rows.min()} to {found.rows.max()} rows in a {unit}" in reliability.rate(found).alt


def test_shares_of_the_error(cards_model: Model, evidence: Evidence) -> None:
    """A feature's share is its summed contribution over the class's summed score; the heaviest come first."""
    seen = evidence.seen
    assert seen is not None
    assert seen.truth is not None
    contributions = cards_model.explain(seen.rows)[0].astype(np.float64)
    shares = features.carried(seen.model, seen.rows, seen.truth)
    assert [name for name, _ in shares] == ["normal", "anomalous"]
    for (_, share), mask in zip(shares, (~seen.truth, seen.truth), strict=True):
        assert share == pytest.approx(contributions[mask].sum(0) / contributions[mask].sum(), rel=1e-6)
    heaviest = features.heaviest(shares, 5)
    assert (np.diff(shares[1][1][heaviest]) <= 0).all()
    assert shares[1][1][heaviest].min() >= np.delete(shares[1][1], heaviest).max()
    names = evidence.artifact.schema.features
    assert f"Heaviest first: {names[heaviest[0]]} (normal " in features.bars(names, shares).alt


def test_highest_rows(evidence: Evidence) -> None:
    """The table has the rows with the highest errors, highest first, with the reasons that an alert would have."""
    seen, schema = evidence.seen, evidence.artifact.schema
    assert seen is not None
    found = features.highest(seen.model, schema, seen.rows, seen.scores, 7)
    assert [one.score for one in found] == sorted(seen.scores.astype(float).tolist(), reverse=True)[:7]
    first = found[0]
    contributions = seen.model.explain(seen.rows[[first.row]])[0][0].astype(np.float64)
    assert first.reasons[0].feature == schema.features[int(contributions.argmax())]
    assert first.reasons[0].share == pytest.approx(contributions.max() / contributions.sum())
    told = features.table(found, 2.0, {"key": ["<b>"] * 7})
    assert told.columns == ("row", "key", "error", "\N{MULTIPLICATION SIGN} threshold", "reasons")
    assert told.rows[0][:4] == (f"{first.row:,}", "<b>", number(first.score), number(first.score / 2, 3))
    assert told.rows[0][4].startswith(f"{first.reasons[0].feature} = {number(float(first.reasons[0].value or 0))}, ")
    assert features.table(found, 0.0, {}).rows[0][2] == "-"


def network(*branches: Any) -> Any:
    """A model of five features, the last of text with two values, with these autoencoders in an artifact's places."""
    import keras

    columns = 7
    steps = (Affine(np.arange(columns, dtype=np.float64), np.full(columns, 2.0)),)
    before = Preprocessing(np.zeros(5), (0, 0, 0, 0, 2), False, steps).to_config()
    rows = keras.Input((5,), name="rows")
    seen = [Preprocess(before, name=f"preprocess_{number}")(rows) for number in range(1, len(branches) + 1)]
    named = ["autoencoder", "autoencoder_2"]
    rebuilt = [make(name)(z) for make, name, z in zip(branches, named, seen, strict=False)]
    return keras.Model(rows, {"preprocessed": seen[0]} | {f"rebuilt_{i}": one for i, one in enumerate(rebuilt)})


def dense(*widths: int) -> Any:
    """Makes an autoencoder with layers so wide."""
    layers = tuple(Layer(width, "tanh") for width in widths)
    return lambda name: dense_autoencoder(Dense(preprocessing=(), layers=layers), 7, 0, name)


def memory(name: str) -> Any:
    """An autoencoder without layers."""
    return memory_autoencoder(np.eye(7)[:3], 1.0, name)


@pytest.mark.parametrize(
    ("branches", "wanted"),
    [
        ([dense(8, 2, 6)], "autoencoder"),
        ([memory, dense(8, 2, 6)], "autoencoder_2"),
        ([dense(8, 2, 6), dense(3)], "autoencoder"),
    ],
)
def test_codes(branches: list[Any], wanted: str) -> None:
    """The code is what the narrowest layer of the first network that has layers makes of preprocessed rows."""
    model = network(*branches)
    rows = f32(np.column_stack((np.random.default_rng(0).normal(size=(9, 4)), np.arange(9) % 3)))
    wide = np.concatenate((rows[:, :4].astype(np.float64), np.eye(3)[np.arange(9) % 3]), axis=1)
    z = (wide - np.arange(7)) / 2
    assert latent.preprocessed(model, rows) == pytest.approx(z, rel=1e-5, abs=1e-6)
    assert latent.owners(model).tolist() == [0, 1, 2, 3, 4, 4, 4]
    for name in ("dense_1", "code"):
        weights, bias = model.get_layer(wanted).get_layer(name).get_weights()
        z = np.tanh(z @ weights + bias)
    assert latent.codes(model, rows) == pytest.approx(z, rel=1e-4, abs=1e-5)


def test_no_code() -> None:
    """Networks without layers inside have no code."""
    assert latent.codes(network(memory, dense()), np.zeros((2, 5), np.float32)) is None


@pytest.mark.parametrize("width", [1, 2, 3])
def test_latent_pictures(width: int) -> None:
    """Codes of one, two or more units are drawn; with more, the axes say how much of their variance they hold."""
    codes = f32(np.random.default_rng(0).normal(size=(30, width)) * np.arange(width, 0, -1))
    told = space.latent(codes, np.arange(30) > 20).alt
    assert f"The codes of 30 rows, {counted(width, 'unit')} wide" in told
    if width > 2:
        (x, y), kept = space.principal(codes)
        assert kept == pytest.approx(np.array([x.var(), y.var()]) / codes.astype(np.float64).var(axis=0).sum())
        assert f"principal axis 1 of the code ({percent(kept[0])} of its variance)" in told


def test_embedding_is_repeatable() -> None:
    """A t-SNE of the same rows has the same bits, and keeps two far groups apart; wide or narrow, spread or not."""
    rng = np.random.default_rng(0)
    rows = f32(np.concatenate((rng.normal(size=(20, 4)), rng.normal(size=(20, 4)) + 50)))
    places = space.embedded(rows, 2)
    assert places.tobytes() == space.embedded(rows, 2).tobytes()
    near, far = (np.linalg.norm(places[0] - places[group], axis=1) for group in (slice(1, 20), slice(20, 40)))
    assert near.max() < far.min()
    assert space.embedded(rows[:, :2], 3).shape == (40, 3)
    assert np.isfinite(space.embedded(np.ones((9, 4), np.float32), 2)).all()


def test_errors_of_nothing_are_told() -> None:
    """Errors of 0, which a logarithmic axis cannot show, are counted in the note of its pictures."""
    scores = f32([0, 0, 1, 20])
    for draw in (errors.log, errors.by_row):
        assert draw(scores, None, 2.0).note == "An error of 0, which 2 rows have, stands at the least one above."
        assert draw(scores[2:], None, 2.0).note == ""
    assert errors.linear(scores, None, 2.0).note == "Beyond the right edge: 25 % of all rows."


def test_without_data(cards_artifact: Artifact) -> None:
    """The artifact alone gives losses, distributions, curves and thresholds; what needs rows says so, and stays."""
    found = sections.compose(of_artifact(cards_artifact, cards_artifact.threshold), silent)
    assert [one.anchor for one in found] == ANCHORS
    drawn = {picture.name for one in found for picture in one.pictures}
    assert drawn >= {"loss", "errors-linear", "errors-log", "confusion", "roc", "precision-recall", "by-threshold"}
    for one in found[4:]:
        assert (one.pictures, one.texts) == ((), (sections.NO_DATA,))


def texts(found: list[Section], anchor: str) -> str:
    """What a section says."""
    return " ".join(next(one for one in found if one.anchor == anchor).texts)


def test_without_labels_and_time(cards_artifact: Artifact, rows: pd.DataFrame) -> None:
    """Rows without label and time have every section; those that need them say in a sentence that they are missing."""
    evidence = looked_at(cards_artifact, rows.drop(columns=["Class", "Time"]))
    found = sections.compose(evidence, silent)
    assert [one.anchor for one in found] == ANCHORS
    assert texts(found, "decision") == sections.NO_LABELS
    assert sections.NO_LABELS in texts(found, "thresholds")
    assert sections.NO_TIME in texts(found, "thresholds")
    assert texts(found, "reliability") == sections.NO_TIME
    missing = {"confusion", "roc", "precision-recall", "by-threshold", "reliability", "alert-rate"}
    assert {picture.name for one in found for picture in one.pictures} == PICTURES - missing
    cells = figures(evidence)
    assert list(cells) == ["rows that alert"]
    assert f"all rows ({ROWS})" not in "".join(one.alt for section in found for one in section.pictures)


@pytest.mark.parametrize("kind", [0, 1])
def test_one_class(kind: int, cards_artifact: Artifact, rows: pd.DataFrame) -> None:
    """Rows of a single class have a confusion matrix, and a sentence instead of curves."""
    evidence = looked_at(cards_artifact, rows[rows["Class"] == kind])
    section = sections.decision_section(evidence)
    assert [one.name for one in section.pictures] == ["confusion"]
    assert section.texts == (f"ROC and precision-recall: {sections.ONE_CLASS}",)
    sections.tradeoff_section(evidence)
    assert "undefined" in figures(evidence)["AUROC"]


@pytest.mark.parametrize(("different", "count"), [(1, 1), (1, 7), (7, 7)])
def test_few_rows(different: int, count: int, cards_artifact: Artifact, rows: pd.DataFrame) -> None:
    """A handful of rows, all alike or not, is drawn as far as it goes."""
    frame = pd.concat([rows.head(different)] * count).head(count)
    evidence = looked_at(cards_artifact, frame)
    depth = Depth(cards_artifact, evidence.seen) if evidence.seen else None
    assert sections.error_section(evidence).pictures
    assert bool(sections.tradeoff_section(evidence).pictures) == (different > 1)
    assert sections.reliability_section(evidence).pictures
    assert sections.feature_section(depth).pictures
    assert len(sections.highest_section(depth, 1.0).tables[0].rows) == count
    assert sections.tsne_section(depth).texts == (f"{counted(count, 'row')}: a t-SNE needs at least 8.",)
    assert sections.latent_section(depth).pictures


def test_far_and_missing_values(cards_artifact: Artifact, rows: pd.DataFrame) -> None:
    """Values at the edge of float32, and gaps in optional features, are drawn without a warning."""
    frame = rows.copy()
    frame.loc[frame.index[3], "V1"] = 3e38
    frame.loc[frame.index[4], "V2"] = -3e38
    frame.loc[frame.index[5:9], "V3"] = np.nan
    schema = replace(cards_artifact.schema, optional=("V3",))
    evidence = looked_at(replace(cards_artifact, schema=schema), frame)
    depth = Depth(evidence.artifact, evidence.seen) if evidence.seen else None
    drawn = [sections.error_section(evidence), sections.tradeoff_section(evidence)]
    drawn += [one(depth) for one in (sections.feature_section, sections.tsne_section, sections.latent_section)]
    assert sum(len(one.pictures) for one in drawn) == 3 + 2 + 1 + 2 + 1
    pairs = space.pairs("pairs", "Pairs", ["V1", "V2", "V3", "gap"], with_gap(evidence), None)
    assert "V1 from -" in pairs.alt
    assert "to 3e+38; V2 from -3e+38 to" in pairs.alt
    assert pairs.alt.endswith("gap always missing.")


def with_gap(evidence: Evidence) -> NDArray[np.float32]:
    """The first three features, and one that every row lacks."""
    assert evidence.seen is not None
    gap = np.full((len(evidence.seen.rows), 1), np.nan, np.float32)
    return np.concatenate((evidence.seen.rows[:, :3], gap), axis=1)


def test_hostile_names_and_values(cards_artifact: Artifact, rows: pd.DataFrame) -> None:
    """Markup in names of columns, model and data, and in keys, comes out as text, in the page and in the pictures."""
    plain = cards_artifact.schema.features
    named = dict(zip(plain, HOSTILE, strict=False))
    frame = rows.rename(columns=named).assign(who=[HOSTILE[i % 5] for i in range(len(rows))])
    schema: Schema = replace(cards_artifact.schema, features=tuple(named.get(one, one) for one in plain), key="who")
    found = replace(cards_artifact, schema=schema, name=replace_struct(cards_artifact, HOSTILE[0]))
    evidence = looked_at(found, frame, name=HOSTILE[3])
    shares = [("all rows", np.linspace(1, 0, len(plain)) / len(plain) * 2)]
    bars = Section("bars", "Bars", pictures=(features.bars(schema.features, shares),))
    kept = list(HOSTILE)
    truth = rows["Class"].to_numpy() == 1
    pairs = space.pairs("pairs", "Pairs", kept, table.matrix(frame, kept), truth)
    highest = sections.highest_section(sections.Depth(found, evidence.seen), 1.0) if evidence.seen else bars
    html = page.render(evidence, [bars, Section("pairs", HOSTILE[3], (HOSTILE[0],), (pairs,)), highest])
    parsed = Elements(html)
    assert parsed.all("script") == []
    assert len(parsed.all("img")) == 2
    assert all(not name.startswith("on") for _, attributes in parsed.elements for name in attributes)
    text = "".join(parsed.text)
    assert f"{HOSTILE[0]} version 1: report" in text
    assert all(one[:80] in text for one in HOSTILE)
    assert HOSTILE[0] in parsed.all("img")[0]["alt"]


def replace_struct(found: Artifact, name: str) -> Any:
    """The model's name, changed."""
    return type(found.name)(name, found.name.version, found.name.sha256)


def test_pictures_are_as_large_as_they_say(evidence: Evidence) -> None:
    """A picture's size is read from its PNG, which holds no time and no name of a program."""
    drawn: Picture = errors.linear(evidence.scores, evidence.truth, evidence.threshold.value)
    with Image.open(io.BytesIO(drawn.png)) as image:
        assert image.size == drawn.size
        assert set(image.info) <= {"dpi"}


@given(st.text(max_size=80))
def test_names_can_be_drawn(name: str) -> None:
    """Any name is shortened to what fits, in signs that the font has."""
    assert len(shown(name, 20)) <= 20
    lines = wrapped(name, 12, 2).split("\n")
    assert len(lines) <= 2
    assert all(len(line) <= 14 for line in lines)
    assert all(one.isprintable() for line in lines for one in line)


def test_numbers_for_people() -> None:
    """Numbers have separators, few digits, and short units where there is little room."""
    assert [number(one) for one in (1234567.0, 0.123456, None, float("nan"), -2.0)] == [
        *("1,234,567", "0.1235", "-", "-", "-2"),
    ]
    assert [short(one) for one in (1_500_000.0, 400_000.0, 3_000.0, -12_000.0)] == [
        "1.5M",
        "400k",
        "3,000",
        "\N{MINUS SIGN}12k",
    ]
    assert (tick(-0.5), percent(0.1234), percent(None), counted(1, "row")) == (
        "\N{MINUS SIGN}0.5",
        "12.3 %",
        "-",
        "1 row",
    )


def test_default_place() -> None:
    """A report goes beside its model, also where the model is said as `.`"""
    assert folder.beside(Path("models/cards")) == Path("models/cards.report")
    assert folder.beside(Path("models/cards/")) == Path("models/cards.report")
    assert folder.beside(Path(".")) == Path.cwd().with_name(f"{Path.cwd().name}.report")


def test_it_replaces_reports_alone(tmp_path: Path) -> None:
    """A place that holds anything but a report is refused and left; an empty directory and a report are replaced."""
    picture, html = Picture("one", "One", b"png", "alt"), f"<head>{folder.MARK}</head>"
    others = ["file", "link", "images", "more", "foreign"]
    for name in others:
        (tmp_path / name).mkdir()
    (tmp_path / "link").rmdir()
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "file").rmdir()
    (tmp_path / "file").write_text("mine")
    (tmp_path / "images" / "images").mkdir()
    folder.write(tmp_path / "more" / "report", html, [picture])
    (tmp_path / "more" / "report" / "images" / "notes.txt").write_text("mine")
    folder.write(tmp_path / "foreign" / "report", "<html>", [picture])
    before = sorted(tmp_path.rglob("*"))
    for out in ("file", "link", "images", "more/report", "foreign/report"):
        with pytest.raises(Failure, match="exists and is no report; it is left as it is"):
            folder.write(tmp_path / out, html, [picture])
    assert sorted(tmp_path.rglob("*")) == before
    (tmp_path / "empty").mkdir()
    for pictures in ([picture], []):
        folder.write(tmp_path / "empty", html, pictures)
        assert len(list((tmp_path / "empty" / "images").iterdir())) == len(pictures)


def test_a_report_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that cannot be made is named; where the last step fails, the older report stands as it was."""
    (tmp_path / "file").write_text("")
    with pytest.raises(Failure, match=r"out .*file/report: "):
        folder.write(tmp_path / "file" / "report", folder.MARK, [])
    out = tmp_path / "report"
    folder.write(out, folder.MARK, [])
    real = Path.rename

    def full(path: Path, target: Path) -> Path:
        if path.name == "new":
            raise OSError(28, "No space left on device")
        return real(path, target)

    monkeypatch.setattr("detector.exchange._exchanged", lambda one, other: False)
    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(Failure, match="No space left on device"):
        folder.write(out, f"{folder.MARK} newer", [])
    assert (out / folder.PAGE).read_text() == folder.MARK
    assert sorted(one.name for one in tmp_path.iterdir()) == ["file", "report"]


@pytest.mark.parametrize(
    ("order", "code", "wanted"),
    [
        (["--label", "fraud"], 8, "label column 'fraud' is not in the data"),
        (["--time", "when"], 8, "time column 'when' is not in the data"),
        (["--threshold", "often"], 2, "threshold 'often' is none of"),
        (["--threshold", "running-mad:3"], 2, "needs a running detector"),
        (["--out", "OUT"], 1, "exists and is no report; it is left as it is"),
    ],
)
def test_refusals(
    order: list[str], code: int, wanted: str, artifact_dir: Path, file: Path, tmp_path: Path, capsys: Capture
) -> None:
    """What cannot be drawn is refused in one line with the right code, before anything is written."""
    (tmp_path / "mine.txt").write_text("")
    out = [] if "--out" in order else ["--out", str(tmp_path / "report")]
    asked = [str(tmp_path) if one == "OUT" else one for one in order]
    assert main(["report", str(artifact_dir), str(file), *asked, *out]) == code
    said, err = capsys.readouterr()
    assert said == ""
    assert re.fullmatch(rf"error: .*{re.escape(wanted)}.*\n", err)
    assert [one.name for one in tmp_path.iterdir()] == ["mine.txt"]


def test_missing_model_and_data(artifact_dir: Path, tmp_path: Path, capsys: Capture) -> None:
    """A model or data that are not there are named, with the codes of the other commands."""
    assert main(["report", str(tmp_path / "absent")]) == 3
    assert "no such directory" in capsys.readouterr().err
    assert main(["report", str(artifact_dir), "absent.csv", "--out", str(tmp_path / "r")]) == 8
    assert "'absent.csv' is neither a file" in capsys.readouterr().err


def test_rows_of_other_features(cards_artifact: Artifact, rows: pd.DataFrame) -> None:
    """Rows without the model's features are refused by name."""
    with pytest.raises(DataRefused, match="feature column 'V7', 'V9' is not in the data"):
        looked_at(cards_artifact, rows.drop(columns=["V7", "V9"]))


def test_another_threshold(cards_artifact: Artifact, rows: pd.DataFrame) -> None:
    """The threshold that a person names is the one that is drawn and told."""
    line = cards_artifact.line("percentile:90").calibrated
    evidence = of_data(cards_artifact, line, Data("rows", rows), Said())
    assert page.facts(evidence)["Threshold"] == f"{number(line.value, 9)} by percentile:90"
    assert number(line.value) in decision.roc(evidence.calibration, line.value).alt
