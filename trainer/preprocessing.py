"""From raw rows to what networks see, and back: fitted in one pass over the training rows, served inside the graph.

Every step works on numpy's arrays and on Keras' tensors alike: `library` is numpy or keras.ops.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from trainer.recipes import Step

FAR = 1e9
"""Preprocessed values are cut here, so that no finite row has an infinite score."""

KNOTS = 33
"""Points of the lines that turn a column into normal scores."""

RIDGE = 1e-3
"""Added to the variances of whitened columns, which else would magnify what hardly varies."""

RAREST = 0.05
"""The least standard deviation of a category's column: a value never seen is 20 of them away, not infinitely many."""

FARTHEST = 1e30
"""Raw values are cut here, so that their differences and slopes stay within float32."""

LEAST = 1e-37
"""Lengths, ranges and steps below this are none: some runtimes take numbers that are about as small for 0."""

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Moments:
    """Count, mean, variance, minimum and maximum of columns (d,), of the values that are there."""

    count: Array
    mean: Array
    variance: Array
    least: Array
    most: Array

    @classmethod
    def of(cls, chunks: Iterable[Array]) -> Moments:
        """In one pass over chunks of rows (m, d), of which there is at least one; NaN is a value that is missing.

        Source: Chan, Golub, LeVeque, Updating formulae and a pairwise algorithm for computing sample variances (1979).
        """
        left = iter(chunks)
        total = cls._of_one(next(left))
        for rows in left:
            total = total.plus(cls._of_one(rows))
        return total

    @classmethod
    def _of_one(cls, rows: Array) -> Moments:
        there = ~np.isnan(rows)
        count = there.sum(axis=0).astype(np.float64)
        mean = np.where(there, rows, 0.0).sum(axis=0) / np.maximum(count, 1)
        off = np.where(there, rows - mean, 0.0)
        least = np.where(there, rows, np.inf).min(axis=0, initial=np.inf)
        most = np.where(there, rows, -np.inf).max(axis=0, initial=-np.inf)
        return cls(count, mean, (off**2).sum(axis=0) / np.maximum(count, 1), least, most)

    def plus(self, other: Moments) -> Moments:
        """Of both together."""
        count = self.count + other.count
        share = other.count / np.maximum(count, 1)
        apart = other.mean - self.mean
        return Moments(
            count,
            self.mean + apart * share,
            self.variance * (1 - share) + other.variance * share + apart**2 * share * (1 - share),
            np.minimum(self.least, other.least),
            np.maximum(self.most, other.most),
        )

    def without_gaps(self) -> Moments:
        """A column without any value counts as 0 throughout: that is what it is filled with."""
        none = self.count == 0
        return Moments(
            self.count, self.mean, self.variance, np.where(none, 0.0, self.least), np.where(none, 0.0, self.most)
        )


@dataclass(frozen=True, slots=True)
class Affine:
    """z = (x - offset) / scale by column; both float64 (d,)."""

    kind: ClassVar[str] = "affine"
    offset: Array
    scale: Array

    def forward(self, x: Any, library: Any) -> Any:
        """Rows (n, d) as the next step sees them."""
        return (x - self.offset.astype(_like(x))) / self.scale.astype(_like(x))

    def backward(self, z: Any, x: Any, library: Any) -> Any:
        """Rows (n, d) in the units of before; x: what came in, for steps that need it."""
        return z * self.scale.astype(_like(z)) + self.offset.astype(_like(z))


@dataclass(frozen=True, slots=True)
class UnitLength:
    """Each row divided by its Euclidean length; a row of zeros, or of values below LEAST, stays as it is."""

    kind: ClassVar[str] = "unit_length"

    def forward(self, x: Any, library: Any) -> Any:
        """Rows (n, d) of length 1."""
        most, length = self._length(x, library)
        return x / most / length

    def backward(self, z: Any, x: Any, library: Any) -> Any:
        """Rows (n, d) with the lengths of the rows x that came in."""
        most, length = self._length(x, library)
        return z * length * most

    @staticmethod
    def _length(x: Any, library: Any) -> tuple[Any, Any]:
        """Two factors (n, 1) of the length: the squares of large values would overflow."""
        most = library.max(library.absolute(x), axis=1, keepdims=True)
        there = most >= LEAST
        most = library.where(there, most, library.ones_like(most))
        length = library.sqrt(library.sum(library.square(x / most), axis=1, keepdims=True))
        return most, library.where(there, length, library.ones_like(length))


