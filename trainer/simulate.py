"""Simulated card transactions and simulated heartbeats, for trying the detector where no real data may be had.

Nothing made here is a real record. The cards follow a small fitted table (`simulated_cards.json`) that holds quantiles
and correlations of a real set and none of its rows; the heartbeats follow a formula. To remake the table from the
real set: `text_of_table(fit_cards_table(frame))`.
"""

import json
import math
import re
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from itertools import cycle, islice, repeat
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]

CARD_FEATURES = (*(f"V{number}" for number in range(1, 29)), "Amount")
ORIGINAL_ROWS = 284_807
ORIGINAL_SECONDS = 172_792
HOUR_SECONDS = 3_600
DAY_SECONDS = 86_400

# The published sample begins with this many rows in order (three hours of one night); later rows are a fair draw.
ORDERED_ROWS = 7_972
ORDERED_HOURS = 4
# One copula for a whole class lets extremes fall on different rows; strata of distance keep them on the same rows.
STRATA = {0: (0.5, 0.9, 0.99), 1: (0.1, 0.3, 0.6)}
TAIL = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.3, 0.4)
PROBABILITIES = (*TAIL, 0.5, *(round(1 - tail, 4) for tail in reversed(TAIL)))
SHRINK = 0.02
FARTHEST_SCORE = 4.0


def simulated_cards(rows: int = 60_000, seed: int = 0, fraud_share: float = 0.00173) -> pd.DataFrame:
    """Simulated card transactions in the shape of the ULB/Worldline set; no row of it is real.

    Returns `rows` rows of 31 columns: Time (whole seconds since the first row, float, ascending), V1..V28 (no unit),
    Amount (euro, 2 decimals, never negative), Class (int, 1 = fraud). Frauds number `rows * fraud_share` rounded, and
    at least one from 1,000 rows on (unless the share is 0). The same `rows`, `seed` and share give the same frame.

    Each class is a mixture of strata of Mahalanobis distance from the normal rows; each stratum is a Gaussian copula
    (Nelsen, An Introduction to Copulas, 2006): correlated normal scores sent through each feature's quantiles.

    Arrivals follow the hours of the day, normal rows and frauds each with their own rhythm. The span is that of the
    original's rate (284,807 rows in 172,792 s) but never under one whole day, so that the rhythm shows in a small frame
    too: under 142,408 rows the day is thinned, as a sample of the original would be. Features do not drift with Time.
    """
    _require_rows(rows)
    _require_share(fraud_share, "fraud_share")
    rng = np.random.default_rng(seed)
    span = max(float(DAY_SECONDS), rows / ORIGINAL_ROWS * ORIGINAL_SECONDS)
    frauds = _fraud_count(rows, fraud_share)
    parts = [_class_rows(label, count, span, rng) for label, count in ((0, rows - frauds), (1, frauds))]
    frame = pd.concat(parts).sort_values("Time", kind="stable", ignore_index=True)
    frame["Time"] = np.floor(frame["Time"] - frame["Time"].iloc[0])
    return frame


def fit_cards_table(frame: pd.DataFrame) -> dict[str, object]:
    """What `simulated_cards` needs to know of the real set (columns Time, V1..V28, Amount, Class, sorted by Time).

    Holds, for each stratum of each class, every feature's quantiles and the correlations of the normal scores
    (lower triangle), and for each class the share of arrivals in each of the 24 hours. Normal rows are those after the
    first 7,972, which in the published sample are three hours of one night and would weigh too much.
    """
    normals, frauds = _normal_rows(frame), frame[frame["Class"] == 1]
    distance = _distance_from(normals)
    return {
        "source": "ULB/Worldline credit card transactions, September 2013 "
        "(Kaggle mlg-ulb/creditcardfraud, OpenML 1597)",
        "licence": "DbCL/ODbL as its publishers state",
        "kept": "only quantiles and correlations (and hourly shares) of a sample are kept, no rows",
        "fitted_on": {"normal": len(normals), "fraud": len(frauds)},
        "hourly_share": {"normal": _normal_rhythm(normals), "fraud": _shares(_by_hour(frauds).sum(axis=0))},
        "strata": [
            *_fitted_strata(0, normals, distance(normals)),
            *_fitted_strata(1, frauds, distance(frauds)),
        ],
    }


def text_of_table(table: dict[str, object]) -> str:
    """The table as JSON text, each list on one line so that it can be read and compared."""
    text = json.dumps(table, indent=1)
    return re.sub(r"\[[^\[\]{}]*\]", lambda found: re.sub(r"\s+", " ", found.group()), text) + "\n"


@cache
def cards_table() -> dict[str, Any]:
    """The fitted table kept beside this module."""
    text = files("trainer").joinpath("simulated_cards.json").read_text(encoding="utf-8")
    table: dict[str, Any] = json.loads(text)
    return table


