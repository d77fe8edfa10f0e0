"""The report's sections, in order: each shows its pictures, or says in one sentence why there are none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.artifact import KERAS, Artifact
from detector.page.content import Section, counted
from detector.page.drawing import classes, styled
from detector.page.timeline import time_text
from detector.quiet import held_back
from trainer import latent
from trainer.evaluate import evaluate
from trainer.report import decision, errors, features, reliability, space, training, whole_numbers
from trainer.report.evidence import Evidence, Seen
from trainer.report.sampling import EMBEDDED, EMBEDDED_ANOMALOUS, PAIRED, PAIRED_ANOMALOUS, sample, thinned
from trainer.tradeoff import curve

NO_DATA = "The artifact holds no rows, only scores: this needs DATA (python -m trainer report DIR DATA)."
NO_LABELS = "The rows have no labels, so nobody can say which alerts are right."
ONE_CLASS = "All rows are of one class, so nothing can be said of telling two apart."
NO_TIME = "The rows have no time column, so nothing can be said by hour or day."
KEPT = "The scores are those of rows that were kept out of the training, as the artifact holds them."

Tell = Callable[[str], None]
"""Told what is being drawn."""


class Depth:
    """The rows of DATA, and what of them takes long and several sections need."""

    def __init__(self, artifact: Artifact, seen: Seen) -> None:
        self.artifact, self.seen = artifact, seen

    @cached_property
    def shares(self) -> list[tuple[str, NDArray[np.float64]]]:
        """Each feature's share of the error, by class."""
        return features.carried(self.seen.model, self.seen.rows, self.seen.truth)

    @cached_property
    def network(self) -> Any:
        """The artifact's Keras model."""
        with held_back():  # TensorFlow greets
            from trainer.export import load_keras

            return load_keras(self.artifact.path / KERAS)

    def places(self, most: int, anomalous: int) -> NDArray[np.intp]:
        """A sample of the rows."""
        return sample(_truth_or_none_anomalous(self.seen), most, anomalous)

    def truth_at(self, places: NDArray[np.intp]) -> NDArray[np.bool_] | None:
        """Which rows of a sample are anomalous; None without labels."""
        return None if self.seen.truth is None else self.seen.truth[places]

    def sampled(self, places: NDArray[np.intp]) -> str:
        """Says which rows a picture shows."""
        truth = self.truth_at(places)
        parts = " and ".join(f"{int(mask.sum()):,} {name}" for name, *_, mask in classes(truth, len(places)))
        if len(places) == len(self.seen.rows):
            return f"All {len(places):,} rows."
        how = "drawn at random by a fixed seed"
        return f"A sample of {len(places):,} of {len(self.seen.rows):,} rows, {how}: {parts}."


def compose(evidence: Evidence, tell: Tell) -> list[Section]:
    """All sections of the report."""
    depth = Depth(evidence.artifact, evidence.seen) if evidence.seen else None
    told, names = evidence.artifact.manifest["training"], evidence.artifact.schema.features
    parts: Sequence[tuple[str, Callable[[], Section | None]]] = (
        ("training", lambda: training.section(told)),
        ("truncation", lambda: whole_numbers.section(told, names)),
        ("errors", lambda: error_section(evidence)),
        ("right and wrong alerts", lambda: decision_section(evidence)),
        ("other thresholds", lambda: tradeoff_section(evidence)),
        ("features", lambda: feature_section(depth)),
        ("highest errors", lambda: highest_section(depth, evidence.threshold.value)),
        ("time", lambda: reliability_section(evidence)),
        ("t-SNE", lambda: tsne_section(depth)),
        ("latent space", lambda: latent_section(depth)),
        ("pairs of features", lambda: pair_section(depth)),
    )
    sections = []
    with styled():
        for name, part in parts:
            tell(name)
            if section := part():
                sections.append(section)
    return sections


def error_section(evidence: Evidence) -> Section:
    """Distributions, and the errors row by row."""
    scores, truth, line = evidence.scores, evidence.truth, evidence.threshold.value
    pictures = [errors.linear(scores, truth, line), errors.log(scores, truth, line)]
    texts = () if evidence.labelled else ("The rows have no labels: all are drawn in one colour.",)
    if evidence.seen is None:
        return Section("errors", "Errors", (KEPT, *texts, f"Error by row: {NO_DATA}"), tuple(pictures))
    return Section("errors", "Errors", texts, (*pictures, errors.by_row(scores, truth, line)))


def decision_section(evidence: Evidence) -> Section:
    """Confusion matrix, ROC and precision-recall curve."""
    anchor, title, c = "decision", "Right and wrong alerts", evidence.calibration
    truth, line = evidence.truth, evidence.threshold.value
    if truth is None:
        return Section(anchor, title, (NO_LABELS,))
    confusion = decision.confusion(evaluate(evidence.scores, truth, line))
    texts = () if evidence.seen else (KEPT + " Precision weighs them as the whole history has them.",)
    if not (len(c.held_out) and len(c.anomalous)):
        return Section(anchor, title, (*texts, f"ROC and precision-recall: {ONE_CLASS}"), (confusion,))
    return Section(anchor, title, texts, (confusion, decision.roc(c, line), decision.precision_recall(c, line)))


def tradeoff_section(evidence: Evidence) -> Section:
    """Precision, recall and alerts at all thresholds."""
    c, line = evidence.calibration, evidence.threshold.value
    found = curve(c)
    anchor, title = "thresholds", "What other thresholds would give"
    if len(found.thresholds) == 0:
        return Section(anchor, title, ("All rows have the same error: there is nothing to choose.",))
    at, texts, pictures = c.at([line]), [], []
    if found.precision is None:
        texts.append(f"Precision and recall: {ONE_CLASS if evidence.labelled else NO_LABELS}")
    else:
        pictures.append(decision.by_threshold(found, at))
    if found.alerts_per_day is None:
        texts.append(f"{NO_TIME} The alerts are a share of all rows.")
    return Section(anchor, title, tuple(texts), (*pictures, decision.alerts(found, at)))


