"""Where the rows lie: t-SNE, the network's own code, and pairs of features before and after preprocessing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from detector.page.content import Picture, counted, percent
from detector.page.drawing import DPI, SQUARE, axes, classes, legend, png, scatter, short, wrapped

SEED = 0
ITERATIONS = 500
PERPLEXITY = 30.0
LEAST_EMBEDDED = 8
"""Rows below which a t-SNE says nothing."""

PAIRED_FEATURES = 5

Truth = NDArray[np.bool_] | None
Rows = NDArray[np.float32]


def embedded(rows: Rows, dimensions: int) -> NDArray[np.float32]:
    """The t-SNE (n, dimensions) of rows (n, d); van der Maaten and Hinton 2008. The same rows give the same places.

    On one thread: several add up in any order, and wait for each other where other programs run.
    """
    wide = min(rows.shape) > dimensions and float(rows.std(axis=0).max()) > 0
    tsne = TSNE(
        dimensions,
        perplexity=min(PERPLEXITY, (len(rows) - 1) / 3),
        max_iter=ITERATIONS,
        init="pca" if wide else "random",
        random_state=SEED,
        angle=0.5 if dimensions == 2 else 0.8,  # a larger one is coarser and faster: three dimensions take long
    )
    with threadpool_limits(1):
        return np.asarray(tsne.fit_transform(rows), np.float32)


def tsne_2d(places: NDArray[np.float32], truth: Truth) -> Picture:
    """Places (n, 2) of a t-SNE."""
    figure, drawn = axes("t-SNE axis 1 (no unit)", "t-SNE axis 2 (no unit)", SQUARE)
    scatter(drawn, [*places.T], truth, area=9)
    legend(drawn, enlarged=2)
    return Picture("tsne-2d", "t-SNE in two dimensions", png(figure), _tsne_alt(places, truth))


def tsne_3d(places: NDArray[np.float32], truth: Truth) -> Picture:
    """Places (n, 3) of a t-SNE."""
    figure = Figure(SQUARE, DPI)
    drawn: Any = figure.add_subplot(projection="3d")
    scatter(drawn, [*places.T], truth, area=9)
    drawn.set_xlabel("t-SNE axis 1 (no unit)")
    drawn.set_ylabel("t-SNE axis 2 (no unit)")
    drawn.set_zlabel("t-SNE axis 3 (no unit)")
    for axis in (drawn.xaxis, drawn.yaxis, drawn.zaxis):
        axis.set_major_locator(MaxNLocator(5))
        axis.labelpad = 7
    drawn.view_init(elev=22, azim=-60)
    drawn.set_box_aspect(None, zoom=0.9)  # the layout does not see the labels of a third axis
    legend(drawn, enlarged=2)
    return Picture("tsne-3d", "t-SNE in three dimensions", png(figure), _tsne_alt(places, truth))


def _tsne_alt(places: NDArray[np.float32], truth: Truth) -> str:
    shown_rows = ", ".join(f"{int(mask.sum()):,} {name}" for name, *_, mask in classes(truth, len(places)))
    return f"t-SNE of {counted(len(places), 'row')} in {places.shape[1]} dimensions: {shown_rows}."


def latent(codes: NDArray[np.float32], truth: Truth) -> Picture:
    """The codes (n, k) by class: as they are with two units, on their two principal axes with more."""
    width = codes.shape[1]
    if width <= 2:
        x, names = codes[:, 0], [f"unit {i + 1} of the code (activation)" for i in range(2)]
        y = codes[:, 1] if width == 2 else np.zeros_like(x)
    else:
        (x, y), kept = principal(codes)
        names = [f"principal axis {i + 1} of the code ({percent(kept[i])} of its variance)" for i in range(2)]
    figure, drawn = axes(names[0], names[1], SQUARE)
    scatter(drawn, (x, y), truth)
    legend(drawn, enlarged=2)
    alt = f"The codes of {counted(len(codes), 'row')}, {counted(width, 'unit')} wide, by {names[0]} and {names[1]}."
    return Picture("latent", "The latent space", png(figure), alt)


def principal(codes: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Codes (n, k), k > 2, on their two principal axes: places (2, n), and the share of the variance of each axis."""
    centred = codes.astype(np.float64) - codes.mean(axis=0, dtype=np.float64)
    if len(codes) < 2 or not centred.any():
        return centred[:, :2].T, np.full(2, np.nan)
    fitted = PCA(2, svd_solver="full").fit(centred)
    return fitted.transform(centred).T, fitted.explained_variance_ratio_


def pairs(name: str, title: str, features: Sequence[str], values: NDArray[Any], truth: Truth) -> Picture:
    """Each feature of values (n, k) against each other, and its distribution on the diagonal."""
    values = values.astype(np.float64)  # sums and differences of float32's largest values are beyond it
    count = len(features)
    figure = Figure((7.6, 7.4), DPI)
    grid = figure.add_gridspec(count, count)
    diagonal: list[Any] = []
    for row in range(count):
        for column in range(row):
            drawn = figure.add_subplot(grid[row, column], sharex=diagonal[column])
            scatter(drawn, (values[:, column], values[:, row]), truth)
            drawn.yaxis.set_major_locator(MaxNLocator(3))
        diagonal.append(figure.add_subplot(grid[row, row]))
        _distribution(diagonal[row], values[:, row], truth)
    _name(figure, [wrapped(feature) for feature in features])
    figure.legend(*figure.axes[1].get_legend_handles_labels(), loc="upper right", markerscale=2.5, fontsize=11)
    ranges = "; ".join(f"{feature} {_range(column)}" for feature, column in zip(features, values.T, strict=True))
    alt = f"Pair plot of {counted(len(values), 'row')} and {counted(count, 'feature')}: {ranges}."
    return Picture(name, title, png(figure), alt)


def _range(values: NDArray[np.float64]) -> str:
    seen = values[np.isfinite(values)]
    return f"from {seen.min():.3g} to {seen.max():.3g}" if len(seen) else "always missing"


def _distribution(drawn: Any, values: NDArray[np.float64], truth: Truth) -> None:
    """Stepped histograms by class, each as high as the other: the diagonal has no scale of its own."""
    seen = values[np.isfinite(values)]
    edges = np.histogram_bin_edges(seen, 24) if len(seen) else np.array([0.0, 1.0])
    for _, colour, _, mask in classes(truth, len(values)):
        counts = np.histogram(values[mask], edges)[0]
        drawn.stairs(counts / max(counts.max(), 1), edges, fill=True, facecolor=(colour, 0.35), edgecolor=colour)
    drawn.set_yticks([])
    drawn.grid(visible=False)


def _name(figure: Figure, names: Sequence[str]) -> None:
    """Ticks everywhere, their labels and the features' names only at the outer edges."""
    for drawn in figure.axes:
        place = drawn.get_subplotspec()
        assert place is not None
        drawn.xaxis.set_major_locator(MaxNLocator(3))
        for axis in (drawn.xaxis, drawn.yaxis):
            axis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
        bottom, left = place.is_last_row(), place.is_first_col()
        drawn.tick_params(labelbottom=bottom, labelleft=left)
        if bottom:
            drawn.set_xlabel(names[place.colspan.start], fontsize=9)
        if left:
            drawn.set_ylabel(names[place.rowspan.start], fontsize=9)