@dataclass(frozen=True, slots=True)
class Pieces:
    """By column a function of straight pieces through (knots, heights), both (k, d); beyond them with slopes (d,)."""

    kind: ClassVar[str] = "pieces"
    knots: Array
    heights: Array
    slopes: Array

    def forward(self, x: Any, library: Any) -> Any:
        """Rows (n, d), each value through its column's function."""
        return through(x, self.knots, self.heights, self.slopes, library)

    def backward(self, z: Any, x: Any, library: Any) -> Any:
        """The inverse; where the function is flat, the left end."""
        return through(z, self.heights, self.knots, 1 / self.slopes, library)


def through(x: Any, knots: Array, heights: Array, slopes: Array, library: Any) -> Any:
    """Values (n, d) through straight pieces by column: knots and heights (k, d), slopes (d,) beyond them.

    Summed piece by piece, each between 0 and its own height: large terms would cancel badly in float32.
    """
    kind = _like(x)
    outside = library.minimum(x - knots[0].astype(kind), 0.0) + library.maximum(x - knots[-1].astype(kind), 0.0)
    total = heights[0].astype(kind) + outside * slopes.astype(kind)
    for low, high, start, end in zip(knots, knots[1:], heights, heights[1:], strict=False):
        width = (high - low).astype(kind)
        if width.any():
            slope = np.divide(end - start, width, out=np.zeros_like(start), where=width >= LEAST).astype(kind)
            total = total + library.minimum(library.maximum(x - low.astype(kind), 0.0), width) * slope
    return total


@dataclass(frozen=True, slots=True)
class Turn:
    """z = (x - mean) matrix, with the matrix' inverse for the way back; matrix and inverse (d, d)."""

    kind: ClassVar[str] = "turn"
    mean: Array
    matrix: Array
    inverse: Array

    def forward(self, x: Any, library: Any) -> Any:
        """Rows (n, d) turned."""
        return library.matmul(x - self.mean.astype(_like(x)), self.matrix.astype(_like(x)))

    def backward(self, z: Any, x: Any, library: Any) -> Any:
        """Rows (n, d) turned back."""
        return library.matmul(z, self.inverse.astype(_like(z))) + self.mean.astype(_like(z))


def cut(x: Any, truncate: bool, library: Any) -> Any:
    """Values within FARTHEST; those that are truncated become whole numbers, towards 0."""
    x = library.clip(x, -FARTHEST, FARTHEST)
    return library.sign(x) * library.floor(library.absolute(x)) if truncate else x


Fitted = Affine | UnitLength | Pieces | Turn
_KINDS: dict[str, Callable[..., Fitted]] = {one.kind: one for one in (Affine, UnitLength, Pieces, Turn)}


def _like(x: Any) -> Any:
    return x.dtype if isinstance(x, np.ndarray) else np.float32


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """What stands before a network: raw rows (n, d) to columns (n, D), D > d where there are text features.

    fill (d,): for values that are missing. sizes (d,): 0 for a number, k for a text feature of k values, which becomes
    k + 1 columns of 0 and 1. truncate: whether values are cut to whole numbers first.
    """

    fill: Array
    sizes: tuple[int, ...]
    truncate: bool
    steps: tuple[Fitted, ...]

    @property
    def owners(self) -> NDArray[np.intp]:
        """(D,): the feature that each column comes from."""
        return np.repeat(np.arange(len(self.sizes)), [size + 1 for size in self.sizes])

    def forward(self, rows: Any, library: Any = np) -> Any:
        """Rows (n, d) as the network sees them, (n, D)."""
        return self._ways(rows, library)[-1]

    def backward(self, z: Any, rows: Any, library: Any = np) -> Any:
        """Columns (n, D) in the units of the raw rows (n, d) they belong to; of text the position of the likeliest."""
        ways = self._ways(rows, library)
        for step, x in zip(reversed(self.steps), reversed(ways[:-1]), strict=True):
            z = step.backward(z, x, library)
        return self._narrow(z, library) if any(self.sizes) else z

    def _ways(self, rows: Any, library: Any) -> list[Any]:
        x = library.where(library.isnan(rows), self.fill.astype(_like(rows)) + library.zeros_like(rows), rows)
        ways = [self._widened(cut(x, self.truncate, library), library)]
        for step in self.steps:
            ways.append(library.clip(step.forward(ways[-1], library), -FAR, FAR))
        return ways

    def _widened(self, x: Any, library: Any) -> Any:
        """Text features as columns of 0 and 1."""
        if not any(self.sizes):
            return x
        parts = []
        for feature, size in enumerate(self.sizes):
            column = x[:, feature : feature + 1]
            if size:
                places = np.arange(size + 1).astype(_like(x))
                column = library.where(library.equal(column, places), library.ones_like(column), 0.0 * column)
            parts.append(column)
        return library.concatenate(parts, axis=1)

    def _narrow(self, z: Any, library: Any) -> Any:
        parts, at = [], 0
        for size in self.sizes:
            here = z[:, at : at + size + 1]
            if size:
                best = library.max(here, axis=1, keepdims=True)
                places = np.arange(size + 1).astype(_like(z))
                here = library.min(library.where(here >= best, places, places[-1:] + 0.0 * here), axis=1, keepdims=True)
            parts.append(here)
            at += size + 1
        return library.concatenate(parts, axis=1)

    def to_config(self) -> dict[str, Any]:
        """Plain values for a Keras file."""
        steps = [
            {"kind": step.kind} | {f.name: getattr(step, f.name).tolist() for f in fields(step)} for step in self.steps
        ]
        return {"fill": self.fill.tolist(), "sizes": list(self.sizes), "truncate": self.truncate, "steps": steps}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Preprocessing:
        """The inverse of `to_config`."""
        steps = tuple(
            _KINDS[step["kind"]](**{name: np.array(value) for name, value in step.items() if name != "kind"})
            for step in config["steps"]
        )
        return cls(np.array(config["fill"]), tuple(config["sizes"]), config["truncate"], steps)