def _require_rows(rows: int) -> None:
    if rows <= 0:
        raise ValueError(f"rows must be 1 or more, not {rows}")


def _require_share(share: float, name: str) -> None:
    if not 0 <= share <= 1:
        raise ValueError(f"{name} must be between 0 and 1, not {share}")


def _fraud_count(rows: int, fraud_share: float) -> int:
    least = 1 if rows >= 1_000 and fraud_share > 0 else 0
    return max(least, round(rows * fraud_share))


def _class_rows(label: int, count: int, span: float, rng: np.random.Generator) -> pd.DataFrame:
    table = cards_table()
    strata = [stratum for stratum in table["strata"] if stratum["class"] == label]
    counts = rng.multinomial(count, [stratum["share"] for stratum in strata])
    values = np.vstack([_stratum_rows(stratum, part, rng) for stratum, part in zip(strata, counts, strict=True)])
    frame = pd.DataFrame(values, columns=list(CARD_FEATURES))
    frame["Amount"] = frame["Amount"].clip(lower=0).round(2)
    hourly = table["hourly_share"]["fraud" if label else "normal"]
    frame.insert(0, "Time", _arrivals(count, span, hourly, rng))
    frame["Class"] = label
    return frame


def _stratum_rows(stratum: dict[str, Any], count: int, rng: np.random.Generator) -> Floats:
    """(count, 29) values of one stratum: correlated normal scores sent through each feature's quantiles."""
    root = np.linalg.cholesky(_correlation_matrix(stratum["correlations"]))
    scores = rng.standard_normal((count, len(CARD_FEATURES))) @ root.T
    for column, feature in enumerate(CARD_FEATURES):
        knots, values = _quantile_line(stratum["probabilities"], stratum["quantiles"][feature])
        scores[:, column] = np.interp(scores[:, column], knots, values)
    return scores


def _correlation_matrix(triangle: dict[str, list[float]]) -> Floats:
    matrix = np.eye(len(CARD_FEATURES))
    for row, feature in enumerate(CARD_FEATURES[1:], start=1):
        matrix[row, :row] = matrix[:row, row] = triangle[feature]
    return matrix


def _quantile_line(probabilities: list[float], quantiles: list[float]) -> tuple[Floats, Floats]:
    """Normal scores and values of the knots, drawn on in a straight line beyond the sample's extremes.

    Without the line every farther draw would repeat the extreme itself. It follows the last two steps together, as the
    last step alone is as steep as one chance outlier makes it.
    """
    scores, values = _normal_scores_of(np.array(probabilities)), np.array(quantiles)
    slopes = (values[[2, -1]] - values[[0, -3]]) / (scores[[2, -1]] - scores[[0, -3]])
    ends = np.array([-FARTHEST_SCORE, FARTHEST_SCORE])
    beyond = values[[0, -1]] + slopes * (ends - scores[[0, -1]])
    return np.r_[ends[0], scores, ends[1]], np.r_[beyond[0], values, beyond[1]]


def _normal_scores_of(probabilities: Floats) -> Floats:
    unique, place = np.unique(probabilities, return_inverse=True)
    inverse = NormalDist().inv_cdf
    return np.array([inverse(float(one)) for one in unique])[place].reshape(probabilities.shape)


def _arrivals(count: int, span: float, hourly: list[float], rng: np.random.Generator) -> Floats:
    """`count` moments (s) of a Poisson stream over `span` seconds whose rate is constant within each hour."""
    hours = math.ceil(span / HOUR_SECONDS)
    edges = np.arange(hours + 1) * float(HOUR_SECONDS)
    rising = np.r_[0.0, np.cumsum(np.resize(hourly, hours))]
    last = float(np.interp(span, edges, rising))
    return np.asarray(np.interp(rng.uniform(0, last, count), rising, edges))


def _normal_rows(frame: pd.DataFrame) -> pd.DataFrame:
    later = frame.iloc[ORDERED_ROWS:]
    return later[later["Class"] == 0]


def _distance_from(normals: pd.DataFrame) -> Callable[[pd.DataFrame], Floats]:
    """A function giving each row's squared Mahalanobis distance from the normal rows."""
    reference = normals[list(CARD_FEATURES)].to_numpy()
    mean, covariance = reference.mean(axis=0), np.cov(reference, rowvar=False)

    def distance(rows: pd.DataFrame) -> Floats:
        away = rows[list(CARD_FEATURES)].to_numpy() - mean
        return np.asarray((away * np.linalg.solve(covariance, away.T).T).sum(axis=1))

    return distance


def _fitted_strata(label: int, rows: pd.DataFrame, distance: Floats) -> list[dict[str, object]]:
    cuts = STRATA[label]
    stratum = np.searchsorted(np.quantile(distance, cuts), distance, side="right")
    shares = np.diff([0.0, *cuts, 1.0])
    return [
        {"class": label, "share": round(float(share), 4), **_fitted_copula(rows[stratum == number])}
        for number, share in enumerate(shares)
    ]