def feature_section(depth: Depth | None) -> Section:
    """Which features carry the errors."""
    anchor, title = "features", "Which features carry the errors"
    if depth is None:
        return Section(anchor, title, (NO_DATA,))
    text = "An error is the sum of what each feature contributes; the bars are shares of all the errors of a class."
    return Section(anchor, title, (text,), (features.bars(depth.artifact.schema.features, depth.shares),))


def highest_section(depth: Depth | None, threshold: float) -> Section:
    """The rows with the highest error, and their reasons."""
    anchor, title = "highest", "Rows with the highest error"
    if depth is None:
        return Section(anchor, title, (NO_DATA,))
    seen, schema = depth.seen, depth.artifact.schema
    found = features.highest(seen.model, schema, seen.rows, seen.scores)
    rows = [one.row for one in found]
    more: dict[str, list[str]] = {}
    if seen.times is not None:
        more["time"] = [time_text(int(seen.times[row])) for row in rows]
    if schema.key in seen.frame.columns:
        more[f"key ({schema.key})"] = [str(seen.frame[schema.key].iloc[row])[:40] for row in rows]
    if seen.truth is not None:
        more["label"] = ["anomalous" if seen.truth[row] else "normal" for row in rows]
    text = "Rows count from 0. Reasons are the features that carry most of the error, with each one's share of it."
    return Section(anchor, title, (text,), tables=(features.table(found, threshold, more),))


def reliability_section(evidence: Evidence) -> Section:
    """Centre and spread of the errors over time."""
    anchor, title, seen = "reliability", "Reliability over time", evidence.seen
    if seen is None:
        return Section(anchor, title, (NO_DATA,))
    if seen.times is None:
        return Section(anchor, title, (NO_TIME,))
    found = reliability.periods(seen.times, seen.scores, evidence.threshold.value)
    text = "While nothing changes, median and MAD stay where they were at calibration; drift moves them."
    pictures = (reliability.spread(found, evidence.artifact.summary), reliability.rate(found))
    return Section(anchor, title, (f"Time: column {seen.time}.", text), pictures)


def tsne_section(depth: Depth | None) -> Section:
    """Rows in two and three dimensions."""
    anchor, title = "tsne", "t-SNE of the rows"
    if depth is None:
        return Section(anchor, title, (NO_DATA,))
    places = depth.places(EMBEDDED, EMBEDDED_ANOMALOUS)
    if len(places) < space.LEAST_EMBEDDED:
        few = f"{counted(len(places), 'row')}: a t-SNE needs at least {space.LEAST_EMBEDDED}."
        return Section(anchor, title, (few,))
    rows, truth = latent.preprocessed(depth.network, depth.seen.rows[places]), depth.truth_at(places)
    text = "Rows near each other resemble each other; distances between groups, and the axes, have no meaning."
    pictures = (space.tsne_2d(space.embedded(rows, 2), truth), space.tsne_3d(space.embedded(rows, 3), truth))
    return Section(anchor, title, (f"{depth.sampled(places)} Preprocessed values. {text}",), pictures)


def latent_section(depth: Depth | None) -> Section:
    """The network's code by class."""
    anchor, title = "latent", "The latent space"
    if depth is None:
        return Section(anchor, title, (NO_DATA,))
    places = thinned(_truth_or_none_anomalous(depth.seen))
    codes = latent.codes(depth.network, depth.seen.rows[places])
    if codes is None:
        return Section(anchor, title, ("The network has no layer that could be called its code.",))
    text = f"{depth.sampled(places)} The code, {counted(codes.shape[1], 'unit')} wide, is all that the network keeps."
    return Section(anchor, title, (text,), (space.latent(codes, depth.truth_at(places)),))


def pair_section(depth: Depth | None) -> Section:
    """The heaviest features against each other, before and after preprocessing."""
    anchor, title = "pairs", "Pairs of features"
    if depth is None:
        return Section(anchor, title, (NO_DATA,))
    places = depth.places(PAIRED, PAIRED_ANOMALOUS)
    kept = features.heaviest(depth.shares, space.PAIRED_FEATURES)
    names = [depth.artifact.schema.features[i] for i in kept]
    rows, truth = depth.seen.rows[places], depth.truth_at(places)
    after = latent.preprocessed(depth.network, rows)
    columns = _columns(after, latent.owners(depth.network), kept)
    text = f"{depth.sampled(places)} The {len(names)} features that carry most of the error."
    if texts := [name for name in names if name in depth.artifact.schema.categories]:
        text += f" Of text ({', '.join(texts)}) the places of its values; after preprocessing one of its columns."
    pictures = (
        space.pairs("pairs-before", "Before preprocessing", names, rows[:, kept], truth),
        space.pairs("pairs-after", "After preprocessing", names, after[:, columns], truth),
    )
    return Section(anchor, title, (text,), pictures)


def _columns(after: NDArray[np.float32], owners: NDArray[np.intp], kept: NDArray[np.intp]) -> list[int]:
    """Of each feature its column of preprocessed rows (n, D), the one that varies most where it has several."""
    spread = after.std(axis=0, dtype=np.float64)
    return [int(max(np.flatnonzero(owners == feature), key=lambda column: spread[column])) for feature in kept]


def _truth_or_none_anomalous(seen: Seen) -> NDArray[np.bool_]:
    return np.zeros(len(seen.rows), bool) if seen.truth is None else seen.truth