@dataclass(frozen=True, slots=True)
class Statistics:
    """What one pass over the training rows told, of columns (D,) as they come to the first step.

    bare: the preprocessing without any step. moments: of the columns. scaled: of the rows without gaps at unit length;
    None where no step asks for it or there is no such row. sample: float64 (n, D), rows that stand for all.
    """

    bare: Preprocessing
    moments: Moments
    scaled: Moments | None
    sample: Array


def fit(
    chains: Sequence[Sequence[Step]],
    features: Sequence[str],
    sizes: Sequence[int],
    truncate: bool,
    chunks: Callable[[], Iterable[NDArray[np.float32]]],
    sample: NDArray[np.float32],
) -> list[Preprocessing]:
    """Each branch's steps fitted on training rows, all of them in one pass over `chunks` of rows (m, d).

    sample (n, d): rows that stand for all where order statistics and covariances are asked for.
    """
    first_scales = any(steps and steps[0].kind == "unit_length" for steps in chains)
    raw, scaled = _one_pass(truncate, chunks, first_scales)
    fill = np.where(np.array(sizes) > 0, 0.0, raw.mean)  # of a text feature its most frequent value
    bare = Preprocessing(fill, tuple(sizes), truncate, ())
    rows = bare.forward(sample.astype(np.float64))
    known = Statistics(bare, _widened(raw, bare, rows), scaled, rows)
    return [_fitted(steps, features, known) for steps in chains]


def _fitted(steps: Sequence[Step], features: Sequence[str], known: Statistics) -> Preprocessing:
    owners, sizes = known.bare.owners, np.asarray(known.bare.sizes)
    wide = sizes[owners] > 0
    state, rows = known.moments, known.sample
    fitted: list[Fitted] = []
    for number, step in enumerate(steps):
        chosen = np.array([step.columns is None or features[owner] in step.columns for owner in owners])
        one = _FITS[step.kind](state, rows, chosen, wide)
        rows = np.clip(one.forward(rows, np), -FAR, FAR)
        if isinstance(one, Affine):
            state = _moved(state, one)
        elif number == 0 and isinstance(one, UnitLength) and known.scaled and not any(sizes):
            state = known.scaled
        else:
            state = Moments.of([rows])
        fitted.append(one)
    return replace(known.bare, steps=tuple(_merged(fitted)))


def _one_pass(
    truncate: bool, chunks: Callable[[], Iterable[NDArray[np.float32]]], scaled: bool
) -> tuple[Moments, Moments | None]:
    """Moments of the raw rows and, where it is asked for, of the rows without gaps at unit length."""
    raw: Moments | None = None
    long: Moments | None = None
    for chunk in chunks():
        rows = cut(chunk.astype(np.float64), truncate, np)
        here = Moments.of([rows])
        raw = here if raw is None else raw.plus(here)
        if scaled and len(whole := rows[~np.isnan(rows).any(axis=1)]):
            there = Moments.of([UnitLength().forward(whole, np)])
            long = there if long is None else long.plus(there)
    if raw is None:
        raise ValueError("no rows to learn from")
    return raw.without_gaps(), long


def _widened(moments: Moments, bare: Preprocessing, sample: Array) -> Moments:
    """Moments of the columns (D,): a number's are those of its feature, a category's those of the sample (n, D)."""
    if not any(bare.sizes):
        return moments
    owners = bare.owners
    wide = Moments.of([sample])
    text = np.asarray(bare.sizes)[owners] > 0
    return Moments(*(np.where(text, getattr(wide, f.name), getattr(moments, f.name)[owners]) for f in fields(Moments)))