def _fitted_copula(rows: pd.DataFrame) -> dict[str, object]:
    # The extremes of n rows stand for the probabilities 1/2n and 1 - 1/2n.
    edge = 0.5 / len(rows)
    inner = [one for one in PROBABILITIES if 2 * edge < one < 1 - 2 * edge]
    return {
        "rows": len(rows),
        "probabilities": [round(edge, 6), *inner, round(1 - edge, 6)],
        "quantiles": {feature: _rounded_quantiles(rows[feature].to_numpy(), inner) for feature in CARD_FEATURES},
        "correlations": _fitted_correlations(rows),
    }


def _rounded_quantiles(values: Floats, inner: list[float]) -> list[float]:
    return [float(f"{value:.5g}") for value in np.quantile(values, [0, *inner, 1])]


def _fitted_correlations(rows: pd.DataFrame) -> dict[str, list[float]]:
    """Each feature's correlations of normal scores with the features before it, a little shrunk to stay definite."""
    ranks = rows[list(CARD_FEATURES)].rank().to_numpy() / (len(rows) + 1)
    matrix = (1 - SHRINK) * np.atleast_2d(np.corrcoef(_normal_scores_of(ranks), rowvar=False))
    return {
        feature: [round(float(value), 3) for value in matrix[row, :row]]
        for row, feature in enumerate(CARD_FEATURES)
        if row
    }


def _by_hour(rows: pd.DataFrame) -> Floats:
    """(2, 24) counts of rows in each hour of the two days."""
    edges = np.arange(49) * HOUR_SECONDS
    return np.histogram(rows["Time"], bins=edges)[0].reshape(2, 24).astype(float)


def _normal_rhythm(normals: pd.DataFrame) -> list[float]:
    """Both days' shape; the hours that the ordered rows took from the first day come from the second alone."""
    first, second = _by_hour(normals)
    second *= first[ORDERED_HOURS:].sum() / second[ORDERED_HOURS:].sum()
    return _shares(np.r_[2 * second[:ORDERED_HOURS], (first + second)[ORDERED_HOURS:]])


def _shares(counts: Floats) -> list[float]:
    return [round(float(share), 5) for share in counts / counts.sum()]


BEAT_SAMPLES = 140
WAVES = ("P", "Q", "R", "S", "ST", "T")
# McSharry et al. 2003, table 1: angle (rad), a and b of P, Q, R, S, T. Integrating their equation of motion makes each
# wave a Gaussian of height a * b**2 (times a constant). ST is added here: flat unless a beat is shifted there.
WAVE_ANGLES = np.array([-np.pi / 3, -np.pi / 12, 0.0, np.pi / 12, 0.7, np.pi / 2])
WAVE_WIDTHS = np.array([0.25, 0.1, 0.1, 0.1, 0.3, 0.4])
WAVE_HEIGHTS = np.array([1.2, -5.0, 30.0, -7.5, 0.0, 0.75]) * WAVE_WIDTHS**2 / (30.0 * 0.1**2)


class Beats:
    """`count` normal beats as wave angles, widths (rad) and heights (R = 1), each (count, 6), with the beats' flaws."""

    def __init__(self, count: int, rng: np.random.Generator) -> None:
        shape = (count, len(WAVES))
        self.rng = rng
        self.count = count
        self.angles = WAVE_ANGLES + rng.normal(0, 0.03, shape) + rng.normal(0, 0.05, (count, 1))
        self.widths = WAVE_WIDTHS * np.exp(rng.normal(0, 0.1, shape))
        self.heights = WAVE_HEIGHTS * np.exp(rng.normal(0, 0.15, shape))
        self.heights[:, WAVES.index("ST")] = rng.normal(0, 0.03, count)
        self.wander = np.abs(rng.normal(0, 0.06, count))
        self.noise = 0.02 * np.exp(rng.normal(0, 0.3, count))
        self.lost_from = np.full(count, BEAT_SAMPLES)

    def between(self, low: float, high: float) -> Floats:
        return self.rng.uniform(low, high, self.count)

    def scale(self, heights_or_widths: Floats, wave: str, low: float, high: float) -> None:
        heights_or_widths[:, WAVES.index(wave)] *= self.between(low, high)

    def voltages(self) -> Floats:
        """(count, 140) samples of equal phase, whatever the beat's own length, with wander, loss and noise."""
        phase = np.linspace(-np.pi, np.pi, BEAT_SAMPLES)
        # A longer beat draws its waves out by the root of its length (McSharry et al. 2003, section III).
        stretch = np.exp(self.rng.normal(0, 0.05, (self.count, 1)))
        signal = self.wander[:, None] * np.sin(phase / 3 + self.between(0, 2 * np.pi)[:, None])
        for angle, width, height in zip(self.angles.T, self.widths.T, self.heights.T, strict=True):
            away = (phase - angle[:, None] * stretch) / (width[:, None] * stretch)
            signal += height[:, None] * np.exp(-(away**2) / 2)
        signal[np.arange(BEAT_SAMPLES) >= self.lost_from[:, None]] = 0.0
        return signal + self.noise[:, None] * self.rng.standard_normal(signal.shape)


