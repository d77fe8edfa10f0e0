"""What a person should know of a table before a model learns from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from detector.table.roles import LABELS, MOST_LABEL_VALUES, NORMAL_WORDS, TIMES, is_time, letters, words
from trainer.look import Look, Surroundings

LEAK_AUROC = 0.999
"""A single column that ranks anomalous rows better than this tells the label: what is served will hardly know it."""

LEAST_ANOMALOUS = 20
"""Anomalous rows, and normal ones, without which nothing is said of leaks."""

SAMPLE = 10_000
"""Rows of each class, evenly spaced, that are ranked first: all are only where these are ranked well."""

LABEL_WORDS = {"fraud", "fraudulent", "label", "anomaly", "anomalous", "outlier", "chargeback", "scam"}
"""Words in a name that speak of the truth."""

LATE_MS = 100_000_000_000_000
"""Event times after this, in the year 5138, are taken for milliseconds that were read as seconds."""

LEAST_FEATURES, LEAST_NORMAL = 2, 50
"""What training refuses to do without."""

SHOWN = 5


def suspicions(features: Sequence[Look], columns: Sequence[Look], around: Surroundings) -> Iterator[str]:
    """A sentence for each thing that looks wrong. columns: all of them, in the file's order."""
    label = next((look for look in columns if look.name == around.label), None)
    yield from _unlabelled(columns) if label is None else _labelled(label, around)
    yield from _times(columns, around)
    yield from _named_like_a_label(features)
    if around.truth is not None:
        yield from _leaks(features, around.truth)
    if len(features) < LEAST_FEATURES:
        yield f"feature columns: {len(features)}, and fit wants at least {LEAST_FEATURES}"
    if columns and (normal := _normal_rows(len(columns[0].values), around)) < LEAST_NORMAL:
        yield f"normal rows: {normal}, and fit wants at least {LEAST_NORMAL}"


def _normal_rows(rows: int, around: Surroundings) -> int:
    return rows if around.truth is None else int((~around.truth).sum())


def _unlabelled(columns: Sequence[Look]) -> Iterator[str]:
    two = [look for look in columns if look.distinct == MOST_LABEL_VALUES and not look.missing and look.kind != "time"]
    told = "no label found by its name, so every row is taken for normal; name the column with --label"
    if two:
        told += f" (two values each: {_listed([look.name for look in two])})"
    yield told


def _listed(names: Sequence[str]) -> str:
    """The last names: a label tends to stand at the end."""
    return ("..., " if len(names) > SHOWN else "") + ", ".join(names[-SHOWN:])


def _labelled(label: Look, around: Surroundings) -> Iterator[str]:
    if label.missing:
        yield f"label {label.name!r} has {label.missing:,} gaps, which fit refuses: fill them, or --label none"
        return
    if around.truth is None or label.distinct is None:
        return
    anomalous, rows = int(around.truth.sum()), len(around.truth)
    if not anomalous:
        yield f"label {label.name!r} is {around.normal} in every row: there is nothing to compare with"
    elif anomalous > rows - anomalous:
        yield f"label {label.name!r}: {anomalous:,} of {rows:,} rows are anomalous; --normal names the normal value"
    if around.guessed and not _known_normal(label, str(around.normal)):
        yield f"label {label.name!r}: {around.normal}, the most frequent value, is taken for normal; --normal names it"
    if label.distinct > MOST_LABEL_VALUES:
        yield f"label {label.name!r} has {label.distinct:,} different values: all but {around.normal} are anomalous"


def _known_normal(label: Look, normal: str) -> bool:
    return label.kind == "boolean" or (normal == "0" if label.kind == "number" else letters(normal) in NORMAL_WORDS)


def _times(columns: Sequence[Look], around: Surroundings) -> Iterator[str]:
    known = {letters(name) for name in TIMES}
    for look in columns:
        if letters(look.name) in known and look.there and not is_time(look.values):
            yield f"{look.name!r} is named like a time, and its values are none"
    if around.refused:
        yield f"{around.refused}, which fit refuses: name another with --time, or --time none"
    elif around.moments is not None and len(around.moments) and abs(around.moments).max() > LATE_MS:
        yield f"time {around.time!r} lies after the year 5000: numbers are read as seconds; are these milliseconds?"


def _named_like_a_label(features: Sequence[Look]) -> Iterator[str]:
    known = {letters(name) for name in LABELS}
    for look in features:
        if letters(look.name) in known:
            yield f"{look.name!r} is named like a label and has {look.distinct:,} different values: taken as a feature"
        elif not LABEL_WORDS.isdisjoint(words(look.name)):
            yield f"{look.name!r} is named like a label and is taken as a feature: does it tell the truth?"


def _leaks(features: Sequence[Look], truth: NDArray[np.bool_]) -> Iterator[str]:
    anomalous, normal = np.flatnonzero(truth), np.flatnonzero(~truth)
    if min(len(anomalous), len(normal)) < LEAST_ANOMALOUS:
        return
    some = np.concatenate([_spaced(anomalous), _spaced(normal)])
    for look in features:
        numbers = ranked(look, truth)
        if auroc(numbers[some], truth[some]) > LEAK_AUROC - 0.01 and (found := auroc(numbers, truth)) > LEAK_AUROC:
            yield f"{look.name!r} alone tells the label (AUROC {found:.4f}): will it be known when a row is scored?"


def _spaced(rows: NDArray[np.intp]) -> NDArray[np.intp]:
    return rows[np.linspace(0, len(rows) - 1, min(len(rows), SAMPLE)).astype(np.intp)]


def ranked(look: Look, truth: NDArray[np.bool_]) -> NDArray[np.float64]:
    """A feature as numbers (n,) to rank by; a text is the share of anomalous rows among those that have it."""
    if look.kind != "text":
        return look.numbers() if look.there else np.full(len(truth), np.nan)
    codes = look.values.astype(object).factorize(use_na_sentinel=False)[0]
    return np.asarray((np.bincount(codes, truth) / np.bincount(codes))[codes])


def auroc(numbers: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    """Area under the ROC curve of numbers (n,) taken as scores, or as scores turned round if that is more.

    Mann-Whitney's U by the midranks of the different values; those that are missing are one value, above all others.
    """
    _, places = np.unique(numbers, return_inverse=True)
    positive = np.bincount(places, truth)
    negative = np.bincount(places, ~truth)
    below = np.cumsum(negative) - negative
    area = float((positive * (below + negative / 2)).sum() / (positive.sum() * negative.sum()))
    return max(area, 1 - area)