def _moved(state: Moments, by: Affine) -> Moments:
    mean, least, most = ((value - by.offset) / by.scale for value in (state.mean, state.least, state.most))
    return Moments(state.count, mean, state.variance / by.scale**2, least, most)


def _merged(steps: Iterable[Fitted]) -> list[Fitted]:
    """Affine steps that follow each other as one, where that one is within float32."""
    kept: list[Fitted] = []
    for step in steps:
        if isinstance(step, Affine) and kept and isinstance(last := kept[-1], Affine):
            scale = last.scale * step.scale
            if scale.min() >= LEAST and scale.max() <= 1 / LEAST:
                kept[-1] = Affine(last.offset + step.offset * last.scale, scale)
                continue
        kept.append(step)
    return kept


def _affine(offset: Array, scale: Array, chosen: NDArray[np.bool_]) -> Affine:
    """A constant column keeps a scale of 1, as in scikit-learn."""
    return Affine(np.where(chosen, offset, 0.0), np.where(chosen & (scale >= LEAST), scale, 1.0))


def _deviation(state: Moments, wide: NDArray[np.bool_]) -> Array:
    deviation = np.sqrt(state.variance)
    return np.where(wide, np.maximum(deviation, RAREST), deviation)


def _standardise(state: Moments, rows: Array, chosen: NDArray[np.bool_], wide: NDArray[np.bool_]) -> Affine:
    return _affine(state.mean, _deviation(state, wide), chosen)


def _min_max(state: Moments, rows: Array, chosen: NDArray[np.bool_], wide: NDArray[np.bool_]) -> Affine:
    return _affine(state.least, state.most - state.least, chosen)


def _min_max_global(state: Moments, rows: Array, chosen: NDArray[np.bool_], wide: NDArray[np.bool_]) -> Affine:
    least, most = state.least[chosen].min(initial=np.inf), state.most[chosen].max(initial=-np.inf)
    return _affine(np.full(len(chosen), least), np.full(len(chosen), most - least), chosen)


def _unit_length(state: Moments, rows: Array, chosen: NDArray[np.bool_], wide: NDArray[np.bool_]) -> UnitLength:
    return UnitLength()


def _normal_scores(state: Moments, rows: Array, chosen: NDArray[np.bool_], wide: NDArray[np.bool_]) -> Pieces:
    """A value's score is the normal quantile of its mid-rank; ties share one. Beyond the rows seen: as standardised."""
    deviation = _deviation(state, wide)
    columns = [_points(rows[:, i]) for i in range(rows.shape[1])]
    knots, heights = (np.stack(part, axis=1) for part in zip(*columns, strict=True))
    return Pieces(knots, heights, 1 / np.where(deviation >= LEAST, deviation, 1.0))


def _points(values: Array) -> tuple[Array, Array]:
    found, counts = np.unique(values, return_counts=True)
    z = ndtri((np.cumsum(counts) - counts / 2) / counts.sum())
    if len(found) > KNOTS:
        even = np.unique(np.searchsorted(z, np.linspace(z[0], z[-1], KNOTS)).clip(0, len(z) - 1))
        found, z = found[even], z[even]
    fill = [len(found) - 1] * (KNOTS - len(found))  # pieces of no length add nothing
    return np.append(found, found[fill]), np.append(z, z[fill])


def _whiten(state: Moments, rows: Array, chosen: NDArray[np.bool_], wide: NDArray[np.bool_]) -> Turn:
    mean = rows.mean(axis=0)
    matrix, inverse = whitening(rows - mean, RIDGE)
    return Turn(mean, matrix, inverse)


def whitening(centred: Array, ridge: float) -> tuple[Array, Array]:
    """The symmetric matrix (d, d) that makes columns (n, d) uncorrelated and of unit variance (ZCA), and its inverse.

    ridge: a share of the mean variance that is added to each. Source: Kessy, Lewin, Strimmer, Optimal whitening (2018).
    """
    covariance = centred.T @ centred / max(len(centred), 1)
    width = len(covariance)
    covariance += (ridge * np.trace(covariance) / width or 1.0) * np.eye(width)
    values, vectors = np.linalg.eigh(covariance)
    return (vectors / np.sqrt(values)) @ vectors.T, (vectors * np.sqrt(values)) @ vectors.T


_FITS: dict[str, Callable[[Moments, Array, NDArray[np.bool_], NDArray[np.bool_]], Fitted]] = {
    "standardise": _standardise,
    "min_max": _min_max,
    "min_max_global": _min_max_global,
    "unit_length": _unit_length,
    "normal_scores": _normal_scores,
    "whiten": _whiten,
}