def _premature_ventricular(beats: Beats) -> None:
    beats.scale(beats.heights, "P", 0.0, 0.1)
    broadening = beats.between(1.6, 3.0)
    for wave in "QRS":
        beats.widths[:, WAVES.index(wave)] *= broadening
    beats.scale(beats.heights, "S", 1.0, 2.5)
    beats.scale(beats.heights, "T", -1.5, -0.4)


def _premature_atrial(beats: Beats) -> None:
    beats.angles -= beats.between(0.1, 0.7)[:, None]
    beats.scale(beats.heights, "P", -1.2, 0.6)
    beats.angles[:, WAVES.index("P")] += beats.between(0.0, 0.4)


def _st_shift(beats: Beats) -> None:
    side = np.where(beats.rng.random(beats.count) < 0.5, -1.0, 1.0)
    beats.heights[:, WAVES.index("ST")] += side * beats.between(0.08, 0.4)


def _missing_beat(beats: Beats) -> None:
    for wave in ("Q", "R", "S", "T"):
        beats.scale(beats.heights, wave, 0.0, 0.1)


def _lead_loss(beats: Beats) -> None:
    beats.lost_from = beats.rng.integers(0, BEAT_SAMPLES * 3 // 4, beats.count)


def _electrode_noise(beats: Beats) -> None:
    beats.noise = beats.between(0.06, 0.4)
    beats.wander += beats.between(0.0, 0.3)


def _normal(beats: Beats) -> None:
    """A normal beat stays as it was drawn."""


SPOILERS: dict[str, Callable[[Beats], None]] = {
    "normal": _normal,
    "premature_ventricular": _premature_ventricular,
    "premature_atrial": _premature_atrial,
    "st_shift": _st_shift,
    "missing_beat": _missing_beat,
    "lead_loss": _lead_loss,
    "electrode_noise": _electrode_noise,
}
ECG_KINDS: tuple[str, ...] = tuple(SPOILERS)


def simulated_ecg(rows: int = 5_000, seed: int = 0, normal_share: float = 0.584) -> pd.DataFrame:
    """Simulated heartbeats in the shape of TensorFlow's ecg.csv (ECG5000); no row of it is real.

    Returns `rows` rows of 141 columns: c0..c139, one beat at 140 equal steps of phase with R near the middle, each row
    brought to mean 0 and variance 1 as in ECG5000; and label (int, 1 = normal, 0 = anomaly). The share of normal rows
    is `normal_share`, the kinds of anomaly share the rest evenly, and rows are shuffled by `seed`. `ecg_kinds` with the
    same arguments names each row's kind.

    A beat is a sum of Gaussian waves P, Q, R, S, T after McSharry, Clifford, Tarassenko and Smith, A dynamical model
    for generating synthetic electrocardiogram signals, IEEE Trans. Biomed. Eng. 50(3), 2003.
    """
    kinds = ecg_kinds(rows, seed, normal_share)
    rng = np.random.default_rng([seed, 1])
    values = np.empty((rows, BEAT_SAMPLES))
    for kind, spoil in SPOILERS.items():
        chosen = kinds == kind
        beats = Beats(int(chosen.sum()), rng)
        spoil(beats)
        values[chosen] = _standard_rows(beats.voltages())
    frame = pd.DataFrame(values, columns=[f"c{number}" for number in range(BEAT_SAMPLES)])
    frame["label"] = (kinds == "normal").astype(np.int64)
    return frame


def ecg_kinds(rows: int = 5_000, seed: int = 0, normal_share: float = 0.584) -> npt.NDArray[np.str_]:
    """(rows,) the kind, one of `ECG_KINDS`, of each row that `simulated_ecg` makes of the same arguments."""
    _require_rows(rows)
    _require_share(normal_share, "normal_share")
    normals = round(rows * normal_share)
    anomalies = islice(cycle(ECG_KINDS[1:]), rows - normals)
    kinds = np.array([*repeat("normal", normals), *anomalies])
    np.random.default_rng([seed, 0]).shuffle(kinds)
    return kinds


def _standard_rows(values: Floats) -> Floats:
    centred = values - values.mean(axis=1, keepdims=True)
    return np.asarray(centred / centred.std(axis=1, ddof=1, keepdims=True))
